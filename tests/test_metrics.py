"""Estimates equal scikit-learn's; the vectorised bootstrap equals the plain loop over the same resamples."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import metrics

CLASSES = ("acute", "chronic", "pathologic")


@pytest.fixture
def tied():
    """Scores on a coarse grid, so that ties cross the classes."""
    rng = np.random.default_rng(7)
    y_true = rng.integers(0, 2, 150)
    return y_true, np.round(rng.normal(size=150) * 0.3 + 0.5 * y_true + 0.25, 1)


@pytest.fixture
def three_class():
    rng = np.random.default_rng(8)
    y_true = np.asarray(CLASSES)[rng.choice(3, 120, p=[0.5, 0.4, 0.1])]
    logits = rng.normal(size=(120, 3)) + 1.2 * (y_true[:, None] == np.asarray(CLASSES))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return y_true, probabilities, rng.integers(0, 80, 120)


SKLEARN = {
    "auc": lambda y, s, c: sk.roc_auc_score(y, s),
    "accuracy": lambda y, s, c: sk.accuracy_score(y, c),
    "balanced_accuracy": lambda y, s, c: sk.balanced_accuracy_score(y, c),
    "sensitivity": lambda y, s, c: sk.recall_score(y, c),
    "specificity": lambda y, s, c: sk.recall_score(y, c, pos_label=0),
    "ppv": lambda y, s, c: sk.precision_score(y, c),
    "npv": lambda y, s, c: sk.precision_score(y, c, pos_label=0),
    "f1": lambda y, s, c: sk.f1_score(y, c),
}


@pytest.mark.parametrize("name", metrics.BINARY_METRICS)
def test_estimate_and_interval_equal_a_scikit_learn_loop_over_the_same_resamples(tied, name):
    y_true, y_score = tied
    ours = metrics.bootstrap_ci(y_true, y_score, metrics=[name], n_resamples=200, seed=3).loc[name]
    rng = np.random.default_rng(3)
    values = []
    for _ in range(200):
        rows = rng.integers(0, len(y_true), len(y_true))
        values.append(SKLEARN[name](y_true[rows], y_score[rows], y_score[rows] >= 0.5))
    assert ours["estimate"] == pytest.approx(SKLEARN[name](y_true, y_score, y_score >= 0.5), abs=1e-14)
    assert [ours["low"], ours["high"]] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-14)


def test_auc_of_tied_ordinal_scores_equals_proc(reference):
    expected = json.loads((reference / "roc_delong" / "expected_proc_R.json").read_text())
    frame = pd.read_csv(reference / "roc_delong" / "aSAH.csv")
    poor = (frame["outcome"] == "Poor").to_numpy()
    for column in ("wfns", "s100b", "ndka"):
        auc = metrics.weighted_auc(poor, frame[column].to_numpy(float), np.ones((1, len(frame))))
        assert auc[0] == pytest.approx(expected[column]["auc"], abs=1e-12)


def test_cluster_bootstrap_equals_a_loop_that_draws_patients(tied):
    y_true, y_score = tied
    patients = np.random.default_rng(1).integers(0, 60, len(y_true))
    ours = metrics.bootstrap_ci(y_true, y_score, metrics=["auc"], n_resamples=150, seed=5, groups=patients).loc["auc"]
    names, rng, values = np.unique(patients), np.random.default_rng(5), []
    for _ in range(150):
        drawn = names[rng.integers(0, len(names), len(names))]
        rows = np.concatenate([np.flatnonzero(patients == name) for name in drawn])
        values.append(sk.roc_auc_score(y_true[rows], y_score[rows]))
    assert [ours["low"], ours["high"]] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-14)


def test_rows_of_one_patient_widen_the_interval():
    """Fifteen copies of twenty rows hold twenty patients' worth of information, not three hundred."""
    y_true, y_score = np.tile([0, 1], 150), np.tile([0.1, 0.9, 0.8, 0.7, 0.2, 0.3, 0.1, 0.9, 0.6, 0.9], 30)
    patients = np.tile(np.arange(20), 15)
    naive = metrics.bootstrap_ci(y_true, y_score, metrics=["accuracy"], seed=0).loc["accuracy"]
    by_patient = metrics.bootstrap_ci(y_true, y_score, metrics=["accuracy"], seed=0, groups=patients).loc["accuracy"]
    assert by_patient["high"] - by_patient["low"] > 2 * (naive["high"] - naive["low"])


def test_degenerate_resamples_are_counted():
    y_true, y_score = np.array([1, 0, 0, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3, 0.4, 0.8])
    report = metrics.bootstrap_ci(y_true, y_score, metrics=["auc"], n_resamples=500, seed=0)
    rng = np.random.default_rng(0)
    without_positive = sum(0 not in rng.integers(0, 6, 6) for _ in range(500))
    assert report.attrs["undefined"]["auc"] == without_positive > 100


@pytest.mark.parametrize(
    ("y_true", "y_score", "message"),
    [
        ([1, 1, 1], [0.1, 0.2, 0.3], "one class only"),
        ([0, 2, 1], [0.1, 0.2, 0.3], "0 and 1 required"),
        ([0, 1], [0.1, np.nan], "not finite"),
        ([0, 1], [0.1, 0.2, 0.3], "of one length"),
    ],
)
def test_bad_input_is_named(y_true, y_score, message):
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap_ci(y_true, y_score)


def test_unknown_metric_is_named():
    with pytest.raises(ValueError, match="unknown metric auroc"):
        metrics.bootstrap_ci([0, 1], [0.1, 0.2], metrics=["auroc"])


def test_one_vs_rest_report_equals_scikit_learn_for_every_class(three_class):
    y_true, probabilities, patients = three_class
    report = metrics.one_vs_rest(y_true, probabilities, classes=CLASSES, n_resamples=100, groups=patients)
    estimate = report.set_index(["class", "metric"])["estimate"]
    called = np.asarray(CLASSES)[probabilities.argmax(axis=1)]
    for k, name in enumerate(CLASSES):
        for metric, function in SKLEARN.items():
            expected = function((y_true == name).astype(int), probabilities[:, k], (called == name).astype(int))
            assert estimate[name, metric] == pytest.approx(expected, abs=1e-14)
    assert estimate["all", "accuracy"] == pytest.approx(sk.accuracy_score(y_true, called))
    assert estimate["mean", "auc"] == pytest.approx(
        sk.roc_auc_score(y_true, probabilities, multi_class="ovr", labels=CLASSES)
    )


def test_mean_one_vs_rest_accuracy_of_three_classes_is_one_third_plus_two_thirds_of_accuracy(three_class):
    y_true, probabilities, _ = three_class
    report = metrics.one_vs_rest(y_true, probabilities, classes=CLASSES, n_resamples=100)
    estimate = report.set_index(["class", "metric"])["estimate"]
    assert estimate["mean", "accuracy"] == pytest.approx((1 + 2 * estimate["all", "accuracy"]) / 3)


def test_one_vs_rest_shares_its_resamples_with_the_binary_bootstrap(three_class):
    y_true, probabilities, patients = three_class
    report = metrics.one_vs_rest(y_true, probabilities, classes=CLASSES, n_resamples=100, seed=4, groups=patients)
    row = report[(report["class"] == "acute") & (report["metric"] == "auc")].iloc[0]
    binary = metrics.bootstrap_ci(
        y_true == "acute", probabilities[:, 0], metrics=["auc"], n_resamples=100, seed=4, groups=patients
    ).loc["auc"]
    assert (row["low"], row["high"]) == (binary["low"], binary["high"])


def test_a_class_without_rows_is_undefined_not_zero(three_class):
    y_true, probabilities, _ = three_class
    keep = y_true != "pathologic"
    report = metrics.one_vs_rest(y_true[keep], probabilities[keep], classes=CLASSES, n_resamples=100)
    absent = report[report["class"] == "pathologic"].set_index("metric")
    assert absent.loc[["auc", "sensitivity"], ["estimate", "low", "high"]].isna().all(axis=None)
    assert absent.loc["auc", "n_positive"] == 0


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (["acute", "old"], np.ones((2, 3)), "old"),
        (["acute"], np.ones((1, 2)), "shape"),
        ([], np.ones((0, 3)), "no rows"),
    ],
)
def test_bad_class_input_is_named(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metrics.one_vs_rest(labels, scores, classes=CLASSES)


def test_confusion_counts_true_by_predicted(three_class):
    y_true, probabilities, _ = three_class
    counts = metrics.confusion(y_true, probabilities, classes=CLASSES)
    assert counts.loc["acute"].sum() == (y_true == "acute").sum()
    assert np.trace(counts.to_numpy()) == (np.asarray(CLASSES)[probabilities.argmax(1)] == y_true).sum()


def test_the_authors_published_matrix_gives_their_published_rates(reference):
    """The confusion matrix printed in the public code of paper 02 (372 vertebrae)."""
    printed = json.loads((reference / "spine_xray" / "published_results.json").read_text())
    matrix = np.asarray(next(iter(printed["confusion_true_by_pred"].values())))
    y_true = np.repeat(np.arange(3), matrix.sum(axis=1))
    called = np.concatenate([np.repeat(np.arange(3), row) for row in matrix])
    report = metrics.one_vs_rest(
        np.asarray(CLASSES)[y_true], np.eye(3)[called], classes=CLASSES, n_resamples=100
    ).set_index(["class", "metric"])["estimate"]
    assert report["all", "accuracy"] == pytest.approx(286 / 372)
    found = [report[name, "sensitivity"] for name in CLASSES]
    assert found == pytest.approx([0.6865, 0.9198, 0.4000], abs=5e-5)
