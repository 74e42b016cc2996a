"""Agreement of repeated delineations: the intraclass correlation coefficient.

References: Shrout & Fleiss 1979 (Psychol Bull 86:420), McGraw & Wong 1996 (Psychol Methods 1:30).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vcfkit.estimates import Interval

# Names of Shrout & Fleiss, and of R's psych: model (1, 2, 3) and whether the mean of all raters is the measurement.
ICC_FORMS: dict[str, tuple[int, bool]] = {
    "ICC(1,1)": (1, False),
    "ICC(2,1)": (2, False),
    "ICC(3,1)": (3, False),
    "ICC(1,k)": (1, True),
    "ICC(2,k)": (2, True),
    "ICC(3,k)": (3, True),
    "ICC1": (1, False),
    "ICC2": (2, False),
    "ICC3": (3, False),
    "ICC1k": (1, True),
    "ICC2k": (2, True),
    "ICC3k": (3, True),
}


class _MeanSquares(NamedTuple):
    """Mean squares of the targets × raters table; n targets, k raters."""

    targets: np.ndarray  # between targets, n − 1 degrees of freedom
    within: np.ndarray  # within targets, n (k − 1)
    raters: np.ndarray  # between raters, k − 1
    error: np.ndarray  # residual, (n − 1)(k − 1)
    n: int
    k: int


def icc(ratings: ArrayLike, *, form: str = "ICC(2,1)") -> float:
    """Intraclass correlation coefficient (Shrout & Fleiss 1979).

    With MSR, MSW, MSC, MSE the mean squares between targets, within targets, between raters and of the residual:

    ========  ================================================  ==================================================
    ICC(1,1)  (MSR − MSW) / (MSR + (k−1) MSW)                   other raters for every target
    ICC(2,1)  (MSR − MSE) / (MSR + (k−1) MSE + k(MSC − MSE)/n)  same raters, random: absolute agreement
    ICC(3,1)  (MSR − MSE) / (MSR + (k−1) MSE)                   same raters, fixed: consistency
    ICC(·,k)  k·ICC(·,1) / (1 + (k−1)·ICC(·,1))                 the mean of the k raters (Spearman–Brown)
    ========  ================================================  ==================================================

    Parameters
    ----------
    ratings : array, shape (n_targets, n_raters)
        One feature, measured once per target and rater (or per repeated delineation). At least two of each.
    form : name out of ``ICC_FORMS``
        The papers say "ICC ≥ 0.8" and no more; ICC(2,1) is the usual reading for two readers who stand for others.

    Returns
    -------
    float
        At most 1; below 0 where raters agree less than by chance. NaN where undefined: the estimate of the total
        variance (the denominator) is not positive, as with a feature that never varies.

    Raises
    ------
    ValueError
        Unknown form; a shape other than targets × raters; fewer than two targets or raters; a missing value.
    """
    return float(_icc(_mean_squares(_check_ratings(ratings, ndim=2)), *_icc_form(form)))


def icc_features(ratings: ArrayLike, *, form: str = "ICC(2,1)") -> np.ndarray:
    """`icc` of many features at once.

    Parameters
    ----------
    ratings : array, shape (n_features, n_targets, n_raters)
        From two frames of targets × features: ``np.stack([first.T, second.T], axis=2)``.

    Returns
    -------
    ndarray, shape (n_features,)
        NaN where undefined, which no threshold passes.
    """
    return _icc(_mean_squares(_check_ratings(ratings, ndim=3)), *_icc_form(form))


def icc_ci(ratings: ArrayLike, *, form: str = "ICC(2,1)", level: float = 0.95) -> Interval:
    """`icc` with its confidence interval (Shrout & Fleiss 1979; McGraw & Wong 1996, table 7).

    Exact F intervals for the forms 1 and 3; Satterthwaite's approximation for form 2. They assume normal target,
    rater and residual effects. An undefined ICC has undefined limits (NaN).
    """
    from scipy.stats import f

    if not 0 < level < 1:
        raise ValueError(f"level between 0 and 1 required, found {level}")
    model, average = _icc_form(form)
    ms = _mean_squares(_check_ratings(ratings, ndim=2))
    n, k = ms.n, ms.k
    single, estimate = float(_icc(ms, model, False)), float(_icc(ms, model, average))
    if np.isnan(single) or np.isnan(estimate):
        return Interval(estimate, np.nan, np.nan)
    if single == 1:  # raters agree to the last digit: every F ratio is infinite
        return Interval(1.0, 1.0, 1.0)
    upper = (1 + level) / 2
    if model == 2:
        a, b = k * single * ms.raters, (n * (1 + (k - 1) * single) - k * single) * ms.error
        v = (a + b) ** 2 / (a**2 / (k - 1) + b**2 / ((n - 1) * (k - 1)))
        q_low, q_high = f.ppf(upper, n - 1, v), f.ppf(upper, v, n - 1)
        rest = k * ms.raters + (k * n - k - n) * ms.error
        low = n * (ms.targets - q_low * ms.error) / (q_low * rest + n * ms.targets)
        high = n * (q_high * ms.targets - ms.error) / (rest + n * q_high * ms.targets)
    else:
        error, df = (ms.within, n * (k - 1)) if model == 1 else (ms.error, (n - 1) * (k - 1))
        q_low, q_high = f.ppf(upper, n - 1, df), f.ppf(upper, df, n - 1)
        low = (ms.targets - q_low * error) / (ms.targets + (k - 1) * q_low * error)
        high = (q_high * ms.targets - error) / (q_high * ms.targets + (k - 1) * error)
    if average:
        low, high = (k * limit / (1 + (k - 1) * limit) for limit in (low, high))
    return Interval(estimate, float(low), float(high))


def _icc_form(form: str) -> tuple[int, bool]:
    if form not in ICC_FORMS:
        raise ValueError(f"form: one of {', '.join(ICC_FORMS)} required, found {form!r}")
    return ICC_FORMS[form]


def _check_ratings(ratings: ArrayLike, *, ndim: int) -> np.ndarray:
    values = numbers(ratings, "ratings")
    axes = ("features", "targets", "raters")[-ndim:]
    if values.ndim != ndim:
        raise ValueError(f"ratings: {' × '.join(axes)} required ({ndim} axes), found shape {values.shape}")
    n, k = values.shape[-2:]
    if n < 2 or k < 2:
        raise ValueError(f"ratings: at least two targets and two raters required, found {n} targets, {k} raters")
    if not np.isfinite(values).all():
        raise ValueError(f"ratings: {int((~np.isfinite(values)).sum())} values are missing or infinite")
    return values


def _mean_squares(x: np.ndarray) -> _MeanSquares:
    """Two-way analysis of variance, one observation per cell, over the last two axes."""
    n, k = x.shape[-2:]
    x = x - x[..., :1, :1]  # an offset far larger than the differences would cost their digits
    target, rater = x.mean(axis=-1, keepdims=True), x.mean(axis=-2, keepdims=True)
    grand = target.mean(axis=-2, keepdims=True)
    targets = k * ((target - grand) ** 2).sum(axis=(-2, -1)) / (n - 1)
    within = ((x - target) ** 2).sum(axis=(-2, -1)) / (n * (k - 1))
    raters = n * ((rater - grand) ** 2).sum(axis=(-2, -1)) / (k - 1)
    error = ((x - target - rater + grand) ** 2).sum(axis=(-2, -1)) / ((n - 1) * (k - 1))
    # What is left of exact agreement after rounding is no variance: (1e-14 of the range)².
    rounding = 1e-28 * np.abs(x).max(axis=(-2, -1)) ** 2
    return _MeanSquares(*(np.where(ms <= rounding, 0.0, ms) for ms in (targets, within, raters, error)), n=n, k=k)


def _icc(ms: _MeanSquares, model: int, average: bool) -> np.ndarray:
    k = ms.k
    error = ms.within if model == 1 else ms.error
    shift = (ms.raters - ms.error) / ms.n if model == 2 else 0.0
    total = ms.targets + shift if average else ms.targets + (k - 1) * error + k * shift
    return np.divide(ms.targets - error, total, out=np.full_like(total, np.nan), where=total > 0)


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Numbers of a rectangular table as float64; text is refused even where it reads as a number."""
    try:
        raw = np.asarray(values)
        text = raw.dtype.kind == "O" and any(isinstance(value, str) for value in raw.ravel())
        if raw.dtype.kind in "biufO" and not text:
            return raw.astype(np.float64)
        found = "text" if text or raw.dtype.kind in "US" else str(raw.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: numbers in a rectangular table required ({error})") from error
    raise ValueError(f"{name}: numbers required, found {found}")
