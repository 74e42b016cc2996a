"""Van Dyke's five readers against OR-DBM MRMC's printed output; paper 02's own arithmetic; McNemar by hand."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, ttest_rel
from sklearn.metrics import roc_auc_score

from vcfkit import readers
from vcfkit.readers import accuracies, compare, mrmc_test, one_vs_rest, operating_points

CLASSES = ("acute", "chronic", "pathologic")


@pytest.fixture
def van_dyke(reference):
    return pd.read_csv(reference / "mrmc" / "VanDyke.csv").rename(columns={"treatment": "modality"})


@pytest.fixture
def expected(reference):
    return json.loads((reference / "mrmc" / "expected.json").read_text())


def study(seed=0, n_readers=3, n_modalities=2, n_cases=24):
    """Ratings on a coarse scale, so that there are ties."""
    rng = np.random.default_rng(seed)
    names = [range(n_readers), ["unaided", "aided", "model"][:n_modalities], range(n_cases)]
    frame = pd.MultiIndex.from_product(names, names=["reader", "modality", "case"]).to_frame(index=False)
    frame["truth"] = (frame["case"] % 2).astype(int)
    signal = rng.normal(size=n_cases)[frame["case"]] + rng.normal(size=len(frame)) + frame["truth"]
    return frame.assign(rating=np.round(signal + 0.5 * (frame["modality"] == "aided")).astype(int))


@pytest.fixture
def decisions():
    """Two readers, forty cases of three classes, decisions right about two times in three; better aided."""
    rng = np.random.default_rng(3)
    names = [["expert", "trainee"], ["unaided", "aided"], [f"case {i}" for i in range(40)]]
    frame = pd.MultiIndex.from_product(names, names=["reader", "modality", "case"]).to_frame(index=False)
    truth = dict(zip(names[2], rng.choice(CLASSES, 40, p=[0.5, 0.35, 0.15]), strict=True))
    frame["truth"] = frame["case"].map(truth)
    right = rng.random(len(frame)) < np.where(frame["modality"] == "aided", 0.8, 0.55)
    return frame.assign(rating=np.where(right, frame["truth"], rng.choice(CLASSES, len(frame))))


# --- multi-reader multi-case ------------------------------------------------------------------------------------------


def test_reader_aucs_equal_the_printed_ones_and_scikit_learn(van_dyke, expected):
    aucs = mrmc_test(van_dyke).reader_aucs
    assert aucs[1].tolist() == pytest.approx(expected["auc"]["treatment1"], abs=5e-9)
    assert aucs[2].tolist() == pytest.approx(expected["auc"]["treatment2"], abs=5e-9)
    for (reader, modality), part in van_dyke.groupby(["reader", "modality"]):
        assert aucs.loc[reader, modality] == pytest.approx(roc_auc_score(part["truth"], part["rating"]), abs=1e-14)


def test_random_readers_and_cases_equal_or_dbm_mrmc(van_dyke, expected):
    printed, result = expected["jackknife"], mrmc_test(van_dyke)
    assert round(result.f, 2) == printed["RRRC"]["F"]
    assert (result.df1, round(result.df2, 2)) == (1, printed["RRRC"]["ddf"])
    assert round(result.p_value, 4) == printed["RRRC"]["p"]
    difference = result.differences.iloc[0]
    assert round(difference["difference"], 8) == expected["difference_1_minus_2"]
    assert round(difference["se"], 5) == printed["RRRC"]["se_diff"]
    assert [round(difference["low"], 5), round(difference["high"], 5)] == printed["RRRC"]["ci95"]
    assert difference["p_value"] == pytest.approx(result.p_value, abs=1e-12)  # two modalities: F = t²
    assert result.modalities["estimate"].tolist() == pytest.approx(expected["treatment_means"], abs=5e-9)
    assert result.modalities["se"].tolist() == pytest.approx([0.03317360, 0.02156637], abs=5e-9)
    assert result.modalities["df"].tolist() == pytest.approx([12.74, 12.71], abs=5e-3)
    assert result.modalities["low"].tolist() == pytest.approx([0.82522360, 0.89413783], abs=5e-9)
    assert result.modalities["high"].tolist() == pytest.approx([0.96885048, 0.98753689], abs=5e-9)


def test_variance_components_equal_or_dbm_mrmc(van_dyke, expected):
    ours = mrmc_test(van_dyke).components
    printed = expected["jackknife"]
    names = {"ms_t": "MS_T", "ms_r": "MS_R", "ms_tr": "MS_TR", "var_r": "VarR", "var_tr": "VarTR"}
    names |= {"cov1": "Cov1", "cov2": "Cov2", "cov3": "Cov3", "var_error": "VarError"}
    for name, theirs in names.items():
        assert ours[name] == pytest.approx(printed[theirs], abs=5.1e-9)
    printed = expected["DBM_components_jackknife"]
    names = {"var_r": "VarR", "var_c": "VarC", "var_tr": "VarTR", "var_tc": "VarTC", "var_rc": "VarRC"}
    for name, theirs in (names | {"var_trc_error": "VarTRC_plus_error"}).items():
        assert ours[f"dbm_{name}"] == pytest.approx(printed[theirs], abs=5.1e-9)


def test_fixed_readers_equal_or_dbm_mrmc(van_dyke, expected):
    printed, result = expected["jackknife"]["FRRC"], mrmc_test(van_dyke, readers="fixed")
    assert (round(result.f, 5), result.df1, result.df2) == (printed["chi2"], printed["df"], np.inf)
    assert round(result.p_value, 4) == printed["p"]
    difference = result.differences.iloc[0]
    assert round(difference["se"], 5) == printed["se_diff"]
    assert [round(difference["low"], 5), round(difference["high"], 5)] == printed["ci95"]
    assert result.modalities["se"].tolist() == pytest.approx([0.02428971, 0.01677632], abs=5e-9)
    assert result.modalities["low"].tolist() == pytest.approx([0.84943008, 0.90795637], abs=5e-9)


def test_single_readers_equal_or_dbm_mrmc(van_dyke):
    table = mrmc_test(van_dyke).reader_differences
    assert table["difference"].round(5).tolist() == [-0.02818, -0.04654, -0.01787, -0.02625, -0.10016]
    assert table["se"].round(5).tolist() == [0.02551, 0.02630, 0.03121, 0.01729, 0.04406]
    assert table["p_value"].round(4).tolist() == [0.2693, 0.0768, 0.5668, 0.1290, 0.0230]
    assert table["low"].round(5).tolist() == [-0.07818, -0.09809, -0.07904, -0.06014, -0.18651]
    assert table["high"].round(5).tolist() == [0.02182, 0.00501, 0.04330, 0.00764, -0.01381]


def test_fixed_cases_equal_or_dbm_mrmc_and_the_paired_t_test(van_dyke, expected):
    printed, result = expected["jackknife"]["RRFC"], mrmc_test(van_dyke, cases="fixed")
    assert [round(result.f, 3), result.df1, result.df2] == [printed["F"], *printed["df"]]
    difference = result.differences.iloc[0]
    assert [round(difference["low"], 5), round(difference["high"], 5)] == printed["ci95"]
    paired = ttest_rel(result.reader_aucs[1], result.reader_aucs[2])
    assert (difference["t"], result.p_value) == pytest.approx((paired.statistic, paired.pvalue), abs=1e-12)
    assert result.modalities["se"].tolist() == pytest.approx([0.02482994, 0.01615303], abs=5e-9)


@pytest.mark.parametrize("method", ["DeLong", "unbiased"])
def test_other_covariances_equal_mrmcaov(van_dyke, expected, method):
    printed, result = expected[method], mrmc_test(van_dyke, covariance=method.lower())
    for name, theirs in {"var_error": "Error", "cov1": "Cov1", "cov2": "Cov2", "cov3": "Cov3"}.items():
        assert result.components[name] == pytest.approx(printed[theirs], rel=1e-6)
    assert result.f == pytest.approx(printed["RRRC"]["F"], rel=2e-7)
    assert result.df2 == pytest.approx(printed["RRRC"]["ddf"], rel=5e-7)
    assert result.p_value == pytest.approx(printed["RRRC"]["p"], rel=2e-6)
    if method == "DeLong":
        difference = result.differences.iloc[0]
        assert difference["se"] == pytest.approx(printed["RRRC"]["se_diff"], rel=5e-6)
        assert [difference["low"], difference["high"]] == pytest.approx(printed["RRRC"]["ci95"], rel=1e-6)


def test_sensitivity_equals_mrmcaov(van_dyke, expected):
    printed = expected["binary_sensitivity_rating_ge_3_jackknife"]
    result = mrmc_test(van_dyke, metric="sensitivity", threshold=3)
    assert result.reader_aucs[1].round(3).tolist() == printed["sens_t1"]
    assert result.reader_aucs[2].round(3).tolist() == printed["sens_t2"]
    assert round(result.differences["difference"].iloc[0], 8) == printed["diff"]
    assert (result.f, result.df2) == pytest.approx((printed["F"], printed["ddf"]), rel=5e-7)
    assert result.p_value == pytest.approx(printed["p"], rel=5e-7)


def test_specificity_is_the_sensitivity_of_the_other_class(van_dyke):
    turned = van_dyke.assign(truth=1 - van_dyke["truth"], rating=-van_dyke["rating"])
    one = mrmc_test(van_dyke, metric="specificity", threshold=3)
    other = mrmc_test(turned, metric="sensitivity", threshold=-2)
    assert (one.f, one.df2, one.p_value) == pytest.approx((other.f, other.df2, other.p_value))


def test_jackknife_equals_a_loop_that_leaves_out_each_case():
    frame = study(1, n_readers=2, n_cases=10)
    cases = frame["case"].unique()
    groups = ["reader", "modality"]

    def aucs(part):
        return np.array([roc_auc_score(g["truth"], g["rating"]) for _, g in part.groupby(groups)])

    left_out = np.array([aucs(frame[frame["case"] != case]) for case in cases])
    variances = np.diag(np.cov(left_out.T, ddof=0)) * (len(cases) - 1)
    assert mrmc_test(frame).components["var_error"] == pytest.approx(variances.mean(), rel=1e-12)


def test_two_copies_of_one_reader_as_fixed_readers_are_delongs_paired_test(van_dyke):
    one = van_dyke[van_dyke["reader"] == 5]
    result = mrmc_test(pd.concat([one, one.assign(reader=6)]), readers="fixed", covariance="delong")
    # DeLong 1988 written out for the two modalities of this reader.
    wide = one.pivot(index=["truth", "case"], columns="modality", values="rating")
    x, y = wide.loc[1].to_numpy(), wide.loc[0].to_numpy()
    psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    difference = psi[..., 0] - psi[..., 1]
    variance = difference.mean(axis=1).var(ddof=1) / len(x) + difference.mean(axis=0).var(ddof=1) / len(y)
    assert result.f == pytest.approx(difference.mean() ** 2 / variance, rel=1e-12)
    assert result.p_value == pytest.approx(chi2.sf(difference.mean() ** 2 / variance, 1), rel=1e-12)


def test_readers_who_all_gain_alike_leave_the_cases_as_the_only_chance(van_dyke):
    """MS(T·R) is then nothing but rounding, and df2 astronomically large: the χ² limit."""
    one = van_dyke[van_dyke["reader"] == 5]
    copies = [one.assign(reader=k, rating=one["rating"] + k / 10) for k in range(3)]
    result = mrmc_test(pd.concat(copies))
    fixed = mrmc_test(pd.concat(copies), readers="fixed")
    assert result.df2 > 1e8
    assert (result.f, result.p_value) == pytest.approx((fixed.f, fixed.p_value), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["jackknife", "delong", "unbiased"]), st.integers(2, 3))
def test_only_the_ranks_matter_not_names_or_order_of_rows(seed, covariance, n_modalities):
    frame = study(seed, n_modalities=n_modalities)
    once = mrmc_test(frame, covariance=covariance)
    other = frame.assign(
        rating=np.exp(frame["rating"] / 3.0),
        reader="reader " + frame["reader"].astype(str),
        case=1000 - frame["case"],
        truth=frame["truth"].astype(bool),
    )
    again = mrmc_test(other.sample(frac=1, random_state=1), covariance=covariance)
    assert (again.f, again.df2, again.p_value) == pytest.approx((once.f, once.df2, once.p_value), rel=1e-9)
    np.testing.assert_array_equal(again.reader_aucs, once.reader_aucs)
    assert 0 <= once.p_value <= 1
    assert once.df1 == n_modalities - 1
    assert len(once.differences) == n_modalities * (n_modalities - 1) / 2


def test_random_readers_and_cases_claim_less_than_either_alone():
    for seed in range(10):
        frame = study(seed)
        both = mrmc_test(frame).differences["se"].iloc[0]
        assert both >= mrmc_test(frame, cases="fixed").differences["se"].iloc[0] - 1e-12


def test_a_result_unpacks_to_its_five_fields_and_keeps_the_tables_beside_them():
    result = mrmc_test(study())
    f, df1, df2, p_value, reader_aucs = result
    assert (f, df1, df2, p_value) == (result.f, result.df1, result.df2, result.p_value)
    assert reader_aucs.shape == (3, 2)
    for other in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert type(other) is type(result)
        pd.testing.assert_frame_equal(other.differences, result.differences)
        assert (other.f, other.components) == (f, result.components)


def test_categories_keep_their_order(van_dyke):
    named = van_dyke.assign(
        modality=pd.Categorical(van_dyke["modality"].map({1: "spin echo", 2: "cine"}), ["spin echo", "cine"])
    )
    result = mrmc_test(named)
    assert list(result.reader_aucs.columns) == ["spin echo", "cine"]
    assert result.p_value == mrmc_test(van_dyke).p_value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop(columns="truth"), "columns truth missing"),
        (lambda d: d.to_numpy(), "a DataFrame with columns"),
        (lambda d: d.iloc[:0], "no rows"),
        (lambda d: d.drop(index=5), "1 of 144 are absent, first reader 0, modality unaided, case 5"),
        (lambda d: pd.concat([d, d.iloc[[3]]]), "1 readings given twice, first reader 0, modality unaided, case 3"),
        (lambda d: d[d["reader"] == 0], "at least two readers required, found 0; for one reader"),
        (lambda d: d[d["modality"] == "aided"], "at least two modalitys? required, found aided"),
        (lambda d: d.assign(truth=1), "one class only"),
        (lambda d: d.assign(truth="acute"), "truth of 0 and 1 required, found acute; see one_vs_rest"),
        (lambda d: d.assign(truth=[1 - d["truth"][0], *d["truth"][1:]]), "case 0 has 2 different truths"),
        (lambda d: d.assign(rating=[np.nan, *d["rating"][1:]]), r"missing values in rating \(1\)"),
        (lambda d: d.assign(rating=[np.inf, *d["rating"][1:]]), "rating of finite numbers"),
        (lambda d: d.assign(rating=d["rating"].astype(str)), "rating of finite numbers"),
        (lambda d: d.assign(rating=3), "do not vary over readers and cases"),
        (lambda d: d.assign(reader=d["reader"].replace({0: "zero"})), "reader named by text or by numbers"),
        (lambda d: d[(d["truth"] == 0) | (d["case"] == 1)], "at least two cases of each truth required, found 1 of 1"),
    ],
)
def test_bad_ratings_are_named(change, message):
    frame = study().astype({"reader": object})
    with pytest.raises(ValueError, match=f"^ratings: .*{message}"):
        mrmc_test(change(frame))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readers": "fixed", "cases": "fixed"}, "readers, cases: random or fixed"),
        ({"readers": "some"}, "readers, cases: random or fixed"),
        ({"covariance": "bootstrap"}, "covariance: jackknife, delong or unbiased"),
        ({"metric": "accuracy"}, "metric: auc, sensitivity or specificity"),
        ({"metric": "sensitivity"}, "threshold: a number"),
        ({"threshold": 0.5}, "threshold: .* None for auc"),
        ({"level": 95}, "level"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        mrmc_test(study(), **options)


def test_a_reader_without_sampling_error_has_no_z():
    frame = study()
    perfect = frame["reader"] == 0
    result = mrmc_test(frame.assign(rating=np.where(perfect, frame["truth"] * 9, frame["rating"])))
    assert result.reader_differences.loc[0, ["z", "p_value"]].isna().all()
    assert np.isfinite(result.p_value)


# --- decisions --------------------------------------------------------------------------------------------------------


def test_operating_points_by_hand():
    frame = pd.DataFrame(
        {
            "reader": "a",
            "modality": "unaided",
            "case": range(6),
            "truth": ["acute", "acute", "acute", "chronic", "chronic", "pathologic"],
            "rating": ["acute", "acute", "chronic", "chronic", "acute", "chronic"],
        }
    )
    points = operating_points(frame, classes=CLASSES).set_index("class")
    assert points["sensitivity"].tolist() == pytest.approx([2 / 3, 1 / 2, 0])
    assert points["specificity"].tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert points["n_positive"].tolist() == [3, 2, 1]
    assert points.loc["acute", "auc_one_point"] == pytest.approx(2 / 3)
    absent = operating_points(frame[frame["truth"] != "pathologic"], classes=CLASSES).set_index("class")
    assert np.isnan(absent.loc["pathologic", "sensitivity"])
    assert absent.loc["pathologic", "specificity"] == 1


def test_the_one_point_auc_is_the_trapezoid_of_the_decisions(decisions):
    points = operating_points(decisions, classes=CLASSES).set_index(["reader", "modality", "class"])
    for name in CLASSES:
        binary = one_vs_rest(decisions, name)
        for (reader, modality), part in binary.groupby(["reader", "modality"]):
            auc = roc_auc_score(part["truth"], part["rating"])
            assert points.loc[(reader, modality, name), "auc_one_point"] == pytest.approx(auc, abs=1e-14)
        assert mrmc_test(binary).reader_aucs.loc["expert", "aided"] == pytest.approx(
            points.loc[("expert", "aided", name), "auc_one_point"]
        )


def test_both_accuracies_by_counting(decisions):
    table = accuracies(decisions, classes=CLASSES).set_index(["reader", "modality"])
    for key, part in decisions.groupby(["reader", "modality"]):
        plain = (part["truth"] == part["rating"]).mean()
        mean = np.mean([((part["truth"] == name) == (part["rating"] == name)).mean() for name in CLASSES])
        assert table.loc[key, ["accuracy", "accuracy_one_vs_rest"]].tolist() == pytest.approx([plain, mean])


def test_paper_02_prints_the_one_vs_rest_accuracy_of_its_readers():
    """84, 98 and 101 of 150 right: printed as "sensitivity" 0.560, 0.653, 0.673 and "accuracy" 0.707, 0.769, 0.782."""
    truth = np.repeat(CLASSES, [80, 57, 13])
    wrong = np.where(truth == "acute", "chronic", "acute")
    parts = [
        pd.DataFrame({"reader": reader, "modality": "unaided", "case": range(150), "truth": truth}).assign(
            rating=np.where(np.arange(150) < right, truth, wrong)
        )
        for reader, right in {"trainee": 84, "competent": 98, "expert": 101}.items()
    ]
    table = accuracies(pd.concat(parts), classes=CLASSES).set_index("reader").loc[["trainee", "competent", "expert"]]
    assert table["accuracy"].round(3).tolist() == [0.560, 0.653, 0.673]
    assert table["accuracy_one_vs_rest"].round(3).tolist() == [0.707, 0.769, 0.782]


def test_comparison_equals_mcnemar_of_statsmodels_and_holm_by_hand(decisions):
    from statsmodels.stats.contingency_tables import mcnemar

    table = compare(decisions, classes=CLASSES)
    for (reader, quantity, name), row in table.set_index(["reader", "quantity", "class"]).iterrows():
        part = decisions[decisions["reader"] == reader]
        if quantity != "accuracy":
            part = part[(part["truth"] == name) == (quantity == "sensitivity")]
            right = (part["rating"] == name) == (quantity == "sensitivity")
        else:
            right = part["rating"] == part["truth"]
        wide = part.assign(right=right).pivot(index="case", columns="modality", values="right")
        counts = pd.crosstab(wide["unaided"], wide["aided"]).reindex([False, True]).T.reindex([False, True]).T.fillna(0)
        assert row["n"] == len(wide)
        assert [row["first"], row["second"]] == pytest.approx([wide["unaided"].mean(), wide["aided"].mean()])
        assert [row["lost"], row["gained"]] == [counts.loc[True, False], counts.loc[False, True]]
        assert row["p_value"] == pytest.approx(mcnemar(counts.to_numpy(), exact=True).pvalue, abs=1e-12)
    for _, group in table.groupby(["quantity", "class"]):
        low, high = group["p_value"].min(), group["p_value"].max()
        assert sorted(group["p_holm"]) == pytest.approx(sorted([min(1, 2 * low), max(high, min(1, 2 * low))]))


def test_comparison_is_antisymmetric_and_silent_where_nothing_changed(decisions):
    forth = compare(decisions, classes=CLASSES)
    back = compare(decisions, classes=CLASSES, first="aided", second="unaided")
    np.testing.assert_allclose(back["difference"], -forth["difference"], atol=1e-15)
    np.testing.assert_allclose(back["p_value"], forth["p_value"])
    same = decisions.assign(rating=decisions["truth"])
    assert (compare(same, classes=CLASSES)["p_holm"] == 1).all()


def test_categories_are_compared_by_name(decisions):
    coded = decisions.astype({"reader": "category", "modality": "category", "case": "category", "rating": "category"})
    coded["truth"] = pd.Categorical(decisions["truth"], [*CLASSES, "old"])
    for function in (operating_points, accuracies, compare):
        ours, plain = (function(d, classes=CLASSES).astype(object) for d in (coded, decisions))
        pd.testing.assert_frame_equal(ours, plain, check_dtype=False)


def test_a_class_without_cases_has_no_test(decisions):
    table = compare(decisions[decisions["truth"] != "pathologic"], classes=CLASSES)
    absent = table[(table["class"] == "pathologic") & (table["quantity"] == "sensitivity")]
    assert absent[["first", "second", "difference", "p_value", "p_holm"]].isna().all(axis=None)
    assert (absent["n"] == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d: compare(d, classes=CLASSES, first="before"),
            "first: one of unaided, aided required, found 'before'",
        ),
        (lambda d: compare(d, classes=CLASSES, first="aided"), "first, second: two modalities"),
        (lambda d: compare(d.iloc[1:], classes=CLASSES), "decisions: every reader must read every case"),
        (
            lambda d: accuracies(d, classes=CLASSES[:2]),
            "decisions: truth out of acute, chronic required, found pathologic",
        ),
        (lambda d: accuracies(d, classes="acute"), "classes: two or more"),
        (lambda d: operating_points(d, classes=("acute", "acute")), "classes: two or more"),
        (lambda d: operating_points(d.assign(rating=1), classes=CLASSES), "decisions: rating out of .* found 1"),
        (lambda d: one_vs_rest(d, "old"), "name: a class of the truth required"),
    ],
)
def test_bad_decisions_are_named(decisions, call, message):
    with pytest.raises(ValueError, match=message):
        call(decisions)


def test_the_module_names_its_columns():
    assert readers.COLUMNS == ("reader", "modality", "case", "truth", "rating")
