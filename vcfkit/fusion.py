"""Handcrafted and deep features to one short list: everything that paper 04 fits between images and classifiers.

Order of the paper (Methods, Radiomics and DTL features extraction; Feature selection and fusion): radiomics → ComBat
over centres → ICC of repeated delineations → Spearman, greedy → joined with the deep features → LASSO. What is fitted
sees the rows of the cohort ``training`` and no others, whatever else is handed over beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from vcfkit.radiomics import ComBat
from vcfkit.selection import IccFilter, SpearmanFilter, lasso_selection

TRAINING = "training"
LEAST_ROWS = 10  # of a centre whose shift and scale are estimated from its own rows


class FusedFeatures:
    """The features that a classifier gets, from those of radiomics and of a network.

    Parameters
    ----------
    readings : mapping of name to DataFrame
        Radiomics of further delineations, not harmonised; see `vcfkit.selection.IccFilter`. Empty where none exist: no
        ICC step then.
    classes : sequence of str
        In their order: the LASSO regresses on the number of the class, as one score for three classes has to
        (paper 04 prints one DTL_Radscore).
    icc, spearman : float
        Smallest ICC and largest Spearman correlation that stay.
    folds : int
        Of the LASSO.
    harmonise : {"own_rows", "as_is", "none"}
        ComBat's policy for a centre that training does not hold (`vcfkit.radiomics.ComBat`), which in paper 04 is every
        other centre, as training is Center I alone: that centre is the reference. A centre of fewer than
        ``LEAST_ROWS`` rows is left as is. "none": no ComBat.

    Attributes
    ----------
    combat_ : ComBat or None
    handcrafted_ : Pipeline, steps icc and spearman
    fused_ : Pipeline, steps scale and lasso
    """

    def __init__(
        self,
        readings: Mapping[str, pd.DataFrame],
        *,
        classes: Sequence[str],
        icc: float = 0.8,
        spearman: float = 0.9,
        folds: int = 10,
        harmonise: Literal["own_rows", "as_is", "none"] = "own_rows",
        seed: int = 0,
    ):
        if harmonise not in ("own_rows", "as_is", "none"):
            raise ValueError(f"harmonise: own_rows, as_is or none required, found {harmonise!r}")
        self.readings, self.classes, self.icc, self.spearman = readings, tuple(classes), icc, spearman
        self.folds, self.harmonise, self.seed = folds, harmonise, seed

    def fit(self, samples: pd.DataFrame, radiomics: pd.DataFrame, deep: pd.DataFrame) -> FusedFeatures:
        """Fit on the rows whose ``cohort`` is training.

        Parameters
        ----------
        samples : DataFrame, one row per vertebra
            Columns sample_id, site, cohort, label.
        radiomics, deep : DataFrame
            Index sample_id, one row per row of ``samples``, in its order.

        Raises
        ------
        ValueError
            Rows that do not belong together; no training rows.
        """
        self._check(samples, radiomics, deep)
        rows = (samples["cohort"] == TRAINING).to_numpy()
        if not rows.any():
            raise ValueError("samples: rows of the cohort training required, found none")
        samples, radiomics, deep = samples[rows], radiomics[rows], deep[rows]
        self.combat_ = fit_combat(samples, radiomics, policy=self.harmonise)
        even = apply_combat(self.combat_, samples, radiomics)
        # A centre's shift is no disagreement of readers: both delineations of a vertebra are harmonised alike.
        readings = {name: self._even_reading(samples, reading) for name, reading in self.readings.items()}
        steps = [("icc", IccFilter(readings, threshold=self.icc))] if readings else []
        steps.append(("spearman", SpearmanFilter(self.spearman)))
        self.handcrafted_ = Pipeline(steps).set_output(transform="pandas")
        joined = pd.concat([self.handcrafted_.fit_transform(even), deep], axis=1)
        number = samples["label"].map(list(self.classes).index).to_numpy(np.float64)
        self.fused_ = lasso_selection(folds=self.folds, seed=self.seed).fit(joined, number)
        return self

    def transform(self, samples: pd.DataFrame, radiomics: pd.DataFrame, deep: pd.DataFrame) -> pd.DataFrame:
        """The selected features, each at the mean 0 and SD 1 of the training rows; index sample_id."""
        if not hasattr(self, "fused_"):
            raise RuntimeError("FusedFeatures: fit first")
        self._check(samples, radiomics, deep)
        return self.fused_.transform(self.joined(samples, radiomics, deep))

    def joined(self, samples: pd.DataFrame, radiomics: pd.DataFrame, deep: pd.DataFrame) -> pd.DataFrame:
        """What enters the LASSO, in the features' own units: harmonised, stable, not redundant radiomics, then deep."""
        even = apply_combat(self.combat_, samples, radiomics)
        return pd.concat([self.handcrafted_.transform(even), deep], axis=1)

    def coefficients(self) -> pd.Series:
        """Of the selected features in the LASSO's score, by name."""
        lasso = self.fused_["lasso"]
        return pd.Series(lasso.coef_[lasso.support_], index=self.fused_.get_feature_names_out())

    def score(self, samples: pd.DataFrame, radiomics: pd.DataFrame, deep: pd.DataFrame) -> pd.Series:
        """The DTL_Radscore: the LASSO's linear predictor."""
        selected = self.transform(samples, radiomics, deep)
        return selected @ self.coefficients() + self.fused_["lasso"].intercept_

    def _even_reading(self, training: pd.DataFrame, reading: pd.DataFrame) -> pd.DataFrame:
        """A further delineation of the training rows among its rows, by the ComBat that was fitted on the first."""
        once = training.drop_duplicates("sample_id").set_index("sample_id")
        known = reading[reading.index.isin(once.index)]
        return apply_combat(self.combat_, once.loc[known.index].reset_index(), known)

    @staticmethod
    def _check(samples: pd.DataFrame, radiomics: pd.DataFrame, deep: pd.DataFrame) -> None:
        names = samples["sample_id"].tolist()
        for what, frame in (("radiomics", radiomics), ("deep", deep)):
            if frame.index.tolist() != names:
                raise ValueError(f"{what}: index equal to the samples' sample_id, in their order, required")


def fit_combat(samples: pd.DataFrame, radiomics: pd.DataFrame, *, policy: str) -> ComBat | None:
    """ComBat of the rows of the cohort training; see `FusedFeatures` for the policies. None for "none"."""
    if policy == "none":
        return None
    rows = (samples["cohort"] == TRAINING).to_numpy()
    sites = samples.loc[rows, "site"].unique()
    reference = sites[0] if len(sites) == 1 else None
    model = ComBat("site", reference=reference, unseen=policy, constant="keep")
    return model.fit(_with_site(radiomics[rows], samples[rows]))


def apply_combat(model: ComBat | None, samples: pd.DataFrame, radiomics: pd.DataFrame) -> pd.DataFrame:
    """Radiomics of all rows after `fit_combat`; centres of few rows that training does not hold stay as they are."""
    if model is None:
        return radiomics
    counts = samples["site"].map(samples["site"].value_counts())
    moved = ((counts >= LEAST_ROWS) | samples["site"].isin(model.batches_)).to_numpy()
    even = radiomics.astype(np.float64)
    if moved.any():
        even[moved] = model.transform(_with_site(radiomics[moved], samples[moved]))
    return even


def _with_site(radiomics: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    return radiomics.assign(site=samples["site"].to_numpy())


def formula(coefficients: pd.Series, intercept: float, *, name: str = "DTL_Radscore", digits: int = 4) -> str:
    """A linear score as the papers' supplements print it, a line per term, the largest coefficient first."""
    order = coefficients.abs().sort_values(ascending=False, kind="stable").index
    lines = [f"{name} = {intercept:.{digits}f}"]
    lines += [f"    {'-' if coefficients[k] < 0 else '+'} {abs(coefficients[k]):.{digits}f} × {k}" for k in order]
    return "\n".join(lines)
