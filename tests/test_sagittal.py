"""A CT with labelled vertebrae becomes slices and boxes: a made-up spine, a real CT, volumes to be refused."""

import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from vcfkit import images, sagittal
from vcfkit.cohort import CohortError
from vcfkit.images import ImageError

CODE = sagittal.CODES["totalsegmentator"]
STEM = "03_ct_vertebra_diseases"


def spine(levels=(20, 21, 22)):
    """A CT of 2 mm voxels, axes left, back, head: boxes of bone 40 mm wide, 30 deep, 20 high, every 30 mm."""
    hu = np.full((80, 60, 50), -50, dtype=np.int16)  # z, y, x
    labels = np.zeros(hu.shape, dtype=np.uint8)
    for k, value in enumerate(levels):
        z = 60 - 15 * k
        hu[z : z + 10, 20:35, 15:35] = 300
        labels[z : z + 10, 20:35, 15:35] = value
    made = []
    for values in (hu, labels):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((2.0, 2.0, 2.0))
        image.SetOrigin((-50.0, -60.0, -400.0))
        made.append(image)
    return made


def write(folder, ct, labels):
    sitk.WriteImage(ct, str(folder / "ct.nii.gz"))
    sitk.WriteImage(labels, str(folder / "labels.nii.gz"))
    return folder / "ct.nii.gz", folder / "labels.nii.gz"


def test_boxes_frame_the_bone_in_millimetres(tmp_path):
    (middle,) = sagittal.reformat(*write(tmp_path, *spine()), code=CODE, n_slices=1)
    assert middle.hu.shape == (1024, 1024)
    assert middle.boxes["level"].tolist() == ["L1", "L2", "L3"], "cranial first"
    pixel = sagittal.FIELD_MM / sagittal.PIXELS
    width, height = (middle.boxes[f"{axis}max"] - middle.boxes[f"{axis}min"] for axis in "xy")
    assert np.allclose(width * pixel, 30, atol=2 * pixel)
    assert np.allclose(height * pixel, 20, atol=2 * pixel)
    assert np.allclose(np.diff(middle.boxes["ymin"]) * pixel, 30, atol=2 * pixel)
    for box in middle.boxes.itertuples():
        inner = middle.hu[box.ymin + 8 : box.ymax - 8, box.xmin + 8 : box.xmax - 8]
        assert inner.min() == 300


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "SAL"])
def test_orientation_of_the_files_does_not_matter(tmp_path, orientation):
    plain = sagittal.reformat(*write(tmp_path, *spine()), code=CODE, n_slices=3)
    turned = [sitk.DICOMOrient(image, orientation) for image in spine()]
    again = sagittal.reformat(*write(tmp_path, *turned), code=CODE, n_slices=3)
    for one, other in zip(plain, again, strict=True):
        assert one.boxes.equals(other.boxes)
        assert np.array_equal(one.hu, other.hu)


def test_a_slice_beside_the_spine_has_no_boxes_and_stays(tmp_path):
    ct, labels = spine()
    values = sitk.GetArrayFromImage(labels)
    values[:, :, 20:30] = 0  # the middle of every body is gone
    hollow = sitk.GetImageFromArray(values)
    hollow.CopyInformation(labels)
    slices = sagittal.reformat(*write(tmp_path, ct, hollow), code=CODE, n_slices=3)
    assert [len(one.boxes) for one in slices] == [3, 0, 3] or len(slices[1].boxes) == 0


def refusal(tmp_path, ct, labels):
    with pytest.raises(ImageError) as caught:
        sagittal.reformat(*write(tmp_path, ct, labels), code=CODE)
    return str(caught.value)


def test_empty_mask_and_unknown_numbers_are_refused(tmp_path):
    ct, labels = spine()
    assert "found an empty mask" in refusal(tmp_path, ct, labels * 0)
    assert "found labels 120" in refusal(tmp_path, ct, sitk.Cast(labels > 0, sitk.sitkUInt8) * 120)


def test_labels_on_another_grid_are_refused(tmp_path):
    ct, labels = spine()
    assert "50 x 60 x 70 voxels, the CT has 50 x 60 x 80" in refusal(tmp_path, ct, labels[:, :, :70])
    labels.SetOrigin((-50.0, -60.0, -390.0))
    assert "a grid 10.0 mm away" in refusal(tmp_path, ct, labels)


def test_a_volume_that_lies_askew_is_refused(tmp_path):
    ct, labels = spine()
    angle = np.radians(40)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    for image in (ct, labels):
        image.SetDirection(turn.ravel().tolist())
    assert "axes turned by 40 degrees" in refusal(tmp_path, ct, labels)


def test_a_volume_without_affine_is_refused(tmp_path):
    paths = write(tmp_path, *spine())
    import gzip

    raw = bytearray(gzip.decompress(paths[0].read_bytes()))
    raw[252:256] = bytes(4)  # qform_code and sform_code of the NIfTI-1 header
    paths[0].write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(ImageError, match="without qform and sform"):
        sagittal.reformat(*paths, code=CODE)


def test_a_fault_leaves_no_folder_and_names_the_file(tmp_path):
    ct, labels = spine()
    paths = write(tmp_path, ct, labels * 0)
    with pytest.raises(CohortError, match=r"ct\.nii\.gz"):
        sagittal.convert(*paths, tmp_path / "own")
    assert not (tmp_path / "own").exists()
    assert not list(tmp_path.glob(".converting-*"))
    (tmp_path / "there").mkdir()
    with pytest.raises(CohortError, match="exists"):
        sagittal.convert(*write(tmp_path, *spine()), tmp_path / "there")


def test_a_converted_volume_reads_back_as_slices_with_its_boxes_and_diseases(tmp_path):
    paths = write(tmp_path, *spine())
    sagittal.convert(*paths, tmp_path / "own", patient_id="P-0412", n_slices=3, diseases={"L2": "OVCF+KD"})
    samples = images.open_own(tmp_path / "own", stem=STEM)
    assert len(samples) == 3
    assert not samples["sample_id"].str.contains("P-0412").any()
    assert samples["label"].eq("OVCF+KD").all()
    read = images.read_slices(samples, size=256)
    direct = sagittal.reformat(*paths, code=CODE, n_slices=3)
    for k, one in enumerate(direct):
        found = read.boxes[read.boxes["slice"] == k]
        assert found["level"].tolist() == one.boxes["level"].tolist()
        corners = ["xmin", "ymin", "xmax", "ymax"]
        assert np.allclose(found[corners].to_numpy(dtype=float), one.boxes[corners].to_numpy() / 4, atol=1)
    assert read.boxes.loc[read.boxes["level"] == "L2", ["OVCF", "KD"]].all(axis=None)


def test_numbers_of_another_task_are_refused_and_not_taken_for_vertebrae(tmp_path):
    """TotalSegmentator's task "total" has bowel and kidneys at 19 to 24, and vertebrae from 26 on."""
    paths = write(tmp_path, *spine(levels=(20, 28, 29)))
    with pytest.raises(CohortError, match=r"label 29.*vertebrae_pp_refined"):
        sagittal.convert(*paths, tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_a_vertebra_cut_by_the_edge_of_the_square_has_no_box(tmp_path):
    """Ten bodies over 290 mm: of the outermost a quarter is within 260 mm, of the next all."""
    hu, labels = (np.full((160, 60, 50), value, dtype=kind) for value, kind in ((-50, np.int16), (0, np.uint8)))
    for k in range(10):
        z = 5 + 15 * k
        hu[z : z + 10, 20:35, 15:35] = 300
        labels[z : z + 10, 20:35, 15:35] = 24 - k
    made = [sitk.GetImageFromArray(values) for values in (hu, labels)]
    for image in made:
        image.SetSpacing((2.0, 2.0, 2.0))
    (middle,) = sagittal.reformat(*write(tmp_path, *made), code=CODE, n_slices=1)
    assert middle.boxes["level"].tolist() == ["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4"]


def test_a_real_ct_gives_boxes_of_the_heights_that_totalsegmentator_reports(reference):
    """Boxes are as high as a body's highest part, its tilt included; the report's heights are within one 3 mm voxel."""
    folder = reference / "spine_ct"
    ct, labels = folder / "totalseg_example_ct.nii.gz", folder / "totalseg_example_vertebrae.nii.gz"
    slices = sagittal.reformat(ct, labels, code=CODE, n_slices=3)
    middle = slices[1].boxes.set_index("level")
    assert {"L1", "L2", "L3", "L4"} <= set(middle.index)
    assert middle["ymin"].is_monotonic_increasing
    report = json.loads((folder / "totalseg_spine_report.json").read_text())
    pixel = sagittal.FIELD_MM / sagittal.PIXELS
    expected = {level: _heights(report, level) for level in middle.index.intersection(["L1", "L2", "L3", "L4"])}
    for level, heights in expected.items():
        measured = (middle.loc[level, "ymax"] - middle.loc[level, "ymin"]) * pixel
        assert min(heights) - 3 <= measured <= max(heights) + 9, (level, measured, heights)
    air_and_bone = pd.Series(slices[1].hu.ravel())
    assert air_and_bone.min() >= -1024
    assert air_and_bone.max() > 300


def _heights(report, level):
    """Every number of the report's entry of a level that names a height, mm."""

    def walk(node, name):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, f"{name}/{key}")
        elif isinstance(node, int | float):
            yield name, float(node)

    found = [value for name, value in walk(report, "") if level in name and "height" in name and "diff" not in name]
    return found
