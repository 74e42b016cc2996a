"""Tables keep the numbers they are given and refuse numbers nobody printed."""

import numpy as np
import pandas as pd
import pytest

from vcfkit import metrics, tables

CLASSES = ("acute", "chronic", "pathologic")


@pytest.fixture
def reports():
    rng = np.random.default_rng(0)
    parts = []
    for cohort in ("testing", "GZFPH"):
        y_true = np.asarray(CLASSES)[rng.integers(0, 3, 60)]
        parts.append(
            metrics.one_vs_rest(y_true, rng.dirichlet([1, 1, 1], 60), classes=CLASSES, n_resamples=100).assign(
                cohort=cohort
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_wide_table_keeps_every_number_and_the_printed_order(reports):
    table = tables.wide(reports)
    assert list(table["cohort"].unique()) == ["testing", "GZFPH"]
    assert list(table["class"][:5]) == [*CLASSES, "mean", "all"]
    for row in reports.itertuples():
        cell = table[(table["cohort"] == row.cohort) & (table["class"] == row[1])].iloc[0]
        assert (cell[row.metric], cell[f"{row.metric}_low"], cell[f"{row.metric}_high"]) == (
            row.estimate,
            row.low,
            row.high,
        )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ((0.8744, 0.801, 0.9304), "0.874 (0.801–0.930)"),
        ((np.nan, np.nan, np.nan), "–"),
        ((0.5, np.nan, np.nan), "0.500 (–)"),
    ],
)
def test_interval_cells(cell, text):
    assert tables.with_interval(*cell) == text


def test_display_shows_undefined_as_a_dash(reports):
    shown = tables.display(tables.wide(reports), ["auc", "accuracy"])
    assert shown.loc[("testing", "all"), "AUC"] == "–"
    assert "–" in shown.loc[("testing", "acute"), "AUC"]


def test_comparison_sets_ours_beside_the_printed_value_in_printed_order():
    published = pd.DataFrame(
        {
            "id": ["b", "a"],
            "quantity": ["AUC", "accuracy"],
            "class": ["acute", None],
            "where": ["Results", "Abstract"],
            "cohort": ["testing"] * 2,
            "model": [None, "VCFNet"],
            "value": [0.9, 0.8],
        }
    )
    ours = pd.DataFrame({"id": ["a", "b"], "reproduced": [0.7, 0.6], "low": 0.5, "high": 0.8, "note": "virtual"})
    table = tables.comparison(published, ours, model="VCFNet")
    assert list(table.columns) == [
        "quantity",
        "where",
        "cohort",
        "model",
        "published",
        "reproduced",
        "low",
        "high",
        "note",
    ]
    assert table[["quantity", "published", "reproduced"]].to_numpy().tolist() == [
        ["AUC, acute", 0.9, 0.6],
        ["accuracy", 0.8, 0.7],
    ]
    with pytest.raises(KeyError, match="c"):
        tables.comparison(published, ours.assign(id=["a", "c"]), model="VCFNet")
