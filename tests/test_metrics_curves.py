"""Curves equal scikit-learn's, thresholds and the many-class AUC equal pROC's."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from vcfkit import metrics


@pytest.fixture
def asah(reference):
    folder = reference / "roc_delong"
    return pd.read_csv(folder / "aSAH.csv"), json.loads((folder / "expected_proc_R.json").read_text())


@pytest.mark.parametrize("marker", ["wfns", "s100b", "ndka"])
def test_youden_threshold_equals_proc(asah, marker):
    frame, expected = asah
    found = metrics.youden_threshold(frame["outcome"] == "Poor", frame[marker])
    (theirs,) = expected[marker]["youden"]
    assert found.threshold == pytest.approx(theirs["threshold"], abs=1e-12)
    assert found.sensitivity == pytest.approx(theirs["sensitivity"], abs=1e-12)
    assert found.specificity == pytest.approx(theirs["specificity"], abs=1e-12)
    assert found.youden + 1 == pytest.approx(theirs["youden"], abs=1e-12)
    assert found.ties == (found.threshold,)


def test_of_equally_good_thresholds_the_most_sensitive_is_taken_and_all_are_told():
    found = metrics.youden_threshold([0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    assert found.ties == (1.5, 3.5)
    assert (found.threshold, found.sensitivity, found.specificity) == (1.5, 1, 0.5)


def test_a_threshold_between_neighbouring_doubles_still_separates_them():
    low = 0.3
    high = np.nextafter(low, 1)
    found = metrics.youden_threshold([0, 0, 1, 1], [low, low, high, high])
    assert found.youden == 1
    assert (np.array([low, high]) >= found.threshold).tolist() == [False, True]


def test_a_constant_or_reversed_score_has_no_finite_threshold():
    assert metrics.youden_threshold([0, 1, 0, 1], [2.0] * 4).ties == (-np.inf, np.inf)
    found = metrics.youden_threshold([1, 1, 0, 0], [1.0, 2.0, 3.0, 4.0])
    assert (found.threshold, found.youden) == (-np.inf, 0)


def test_area_under_the_roc_curve_is_the_auc_that_is_reported():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 2, 80), np.round(rng.normal(size=80), 1)
    curve = metrics.roc_curve(y_true, y_score)
    area = sk.auc(curve["false_positive_rate"], curve["sensitivity"])
    assert area == pytest.approx(metrics.bootstrap_ci(y_true, y_score, n_resamples=1).loc["auc", "estimate"])
    assert len(curve) == len(np.unique(y_score)) + 1


def test_precision_recall_curve_carries_its_area_and_its_floor():
    y_true, y_score = [0, 0, 1, 1, 0], [0.1, 0.4, 0.35, 0.8, 0.2]
    curve = metrics.pr_curve(y_true, y_score)
    assert curve.attrs == {"average_precision": sk.average_precision_score(y_true, y_score), "prevalence": 0.4}
    assert curve.iloc[-1][["recall", "precision"]].tolist() == [0, 1]
    assert np.isnan(curve["threshold"].iloc[-1])
    assert len(curve) == 6


@pytest.mark.parametrize("marker", ["s100b", "ndka"])
def test_hand_till_of_one_score_equals_proc(asah, marker):
    frame, expected = asah
    found = metrics.hand_till_auc(frame["gos6"], frame[marker])
    assert found == pytest.approx(expected["multiclass_handtill"][f"gos6_{marker}"], abs=1e-12)


def test_hand_till_of_probabilities_equals_scikit_learn_one_against_one():
    rng = np.random.default_rng(1)
    y_true, probabilities = rng.integers(0, 4, 90), np.round(rng.dirichlet(np.ones(4), 90), 1) + 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    theirs = sk.roc_auc_score(y_true, probabilities, multi_class="ovo", average="macro")
    assert metrics.hand_till_auc(y_true, probabilities) == pytest.approx(theirs, abs=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0], [1.0, 2.0]), "y_true: rows of each of"),
        (([0, 1], [1.0, np.nan]), "scores holds 1 value that"),
        (([0, 1], [[1.0], [1.0, 2.0]]), "scores: an array of numbers"),
        (([0, 1, 2], np.ones((3, 2))), "scores: one column for each of"),
        (([0, 1, 2], [1.0, 2.0]), "y_true and scores of one length"),
    ],
)
def test_bad_input_to_hand_till_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.hand_till_auc(*arguments)


def test_a_named_class_without_rows_is_refused():
    with pytest.raises(ValueError, match=r"absent: \['old'\]"):
        metrics.hand_till_auc(["a", "b"], [1.0, 2.0], classes=["a", "b", "old"])


@pytest.mark.parametrize("function", [metrics.roc_curve, metrics.pr_curve, metrics.youden_threshold])
def test_curves_refuse_one_class(function):
    with pytest.raises(ValueError, match="y_true holds one class only"):
        function([1, 1], [0.1, 0.2])


def test_partial_auc_equals_proc(reference):
    frame = pd.read_csv(reference / "roc_delong" / "aSAH.csv")
    expected = json.loads((reference / "roc_delong" / "expected_proc_tests.json").read_text())
    poor = frame["outcome"] == "Poor"
    for marker, area in expected["partial_auc_spec_0.90_0.99"].items():
        found = metrics.partial_auc(poor, frame[marker], specificity=(0.99, 0.9))
        assert found == pytest.approx(area, abs=5e-6)  # printed to five decimals


def test_partial_aucs_add_up_to_the_whole_and_the_correction_spans_one_half_to_one():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 2, 200), np.round(rng.normal(size=200), 1)
    y_score = y_score + 0.5 * y_true
    parts = [metrics.partial_auc(y_true, y_score, specificity=edges) for edges in ((0, 0.3), (0.3, 0.85), (0.85, 1))]
    assert sum(parts) == pytest.approx(sk.roc_auc_score(y_true, y_score), abs=1e-12)
    assert metrics.partial_auc(y_true, y_true, specificity=(0.9, 1), corrected=True) == pytest.approx(1)
    assert metrics.partial_auc(y_true, np.zeros(200), specificity=(0.9, 1), corrected=True) == pytest.approx(0.5)
    perfect_part = sk.roc_auc_score(y_true, y_score, max_fpr=0.1)
    assert metrics.partial_auc(y_true, y_score, specificity=(0.9, 1), corrected=True) == pytest.approx(perfect_part)


@pytest.mark.parametrize("limits", [(0.5, 0.5), (0.5, 1.2), (0.5,), (0.1, float("nan"))])
def test_partial_auc_names_a_bad_range(limits):
    with pytest.raises(ValueError, match="specificity"):
        metrics.partial_auc([0, 1], [0.1, 0.2], specificity=limits)
