"""What a table prints: two classes, one class against the rest, many classes in one number, a carried threshold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from vcfkit import checks
from vcfkit.metrics.curves import youden_threshold
from vcfkit.metrics.resampling import PairwiseAuc, confusion_rows, divide, intervals, ratios, resampled_sums

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
COUNTS = ("tp", "fn", "fp", "tn")


def bootstrap_ci(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    metrics: Sequence[str] = ("auc", "accuracy", "sensitivity", "specificity", "f1"),
    threshold: float = 0.5,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
    method: str = "percentile",
    device: str = "cpu",
) -> pd.DataFrame:
    """Estimates of a two-class prediction with bootstrap intervals.

    Rows (or patients) are drawn from the whole sample, not class by class, so that the class shares vary as well.

    Parameters
    ----------
    y_true : array, shape (n,)
        {0, 1}. One row per unit of analysis.
    y_score : array, shape (n,)
        Any score that rises with the positive class; a row is called positive where ``y_score >= threshold``.
    metrics : names from ``BINARY_METRICS``
    n_resamples : int
        At least 1.
    level : float
        Of the intervals, between 0 and 1.
    seed : int or Generator
        Of the draws; the same integer gives the same intervals.
    groups : array, shape (n,), optional
        Patient of each row. Given, patients are resampled (`bootstrap_counts`); omitted, rows are taken as
        independent.
    method : "percentile" or "bca"
        Efron & Tibshirani 1993, sections 13.3 and 14.3. BCa leaves out one row, or one patient, at a time.
    device : "cpu" or "cuda"
        Where the counting is done, in float64; the answer is the same.

    Returns
    -------
    DataFrame
        Index ``metric``; columns estimate, low, high. ``.attrs["undefined"]`` counts, per metric, the resamples in
        which it is undefined (a class absent, nobody called positive); the interval is that of the others. Where BCa
        does not exist (`resampling.bca_tails`), low and high are NaN.

    Raises
    ------
    ValueError
        One class only, labels other than 0/1, scores that are not finite, lengths that differ, unknown metric.
    """
    positive, score = checks.truth_and_score(y_true, y_score)
    metrics, threshold = _known(metrics), checks.threshold(threshold)
    sums = resampled_sums(
        confusion_rows(positive, score >= threshold),
        [PairwiseAuc.of_classes(positive, score)] if "auc" in metrics else [],
        n_resamples=n_resamples,
        seed=seed,
        units=checks.units(groups, len(score)),
        leave_out=method == "bca",
        device=device,
    )
    values = ratios(*sums.linear)
    if "auc" in metrics:
        values["auc"] = sums.aucs[0]
    return intervals({name: values[name] for name in metrics}, n_resamples=n_resamples, level=level, method=method)


def bootstrap_difference(
    y_true: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    *,
    metrics: Sequence[str] = ("auc", "accuracy", "sensitivity", "specificity", "f1"),
    threshold: float | tuple[float, float] = 0.5,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
    method: str = "percentile",
    device: str = "cpu",
) -> pd.DataFrame:
    """Paired difference of two models on the same rows: both are measured in each resample, a minus b.

    Parameters
    ----------
    y_true, score_a, score_b : arrays, shape (n,)
        As in `bootstrap_ci`, whose other parameters these are as well.
    threshold : float, or one for each model
        A pair where the scores are not on one scale.

    Returns
    -------
    DataFrame
        Index ``metric``; columns a, b, difference, low, high (of the difference); attrs as in `bootstrap_ci`.
    """
    positive, score_a = checks.truth_and_score(y_true, score_a, names=("y_true", "score_a"))
    _, score_b = checks.truth_and_score(y_true, score_b, names=("y_true", "score_b"))
    cuts = threshold if isinstance(threshold, tuple) else (threshold, threshold)
    if len(cuts) != 2:
        raise ValueError(f"threshold: one number or a pair required, found {threshold}")
    metrics, models = _known(metrics), (score_a, score_b)
    called = [score >= checks.threshold(cut) for score, cut in zip(models, cuts, strict=True)]
    sums = resampled_sums(
        np.concatenate([confusion_rows(positive, decision) for decision in called]),
        [PairwiseAuc.of_classes(positive, score) for score in models],
        n_resamples=n_resamples,
        seed=seed,
        units=checks.units(groups, len(positive)),
        leave_out=method == "bca",
        device=device,
    )
    a = ratios(*sums.linear[:4]) | {"auc": sums.aucs[0]}
    b = ratios(*sums.linear[4:]) | {"auc": sums.aucs[1]}
    differences = {name: a[name] - b[name] for name in metrics}
    frame = intervals(differences, n_resamples=n_resamples, level=level, method=method)
    frame = frame.rename(columns={"estimate": "difference"})
    frame.insert(0, "a", [a[name][0] for name in metrics])
    frame.insert(1, "b", [b[name][0] for name in metrics])
    return frame


def binary_report(y_true: ArrayLike, y_score: ArrayLike, *, threshold: float = 0.5, **bootstrap) -> pd.DataFrame:
    """Everything a two-class table prints at one threshold: the four counts, then every one of ``BINARY_METRICS``.

    Parameters
    ----------
    y_true, y_score, threshold
        As in `bootstrap_ci`, which also takes the ``bootstrap`` settings (n_resamples, level, seed, groups, method,
        device).

    Returns
    -------
    DataFrame
        Index ``metric``: tp, fn, fp, tn (without interval: NaN), then the metrics; columns estimate, low, high.
        ``.attrs["threshold"]`` beside those of `bootstrap_ci`.
    """
    report = bootstrap_ci(y_true, y_score, metrics=BINARY_METRICS, threshold=threshold, **bootstrap)
    positive, score = checks.truth_and_score(y_true, y_score)
    cells = confusion_rows(positive, score >= threshold).sum(axis=1)
    counts = pd.DataFrame({"estimate": cells, "low": np.nan, "high": np.nan}, index=pd.Index(COUNTS, name="metric"))
    whole = pd.concat([counts, report])
    whole.attrs = report.attrs | {"threshold": float(threshold)}
    return whole


def carried_reports(
    y_true: ArrayLike, y_score: ArrayLike, cohort: ArrayLike, *, chosen_on: str, **bootstrap
) -> pd.DataFrame:
    """Reports of every cohort at the one threshold that was chosen on one of them (Youden's, `youden_threshold`).

    What an external validation has to do: a threshold chosen anew in each cohort flatters every one of them.

    Parameters
    ----------
    y_true, y_score, cohort : arrays, shape (n,)
        One row per unit of analysis; ``cohort`` names the cohort it belongs to.
    chosen_on : a name in ``cohort``
        Its own row is optimistic (the threshold was fitted to it), the others are not.

    Returns
    -------
    DataFrame
        Columns cohort, threshold, metric, estimate, low, high, undefined (share of resamples without a value), cohorts
        in order of appearance.
    """
    positive, score = checks.truth_and_score(y_true, y_score)
    cohort = np.asarray(cohort)
    if cohort.shape != positive.shape:
        raise ValueError(f"cohort: one name per row required ({len(positive)}), found shape {cohort.shape}")
    names = pd.unique(cohort).tolist()
    if chosen_on not in names:
        raise ValueError(f"chosen_on: one of {names} required, found {chosen_on}")
    poor = [name for name in names if len(np.unique(positive[cohort == name])) < 2]
    if poor:
        raise ValueError(f"y_true: both classes required in every cohort, one class only in {poor}")
    of = cohort == chosen_on
    cut = youden_threshold(positive[of], score[of]).threshold
    parts = []
    for name in names:
        rows = cohort == name
        settings = dict(bootstrap)
        if settings.get("groups") is not None:
            settings["groups"] = np.asarray(settings["groups"])[rows]
        report = binary_report(positive[rows], score[rows], threshold=cut, **settings)
        part = _with_undefined_share(report)
        part.insert(0, "cohort", name)
        part.insert(1, "threshold", cut)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def one_vs_rest(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    classes: Sequence[str],
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
    method: str = "percentile",
    device: str = "cpu",
) -> pd.DataFrame:
    """One-vs-rest report of a many-class prediction, with bootstrap intervals.

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
    method, device
        As in `bootstrap_ci`.

    Returns
    -------
    DataFrame
        Columns class, metric, n_positive, estimate, low, high, undefined (share of resamples without a value). A
        class that has no row, or is the only one, has undefined AUC and sensitivity or specificity (NaN), not an
        error: small sites do happen.
    """
    y_true, probabilities, classes = checks.class_table(y_true, probabilities, classes)
    called = probabilities.argmax(axis=1)
    positives = [y_true == name for name in classes]
    right = np.select(positives, [called == k for k in range(len(classes))])
    sums = resampled_sums(
        np.concatenate(
            [confusion_rows(positive, called == k) for k, positive in enumerate(positives)]
            + [np.stack([right, np.ones(len(right))]).astype(np.float64)]
        ),
        [PairwiseAuc.of_classes(positive, probabilities[:, k]) for k, positive in enumerate(positives)],
        n_resamples=n_resamples,
        seed=seed,
        units=checks.units(groups, len(y_true)),
        leave_out=method == "bca",
        device=device,
    )
    values = {name: ratios(*sums.linear[4 * k : 4 * k + 4]) | {"auc": sums.aucs[k]} for k, name in enumerate(classes)}
    values["mean"] = {metric: np.mean([values[name][metric] for name in classes], axis=0) for metric in BINARY_METRICS}
    values["all"] = {"accuracy": divide(*sums.linear[-2:])}
    parts = []
    for name, found in values.items():
        found = {metric: found[metric] for metric in BINARY_METRICS if metric in found}
        part = intervals(found, n_resamples=n_resamples, level=level, method=method)
        part = _with_undefined_share(part)
        part.insert(0, "class", name)
        part.insert(2, "n_positive", int((y_true == name).sum()) if name in classes else len(y_true))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def multi_label(
    y_true: pd.DataFrame,
    probabilities: ArrayLike,
    *,
    threshold: float = 0.5,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
    method: str = "percentile",
    device: str = "cpu",
) -> pd.DataFrame:
    """Reports of labels that do not exclude each other, each against all other rows (paper 03, Table 3).

    Parameters
    ----------
    y_true : DataFrame of 0 and 1, shape (n, n_labels)
        One column per label. A row may carry several labels, or none.
    probabilities : array, shape (n, n_labels)
        Columns in the order of ``y_true``; a row is called positive for a label where its probability reaches
        ``threshold``.
    groups : array, shape (n,), optional
        Patient of each row; see `bootstrap_ci`. All labels share the same resamples.
    method, device
        As in `bootstrap_ci`.

    Returns
    -------
    DataFrame
        As `one_vs_rest`, the column ``class`` naming the label; ``mean`` averages over labels. A label that no row or
        every row carries has undefined AUC and sensitivity or specificity (NaN), not an error.
    """
    labels = list(y_true.columns)
    flags = checks.finite("y_true", y_true, ndim=2)
    scores = checks.finite("probabilities", probabilities, ndim=2)
    if flags.shape != scores.shape or not len(flags):
        raise ValueError(
            f"probabilities: one row per row of y_true and one column per label required, {flags.shape}; "
            f"found {scores.shape}"
        )
    if not np.isin(flags, (0, 1)).all():
        raise ValueError(f"y_true: 0 or 1 required, found {flags[~np.isin(flags, (0, 1))][0]}")
    threshold = checks.threshold(threshold)
    positives = [flags[:, k] == 1 for k in range(len(labels))]
    sums = resampled_sums(
        np.concatenate([confusion_rows(own, scores[:, k] >= threshold) for k, own in enumerate(positives)]),
        [PairwiseAuc.of_classes(own, scores[:, k]) for k, own in enumerate(positives)],
        n_resamples=n_resamples,
        seed=seed,
        units=checks.units(groups, len(flags)),
        leave_out=method == "bca",
        device=device,
    )
    values = {name: ratios(*sums.linear[4 * k : 4 * k + 4]) | {"auc": sums.aucs[k]} for k, name in enumerate(labels)}
    values["mean"] = {metric: np.mean([values[name][metric] for name in labels], axis=0) for metric in BINARY_METRICS}
    parts = []
    for name, found in values.items():
        kept = {metric: found[metric] for metric in BINARY_METRICS}
        part = _with_undefined_share(intervals(kept, n_resamples=n_resamples, level=level, method=method))
        part.insert(0, "class", name)
        part.insert(2, "n_positive", int(positives[labels.index(name)].sum()) if name in labels else len(flags))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def multiclass_auc(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    classes: Sequence[str],
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
    method: str = "percentile",
    device: str = "cpu",
) -> pd.DataFrame:
    """The AUCs that papers print for many classes, side by side, with bootstrap intervals from the same resamples.

    ``macro`` is the mean of the one-vs-rest AUCs; ``micro`` pools all n × n_classes pairs of (is it this class, its
    probability) into one ROC curve, which compares probabilities across classes and follows the commonest ones;
    ``hand_till`` is the mean over ordered pairs of classes (i, j) of the AUC of class i's probability among the rows
    of i and j alone (Hand & Till 2001), which does not depend on the class shares.

    Parameters
    ----------
    As in `one_vs_rest`.

    Returns
    -------
    DataFrame
        Index: the classes, ``macro``, ``micro``, ``hand_till``; columns estimate, low, high; attrs as in
        `bootstrap_ci`. A class without rows leaves its own AUC, macro and hand_till undefined (NaN).
    """
    y_true, probabilities, classes = checks.class_table(y_true, probabilities, classes)
    is_class = y_true[:, None] == np.asarray(classes)
    rows, columns = np.nonzero(is_class)
    others, other_columns = np.nonzero(~is_class)
    micro = PairwiseAuc(rows, probabilities[rows, columns], others, probabilities[others, other_columns])
    members = [np.flatnonzero(is_class[:, k]) for k in range(len(classes))]
    pairs = [
        PairwiseAuc(members[i], probabilities[members[i], i], members[j], probabilities[members[j], i])
        for i, j in permutations(range(len(classes)), 2)
    ]
    rest = [PairwiseAuc.of_classes(is_class[:, k], probabilities[:, k]) for k in range(len(classes))]
    sums = resampled_sums(
        np.zeros((0, len(y_true))),
        [*rest, micro, *pairs],
        n_resamples=n_resamples,
        seed=seed,
        units=checks.units(groups, len(y_true)),
        leave_out=method == "bca",
        device=device,
    )
    values = dict(zip(classes, sums.aucs, strict=False))
    values["macro"] = sums.aucs[: len(classes)].mean(axis=0)
    values["micro"] = sums.aucs[len(classes)]
    values["hand_till"] = sums.aucs[len(classes) + 1 :].mean(axis=0)
    return intervals(values, n_resamples=n_resamples, level=level, method=method).rename_axis("auc")


def multiclass_difference(
    y_true: ArrayLike,
    probabilities_a: ArrayLike,
    probabilities_b: ArrayLike,
    *,
    classes: Sequence[str],
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
) -> pd.DataFrame:
    """Paired difference of two many-class models on the same rows, a minus b: one-vs-rest AUCs and their mean.

    DeLong's test compares two AUCs; a macro AUC is a mean of dependent AUCs, and its variance is not DeLong's. Here
    both models are measured in every bootstrap resample of the rows (or patients). The p-value is twice the smaller
    share of resamples on one side of 0 (the sample itself counted among them, so it is never 0): the percentile
    interval turned round, with its assumption that resamples scatter about the estimate as estimates do about the
    truth.

    Returns
    -------
    DataFrame
        Index: the classes, ``macro``; columns a, b, difference, low, high, p_value; attrs as in `bootstrap_ci`.
    """
    y_true, probabilities_a, classes = checks.class_table(y_true, probabilities_a, classes)
    _, probabilities_b, _ = checks.class_table(y_true, probabilities_b, classes)
    sums = resampled_sums(
        np.zeros((0, len(y_true))),
        [
            PairwiseAuc.of_classes(y_true == name, probabilities[:, k])
            for probabilities in (probabilities_a, probabilities_b)
            for k, name in enumerate(classes)
        ],
        n_resamples=n_resamples,
        seed=seed,
        units=checks.units(groups, len(y_true)),
    )
    a, b = sums.aucs[: len(classes)], sums.aucs[len(classes) :]
    a, b = np.vstack([a, a.mean(axis=0)]), np.vstack([b, b.mean(axis=0)])
    names = [*classes, "macro"]
    frame = intervals(dict(zip(names, a - b, strict=True)), n_resamples=n_resamples, level=level, method="percentile")
    attrs = frame.attrs
    frame = frame.rename(columns={"estimate": "difference"}).rename_axis("auc")
    frame.insert(0, "a", a[:, 0])
    frame.insert(1, "b", b[:, 0])
    frame["p_value"] = [_two_sided(row[1:]) for row in a - b]
    frame.attrs = attrs
    return frame


def _two_sided(differences: np.ndarray) -> float:
    defined = differences[~np.isnan(differences)]
    if len(defined) == 0:
        return float("nan")
    tails = [(1 + (sign * defined <= 0).sum()) / (1 + len(defined)) for sign in (1, -1)]
    return min(1.0, 2 * min(tails))


def confusion(y_true: ArrayLike, probabilities: ArrayLike, *, classes: Sequence[str]) -> pd.DataFrame:
    """Counts of true class (rows) by argmax class (columns)."""
    from sklearn.metrics import confusion_matrix

    y_true, probabilities, classes = checks.class_table(y_true, probabilities, classes)
    called = np.asarray(classes)[probabilities.argmax(axis=1)]
    matrix = confusion_matrix(y_true, called, labels=classes)
    return pd.DataFrame(matrix, pd.Index(classes, name="true"), pd.Index(classes, name="predicted"))


def _known(metrics: Sequence[str]) -> list[str]:
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in names if name not in BINARY_METRICS]
    if unknown or not names:
        raise ValueError(f"metrics: unknown metric {', '.join(unknown)}; known: {', '.join(BINARY_METRICS)}")
    return names


def _with_undefined_share(report: pd.DataFrame) -> pd.DataFrame:
    """A report whose index has become a column, with the share of resamples in which each metric is undefined."""
    part = report.assign(undefined=pd.Series(report.attrs["undefined"]) / report.attrs["n_resamples"]).reset_index()
    part.attrs = {}
    return part
