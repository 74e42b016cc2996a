"""What printed numbers imply, and what follows for the numbers that the five papers print.

`primitives` checks any numbers without data: counts, confusion matrices, identities, tests, widths of intervals.
`findings` turns them into rows with a verdict, and one module per paper lists its checks; every number is taken from
``params/published/<stem>.yaml`` by its id.
"""

import functools

import pandas as pd

from .. import params
from . import ct_acute_chronic, ct_diseases, xray_acute_chronic, xray_astlof, xray_fresh
from .findings import COLUMNS, KINDS, VERDICTS, Paper, kind
from .primitives import (
    AucIntervalCheck,
    AucSpread,
    Pooled,
    Range,
    accuracy_between,
    auc_interval_width,
    auc_variance,
    check_auc_interval,
    conflicts,
    confusion_matrices,
    f1_from,
    grim,
    match_p,
    mean_one_vs_rest_accuracy,
    p_from_counts,
    p_from_intervals,
    p_from_means,
    percentage_is_possible,
    pooled,
    ppv_npv_from,
    printed,
    proportion_is_possible,
)

__all__ = [
    "COLUMNS",
    "KINDS",
    "VERDICTS",
    "AucIntervalCheck",
    "AucSpread",
    "Paper",
    "Pooled",
    "Range",
    "accuracy_between",
    "auc_interval_width",
    "auc_variance",
    "check_auc_interval",
    "conflicts",
    "confusion_matrices",
    "f1_from",
    "failures",
    "findings",
    "grim",
    "match_p",
    "mean_one_vs_rest_accuracy",
    "overview",
    "p_from_counts",
    "p_from_intervals",
    "p_from_means",
    "percentage_is_possible",
    "pooled",
    "ppv_npv_from",
    "printed",
    "proportion_is_possible",
    "verdicts",
]

PAPERS = {paper.STEM: paper for paper in (xray_fresh, xray_acute_chronic, ct_diseases, xray_astlof, ct_acute_chronic)}


def findings(stem: str) -> pd.DataFrame:
    """Every check of a paper's printed numbers, passed or not, in the order of the paper.

    Returns
    -------
    DataFrame
        id, where (the places in the paper), stated, recomputed, method (to follow with a pocket calculator), verdict,
        note, items (ids of ``params/published/<stem>.yaml``). Verdicts: ``consistent``; ``rounding``, agrees once
        digits were cut off or a rounded number was rounded again; ``inconsistent``, the numbers do not fit together as
        the paper describes them; ``impossible``, no data can give what is printed; ``undecidable``, the paper prints
        too little. Failing means that numbers cannot all be right as described, not which one is wrong, nor why.

    Raises
    ------
    ValueError
        If ``stem`` is none of the five papers.
    """
    if stem not in PAPERS:
        raise ValueError(f"no audit of {stem!r}; known: {', '.join(PAPERS)}")
    return _findings(stem, str(params.ROOT)).copy()


def verdicts(found: pd.DataFrame) -> dict[str, int]:
    """How many checks have each verdict, in the order of `VERDICTS`, zeros included."""
    counts = found["verdict"].value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}


def overview(found: pd.DataFrame) -> pd.DataFrame:
    """Counts of checks by kind (rows, with a last row ``all``) and verdict (columns, with ``checks``, their sum)."""
    kinds = pd.Categorical(found["id"].map(kind), categories=[*KINDS, "other"])
    table = pd.crosstab(kinds, found["verdict"]).reindex(columns=VERDICTS, fill_value=0)
    table = table.loc[[name for name in [*KINDS, "other"] if name in table.index]]
    table.loc["all"] = table.sum()
    table["checks"] = table.sum(axis=1)
    return table.rename_axis(index=None, columns=None)


def failures(found: pd.DataFrame) -> pd.DataFrame:
    """The checks that fail (``inconsistent``, ``impossible``), for reading: by id, stated and recomputed."""
    failed = found[found["verdict"].isin(["inconsistent", "impossible"])]
    return failed.set_index("id")[["where", "stated", "recomputed", "verdict"]]


@functools.lru_cache(maxsize=8)
def _findings(stem: str, root: str) -> pd.DataFrame:
    paper = Paper(stem)
    PAPERS[stem].checks(paper)
    return paper.frame()
