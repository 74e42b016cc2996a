"""Spearman correlations of all features at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from vcfkit import checks


def spearman_matrix(features: ArrayLike) -> np.ndarray | pd.DataFrame:
    """Spearman correlations of all pairs of features: ranks (ties get their mean rank), then one matrix product.

    Spearman's coefficient is Pearson's of the ranks (Spearman 1904); equal to ``DataFrame.corr("spearman")``, which
    ranks both columns of every pair anew.

    Parameters
    ----------
    features : array or DataFrame, shape (n_samples, n_features)
        One row per unit of analysis, at least two; no missing values.

    Returns
    -------
    array or DataFrame (as given), shape (n_features, n_features)
        NaN in the rows and columns of constant features, whose ranks have no spread; their diagonal as well.

    Raises
    ------
    ValueError
        Values that are not finite or not numbers, another number of dimensions, fewer than two rows.
    """
    table = checks.finite("features", features, ndim=2)
    if len(table) < 2:
        raise ValueError(f"features: at least two rows required, found {len(table)}")
    # One feature per row, so that each is sorted and multiplied in contiguous memory. Ranks are multiples of 1/2 about
    # their known mean: sums of their products are exact, and that of a constant feature is exactly 0.
    ranks = _centred_ranks(np.ascontiguousarray(table.T))
    products = ranks @ ranks.T
    spread = np.sqrt(np.diag(products))
    spread[spread == 0] = np.nan
    correlation = np.clip(products / spread / spread[:, None], -1, 1)
    np.fill_diagonal(correlation, np.where(np.isnan(spread), np.nan, 1.0))
    if isinstance(features, pd.DataFrame):
        return pd.DataFrame(correlation, features.columns, features.columns)
    return correlation


def _centred_ranks(rows: np.ndarray, *, block: int = 32) -> np.ndarray:
    """Ranks within each row less their mean, ties sharing one: `rankdata`, in two thirds of an argsort's time.

    A double's bits, with those of a negative number turned over, rise with its value. The lowest bits give way to the
    position in the row, and sorting these whole numbers sorts the row and carries the positions along. Rows in which
    two values agree in all bits that were kept (ties, or next to ties) go to `rankdata`. Blocks stay in the cache.
    """
    n = rows.shape[1]
    bits, ascending = n.bit_length(), np.arange(1, n + 1)[None] - (n + 1) / 2
    ranks, position = np.empty_like(rows), np.arange(n)
    for start in range(0, len(rows), block):
        part, ranked = rows[start : start + block], ranks[start : start + block]
        key = (part + 0.0).view(np.int64)  # adding 0 makes −0 and 0 one number
        key ^= (key >> 63) & np.iinfo(np.int64).max
        key = ((key >> bits) << bits) | position
        key.sort(axis=1)
        np.put_along_axis(ranked, key & (2**bits - 1), ascending, axis=1)
        key >>= bits
        tied = (key[:, 1:] == key[:, :-1]).any(axis=1)
        if tied.any():
            ranked[tied] = rankdata(part[tied], axis=1) - (n + 1) / 2
    return ranks
