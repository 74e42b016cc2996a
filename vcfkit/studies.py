"""Simulations behind statements that no single run can make.

python -m vcfkit.studies          # writes results/studies/coverage.csv, a few minutes on one core
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from vcfkit.metrics.delong import delong_ci
from vcfkit.metrics.resampling import PairwiseAuc, intervals, resampled_sums

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
