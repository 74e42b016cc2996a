"""Tests that do not rest on DeLong: McNemar, a permutation test of two AUCs, Holm's adjustment, models over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from vcfkit import checks
from vcfkit.estimates import TestResult
from vcfkit.metrics.resampling import CHUNK, PairwiseAuc

if TYPE_CHECKING:
    import pandas as pd


class McnemarResult(NamedTuple):
    """``only_a``: rows that a gets right and b wrong; ``only_b`` the reverse."""

    statistic: float
    p_value: float
    only_a: int
    only_b: int


def mcnemar(y_true: ArrayLike, called_a: ArrayLike, called_b: ArrayLike, *, exact: bool = True) -> McnemarResult:
    """Do two decisions on the same rows differ in how often they are right (McNemar 1947; statsmodels)?

    Restrict the rows to the positives (negatives) to compare sensitivities (specificities).

    Parameters
    ----------
    y_true, called_a, called_b : arrays of 0 and 1, shape (n,)
        The truth (one class alone is allowed) and two decisions. One row per unit of analysis, rows independent.
    exact : bool
        Two-sided binomial test, with the smaller count as statistic; or chi-square with one degree of freedom and
        continuity correction, (|only_a − only_b| − 1)² / (only_a + only_b).

    Returns
    -------
    McnemarResult
        Equal discordant counts, none included, give p = 1 (and chi-square 0, as R's ``mcnemar.test``).
    """
    from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

    labels = checks.numeric("y_true", y_true)
    y = checks.decisions("y_true", labels, len(labels))
    right_a = checks.decisions("called_a", called_a, len(y)) == y
    right_b = checks.decisions("called_b", called_b, len(y)) == y
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    if only_a == only_b:
        return McnemarResult(float(only_a) if exact else 0.0, 1.0, only_a, only_b)
    table = [[int((right_a & right_b).sum()), only_a], [only_b, int((~right_a & ~right_b).sum())]]
    found = statsmodels_mcnemar(table, exact=exact, correction=True)
    return McnemarResult(float(found.statistic), float(found.pvalue), only_a, only_b)


def auc_permutation_test(
    y_true: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    *,
    n_permutations: int = 2000,
    seed: int | np.random.Generator = 0,
) -> TestResult:
    """Paired permutation test of two AUCs (Bandos, Rockette & Gur 2005).

    Under the hypothesis that the two models are exchangeable in every row, their ranks (each model's own midranks, so
    that scales do not matter) are swapped row by row at random: ``rng.integers(0, 2, n)`` once per permutation.
    p = (1 + number of permutations with a difference at least as large) / (1 + n_permutations), two-sided.

    Parameters
    ----------
    y_true, score_a, score_b : arrays, shape (n,)
        As in `delong_test`; rows independent.

    Returns
    -------
    TestResult
        auc_a, auc_b, difference, statistic (the difference itself), p_value.
    """
    import torch

    positive, score_a = checks.truth_and_score(y_true, score_a, names=("y_true", "score_a"))
    _, score_b = checks.truth_and_score(y_true, score_b, names=("y_true", "score_b"))
    n, rng = len(positive), checks.generator(seed)
    checks.count("n_permutations", n_permutations)
    # Rows 0..n−1 carry model a's rank, rows n..2n−1 model b's; a permutation is which of the two are present.
    ranks = np.concatenate([rankdata(score_a), rankdata(score_b)])
    auc = PairwiseAuc.of_classes(np.tile(positive, 2), ranks)
    present = torch.zeros((2 * n, 1), dtype=torch.float64)
    present[:n] = 1
    auc_a, auc_b = float(auc(present)), float(auc(1 - present))
    difference, as_large, step = auc_a - auc_b, 0, max(16, CHUNK["cpu"] // n)
    for start in range(0, n_permutations, step):
        kept = torch.from_numpy(rng.integers(0, 2, (min(step, n_permutations - start), n)).T.astype(np.float64))
        swapped = auc(torch.cat([kept, 1 - kept])) - auc(torch.cat([1 - kept, kept]))
        # AUCs are multiples of 1/(2·cases·controls): far coarser than this margin, which only absorbs rounding.
        as_large += int((swapped.abs() >= abs(difference) - 1e-12).sum())
    return TestResult(auc_a, auc_b, difference, difference, (1 + as_large) / (1 + n_permutations))


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's step-down adjustment for several tests (Holm 1979; statsmodels), in the order given.

    Tests without a p (NaN) stay so and do not count among the tests, as in R's ``p.adjust``.
    """
    from statsmodels.stats.multitest import multipletests

    values = checks.numeric("p_values", p_values)
    known = ~np.isnan(values)
    if ((values[known] < 0) | (values[known] > 1)).any():
        raise ValueError(f"p_values between 0 and 1 required, found {values[known].min()} to {values[known].max()}")
    adjusted = np.full(len(values), np.nan)
    if known.any():
        adjusted[known] = multipletests(values[known], method="holm")[1]
    return adjusted


class SeedDifference(NamedTuple):
    """Difference of two models over seeds, with its t interval, and where the scatter comes from."""

    difference: float
    low: float
    high: float
    p_value: float
    n_seeds: int
    sd_seed: float  # between seeds, shared by both models
    sd_network: float  # between networks of one seed: what a single comparison cannot tell from a difference
    sd_residual: float  # between cohorts, within a network
    note: str


def seed_difference(points: pd.DataFrame, *, value: str = "auc", level: float = 0.95) -> SeedDifference:
    """Is the difference of two models larger than the noise of their seeds? A linear mixed model (statsmodels, REML).

    ``value = model + cohort + seed + seed × model + residual``: model and cohort fixed, the others random. A trained
    network (seed × model) is what is repeated; its values in several cohorts are not independent.

    Parameters
    ----------
    points : DataFrame
        Columns seed, cohort, model and ``value``: every model once per seed and cohort. The difference is the first
        model named less the second.

    Returns
    -------
    SeedDifference
        In this balanced design the model's estimate is the mean difference of the networks' means over cohorts, and its
        exact test (Satterthwaite's degrees of freedom are n_seeds - 1) the paired t of those means, which is what is
        given: statsmodels' own z interval is too narrow for ten seeds and fails where a variance is 0. ``note`` holds
        what statsmodels warned of. All speaks of further seeds on the same patients, not of other patients.

    Raises
    ------
    ValueError
        Other than two models, fewer than three seeds, or a design that is not balanced.
    """
    import warnings

    import pandas as pd
    from scipy.stats import ttest_rel
    from statsmodels.regression.mixed_linear_model import MixedLM

    names = list(pd.unique(points["model"]))
    counts = points.groupby(["seed", "cohort", "model"]).size()
    n_seeds, n_cohorts = points["seed"].nunique(), points["cohort"].nunique()
    if len(names) != 2 or n_seeds < 3:
        raise ValueError(f"points: two models and at least three seeds required, found {names}, {n_seeds} seeds")
    if len(counts) != 2 * n_seeds * n_cohorts or (counts != 1).any():
        raise ValueError("points: every model once per seed and cohort required")
    table = points.assign(first=(points["model"] == names[0]).astype(float), value=points[value])
    fixed = "value ~ first + C(cohort)" if n_cohorts > 1 else "value ~ first"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixedLM.from_formula(
            fixed,
            table,
            groups="seed",
            re_formula="1",
            vc_formula={"network": "0 + C(model)"} if n_cohorts > 1 else None,
        )
        fitted = model.fit(reml=True, method=["lbfgs", "powell"])
    means = points.groupby(["seed", "model"])[value].mean().unstack()
    test = ttest_rel(means[names[0]], means[names[1]])
    interval = test.confidence_interval(level)
    network = float(fitted.vcomp[0]) if n_cohorts > 1 else 0.0
    return SeedDifference(
        float((means[names[0]] - means[names[1]]).mean()),
        float(interval.low),
        float(interval.high),
        float(test.pvalue),
        n_seeds,
        float(np.sqrt(max(fitted.cov_re.iloc[0, 0], 0))),
        float(np.sqrt(max(network, 0))),
        float(np.sqrt(fitted.scale)),
        "; ".join(dict.fromkeys(str(warning.message) for warning in caught)),
    )
