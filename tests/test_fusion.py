"""Nothing that is fitted between images and classifiers sees a row outside training."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Lasso

from vcfkit import fusion, selection

CLASSES = ["class_0", "class_1", "class_2"]
N, N_TRAINING = 120, 60


@pytest.fixture
def parts():
    """A made-up cohort: ``r0`` and ``d0`` carry the class, ``r1`` repeats ``r0``, ``r5`` is no reader's twice."""
    rng = np.random.default_rng(0)
    label = np.arange(N) % 3
    cohort = np.repeat(["training", "internal_validation", "external", "prospective"], [N_TRAINING, 20, 20, 20])
    site = np.where(cohort == "external", "Center II", np.where(cohort == "prospective", "Center III", "Center I"))
    names = [f"s{k}" for k in range(N)]
    samples = pd.DataFrame({"sample_id": names, "site": site, "cohort": cohort, "label": np.array(CLASSES)[label]})
    radiomics = pd.DataFrame(rng.normal(size=(N, 8)), index=names, columns=[f"r{k}" for k in range(8)])
    radiomics["r0"] += label
    radiomics["r1"] = 2 * radiomics["r0"] + 1e-3 * rng.normal(size=N)
    radiomics["constant"] = 1.0
    radiomics.loc[site == "Center II"] = radiomics.loc[site == "Center II"] * 1.5 + 4
    deep = pd.DataFrame(rng.normal(size=(N, 12)), index=names, columns=[f"d{k}" for k in range(12)])
    deep["d0"] += 0.7 * label
    again = radiomics.iloc[:30] + 1e-2 * rng.normal(size=(30, 9))
    again["r5"] = rng.normal(size=30)
    return samples, radiomics, deep, {"inter": again}


def fitted(parts, **options):
    samples, radiomics, deep, readings = parts
    return fusion.FusedFeatures(readings, classes=CLASSES, folds=5, **options).fit(samples, radiomics, deep)


def test_steps_keep_what_they_should(parts):
    model = fitted(parts)
    kept = model.handcrafted_.get_feature_names_out()
    assert "r5" not in kept, "two delineations disagree on it"
    assert "constant" not in kept
    assert len({"r0", "r1"} & set(kept)) == 1
    assert {"d0"} <= set(model.coefficients().index)
    assert ({"r0", "r1"} & set(model.coefficients().index)) != set()


def test_the_score_is_scikit_learns_lasso_at_the_chosen_penalty(parts):
    samples, radiomics, deep, _ = parts
    model, rows = fitted(parts), (parts[0]["cohort"] == "training").to_numpy()
    joined = model.joined(samples, radiomics, deep)
    scaled = (joined - joined[rows].mean()) / joined[rows].std(ddof=0)
    number = samples["label"].map(CLASSES.index).to_numpy(float)
    lasso = Lasso(alpha=model.fused_["lasso"].alpha_, tol=1e-12, max_iter=100_000).fit(scaled[rows], number[rows])
    assert model.score(samples, radiomics, deep).to_numpy() == pytest.approx(lasso.predict(scaled), abs=1e-6)
    text = fusion.formula(model.coefficients(), model.fused_["lasso"].intercept_)
    terms = [line.split() for line in text.splitlines()[1:]]
    assert len(terms) == np.count_nonzero(lasso.coef_)
    largest = joined.columns[np.abs(lasso.coef_).argmax()]
    assert terms[0][-1] == largest
    assert float(terms[0][0] + terms[0][1]) == pytest.approx(lasso.coef_[joined.columns.get_loc(largest)], abs=1e-4)


def test_poisoned_rows_outside_training_change_no_fitted_object(parts):
    """Other rows become huge numbers under shuffled labels; ComBat, filters, scaler, LASSO, grids stay to the byte."""
    samples, radiomics, deep, readings = parts
    poison, outside = np.random.default_rng(1), (samples["cohort"] != "training").to_numpy()
    bad_radiomics, bad_deep, bad_samples = radiomics.copy(), deep.copy(), samples.copy()
    bad_radiomics[outside] = poison.normal(1e6, 1e5, (outside.sum(), radiomics.shape[1]))
    bad_deep[outside] = poison.normal(-1e6, 1e5, (outside.sum(), deep.shape[1]))
    bad_samples.loc[outside, "label"] = poison.permutation(bad_samples.loc[outside, "label"])
    bad_readings = {
        name: pd.concat(
            [
                again,
                pd.DataFrame(
                    poison.normal(0, 1e6, (9, again.shape[1])),
                    index=[f"s{k}" for k in range(80, 89)],
                    columns=again.columns,
                ),
            ]
        )
        for name, again in readings.items()
    }
    clean = fitted(parts)
    poisoned = fusion.FusedFeatures(bad_readings, classes=CLASSES, folds=5).fit(bad_samples, bad_radiomics, bad_deep)
    assert _state(clean.combat_) == _state(poisoned.combat_)
    for pipeline, names in (("handcrafted_", ("icc", "spearman")), ("fused_", ("scale", "lasso"))):
        for name in names:
            assert _state(getattr(clean, pipeline)[name]) == _state(getattr(poisoned, pipeline)[name]), name
    train = ~outside
    grids = [
        selection.search(
            "LR",
            model.transform(s, r, d)[train],
            s.loc[train, "label"],
        )
        for model, s, r, d in (
            (clean, samples, radiomics, deep),
            (poisoned, bad_samples, bad_radiomics, bad_deep),
        )
    ]
    assert _state(grids[0].best_estimator_) == _state(grids[1].best_estimator_)
    assert grids[0].cv_results_["mean_test_score"].tolist() == grids[1].cv_results_["mean_test_score"].tolist()


def test_other_centres_are_brought_to_the_training_centre_or_left_as_is(parts):
    samples, radiomics, deep, _ = parts
    own, as_is, none = (fitted(parts, harmonise=policy) for policy in ("own_rows", "as_is", "none"))
    far = (samples["site"] == "Center II").to_numpy()
    train = (samples["cohort"] == "training").to_numpy()
    name = own.handcrafted_.get_feature_names_out()[0]
    distance = {
        policy: abs(model.joined(samples, radiomics, deep).loc[far, name].mean() - radiomics.loc[train, name].mean())
        for policy, model in (("own", own), ("as is", as_is), ("none", none))
    }
    assert distance["own"] < 0.2 * distance["none"]
    assert distance["as is"] == distance["none"]
    pd.testing.assert_frame_equal(
        own.joined(samples, radiomics, deep)[train], none.joined(samples, radiomics, deep)[train]
    )


def test_two_training_centres_that_differ_lose_no_feature_that_readers_agree_on(parts):
    """Both delineations of a vertebra are harmonised: what a centre shifts is no disagreement of readers."""
    samples, radiomics, deep, readings = parts
    samples = samples.assign(site=np.where(np.arange(N) % 2, "A", "B"))
    radiomics = radiomics + 3.0 * (samples["site"] == "A").to_numpy()[:, None]
    again = {"same": radiomics.iloc[:30].copy()}
    again["same"]["r5"] = readings["inter"]["r5"].to_numpy()
    model = fusion.FusedFeatures(again, classes=CLASSES, folds=5).fit(samples, radiomics, deep)
    icc = model.handcrafted_["icc"].icc_["same"]
    agreed = [name for name in radiomics if name not in ("r5", "constant")]
    assert icc[agreed].to_numpy() == pytest.approx(1, abs=1e-12)
    assert icc["r5"] < 0.8
    assert model.readings is again, "the readings given stay as they were"


def test_a_centre_of_few_rows_is_left_as_is(parts):
    samples, radiomics, deep, _ = parts
    few = samples.index[samples["site"] == "Center II"][:4]
    model = fitted(parts)
    alone = model.joined(samples.loc[few], radiomics.iloc[few], deep.iloc[few])
    name = model.handcrafted_.get_feature_names_out()[0]
    assert alone[name].tolist() == radiomics.iloc[few][name].tolist()


def test_rows_in_another_order_are_refused(parts):
    samples, radiomics, deep, readings = parts
    with pytest.raises(ValueError, match="deep: index equal to the samples' sample_id"):
        fusion.FusedFeatures(readings, classes=CLASSES).fit(samples, radiomics, deep[::-1])
    with pytest.raises(ValueError, match="rows of the cohort training required"):
        fusion.FusedFeatures(readings, classes=CLASSES).fit(samples.assign(cohort="external"), radiomics, deep)


def _state(fitted_object) -> bytes:
    """Everything a fitted object holds, but the readings it was given."""
    held = {key: value for key, value in vars(fitted_object).items() if key != "readings"}
    return pickle.dumps(held)
