"""The quiet errors are measured as stated, and show where they are planted."""

import numpy as np
import pandas as pd
import pytest

from vcfkit import metrics, studies


def test_the_interval_of_the_bootstrap_mean_is_its_standard_error_and_not_that_of_the_auc():
    rng = np.random.default_rng(0)
    positive = np.arange(120) < 40
    score = rng.normal(size=120) + positive
    aucs = metrics.weighted_auc(positive, score, metrics.bootstrap_counts(120, 1000, rng))
    low, high = studies.interval_of_the_bootstrap_mean(aucs)
    half = 1.959964 * aucs.std() / np.sqrt(1000)
    assert (low, high) == pytest.approx((aucs.mean() - half, aucs.mean() + half), abs=2e-4)
    right = np.diff(np.quantile(aucs, [0.025, 0.975]))[0]
    assert right / (high - low) == pytest.approx(np.sqrt(1000), rel=0.1)


def test_only_the_percentile_interval_holds_the_truth_as_often_as_it_says():
    found = studies.procedure_coverage(n_positive=60, n_negative=90, auc=0.8, n_simulations=120, n_resamples=300)
    held = {
        name: ((found[f"{name}_low"] <= 0.8) & (found[f"{name}_high"] >= 0.8)).mean() for name in ("percentile", "mean")
    }
    assert held["percentile"] > 0.87
    assert held["mean"] < 0.2
    again = studies.procedure_coverage(n_positive=60, n_negative=90, auc=0.8, n_simulations=120, n_resamples=300)
    pd.testing.assert_frame_equal(found, again)


def test_a_planted_patient_signature_makes_a_split_over_images_optimistic():
    """Ninety patients with two vertebrae of one class each; the features know nothing of the class."""
    patients = np.repeat(np.arange(90), 2)
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{k:03d}" for k in range(180)],
            "patient_id": [f"p{k:03d}" for k in patients],
            "label": np.asarray(["acute", "chronic", "pathologic"])[patients % 3],
        }
    )
    features = np.random.default_rng(1).normal(size=(180, 80))
    found = studies.split_optimism(samples, features, test_fraction=0.2, n_seeds=8, signatures=(0.0, 0.9))
    auc = found.groupby(["signature", "unit"])["auc"].mean()
    assert auc[(0.9, "vertebra")] - auc[(0.9, "patient")] > 0.15
    assert abs(auc[(0.0, "vertebra")] - auc[(0.0, "patient")]) < 0.08
    assert (found.loc[found["unit"] == "patient", "shared_patients"] == 0).all()
    assert (found.loc[found["unit"] == "vertebra", "shared_patients"] > 0).all()
