"""What the audit finds in papers 04 (Zhang J 2024, ASTLOF) and 05 (Zhang J 2023, acute or chronic).

The arithmetic of the failures that matter is typed out here, apart from the module that finds them.
"""

from math import sqrt

import pytest
from scipy import stats

from vcfkit import audit, params

ASTLOF, ACUTE = "04_xray_ovf_astlof", "05_ct_acute_chronic"
FAILED = ("inconsistent", "impossible")


@pytest.fixture(scope="module")
def found():
    return {stem: audit.findings(stem).set_index("id") for stem in (ASTLOF, ACUTE)}


@pytest.mark.parametrize("stem", [ASTLOF, ACUTE])
def test_every_check_is_named_once_cites_printed_items_and_says_how(stem, found):
    checks, printed = found[stem], set(params.published(stem)["id"])
    assert checks.index.is_unique
    assert set(checks["verdict"]) <= set(audit.VERDICTS)
    for row in checks.itertuples():
        assert row.items
        assert set(row.items.split()) <= printed
        assert row.where
        assert row.stated
        assert row.recomputed
        assert row.method
    assert len(checks) >= 200
    assert (checks["verdict"] == "consistent").mean() > 0.5


def verdict(found, stem, id):
    return found[stem].loc[id, "verdict"]


def shown(found, stem, id):
    return found[stem].loc[id, "recomputed"]


# -------------------------------------------------------------------------------------------------------- paper 04


def test_astlof_one_patient_is_missing_from_the_flow_chart(found):
    assert 652 + 125 + 96 + 68 == 1260 + 257 + 158 - 483 - 161 - 90 == 941
    assert 942 + 86 + 2 * 24 == 1076
    for id in ("sum.patients.figure_1", "sum.patients.centers", "sum.extra_vertebrae"):
        assert verdict(found, ASTLOF, id) == "inconsistent"
    assert verdict(found, ASTLOF, "sum.vertebrae.several") == "consistent"
    assert verdict(found, ASTLOF, "sum.figure_1.excluded.center-i") == "consistent"


def test_astlof_surgery_of_the_text_is_not_that_of_table_2(found):
    assert (98 + 35, 73 + 15, 232 + 70) == (133, 88, 302)
    assert round(100 * 133 / 490, 1) == 27.1
    assert round(100 * 88 / 125, 1) == 70.4
    for cls, failing in (("class-0", True), ("class-1", False), ("class-2", True)):
        assert (verdict(found, ASTLOF, f"sum.results.surgery.{cls}") == "inconsistent") is failing
        assert (verdict(found, ASTLOF, f"share.results.surgery.{cls}") == "inconsistent") is failing


def test_astlof_percentages_are_judged_with_the_most_lenient_rounding(found):
    assert round(100 * 9 / 111, 1) == 8.1  # 8.108; printed 8.2
    assert verdict(found, ASTLOF, "share.table_1.class-2.external") == "inconsistent"
    assert 28.75 < 100 * 159 / 553 < 28.76  # printed 28.7, cut off
    assert verdict(found, ASTLOF, "share.table_2.conservative.class-1") == "rounding"
    shares = found[ASTLOF][found[ASTLOF].index.str.startswith(("share.table_1", "share.table_2"))]["verdict"]
    assert shares.value_counts().to_dict() == {"consistent": 55, "rounding": 1, "inconsistent": 1}


def test_astlof_mean_age_of_the_text_is_not_that_of_table_1(found):
    mean = (712 * 70.38 + 178 * 68.01 + 111 * 65.54 + 75 * 65.83) / 1076
    assert round(mean, 2) == 69.17
    assert shown(found, ASTLOF, "pooled.age.mean").startswith("69.17")
    assert verdict(found, ASTLOF, "pooled.age.mean") == "inconsistent"
    # Read as vertebrae and patients nothing is wrong: 134 further vertebrae of mean age 68.
    assert verdict(found, ASTLOF, "bound.age.further") == "consistent"


def test_astlof_the_division_of_patients_is_neither_8_to_2_nor_likely_random(found):
    assert round(652 / 777, 3) == 0.839
    assert 712 / 890 == 0.8
    assert verdict(found, ASTLOF, "split.patients") == "inconsistent"
    assert verdict(found, ASTLOF, "split.vertebrae") == "consistent"
    # 53 further vertebrae in 125 patients: with all 24 patients of three fractures there, 29 patients have several.
    assert 24 * 2 + 5 == 53
    assert stats.fisher_exact([[60, 592], [29, 96]]).pvalue < 1e-4
    assert verdict(found, ASTLOF, "random.several") == "inconsistent"


def test_astlof_accuracies_that_no_count_of_the_set_gives(found):
    assert not any(0.8625 <= k / 75 <= 0.864 for k in range(76))  # 64/75 = 0.853, 65/75 = 0.867
    for cls in ("class-0", "class-1", "class-2"):
        assert verdict(found, ASTLOF, f"grim.accuracy.prospective.radimagenet.{cls}") == "impossible"
    assert round(50 / 75, 3) == 0.667
    assert verdict(found, ASTLOF, "grim.accuracy.prospective.imagenet.class-2") == "consistent"
    assert verdict(found, ASTLOF, "grim.accuracy.training.imagenet.class-0") == "rounding"  # 521/712 = 0.7317
    grim = found[ASTLOF][found[ASTLOF].index.str.match(r"grim\.accuracy\..*class")]["verdict"]
    assert grim.isin(FAILED).sum() == 15


def test_astlof_accuracies_that_may_be_predictive_values_are_not_called_impossible(found):
    assert [round(x, 3) for x in (66 / 79, 77 / 92, 6 / 7, (66 + 77 + 6) / 178)] == [0.835, 0.837, 0.857, 0.837]
    assert 79 + 92 + 7 == 178
    row = found[ASTLOF].loc["grim.accuracy.internal.radimagenet.class-0"]
    assert row["verdict"] == "inconsistent"
    assert "(66, 77, 6) right of (79, 92, 7)" in row["note"]
    assert verdict(found, ASTLOF, "grim.accuracy.external.radimagenet.class-0") == "impossible"


def test_astlof_no_macro_average_is_the_mean_of_its_classes(found):
    assert round((0.827 + 0.788 + 0.444) / 3, 3) == 0.686  # printed 0.802 = 89/111
    assert round((0.969 + 0.945 + 0.809) / 3, 3) == 0.908  # printed 0.913
    means = found[ASTLOF][found[ASTLOF].index.str.startswith("mean.")]["verdict"]
    assert len(means) == 16
    assert set(means) == {"inconsistent"}


def test_astlof_delong_in_the_prospective_set_needs_correlated_aucs(found):
    se = [(0.967 - 0.860) / 3.92, (0.937 - 0.808) / 3.92]
    assert 2 * stats.norm.sf(0.041 / sqrt(se[0] ** 2 + se[1] ** 2)) == pytest.approx(0.34, abs=0.01)
    assert verdict(found, ASTLOF, "p.delong.prospective") == "undecidable"
    assert verdict(found, ASTLOF, "p.delong.training") == "consistent"


def test_astlof_the_example_of_figure_8_is_of_another_class(found):
    assert verdict(found, ASTLOF, "same.figure_8.class") == "inconsistent"


# -------------------------------------------------------------------------------------------------------- paper 05


def test_acute_sex_of_the_text_is_not_that_of_table_1(found):
    assert (164 + 78, 89 + 34) == (242, 123)
    assert 149 + 216 == 242 + 123 == 365
    for sex in ("females", "males"):
        assert verdict(found, ACUTE, f"sum.table_1.{sex}") == "inconsistent"
    assert verdict(found, ACUTE, "sum.sex") == "consistent"


def test_acute_mean_age_is_not_that_of_the_two_groups(found):
    assert round((253 * 59.3 + 112 * 71.1) / 365, 1) == 62.9
    assert shown(found, ACUTE, "pooled.age.mean").startswith("62.92")
    assert verdict(found, ACUTE, "pooled.age.mean") == "inconsistent"


def test_acute_no_p_of_table_1_follows_from_its_numbers(found):
    t = (71.1 - 59.3) / sqrt(18.1**2 / 253 + 11.9**2 / 112)
    assert t > 7  # printed p = 0.225
    chi2 = 365 * (164 * 34 - 89 * 78) ** 2 / (242 * 123 * 253 * 112)
    assert stats.chi2.sf(chi2, 1) == pytest.approx(0.37, abs=0.005)  # printed 0.812
    chi2 = 520 * (111 * 117 - 204 * 88) ** 2 / (199 * 321 * 315 * 205)
    assert stats.chi2.sf(chi2, 1) == pytest.approx(0.08, abs=0.005)  # printed 0.956
    for id in ("p.age", "p.sex", "p.levels", "p.vertebrae"):
        assert verdict(found, ACUTE, id) == "inconsistent"


def test_acute_counts_of_features_disagree(found):
    assert 30 + 44 == 74
    assert 19 + 2 + 15 + 4 + 1 == 41
    assert verdict(found, ACUTE, "same.features.fusion") == "inconsistent"  # 77 and 74
    assert verdict(found, ACUTE, "same.score_features.radiomics") == "inconsistent"  # 41 and 40
    assert verdict(found, ACUTE, "sum.features.radiomics") == "consistent"
    assert verdict(found, ACUTE, "sum.features.fusion.methods.results") == "consistent"


def test_acute_one_of_eight_rows_of_table_2_has_a_confusion_matrix(found):
    rows = found[ACUTE][found[ACUTE].index.str.startswith("matrix.")]["verdict"]
    assert rows[rows == "consistent"].index.tolist() == ["matrix.testing.dlr"]
    tp, fn, fp, tn = 56, 7, 12, 29
    assert [round(100 * x, 1) for x in ((tp + tn) / 104, tp / 63, tn / 41)] == [81.7, 88.9, 70.7]
    assert round(2 * tp / (2 * tp + fp + fn), 3) == 0.855
    # The nomogram's test row would fit 54 + 27 other cases, so it is not called impossible.
    assert [round(100 * x, 1) for x in (73 / 81, 50 / 54, 23 / 27)] == [90.1, 92.6, 85.2]
    assert rows["matrix.testing.dlrn"] == "inconsistent"
    assert (rows.drop(["matrix.testing.dlr", "matrix.testing.dlrn"]) == "impossible").all()


@pytest.mark.parametrize("row", ["testing.radiomics", "training.dlrn"])
def test_acute_accuracy_above_both_sensitivity_and_specificity(found, row):
    assert verdict(found, ACUTE, f"between.{row}") == "impossible"


def test_acute_digits_cut_off_are_no_failure(found):
    assert round(100 * 151 / 164, 2) == 92.07  # printed 92.0
    assert round(100 * 59 / 63, 2) == 93.65  # printed 93.6
    for id in ("grim.specificity.training.radiomics", "grim.sensitivity.testing.fusion"):
        assert verdict(found, ACUTE, id) == "rounding"


def test_acute_delong_p_is_above_what_any_correlation_allows(found):
    se = [(0.974 - 0.855) / 3.92, (0.987 - 0.906) / 3.92]
    assert 2 * stats.norm.sf(0.031 / sum(se)) < 0.56  # opposite estimates; printed 0.668
    assert verdict(found, ACUTE, "p.delong.testing.fusion_dlrn") == "inconsistent"
    assert verdict(found, ACUTE, "p.delong.training.fusion_dlrn") == "consistent"


def test_acute_aucs_of_the_discussion_belong_to_the_nomogram(found):
    for cohort in ("training", "testing"):
        assert verdict(found, ACUTE, f"same.auc.{cohort}.dlr.discussion") == "inconsistent"


def test_what_is_printed_twice_alike_passes(found):
    same = found[ACUTE][found[ACUTE].index.str.startswith("same.auc")]["verdict"]
    assert (same == "consistent").sum() == len(same) - 2
    pairs = found[ACUTE].index[found[ACUTE].index.str.match(r"p\.delong\.testing\.(?!fusion_dlrn)")]
    assert len(pairs) == 5
