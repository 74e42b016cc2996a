"""Net benefit, nomogram, calibration and LASSO equal R's dcurves, rms and glmnet on data nobody here wrote."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from vcfkit import decision
from vcfkit.metrics import bootstrap_counts


@pytest.fixture
def binary(reference):
    return pd.read_csv(reference / "dca" / "df_binary.csv")


@pytest.fixture
def asah(reference):
    """113 patients of pROC's aSAH; poor outcome on age, sex and S100B."""
    frame = pd.read_csv(reference / "nomogram" / "aSAH.csv")
    x = pd.DataFrame({"age": frame["age"], "female": (frame["gender"] == "Female") * 1, "s100b": frame["s100b"]})
    return frame, x, (frame["outcome"] == "Poor").to_numpy()


@pytest.fixture
def rms(reference):
    return json.loads((reference / "nomogram" / "rms_nomogram_aSAH.json").read_text())


@pytest.fixture
def nomogram(rms):
    beta = rms["coefficients"]
    return decision.Nomogram(
        {"age": beta["age"], "gender": {"Male": 0.0, "Female": beta["gender=Female"]}, "s100b": beta["s100b"]},
        beta["Intercept"],
        {"age": (15, 85), "s100b": (0, 2.2)},
    )


# ---------------------------------------------------------------------------------------------- decision curves


def test_net_benefit_and_interventions_avoided_equal_r_dcurves(binary, reference):
    expected = pd.read_csv(reference / "dca" / "r_case1_results.csv").set_index("variable")
    model, everyone = expected.loc["famhistory"], expected.loc["all"]
    curve = decision.net_benefit(binary["cancer"], binary["famhistory"], thresholds=model["threshold"])
    assert list(curve) == ["threshold", "net_benefit", "treat_all", "treat_none"]
    np.testing.assert_allclose(curve["net_benefit"], model["net_benefit"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(curve["treat_all"], everyone["net_benefit"], rtol=1e-12, atol=1e-14)
    assert (curve["treat_none"] == 0).all()
    avoided = decision.interventions_avoided(curve)
    np.testing.assert_allclose(avoided, model["net_intervention_avoided"], rtol=1e-12, atol=1e-14)


def test_a_probability_model_equals_python_dcurves(binary):
    dcurves = pytest.importorskip("dcurves")
    thresholds = np.arange(0, 1, 0.01)
    theirs = dcurves.dca(binary, "cancer", ["cancerpredmarker"], thresholds=thresholds, harm={"cancerpredmarker": 0.02})
    theirs = theirs[theirs["model"] == "cancerpredmarker"]
    ours = decision.net_benefit(binary["cancer"], binary["cancerpredmarker"], thresholds=thresholds, harm=0.02)
    np.testing.assert_allclose(ours["net_benefit"], theirs["net_benefit"], rtol=1e-12, atol=1e-14)


def test_at_threshold_zero_a_risk_of_exactly_zero_is_not_treated():
    curve = decision.net_benefit([1, 1, 0, 0], [0.0, 0.2, 0.0, 0.3], thresholds=[0.0])
    assert curve.loc[0, "net_benefit"] == 0.25
    assert curve.loc[0, "treat_all"] == 0.5


def test_a_risk_equal_to_the_threshold_is_treated():
    curve = decision.net_benefit([1, 0], [0.3, 0.1], thresholds=[0.3])
    assert curve.loc[0, "net_benefit"] == 0.5


def test_unsorted_and_repeated_thresholds_keep_their_order():
    thresholds = [0.4, 0.1, 0.4, 0.25]
    y, risk = [0, 1, 1, 0, 1], [0.1, 0.5, 0.25, 0.4, 0.9]
    together = decision.net_benefit(y, risk, thresholds=thresholds)
    alone = pd.concat([decision.net_benefit(y, risk, thresholds=[t]) for t in thresholds], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)


def test_a_series_with_an_odd_index_and_booleans_are_read_by_position():
    y, risk = [True, False, True, False], [0.9, 0.2, 0.6, 0.7]
    plain = decision.net_benefit(np.array(y, int), risk, thresholds=[0.5])
    odd = decision.net_benefit(pd.Series(y, index=[9, 3, 3, 0]), pd.Series(risk, index=[1, 2, 0, 7]), thresholds=[0.5])
    pd.testing.assert_frame_equal(plain, odd)


def test_one_class_only_has_a_net_benefit():
    assert decision.net_benefit([0, 0], [0.9, 0.1], thresholds=[0.5]).loc[0, "net_benefit"] == -0.5
    assert decision.net_benefit([1, 1], [0.9, 0.1], thresholds=[0.5]).loc[0, "net_benefit"] == 0.5


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("thresholds", {"thresholds": [0.5, 1.0]}),
        ("thresholds", {"thresholds": [-0.01]}),
        ("thresholds", {"thresholds": [np.nan]}),
        ("thresholds", {"thresholds": []}),
        ("thresholds", {"thresholds": [[0.1, 0.2]]}),
        ("risk", {"risk": [0.2, 1.2]}),
        ("risk", {"risk": [-0.1, 0.5]}),
        ("risk", {"risk": [0.1, np.nan]}),
        ("risk", {"risk": [0.1, 0.2, 0.3]}),
        ("risk", {"risk": ["0.1", "0.2"]}),
        ("risk", {"risk": [[0.1, 0.2]]}),
        ("y_true", {"y_true": [0, 2]}),
        ("y_true", {"y_true": ["0", "1"]}),
        ("y_true", {"y_true": [0, np.nan]}),
        ("y_true", {"y_true": []}),
        ("harm", {"harm": -0.1}),
        ("harm", {"harm": np.nan}),
    ],
)
def test_net_benefit_refuses_and_names_the_argument(name, arguments):
    good = {"y_true": [0, 1], "risk": [0.1, 0.9], "thresholds": [0.5], "harm": 0.0}
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        decision.net_benefit(**(good | arguments))


def test_the_band_equals_a_loop_over_the_same_resampled_patients():
    rng = np.random.default_rng(4)
    y, patients = rng.integers(0, 2, 90), rng.integers(0, 40, 90)
    risks = {"a": np.round(rng.random(90), 1), "b": np.clip(rng.normal(0.3 + 0.3 * y, 0.2), 0, 1)}
    thresholds = [0.0, 0.3, 0.1, 0.6]
    options = {"thresholds": thresholds, "n_resamples": 60, "seed": 8, "groups": patients}
    curve = decision.decision_curve(y, risks, harm={"a": 0.01}, **options)
    counts = bootstrap_counts(90, 60, np.random.default_rng(8), groups=patients).astype(int)
    for name, harm in (("a", 0.01), ("b", 0.0)):
        rows = [np.repeat(np.arange(90), count) for count in counts]
        loop = [decision.net_benefit(y[r], risks[name][r], thresholds=thresholds, harm=harm) for r in rows]
        quantiles = np.quantile([part["net_benefit"] for part in loop], [0.025, 0.975], axis=0)
        ours = curve[curve["model"] == name]
        np.testing.assert_allclose(ours[["low", "high"]].T, quantiles, atol=1e-13)
        estimate = decision.net_benefit(y, risks[name], thresholds=thresholds, harm=harm)
        np.testing.assert_allclose(ours["net_benefit"], estimate["net_benefit"], atol=1e-15)
    everyone = np.quantile([part["treat_all"] for part in loop], [0.025, 0.975], axis=0)
    np.testing.assert_allclose(curve.loc[curve["model"] == "treat_all", ["low", "high"]].T, everyone, atol=1e-13)
    assert (curve.loc[curve["model"] == "treat_none", ["net_benefit", "low", "high"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("risks", {"risks": [0.1, 0.9]}),
        ("risks", {"risks": {"treat_all": [0.1, 0.9]}}),
        ("'m'", {"risks": {"m": [0.1, 1.9]}}),
        ("harm", {"harm": {"other": 0.1}}),
        ("level", {"level": 1.0}),
        ("n_resamples", {"n_resamples": 0}),
        ("groups", {"groups": [1, 2, 3]}),
    ],
)
def test_decision_curve_refuses_and_names_the_argument(name, arguments):
    good = {"y_true": [0, 1], "risks": {"m": [0.1, 0.9]}, "thresholds": [0.5]}
    with pytest.raises(ValueError, match=name):
        decision.decision_curve(**(good | arguments))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_model_beats_knowing_the_outcome_and_treating_all_is_a_constant_risk(data):
    n = data.draw(st.integers(1, 30))
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    risk = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    thresholds = data.draw(st.lists(st.floats(0, 0.99), min_size=1, max_size=5))
    curve = decision.net_benefit(y, risk, thresholds=thresholds)
    assert (curve["net_benefit"] <= y.mean() + 1e-12).all()
    constant = decision.net_benefit(y, np.ones(n), thresholds=thresholds)
    np.testing.assert_allclose(constant["net_benefit"], constant["treat_all"], rtol=1e-9, atol=1e-12)
    assert (decision.interventions_avoided(constant)[curve["threshold"] > 1e-3].abs() < 1e-6).all()


# ----------------------------------------------------------------------------------------------------- nomogram


def test_nomogram_scale_and_axes_equal_rms(nomogram, rms):
    assert nomogram.points_per_lp == pytest.approx(rms["points_per_lp_unit"], rel=1e-13)
    assert nomogram.lp_at_zero == pytest.approx(rms["intercept_adj"], rel=1e-13)
    axes = nomogram.axes()
    for name in ("age", "gender", "s100b"):
        assert axes[name]["value"].tolist() == rms["axes"][name][name]
        np.testing.assert_allclose(axes[name]["points"], rms["axes"][name]["points"], rtol=1e-12, atol=1e-12)


def test_total_points_and_linear_predictor_axes_equal_rms(nomogram, rms, asah):
    lp = logit(nomogram.risk(nomogram.points(asah[0])))
    np.testing.assert_allclose(lp[:10], rms["first10_lp"], rtol=1e-12)
    axes = nomogram.axes(lp_range=(lp.min(), lp.max()))
    assert axes["total_points"]["value"].tolist() == rms["axes"]["total.points"]["x"]
    assert axes["linear_predictor"]["value"].tolist() == rms["axes"]["lp"]["x.real"]
    np.testing.assert_allclose(axes["linear_predictor"]["points"], rms["axes"]["lp"]["x"], rtol=1e-12)


def test_risk_axis_equals_rms_up_to_the_table_that_rms_inverts(nomogram, rms):
    """rms looks logit(risk) up in 1,000 tabulated points; the same table gives its ticks, the exact logit ours."""
    expected = rms["axes"]["Risk"]
    ours = nomogram.axes(risks=expected["x.real"], lp_range=(-3, 9))["risk"]
    table = np.linspace(-3, 9, 1000)
    looked_up = np.interp(expected["x.real"], expit(table), table)
    np.testing.assert_allclose((looked_up - nomogram.lp_at_zero) * nomogram.points_per_lp, expected["x"], rtol=1e-12)
    np.testing.assert_allclose(ours["points"], (logit(ours["value"]) - nomogram.lp_at_zero) * nomogram.points_per_lp)
    # 1,000 straight pieces over 12 units of linear predictor leave up to h²/8·|p″/p′| ≈ 2e-5 in it, 2e-6 in the risk.
    np.testing.assert_allclose(nomogram.risk(np.array(expected["x"])), expected["x.real"], rtol=0, atol=2e-6)
    assert nomogram.risk(33.447246483) == pytest.approx(0.5, abs=1e-10)


def test_a_dummy_variable_equals_a_factor(nomogram, rms, asah):
    beta = rms["coefficients"]
    dummy = decision.Nomogram(
        {"age": beta["age"], "female": beta["gender=Female"], "s100b": beta["s100b"]},
        beta["Intercept"],
        {"age": (15, 85), "female": (0, 1), "s100b": (0, 2.2)},
    )
    frame, x, _ = asah
    np.testing.assert_allclose(dummy.points(x), nomogram.points(frame), rtol=1e-12)
    assert dummy.points(x.iloc[0]) == pytest.approx(nomogram.points(frame).iloc[0])


def test_rows_mappings_and_contributions_agree(nomogram, asah):
    frame = asah[0].set_index("row")
    total = nomogram.points(frame)
    assert total.index.equals(frame.index)
    parts = nomogram.contributions(frame)
    np.testing.assert_allclose(parts.sum(axis=1), total)
    row = {"age": 42, "gender": "Female", "s100b": 0.13}
    assert nomogram.contributions(row) == pytest.approx(parts.iloc[0].to_dict())
    assert nomogram.risk(nomogram.points(row)) == pytest.approx(expit(-1.88838113970185), rel=1e-12)
    assert nomogram.risk(total).index.equals(frame.index)


@pytest.mark.parametrize(
    ("total", "message"),
    [
        ("a", "total_points: an array of numbers required"),
        (pd.Series([10.0, np.nan]), "total_points holds 1 value that is not finite, first in row 1"),
        (np.inf, "total_points holds 1 value that is not finite"),
    ],
)
def test_points_that_are_no_finite_numbers_have_no_risk(total, message):
    small = decision.Nomogram({"age": 0.05}, -3.0, {"age": (40, 90)})
    with pytest.raises(ValueError, match=message):
        small.risk(total)
    assert 0 < small.risk(50) < 1


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("s100b", {"age": 42, "gender": "Female"}),
        ("gender", {"age": 42, "gender": "female", "s100b": 0.1}),
        ("age", {"age": np.nan, "gender": "Male", "s100b": 0.1}),
        ("age", {"age": "old", "gender": "Male", "s100b": 0.1}),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_by_predictor(nomogram, name, row):
    with pytest.raises(ValueError, match=name):
        nomogram.points(row)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("ranges.*'a'", ({"a": 1.0}, 0.0, {})),
        ("ranges.*'a'", ({"a": 1.0}, 0.0, {"a": (3, 1)})),
        ("no coefficient.*'b'", ({"a": 1.0}, 0.0, {"a": (0, 1), "b": (0, 1)})),
        ("with an effect", ({"a": 0.0}, 0.0, {"a": (0, 1)})),
        ("with an effect", ({}, 0.0, {})),
        ("'f'", ({"f": {"only": 0.0}}, 0.0, {})),
        ("'a' is not finite", ({"a": np.nan}, 0.0, {"a": (0, 1)})),
        ("intercept", ({"a": 1.0}, np.inf, {"a": (0, 1)})),
    ],
)
def test_a_model_that_cannot_be_drawn_is_refused(message, arguments):
    with pytest.raises(ValueError, match=message):
        decision.Nomogram(*arguments)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-5, 5).filter(lambda b: abs(b) > 1e-3), min_size=1, max_size=4),
    st.floats(-4, 4),
    st.integers(0, 2**31),
)
def test_points_give_back_the_models_risk_and_the_widest_axis_spans_100(beta, intercept, seed):
    rng = np.random.default_rng(seed)
    names = [f"x{k}" for k in range(len(beta))]
    low = rng.normal(size=len(beta))
    ranges = {name: (a, a + w) for name, a, w in zip(names, low, rng.uniform(0.1, 3, len(beta)), strict=True)}
    nomogram = decision.Nomogram(dict(zip(names, beta, strict=True)), intercept, ranges)
    rows = pd.DataFrame(rng.normal(size=(5, len(beta))), columns=names)  # partly outside the ranges
    np.testing.assert_allclose(nomogram.risk(nomogram.points(rows)), expit(intercept + rows @ beta), rtol=1e-9)
    spans = [nomogram.axes()[name]["points"] for name in names]
    assert max(span.max() for span in spans) == pytest.approx(100)
    assert min(span.min() for span in spans) == pytest.approx(0, abs=1e-9)


def test_pretty_covers_the_data_ranges_as_r_does():
    assert decision.pretty(18, 81).tolist() == list(range(15, 86, 5))  # age of aSAH: rms's axis
    assert decision.pretty(0.03, 2.07).tolist() == [k / 5 for k in range(12)]
    assert decision.pretty(0, 121.83).tolist() == list(range(0, 131, 10))
    with pytest.raises(ValueError, match="low"):
        decision.pretty(2, 1)


def test_ridge_equals_maximum_likelihood_where_the_penalty_does_not_show(asah):
    _, x, y = asah
    model = decision.ridge_logistic(x, y, penalty=1e-7)
    expected = decision._logistic(decision._design(x), y == 1, np.ones((1, len(y))))[0]
    np.testing.assert_allclose([*model.intercept_, *model.coef_[0]], expected, rtol=1e-6)


@pytest.mark.parametrize("penalty", [1.0, 30.0])
def test_ridge_does_not_depend_on_units(asah, penalty):
    """Months instead of years, per cent instead of shares: the same risks, and coefficients that differ by the unit."""
    _, x, y = asah
    units = np.geomspace(0.01, 12, x.shape[1])
    model = decision.ridge_logistic(x, y, penalty=penalty)
    other = decision.ridge_logistic(x * units - 3, y, penalty=penalty)
    np.testing.assert_allclose(other.coef_ * units, model.coef_, rtol=1e-6)
    np.testing.assert_allclose(
        other.decision_function(np.asarray(x * units - 3)), model.decision_function(np.asarray(x))
    )


def test_ridge_is_the_least_of_its_own_objective_also_where_the_classes_are_separated():
    from scipy.optimize import minimize

    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], 20)
    x = np.column_stack([np.where(y, 0.9, 0.1) + rng.uniform(-0.1, 0.1, 40), rng.normal(70, 12, 40), np.ones(40)])
    model = decision.ridge_logistic(x, y, penalty=1.0)

    def objective(beta):
        lp = beta[0] + x @ beta[1:]
        return (np.logaddexp(0, lp) - y * lp).sum() + (beta[1:] ** 2 * x.var(axis=0)).sum() / 2

    found = np.array([*model.intercept_, *model.coef_[0]])
    least = minimize(lambda change: objective(found + change * [1, 1, 0.01, 0]), np.zeros(4), tol=1e-10)
    assert objective(found) == pytest.approx(least.fun, abs=1e-7)
    assert found[3] == 0
    assert ((model.decision_function(x) > 0) == y).all()


@pytest.mark.parametrize(
    ("y", "penalty", "named"), [([0, 0, 0], 1.0, "both classes"), ([0, 1], 1.0, "x"), ([0, 1, 1], 0.0, "penalty")]
)
def test_ridge_names_what_it_cannot_take(y, penalty, named):
    with pytest.raises(ValueError, match=named):
        decision.ridge_logistic(np.arange(6.0).reshape(3, 2), y, penalty=penalty)


# -------------------------------------------------------------------------------------------------- calibration


def test_apparent_indices_equal_rms(asah, rms):
    _, x, y = asah
    apparent = decision.calibrate(x, y, n_resamples=5).indices["apparent"]
    # The Dxy that lrm prints (0.56504) comes from binned predictions; validate's is exact.
    assert apparent["dxy"] == pytest.approx(rms["validate_boot200_seed1_R_rng"][0][0], abs=1e-12)
    assert apparent["auc"] == pytest.approx((1 + apparent["dxy"]) / 2, abs=1e-14)
    assert apparent["r2"] == pytest.approx(rms["stats"]["R2"], abs=1e-10)
    assert apparent["brier"] == pytest.approx(rms["stats"]["Brier"], abs=1e-10)
    assert apparent["slope"] == pytest.approx(1, abs=1e-9)
    assert apparent["intercept"] == pytest.approx(0, abs=1e-9)


def test_optimism_agrees_with_rms_within_monte_carlo_error(asah, rms):
    """R drew its own 200 resamples, so its means carry the spread of one resample over √200; ours are of 1,500."""
    _, x, y = asah
    design = np.column_stack([np.ones(len(x)), x])
    counts = bootstrap_counts(len(y), 1500, np.random.default_rng(0))
    lps = decision._logistic(design, y, counts) @ design.T
    optimism = decision._indices(y, lps, counts) - decision._indices(y, lps, np.ones(counts.shape))
    error = optimism.std() * np.sqrt(1 / 200 + 1 / 1500)
    rows = {"dxy": 0, "r2": 1, "intercept": 2, "slope": 3, "brier": 8}
    for name, row in rows.items():
        theirs = rms["validate_boot200_seed1_R_rng"][row][3]
        assert optimism[name].mean() == pytest.approx(theirs, abs=3 * error[name]), name


def test_corrected_indices_and_curve_equal_a_plain_loop_of_refits(asah):
    import statsmodels.api as sm
    from sklearn.metrics import brier_score_loss, roc_auc_score

    _, x, y = asah
    x = sm.add_constant(x.astype(float))
    found = decision.calibrate(x.drop(columns="const"), y, n_resamples=12, seed=2)
    assert found.n_failed == 0
    at = found.curve["predicted"].to_numpy()
    optimism, curves = [], []
    for count in bootstrap_counts(len(y), 12, np.random.default_rng(2)).astype(int):
        rows = np.repeat(np.arange(len(y)), count)
        fit = sm.Logit(y[rows], x.iloc[rows]).fit(disp=0, tol=1e-12)
        values, smooth = [], []
        for part in (rows, np.arange(len(y))):
            risk = np.asarray(fit.predict(x.iloc[part]))
            line = sm.Logit(y[part], sm.add_constant(logit(risk))).fit(disp=0, tol=1e-12).params
            values.append([roc_auc_score(y[part], risk), *line, brier_score_loss(y[part], risk)])
            smooth.append(decision.smooth_calibration(y[part], risk, at))
        optimism.append(np.subtract(*values))
        curves.append(np.subtract(*smooth))
    ours = found.indices.loc[["auc", "intercept", "slope", "brier"], "optimism"]
    np.testing.assert_allclose(ours, np.mean(optimism, axis=0), atol=1e-8)
    np.testing.assert_allclose(
        found.curve["apparent"] - found.curve["corrected"], np.nanmean(curves, axis=0), atol=1e-8
    )
    indices = found.indices
    np.testing.assert_allclose(indices["corrected"], indices["apparent"] - indices["training"] + indices["test"])


def test_the_smooth_curve_gives_the_distances_of_val_prob(asah, rms, nomogram):
    risk = np.asarray(nomogram.risk(nomogram.points(asah[0])))
    error = np.abs(risk - decision.smooth_calibration(asah[2], risk, risk))
    expected = rms["val.prob"]
    found = [error.max(), np.quantile(error, 0.9), error.mean()]
    assert found == pytest.approx([expected["Emax"], expected["E90"], expected["Eavg"]], abs=1e-6)


def test_patients_are_resampled_whole(asah):
    _, x, y = asah
    twice, labels = pd.concat([x, x], ignore_index=True), np.tile(y, 2)
    rows = decision.calibrate(twice, labels, n_resamples=60, seed=1).indices.loc["slope", "optimism"]
    patients = decision.calibrate(twice, labels, n_resamples=60, seed=1, groups=np.tile(np.arange(len(y)), 2))
    once = decision.calibrate(x, y, n_resamples=60, seed=1).indices
    # Copies of a row carry no information: resampled as patients, they change nothing.
    np.testing.assert_allclose(patients.indices, once, atol=1e-8)
    assert rows < patients.indices.loc["slope", "optimism"]


def test_resamples_without_a_fit_are_counted_not_dropped_in_silence():
    rng = np.random.default_rng(0)
    y = np.array([1, 1, 1] + [0] * 17)  # some resamples hold no case, in others the cases stand apart
    found = decision.calibrate(rng.normal(size=(20, 1)), y, n_resamples=300, seed=0)
    assert 0 < found.n_failed < 300
    assert np.isfinite(found.indices.to_numpy()).all()


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("y_true", np.arange(12.0)[:, None], np.zeros(12)),
        ("separate", np.arange(12.0)[:, None], np.arange(12) > 5),
        ("'b'", pd.DataFrame({"a": np.arange(12.0), "b": 1.0}), np.arange(12) % 2),
        ("'a'", pd.DataFrame({"a": ["x"] * 12, "b": np.arange(12.0)}), np.arange(12) % 2),
        ("depend", np.column_stack([np.arange(12.0) % 5, np.arange(12.0) % 5 * 2]), np.arange(12) % 2),
        (r"\bx\b", np.arange(12.0), np.arange(12) % 2),
        (r"\bx\b", np.arange(11.0)[:, None], np.arange(12) % 2),
        ("predicted", np.arange(8.0)[:, None], np.arange(8) % 2),
    ],
)
def test_calibrate_refuses_and_says_why(name, x, y):
    with pytest.raises(ValueError, match=name):
        decision.calibrate(x, y, n_resamples=5)


# ------------------------------------------------------------------------------------------------------- LASSO


def test_scikit_learn_reproduces_glmnets_binomial_lasso(asah, reference):
    """glmnet: −loglik/n + λ‖b‖₁ on columns divided by their 1/n standard deviation, intercept free.

    scikit-learn: C = 1/(nλ) on the same columns, with saga, which leaves the intercept unpenalised.
    """
    from sklearn.linear_model import LogisticRegression

    expected = json.loads((reference / "nomogram" / "glmnet_lasso_aSAH.json").read_text())
    frame, _, y = asah
    x = frame[["age", "wfns", "s100b", "ndka"]].assign(male=(frame["gender"] == "Male") * 1.0)
    x = x[["age", "male", "wfns", "s100b", "ndka"]]
    mean, sd = x.mean(), x.std(ddof=0)
    z = ((x - mean) / sd).to_numpy()
    assert np.abs(z.T @ (y - y.mean())).max() / len(y) == pytest.approx(expected["lambda_max"], rel=1e-12)
    for penalty, theirs in expected["coefficients_original_scale_by_lambda"].items():
        model = LogisticRegression(
            C=1 / (len(y) * float(penalty)), l1_ratio=1.0, solver="saga", tol=1e-10, max_iter=200_000, random_state=0
        ).fit(z, y)
        slopes = model.coef_[0] / sd
        intercept = model.intercept_[0] - (slopes * mean).sum()
        ours = pd.Series({"(Intercept)": intercept} | slopes.to_dict())[list(theirs)]
        np.testing.assert_allclose(ours, list(theirs.values()), rtol=1e-6, atol=1e-8)
        assert [name for name in theirs if ours[name] == 0] == [name for name in theirs if theirs[name] == 0]
