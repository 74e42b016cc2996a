"""The selection steps of papers 04 and 05 as scikit-learn transformers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectorMixin
from sklearn.linear_model import lars_path
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from vcfkit import checks, radiomics
from vcfkit.selection.correlation import spearman_matrix

N_ALPHAS, SMALLEST_ALPHA = 100, 0.01  # penalties tried: from the first that lets a feature in, down to a hundredth


class _Filter(SelectorMixin, BaseEstimator):
    """A selector that keeps columns; ``support_`` says which."""

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self, "support_")
        return self.support_

    def _read(self, X: ArrayLike) -> np.ndarray:
        """Values of `X`, its shape and names noted as scikit-learn wants them."""
        self._drop_names()
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        values = checks.finite("features", X, ndim=2)
        self.n_features_in_ = values.shape[1]
        return values

    def _drop_names(self) -> None:
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _keep(self, support: np.ndarray, nothing: str) -> None:
        if not support.any():
            raise ValueError(f"{type(self).__name__}: none of {len(support)} features is left; {nothing}")
        self.support_ = support


class IccFilter(_Filter):
    """Features that repeated delineations agree on (paper 05: ICC ≥ 0.8, "selected twice").

    Parameters
    ----------
    readings : mapping of name to DataFrame
        Features of further delineations, by sample (index) and feature (columns), for instance ``intra`` and
        ``inter``. A feature stays if it reaches `threshold` in every one of them.
    threshold : float
    form : str
        Of `vcfkit.radiomics.icc`; the papers name none. ICC(2,1) is absolute agreement of readers who stand for others.

    Only the rows of `X` that were delineated again take part: a reading of a row that `X` does not hold (a test row,
    another fold) is left aside. A row that stands twice (a bootstrap) counts once.

    Attributes
    ----------
    icc_ : DataFrame, one row per feature, one column per reading; NaN where a feature never varies
    n_rows_ : dict, rows used per reading
    """

    def __init__(
        self, readings: Mapping[str, pd.DataFrame] | None = None, *, threshold: float = 0.8, form: str = "ICC(2,1)"
    ):
        self.readings = readings
        self.threshold = threshold
        self.form = form

    def fit(self, X: pd.DataFrame, y: object = None) -> IccFilter:
        """`X`: DataFrame whose index names the samples; `y` is ignored."""
        if not isinstance(X, pd.DataFrame) or not self.readings:
            raise ValueError("IccFilter: features as a DataFrame, and at least one reading, required")
        self._read(X)
        found, self.n_rows_ = {}, {}
        for name, again in self.readings.items():
            if missing := [column for column in X.columns if column not in again.columns]:
                raise ValueError(f"readings[{name!r}]: {len(missing)} features are missing, first {missing[0]}")
            once = X[~X.index.duplicated()]
            rows = once.index.intersection(again.index, sort=False)
            if len(rows) < 2:
                raise ValueError(f"readings[{name!r}]: two rows of the features delineated again required, {len(rows)}")
            pair = np.stack([once.loc[rows].to_numpy().T, again.loc[rows, X.columns].to_numpy().T], axis=2)
            found[name], self.n_rows_[name] = radiomics.icc_features(pair, form=self.form), len(rows)
        self.icc_ = pd.DataFrame(found, index=X.columns)
        stable = (self.icc_ >= self.threshold).all(axis=1).to_numpy()  # NaN passes no threshold
        self._keep(stable, f"no ICC reaches {self.threshold}")
        return self


class SpearmanFilter(_Filter):
    """One of every group of features that tell the same (papers 04, 05: Spearman above 0.9, greedy).

    "The feature with the highest redundancy in the current set was deleted each time": of the features that still
    have a partner with ``|ρ| > threshold``, the one with most partners goes (of several, the one with the larger mean
    ``|ρ|`` with the current set, then the later column), until no such pair is left. Features that never vary have no
    correlation and go first.

    Attributes
    ----------
    n_constant_ : int
    """

    def __init__(self, threshold: float = 0.9):
        self.threshold = threshold

    def fit(self, X: ArrayLike, y: object = None) -> SpearmanFilter:
        values = self._read(X)
        varying = np.ptp(values, axis=0) > 0
        self.n_constant_ = int((~varying).sum())
        rho = np.abs(spearman_matrix(values[:, varying])) if varying.any() else np.empty((0, 0))
        # ρ of two features that order all rows alike may end a rounding below 1; nothing else needs a margin.
        np.fill_diagonal(rho, 0)
        support = varying.copy()
        support[np.flatnonzero(varying)[~_without_partners(rho, self.threshold)]] = False
        self._keep(support, "all are constant")
        return self


def _without_partners(rho: np.ndarray, threshold: float) -> np.ndarray:
    """Which columns stay; see `SpearmanFilter`."""
    left = np.ones(len(rho), dtype=bool)
    close = rho > threshold
    partners, total = close.sum(axis=0), rho.sum(axis=0)
    while partners.max(initial=0):
        most = np.flatnonzero(partners == partners.max())
        worst = most[total[most] >= total[most].max() - 1e-9][-1]
        left[worst] = False
        partners = partners - close[worst]
        total = total - rho[worst]
        partners[worst] = 0
        close[:, worst] = close[worst] = False
    return left


class LassoSelector(_Filter):
    """Features with a coefficient other than 0 in a linear LASSO, its penalty by cross-validation (papers 04, 05).

    Minimises ``|y − Xβ − β₀|² / 2n + λ|β|₁`` with y as it is given (0/1: a linear probability). Papers 04 and 05 write
    "LASSO-Cox", but there is no survival time; what they draw, the mean squared error against λ, is this.

    `X` has to be standardised beforehand (`lasso_selection` does). The path is exact (least-angle regression, Efron
    2004), in each fold as well, and read at 100 penalties between the first at which a feature enters and a hundredth
    of it; λ is where the mean squared error over the folds is least.

    Parameters
    ----------
    folds : int
        Stratified by y, shuffled with `seed`.

    Attributes
    ----------
    alphas_ : (n_alphas,), falling
    mse_path_ : (n_alphas, folds)
    coef_path_ : (n_features, n_alphas), on all rows given
    alpha_, coef_, intercept_ : at the minimum, unless ``forced_``
    forced_ : bool
        True where no feature is left at the minimum (none beats the mean). Kept are then the first to enter the path:
        all that differ from 0 at the largest penalty with any, at which ``alpha_`` and ``coef_`` stand.
    """

    def __init__(self, *, folds: int = 10, seed: int = 0):
        self.folds = folds
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> LassoSelector:
        values, y = self._read(X), checks.finite("y", y)
        if len(y) != len(values):
            raise ValueError(f"y: one entry per row required ({len(values)}), found {len(y)}")
        levels, counts = np.unique(y, return_counts=True)
        if len(levels) < 2 or counts.min() < self.folds:
            fewest = dict(zip(levels.tolist(), counts.tolist(), strict=True))
            raise ValueError(
                f"LassoSelector: two classes or more, each of {self.folds} rows or more for as many folds required, "
                f"found rows per class {fewest}. Use fewer folds, or more rows."
            )
        centred, target = values - values.mean(axis=0), y - y.mean()
        first = np.abs(centred.T @ target).max() / len(y)
        if first == 0:
            raise ValueError("LassoSelector: no feature varies with y")
        self.alphas_ = first * np.geomspace(1, SMALLEST_ALPHA, N_ALPHAS)
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed).split(values, y)
        errors = []
        for rows, held_out in folds:
            mean, middle = values[rows].mean(axis=0), y[rows].mean()
            path = _lasso_path(values[rows] - mean, y[rows] - middle, self.alphas_)
            errors.append(((values[held_out] - mean) @ path + middle - y[held_out, None]) ** 2)
        self.mse_path_ = np.stack([error.mean(axis=0) for error in errors], axis=1)
        self.coef_path_ = _lasso_path(centred, target, self.alphas_)
        best = int(self.mse_path_.mean(axis=1).argmin())
        self.forced_ = not self.coef_path_[:, best].any()
        if self.forced_:
            best = int(np.flatnonzero(self.coef_path_.any(axis=0))[0])
        self.alpha_, self.coef_ = float(self.alphas_[best]), self.coef_path_[:, best].copy()
        self.intercept_ = float(y.mean() - values.mean(axis=0) @ self.coef_)
        self._keep(self.coef_ != 0, "no coefficient differs from 0")
        return self

    def score_of(self, X: ArrayLike) -> np.ndarray:
        """The "feature importance score" of the paper's supplements: the LASSO's linear predictor, one per row."""
        check_is_fitted(self, "coef_")
        return checks.finite("features", X, ndim=2) @ self.coef_ + self.intercept_


def _lasso_path(x: np.ndarray, y: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Coefficients (n_features, n_alphas) of centred x and y: the exact path, which is linear between its knots."""
    with warnings.catch_warnings():
        # More features than rows can fit every row before the last penalty; the path is held from there on. On the way
        # one that is a sum of those chosen (to the last digit) is left out. Neither is a fault.
        for said in ("Early stopping the lars path", "Regressors in active set degenerate"):
            warnings.filterwarnings("ignore", message=said, category=ConvergenceWarning)
        knots, _, path = lars_path(x, y, method="lasso", alpha_min=alphas[-1])
    at = np.array([np.interp(-alphas, -knots, row) for row in path])
    at[:, alphas >= knots[0]] = 0
    return at


class CorrelationFilter(_Filter):
    """Features that do not correlate (Pearson) above a threshold with a better one (paper 05: 0.5, after the LASSO).

    Which one of a pair is removed the paper does not say. Here features are taken in falling order of their own
    correlation with y, and one stays if its ``|r|`` with none of those that stay exceeds `threshold`.
    """

    def __init__(self, threshold: float = 0.5):
        self.threshold = threshold

    def fit(self, X: ArrayLike, y: ArrayLike) -> CorrelationFilter:
        values, y = self._read(X), checks.finite("y", y)
        varying = np.flatnonzero(np.ptp(values, axis=0) > 0)
        support = np.zeros(values.shape[1], dtype=bool)
        if len(varying):
            r = np.abs(np.atleast_2d(np.corrcoef(np.column_stack([values[:, varying], y]), rowvar=False)))
            kept: list[int] = []
            # Rounded, so that the order of equals does not hang on a last digit; the earlier column goes first.
            for column in np.argsort(-np.round(r[:-1, -1], 12), kind="stable"):
                if (r[column, kept] <= self.threshold).all():
                    kept.append(int(column))
            support[varying[kept]] = True
        self._keep(support, "all are constant")
        return self


def handcrafted_selection(
    readings: Mapping[str, pd.DataFrame],
    *,
    icc: float = 0.8,
    spearman: float = 0.9,
    correlation: float | None = 0.5,
    folds: int = 10,
    seed: int = 0,
) -> Pipeline:
    """ICC → Spearman → Z-scores → LASSO → correlation, as paper 05 orders them; DataFrame in, DataFrame out.

    ``correlation=None`` leaves the last step out (paper 04).
    """
    steps = [
        ("icc", IccFilter(readings, threshold=icc)),
        ("spearman", SpearmanFilter(spearman)),
        ("scale", StandardScaler()),
        ("lasso", LassoSelector(folds=folds, seed=seed)),
    ]
    if correlation is not None:
        steps.append(("correlation", CorrelationFilter(correlation)))
    return Pipeline(steps).set_output(transform="pandas")


def deep_selection(*, components: int = 100, folds: int = 10, seed: int = 0) -> Pipeline:
    """Principal components → Z-scores → LASSO, for the activations of a network (papers 04, 05: 2,048 → 100)."""
    reduce = PCA(components, svd_solver="full")  # the same components whatever the seed
    steps = [("pca", reduce), ("scale", StandardScaler()), ("lasso", LassoSelector(folds=folds, seed=seed))]
    return Pipeline(steps).set_output(transform="pandas")


def lasso_selection(*, folds: int = 10, seed: int = 0) -> Pipeline:
    """Z-scores → LASSO, for features that were selected and fused before."""
    steps = [("scale", StandardScaler()), ("lasso", LassoSelector(folds=folds, seed=seed))]
    return Pipeline(steps).set_output(transform="pandas")


def step_counts(pipeline: Pipeline) -> pd.DataFrame:
    """Features in and out of every step of a fitted pipeline that changes their number: step, n_in, n_out."""
    rows = []
    for name, step in pipeline.steps:
        n_in = step.n_features_in_
        n_out = int(step.support_.sum()) if hasattr(step, "support_") else getattr(step, "n_components_", n_in)
        if isinstance(step, (SelectorMixin, PCA)):
            rows.append({"step": name, "n_in": int(n_in), "n_out": int(n_out)})
    return pd.DataFrame(rows)
