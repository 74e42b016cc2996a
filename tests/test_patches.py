"""Patches and their labels by hand-made slices; resampling against the counts the paper prints."""

import numpy as np
import pandas as pd
import pytest
import torch

from vcfkit import params, patches
from vcfkit.patches import DISEASES, LABELS

STEM = "03_ct_vertebra_diseases"
CORNERS = ["xmin", "ymin", "xmax", "ymax"]


def boxes(*rows):
    """(slice, corners, labels) → annotated boxes."""
    frame = pd.DataFrame([{"slice": place, **dict(zip(CORNERS, corners, strict=True))} for place, corners, _ in rows])
    for name in DISEASES:
        frame[name] = [int(name in labels) for *_, labels in rows]
    return frame.assign(normal=[int(not labels) for *_, labels in rows])


def test_window_maps_its_ends_to_black_and_white():
    hu = torch.tensor([[-300, -250, 500, 1250, 3000]], dtype=torch.int16)
    assert patches.window(hu, level=500, width=1500).tolist() == [[0, 0, 128, 255, 255]]


def test_shrink_takes_the_mean_of_whole_pixels_and_keeps_the_own_size():
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 4, 4)
    assert patches.shrink(image, 2).tolist() == [[[2, 4], [10, 12]]]  # 2.5 rounds to even
    assert patches.shrink(image, 4) is image
    with pytest.raises(ValueError, match=r"own side \(4\) required, found 8"):
        patches.shrink(image, 8)


def test_normal_patches_are_detections_less_those_that_overlap_a_diseased_vertebra():
    annotated = boxes((0, (0, 0, 10, 10), ["OVCF", "KD"]), (0, (0, 20, 10, 30), []), (1, (0, 0, 10, 10), []))
    detected = pd.DataFrame(
        [(0, 1, 1, 9, 9, 0.9), (0, 0, 21, 10, 31, 0.8), (1, 50, 50, 60, 60, 0.8)], columns=["slice", *CORNERS, "score"]
    )
    found = patches.of_slices(annotated, detected)
    assert found["origin"].tolist() == ["annotated", "detected", "detected"]
    assert found[list(LABELS)].to_numpy().tolist() == [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]]
    # The last is no vertebra at all, and the normal one of slice 1 was missed and is no patch.
    assert found["row"].tolist() == [0, 1, -1]


def test_a_slice_without_vertebrae_or_detections_is_no_error():
    annotated = boxes((0, (0, 0, 10, 10), ["OVCF"])).iloc[:0]
    detected = pd.DataFrame(columns=["slice", *CORNERS, "score"])
    found = patches.of_slices(annotated, detected)
    assert len(found) == 0
    assert len(patches.extract(torch.zeros((1, 20, 20), dtype=torch.uint8), found, size=8, margin=1.0)) == 0


def test_a_patch_is_the_square_about_its_box_and_outside_is_black():
    image = torch.zeros((1, 32, 32), dtype=torch.uint8)
    image[0, 8:16, 4:20] = 200  # 16 wide, 8 high
    box = boxes((0, (4, 8, 20, 16), []))
    patch = patches.extract(image, box, size=16, margin=1.0)[0]
    assert (patch[5:11, 1:15] == 200).all()
    assert patch[0].max() == 0
    assert patch[15].max() == 0
    at_edge = patches.extract(image, boxes((0, (-8, 8, 8, 24), [])), size=16, margin=1.0)[0]
    assert at_edge[:, :7].max() == 0


def test_patches_of_one_box_differ_by_scale_and_place_and_the_first_is_the_box_itself():
    image = torch.randint(0, 255, (1, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    box = boxes((0, (20, 20, 44, 40), []))
    single = patches.extract(image, box, size=16, margin=1.2)
    several = patches.extract(image, box, size=16, margin=1.2, n=4, scaling=0.2, translation=0.1, seed=3)
    assert (several[0] == single[0]).all()
    assert len({part.numpy().tobytes() for part in several}) == 4
    again = patches.extract(image, box, size=16, margin=1.2, n=4, scaling=0.2, translation=0.1, seed=3)
    assert (again == several).all()


def test_box_of_zero_area_and_box_of_an_absent_slice_are_refused_by_name():
    image = torch.zeros((2, 20, 20), dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"slice 1: a box of positive area required, found \[5.0, 5.0, 5.0, 9.0\]"):
        patches.extract(image, boxes((0, (0, 0, 9, 9), []), (1, (5, 5, 5, 9), [])), size=8, margin=1.0)
    with pytest.raises(ValueError, match="slices 0 to 1 required, found 4 to 4"):
        patches.extract(image, boxes((4, (0, 0, 9, 9), [])), size=8, margin=1.0)


def test_box_masks_fill_the_share_of_the_patch_that_the_box_has():
    masks = patches.box_masks(boxes((0, (0, 0, 20, 10), [])), size=40, margin=1.25)
    assert masks.shape == (1, 40, 40)
    assert masks[0].any(axis=0).sum() == 32
    assert masks[0].any(axis=1).sum() == 16


@pytest.mark.parametrize("seed", [0, 1])
def test_resampling_makes_the_papers_counts_of_its_own_table_2(seed):
    items = params.published(STEM).set_index("id")["value"]
    before = {name: int(items[f"table2.patches.training.{name.lower()}"]) for name in LABELS}
    table = pd.concat(
        [pd.DataFrame([{other: int(other == name) for other in LABELS}] * count) for name, count in before.items()]
    )
    counts = table.iloc[patches.resample(table, seed=seed)].sum().to_dict()
    printed = {name: int(items[f"methods.patches.training.resampled.{name.lower()}"]) for name in LABELS}
    assert counts == printed
    assert patches.resampled_counts(before) == printed


def test_resampling_draws_duplicates_that_raise_no_other_count():
    rows = [["OVCF"]] * 40 + [["OVCF", "SN"]] * 3 + [["SN"]] * 2 + [["normal"]] * 100
    table = pd.DataFrame([{name: int(name in row) for name in LABELS} for row in rows])
    chosen = table.iloc[patches.resample(table, seed=0)]
    assert chosen.sum().to_dict() == {"OVCF": 43, "OF": 0, "SN": 22, "KD": 0, "PS": 0, "normal": 86}


def test_resampling_without_the_reference_label_is_refused():
    table = pd.DataFrame([dict.fromkeys(LABELS, 0) | {"normal": 1}] * 3)
    with pytest.raises(ValueError, match="OVCF: at least one training vertebra required"):
        patches.resample(table)


def test_patches_of_a_vertebra_do_not_depend_on_the_other_slices():
    images = torch.randint(0, 255, (3, 40, 40), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    every = boxes(*[(k, (8, 8, 30, 26), []) for k in range(3)])
    together = patches.extract(images, every, size=12, margin=1.1)
    alone = patches.extract(images[2:], boxes((0, (8, 8, 30, 26), [])), size=12, margin=1.1)
    assert np.array_equal(together[2], alone[0])


def test_undoing_the_resampling_gives_back_the_odds_of_the_natural_shares():
    """A label of 1 in 50, brought to 1 in 2: what was called even odds is 1 in 50."""
    p = patches.undo_resampling(np.array([[0.5, 0.2]]), np.array([0.5, 0.3]), np.array([0.02, 0.3]))
    assert p[0].tolist() == pytest.approx([0.02, 0.2])
    assert patches.undo_resampling(np.array([[0.4]]), np.array([0.0]), np.array([0.1]))[0, 0] == pytest.approx(0.4)


def test_end_to_end_a_missed_vertebra_carries_no_label_and_a_false_detection_no_truth():
    annotated = boxes((0, (0, 0, 10, 10), ["OVCF"]), (0, (0, 20, 10, 30), ["SN"]))
    detected = pd.DataFrame([(0, 0, 0, 9, 9), (1, 40, 40, 50, 50)], columns=["slice", *CORNERS])
    given = np.array([[0.9, 0, 0, 0, 0, 0.1], [0.2, 0, 0, 0, 0, 0.7]])
    rows, scores = patches.end_to_end(annotated, detected, given, np.array([0, -1]))
    assert rows["kind"].tolist() == ["annotated", "annotated", "false detection"]
    assert rows["found"].tolist() == [True, False, True]
    assert rows.loc[2, list(LABELS)].sum() == 0
    assert scores.tolist() == [given[0].tolist(), [0] * 6, given[1].tolist()]
