"""Simulations behind statements that no single run can make.

python -m vcfkit.studies          # writes results/studies/coverage.csv, a few minutes on one core
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri
from sklearn.linear_model import RidgeClassifier

from vcfkit import cohort
from vcfkit.metrics.delong import delong_ci
from vcfkit.metrics.resampling import PairwiseAuc, intervals, resampled_sums, weighted_auc

FOLDER = Path(__file__).parents[1] / "results" / "studies"
METHODS = ("percentile", "bca", "delong")


def coverage(
    *,
    sizes: tuple[int, ...] = (75, 220),
    shares: tuple[float, ...] = (0.5, 0.25),
    aucs: tuple[float, ...] = (0.75, 0.85, 0.92),
    n_simulations: int = 2000,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How often a nominal interval of the AUC holds the true AUC, at the sizes of the papers' test cohorts.

    Scores are binormal with equal variances: controls N(0, 1), cases N(√2·Φ⁻¹(AUC), 1), without ties, one row per
    patient, the number of cases fixed. Each simulated cohort gets three intervals: percentile and BCa from the same
    ``n_resamples`` resamples of its rows, and DeLong's.

    Returns
    -------
    DataFrame
        One row per size, share of cases, true AUC and method: n, n_positive, auc, method, coverage and its Monte-Carlo
        standard error, missed_low and missed_high (share of intervals lying wholly below and above the truth),
        mean_width, no_interval (cohorts in which the method gave none, counted as not covering), verdict: does the
        coverage lie in 92–97 %?
    """
    rows = []
    rng = np.random.default_rng(seed)
    for n, share, auc in ((n, share, auc) for n in sizes for share in shares for auc in aucs):
        n_positive = round(n * share)
        limits = np.array(
            [
                _intervals_of_one_cohort(n, n_positive, auc, n_resamples=n_resamples, level=level, rng=rng)
                for _ in range(n_simulations)
            ]
        )
        for k, method in enumerate(METHODS):
            low, high = limits[:, k].T
            held = (low <= auc) & (auc <= high)
            error = float(np.sqrt(held.mean() * (1 - held.mean()) / n_simulations))
            rows.append(
                {
                    "n": n,
                    "n_positive": n_positive,
                    "auc": auc,
                    "method": method,
                    "level": level,
                    "n_simulations": n_simulations,
                    "n_resamples": 0 if method == "delong" else n_resamples,
                    "coverage": held.mean(),
                    "monte_carlo_error": round(error, 4),
                    "missed_low": (high < auc).mean(),
                    "missed_high": (low > auc).mean(),
                    "mean_width": round(float(np.nanmean(high - low)), 4),
                    "no_interval": int(np.isnan(low).sum()),
                    "verdict": verdict(held.mean(), error),
                }
            )
    return pd.DataFrame(rows)


def interval_of_the_bootstrap_mean(aucs: np.ndarray, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The interval that paper 02 prints for an AUC: that of the *mean* of its bootstrap resamples.

    The authors' code gives its 1,000 resampled AUCs to ``scipy.stats.bootstrap`` as if they were data. What comes out
    (BCa, 9,999 resamples of the resamples) tells how exactly the mean of so many resamples is known, not how exactly
    the AUC is: more resamples make it as narrow as one likes.

    Parameters
    ----------
    aucs : array, shape (n_resamples,)
        AUCs of the bootstrap resamples of a cohort.
    """
    from scipy.stats import bootstrap

    found = bootstrap((aucs,), np.mean, confidence_level=level, batch=500, rng=np.random.default_rng(seed))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def procedure_coverage(
    *,
    n_positive: int,
    n_negative: int,
    auc: float,
    n_simulations: int,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How often two intervals made of the same resamples hold the true AUC: percentile, and that of their mean.

    Scores are binormal as in `coverage`. The interval of the mean is mean ± z·SD/√``n_resamples``, which for so many
    resamples is what `interval_of_the_bootstrap_mean` returns, to three decimals and a thousand times faster.

    Returns
    -------
    DataFrame
        One row per simulation: estimate, percentile_low, percentile_high, mean_low, mean_high.
    """
    rng = np.random.default_rng(seed)
    positive = np.arange(n_positive + n_negative) < n_positive
    tail = (1 - level) / 2
    rows = []
    for _ in range(n_simulations):
        score = rng.normal(size=len(positive)) + np.sqrt(2) * ndtri(auc) * positive
        sums = resampled_sums(
            np.zeros((0, len(positive))),
            [PairwiseAuc.of_classes(positive, score)],
            n_resamples=n_resamples,
            seed=rng,
        )
        resamples = sums.aucs[0][1:]
        half = -ndtri(tail) * resamples.std() / np.sqrt(n_resamples)
        mean = resamples.mean()
        rows.append((sums.aucs[0][0], *np.quantile(resamples, [tail, 1 - tail]), mean - half, mean + half))
    return pd.DataFrame(rows, columns=["estimate", "percentile_low", "percentile_high", "mean_low", "mean_high"])


def split_optimism(
    samples: pd.DataFrame,
    features: np.ndarray,
    *,
    test_fraction: float,
    n_seeds: int = 20,
    signatures: tuple[float, ...] = (0.0,),
    alpha: float = 100.0,
) -> pd.DataFrame:
    """What a split over images gains on a split by patient, with a model cheap enough to repeat (ridge regression).

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        Development rows of a samples frame; training and testing rows are taken together and divided anew.
    features : array, shape (n_vertebrae, n_features)
    test_fraction : float
        As in `vcfkit.cohort.split`, whose splits these are, seeds 0 … ``n_seeds`` − 1.
    signatures : tuple of float
        Planted likeness of one patient's vertebrae: that share of the variance of every (standardised) feature is
        replaced by a draw that all vertebrae of a patient have in common and that knows nothing of the class.
    alpha : float
        Ridge penalty on standardised features. Not tuned.

    Returns
    -------
    DataFrame
        signature, seed, unit (vertebra, patient), auc (mean of the one-vs-rest AUCs in the testing rows) and
        shared_patients, those with vertebrae on both sides.
    """
    pool = samples.assign(cohort="development").reset_index(drop=True)
    labels = pool["label"].to_numpy()
    standard = (features - features.mean(axis=0)) / np.where(features.std(axis=0) > 0, features.std(axis=0), 1)
    patients, names = pd.factorize(pool["patient_id"])
    rows = []
    for seed in range(n_seeds):
        marks = np.random.default_rng(seed).standard_normal((len(names), standard.shape[1]))[patients]
        for unit in ("vertebra", "patient"):
            divided = cohort.split(pool, test_fraction=test_fraction, unit=unit, seed=seed)
            divided = divided.set_index("sample_id").loc[pool["sample_id"]].reset_index()
            training = (divided["cohort"] == "training").to_numpy()
            for signature in signatures:
                x = np.sqrt(1 - signature) * standard + np.sqrt(signature) * marks
                model = RidgeClassifier(alpha=alpha).fit(x[training], labels[training])
                scores = model.decision_function(x[~training]).reshape((~training).sum(), -1)
                if scores.shape[1] == 1:  # two classes have one score
                    scores = np.concatenate([-scores, scores], axis=1)
                count = np.ones((1, len(scores)))
                aucs = [
                    weighted_auc(labels[~training] == name, scores[:, k], count)[0]
                    for k, name in enumerate(model.classes_)
                ]
                rows.append((signature, seed, unit, float(np.mean(aucs)), cohort.shared_patients(divided)))
    return pd.DataFrame(rows, columns=["signature", "seed", "unit", "auc", "shared_patients"])


def verdict(share: float, error: float) -> str:
    """In words, whether a nominal 95 % interval does what it says, allowing 92–97 %."""
    if 0.92 <= share <= 0.97:
        return "within 92–97 %"
    words = "too low: below 92 %" if share < 0.92 else "too high: above 97 %"
    close = min(abs(share - 0.92), abs(share - 0.97)) < 2 * error
    return f"{words}, by less than two Monte-Carlo errors" if close else words


def main() -> None:
    import torch

    torch.set_num_threads(1)
    table = coverage()
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / "coverage.csv", index=False)
    sys.stdout.write(table.to_string(index=False) + "\n")


def _intervals_of_one_cohort(
    n: int, n_positive: int, auc: float, *, n_resamples: int, level: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    positive = np.arange(n) < n_positive
    score = rng.normal(size=n) + np.sqrt(2) * ndtri(auc) * positive
    sums = resampled_sums(
        np.zeros((0, n)),
        [PairwiseAuc.of_classes(positive, score)],
        n_resamples=n_resamples,
        seed=rng,
        leave_out=True,
    )
    found = [
        intervals({"auc": sums.aucs[0]}, n_resamples=n_resamples, level=level, method=method).loc["auc"]
        for method in ("percentile", "bca")
    ]
    analytic = delong_ci(positive, score, level=level)
    return [*((part["low"], part["high"]) for part in found), (analytic.low, analytic.high)]


if __name__ == "__main__":
    main()
