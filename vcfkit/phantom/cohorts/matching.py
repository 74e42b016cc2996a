"""How printed margins, means and standard deviations become whole virtual patients.

A paper prints margins of its cohorts, seldom the joint table. :func:`fit_margins` fills the joint table by iterative
proportional fitting, :func:`round_within_margins` makes it whole numbers under the same margins. Numbers come as
truncated-normal quantiles (:func:`truncated_normal`), which :func:`match_moments` moves, as little as it takes, until
mean and standard deviation are the printed ones.
"""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.special import ndtr, ndtri

AFFINE_ROUNDS = 400
NUDGES = 20000  # single steps before giving up; a cohort needs some dozens


def largest_remainder(weights, total: int) -> np.ndarray:
    """Whole numbers in proportion to ``weights`` that add up to ``total``."""
    exact = np.asarray(weights, float) / np.sum(weights) * total
    counts = np.floor(exact).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def spread(n: int, chosen: int, rng) -> np.ndarray:
    """Systematic sample of ``chosen`` of ``n`` ordered places, from a random start; boolean, shape (n,)."""
    steps = np.floor((np.arange(n + 1) * chosen) / max(n, 1) + rng.random())
    return np.diff(steps).astype(bool)


def interleave(counts, rng) -> np.ndarray:
    """Cell numbers, cell k ``counts[k]`` times, so that every stretch of the row holds nearly the same mix.

    Written over sorted ages this gives all cells the same ages, which a random order would do on average only.
    """
    places = [(np.arange(count) + rng.random()) / count for count in counts if count]
    cells = [np.full(count, k) for k, count in enumerate(counts) if count]
    return np.concatenate(cells)[np.argsort(np.concatenate(places), kind="stable")]


def fit_margins(start, margins, *, rounds: int = 2000, tolerance: float = 1e-9) -> np.ndarray:
    """Iterative proportional fitting.

    Parameters
    ----------
    start : array
        Plausible joint table; its zeros stay zero.
    margins : list of (axes, array)
        ``axes`` are those that the margin keeps; the array holds its totals.

    Raises
    ------
    ValueError
        If the margins cannot be met from this start.
    """
    table = np.array(start, float)
    for _ in range(rounds):
        worst = 0.0
        for axes, target in margins:
            gone = tuple(axis for axis in range(table.ndim) if axis not in axes)
            have = table.sum(axis=gone, keepdims=True)
            want = np.asarray(target, float).reshape(have.shape)
            worst = max(worst, float(np.abs(have - want).max()))
            table *= np.divide(want, have, out=np.zeros_like(want), where=have > 0)
        if worst < tolerance:
            return table
    raise ValueError(f"margins not met after {rounds} rounds; the largest difference is {worst:.3g}")


def round_within_margins(table, margins, *, slack: int = 2) -> np.ndarray:
    """Controlled rounding: whole numbers next to ``table`` whose margins hold exactly.

    Minimises the sum of squared differences, linearised per unit step, by integer programming; a cell moves by less
    than ``slack`` units, and one that is zero stays zero.

    Raises
    ------
    ValueError
        If no such table exists.
    """
    table = np.asarray(table, float)
    flat = table.ravel()
    base = np.maximum(np.floor(flat + 1e-9) - (slack - 1), 0)
    steps = 2 * slack
    # Unit step j raises a cell from base + j to base + j + 1: convex costs, so steps are taken in order.
    cost = np.concatenate([2 * (base + j - flat) + 1 for j in range(steps)])
    upper = np.tile((flat > 1e-12).astype(float), steps)
    index = np.arange(flat.size).reshape(table.shape)
    rows, totals = [], []
    for axes, target in margins:
        moved = np.moveaxis(index, axes, range(len(axes))).reshape(np.asarray(target).size, -1)
        for cells, total in zip(moved, np.asarray(target).ravel(), strict=True):
            row = np.zeros(flat.size)
            row[cells] = 1
            rows.append(np.tile(row, steps))
            totals.append(total - base[cells].sum())
    found = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), totals, totals),
        integrality=np.ones(cost.size),
        bounds=Bounds(0, upper),
    )
    if found.x is None:
        raise ValueError(f"no whole numbers meet the margins: {found.message}")
    return (base + np.round(found.x).reshape(steps, -1).sum(0)).astype(int).reshape(table.shape)


def truncated_normal(rng, n: int, mean: float, sd: float, low: float, high: float) -> np.ndarray:
    """``n`` ascending quantiles of a normal distribution cut to [low, high], each at a random place of its 1/n."""
    bottom, top = ndtr((low - mean) / sd), ndtr((high - mean) / sd)
    return mean + sd * ndtri(bottom + (np.arange(n) + rng.random(n)) / n * (top - bottom))


def match_moments(values, mean, sd, *, step, low, high, tolerance, weights=None, fixed=None) -> np.ndarray:
    """Values near ``values`` whose mean and standard deviation (n - 1) are ``mean`` and ``sd``.

    First an affine map of what may move, repeated because values that would leave their bounds stay where they are;
    then rounding to ``step``; then single values (for the mean) and pairs (for the SD) are nudged by one step.

    Parameters
    ----------
    values : array, shape (n,)
    step : float
        Precision of the result, such as 0.1 years.
    low, high : float or array, shape (n,)
        Bounds of every value, inclusive.
    tolerance : (float, float)
        Of mean and SD.
    weights : array of int, shape (n,), optional
        How often a value counts: a patient with two vertebrae counts twice.
    fixed : array of bool, shape (n,), optional
        Values that stay as they are, already multiples of ``step``.

    Raises
    ------
    ValueError
        If the moments cannot be reached within the bounds.
    """
    x = np.array(values, float)
    w = np.ones(x.size) if weights is None else np.asarray(weights, float)
    free = np.ones(x.size, bool) if fixed is None else ~np.asarray(fixed)
    low, high = (np.broadcast_to(np.asarray(b, float), x.shape) for b in (low, high))
    total = w.sum()

    def moments(v):
        m = (w * v).sum() / total
        return m, np.sqrt((w * (v - m) ** 2).sum() / (total - 1))

    for _ in range(AFFINE_ROUNDS):
        m, s = moments(x)
        if abs(m - mean) < 0.02 * tolerance[0] and abs(s - sd) < 0.02 * tolerance[1]:
            break
        moved = mean + (x - m) * (sd / s)
        x = np.where(free & (moved >= low) & (moved <= high), moved, x)
    units = np.where(free, np.round(x / step), x / step)
    bottom, top = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    units = np.where(free, np.clip(units, bottom, top), units)
    for turn in range(NUDGES):
        m, s = moments(units * step)
        if abs(m - mean) <= tolerance[0]:
            if abs(s - sd) <= tolerance[1]:
                return np.round(units * step, 10)
            _nudge_pair(units, w, free, bottom, top, m / step, (sd**2 - s**2) * (total - 1) / step**2)
        else:
            _nudge_one(units, free, bottom, top, m / step, np.sign(mean - m), s < sd, turn)
    raise ValueError(f"mean {mean} and SD {sd} not reached; at {m:.4f} and {s:.4f}")


def _nudge_one(units, free, bottom, top, middle, direction, widen, turn):
    """Move one value by a step toward the mean that is wanted, on the side that also helps the SD."""
    able = free & ((units < top) if direction > 0 else (units > bottom))
    distance = (units - middle) * direction
    score = np.where(able, distance if widen else -distance, -np.inf)
    best = np.argsort(-score, kind="stable")[: max(able.sum() // 3, 1)]
    units[best[7919 * turn % len(best)]] += direction  # another value each time, not the outermost one over and over


def _nudge_pair(units, w, free, bottom, top, middle, wanted):
    """Move two values of the same weight apart or together by a step, by what changes the sum of squares best."""
    sign = 1 if wanted > 0 else -1
    weight = np.unique(w[free])[0]
    same = free & (w == weight)
    upper = np.flatnonzero(same & (units > middle) & ((units < top) if sign > 0 else (units > bottom)))
    lower = np.flatnonzero(same & (units <= middle) & ((units > bottom) if sign > 0 else (units < top)))
    if not len(upper) or not len(lower):
        raise ValueError("mean and SD not reached: no value can move within its bounds")
    # Moving i up and j down by one changes the weighted sum of squares by 2 w (x_i - x_j) + 2 w.
    need = abs(wanted) / (2 * weight) - sign
    upper, lower = (ids[np.argsort(units[ids], kind="stable")] for ids in (upper, lower))
    gap = units[upper][:, None] - units[lower][None, :]
    i, j = np.unravel_index(np.argmin(np.abs(gap - need)), gap.shape)
    units[upper[i]] += sign
    units[lower[j]] -= sign


def subset_with_sum(values, size: int, total: int, rng, *, weights=None) -> np.ndarray:
    """Indices of ``size`` random places whose whole-number ``values`` add up to ``total``.

    A random subset, after which single places are exchanged, by the largest step that does not overshoot.

    Parameters
    ----------
    weights : array, optional
        Chances of the places in the random subset; equal ones by default.

    Raises
    ------
    ValueError
        If exchanging places does not lead there.
    """
    values = np.asarray(values)
    chances = None if weights is None else np.asarray(weights) / np.sum(weights)
    inside = np.zeros(values.size, bool)
    inside[rng.choice(values.size, size, replace=False, p=chances)] = True
    order = rng.permutation(values.size)  # who is exchanged first
    for _ in range(values.size + 1000):
        missing = int(total - values[inside].sum())
        if missing == 0:
            return np.flatnonzero(inside)
        have, lack = np.unique(values[inside]), np.unique(values[~inside])
        change = (lack[None, :] - have[:, None]) * np.sign(missing)
        change = np.where(change <= abs(missing), change, 0)
        if change.size == 0 or change.max() <= 0:
            break
        i, j = np.unravel_index(np.argmax(change), change.shape)
        inside[order[np.flatnonzero((values == have[i])[order] & inside[order])[0]]] = False
        inside[order[np.flatnonzero((values == lack[j])[order] & ~inside[order])[-1]]] = True
    raise ValueError(f"no {size} of {values.size} values found that add up to {total}")


def steps_to_total(values, total: int, low, high, rng) -> np.ndarray:
    """Whole numbers near ``values`` that add up to ``total``: random places change by one until they do.

    Parameters
    ----------
    values, low, high : array of int, shape (n,)
        Every result lies within its bounds.

    Raises
    ------
    ValueError
        If the bounds do not allow the total.
    """
    low, high = (np.broadcast_to(b, np.shape(values)) for b in (low, high))
    values = np.clip(values, low, high)
    if not low.sum() <= total <= high.sum():
        raise ValueError(f"a total of {total} needs {low.sum()} to {high.sum()}")
    while values.sum() != total:
        sign = 1 if values.sum() < total else -1
        able = np.flatnonzero(values < high if sign > 0 else values > low)
        chosen = rng.permutation(able)[: abs(total - values.sum())]
        values[chosen] += sign
    return values
