"""The mixed model over seeds against what planted variances and a paired t test say."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from vcfkit import metrics


def _points(difference, *, seeds=10, sd_seed=0.03, sd_network=0.02, sd_residual=0.01, draw=0):
    rng, rows = np.random.default_rng(draw), []
    for seed in range(seeds):
        shared = rng.normal(0, sd_seed)
        for model, plus in (("near", difference), ("far", 0.0)):
            own = rng.normal(0, sd_network)
            for cohort, level in (("internal", 0.0), ("external", 0.05), ("prospective", -0.02)):
                rows.append((seed, cohort, model, 0.8 + level + plus + shared + own + rng.normal(0, sd_residual)))
    return pd.DataFrame(rows, columns=["seed", "cohort", "model", "auc"])


def test_estimate_and_standard_error_are_those_of_the_mixed_model():
    points = _points(0.02)
    found = metrics.seed_difference(points)
    table = points.assign(near=(points["model"] == "near").astype(float))
    with pytest.warns(match="boundary"):  # statsmodels says so of every fit with two variance components
        fitted = MixedLM.from_formula(
            "auc ~ near + C(cohort)", table, groups="seed", re_formula="1", vc_formula={"network": "0 + C(model)"}
        ).fit()
    half = stats.t.ppf(0.975, 9) * fitted.bse["near"]
    assert found.difference == pytest.approx(fitted.params["near"], abs=1e-9)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-3)
    means = points.groupby(["seed", "model"])["auc"].mean().unstack()
    assert found.p_value == pytest.approx(stats.ttest_rel(means["near"], means["far"]).pvalue)


def test_planted_scatter_is_found_where_it_was_planted():
    found = metrics.seed_difference(_points(0.02, seeds=200), level=0.999)
    assert found.sd_seed == pytest.approx(0.03, rel=0.2)
    assert found.sd_network == pytest.approx(0.02, rel=0.2)
    assert found.sd_residual == pytest.approx(0.01, rel=0.15)
    assert found.low < 0.02 < found.high


def test_interval_holds_no_difference_as_often_as_it_says():
    held = [metrics.seed_difference(_points(0.0, seeds=5, draw=k)) for k in range(100)]
    assert 0.88 <= np.mean([one.low < 0 < one.high for one in held]) <= 1.0


def test_unbalanced_designs_are_refused():
    points = _points(0.0)
    with pytest.raises(ValueError, match="every model once per seed and cohort"):
        metrics.seed_difference(points.iloc[1:])
    with pytest.raises(ValueError, match="two models and at least three seeds"):
        metrics.seed_difference(points[points["model"] == "near"])
    with pytest.raises(ValueError, match="two models and at least three seeds"):
        metrics.seed_difference(points[points["seed"] < 2])
