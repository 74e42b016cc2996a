"""From risks to decisions: net benefit, the nomogram, calibration.

A row is one unit of analysis. Where several rows belong to one patient, bands and optimism come from resampling
patients (``groups``), not rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vcfkit import checks
from vcfkit.metrics import bootstrap_counts, weighted_auc

# ---------------------------------------------------------------------------------------------- decision curves


def net_benefit(y_true: ArrayLike, risk: ArrayLike, *, thresholds: ArrayLike, harm: float = 0.0) -> pd.DataFrame:
    """Net benefit of treating where the risk reaches a threshold (Vickers & Elkin 2006).

    TP/n − FP/n · t/(1 − t) − harm, with TP and FP counted among rows of ``risk >= t``. At t = 0 a risk of exactly 0
    counts as not reaching it, as in the dcurves packages (R and Python): a yes/no test then keeps its own true
    positives at t = 0 instead of turning into "treat all".

    Parameters
    ----------
    y_true : array, shape (n,)
        {0, 1} or booleans. One class only is allowed: net benefit is defined for it.
    risk : array, shape (n,)
        Predicted probability of class 1, within [0, 1].
    thresholds : array, shape (n_thresholds,)
        Threshold probabilities within [0, 1), in any order; the rows of the answer keep it.
    harm : float
        Harm of obtaining the prediction, in true positives per unit; charged to the model only.

    Returns
    -------
    DataFrame
        threshold, net_benefit, treat_all, treat_none.

    Raises
    ------
    ValueError
        Names the argument: lengths that differ, labels other than 0/1, risks outside [0, 1], thresholds outside [0, 1),
        values that are not finite, a harm that is negative.
    """
    y_true, risk = _outcomes(y_true), _risks(risk, "risk")
    _same_length(y_true, risk, "risk")
    thresholds, harm = _thresholds(thresholds), _harm(harm)
    ones = np.ones((1, len(y_true)))
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "net_benefit": _weighted_net_benefit(y_true, risk, ones, thresholds)[0] - harm,
            "treat_all": _treat_all(y_true, ones, thresholds)[0],
            "treat_none": 0.0,
        }
    )


def interventions_avoided(curve: pd.DataFrame) -> pd.Series:
    """Net interventions avoided against treating all, per unit (Vickers & Elkin 2006).

    (net benefit − net benefit of treating all) / (t/(1 − t)). As in R's dcurves, a division by zero at t = 0 is left as
    ±inf, or NaN where the model equals treating all. Meant for thresholds below the prevalence.

    Parameters
    ----------
    curve : DataFrame
        What `net_benefit` returns.
    """
    threshold = curve["threshold"]
    with np.errstate(divide="ignore", invalid="ignore"):
        avoided = (curve["net_benefit"] - curve["treat_all"]) / (threshold / (1 - threshold))
    return avoided.rename("interventions_avoided")


def decision_curve(
    y_true: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    thresholds: ArrayLike,
    harm: float | Mapping[str, float] = 0.0,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> pd.DataFrame:
    """Decision curves of several models with pointwise percentile bootstrap bands.

    All models, and treating all, share the same resamples (`vcfkit.metrics.bootstrap_counts`). The models are taken as
    given: the band is that of the test sample, not of the training.

    Parameters
    ----------
    y_true : array, shape (n,)
    risks : model name → array, shape (n,)
    thresholds : array, shape (n_thresholds,)
        As for `net_benefit`.
    harm : float, or model name → float
        Models without an entry have none.
    groups : array, shape (n,), optional
        Patient of each row; given, patients are resampled.

    Returns
    -------
    DataFrame
        model, threshold, net_benefit, low, high; the last two models are ``treat_all`` and ``treat_none``.
    """
    y_true, thresholds = _outcomes(y_true), _thresholds(thresholds)
    if not isinstance(risks, Mapping) or not risks:
        raise ValueError("risks: a mapping of model name to predicted risks required")
    if taken := sorted({"treat_all", "treat_none"} & set(risks)):
        raise ValueError(f"risks: {taken} are names of the reference strategies, not free for a model")
    if not isinstance(harm, Mapping):
        harm = dict.fromkeys(risks, harm)
    if strangers := sorted(set(harm) - set(risks)):
        raise ValueError(f"harm: no such model {strangers}; known: {sorted(risks)}")
    level, n_resamples = checks.level(level), checks.count("n_resamples", n_resamples)
    counts = bootstrap_counts(len(y_true), n_resamples, np.random.default_rng(seed), groups=groups)
    counts = np.concatenate([np.ones((1, len(y_true))), counts])  # row 0 is the sample itself
    values = {}
    for name, risk in risks.items():
        risk = _risks(risk, f"risks[{name!r}]")
        _same_length(y_true, risk, f"risks[{name!r}]")
        values[name] = _weighted_net_benefit(y_true, risk, counts, thresholds) - _harm(harm.get(name, 0.0))
    values["treat_all"] = _treat_all(y_true, counts, thresholds)
    values["treat_none"] = np.zeros((2, len(thresholds)))
    parts = []
    for name, value in values.items():
        low, high = np.quantile(value[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
        columns = {"model": name, "threshold": thresholds, "net_benefit": value[0], "low": low, "high": high}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _weighted_net_benefit(positive, risk, counts, thresholds) -> np.ndarray:
    """Net benefit without harm; shape (n_resamples, n_thresholds)."""
    levels, place = np.unique(thresholds, return_inverse=True)
    reached = np.searchsorted(levels, risk, side="right")  # how many of the sorted thresholds each risk reaches
    reached[risk == 0] = 0  # see `net_benefit` on t = 0
    step = reached[:, None] == np.arange(1, len(levels) + 1)
    # Rows that reach a threshold also reach all lower ones: count each row at its highest, then sum from the top.
    tp, fp = (
        np.cumsum((counts @ (step & chosen[:, None]).astype(np.float64))[:, ::-1], axis=1)[:, ::-1]
        for chosen in (positive, ~positive)
    )
    return ((tp - fp * (levels / (1 - levels))) / counts.sum(axis=1, keepdims=True))[:, place]


def _treat_all(positive, counts, thresholds) -> np.ndarray:
    prevalence = (counts @ positive.astype(np.float64) / counts.sum(axis=1))[:, None]
    return prevalence - (1 - prevalence) * (thresholds / (1 - thresholds))


# ----------------------------------------------------------------------------------------------------- nomogram


class Nomogram:
    """Points of a logistic model, as R's rms draws them (Harrell, ``nomogram``).

    Each predictor's axis starts at 0 points where its contribution to the linear predictor is smallest; the predictor
    with the largest contribution range spans ``max_points``. So points = k·(β·x − min β·x) with k = ``points_per_lp``,
    and the risk is expit(total / k + ``lp_at_zero``): nothing is rounded, so the risk equals the model's. Values
    outside a range are extrapolated (negative points, or more than the axis shows), which keeps that equality.

    Parameters
    ----------
    coefficients : mapping
        Predictor → coefficient per unit; or, for a factor, predictor → {level: coefficient}, with every level named,
        the reference at 0.
    intercept : float
    ranges : mapping
        Predictor → (low, high), the ends of its axis, for every predictor that is not a factor. rms takes `pretty`
        limits of the data.

    Attributes
    ----------
    points_per_lp : float
        Points per unit of linear predictor.
    lp_at_zero : float
        Linear predictor at 0 total points.

    Raises
    ------
    ValueError
        Names the predictor: a range that is missing, reversed, not finite or of an unknown predictor; a factor of fewer
        than two levels; a model without any effect.
    """

    def __init__(
        self,
        coefficients: Mapping[str, Any],
        intercept: float,
        ranges: Mapping[str, Sequence[float]],
        *,
        max_points: float = 100.0,
    ):
        self.coefficients = dict(coefficients)
        self.factors = {name for name, effect in self.coefficients.items() if isinstance(effect, Mapping)}
        self.ranges = {name: tuple(map(float, ends)) for name, ends in ranges.items() if name not in self.factors}
        self.intercept, self.max_points = float(intercept), float(max_points)
        if not (np.isfinite(self.intercept) and np.isfinite(self.max_points) and self.max_points > 0):
            raise ValueError(f"intercept, max_points: finite and positive required, found {intercept}, {max_points}")
        if strangers := sorted(set(ranges) - set(self.coefficients)):
            raise ValueError(f"ranges: no coefficient for {strangers}")
        self._lowest, spans = {}, {}
        for name in self.coefficients:
            effects = self._end_effects(name)
            self._lowest[name], spans[name] = min(effects), max(effects) - min(effects)
        if not spans or max(spans.values()) == 0:
            raise ValueError("coefficients: at least one predictor with an effect within its range required")
        self.points_per_lp = self.max_points / max(spans.values())
        self.lp_at_zero = self.intercept + sum(self._lowest.values())
        self._most_points = self.points_per_lp * sum(spans.values())

    def contributions(self, row: Mapping[str, Any] | pd.DataFrame) -> Any:
        """Points of each predictor: a dict for one row, a DataFrame (n × predictors) for a DataFrame.

        Raises
        ------
        ValueError
            Names the predictor that is missing, not finite, not a number, or at an unknown level.
        """
        frame = row if isinstance(row, pd.DataFrame) else pd.DataFrame([dict(row)])
        points = {}
        for name, effect in self.coefficients.items():
            if name not in frame:
                raise ValueError(f"row: predictor {name!r} is missing; found {list(frame.columns)}")
            if name in self.factors:
                unknown = [level for level in frame[name].unique() if level not in effect]
                if unknown:
                    raise ValueError(f"row: {name!r} has no level {unknown[0]!r}; known: {list(effect)}")
                contribution = np.array([effect[level] for level in frame[name]], dtype=np.float64)
            else:
                try:
                    contribution = effect * frame[name].to_numpy(dtype=np.float64)
                except (TypeError, ValueError):
                    raise ValueError(f"row: {name!r} holds values that are not numbers") from None
            if not np.isfinite(contribution).all():
                raise ValueError(f"row: {name!r} holds values that are not finite")
            points[name] = self.points_per_lp * (contribution - self._lowest[name])
        if isinstance(row, pd.DataFrame):
            return pd.DataFrame(points, index=row.index)
        return {name: float(value[0]) for name, value in points.items()}

    def points(self, row: Mapping[str, Any] | pd.DataFrame) -> Any:
        """Total points of one row or several.

        Parameters
        ----------
        row : mapping, Series, or DataFrame of n rows
            A value of every predictor: a number in the unit of its coefficient, or a factor's level.

        Returns
        -------
        float, or Series of n
            By the DataFrame's index.

        Raises
        ------
        ValueError
            As `contributions`.
        """
        contributions = self.contributions(row)
        return contributions.sum(axis=1) if isinstance(row, pd.DataFrame) else sum(contributions.values())

    def risk(self, total_points: ArrayLike) -> Any:
        """Predicted probability at a number of total points.

        Parameters
        ----------
        total_points : float, array or Series
            As `points` gives them; any finite number, also beyond the axes.

        Returns
        -------
        float, array or Series
            In [0, 1], of the kind that was given.

        Raises
        ------
        ValueError
            Points that are no numbers, or not finite.
        """
        if isinstance(total_points, pd.Series):
            return pd.Series(self.risk(total_points.to_numpy()), index=total_points.index)
        total = checks.finite("total_points", total_points, ndim=(0, 1, 2))
        risk = expit(total / self.points_per_lp + self.lp_at_zero)
        return float(risk) if risk.ndim == 0 else risk

    def axes(
        self,
        *,
        risks: Sequence[float] = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
        lp_range: tuple[float, float] | None = None,
        n_ticks: int = 10,
    ) -> dict[str, pd.DataFrame]:
        """The numbers a drawing needs: axis name → DataFrame(value, points), one row per tick.

        Axes in the order of drawing: ``points`` (0 to ``max_points``), each predictor, ``total_points``,
        ``linear_predictor``, ``risk``. Predictor axes share the scale of ``points``; the last three that of
        ``total_points``, where a tick stands at the total points it belongs to. A predictor without any effect has one
        place for all its ticks.

        Parameters
        ----------
        risks : probabilities to mark; those outside the linear predictor's axis are left out.
        lp_range : (low, high), optional
            Span of the linear predictor's axis before it is widened to round numbers. rms takes the fitted linear
            predictors of the training rows; omitted, all that the predictor axes allow.
        """
        wanted = np.asarray(risks, dtype=np.float64)
        if not ((wanted > 0) & (wanted < 1)).all():
            raise ValueError(f"risks: between 0 and 1 required, found {list(risks)}")
        axes = {"points": self._axis(pretty(0, self.max_points, n_ticks), lambda x: x)}
        for name, effect in self.coefficients.items():
            if name in self.factors:
                ticks = list(effect)
                contribution = np.array(list(effect.values()), dtype=np.float64)
            else:
                low, high = self.ranges[name]
                inner = pretty(low, high, n_ticks)
                ticks = np.unique(np.concatenate([[low, high], inner[(inner > low) & (inner < high)]]))
                contribution = effect * ticks
            points = self.points_per_lp * (contribution - self._lowest[name])
            axes[name] = pd.DataFrame({"value": ticks, "points": points})
        if lp_range is None:
            lp_range = self.lp_at_zero, self.lp_at_zero + self._most_points / self.points_per_lp
        lp = pretty(*lp_range, n_ticks)
        most = max(self.max_points, self._total(lp[-1]))
        axes["total_points"] = self._axis(pretty(0, most, n_ticks), lambda x: x)
        axes["linear_predictor"] = self._axis(lp, self._total)
        inside = (logit(wanted) >= lp[0]) & (logit(wanted) <= lp[-1])
        axes["risk"] = self._axis(wanted[inside], lambda x: self._total(logit(x)))
        return axes

    def _end_effects(self, name: str) -> list[float]:
        effect = self.coefficients[name]
        if name in self.factors:
            if len(effect) < 2:
                raise ValueError(f"coefficients: factor {name!r} needs two or more levels, the reference at 0 included")
            effects = [float(value) for value in effect.values()]
        else:
            ends = self.ranges.get(name)
            if ends is None or len(ends) != 2 or not ends[0] < ends[1]:
                raise ValueError(f"ranges: (low, high) of {name!r} required, found {ends}")
            effects = [effect * end for end in ends]
        if not np.isfinite(effects).all():
            raise ValueError(f"coefficients, ranges: {name!r} is not finite ({effect})")
        return effects

    def _total(self, lp):
        return (lp - self.lp_at_zero) * self.points_per_lp

    @staticmethod
    def _axis(ticks, place) -> pd.DataFrame:
        return pd.DataFrame({"value": ticks, "points": place(ticks)})


def pretty(low: float, high: float, n: int = 10) -> np.ndarray:
    """About ``n`` intervals of equal round steps that cover [low, high], as R's ``pretty`` (Becker, Chambers & Wilks).

    The step is 1, 2, 5 or 10 times a power of ten; R's default biases towards larger steps are kept.
    """
    if not (np.isfinite([low, high]).all() and low < high and n >= 1):
        raise ValueError(f"low, high, n: finite low < high and n >= 1 required, found {low}, {high}, {n}")
    cell = (high - low) / n
    base = 10.0 ** np.floor(np.log10(cell))
    step = base
    for factor, bias in ((2, 1.5), (5, 2.75), (10, 1.5)):
        if factor * base - cell < bias * (cell - step):
            step = factor * base
    first, last = np.floor(low / step + 1e-7), np.ceil(high / step - 1e-7)
    ticks = np.arange(first, last + 1)
    return ticks * step if step >= 1 else ticks / np.round(1 / step, 10)  # 6 / 5 is 1.2, 6 * 0.2 is not


def ridge_logistic(x: ArrayLike | pd.DataFrame, y_true: ArrayLike, *, penalty: float) -> LogisticRegression:
    """Logistic regression with a ridge penalty that does not depend on the predictors' units.

    Least −log-likelihood + penalty · Σ(βₖ·SDₖ)² / 2, SDₖ that of predictor k in these rows; the intercept is free. On
    predictors as they come, the same penalty shrinks a probability (0 to 1) a lot and an age in years hardly at all.

    Parameters
    ----------
    x : array or DataFrame, shape (n, n_predictors)
        Numeric predictors; a factor as 0/1 columns. One that does not vary gets a coefficient of 0.
    y_true : array, shape (n,)
        {0, 1}.
    penalty : float
        Above 0; 1e-6 stands for the maximum-likelihood fit where there is one.

    Returns
    -------
    sklearn.linear_model.LogisticRegression
        Fitted; ``coef_`` and ``intercept_`` are per unit of `x` as it is given.

    Raises
    ------
    ValueError
        Names the argument: one class only, values that are not finite, lengths that differ, a penalty of 0 or below.
    """
    y_true, values = _outcomes(y_true), checks.finite("x", x, ndim=2)
    _same_length(y_true, values, "x")
    if y_true.all() or not y_true.any():
        raise ValueError("y_true: both classes required")
    if checks.finite("penalty", penalty, ndim=0) <= 0:
        raise ValueError(f"penalty: above 0 required, found {penalty}")
    scale = StandardScaler().fit(values)
    model = LogisticRegression(C=1 / penalty, solver="newton-cholesky", max_iter=1000, tol=1e-10)
    model.fit(scale.transform(values), y_true.astype(int))
    model.coef_ = model.coef_ / scale.scale_
    model.intercept_ = model.intercept_ - model.coef_ @ scale.mean_
    return model


# -------------------------------------------------------------------------------------------------- calibration


class CorrectedCalibration(NamedTuple):
    """What `calibrate` returns.

    ``indices``: index auc, dxy, r2, intercept, slope, brier; columns apparent, training, test, optimism, corrected.
    ``curve``: columns predicted, apparent, corrected. ``n_failed``: resamples without a maximum-likelihood fit.
    """

    indices: pd.DataFrame
    curve: pd.DataFrame
    n_failed: int


def calibrate(
    x: ArrayLike | pd.DataFrame,
    y_true: ArrayLike,
    *,
    n_resamples: int = 200,
    seed: int = 0,
    groups: ArrayLike | None = None,
    predicted: ArrayLike | None = None,
) -> CorrectedCalibration:
    """Bootstrap-corrected calibration and discrimination of a logistic model (Harrell 2015; rms validate, calibrate).

    Each resample refits the model (all fits at once, by Newton's method); ``training`` is the index on the resample,
    ``test`` the index of that fit on the sample itself, optimism their mean difference, corrected = apparent −
    optimism. Slope and intercept of a test are those of y on the fit's linear predictor. The curve is lowess (f =
    2/3, no robustness step) of y on the predicted risk, corrected the same way, point by point; each point over the
    resamples that reach it. Only the refit is repeated: a model whose predictors were selected on the same rows is
    more optimistic than this shows.

    Parameters
    ----------
    x : array or DataFrame, shape (n, n_predictors)
        Numeric predictors; a factor as 0/1 columns.
    y_true : array, shape (n,)
        {0, 1}.
    groups : array, shape (n,), optional
        Patient of each row; given, patients are resampled.
    predicted : array, optional
        Risks at which the curve is wanted. Default: 50 from the 5th smallest to the 5th largest prediction, as in rms.

    Raises
    ------
    ValueError
        Names the argument: one class only, a predictor that is constant or not finite, lengths that differ, classes
        that the predictors separate perfectly.
    """
    y_true, design = _outcomes(y_true), _design(x)
    _same_length(y_true, design, "x")
    if y_true.all() or not y_true.any():
        raise ValueError("y_true: both classes required")
    checks.count("n_resamples", n_resamples)
    n = len(y_true)
    ones = np.ones((1, n))
    lp = (design @ _logistic(design, y_true, ones)[0]).ravel()
    if np.isnan(lp).any():
        raise ValueError("x: no maximum-likelihood fit: the predictors separate the classes, or depend on each other")
    counts = bootstrap_counts(n, n_resamples, np.random.default_rng(seed), groups=groups)
    fits = _logistic(design, y_true, counts)
    fitted = ~np.isnan(fits[:, 0])
    if not fitted.any():
        raise ValueError(
            "x: no resample has a maximum-likelihood fit; the sample is too small for bootstrap correction"
        )
    counts, lps = counts[fitted], fits[fitted] @ design.T
    apparent = _indices(y_true, lp[None], ones)
    training = _indices(y_true, lps, counts).mean()
    test = _indices(y_true, lps, np.ones(counts.shape)).mean()
    indices = pd.DataFrame({"apparent": apparent.iloc[0], "training": training, "test": test})
    indices["optimism"] = indices["training"] - indices["test"]
    indices["corrected"] = indices["apparent"] - indices["optimism"]

    if predicted is None:
        if n < 11:
            raise ValueError(f"predicted: to be given for fewer than 11 rows, found {n}")
        order = np.sort(expit(lp))
        predicted = np.linspace(order[4], order[-5], 50)
    predicted = _risks(predicted, "predicted")
    optimism = np.empty((len(counts), len(predicted)))
    for k, (weight, risk) in enumerate(zip(counts, expit(lps), strict=True)):
        rows = np.repeat(np.arange(n), weight.astype(int))
        optimism[k] = smooth_calibration(y_true[rows], risk[rows], predicted)
        optimism[k] -= smooth_calibration(y_true, risk, predicted)
    reached = ~np.isnan(optimism)
    with np.errstate(invalid="ignore"):  # a point that no resample reaches stays NaN
        mean = np.where(reached, optimism, 0).sum(axis=0) / reached.sum(axis=0)
    curve = smooth_calibration(y_true, expit(lp), predicted)
    frame = pd.DataFrame({"predicted": predicted, "apparent": curve, "corrected": curve - mean})
    return CorrectedCalibration(indices.rename_axis("index"), frame, int((~fitted).sum()))


def smooth_calibration(y_true: ArrayLike, risk: ArrayLike, at: ArrayLike) -> np.ndarray:
    """Share of positives as a smooth function of the risk: lowess (Cleveland 1979), f = 2/3, no robustness step.

    statsmodels' lowess with R's defaults (delta = 1 % of the range), read at ``at`` by linear interpolation; NaN
    outside the risks that occur.
    """
    from statsmodels.nonparametric.smoothers_lowess import lowess

    risk = np.asarray(risk, dtype=np.float64)
    y = np.asarray(y_true, dtype=np.float64)
    smooth = lowess(y, risk, frac=2 / 3, it=0, delta=0.01 * np.ptp(risk))
    knots, first = np.unique(smooth[:, 0], return_index=True)
    return np.interp(at, knots, smooth[first, 1], left=np.nan, right=np.nan)


def _indices(positive: np.ndarray, lps: np.ndarray, counts: np.ndarray) -> pd.DataFrame:
    """Indices of linear predictors (n_fits, n) on weighted rows (n_fits, n); one row per fit."""
    auc = np.array([weighted_auc(positive, lp, weight[None])[0] for lp, weight in zip(lps, counts, strict=True)])
    design = np.stack([np.ones_like(lps), lps], axis=-1)
    line = _logistic(design, positive, counts)
    n = counts.sum(axis=1)
    refit = line[:, :1] + line[:, 1:] * lps
    prevalence = counts @ positive / n
    null = n * (prevalence * np.log(prevalence) + (1 - prevalence) * np.log1p(-prevalence))
    log_likelihood = (counts * (positive * refit - np.logaddexp(0, refit))).sum(axis=1)
    # Nagelkerke 1991: the likelihood-ratio R² over its largest possible value.
    r2 = (1 - np.exp(2 * (null - log_likelihood) / n)) / (1 - np.exp(2 * null / n))
    brier = (counts * (positive - expit(lps)) ** 2).sum(axis=1) / n
    columns = {"auc": auc, "dxy": 2 * auc - 1, "r2": r2, "intercept": line[:, 0], "slope": line[:, 1], "brier": brier}
    return pd.DataFrame(columns)


def _logistic(design: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Maximum-likelihood logistic coefficients of each weighted sample, by Newton's method on all at once.

    design is (n, p), shared, or (n_fits, n, p); counts (n_fits, n). Returns (n_fits, p), NaN where no finite estimate
    exists (one class, separation, dependent columns).
    """
    n_fits, p = len(counts), design.shape[-1]
    beta = np.zeros((n_fits, p))
    running = np.ones(n_fits, dtype=bool)
    failed = np.zeros(n_fits, dtype=bool)
    n_positive, n_rows = counts @ positive, counts.sum(axis=1)
    failed |= (n_positive == 0) | (n_positive == n_rows)
    for _ in range(60):
        rows = np.flatnonzero(running & ~failed)
        if len(rows) == 0:
            break
        d = design[rows] if design.ndim == 3 else design[None]
        mu = expit((d @ beta[rows, :, None])[..., 0])
        gradient = ((counts[rows] * (positive - mu))[:, None, :] @ d)[:, 0]
        hessian = (np.swapaxes(d, -1, -2) * (counts[rows] * mu * (1 - mu))[:, None, :]) @ d
        # The Hessian scaled to unit diagonal: its condition tells separation and dependence whatever the units are.
        scale = np.sqrt(np.einsum("bpp->bp", hessian))
        scale[scale == 0] = np.nan
        scaled = hessian / (scale[:, :, None] * scale[:, None, :])
        sound = np.isfinite(scaled).all(axis=(1, 2)) & (np.abs(hessian).max(axis=(1, 2)) > 1e-10)
        sound[sound] = np.linalg.cond(scaled[sound]) < 1e10
        failed[rows[~sound]] = True
        rows, scale = rows[sound], scale[sound]
        step = np.linalg.solve(scaled[sound], (gradient[sound] / scale)[..., None])[..., 0] / scale
        beta[rows] += step
        running[rows] = (np.abs(step) * scale).max(axis=1) > 1e-9
    beta[failed | running] = np.nan
    return beta


# ------------------------------------------------------------------------------------------------------ checks


def _outcomes(y_true: ArrayLike) -> np.ndarray:
    """Outcomes as booleans; unlike `checks.truth`, one class only will do."""
    values = _numbers(y_true, "y_true")
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"y_true of 0 and 1 required, found {np.unique(values)[:5].tolist()}")
    return values == 1


def _risks(values: ArrayLike, name: str) -> np.ndarray:
    values = _numbers(values, name)
    n_outside = int(((values < 0) | (values > 1)).sum())
    if n_outside:
        span = f"{values.min():g} to {values.max():g}"
        raise ValueError(f"{name}: probabilities within [0, 1] required, found {n_outside} outside ({span})")
    return values


def _thresholds(values: ArrayLike) -> np.ndarray:
    values = _numbers(values, "thresholds")
    outside = values[(values < 0) | (values >= 1)]
    if len(outside):
        raise ValueError(f"thresholds: within [0, 1) required, found {outside[:5].tolist()}")
    return values


def _harm(value: float) -> float:
    value = checks.finite("harm", value, ndim=0)
    if value < 0:
        raise ValueError(f"harm: 0 or above required, found {value}")
    return float(value)


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    values = checks.finite(name, values)
    if len(values) == 0:
        raise ValueError(f"{name}: holds no rows")
    return values


def _design(x: ArrayLike | pd.DataFrame) -> np.ndarray:
    array = np.asarray(x)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"x: two non-empty dimensions (rows × predictors) required, found shape {array.shape}")
    names = list(x.columns) if isinstance(x, pd.DataFrame) else list(range(array.shape[1]))
    columns = [checks.finite(f"x, column {name!r}", array[:, k]) for k, name in enumerate(names)]
    constant = [name for name, column in zip(names, columns, strict=True) if np.ptp(column) == 0]
    if constant:
        raise ValueError(f"x: predictors that vary required, constant: {constant}")
    return np.column_stack([np.ones(len(array)), *columns])


def _same_length(y_true: np.ndarray, values: np.ndarray, name: str) -> None:
    if len(values) != len(y_true):
        raise ValueError(f"{name}: one entry per row of y_true required ({len(y_true)}), found {len(values)}")
