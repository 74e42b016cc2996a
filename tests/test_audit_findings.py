"""The audit of the five papers: its vocabulary, its builders, and the arithmetic of what fails, typed by hand here."""

import ast
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcfkit import audit, params
from vcfkit.audit import ct_diseases, xray_acute_chronic
from vcfkit.audit.findings import Item, Paper

ONE, TWO, THREE = list(audit.PAPERS)[:3]


@pytest.fixture(scope="module")
def found():
    return {stem: audit.findings(stem).set_index("id") for stem in audit.PAPERS}


def row(found, stem, id):
    return found[stem].loc[id]


# ------------------------------------------------------------------------------------------------------- all papers


@pytest.mark.parametrize("stem", audit.PAPERS)
def test_rows_have_the_vocabulary_and_cite_items_that_exist(stem, found):
    frame = found[stem].reset_index()
    assert list(frame) == audit.COLUMNS
    assert frame["id"].is_unique
    assert set(frame["verdict"]) <= set(audit.VERDICTS)
    known = set(params.published(stem)["id"])
    cited = {id for items in frame["items"] for id in items.split()}
    assert cited <= known
    filled = frame[["where", "stated", "recomputed", "method", "items"]].map(lambda text: bool(text.strip()))
    assert filled.all(axis=None)
    assert audit.verdicts(frame) == {v: (frame["verdict"] == v).sum() for v in audit.VERDICTS}


@pytest.mark.parametrize("stem", audit.PAPERS)
def test_findings_are_a_copy_that_may_be_changed(stem):
    first = audit.findings(stem)
    first["verdict"] = "changed"
    assert not (audit.findings(stem)["verdict"] == "changed").any()


def test_most_checks_of_papers_01_to_03_pass_and_each_has_more_than_a_hundred(found):
    for stem in (ONE, TWO, THREE):
        counts = audit.verdicts(found[stem])
        assert sum(counts.values()) > 150
        assert counts["consistent"] + counts["rounding"] > sum(counts.values()) / 2
        assert counts["inconsistent"] > 10


def test_every_check_has_a_kind_and_the_overview_adds_up(found):
    for frame in (one.reset_index() for one in found.values()):
        table = audit.overview(frame)
        assert set(table.index) <= {*audit.KINDS, "all"}
        assert table.loc["all", "checks"] == len(frame) == table["checks"].iloc[:-1].sum()
        failed = audit.failures(frame)
        assert len(failed) == table.loc["all", ["inconsistent", "impossible"]].sum()
        assert set(failed["verdict"]) <= {"inconsistent", "impossible"}


@pytest.mark.parametrize("stem", audit.PAPERS)
def test_nearly_every_printed_item_takes_part_in_a_check(stem, found):
    cited = {id for items in found[stem]["items"] for id in items.split()}
    assert len(cited) > 0.85 * len(params.published(stem))


def test_an_unknown_stem_is_refused():
    with pytest.raises(ValueError, match="no audit of '06'; known: 01_xray_fresh_vcf"):
        audit.findings("06")


@pytest.mark.parametrize("stem", audit.PAPERS)
def test_no_published_number_is_typed_in_the_module_of_a_paper(stem):
    """Numbers of three digits or more that the paper prints appear in no number and in no text of its module."""
    printed = {text for item in params.published_text(stem).values() for text in (item.get("value"), item.get("low"))}
    numbers = {float(text) for text in printed if text and len(re.sub(r"\D|^0\.0*", "", text)) >= 3}
    numbers = {x for x in numbers if x >= 100 or not x.is_integer()} - {100.0, 1000.0, 10_000.0}
    tree = ast.parse(
        (params.ROOT / "vcfkit" / "audit" / f"{audit.PAPERS[stem].__name__.split('.')[-1]}.py").read_text()
    )
    typed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            typed.add(float(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            typed |= {float(text) for text in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)", node.value)}
    assert typed & numbers == set()


# --------------------------------------------------------------------------------------------------------- builders


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A paper of the items that a test writes."""

    def build(**items):
        folder = tmp_path / "params" / "published"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"- {{id: {id}, quantity: q, where: T, {text}}}\n" for id, text in items.items()]
        (folder / "x.yaml").write_text("".join(lines))
        monkeypatch.setattr(params, "ROOT", tmp_path)
        return Paper("x")

    return build


def verdict(paper):
    return paper.frame()["verdict"].iloc[-1]


def test_an_unknown_item_is_named_with_the_nearest_one(paper):
    made = paper(accuracy="value: 0.9")
    with pytest.raises(KeyError, match=r"prints no item 'acuracy'. Did you mean 'accuracy'"):
        made.same("text.a", "acuracy", "accuracy")


def test_a_check_may_not_stand_twice_nor_have_another_verdict(paper):
    made = paper(a="value: 1")
    made.total("sum.a", "a", "a")
    with pytest.raises(ValueError, match=r"'sum.a' stands twice"):
        made.total("sum.a", "a", "a")
    with pytest.raises(ValueError, match="found 'wrong'"):
        made.add("b", "a", recomputed="1", method="m", verdict="wrong")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("0.90", "0.9", "consistent"),
        ("0.90", "0.91", "rounding"),  # rounded here, cut off there
        ("0.90", "0.92", "inconsistent"),
        ("0.956", "0.95", "rounding"),
        ("2", "3", "inconsistent"),  # counts are exact
        ("1051", "1051", "consistent"),
    ],
)
def test_one_thing_in_two_places(paper, a, b, expected):
    made = paper(a=f"value: {a}", b=f"value: {b}")
    made.same("text.a", "a", "b")
    assert verdict(made) == expected


def test_a_sum_subtracts_ids_with_a_minus(paper):
    made = paper(all="value: 10", women="value: 6", men="value: 4", other="value: 5")
    made.total("sum.men", "men", ["all", "-women"])
    assert verdict(made) == "consistent"
    assert made.frame()["recomputed"].iloc[-1] == "10 − 6 = 4"
    made.total("sum.other", "other", ["all", "-women"])
    assert verdict(made) == "inconsistent"
    assert made.frame()["note"].iloc[-1] == "They differ by 1."


@pytest.mark.parametrize(
    ("text", "expected"),
    [("67.8", "consistent"), ("67.7", "rounding"), ("67.9", "impossible")],  # 145/214 = 67.757 %
)
def test_a_share_of_whole_counts(paper, text, expected):
    made = paper(share=f"value: {text}, unit: percent", n="value: 214")
    made.possible_share("share.a", "share", "n")
    # One decimal of 214: neighbours are 144/214 = 67.3 and 146/214 = 68.2.
    assert verdict(made) == expected


def test_the_order_of_two_printed_numbers(paper):
    made = paper(a="value: 0.88", b="value: 0.88", c="value: 0.89")
    made.order("claim.ab", "a", "b", claim="a above b")
    assert verdict(made) == "rounding"  # 0.884 is above 0.876, and both print so
    made.order("claim.ac", "a", "c", claim="a above c")
    assert verdict(made) == "inconsistent"
    made.order("claim.ca", "c", "a", claim="c above a")
    assert verdict(made) == "consistent"


CUT = {"half up": 0.5, "cut off": 0.0}


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 40),
    st.integers(0, 60),
    st.sampled_from(list(CUT)),
    st.data(),
)
def test_no_confusion_matrix_that_exists_is_called_impossible(n1, n0, a, b, how, data):
    """Any counts, printed in percent with any decimals, rounded or cut off, pass as consistent or rounding."""
    tp, tn = min(a, n1), min(b, n0)
    places = data.draw(st.integers(0, 3))

    def text(numerator, denominator):
        units = int(100 * 10**places * numerator / denominator + CUT[how] + 1e-9)
        return f"{units / 10**places:.{places}f}"

    values = {
        "sensitivity": text(tp, n1),
        "specificity": text(tn, n0),
        "accuracy": text(tp + tn, n1 + n0),
        "balanced_accuracy": text(tp * n0 + tn * n1, 2 * n1 * n0),
    }
    made = items_of({})
    made.items = {name: Item(name, "T", value, None, None, "percent", None, None) for name, value in values.items()}
    made.items |= {name: Item(name, "T", str(n), None, None, None, None, None) for name, n in (("n1", n1), ("n0", n0))}
    made.matrix("matrix.a", {name: name for name in values}, "n1", "n0")
    assert verdict(made) in ("consistent", "rounding")
    made.between("between.a", "accuracy", "sensitivity", "specificity")
    assert verdict(made) == "consistent" or how == "cut off"


def test_a_balanced_accuracy_of_rounded_figures_is_rounding_and_a_wrong_one_impossible(paper):
    """64/70 = 91.43 % and 76/144 = 52.78 %: their mean is 72.10, that of the rounded ones 72.105."""
    for text, expected in (("72.10", "consistent"), ("72.11", "rounding"), ("72.20", "impossible")):
        made = paper(
            se="value: 91.43, unit: percent",
            sp="value: 52.78, unit: percent",
            n1="value: 70",
            n0="value: 144",
            balanced=f"value: {text}, unit: percent",
        )
        figures = {"sensitivity": "se", "specificity": "sp", "balanced_accuracy": "balanced"}
        made.matrix("matrix.a", figures, "n1", "n0")
        assert verdict(made) == expected


def test_bounds_of_the_area_under_a_curve_through_a_point(paper):
    made = paper(se="value: 0.800", sp="value: 0.900", low="value: 0.60", high="value: 0.99", fine="value: 0.85")
    for name, expected in (("low", "impossible"), ("high", "impossible"), ("fine", "consistent")):
        made.auc_point(f"point.{name}", name, "se", "sp")
        assert verdict(made) == expected  # 0.8·0.9 = 0.72 to 0.9 + 0.1·0.8 = 0.98


def items_of(values):
    """A paper of these texts, without a file; whole numbers are counts."""
    made = Paper.__new__(Paper)
    made.stem, made._rows = "x", []
    made.items = {name: Item(name, "T", str(text), None, None, None, None, None) for name, text in values.items()}
    return made


def shown(value, places, how):
    units = int(10**places * value + CUT[how] + 1e-9)
    return f"{units / 10**places:.{places}f}"


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 30), st.integers(2, 30), st.sampled_from(list(CUT)), st.integers(2, 3), st.integers(0, 2**31))
def test_no_area_through_a_point_of_its_own_curve_is_called_impossible(n1, n0, how, places, seed):
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(rng.uniform(-1, 2), 1, n1), rng.normal(0, 1, n0)
    auc = (positive[:, None] > negative).mean()
    threshold = rng.normal()
    values = {"auc": auc, "se": (positive > threshold).mean(), "sp": (negative <= threshold).mean()}
    made = items_of({name: shown(value, places, how) for name, value in values.items()})
    made.auc_point("point.a", "auc", "se", "sp")
    assert verdict(made) == "consistent"


@settings(deadline=None, max_examples=60)
@given(st.integers(20, 400), st.integers(500, 3000), st.floats(0.3, 1), st.floats(0.9, 1), st.integers(0, 2**31))
def test_a_row_like_those_of_paper_03_that_comes_from_its_counts_passes(k, rest, se, sp, seed):
    """Random counts, all five figures printed to three decimals: every check of the row is consistent."""
    rng = np.random.default_rng(seed)
    tp, tn = max(1, rng.binomial(k, se)), rng.binomial(rest, sp)
    fn, fp = k - tp, rest - tn
    figures = {"sensitivity": tp / k, "specificity": tn / rest, "ppv": tp / (tp + fp), "npv": tn / (tn + fn)}
    figures["f1"] = 2 * tp / (2 * tp + fp + fn)
    values = {name: f"{value:.3f}" for name, value in figures.items()} | {"n": k, "normal": rest}
    made, row = items_of(values), {name: name for name in figures}
    ct_diseases._prevalence(made, "a", row, "n", ["n", "normal"])
    for figure in ("ppv", "npv"):
        ct_diseases._bayes(made, "a", figure, row, "n", ["n", "normal"])
    ct_diseases._counts(made, "a", row, "n", ["n", "normal"])
    made.f1("f1.a", "f1", "ppv", "sensitivity", fail="impossible")
    made.possible_share("share.a", "sensitivity", "n")
    assert set(made.frame()["verdict"]) == {"consistent"}


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31))
def test_a_reader_who_gives_one_answer_a_vertebra_passes(seed):
    """80, 57 and 13 vertebrae as in paper 02, answers drawn at random, figures printed to three decimals."""
    rng, sizes = np.random.default_rng(seed), np.array([80, 57, 13])
    table = np.array([rng.multinomial(n, rng.dirichlet(1 + 4 * np.eye(3)[k])) for k, n in enumerate(sizes)])
    right, called, n = np.diag(table), table.sum(axis=0), sizes.sum()
    aucs = (right / sizes + 1 - (called - right) / (n - sizes)) / 2
    share = right.sum() / n
    values = dict(zip(xray_acute_chronic.COLLABORATION, sizes, strict=True))
    place = "collaboration.trainee"
    values |= {f"results.auc.{place}.{c}": f"{a:.3f}" for c, a in zip(xray_acute_chronic.CLASSES, aucs, strict=True)}
    values |= {
        f"results.sensitivity.{place}": f"{share:.3f}",
        f"results.accuracy.{place}": f"{(1 + 2 * share) / 3:.3f}",
    }
    values[f"results.sensitivity.{place}.pathologic"] = f"{right[2] / sizes[2]:.3f}"
    made = items_of(values)
    xray_acute_chronic._hard_calls(made, "trainee")
    assert set(made.frame()["verdict"]) == {"consistent"}


# --------------------------------------------------------------------------------------------- paper 01, Zhang H 2024


def test_paper_01_text_and_table_2_differ_and_the_text_is_no_share(found):
    """Validation: 96.62 and 98.35 in the text, 96.95 and 98.85 in Table 2, of 262 and 174."""
    for figure in ("accuracy", "specificity"):
        assert row(found, ONE, f"text.{figure}.validation.drn").verdict == "inconsistent"
        assert row(found, ONE, f"share.text.{figure}.validation").verdict == "impossible"
    assert round(100 * 253 / 262, 2) == 96.56
    assert round(100 * 254 / 262, 2) == 96.95
    assert round(100 * 171 / 174, 2) == 98.28
    assert round(100 * 172 / 174, 2) == 98.85
    assert row(found, ONE, "text.sensitivity.validation.drn").verdict == "consistent"


def test_paper_01_every_row_of_table_2_has_a_confusion_matrix(found):
    rows = found[ONE].filter(regex=r"^matrix\.(validation|yhdh|bmuh)\.(?!.*old)", axis=0)
    rows = rows[~rows.index.str.contains("old")]
    assert len(rows) == 18
    assert set(rows["verdict"]) == {"consistent", "rounding"}


def test_paper_01_subgroups_add_up_to_table_2(found):
    """YHDH: 34/43 and 16/16 are 50/59 = 84.75 %; 101/122 and 29/40 are 130/162 = 80.25 %."""
    assert (round(100 * 50 / 59, 2), round(100 * 130 / 162, 2)) == (84.75, 80.25)
    for name, figure in product(("yhdh", "bmuh"), ("sensitivity", "specificity", "accuracy")):
        assert row(found, ONE, f"total.{figure}.{name}").verdict == "consistent"


def test_paper_01_p_values_of_the_aucs_do_not_follow_from_the_intervals(found):
    """(0.90 − 0.84)/√((0.11/3.92)² + (0.21/3.92)²) = 0.99, p = 0.32; printed 0.067."""
    se = ((0.11 / 3.92) ** 2 + (0.21 / 3.92) ** 2) ** 0.5
    assert round(0.06 / se, 2) == 0.99
    assert row(found, ONE, "p.auc.yhdh").verdict == row(found, ONE, "p.auc.bmuh").verdict == "inconsistent"
    assert "independent 0.321" in row(found, ONE, "p.auc.yhdh").recomputed


def test_paper_01_an_interval_of_no_width_and_a_sensitivity_that_falls(found):
    """16 of 16: the exact interval is 79.4 to 100 %. BMUH: 43/44 without, 21/26 with old fractures."""
    assert row(found, ONE, "interval.sensitivity.yhdh-old").verdict == "inconsistent"
    assert row(found, ONE, "bootstrap.sensitivity.yhdh-old").verdict == "consistent"
    assert round(100 * 0.025 ** (1 / 16), 1) == 79.4
    assert row(found, ONE, "claim.unaffected.sensitivity.bmuh").verdict == "inconsistent"
    assert "0.024" in row(found, ONE, "claim.unaffected.sensitivity.bmuh").recomputed


def test_paper_01_levels_of_training_and_validation(found):
    """127 thoracic and 228 lumbar against 56 and 32."""
    assert row(found, ONE, "split.levels").verdict == "inconsistent"
    assert "p = 0.92" in row(found, ONE, "split.levels").recomputed
    for name in ("yhdh", "bmuh"):
        assert row(found, ONE, f"pooled.age.{name}.mean").verdict == "consistent"
        assert row(found, ONE, f"pooled.age.{name}.sd").verdict == "inconsistent"
    assert row(found, ONE, "chance.yhdh.efficientnetv2-s").verdict == "inconsistent"
    assert row(found, ONE, "chance.bmuh.efficientnetv2-s").verdict == "consistent"


# -------------------------------------------------------------------------------------------------- paper 02, Xu 2023


def test_paper_02_a_date_that_does_not_exist(found):
    assert row(found, TWO, "dates.external.end").verdict == "impossible"
    others = [id for id in found[TWO].index if id.startswith("dates.") and id != "dates.external.end"]
    assert "impossible" not in set(found[TWO].loc[others, "verdict"])


def test_paper_02_intervals_are_those_of_a_mean(found):
    rows = found[TWO].filter(like="interval.auc.", axis=0)
    assert len(rows) == 12
    assert set(rows["verdict"]) == {"impossible"}
    assert row(found, TWO, "inside.auc.gzfph.pathologic").verdict == "inconsistent"


def test_paper_02_accuracies_are_means_of_one_vs_rest(found):
    """0.829 of 74: 61/74 = 0.824, 62/74 = 0.838; (1 + 2·55/74)/3 = 0.829. 84 of 150 right: 0.560 and 0.707."""
    assert (round(61 / 74, 3), round(62 / 74, 3), round((1 + 2 * 55 / 74) / 3, 3)) == (0.824, 0.838, 0.829)
    assert row(found, TWO, "share.accuracy.prospective").verdict == "inconsistent"
    assert row(found, TWO, "ovr.accuracy.prospective").verdict == "consistent"
    assert (round(84 / 150, 3), round((1 + 2 * 84 / 150) / 3, 3)) == (0.560, 0.707)
    for model, expected in (
        ("trainee", "consistent"),
        ("competent", "consistent"),
        ("expert", "consistent"),
        ("dl-trainee", "consistent"),
        ("dl-competent", "inconsistent"),  # (1 + 2·0.727)/3 = 0.818, printed 0.816
        ("dl-expert", "inconsistent"),  # (1 + 2·0.776)/3 = 0.851, printed 0.853
    ):
        assert row(found, TWO, f"ovr.accuracy.{model}").verdict == expected
    assert row(found, TWO, "share.sensitivity.dl-expert").verdict == "inconsistent"  # 116/150 = 0.773, 117/150 = 0.780


def test_paper_02_results_and_discussion_differ_in_three_accuracies(found):
    for model, expected in (
        ("competent", "inconsistent"),  # 0.769, 0.756
        ("dl-competent", "consistent"),
        ("trainee", "consistent"),
        ("dl-trainee", "inconsistent"),  # 0.778, 0.796
        ("expert", "inconsistent"),  # 0.782, 0.764
    ):
        assert row(found, TWO, f"text.accuracy.{model}").verdict == expected
    assert row(found, TWO, "claim.exceeds.trainee.discussion").verdict == "consistent"
    assert row(found, TWO, "claim.exceeds.trainee.results").verdict == "inconsistent"  # 0.778 < 0.782
    assert row(found, TWO, "text.accuracy.testing.twice").verdict == "inconsistent"  # 0.850, 77.7 %


def test_paper_02_the_trainees_auc_of_pathological_fractures(found):
    """(2/13 + 127/137)/2 = 0.5404 and (2/13 + 128/137)/2 = 0.5441; printed 0.541. The competent one's fits."""
    assert round((2 / 13 + 127 / 137) / 2, 4) == 0.5404
    assert row(found, TWO, "reader.auc.trainee.pathologic").verdict == "inconsistent"
    assert round((6 / 13 + 119 / 137) / 2, 3) == 0.665
    assert row(found, TWO, "reader.matrix.competent").verdict == "consistent"
    # Right answers and wrong calls of the competent reader, as found: AUC of acute and of chronic fractures.
    assert round((47 / 80 + 1 - 13 / 70) / 2, 3) == 0.701
    assert round((45 / 57 + 1 - 21 / 93) / 2, 3) == 0.782
    assert row(found, TWO, "bound.misjudged").verdict == "consistent"  # 13 − 6 = 7 ≥ 6


# ------------------------------------------------------------------------------------------------ paper 03, Wang 2024


def test_paper_03_slices_do_not_add_up(found):
    assert 8548 + 2456 + 467 == 11471  # printed 11,417
    assert row(found, THREE, "sum.slices").verdict == "inconsistent"
    assert 14584 + 4489 + 645 == 19718
    assert row(found, THREE, "sum.vertebrae.diseased").verdict == "consistent"
    assert row(found, THREE, "sum.patients.luhe").verdict == "consistent"  # 1198 − 112 − 21 − 8 − 6 = 1051


def test_paper_03_no_vertebra_has_two_diseases(found):
    assert 398 + 66 + 23 + 56 + 102 == 645
    for name in ("training", "testing", "xuanwu"):
        assert row(found, THREE, f"labels.{name}").verdict == "inconsistent"


def test_paper_03_p_values_of_the_ages_cannot_all_hold(found):
    """t = 1.68, 2.98, 2.46 at √(1/n + 1/m) = 0.0744, 0.1515, 0.1614: 0.125 + 0.451 is not 0.397."""
    assert round(1.681 * 0.07437 + 2.975 * 0.1515, 2) == 0.58
    assert round(2.462 * 0.1614, 2) == 0.40
    assert row(found, THREE, "p.age.triangle").verdict == "inconsistent"
    assert row(found, THREE, "p.age").verdict == "consistent"
    assert row(found, THREE, "variances.dexa").verdict == "inconsistent"
    assert row(found, THREE, "variances.age").verdict == "consistent"


def test_paper_03_sensitivities_that_are_no_share_of_table_2(found):
    """Xuanwu, SN: 0.213 of 23 (4/23 = 0.174, 5/23 = 0.217), but 16/75 = 0.213 with PPV 16/19 = 0.842."""
    assert (round(4 / 23, 3), round(5 / 23, 3)) == (0.174, 0.217)
    assert (round(16 / 75, 3), round(16 / 19, 3)) == (0.213, 0.842)
    assert row(found, THREE, "share.sensitivity.xuanwu.sn").verdict == "inconsistent"
    assert "TP 16, FN 59, FP 3" in row(found, THREE, "matrix.xuanwu.sn").recomputed
    assert row(found, THREE, "matrix.testing.ovcf").verdict == "consistent"
    assert set(found[THREE].filter(regex=r"^f1\.", axis=0)["verdict"]) == {"consistent"}
    assert set(found[THREE].filter(regex=r"^(mean|sd)\.", axis=0)["verdict"]) == {"consistent"}


def test_paper_03_words_that_the_numbers_do_not_bear_out(found):
    assert row(found, THREE, "claim.kd_fewer.training").verdict == "consistent"  # 478 < 824
    assert row(found, THREE, "claim.kd_fewer.testing").verdict == "inconsistent"  # 204 > 154
    assert row(found, THREE, "text.auc.map").verdict == "inconsistent"
    assert row(found, THREE, "text.modules").verdict == "inconsistent"
    assert row(found, THREE, "text.table3.classes").verdict == "inconsistent"
