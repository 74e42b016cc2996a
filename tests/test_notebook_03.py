"""Notebook 03 run whole, at its smallest: what it leaves, and every table from predictions.csv and detections.csv."""

import json

import nbformat
import notebook_runs
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import detection, params, sagittal

STEM = "03_ct_vertebra_diseases"
LABELS = ["OVCF", "OF", "SN", "KD", "PS", "normal"]
CORNERS = ["xmin", "ymin", "xmax", "ymax"]
FIGURES = ["1", "2", "3", "4", "s3", "s4", "calibration", "gradcam", "nodes"]
TABLES = ["1", "1_tests", "2", "3", "s_detectors", "s_classifier", "detection", "wilcoxon", "intervals", "end_to_end"]
TABLES += ["aggregation", "calibration", "gradcam", "nodes"]
# The threshold is lowered, for so short a training is sure of nothing.
SMALLEST = {
    "image_size": 128,
    "detector_size": 64,
    "detector_steps": 40,
    "detection_threshold": 0.4,
    "epochs": 1,
    "training_fraction": 0.01,
    "testing_fraction": 0.02,
    "xuanwu_fraction": 0.1,
    "slices_per_patient": 1,
    "n_nodes": 6,
    "n_explained": 1,
    "n_bootstrap": 100,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return notebook_runs.finished(STEM, tmp_path_factory.mktemp("smallest"), **SMALLEST)


@pytest.fixture(scope="module")
def predictions(place):
    return pd.read_csv(place / "predictions.csv")


@pytest.fixture(scope="module")
def boxes(place):
    return pd.read_csv(place / "detections.csv", keep_default_na=False, na_values={"score": ""})


def test_results_are_what_the_contract_names(place):
    assert notebook_runs.files(place) == notebook_runs.contract(FIGURES, TABLES, "detections.csv")


def recomputed(part):
    y, called = part["y_true"] == 1, part["prob"] >= 0.5
    both = 0 < y.sum() < len(y)
    return {
        "n_positive": y.sum(),
        "auc": sk.roc_auc_score(y, part["prob"]) if both else np.nan,
        "sensitivity": sk.recall_score(y, called, zero_division=np.nan),
        "specificity": sk.recall_score(y, called, pos_label=False, zero_division=np.nan),
        "ppv": sk.precision_score(y, called, zero_division=np.nan),
        "npv": sk.precision_score(y, called, pos_label=False, zero_division=np.nan),
        "f1": sk.f1_score(y, called, zero_division=np.nan),
    }


@pytest.mark.parametrize(("name", "model"), [("3", "VCModule"), ("end_to_end", "VDModule + VCModule")])
def test_every_number_of_the_tables_is_what_scikit_learn_computes_from_the_predictions(place, predictions, name, model):
    table = pd.read_csv(place / "tables" / f"table_{name}.csv")
    assert set(table["class"]) == set(LABELS)
    for row in table.itertuples():
        part = predictions[
            (predictions["model"] == model) & (predictions["cohort"] == row.cohort) & (predictions["label"] == row[2])
        ]
        for metric, value in recomputed(part).items():
            assert getattr(row, metric) == pytest.approx(value, abs=1e-12, nan_ok=True), (row.cohort, row[2], metric)


def test_patch_counts_of_table_2_are_those_of_the_predictions(place, predictions):
    table = pd.read_csv(place / "tables" / "table_2.csv").set_index("cohort")
    own = predictions[predictions["model"] == "VCModule"]
    counts = own.pivot_table(index="cohort", columns="label", values="y_true", aggfunc="sum")
    assert table.loc[counts.index, LABELS].to_numpy().tolist() == counts[LABELS].to_numpy().tolist()
    after = table.loc["training, resampled"]
    assert after["OVCF"] == table.loc["training", "OVCF"], "the reference is neither cut nor filled up"
    assert after["normal"] == min(2 * after["OVCF"], table.loc["training", "normal"])


def test_every_number_of_the_detection_table_follows_from_detections_csv(place, boxes):
    table = pd.read_csv(place / "tables" / "table_detection.csv")
    assert {"Faster R-CNN ResNet18", "Faster R-CNN MobileNet v2"} == set(table["model"])
    for row in table.itertuples():
        part = boxes[(boxes["cohort"] == row.cohort) & (boxes["model"] == row.model)]
        truth, found = (part[part["kind"] == kind] for kind in ("annotated", "detected"))
        certain = found[found["score"] >= SMALLEST["detection_threshold"]]
        assert (row.vertebrae, row.detected, row.hits) == (len(truth), len(certain), (certain["hit"] != "").sum())
        assert row.fn_rate == pytest.approx(1 - certain.loc[certain["hit"] != "", "hit"].nunique() / len(truth))
        expected = (certain["hit"] == "").mean() if len(certain) else np.nan
        assert row.fp_rate == pytest.approx(expected, nan_ok=True)
        renamed = [frame.rename(columns={"sample_id": "image"})[["image", *CORNERS]] for frame in (truth, found)]
        ap = detection.average_precision(renamed[0], renamed[1].assign(score=found["score"]))
        assert row.ap == pytest.approx(ap, abs=1e-9)
        assert row.ap_low <= row.ap_high


def test_a_missed_vertebra_carries_no_label_in_the_whole_system(place, predictions, boxes):
    whole = predictions[predictions["model"] == "VDModule + VCModule"]
    missed = whole[(whole["origin"] == "annotated") & (whole.groupby("sample_id")["prob"].transform("max") == 0)]
    assert len(missed)
    loose = whole[whole["origin"] == "false detection"]
    assert (loose["y_true"] == 0).all()
    annotated = boxes[(boxes["kind"] == "annotated") & (boxes["cohort"] != "training")]
    assert set(annotated["box_id"]) <= set(whole["sample_id"])


def test_nobody_stands_in_two_cohorts_and_training_patients_in_no_test(place, predictions):
    cohort = pd.read_csv(place / "cohort.csv")
    assert (cohort.groupby("patient_id")["cohort"].nunique() == 1).all()
    assert not (predictions.loc[predictions["model"] == "VDModule + VCModule", "cohort"] == "training").any()
    assert predictions["prob"].between(0, 1).all()


def test_comparison_holds_every_cell_of_table_3_beside_ours(place):
    comparison = pd.read_csv(place / "comparison.csv")
    table = pd.read_csv(place / "tables" / "table_3.csv").set_index(["cohort", "class"])
    cells = comparison[comparison["where"] == "Table 3"]
    assert len(cells) == 75
    row = cells[(cells["quantity"] == "sensitivity, ovcf") & (cells["cohort"] == "testing")].iloc[0]
    assert row["published"] == 0.958
    assert row["reproduced"] == pytest.approx(table.loc[("testing", "OVCF"), "sensitivity"], nan_ok=True)
    assert comparison["note"].str.contains("virtual patients, reduced run").all()
    assert len(comparison) > 200
    metrics = json.loads((place / "metrics.json").read_text())
    assert any(name.endswith("/ap") for name in metrics)


def test_paper_and_reduced_profile_share_the_method():
    reduced, paper = (params.load(STEM, name).model_dump() for name in ("reduced", "paper"))
    method = ["detection_threshold", "iom_threshold", "window_width", "window_level", "detector_learning_rate"]
    method += ["patch_margin", "patches_per_box", "patch_scaling", "patch_translation", "learning_rate"]
    method += ["decision_threshold", "effect", "nuisance"]
    assert {name: reduced[name] for name in method} == {name: paper[name] for name in method}
    with pytest.raises(params.ParameterError, match=r"detector_size: at most image_size \(128\) required"):
        params.load(STEM, "reduced", image_size=128, detector_size=256)


@pytest.mark.slow
def test_a_real_ct_runs_through_and_its_vertebrae_are_scored_by_iom(reference, tmp_path):
    folder = reference / "spine_ct"
    sagittal.convert(
        folder / "totalseg_example_ct.nii.gz",
        folder / "totalseg_example_vertebrae.nii.gz",
        tmp_path / "own",
        patient_id="P-0412",
        n_slices=3,
    )
    place = notebook_runs.finished(STEM, tmp_path / "results", "--data", tmp_path / "own", **SMALLEST)
    boxes = pd.read_csv(place / "detections.csv", keep_default_na=False)
    own = boxes[boxes["cohort"] == "own CT"]
    assert {"T12", "L1", "L2", "L3", "L4", "L5"} >= set(own.loc[own["kind"] == "annotated", "level"]) >= {"L1", "L2"}
    table = pd.read_csv(place / "tables" / "table_detection.csv").set_index(["cohort", "model"])
    assert table.loc[("own CT", "Faster R-CNN ResNet18"), "vertebrae"] == (own["kind"] == "annotated").sum() / 2
    written = "".join(path.read_text() for path in place.rglob("*") if path.suffix in (".csv", ".json"))
    assert "P-0412" not in written
    outputs = [o for cell in nbformat.read(place / "notebook.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert any("they say nothing on accuracy" in o.get("text", "") for o in outputs)
