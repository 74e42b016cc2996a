"""Harmonisation over centres: ComBat.

References: Johnson, Li & Rabinovic 2007 (Biostatistics 8:118); Fortin et al. 2018 (NeuroImage 167:104) for its use with
images.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from vcfkit.radiomics.agreement import numbers

# Stopping rule of sva and neuroCombat. Their published outputs stand where it stopped, so it is kept.
TOLERANCE = 1e-4
MAX_ITERATIONS = 10_000  # sva knows no end; its rule is met after tens


def combat(
    features: ArrayLike,
    batch: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    parametric: bool = True,
    empirical_bayes: bool = True,
    mean_only: bool = False,
    reference: Hashable | None = None,
    constant: Literal["refuse", "keep"] = "refuse",
) -> np.ndarray | pd.DataFrame:
    """Features with the location and scale of their batch removed (ComBat: Johnson 2007; Fortin 2018).

    A feature of row j in batch i is taken as ``α + covariates·β + σ(γᵢ + δᵢ ε)``. α, β, σ come from least squares
    (σ² = mean squared residual); γᵢ and δᵢ², the shift and scale of a batch, are shrunk towards their distribution
    over all features of that batch (empirical Bayes), and removed.

    All rows, tests included, take part in the estimate: for a model that is tested on other rows use `ComBat`.

    Parameters
    ----------
    features : array or DataFrame, shape (n_rows, n_features)
        Rows are samples. (sva and neuroCombat keep features in rows.)
    batch : array, shape (n_rows,)
        Centre or scanner of each row. Rows are matched by position.
    covariates : array or DataFrame, shape (n_rows,) or (n_rows, n_covariates), optional
        What to preserve: numeric columns enter linearly, others as one 0/1 column per level but the first. A column
        of ones (an intercept) is dropped.
    parametric : bool
        Normal and inverse gamma priors, or the empirical distribution over the other features (slower).
    empirical_bayes : bool
        False: every feature by itself, no shrinkage; batch means become equal (given the covariates).
    mean_only : bool
        Shift without scale. The shrunk shift is sva's, which counts a batch as one row whatever its size.
    reference : a batch, optional
        Its rows stay as they are, and the others are brought to it.
    constant : {"refuse", "keep"}
        What becomes of features that do not vary within a batch, which have no scale there: refused, or (as in sva)
        left out of the estimate and returned as they are.

    Returns
    -------
    ndarray or DataFrame, as `features`

    Raises
    ------
    ValueError
        Naming the argument: missing or infinite values; lengths that differ; fewer than two batches; a batch of one
        row (unless ``mean_only``); constant features; covariates confounded with batch or with one another.
    """
    values = _feature_matrix(features)
    batch = _batch_vector(batch, len(values), features)
    frame = _covariate_frame(covariates, len(values), features)
    coding = _learn_coding(frame)
    design = _code(frame, coding)
    model = _fit_combat(
        values,
        batch,
        design,
        _feature_names(features, values.shape[1]),
        parametric=parametric,
        empirical_bayes=empirical_bayes,
        mean_only=mean_only,
        reference=reference,
        constant=constant,
    )
    adjusted = _adjust(model, values, batch, design)
    if isinstance(features, pd.DataFrame):
        return pd.DataFrame(adjusted, features.index, features.columns)
    return adjusted


class ComBat(TransformerMixin, BaseEstimator):
    """`combat` as a scikit-learn transformer: estimated on training rows, applied to others.

    Rows of a centre seen in training are adjusted by that centre's training estimates. `covariates` are read again
    when applied, so the outcome must not be among them: a label that shapes its own features leaks.

    Parameters
    ----------
    batch : str
        Column of the centre in the frames given to ``fit`` and ``transform``.
    covariates : sequence of str
        Columns to preserve. They and `batch` are not features, and are absent from the output.
    parametric, empirical_bayes, mean_only, reference, constant
        See `combat`.
    unseen : {"refuse", "as_is", "own_rows"}
        What to do with rows of a centre that training did not hold.

        ``refuse``: ValueError. ``as_is``: no shift, no scale; the row is taken as if it came from the pooled training
        rows, so its features return unchanged. ``own_rows``: shift and scale are estimated from the centre's own rows
        in the call, against the training's α, β, σ and without any label. The result of a row then depends on the
        rows beside it, and a difference in case mix between centres is removed as if it were the scanner's.

    Training rows of a single centre (paper 04) say nothing about differences between centres. They can be fitted with
    that centre as ``reference``: its rows stay as they are, and ``unseen`` decides about the others.

    Attributes
    ----------
    batches_ : the centres seen in training
    feature_names_in_, n_features_in_ : the columns given to ``fit``
    """

    def __init__(
        self,
        batch: str = "site",
        *,
        covariates: Sequence[str] = (),
        parametric: bool = True,
        empirical_bayes: bool = True,
        mean_only: bool = False,
        reference: Hashable | None = None,
        unseen: Literal["refuse", "as_is", "own_rows"] = "refuse",
        constant: Literal["refuse", "keep"] = "refuse",
    ) -> None:
        self.batch = batch
        self.covariates = covariates
        self.parametric = parametric
        self.empirical_bayes = empirical_bayes
        self.mean_only = mean_only
        self.reference = reference
        self.unseen = unseen
        self.constant = constant

    def fit(self, X: pd.DataFrame, y: object = None) -> ComBat:
        """Estimate from the rows of `X`; `y` is ignored."""
        if self.unseen not in ("refuse", "as_is", "own_rows"):
            raise ValueError(f"unseen: refuse, as_is or own_rows required, found {self.unseen!r}")
        self._require_columns(X)
        aside = [self.batch, *self.covariates]
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self._features = [column for column in X.columns if column not in aside]
        values, batch, frame = self._split(X)
        self._coding = _learn_coding(frame)
        self._model = _fit_combat(
            values,
            batch,
            _code(frame, self._coding),
            self._features,
            parametric=self.parametric,
            empirical_bayes=self.empirical_bayes,
            mean_only=self.mean_only,
            reference=self.reference,
            constant=self.constant,
        )
        self.batches_ = self._model.batches
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Features of the rows of `X`, adjusted; index kept, columns as in ``get_feature_names_out``."""
        check_is_fitted(self, "batches_")
        self._require_columns(X)
        values, batch, frame = self._split(X)
        design = _code(frame, self._coding)
        model = self._model
        strangers = [name for name in pd.unique(batch) if name not in model.batches]
        if strangers and self.unseen == "refuse":
            raise ValueError(
                f"batch: {', '.join(map(str, strangers))} not among the training centres "
                f"({', '.join(map(str, model.batches))}). Set unseen='as_is' or 'own_rows', or leave these rows out."
            )
        if strangers and self.unseen == "own_rows":
            standard = _standardise(model, values, design)
            estimates = [_estimate_batch(model, standard[batch == name], name) for name in strangers]
        else:
            estimates = [(np.zeros_like(model.sd), np.ones_like(model.sd)) for _ in strangers]
        extended = model.with_batches(strangers, estimates)
        return pd.DataFrame(_adjust(extended, values, batch, design), X.index, self._features)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        check_is_fitted(self, "batches_")
        return np.asarray(self._features, dtype=object)

    def _require_columns(self, X: pd.DataFrame) -> None:
        if not isinstance(X, pd.DataFrame):
            raise ValueError(f"X: a DataFrame with column {self.batch!r} required, found {type(X).__name__}")
        if isinstance(self.covariates, str):
            raise ValueError(f"covariates: a sequence of column names required, found the text {self.covariates!r}")
        required = [self.batch, *self.covariates, *getattr(self, "_features", [])]
        missing = [column for column in required if column not in X.columns]
        if missing:
            raise ValueError(f"X: columns {', '.join(map(str, missing))} missing")

    def _split(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
        values = _feature_matrix(X[self._features])
        frame = _covariate_frame(X[list(self.covariates)], len(X), X)
        return values, _batch_vector(X[self.batch], len(X), X), frame


@dataclass(frozen=True)
class _CombatModel:
    batches: list[Hashable]
    mean: np.ndarray  # α, (n_features,)
    coefficients: np.ndarray  # β, (n_covariates, n_features)
    sd: np.ndarray  # σ, (n_features,); 1 where left as is
    varying: np.ndarray  # bool, (n_features,): the features that are adjusted
    gamma: np.ndarray  # shift, (n_batches, n_features), in units of σ
    delta: np.ndarray  # squared scale, likewise
    parametric: bool
    empirical_bayes: bool
    mean_only: bool

    def with_batches(self, names: list, estimates: list[tuple[np.ndarray, np.ndarray]]) -> _CombatModel:
        if not names:
            return self
        shifts, scales = zip(*estimates, strict=True)
        return replace(
            self,
            batches=[*self.batches, *names],
            gamma=np.vstack([self.gamma, *shifts]),
            delta=np.vstack([self.delta, *scales]),
        )


def _fit_combat(
    values: np.ndarray,
    batch: np.ndarray,
    covariates: np.ndarray,
    names: Sequence[Hashable],
    *,
    parametric: bool,
    empirical_bayes: bool,
    mean_only: bool,
    reference: Hashable | None,
    constant: str,
) -> _CombatModel:
    if constant not in ("refuse", "keep"):
        raise ValueError(f"constant: refuse or keep required, found {constant!r}")
    batches = list(pd.unique(batch))
    members = np.stack([batch == name for name in batches], axis=1)  # (n_rows, n_batches)
    sizes = members.sum(axis=0)
    if len(batches) < 2 and reference is None:
        raise ValueError(
            f"batch: at least two batches required, found {', '.join(map(str, batches))}. A single training centre can "
            "only be the reference that others are brought to: set reference to it."
        )
    if not mean_only and (sizes < 2).any():
        lone = [str(name) for name, size in zip(batches, sizes, strict=True) if size < 2]
        raise ValueError(f"batch: {', '.join(lone)} of one row has no scale. Merge it, leave it out, or set mean_only.")
    if reference is not None and reference not in batches:
        raise ValueError(f"reference: one of {', '.join(map(str, batches))} required, found {reference!r}")

    design = np.concatenate([members.astype(np.float64), covariates], axis=1)
    if reference is not None:
        design[:, batches.index(reference)] = 1.0  # other batches are measured from it
    _check_design(design, len(batches))
    coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    base = members[:, batches.index(reference)] if reference is not None else np.ones(len(values), dtype=bool)
    if reference is not None:
        mean = coefficients[batches.index(reference)]
    else:
        mean = sizes / len(values) @ coefficients[: len(batches)]
    sd = np.sqrt(((values - design @ coefficients)[base] ** 2).mean(axis=0))

    # Exactly constant within a batch, or explained by batch and covariates to the last digits.
    flat = sd <= 1e-12 * np.abs(values).max(axis=0)
    for name, size in zip(batches, sizes, strict=True):
        if size > 1:
            flat |= np.ptp(values[batch == name], axis=0) == 0
    if flat.any() and constant == "refuse":
        shown = ", ".join(str(names[column]) for column in np.flatnonzero(flat)[:5])
        raise ValueError(
            f"features: {int(flat.sum())} of {len(flat)} do not vary within a batch ({shown}"
            f"{', …' if flat.sum() > 5 else ''}). Drop them, or set constant='keep' to return them as they are."
        )
    if flat.all():
        raise ValueError("features: none varies within every batch")

    model = _CombatModel(
        batches=[],
        mean=mean,
        coefficients=coefficients[len(batches) :],
        sd=np.where(flat, 1.0, sd),
        varying=~flat,
        gamma=np.empty((0, values.shape[1])),
        delta=np.empty((0, values.shape[1])),
        parametric=parametric,
        empirical_bayes=empirical_bayes,
        mean_only=mean_only,
    )
    standard = _standardise(model, values, covariates)
    unmoved = (np.zeros_like(sd), np.ones_like(sd))
    estimates = [
        unmoved
        if reference is not None and name == reference
        else _estimate_batch(model, standard[batch == name], name)
        for name in batches
    ]
    return model.with_batches(batches, estimates)


def _check_design(design: np.ndarray, n_batches: int) -> None:
    covariates = design[:, n_batches:]
    spread = covariates.std(axis=0)
    # In units of their own spread, so that a rank is not lost to a column of small numbers.
    scaled = (covariates - covariates.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if np.linalg.matrix_rank(np.concatenate([design[:, :n_batches], scaled], axis=1)) < design.shape[1]:
        raise ValueError("covariates: confounded with batch, or with one another; their effects cannot be told apart")
    if len(design) <= design.shape[1]:
        raise ValueError(
            f"features: more rows than batches and covariates ({design.shape[1]}) required, found {len(design)}"
        )


def _standardise(model: _CombatModel, values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    return (values - model.mean - covariates @ model.coefficients) / model.sd


def _adjust(model: _CombatModel, values: np.ndarray, batch: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    adjusted = values.copy()
    standard = _standardise(model, values, covariates)
    for name, gamma, delta in zip(model.batches, model.gamma, model.delta, strict=True):
        rows = batch == name
        if (gamma == 0).all() and (delta == 1).all():
            continue  # to the last digit as they were: reference, or a centre left as is
        shifted = (standard[rows] - gamma) / np.sqrt(delta) - standard[rows]
        adjusted[rows] += np.where(model.varying, shifted * model.sd, 0.0)
    return adjusted


def _estimate_batch(model: _CombatModel, standard: np.ndarray, name: Hashable) -> tuple[np.ndarray, np.ndarray]:
    """Shift γ and squared scale δ² of one batch from its standardised rows, shape (n_rows, n_features)."""
    n = len(standard)
    if n < 2 and not model.mean_only:
        raise ValueError(f"batch: {name} of one row has no scale. Merge it, leave it out, or set mean_only.")
    gamma, delta = np.zeros_like(model.sd), np.ones_like(model.sd)
    x = standard[:, model.varying]
    gamma_hat = x.mean(axis=0)
    delta_hat = np.ones_like(gamma_hat) if model.mean_only else x.var(axis=0, ddof=1)
    if (delta_hat == 0).any():
        raise ValueError(f"features: {int((delta_hat == 0).sum())} do not vary among the rows of {name}")
    if not model.empirical_bayes:
        gamma_star, delta_star = gamma_hat, delta_hat
    elif len(gamma_hat) < 2:
        raise ValueError("features: one feature has no distribution to shrink towards; set empirical_bayes=False")
    elif not model.parametric:
        gamma_star, delta_star = _nonparametric(x, gamma_hat, delta_hat)
    elif model.mean_only:
        gamma_star, delta_star = _posterior_mean(gamma_hat, 1, 1.0), delta_hat
    else:
        gamma_star, delta_star = _parametric(gamma_hat, delta_hat, n)
    gamma[model.varying], delta[model.varying] = gamma_star, delta_star
    return gamma, delta


def _posterior_mean(gamma_hat: np.ndarray, n: int, delta: np.ndarray | float) -> np.ndarray:
    """γ under a normal prior with the mean and variance of the batch's features."""
    prior, spread = gamma_hat.mean(), gamma_hat.var(ddof=1)
    return (n * spread * gamma_hat + delta * prior) / (n * spread + delta)


def _parametric(gamma_hat: np.ndarray, delta_hat: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of γ and δ² in turn, until neither moves (Johnson 2007, section 3.2)."""
    m, s2 = delta_hat.mean(), delta_hat.var(ddof=1)
    if s2 <= 1e-20 * m**2:
        return _posterior_mean(gamma_hat, n, delta_hat), delta_hat  # one scale for all features: the prior is a point
    shape, rate = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    gamma, delta = gamma_hat, delta_hat
    for _ in range(MAX_ITERATIONS):
        gamma_new = _posterior_mean(gamma_hat, n, delta)
        sum_squares = (n - 1) * delta_hat + n * (gamma_hat - gamma_new) ** 2
        delta_new = (sum_squares / 2 + rate) / (n / 2 + shape - 1)
        # sva divides by γ, not |γ|: only features with a positive shift, and the scales, decide when to stop.
        still = (np.abs(gamma_new - gamma) <= TOLERANCE * gamma) | (gamma < 0) | (gamma_new == gamma)
        still &= np.abs(delta_new - delta) <= TOLERANCE * delta
        gamma, delta = gamma_new, delta_new
        if still.all():
            return gamma, delta
    raise RuntimeError(f"empirical Bayes estimates of a batch of {n} rows still move after {MAX_ITERATIONS} rounds")


def _nonparametric(x: np.ndarray, gamma_hat: np.ndarray, delta_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """γ and δ² averaged over the other features' estimates, weighted by the likelihood of x (Johnson 2007, suppl.)."""
    n = len(x)
    around = ((x - x.mean(axis=0)) ** 2).sum(axis=0)
    gamma, delta = np.empty_like(gamma_hat), np.empty_like(delta_hat)
    for g in range(len(gamma_hat)):
        sum_squares = around[g] + n * (x[:, g].mean() - gamma_hat) ** 2
        log_weight = -n / 2 * np.log(2 * np.pi * delta_hat) - sum_squares / (2 * delta_hat)
        log_weight[g] = -np.inf
        weight = np.exp(log_weight - log_weight.max())
        gamma[g], delta[g] = weight @ gamma_hat / weight.sum(), weight @ delta_hat / weight.sum()
    return gamma, delta


def _feature_matrix(features: ArrayLike) -> np.ndarray:
    values = numbers(features, "features")
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"features: rows × features required, found shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"features: {int((~np.isfinite(values)).sum())} values are missing or infinite")
    return values


def _feature_names(features: ArrayLike, n: int) -> Sequence[Hashable]:
    return list(features.columns) if isinstance(features, pd.DataFrame) else [f"column {i}" for i in range(n)]


def _batch_vector(batch: ArrayLike, n: int, features: ArrayLike) -> np.ndarray:
    _check_order(batch, features, "batch")
    vector = np.asarray(batch, dtype=object)
    if vector.shape != (n,):
        turned = " (features and rows seem to be turned round)" if vector.shape == np.shape(features)[1:] else ""
        raise ValueError(f"batch: one entry per row of features ({n}) required, found shape {vector.shape}{turned}")
    if pd.isna(vector).any():
        raise ValueError(f"batch: {int(pd.isna(vector).sum())} entries are missing")
    return vector


def _covariate_frame(covariates: ArrayLike | None, n: int, features: ArrayLike) -> pd.DataFrame:
    if covariates is None:
        return pd.DataFrame(index=range(n))
    _check_order(covariates, features, "covariates")
    frame = covariates if isinstance(covariates, pd.DataFrame) else pd.DataFrame(np.asarray(covariates))
    frame = frame.infer_objects()  # numbers beside text in one array
    if len(frame) != n:
        raise ValueError(f"covariates: one row per row of features ({n}) required, found {len(frame)}")
    if frame.isna().any(axis=None):
        raise ValueError(f"covariates: {int(frame.isna().sum().sum())} entries are missing")
    return frame


def _check_order(given: ArrayLike, features: ArrayLike, name: str) -> None:
    """Rows go by position; an index that names the same rows in another order is a mistake."""
    if isinstance(given, (pd.Series, pd.DataFrame)) and isinstance(features, pd.DataFrame):
        same = len(given) == len(features) and not given.index.equals(features.index)
        if same and given.index.is_unique and set(given.index) == set(features.index):
            raise ValueError(f"{name}: index names the rows of features in another order; reindex it first")


def _learn_coding(frame: pd.DataFrame) -> list[tuple[Hashable, list | None]]:
    """Covariate columns and, where not numeric, their levels."""
    coding = []
    for column in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        if numeric and (frame[column] == 1).all():
            continue  # an intercept, which the batches hold already
        coding.append((column, None if numeric else list(pd.unique(frame[column]))))
    return coding


def _code(frame: pd.DataFrame, coding: list[tuple[Hashable, list | None]]) -> np.ndarray:
    """Covariates as numbers, shape (n_rows, n_columns)."""
    columns = []
    for column, levels in coding:
        if levels is None:
            number = pd.to_numeric(frame[column]).to_numpy(np.float64)
            if not np.isfinite(number).all():
                raise ValueError(f"covariates: {column} holds infinite values")
            columns.append(number)
            continue
        strangers = set(frame[column]) - set(levels)
        if strangers:
            raise ValueError(f"covariates: {column} holds {', '.join(map(str, strangers))}, absent from training")
        columns += [(frame[column] == level).to_numpy(np.float64) for level in levels[1:]]
    return np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))
