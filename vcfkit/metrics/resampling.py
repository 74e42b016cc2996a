"""The bootstrap, all resamples at once.

A resample is never built. What it is, is how often each row stands in it, and every number of a report is a function
of those counts: a confusion table is a matrix product, an AUC a cumulative sum along the sorted scores. Counts are
whole numbers in float64, so sums are exact whatever their order or device, and results equal a plain loop over the
same resamples to the last rounding of the final division.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14 (percentile, BCa); Davison &
Hinkley, Bootstrap Methods and their Application (1997), section 3.8 (clusters).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from vcfkit import checks

if TYPE_CHECKING:
    import torch

METHODS = ("percentile", "bca")
# Counts held at a time: half a megabyte stays in a core's cache, a GPU wants large pieces.
CHUNK = {"cpu": 2**16, "cuda": 2**25}


class PairwiseAuc:
    """Area under the ROC curve of each resample: the weighted share of pairs (case, control) that a score puts right.

    Ties count half (Mann–Whitney). Cases and controls are rows of one count table, and a row may stand on both sides
    or several times, which is how micro averages and mixtures of two models use it.

    Parameters
    ----------
    case_rows, control_rows : integer arrays, shapes (n_cases,), (n_controls,)
    case_scores, control_scores : arrays of the same shapes
    """

    def __init__(self, case_rows, case_scores, control_rows, control_scores):
        import torch

        order = np.argsort(control_scores, kind="stable")
        ends = [np.searchsorted(control_scores[order], case_scores, side=side) for side in ("left", "right")]
        arrays = (case_rows, control_rows[order], *ends)
        self.cases, self.controls, self.below, self.up_to = (
            torch.from_numpy(np.asarray(array, dtype=np.int64)) for array in arrays
        )

    @classmethod
    def of_classes(cls, positive: np.ndarray, score: np.ndarray) -> PairwiseAuc:
        """The ordinary two-class AUC of ``score``, both arrays of shape (n,)."""
        case, control = np.flatnonzero(positive), np.flatnonzero(~positive)
        return cls(case, score[case], control, score[control])

    def __call__(self, counts: torch.Tensor) -> torch.Tensor:
        """AUC of each column of ``counts``, shape (n, n_resamples); NaN where a resample lacks cases or controls."""
        import torch

        def taken(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return table.index_select(0, rows.to(table.device))

        controls = taken(counts, self.controls)
        cumulative = controls.new_zeros((len(controls) + 1, counts.shape[1]))
        torch.cumsum(controls, 0, out=cumulative[1:])
        cases = taken(counts, self.cases)
        # Controls strictly below a case, plus those up to and at its score: twice the half-counted wins.
        twice = taken(cumulative, self.below)
        twice += taken(cumulative, self.up_to)
        twice *= cases
        # Without cases or controls this is 0/0, which is NaN as it should be.
        return twice.sum(0) / (2 * cases.sum(0) * cumulative[-1])


def confusion_rows(positive: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Indicators of TP, FN, FP, TN, shape (4, n): their products with counts are the resamples' confusion tables."""
    cells = [positive & called, positive & ~called, ~positive & called, ~positive & ~called]
    return np.stack(cells).astype(np.float64)


def ratios(tp: np.ndarray, fn: np.ndarray, fp: np.ndarray, tn: np.ndarray) -> dict[str, np.ndarray]:
    """The counts themselves and the ratios made of them, elementwise; an empty denominator gives NaN."""
    sensitivity, specificity = divide(tp, tp + fn), divide(tn, tn + fp)
    return {
        "tp": tp,
        "fn": fn,
        "fp": fp,
        "tn": tn,
        "accuracy": divide(tp + tn, tp + fn + fp + tn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": divide(tp, tp + fp),
        "npv": divide(tn, tn + fn),
        "f1": divide(2 * tp, 2 * tp + fp + fn),
    }


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0)


class Sums(NamedTuple):
    """Raw results: one row per linear sum and per AUC; columns are the sample itself, resamples, units left out."""

    linear: np.ndarray  # (n_linear, 1 + n_resamples + n_left_out)
    aucs: np.ndarray  # (n_aucs, the same)
    n_resamples: int


def resampled_sums(
    linear: np.ndarray,
    aucs: Sequence[PairwiseAuc],
    *,
    n_resamples: int,
    seed: int | np.random.Generator,
    units: np.ndarray | None = None,
    leave_out: bool = False,
    device: str = "cpu",
) -> Sums:
    """Linear sums and AUCs of the sample, of bootstrap resamples and, for BCa, of the sample less one unit.

    Parameters
    ----------
    linear : array, shape (n_linear, n)
        Each row is summed with the rows' counts as weights.
    units : integer array, shape (n,), optional
        Number of each row's patient (`checks.units`).
    """
    import torch

    n = linear.shape[1]
    checks.count("n_resamples", n_resamples)
    device = _device(device)
    weights = torch.from_numpy(linear).to(device)
    chunks = [torch.ones((n, 1), dtype=torch.float64, device=device)]
    pieces = []

    def measure(counts: torch.Tensor) -> None:
        pieces.append(torch.cat([weights @ counts, *(auc(counts)[None] for auc in aucs)]))

    measure(chunks[0])
    for counts in count_chunks(n, n_resamples, checks.generator(seed), units=units, device=device):
        measure(counts)
    if leave_out:
        unit = torch.arange(n, device=device) if units is None else torch.from_numpy(units).to(device)
        n_units = int(unit.max()) + 1
        step = _step(n, device)
        for start in range(0, n_units, step):
            gone = torch.arange(start, min(start + step, n_units), device=device)
            measure((unit[:, None] != gone).to(torch.float64))
    table = torch.cat(pieces, dim=1).cpu().numpy()
    return Sums(table[: len(linear)], table[len(linear) :], n_resamples)


def count_chunks(
    n: int,
    n_resamples: int,
    rng: np.random.Generator,
    *,
    units: np.ndarray | None = None,
    device: str = "cpu",
) -> Iterator[torch.Tensor]:
    """How often each row stands in each resample, in pieces of shape (n, some resamples).

    Units are drawn on the CPU as ``rng.integers(0, n_units, n_units)`` once per resample, whatever the piece or device.
    """
    import torch

    n_units = n if units is None else int(units.max()) + 1
    unit = None if units is None else torch.from_numpy(units).to(device)
    step = _step(n, device)
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        drawn = torch.from_numpy(rng.integers(0, n_units, (size, n_units))).to(device)
        cell = drawn * size + torch.arange(size, device=device)[:, None]
        counts = torch.bincount(cell.view(-1), minlength=size * n_units).view(n_units, size).to(torch.float64)
        yield counts if unit is None else counts.index_select(0, unit)


def bootstrap_counts(
    n: int, n_resamples: int, rng: np.random.Generator, *, groups: ArrayLike | None = None
) -> np.ndarray:
    """How often each row stands in each bootstrap resample.

    Rows are drawn as ``rng.integers(0, n, n)`` once per resample, so that a plain loop with the same generator sees
    the same resamples. With ``groups``, whole groups (patients) are drawn instead, as many as there are groups, in
    the sorted order of their names: the cluster bootstrap (Davison & Hinkley 1997, section 3.8).

    Returns
    -------
    ndarray of float64, shape (n_resamples, n)
    """
    chunks = count_chunks(checks.count("n", n), n_resamples, rng, units=checks.units(groups, n))
    return np.concatenate([chunk.numpy().T for chunk in chunks])


def weighted_auc(positive: np.ndarray, y_score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each resample, ties counted half (Mann–Whitney form).

    Parameters
    ----------
    positive : bool array, shape (n,)
    y_score : array, shape (n,)
    counts : array, shape (n_resamples, n)
        How often each row stands in each resample.

    Returns
    -------
    ndarray, shape (n_resamples,)
        NaN where a resample holds one class only.
    """
    import torch

    auc = PairwiseAuc.of_classes(np.asarray(positive, dtype=bool), np.asarray(y_score))
    return auc(torch.from_numpy(np.ascontiguousarray(np.asarray(counts, dtype=np.float64).T))).numpy()


def decision_metrics(positive: np.ndarray, called: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """TP, FN, FP, TN and the ratios made of them, for each resample.

    Parameters
    ----------
    positive, called : bool arrays, shape (n,)
        The truth, and whether the decision was positive.
    counts : array, shape (n_resamples, n)
    """
    return ratios(*(confusion_rows(positive, called) @ np.asarray(counts).T))


def intervals(values: dict[str, np.ndarray], *, n_resamples: int, level: float, method: str) -> pd.DataFrame:
    """Interval of each number from its values in the sample, the resamples and, for BCa, the sample less one unit.

    Returns
    -------
    DataFrame
        Index ``metric``; columns estimate, low, high; ``.attrs["undefined"]`` counts the resamples without a value,
        ``.attrs["n_resamples"]`` says out of how many. The interval is that of the others.
    """
    level = checks.level(level)
    if method not in METHODS:
        raise ValueError(f"method: one of {', '.join(METHODS)} required, found {method}")
    rows, undefined = {}, {}
    for name, value in values.items():
        estimate, resamples, left_out = value[0], value[1 : 1 + n_resamples], value[1 + n_resamples :]
        defined = resamples[~np.isnan(resamples)]
        undefined[name] = n_resamples - len(defined)
        # An estimate that does not exist has no interval, even where some resamples happen to have a value.
        if len(defined) == 0 or np.isnan(estimate):
            rows[name] = [estimate, np.nan, np.nan]
            continue
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        if method == "bca":
            tails = bca_tails(estimate, defined, left_out, tails)
        rows[name] = [estimate, *(np.quantile(defined, tails) if not np.isnan(tails).any() else (np.nan, np.nan))]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"]).rename_axis("metric")
    frame.attrs |= {"undefined": undefined, "n_resamples": n_resamples, "method": method}
    return frame


def bca_tails(estimate: float, resamples: np.ndarray, left_out: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Tail probabilities of the bias-corrected and accelerated interval (Efron 1987; as in `scipy.stats.bootstrap`).

    Bias: the share of resamples below the estimate, those equal to it counted half. Acceleration: the skewness of the
    leave-one-unit-out values, 0 where they do not vary. NaN where every resample lies on one side of the estimate, or
    where leaving a unit out leaves no value.
    """
    bias = ndtri(((resamples < estimate).mean() + (resamples <= estimate).mean()) / 2)
    influence = left_out.mean() - left_out
    spread = (influence**2).sum() ** 1.5
    acceleration = (influence**3).sum() / (6 * spread) if spread != 0 else 0.0
    if not np.isfinite(bias) or np.isnan(acceleration):
        return np.full(2, np.nan)
    shifted = bias + ndtri(tails)
    return ndtr(bias + shifted / (1 - acceleration * shifted))


def _device(name: str) -> str:
    import torch

    try:
        kind = torch.device(name).type
    except RuntimeError as fault:
        raise ValueError(f"device: cpu or cuda required, found {name}") from fault
    if kind not in CHUNK or (kind == "cuda" and not torch.cuda.is_available()):
        raise ValueError(f"device: cpu, or a cuda device that is there, required, found {name} (float64 is needed)")
    return str(name)


def _step(n: int, device: str) -> int:
    return max(16, CHUNK[device.split(":")[0]] // n)
