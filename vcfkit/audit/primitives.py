"""What printed numbers imply: counts, identities, tests and interval widths that can be checked without the data.

Printed numbers are rounded. Here a text such as ``"84.75%"``, ``"0.90"`` or ``"56.8"`` stands for every value that it
may have been rounded from, [x − ½u, x + ½u] with u its last printed digit (both ends belong to it, so that rounding
half up and half to even are both accepted) and a percent sign divides by 100. A number comes with ``decimals``, or is
taken as exact. Every answer carries that interval through: where it excludes what a paper prints, no rounding
explains it.

A contradiction says that two printed numbers cannot both be right as described, not which one is wrong, nor why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats

# ---------------------------------------------------------------------------------------------- printed numbers


class Range(NamedTuple):
    """A number and the closed interval that rounding leaves it."""

    value: float
    low: float
    high: float

    def meets(self, other: Range) -> bool:
        """Whether the two intervals share a value: whether one number can be behind both."""
        slack = 1e-12 * max(1.0, abs(self.value), abs(other.value))
        return self.low <= other.high + slack and other.low <= self.high + slack


Printed = float | str | Range


def printed(value: Printed, decimals: int | None = None, *, truncation: bool = False) -> Range:
    """The values a printed number may stand for.

    Parameters
    ----------
    value : str, number or Range
        Text carries its own decimals; a number has ``decimals``, or is exact without them; a Range is left as it is.
    truncation : bool
        Also accept digits that were cut off instead of rounded: up to one unit beyond, away from 0.
    """
    if isinstance(value, Range):
        return value
    if decimals is None and not isinstance(value, str):
        value = float(_decimal(value))
        return Range(value, value, value)
    units, scale, _ = _units("value", value, decimals)
    low, high = 2 * units - 1, 2 * units + 1
    if truncation:
        low, high = (low, 2 * units + 2) if units >= 0 else (2 * units - 2, high)
    return Range(units / scale, low / (2 * scale), high / (2 * scale))


def _units(name: str, value: float | str, decimals: int | None, *, percent: bool = False) -> tuple[int, int, int]:
    """A printed number as whole units of its last digit, how many of them make 1, and its decimals."""
    if isinstance(value, str):
        text = value.strip().replace("−", "-")
        percent, text = percent or text.endswith("%"), text.removesuffix("%").strip()
        found = _decimal(text, name)
        decimals = max(0, -found.as_tuple().exponent)
    else:
        found = _decimal(value, name)
    if isinstance(decimals, bool) or not isinstance(decimals, int | np.integer) or not 0 <= decimals <= 8:
        raise ValueError(f"decimals: a whole number from 0 to 8 required with {name} = {value!r}, found {decimals!r}")
    scaled = found.scaleb(int(decimals))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{name}: {value!r} has more than {decimals} decimals")
    return int(scaled), 10 ** (int(decimals) + (2 if percent else 0)), int(decimals)


def _decimal(value: float | str, name: str = "value") -> Decimal:
    try:
        found = Decimal(value if isinstance(value, str) else repr(float(value)))
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"{name}: a number or the text of one required, found {value!r}") from None
    if not found.is_finite() or isinstance(value, bool):
        raise ValueError(f"{name}: a finite number required, found {value!r}")
    return found


def _proportion(name: str, value: Printed, decimals: int | None) -> Range:
    found = printed(value, decimals)
    if not (found.high >= 0 and found.low <= 1) or not 0 <= found.value <= 1:
        raise ValueError(f"{name}: a proportion within [0, 1] required, found {value!r}")
    return Range(found.value, max(found.low, 0.0), min(found.high, 1.0))


def _whole(name: str, value: int, *, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name}: a whole number of at least {least} required, found {value!r}")
    return int(value)


# ----------------------------------------------------------------------------------------- counts behind ratios


def percentage_is_possible(
    percent: float | str, n: int, decimals: int | None = None, *, truncation: bool = False
) -> tuple[int, ...]:
    """The counts k out of ``n`` whose percentage prints as ``percent``; empty where none does.

    Exact integer arithmetic. Both ways of rounding a half are accepted; with ``truncation`` also digits cut off.

    Parameters
    ----------
    percent : number or text in percent (``81.45``, ``"81.45"`` or ``"81.45%"``)
    n : the denominator the paper states
    """
    units, scale, _ = _units("percent", percent, decimals, percent=True)
    return _counts(units, scale, _whole("n", n), truncation)


def proportion_is_possible(
    proportion: float | str, n: int, decimals: int | None = None, *, truncation: bool = False
) -> tuple[int, ...]:
    """As `percentage_is_possible`, for a proportion such as ``"0.863"``."""
    units, scale, _ = _units("proportion", proportion, decimals)
    return _counts(units, scale, _whole("n", n), truncation)


def grim(
    mean: float | str, n: int, decimals: int | None = None, *, items: int = 1, truncation: bool = False
) -> tuple[int, ...]:
    """The whole-number sums of ``n`` whole-number values whose mean prints as ``mean`` (Brown & Heathers 2017, GRIM).

    Empty: no such values exist, so they were not whole numbers, not ``n``, or the mean is misprinted. Once n·items
    reaches 10^decimals every mean is possible, and the test says nothing.

    Parameters
    ----------
    items : values averaged within each of the ``n`` before the mean (a scale of several items).
    """
    units, scale, _ = _units("mean", mean, decimals)
    return _counts(units, scale, _whole("n", n) * _whole("items", items), truncation, bounded=False)


def _counts(units: int, scale: int, n: int, truncation: bool, *, bounded: bool = True) -> tuple[int, ...]:
    centre = units * n // scale
    reach = n // scale + 2
    ks = np.arange(centre - reach, centre + reach + 1)
    if bounded:
        ks = ks[(ks >= 0) & (ks <= n)]
    return tuple(ks[_fits(ks, np.full(len(ks), n), units, scale, truncation)].tolist())


def _fits(numerator: np.ndarray, denominator: np.ndarray, units: int, scale: int, truncation: bool) -> np.ndarray:
    """Where numerator/denominator prints as units/scale; whole numbers throughout, so no float can blur a half."""
    twice = 2 * scale * numerator
    fits = (twice >= (2 * units - 1) * denominator) & (twice <= (2 * units + 1) * denominator)
    if truncation:
        fits |= (twice >= 2 * units * denominator) & (twice < 2 * (units + 1) * denominator)
        if units <= 0:
            fits |= (twice <= 2 * units * denominator) & (twice > 2 * (units - 1) * denominator)
    return fits & (denominator > 0)


# Each figure as (numerator, denominator) of whole numbers.
_FIGURES = {
    "sensitivity": lambda tp, fn, fp, tn: (tp, tp + fn),
    "specificity": lambda tp, fn, fp, tn: (tn, tn + fp),
    "accuracy": lambda tp, fn, fp, tn: (tp + tn, tp + fn + fp + tn),
    "ppv": lambda tp, fn, fp, tn: (tp, tp + fp),
    "npv": lambda tp, fn, fp, tn: (tn, tn + fn),
    "f1": lambda tp, fn, fp, tn: (2 * tp, 2 * tp + fp + fn),
    "balanced_accuracy": lambda tp, fn, fp, tn: (tp * (tn + fp) + tn * (tp + fn), 2 * (tp + fn) * (tn + fp)),
}
_MOST_CANDIDATES = 20_000_000


def figure(name: str, tp: ArrayLike, fn: ArrayLike, fp: ArrayLike, tn: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of a figure (as in `confusion_matrices`) of whole counts."""
    return _FIGURES[name](*(np.asarray(cell) for cell in (tp, fn, fp, tn)))


def confusion_matrices(
    n_positive: int | None,
    n_negative: int | None,
    printed: Mapping[str, float | str],
    decimals: int | Mapping[str, int] | None = None,
    *,
    n: int | None = None,
    truncation: bool = False,
) -> pd.DataFrame:
    """Every whole-number confusion matrix that prints as all the given figures at once.

    Parameters
    ----------
    n_positive, n_negative : counts of the two classes; None where the paper does not say, then ``n`` is needed.
    printed : figure → text (``"84.75%"``, ``"0.69"``) or proportion
        Of sensitivity, specificity, accuracy, ppv, npv, f1, balanced_accuracy.
    decimals : int, or figure → int
        For figures given as numbers.
    n : total, where a class count is unknown
    truncation : also accept digits cut off instead of rounded.

    Returns
    -------
    DataFrame
        tp, fn, fp, tn, one row per matrix, without any row where the figures contradict each other or the counts.
        A figure whose denominator is empty fits nothing.

    Raises
    ------
    ValueError
        Names the argument: unknown figure, no figure, counts missing or not whole, or so few figures for so many rows
        that more than 20 million matrices would have to be tried.
    """
    if strangers := sorted(set(printed) - set(_FIGURES)):
        raise ValueError(f"printed: unknown figure {', '.join(strangers)}; known: {', '.join(_FIGURES)}")
    if not printed:
        raise ValueError("printed: at least one figure required")
    wanted = {}
    for name, value in printed.items():
        places = decimals.get(name) if isinstance(decimals, Mapping) else decimals
        wanted[name] = _units(name, value, places)[:2]
    positives, negatives = _class_sizes(n_positive, n_negative, n)

    def allowed(name, sizes):
        """(case, k) for every case and every k of its class that the figure alone allows."""
        n_tried = int((sizes + 1).sum())
        if n_tried > _MOST_CANDIDATES:
            raise ValueError(f"printed: {n_tried} counts to try are too many; state n_positive and n_negative")
        repeated = np.repeat(np.arange(len(sizes)), sizes + 1)
        k = np.arange(n_tried) - np.repeat(np.cumsum(sizes + 1) - sizes - 1, sizes + 1)
        if name in wanted:
            keep = _fits(k, sizes[repeated], *wanted[name], truncation)
            repeated, k = repeated[keep], k[keep]
        return repeated, k

    # Pairs (case, TP), then for each the TN that its case allows: case is one split into positives and negatives.
    case_p, tp = allowed("sensitivity", positives)
    case_n, tn = allowed("specificity", negatives)
    first = np.searchsorted(case_n, case_p, side="left")
    per_pair = np.searchsorted(case_n, case_p, side="right") - first
    if per_pair.sum() > _MOST_CANDIDATES:
        raise ValueError(
            f"printed: {per_pair.sum()} matrices to try are too many; sensitivity or specificity narrows them"
        )
    pair = np.repeat(np.arange(len(tp)), per_pair)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(per_pair) - per_pair, per_pair)
    tp, tn, case = tp[pair], tn[first[pair] + within], case_p[pair]
    cells = np.stack([tp, positives[case] - tp, negatives[case] - tn, tn])
    for name, (units, scale) in wanted.items():
        cells = cells[:, _fits(*_FIGURES[name](*cells), units, scale, truncation)]
    return pd.DataFrame(cells.T, columns=["tp", "fn", "fp", "tn"])


def conflicts(
    n_positive: int | None,
    n_negative: int | None,
    printed: Mapping[str, float | str],
    decimals: int | Mapping[str, int] | None = None,
    *,
    n: int | None = None,
    truncation: bool = False,
) -> list[tuple[str, ...]]:
    """The smallest sets of printed figures that no confusion matrix satisfies; empty where all fit together.

    A set of one figure cannot be printed from these class counts at all; a set of two contradicts itself, and so on.
    Arguments as for `confusion_matrices`.
    """
    found: list[tuple[str, ...]] = []
    for size in range(1, len(printed) + 1):
        for names in combinations(printed, size):
            if any(set(smaller) <= set(names) for smaller in found):
                continue
            part = {name: printed[name] for name in names}
            if confusion_matrices(n_positive, n_negative, part, decimals, n=n, truncation=truncation).empty:
                found.append(names)
    return found


def _class_sizes(n_positive: int | None, n_negative: int | None, n: int | None) -> tuple[np.ndarray, np.ndarray]:
    if n_positive is not None:
        n_positive = _whole("n_positive", n_positive, least=0)
    if n_negative is not None:
        n_negative = _whole("n_negative", n_negative, least=0)
    if n is not None:
        n = _whole("n", n)
    if n_positive is not None and n_negative is not None:
        if n is not None and n != n_positive + n_negative:
            raise ValueError(f"n: {n_positive} + {n_negative} required, found {n}")
        if n_positive + n_negative == 0:
            raise ValueError("n_positive, n_negative: at least one row required")
        return np.array([n_positive]), np.array([n_negative])
    if n is None:
        raise ValueError("n: the total is required where n_positive or n_negative is unknown")
    if n_positive is None and n_negative is None:
        positives = np.arange(n + 1)
    else:
        positives = np.array([n_positive if n_positive is not None else n - n_negative])
    if (positives < 0).any() or (positives > n).any():
        raise ValueError(f"n: at least as many as one class required, found {n}")
    return positives, n - positives


# ---------------------------------------------------------------------------------------------------- identities


def ppv_npv_from(
    sensitivity: Printed, specificity: Printed, prevalence: Printed, *, decimals: int | None = None
) -> tuple[Range, Range]:
    """PPV and NPV that follow from sensitivity, specificity and prevalence (Bayes).

    Both rise with sensitivity and specificity; PPV rises and NPV falls with prevalence, so the ends come from the ends.
    NaN where nobody would be called positive (or negative).
    """
    se = _proportion("sensitivity", sensitivity, decimals)
    sp = _proportion("specificity", specificity, decimals)
    pr = _proportion("prevalence", prevalence, decimals)

    def ppv(se, sp, pr):
        return _share(se * pr, (1 - sp) * (1 - pr))

    def npv(se, sp, pr):
        return _share(sp * (1 - pr), (1 - se) * pr)

    return (
        Range(ppv(se.value, sp.value, pr.value), ppv(se.low, sp.low, pr.low), ppv(se.high, sp.high, pr.high)),
        Range(npv(se.value, sp.value, pr.value), npv(se.low, sp.low, pr.high), npv(se.high, sp.high, pr.low)),
    )


def f1_from(ppv: Printed, sensitivity: Printed, *, decimals: int | None = None) -> Range:
    """F1 = 2·PPV·sensitivity/(PPV + sensitivity); rises with both. 0 where both are 0."""
    a, b = _proportion("ppv", ppv, decimals), _proportion("sensitivity", sensitivity, decimals)
    return Range(*(2 * x * y / (x + y) if x + y > 0 else 0.0 for x, y in zip(a, b, strict=True)))


def accuracy_between(sensitivity: Printed, specificity: Printed, *, decimals: int | None = None) -> Range:
    """The interval that accuracy must lie in: it is a weighted mean of sensitivity and specificity.

    ``value`` is that of equal classes, the balanced accuracy.
    """
    a, b = _proportion("sensitivity", sensitivity, decimals), _proportion("specificity", specificity, decimals)
    return Range((a.value + b.value) / 2, min(a.low, b.low), max(a.high, b.high))


def mean_one_vs_rest_accuracy(accuracy: Printed, n_classes: int = 3, *, decimals: int | None = None) -> Range:
    """Mean of the one-vs-rest accuracies of a classifier whose share of right rows is ``accuracy``.

    Each wrong row is wrong in two of the K one-vs-rest tables and right in the rest, so the mean is
    1 − 2(1 − accuracy)/K: for three classes (1 + 2·accuracy)/3, never below 1/3.
    """
    k = _whole("n_classes", n_classes, least=2)
    return Range(*(1 - 2 * (1 - x) / k for x in _proportion("accuracy", accuracy, decimals)))


class Pooled(NamedTuple):
    """Number of rows, mean and standard deviation of groups put together."""

    n: int
    mean: Range
    sd: Range


def pooled(
    means: Sequence[Printed], sds: Sequence[Printed], ns: Sequence[int], *, decimals: int | None = None
) -> Pooled:
    """Mean and standard deviation (n − 1) of the union of disjoint groups, with what their rounding leaves open.

    SD² = [Σ(nᵢ − 1)sᵢ² + Σnᵢ(mᵢ − m)²]/(N − 1): exact, no distribution assumed. The ends are exact too: the first sum
    rises with each sᵢ, the second is convex in the means (largest at a corner of their box, smallest where they come
    closest).
    """
    m, s, ns = _groups(means, sds, ns, decimals)
    total = int(ns.sum())

    def sd(spread_between, s):
        return float(np.sqrt((((ns - 1) * s**2).sum() + spread_between) / (total - 1)))

    weights = ns.astype(np.float64)
    closest, widest = _between_extremes(m, weights)
    mean = Range(*(float((ns * column).sum() / total) for column in m.T))
    return Pooled(
        total, mean, Range(sd(_between(m[:, 0], weights), s[:, 0]), sd(closest, s[:, 1]), sd(widest, s[:, 2]))
    )


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest > 0 else float("nan")


def _between(means: np.ndarray, weights: np.ndarray) -> float:
    """Σ w (m − m̄)² with the weighted mean m̄."""
    return float((weights * (means - (weights * means).sum() / weights.sum()) ** 2).sum())


def _between_extremes(means: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Smallest and largest Σ w (m − m̄)² while each mean stays in its interval; means are rows (value, low, high)."""
    widest = max(_between(np.array(corner), weights) for corner in product(*means[:, 1:].tolist()))
    if means[:, 1].max() <= means[:, 2].min():
        return 0.0, widest

    def distance(centre):
        return float((weights * (centre - np.clip(centre, means[:, 1], means[:, 2])) ** 2).sum())

    bounds = (means[:, 1].min(), means[:, 2].max())
    return optimize.minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 1e-10}).fun, widest


def _groups(means, sds, ns, decimals) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and SDs as (n_groups, 3) arrays of value, low, high; group sizes."""
    if not 2 <= len(means) == len(sds) == len(ns) <= 6:
        raise ValueError(f"means, sds, ns: two to six groups required, found {len(means)}, {len(sds)}, {len(ns)}")
    sizes = np.array([_whole("ns", n, least=2) for n in ns])
    m = np.array([printed(value, decimals) for value in means])
    s = np.array([printed(value, decimals) for value in sds])
    if (s[:, 0] < 0).any():
        raise ValueError(f"sds: 0 or above required, found {list(sds)}")
    return m, np.maximum(s, 0.0), sizes


# ------------------------------------------------------------------------------------------------- tests (p values)


def p_from_counts(table: ArrayLike) -> pd.DataFrame:
    """p values of a contingency table by the usual tests.

    Pearson's chi-squared and the likelihood-ratio chi-squared; for 2 × 2 also chi-squared with Yates' continuity
    correction and Fisher's exact test (two-sided, by probability, as R and SPSS).

    Returns
    -------
    DataFrame
        test, p, p_low, p_high (equal: counts are not rounded); one row per test. See `match_p`.
    """
    counts = np.asarray(table)
    if counts.ndim != 2 or min(counts.shape) < 2 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError("table: whole counts in two or more rows and columns required")
    if (counts.sum(axis=0) == 0).any() or (counts.sum(axis=1) == 0).any():
        raise ValueError("table: a row or column without any count says nothing; leave it out")

    def chi_squared(**options):
        return stats.chi2_contingency(counts, **options).pvalue

    p = {
        "chi-squared": chi_squared(correction=False),
        "likelihood-ratio chi-squared": chi_squared(correction=False, lambda_="log-likelihood"),
    }
    if counts.shape == (2, 2):
        p["chi-squared, continuity-corrected"] = chi_squared(correction=True)
        p["Fisher's exact"] = stats.fisher_exact(counts).pvalue
    return _candidates({name: (value, value, value) for name, value in p.items()})


def p_from_means(
    means: Sequence[Printed], sds: Sequence[Printed], ns: Sequence[int], *, decimals: int | None = None
) -> pd.DataFrame:
    """p values of the comparison of independent groups from means, standard deviations (n − 1) and sizes.

    Two groups: Student's and Welch's t; more: analysis of variance and Welch's (1951) analysis of variance, of which
    the t tests are the two-group case. Rank tests cannot be had from means.

    Returns
    -------
    DataFrame
        test, p, p_low, p_high; the interval is over all roundings: exact for equal variances; for Welch's test, whose
        degrees of freedom also move, over the corners of the intervals of the standard deviations.
    """
    m, s, ns = _groups(means, sds, ns, decimals)
    if (s[:, 0] == 0).all():
        raise ValueError("sds: at least one above 0 required")
    names = ("Student's t", "Welch's t") if len(ns) == 2 else ("analysis of variance", "Welch's analysis of variance")
    answers = {}
    for name, test, weights in zip(names, (_anova, _welch), (_sizes, _precisions), strict=True):
        value = test(_between(m[:, 0], weights(s[:, 0], ns)), s[:, 0], ns)
        ends = []
        for corner in product(*s[:, 1:].tolist()):
            sds_here = np.array(corner)
            for between in _between_extremes(m, weights(sds_here, ns)):
                ends.append(test(between, sds_here, ns))
        answers[name] = (value, min(ends), max(ends))
    return _candidates(answers)


def p_from_intervals(
    first: tuple[Printed, Printed, Printed],
    second: tuple[Printed, Printed, Printed],
    *,
    decimals: int | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """p values of the difference of two estimates (two AUCs) from their confidence intervals.

    The standard error is the interval's width over 2z (Altman & Bland, BMJ 2011;343:d2304), the difference is tested
    against √(SE₁² + SE₂²) (Altman & Bland, BMJ 2003;326:219), on the scale of the estimates and on the logit scale. Two
    estimates from the same patients are correlated: any correlation r gives SE² = SE₁² + SE₂² − 2r·SE₁·SE₂, which
    bounds the p of any paired test, whatever r was. The more an interval leans to one side, the rougher all this is.

    Parameters
    ----------
    first, second : (estimate, low, high)

    Returns
    -------
    DataFrame
        test, p, p_low, p_high over all roundings; the paired rows, over all correlations, have no single p.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: between 0 and 1 required, found {level}")
    a, b = (_interval(name, values, decimals) for name, values in (("first", first), ("second", second)))
    z = stats.norm.ppf((1 + level) / 2)
    difference, se_a, se_b = _difference(a, b), _standard_error(a, z), _standard_error(b, z)
    independent = Range(*(float(np.hypot(x, y)) for x, y in zip(se_a, se_b, strict=True)))
    opposite = se_a.high + se_b.high  # r = −1
    alike = max(0.0, se_a.low - se_b.high, se_b.low - se_a.high)  # r = 1
    answers = {
        "independent": _p_range(difference, independent),
        "independent, Altman–Bland approximation": _p_range(difference, independent, approximate=True),
    }
    if all(0 < end < 1 for row in (a, b) for part in row for end in part):
        on_logit = [tuple(Range(*map(_logit, part)) for part in row) for row in (a, b)]
        errors = [_standard_error(row, z) for row in on_logit]
        combined = Range(*(float(np.hypot(x, y)) for x, y in zip(*errors, strict=True)))
        answers["independent, logit scale"] = _p_range(_difference(*on_logit), combined)
    lowest = _p(difference.high, alike)
    answers["paired, r from 0 to 1"] = (np.nan, lowest, _p(difference.low, independent.high))
    answers["paired, r from −1 to 1"] = (np.nan, lowest, _p(difference.low, opposite))
    return _candidates(answers)


def match_p(p: float | str, candidates: pd.DataFrame, decimals: int | None = None) -> list[str]:
    """The tests of ``candidates`` that can have printed ``p``: a number with ``decimals``, or text as ``"<0.001"``."""
    if isinstance(p, str) and p.strip()[:1] in ("<", ">"):
        limit = printed(p.strip()[1:].strip()).value
        low, high = (0.0, limit) if p.strip()[0] == "<" else (limit, 1.0)
        # "<" is strict: a p of exactly the limit would not be below it.
        fits = candidates["p_low"] < high if p.strip()[0] == "<" else candidates["p_high"] > low
    else:
        stated = printed(p, decimals)
        fits = (candidates["p_low"] <= stated.high + 1e-12) & (candidates["p_high"] >= stated.low - 1e-12)
    return candidates.loc[fits, "test"].tolist()


def _candidates(answers: Mapping[str, tuple[float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame([(name, *p) for name, p in answers.items()], columns=["test", "p", "p_low", "p_high"])


def _anova(between: float, sds: np.ndarray, ns: np.ndarray) -> float:
    k, rest = len(ns), int(ns.sum()) - len(ns)
    within = ((ns - 1) * sds**2).sum()
    return _f_tail(between / (k - 1), within / rest, k - 1, rest)


def _welch(between: float, sds: np.ndarray, ns: np.ndarray) -> float:
    k, weights = len(ns), _precisions(sds, ns)
    if not np.isfinite(weights).all():
        return 0.0 if between > 0 else 1.0  # a group without spread has infinite weight
    lack = ((1 - weights / weights.sum()) ** 2 / (ns - 1)).sum()
    denominator = 1 + 2 * (k - 2) / (k**2 - 1) * lack
    return _f_tail(between / (k - 1), denominator, k - 1, (k**2 - 1) / (3 * lack))


def _sizes(sds: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """Weights of the group means in the analysis of variance."""
    return ns.astype(np.float64)


def _precisions(sds: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """Weights of the group means in Welch's: n/s², infinite for a group without spread."""
    return np.divide(ns, sds**2, out=np.full(len(ns), np.inf), where=sds > 0)


def _f_tail(numerator: float, denominator: float, df1: float, df2: float) -> float:
    if denominator == 0:
        return 0.0 if numerator > 0 else 1.0
    return float(stats.f.sf(numerator / denominator, df1, df2))


def _interval(name: str, values, decimals) -> tuple[Range, Range, Range]:
    if len(values) != 3:
        raise ValueError(f"{name}: (estimate, low, high) required, found {values!r}")
    estimate, low, high = (printed(value, decimals) for value in values)
    if not low.value < high.value:
        raise ValueError(f"{name}: low below high required, found {values!r}")
    return estimate, low, high


def _difference(a, b) -> Range:
    """|difference| of two estimates and its interval."""
    low, high = a[0].low - b[0].high, a[0].high - b[0].low
    smallest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Range(abs(a[0].value - b[0].value), smallest, max(abs(low), abs(high)))


def _standard_error(row, z: float) -> Range:
    _, low, high = row
    width = (high.value - low.value, max(0.0, high.low - low.high), high.high - low.low)
    return Range(*(value / (2 * z) for value in width))


def _p_range(difference: Range, error: Range, *, approximate: bool = False) -> tuple[float, float, float]:
    def p(d, e):
        return _p(d, e, approximate=approximate)

    return p(difference.value, error.value), p(difference.high, error.low), p(difference.low, error.high)


def _p(difference: float, error: float, *, approximate: bool = False) -> float:
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    z = difference / error
    return float(np.exp(-0.717 * z - 0.416 * z**2)) if approximate else float(2 * stats.norm.sf(z))


def _logit(x: float) -> float:
    return float(np.log(x / (1 - x)))


# ---------------------------------------------------------------------------------------- width of an AUC's interval


class AucSpread(NamedTuple):
    """Least and greatest of a quantity (variance, or width of an interval) that an AUC and two class sizes allow.

    ``lowest_tied`` is the least where scores may tie between the classes; ``lowest`` where they do not, as for the
    probabilities of a network.
    """

    lowest_tied: float
    lowest: float
    hanley_mcneil: float
    highest: float


def auc_variance(auc: float, n_positive: int, n_negative: int) -> AucSpread:
    """Bounds on the variance of an AUC, whatever the scores are, and the usual guess at it.

    With V₁ the share of negatives below a positive and V₀ the share of positives above a negative, the DeLong variance
    is var(V₁)/n₁ + var(V₀)/n₀ (DeLong 1988; Sen 1960) with sample variances; the true one and the bootstrap's are
    (stratified) also at least that sum with population variances. ``lowest`` is its minimum over all scores of this
    AUC without ties between the classes (found by calculus: the survival function of V₁ is clip(c − x·n₀/n₁, 0, 1);
    Birnbaum & Klose 1957 treat such bounds). ``lowest_tied`` is the value of three levels, pure negatives, a mixed
    one, pure positives: attained, and the least in an enumeration of all orderings of up to 10 rows; not proved for
    more. ``highest`` is van Dantzig's (1951) A(1 − A)/min(n₁, n₀), over all continuous scores; DeLong's estimate can
    exceed it by the factor min/(min − 1). ``hanley_mcneil`` takes exponentially distributed scores (Hanley & McNeil
    1982).
    """
    a = float(auc)
    if not 0 <= a <= 1:
        raise ValueError(f"auc: within [0, 1] required, found {auc!r}")
    n1, n0 = _whole("n_positive", n_positive), _whole("n_negative", n_negative)
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    hanley_mcneil = (a * (1 - a) + (n1 - 1) * (q1 - a**2) + (n0 - 1) * (q2 - a**2)) / (n1 * n0)
    return AucSpread(_lowest_tied(a, n1, n0), _lowest(a, n1, n0), hanley_mcneil, a * (1 - a) / min(n1, n0))


def auc_interval_width(
    auc: Printed, n_positive: int, n_negative: int, *, decimals: int | None = None, level: float = 0.95
) -> AucSpread:
    """Width 2z·√variance of an AUC's confidence interval, at each of the variances of `auc_variance`.

    For a rounded AUC the bounds are those over all it may stand for.
    """
    a = _proportion("auc", auc, decimals)
    if not 0 < level < 1:
        raise ValueError(f"level: between 0 and 1 required, found {level}")
    ends = [auc_variance(end, n_positive, n_negative) for end in a]
    middle = [auc_variance(0.5, n_positive, n_negative)] if a.low <= 0.5 <= a.high else []
    spread = AucSpread(
        min(end.lowest_tied for end in ends + middle),
        min(end.lowest for end in ends),
        ends[0].hanley_mcneil,
        max(end.highest for end in ends + middle),
    )
    z = stats.norm.ppf((1 + level) / 2)
    return AucSpread(*(float(2 * z * np.sqrt(variance)) for variance in spread))


class AucIntervalCheck(NamedTuple):
    """Verdict on a printed interval of an AUC; see `check_auc_interval`."""

    verdict: str
    width: Range
    possible: AucSpread
    ratio: float


def check_auc_interval(
    interval: tuple[Printed, Printed, Printed],
    n_positive: int,
    n_negative: int,
    *,
    decimals: int | None = None,
    level: float = 0.95,
    ties: bool = False,
) -> AucIntervalCheck:
    """Whether an AUC's printed interval can be that of a sample of this size.

    ``verdict``: ``"estimate outside"`` its own interval; ``"too narrow"`` or ``"too wide"`` for any scores;
    ``"possible"``. Narrowness is judged by twice the longer side (an interval cut off at 1 keeps its lower side),
    width by the whole. The bounds are those of an interval symmetric about the AUC; a percentile interval of a small
    sample differs a little, so read ``ratio``, printed over Hanley–McNeil width, before calling a close case.
    1/ratio² is how many times larger the sample would have to be; near the number of resamples, the interval is that
    of their mean.

    Parameters
    ----------
    interval : (auc, low, high)
    ties : the scores may tie between the classes (a reader's grades, a model's hard calls).
    """
    estimate, low, high = _interval("interval", interval, decimals)
    possible = auc_interval_width(estimate, n_positive, n_negative, level=level)
    longer = max(estimate.value - low.value, high.value - estimate.value)
    width = Range(
        2 * longer,
        max(0.0, high.low - low.high),
        2 * max(estimate.high - low.low, high.high - estimate.low),
    )
    if estimate.high < low.low or estimate.low > high.high:
        verdict = "estimate outside"
    elif width.high < (possible.lowest_tied if ties else possible.lowest):
        verdict = "too narrow"
    elif width.low > possible.highest:
        verdict = "too wide"
    else:
        verdict = "possible"
    ratio = width.value / possible.hanley_mcneil if possible.hanley_mcneil > 0 else float("inf")
    return AucIntervalCheck(verdict, width, possible, ratio)


def _lowest(a: float, n1: int, n0: int) -> float:
    """min of var(Y)/n1 + var(S(U))/n0 over survival functions S of Y on [0, 1] with mean a, U uniform.

    Pointwise, the Lagrangian 2xS/n1 + S²/n0 − λS is least at S = clip(c − r·x, 0, 1) with r = n0/n1, which falls in x
    as a survival function must; c follows from the mean.
    """
    r = n0 / n1

    # Antiderivatives of clip(u, 0, 1), of its square and of u·clip(u, 0, 1).
    def first(u):
        return 0.0 if u <= 0 else u**2 / 2 if u <= 1 else u - 0.5

    def square(u):
        return 0.0 if u <= 0 else u**3 / 3 if u <= 1 else u - 2 / 3

    def moment(u):
        return 0.0 if u <= 0 else u**3 / 3 if u <= 1 else u**2 / 2 - 1 / 6

    def mean(c):
        return (first(c) - first(c - r)) / r

    c = optimize.brentq(lambda c: mean(c) - a, 0.0, 1.0 + r, xtol=1e-15)
    of_square = (square(c) - square(c - r)) / r
    of_position = 2 * (c * (first(c) - first(c - r)) - (moment(c) - moment(c - r))) / r**2
    return max(0.0, (of_position - a**2) / n1 + (of_square - a**2) / n0)


def _lowest_tied(a: float, n1: int, n0: int) -> float:
    """Three levels: shares p of the negatives and q of the positives tie, the rest is put right; pq = 2(1 − a)."""
    lost = 2 * (1 - max(a, 1 - a))  # turning all scores round keeps the variance
    if lost == 0:
        return 0.0
    p = float(np.clip(np.sqrt(lost * n1 / n0), lost, 1.0))
    q = lost / p
    return max(0.0, lost / 4 * (p * (1 - q) / n1 + q * (1 - p) / n0))
