"""Notebook 05 run whole, at its smallest: what it leaves, and every number of its tables from the predictions."""

import json

import notebook_runs
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import metrics, params

STEM = "05_ct_acute_chronic"
MODELS = ["Radiomics", "DLR", "Features Fusion", "DLRN"]
FIGURES = ["1", "2", "3", "4", "6", "7", "8", "9", "10", "11", "14", "s1", "training", "split"]
TABLES = [
    "1",
    "2",
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
    "training",
    "steps",
    "delong",
    "figure_7",
    "figure_8",
    "figure_9",
    "figure_11",
]
TABLES += ["figure_14", "nested", "stability", "split", "age"]
SOMETIMES = {"figures/figure_12", "figures/figure_13", "figures/figure_14_calibration", "tables/table_calibration"}
SMALLEST = {
    "fraction": 0.1,
    "n_delineated_again": 4,
    "wavelet": "null",
    "image_size": 32,
    "epochs": 1,
    "trees": 5,
    "lasso_folds": 5,
    "n_bootstrap": 100,
    "n_repeats": 1,
    "n_subsamples": 2,
    "n_split_seeds": 2,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return notebook_runs.finished(STEM, tmp_path_factory.mktemp("results"), **SMALLEST)


def test_results_are_what_the_contract_names(place):
    found = {name for name in notebook_runs.files(place) if name.rsplit(".", 1)[0] not in SOMETIMES}
    assert found == notebook_runs.contract(FIGURES, TABLES, "features.csv")


def _scores(place):
    predictions = pd.read_csv(place / "predictions.csv")
    assert predictions[["prob_acute", "prob_chronic"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-12)
    return dict(list(predictions.groupby(["model", "cohort"])))


def test_every_number_of_table_2_and_supplement_5_is_what_scikit_learn_computes(place):
    scores, checked = _scores(place), 0
    table_2 = pd.read_csv(place / "tables" / "table_2.csv")
    table_s5 = pd.read_csv(place / "tables" / "table_s5.csv")
    svm = table_s5["classifier"] == "SVM"
    table_s5["model"] = table_s5["signature"].where(svm, table_s5["signature"] + ", " + table_s5["classifier"])
    assert table_2["model"].tolist() == 2 * MODELS
    assert len(table_s5) == 3 * 7 * 2
    for row in pd.concat([table_2, table_s5]).itertuples():
        part = scores[row.model, row.cohort]
        y, score = part["y_true"] == "acute", part["prob_acute"]
        expected = {
            "auc": sk.roc_auc_score(y, score),
            "accuracy": sk.accuracy_score(y, score >= 0.5),
            "sensitivity": sk.recall_score(y, score >= 0.5),
            "specificity": sk.recall_score(y, score >= 0.5, pos_label=False),
            "f1": sk.f1_score(y, score >= 0.5, zero_division=np.nan),
        }
        for name, value in expected.items():
            assert getattr(row, name) == pytest.approx(value, abs=1e-12, nan_ok=True), (row.model, row.cohort, name)
            checked += 1
    assert checked == 5 * (8 + 42)


def test_delong_and_decision_curves_are_those_of_the_predictions(place):
    scores = _scores(place)
    for row in pd.read_csv(place / "tables" / "table_delong.csv").itertuples():
        a, b = (scores[name, row.cohort] for name in (row.model_a, row.model_b))
        test = metrics.delong_test(a["y_true"] == "acute", a["prob_acute"], b["prob_acute"])
        assert (row.difference, row.p_value) == pytest.approx((test.difference, test.p_value), abs=1e-12)
    curves = pd.read_csv(place / "tables" / "table_figure_11.csv")
    part = scores["DLRN", "testing"]
    acute, score = part["y_true"] == "acute", part["prob_acute"]
    for row in curves[curves["model"] == "DLRN"].itertuples():
        treated = score >= row.threshold
        odds = row.threshold / (1 - row.threshold)
        benefit = ((treated & acute).sum() - odds * (treated & ~acute).sum()) / len(part)
        assert row.net_benefit == pytest.approx(benefit, abs=1e-12)


def test_features_of_every_fracture_and_counts_in_and_out_of_every_step(place):
    features = pd.read_csv(place / "features.csv", index_col="sample_id")
    cohort = pd.read_csv(place / "cohort.csv")
    assert features.index.tolist() == cohort["sample_id"].tolist()
    assert features.notna().all(axis=None)
    assert (~features.columns.str.startswith("dtl_")).sum() == 2 * 93 + 14
    steps = pd.read_csv(place / "tables" / "table_steps.csv").set_index("step")
    assert steps.loc["HCR, icc", "n_in"] == 2 * 93 + 14
    assert (steps["n_out"] <= steps["n_in"]).all()
    chain = steps[steps.index.str.startswith("HCR")]
    assert (chain["n_in"].iloc[1:].to_numpy() == chain["n_out"].iloc[:-1].to_numpy()).all()
    both = steps.loc["HCR, correlation", "n_out"] + steps.loc["DTL, lasso", "n_out"]
    assert steps.loc["Fusion, lasso", "n_in"] == both
    assert steps.loc["HCR, icc", "printed_in"] == 1648


def test_score_formulas_hold_the_features_kept_and_predict_as_the_lasso_does(place):
    """Supplement 4 from features.csv: its linear predictor has the mean of the class, and goes up with it."""
    features = pd.read_csv(place / "features.csv", index_col="sample_id")
    cohort = pd.read_csv(place / "cohort.csv", index_col="sample_id")
    training = cohort["cohort"] == "training"
    acute = (cohort.loc[training, "label"] == "acute").astype(float)
    steps = pd.read_csv(place / "tables" / "table_steps.csv").set_index("step")["n_out"]
    for number, step in (("s2", "HCR, correlation"), ("s3", "DTL, lasso"), ("s4", "Fusion, lasso")):
        terms = pd.read_csv(place / "tables" / f"table_{number}.csv").set_index("term")["coefficient"]
        assert len(terms) == 1 + steps[step]
        assert terms["intercept"] == pytest.approx(acute.mean(), abs=1e-9)
    used = features.loc[training, terms.index[1:]]
    score = ((used - used.mean()) / used.std(ddof=0)) @ terms.iloc[1:]
    assert np.corrcoef(score, acute)[0, 1] > 0


def test_comparison_says_what_the_network_started_from_and_keeps_inequalities(place):
    table = pd.read_csv(place / "comparison.csv")
    of_network = table["model"].isin(["DLR", "Features Fusion", "DLRN"]) & (table["where"] == "Table 2")
    assert table.loc[of_network, "note"].str.contains("start: random initialisation").all()
    assert not table.loc[table["model"] == "Radiomics", "note"].str.contains("start").any()
    table_1 = pd.read_csv(place / "tables" / "table_1.csv")
    tests = table[(table["where"] == "Table 1") & (table["quantity"] == "p value")]
    for name, row in zip(("age", "sex", "level group"), tests.itertuples(), strict=True):
        text = next(p for p in table_1.loc[table_1["variable"].ffill().str.startswith(name), "p_value"] if pd.notna(p))
        assert row.note.startswith(name)
        if str(text).startswith("<"):
            assert np.isnan(row.reproduced)
            assert (row.low, row.high) == (0, float(text[1:]))
        else:
            assert row.reproduced == float(text)


def test_comparison_holds_what_the_paper_prints_beside_ours(place):
    table = pd.read_csv(place / "comparison.csv")
    flat = json.loads((place / "metrics.json").read_text())
    assert table["note"].str.contains("virtual patients, reduced run|training rows").all()
    row = table[(table["where"] == "Table 2") & (table["model"] == "DLRN") & (table["cohort"] == "testing")].iloc[0]
    assert (row["quantity"], row["published"]) == ("AUC", 0.946)
    assert row["reproduced"] == flat["testing/DLRN/SVM/auc"]
    assert row["low"] <= row["reproduced"] <= row["high"]
    published = params.published(STEM)
    answered = {"AUC", "accuracy", "sensitivity", "specificity", "F1-score", "LASSO penalty", "features selected"}
    asked = published[published["quantity"].isin(answered) & published["class"].isna()]
    assert len(table[table["quantity"].isin(answered)]) == len(asked)


def test_the_nomogram_gives_the_risks_of_its_predictions(place):
    """Points read off table_figure_14 by interpolation, summed, and turned into a risk by its own axis."""
    drawn = pd.read_csv(place / "tables" / "table_figure_14.csv").set_index("axis")
    predictions, cohort = pd.read_csv(place / "predictions.csv"), pd.read_csv(place / "cohort.csv")
    signature = predictions[predictions["model"] == "Features Fusion"]["prob_acute"].to_numpy()
    total = np.zeros(len(cohort))
    for name, values in (("signature", signature), ("age", cohort["age"].to_numpy())):
        axis = drawn.loc[name].astype(float)
        total += np.polyval(np.polyfit(axis["value"], axis["points"], 1), values)
    total += cohort["sex"].map(drawn.loc["sex"].set_index("value")["points"].astype(float)).to_numpy()
    lp = drawn.loc["linear_predictor"].astype(float)
    risk = 1 / (1 + np.exp(-np.polyval(np.polyfit(lp["points"], lp["value"], 1), total)))
    printed = predictions[predictions["model"] == "DLRN"]["prob_acute"].to_numpy()
    assert risk == pytest.approx(printed, abs=1e-6)
