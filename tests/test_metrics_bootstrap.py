"""Bootstrap variants, many-class AUCs and carried thresholds equal plain loops and outside libraries."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from vcfkit import metrics

CLASSES = ["acute", "chronic", "pathologic"]
SETTINGS = {"n_resamples": 99, "seed": 11}


@pytest.fixture
def tied():
    """Two models' scores on coarse grids, and an odd number of rows, which no piece of the stream divides."""
    rng = np.random.default_rng(3)
    y_true = rng.integers(0, 2, 91)
    a, b = (np.round(rng.normal(size=91) * 0.3 + shift * y_true + 0.25, 1) for shift in (0.5, 0.3))
    return y_true, a, b


@pytest.fixture
def three_class():
    rng = np.random.default_rng(4)
    y_true = np.asarray(CLASSES)[rng.choice(3, 101, p=[0.5, 0.3, 0.2])]
    logits = np.round(rng.normal(size=(101, 3)) + 1.2 * (y_true[:, None] == np.asarray(CLASSES)), 1)
    return y_true, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def loop(statistic, n):
    rng = np.random.default_rng(SETTINGS["seed"])
    return np.array([statistic(rng.integers(0, n, n)) for _ in range(SETTINGS["n_resamples"])])


def test_every_resample_equals_the_plain_loop_to_the_last_rounding(tied):
    y_true, score, _ = tied
    counts = metrics.bootstrap_counts(91, 99, np.random.default_rng(11))
    found = metrics.weighted_auc(y_true == 1, score, counts)
    decisions = metrics.decision_metrics(y_true == 1, score >= 0.5, counts)
    assert np.abs(found - loop(lambda rows: sk.roc_auc_score(y_true[rows], score[rows]), 91)).max() < 1e-15
    f1 = loop(lambda rows: sk.f1_score(y_true[rows], score[rows] >= 0.5), 91)
    assert np.abs(decisions["f1"] - f1).max() < 1e-15


def test_resamples_do_not_depend_on_how_they_are_cut_into_pieces(tied, monkeypatch):
    y_true, score, _ = tied
    whole = metrics.bootstrap_ci(y_true, score, **SETTINGS)
    monkeypatch.setattr("vcfkit.metrics.resampling.CHUNK", {"cpu": 91 * 17})
    pd.testing.assert_frame_equal(metrics.bootstrap_ci(y_true, score, **SETTINGS), whole, check_exact=True)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_auc_interval_equals_scipy_bootstrap_over_the_same_resamples(tied, method):
    y_true, score, _ = tied
    ours = metrics.bootstrap_ci(y_true, score, metrics=["auc"], method=method, **SETTINGS).loc["auc"]
    theirs = stats.bootstrap(
        (y_true, score),
        sk.roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=99,
        method={"percentile": "percentile", "bca": "BCa"}[method],
        rng=np.random.default_rng(11),
    ).confidence_interval
    assert [ours["low"], ours["high"]] == pytest.approx([theirs.low, theirs.high], abs=1e-12)


def test_bca_by_patient_leaves_one_patient_out(tied):
    y_true, score, _ = tied
    patients = np.random.default_rng(2).integers(0, 40, 91)
    members = [np.flatnonzero(patients == name) for name in np.unique(patients)]

    def accuracy(drawn):
        rows = np.concatenate([members[int(k)] for k in drawn])
        return sk.accuracy_score(y_true[rows], score[rows] >= 0.5)

    theirs = stats.bootstrap(
        (np.arange(len(members)),),
        accuracy,
        vectorized=False,
        n_resamples=99,
        method="BCa",
        rng=np.random.default_rng(11),
    ).confidence_interval
    ours = metrics.bootstrap_ci(y_true, score, metrics=["accuracy"], groups=patients, method="bca", **SETTINGS)
    assert ours.loc["accuracy", ["low", "high"]].tolist() == pytest.approx([theirs.low, theirs.high], abs=1e-12)


def test_bca_of_a_perfect_score_is_the_point_and_of_a_lone_case_undefined():
    perfect = metrics.bootstrap_ci([0] * 9 + [1] * 9, np.arange(18.0), metrics=["auc"], method="bca", **SETTINGS)
    assert perfect.loc["auc"].tolist() == [1, 1, 1]
    lone = metrics.bootstrap_ci([1] + [0] * 9, [5.0, *range(9)], metrics=["auc"], method="bca", **SETTINGS)
    assert lone.loc["auc", ["low", "high"]].isna().all()
    assert lone.attrs["undefined"]["auc"] > 0


def test_paired_difference_measures_both_models_in_each_resample(tied):
    y_true, a, b = tied
    ours = metrics.bootstrap_difference(y_true, a, b, threshold=(0.5, 0.4), **SETTINGS)
    auc = loop(lambda i: sk.roc_auc_score(y_true[i], a[i]) - sk.roc_auc_score(y_true[i], b[i]), 91)
    recall = loop(lambda i: sk.recall_score(y_true[i], a[i] >= 0.5) - sk.recall_score(y_true[i], b[i] >= 0.4), 91)
    for name, values in (("auc", auc), ("sensitivity", recall)):
        assert ours.loc[name, ["low", "high"]].tolist() == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-15)
    assert ours.loc["auc", "difference"] == pytest.approx(sk.roc_auc_score(y_true, a) - sk.roc_auc_score(y_true, b))
    assert (ours["a"] - ours["b"]).tolist() == ours["difference"].tolist()


def test_a_model_does_not_differ_from_itself(tied):
    y_true, a, _ = tied
    report = metrics.bootstrap_difference(y_true, a, a, **SETTINGS)
    assert (report[["difference", "low", "high"]] == 0).all(axis=None)


def test_many_class_aucs_equal_scikit_learn_and_its_loop(three_class):
    y_true, probabilities = three_class
    report = metrics.multiclass_auc(y_true, probabilities, classes=CLASSES, **SETTINGS)

    def of(rows, name):
        y, p = y_true[rows], probabilities[rows]
        if name == "micro":
            return sk.roc_auc_score(label_binarize(y, classes=CLASSES), p, average="micro")
        return sk.roc_auc_score(y, p, multi_class={"macro": "ovr", "hand_till": "ovo"}[name], labels=CLASSES)

    for name in ("macro", "micro", "hand_till"):
        expected = np.quantile(loop(lambda rows, name=name: of(rows, name), 101), [0.025, 0.975])
        assert report.loc[name, "estimate"] == pytest.approx(of(np.arange(101), name), abs=1e-15)
        assert report.loc[name, ["low", "high"]].tolist() == pytest.approx(expected, abs=2e-15)
    assert report.loc["hand_till", "estimate"] == pytest.approx(metrics.hand_till_auc(y_true, probabilities), abs=1e-15)


def test_an_absent_class_leaves_macro_undefined_but_not_micro(three_class):
    y_true, probabilities = three_class
    keep = y_true != "pathologic"
    report = metrics.multiclass_auc(y_true[keep], probabilities[keep], classes=CLASSES, **SETTINGS)["estimate"]
    assert report[["pathologic", "macro", "hand_till"]].isna().all()
    assert report[["acute", "chronic", "micro"]].notna().all()


def test_binary_report_holds_the_counts_behind_its_ratios(tied):
    y_true, score, _ = tied
    report = metrics.binary_report(y_true, score, threshold=0.4, **SETTINGS)
    tn, fp, fn, tp = sk.confusion_matrix(y_true, score >= 0.4).ravel()
    estimate = report["estimate"]
    assert estimate[["tp", "fn", "fp", "tn"]].tolist() == [tp, fn, fp, tn]
    assert estimate["ppv"] == tp / (tp + fp)
    assert report.index.tolist() == ["tp", "fn", "fp", "tn", *metrics.BINARY_METRICS]
    assert report.loc["tp", ["low", "high"]].isna().all()
    assert report.attrs["threshold"] == 0.4


def test_a_threshold_is_carried_unchanged_to_the_other_cohorts(tied):
    y_true, score, _ = tied
    cohort = np.where(np.arange(91) < 40, "validation", "external")
    shifted = score + 0.2 * (cohort == "external")
    report = metrics.carried_reports(y_true, shifted, cohort, chosen_on="validation", **SETTINGS)
    own = metrics.youden_threshold(y_true[:40], shifted[:40])
    assert report["threshold"].unique().tolist() == [own.threshold]
    table = report.set_index(["cohort", "metric"])["estimate"]
    assert table["validation", "sensitivity"] == own.sensitivity
    external = sk.recall_score(y_true[40:], shifted[40:] >= own.threshold)
    assert table["external", "sensitivity"] == external


def test_carried_reports_resample_patients_within_each_cohort(tied):
    y_true, score, _ = tied
    cohort, patients = np.where(np.arange(91) < 40, "validation", "external"), np.arange(91) // 2
    report = metrics.carried_reports(y_true, score, cohort, chosen_on="validation", groups=patients, **SETTINGS)
    cut = report["threshold"].iloc[0]
    alone = metrics.binary_report(y_true[40:], score[40:], threshold=cut, groups=patients[40:], **SETTINGS)
    found = report[report["cohort"] == "external"].set_index("metric")[["estimate", "low", "high"]]
    pd.testing.assert_frame_equal(found, alone, check_exact=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chosen_on": "training"}, "chosen_on: one of"),
        ({"cohort": ["a"] * 4, "chosen_on": "a"}, "cohort: one name per row"),
        ({"cohort": ["a", "a", "b", "b", "b", "b"], "chosen_on": "b"}, r"one class only in \['a'\]"),
    ],
)
def test_a_bad_cohort_is_named(arguments, message):
    arguments = {"cohort": ["a", "a", "a", "b", "b", "b"]} | arguments
    with pytest.raises(ValueError, match=message):
        metrics.carried_reports([0, 0, 1, 1, 0, 1], np.arange(6.0), **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_true": ["0", "1", "0"]}, "y_true: an array of numbers"),
        ({"y_true": [0, 1, None]}, "y_true of 0 and 1 required"),
        ({"y_true": [[0], [1], [0]]}, "y_true: 1 dimension"),
        ({"y_score": ["0.1", "0.2", "0.3"]}, "y_score: an array of numbers"),
        ({"y_score": [[0.1], [0.2, 0.3], [0.4]]}, "y_score: an array of numbers"),
        ({"y_score": np.ones((3, 1))}, "y_score: 1 dimension"),
        ({"y_score": [0.1, np.inf, 0.3]}, "y_score holds 1 value that is not finite, first in row 1"),
        ({"threshold": np.nan}, "threshold: a number required"),
        ({"threshold": "0.5"}, "threshold: a number required"),
        ({"n_resamples": 0}, "n_resamples: a whole number"),
        ({"n_resamples": 10.5}, "n_resamples: a whole number"),
        ({"seed": -1}, "seed: a whole number"),
        ({"level": 95}, "level between 0 and 1"),
        ({"groups": ["p", "q"]}, "groups: one entry per row"),
        ({"groups": ["p", None, "q"]}, "groups: every row needs one, 1 are missing"),
        ({"method": "basic"}, "method: one of percentile, bca"),
        ({"metrics": []}, "metrics: unknown metric"),
        ({"device": "abacus"}, "device: cpu or cuda"),
        ({"device": "mps"}, "device: cpu, or a cuda device that is there"),
    ],
)
def test_every_refusal_names_its_argument(changes, message):
    arguments = {"y_true": [0, 1, 0], "y_score": [0.1, 0.2, 0.3]} | changes
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap_ci(**arguments)


def test_score_and_truth_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="y_true of 0 and 1 required"):
        metrics.bootstrap_ci([0.1, 0.9, 0.3], [0, 1, 0])


def test_series_with_another_index_and_booleans_are_read_by_position(tied):
    y_true, score, _ = tied
    plain = metrics.bootstrap_ci(y_true, score, **SETTINGS)
    index = np.random.default_rng(0).permutation(91)
    series = metrics.bootstrap_ci(pd.Series(y_true == 1, index), pd.Series(score, index[::-1]), **SETTINGS)
    pd.testing.assert_frame_equal(series, plain, check_exact=True)


def test_constant_scores_have_auc_one_half():
    report = metrics.bootstrap_ci([0, 1] * 20, np.full(40, 0.3), metrics=["auc", "ppv"], **SETTINGS)
    assert report.loc["auc"].tolist() == [0.5, 0.5, 0.5]
    assert report.loc["ppv"].isna().all()
    assert report.attrs["undefined"]["ppv"] == 99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_gpu_counts_exactly_as_the_cpu(tied, three_class):
    y_true, score, _ = tied
    for method in ("percentile", "bca"):
        cpu, gpu = (
            metrics.bootstrap_ci(y_true, score, method=method, device=device, **SETTINGS) for device in ("cpu", "cuda")
        )
        pd.testing.assert_frame_equal(gpu, cpu, rtol=0, atol=1e-15)
    cpu, gpu = (
        metrics.multiclass_auc(*three_class, classes=CLASSES, device=device, **SETTINGS) for device in ("cpu", "cuda")
    )
    pd.testing.assert_frame_equal(gpu, cpu, rtol=0, atol=1e-15)


def test_difference_of_macro_aucs_is_that_of_a_plain_loop_with_scikit_learn():
    rng = np.random.default_rng(0)
    classes, n = ["a", "b", "c"], 90
    y = rng.choice(classes, n, p=[0.5, 0.35, 0.15])
    patients = rng.integers(0, 60, n)
    truth = y[:, None] == np.array(classes)
    one, two = (rng.dirichlet([1, 1, 1], n) + weight * truth for weight in (0.8, 0.4))
    found = metrics.multiclass_difference(y, one, two, classes=classes, n_resamples=200, seed=3, groups=patients)

    def aucs(scores, rows):
        each = [sk.roc_auc_score(truth[rows, k], scores[rows, k]) for k in range(3)]
        return np.array([*each, np.mean(each)])

    units = pd.factorize(patients, sort=True)[0]
    rng, differences = np.random.default_rng(3), []
    for _ in range(200):
        drawn = rng.integers(0, units.max() + 1, units.max() + 1)
        rows = np.concatenate([np.flatnonzero(units == unit) for unit in drawn])
        differences.append(aucs(one, rows) - aucs(two, rows))
    differences = np.array(differences)
    assert found.index.tolist() == [*classes, "macro"]
    assert found["difference"].to_numpy() == pytest.approx(aucs(one, slice(None)) - aucs(two, slice(None)), abs=1e-12)
    assert found["low"].to_numpy() == pytest.approx(np.quantile(differences, 0.025, axis=0), abs=1e-12)
    assert found["high"].to_numpy() == pytest.approx(np.quantile(differences, 0.975, axis=0), abs=1e-12)
    tail = (1 + (differences[:, 3] <= 0).sum()) / 201
    other_tail = (1 + (differences[:, 3] >= 0).sum()) / 201
    assert found.loc["macro", "p_value"] == pytest.approx(min(1, 2 * tail, 2 * other_tail))


def test_a_many_class_model_does_not_differ_from_itself():
    rng = np.random.default_rng(1)
    y, scores = rng.choice(["a", "b"], 40), rng.dirichlet([1, 1], 40)
    found = metrics.multiclass_difference(y, scores, scores, classes=["a", "b"], n_resamples=100)
    assert (found[["difference", "low", "high"]] == 0).all(axis=None)
    assert (found["p_value"] == 1).all()
