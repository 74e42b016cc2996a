"""Extraction: pyradiomics' published baselines, IBSI's consensus values, and what becomes of a bad case."""

import ast
import logging

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from radiomics import featureextractor

from vcfkit import radiomics
from vcfkit.radiomics import ExtractionError, expected_features, extract, extraction, filter_bank

CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape")
# Baselines that differ in how image and mask are prepared; each column carries its own settings.
CASES = ("brain1", "brain1_2d", "brain1_FBN", "brain1_combined", "brain1_normalization", "brain1_resampling")


def body(seed=0, shape=(14, 16, 18), dtype=np.float64):
    """A noisy block with a bright ellipsoid, and its mask."""
    rng = np.random.default_rng(seed)
    at = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    mask = sum((x / 0.7) ** 2 for x in at) < 1
    image = 100 + 60 * mask + 25 * rng.standard_normal(shape)
    return image.astype(dtype), mask.astype(np.uint8)


PLAIN = filter_bank(sigmas_mm=(), wavelet=None, filters=("Original",))


# --- outside values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_brain1_equals_the_published_baselines(reference, case):
    folder = reference / "radiomics" / "pyradiomics"
    pair = [str(folder / f"brain1_{name}.nrrd") for name in ("image", "label")]
    for group in CLASSES:
        table = pd.read_csv(folder / f"baseline_{group}_brain1.csv", index_col="featureName")
        if case not in table:
            continue
        settings = ast.literal_eval(table.loc["diagnostics_Configuration_Settings", case])
        expected = table[case][~table.index.str.startswith("diagnostics_")].astype(float)
        whole = {"setting": settings, "imageType": {"Original": {}}, "featureClass": {group: None}}
        found = extract(pair[:1], pair[1:], settings=whole).iloc[0]
        assert set(found.index) >= set(expected.index), group
        # Baselines of the mesh stand from before pyradiomics 3 mended its marching cubes; its own tests allow 3 %.
        mesh = expected.index.str.contains("Mesh|Surface|Sphericity")
        np.testing.assert_allclose(found[expected.index[mesh]], expected[mesh], rtol=1e-3)
        others = expected.index[~mesh]
        np.testing.assert_allclose(found[others], expected[others], rtol=1e-7, atol=1e-10, err_msg=group)


def test_ibsi_digital_phantom(reference):
    """Where pyradiomics follows the Image Biomarker Standardisation Initiative, within its stated tolerance."""
    folder = reference / "radiomics" / "ibsi_digital_phantom"
    table = pd.read_csv(folder / "ibsi_1_reference_values_digital_phantom.csv", encoding="utf-8-sig")
    known = table.set_index("tag")[["reference value", "tolerance"]].apply(pd.to_numeric, errors="coerce")
    pair = [str(folder / name) for name in ("image_phantom.nii.gz", "mask_mask.nii.gz")]
    settings = {"setting": {"binWidth": 1}, "featureClass": dict.fromkeys(CLASSES)}
    found = extract(pair[:1], pair[1:], settings=settings).iloc[0]
    same = {
        "morph_volume": "shape_MeshVolume",
        "morph_vol_approx": "shape_VoxelVolume",
        "morph_area_mesh": "shape_SurfaceArea",
        "morph_sphericity": "shape_Sphericity",
        "morph_diam": "shape_Maximum3DDiameter",
        "stat_mean": "firstorder_Mean",
        "stat_var": "firstorder_Variance",
        "stat_skew": "firstorder_Skewness",
        "stat_energy": "firstorder_Energy",
        "stat_p10": "firstorder_10Percentile",
        "cm_contrast_3D_avg": "glcm_Contrast",
        "cm_joint_entr_3D_avg": "glcm_JointEntropy",
        "rlm_sre_3D_avg": "glrlm_ShortRunEmphasis",
        "szm_sze_3D": "glszm_SmallAreaEmphasis",
        "szm_zs_var_3D": "glszm_ZoneVariance",
        "ngt_coarseness_3D": "ngtdm_Coarseness",
        "ngt_busyness_3D": "ngtdm_Busyness",
        "ngl_lde_3D_0.0_1": "gldm_SmallDependenceEmphasis",
    }
    compared = 0
    for tag, name in same.items():
        if tag in known.index:
            value, tolerance = known.loc[tag]
            assert found[f"original_{name}"] == pytest.approx(value, abs=max(tolerance, 5e-3 * abs(value))), tag
            compared += 1
    assert compared >= 10


@pytest.mark.parametrize("dimensions", [2, 3])
def test_values_are_those_of_pyradiomics_called_directly(dimensions):
    """Binning once, the cache and worker processes change no digit."""
    image, mask = body()
    if dimensions == 2:
        image, mask = image[7], mask[7]
    settings = filter_bank(dimensions=dimensions, sigmas_mm=(1.0, 2.0))
    logging.getLogger("radiomics").setLevel(logging.ERROR)
    plain = featureextractor.RadiomicsFeatureExtractor(settings)
    plain.addProvenance(False)
    expected = plain.execute(sitk.GetImageFromArray(image), sitk.GetImageFromArray(mask))
    found = extract([image], [mask], settings=settings).iloc[0]
    assert list(found.index) == list(expected)
    assert [float(value) for value in expected.values()] == found.tolist()


def test_filtered_images_are_those_the_features_are_named_after():
    image, _ = body()
    found = dict(radiomics.filtered_images(image, settings=filter_bank(sigmas_mm=(1.0,))))
    named = {name.split("_")[0] for name in expected_features(filter_bank(sigmas_mm=(1.0,)))}
    assert set(found) == named
    assert all(picture.shape == image.shape for picture in found.values())
    np.testing.assert_array_equal(found["original"], image)


def test_counts_of_the_filter_bank():
    assert len(expected_features(filter_bank())) == 18 * 93 + 14 == 1688
    assert len(expected_features(filter_bank(dimensions=2), dimensions=2)) == 14 * 93 + 9
    assert len(expected_features(filter_bank(filters=(*extraction.SINGLE, "LBP3D")))) == 21 * 93 + 14
    assert len(expected_features({"binWidth": 25})) == 107  # pyradiomics' default: the original image, all classes


# --- many cases -------------------------------------------------------------------------------------------------------


def test_processes_and_an_interrupted_run_change_nothing(tmp_path, monkeypatch):
    pairs = [body(k) for k in range(4)]
    images, masks = zip(*pairs, strict=True)
    names = [f"P-{k}" for k in range(4)]
    once = extract(images, masks, settings=PLAIN, names=names)
    assert list(once.index) == names
    assert once.attrs["seconds"] > 0
    extract(images[:2], masks[:2], settings=PLAIN, cache=tmp_path)  # a run that ended after two cases
    made = []
    monkeypatch.setattr(extraction, "_features", lambda *a, real=extraction._features: made.append(1) or real(*a))
    resumed = extract(images, masks, settings=PLAIN, names=names, cache=tmp_path)
    assert len(made) == 2
    pd.testing.assert_frame_equal(resumed, once)
    pd.testing.assert_frame_equal(extract(images, masks, settings=PLAIN, names=names, n_jobs=2), once)
    again = extract(images, masks, settings=PLAIN, names=names, cache=tmp_path)
    assert again.attrs["seconds"] == 0
    assert not list(tmp_path.glob("*.part"))


def test_another_setting_or_mask_is_another_entry_of_the_cache(tmp_path):
    image, mask = body()
    first = extract([image], [mask], settings=PLAIN, cache=tmp_path)
    wider = filter_bank(bin_width=40, sigmas_mm=(), wavelet=None, filters=("Original",))
    other = extract([image], [mask], settings=wider, cache=tmp_path)
    smaller = mask * (np.arange(len(mask)) > 4)[:, None, None]
    cut = extract([image], [smaller], settings=PLAIN, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3
    assert not first.equals(other)
    assert not first.equals(cut)


def test_spacing_scales_lengths_and_volumes():
    image, mask = body()
    fine, coarse = (extract([image], [mask], settings=PLAIN, spacing_mm=s).iloc[0] for s in (1.0, (2.0, 1.0, 1.0)))
    name = "original_shape_VoxelVolume"
    assert fine[name] == mask.sum()
    assert coarse[name] == 2 * mask.sum()


# --- bad cases --------------------------------------------------------------------------------------------------------


def _shifted(mask):
    moved = sitk.GetImageFromArray(mask)
    moved.SetOrigin((5.0, 0.0, 0.0))
    return moved


BAD = {
    "empty": (lambda i, m: (i, 0 * m), r"mask without a voxel labelled 1 \(labels present: none\)"),
    "other label": (lambda i, m: (i, 2 * m), r"without a voxel labelled 1 \(labels present: 2\)"),
    "several": (lambda i, m: (i, m + (np.cumsum(m, 0) > 4)), r"several labels \(1, 2\)"),
    "shape": (lambda i, m: (i, m[1:]), "mask on another grid"),
    "origin": (lambda i, m: (i, _shifted(m)), "mask on another grid .* from 5, 0, 0"),
    "three voxels": (lambda i, m: (i, m * (np.cumsum(m).reshape(m.shape) <= 3)), "mask of 3 voxels; at least 27"),
    "nan": (lambda i, m: (np.where(m, np.nan, i), m), "values that are NaN or infinite"),
    "no file": (lambda i, m: ("nowhere.nii.gz", m), "image not readable .*an image that SimpleITK reads"),
    "no mask file": (lambda i, m: (i, "nowhere.nii.gz"), "a mask that SimpleITK reads required"),
    "soft": (
        lambda i, m: (i, np.where(np.cumsum(m, 0) == 1, 0.5, m)),
        "mask with the value 0.5; whole labels.*threshold",
    ),
    "soft image": (
        lambda i, m: (i, sitk.GetImageFromArray(m * 0.25)),
        "mask with the value 0.25; whole labels required",
    ),
    "undefined": (lambda i, m: (i, np.where(m, 1, np.nan)), "mask with the value nan; whole labels required"),
    "text": (lambda i, m: (np.full(i.shape, "a"), m), "numbers of 2 or 3 axes required"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_case_is_named_before_anything_is_extracted(fault, monkeypatch):
    monkeypatch.setattr(extraction, "_features", lambda *a: pytest.fail("extracted"))
    spoil, message = BAD[fault]
    image, mask = body()
    bad = spoil(image, mask)
    with pytest.raises(ExtractionError, match=f"1 of 2 cases failed.\nP-0412: .*{message}") as caught:
        extract([image, bad[0]], [mask, bad[1]], settings=PLAIN, names=["P-0001", "P-0412"])
    assert [f.name for f in caught.value.faults] == ["P-0412"]
    assert "Next: " in str(caught.value)


def test_several_labels_are_allowed_where_one_is_asked_for():
    image, mask = body()
    both = mask + (np.cumsum(mask, 0) > 4)
    one = extract([image], [both == 2], settings=PLAIN)
    asked = filter_bank(sigmas_mm=(), wavelet=None, filters=("Original",), label=2)
    np.testing.assert_array_equal(extract([image], [both], settings=asked), one)


def test_a_filter_that_yields_nothing_is_an_error_and_the_others_are_kept(tmp_path):
    """pyradiomics says no more than a line of its log when a LoG or a missing package yields no image."""
    image, mask = body()
    settings = filter_bank(sigmas_mm=(40.0,), wavelet=None, filters=("Original",))
    with pytest.raises(
        ExtractionError, match=r"93 features missing, first log-sigma-40-0-mm-3D.*pyradiomics: applyLoG"
    ):
        extract([image], [mask], settings=settings)
    tall = np.concatenate([image] * 4), np.concatenate([mask, *[0 * mask] * 3])
    settings = filter_bank(sigmas_mm=(15.0,), wavelet=None, filters=("Original",))
    with pytest.raises(ExtractionError, match=r"1 of 2 cases failed.\nsmall: "):
        extract(
            [image, np.pad(tall[0], ((0, 0), (9, 9), (9, 9)))],
            [mask, np.pad(tall[1], ((0, 0), (9, 9), (9, 9)))],
            settings=settings,
            names=["small", "large"],
            cache=tmp_path,
        )
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_lbp3d_without_what_it_needs_is_refused(monkeypatch):
    """scipy 1.17 takes away sph_harm, and pyradiomics then leaves out 279 features without an error."""
    monkeypatch.delattr("scipy.special.sph_harm", raising=False)
    image, mask = body()
    settings = filter_bank(sigmas_mm=(), wavelet=None, filters=("LBP3D",))
    with pytest.raises(
        ExtractionError, match=r"279 features missing, first lbp-3D-m1.*Could not load required package"
    ):
        extract([image], [mask], settings=settings)


def test_settings_and_lengths_are_checked():
    image, mask = body()
    with pytest.raises(ValueError, match="one of each per case required, found 2, 1"):
        extract([image, image], [mask], settings=PLAIN)
    with pytest.raises(ValueError, match="at least one case"):
        extract([], [], settings=PLAIN)
    with pytest.raises(ValueError, match="names: a different one"):
        extract([image, image], [mask, mask], settings=PLAIN, names=["a", "a"])
    with pytest.raises(ValueError, match="image type 'Sobel' unknown; known: Original"):
        extract([image], [mask], settings=filter_bank(filters=("Sobel",)))
    with pytest.raises(ValueError, match="feature class 'color' unknown"):
        extract([image], [mask], settings={"featureClass": {"color": None}})
    for settings, found in (({"foo": 1}, "Key 'foo'"), ({"setting": {"binWidth": "x"}}, "Value 'x'")):
        with pytest.raises(ValueError, match=f"^settings: refused by pyradiomics: .*{found}"):
            extract([image], [0 * mask], settings=settings)
    with pytest.raises(ValueError, match="settings: a mapping required, found NoneType"):
        extract([image], [mask], settings=None)
    with pytest.raises(ValueError, match="n_jobs: a whole number of at least 1 required, found 0"):
        extract([image], [mask], settings=PLAIN, n_jobs=0)
    with pytest.raises(ValueError, match="both"):
        extract([image, image[3]], [mask, mask[7]], settings={"binWidth": 25})
    assert radiomics.extract is extract
