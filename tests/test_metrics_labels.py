"""Reports of labels that do not exclude each other, against scikit-learn and the two-class bootstrap."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import metrics


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.integers(0, 2, (60, 3)), columns=["a", "b", "c"])
    scores = np.clip(0.3 * truth.to_numpy() + rng.random((60, 3)), 0, 1)
    return truth, scores, np.repeat(np.arange(20), 3)


def test_every_number_is_scikit_learns(case):
    truth, scores, _ = case
    report = metrics.multi_label(truth, scores, n_resamples=100).set_index(["class", "metric"])["estimate"]
    for k, name in enumerate(truth):
        y, called = truth[name], scores[:, k] >= 0.5
        expected = {
            "auc": sk.roc_auc_score(y, scores[:, k]),
            "sensitivity": sk.recall_score(y, called),
            "specificity": sk.recall_score(y, called, pos_label=0),
            "ppv": sk.precision_score(y, called),
            "npv": sk.precision_score(y, called, pos_label=0),
            "f1": sk.f1_score(y, called),
        }
        assert report[name][list(expected)].to_dict() == pytest.approx(expected, abs=1e-12)
    f1 = sk.f1_score(truth, scores >= 0.5, average="macro")
    assert report["mean", "f1"] == pytest.approx(f1, abs=1e-12)


def test_intervals_are_those_of_the_two_class_bootstrap_by_row_and_by_patient(case):
    truth, scores, patients = case
    for groups in (None, patients):
        report = metrics.multi_label(truth, scores, n_resamples=200, seed=4, groups=groups).set_index("class")
        alone = metrics.bootstrap_ci(
            truth["b"], scores[:, 1], metrics=["sensitivity"], n_resamples=200, seed=4, groups=groups
        )
        row = report.loc["b"].set_index("metric").loc["sensitivity"]
        assert row[["low", "high"]].tolist() == alone.loc["sensitivity", ["low", "high"]].tolist()


def test_a_label_that_nobody_carries_is_undefined_and_no_error(case):
    truth, scores, _ = case
    report = metrics.multi_label(truth.assign(b=0), scores, n_resamples=100).set_index(["class", "metric"])
    assert report.loc[("b", "sensitivity"), ["estimate", "low", "high"]].isna().all()
    assert np.isnan(report.loc[("b", "auc"), "estimate"])
    assert report.loc[("b", "specificity"), "estimate"] > 0
    assert report.loc[("b", "auc"), "n_positive"] == 0


def test_bad_tables_are_refused(case):
    truth, scores, _ = case
    with pytest.raises(ValueError, match=r"one row per row of y_true and one column per label required"):
        metrics.multi_label(truth, scores[:, :2])
    with pytest.raises(ValueError, match="y_true: 0 or 1 required, found 2"):
        metrics.multi_label(truth.replace(1, 2), scores)
