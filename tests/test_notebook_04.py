"""Notebook 04 run whole, at its smallest: what it leaves, and every number of its tables from the predictions."""

import json

import notebook_runs
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import params, stand_ins

STEM = "04_xray_ovf_astlof"
CLASSES = ["class_0", "class_1", "class_2"]
COHORTS = ["training", "internal_validation", "external", "prospective"]
CLASSIFIERS = ["LR", "ExtraTrees", "SVM", "LightGBM", "MLP", "RandomForest", "XGBoost", "KNN"]
PRETRAININGS = list(stand_ins.KINDS.values())
FIGURES = ["1", "2", "3", "4", "5", "6", "7", "8", "s2", "s5", "s6", "s8", "s9", "s13", "s14", "seeds", "thresholds"]
TABLES = ["1", "2", "3", "8", "s2", "s7", "s10", "s11", "s12", "s13", "observers", "combat", "selection", "delong"]
TABLES += ["seeds", "mixed", "nested", "macro", "thresholds", "harmonisation"]
SMALLEST = {
    "development_fraction": 0.12,
    "external_fraction": 0.25,
    "prospective_fraction": 0.2,
    "n_redelineated": 4,
    "folds": 4,
    "wavelet": "null",
    "log_sigmas_mm": "[]",
    "trees": 5,
    "epochs": 1,
    "pretraining_images": 16,
    "study_seeds": 3,
    "n_bootstrap": 100,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return notebook_runs.finished(STEM, tmp_path_factory.mktemp("results"), **SMALLEST)


def test_results_are_what_the_contract_names(place):
    assert notebook_runs.files(place) == notebook_runs.contract(FIGURES, TABLES, "features.csv")


def _scores(place):
    predictions = pd.read_csv(place / "predictions.csv")
    assert predictions[[f"prob_{name}" for name in CLASSES]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)
    return {key: rows.reset_index(drop=True) for key, rows in predictions.groupby(["model", "cohort"])}


def _macro(rows):
    truth = rows["y_true"].to_numpy()[:, None] == np.array(CLASSES)
    return sk.roc_auc_score(truth, rows[[f"prob_{name}" for name in CLASSES]].to_numpy(), average="macro")


def _called(rows):
    return np.array(CLASSES)[rows[[f"prob_{name}" for name in CLASSES]].to_numpy().argmax(axis=1)]


def test_every_sample_has_a_prediction_of_both_pretrainings_and_eight_classifiers(place):
    cohort, predictions = pd.read_csv(place / "cohort.csv"), pd.read_csv(place / "predictions.csv")
    assert set(predictions["model"]) == {f"{name} + {kind}" for name in PRETRAININGS for kind in CLASSIFIERS}
    for _, rows in predictions.groupby("model"):
        assert rows["sample_id"].tolist() == cohort["sample_id"].tolist()
        assert rows["y_true"].tolist() == cohort["label"].tolist()


def test_every_number_of_table_3_is_what_scikit_learn_computes_from_the_predictions(place):
    scores, table, checked = _scores(place), pd.read_csv(place / "tables" / "table_3.csv"), 0
    for row in table.to_dict("records"):
        rows = scores[f"{row['model']} + LR", row["cohort"]]
        truth, called = rows["y_true"].to_numpy(), _called(rows)
        if row["class"] == "all":
            assert row["accuracy"] == pytest.approx(sk.accuracy_score(truth, called), abs=1e-12)
        elif row["class"] == "mean":
            assert row["auc"] == pytest.approx(_macro(rows), abs=1e-12)
            each = [sk.accuracy_score(truth == name, called == name) for name in CLASSES]
            assert row["accuracy"] == pytest.approx(np.mean(each), abs=1e-12)
        else:
            y, c = truth == row["class"], called == row["class"]
            assert row["auc"] == pytest.approx(sk.roc_auc_score(y, rows[f"prob_{row['class']}"]), abs=1e-12)
            assert row["accuracy"] == pytest.approx(sk.accuracy_score(y, c), abs=1e-12)
            assert row["sensitivity"] == pytest.approx(sk.recall_score(y, c), abs=1e-12)
        assert not row["accuracy"] < row["accuracy_low"]
        assert not row["accuracy"] > row["accuracy_high"]
        checked += 1
    assert checked == 2 * 4 * 5


@pytest.mark.parametrize(("number", "pretraining"), [("s11", PRETRAININGS[0]), ("s12", PRETRAININGS[1])])
def test_the_tables_of_eight_classifiers_are_those_of_the_predictions(place, number, pretraining):
    scores, table = _scores(place), pd.read_csv(place / "tables" / f"table_{number}.csv")
    assert table["classifier"].tolist() == CLASSIFIERS
    for row in table.to_dict("records"):
        for cohort in COHORTS:
            rows = scores[f"{pretraining} + {row['classifier']}", cohort]
            f1 = sk.f1_score(rows["y_true"], _called(rows), average="macro", labels=CLASSES, zero_division=0)
            assert row[f"{cohort}, AUC"] == pytest.approx(_macro(rows), abs=1e-12)
            assert row[f"{cohort}, accuracy"] == pytest.approx((_called(rows) == rows["y_true"]).mean(), abs=1e-12)
            assert row[f"{cohort}, F1"] == pytest.approx(f1, abs=1e-12)


def test_tests_between_the_pretrainings_are_of_the_predictions(place):
    scores, tests = _scores(place), pd.read_csv(place / "tables" / "table_delong.csv")
    assert len(tests) == 4 * 4
    for row in tests.to_dict("records"):
        pair = [scores[f"{name} + LR", row["cohort"]] for name in PRETRAININGS]
        if row["class"] == "macro":
            aucs = [_macro(rows) for rows in pair]
            assert row["test"] == "bootstrap"
        else:
            aucs = [sk.roc_auc_score(rows["y_true"] == row["class"], rows[f"prob_{row['class']}"]) for rows in pair]
        assert [row[name] for name in PRETRAININGS] == pytest.approx(aucs, abs=1e-12)
        assert row["difference"] == pytest.approx(aucs[0] - aucs[1], abs=1e-12)
        assert 0 <= row["p"] <= row["Holm"] <= 1


def test_cases_of_figure_8_are_counted_in_both_directions(place):
    scores, cases = _scores(place), pd.read_csv(place / "tables" / "table_8.csv")
    for row in cases.to_dict("records"):
        near, far = (
            _called(scores[f"{name} + LR", row["cohort"]]) == scores[f"{name} + LR", row["cohort"]]["y_true"]
            for name in PRETRAININGS
        )
        assert row[f"only {PRETRAININGS[0]}"] == (near & ~far).sum()
        assert row[f"only {PRETRAININGS[1]}"] == (far & ~near).sum()
        assert row["both right"] + row["none"] == row["n"] - (near != far).sum()


def test_nested_cross_validation_is_a_mean_of_folds_and_the_cohorts_are_those_of_table_3(place):
    nested, scores = pd.read_csv(place / "tables" / "table_nested.csv"), _scores(place)
    folds = nested["estimated by"].str.startswith("selection")
    assert nested.loc[folds, "estimated by"].value_counts().tolist() == [2, 2]
    of_folds = nested[folds]
    assert of_folds["macro AUC"].between(of_folds["least fold"], of_folds["largest fold"]).all()
    assert of_folds["low"].isna().all(), "folds share rows: no interval"
    for name in PRETRAININGS:
        best = pd.read_csv(place / "tables" / f"table_{'s11' if name == PRETRAININGS[0] else 's12'}.csv")
        outside = of_folds[(of_folds["model"] == name) & (of_folds["estimated by"] == "selection outside the folds")]
        searched = best.set_index("classifier").loc["LR", "cross-validated"]
        assert outside["macro AUC"].item() == pytest.approx(searched, abs=1e-12)
    for row in nested[~folds].to_dict("records"):
        assert row["macro AUC"] == pytest.approx(_macro(scores[f"{row['model']} + LR", row["estimated by"]]), abs=1e-12)


def test_radscores_are_printed_as_formulas_and_stored_with_all_their_terms(place):
    text = (place / "notebook.ipynb").read_text(encoding="utf-8")
    assert text.count("DTL_Radscore = ") == 2
    features = pd.read_csv(place / "features.csv", index_col="sample_id")
    for number, stands_for in (("s7", "RadImageNet"), ("s10", "ImageNet")):
        terms = pd.read_csv(place / "tables" / f"table_{number}.csv").set_index("feature")["coefficient"]
        assert "(intercept)" in terms.index
        named = [f"{stands_for} place: {k}" if k.startswith("deep_") else k for k in terms.index.drop("(intercept)")]
        assert set(named) <= set(features.columns)
        assert (terms.drop("(intercept)") != 0).all()


def test_comparison_is_complete_and_says_what_stands_in(place):
    table = pd.read_csv(place / "comparison.csv")
    published, metrics = params.published(STEM), json.loads((place / "metrics.json").read_text())
    in_table_3 = published["where"] == "Table 3"
    assert (table["where"] == "Table 3").sum() == in_table_3.sum() == 64
    assert len(table) > 250
    row = table[(table["quantity"] == "AUC, class 2") & (table["where"] == "Table 3")]
    row = row[(row["cohort"] == "external validation") & (row["model"] == "RadImageNet")].iloc[0]
    assert row["published"] == published.set_index("id").loc["table_3.auc.external.radimagenet.class-2", "value"]
    assert row["reproduced"] == metrics[f"{PRETRAININGS[0]}/external/class_2/auc"]
    assert "(stand-in) in the place of RadImageNet" in row["note"]
    of_models = table["model"].isin(["RadImageNet", "ImageNet"])
    assert table.loc[of_models, "note"].str.contains("stand-in").all()


def test_provenance_names_both_pretrainings_and_never_a_real_one(place):
    start = json.loads((place / "provenance.json").read_text())["weights"]
    assert all(name in start["start"] for name in PRETRAININGS)
    assert "ImageNet" not in start["start"]
    assert len(start["sha256"].split("; ")) == 2
