"""ROC and precision–recall curves, partial AUC, Youden's threshold, Hand and Till's AUC of many classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from vcfkit import checks


class OperatingPoint(NamedTuple):
    """A threshold (positive where score >= threshold) and what it gives; ``ties`` holds every threshold as good."""

    threshold: float
    sensitivity: float
    specificity: float
    youden: float
    ties: tuple[float, ...]


def roc_curve(y_true: ArrayLike, y_score: ArrayLike) -> pd.DataFrame:
    """Every corner of the ROC curve (scikit-learn's `roc_curve`, none dropped).

    Parameters
    ----------
    y_true, y_score : arrays, shape (n,)
        {0, 1}; any score that rises with class 1. One row per unit of analysis.

    Returns
    -------
    DataFrame
        threshold (positive where score >= it; the first is infinite), false_positive_rate, sensitivity, rising.
    """
    from sklearn import metrics

    positive, score = checks.truth_and_score(y_true, y_score)
    fpr, tpr, threshold = metrics.roc_curve(positive, score, drop_intermediate=False)
    return pd.DataFrame({"threshold": threshold, "false_positive_rate": fpr, "sensitivity": tpr})


def pr_curve(y_true: ArrayLike, y_score: ArrayLike) -> pd.DataFrame:
    """Precision and recall at every threshold (scikit-learn's `precision_recall_curve`).

    Returns
    -------
    DataFrame
        threshold, recall, precision; the last row (recall 0, precision 1) is scikit-learn's convention and has no
        threshold (NaN). ``.attrs["average_precision"]`` is the step-wise area, without interpolation; the curve of a
        score without information lies at ``.attrs["prevalence"]``.
    """
    from sklearn import metrics

    positive, score = checks.truth_and_score(y_true, y_score)
    precision, recall, threshold = metrics.precision_recall_curve(positive, score)
    frame = pd.DataFrame({"threshold": [*threshold, np.nan], "recall": recall, "precision": precision})
    frame.attrs["average_precision"] = float(metrics.average_precision_score(positive, score))
    frame.attrs["prevalence"] = float(positive.mean())
    return frame


def partial_auc(
    y_true: ArrayLike, y_score: ArrayLike, *, specificity: tuple[float, float], corrected: bool = False
) -> float:
    """Area under the empirical ROC curve between two specificities (McClish 1989; pROC's ``partial.auc``).

    Parameters
    ----------
    y_true, y_score : arrays, shape (n,)
        As in `roc_curve`.
    specificity : (low, high)
        The part of the curve, 0 ≤ low < high ≤ 1, in either order. Corners are joined by straight lines.
    corrected : bool
        McClish's correction: 0.5 for a score without information and 1 for a perfect one, whatever the part.

    Raises
    ------
    ValueError
        ``specificity`` is not two different numbers between 0 and 1.
    """
    limits = checks.finite("specificity", specificity)
    if limits.shape != (2,) or limits.min() < 0 or limits.max() > 1 or limits[0] == limits[1]:
        raise ValueError(f"specificity: two different numbers between 0 and 1 required, found {specificity!r}")
    curve = roc_curve(y_true, y_score)
    x, y = curve["false_positive_rate"].to_numpy(), curve["sensitivity"].to_numpy()
    start, end = 1 - limits.max(), 1 - limits.min()
    inside = (x > start) & (x < end)

    def height(at: float, side: str) -> float:
        """The curve at ``at``; of a vertical step its end (left limit) or its beginning (right limit)."""
        on = np.flatnonzero(x == at)
        return float(y[on[-1 if side == "left" else 0]]) if len(on) else float(np.interp(at, x, y))

    xs = np.concatenate([[start], x[inside], [end]])
    ys = np.concatenate([[height(start, "left")], y[inside], [height(end, "right")]])
    area = float(np.trapezoid(ys, xs))
    if not corrected:
        return area
    least, most = (end**2 - start**2) / 2, end - start
    return (1 + (area - least) / (most - least)) / 2


def youden_threshold(y_true: ArrayLike, y_score: ArrayLike) -> OperatingPoint:
    """Threshold with the largest J = sensitivity + specificity − 1 (Youden 1950).

    Conventions of pROC: thresholds lie midway between neighbouring observed scores, with −∞ and ∞ at the ends, so that
    a threshold carried to another cohort does not sit on a value of this one. pROC's ``coords`` prints J + 1. Where
    several are equally good, the lowest is taken (the most sensitive) and all are in ``ties``; a score no better than
    chance ends at ±∞, J = 0.

    Parameters
    ----------
    y_true, y_score : arrays, shape (n,)
        As in `roc_curve`.
    """
    positive, score = checks.truth_and_score(y_true, y_score)
    values = np.unique(score)
    middle = values[:-1] / 2 + values[1:] / 2
    # Between neighbouring doubles there is no middle: the upper one then separates them under >=.
    middle = np.where((middle > values[:-1]) & (middle <= values[1:]), middle, values[1:])
    thresholds = np.concatenate([[-np.inf], middle, [np.inf]])
    case, control = np.sort(score[positive]), np.sort(score[~positive])
    true_positive = len(case) - np.searchsorted(case, thresholds, side="left")
    true_negative = np.searchsorted(control, thresholds, side="left")
    # J times both class sizes, in whole numbers: rounding neither makes nor breaks a tie.
    gain = true_positive * len(control) + true_negative * len(case)
    best = np.flatnonzero(gain == gain.max())
    sensitivity, specificity = true_positive[best[0]] / len(case), true_negative[best[0]] / len(control)
    return OperatingPoint(
        float(thresholds[best[0]]),
        float(sensitivity),
        float(specificity),
        float(sensitivity + specificity - 1),
        tuple(thresholds[best].tolist()),
    )


def hand_till_auc(y_true: ArrayLike, scores: ArrayLike, *, classes: Sequence | None = None) -> float:
    """AUC of many classes: the mean over pairs of classes of the AUC within the pair (Hand & Till 2001).

    Parameters
    ----------
    y_true : array, shape (n,)
        Class of each row.
    scores : array, shape (n,) or (n, n_classes)
        One column per class in the order of ``classes``: the paper's measure, a pair (i, j) giving the mean of the AUC
        of column i and that of column j (scikit-learn's ``multi_class="ovo"``; intervals: `multiclass_auc`). A single
        score: pROC's ``multiclass.roc``, the AUC of the score within each pair, turned so that the class with the
        higher median counts as the positive one (the later class on equal medians).
    classes : names, shape (n_classes,), optional
        Sorted labels of ``y_true`` when omitted.

    Raises
    ------
    ValueError
        Fewer than two classes, a class without rows, labels outside ``classes``, scores that are not finite.
    """
    labels = np.asarray(y_true)
    array = checks.finite("scores", scores, ndim=(1, 2))
    single = array.ndim == 1
    if labels.shape != (len(array),):
        raise ValueError(f"y_true and scores of one length required, found {labels.shape} and {array.shape}")
    classes = np.unique(labels).tolist() if classes is None else list(classes)
    absent = [name for name in classes if not (labels == name).any()]
    if len(classes) < 2 or absent or not np.isin(labels, classes).all():
        raise ValueError(f"y_true: rows of each of {classes} (two or more), and no others, required; absent: {absent}")
    if not single and array.shape[1] != len(classes):
        raise ValueError(f"scores: one column for each of {classes} required, found shape {array.shape}")
    areas = []
    for i, j in combinations(range(len(classes)), 2):
        a, b = array[labels == classes[i]], array[labels == classes[j]]
        if single:
            first = np.median(b) < np.median(a)
            areas.append(_area(a, b) if first else _area(b, a))
        else:
            areas.append((_area(a[:, i], b[:, i]) + _area(b[:, j], a[:, j])) / 2)
    return float(np.mean(areas))


def _area(case: np.ndarray, control: np.ndarray) -> float:
    """AUC from rank sums (Mann–Whitney), ties half."""
    ranks = rankdata(np.concatenate([case, control]))[: len(case)]
    return (ranks.sum() - len(case) * (len(case) + 1) / 2) / (len(case) * len(control))
