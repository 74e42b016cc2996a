"""DeLong's numbers equal pROC's on 113 real patients, to full double precision."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vcfkit import metrics

MARKERS = ("wfns", "s100b", "ndka")
PAIRS = (("wfns", "s100b"), ("wfns", "ndka"), ("ndka", "s100b"))


@pytest.fixture
def asah(reference):
    frame = pd.read_csv(reference / "roc_delong" / "aSAH.csv")
    return (frame["outcome"] == "Poor").to_numpy(), frame


@pytest.fixture
def expected(reference):
    """Run in R for the reference folder, and the numbers written in pROC's own unit tests."""
    folder = reference / "roc_delong"
    return {name: json.loads((folder / f"expected_proc_{name}.json").read_text()) for name in ("R", "tests")}


@pytest.mark.parametrize("marker", MARKERS)
def test_interval_and_variance_equal_proc(asah, expected, marker):
    y_true, frame = asah
    found = metrics.delong_ci(y_true, frame[marker])
    theirs = expected["R"][marker]
    assert [found.low, found.estimate, found.high] == pytest.approx(theirs["ci95_delong"], abs=1e-12)
    assert found.variance == pytest.approx(theirs["var_delong"], rel=1e-12)
    assert found.variance == pytest.approx(expected["tests"]["var_delong"][marker], rel=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
def test_paired_test_equals_proc(asah, expected, pair):
    y_true, frame = asah
    found = metrics.delong_test(y_true, frame[pair[0]], frame[pair[1]])
    theirs, printed = (
        expected["R"]["delong_paired"]["_vs_".join(pair)],
        expected["tests"]["paired_delong"]["-".join(pair)],
    )
    assert found.statistic == pytest.approx(theirs["z"], rel=1e-12)
    assert found.p_value == pytest.approx(theirs["p"], rel=1e-12)
    assert found.difference == pytest.approx(theirs["diff"], abs=1e-14)
    assert [found.low, found.high] == pytest.approx(printed["ci95_diff"], abs=1e-12)


@pytest.mark.parametrize(
    ("pair", "statistic", "p_value"),
    # pROC, tests/testthat/test-roc.test.R, "unpaired roc.test statistic and p are as expected"
    list(
        zip(
            PAIRS,
            (1.43490640926908, 3.10125096778969, -1.55995743389685),
            (0.152825378808796, 0.00220950791756457, 0.120192832430845),
            strict=True,
        )
    ),
)
def test_unpaired_test_equals_proc(asah, pair, statistic, p_value):
    y_true, frame = asah
    found = metrics.delong_test_unpaired(y_true, frame[pair[0]], y_true, frame[pair[1]])
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p_value == pytest.approx(p_value, rel=1e-12)
    reach = stats.t.ppf(0.975, found.df) * np.sqrt(found.variance)
    assert [found.low, found.high] == pytest.approx([found.difference - reach, found.difference + reach])


def test_matrix_of_all_pairs_equals_the_pairwise_tests_and_procs_covariance(asah, expected):
    y_true, frame = asah
    matrix = metrics.delong_matrix(y_true, frame[list(MARKERS)])
    for (a, b), theirs in ((key.split(","), value) for key, value in expected["tests"]["cov_delong"].items()):
        assert matrix.covariance[MARKERS.index(a), MARKERS.index(b)] == pytest.approx(theirs, rel=1e-11)
    pairs = matrix.frame().set_index(["model_a", "model_b"])
    for (a, b), row in pairs.iterrows():
        alone = metrics.delong_test(y_true, frame[a], frame[b])
        assert row[["auc_a", "auc_b", "difference", "statistic", "p_value"]].tolist() == pytest.approx(list(alone))
    assert pairs["p_holm"].tolist() == pytest.approx(metrics.holm(pairs["p_value"]))
    sums = np.add.outer(np.diag(matrix.covariance), np.diag(matrix.covariance)) - 2 * matrix.covariance
    assert matrix.variance == pytest.approx(sums, abs=1e-16)


def test_components_equal_the_textbook_definition_with_ties():
    rng = np.random.default_rng(0)
    y_true, scores = rng.integers(0, 2, 60), rng.integers(0, 5, (60, 3)).astype(float)
    areas, components = [], []
    for score in scores.T:
        case, control = score[y_true == 1][:, None], score[y_true == 0]
        wins = (case > control) + 0.5 * (case == control)
        areas.append(wins.mean())
        components.append((wins.mean(axis=1), wins.mean(axis=0)))
    by_case, by_control = (np.array(part) for part in zip(*components, strict=True))
    matrix = metrics.delong_matrix(y_true, scores)
    assert matrix.auc == pytest.approx(areas, abs=1e-15)
    expected = np.cov(by_case) / by_case.shape[1] + np.cov(by_control) / by_control.shape[1]
    assert matrix.covariance == pytest.approx(expected, abs=1e-16)


def test_models_that_rank_alike_differ_by_nothing_with_p_one(asah, expected):
    y_true, frame = asah
    for twin in (frame["wfns"], np.exp(frame["wfns"]), 3 * frame["wfns"] - 7):
        found = metrics.delong_test(y_true, frame["wfns"], twin)
        theirs = expected["tests"]["paired_delong"]["wfns-wfns"]
        assert (found.statistic, found.p_value, found.variance) == (theirs["Z"], theirs["p"], 0)
    matrix = metrics.delong_matrix(y_true, {"a": frame["s100b"], "b": np.sqrt(frame["s100b"]), "c": frame["ndka"]})
    assert matrix.p_value[0, 1] == 1
    assert (np.diag(matrix.p_value) == 1).all()
    assert matrix.p_value[0, 2] == matrix.p_value[1, 2] < 1


def test_a_perfect_auc_has_variance_zero_and_its_comparison_with_a_constant_no_p():
    y_true, perfect, constant = [0] * 5 + [1] * 5, np.arange(10.0), np.zeros(10)
    assert tuple(metrics.delong_ci(y_true, perfect)) == (1, 1, 1)
    assert metrics.delong_ci(y_true, perfect).variance == 0
    assert tuple(metrics.delong_ci(y_true, -perfect)) == (0, 0, 0)
    assert tuple(metrics.delong_ci(y_true, constant)) == (0.5, 0.5, 0.5)
    found = metrics.delong_test(y_true, perfect, constant)
    assert found.difference == 0.5
    assert np.isnan(found.statistic)
    assert np.isnan(found.p_value)
    assert metrics.delong_test_unpaired(y_true, perfect, y_true, perfect).p_value == 1
    assert np.isnan(metrics.delong_test_unpaired(y_true, perfect, y_true, constant).p_value)


def test_the_interval_is_cut_to_the_unit_interval():
    y_true, score = [0, 0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.8, 0.9]
    found = metrics.delong_ci(y_true, score)
    assert found.high == 1
    assert found.estimate + 1.96 * np.sqrt(found.variance) > 1


def test_interval_unpacks_prints_and_widens_with_its_level(asah):
    y_true, frame = asah
    estimate, low, high = found = metrics.delong_ci(y_true, frame["wfns"])
    assert low < estimate < high
    assert str(found) == "0.824 (0.749–0.899)"
    wider = metrics.delong_ci(y_true, frame["wfns"], level=0.99)
    assert wider.low < low
    assert high < wider.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.delong_ci([0, 1, 1], [0.1, 0.2, 0.3]), "y_true: at least 2 rows of each class"),
        (lambda: metrics.delong_ci([1, 1, 1], [0.1, 0.2, 0.3]), "y_true holds one class only"),
        (lambda: metrics.delong_ci([0, 0, 1, 1], [0.1, np.nan, 0.3, 0.4]), "y_score holds 1 value that"),
        (lambda: metrics.delong_ci([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1]), "y_true of 0 and 1 required"),
        (lambda: metrics.delong_ci([0, 0, 1, 1], [1, 2, 3, 4], level=1), "level between 0 and 1"),
        (lambda: metrics.delong_test([0, 0, 1, 1], [1, 2, 3, 4], [1, 2, 3]), "y_true and score_b of one length"),
        (lambda: metrics.delong_test([0, 0, 1, 1], ["a", "b", "c", "d"], [1, 2, 3, 4]), "score_a: an array of numbers"),
        (
            lambda: metrics.delong_test_unpaired([0, 0, 1, 1], [1, 2, 3, 4], [0, 0, 1], [1, 2, 3]),
            "y_true_b: at least 2",
        ),
        (lambda: metrics.delong_matrix([0, 0, 1, 1], {"a": [1, 2, 3, 4]}), "scores: two or more models"),
        (lambda: metrics.delong_matrix([0, 0, 1, 1], np.ones((2, 4))), r"scores of shape \(4, n_models\)"),
        (lambda: metrics.delong_matrix([0, 0, 1, 1], {"a": [1, 2, 3, 4], "b": [1, 2]}), "scores: 4 rows required"),
        (
            lambda: metrics.delong_matrix([0, 0, 1, 1], {"a": [1, 2, 3, 4], "b": [1, 2, None, 4]}),
            r"scores\['b'\] holds 1",
        ),
    ],
)
def test_every_refusal_names_its_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
