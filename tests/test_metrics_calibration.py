"""Calibration equals R's rms::val.prob; McNemar, permutation and Holm equal definitions and hand-worked cases."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import expit, logit

from vcfkit import metrics


@pytest.fixture
def fitted(reference):
    """The 113 patients, the risks of R's model fitted to them, and what val.prob says of these risks."""
    folder = reference / "nomogram"
    frame = pd.read_csv(folder / "aSAH.csv")
    r = json.loads((folder / "rms_nomogram_aSAH.json").read_text())
    b = r["coefficients"]
    linear = b["Intercept"] + b["age"] * frame["age"] + b["s100b"] * frame["s100b"]
    linear += b["gender=Female"] * (frame["gender"] == "Female")
    return (frame["outcome"] == "Poor").to_numpy(), expit(linear), r["val.prob"]


def test_calibration_of_a_fitted_model_equals_val_prob(fitted):
    y_true, risk, theirs = fitted
    found = metrics.calibration(y_true, risk)
    names = {"brier": "Brier", "slope": "Slope", "e_max": "Emax", "e_90": "E90", "e_average": "Eavg"}
    for ours, name in names.items():
        assert getattr(found, ours) == pytest.approx(theirs[name], rel=1e-9), name
    # A model judged on its own training rows is calibrated by construction: 0 in R to 1e-13 as well.
    assert [found.intercept, found.intercept_in_the_large] == pytest.approx([0, 0], abs=1e-10)


def test_recalibration_undoes_a_known_distortion(fitted):
    """If logit(risk) is stretched to a + b·logit(risk), recalibration finds slope 1/b and intercept −a/b."""
    y_true, risk, _ = fitted
    found = metrics.calibration(y_true, expit(0.7 + 2 * logit(risk)))
    assert found.slope == pytest.approx(1 / 2, rel=1e-9)
    assert found.intercept == pytest.approx(-0.7 / 2, rel=1e-9)
    shifted = 0.7 + 2 * logit(risk.to_numpy())
    root = optimize.brentq(lambda a: (y_true - expit(a + shifted)).sum(), -10, 10, xtol=1e-14)
    assert found.intercept_in_the_large == pytest.approx(root, rel=1e-9)


def test_calibration_without_a_maximum_is_undefined_not_invented():
    separated = metrics.calibration([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert np.isnan([separated.slope, separated.intercept]).all()
    assert separated.brier == pytest.approx(0.025)
    constant = metrics.calibration([0, 1, 1, 1], [0.5] * 4)
    assert np.isnan([constant.slope, constant.e_max]).all()
    assert constant.intercept_in_the_large == pytest.approx(np.log(3))


@pytest.mark.parametrize(
    ("risk", "message"),
    [
        ([0.0, 0.2, 0.3], "risk strictly between 0 and 1 required, 1 values"),
        ([0.1, 1.2, 0.3], "risk strictly between 0 and 1"),
        ([0.1, np.nan, 0.3], "risk holds 1 value that"),
        ([0.1, 0.2], "y_true and risk of one length"),
    ],
)
def test_a_bad_risk_is_named(risk, message):
    with pytest.raises(ValueError, match=message):
        metrics.calibration([0, 1, 1], risk)


def decisions(both, only_a, only_b, neither):
    right_a = np.repeat([1, 1, 0, 0], [both, only_a, only_b, neither])
    right_b = np.repeat([1, 0, 1, 0], [both, only_a, only_b, neither])
    y_true = np.arange(len(right_a)) % 2
    return y_true, np.where(right_a, y_true, 1 - y_true), np.where(right_b, y_true, 1 - y_true)


def test_mcnemar_equals_the_binomial_test_and_the_corrected_chi_square():
    arguments = decisions(40, 12, 5, 9)
    exact = metrics.mcnemar(*arguments)
    assert (exact.only_a, exact.only_b) == (12, 5)
    assert exact.p_value == pytest.approx(stats.binomtest(5, 17).pvalue, rel=1e-12)
    chi = metrics.mcnemar(*arguments, exact=False)
    assert chi.statistic == pytest.approx((12 - 5 - 1) ** 2 / 17, rel=1e-12)
    assert chi.p_value == pytest.approx(stats.chi2.sf(36 / 17, 1), rel=1e-12)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("discordant", [0, 4])
def test_mcnemar_of_equal_discordant_counts_is_one(exact, discordant):
    assert metrics.mcnemar(*decisions(5, discordant, discordant, 1), exact=exact).p_value == 1


def test_mcnemar_refuses_probabilities():
    with pytest.raises(ValueError, match="called_b: 3 values of 0 and 1"):
        metrics.mcnemar([0, 1, 1], [0, 1, 1], [0.2, 0.8, 0.9])


def test_permutation_p_approaches_the_enumeration_of_all_swaps():
    rng = np.random.default_rng(5)
    y_true = np.array([0, 1] * 5)
    a, b = rng.normal(size=10) + 1.5 * y_true, np.round(rng.normal(size=10), 0)
    ranks = np.stack([stats.rankdata(a), stats.rankdata(b)])

    def auc(score):
        case, control = score[y_true == 1][:, None], score[y_true == 0]
        return ((case > control) + 0.5 * (case == control)).mean()

    def difference(swap):
        swap = np.asarray(swap)
        return auc(np.where(swap, ranks[1], ranks[0])) - auc(np.where(swap, ranks[0], ranks[1]))

    observed = difference(np.zeros(10, bool))
    every = np.array([difference(swap) for swap in itertools.product([False, True], repeat=10)])
    exact = (np.abs(every) >= abs(observed) - 1e-12).mean()
    found = metrics.auc_permutation_test(y_true, a, b, n_permutations=20000)
    assert found.difference == pytest.approx(observed, abs=1e-15)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20000))


def test_permutation_p_equals_a_loop_over_the_same_swaps_and_is_one_for_twins():
    rng = np.random.default_rng(6)
    y_true = rng.integers(0, 2, 41)
    a, b = rng.normal(size=41) + y_true, rng.normal(size=41) + 0.2 * y_true
    ranks, draw, count = (stats.rankdata(a), stats.rankdata(b)), np.random.default_rng(9), 0

    def difference(first, second):
        return np.subtract(*(metrics.delong_ci(y_true, score).estimate for score in (first, second)))

    for _ in range(300):
        keep = draw.integers(0, 2, 41) == 1
        swapped = difference(np.where(keep, *ranks), np.where(keep, *ranks[::-1]))
        count += abs(swapped) >= abs(difference(*ranks)) - 1e-12
    found = metrics.auc_permutation_test(y_true, a, b, n_permutations=300, seed=9)
    assert found.p_value == (1 + count) / 301
    assert metrics.auc_permutation_test(y_true, a, np.exp(a), n_permutations=50).p_value == 1


def test_holm_equals_the_hand_worked_case_and_keeps_tests_without_p_out():
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([0.01, np.nan, 0.04])[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(metrics.holm([0.01, np.nan])[1])
    with pytest.raises(ValueError, match="p_values between 0 and 1"):
        metrics.holm([0.2, 1.2])
