"""Boxes by hand; average precision against the VOC toy set and COCO's own numbers; paper 03's hits and misses."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from vcfkit import detection
from vcfkit.detection import (
    COCO_NUMBERS,
    CORNERS,
    average_precision,
    boxes_frame,
    coco_summary,
    count_hits,
    iom_matrix,
    iou_matrix,
    precision_recall,
)


def frame(rows, scored=False):
    return pd.DataFrame(rows, columns=["image", *CORNERS, *(["score"] if scored else [])])


@pytest.fixture
def voc_toy(reference):
    """Lines ``class [score] x y width height``; the corner max = min + size, as in the reference's own reader."""

    def read(folder):
        rows = []
        for path in sorted((reference / "detection_ap" / "voc_toy" / folder).glob("*.txt")):
            for line in path.read_text().splitlines():
                label, *score, x, y, w, h = line.split()
                x, y, w, h = map(float, (x, y, w, h))
                rows.append((path.stem, label, x, y, x + w, y + h, *map(float, score)))
        columns = ["image", "label", *CORNERS, "score"]
        return pd.DataFrame(rows, columns=columns[: len(rows[0])])

    return read("gts"), read("dets")


@pytest.fixture
def coco(reference):
    folder = reference / "detection_ap" / "coco_sample"
    return tuple(json.loads((folder / name).read_text()) for name in ("gts.json", "dets.json"))


@pytest.fixture
def expected(reference):
    return json.loads((reference / "detection_ap" / "expected.json").read_text())


BOX = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
BOXES = st.lists(BOX, min_size=1, max_size=6)


# --- overlap ----------------------------------------------------------------------------------------------------------


def test_overlap_by_hand():
    a, b = [(0, 0, 4, 4)], [(2, 2, 6, 6), (1, 1, 2, 2), (4, 0, 8, 4), (0, 0, 4, 4)]
    assert iou_matrix(a, b)[0] == pytest.approx([4 / 28, 1 / 16, 0, 1])
    assert iom_matrix(a, b)[0] == pytest.approx([4 / 16, 1, 0, 1])
    # Counting pixels, boxes that share an edge share its pixels.
    assert iou_matrix(a, b, inclusive=True)[0, 2] == pytest.approx(5 / 45)
    assert iou_matrix(a, []).shape == (1, 0)


@settings(max_examples=40, deadline=None)
@given(BOXES, BOXES, st.integers(1, 7), st.integers(-50, 50), st.booleans())
def test_overlaps_are_symmetric_bounded_and_free_of_place(a, b, scale, shift, inclusive):
    iou, iom = iou_matrix(a, b, inclusive=inclusive), iom_matrix(a, b, inclusive=inclusive)
    assert (iom >= iou - 1e-15).all()
    assert (iou >= 0).all()
    assert (iom <= 1 + 1e-15).all()
    np.testing.assert_array_equal(iou.T, iou_matrix(b, a, inclusive=inclusive))
    np.testing.assert_array_equal(iom.T, iom_matrix(b, a, inclusive=inclusive))
    moved = np.asarray(a) + shift, np.asarray(b) + shift
    np.testing.assert_allclose(iou_matrix(*moved, inclusive=inclusive), iou)
    if not inclusive:  # pixels are counted, so the unit matters
        np.testing.assert_allclose(iom_matrix(np.asarray(a) * scale, np.asarray(b) * scale), iom)


def test_iou_equals_a_plain_loop_on_random_boxes():
    rng = np.random.default_rng(0)
    a, b = (np.concatenate([low, low + rng.uniform(1, 40, low.shape)], 1) for low in rng.uniform(0, 60, (2, 25, 2)))
    for i in range(25):
        for j in range(25):
            width = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
            height = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
            common = max(width, 0) * max(height, 0)
            areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a[i], b[j])]
            assert iou_matrix(a, b)[i, j] == pytest.approx(common / (sum(areas) - common), abs=1e-15)


@pytest.mark.parametrize("bad", [[(4, 0, 4, 2)], [(4, 0, 2, 2)], [(0, 0, np.nan, 1)], [(0, 0, 1)], (0, 0, 1, 1)])
def test_boxes_without_area_or_shape_are_refused(bad):
    for function in (iou_matrix, iom_matrix):
        with pytest.raises(ValueError, match=r"^b: "):
            function([(0, 0, 1, 1)], bad)


# --- average precision ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5, 0.75])
def test_voc_toy_in_pixel_counting_boxes_gives_the_published_ap(voc_toy, expected, iou):
    truth, found = voc_toy  # the published numbers are cut after ten decimals
    every_point = average_precision(truth, found, iou=iou, inclusive=True)
    eleven = average_precision(truth, found, iou=iou, inclusive=True, interpolation="11")
    assert every_point == pytest.approx(expected["voc_toy"]["all_point_AP"][str(iou)], abs=1e-10)
    assert eleven == pytest.approx(expected["voc_toy"]["eleven_point_AP"][str(iou)], abs=1e-10)


def test_voc_toy_in_ordinary_boxes_gives_the_readmes_ap(voc_toy):
    truth, found = voc_toy
    ours = [average_precision(truth, found, iou=iou) for iou in (0.1, 0.3, 0.5, 0.75)]
    assert ours == pytest.approx([0.2801328502, 0.2253968254, 0.0222222222, 0], abs=5.1e-11)


def test_coco_sample_gives_cocos_twelve_numbers(coco, expected):
    ours = coco_summary(*coco)
    assert tuple(ours) == COCO_NUMBERS
    for name in COCO_NUMBERS:
        assert ours[name] == pytest.approx(expected["coco_sample"][name], abs=5.1e-7)  # printed to six decimals


@pytest.mark.parametrize(("iou", "name"), [(0.5, "AP50"), (0.75, "AP75")])
def test_average_precision_by_cocos_conventions_equals_faster_coco_eval(coco, iou, name):
    ours = average_precision(*coco, iou=iou, interpolation="101", matching="free")
    assert ours == pytest.approx(coco_summary(*coco)[name], abs=1e-12)


def test_every_form_of_input_gives_the_same(voc_toy):
    truth, found = voc_toy
    expected = average_precision(truth, found, iou=0.3)
    records = [table.to_dict("records") for table in voc_toy]
    per_image = [
        [
            {"image_id": name, "boxes": part[CORNERS].to_numpy(), "labels": part["label"]}
            | ({"scores": part["score"].to_numpy()} if "score" in part else {})
            for name, part in table.groupby("image")
        ]
        for table in voc_toy
    ]
    without_label = [table.drop(columns="label") for table in voc_toy]
    shuffled = [table.sample(frac=1, random_state=2) for table in voc_toy]
    for given_truth, given_found in (records, per_image, without_label, shuffled):
        assert average_precision(given_truth, given_found, iou=0.3) == expected


class Tensor:
    """What torch's tensors offer numpy."""

    def __init__(self, values, dtype=np.float32):
        self.values = np.asarray(values, dtype=dtype)

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


def test_a_detectors_own_output_is_read():
    one = {"boxes": Tensor([[0, 0, 10, 10]]), "labels": Tensor([1], int)}
    none = {"boxes": Tensor(np.empty((0, 4))), "labels": Tensor([], int)}
    found = [{**one, "scores": Tensor([0.9])}, {**one, "scores": Tensor([0.95])}]
    assert average_precision([one, none], found) == pytest.approx(0.5)
    assert coco_summary([one, none], found)["AP"] == pytest.approx(0.5)


def test_curve_by_hand():
    truth = frame([("a", 0, 0, 10, 10), ("a", 20, 0, 30, 10), ("b", 0, 0, 10, 10)])
    found = frame(
        [("a", 0, 0, 10, 10, 0.9), ("a", 0, 0, 10, 10, 0.8), ("c", 0, 0, 10, 10, 0.7), ("b", 1, 0, 11, 10, 0.6)],
        scored=True,
    )
    curve = precision_recall(truth, found)
    assert curve["hit"].tolist() == [True, False, False, True]  # the second on a taken box is false
    assert curve["precision"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 2])
    assert curve["recall"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert average_precision(truth, found) == pytest.approx(1 / 3 * 1 + 1 / 3 * 1 / 2)


def test_a_taken_box_sends_coco_to_the_next_and_voc_nowhere():
    truth = frame([("a", 0, 0, 10, 10), ("a", 0, 4, 10, 14)])
    found = frame([("a", 0, 0, 10, 10, 0.9), ("a", 0, 1, 10, 11, 0.8)], scored=True)
    assert precision_recall(truth, found, matching="best")["hit"].tolist() == [True, False]
    assert precision_recall(truth, found, matching="free")["hit"].tolist() == [True, True]


@settings(max_examples=25, deadline=None)
@given(BOXES, BOXES, st.lists(st.integers(1, 9), min_size=6, max_size=6), st.sampled_from(["best", "free"]))
def test_average_precision_is_bounded_and_falls_with_the_iou(truth, found, scores, matching):
    truth = frame([("a", *box) for box in truth])
    found = frame([("a", *box, score / 10) for box, score in zip(found, scores, strict=False)], scored=True)
    values = [average_precision(truth, found, iou=iou, matching=matching) for iou in (0.25, 0.5, 0.75)]
    assert all(0 <= value <= 1 for value in values)
    if matching == "best":  # a free box may be taken at one IoU and not at another
        assert values == sorted(values, reverse=True)
    squashed = found.assign(score=np.tanh(found["score"]))
    assert average_precision(truth, squashed, matching=matching) == values[1]


@settings(max_examples=15, deadline=None)
@given(BOXES)
def test_exact_detections_are_perfect(boxes):
    assume(len(set(boxes)) == len(boxes))
    truth = frame([("a", *box) for box in boxes])
    found = truth.assign(score=np.linspace(0.5, 0.9, len(truth)))
    assert average_precision(truth, found, iou=1.0) == 1
    assert coco_summary(truth, found)["AP"] == pytest.approx(1)


def test_labels_are_averaged_and_those_never_annotated_do_not_enter():
    truth = frame([("a", 0, 0, 10, 10), ("a", 20, 0, 30, 10)]).assign(label=["vertebra", "disc"])
    found = frame([("a", 0, 0, 10, 10, 0.9), ("a", 50, 0, 60, 10, 0.9)], scored=True).assign(label=["vertebra", "rib"])
    assert average_precision(truth, found) == 0.5
    assert coco_summary(truth, found)["AP50"] == pytest.approx(0.5)


@pytest.mark.parametrize("none", [[], pd.DataFrame(), frame([], scored=True), {"annotations": []}])
def test_without_detections_everything_is_missed(none):
    truth = frame([("a", 0, 0, 10, 10)])
    assert average_precision(truth, none) == 0
    assert coco_summary(truth, none)["AP"] == 0
    assert np.isnan(coco_summary(truth, none)["APlarge"])  # no large object: undefined, not −1
    counts = count_hits(truth, none)
    assert (counts.hits, counts.false_negatives, counts.fn_rate) == (0, 1, 1)
    assert np.isnan(counts.fp_rate)
    assert precision_recall(truth, none).empty


# --- paper 03's hits and misses ---------------------------------------------------------------------------------------


@pytest.fixture
def spine():
    """Two slices: three annotated vertebrae and one; six detections, one of them too unsure."""
    truth = frame([("s1", 0, 0, 10, 10), ("s1", 0, 12, 10, 22), ("s1", 0, 24, 10, 34), ("s2", 0, 0, 10, 10)])
    found = frame(
        [
            ("s1", 0, 1, 10, 11, 0.99),  # hit
            ("s1", 2, 2, 6, 6, 0.80),  # within the same vertebra: its second detection
            ("s1", 0, 12, 10, 22, 0.75),  # hit, at the threshold
            ("s1", 0, 24, 10, 34, 0.74),  # too unsure
            ("s2", 0, 5, 10, 15, 0.90),  # IoM exactly 0.5: not larger
            ("s3", 0, 0, 10, 10, 0.90),  # nothing is annotated here
        ],
        scored=True,
    )
    return truth, found


def test_hits_and_misses_by_hand(spine):
    counts = count_hits(*spine)
    assert counts[:5] == (4, 5, 2, 3, 2)
    assert (counts.fp_rate, counts.fn_rate) == pytest.approx((3 / 5, 2 / 4))
    assert counts.mean_fp_rate == pytest.approx((1 / 3 + 1 + 1) / 3)  # s1, s2, s3
    assert counts.mean_fn_rate == pytest.approx((1 / 3 + 1) / 2)  # s1, s2
    assert counts.per_image.loc["s1"].tolist() == [3, 3, 2, 1, 1]
    assert counts.matches.set_index("score")["annotated"].to_dict() == pytest.approx(
        {0.99: 0, 0.8: -1, 0.75: 1, 0.9: -1}
    )


def test_the_papers_sentence_to_the_letter_lets_one_vertebra_be_hit_twice(spine):
    counts = count_hits(*spine, one_to_one=False)
    assert (counts.hits, counts.false_positives, counts.false_negatives) == (2, 2, 2)
    truth = frame([("a", 0, 0, 10, 10), ("a", 0, 12, 10, 22)])
    both = frame([("a", 0, 0, 10, 22, 0.9)], scored=True)
    assert count_hits(truth, both, one_to_one=False).hits == 2
    assert count_hits(truth, both).hits == 1


def test_images_without_any_box_can_be_named(spine):
    counts = count_hits(*spine, images=["s1", "s2", "s3", "s4"])
    assert counts.per_image.loc["s4"].tolist() == [0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match=r"images: 1 images with boxes are not among them, .* 's3'"):
        count_hits(*spine, images=["s1", "s2"])


@settings(max_examples=25, deadline=None)
@given(BOXES, BOXES, st.lists(st.floats(0, 1), min_size=6, max_size=6), st.floats(0, 0.9), st.booleans())
def test_counts_add_up(truth, found, scores, iom, one_to_one):
    truth = frame([("a", *box) for box in truth])
    found = frame([("a", *box, score) for box, score in zip(found, scores, strict=False)], scored=True)
    counts = count_hits(truth, found, score=0.5, iom=iom, one_to_one=one_to_one)
    assert counts.hits + counts.false_negatives == counts.n_annotated == len(truth)
    assert counts.n_detected == (found["score"] >= 0.5).sum()
    if one_to_one:
        assert counts.hits + counts.false_positives == counts.n_detected
        loose = count_hits(truth, found, score=0.5, iom=iom, one_to_one=False)
        assert loose.hits >= counts.hits
        assert loose.false_positives <= counts.false_positives


# --- refusals ---------------------------------------------------------------------------------------------------------

GOOD = frame([("a", 0, 0, 10, 10, 0.9)], scored=True)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (GOOD.drop(columns="score"), "columns score missing"),
        (GOOD.assign(score=np.nan), "missing or not finite"),
        (GOOD.assign(score="0.9"), "score of numbers required"),
        (GOOD.assign(xmin=True), "xmin of numbers required"),
        (GOOD.assign(xmax=0), "1 boxes without area"),
        (GOOD.assign(ymin=11), "1 boxes without area"),
        (GOOD.assign(image=3), "image by text in one table and by number in the other"),
        (GOOD.assign(label="vertebra"), "label 'vertebra', but 'object' in ground_truth"),
        (GOOD.to_numpy(), "a DataFrame, a list of dicts or COCO json required, found ndarray"),
        ([{"boxes": [(0, 0, 1, 1)], "scores": [0.1, 0.2]}], r"scores of shape \(1,\) required"),
        ([{"bbox": [0, 0, 1, 1], "score": 1}], "image_id missing from the annotations"),
    ],
)
def test_bad_detections_are_named(found, message):
    truth = GOOD.drop(columns="score")
    for function in (average_precision, coco_summary, count_hits):
        with pytest.raises(ValueError, match=f"^detections: .*{message}"):
            function(truth, found)


def test_bad_ground_truth_and_options_are_named():
    for function in (average_precision, coco_summary, count_hits):
        with pytest.raises(ValueError, match="ground_truth: no annotated box"):
            function(GOOD.iloc[:0], GOOD)
        with pytest.raises(ValueError, match="ground_truth: 1 crowd regions"):
            function([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "iscrowd": 1}], GOOD)
    for options, message in [
        ({"iou": 0}, "iou: above 0"),
        ({"interpolation": "40"}, "interpolation: all, 101 or 11"),
        ({"matching": "hungarian"}, "matching: best or free"),
    ]:
        with pytest.raises(ValueError, match=message):
            average_precision(GOOD, GOOD, **options)
    with pytest.raises(ValueError, match="iom: from 0 to below 1"):
        count_hits(GOOD, GOOD, iom=1.5)


def test_checked_boxes_have_a_label_and_plain_columns():
    checked = boxes_frame(GOOD.set_axis([9]), scored=True)
    assert list(checked.columns) == ["image", "label", *CORNERS, "score"]
    assert checked["label"].tolist() == ["object"]


def _scattered(seed, n_images=12):
    """Slices with three boxes each; detections moved, some missing, some invented."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(n_images):
        for k in range(3):
            box = np.array([10, 20 * k, 30, 20 * k + 14], dtype=float)
            truth.append((image, *box))
            if rng.random() < 0.8:
                found.append((image, *(box + rng.normal(0, 2.5, 4)), rng.uniform(0.4, 1)))
        if rng.random() < 0.4:
            found.append((image, 60, 5, 80, 25, rng.uniform(0.4, 1)))
    columns = ["image", "xmin", "ymin", "xmax", "ymax"]
    return pd.DataFrame(truth, columns=columns), pd.DataFrame(found, columns=[*columns, "score"])


def test_bootstrap_of_a_detector_equals_evaluating_the_repeated_slices():
    truth, found = _scattered(0)
    units = pd.Series(np.repeat(list("abcd"), 3), index=range(12))
    table = detection.detection_intervals(truth, found, units, n_resamples=40, seed=5)
    assert table.loc["ap", "estimate"] == pytest.approx(detection.average_precision(truth, found), abs=1e-12)
    counts = detection.count_hits(truth, found, images=range(12))
    assert table.loc["fn_rate", "estimate"] == pytest.approx(counts.fn_rate)
    assert table.loc["fp_rate", "estimate"] == pytest.approx(counts.fp_rate)
    drawn, values = np.random.default_rng(5).integers(0, 4, (40, 4)), []
    for patients in drawn:  # the slices of a patient drawn twice stand twice, under new names
        parts = [[], []]
        for copy, patient in enumerate(patients):
            for part, frame in zip(parts, (truth, found), strict=True):
                own = frame[frame["image"].isin(units.index[units == "abcd"[patient]])]
                part.append(own.assign(image=own["image"] + 100 * (copy + 1)))
        values.append(detection.average_precision(*(pd.concat(part) for part in parts)))
    assert table.loc["ap", ["low", "high"]].to_numpy() == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=2e-3)


def test_intervals_of_a_detector_that_finds_nothing_are_zero_or_undefined_and_no_error():
    truth, found = _scattered(1)
    units = pd.Series(range(12), index=range(12))
    table = detection.detection_intervals(truth, found.iloc[:0], units, n_resamples=20)
    assert table.loc["ap", "estimate"] == 0
    assert table.loc["fn_rate", "estimate"] == 1
    assert np.isnan(table.loc["fp_rate", "estimate"])


def test_two_detectors_are_compared_by_slice_by_patient_and_along_their_curves():
    truth, good = _scattered(2)
    poor = good[good["score"] > 0.8]
    units = pd.Series(np.repeat(np.arange(6), 2), index=range(12))
    table = detection.compare_detectors(truth, good.assign(score=0.9), poor, units).set_index("pairs")
    assert table.loc["F1 of each slice", "median_difference"] > 0
    assert table.loc["mean F1 of each patient", "n"] <= 6
    f1 = []
    for found in (good.assign(score=0.9), poor):
        counts = detection.count_hits(truth, found, images=range(12)).per_image
        f1.append(2 * counts["hits"] / (counts["n_annotated"] + counts["n_detected"]))
    expected = stats.wilcoxon(f1[0], f1[1])
    assert table.loc["F1 of each slice", "p_value"] == pytest.approx(expected.pvalue, abs=1e-12)
    same = detection.compare_detectors(truth, good, good, units)
    assert (same["p_value"] == 1).all()
    assert (same["n"] == 0).all()
