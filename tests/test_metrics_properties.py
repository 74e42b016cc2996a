"""What holds for any data: found by search, not by example."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from vcfkit import metrics
from vcfkit.selection import spearman_matrix

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)
SETTINGS = {"n_resamples": 60, "seed": 2}


@st.composite
def samples(draw, n_models=1, smallest=2):
    """Labels with a few of each class, and scores on a coarse grid, so that ties are common."""
    n_case, n_control = draw(st.integers(smallest, 25)), draw(st.integers(smallest, 25))
    y_true = np.repeat([1, 0], [n_case, n_control])
    grid = st_numpy.arrays(np.float64, (n_models, len(y_true)), elements=st.integers(-6, 6).map(float))
    return y_true, *draw(grid)


@few
@given(samples(n_models=2))
def test_a_rising_transform_changes_nothing(sample):
    y_true, a, b = sample
    risen = np.exp(a / 3) * 10 + 1
    assert metrics.delong_ci(y_true, risen) == metrics.delong_ci(y_true, a)
    assert metrics.delong_test(y_true, risen, b)[2] == metrics.delong_test(y_true, a, b)[2]
    assert metrics.hand_till_auc(y_true, risen) == metrics.hand_till_auc(y_true, a)
    for method in ("percentile", "bca"):
        first, second = (
            metrics.bootstrap_ci(y_true, score, metrics=["auc"], method=method, **SETTINGS) for score in (a, risen)
        )
        pd.testing.assert_frame_equal(first, second, check_exact=True)


@few
@given(samples())
def test_swapped_labels_mirror_the_auc_and_exchange_sensitivity_with_specificity(sample):
    y_true, score = sample
    ours, mirrored = metrics.delong_ci(y_true, score), metrics.delong_ci(1 - y_true, score)
    assert mirrored == pytest.approx((1 - ours.estimate, 1 - ours.high, 1 - ours.low), abs=1e-12)
    assert mirrored.variance == pytest.approx(ours.variance, abs=1e-15)
    # Scores and threshold turned as well: positive becomes negative throughout (0.5 is on no grid point).
    report = metrics.binary_report(y_true, score, threshold=0.5, **SETTINGS)
    turned = metrics.binary_report(1 - y_true, -score, threshold=-0.5, **SETTINGS)
    names = {"sensitivity": "specificity", "ppv": "npv", "tp": "tn", "fp": "fn", "auc": "auc", "accuracy": "accuracy"}
    for name, other in names.items():
        assert turned.loc[other].tolist() == pytest.approx(report.loc[name].tolist(), abs=1e-15, nan_ok=True)


@few
@given(samples(n_models=2), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(sample, random):
    order = list(range(len(sample[0])))
    random.shuffle(order)
    shuffled = [part[order] for part in sample]
    assert metrics.delong_ci(*shuffled[:2]) == pytest.approx(metrics.delong_ci(*sample[:2]), abs=1e-14)
    p_values = [metrics.delong_test(*part).p_value for part in (sample, shuffled)]
    assert p_values[0] == pytest.approx(p_values[1], abs=1e-9, nan_ok=True)
    assert metrics.youden_threshold(*shuffled[:2]) == metrics.youden_threshold(*sample[:2])
    estimates = [metrics.bootstrap_ci(*part[:2], **SETTINGS)["estimate"].to_numpy() for part in (sample, shuffled)]
    np.testing.assert_array_equal(*estimates)


@few
@given(samples())
def test_delong_interval_holds_its_estimate_and_stays_within_zero_and_one(sample):
    found = metrics.delong_ci(*sample)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


@few
@given(samples(smallest=12))
def test_percentile_interval_is_ordered_and_holds_its_estimate(sample):
    report = metrics.bootstrap_ci(*sample, metrics=["auc", "accuracy"], n_resamples=400, seed=0)
    assert (report["low"] <= report["estimate"]).all()
    assert (report["estimate"] <= report["high"]).all()


@few
@given(samples(), st.sampled_from(["percentile", "bca"]))
def test_patients_of_one_row_each_are_the_plain_bootstrap(sample, method):
    y_true, score = sample
    alone = [f"p{k:03d}" for k in range(len(y_true))]
    plain = metrics.bootstrap_ci(y_true, score, method=method, **SETTINGS)
    clustered = metrics.bootstrap_ci(y_true, score, groups=alone, method=method, **SETTINGS)
    pd.testing.assert_frame_equal(plain, clustered, check_exact=True)


@few
@given(samples(n_models=2))
def test_exchanging_two_models_turns_the_sign_and_keeps_the_p(sample):
    y_true, a, b = sample
    first, second = metrics.delong_test(y_true, a, b), metrics.delong_test(y_true, b, a)
    assert second.difference == -first.difference
    assert second.p_value == pytest.approx(first.p_value, nan_ok=True)
    assert (second.low, second.high) == pytest.approx((-first.high, -first.low), abs=1e-14)
    pair = metrics.bootstrap_difference(y_true, a, b, **SETTINGS)
    turned = metrics.bootstrap_difference(y_true, b, a, **SETTINGS)
    np.testing.assert_array_equal(pair["difference"], -turned["difference"])


@few
@given(samples())
def test_youden_threshold_gives_the_sensitivity_and_specificity_it_states(sample):
    y_true, score = sample
    found = metrics.youden_threshold(y_true, score)
    report = metrics.binary_report(y_true, score, threshold=found.threshold, n_resamples=1)["estimate"]
    assert (report["sensitivity"], report["specificity"]) == (found.sensitivity, found.specificity)
    curve = metrics.roc_curve(y_true, score)
    assert found.youden == pytest.approx((curve["sensitivity"] - curve["false_positive_rate"]).max(), abs=1e-15)


@few
@given(
    st_numpy.arrays(
        np.float64, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=st.integers(-3, 3).map(float)
    )
)
def test_spearman_matrix_equals_pandas_ties_and_constants_included(table):
    frame = pd.DataFrame(table)
    pd.testing.assert_frame_equal(spearman_matrix(frame), frame.corr("spearman"), rtol=0, atol=1e-12)


def test_spearman_tells_neighbouring_doubles_and_signed_zeros_apart_only_where_they_differ():
    low = np.array([0.3, -0.3, 1e-300, -1e300])
    table = np.stack([np.concatenate([low, np.nextafter(low, np.inf), [0.0, -0.0]]), np.arange(10.0)], axis=1)
    assert spearman_matrix(table)[0, 1] == pytest.approx(pd.DataFrame(table).corr("spearman").iloc[0, 1], abs=1e-15)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones(4), "features: 2 dimension"),
        (np.ones((1, 3)), "features: at least two rows"),
        ([[1.0, np.nan], [2.0, 3.0]], "features holds 1 value that"),
        ([["a", "b"], ["c", "d"]], "features: an array of numbers"),
    ],
)
def test_spearman_refuses_what_it_cannot_rank(features, message):
    with pytest.raises(ValueError, match=message):
        spearman_matrix(features)
