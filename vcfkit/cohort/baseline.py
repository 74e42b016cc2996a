"""Baseline characteristics of cohorts (a paper's Table 1)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .schema import SEXES
from .splits import cohort_order


def baseline_table(samples: pd.DataFrame, by: str = "cohort") -> pd.DataFrame:
    """Baseline characteristics (the paper's Table 1) by cohort, with tableone.

    Age and sex are counted once per patient and group, level group and label once per vertebra. Two groups:
    Welch's t-test for age; more: one-way analysis of variance. Level group, sex and label: chi-squared, or
    Fisher's exact test for a 2 × 2 table with an expected or column count below 5; a larger table with such
    counts keeps chi-squared and the test's name carries a warning. Blank cells are counted as missing and
    left out of percentages and tests; a variable is not tested when a group has no value of it (for age:
    fewer than two). A patient who stands in two groups, and several vertebrae of one patient, make the groups
    less independent than the tests assume.

    Returns
    -------
    DataFrame of text
        Columns ``variable``, ``value``, ``missing``, ``overall``, one per group, ``p_value``, ``test``.
    """
    samples = samples.reset_index(drop=True)
    groups = cohort_order(samples[by])
    level_group = samples["level"].astype("str").str[:1].map({"T": "thoracic", "L": "lumbar"})
    vertebrae = samples.assign(level_group=level_group.astype("str"))
    everybody = samples.drop_duplicates("patient_id")
    by_group = samples.drop_duplicates(["patient_id", by])
    parts = [
        _count("patients, n", everybody, by_group, by, groups),
        _describe("age", everybody, by_group, by, groups),
        _describe("sex", everybody, by_group, by, groups, order=SEXES),
        _count("vertebrae, n", vertebrae, vertebrae, by, groups),
        _describe("level_group", vertebrae, vertebrae, by, groups, order=("thoracic", "lumbar")),
        _describe("label", vertebrae, vertebrae, by, groups),
    ]
    return pd.concat(parts, ignore_index=True).fillna("").astype("str")


def compare_groups(
    samples: pd.DataFrame, *, by: str, numbers: Sequence[str] = ("age",), kinds: Sequence[str] = ("sex",)
) -> pd.DataFrame:
    """Baseline characteristics with the tests that paper 01 names, chosen by rule (its Statistical analysis).

    Numbers: mean ± SD; Student's t-test for two groups, one-way analysis of variance for more, where every group passes
    Shapiro and Wilk's test of normality at 5 %; else Mann and Whitney's U test, or Kruskal and Wallis's. Kinds: count
    and percentage; Fisher's exact test for a 2 × 2 table with an expected count below 5, else chi-squared without
    correction for continuity. One row of ``samples`` per patient; blank cells are left out of a variable. The paper
    says "where appropriate": the rules are ours.

    Parameters
    ----------
    samples : DataFrame
        One row per patient.
    by : str
        Column of the groups, which stand in order of appearance.
    numbers, kinds : names of columns

    Returns
    -------
    DataFrame
        variable, value (of a kind), one text column per group, p_value (on a variable's first row), test. Without a
        test (a group of fewer than three numbers, a kind that does not vary) p_value is NaN and test says why.

    Raises
    ------
    ValueError
        A patient stands in several rows: the tests take rows as independent.
    """
    twice = samples["patient_id"].duplicated().sum()
    if twice:
        raise ValueError(f"one row per patient required, {twice} patients stand in several")
    groups = list(dict.fromkeys(samples[by]))
    rows = [{"variable": "patients", "value": "n", **{g: str((samples[by] == g).sum()) for g in groups}}]
    for name in numbers:
        parts = [samples.loc[samples[by] == g, name].dropna().astype(float).to_numpy() for g in groups]
        p_value, test = _test_of_numbers(parts)
        cells = {
            g: f"{x.mean():.2f} ± {x.std(ddof=1):.2f}" if len(x) > 1 else "" for g, x in zip(groups, parts, strict=True)
        }
        rows.append({"variable": name, "value": "mean ± SD", **cells, "p_value": p_value, "test": test})
    for name in kinds:
        known = samples[samples[name].notna() & (samples[name] != "")]
        counts = pd.crosstab(known[name], known[by]).reindex(columns=groups, fill_value=0)
        p_value, test = _test_of_counts(counts.to_numpy())
        for k, (value, row) in enumerate(counts.iterrows()):
            cells = {g: f"{row[g]} ({100 * row[g] / max(counts[g].sum(), 1):.2f} %)" for g in groups}
            first = {"p_value": p_value, "test": test} if k == 0 else {}
            rows.append({"variable": name if k == 0 else "", "value": str(value), **cells, **first})
    table = pd.DataFrame(rows)
    return table.assign(test=table["test"].fillna(""))


def _test_of_numbers(parts):
    """(p, name of the test) of two or more groups of numbers."""
    from scipy import stats

    if len(parts) < 2 or min(map(len, parts)) < 3 or any(np.ptp(x) == 0 for x in parts):
        return np.nan, "not tested: fewer than three different numbers in a group"
    normal = all(stats.shapiro(x).pvalue > 0.05 for x in parts)
    if len(parts) == 2:
        if normal:
            return float(stats.ttest_ind(*parts).pvalue), "Student's t"
        return float(stats.mannwhitneyu(*parts).pvalue), "Mann–Whitney U"
    if normal:
        return float(stats.f_oneway(*parts).pvalue), "analysis of variance"
    return float(stats.kruskal(*parts).pvalue), "Kruskal–Wallis"


def _test_of_counts(counts):
    """(p, name of the test) of a table of counts, kinds × groups."""
    from scipy import stats

    if min(counts.shape) < 2 or (counts.sum(axis=0) == 0).any():
        return np.nan, "not tested: does not vary"
    if counts.shape == (2, 2) and stats.contingency.expected_freq(counts).min() < 5:
        return float(stats.fisher_exact(counts).pvalue), "Fisher's exact"
    return float(stats.chi2_contingency(counts, correction=False).pvalue), "chi-squared"


def _count(variable, everybody, by_group, by, groups):
    """One row of counts, overall and by group."""
    counts = by_group[by].value_counts()
    cells = {group: str(counts.get(group, 0)) for group in groups}
    return pd.DataFrame([{"variable": variable, "value": "", "missing": "", "overall": str(len(everybody)), **cells}])


def _describe(variable, everybody, by_group, by, groups, *, order=()):
    """tableone's rows for one variable: overall, where nobody counts twice, beside the groups and a test."""
    from tableone import TableOne

    continuous = variable == "age"
    name = "age in years, mean (SD)" if continuous else f"{variable.replace('_', ' ')}, n (%)"
    missing = str(everybody[variable].isna().sum())
    values = by_group.dropna(subset=[variable])
    if values.empty:
        return pd.DataFrame([{"variable": name, "missing": missing}])
    distinct = values.groupby(by)[variable].nunique()
    counts = values[by].value_counts().reindex(groups, fill_value=0)
    if continuous:
        testable = counts.min() >= 2 and distinct.max() >= 2
    else:
        testable = counts.min() >= 1 and len(values[variable].unique()) >= 2
    testable = bool(testable and len(groups) >= 2)
    shown = [value for value in order or sorted(values[variable].unique()) if value in set(values[variable])]
    settings = {"columns": [variable], "categorical": [] if continuous else [variable], "include_null": False}
    settings["continuous"] = [variable] if continuous else []
    category_order = {} if continuous else {variable: shown}
    overall = TableOne(everybody[[variable]].dropna(), order=category_order, **settings).tableone
    # Blanks are left out here, because numpy warns of a mean or SD of nothing; such a group's cells stay blank.
    table = TableOne(
        values[[variable, by]],
        groupby=by,
        order={by: [group for group in groups if counts[group]], **category_order},
        overall=False,
        missing=False,
        pval=testable,
        htest_name=testable,
        **settings,
    ).tableone
    table.columns = [column for _, column in table.columns]
    table = table.drop(index="n", level=0).rename(columns={"P-Value": "p_value", "Test": "test"})
    rows = pd.DataFrame(
        {
            "variable": [name] + [""] * (len(table) - 1),
            "value": table.index.get_level_values(1),
            "missing": [missing] + [""] * (len(table) - 1),
            "overall": overall["Overall"].drop(index="n", level=0).to_numpy(),
        }
    )
    return pd.concat([rows, table.reset_index(drop=True)], axis=1).astype(object)
