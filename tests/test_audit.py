"""The arithmetic of printed numbers, checked by brute force and on statements of the five papers.

Papers: 01 Zhang H 2024 (fresh fractures), 02 Xu 2023 (VCFNet), 03 Wang 2024 (vertebra diseases), 04 Zhang J 2024
(ASTLOF), 05 Zhang J 2023 (acute, chronic). Each test names the place.
"""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vcfkit import audit
from vcfkit.audit import Range, primitives, printed

# ---------------------------------------------------------------------------------------------- printed numbers


def test_text_carries_its_own_decimals_and_percent_sign():
    assert printed("0.90") == pytest.approx((0.90, 0.895, 0.905))
    assert printed("84.75%") == pytest.approx((0.8475, 0.84745, 0.84755))
    assert printed(0.9, 2) == pytest.approx((0.90, 0.895, 0.905))
    assert printed("−2.9") == pytest.approx((-2.9, -2.95, -2.85))
    assert printed(0.9) == (0.9, 0.9, 0.9)
    assert printed("0.90", truncation=True) == pytest.approx((0.90, 0.895, 0.91))
    assert printed("-2.9", truncation=True) == pytest.approx((-2.9, -3.0, -2.85))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("value", lambda: printed("n.s.")),
        ("value", lambda: printed(float("nan"))),
        ("value", lambda: printed(True)),
        ("value", lambda: printed(None)),
        ("percent", lambda: audit.percentage_is_possible(81.455, 221, 2)),
        ("decimals", lambda: audit.percentage_is_possible(81.45, 221)),
        ("decimals", lambda: audit.percentage_is_possible(81.45, 221, -1)),
        ("n", lambda: audit.percentage_is_possible("81.45", 0)),
        ("n", lambda: audit.percentage_is_possible("81.45", 22.5)),
        ("items", lambda: audit.grim("3.10", 10, items=0)),
        ("auc", lambda: audit.auc_variance(1.2, 10, 10)),
        ("n_positive", lambda: audit.auc_variance(0.9, 0, 10)),
        ("sensitivity", lambda: audit.f1_from(0.9, "95.2")),
        ("n_classes", lambda: audit.mean_one_vs_rest_accuracy(0.7, 1)),
        ("level", lambda: audit.auc_interval_width(0.9, 10, 10, level=95)),
        ("first", lambda: audit.p_from_intervals((0.9, 0.95, 0.84), (0.8, 0.7, 0.9))),
        ("ns", lambda: audit.pooled([1, 2], [1, 1], [10, 1])),
        ("sds", lambda: audit.pooled([1, 2], [1, -1], [10, 10])),
        ("means", lambda: audit.pooled([1], [1], [10])),
        ("table", lambda: audit.p_from_counts([[1.5, 2], [3, 4]])),
        ("table", lambda: audit.p_from_counts([[0, 0], [3, 4]])),
        ("table", lambda: audit.p_from_counts([1, 2, 3])),
    ],
)
def test_what_cannot_be_read_is_refused_by_argument(name, call):
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        call()


# ----------------------------------------------------------------------------------------- counts behind ratios


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 400), st.data(), st.integers(0, 3))
def test_every_count_is_found_behind_its_own_percentage(n, data, decimals):
    k = data.draw(st.integers(0, n))
    percent = round(100 * k / n, decimals)
    assert k in audit.percentage_is_possible(percent, n, decimals)
    assert k in audit.proportion_is_possible(round(k / n, decimals + 2), n, decimals + 2)
    assert k in audit.grim(round(k / n, decimals), n, decimals)
    cut = int(100 * k * 10**decimals // n) / 10**decimals
    assert k in audit.percentage_is_possible(cut, n, decimals, truncation=True)


@pytest.mark.parametrize("n", [7, 40, 56, 262])
def test_possible_percentages_equal_a_search_over_all_counts(n):
    for tenths in range(1001):
        found = audit.percentage_is_possible(f"{tenths / 10:.1f}", n)
        assert list(found) == [k for k in range(n + 1) if abs(2000 * k - 2 * tenths * n) <= n]


def test_a_half_may_be_rounded_either_way():
    assert audit.percentage_is_possible("12.5", 8) == (1,)
    assert audit.percentage_is_possible("12", 8) == (1,)  # to even
    assert audit.percentage_is_possible("13", 8) == (1,)  # up
    assert audit.percentage_is_possible("11", 8) == ()


def test_paper_01_prints_one_validation_accuracy_in_the_table_and_an_impossible_one_in_the_text():
    """Table 2: 96.95 and 98.85 %; text, Diagnostic performance: 96.62 and 98.35 %. n = 262, 174 without fracture."""
    assert audit.percentage_is_possible("96.95", 262) == (254,)
    assert audit.percentage_is_possible("98.85", 174) == (172,)
    assert audit.percentage_is_possible("96.62", 262, truncation=True) == ()
    assert audit.percentage_is_possible("98.35", 174, truncation=True) == ()


def test_paper_01_mean_age_of_56_patients_is_no_mean_of_whole_years():
    """Table 3, YHDH with old fractures: 66.74, n = 56; its neighbours pass."""
    assert audit.grim("66.74", 56) == ()
    assert audit.grim("53.43", 165) == (8816,)
    assert 10427 in audit.grim("62.44", 167)
    assert audit.grim("70.81", 47) == (3328,)


def test_paper_02_testing_accuracy_is_no_share_of_either_size_of_the_testing_set():
    """Results: 77.7 % in the testing set, 8:2 of 2,031 vertebrae, hence 406 or 407."""
    assert audit.percentage_is_possible("77.7", 406) == ()
    assert audit.percentage_is_possible("77.7", 407) == ()


def test_paper_03_sensitivities_are_no_shares_of_the_counts_of_table_2():
    """Tables 2 and 3, testing dataset: OF 0.808 of 893, SN 0.756 of 154, KD 0.913 of 204; PS 0.997 of 702 fits."""
    for value, n in (("0.808", 893), ("0.756", 154), ("0.913", 204)):
        assert audit.proportion_is_possible(value, n) == ()
    assert audit.proportion_is_possible("0.808", 893, truncation=True) == (722,)  # were the digits cut off
    assert audit.proportion_is_possible("0.756", 154, truncation=True) == ()
    assert audit.proportion_is_possible("0.913", 204, truncation=True) == ()
    assert audit.proportion_is_possible("0.997", 702) == (700,)


def test_paper_04_accuracies_of_75_vertebrae_are_impossible():
    """Table 3, prospective validation set, RadImageNet: 0.863, 0.875, 0.692 and 0.852 of n = 75."""
    for value in ("0.863", "0.875", "0.692", "0.852"):
        assert audit.proportion_is_possible(value, 75) == ()


# ------------------------------------------------------------------------------------------- confusion matrices


def _figures(tp, fn, fp, tn):
    pairs = {name: figure(tp, fn, fp, tn) for name, figure in primitives._FIGURES.items()}
    return {name: f"{100 * a / b:.2f}%" if name != "f1" else f"{a / b:.2f}" for name, (a, b) in pairs.items() if b}


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.data())
def test_a_matrix_is_found_behind_its_own_figures_with_and_without_the_class_counts(tp, fn, fp, tn, data):
    if tp + fn + fp + tn == 0:
        return
    figures = _figures(tp, fn, fp, tn)
    chosen = data.draw(st.lists(st.sampled_from(sorted(figures)), min_size=1, unique=True))
    part = {name: figures[name] for name in chosen}
    known = audit.confusion_matrices(tp + fn, fp + tn, part)
    assert (known == [tp, fn, fp, tn]).all(axis=1).any()
    unknown = audit.confusion_matrices(None, None, part, n=tp + fn + fp + tn)
    assert (unknown == [tp, fn, fp, tn]).all(axis=1).any()
    assert audit.conflicts(tp + fn, fp + tn, part) == []


def test_matrices_equal_a_search_over_all_of_them():
    wanted = {"accuracy": "0.8", "ppv": "0.7", "f1": "0.75"}
    expected = []
    for tp, fp in product(range(13), range(16)):
        fn, tn = 12 - tp, 15 - fp
        numbers = {"accuracy": (tp + tn, 27), "ppv": (tp, tp + fp), "f1": (2 * tp, 2 * tp + fp + fn)}
        if all(b and printed(wanted[name]).meets(Range(*[a / b] * 3)) for name, (a, b) in numbers.items()):
            expected.append([tp, fn, fp, tn])
    assert sorted(audit.confusion_matrices(12, 15, wanted).to_numpy().tolist()) == sorted(expected)
    assert expected


def test_numbers_need_their_decimals_and_may_have_each_its_own():
    text = audit.confusion_matrices(43, 122, {"sensitivity": "79.07%", "f1": "0.69"})
    number = audit.confusion_matrices(43, 122, {"sensitivity": 0.7907, "f1": 0.69}, {"sensitivity": 4, "f1": 2})
    assert text.equals(number)
    assert len(text)


@pytest.mark.parametrize(
    ("message", "arguments", "options"),
    [
        ("unknown figure kappa", (10, 10, {"kappa": "0.7"}), {}),
        ("at least one figure", (10, 10, {}), {}),
        ("decimals", (10, 10, {"accuracy": 0.7}), {}),
        ("n_positive", (-1, 10, {"accuracy": "0.7"}), {}),
        ("n: the total", (10, None, {"accuracy": "0.7"}), {}),
        ("n: 10", (10, 10, {"accuracy": "0.7"}), {"n": 21}),
        ("n: at least", (10, None, {"accuracy": "0.7"}), {"n": 9}),
        ("too many", (None, None, {"accuracy": "0.7"}), {"n": 20_000}),
        ("too many", (6_000, 6_000, {"accuracy": "0.7"}), {}),
    ],
)
def test_confusion_matrices_refuses_and_names_the_argument(message, arguments, options):
    with pytest.raises(ValueError, match=message):
        audit.confusion_matrices(*arguments, **options)


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "figures", "matrix"),
    [
        # Table 2, YHDH, then Table 4: YHDH and BMUH, without and with old fractures
        (59, 162, ("81.45%", "84.75%", "80.25%", None), [50, 9, 32, 130]),
        (43, 122, ("81.82%", "79.07%", "82.79%", "0.69"), [34, 9, 21, 101]),
        (16, 40, ("80.36%", "100%", "72.5%", "0.74"), [16, 0, 11, 29]),
        (44, 123, ("73.05%", "97.73%", "64.23%", "0.66"), [43, 1, 44, 79]),
        (26, 21, ("72.34%", "80.77%", "61.9%", "0.76"), [21, 5, 8, 13]),
    ],
)
def test_paper_01_figures_of_each_cohort_come_from_one_matrix(n_positive, n_negative, figures, matrix):
    names = ("accuracy", "sensitivity", "specificity", "f1")
    wanted = {name: value for name, value in zip(names, figures, strict=True) if value}
    assert audit.confusion_matrices(n_positive, n_negative, wanted).to_numpy().tolist() == [matrix]


def test_paper_01_total_alone_gives_back_the_class_counts():
    wanted = {"accuracy": "81.45%", "sensitivity": "84.75%", "specificity": "80.25%"}
    assert audit.confusion_matrices(None, None, wanted, n=221).to_numpy().tolist() == [[50, 9, 32, 130]]


def test_paper_05_one_row_of_table_2_holds_and_three_contradict_themselves():
    """Table 2, test cohort (63 acute, 41 chronic): ACC, SEN, SPE, F1 of each model."""
    names = ("accuracy", "sensitivity", "specificity", "f1")

    def row(*figures):
        return 63, 41, dict(zip(names, figures, strict=True))

    dlr = audit.confusion_matrices(*row("81.7%", "88.9%", "70.7%", "0.855"))
    assert dlr.to_numpy().tolist() == [[56, 7, 12, 29]]
    radiomics = row("84.6%", "77.8%", "75.1%", "0.802")
    assert ("specificity",) in audit.conflicts(*radiomics, truncation=True)
    assert not printed("84.6%").meets(audit.accuracy_between("77.8%", "75.1%"))
    fusion = row("88.5%", "93.6%", "82.9%", "0.914")
    assert ("accuracy", "sensitivity", "specificity") in audit.conflicts(*fusion, truncation=True)
    nomogram = row("90.1%", "92.6%", "85.2%", "0.925")
    for name in names[:3]:
        assert (name,) in audit.conflicts(*nomogram, truncation=True)


# ---------------------------------------------------------------------------------------------------- identities

PROPORTION = st.integers(1, 999).map(lambda k: k / 1000)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_identities_hold_for_every_matrix_through_its_rounded_figures(tp, fn, fp, tn):
    n = tp + fn + fp + tn
    sensitivity, specificity = f"{tp / (tp + fn):.3f}", f"{tn / (tn + fp):.3f}"
    exact = [Range(*[x] * 3) for x in (tp / (tp + fp), tn / (tn + fn), 2 * tp / (2 * tp + fp + fn), (tp + tn) / n)]
    ppv, npv = audit.ppv_npv_from(sensitivity, specificity, (tp + fn) / n)
    assert exact[0].meets(ppv)
    assert exact[1].meets(npv)
    assert exact[2].meets(audit.f1_from(f"{tp / (tp + fp):.3f}", sensitivity))
    assert exact[3].meets(audit.accuracy_between(sensitivity, specificity))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.integers(0, 2**31))
def test_mean_one_vs_rest_accuracy_is_that_of_any_confusion_table(n_classes, seed):
    table = np.random.default_rng(seed).integers(0, 9, (n_classes, n_classes)) + np.eye(n_classes, dtype=int)
    n, right = table.sum(), np.trace(table)
    each = [(n - table[k].sum() - table[:, k].sum() + 2 * table[k, k]) / n for k in range(n_classes)]
    assert audit.mean_one_vs_rest_accuracy(right / n, n_classes).value == pytest.approx(np.mean(each))


@pytest.mark.parametrize(
    ("stated", "right", "sensitivity"),
    [
        # trainee, competent, expert; then trainee with the model
        ("0.707", 84, "0.560"),
        ("0.769", 98, "0.653"),
        ("0.782", 101, "0.673"),
        ("0.778", 100, "0.667"),
    ],
)
def test_paper_02_accuracies_of_readers_are_means_of_three_one_vs_rest_accuracies(stated, right, sensitivity):
    """Human and deep learning collaboration, 150 vertebrae: what is called sensitivity is the share of right ones."""
    assert right in audit.proportion_is_possible(sensitivity, 150)
    assert printed(stated).meets(audit.mean_one_vs_rest_accuracy(right / 150))


def test_paper_02_testing_accuracies_agree_only_nearly():
    """0.777 right gives a mean of 0.851–0.852, not the printed 0.850; 55 of 74 give the prospective 0.829."""
    assert audit.mean_one_vs_rest_accuracy("0.777") == pytest.approx((0.85133, 0.8510, 0.85167), abs=1e-5)
    assert not printed("0.850").meets(audit.mean_one_vs_rest_accuracy("0.777"))
    assert printed("0.829").meets(audit.mean_one_vs_rest_accuracy(55 / 74))


def test_paper_02_two_aided_readers_do_not_fit_their_sensitivities():
    """Competent and expert with the model: 0.816 beside 0.727 (109 of 150), 0.853 beside 0.776 (no share of 150)."""
    assert audit.proportion_is_possible("0.727", 150) == (109,)
    assert not printed("0.816").meets(audit.mean_one_vs_rest_accuracy(109 / 150))
    assert audit.proportion_is_possible("0.776", 150) == ()


def test_paper_03_predictive_values_and_f1_follow_from_the_rest():
    """Table 3, testing dataset, OVCF and SN, with the shares of Table 2 (of 19,611 patches)."""
    for sensitivity, specificity, ppv, f1, n in (
        ("0.958", "0.986", "0.910", "0.934", 2536),
        ("0.756", "0.995", "0.532", "0.624", 154),
    ):
        assert printed(ppv).meets(audit.ppv_npv_from(sensitivity, specificity, n / 19_611)[0])
        assert printed(f1).meets(audit.f1_from(ppv, sensitivity))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(2, 12), min_size=2, max_size=4), st.integers(0, 2**31))
def test_pooled_equals_the_union_and_its_range_holds_it(sizes, seed):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(rng.normal(0, 2), rng.uniform(0.5, 3), n) for n in sizes]
    union = np.concatenate(groups)
    means, sds = [g.mean() for g in groups], [g.std(ddof=1) for g in groups]
    exact = audit.pooled(means, sds, sizes)
    assert exact.n == len(union)
    assert exact.mean == pytest.approx([union.mean()] * 3)
    assert exact.sd == pytest.approx([union.std(ddof=1)] * 3)
    rounded = audit.pooled([f"{m:.1f}" for m in means], [f"{s:.1f}" for s in sds], sizes)
    assert rounded.mean.low - 1e-12 <= union.mean() <= rounded.mean.high + 1e-12
    assert rounded.sd.low - 1e-9 <= union.std(ddof=1) <= rounded.sd.high + 1e-12


def test_the_range_of_a_pooled_sd_is_attained():
    found = audit.pooled(["2", "5", "5"], ["1", "1", "2"], [10, 20, 5]).sd
    m, s = ([np.linspace(x - 0.5, x + 0.5, 7) for x in values] for values in ((2, 5, 5), (1, 1, 2)))
    grid = [
        audit.pooled(means, sds, [10, 20, 5]).sd.value
        for means in product(*m)
        for sds in ([x[0] for x in s], [x[-1] for x in s])
    ]
    assert found.high == pytest.approx(max(grid), abs=1e-9)
    assert found.low <= min(grid) + 1e-9
    assert found.low == pytest.approx(min(grid), abs=2e-3)  # the grid misses the closest means by half a step


def test_paper_01_subgroups_do_not_pool_to_the_printed_deviations():
    """Tables 1 and 3: YHDH 56.8 ± 16.26 and BMUH 64.28 ± 13.12 against their subgroups; the means do agree."""
    yhdh = audit.pooled(["53.43", "66.74"], ["16.25", "11.35"], [165, 56])
    bmuh = audit.pooled(["62.44", "70.81"], ["12.72", "12.26"], [167, 47])
    assert yhdh.sd.value == pytest.approx(16.21, abs=0.005)
    assert bmuh.sd.value == pytest.approx(13.06, abs=0.005)
    assert printed("56.80").meets(yhdh.mean)
    assert printed("64.28").meets(bmuh.mean)
    assert not printed("16.26").meets(yhdh.sd)
    assert not printed("13.12").meets(bmuh.sd)


def test_paper_01_cohorts_pool_to_the_printed_mean_and_deviation():
    """Table 1 against Results: 62.08 ± 13.92 of 1,747."""
    everyone = audit.pooled(
        ["62.78", "61.97", "56.8", "64.28"], ["13.50", "13.05", "16.26", "13.12"], [1050, 262, 221, 214]
    )
    assert everyone.n == 1747
    assert printed("62.08").meets(everyone.mean)
    assert printed("13.92").meets(everyone.sd)


def test_paper_05_ages_of_the_two_groups_pool_to_neither_printed_mean():
    """Results and Table 1: 59.3 ± 18.1 and 71.1 ± 11.9 against 61.7 ± 17.0, by patients (253, 112) or fractures."""
    for sizes in ([253, 112], [315, 205]):
        assert not printed("61.7").meets(audit.pooled(["59.3", "71.1"], ["18.1", "11.9"], sizes).mean)


# ------------------------------------------------------------------------------------------------- tests (p values)


def test_p_values_of_means_equal_scipy_and_statsmodels():
    from statsmodels.stats.oneway import anova_generic

    found = audit.p_from_means([59.3, 71.1], [18.1, 11.9], [253, 112]).set_index("test")["p"]
    for name, equal in (("Student's t", True), ("Welch's t", False)):
        theirs = stats.ttest_ind_from_stats(59.3, 18.1, 253, 71.1, 11.9, 112, equal_var=equal).pvalue
        assert found[name] == pytest.approx(theirs, rel=1e-9)
    means, sds, ns = [73.0, 72.0, 76.0], [8.0, 8.5, 9.0], [819, 232, 46]
    found = audit.p_from_means(means, sds, ns).set_index("test")["p"]
    for name, kind in (("analysis of variance", "equal"), ("Welch's analysis of variance", "unequal")):
        theirs = anova_generic(np.array(means), np.array(sds) ** 2, np.array(ns), use_var=kind).pvalue
        assert found[name] == pytest.approx(theirs, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 3), st.integers(0, 2**31))
def test_p_of_any_unrounded_means_lies_in_the_range_of_the_rounded_ones(k, seed):
    rng = np.random.default_rng(seed)
    means, sds, ns = rng.normal(5, 1, k), rng.uniform(0.5, 3, k), rng.integers(5, 60, k).tolist()
    exact = audit.p_from_means(means.tolist(), sds.tolist(), ns)
    rounded = audit.p_from_means([f"{m:.1f}" for m in means], [f"{s:.1f}" for s in sds], ns)
    assert (rounded["p_low"] <= exact["p"] * (1 + 1e-9)).all()
    assert (exact["p"] <= rounded["p_high"] * (1 + 1e-6)).all()


def test_paper_01_p_values_of_counts_are_uncorrected_chi_squared():
    """Table 3: sex 0.677 (YHDH) and 0.331 (BMUH), fresh fractures 0.714 and < 0.001."""
    plain = ["chi-squared"]
    for p, table, tests in (
        ("0.677", [[76, 24], [89, 32]], [*plain, "likelihood-ratio chi-squared"]),
        ("0.331", [[65, 22], [102, 25]], plain),
        ("0.714", [[43, 16], [122, 40]], plain),
    ):
        assert audit.match_p(p, audit.p_from_counts(table)) == tests
    assert len(audit.match_p("<0.001", audit.p_from_counts([[44, 26], [123, 21]]))) == 4


def test_paper_03_p_of_sex_is_pearsons():
    """Table 1: χ² = 0.732, P = 0.693."""
    candidates = audit.p_from_counts([[192, 52, 13], [627, 180, 33]])
    assert audit.match_p("0.693", candidates) == ["chi-squared"]
    assert candidates["test"].tolist() == ["chi-squared", "likelihood-ratio chi-squared"]


def test_paper_05_p_values_of_table_1_match_no_test():
    """Age 0.225, females to males 0.812, thoracic to lumbar 0.956."""
    age = audit.p_from_means(["59.3", "71.1"], ["18.1", "11.9"], [253, 112])
    assert audit.match_p("0.225", age) == []
    assert (age["p_high"] < 1e-8).all()
    assert audit.match_p("0.812", audit.p_from_counts([[164, 89], [78, 34]])) == []
    assert audit.match_p("0.956", audit.p_from_counts([[111, 204], [88, 117]])) == []


def test_altman_and_blands_worked_example():
    """BMJ 2003;326:219: log relative risks 0.67 (0.46–0.98) and 0.88 (0.71–1.08) differ with z = −1.24, P = 0.2."""
    rows = [tuple(np.log(values)) for values in ((0.67, 0.46, 0.98), (0.88, 0.71, 1.08))]
    found = audit.p_from_intervals(*rows).set_index("test")["p"]
    assert found["independent"] == pytest.approx(2 * stats.norm.sf(1.24), abs=0.002)
    assert round(found["independent"], 1) == 0.2
    assert "independent, logit scale" not in found.index


def test_paper_01_subgroup_p_values_do_not_follow_from_their_intervals():
    """Table 4: 0.90 (0.84–0.95) and 0.84 (0.72–0.93), p = 0.067; 0.89 (0.84–0.94) and 0.85 (0.72–0.95), p = 0.051."""
    yhdh = audit.p_from_intervals(("0.90", "0.84", "0.95"), ("0.84", "0.72", "0.93"))
    bmuh = audit.p_from_intervals(("0.89", "0.84", "0.94"), ("0.85", "0.72", "0.95"))
    for p, candidates, about in (("0.067", yhdh, 0.32), ("0.051", bmuh, 0.53)):
        independent = candidates[candidates["test"].str.startswith("independent")]  # two groups of patients
        assert independent["p"].iloc[0] == pytest.approx(about, abs=0.005)
        assert audit.match_p(p, independent) == []


def test_paper_05_delong_p_is_out_of_reach_of_any_correlation():
    """Test cohort: fusion 0.915 (0.855–0.974), nomogram 0.946 (0.906–0.987), DeLong P = 0.668."""
    candidates = audit.p_from_intervals(("0.915", "0.855", "0.974"), ("0.946", "0.906", "0.987"))
    assert audit.match_p("0.668", candidates) == []
    assert candidates.set_index("test").loc["paired, r from −1 to 1", "p_high"] < 0.57


@settings(deadline=None, max_examples=60)
@given(st.floats(0.55, 0.9), st.floats(0.55, 0.9), st.floats(0.01, 0.1), st.floats(0.01, 0.1), st.floats(-1, 1))
def test_a_paired_p_lies_within_the_bounds_for_its_correlation(a, b, se_a, se_b, r):
    z = stats.norm.ppf(0.975)
    rows = [(x, x - z * se, x + z * se) for x, se in ((a, se_a), (b, se_b))]
    candidates = audit.p_from_intervals(*rows).set_index("test")
    variance = se_a**2 + se_b**2 - 2 * r * se_a * se_b
    if variance < 1e-9 or abs(a - b) < 1e-9:
        return
    p = 2 * stats.norm.sf(abs(a - b) / np.sqrt(variance))
    name = "paired, r from 0 to 1" if r >= 0 else "paired, r from −1 to 1"
    assert candidates.loc[name, "p_low"] - 1e-9 <= p <= candidates.loc[name, "p_high"] + 1e-9


# ---------------------------------------------------------------------------------------- width of an AUC's interval


def _placements(positive_ranks, n1, n0):
    """AUC and variances (n in the denominator) of V₁ and V₀ when positives hold these places of n1 + n0, no ties."""
    positive = np.zeros(n1 + n0, dtype=bool)
    positive[list(positive_ranks)] = True
    below = np.cumsum(~positive)[positive] / n0
    above = (n1 - np.cumsum(positive))[~positive] / n1
    return below.mean(), below.var(), above.var()


@pytest.mark.parametrize(("n1", "n0"), [(5, 5), (3, 7), (7, 3), (1, 6), (6, 1)])
def test_no_order_of_untied_scores_leaves_the_bounds(n1, n0):
    for order in combinations(range(n1 + n0), n1):
        auc, v1, v0 = _placements(order, n1, n0)
        bounds = audit.auc_variance(auc, n1, n0)
        exact = (auc * (1 - auc) + (n1 - 1) * v0 + (n0 - 1) * v1) / (n1 * n0)  # of resampling this very sample
        assert bounds.lowest - 1e-12 <= v1 / n1 + v0 / n0 <= exact + 1e-12
        assert exact <= bounds.highest + 1e-12
        if min(n1, n0) > 1:
            delong = v1 / (n1 - 1) + v0 / (n0 - 1)
            assert bounds.lowest - 1e-12 <= delong <= bounds.highest * min(n1, n0) / (min(n1, n0) - 1) + 1e-12


@pytest.mark.parametrize(
    ("n1", "n0", "auc"), [(50, 50, 0.9), (20, 90, 0.8), (90, 20, 0.97), (30, 30, 0.5), (40, 60, 0.2)]
)
def test_the_lowest_variance_is_attained_by_its_own_ordering(n1, n0, auc):
    """Y spread as the survival function says, on a fine grid of negatives: the variance falls onto the bound."""
    r, x = n0 / n1, (np.arange(40_000) + 0.5) / 40_000
    low, high = 0.0, 1.0 + r
    for _ in range(60):
        c = (low + high) / 2
        low, high = (c, high) if np.clip(c - r * x, 0, 1).mean() < auc else (low, c)
    s = np.clip(c - r * x, 0, 1)
    attained = (2 * (x * s).mean() - s.mean() ** 2) / n1 + s.var() / n0
    assert audit.auc_variance(auc, n1, n0).lowest == pytest.approx(attained, rel=1e-5)


def test_no_tied_order_falls_below_the_tied_bound():
    def levels(n1, n0):
        if n1 == n0 == 0:
            yield ()
        for q, p in product(range(n1 + 1), range(n0 + 1)):
            if p + q:
                for rest in levels(n1 - q, n0 - p):
                    yield ((p, q), *rest)

    for n1, n0 in ((4, 4), (5, 3), (2, 6)):
        gaps = []
        for order in levels(n1, n0):
            p, q = np.array(order).T
            below, above = (np.cumsum(p) - p / 2) / n0, (n1 - np.cumsum(q) + q / 2) / n1
            auc = (q * below).sum() / n1
            variance = ((q * below**2).sum() / n1 - auc**2) / n1 + ((p * above**2).sum() / n0 - auc**2) / n0
            gaps.append(variance - audit.auc_variance(auc, n1, n0).lowest_tied)
        assert min(gaps) == pytest.approx(0, abs=1e-12)


def test_hanley_and_mcneils_variance_is_that_of_exponential_scores():
    """Negatives Exp(1), positives Exp(rate): the AUC is 1/(1 + rate), and the formula is exact for that pair."""
    rng, n1, n0, rate = np.random.default_rng(0), 12, 20, 0.25
    negatives, positives = rng.exponential(1, (20_000, n0)), rng.exponential(1 / rate, (20_000, n1))
    aucs = (positives[:, :, None] > negatives[:, None, :]).mean(axis=(1, 2))
    assert aucs.mean() == pytest.approx(0.8, abs=0.005)
    assert aucs.var() == pytest.approx(audit.auc_variance(0.8, n1, n0).hanley_mcneil, rel=0.03)


@settings(deadline=None, max_examples=100)
@given(PROPORTION, st.integers(1, 300), st.integers(1, 300))
def test_bounds_are_ordered_and_symmetric(auc, n1, n0):
    bounds, turned = audit.auc_variance(auc, n1, n0), audit.auc_variance(1 - auc, n1, n0)
    assert 0 <= bounds.lowest_tied <= bounds.lowest + 1e-15
    assert bounds.lowest <= bounds.highest + 1e-15
    assert (bounds.lowest_tied, bounds.lowest, bounds.highest) == pytest.approx(
        (turned.lowest_tied, turned.lowest, turned.highest), rel=1e-6, abs=1e-12
    )
    swapped = audit.auc_variance(auc, n0, n1)
    assert swapped.lowest == pytest.approx(bounds.lowest, rel=1e-6, abs=1e-12)


def test_paper_02_intervals_are_narrower_than_any_scores_allow():
    """Results, testing dataset (8:2 of 1,003, 861, 167): 0.874 (0.873–0.875), acute; 0.899 (0.898–0.900), chronic."""
    for interval, n in ((("0.874", "0.873", "0.875"), 201), (("0.899", "0.898", "0.900"), 172)):
        found = audit.check_auc_interval(interval, n, 406 - n, ties=True)
        assert found.verdict == "too narrow"
        assert 500 < 1 / found.ratio**2 < 2000  # about the interval of the mean of a thousand resamples


def test_paper_02_an_estimate_stands_outside_its_own_interval():
    """GZFPH, pathological: 0.769 (0.771, 0.780). Counts of that site are not in the text; any will do."""
    assert audit.check_auc_interval(("0.769", "0.771", "0.780"), 20, 150).verdict == "estimate outside"


def test_paper_01_and_05_intervals_are_possible():
    """01, Table 4, YHDH; 05, Table 2, test cohort, nomogram."""
    assert audit.check_auc_interval(("0.90", "0.84", "0.95"), 43, 122).verdict == "possible"
    assert audit.check_auc_interval(("0.84", "0.72", "0.93"), 16, 40).verdict == "possible"
    found = audit.check_auc_interval(("0.946", "0.906", "0.987"), 63, 41)
    assert found.verdict == "possible"
    assert found.ratio == pytest.approx(0.97, abs=0.01)


def test_an_interval_can_also_be_too_wide():
    assert audit.check_auc_interval(("0.95", "0.70", "0.99"), 200, 200).verdict == "too wide"


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 60), st.integers(3, 60), st.floats(0, 3), st.integers(0, 2**31))
def test_a_delong_interval_is_never_called_impossible(n1, n0, shift, seed):
    rng = np.random.default_rng(seed)
    y, score = np.repeat([1, 0], [n1, n0]), np.concatenate([rng.normal(shift, 1, n1), rng.normal(0, 1.5, n0)])
    order = np.argsort(score, kind="stable")
    auc, v1, v0 = _placements(np.flatnonzero(y[order] == 1), n1, n0)
    half = stats.norm.ppf(0.975) * np.sqrt(v1 / (n1 - 1) + v0 / (n0 - 1))
    if half < 0.001:
        return
    row = tuple(f"{value:.3f}" for value in (auc, auc - half, auc + half))
    widest = audit.auc_interval_width(row[0], n1, n0).highest * np.sqrt(min(n1, n0) / (min(n1, n0) - 1))
    found = audit.check_auc_interval(row, n1, n0)
    assert found.verdict == "possible" or (found.verdict == "too wide" and found.width.low <= widest)
