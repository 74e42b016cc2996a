"""Are predicted risks as large as the observed frequencies?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from vcfkit import checks


class Calibration(NamedTuple):
    """Slope and intercept of the logistic recalibration, calibration in the large, Brier score, curve distances."""

    slope: float
    intercept: float
    intercept_in_the_large: float
    brier: float
    e_max: float
    e_90: float
    e_average: float


def calibration(y_true: ArrayLike, risk: ArrayLike) -> Calibration:
    """Calibration of predicted risks, with the definitions of R's ``rms::val.prob``.

    - slope, intercept: logit P(y = 1) = intercept + slope · logit(risk), maximum likelihood (Cox 1958). 1 and 0 are
      ideal; a slope below 1 says that the risks are too extreme.
    - intercept_in_the_large: the intercept when the slope is held at 1; positive where risks are too low on average.
    - brier: mean (y − risk)².
    - e_max, e_90, e_average: largest, 90 % quantile and mean over the rows of |risk − smoothed y|, smoothed by
      lowess (span 2/3, no robustness steps, interpolation below 1 % of the range: R's ``lowess(risk, y, iter = 0)``).
      The smooth follows chance in small samples: e_max is above 0 for a perfectly calibrated model.

    Parameters
    ----------
    y_true, risk : arrays, shape (n,)
        {0, 1} and the predicted risk, strictly between 0 and 1. One row per unit of analysis.

    Returns
    -------
    Calibration
        slope and intercept are NaN where they do not exist: one value of risk only, or classes that the risk separates
        completely (the likelihood then has no maximum); the curve distances are NaN for one value of risk.

    Raises
    ------
    ValueError
        Names the argument; a risk of exactly 0 or 1 has no logit: clip it, and say so, before calling.
    """
    from statsmodels.nonparametric.smoothers_lowess import lowess

    positive, risk = checks.truth_and_score(y_true, risk, names=("y_true", "risk"))
    if not ((risk > 0) & (risk < 1)).all():
        outside = int(((risk <= 0) | (risk >= 1)).sum())
        raise ValueError(f"risk strictly between 0 and 1 required, {outside} values are not; clip them before calling")
    y, x = positive.astype(np.float64), logit(risk)
    varies = np.ptp(x) > 0
    separated = x[positive].min() >= x[~positive].max() or x[positive].max() <= x[~positive].min()
    intercept = slope = np.nan
    if varies and not separated:
        intercept, slope = _logistic(y, np.column_stack([np.ones_like(x), x]))
    (in_the_large,) = _logistic(y, np.ones((len(x), 1)), offset=x)
    distance = np.full(len(x), np.nan)
    if varies:
        smooth = lowess(y, risk, frac=2 / 3, it=0, delta=0.01 * np.ptp(risk), return_sorted=False)
        distance = np.abs(risk - smooth)
    return Calibration(
        float(slope),
        float(intercept),
        float(in_the_large),
        float(np.mean((y - risk) ** 2)),
        float(distance.max()),
        float(np.quantile(distance, 0.9)),
        float(distance.mean()),
    )


def _logistic(y: np.ndarray, design: np.ndarray, *, offset: np.ndarray | None = None) -> np.ndarray:
    """Coefficients of an unpenalised logistic regression."""
    import statsmodels.api as sm

    model = sm.GLM(y, design, family=sm.families.Binomial(), offset=offset)
    return model.fit(maxiter=200, tol=1e-14).params
