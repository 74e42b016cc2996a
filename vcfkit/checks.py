"""Checks at the door: every refusal is a ValueError that names the argument, what it needs and what it held."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def numeric(name: str, values: ArrayLike, *, ndim: int | tuple[int, ...] = 1) -> np.ndarray:
    """Numbers or booleans as float64 of that many dimensions; text is refused even where it reads as a number.

    The array may be the caller's own memory: never written to.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and not any(isinstance(value, str) for value in array.ravel()):
            array = array.astype(np.float64)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{name}: an array of numbers required, found {type(values).__name__} ({fault})") from fault
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: an array of numbers required, found dtype {array.dtype}")
    if array.ndim not in np.atleast_1d(ndim):
        raise ValueError(f"{name}: {ndim} dimension(s) required, found shape {array.shape}")
    return array.astype(np.float64, copy=False)


def finite(name: str, values: ArrayLike, *, ndim: int | tuple[int, ...] = 1) -> np.ndarray:
    """`numeric`, and neither NaN nor infinite: the message names the first such row (from 0)."""
    array = numeric(name, values, ndim=ndim)
    bad = ~np.isfinite(array)
    if bad.any():
        count = int(bad.sum())
        found = f"{name} holds {count} value{'s' * (count > 1)} that {'are' if count > 1 else 'is'} not finite"
        where = f", first in row {np.argwhere(bad)[0, 0]} (from 0); leave it out or mend it" if array.ndim else ""
        raise ValueError(found + where)
    return array


def truth(name: str, values: ArrayLike, *, per_class: int = 1) -> np.ndarray:
    """Labels of two classes as booleans, with at least ``per_class`` rows of each."""
    array = numeric(name, values)
    if not len(array):
        raise ValueError(f"{name} holds no rows; both classes required")
    found = np.unique(array)
    if not np.isin(found, (0, 1)).all():
        raise ValueError(f"{name} of 0 and 1 required, found {found[:5].tolist()}")
    if len(found) < 2:
        raise ValueError(f"{name} holds one class only ({found.tolist()}); both classes required")
    positive = array == 1
    fewest = min(int(positive.sum()), int((~positive).sum()))
    if fewest < per_class:
        raise ValueError(f"{name}: at least {per_class} rows of each class required, found {fewest}")
    return positive


def truth_and_score(
    y_true: ArrayLike, y_score: ArrayLike, *, names: tuple[str, str] = ("y_true", "y_score"), per_class: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    positive, score = truth(names[0], y_true, per_class=per_class), finite(names[1], y_score)
    if len(positive) != len(score):
        raise ValueError(f"{names[0]} and {names[1]} of one length required, found {len(positive)} and {len(score)}")
    return positive, score


def decisions(name: str, values: ArrayLike, n: int) -> np.ndarray:
    array = numeric(name, values)
    if len(array) != n or not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name}: {n} values of 0 and 1 required, found {len(array)}: {np.unique(array)[:5].tolist()}")
    return array == 1


def class_table(
    y_true: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Class names of the rows, one column of scores per class, and the classes as a list."""
    classes, names = list(classes), np.asarray(y_true)
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"classes: two or more different names required, found {classes}")
    if names.ndim != 1:
        raise ValueError(f"y_true: 1 dimension(s) required, found shape {names.shape}")
    array = numeric("probabilities", probabilities, ndim=2)
    if array.shape != (len(names), len(classes)):
        raise ValueError(f"probabilities of shape {(len(names), len(classes))} required, found {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"probabilities: {int((~np.isfinite(array)).any(axis=1).sum())} rows are not finite")
    strangers = sorted({str(name) for name in names.tolist() if name not in classes})
    if strangers or len(names) == 0:
        raise ValueError(f"y_true: labels out of {classes} required, found {strangers or 'no rows'}")
    return names, array, classes


def level(value: float) -> float:
    if not (isinstance(value, numbers.Real) and 0 < value < 1):
        raise ValueError(f"level between 0 and 1 required, found {value}")
    return float(value)


def threshold(value: float) -> float:
    if not isinstance(value, numbers.Real) or np.isnan(value):
        raise ValueError(f"threshold: a number required, found {value}")
    return float(value)


def count(name: str, value: int) -> int:
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name}: a whole number of at least 1 required, found {value}")
    return int(value)


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    try:
        if seed is None:  # numpy would draw from the system: another answer every time
            raise TypeError
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"seed: a whole number from 0 on, or a Generator, required, found {seed!r}") from fault


def units(groups: ArrayLike | None, n: int) -> np.ndarray | None:
    """Number of each row's group, in the sorted order of the groups' names; None where rows are their own units."""
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        raise ValueError(f"groups: one entry per row required ({n}), found shape {names.shape}")
    if pd.isna(names).any():
        raise ValueError(f"groups: every row needs one, {int(pd.isna(names).sum())} are missing")
    return np.unique(names, return_inverse=True)[1]
