"""Stability of a selection over resamples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from vcfkit import checks
from vcfkit.estimates import Interval


def selection_stability(selected: ArrayLike, *, level: float = 0.95) -> Interval:
    """Stability of feature sets, with its asymptotic interval (Nogueira, Sechidis & Brown 2018, JMLR 18:174).

    One less the mean variance of a feature's selection over its expectation when as many features are drawn at random:
    1 where every run selects the same features, about 0 where runs agree by chance. The interval takes the runs as
    independent, which resamples of one cohort are not: it says how well so many runs determine the index.

    Parameters
    ----------
    selected : array, shape (n_runs, n_features)
        {0, 1}: whether a run selected a feature; at least two runs.

    Returns
    -------
    Interval
        NaN where undefined: no run selects anything, or all select everything.
    """
    z = checks.numeric("selected", selected, ndim=2)
    if len(z) < 2 or z.shape[1] < 1 or not np.isin(z, (0, 1)).all():
        raise ValueError(f"selected: two runs or more of 0 and 1 required, found shape {z.shape}")
    m, d = z.shape
    share, size = z.mean(axis=0), z.sum(axis=1)
    mean = size.mean()
    chance = mean / d * (1 - mean / d)
    if chance == 0:
        return Interval(np.nan, np.nan, np.nan)
    index = 1 - (m / (m - 1) * share * (1 - share)).mean() / chance
    each = z @ share / d - size * mean / d**2
    each = (each + index / 2 * (2 * mean * size / d**2 - size / d - mean / d + 1)) / chance
    spread = norm.ppf((1 + checks.level(level)) / 2) * np.sqrt(4 / m**2 * ((each - each.mean()) ** 2).sum())
    return Interval(float(index), float(index - spread), float(index + spread))
