"""Vertebra detection (paper 03): overlap of boxes, hits and misses, precision–recall, average precision.

Boxes are given as

* a DataFrame, one row per box: ``image``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` and, for detections, ``score``;
  ``label`` where there is more than one kind of object; or the same rows as a list of dicts;
* a list of dicts, one per image, as torchvision's detectors return them: ``boxes`` (n, 4), ``scores``, ``labels`` and,
  unless the place in the list names the image, ``image_id``;
* COCO json (a dict with ``annotations``, or the list of them): ``image_id``, ``category_id``, ``bbox`` as x, y, width,
  height, and ``score``.

Coordinates are in pixels, continuous: width = xmax − xmin. The PASCAL VOC code counts pixels instead (width =
xmax − xmin + 1), which moves borderline matches; `average_precision` does so with ``inclusive=True``. The unit of
analysis is the box; images are told apart by ``image`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
COCO_NUMBERS = (
    *("AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge"),
    *("AR1", "AR10", "AR100", "ARsmall", "ARmedium", "ARlarge"),
)

Boxes = pd.DataFrame | Sequence[Mapping[str, Any]] | Mapping[str, Any]


def iou_matrix(a: ArrayLike, b: ArrayLike, *, inclusive: bool = False) -> np.ndarray:
    """Intersection over union of every box of `a` with every box of `b`.

    Parameters
    ----------
    a, b : array, shapes (n, 4) and (m, 4)
        xmin, ymin, xmax, ymax; every box of positive area.
    inclusive : bool
        Corners are pixels that belong to the box (width = xmax − xmin + 1, the PASCAL VOC convention).

    Returns
    -------
    ndarray, shape (n, m)
    """
    intersection, area_a, area_b = _areas(a, b, inclusive)
    return intersection / (area_a[:, None] + area_b[None, :] - intersection)


def iom_matrix(a: ArrayLike, b: ArrayLike, *, inclusive: bool = False) -> np.ndarray:
    """Intersection over the area of the smaller box (paper 03, Evaluation of the VDModule); else as `iou_matrix`.

    Never below the intersection over union; 1 as soon as one box lies within the other, however small it is.
    """
    intersection, area_a, area_b = _areas(a, b, inclusive)
    return intersection / np.minimum(area_a[:, None], area_b[None, :])


class DetectionCounts(NamedTuple):
    """Hits, false positives and false negatives of a detector at one threshold.

    fp_rate, fn_rate : false positives over detected boxes, false negatives over annotated boxes, all images together
    mean_fp_rate, mean_fn_rate : the same ratio per image, then its mean over images where it is defined
    per_image : DataFrame, index image; columns n_annotated, n_detected, hits, false_positives, false_negatives
    matches : DataFrame, one row per detected box: image, label, corners, score, overlap (with its annotated box; the
        largest there is where it hit none), annotated (row of the ground truth, −1 for a false positive)
    """

    n_annotated: int
    n_detected: int
    hits: int
    false_positives: int
    false_negatives: int
    fp_rate: float
    fn_rate: float
    mean_fp_rate: float
    mean_fn_rate: float
    per_image: pd.DataFrame
    matches: pd.DataFrame


def count_hits(
    ground_truth: Boxes,
    detections: Boxes,
    *,
    score: float = 0.75,
    iom: float = 0.5,
    one_to_one: bool = True,
    images: Iterable[Hashable] | None = None,
) -> DetectionCounts:
    """Hits, false positives and false negatives as paper 03 names them.

    Boxes of probability `score` or more count as detected. A detected and an annotated box are a hit where their
    intersection over minimum is larger than `iom` (and their labels agree).

    Parameters
    ----------
    one_to_one : bool
        True: by falling score, a detection takes the free annotated box it overlaps most; a second detection of the
        same vertebra is a false positive. False, the paper's sentence to the letter: any detection that overlaps an
        annotated box is a hit, and any annotated box so overlapped is found.
    images : iterable, optional
        All images shown to the detector, so that those with neither annotation nor detection stand in ``per_image``.

    The paper states rates of 1.52 % (FP) and 1.33 % (FN) without their denominators; see `DetectionCounts` for ours.
    """
    if not 0 <= iom < 1:
        raise ValueError(f"iom: from 0 to below 1 required, found {iom}")
    truth, found = _tables(ground_truth, detections)
    found = found[found["score"] >= score].reset_index(drop=True)
    annotated, overlap = _match(truth, found, enough=lambda x: x > iom, overlap=iom_matrix)
    hit = np.zeros(len(truth), dtype=bool)
    hit[annotated[annotated >= 0]] = True
    if not one_to_one:
        for rows, targets, table in _overlaps(truth, found, iom_matrix):
            pairs = table > iom
            hit[targets] |= pairs.any(axis=0)
            annotated[rows] = np.where(pairs.any(axis=1), targets[table.argmax(axis=1)], -1)
            overlap[rows] = table.max(axis=1)
    matches = found.assign(overlap=overlap, annotated=annotated)

    known = pd.unique(pd.concat([truth["image"], found["image"]]))
    names = list(known) if images is None else list(images)
    strangers = set(known) - set(names)
    if strangers:
        raise ValueError(
            f"images: {len(strangers)} images with boxes are not among them, e.g. {next(iter(strangers))!r}"
        )
    per_image = pd.DataFrame(
        {
            "n_annotated": truth.groupby("image").size(),
            "n_detected": found.groupby("image").size(),
            "hits": truth[hit].groupby("image").size(),
            "false_positives": found[annotated < 0].groupby("image").size(),
            "false_negatives": truth[~hit].groupby("image").size(),
        },
        index=pd.Index(names, name="image"),
    )
    per_image = per_image.fillna(0).astype(int)
    total = per_image.sum()
    with_truth, with_found = per_image[per_image["n_annotated"] > 0], per_image[per_image["n_detected"] > 0]
    return DetectionCounts(
        *(int(n) for n in total),
        fp_rate=_share(total["false_positives"], total["n_detected"]),
        fn_rate=_share(total["false_negatives"], total["n_annotated"]),
        mean_fp_rate=float((with_found["false_positives"] / with_found["n_detected"]).mean()),
        mean_fn_rate=float((with_truth["false_negatives"] / with_truth["n_annotated"]).mean()),
        per_image=per_image,
        matches=matches,
    )


def precision_recall(
    ground_truth: Boxes,
    detections: Boxes,
    *,
    iou: float = 0.5,
    matching: Literal["best", "free"] = "best",
    inclusive: bool = False,
) -> pd.DataFrame:
    """Precision and recall as the score threshold falls, one row per detection.

    Each label's detections, by falling score (the images' names break ties), are true where their intersection over
    union with an annotated box of their image and label is at least `iou` and the box is not yet taken.

    Parameters
    ----------
    matching : {"best", "free"}
        Whether a detection is held against the box it overlaps most, taken or not (PASCAL VOC), or against the one it
        overlaps most among those still free (COCO).
    inclusive : bool
        See `iou_matrix`.

    Returns
    -------
    DataFrame
        Columns label, score, hit, precision, recall; labels without annotated box are absent.
    """
    truth, found = _tables(ground_truth, detections)
    if not 0 < iou <= 1:
        raise ValueError(f"iou: above 0 and at most 1 required, found {iou}")
    if matching not in ("best", "free"):
        raise ValueError(f"matching: best or free required, found {matching!r}")
    annotated, _ = _match(
        truth, found, enough=lambda x: x >= iou, overlap=iou_matrix, pick=matching, inclusive=inclusive
    )
    found = found.assign(hit=annotated >= 0)
    parts = []
    for label, n_annotated in truth.groupby("label").size().items():
        part = found.loc[found["label"] == label, ["label", "score", "hit"]]
        part = part.sort_values("score", ascending=False, kind="stable")
        true = part["hit"].cumsum()
        parts.append(part.assign(precision=true / np.arange(1, len(part) + 1), recall=true / n_annotated))
    return pd.concat(parts, ignore_index=True)


def average_precision(
    ground_truth: Boxes,
    detections: Boxes,
    *,
    iou: float = 0.5,
    interpolation: Literal["all", "101", "11"] = "all",
    matching: Literal["best", "free"] = "best",
    inclusive: bool = False,
) -> float:
    """Area under the precision–recall curve, mean over labels (mAP).

    The precision at a recall is the highest reached at that recall or beyond.

    Parameters
    ----------
    ground_truth, detections : boxes
        In any form that `boxes_frame` takes: a DataFrame with image, label (optional), xmin, ymin, xmax, ymax (pixels)
        and, for detections, score; a list of dicts; COCO json. One row per box.
    iou : float
        A detection is true from this intersection over union on.
    interpolation : {"all", "101", "11"}
        The whole area (PASCAL VOC from 2010 on), or the mean over 101 (COCO) or 11 (VOC 2007) equally spaced recalls.
    matching, inclusive
        See `precision_recall`. The defaults are VOC's matching on continuous coordinates; the VOC code itself is
        ``inclusive=True``, COCO is ``interpolation="101", matching="free"`` (`coco_summary` has its whole table).

    Returns
    -------
    float
        Between 0 and 1; 0 without detections. Labels that are detected but never annotated do not enter.

    Raises
    ------
    ValueError
        Naming the argument: no annotated box, boxes without area, scores that are missing or infinite, columns missing.
    """
    if interpolation not in ("all", "101", "11"):
        raise ValueError(f"interpolation: all, 101 or 11 required, found {interpolation!r}")
    truth = boxes_frame(ground_truth, argument="ground_truth")
    curve = precision_recall(truth, detections, iou=iou, matching=matching, inclusive=inclusive)
    parts = dict(list(curve.groupby("label")))
    none = curve.iloc[:0]
    areas = [_area(parts.get(label, none), interpolation) for label in pd.unique(truth["label"])]
    return float(np.mean(areas))


def coco_summary(ground_truth: Boxes, detections: Boxes) -> dict[str, float]:
    """The twelve numbers of the COCO evaluation, by faster-coco-eval.

    AP averages the 101-point average precision over IoU 0.50, 0.55, …, 0.95; AP50 and AP75 are at one IoU; small,
    medium and large objects have a box area below 32², up to 96², and above, in square pixels; AR1, AR10, AR100 are
    the recall, averaged over those IoU, with at most so many detections per image and label (AP takes 100). All are
    means over labels. Equal scores are taken in the order of the images' names.

    Returns
    -------
    dict
        ``COCO_NUMBERS`` → value; NaN where undefined (no object of that size; COCO's own code writes −1).

    Raises
    ------
    ValueError
        As `average_precision`.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = _tables(ground_truth, detections)
    both = pd.concat([truth[["image", "label"]], found[["image", "label"]]])
    images, labels = (pd.Index(sorted(pd.unique(both[column]))) for column in ("image", "label"))

    def dataset(frame: pd.DataFrame) -> COCO:
        corners = frame[CORNERS].to_numpy()
        size = corners[:, 2:] - corners[:, :2]
        table = {
            "id": range(1, len(frame) + 1),
            "image_id": images.get_indexer(frame["image"]).tolist(),
            "category_id": labels.get_indexer(frame["label"]).tolist(),
            "bbox": np.concatenate([corners[:, :2], size], axis=1).tolist(),
            "area": size.prod(axis=1).tolist(),
            "iscrowd": [0] * len(frame),
        }
        if "score" in frame:
            table["score"] = frame["score"].tolist()
        return COCO(
            {
                "images": [{"id": i} for i in range(len(images))],
                "categories": [{"id": i, "name": str(label)} for i, label in enumerate(labels)],
                "annotations": [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)],
            }
        )

    evaluation = COCOeval_faster(dataset(truth), dataset(found), iouType="bbox", print_function=lambda *_: None)
    evaluation.run()
    stats = evaluation.stats[: len(COCO_NUMBERS)]
    return {name: float(x) if x != -1 else np.nan for name, x in zip(COCO_NUMBERS, stats, strict=True)}


def detection_intervals(
    ground_truth: Boxes,
    detections: Boxes,
    units: pd.Series,
    *,
    iou: float = 0.5,
    score: float = 0.75,
    iom: float = 0.5,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Average precision and error rates with percentile bootstrap intervals over patients.

    Detections are matched within a slice, so that a resample of patients only weighs hits and boxes anew; nothing is
    matched again.

    Parameters
    ----------
    ground_truth, detections
        One label.
    units : Series
        Index: every image shown to the detector; values: its patient (its own name takes images as independent).
    iou, score, iom
        As in `average_precision` and `count_hits` (one to one).

    Returns
    -------
    DataFrame
        Index ap, fp_rate, fn_rate, f1 (of hits); columns estimate, low, high.
    """
    truth, found = _tables(ground_truth, detections)
    annotated, _ = _match(truth, found, enough=lambda x: x >= iou, overlap=iou_matrix, pick="best")
    counts = count_hits(truth, found, score=score, iom=iom, images=units.index).per_image
    patients = pd.factorize(units.to_numpy())[0]
    n_patients = patients.max() + 1
    drawn = np.random.default_rng(seed).integers(0, n_patients, (n_resamples, n_patients))
    weights = np.vstack([np.ones(n_patients), np.apply_along_axis(np.bincount, 1, drawn, minlength=n_patients)])
    weights = weights[:, patients]  # (1 + n_resamples, n_images); the first row is the sample itself
    order = np.argsort(-found["score"].to_numpy(), kind="stable")
    image = units.index.get_indexer(found["image"])[order]
    hit = (annotated >= 0)[order]
    total = weights @ counts["n_annotated"].to_numpy()
    true = np.cumsum(weights[:, image] * hit, axis=1)
    all_found = np.cumsum(weights[:, image], axis=1)
    precision = np.divide(true, all_found, out=np.zeros_like(true), where=all_found > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(true, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may hold no box; its value is undefined
        sums = {name: weights @ counts[name].to_numpy() for name in ("n_detected", "hits", "false_positives")}
        values = {
            "ap": (gained * envelope).sum(axis=1) / total,
            "fp_rate": sums["false_positives"] / sums["n_detected"],
            "fn_rate": 1 - sums["hits"] / total,
            "f1": 2 * sums["hits"] / (total + sums["n_detected"]),
        }
    ends = [(1 - level) / 2, (1 + level) / 2]
    rows = {
        name: (x[0], *np.nanquantile(x[1:], ends)) if np.isfinite(x[1:]).any() else (x[0], np.nan, np.nan)
        for name, x in values.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"]).rename_axis("quantity")


def compare_detectors(
    ground_truth: Boxes,
    first: Boxes,
    second: Boxes,
    units: pd.Series,
    *,
    score: float = 0.75,
    iom: float = 0.5,
) -> pd.DataFrame:
    """Wilcoxon's signed-rank test of two detectors on the same slices (Results, VDModule), on stated paired quantities.

    The paper prints P < 0.001 for a "comparison of the precision-recall curve" and does not say what was paired. Three
    readings: F1 of the hits of every slice; its mean over the slices of every patient, the only one whose pairs are
    independent; and the precisions of the two curves at 101 recalls, which are points of *one* curve each, so that
    their p falls with the fineness of the grid and means nothing.

    Returns
    -------
    DataFrame
        Columns pairs, n (pairs that differ), median_difference (first minus second), statistic, p_value (two-sided;
        1 where no pair differs).
    """
    from scipy.stats import wilcoxon

    per_slice, curves = [], []
    levels = np.linspace(0, 1, 101)
    for found in (first, second):
        counts = count_hits(ground_truth, found, score=score, iom=iom, images=units.index).per_image
        boxes = counts["n_annotated"] + counts["n_detected"]
        # A slice without vertebra and without detection is answered as it should be.
        per_slice.append((2 * counts["hits"] / boxes.where(boxes > 0)).fillna(1.0))
        curve = precision_recall(ground_truth, found)
        envelope = np.maximum.accumulate(curve["precision"].to_numpy()[::-1])[::-1]
        at = np.searchsorted(curve["recall"].to_numpy(), levels, side="left")
        curves.append(np.append(envelope, 0.0)[at])
    slices = per_slice[0] - per_slice[1]
    pairs = {
        "F1 of each slice": slices.to_numpy(),
        "mean F1 of each patient": slices.groupby(units.to_numpy()).mean().to_numpy(),
        "precision at 101 recalls": curves[0] - curves[1],
    }
    rows = []
    for name, difference in pairs.items():
        differs = int((np.abs(difference) > 1e-12).sum())
        test = wilcoxon(difference[np.abs(difference) > 1e-12]) if differs else None
        rows.append(
            (name, differs, np.median(difference), test.statistic if test else 0.0, test.pvalue if test else 1.0)
        )
    return pd.DataFrame(rows, columns=["pairs", "n", "median_difference", "statistic", "p_value"])


def boxes_frame(boxes: Boxes, *, argument: str = "boxes", scored: bool = False) -> pd.DataFrame:
    """Boxes in any of the accepted forms (see the module) as a checked DataFrame.

    Returns
    -------
    DataFrame
        Columns image, label ("object" where none was given), xmin, ymin, xmax, ymax, and score if `scored`.
    """
    if isinstance(boxes, pd.DataFrame):
        frame = boxes.reset_index(drop=True)
    elif isinstance(boxes, Mapping) and "annotations" in boxes:
        frame = _from_coco(boxes["annotations"], argument)
    elif isinstance(boxes, Sequence) and not isinstance(boxes, str) and all(isinstance(b, Mapping) for b in boxes):
        if boxes and "boxes" in boxes[0]:
            frame = _from_images(boxes, argument)
        elif boxes and "bbox" in boxes[0]:
            frame = _from_coco(boxes, argument)
        else:
            frame = pd.DataFrame(list(boxes))
    else:
        raise ValueError(
            f"{argument}: a DataFrame, a list of dicts or COCO json required, found {type(boxes).__name__}"
        )
    if "label" not in frame.columns:
        frame = frame.assign(label="object")
    columns = ["image", "label", *CORNERS, *(["score"] if scored else [])]
    missing = [column for column in columns if column not in frame.columns]
    if frame.empty:
        frame = frame.reindex(columns=columns)
    elif missing:
        raise ValueError(f"{argument}: columns {', '.join(missing)} missing")
    frame = frame[columns]
    numbers = columns[2:]
    for column in numbers if len(frame) else []:
        kind = frame[column].infer_objects().dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            raise ValueError(f"{argument}: {column} of numbers required, found {kind}, first {frame[column].iloc[0]!r}")
    frame = frame.astype(dict.fromkeys(numbers, np.float64))
    bad = ~np.isfinite(frame[numbers]).all(axis=1)
    if bad.any() or frame[["image", "label"]].isna().any(axis=None):
        row = frame[bad | frame[["image", "label"]].isna().any(axis=1)].iloc[0]
        raise ValueError(f"{argument}: values that are missing or not finite, first {row.to_dict()}")
    empty = (frame["xmax"] <= frame["xmin"]) | (frame["ymax"] <= frame["ymin"])
    if empty.any():
        raise ValueError(
            f"{argument}: {int(empty.sum())} boxes without area (xmax > xmin, ymax > ymin required), "
            f"first {frame[empty].iloc[0].to_dict()}"
        )
    return frame


def _from_coco(annotations: Sequence[Mapping[str, Any]], argument: str) -> pd.DataFrame:
    frame = pd.DataFrame(list(annotations))
    if frame.empty:
        return frame
    missing = [name for name in ("image_id", "bbox") if name not in frame]
    if missing:
        raise ValueError(f"{argument}: {', '.join(missing)} missing from the annotations")
    if "iscrowd" in frame and (frame["iscrowd"] == 1).any():
        n = int((frame["iscrowd"] == 1).sum())
        raise ValueError(f"{argument}: {n} crowd regions (iscrowd) among the annotations; leave them out")
    corner = np.array(frame["bbox"].tolist(), dtype=np.float64).reshape(-1, 4)
    corner[:, 2:] += corner[:, :2]
    return frame.rename(columns={"image_id": "image", "category_id": "label"}).assign(
        **dict(zip(CORNERS, corner.T, strict=True))
    )


def _from_images(images: Sequence[Mapping[str, Any]], argument: str) -> pd.DataFrame:
    parts = []
    for place, image in enumerate(images):
        corners = np.asarray(image["boxes"], dtype=np.float64).reshape(-1, 4)
        part = pd.DataFrame(corners, columns=CORNERS).assign(image=image.get("image_id", place))
        for theirs, ours in (("labels", "label"), ("scores", "score")):
            if theirs in image:
                values = np.asarray(image[theirs])
                if values.shape != (len(part),):
                    raise ValueError(f"{argument}: {theirs} of shape ({len(part)},) required, found {values.shape}")
                part[ours] = values
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _tables(ground_truth: Boxes, detections: Boxes) -> tuple[pd.DataFrame, pd.DataFrame]:
    truth = boxes_frame(ground_truth, argument="ground_truth")
    if truth.empty:
        raise ValueError("ground_truth: no annotated box; nothing can be found or missed")
    found = boxes_frame(detections, argument="detections", scored=True)
    for column in ("image", "label"):
        if len({isinstance(name, str) for frame in (truth, found) for name in frame[column]}) > 1:
            raise ValueError(f"detections: {column} by text in one table and by number in the other; name them alike")
    annotated, named = set(truth["label"]), set(found["label"])
    if len(annotated) == len(named) == 1 and annotated != named:
        raise ValueError(f"detections: label {named.pop()!r}, but {annotated.pop()!r} in ground_truth; name them alike")
    return truth, found.sort_values("image", kind="stable", ignore_index=True)


def _match(
    truth: pd.DataFrame,
    found: pd.DataFrame,
    *,
    enough: Callable[[float], bool],
    overlap: Callable[..., np.ndarray],
    pick: str = "free",
    inclusive: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """By falling score, the row of the annotated box that each detection hits (−1: none), and the overlap with it.

    Where it hits none, the overlap is the largest there is.
    """
    annotated, decided = np.full(len(found), -1), np.zeros(len(found))
    for rows, targets, table in _overlaps(truth, found, overlap, inclusive):
        free = np.ones(len(targets), dtype=bool)
        for row, overlaps in zip(rows, table, strict=True):
            best = np.where(free, overlaps, -1.0).argmax() if pick == "free" else overlaps.argmax()
            if free[best] and enough(overlaps[best]):
                annotated[row], free[best], decided[row] = targets[best], False, overlaps[best]
            else:
                decided[row] = overlaps.max()
    return annotated, decided


def _overlaps(
    truth: pd.DataFrame, found: pd.DataFrame, overlap: Callable[..., np.ndarray], inclusive: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per image and label: rows of the detections by falling score, rows of the annotated boxes, overlap of each."""
    score, corners, annotated_corners = (part.to_numpy() for part in (found["score"], found[CORNERS], truth[CORNERS]))
    truth_rows = truth.groupby(["image", "label"], sort=False).indices
    for key, rows in found.groupby(["image", "label"], sort=False).indices.items():
        if key in truth_rows:
            ordered, targets = rows[np.argsort(-score[rows], kind="stable")], truth_rows[key]
            yield ordered, targets, overlap(corners[ordered], annotated_corners[targets], inclusive=inclusive)


def _area(curve: pd.DataFrame, interpolation: str) -> float:
    if curve.empty:
        return 0.0
    recall, precision = curve["recall"].to_numpy(), curve["precision"].to_numpy()
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "all":
        return float((np.diff(recall, prepend=0.0) * envelope).sum())
    levels = np.linspace(0, 1, int(interpolation))
    place = np.searchsorted(recall, levels, side="left")
    return float(np.append(envelope, 0.0)[place].mean())


def _areas(a: ArrayLike, b: ArrayLike, inclusive: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b = _corners(a, "a"), _corners(b, "b")
    more = 1.0 if inclusive else 0.0
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(high - low + more, 0.0, None).prod(axis=2)
    return intersection, (a[:, 2:] - a[:, :2] + more).prod(axis=1), (b[:, 2:] - b[:, :2] + more).prod(axis=1)


def _corners(boxes: ArrayLike, argument: str) -> np.ndarray:
    corners = np.asarray(boxes, dtype=np.float64)
    corners = corners.reshape(0, 4) if corners.size == 0 else corners
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ValueError(f"{argument}: shape (n, 4) required, found {corners.shape}")
    if not (corners[:, 2:] > corners[:, :2]).all():  # false for NaN too
        raise ValueError(f"{argument}: boxes of positive area (xmax > xmin, ymax > ymin) required")
    return corners


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else np.nan
