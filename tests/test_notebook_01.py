"""Notebook 01 run whole, at its smallest: what it leaves, and every table against scikit-learn from its predictions."""

import json

import nbformat
import notebook_runs
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import models, params

STEM = "01_xray_fresh_vcf"
VARIANT = "DRN, log-sum-exp head"
MODELS = [*models.ARCHITECTURES, VARIANT]
FIGURES = ["1", "2", "3", "4", "5", "6", "7", "s1", "films", "curves", "localisation"]
TABLES = ["1", "2", "3", "4", "4_tests", "s1", "s2", "curves", "delong", "localisation", "parts", "calibration"]
TABLES += ["reversed"]
SMALLEST = {
    "epochs": 1,
    "image_size": 32,
    "training_fraction": 0.006,
    "validation_fraction": 0.03,
    "external_fraction": 0.03,
    "study_learning_rates": "[0.001]",
    "study_batch_sizes": "[3]",
    "n_bootstrap": 100,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return notebook_runs.finished(STEM, tmp_path_factory.mktemp("run"), **SMALLEST)


@pytest.fixture(scope="module")
def predictions(run):
    return pd.read_csv(run / "predictions.csv")


def test_results_are_what_the_contract_names(run):
    assert notebook_runs.files(run) == notebook_runs.contract(FIGURES, TABLES)


def test_every_network_answers_for_every_film(run, predictions):
    cohort = pd.read_csv(run / "cohort.csv")
    assert predictions["model"].unique().tolist() == MODELS
    for _, rows in predictions.groupby("model"):
        assert rows["sample_id"].tolist() == cohort["sample_id"].tolist()
        assert rows["y_true"].tolist() == cohort["label"].tolist()
    both = predictions[["prob_fresh", "prob_non-fresh"]]
    assert both.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-12)
    assert both.min(axis=None) >= 0


def test_training_numbers_come_before_validation_numbers(run):
    cohort = pd.read_csv(run / "cohort.csv").groupby("cohort")["patient_number"]
    assert cohort.max()["training"] < cohort.min()["validation"]


def _expected(rows, threshold):
    y, called = rows["y_true"] == "fresh", rows["prob_fresh"] >= threshold
    return {
        "auc": sk.roc_auc_score(y, rows["prob_fresh"]),
        "accuracy": sk.accuracy_score(y, called),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called),
        "sensitivity": sk.recall_score(y, called),
        "specificity": sk.recall_score(y, called, pos_label=False),
        "f1": sk.f1_score(y, called, zero_division=np.nan),
    }


def test_table_2_is_what_scikit_learn_computes_at_one_threshold_per_network(run, predictions):
    table = pd.read_csv(run / "tables" / "table_2.csv")
    assert (table.groupby("model")["threshold"].nunique() == 1).all()
    assert set(table["cohort"]) == {"validation", "YHDH", "BMUH"}
    for row in table.itertuples():
        rows = predictions[(predictions["cohort"] == row.cohort) & (predictions["model"] == row.model)]
        assert row.estimate == pytest.approx(_expected(rows, row.threshold)[row.metric], abs=1e-12)
        assert row.low <= row.estimate <= row.high


def test_table_4_is_that_of_the_subgroups_at_the_same_threshold(run, predictions):
    cohort = pd.read_csv(run / "cohort.csv").set_index("sample_id")
    threshold = pd.read_csv(run / "tables" / "table_2.csv").set_index("model")["threshold"]["DRN"].iloc[0]
    drn = predictions[predictions["model"] == "DRN"]
    old = cohort.loc[drn["sample_id"], "has_old_vcf"].to_numpy()
    table = pd.read_csv(run / "tables" / "table_4.csv")
    assert table["cohort"].nunique() == 4
    for row in table[table["metric"].isin(["auc", "accuracy", "sensitivity", "specificity"])].itertuples():
        site, part = row.cohort.split(" ")
        rows = drn[(drn["cohort"] == site) & (old == (part == "old"))]
        assert len(rows) == row.n
        assert row.estimate == pytest.approx(_expected(rows, threshold)[row.metric], abs=1e-12)


def test_parts_of_the_auc_share_their_fresh_films(run, predictions):
    cohort = pd.read_csv(run / "cohort.csv").set_index("sample_id")
    parts = pd.read_csv(run / "tables" / "table_parts.csv")
    pooled = parts[(parts["cohort"] == "both external") & (parts["model"] == "DRN")].set_index("question")
    rows = predictions[(predictions["model"] == "DRN") & predictions["cohort"].isin(["YHDH", "BMUH"])]
    y, old = rows["y_true"] == "fresh", cohort.loc[rows["sample_id"], "has_old_vcf"].to_numpy()
    for question, kept in (("all", y | True), ("fresh or old", y | old), ("fresh or none", y | ~old)):
        assert pooled.loc[question, "n"] == kept.sum()
        expected = sk.roc_auc_score(y[kept], rows["prob_fresh"][kept])
        assert pooled.loc[question, "auc"] == pytest.approx(expected, abs=1e-12)


def test_comparison_holds_every_printed_number_and_ours_for_all_of_tables_1_to_4(run):
    table, published = pd.read_csv(run / "comparison.csv"), params.published(STEM)
    assert len(table) == len(published)
    assert list(table)[:8] == ["quantity", "where", "cohort", "model", "published", "reproduced", "low", "high"]
    of_tables = table[table["where"].str.fullmatch(r"Table [1-4]")]
    missing = of_tables[of_tables["reproduced"].isna()]
    # Printed p values of a comparison that so small a run cannot test.
    assert missing["quantity"].eq("p value").all(), missing
    numbers = json.loads((run / "metrics.json").read_text())
    row = table[(table["where"] == "Table 2") & (table["cohort"] == "YHDH") & (table["quantity"] == "accuracy")].iloc[0]
    assert row["published"] == 81.45
    assert row["reproduced"] == pytest.approx(100 * numbers["YHDH/DRN/accuracy"])


def test_comparison_has_shares_of_the_partition_and_printed_intervals_in_its_notes(run):
    table, cohort = pd.read_csv(run / "comparison.csv"), pd.read_csv(run / "cohort.csv")["cohort"]
    sizes = cohort.value_counts()[["training", "validation"]]
    partition = table[table["where"].str.endswith("Data partition") & (table["quantity"] == "share of participants")]
    shares = partition.set_index("cohort")["reproduced"].to_dict()
    assert shares == pytest.approx((100 * sizes / sizes.sum()).to_dict())
    of_table_4 = table[(table["where"] == "Table 4") & (table["quantity"] != "p value")]
    assert len(of_table_4) == 20
    assert of_table_4["note"].str.contains(r"; printed [\d.]+ to [\d.]+$").all()
    assert "printed 0.84 to 0.95" in of_table_4["note"].iloc[0]
    assert table.loc[table["where"] == "Table 3", "note"].str.endswith("printed <0.001").sum() == 3


def test_an_auc_of_0_or_1_is_not_tested_and_its_note_says_so(run):
    table = pd.read_csv(run / "tables" / "table_4_tests.csv")
    certain = table[["non-old", "old"]].isin([0, 1]).any(axis=1)
    assert table.loc[certain, ["low", "high", "p_value"]].isna().all(axis=None)
    assert table.loc[~certain, ["low", "high", "p_value"]].notna().all(axis=None)
    rows = pd.read_csv(run / "comparison.csv")
    rows = rows[(rows["where"] == "Table 4") & (rows["quantity"] == "p value")].set_index("cohort")
    assert rows["reproduced"].dropna().to_dict() == pytest.approx(
        table.set_index("cohort")["p_value"].dropna().to_dict()
    )
    untested = rows.loc[rows["reproduced"].isna(), "note"]
    assert untested.str.startswith("not tested").all()


def test_provenance_names_the_start_and_no_output_warns(run):
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["weights"] == {"start": "random initialisation", "sha256": "random"}
    assert facts["parameters"]["precision"] == "64-true"
    notebook = nbformat.read(run / "notebook.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    text = "".join(output.get("text", "") for output in outputs)
    assert "rank no network" in text
