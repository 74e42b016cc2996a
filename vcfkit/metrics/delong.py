"""DeLong's variance of the AUC and what follows from it: an interval, and tests of two or many models.

Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837. The structural component of a case is the share of
controls it outscores (ties half), that of a control the share of cases that outscore it; their variances over cases
and over controls, each divided by its number, add up to that of the AUC. Here the rows are sorted once per model and
the components are read off running counts (in the spirit of Sun & Xu 2014): O(n log n), not O(cases × controls).

Assumptions: rows are independent (one per patient, or few patients have several: else `bootstrap_ci` with groups), and
there are enough of both classes for a normal limit. At AUC 1 (or 0) every component is equal and the variance is 0: the
interval is then the point itself, which says that the method has run out, not that the AUC is certain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from vcfkit import checks
from vcfkit.estimates import Interval, TestResult


class DelongMatrix(NamedTuple):
    """All pairs of K models on the same rows; matrices are (K, K), row model minus column model."""

    models: tuple[str, ...]
    auc: np.ndarray  # (K,)
    covariance: np.ndarray
    difference: np.ndarray
    variance: np.ndarray
    """Of the difference: computed from the components' differences, hence exactly 0 for models that rank alike."""
    statistic: np.ndarray
    p_value: np.ndarray

    def frame(self) -> pd.DataFrame:
        """One row per pair: model_a, model_b, auc_a, auc_b, difference, statistic, p_value, p_holm (over all pairs)."""
        from vcfkit.metrics.comparisons import holm

        a, b = np.array(list(combinations(range(len(self.models)), 2))).T
        names = np.asarray(self.models, dtype=object)
        return pd.DataFrame(
            {
                "model_a": names[a],
                "model_b": names[b],
                "auc_a": self.auc[a],
                "auc_b": self.auc[b],
                "difference": self.difference[a, b],
                "statistic": self.statistic[a, b],
                "p_value": self.p_value[a, b],
                "p_holm": holm(self.p_value[a, b]),
            }
        )


def delong_ci(y_true: ArrayLike, y_score: ArrayLike, *, level: float = 0.95) -> Interval:
    """AUC with DeLong's interval: estimate ± z·sqrt(variance), cut to [0, 1] (as pROC's ``ci.auc``).

    Parameters
    ----------
    y_true, y_score : arrays, shape (n,)
        {0, 1}, at least two of each; any score that rises with class 1. One row per unit of analysis.

    Returns
    -------
    Interval
        estimate, low, high; ``.variance``.

    Raises
    ------
    ValueError
        Names the argument: fewer than two rows of a class, labels other than 0/1, scores that are not finite.
    """
    quantile = ndtri((1 + checks.level(level)) / 2)
    positive, score = checks.truth_and_score(y_true, y_score, per_class=2)
    area, variance = _auc_and_variance(positive, score)
    half = float(quantile) * math.sqrt(variance)
    return Interval(area, max(0.0, area - half), min(1.0, area + half), variance=variance)


def delong_test(y_true: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, level: float = 0.95) -> TestResult:
    """Two models on the same rows: z = (AUC_a − AUC_b) / sqrt(variance of the difference), two-sided normal p.

    Models that rank every case and control alike differ by 0 with variance 0: z = 0 and p = 1 by convention (pROC's).
    A difference other than 0 with variance 0 (say, a perfect model against a constant) cannot be tested this way: z and
    p are NaN, where pROC prints p = 0.

    Parameters
    ----------
    y_true : array, shape (n,)
        {0, 1}, at least two of each. One row per unit of analysis.
    score_a, score_b : arrays, shape (n,)
        Any scores that rise with class 1, of the same rows in the same order.
    level : float
        Of the difference's interval, between 0 and 1.

    Returns
    -------
    TestResult
        auc_a, auc_b, difference, statistic (z), p_value; ``.low``, ``.high``, ``.variance`` of the difference.

    Raises
    ------
    ValueError
        Names the argument: fewer than two rows of a class, labels other than 0/1, scores that are not finite, lengths
        that differ.
    """
    quantile = ndtri((1 + checks.level(level)) / 2)
    positive, score_a = checks.truth_and_score(y_true, score_a, names=("y_true", "score_a"), per_class=2)
    _, score_b = checks.truth_and_score(y_true, score_b, names=("y_true", "score_b"), per_class=2)
    cases, controls = _components(positive, np.stack([score_a, score_b]))
    area = cases.mean(axis=1)
    difference, variance = float(area[0] - area[1]), float(_difference_variance(cases, controls, [0], [1])[0])
    z = _statistic(difference, variance)
    half = float(quantile) * math.sqrt(variance)
    return TestResult(
        float(area[0]),
        float(area[1]),
        difference,
        float(z),
        float(2 * ndtr(-abs(z))),
        variance=variance,
        low=difference - half,
        high=difference + half,
    )


def delong_test_unpaired(
    y_true_a: ArrayLike, score_a: ArrayLike, y_true_b: ArrayLike, score_b: ArrayLike, *, level: float = 0.95
) -> TestResult:
    """Two AUCs from different rows (two cohorts): Welch's t, as pROC's ``roc.test(paired = FALSE)``.

    With variances S_a, S_b of the AUCs and n_a, n_b rows: t = (AUC_a − AUC_b) / sqrt(S_a + S_b), degrees of freedom
    (S_a + S_b)² / (S_a²/(n_a − 1) + S_b²/(n_b − 1)). Equal AUCs with both variances 0 give t = 0, p = 1; unequal ones
    NaN, as in `delong_test`.

    Parameters
    ----------
    y_true_a, score_a : arrays, shape (n_a,)
        Of the first sample: {0, 1}, at least two of each; any score that rises with class 1.
    y_true_b, score_b : arrays, shape (n_b,)
        Of the second, with nobody in common with the first.
    level : float
        Of the difference's interval, between 0 and 1.

    Returns
    -------
    TestResult
        auc_a, auc_b, difference, statistic (t), p_value; ``.df``, ``.low``, ``.high``, ``.variance``.

    Raises
    ------
    ValueError
        As `delong_test`, naming the sample's argument.
    """
    level = checks.level(level)
    sides = []
    for y_true, score, names in (
        (y_true_a, score_a, ("y_true_a", "score_a")),
        (y_true_b, score_b, ("y_true_b", "score_b")),
    ):
        positive, values = checks.truth_and_score(y_true, score, names=names, per_class=2)
        sides.append((*_auc_and_variance(positive, values), len(values)))
    (auc_a, var_a, n_a), (auc_b, var_b, n_b) = sides
    difference, variance = auc_a - auc_b, var_a + var_b
    t = _statistic(difference, variance)
    df = variance**2 / (var_a**2 / (n_a - 1) + var_b**2 / (n_b - 1)) if variance > 0 else math.inf
    p_value = 2 * (stdtr(df, -abs(t)) if math.isfinite(df) else ndtr(-abs(t)))
    quantile = stdtrit(df, (1 + level) / 2) if math.isfinite(df) else 0.0
    half = float(quantile) * math.sqrt(variance)
    return TestResult(
        auc_a,
        auc_b,
        difference,
        float(t),
        float(p_value),
        df=df,
        variance=variance,
        low=difference - half,
        high=difference + half,
    )


def delong_matrix(y_true: ArrayLike, scores: Mapping[str, ArrayLike] | ArrayLike) -> DelongMatrix:
    """`delong_test` for every pair of models at once, with one covariance matrix for all.

    Parameters
    ----------
    y_true : array, shape (n,)
    scores : mapping of model name to array of shape (n,), DataFrame, or array of shape (n, n_models)

    Returns
    -------
    DelongMatrix
        ``.frame()`` lists the pairs, with Holm's adjustment. The diagonal of p_value is 1.
    """
    positive = checks.truth("y_true", y_true, per_class=2)
    models, table = _model_table(scores, len(positive))
    cases, controls = _components(positive, table)
    area = cases.mean(axis=1)
    covariance = np.atleast_2d(np.cov(cases)) / cases.shape[1] + np.atleast_2d(np.cov(controls)) / controls.shape[1]
    difference = area[:, None] - area
    a, b = np.triu_indices(len(models), 1)
    variance = np.zeros_like(covariance)
    variance[a, b] = variance[b, a] = _difference_variance(cases, controls, a, b)
    statistic = _statistic(difference, variance)
    return DelongMatrix(models, area, covariance, difference, variance, statistic, 2 * ndtr(-np.abs(statistic)))


def _components(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Structural components of K models, shapes (K, n_cases) and (K, n_controls); their means are the AUCs."""
    n = len(positive)
    case_rows, control_rows = np.flatnonzero(positive), np.flatnonzero(~positive)
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    is_case = positive[order]
    controls = np.zeros((len(scores), n + 1), dtype=np.int64)
    np.cumsum(~is_case, axis=1, out=controls[:, 1:])
    # Twice the count with ties taken half: rows strictly below each row, plus rows up to and at its score.
    first = last = np.arange(n)
    twice_controls = controls[:, :-1] + controls[:, 1:]
    changes = ordered[:, 1:] != ordered[:, :-1]
    if not changes.all():
        first, last = _tie_runs(changes)
        twice_controls = np.take_along_axis(controls, first, axis=1) + np.take_along_axis(controls, last + 1, axis=1)
    twice_cases = first + last + 1 - twice_controls
    share = np.where(is_case, twice_controls / (2 * len(control_rows)), 1 - twice_cases / (2 * len(case_rows)))
    components = np.empty_like(share)
    np.put_along_axis(components, order, share, axis=1)
    return components.take(case_rows, axis=1), components.take(control_rows, axis=1)


def _tie_runs(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the run of equal scores around each sorted row starts and ends; ``changes``: where neighbours differ."""
    edge = np.ones((len(changes), 1), dtype=bool)
    starts, ends = np.hstack([edge, changes]), np.hstack([changes, edge])
    n = starts.shape[1]
    first = np.maximum.accumulate(np.where(starts, np.arange(n), 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, np.arange(n), n)[:, ::-1], axis=1)[:, ::-1]
    return first, last


def _auc_and_variance(positive: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    cases, controls = _components(positive, score[None])
    variance = cases.var(axis=1, ddof=1) / cases.shape[1] + controls.var(axis=1, ddof=1) / controls.shape[1]
    return float(cases.mean()), float(variance[0])


def _difference_variance(cases: np.ndarray, controls: np.ndarray, a: Sequence[int], b: Sequence[int]) -> np.ndarray:
    """Variance of AUC_a − AUC_b for each pair, exactly 0 where the components differ by one constant or not at all."""
    total = np.zeros(len(a))
    for component in (cases, controls):
        gap = component[a] - component[b]
        spread = gap.var(axis=1, ddof=1) / gap.shape[1]
        total += np.where(np.ptp(gap, axis=1) > 0, spread, 0.0)
    return total


def _statistic(difference: ArrayLike, variance: ArrayLike) -> np.ndarray:
    """Difference over its standard error; with variance 0, 0 for no difference and NaN (untestable) for any other."""
    difference, variance = np.asarray(difference, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    untestable = np.where(difference == 0, 0.0, np.nan)
    return np.divide(difference, np.sqrt(variance), out=untestable, where=variance > 0)


def _model_table(scores: Mapping[str, ArrayLike] | ArrayLike, n: int) -> tuple[tuple[str, ...], np.ndarray]:
    if isinstance(scores, Mapping | pd.DataFrame):
        models = tuple(str(name) for name in scores)
        columns = [checks.finite(f"scores[{name!r}]", scores[name]) for name in scores]
        if any(len(column) != n for column in columns):
            raise ValueError(f"scores: {n} rows required, found {[len(column) for column in columns]}")
        table = np.stack(columns) if columns else np.empty((0, n))
    else:
        table = checks.finite("scores", scores, ndim=2).T
        models = tuple(str(k) for k in range(len(table)))
        if table.shape[1] != n:
            raise ValueError(f"scores of shape ({n}, n_models) required, found {table.T.shape}")
    if len(models) < 2:
        raise ValueError(f"scores: two or more models required, found {len(models)}")
    return models, np.ascontiguousarray(table)
