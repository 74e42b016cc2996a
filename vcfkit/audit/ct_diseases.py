"""Checks of the numbers that paper 03 (Wang 2024) prints."""

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats
from scipy.interpolate import CubicSpline

from .findings import Paper
from .primitives import Range, confusion_matrices, p_from_counts, p_from_means, ppv_npv_from, printed

STEM = "03_ct_vertebra_diseases"
COHORTS = ("training", "testing", "xuanwu")
DISEASES = ("ovcf", "of", "sn", "kd", "ps")
FOUR = ("ovcf", "of", "kd", "ps")
FIGURES = ("sensitivity", "specificity", "ppv", "npv", "f1")


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
    _patients(paper)
    _table1_tests(paper)
    _slices_and_vertebrae(paper)
    _detection(paper)
    _patches(paper)
    _classification(paper)
    _averages(paper)
    _claims(paper)


def _patients(paper):
    excluded = paper.ids("methods.excluded.luhe.*")
    paper.total(
        "sum.patients.luhe",
        "methods.patients.luhe.analysed",
        ["methods.patients.luhe.collected", *(f"-{one}" for one in excluded)],
    )
    paper.same("text.patients.luhe", "abstract.patients.luhe", "methods.patients.luhe.analysed")
    split = ["methods.patients.training", "methods.patients.testing"]
    paper.total("sum.patients.split", "methods.patients.luhe.analysed", split)
    paper.same(
        "text.patients.xuanwu.abstract",
        "abstract.patients.xuanwu",
        "methods.patients.xuanwu",
        "results.patients.xuanwu",
    )
    for name in COHORTS:
        paper.same(f"text.patients.{name}", f"methods.patients.{name}", f"table1.patients.{name}")
        paper.same(f"text.slices.{name}", f"methods.slices.{name}", f"table1.slices.{name}")
        sexes = [f"table1.patients.{name}.{sex}" for sex in ("male", "female")]
        paper.total(f"sum.{name}.sex", f"table1.patients.{name}", sexes)
        for sex, count in zip(("male", "female"), sexes, strict=True):
            paper.share(f"percent.{name}.{sex}", f"table1.percent.{name}.{sex}", count, f"table1.patients.{name}")
        paper.order(
            f"claim.age.{name}",
            f"table1.age.mean.{name}",
            "methods.age.minimum",
            claim="mean age above the least age included",
        )
    for name in ("luhe", "xuanwu"):
        item = paper[f"methods.years.{name}"]
        paper.add(
            f"dates.{name}",
            item.id,
            stated=item.note,
            recomputed="the first comes before the last",
            method="order of the dates",
            verdict="consistent" if int(item.low) < int(item.high) else "impossible",
        )
    dates = paper.ids("article.date.*")
    for first, second in pairwise(dates):
        paper.add(
            f"dates.{second}",
            [first, second],
            stated=f"{paper[first].note}; {paper[second].note}",
            recomputed="in this order",
            method="year, month and day compared",
            verdict="consistent" if paper.count(first) < paper.count(second) else "impossible",
        )
    for first, second in (
        ("methods.institutes", "figure1.cohorts"),
        ("methods.surgeons.diagnosis", "methods.surgeons.annotation"),
    ):
        paper.same(f"text.{second}", first, second)
    paper.same("text.significance.size", "methods.image_size", "methods.image_size.padded")
    for part, side in (("height", "height"), ("width", "width")):
        mean, sd = paper[f"methods.image_{side}.mean"], paper[f"methods.image_{side}.sd"]
        reach = (paper["methods.image_size"].count - mean.count) / sd.count
        paper.add(
            f"fit.image_{part}",
            [mean.id, sd.id, "methods.image_size"],
            stated=f"{mean} ± {sd}, set into {paper['methods.image_size']}",
            recomputed=f"{reach:.1f} SD of room",
            method=f"({paper['methods.image_size']} − {mean}) / {sd}",
            verdict="consistent" if reach > 0 else "inconsistent",
        )


# ----------------------------------------------------------------------------------------------- tests of Table 1


def _table1_tests(paper):
    table = [[f"table1.patients.{name}.{sex}" for sex in ("male", "female")] for name in COHORTS]
    counts = [[paper.count(one) for one in row] for row in table]
    statistic = stats.chi2_contingency(counts, correction=False).statistic
    cited = [one for row in table for one in row]
    paper.compare(
        "chi2.sex", "table1.chi2.sex", float(statistic), method="Pearson's chi-squared of sex × cohort", items=cited
    )
    paper.p_counts("p.sex", "table1.p.sex", table)
    dof = len(COHORTS) - 1
    chi2 = paper["table1.chi2.sex"].range
    p = pd.DataFrame(
        [("chi-squared", *(stats.chi2.sf(x, dof) for x in (chi2.value, chi2.high, chi2.low)))],
        columns=["test", "p", "p_low", "p_high"],
    )
    paper.p(
        "p.sex.statistic",
        "table1.p.sex",
        p,
        items="table1.chi2.sex",
        method=f"tail of chi-squared, {dof} degrees of freedom",
    )
    for one, name in (("age", "age"), ("dexa", "DEXA T-score")):
        groups = [(f"table1.{one}.mean.{c}", f"table1.{one}.sd.{c}", f"table1.patients.{c}") for c in COHORTS]
        paper.p_means(f"p.{one}", f"table1.p.{one}", groups)
        _equal_variances(paper, one, name, groups)
    pairs = {"training_testing": (0, 1), "training_xuanwu": (0, 2), "testing_xuanwu": (1, 2)}
    groups = [(f"table1.age.mean.{c}", f"table1.age.sd.{c}", f"table1.patients.{c}") for c in COHORTS]
    for pair, (a, b) in pairs.items():
        found = pd.concat([_tukey(paper, groups, a, b), _two_means(paper, [groups[a], groups[b]])])
        shown = " against ".join(f"{paper[groups[k][0]]} ± {paper[groups[k][1]]}" for k in (a, b))
        cited = [one for k in (a, b) for one in groups[k]]
        paper.p(f"p.age.{pair}", f"table1.p.age.{pair}", found, items=cited, method=shown)
    _triangle(paper, groups, pairs)
    for pair, expected in (("training_testing", False), ("training_xuanwu", True), ("testing_xuanwu", True)):
        significant = paper[f"table1.p.age.{pair}"].range.value < paper["methods.significance"].range.value
        paper.add(
            f"claim.age.{pair}",
            [f"table1.p.age.{pair}", "methods.significance"],
            stated="no significant difference" if not expected else "Xuanwu patients older",
            recomputed=f"p {'<' if significant else '≥'} {paper['methods.significance']}",
            method="p against the level",
            verdict="consistent" if significant == expected else "inconsistent",
        )


def _two_means(paper, groups):
    return p_from_means(
        [paper[m].printed for m, _, _ in groups],
        [paper[s].printed for _, s, _ in groups],
        [paper.count(n) for *_, n in groups],
    )


def _tukey(paper, groups, a, b):
    """Tukey–Kramer p of one pair; its range over the rounding of means and SDs."""
    means, sds = ([paper[row[k]].range for row in groups] for k in (0, 1))
    ns = np.array([paper.count(n) for *_, n in groups])
    df = int(ns.sum()) - len(ns)

    def p(difference, column):
        mse = sum((n - 1) * sd[column] ** 2 for n, sd in zip(ns, sds, strict=True)) / df
        return stats.studentized_range.sf(difference / np.sqrt(mse / 2 * (1 / ns[a] + 1 / ns[b])), len(ns), df)

    low, high = means[a].low - means[b].high, means[a].high - means[b].low
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    value = p(abs(means[a].value - means[b].value), 0)
    row = ("Tukey's", value, p(max(abs(low), abs(high)), 1), p(least, 2))
    return pd.DataFrame([row], columns=["test", "p", "p_low", "p_high"])


def _triangle(paper, groups, pairs):
    """Three p values of three pairs: the differences behind them have to add up, whatever the unrounded means are."""
    ns = [paper.count(n) for *_, n in groups]
    df = sum(ns) - len(ns)
    errors = {pair: np.sqrt(1 / ns[a] + 1 / ns[b]) for pair, (a, b) in pairs.items()}

    def differences(tail):
        """|difference| in units of the common SD, from the p of each pair."""
        found = {}
        for pair in pairs:
            p = paper[f"table1.p.age.{pair}"].range
            found[pair] = Range(*(tail(x) * errors[pair] for x in (p.value, p.high, p.low)))
        return found

    # Tukey's quantiles from a curve through a few of its slow tail probabilities.
    grid = np.linspace(2, 6, 13)
    tail_of = CubicSpline(-np.log(stats.studentized_range.sf(grid, len(ns), df)), grid)
    tails = {
        "Tukey": lambda p: float(tail_of(-np.log(p))) / np.sqrt(2),
        "t": lambda p: stats.t.isf(p / 2, df),
    }
    shown, fits = [], []
    for name, tail in tails.items():
        d = differences(tail)
        total = Range(*(x + y for x, y in zip(d["training_testing"], d["training_xuanwu"], strict=True)))
        fits.append(total.meets(d["testing_xuanwu"]))
        shown.append(
            f"{name}: {d['training_testing'].value:.3f} + {d['training_xuanwu'].value:.3f} = {total.value:.3f} "
            f"against {d['testing_xuanwu'].value:.3f} SD"
        )
    paper.add(
        "p.age.triangle",
        [f"table1.p.age.{pair}" for pair in pairs] + [n for *_, n in groups],
        recomputed="; ".join(shown),
        method="mean ages order as testing < training < Xuanwu, so the differences behind the three p values add up: "
        "|difference| = t·SD·√(1/n₁ + 1/n₂)",
        verdict="consistent" if any(fits) else "inconsistent",
        on_failure="The larger difference has the larger p, at nearly the same sizes. Exchanging the last two p values "
        "nearly closes the sum.",
    )


def _equal_variances(paper, one, name, groups):
    """Bartlett's test from the printed SDs; the verdict takes the rounding that is kindest to equal variances."""
    ns = np.array([paper.count(n) for *_, n in groups])
    sds = [paper[s].range for _, s, _ in groups]

    def p(values):
        variances = np.square(values)
        common = ((ns - 1) * variances).sum() / (ns.sum() - len(ns))
        statistic = (ns.sum() - len(ns)) * np.log(common) - ((ns - 1) * np.log(variances)).sum()
        scale = 1 + (np.sum(1 / (ns - 1)) - 1 / (ns.sum() - len(ns))) / (3 * (len(ns) - 1))
        return stats.chi2.sf(statistic / scale, len(ns) - 1)

    grid = [np.linspace(sd.low, sd.high, 11) for sd in sds]
    kindest = max(p(np.array([x, y, z])) for x in grid[0] for y in grid[1] for z in grid[2])
    paper.add(
        f"variances.{one}",
        [*(s for _, s, _ in groups), *(n for *_, n in groups), "methods.significance"],
        stated=f"ANOVA of the {name}, SDs {', '.join(str(paper[s]) for _, s, _ in groups)}",
        recomputed=f"Bartlett's test: p = {p(np.array([sd.value for sd in sds])):.2g}",
        method="Bartlett's test of equal variances from SDs and sizes",
        verdict="consistent" if kindest >= paper["methods.significance"].range.value else "inconsistent",
        on_failure="The test that the paper names rejects the equal variances that its analysis of variance takes.",
    )


# -------------------------------------------------------------------------------------------- slices and vertebrae


def _slices_and_vertebrae(paper):
    slices = [f"table1.slices.{name}" for name in COHORTS]
    paper.total(
        "sum.slices", "abstract.slices", slices, on_failure="Two neighbouring digits are exchanged between the two."
    )
    luhe = paper.count(slices[:2])
    paper.add(
        "sum.slices.luhe",
        ["abstract.slices", *slices[:2]],
        stated=str(paper["abstract.slices"]),
        recomputed=f"{luhe} without Xuanwu",
        method="training + testing",
        verdict="consistent" if luhe == paper.count("abstract.slices") else "undecidable",
        note="Read as the slices of Luhe alone, the number of the Abstract does not fit either.",
    )
    paper.same("text.slices.results", "methods.slices.xuanwu", "results.slices.xuanwu")
    for name in COHORTS:
        n, k = paper.count(f"table1.slices.{name}"), paper.count(f"table1.patients.{name}")
        paper.add(
            f"units.slices.{name}",
            [f"table1.slices.{name}", f"table1.patients.{name}"],
            stated=f"{n} slices of {k} patients",
            recomputed=f"{n / k:.1f} slices a patient",
            method="slices / patients, which is at least 1",
            verdict="consistent" if n >= k else "impossible",
        )
    paper.total(
        "sum.vertebrae.diseased",
        "abstract.vertebrae.diseased",
        [f"results.vertebrae.vcmodule.{name}.diseased" for name in COHORTS],
    )
    for name in ("training", "testing"):
        paper.same(
            f"text.vertebrae.vdmodule.{name}",
            f"abstract.vertebrae.vdmodule.{name}",
            f"results.vertebrae.vdmodule.{name}",
        )
        for label in ("diseased", "normal"):
            paper.same(
                f"text.vertebrae.vcmodule.{name}.{label}",
                f"abstract.vertebrae.vcmodule.{name}.{label}",
                f"results.vertebrae.vcmodule.{name}.{label}",
            )
    for name in COHORTS:
        sick, well = (f"results.vertebrae.vcmodule.{name}.{label}" for label in ("diseased", "normal"))
        paper.same(f"text.normal.{name}", well, f"table2.patches.{name}.normal")
        labels = [f"table2.patches.{name}.{one}" for one in DISEASES]
        paper.total(f"sum.diseased.{name}", sick, labels)
        several = paper.count(labels) - paper.count(sick)
        paper.add(
            f"labels.{name}",
            [sick, *labels, "methods.diseases.system"],
            stated="diseases not mutually exclusive, several may occur in the same vertebra",
            recomputed=f"{paper.count(labels)} labels on {paper.count(sick)} diseased vertebrae: "
            f"{several} beyond one each",
            method="sum of the five labels − diseased vertebrae",
            verdict="consistent" if several > 0 else "inconsistent" if several == 0 else "impossible",
            on_failure="Every diseased vertebra counts one disease: none of them has two.",
        )
        whole = [*labels, f"table2.patches.{name}.normal"]
        for one in (*DISEASES, "normal"):
            paper.share(
                f"percent.patches.{name}.{one}", f"table2.percent.{name}.{one}", f"table2.patches.{name}.{one}", whole
            )
        per_slice = paper.count(whole) / paper.count(f"table1.slices.{name}")
        paper.add(
            f"units.patches.{name}",
            [*whole, f"table1.slices.{name}"],
            stated=f"{paper.count(whole)} patches on {paper.count(f'table1.slices.{name}')} slices",
            recomputed=f"{per_slice:.2f} vertebrae a slice",
            method="patches / slices; T1 to L5 are 17 vertebrae",
            verdict="consistent" if per_slice <= 17 else "impossible",
        )
    for module, ids in (
        ("vdmodule", [f"results.vertebrae.vdmodule.{name}" for name in ("training", "testing")]),
        ("vcmodule", [f"results.vertebrae.vcmodule.{name}" for name in ("training", "testing")]),
    ):
        refs = [[one] if one in paper else [f"{one}.diseased", f"{one}.normal"] for one in ids]
        a, b = (paper.count(ref) for ref in refs)
        paper.compare(
            f"ratio.{module}",
            f"results.ratio.{module}",
            a / b,
            method=f"{a} / {b}; printed as approximately",
            items=[one for ref in refs for one in ref],
        )


def _detection(paper):
    paper.same(
        "text.map.resnet18",
        "results.map.testing.resnet18",
        "figure2.map.testing.resnet18",
    )
    paper.same("text.map.mobilenet_v2", "results.map.testing.mobilenet_v2", "figure2.map.testing.mobilenet_v2")
    paper.add(
        "text.auc.map",
        ["abstract.auc.testing.resnet18", "results.map.testing.resnet18"],
        stated=f"AUC {paper['abstract.auc.testing.resnet18']}",
        recomputed=f"mAP {paper['results.map.testing.resnet18']}",
        method="the same number under two names",
        verdict="inconsistent"
        if paper["abstract.auc.testing.resnet18"].text == paper["results.map.testing.resnet18"].text
        else "undecidable",
        note="The mean average precision is the area under a precision-recall curve; AUC is read as that under an ROC "
        "curve, which a detector without true negatives does not have.",
    )
    paper.order(
        "claim.map",
        "results.map.testing.resnet18",
        "results.map.testing.mobilenet_v2",
        claim="ResNet18 above MobileNet v2",
    )
    n = "results.vertebrae.vdmodule.testing"
    for rate in ("fp_rate", "fn_rate"):
        places = [f"{place}.{rate}.testing.resnet18" for place in ("abstract", "results", "figure2")]
        paper.same(f"text.{rate}", *places)
        paper.possible_share(
            f"share.{rate}",
            places[1],
            n,
            fail="inconsistent",
            note="Of annotated vertebrae; a mean over images, as the legend of Figure 2 has it, need be no such share.",
        )
    false, missed = (
        round(paper[f"results.{rate}.testing.resnet18"].range.value * paper.count(n)) for rate in ("fp_rate", "fn_rate")
    )
    detected = paper.count(n) - missed + false
    paper.compare(
        "share.fp_rate.detected",
        "results.fp_rate.testing.resnet18",
        false / detected,
        method=f"{false} / ({paper.count(n)} − {missed} + {false}), of the detected vertebrae",
        items=[n, "results.fn_rate.testing.resnet18"],
        fail="undecidable",
    )
    for name in ("training", "testing"):
        a, b = (paper.count(f"results.{what}.vdmodule.{name}") for what in ("vertebrae", "images"))
        paper.add(
            f"units.images.{name}",
            [f"results.vertebrae.vdmodule.{name}", f"results.images.vdmodule.{name}"],
            stated=f"{a} vertebrae on {b} images",
            recomputed=f"{a / b:.2f} vertebrae an image",
            method="vertebrae / images; T1 to L5 are 17",
            verdict="consistent" if 1 <= a / b <= 17 else "impossible",
        )
        paper.order(
            f"claim.images.{name}",
            f"table1.slices.{name}",
            f"results.images.vdmodule.{name}",
            claim="images of the detector are slices of the cohort",
        )
    paper.add(
        "p.precision_recall",
        "results.p.precision_recall",
        recomputed="the pairs of values are not printed",
        method="Wilcoxon's signed rank test on two curves",
        verdict="undecidable",
        note="Points of one curve are not independent, so that the test has no number of pairs.",
    )
    paper.add(
        "text.figure2.legend",
        ["figure2.fp_rate.testing.resnet18", "figure2.fn_rate.testing.resnet18"],
        stated="left and right: histogram of the number of FP vertebrae",
        recomputed=f"FP rate {paper['figure2.fp_rate.testing.resnet18']} and FN rate "
        f"{paper['figure2.fn_rate.testing.resnet18']}",
        method="what the legend calls the two histograms against the rates it gives for them",
        verdict="inconsistent",
    )
    parts = paper.count("figure2.evaluation_types")
    paper.add(
        "text.evaluation_types",
        "figure2.evaluation_types",
        recomputed="hit, false negative, false positive",
        method="types that are named",
        verdict="consistent" if parts == len(("hit", "false negative", "false positive")) else "inconsistent",
    )


def _patches(paper):
    for one in (*DISEASES, "normal"):
        paper.same(f"text.patches.{one}", f"methods.patches.training.{one}", f"table2.patches.training.{one}")
    n = paper.count("methods.patches.training.ovcf")
    paper.compare(
        "resampling.ovcf",
        "methods.patches.training.resampled.ovcf",
        n,
        method=f"{n} unchanged",
        items="methods.patches.training.ovcf",
    )
    factor = paper["methods.undersampling.normal"]
    paper.compare(
        "resampling.normal",
        "methods.patches.training.resampled.normal",
        n * factor.count,
        method=f"{factor} × {n}",
        items=[factor.id, "methods.patches.training.ovcf"],
    )
    half = paper["methods.oversampling"].range.value
    for one in DISEASES[1:]:
        paper.compare(
            f"resampling.{one}",
            f"methods.patches.training.resampled.{one}",
            n * half,
            method=f"{n} × {paper['methods.oversampling']}",
            items=["methods.oversampling", "methods.patches.training.ovcf"],
        )
        paper.order(
            f"resampling.{one}.up",
            f"methods.patches.training.resampled.{one}",
            f"methods.patches.training.{one}",
            claim="minority classes are duplicated",
        )
    paper.total("sum.categories", "methods.categories", ["methods.categories.disease", "methods.categories.normal"])
    for other in ("methods.diseases.annotated", "methods.diseases.system", "methods.categories.disease"):
        paper.same(f"text.{other}", "abstract.diseases", other)
    paper.same("text.categories", "methods.categories", "results.categories", "table3.classes")
    rows = len({one.rsplit(".", 1)[1] for one in paper.ids("table3.sensitivity.testing.*")})
    paper.add(
        "text.table3.classes",
        ["table3.classes", *paper.ids("table3.sensitivity.testing.*")],
        stated=f"{paper['table3.classes']} classes in the title of Table 3",
        recomputed=f"{rows} rows in each dataset, none for normal",
        method="rows of the table",
        verdict="consistent" if rows == paper.count("table3.classes") else "inconsistent",
    )
    paper.same("text.modules", "abstract.modules", "methods.modules", method="modules of the system, in two places")
    columns = len({one.split(".")[1] for one in paper.ids("table3.*.testing.*")})
    paper.add(
        "text.criteria",
        ["methods.vcmodule.criteria"],
        recomputed=f"{columns} columns of Table 3",
        method="columns of the table",
        verdict="consistent" if columns == paper.count("methods.vcmodule.criteria") else "inconsistent",
    )
    paper.same(
        "text.diseases.well",
        "abstract.diseases_diagnosed",
        "conclusions.diseases",
        "discussion.diseases.high_performance",
    )
    paper.same(
        "text.diseases.discussion",
        "abstract.diseases_diagnosed",
        "discussion.diseases",
        method="diseases said to be diagnosed accurately",
    )


# ------------------------------------------------------------------------------------------------- classification


def _classification(paper):
    for name in COHORTS:
        whole = [f"table2.patches.{name}.{one}" for one in (*DISEASES, "normal")]
        for one in DISEASES:
            row = {figure: f"table3.{figure}.{name}.vcmodule.{one}" for figure in FIGURES}
            key, n = f"{name}.{one}", f"table2.patches.{name}.{one}"
            paper.f1(f"f1.{key}", row["f1"], row["ppv"], row["sensitivity"], fail="impossible")
            _prevalence(paper, key, row, n, whole)
            for figure in ("ppv", "npv"):
                _bayes(paper, key, figure, row, n, whole)
            paper.possible_share(
                f"share.sensitivity.{key}",
                row["sensitivity"],
                n,
                fail="inconsistent",
                on_failure="Table 3 is of other patches than Table 2 counts.",
            )
            _counts(paper, key, row, n, whole)


def _prevalence(paper, key, row, n, whole):
    """The share of positives that follows from sensitivity, specificity and PPV, and from NPV: one share for both."""
    se, sp, ppv, npv = (paper[row[figure]].range for figure in FIGURES[:4])

    def odds(numerator, denominator):
        return numerator / denominator if denominator > 0 else np.inf

    # odds = (1 − sp)·PPV / (se·(1 − PPV)) = sp·(1 − NPV) / ((1 − se)·NPV)
    from_ppv = (
        odds((1 - min(sp.high, 1)) * ppv.low, se.high * (1 - ppv.low)),
        odds((1 - sp.low) * min(ppv.high, 1), se.low * (1 - min(ppv.high, 1))),
    )
    from_npv = (
        odds(sp.low * (1 - min(npv.high, 1)), (1 - se.low) * npv.high),
        odds(min(sp.high, 1) * (1 - npv.low), (1 - min(se.high, 1)) * npv.low),
    )
    low, high = max(from_ppv[0], from_npv[0]), min(from_ppv[1], from_npv[1])
    shares = [
        f"{100 * a / (1 + a):.2f} to {100 * b / (1 + b) if np.isfinite(b) else 100:.2f}%"
        for a, b in (from_ppv, from_npv)
    ]
    k, total = paper.count(n), paper.count(whole)
    found = k / (total - k)
    paper.add(
        f"prevalence.{key}",
        [*row.values(), n, *whole],
        stated=f"{k} of {total}, {100 * k / total:.2f}%",
        recomputed=f"{shares[0]} from PPV, {shares[1]} from NPV",
        method="odds = (1 − specificity)·PPV / (sensitivity·(1 − PPV)) "
        "= specificity·(1 − NPV) / ((1 − sensitivity)·NPV)",
        verdict="impossible" if low > high * (1 + 1e-9) else "consistent" if low <= found <= high else "inconsistent",
        on_failure="No share of positives fits both." if low > high else "The share of Table 2 is another.",
    )


def _bayes(paper, key, figure, row, n, whole):
    """PPV or NPV by Bayes from the share of Table 2, negatives being all other patches or the normal ones."""
    k = paper.count(n)
    sizes = {"all others": paper.count(whole) - k, "normal": paper.count(whole[-1])}
    se, sp = paper[row["sensitivity"]], paper[row["specificity"]]
    found = {
        name: ppv_npv_from(se.range, sp.range, k / (k + size))[0 if figure == "ppv" else 1]
        for name, size in sizes.items()
    }
    paper.compare(
        f"bayes.{figure}.{key}",
        row[figure],
        found["all others"],
        recomputed="; ".join(
            f"{value.value:.4f} ({value.low:.4f} to {value.high:.4f}), {name}" for name, value in found.items()
        ),
        method=f"Bayes with sensitivity {se}, specificity {sp}, {k} positives and "
        + " or ".join(f"{size} negatives ({name})" for name, size in sizes.items()),
        items=[se.id, sp.id, n, *whole],
        lenient=found["normal"] if paper[row[figure]].range.meets(found["normal"]) else None,
    )


def _counts(paper, key, row, n, whole):
    """All figures of a row at once from the counts of Table 2; where none fits, the fewest positives that fit."""
    k, total = paper.count(n), paper.count(whole)
    texts = {figure: paper[one].printed for figure, one in row.items()}
    exact = confusion_matrices(k, total - k, texts)
    cut = exact if len(exact) else confusion_matrices(k, total - k, texts, truncation=True)
    other = None
    if cut.empty:
        core = {figure: texts[figure] for figure in ("sensitivity", "ppv", "f1")}
        other = next(
            (found.iloc[0] for size in range(1, 1200) if len(found := _with_false_positives(size, core)) > 0),
            None,
        )
    paper.add(
        f"matrix.{key}",
        [*row.values(), n, *whole],
        stated=", ".join(f"{figure} {paper[one]}" for figure, one in row.items()),
        recomputed=f"no matrix; sensitivity, PPV and F1 fit from {other.tp + other.fn} positives on (TP {other.tp}, "
        f"FN {other.fn}, FP {other.fp})"
        if other is not None
        else "no matrix"
        if cut.empty
        else f"TP {cut.iloc[0].tp}, FN {cut.iloc[0].fn}, FP {cut.iloc[0].fp}, TN {cut.iloc[0].tn}; {len(cut)} in all",
        method=f"all five figures at once from {k} positives and {total - k} others of Table 2",
        verdict="consistent" if len(exact) else "rounding" if len(cut) else "inconsistent",
        on_failure="Table 3 is of other patches than Table 2 counts.",
    )


def _with_false_positives(size, texts):
    """Matrices of ``size`` positives that print as sensitivity, PPV and F1, TN being free."""
    se, ppv, f1 = (printed(texts[figure]) for figure in ("sensitivity", "ppv", "f1"))
    rows = []
    for tp in range(max(1, int(np.ceil(se.low * size - 1e-9))), int(np.floor(se.high * size + 1e-9)) + 1):
        first, last = tp / min(ppv.high, 1) - tp, tp / ppv.low - tp
        for fp in range(max(0, int(np.ceil(first - 1e-9))), int(np.floor(last + 1e-9)) + 1):
            if f1.low - 1e-12 <= 2 * tp / (tp + fp + size) <= f1.high + 1e-12:
                rows.append((tp, size - tp, fp))
    return pd.DataFrame(rows, columns=["tp", "fn", "fp"])


def _averages(paper):
    """Means and SDs over the four classes without SN, and the numbers of SN, against Table 3."""
    for name in COHORTS:
        for figure in FIGURES:
            parts = [f"table3.{figure}.{name}.vcmodule.{one}" for one in FOUR]
            mean = f"results.{figure}.mean.{name}.vcmodule.four"
            paper.mean(f"mean.{figure}.{name}", mean, parts)
            values = np.array([paper[one].range.value for one in parts])
            half = paper[parts[0]].range.high - paper[parts[0]].range.value
            # An SD moves by at most √(n/(n − 1)) of what every value moves by.
            reach = half * np.sqrt(len(values) / (len(values) - 1))
            paper.compare(
                f"sd.{figure}.{name}",
                f"results.{figure}.sd.{name}.vcmodule.four",
                Range(values.std(ddof=1), max(0.0, values.std(ddof=1) - reach), values.std(ddof=1) + reach),
                method=f"SD (n − 1) of {', '.join(paper[one].text for one in parts)}",
                items=parts,
            )
            if f"abstract.{figure}.mean.{name}.vcmodule.four" in paper:
                paper.same(f"text.mean.{figure}.{name}", f"abstract.{figure}.mean.{name}.vcmodule.four", mean)
            paper.same(
                f"text.sn.{figure}.{name}",
                f"results.{figure}.{name}.vcmodule.sn",
                f"table3.{figure}.{name}.vcmodule.sn",
            )
        averaged = "abstract.diseases_averaged." + name
        if averaged in paper:
            paper.add(
                f"text.averaged.{name}",
                [averaged],
                recomputed=f"{len(FOUR)}: {', '.join(FOUR)}",
                method="classes other than SN",
                verdict="consistent" if paper.count(averaged) == len(FOUR) else "inconsistent",
            )
    paper.same("text.averaged.n", "abstract.diseases_averaged.xuanwu", "results.classes_averaged.xuanwu")
    rows = [[f"table3.f1.{name}.vcmodule.{one}" for one in FOUR] for name in ("training", "testing")]
    values = [np.array([paper[one].range.value for one in row]) for row in rows]
    found = pd.DataFrame(
        [
            ("Student's t of the eight F1 scores", *_t_range(values, paired=False)),
            ("paired t over the four classes", *_t_range(values, paired=True)),
        ],
        columns=["test", "p", "p_low", "p_high"],
    )
    paper.p(
        "p.f1",
        "results.p.f1",
        found,
        items=[one for row in rows for one in row],
        method="F1 scores of four classes, training against testing",
        note="Four classes a side: a test of so few cannot show that there is no difference.",
    )


def _t_range(values, *, paired):
    test = stats.ttest_rel if paired else stats.ttest_ind
    p = float(test(*values).pvalue)
    rng = np.random.default_rng(0)
    moved = [
        float(test(*(value + rng.uniform(-5e-4, 5e-4, len(value)) for value in values)).pvalue) for _ in range(200)
    ]
    return p, min(p, *moved), max(p, *moved)


def _claims(paper):
    for name in COHORTS:
        paper.order(
            f"claim.kd_fewer.{name}",
            f"table2.patches.{name}.sn",
            f"table2.patches.{name}.kd",
            claim="the number of KD was even less than SN, yet recognized on training and testing datasets",
            on_failure="Here KD outnumbers SN.",
        )
        others = [f"table3.f1.{name}.vcmodule.{one}" for one in FOUR]
        worst = min(others, key=lambda one: paper[one].range.value)
        paper.order(f"claim.sn_poor.{name}", worst, f"table3.f1.{name}.vcmodule.sn", claim="relatively poor for SN")
    for what, name in (("sex", "gender"), ("dexa", "DEXA T-score")):
        significant = paper[f"table1.p.{what}"].range.value < paper["methods.significance"].range.value
        paper.add(
            f"claim.{what}",
            [f"table1.p.{what}", "methods.significance"],
            stated=f"no significant differences in {name}",
            recomputed=f"p {'<' if significant else '≥'} {paper['methods.significance']}",
            method="p against the level",
            verdict="inconsistent" if significant else "consistent",
        )
    labels = [[f"table2.patches.{name}.{label}" for label in ("sn", "kd")] for name in COHORTS[:2]]
    p = p_from_counts([[paper.count(one) for one in row] for row in labels]).set_index("test")["p"]["chi-squared"]
    paper.add(
        "split.sn_kd",
        [one for row in labels for one in row],
        stated="training and testing patients of one hospital",
        recomputed=f"chi-squared p = {p:.1e}",
        method="SN and KD patches, training against testing",
        verdict="undecidable",
        note="Patches of one patient go together, so that the test exaggerates; how many patients have which disease "
        "is not printed.",
    )
