"""Converters of public data sets, on small files in their exact layout."""

import csv
import json
import shutil

import numpy as np
import own_files
import pandas as pd
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from typer.testing import CliRunner

from vcfkit import cohort, images
from vcfkit.images import verse
from vcfkit.images.__main__ import app

BODIES, SLICES, FILMS = "05_ct_acute_chronic", "03_ct_vertebra_diseases", "01_xray_fresh_vcf"
CROPS = "02_xray_acute_chronic_pathological"
NAME = "sub-verse004_dir-ax"
SEEN = ["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]


@pytest.fixture(autouse=True)
def salt(monkeypatch):
    monkeypatch.setenv("VCFKIT_SALT", "salt of the tests")


@pytest.fixture(scope="module")
def scan(tmp_path_factory, reference):
    """The published mask and centroids of VerSe's subject 004, and a CT on their grid: the mask, brighter."""
    root = tmp_path_factory.mktemp("dataset-verse19training")
    raw, derived = root / "rawdata" / "sub-verse004", root / "derivatives" / "sub-verse004"
    for folder in (raw, derived):
        folder.mkdir(parents=True)
    mask = sitk.ReadImage(str(reference / "spine_ct" / "verse004_vertebrae_mask.nii.gz"))
    labels = sitk.GetArrayFromImage(mask)
    noise = np.random.default_rng(0).integers(-15, 15, labels.shape)
    ct = sitk.GetImageFromArray((40 + 200 * (labels > 0) + noise).astype(np.int16))
    ct.CopyInformation(mask)
    sitk.WriteImage(ct, str(raw / f"{NAME}_ct.nii.gz"))
    shutil.copy(reference / "spine_ct" / "verse004_vertebrae_mask.nii.gz", derived / f"{NAME}_seg-vert_msk.nii.gz")
    shutil.copy(reference / "spine_ct" / "verse004_centroids.json", derived / f"{NAME}_seg-subreg_ctd.json")
    return root


def fill(table, **answers):
    """``labels.csv`` with one answer for every row."""
    rows = pd.read_csv(table, dtype=str, keep_default_na=False).assign(**answers)
    rows.to_csv(table.with_name("filled.csv"), index=False)
    return table.with_name("filled.csv")


def faults_of(folder, stem):
    return [(fault.field, fault.found) for fault in images.inspect(folder, stem=stem).faults]


def test_the_centroids_land_in_the_middle_of_their_bodies(scan):
    mask = next(scan.rglob("*_msk.nii.gz"))
    labels = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(mask)), "LPS"))
    middles = verse._middles(labels, next(scan.rglob("*_ctd.json")), mask)
    assert sorted(middles) == list(range(16, 25))
    for value, (z, y, x) in middles.items():
        assert labels[z, y, x] == value
    without = verse._middles(labels, None, mask)
    for value, middle in middles.items():
        assert np.abs(middle - without[value]).max() <= 12, "voxels of 1 and 2 mm"


def test_verse_without_labels_waits_for_them_and_with_them_opens(scan, tmp_path):
    done = CliRunner().invoke(app, ["convert", "verse", str(scan), str(tmp_path / "blank")])
    assert done.exit_code == 0, done.output
    assert "wait for a label" in done.output
    manifest = pd.read_csv(tmp_path / "blank" / "manifest.csv", dtype=str, keep_default_na=False)
    assert manifest["level"].tolist() == SEEN
    assert set(manifest["label"]) == {""}
    assert {field for field, _ in faults_of(tmp_path / "blank", BODIES)} == {"label", "age", "sex"}
    filled = fill(tmp_path / "blank" / "labels.csv", label="acute", age="70", sex="F")
    images.convert_verse(scan, tmp_path / "full", labels=filled)
    opened = images.open_own(tmp_path / "full", stem=BODIES)
    volumes = images.read_volumes(opened)
    assert opened["level"].tolist() == SEEN
    for hu, body in zip(volumes.hu.numpy(), volumes.masks.numpy(), strict=True):
        z, y, x = np.nonzero(body)
        assert 15 <= np.ptp(z) <= 45
        assert 20 <= np.ptp(y) <= 50, "the body without its arch"
        assert 20 <= np.ptp(x) <= 62
        assert hu[body].mean() == pytest.approx(240, abs=25)
        assert 12_000 <= body.sum() <= 75_000, "mm³ of a vertebral body"


def test_verse_makes_sagittal_slices_with_a_box_around_every_body(scan, tmp_path):
    images.convert_verse(scan, tmp_path / "blank", study="03")
    assert all("unlabelled" in found for field, found in faults_of(tmp_path / "blank", SLICES) if field == "box")
    assert faults_of(tmp_path / "blank", SLICES)
    table = tmp_path / "told.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["subject", "level", "label"], ["verse004", "L1", "OVCF+KD"], ["verse004", "T12", "OF"]]
        )
    images.convert_verse(scan, tmp_path / "full", study="03", labels=table)
    opened = images.open_own(tmp_path / "full", stem=SLICES)
    assert opened["offset_mm"].tolist() == [-3, 0, 3], "6 mm aside, a body of this crooked spine is left"
    assert opened["label"].unique().tolist() == ["OVCF+OF+KD"]
    slices = images.read_slices(opened, size=256)
    middle = slices.boxes[slices.boxes["slice"] == 1].set_index("level")
    assert sorted(middle.index) == sorted(SEEN)
    ordered = middle.loc[SEEN]
    assert ordered["ymin"].is_monotonic_increasing, "first row cranial"
    assert ordered.loc["L1", ["OVCF", "KD", "OF", "normal"]].tolist() == [True, True, False, False]
    assert ordered.loc["L3", "normal"]
    heights = (ordered["ymax"] - ordered["ymin"]) * slices.pixel_mm[1]
    widths = (ordered["xmax"] - ordered["xmin"]) * slices.pixel_mm[1]
    assert heights.between(18, 45).all(), heights
    assert widths.between(22, 50).all(), "the body without its arch"


def test_scans_without_a_mask_are_all_named_and_nothing_is_written(scan, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(scan, copy)
    next(copy.rglob("*_msk.nii.gz")).unlink()
    with pytest.raises(cohort.CohortError, match=r"sub-verse004_dir-ax_seg-vert_msk\.nii\.gz"):
        images.convert_verse(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(cohort.CohortError, match="VerSe scans"):
        images.convert_verse(tmp_path / "empty", tmp_path / "out")


@pytest.fixture
def vindr(tmp_path):
    """VinDr-SpineXR: three films of the training half, one of the test half."""
    root, rng = tmp_path / "vindr-spinexr", np.random.default_rng(1)
    films = {"train": ["aa", "bb", "cc"], "test": ["dd"]}
    header = ["image_id", "series_id", "study_id", "lesion_type", "xmin", "ymin", "xmax", "ymax"]
    marks = {
        "aa": [["Osteophytes", "3.5", "4.2", "10.9", "12"], ["Vertebral collapse", "10.4", "20.6", "40.2", "44.9"]],
        "bb": [["No finding", "", "", "", ""]],
        "cc": [["Vertebral collapse", "1", "2", "30", "30"]],
        "dd": [["Vertebral collapse", "1", "2", "30", "30"], ["Vertebral collapse", "5", "31", "30", "50"]],
    }
    for part, names in films.items():
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        with (root / "annotations" / f"{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([[n, f"series-{n}", f"study-{n}", *mark] for n in names for mark in marks[n]])
        for name in names:
            grey = rng.integers(0, 4000, (64, 56)).astype(np.uint16)
            tags = {"PatientAge": "071Y", "PatientSex": "F", "ViewPosition": "AP" if name == "cc" else "LL"}
            own_files.dicom(root / f"{part}_images" / f"{name}.dicom", grey, **tags)
    return root


def test_vindr_films_without_a_collapse_are_not_fresh_and_the_others_wait(vindr, tmp_path):
    written = images.convert_vindr(vindr, tmp_path / "out")
    assert written[["sample_id", "label"]].to_numpy().tolist() == [["aa", ""], ["bb", "non-fresh"], ["dd", ""]]
    assert written["cohort"].tolist() == ["VinDr train", "VinDr train", "VinDr test"]
    assert set(written["age"]) == {"71"}
    filled = fill(tmp_path / "out" / "labels.csv", label="fresh")
    done = CliRunner().invoke(app, ["convert", "vindr", str(vindr), str(tmp_path / "full"), "--labels", str(filled)])
    assert done.exit_code == 0, done.output
    opened = images.open_own(tmp_path / "full", stem=FILMS)
    assert opened["label"].tolist() == ["fresh", "non-fresh", "fresh"]
    assert images.read_films(opened, size=32).shape == (3, 32, 32)
    original = dcmread(vindr / "train_images" / "aa.dicom").pixel_array
    assert (dcmread(tmp_path / "full" / "images" / "aa.dcm").pixel_array == original).all()


def test_vindr_collapses_become_crops_by_their_rounded_boxes(vindr, tmp_path):
    blank = images.convert_vindr(vindr, tmp_path / "blank", study="02")
    assert blank["box"].tolist() == ["10,21,40,45", "1,2,30,30", "1,2,30,30", "5,31,30,50"]
    filled = fill(tmp_path / "blank" / "labels.csv", label="chronic", level="L1")
    images.convert_vindr(vindr, tmp_path / "full", study="02", labels=filled)
    opened = images.open_own(tmp_path / "full", stem=CROPS)
    assert opened["label"].unique().tolist() == ["chronic"]
    assert images.read_crops(opened, size=16).shape == (4, 16, 16)


def test_vindr_faults_are_all_named_and_nothing_is_written(vindr, tmp_path):
    (vindr / "train_images" / "bb.dicom").unlink()
    (vindr / "train_images" / "aa.dicom").write_bytes(b"not DICOM")
    with pytest.raises(cohort.CohortError) as error:
        images.convert_vindr(vindr, tmp_path / "out")
    assert [fault.sample for fault in error.value.faults] == ["aa", "bb"]
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, ["convert", "vindr", str(vindr), str(tmp_path / "out"), "--study", "05"])
    assert done.exit_code == 2
    assert "one of 01, 02" in done.output


def test_centroids_that_are_none_are_a_fault(scan, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(scan, copy)
    next(copy.rglob("*_ctd.json")).write_text(json.dumps([{"direction": ["P", "I", "R"]}, {"label": 20}]))
    with pytest.raises(cohort.CohortError, match="VerSe's centroid json"):
        images.convert_verse(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
