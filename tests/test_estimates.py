"""What estimates and tests return: numbers that unpack, and what stands beside them."""

import copy
import math
import pickle

import pytest

from vcfkit.estimates import Interval, TestResult


def test_an_interval_unpacks_and_prints_as_papers_do():
    estimate, low, high = interval = Interval(0.824, 0.749, 0.8991, variance=0.001)
    assert (estimate, low, high) == (0.824, 0.749, 0.8991)
    assert str(interval) == "0.824 (0.749–0.899)"
    assert interval.variance == 0.001
    assert math.isnan(Interval(0.5, 0.4, 0.6).variance)


def test_a_test_unpacks_to_its_five_numbers():
    result = TestResult(0.9, 0.8, 0.1, 2.0, 0.0455, df=70.0, variance=0.0025, low=0.0, high=0.2)
    auc_a, auc_b, difference, statistic, p_value = result
    assert (auc_a, auc_b, difference, statistic, p_value) == (0.9, 0.8, 0.1, 2.0, 0.0455)
    assert (result.df, result.variance, result.low, result.high) == (70.0, 0.0025, 0.0, 0.2)
    assert TestResult(0.9, 0.8, 0.1, 2.0, 0.0455).df == math.inf


@pytest.mark.parametrize("again", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
@pytest.mark.parametrize(
    "result", [Interval(0.8, 0.7, 0.9, variance=0.5), TestResult(0.9, 0.8, 0.1, 2.0, 0.04, df=3.0, low=0.1)]
)
def test_a_copy_keeps_what_stands_beside_the_numbers(result, again):
    other = again(result)
    assert type(other) is type(result)
    assert (tuple(other), vars(other).keys()) == (tuple(result), vars(result).keys())
    assert all(other.__dict__[name] == value or value != value for name, value in vars(result).items())
