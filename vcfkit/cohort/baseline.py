"""Baseline characteristics of cohorts (a paper's Table 1)."""

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
