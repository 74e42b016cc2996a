"""Virtual cohorts as files: what is read back is what was rendered, and what the tags say is where it lies."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from pydicom import dcmread
from typer.testing import CliRunner

from vcfkit import cohort, images, phantom
from vcfkit.phantom import ct, export, film, render, volume
from vcfkit.phantom.__main__ import app
from vcfkit.phantom.anatomy import BODIES
from vcfkit.phantom.cohorts import (
    CT_ACUTE_CHRONIC,
    CT_DISEASES,
    PAPERS,
    XRAY_ACUTE_CHRONIC,
    XRAY_ASTLOF,
    XRAY_FRESH,
    boxes,
    resolve,
)
from vcfkit.phantom.disease import DISEASES
from vcfkit.phantom.scanner import MAGNIFICATION

FILES = ["image", "mask", "box", "mask_intra", "mask_inter"]
SIZES = {XRAY_FRESH: 96, XRAY_ACUTE_CHRONIC: 48, CT_DISEASES: 128, XRAY_ASTLOF: 64, CT_ACUTE_CHRONIC: 64}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of every paper: few samples, every site."""
    root, found = tmp_path_factory.mktemp("export"), {}
    for stem, size in SIZES.items():
        if stem == CT_DISEASES:
            samples = phantom.draw(stem, fractions=dict.fromkeys(("training", "testing", "Xuanwu"), 0.001))
            samples = samples.groupby("site", sort=False).nth([0, 9, 25])
            export.write(samples, root / stem, size=size)
        else:
            export.export(stem, root / stem, fraction=0.002, size=size)
        found[stem] = root / stem
    return found


def manifest(folder):
    return pd.read_csv(folder / "manifest.csv", keep_default_na=False, dtype={"age": float})


def virtual(rows):
    """The samples that a manifest stands for."""
    return rows.assign(image=rows["reference"], mask="", box="")


def opened(folder, stem):
    return images.open_own(folder, stem=stem)


# The manifest


@pytest.mark.parametrize("stem", SIZES)
def test_the_frame_of_a_cohort_read_back_is_written_as_that_in_memory(made, stem, tmp_path):
    rows = manifest(made[stem])
    names = [c.name for c in PAPERS[stem].cohorts(0, 1.0)]
    drawn = phantom.draw(stem, fractions=dict.fromkeys(names, 0.001 if stem == CT_DISEASES else 0.002))
    drawn = drawn.set_index("sample_id", drop=False).loc[rows["sample_id"]]
    for name, samples in (("memory", drawn), ("files", opened(made[stem], stem))):
        cohort.for_results(samples, stem=stem).to_csv(tmp_path / name, index=False)
    assert (tmp_path / "files").read_text() == (tmp_path / "memory").read_text()


@pytest.mark.parametrize("stem", SIZES)
def test_the_manifest_is_the_samples_frame_with_paths(made, stem):
    rows = manifest(made[stem])
    names = [c.name for c in PAPERS[stem].cohorts(0, 1.0)]
    drawn = phantom.draw(stem, fractions=dict.fromkeys(names, 0.001 if stem == CT_DISEASES else 0.002))
    drawn = drawn.set_index("sample_id").loc[rows["sample_id"]].reset_index()
    again = ["mask_intra", "mask_inter"] if stem in (XRAY_ASTLOF, CT_ACUTE_CHRONIC) else []
    assert list(rows.columns) == [*drawn.columns, "reference", *again]
    assert (rows["source"] == "virtual").all()
    assert rows["reference"].tolist() == drawn["image"].tolist()
    same = [name for name in drawn.columns if name not in ("image", "mask", "box")]
    pd.testing.assert_frame_equal(rows[same].astype(str), drawn[same].astype(str))
    assert set(rows["site"]) == set(drawn["site"])


@pytest.mark.parametrize("stem", SIZES)
def test_a_manifest_passes_the_door_without_a_fault_and_keeps_virtual_names(made, stem):
    rows = manifest(made[stem])
    read, faults = cohort.read_manifest(made[stem], stem=stem)
    assert faults == []
    assert read["patient_id"].tolist() == rows["patient_id"].tolist()


@pytest.mark.parametrize("stem", SIZES)
def test_every_file_belongs_to_a_row_and_every_row_has_its_files(made, stem):
    rows = manifest(made[stem])
    files = {str(path.relative_to(made[stem])) for path in made[stem].rglob("*") if path.is_file()}
    named = {cell for column in rows.columns.intersection(FILES) for cell in rows[column] if cell}
    assert files == named | {"manifest.csv"}


# Radiographs


def test_exported_crops_of_paper_02_come_back_to_the_byte(made):
    """The contract of own data: the files give what the phantom gives in memory."""
    samples = opened(made[XRAY_ACUTE_CHRONIC], XRAY_ACUTE_CHRONIC)
    read = images.read_crops(samples, size=48)
    rendered = images.read_crops(virtual(manifest(made[XRAY_ACUTE_CHRONIC])), size=48)
    assert torch.equal(read, rendered)
    suffixes = samples.assign(kind=samples["image"].str[-4:]).groupby("site")["kind"].unique().map(list).to_dict()
    assert suffixes == {"Site 1": [".png"], "GZFPH": [".png"], "WHTH": [".png"], "HB672H": [".dcm"]}


def test_exported_films_of_paper_01_come_back_to_the_byte(made):
    samples = opened(made[XRAY_FRESH], XRAY_FRESH)
    rendered = film.whole_radiographs(manifest(made[XRAY_FRESH])["reference"], size=96)
    assert torch.equal(images.read_films(samples, size=96), rendered)


def test_exported_windows_and_masks_of_paper_04_come_back_to_the_byte(made):
    samples = opened(made[XRAY_ASTLOF], XRAY_ASTLOF)
    rows = virtual(manifest(made[XRAY_ASTLOF]))
    pictures, bodies, marks = render.vertebra_windows(rows, size=64, mm_per_pixel=1.0)
    read = images.read_windows(samples, size=64, readers=("intra", "inter"))
    in_memory = images.read_windows(rows, size=64, readers=("intra", "inter"))
    for reader in ("intra", "inter"):
        assert torch.equal(read.again[reader], in_memory.again[reader])
        assert not torch.equal(read.again[reader], read.masks)
    assert images.delineated_twice(samples).all()
    assert torch.equal(read.images, pictures)
    assert torch.equal(read.masks, bodies)
    assert read.mm_per_pixel == 1.0
    for path, site, body in zip(samples["mask"], samples["site"], bodies.numpy(), strict=True):
        assert path.endswith(".nii.gz" if site == "Center II" else ".png")
        read = sitk.ReadImage(path)
        stored = sitk.GetArrayFromImage(read)
        assert body.any()
        assert (stored == (1 if site == "Center II" else 255) * body).all()
    # PatientOrientation A\F: columns towards the front, rows towards the feet; landmarks superior before inferior
    assert (marks[:, 0, 0] > marks[:, 2, 0]).all()
    assert (marks[:, 1, 1] < marks[:, 4, 1]).all()


@pytest.mark.parametrize(("stem", "site"), [(XRAY_FRESH, "Hospital 2"), (XRAY_ASTLOF, "Center II")])
def test_one_site_stores_monochrome1_and_its_pixels_inverted(made, stem, site):
    rows = manifest(made[stem])
    for row in rows.itertuples():
        data = dcmread(made[stem] / row.image)
        read = images.read_radiograph(made[stem] / row.image).pixels
        stored = data.pixel_array / 255
        if row.site == site:
            assert (data.PhotometricInterpretation, data.PresentationLUTShape) == ("MONOCHROME1", "INVERSE")
            stored = 1 - stored
        else:
            assert (data.PhotometricInterpretation, data.PresentationLUTShape) == ("MONOCHROME2", "IDENTITY")
        np.testing.assert_allclose(read, stored, atol=1e-6)
    assert (rows["site"] == site).any()


def test_pixel_spacing_holds_at_the_spine_and_imager_spacing_at_the_detector(made):
    for row in manifest(made[XRAY_FRESH]).head(3).itertuples():
        _, (truth,) = film.whole_radiographs([row.reference], size=96, truth=True)
        data = dcmread(made[XRAY_FRESH] / row.image)
        np.testing.assert_allclose(data.PixelSpacing, [truth.mm_per_pixel] * 2, rtol=1e-9)
        np.testing.assert_allclose(data.ImagerPixelSpacing, np.array(data.PixelSpacing) * MAGNIFICATION, rtol=1e-9)
    rows = manifest(made[XRAY_ACUTE_CHRONIC])
    rows = rows[rows["site"] == "HB672H"]
    shown = phantom.describe(virtual(rows), size=48)
    for row, truth in zip(rows.itertuples(), shown.itertuples(), strict=True):
        height, width = dcmread(made[XRAY_ACUTE_CHRONIC] / row.image).PixelSpacing
        np.testing.assert_allclose([48 * height, 48 * width], [truth.crop_height_mm, truth.crop_width_mm], rtol=1e-9)


# PS3.3: attributes of type 1 must have a value, those of type 2 must be there.
TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ImageType",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "PixelSpacing",
]
TYPE_1_DX = [
    "PresentationIntentType",
    "ImageLaterality",
    "PatientOrientation",
    "PixelIntensityRelationship",
    "PresentationLUTShape",
    "PixelIntensityRelationshipSign",
    "RescaleType",
    "LossyImageCompression",
    "BurnedInAnnotation",
    "ImagerPixelSpacing",
]
TYPE_1_CT = ["FrameOfReferenceUID", "ImageOrientationPatient", "ImagePositionPatient"]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesNumber",
    "InstanceNumber",
    "Manufacturer",
]
TYPE_2_DX = ["AnatomicRegionSequence", "AcquisitionContextSequence", "DetectorType"]
TYPE_2_CT = ["KVP", "AcquisitionNumber", "PositionReferenceIndicator", "SliceThickness"]


@pytest.mark.parametrize("stem", [XRAY_FRESH, XRAY_ACUTE_CHRONIC, CT_DISEASES, XRAY_ASTLOF])
def test_dicom_files_hold_what_the_standard_requires_and_name_nobody(made, stem):
    rows = manifest(made[stem])
    rows = rows[rows["image"].str.endswith(".dcm")]
    uids = set()
    for row in rows.itertuples():
        data = dcmread(made[stem] / row.image)
        of_ct = stem == CT_DISEASES
        assert data.SOPClassUID.name == (
            "CT Image Storage" if of_ct else "Digital X-Ray Image Storage - For Presentation"
        )
        assert data.Modality == ("CT" if of_ct else "DX")
        filled = [name for name in TYPE_1 + (TYPE_1_CT if of_ct else TYPE_1_DX) if data.get(name) in (None, "")]
        absent = [name for name in TYPE_2 + (TYPE_2_CT if of_ct else TYPE_2_DX) if name not in data]
        assert (filled, absent) == ([], [])
        assert data.PatientID == row.patient_id
        assert (data.PatientName, data.PatientBirthDate, data.StudyDate, data.Manufacturer) == ("", "", "", "")
        assert data.QualityControlSubject == "YES"
        assert data.ImageComments == row.reference
        assert data.PatientAge == f"{int(row.age):03d}Y"
        uids.add(data.SOPInstanceUID)
    assert len(uids) == len(rows) > 0


# CT


def test_slices_of_paper_03_hold_the_hu_and_their_place_in_the_virtual_patient(made):
    rows = manifest(made[CT_DISEASES])
    pictures, truth = ct.ct_slices(rows["reference"].tolist(), size=128, truth=True)
    for j, row in enumerate(rows.itertuples()):
        path = made[CT_DISEASES] / row.image
        data, read = dcmread(path), sitk.ReadImage(str(path))
        hu = pictures[j].numpy()
        assert (data.pixel_array.astype(int) + int(data.RescaleIntercept) == hu).all()
        assert data.RescaleIntercept == -1024
        assert (sitk.GetArrayFromImage(read)[0] == hu).all()
        patient, target, nuisance = resolve(row.reference)
        x, scene = float(target.removeprefix("slice-")), volume.scene_of(patient, nuisance)
        assert (data.SliceLocation, data.ImagePositionPatient[0]) == (x, x)
        for level in truth.frame[truth.frame["slice"] == j]["level"]:
            k = BODIES.index(level)
            row_, column = np.argwhere(truth.masks[j].numpy() == k + 1).mean(0)
            place = read.TransformContinuousIndexToPhysicalPoint((column, row_, 0.0))
            assert place[0] == pytest.approx(x)
            # a quarter of a body: enough to tell front from back and head from feet
            np.testing.assert_allclose(place[1:], [-scene.bodies[k].y, scene.bodies[k].z], atol=6.0)


def test_boxes_of_paper_03_are_those_of_the_rendered_slice_with_the_labels_of_the_table(made):
    rows = manifest(made[CT_DISEASES])
    _, truth = ct.ct_slices(rows["reference"].tolist(), size=128, truth=True)
    table = boxes(CT_DISEASES, fractions=dict.fromkeys(("training", "testing", "Xuanwu"), 0.001))
    slices = images.read_slices(opened(made[CT_DISEASES], CT_DISEASES), size=128)
    in_memory = images.read_slices(virtual(rows), size=128)
    assert torch.equal(slices.hu, in_memory.hu)
    np.testing.assert_allclose(slices.pixel_mm, in_memory.pixel_mm, rtol=1e-9)
    whole = in_memory.boxes["inside"] == 1
    assert slices.boxes["inside"].isna().tolist() == (~whole).tolist()
    pd.testing.assert_frame_equal(slices.boxes.drop(columns="inside"), in_memory.boxes.drop(columns="inside"))
    for j, row in enumerate(rows.itertuples()):
        read = images.read_labelimg(made[CT_DISEASES] / row.box)
        shown = truth.frame[truth.frame["slice"] == j]
        assert [(b.xmin, b.ymin, b.xmax, b.ymax) for b in read] == [
            tuple(box) for box in shown[["xmin", "ymin", "xmax", "ymax"]].to_numpy()
        ]
        expected = {
            f"{'+'.join(code for code in DISEASES if getattr(box, code)) or 'normal'}-{box.level}"
            for box in table[table["sample_id"] == row.sample_id].itertuples()
        }
        assert {b.name for b in read} == expected
    assert any(len(images.read_labelimg(made[CT_DISEASES] / path)) for path in rows["box"])


def test_volumes_of_paper_05_hold_the_hu_the_mask_and_their_place_in_the_virtual_patient(made):
    rows = manifest(made[CT_ACUTE_CHRONIC])
    made_boxes = ct.ct_boxes(rows["reference"].tolist())
    volumes = images.read_volumes(opened(made[CT_ACUTE_CHRONIC], CT_ACUTE_CHRONIC), readers=("intra", "inter"))
    assert torch.equal(volumes.hu, made_boxes.hu)
    assert torch.equal(volumes.masks, made_boxes.masks["truth"])
    in_memory = images.read_volumes(virtual(rows), readers=("intra", "inter"))
    assert torch.equal(volumes.hu, in_memory.hu)
    assert all(torch.equal(volumes.again[reader], in_memory.again[reader]) for reader in ("intra", "inter"))
    assert not torch.equal(in_memory.again["intra"], in_memory.masks)
    for j, row in enumerate(rows.itertuples()):
        read, mask = (sitk.ReadImage(str(made[CT_ACUTE_CHRONIC] / name)) for name in (row.image, row.mask))
        assert (sitk.GetArrayFromImage(read) == made_boxes.hu[j].numpy()).all()
        assert (sitk.GetArrayFromImage(mask) == made_boxes.masks["truth"][j].numpy()).all()
        for image in (read, mask):
            assert image.GetSpacing() == (1.0, 1.0, 1.0)
            assert image.GetDirection() == (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
        assert read.GetOrigin() == mask.GetOrigin()
        patient, _, nuisance = resolve(row.reference)
        body = volume.scene_of(patient, nuisance).bodies[BODIES.index(row.level)]
        z, y, x = np.argwhere(sitk.GetArrayFromImage(mask)).mean(0)
        place = mask.TransformContinuousIndexToPhysicalPoint((x, y, z))
        # The box is shifted by up to 3 mm; a body is 25 mm high, its middle known better than that.
        np.testing.assert_allclose(place, [0, -body.y, body.z], atol=2.5)


# The folder


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("stem", [XRAY_ACUTE_CHRONIC, CT_ACUTE_CHRONIC])
def test_the_same_call_writes_the_same_bytes(made, tmp_path, stem):
    export.export(stem, tmp_path / "again", fraction=0.002, size=SIZES[stem])
    assert digest(tmp_path / "again") == digest(made[stem])


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "kept.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="name a folder yet to be made"):
        export.export(XRAY_ACUTE_CHRONIC, tmp_path / "cohort", fraction=0.002, size=16)
    assert [path.name for path in tmp_path.rglob("*")] == ["cohort", "kept.txt"]


def test_an_export_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    writer, calls = export.WRITERS[XRAY_ACUTE_CHRONIC], []

    def fail_later(rows, folder, size):
        if calls:
            raise OSError("disk full")
        calls.append(writer(rows, folder, size))
        return calls[0]

    monkeypatch.setitem(export.WRITERS, XRAY_ACUTE_CHRONIC, fail_later)
    monkeypatch.setattr(export, "CHUNK", 4)
    with pytest.raises(OSError, match="disk full"):
        export.export(XRAY_ACUTE_CHRONIC, tmp_path / "cohort", fraction=0.002, size=16)
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == []


def test_samples_of_two_papers_and_other_voxels_are_refused(tmp_path):
    two = pd.concat([phantom.draw(stem).head(1) for stem in (XRAY_FRESH, XRAY_ACUTE_CHRONIC)])
    with pytest.raises(ValueError, match=r"samples of one paper required, found 01_\w+, 02_"):
        export.write(two, tmp_path / "cohort")
    with pytest.raises(ValueError, match="64 voxels of 1 mm"):
        export.export(CT_ACUTE_CHRONIC, tmp_path / "cohort", fraction=0.002, size=32)
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_and_says_what_is_wrong_in_one_line(tmp_path):
    call = [CT_ACUTE_CHRONIC, str(tmp_path / "cohort"), "--fraction", "0.002", "--seed", "3"]
    done = CliRunner().invoke(app, ["export", *call])
    assert (done.exit_code, done.output.split(" in ")[0]) == (0, "2 samples of 2 virtual patients")
    assert manifest(tmp_path / "cohort")["reference"].str.contains("seed=3&").all()
    for arguments, said in (
        (call, "exists; name a folder"),
        (["05", str(tmp_path / "other")], "no virtual cohort for '05'; known: 01_xray_fresh_vcf"),
        ([*call[:1], str(tmp_path / "other"), "--fraction", "2"], "must lie in (0, 1]"),
    ):
        done = CliRunner().invoke(app, ["export", *arguments])
        assert done.exit_code == 1
        assert said in done.output
        assert done.output.count("\n") == 1
