"""A hospital's own cohort: series and volumes, masks, boxes, what the command line says, and that nobody is named."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import own_files
import pandas as pd
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from vcfkit import cohort, images, params, phantom, readers
from vcfkit.cohort.__main__ import app
from vcfkit.images import radiographs

FILM, CROP, SLICE = "01_xray_fresh_vcf", "02_xray_acute_chronic_pathological", "03_ct_vertebra_diseases"
WINDOW, VOLUME = "04_xray_ovf_astlof", "05_ct_acute_chronic"
HU, BODY = own_files.spine((40, 44, 48))
GREY = np.random.default_rng(5).integers(0, 4000, (60, 50)).astype(np.uint16)


@pytest.fixture(autouse=True)
def salt(monkeypatch):
    monkeypatch.setenv("VCFKIT_SALT", "salt of the tests")


def faults_of(folder, stem):
    return [(fault.sample, fault.field, fault.found) for fault in images.inspect(folder, stem=stem).faults]


# CT


def test_a_series_is_sorted_by_position_whatever_its_names_and_numbers(tmp_path):
    folder = own_files.series(tmp_path / "ct", HU, gap=2.5, spacing=(0.8, 0.8))
    read = images.read_volume(folder)
    assert (sitk.GetArrayFromImage(read) == HU).all()
    np.testing.assert_allclose(read.GetSpacing(), (0.8, 0.8, 2.5))
    np.testing.assert_allclose(read.GetOrigin(), (-10, -20, 0))
    names = sorted(path for path in folder.iterdir())
    order = [int(dcmread(path).InstanceNumber) for path in names]
    assert order == sorted(order), "names and numbers agree, and neither is the order in space"
    assert [float(dcmread(path).ImagePositionPatient[2]) for path in names] != sorted(2.5 * k for k in range(40))


def test_a_series_from_feet_to_head_or_back_is_one_volume(tmp_path):
    up = images.read_volume(own_files.series(tmp_path / "up", HU))
    # Rows from left to right: the normal points to the feet.
    turned = {"directions": (-1, 0, 0, 0, 1, 0), "SeriesInstanceUID": "1.2.3"}
    for k, plane in enumerate(HU):
        own_files.ct_slice(tmp_path / "down" / f"{k}", plane[:, ::-1], place=(37.0, -20.0, float(k)), **turned)
    down = images.read_volume(tmp_path / "down")
    assert (sitk.GetArrayFromImage(up) == sitk.GetArrayFromImage(down)).all()
    np.testing.assert_allclose(up.GetOrigin(), down.GetOrigin())


def test_signed_slices_keep_their_hu(tmp_path):
    signed = own_files.dicom(
        tmp_path / "signed.dcm", HU[20], Modality="CT", RescaleSlope=1, RescaleIntercept=0, PixelSpacing=[1, 1]
    )
    assert (images.read_slice(signed).hu == HU[20]).all()


@pytest.mark.parametrize("how", ["RLE", "jp2klossless", "jpeg_ls_lossless", "implicit", "bigendian", "padded"])
def test_one_image_in_every_packing_gives_the_same_signed_values(how):
    """The sample that pydicom ships in many transfer syntaxes; its plain file is read with pydicom's own decoder."""
    expected = dcmread(get_testdata_file("MR_small.dcm")).pixel_array
    packed = radiographs.read_tags(Path(get_testdata_file(f"MR_small_{how}.dcm")))
    assert (radiographs.stored_values(packed) == expected).all()


def test_lossy_jpeg_of_12_bits_is_decoded():
    tags = radiographs.read_tags(Path(get_testdata_file("JPEG-lossy.dcm")))
    values = radiographs.stored_values(tags)
    assert values.shape == (tags.Rows, tags.Columns) == (1024, 256)
    assert values.max() > 255


def test_a_sagittal_slice_is_turned_upright_with_its_boxes(tmp_path):
    hu = HU[:, :, 24][::-1]
    own_files.ct_slice(tmp_path / "a.dcm", hu)
    turned = hu[::-1, ::-1]
    own_files.ct_slice(tmp_path / "b.dcm", turned, directions=(0, -1, 0, 0, 0, 1), place=(1.0, 0.0, 0.0))
    for name, corners in (("a", (10, 12, 30, 25)), ("b", (44 - 30, 40 - 25, 44 - 10, 40 - 12))):
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
        inner = "".join(f"<{key}>{value}</{key}>" for key, value in box.items())
        (tmp_path / f"{name}.xml").write_text(
            f"<annotation><object><name>OVCF+SN-L1</name><bndbox>{inner}</bndbox></object></annotation>"
        )
    rows = [{"image": f"{name}.dcm", "box": f"{name}.xml", "cohort": name} for name in "ab"]
    opened = images.open_own(own_files.manifest(tmp_path, rows), stem=SLICE)
    read = images.read_slices(opened, size=64)
    assert (read.hu[0] == read.hu[1]).all()
    assert read.boxes[["level", "xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == 2 * [["L1", 20, 24, 40, 37]]
    assert opened["label"].tolist() == ["OVCF+SN", "OVCF+SN"]
    assert opened[["OVCF", "OF", "SN", "normal", "n_vertebrae"]].to_numpy().tolist() == 2 * [[1, 0, 1, 0, 1]]


def test_a_large_slice_is_centred_cropped_to_1024_and_reduced_with_its_boxes(tmp_path):
    hu = np.full((1200, 600), -900, np.int16)
    hu[500:700, 200:400] = 500
    hu[0, 0] = 100
    own_files.ct_slice(tmp_path / "a.dcm", hu, spacing=(0.25, 0.25))
    boxes = {"L1": (200, 500, 400, 700), "T1": (200, 0, 400, 60)}
    items = "".join(
        f"<object><name>normal-{level}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
        "</bndbox></object>"
        for level, (a, b, c, d) in boxes.items()
    )
    (tmp_path / "a.xml").write_text(f"<annotation>{items}</annotation>")
    opened = images.open_own(own_files.manifest(tmp_path, [{"image": "a.dcm", "box": "a.xml"}]), stem=SLICE)
    read = images.read_slices(opened, size=256)
    assert read.pixel_mm.tolist() == [1.0]
    (box,) = read.boxes.itertuples()
    assert (box.level, box.xmin, box.ymin, box.xmax, box.ymax) == ("L1", 103, 103, 153, 153)
    assert (read.hu[0, 105:150, 105:150] == 500).all()
    assert (read.hu[0, :, :50] == -1024).all()


def test_a_body_box_is_resampled_to_millimetres_around_its_mask(tmp_path):
    own_files.volume(tmp_path / "ct.nrrd", HU, spacing=(0.5, 0.5, 2.0), origin=(5, 6, 7))
    own_files.volume(tmp_path / "mask.nii.gz", 7 * BODY.astype(np.uint8), spacing=(0.5, 0.5, 2.0), origin=(5, 6, 7))
    rows = [{"image": "ct.nrrd", "mask": "mask.nii.gz", "label": "acute"}]
    opened = images.open_own(own_files.manifest(tmp_path, rows), stem=VOLUME)
    read = images.read_volumes(opened)
    hu, mask = read.hu[0].numpy(), read.masks[0].numpy()
    assert mask.sum() == pytest.approx(BODY.sum() * 0.5, rel=0.03), "mm³"
    middle = np.argwhere(mask).mean(axis=0)
    np.testing.assert_allclose(middle, 31.5, atol=0.6)
    assert np.median(hu[mask]) == pytest.approx(np.median(HU[BODY]), abs=3)
    assert (hu[:, :, :5] == -1024).all(), "beyond the examination is air"


@pytest.mark.parametrize(
    ("change", "required", "found"),
    [
        ({"spacing": (1, 1, 1.5)}, "the CT's own grid", "a grid 19.5 mm away"),
        ({"origin": (0, 0, 3)}, "the CT's own grid", "a grid 3.0 mm away"),
    ],
)
def test_a_mask_on_another_grid_is_refused(tmp_path, change, required, found):
    own_files.volume(tmp_path / "ct.nii.gz", HU)
    own_files.volume(tmp_path / "mask.nii.gz", BODY.astype(np.uint8), **change)
    rows = [{"image": "ct.nii.gz", "mask": "mask.nii.gz", "label": "acute"}]
    opened = images.inspect(own_files.manifest(tmp_path, rows), stem=VOLUME)
    assert [(fault.required, fault.found) for fault in opened.faults] == [(required, found)]


def test_of_several_bodies_in_a_mask_the_label_chooses(tmp_path):
    labels = np.zeros(HU.shape, np.uint8)
    labels[5:15, 10:30, 10:30], labels[20:30, 10:30, 10:30] = 20, 21
    own_files.volume(tmp_path / "ct.nii.gz", HU)
    own_files.volume(tmp_path / "mask.nii.gz", labels)
    usual = {"image": "ct.nii.gz", "mask": "mask.nii.gz", "label": "acute", "patient_id": "p"}
    rows = [usual | {"mask_label": value} for value in ("20", "21", "22", "")]
    opened = images.inspect(own_files.manifest(tmp_path, rows), stem=VOLUME)
    assert [(fault.sample, fault.found) for fault in opened.faults] == [
        ("s2", "labels present: 20, 21"),
        ("s3", "labels 20, 21"),
    ]
    read = images.read_volumes(opened.samples.iloc[:2])
    assert read.masks.sum((1, 2, 3)).tolist() == [4000, 4000]
    assert not (read.hu[0] == read.hu[1]).all()


def test_a_real_ct_and_the_mask_of_one_lumbar_vertebra_open(reference, tmp_path):
    for name in ("totalseg_example_ct", "totalseg_example_vertebrae"):
        (tmp_path / f"{name}.nii.gz").write_bytes((reference / "spine_ct" / f"{name}.nii.gz").read_bytes())
    rows = [
        {"image": "totalseg_example_ct.nii.gz", "mask": "totalseg_example_vertebrae.nii.gz", "label": "chronic",
         "mask_label": str(19 + k), "level": f"L{k}", "patient_id": "p"}
        for k in range(1, 6)
    ]  # fmt: skip
    opened = images.open_own(own_files.manifest(tmp_path, rows), stem=VOLUME)
    read = images.read_volumes(opened)
    millilitres = read.masks.sum((1, 2, 3)).numpy() / 1000
    np.testing.assert_allclose(millilitres, [35.61, 36.42, 38.34, 39.04, 34.02], rtol=0.02)
    means = [float(hu[mask].float().mean()) for hu, mask in zip(read.hu, read.masks, strict=True)]
    # Voxels of 3 mm, interpolated to 1 mm, take some of the softer surroundings into the rim of the body.
    published = np.array([148, 155, 161, 173, 164])
    assert ((published - 10 < means) & (means < published)).all(), means


# Radiographs with masks


def test_a_window_lies_around_the_body_and_its_pixels_are_millimetres(tmp_path):
    grey = np.random.default_rng(1).integers(0, 4000, (400, 300)).astype(np.uint16)
    mask = np.zeros(grey.shape, np.uint8)
    mask[100:160, 90:170] = 255
    own_files.dicom(tmp_path / "a.dcm", grey, PixelSpacing=[0.4, 0.4], WindowCenter=2000, WindowWidth=4000)
    own_files.picture(tmp_path / "a.png", mask)
    own_files.volume(tmp_path / "again.nii.gz", np.roll(mask, 2, axis=0)[None])
    rows = [
        {"image": "a.dcm", "mask": "a.png", "label": "class_1", "patient_id": "p", "mask_intra": again, "box": box}
        for again, box in (("again.nii.gz", ""), ("", "95,110,175,170"))
    ]
    opened = images.open_own(own_files.manifest(tmp_path, rows), stem=WINDOW)
    assert images.delineated_twice(opened, readers=["intra"]).tolist() == [True, False]
    read = images.read_windows(opened, size=160)
    assert read.mm_per_pixel == 0.4
    whole = images.read_radiograph(tmp_path / "a.dcm").pixels
    expected = np.round(whole[50:210, 50:210].astype(float) * 255).astype(np.uint8)
    np.testing.assert_array_equal(read.images[0].numpy(), expected)
    assert (read.masks[0].numpy() == (mask[50:210, 50:210] > 0)).all()
    assert (read.masks[1].numpy() == (mask[60:220, 55:215] > 0)).all()
    twice = images.read_windows(opened.iloc[:1], size=80, readers=["intra"])
    assert twice.again["intra"][0].sum() == pytest.approx(mask.astype(bool).sum() / 4, rel=0.02)


def test_a_png_needs_its_pixel_size_and_a_body_has_to_fit_the_window(tmp_path):
    mask = np.zeros((300, 300), np.uint8)
    mask[50:250, 50:250] = 1
    own_files.picture(tmp_path / "a.png", np.arange(90_000, dtype=np.uint16).reshape(300, 300) % 65_521)
    own_files.picture(tmp_path / "m.png", mask)
    rows = [{"image": "a.png", "mask": "m.png", "label": "class_0", "patient_id": "p", "mm_per_pixel": mm}
            for mm in ("", "0.5", "0.25")]  # fmt: skip
    assert faults_of(own_files.manifest(tmp_path, rows), WINDOW) == [
        ("s0", "image", "a file that does not tell it"),
        ("s1", "mask", "one that leaves it"),
    ]


def test_the_size_at_the_detector_is_reduced_by_the_stated_magnification(tmp_path):
    tags = {"PixelSpacing": None, "ImagerPixelSpacing": [0.3, 0.3]}
    assert images.read_radiograph(own_files.dicom(tmp_path / "a.dcm", GREY, **tags)).spacing == (0.3, 0.3)
    tags |= {"EstimatedRadiographicMagnificationFactor": 1.5}
    read = images.read_radiograph(own_files.dicom(tmp_path / "b.dcm", GREY, **tags)).spacing
    np.testing.assert_allclose(read, (0.2, 0.2))


# Boxes in COCO


def test_coco_boxes_are_those_of_the_xml_files(reference):
    folder = reference / "voc_xml" / "pascal"
    listed = json.loads((folder / "same_boxes_coco.json").read_text())["images"]
    assert len(listed) == 10
    for image in listed:
        coco = images.read_coco(folder / "same_boxes_coco.json", image["file_name"])
        xml = images.read_labelimg((folder / image["file_name"]).with_suffix(".xml"))
        assert sorted(map(str, coco)) == sorted(map(str, xml))


def test_one_coco_file_serves_a_whole_cohort(tmp_path):
    for name in "ab":
        own_files.dicom(tmp_path / f"{name}.dcm", np.roll(GREY, ord(name)))
    coco = {
        "images": [{"id": k, "file_name": f"png/{name}.png", "width": 50, "height": 60} for k, name in enumerate("ab")],
        "categories": [{"id": 1, "name": "Acute-L1"}, {"id": 2, "name": "Chronic-L3"}],
        "annotations": [
            {"image_id": 0, "category_id": 1, "bbox": [5, 6, 20.4, 21]},
            {"image_id": 0, "category_id": 2, "bbox": [1, 30, 20, 20]},
            {"image_id": 1, "category_id": 2, "bbox": [2, 3, 30, 30]},
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    rows = [
        {"image": "a.dcm", "label": "acute", "level": "L1", "patient_id": "p"},
        {"image": "a.dcm", "label": "chronic", "level": "L3", "patient_id": "p"},
        {"image": "b.dcm", "label": "chronic", "level": "L3", "patient_id": "q"},
    ]
    opened = images.open_own(own_files.manifest(tmp_path, [row | {"box": "boxes.json"} for row in rows]), stem=CROP)
    assert opened["box"].tolist() == ["5,6,25,27", "1,30,21,50", "2,3,32,33"]


# The command line


def test_describe_names_every_column_of_every_study():
    for stem, study in cohort.STUDIES.items():
        done = CliRunner().invoke(app, ["describe", stem[:2]])
        assert done.exit_code == 0
        for name in (*study.required, *(extra.name for extra in study.extras)):
            assert f"\n  {name} " in done.output, (stem, name)
        for name in study.classes:
            assert name in done.output
    done = CliRunner().invoke(app, ["describe", "07"])
    assert (done.exit_code, "01_xray_fresh_vcf" in done.output) == (2, True)


def test_classes_are_those_of_the_parameters():
    for stem, schema in params.SCHEMAS.items():
        if stem in cohort.STUDIES and schema.classes:
            assert set(schema.classes) == set(cohort.STUDIES[stem].classes), stem


def films(folder, labels, **columns):
    rng = np.random.default_rng(2)
    rows = []
    for k, label in enumerate(labels):
        own_files.dicom(folder / f"{k}.dcm", rng.integers(0, 4000, (60, 50)).astype(np.uint16))
        rows.append({"image": f"{k}.dcm", "label": label})
    return own_files.manifest(folder, rows, **columns)


def test_check_tells_a_sound_cohort_by_its_status_and_counts(tmp_path):
    done = CliRunner().invoke(app, ["check", "01", str(films(tmp_path, ["fresh", "non-fresh", "fresh"]))])
    assert done.exit_code == 0, done.output
    assert "3 rows, 0 faults, 0 warnings: ready for make reproduce-all ONLY=01_xray_fresh_vcf" in done.output
    assert "networks are trained on virtual patients" in done.output
    assert re.search(r"elsewhere +3 +3 +2 +1", done.output)
    assert "50 x 60 (3)" in done.output
    assert "GiB of memory, plus the training on virtual patients\n" in done.output
    assert " 0 min" not in done.output


def test_check_lists_faults_of_rows_and_of_the_whole_at_once(tmp_path):
    folder = films(tmp_path, ["fresh", "fresh", "old", "fresh"], cohort="training")
    (folder / "3.dcm").write_bytes((folder / "0.dcm").read_bytes())
    done = CliRunner().invoke(app, ["check", "01", str(folder)])
    assert done.exit_code == 1
    for said in (
        "one of fresh, non-fresh",
        "at least two training rows of class non-fresh",
        "a test cohort beside training",
        "the same picture as s3, of another patient",
        "nothing would be run",
        "not ready",
        " min\n",
        "4 rows, 4 faults, 1 warning: not ready",
    ):
        assert said in done.output, said


def test_a_cohort_named_like_a_virtual_one_is_told(tmp_path):
    done = CliRunner().invoke(app, ["check", "01", str(films(tmp_path, ["fresh"], cohort="YHDH"))])
    assert done.exit_code == 1
    assert "rename YHDH, or add training rows" in done.output


def test_the_status_reaches_a_script(tmp_path):
    command = [sys.executable, "-m", "vcfkit.cohort", "check", "01", str(tmp_path)]
    done = subprocess.run(command, cwd=params.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (1, False)
    assert "write manifest.csv, one row per film" in done.stdout


def test_the_same_vertebra_twice_is_a_warning(tmp_path):
    own_files.dicom(tmp_path / "a.dcm", GREY)
    rows = [{"image": "a.dcm", "label": "acute", "patient_id": "p", "box": "1,1,20,20"} for _ in range(2)]
    with pytest.warns(UserWarning, match="the same picture, box and level as s0"):
        images.open_own(own_files.manifest(tmp_path, rows), stem=CROP)


def test_what_a_manifest_leaves_out_is_blank_beside_virtual_patients(tmp_path):
    virtual = phantom.draw(FILM, fractions=dict.fromkeys(("training", "validation", "YHDH", "BMUH"), 0.002))
    both = images.with_own(virtual, films(tmp_path, ["fresh", "non-fresh"]), stem=FILM)
    own = both[both["source"] == "own"]
    assert len(own) == 2
    assert own["has_old_vcf"].isna().all()
    assert own["t_score"].isna().all()
    assert (own["fresh_level"] == "").all()
    assert both["has_old_vcf"].astype("boolean").fillna(False).sum() == virtual["has_old_vcf"].sum()


# Files beside the manifest


@pytest.fixture
def with_names(tmp_path):
    """Two crops whose sample names hold their patients' ids."""
    rows = []
    for k in range(2):
        own_files.dicom(tmp_path / f"{k}.dcm", np.roll(GREY, k))
        rows.append({"sample_id": f"MRN77{k}-L1", "patient_id": f"MRN77{k}", "image": f"{k}.dcm", "label": "acute"})
    return own_files.manifest(tmp_path, rows)


def test_features_made_elsewhere_stand_under_the_names_of_the_frame(with_names):
    assert cohort.read_features(with_names, stem=CROP) is None
    (with_names / "features.csv").write_text("sample_id,entropy,area\nMRN771-L1,1.5,2\nMRN770-L1,3,4e2\n")
    features = cohort.read_features(with_names, stem=CROP)
    opened = images.open_own(with_names, stem=CROP)
    assert features.index.tolist() == opened["sample_id"].tolist()
    assert features.to_numpy().tolist() == [[3, 400], [1.5, 2]]
    assert not any("MRN" in name for name in features.index)


def test_faults_of_features_come_at_once(with_names):
    text = "sample_id,entropy\nMRN771-L1,nan\nMRN771-L1,1\nother,x\n"
    (with_names / "features.csv").write_text(text)
    with pytest.raises(cohort.CohortError) as error:
        cohort.read_features(with_names, stem=CROP)
    found = [(fault.sample, fault.found) for fault in error.value.faults]
    assert found == [
        ("MRN771-L1", "MRN771-L1 again"),
        ("other", "a stranger"),
        ("MRN770-L1", "none"),
        ("MRN771-L1", "nan"),
        ("other", "x"),
    ]


def test_readings_name_samples_as_the_manifest_does(with_names):
    text = "reader,aided,case,rating\n" + "".join(
        f"A,{aided},MRN77{k}-L1,acute\n" for aided in (0, 1) for k in range(2)
    )
    (with_names / "readers.csv").write_text(text)
    opened = images.open_own(with_names, stem=CROP)
    truth = opened.set_index("sample_id")["label"]
    names = cohort.sample_names(with_names, stem=CROP)
    decisions = readers.read_csv(with_names / "readers.csv", truth=truth, names=names)
    assert sorted(decisions["case"].unique()) == sorted(opened["sample_id"])


# Nobody is named


def test_text_in_the_pixels_is_warned_of(tmp_path):
    own_files.dicom(tmp_path / "a.dcm", GREY, BurnedInAnnotation="YES")
    folder = own_files.manifest(tmp_path, [{"image": "a.dcm", "label": "fresh"}])
    with pytest.warns(UserWarning, match="1 of 1 samples: BurnedInAnnotation is YES"):
        images.open_own(folder, stem=FILM)
    done = CliRunner().invoke(app, ["check", "01", str(folder)])
    assert (done.exit_code, "BurnedInAnnotation is YES" in done.output) == (0, True)
    own_files.dicom(tmp_path / "a.dcm", GREY, BurnedInAnnotation="NO")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.open_own(folder, stem=FILM)


PERSONAL = ["Huber", "Annegret", "MRN8844213", "19470303", "ACC5512907", "Musterstadt", "Eisenbart", "Geheim"]


@pytest.mark.parametrize("stem", [FILM, CROP, WINDOW])
def test_no_identifier_of_a_manifest_or_a_tag_is_left_in_what_is_written(tmp_path, stem):
    mask = np.zeros(GREY.shape, np.uint8)
    mask[20:40, 10:30] = 1
    own_files.dicom(tmp_path / "Huber_Annegret.dcm", GREY)
    own_files.picture(tmp_path / "Huber_mask.png", mask)
    label = cohort.STUDIES[stem].classes[0]
    row = {
        "sample_id": "MRN8844213-L1",
        "patient_id": "MRN8844213",
        "image": "Huber_Annegret.dcm",
        "label": label,
        "name": "Huber, Annegret",
        "device": "Geheim 19470303",
        "accession": "ACC5512907",
        "t_score": "-2.5",
    } | ({"mask": "Huber_mask.png", "mask_intra": "Huber_mask.png"} if stem == WINDOW else {})
    opened = images.open_own(own_files.manifest(tmp_path, [row]), stem=stem)
    written = cohort.for_results(opened, stem=stem).to_csv() + cohort.for_results(opened).to_csv()
    assert not [word for word in PERSONAL if word.lower() in written.lower()]
    assert cohort.pseudonym("MRN8844213") in written
    assert ("-2.5" in written) == (stem != CROP)


def test_a_whole_run_writes_no_identifier_anywhere(tmp_path):
    """Notebook 02 at its smallest with four own crops whose every tag, name and column is planted."""
    import notebook_runs

    folder = tmp_path / "Huber_Klinikum_Musterstadt"
    rng = np.random.default_rng(3)
    rows = []
    for k, label in enumerate(("acute", "chronic", "pathologic", "acute")):
        own_files.dicom(folder / f"Huber_Annegret_{k}.dcm", rng.integers(0, 4000, (60, 50)).astype(np.uint16))
        rows.append(
            {"sample_id": f"MRN8844213{k}-L1", "patient_id": f"MRN8844213{k}", "label": label, "name": "Annegret Huber",
             "image": f"Huber_Annegret_{k}.dcm", "birth": "19470303"}
        )  # fmt: skip
    own_files.manifest(folder, rows)
    smallest = {"epochs": 1, "image_size": 32, "development_fraction": 0.02, "external_fraction": 0.06}
    smallest |= {"prospective_fraction": 0.2, "n_bootstrap": 100, "n_simulations": 20, "n_split_seeds": 2}
    place = notebook_runs.finished(CROP, tmp_path / "results", "--data", folder, **smallest)
    words = [word.encode() for word in PERSONAL if word != "Geheim"]
    scanned = 0
    for path in (tmp_path / "results").rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes().replace(b"Huber_Klinikum_Musterstadt", b"")  # the folder's own name is the user's
        found = [word for word in words if word.lower() in content.lower()]
        assert not found, (path, found)
        scanned += 1
    assert scanned > 30
    assert (pd.read_csv(place / "cohort.csv")["source"] == "own").sum() == 4
