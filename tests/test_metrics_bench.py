"""Both sides of every benchmark give the same numbers; the coverage study counts what it says."""

import numpy as np
import pytest

from vcfkit import bench, studies

SMALL = bench.cases(n=120, n_resamples=15, features=(50, 12))


@pytest.mark.parametrize("case", SMALL, ids=[f"{case['benchmark'][:28]} {case['baseline'][:12]}" for case in SMALL])
def test_both_sides_of_a_benchmark_agree(case):
    positional, keywords = case["arguments"]
    expected, found = (function(*positional, **keywords) for function in case["functions"])
    assert np.abs(expected - found).max() < 1e-12


def test_fourteen_numbers_are_compared_for_three_classes():
    positional, keywords = SMALL[1]["arguments"]
    assert bench.fast_one_vs_rest(*positional, **keywords).shape == (14, 2)


def test_a_measured_row_says_what_ran_where():
    row = bench.measure(SMALL[2], for_seconds=0.05) | bench.machine()
    assert row["ratio"] == pytest.approx(row["baseline_s"] / row["vcfkit_s"], rel=0.05)
    assert {"cpu", "cores", "threads", "torch", "measured"} <= set(row)


def test_coverage_repeats_exactly_and_its_shares_add_up():
    settings = {"sizes": (30,), "shares": (0.5,), "aucs": (0.8,), "n_simulations": 40, "n_resamples": 50}
    table = studies.coverage(**settings)
    assert table.equals(studies.coverage(**settings))
    assert (table["coverage"] + table["missed_low"] + table["missed_high"]).tolist() == pytest.approx([1, 1, 1])
    assert table["method"].tolist() == ["percentile", "bca", "delong"]


def test_a_low_level_covers_less_and_is_called_too_low():
    settings = {"sizes": (60,), "shares": (0.5,), "aucs": (0.8,), "n_simulations": 80, "n_resamples": 60}
    table = studies.coverage(level=0.5, **settings)
    assert table["coverage"].between(0.3, 0.7).all()
    assert set(table["verdict"]) == {"too low: below 92 %"}


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.95, "within 92–97 %"),
        (0.88, "too low: below 92 %"),
        (0.915, "too low: below 92 %, by less than two Monte-Carlo errors"),
        (0.99, "too high: above 97 %"),
    ],
)
def test_verdict_names_the_side_and_says_when_the_error_decides(share, words):
    assert studies.verdict(share, 0.005) == words
