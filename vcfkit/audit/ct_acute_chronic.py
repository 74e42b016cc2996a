"""Checks of the numbers that paper 05 (Zhang J 2023) prints.

Table 2 does not say which class is positive. Acute is taken, as the F1-scores ask for it; where a figure cannot be had
from the vertebrae of its class, chronic as positive is tried too before it is called impossible.
"""

from itertools import pairwise

import pandas as pd
from scipy import stats

from . import primitives
from .findings import Paper
from .primitives import Range

STEM = "05_ct_acute_chronic"

CLASSES = ("acute", "chronic")
COHORTS = {"training": "training", "testing": "validation"}  # Table 2 and Discussion
MODELS = ("radiomics", "dlr", "fusion", "dlrn")
LABELS = {"radiomics": "Radiomics", "dlr": "DLR", "fusion": "Features Fusion", "dlrn": "DLRN"}
FIGURES = ("accuracy", "sensitivity", "specificity", "f1")


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
    _cohort(paper)
    _split(paper)
    _baseline(paper)
    _features(paper)
    _same_aucs(paper)
    _table_2(paper)
    _aucs(paper)
    _comparisons(paper)
    _discussion(paper)


# ----------------------------------------------------------------------------------------------------------- cohort


def _cohort(paper: Paper) -> None:
    paper.same("same.screened", "methods.patients.screened", "results.patients.screened")
    paper.same("same.patients", "abstract.patients", "results.patients")
    reasons = [f"results.patients.excluded.{name}" for name in ("infection", "quality", "uncertain")]
    paper.total("sum.excluded", "results.patients.excluded", reasons)
    paper.total(
        "sum.included",
        "results.patients",
        ["results.patients.screened", "-results.patients.excluded"],
        method="screened less excluded",
    )
    paper.add(
        "text.screened",
        ["results.patients.screened", "results.patients.excluded"],
        stated=f"{paper['results.patients.screened']} patients who met the inclusion criteria",
        recomputed=f"{paper['results.patients.excluded']} of them left out by the exclusion criteria",
        method=f"{paper['results.patients.screened']} − {paper['results.patients.excluded']} = "
        f"{paper.count(['results.patients.screened', '-results.patients.excluded'])}: inclusion criteria met, then "
        "exclusions",
        verdict="consistent",
    )
    paper.total("sum.sex", "results.patients", ["results.males", "results.females"])
    paper.total("sum.table_1.patients", "results.patients", [f"table1.patients.{cls}" for cls in CLASSES])
    for cls in CLASSES:
        paper.total(
            f"sum.table_1.sex.{cls}", f"table1.patients.{cls}", [f"table1.females.{cls}", f"table1.males.{cls}"]
        )
    for sex in ("females", "males"):
        moved = paper.count([f"results.{sex}", *(f"-table1.{sex}.{cls}" for cls in CLASSES)])
        paper.total(
            f"sum.table_1.{sex}",
            f"results.{sex}",
            [f"table1.{sex}.{cls}" for cls in CLASSES],
            method="text against both columns of Table 1",
            on_failure=f"Text and table both add up to {paper['results.patients']} patients, with {abs(moved)} counted "
            "as the other sex.",
        )
    for cls in CLASSES:
        paper.same(
            f"same.vertebrae.{cls}",
            f"abstract.vertebrae.{cls}",
            f"results.vertebrae.{cls}",
            f"table1.vertebrae.{cls}",
            f"discussion.vertebrae.{cls}",
        )
        for level in ("thoracic", "lumbar"):
            paper.same(f"same.{level}.{cls}", f"results.vertebrae.{level}.{cls}", f"table1.vertebrae.{level}.{cls}")
        for place in ("results", "table1"):
            paper.total(
                f"sum.{place}.levels.{cls}",
                f"{place}.vertebrae.{cls}",
                [f"{place}.vertebrae.{level}.{cls}" for level in ("thoracic", "lumbar")],
            )
        n, k = paper.count(f"table1.patients.{cls}"), paper.count(f"table1.vertebrae.{cls}")
        paper.add(
            f"bound.vertebrae.{cls}",
            [f"table1.vertebrae.{cls}", f"table1.patients.{cls}"],
            recomputed=f"{k / n:.2f} vertebrae per patient",
            method=f"{k} / {n}, at least 1",
            verdict="consistent" if k >= n else "impossible",
        )
    for place in ("abstract", "results", "table1", "discussion"):
        paper.total(f"sum.vertebrae.{place}", "discussion.vertebrae", [f"{place}.vertebrae.{cls}" for cls in CLASSES])
    paper.same("same.vertebrae", "discussion.vertebrae.selected", "discussion.vertebrae")
    paper.add(
        "text.patients.both",
        ["table1.patients.acute", "table1.patients.chronic", "results.patients", "figure12.age.chronic"],
        stated=f"patients with acute VCFs {paper['table1.patients.acute']}, with chronic VCFs "
        f"{paper['table1.patients.chronic']}",
        recomputed=f"{paper['table1.patients.acute']} + {paper['table1.patients.chronic']} = "
        f"{paper.count(['table1.patients.acute', 'table1.patients.chronic'])}: every patient in one column",
        method="Figure 12 shows a patient with multiple acute and chronic fractures, who belongs to both columns",
        verdict="undecidable",
        note="How patients with fractures of both kinds were counted is not printed.",
    )
    paper.add(
        "same.interval_ct_mri",
        ["abstract.interval_ct_mri", "methods.interval_ct_mri"],
        stated=f"MRI within {paper['abstract.interval_ct_mri'].text} weeks (Abstract)",
        recomputed=f"less than {paper['methods.interval_ct_mri'].text} days (Methods)",
        method="2 weeks = 14 days, not 3",
        verdict="inconsistent",
    )
    for reader, other in (("first", "a"), ("second", "b")):
        paper.same(
            f"same.experience.{other}",
            f"methods.readers.experience.{reader}",
            f"methods.segmentation.experience.{other}",
            method="experience of the two radiologists in two places",
        )


def _split(paper: Paper) -> None:
    for cls in CLASSES:
        paper.total(
            f"sum.split.{cls}",
            f"discussion.vertebrae.{cls}",
            [f"discussion.vertebrae.{cohort}.{cls}" for cohort in COHORTS.values()],
        )
    cells = [f"discussion.vertebrae.{cohort}.{cls}" for cohort in COHORTS.values() for cls in CLASSES]
    paper.total("sum.split", "discussion.vertebrae", cells)
    for label, classes in {"all": CLASSES, "acute": ("acute",), "chronic": ("chronic",)}.items():
        counts = [
            sum(paper.count(f"discussion.vertebrae.{cohort}.{cls}") for cls in classes) for cohort in COHORTS.values()
        ]
        total = sum(counts)
        expected = float(paper["methods.share.training"].text) * total
        paper.add(
            f"split.vertebrae.{label}",
            ["methods.share.training", "methods.share.testing"]
            + [f"discussion.vertebrae.{cohort}.{cls}" for cohort in COHORTS.values() for cls in classes],
            stated="8:2",
            recomputed=f"{counts[0]}:{counts[1]} = {10 * counts[0] / total:.2f}:{10 * counts[1] / total:.2f}",
            method=f"{paper['methods.share.training']}·{total} = {expected:g}",
            verdict="consistent" if abs(counts[0] - expected) < 1 else "inconsistent",
        )
    ratios = [
        ":".join(str(paper[f"discussion.vertebrae.{cohort}.{cls}"]) for cohort in COHORTS.values()) for cls in CLASSES
    ]
    paper.add(
        "text.split.unit",
        ["methods.share.training", "methods.share.testing", *cells, "results.patients"],
        stated="patients randomly allocated 8:2",
        recomputed=f"vertebrae are divided exactly 8:2 in both classes ({' and '.join(ratios)})",
        method=f"{paper['methods.share.training']} of either class to the vertebra; with 1 to several vertebrae per "
        f"patient, dividing {paper['results.patients']} patients at random would hit both only by chance",
        verdict="undecidable",
        note="The counts are those of a division of vertebrae, stratified by class; patients per cohort are not "
        "printed. With vertebrae divided, fractures of one patient may stand on both sides.",
    )
    paper.add(
        "text.cohort_name",
        [f"discussion.vertebrae.validation.{cls}" for cls in CLASSES],
        stated="validation cohort (Discussion)",
        recomputed="test cohort (everywhere else)",
        method="names of the second cohort",
        verdict="inconsistent",
        note="One cohort under two names; no third is described.",
    )


# --------------------------------------------------------------------------------------------------------- Table 1


def _baseline(paper: Paper) -> None:
    for cls in CLASSES:
        for figure in ("mean", "sd", "range"):
            paper.same(f"same.age.{figure}.{cls}", f"results.age.{figure}.{cls}", f"table1.age.{figure}.{cls}")
    for end in ("low", "high"):
        both = [getattr(paper[f"results.age.range.{cls}"], end) for cls in CLASSES]
        outer = (min if end == "low" else max)(both, key=float)
        paper.add(
            f"same.age.range.{end}",
            ["results.age.range", *(f"results.age.range.{cls}" for cls in CLASSES)],
            stated=getattr(paper["results.age.range"], end),
            recomputed=outer,
            method=f"{'least' if end == 'low' else 'greatest'} of {both[0]} and {both[1]}",
            verdict="consistent" if outer == getattr(paper["results.age.range"], end) else "inconsistent",
        )
    for mean, sd, span in [
        ("results.age.mean", "results.age.sd", "results.age.range"),
        *((f"table1.age.mean.{cls}", f"table1.age.sd.{cls}", f"table1.age.range.{cls}") for cls in CLASSES),
    ]:
        low, high, m = float(paper[span].low), float(paper[span].high), paper[mean].range
        most = max((x - low) * (high - x) for x in m) ** 0.5
        paper.add(
            f"bound.age.{mean.rpartition('.')[2]}",
            [mean, sd, span],
            stated=f"{paper[mean]} ± {paper[sd]}",
            recomputed=f"SD at most {most:.1f}",
            method=f"√(({m.value:g} − {low:g})·({high:g} − {m.value:g})): all at the ends of the range",
            verdict="consistent" if paper[sd].range.low <= most * 1.01 else "impossible",
        )
    patients = [(f"table1.age.mean.{cls}", f"table1.age.sd.{cls}", f"table1.patients.{cls}") for cls in CLASSES]
    paper.pooled(
        "pooled.age",
        "results.age.mean",
        "results.age.sd",
        patients,
        on_failure=f"The columns of Table 1 add up to the {paper['results.patients']} patients of the text.",
    )
    vertebrae = [(f"table1.age.mean.{cls}", f"table1.age.sd.{cls}", f"table1.vertebrae.{cls}") for cls in CLASSES]
    paper.pooled(
        "pooled.age.vertebrae",
        "results.age.mean",
        "results.age.sd",
        vertebrae,
        note="Weighted with vertebrae instead of patients.",
    )
    a, b = (paper[f"table1.age.mean.{cls}"].range for cls in CLASSES)
    inside = a.low <= paper["results.age.mean"].range.value <= b.high
    share = (b.value - paper["results.age.mean"].range.value) / (b.value - a.value)
    paper.add(
        "between.age",
        ["results.age.mean", *(f"table1.age.mean.{cls}" for cls in CLASSES)],
        stated=str(paper["results.age.mean"]),
        recomputed=f"between {a.value:g} and {b.value:g}; it would need {100 * share:.0f}% acute",
        method=f"({b.value:g} − {paper['results.age.mean'].text}) / ({b.value:g} − {a.value:g}); "
        f"{paper['table1.patients.acute']}/{paper['results.patients']} are "
        f"{100 * paper.count('table1.patients.acute') / paper.count('results.patients'):.0f}%",
        verdict="consistent" if inside else "impossible",
    )
    # p values of Table 1
    paper.p_means(
        "p.age",
        "table1.p.age",
        patients,
        on_failure="No test is named. A rank test also depends on the shapes, which are not printed; of two normal "
        "distributions it would give p far below 0.001 as well.",
    )
    paper.p_means("p.age.vertebrae", "table1.p.age", vertebrae, note="With vertebrae for n.")
    paper.p_counts(
        "p.sex", "table1.p.sex", [[f"table1.{sex}.{cls}" for sex in ("females", "males")] for cls in CLASSES]
    )
    paper.p_counts(
        "p.levels",
        "table1.p.vertebrae",
        [[f"table1.vertebrae.{level}.{cls}" for level in ("thoracic", "lumbar")] for cls in CLASSES],
        note="Read as thoracic and lumbar, acute against chronic.",
    )
    k, n = paper.count("table1.vertebrae.acute"), paper.count("discussion.vertebrae")
    of_patients = paper.count("table1.patients.acute") / paper.count("results.patients")
    candidates = {
        "half of the vertebrae acute (binomial)": stats.binomtest(k, n, 0.5).pvalue,
        "as many vertebrae per patient (conditional binomial)": stats.binomtest(k, n, of_patients).pvalue,
    }
    paper.p(
        "p.vertebrae",
        "table1.p.vertebrae",
        pd.DataFrame([(name, p, p, p) for name, p in candidates.items()], columns=["test", "p", "p_low", "p_high"]),
        items=[f"table1.{one}.{cls}" for one in ("vertebrae", "patients") for cls in CLASSES],
        method=f"{k} of {n} vertebrae against a share of 1/2, and of {100 * of_patients:.1f}% "
        f"({paper['table1.patients.acute']}/{paper['results.patients']})",
        note="The footnote: difference in the number of acute and chronic fractures.",
    )


# --------------------------------------------------------------------------------------------------------- features


def _features(paper: Paper) -> None:
    paper.same(
        "same.features.icc", "methods.selection.features.after_icc", "methods.selection.features.before_spearman"
    )
    path = ["extracted", "after_icc", "after_spearman"]
    steps = [f"methods.selection.features.{name}" for name in path] + ["results.features.radiomics"]
    for before, after in pairwise(steps):
        a, b = paper.count(before), paper.count(after)
        paper.add(
            f"path.{after.rpartition('.')[2]}",
            [before, after],
            recomputed=f"{a} → {b}",
            method=f"a selection keeps no more than it had: {a - b} left out",
            verdict="consistent" if b <= a else "impossible",
        )
    paper.same("same.features.radiomics", "abstract.features.radiomics", "results.features.radiomics")
    paper.same("same.features.radiomics.discussion", "results.features.radiomics", "discussion.features.radiomics")
    paper.same("same.features.dlr", "abstract.features.dlr", "results.features.dlr")
    families = ("firstorder", "shape", "glcm", "glszm", "glrlm")
    paper.total(
        "sum.features.radiomics",
        "results.features.radiomics",
        [f"results.features.radiomics.{name}" for name in families],
    )
    for model in ("radiomics", "dlr"):
        paper.same(
            f"same.score_features.{model}",
            f"results.features.{model}",
            f"results.score_features.{model}",
            method="features selected, features of the score",
            on_failure="A score of all selected features has as many coefficients as features."
            * (model == "radiomics"),
        )
    fusion = {
        "abstract": ["abstract.features.fusion"],
        "methods": ["methods.features.fusion"],
    }
    for name, whole in fusion.items():
        for place in ("results", "discussion"):
            paper.total(
                f"sum.features.fusion.{name}.{place}",
                whole,
                [f"{place}.features.fusion.hcr", f"{place}.features.fusion.dtl"],
            )
    paper.same("same.features.fusion", "abstract.features.fusion", "methods.features.fusion")
    for kind in ("hcr", "dtl"):
        paper.same(
            f"same.features.fusion.{kind}", f"results.features.fusion.{kind}", f"discussion.features.fusion.{kind}"
        )
        source = "results.features.radiomics" if kind == "hcr" else "results.features.dlr"
        a, b = paper.count(source), paper.count(f"results.features.fusion.{kind}")
        paper.add(
            f"path.fusion.{kind}",
            [source, f"results.features.fusion.{kind}"],
            recomputed=f"{a} → {b}",
            method="the fused set keeps no more of a kind than was selected",
            verdict="consistent" if b <= a else "inconsistent",
        )
    both = ["results.features.radiomics", "results.features.dlr"]
    paper.add(
        "path.fusion",
        [*both, "abstract.features.fusion", "methods.features.fusion"],
        stated=f"{paper['abstract.features.fusion'].text}, {paper['methods.features.fusion'].text}",
        recomputed=f"at most {paper.count(both)}",
        method="41 + 50 fused, then selected",
        verdict="consistent" if paper.count("abstract.features.fusion") <= paper.count(both) else "impossible",
    )
    dtl, components = paper.count("methods.dtl.features"), paper.count("methods.dtl.components")
    training = paper.count([f"discussion.vertebrae.training.{cls}" for cls in CLASSES])
    paper.add(
        "path.components",
        ["methods.dtl.features", "methods.dtl.components"]
        + [f"discussion.vertebrae.training.{cls}" for cls in CLASSES],
        recomputed=f"{dtl} → {components} ≤ {min(dtl, training - 1)}",
        method=f"principal components: at most the smaller of {dtl} features and {training} − 1 training vertebrae",
        verdict="consistent" if components <= min(dtl, training - 1) else "impossible",
    )
    paper.add(
        "path.dlr",
        ["methods.dtl.components", "results.features.dlr"],
        recomputed=f"{components} → {paper.count('results.features.dlr')}",
        method="the selection keeps no more than the components",
        verdict="consistent" if paper.count("results.features.dlr") <= components else "impossible",
    )
    for model, figure in (("radiomics", "figure7"), ("dlr", "figure8"), ("fusion", "figure9")):
        paper.same(f"same.lambda.{model}", f"results.lambda.{model}", f"{figure}.lambda.{model}")
    extracted = paper.count("methods.selection.features.extracted")
    paper.add(
        "text.features.extracted",
        "methods.selection.features.extracted",
        recomputed=f"({extracted} − 14) / 93 = {(extracted - 14) / 93:.2f} image types",
        method="Pyradiomics: 14 shape features once, of each image type 18 first-order, 24 GLCM, 14 GLDM, 16 GLRLM, "
        "16 GLSZM and 5 NGTDM",
        verdict="undecidable",
        note="The filters and any features left out are not printed, so the number cannot be reproduced.",
    )
    paper.add(
        "text.lasso_cox",
        [f"results.lambda.{model}" for model in ("radiomics", "dlr", "fusion")],
        stated="LASSO-Cox regression",
        recomputed="acute or chronic: two classes, no time to an event anywhere",
        method="Cox regression models the time to an event",
        verdict="inconsistent",
        note="The penalties cannot be reproduced without knowing which model they belong to.",
    )
    paper.add(
        "text.z_score",
        "methods.features.fusion",
        stated="Z score: subtracting the mean and dividing by the variance, to a standard normal distribution",
        recomputed="SD of (x − mean) / variance is 1 / SD, which is 1 only where the SD was 1",
        method="a Z score divides by the standard deviation",
        verdict="inconsistent",
        note="Nor does standardising make a distribution normal.",
    )
    redone = paper.count("methods.segmentation.patients")
    paper.add(
        "bound.redelineated",
        ["methods.segmentation.patients", "results.patients"],
        recomputed=f"{redone} ≤ {paper.count('results.patients')}",
        method="patients delineated again are patients of the study",
        verdict="consistent" if redone <= paper.count("results.patients") else "impossible",
    )


# ------------------------------------------------------------------------------------------------------ performance


def _same_aucs(paper: Paper) -> None:
    for cohort in COHORTS:
        for model in MODELS:
            name = f"auc.{cohort}.{model}"
            for place in ("abstract", "results", "discussion"):
                if f"{place}.{name}" in paper:
                    paper.same(
                        f"same.{name}.{place}",
                        f"{place}.{name}",
                        f"table2.{name}",
                        on_failure=f"{paper[f'{place}.{name}'].text} is the AUC of DLRN in Table 2 and the Abstract."
                        if model == "dlr"
                        else "",
                    )
    for cohort in COHORTS:
        name = f"p.delong.{cohort}.fusion_dlrn"
        paper.same(f"same.{name}", f"abstract.{name}", f"results.{name}")
        paper.same(
            f"same.p.delong.{cohort}.others", f"abstract.p.delong.{cohort}.others", f"results.p.delong.{cohort}.others"
        )


def _table_2(paper: Paper) -> None:
    for model in MODELS:
        for cohort, counted in COHORTS.items():
            row = {figure: f"table2.{figure}.{cohort}.{model}" for figure in FIGURES}
            acute, chronic = (f"discussion.vertebrae.{counted}.{cls}" for cls in CLASSES)
            name = f"{cohort}.{model}"
            # The nomogram alone might have been tested per patient, whose number is not printed.
            unless = "inconsistent" if model == "dlrn" else "impossible"
            paper.possible_share(
                f"grim.accuracy.{name}",
                row["accuracy"],
                [acute, chronic],
                fail=unless,
                on_failure="If the nomogram was tested on other cases than the vertebrae, the paper does not say so."
                * (model == "dlrn"),
            )
            _share_of_class(paper, f"grim.sensitivity.{name}", row["sensitivity"], acute, chronic, unless)
            _share_of_class(paper, f"grim.specificity.{name}", row["specificity"], chronic, acute, unless)
            paper.between(f"between.{name}", row["accuracy"], row["sensitivity"], row["specificity"])
            _implied(paper, name, row, acute, chronic)
            _matrix(paper, f"matrix.{name}", row, acute, chronic, model)
            _auc_of_point(paper, name, row)


def _share_of_class(paper: Paper, id: str, share: str, own: str, other: str, unless: str) -> None:
    """A sensitivity or specificity as a share of its class; impossible only if neither class of the cohort gives it."""
    text = paper[share].printed
    swapped = primitives.percentage_is_possible(text, paper.count(other), truncation=True)
    k = f"{swapped[0]}/{paper.count(other)}" if swapped else ""
    paper.possible_share(
        id,
        share,
        own,
        fail="inconsistent" if swapped else unless,
        on_failure=f"With the classes exchanged it could be {k}, which the F1-scores exclude."
        if swapped
        else f"Nor does a count of the {paper.count(other)} of the other class give it.",
    )


def _implied(paper: Paper, name: str, row: dict[str, str], acute: str, chronic: str) -> None:
    """Accuracy and F1 from the printed sensitivity and specificity and the class sizes."""
    p, n = paper.count(acute), paper.count(chronic)
    se, sp = paper[row["sensitivity"]], paper[row["specificity"]]
    right = Range(*((p * a + n * b) / (p + n) for a, b in zip(se.range, sp.range, strict=True)))
    # What digits that were cut off leave open.
    lenient = Range(*((p * a + n * b) / (p + n) for a, b in zip(se.cut, sp.cut, strict=True)))
    paper.compare(
        f"implied.accuracy.{name}",
        row["accuracy"],
        right,
        lenient=lenient,
        method=f"({p}·{se.text} + {n}·{sp.text}) / {p + n}",
        items=[row["sensitivity"], row["specificity"], acute, chronic],
    )

    def f1(a, b):
        return 2 * p * a / (2 * p * a + n * (1 - b) + p * (1 - a))

    ends = [Range(*(f1(a, b) for a, b in zip(x, y, strict=True))) for x, y in ((se.range, sp.range), (se.cut, sp.cut))]
    tp, fp, fn = p * se.range.value, n * (1 - sp.range.value), p * (1 - se.range.value)
    paper.compare(
        f"implied.f1.{name}",
        row["f1"],
        ends[0],
        lenient=ends[1],
        method=f"2·TP / (2·TP + FP + FN) with TP = {p}·{se.text}% = {tp:.1f}, FP = {n}·(100 − {sp.text})% = {fp:.1f}, "
        f"FN = {fn:.1f}",
        items=[row["sensitivity"], row["specificity"], acute, chronic],
    )


def _matrix(paper: Paper, id: str, row: dict[str, str], acute: str, chronic: str, model: str) -> None:
    printed = {figure: paper[one].printed for figure, one in row.items()}
    swapped = primitives.confusion_matrices(paper.count(chronic), paper.count(acute), printed, truncation=True)
    total = paper.count([acute, chronic])
    others = []
    if model == "dlrn":  # the only model that might have been tested per patient
        others = [
            (n, *map(int, found.iloc[0]))
            for n in range(2, total + 1)
            if not (found := primitives.confusion_matrices(None, None, printed, n=n, truncation=True)).empty
        ]
    failure = "Chronic as the positive class gives none either."
    if others:
        n, tp, fn, fp, tn = others[0]
        failure += f" Other cases would: {tp} of {tp + fn} and {tn} of {fp + tn}, {n} in all."
    paper.matrix(
        id,
        row,
        acute,
        chronic,
        fail="inconsistent" if others or not swapped.empty else "impossible",
        on_failure=failure,
    )


def _auc_of_point(paper: Paper, name: str, row: dict[str, str]) -> None:
    """A ROC curve through one point (sensitivity, specificity) has an area between two bounds."""
    auc = f"table2.auc.{name}"
    se, sp = paper[row["sensitivity"]].range, paper[row["specificity"]].range
    low, high = se.low * sp.low, 1 - (1 - se.high) * (1 - sp.high)
    fits = paper[auc].range.high >= low and paper[auc].range.low <= high
    paper.add(
        f"point.auc.{name}",
        [auc, row["sensitivity"], row["specificity"]],
        stated=str(paper[auc]),
        recomputed=f"between {low:.3f} and {high:.4f}",
        method=f"the curve rises through its point: at least {se.value:.3f}·{sp.value:.3f}, at most 1 − "
        f"{1 - se.value:.3f}·{1 - sp.value:.3f}",
        verdict="consistent" if fits else "inconsistent",
    )


def _aucs(paper: Paper) -> None:
    for cohort, counted in COHORTS.items():
        acute, chronic = (f"discussion.vertebrae.{counted}.{cls}" for cls in CLASSES)
        for model in MODELS:
            auc = f"table2.auc.{cohort}.{model}"
            paper.inside(f"inside.auc.{cohort}.{model}", auc)
            paper.auc_interval(f"interval.auc.{cohort}.{model}", auc, acute, chronic)
            value, low, high = (primitives.printed(text) for text in paper[auc].interval)
            other = Range(2 * value.value - low.value, 2 * value.low - low.high, 2 * value.high - low.low)
            fits = other.meets(high)
            paper.add(
                f"symmetric.auc.{cohort}.{model}",
                auc,
                recomputed=f"upper bound {other.value:.3f}",
                method=f"2·{paper[auc].text} − {paper[auc].low}: an interval of AUC ± 1.96 SE is symmetric",
                verdict="consistent" if fits else "undecidable",
                on_failure="Cut off at 1 the bound would print as 1.000." if other.high > 1 else "",
            )
        aucs = [paper[f"table2.auc.{cohort}.{model}"] for model in MODELS]
        values = [item.range.value for item in aucs]
        paper.add(
            f"order.auc.{cohort}",
            [item.id for item in aucs],
            stated="features fusion better than radiomics or DLR alone",
            recomputed=f"{aucs[2].text} > {aucs[0].text} and {aucs[1].text}",
            method="AUCs of Table 2",
            verdict="consistent" if values[2] > max(values[:2]) else "inconsistent",
        )
        paper.add(
            f"order.auc.optimal.{cohort}",
            [item.id for item in aucs],
            stated="as shown in Table 2, the optimal prediction model is the features fusion",
            recomputed=f"DLRN {aucs[3].text} > features fusion {aucs[2].text}",
            method="greatest AUC of the rows of Table 2",
            verdict="consistent" if values[2] >= max(values) else "undecidable",
            on_failure="The sentence may leave the nomogram out; Table 2 does not.",
        )
    paper.add(
        "text.compared_models",
        ["results.compared_models", *(f"table2.auc.testing.{model}" for model in MODELS)],
        stated=f"comparison of {paper['results.compared_models'].text} prediction models",
        recomputed=f"{len(MODELS)} rows in Table 2, {len(MODELS) - 1} without the nomogram",
        method="rows of Table 2",
        verdict="consistent",
    )
    for model in MODELS:
        a, b = (paper[f"table2.auc.{cohort}.{model}"] for cohort in COHORTS)
        paper.add(
            f"order.cohorts.{model}",
            [a.id, b.id],
            recomputed=f"{a.text} ≥ {b.text}",
            method="a model is not expected to do worse on the vertebrae it was fitted to",
            verdict="consistent" if a.range.value >= b.range.value else "undecidable",
        )


def _comparisons(paper: Paper) -> None:
    for cohort in COHORTS:
        paper.p_paired(
            f"p.delong.{cohort}.fusion_dlrn",
            f"results.p.delong.{cohort}.fusion_dlrn",
            f"table2.auc.{cohort}.fusion",
            f"table2.auc.{cohort}.dlrn",
            items=f"abstract.p.delong.{cohort}.fusion_dlrn",
            on_failure="Two models of the same vertebrae correlate positively, which makes p smaller still.",
        )
    pairs = [(a, b) for i, a in enumerate(MODELS) for b in MODELS[i + 1 :] if (a, b) != ("fusion", "dlrn")]
    for cohort in COHORTS:
        for a, b in pairs:
            paper.p_paired(
                f"p.delong.{cohort}.{a}_{b}",
                f"abstract.p.delong.{cohort}.others",
                f"table2.auc.{cohort}.{a}",
                f"table2.auc.{cohort}.{b}",
                note="Read as in the Abstract: models against each other within a cohort.",
                on_failure="The correlation is not printed; it would have to be that high.",
            )
    for model in MODELS:
        first, second = (f"table2.auc.{cohort}.{model}" for cohort in COHORTS)
        found = primitives.p_from_intervals(paper[first].interval, paper[second].interval)
        paper.p(
            f"p.cohorts.{model}",
            "results.p.delong.testing.others",
            found[found["test"].str.startswith("independent")],
            items=[first, second],
            method=f"SE = width / 3.92 of {paper[first]} and {paper[second]}, z = difference / √(SE₁² + SE₂²)",
            note="Read as in Results: a model in the training against the test cohort.",
        )
    paper.add(
        "text.delong.others",
        [f"{place}.p.delong.{cohort}.others" for place in ("abstract", "results") for cohort in COHORTS],
        stated="other models differ in the training and test cohort (Abstract)",
        recomputed="other models differ between the training and the test cohort (Results)",
        method="comparison of models within a cohort against comparison of cohorts",
        verdict="inconsistent",
        note="Two different comparisons under one p < 0.05.",
    )


def _discussion(paper: Paper) -> None:
    paper.add(
        "text.figure_12",
        ["figure12.age.acute", "figure12.age.chronic"],
        stated="correlation coefficients of the features in Fig. 12 (Discussion)",
        recomputed="Figure 12 shows two patients; coefficients are in Figures 7 to 9",
        method="captions",
        verdict="inconsistent",
    )
    for figure, cls in [("methods.figure4", "acute"), *((f"figure{n}", cls) for n in (12, 13) for cls in CLASSES)]:
        age = f"{figure}.age" if figure.startswith("methods") else f"{figure}.age.{cls}"
        span = f"table1.age.range.{cls}"
        inside = float(paper[span].low) <= paper[age].count <= float(paper[span].high)
        paper.add(
            f"bound.age.{figure.removeprefix('methods.')}.{cls}",
            [age, span],
            recomputed=f"{paper[age].text} in {paper[span]}",
            method="age of the patient shown within the range of the class",
            verdict="consistent" if inside else "inconsistent",
        )
    paper.add(
        "text.osteoporotic",
        ["discussion.osteoporotic_share", "discussion.vertebrae"],
        stated="about half of the cases were osteoporotic fractures",
        recomputed="no count of osteoporotic or traumatic fractures",
        method="no number to recompute it from",
        verdict="undecidable",
    )
    cohorts = [f"discussion.yang.{cohort}.{cls}" for cohort in ("training", "validation") for cls in CLASSES]
    paper.total("sum.yang", "discussion.yang.patients", cohorts, method="another study as cited (Yang 2022)")
    for cohort in ("training", "testing"):
        paper.total(
            f"sum.kim.{cohort}",
            f"discussion.kim.{cohort}",
            [f"discussion.kim.{cohort}.{cls}" for cls in CLASSES],
            method="another study as cited (Kim 2022)",
        )
        n, k = paper.count(f"discussion.kim.{cohort}.patients"), paper.count(f"discussion.kim.{cohort}")
        paper.add(
            f"bound.kim.{cohort}",
            [f"discussion.kim.{cohort}", f"discussion.kim.{cohort}.patients"],
            recomputed=f"{k} fractures in {n} patients",
            method="at least one fracture per patient",
            verdict="consistent" if k >= n else "impossible",
        )
