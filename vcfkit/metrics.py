"""Estimates and intervals for predictions.

Every table of the compendium takes its numbers from here. A row is one unit of analysis (paper 02: a vertebra); where
several rows belong to one patient, intervals come from resampling patients, not rows.

Symbols: TP, FN, FP, TN are counts at a decision; sensitivity TP/(TP+FN), specificity TN/(TN+FP), PPV TP/(TP+FP),
NPV TN/(TN+FN), F1 2TP/(2TP+FP+FN). A ratio with an empty denominator is undefined (NaN), never 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

BINARY_METRICS = (
    "auc",
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
)


def bootstrap_counts(n: int, n_resamples: int, rng: np.random.Generator, *, groups: ArrayLike | None = None):
    """How often each row stands in each bootstrap resample.

    Rows are drawn as ``rng.integers(0, n, n)`` once per resample, so that a plain loop with the same generator sees
    the same resamples. With ``groups``, whole groups (patients) are drawn instead, as many as there are groups, in
    the sorted order of their names: the cluster bootstrap (Davison & Hinkley 1997, section 3.8).

    Returns
    -------
    ndarray of float64, shape (n_resamples, n)
    """
    if groups is None:
        drawn, n_units = rng.integers(0, n, (n_resamples, n)), n
    else:
        names, unit = np.unique(np.asarray(groups), return_inverse=True)
        if len(unit) != n:
            raise ValueError(f"groups: one entry per row required ({n}), found {len(unit)}")
        n_units = len(names)
        drawn = rng.integers(0, n_units, (n_resamples, n_units))
    offsets = np.arange(n_resamples)[:, None] * n_units
    counts = np.bincount((drawn + offsets).ravel(), minlength=n_resamples * n_units)
    counts = counts.reshape(n_resamples, n_units).astype(np.float64)
    return counts if groups is None else counts[:, unit]


def weighted_auc(positive: np.ndarray, y_score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each resample, ties counted half (Mann–Whitney form).

    Parameters
    ----------
    positive : bool array, shape (n,)
    y_score : array, shape (n,)
    counts : array, shape (n_resamples, n)
        How often each row stands in each resample.

    Returns
    -------
    ndarray, shape (n_resamples,)
        NaN where a resample holds one class only.
    """
    order = np.argsort(y_score, kind="stable")
    score = y_score[order]
    w = counts[:, order]
    w_negative = np.where(positive[order], 0.0, w)
    # Negatives strictly below a row, and at its own score: cumulative weight read at the ends of its run of ties.
    cumulative = np.concatenate([np.zeros((len(w), 1)), np.cumsum(w_negative, axis=1)], axis=1)
    below = cumulative[:, np.searchsorted(score, score, side="left")]
    up_to = cumulative[:, np.searchsorted(score, score, side="right")]
    wins = ((w - w_negative) * (below + up_to)).sum(axis=1) / 2
    n_negative = cumulative[:, -1]
    return _ratio(wins, n_negative * (w.sum(axis=1) - n_negative))


def decision_metrics(positive: np.ndarray, called: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """TP, FN, FP, TN and the ratios made of them, for each resample.

    Parameters
    ----------
    positive, called : bool arrays, shape (n,)
        The truth, and whether the decision was positive.
    counts : array, shape (n_resamples, n)
    """
    cells = np.stack([positive & called, positive & ~called, ~positive & called, ~positive & ~called], axis=1)
    tp, fn, fp, tn = (counts @ cells.astype(np.float64)).T
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        "tp": tp,
        "fn": fn,
        "fp": fp,
        "tn": tn,
        "accuracy": _ratio(tp + tn, tp + fn + fp + tn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def bootstrap_ci(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    metrics: Sequence[str] = ("auc", "accuracy", "sensitivity", "specificity", "f1"),
    threshold: float = 0.5,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> pd.DataFrame:
    """Estimates of a two-class prediction with percentile bootstrap intervals.

    Parameters
    ----------
    y_true : array, shape (n,)
        {0, 1}. One row per unit of analysis.
    y_score : array, shape (n,)
        Any score that rises with the positive class; a row is called positive where ``y_score >= threshold``.
    metrics : names from ``BINARY_METRICS``
    groups : array, shape (n,), optional
        Patient of each row. Given, patients are resampled (`bootstrap_counts`); omitted, rows are taken as
        independent.

    Returns
    -------
    DataFrame
        Index ``metric``; columns estimate, low, high. ``.attrs["undefined"]`` counts, per metric, the resamples in
        which it is undefined (a class absent, nobody called positive); the interval is that of the others.

    Raises
    ------
    ValueError
        One class only, labels other than 0/1, scores that are not finite, lengths that differ, unknown metric.
    """
    y_true, y_score = np.asarray(y_true), np.asarray(y_score, dtype=np.float64)
    _check_binary(y_true, y_score)
    unknown = [name for name in metrics if name not in BINARY_METRICS]
    if unknown:
        raise ValueError(f"unknown metric {', '.join(unknown)}; known: {', '.join(BINARY_METRICS)}")
    counts = bootstrap_counts(len(y_true), n_resamples, np.random.default_rng(seed), groups=groups)
    # Row 0 is the sample itself: estimate and resamples take one and the same path.
    counts = np.concatenate([np.ones((1, len(y_true))), counts])
    positive = y_true == 1
    values = decision_metrics(positive, y_score >= threshold, counts)
    if "auc" in metrics:
        values["auc"] = weighted_auc(positive, y_score, counts)
    return _intervals({name: values[name] for name in metrics}, level=level)


def one_vs_rest(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    classes: Sequence[str],
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> pd.DataFrame:
    """One-vs-rest report of a many-class prediction, with percentile bootstrap intervals.

    Each class in turn is the positive one: its AUC ranks its own probability; its decision is that the class has the
    highest probability (argmax, the first on a tie). Three summaries follow, and papers mix them up:
    ``accuracy`` of class ``all`` is the share of rows whose argmax is right; ``accuracy`` of class ``mean`` is the mean
    of the one-vs-rest accuracies, which for three classes is (1 + 2·accuracy)/3 and so never falls below 1/3; every
    other metric of class ``mean`` is the plain mean over classes (macro).

    Parameters
    ----------
    y_true : array of str, shape (n,)
        Class names.
    probabilities : array, shape (n, n_classes)
        Columns in the order of ``classes``.
    groups : array, shape (n,), optional
        Patient of each row; see `bootstrap_ci`. All numbers share the same resamples.

    Returns
    -------
    DataFrame
        Columns class, metric, n_positive, estimate, low, high, undefined (share of resamples without a value). A
        class that has no row, or is the only one, has undefined AUC and sensitivity or specificity (NaN), not an
        error: small sites do happen.
    """
    y_true, probabilities = np.asarray(y_true), np.asarray(probabilities, dtype=np.float64)
    classes = list(classes)
    if probabilities.shape != (len(y_true), len(classes)):
        raise ValueError(f"probabilities of shape {(len(y_true), len(classes))} required, found {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{int((~np.isfinite(probabilities)).any(axis=1).sum())} rows hold undefined probabilities")
    strangers = sorted(set(y_true.tolist()) - set(classes))
    if strangers or len(y_true) == 0:
        raise ValueError(f"labels out of {classes} required, found {strangers or 'no rows'}")
    counts = bootstrap_counts(len(y_true), n_resamples, np.random.default_rng(seed), groups=groups)
    counts = np.concatenate([np.ones((1, len(y_true))), counts])
    called = np.asarray(classes)[probabilities.argmax(axis=1)]
    per_class = {}
    for k, name in enumerate(classes):
        positive = y_true == name
        per_class[name] = decision_metrics(positive, called == name, counts)
        per_class[name]["auc"] = weighted_auc(positive, probabilities[:, k], counts)
    parts = []
    for name in classes:
        part = _intervals({metric: per_class[name][metric] for metric in BINARY_METRICS}, level=level)
        parts.append(_labelled(part, name, int((y_true == name).sum())))
    mean = {metric: np.mean([per_class[name][metric] for name in classes], axis=0) for metric in BINARY_METRICS}
    parts.append(_labelled(_intervals(mean, level=level), "mean", len(y_true)))
    right = _ratio(counts @ (called == y_true), counts.sum(axis=1))
    parts.append(_labelled(_intervals({"accuracy": right}, level=level), "all", len(y_true)))
    return pd.concat(parts, ignore_index=True)


def confusion(y_true: ArrayLike, probabilities: ArrayLike, *, classes: Sequence[str]) -> pd.DataFrame:
    """Counts of true class (rows) by argmax class (columns)."""
    from sklearn.metrics import confusion_matrix

    called = np.asarray(classes)[np.asarray(probabilities).argmax(axis=1)]
    matrix = confusion_matrix(np.asarray(y_true), called, labels=list(classes))
    return pd.DataFrame(matrix, pd.Index(classes, name="true"), pd.Index(classes, name="predicted"))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(len(denominator), np.nan), where=denominator > 0)


def _intervals(values: dict[str, np.ndarray], *, level: float) -> pd.DataFrame:
    """Percentile intervals; entry 0 of each array is the estimate, the rest are resamples."""
    if not 0 < level < 1:
        raise ValueError(f"level between 0 and 1 required, found {level}")
    tails = [(1 - level) / 2, (1 + level) / 2]
    rows, undefined = {}, {}
    for name, value in values.items():
        resamples = value[1:]
        defined = resamples[~np.isnan(resamples)]
        undefined[name] = len(resamples) - len(defined)
        # An estimate that does not exist has no interval, even where some resamples happen to have a value.
        known = len(defined) > 0 and not np.isnan(value[0])
        rows[name] = [value[0], *(np.quantile(defined, tails) if known else (np.nan, np.nan))]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"]).rename_axis("metric")
    frame.attrs["undefined"] = undefined
    frame.attrs["n_resamples"] = len(next(iter(values.values()))) - 1
    return frame


def _labelled(part: pd.DataFrame, name: str, n_positive: int) -> pd.DataFrame:
    undefined = pd.Series(part.attrs["undefined"]) / part.attrs["n_resamples"]
    part = part.assign(undefined=undefined).reset_index()
    part.attrs = {}
    part.insert(0, "class", name)
    part.insert(2, "n_positive", n_positive)
    return part


def _check_binary(y_true: np.ndarray, y_score: np.ndarray) -> None:
    if y_true.ndim != 1 or y_true.shape != y_score.shape:
        raise ValueError(f"y_true and y_score of one length required, found {y_true.shape} and {y_score.shape}")
    found = np.unique(y_true)
    if not np.isin(found, (0, 1)).all():
        raise ValueError(f"y_true of 0 and 1 required, found {found[:5].tolist()}")
    if len(found) < 2:
        raise ValueError(f"y_true holds one class only ({found.tolist()}); both classes required")
    if not np.isfinite(y_score).all():
        raise ValueError(f"y_score holds {int((~np.isfinite(y_score)).sum())} values that are not finite")
