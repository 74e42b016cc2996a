"""Checks of the numbers that paper 04 (Zhang J 2024) prints.

Table 1 is headed "patients" and counts vertebrae, so its counts, means and SDs are read both ways.
The accuracies of Table 3 are read as one-vs-rest accuracies of the vertebrae of a set, which is how Methods introduce
them; other readings (sensitivity, predictive value, F1 of a class) are tried and named in the notes.
"""

import math
from itertools import product

from scipy import stats

from . import primitives
from .findings import Paper, show
from .primitives import Range

STEM = "04_xray_ovf_astlof"

SETS = ("training", "internal", "external", "prospective")
CENTERS = ("center-i", "center-ii", "center-iii")
MODELS = ("radimagenet", "imagenet")
CLASSES = ("class-0", "class-1", "class-2")
TREATMENTS = ("conservative", "pva", "open_surgery")
# The characteristics of Table 1 and their categories.
CHARACTERISTICS = {
    "sex": ("female", "male"),
    "location": ("thoracic", "lumbar"),
    "staging": ("acute", "chronic"),
    "treatment": TREATMENTS,
}


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
    _cohort(paper)
    _flow(paper)
    _classification(paper)
    _baseline(paper)
    _table_1(paper)
    _table_2(paper)
    _allocation(paper)
    _features(paper)
    _performance_in_text(paper)
    _accuracies(paper)
    _aucs(paper)
    _comparison(paper)


# -------------------------------------------------------------------------------------------- cohort and flow chart


def _cohort(paper: Paper) -> None:
    paper.same("same.patients", "abstract.patients", "results.patients")
    paper.same("same.vertebrae", "abstract.vertebrae", "results.vertebrae")
    paper.same("same.hospitals", "abstract.hospitals", "discussion.hospitals")
    paper.same("same.subsets", "abstract.subsets", "methods.subsets")
    paper.total("sum.vertebrae.sets", "abstract.vertebrae", [f"abstract.samples.{name}" for name in SETS])
    for name in SETS:
        paper.same(
            f"same.vertebrae.{name}",
            f"abstract.samples.{name}",
            f"figure_1.vertebrae.{name}",
            f"table_1.vertebrae.{name}",
        )
    paper.add(
        "text.random_division",
        [f"{one}.{name}" for one in ("abstract.samples", "figure_1.patients") for name in ("external", "prospective")]
        + [f"figure_1.patients.{center}" for center in CENTERS],
        stated="four subsets divided randomly",
        recomputed="training and internal validation from Center I, external from Center II, prospective from III",
        method="Figure 1: what remains of each center (777, 96, 68) is what the sets of that center hold",
        verdict="inconsistent",
        note="Only the division of Center I can have been random; the external and prospective sets are whole centers.",
    )


def _flow(paper: Paper) -> None:
    reasons = ("no_dxa", "incomplete_dicom", "infection_tumor", "image_quality", "unclear")
    held = {
        "center-i": ["figure_1.patients.training", "figure_1.patients.internal"],
        "center-ii": ["figure_1.patients.external"],
        "center-iii": ["figure_1.patients.prospective"],
    }
    for center in CENTERS:
        excluded = [f"figure_1.{reason}.{center}" for reason in reasons]
        paper.total(f"sum.figure_1.excluded.{center}", f"figure_1.excluded.{center}", excluded)
        paper.total(
            f"sum.figure_1.included.{center}",
            held[center],
            [f"figure_1.patients.{center}", f"-figure_1.excluded.{center}"],
            method="before exclusion less excluded, against the patients of the center's sets",
        )
    sets = [f"figure_1.patients.{name}" for name in SETS]
    paper.total(
        "sum.patients.figure_1",
        "abstract.patients",
        sets,
        on_failure="Every center of Figure 1 adds up, so it is the total of Abstract and Results that does not.",
    )
    everybody = [f"figure_1.patients.{center}" for center in CENTERS]
    paper.total(
        "sum.patients.centers",
        "results.patients",
        [*everybody, *(f"-figure_1.excluded.{center}" for center in CENTERS)],
        method="all centers before exclusion less all exclusions",
    )
    for name in SETS:
        paper.same(
            f"same.figure_1.patients.{name}", f"figure_1.patients.{name}", f"figure_1.patients.{name}.of_vertebrae"
        )
    several = ["results.patients.two_fractures", "results.patients.three_fractures", "results.patients.three_fractures"]
    paper.total(
        "sum.vertebrae.several",
        "results.vertebrae",
        ["results.patients", *several],
        method="every patient once, those with 2 fractures once more, those with 3 twice more",
    )
    paper.total(
        "sum.vertebrae.several.figure_1",
        "results.vertebrae",
        [*sets, *several],
        method="as before, with the patients of Figure 1",
        on_failure="The same difference of one patient as in the sum of Figure 1.",
    )
    extra = {name: [f"figure_1.vertebrae.{name}", f"-figure_1.patients.{name}"] for name in SETS}
    paper.total(
        "sum.extra_vertebrae",
        several,
        [one for name in SETS for one in extra[name]],
        method="vertebrae less patients of the four sets, against 86 + 2·24 from Results",
        on_failure="The same difference of one patient as in the sum of Figure 1.",
    )
    for name in SETS:
        patients, more = paper.count(f"figure_1.patients.{name}"), paper.count(extra[name])
        paper.add(
            f"bound.extra_vertebrae.{name}",
            [f"figure_1.vertebrae.{name}", f"figure_1.patients.{name}"],
            recomputed=f"{more} vertebrae more than patients; possible 0 to {2 * patients}",
            method="a patient has one to three vertebrae",
            verdict="consistent" if 0 <= more <= 2 * patients else "impossible",
        )
    for end in ("low", "high"):
        inner = "methods.period.retrospective" if end == "low" else "methods.period.prospective"
        paper.add(
            f"same.period.{'first' if end == 'low' else 'last'}",
            [inner, "figure_1.period"],
            stated=getattr(paper["figure_1.period"], end),
            recomputed=getattr(paper[inner], end),
            method="first and last year of the inclusion in Methods and Figure 1",
            verdict="consistent"
            if getattr(paper[inner], end) == getattr(paper["figure_1.period"], end)
            else "inconsistent",
        )
    low, high = (int(x) for x in (paper["methods.period.retrospective"].high, paper["methods.period.prospective"].low))
    paper.add(
        "bound.period",
        ["methods.period.retrospective", "methods.period.prospective"],
        recomputed=f"December {low}, then January {high}",
        method="the prospective inclusion starts where the retrospective ends",
        verdict="consistent" if low < high else "inconsistent",
    )


# ------------------------------------------------------------------------------------------------- the ASTLOF score


def _classification(paper: Paper) -> None:
    aspects = paper.count("methods.astlof.aspects")
    # The fourth aspect, bone density, prints its points as the quantity (T-score for 0, 1, 2 points).
    parts = ["methods.points.morphology.2", "methods.points.mri.2", "methods.points.clinical.2"]
    most = paper.count(parts) + int(paper["methods.points.mri.2"].count)
    paper.add(
        "bound.astlof.greatest",
        ["table_1.score.class-2", *parts, "methods.tscore.points_2", "methods.astlof.aspects"],
        stated=f"greatest total {paper['table_1.score.class-2'].high}",
        recomputed=f"{aspects} aspects of at most 2 points: {most}",
        method="2 + 2 + 2 + 2",
        verdict="consistent" if most == int(paper["table_1.score.class-2"].high) else "inconsistent",
    )
    for cls in CLASSES:
        paper.same(f"same.astlof.{cls}", f"results.score.{cls}", f"table_1.score.{cls}", f"table_2.score.{cls}")
    paper.add(
        "text.astlof.class-0",
        ["methods.score.class-0", "methods.score.class-1", "table_1.score.class-0"],
        stated="class 0: total score < 3 (Methods), 1–3 (Results, Tables 1 and 2)",
        recomputed="with < 3 a total of 3 has no class",
        method="classes must cover all totals: below 3, 4, 5 and above leaves out 3",
        verdict="undecidable",
        note="An equality bar under the sign may be lost in the text at hand.",
    )
    paper.add(
        "text.astlof.zero",
        ["methods.points.morphology.0", "methods.points.mri.0", "methods.points.clinical.0", "table_1.score.class-0"],
        stated="class 0 holds totals of 1 to 3",
        recomputed="totals from 0: four aspects can each give 0 points",
        method="0 + 0 + 0 + 0 = 0 has no class in Tables 1 and 2",
        verdict="undecidable",
        note="No vertebra need have had a total of 0.",
    )
    paper.add(
        "same.figure_8.class",
        ["figure_8.score", "figure_8.predicted", "table_1.score.class-2", "table_1.score.class-1"],
        stated=f"ASTLOF score {paper['figure_8.score'].text}, "
        f"correctly classified as class {paper['figure_8.predicted'].text}",
        recomputed=f"a score of {paper['figure_8.score'].text} is class 2",
        method="class 1 is a total of 4, class 2 is 5 to 8 (Methods, Tables 1 and 2)",
        verdict="inconsistent",
        note="If the score is right, the example shows a wrong classification by the model it is to support.",
    )
    paper.add(
        "same.figure_6.classes",
        ["figure_6.classes", "discussion.classifications", "results.classes", "methods.ovr_models"],
        recomputed="3 in each; Figure 6 names them I, II, III, the text 0, 1, 2",
        method="number of classes in four places",
        verdict="consistent",
    )
    for name in ("1", "2"):
        paper.same(f"same.points.mri.{name}", f"methods.points.mri.{name}", f"discussion.points.mri.{name}")
        paper.same(f"same.points.clinical.{name}", f"methods.points.clinical.{name}", f"discussion.points.pain.{name}")
    edges = [paper["methods.tscore.points_1"].high, paper["methods.tscore.points_1"].low]
    paper.add(
        "same.tscore.limits",
        ["methods.tscore.points_0", "methods.tscore.points_1", "methods.tscore.points_2"],
        recomputed=f"limits {edges[0]} and {edges[1]} on both sides",
        method="the limits of 0, 1 and 2 points join",
        verdict="consistent"
        if [paper["methods.tscore.points_0"].text, paper["methods.tscore.points_2"].text] == edges
        else "inconsistent",
        note="Whether the limits themselves belong to either side cannot be read from the text at hand.",
    )


# ------------------------------------------------------------------------------------------------- baseline in text


def _baseline(paper: Paper) -> None:
    paper.total("sum.sex", "results.patients", ["results.female", "results.male"])
    bone = [f"results.bone_mass.{name}" for name in ("normal", "reduced", "osteoporosis")]
    paper.total("sum.bone_mass", "results.patients", bone)
    low = float(paper["results.age_range"].low)
    paper.add(
        "bound.age.inclusion",
        ["results.age_range", "methods.age_min"],
        recomputed=f"{low:g} ≥ {paper['methods.age_min'].text}",
        method="youngest patient against the inclusion criterion",
        verdict="consistent" if low >= paper["methods.age_min"].count else "inconsistent",
    )
    _sd_in_range(paper, "bound.age.sd", "results.age", "results.age.sd")
    for figure in ("figure_4", "figure_8"):
        age = paper[f"{figure}.age"].count
        inside = low <= age <= float(paper["results.age_range"].high)
        paper.add(
            f"bound.{figure}.age",
            [f"{figure}.age", "results.age_range"],
            recomputed=f"{age} in {paper['results.age_range']}",
            method="age of the example within the range of all",
            verdict="consistent" if inside else "inconsistent",
        )
    paper.same("same.figure_4.class", "figure_4.score", "table_1.score.class-1", method="a score of 4 is class 1")
    for cls in CLASSES:
        counted = {"conservative": ["table_2.conservative." + cls]}
        counted["surgery"] = [f"table_2.pva.{cls}", f"table_2.open_surgery.{cls}"]
        everybody = counted["conservative"] + counted["surgery"]
        for name, parts in counted.items():
            paper.total(f"sum.results.{name}.{cls}", f"results.{name}.{cls}", parts, method="text against Table 2")
            paper.share(
                f"share.results.{name}.{cls}",
                f"results.{name}.{cls}.share",
                f"results.{name}.{cls}",
                everybody,
                method=f"{paper.count(f'results.{name}.{cls}')} of the {paper.count(everybody)} of Table 2",
                on_failure=f"With the counts of Table 2 it is {paper.count(parts)} / {paper.count(everybody)} = "
                f"{100 * paper.count(parts) / paper.count(everybody):.1f}%: the share fits the table, "
                "the count does not.",
            )
        own = [f"results.conservative.{cls}", f"results.surgery.{cls}"]
        for name in counted:
            paper.share(
                f"share.results.own.{name}.{cls}",
                f"results.{name}.{cls}.share",
                f"results.{name}.{cls}",
                own,
                method=f"{paper.count(f'results.{name}.{cls}')} / "
                f"({' + '.join(str(paper.count(one)) for one in own)}), both of the text",
            )
        paper.total(f"sum.results.{cls}", own, everybody, method="all of the class in the text against Table 2")
        shares = [paper[f"results.{name}.{cls}.share"] for name in counted]
        _hundred(paper, f"sum.share.results.{cls}", [item.id for item in shares])
    everywhere = [f"results.{name}.{cls}" for cls in CLASSES for name in ("conservative", "surgery")]
    paper.total(
        "sum.results.treated",
        "results.vertebrae",
        everywhere,
        method="treatments of the text over all classes, against the fractures",
    )
    paper.add(
        "text.treated.unit",
        ["results.patients", *everywhere],
        stated="patients treated, by class",
        recomputed=f"{paper.count(everywhere)} of {paper.count('results.patients')} patients",
        method="sum over classes and treatments; Table 2 has the same counts of vertebrae",
        verdict="inconsistent",
        note="The text calls patients what Table 2 counts as vertebrae.",
    )


def _sd_in_range(paper: Paper, id: str, mean: str, sd: str, span: str = "results.age_range") -> None:
    """SD ≤ √((mean − least)(greatest − mean)), the case of both ends only (Bhatia and Davis 2000)."""
    low, high, m = float(paper[span].low), float(paper[span].high), paper[mean].range
    most = math.sqrt(max(0.0, max((x - low) * (high - x) for x in m)))
    paper.add(
        id,
        [sd, mean, span],
        stated=f"{paper[mean]} ± {paper[sd]}",
        recomputed=f"SD at most {most:.1f}",
        method=f"√(({m.value:g} − {low:g})·({high:g} − {m.value:g})): all at the ends of the range",
        verdict="consistent"
        if low <= m.high and m.low <= high and paper[sd].range.low <= most * 1.01
        else "impossible",
    )


def _hundred(paper: Paper, id: str, shares: list[str]) -> None:
    total = sum(primitives.printed(paper[one].text).value for one in shares)
    leave = sum(
        (primitives.printed(paper[one].text).high - primitives.printed(paper[one].text).low) / 2 for one in shares
    )
    exact = abs(total - 100) < 1e-9
    paper.add(
        id,
        shares,
        recomputed=f"{total:.1f}",
        method=f"{' + '.join(paper[one].text for one in shares)} = 100, give or take {leave:.2f} by rounding",
        verdict="consistent" if exact else "rounding" if abs(total - 100) <= leave + 1e-9 else "inconsistent",
    )


# -------------------------------------------------------------------------------------------------- Tables 1 and 2


def _table_1(paper: Paper) -> None:
    several = ["results.patients.two_fractures", "results.patients.three_fractures", "results.patients.three_fractures"]
    vertebrae, patients = ([f"{place}.{name}" for name in SETS] for place in ("table_1.vertebrae", "figure_1.patients"))
    paper.add(
        "text.table_1.unit",
        [*vertebrae, *patients],
        stated=f"baseline characteristics of patients, n = {', '.join(str(paper[one]) for one in vertebrae)}",
        recomputed=f"{', '.join(str(paper[one]) for one in patients)} patients in Figure 1",
        method="the n of Table 1 are the vertebrae of Figure 1",
        verdict="inconsistent",
        note="Age, sex and T-score of a patient with three fractures enter three times.",
    )
    for sex in ("female", "male"):
        table = [f"table_1.{sex}.{name}" for name in SETS]
        paper.total(
            f"sum.table_1.{sex}.patients",
            f"results.{sex}",
            table,
            method="Table 1 over the sets, read as patients, against the text",
            on_failure="Table 1 counts vertebrae although its title says patients.",
        )
        more = paper.count(table) - paper.count(f"results.{sex}")
        paper.add(
            f"bound.table_1.{sex}.vertebrae",
            [f"results.{sex}", *table, *dict.fromkeys(several)],
            recomputed=f"{more} further vertebrae of {paper.count(f'results.{sex}')} patients",
            method=f"read as vertebrae: 0 to {paper.count(several)} further ones over both sexes",
            verdict="consistent" if 0 <= more <= paper.count(several) else "impossible",
        )
    both = [f"table_1.{sex}.{name}" for sex in ("female", "male") for name in SETS]
    paper.total(
        "sum.table_1.sex.further",
        several,
        [*both, "-results.female", "-results.male"],
        method="vertebrae of Table 1 less patients of the text, against 86 + 2·24 further vertebrae",
    )
    for name in SETS:
        n = f"table_1.vertebrae.{name}"
        for characteristic, categories in CHARACTERISTICS.items():
            counts = [f"table_1.{one}.{name}" for one in categories]
            paper.total(f"sum.table_1.{characteristic}.{name}", n, counts)
            for one, count in zip(categories, counts, strict=True):
                paper.share(f"share.table_1.{one}.{name}", f"{count}.share", count, n)
            _hundred(paper, f"sum.share.table_1.{characteristic}.{name}", [f"{count}.share" for count in counts])
        counts = [f"table_1.vertebrae.{name}.{cls}" for cls in CLASSES]
        paper.total(f"sum.table_1.astlof.{name}", n, counts)
        for cls, count in zip(CLASSES, counts, strict=True):
            paper.share(
                f"share.table_1.{cls}.{name}",
                f"{count}.share",
                count,
                n,
                on_failure="One unit of the last digit: the three shares of the column then add up to 100.0.",
            )
        _hundred(paper, f"sum.share.table_1.astlof.{name}", [f"{count}.share" for count in counts])
        _sd_in_range(paper, f"bound.table_1.age.{name}", f"table_1.age.{name}", f"table_1.age.{name}.sd")
        for unit in ("vertebrae", "patients"):
            total = paper.count(n if unit == "vertebrae" else f"figure_1.patients.{name}")
            sums = primitives.grim(paper[f"table_1.age.{name}"].text, total, truncation=True)
            nearest = round(float(paper[f"table_1.age.{name}"].text) * total)
            shown = sums[:2] or (nearest - 1, nearest, nearest + 1)
            paper.add(
                f"grim.table_1.age.{name}.{unit}",
                [f"table_1.age.{name}", n if unit == "vertebrae" else f"figure_1.patients.{name}"],
                recomputed=", ".join(f"{k}/{total} = {k / total:.4f}" for k in shown),
                method=f"ages in whole years of {total} {unit}: sum divided by {total}",
                verdict="consistent" if sums else "undecidable",
                on_failure=f"No whole-year ages of {total} patients have this mean; of the vertebrae they do: the "
                "unit of the table again. Ages with fractions would allow it.",
            )
    groups = [(f"table_1.age.{name}", f"table_1.age.{name}.sd", f"table_1.vertebrae.{name}") for name in SETS]
    paper.pooled(
        "pooled.age",
        "results.age",
        "results.age.sd",
        groups,
        on_failure=f"The text speaks of {paper['results.patients']} patients, the table counts "
        f"{paper.count([n for *_, n in groups])} rows: patients with several fractures "
        "weigh more there, which can explain it, but the table's title says patients.",
    )
    by_figure = [(f"table_1.age.{name}", f"table_1.age.{name}.sd", f"figure_1.patients.{name}") for name in SETS]
    paper.pooled(
        "pooled.age.patients",
        "results.age",
        "results.age.sd",
        by_figure,
        note="The means of Table 1 weighted with the patients of Figure 1.",
    )
    total = sum(paper.count(n) * paper[m].range.value for m, _, n in groups)
    patients, further = paper.count("results.patients"), paper.count(several)
    mean = (total - patients * paper["results.age"].range.value) / further
    span = paper["results.age_range"]
    paper.add(
        "bound.age.further",
        ["results.age", "results.age_range", *(one for group in groups for one in (group[0], group[2]))],
        recomputed=f"further vertebrae: mean age {mean:.1f}",
        method=f"({total:.1f} − {patients}·{paper['results.age'].text}) / {further}, read as vertebrae and patients",
        verdict="consistent" if float(span.low) <= mean <= float(span.high) else "impossible",
    )
    rows = primitives.pooled(
        [paper[m].printed for m, _, _ in groups],
        [paper[s].printed for _, s, _ in groups],
        [paper.count(n) for _, _, n in groups],
    )
    squares = (rows.n - 1) * rows.sd.value**2 + rows.n * rows.mean.value**2
    squares -= (patients - 1) * paper["results.age.sd"].range.value ** 2 + patients * paper[
        "results.age"
    ].range.value ** 2
    spread = squares / further - mean**2
    most = (mean - float(span.low)) * (float(span.high) - mean)
    paper.add(
        "bound.age.further.sd",
        ["results.age", "results.age.sd", "results.age_range", *(one for group in groups for one in group)],
        recomputed=f"further vertebrae: SD of age {math.sqrt(max(0.0, spread)):.1f}, "
        f"possible 0 to {math.sqrt(most):.1f}",
        method="sum of squares of the ages of all vertebrae less that of all patients, both from mean and SD",
        verdict="consistent" if 0 <= spread <= most else "inconsistent",
    )
    paper.add(
        "text.table_1.range",
        [f"table_1.{one}.{name}{part}" for one in ("age", "tscore") for name in SETS for part in ("", ".sd")],
        stated="rows labelled Mean (range)",
        recomputed="one number after ±, no range",
        method="a range has two ends",
        verdict="inconsistent",
        note="Read here as mean ± SD.",
    )
    share = paper.count("results.bone_mass.osteoporosis") / paper.count("results.patients")
    found = primitives.pooled(
        [paper[f"table_1.tscore.{name}"].printed for name in SETS],
        [paper[f"table_1.tscore.{name}.sd"].printed for name in SETS],
        [paper.count(f"table_1.vertebrae.{name}") for name in SETS],
    )
    limit = float(paper["methods.tscore.points_0"].text)
    expected = stats.norm.cdf((limit - found.mean.value) / found.sd.value)
    paper.add(
        "text.tscore.osteoporosis",
        ["results.bone_mass.osteoporosis", "results.patients"]
        + [f"table_1.tscore.{name}{part}" for name in SETS for part in ("", ".sd")],
        stated=f"{100 * share:.1f}% of the patients with osteoporosis",
        recomputed=f"{100 * expected:.0f}% below {limit:g} if T-scores of mean {found.mean.value:.2f} and SD "
        f"{found.sd.value:.2f} were normal",
        method=f"Φ(({limit:g} − ({found.mean.value:.2f})) / {found.sd.value:.2f}) over the sets of Table 1",
        verdict="undecidable",
        note="The shape of the distribution is not printed, and Table 1 counts vertebrae.",
    )


def _table_2(paper: Paper) -> None:
    for treatment in TREATMENTS:
        column = [f"table_2.{treatment}.{cls}" for cls in CLASSES]
        paper.total(f"sum.table_2.{treatment}", f"table_2.{treatment}", column)
        paper.total(
            f"sum.treatment.{treatment}",
            f"table_2.{treatment}",
            [f"table_1.{treatment}.{name}" for name in SETS],
            method="Table 1 over the sets",
        )
        for cls in CLASSES:
            paper.share(
                f"share.table_2.{treatment}.{cls}",
                f"table_2.{treatment}.{cls}.share",
                f"table_2.{treatment}.{cls}",
                f"table_2.{treatment}",
            )
        _hundred(paper, f"sum.share.table_2.{treatment}", [f"{one}.share" for one in column])
    paper.total("sum.table_2", "results.vertebrae", [f"table_2.{treatment}" for treatment in TREATMENTS])
    for cls in CLASSES:
        paper.total(
            f"sum.class.{cls}",
            [f"table_1.vertebrae.{name}.{cls}" for name in SETS],
            [f"table_2.{treatment}.{cls}" for treatment in TREATMENTS],
            method="class over the sets of Table 1, and over the treatments of Table 2",
        )


# --------------------------------------------------------------------------------- training and internal validation


def _allocation(paper: Paper) -> None:
    for unit in ("vertebrae", "patients"):
        a, b = (paper.count(f"figure_1.{unit}.{name}") for name in ("training", "internal"))
        expected = (a + b) * float(paper["methods.training_share"].text)
        paper.add(
            f"split.{unit}",
            ["methods.training_share", "methods.internal_share"]
            + [f"figure_1.{unit}.{name}" for name in ("training", "internal")],
            stated="8:2",
            recomputed=f"{a}:{b} = {100 * a / (a + b):.1f}:{100 * b / (a + b):.1f}",
            method=f"{a} / ({a} + {b}); {paper['methods.training_share']}·{a + b} = {expected:.1f}",
            verdict="consistent" if abs(a - expected) < 1 else "inconsistent",
            on_failure="The ratio holds for vertebrae only. Dividing vertebrae lets fractures of one patient fall on "
            "both sides; that the patients of Figure 1 add up, each counted once, says that none did.",
        )
    train, internal = "training", "internal"
    more = {name: paper.count(f"figure_1.vertebrae.{name}") - paper.count(f"figure_1.patients.{name}") for name in SETS}
    three = paper.count("results.patients.three_fractures")
    several = (more[train], max(math.ceil(more[internal] / 2), more[internal] - three))
    sizes = [paper.count(f"figure_1.patients.{name}") for name in (train, internal)]
    table = [[k, n - k] for k, n in zip(several, sizes, strict=True)]
    p = primitives.p_from_counts(table)["p"].max()
    paper.add(
        "random.several",
        [f"figure_1.{unit}.{name}" for unit in ("vertebrae", "patients") for name in (train, internal)]
        + ["results.patients.three_fractures"],
        stated="training and internal validation divided at random",
        recomputed=f"with several fractures at most {several[0]} of {sizes[0]}, at least {several[1]} of {sizes[1]}: "
        f"p ≤ {p:.1e}",
        method=f"{more[train]} and {more[internal]} vertebrae more than patients, none with over 3, {three} with 3 in "
        "all; the greatest p of chi-squared, with correction, and Fisher's test on the most favourable counts",
        verdict="consistent" if p >= 0.001 else "inconsistent",
        note="One in ten training patients has a further vertebra, four in ten of internal validation: patients "
        "divided at random would hardly do that. Vertebrae divided at random, with patients on both sides counted "
        "once, in training, would.",
    )
    for characteristic, categories in CHARACTERISTICS.items():
        counts = [[paper.count(f"table_1.{one}.{name}") for one in categories] for name in (train, internal)]
        _random(
            paper,
            characteristic,
            primitives.p_from_counts(counts)["p"].max(),
            [f"table_1.{one}.{name}" for name in (train, internal) for one in categories],
            "greatest p of the usual tests of " + " / ".join(", ".join(map(str, row)) for row in counts),
        )
    counts = [[paper.count(f"table_1.vertebrae.{name}.{cls}") for cls in CLASSES] for name in (train, internal)]
    _random(
        paper,
        "astlof",
        primitives.p_from_counts(counts)["p"].max(),
        [f"table_1.vertebrae.{name}.{cls}" for name in (train, internal) for cls in CLASSES],
        "greatest p of the usual tests of " + " / ".join(", ".join(map(str, row)) for row in counts),
    )
    for one in ("age", "tscore"):
        ids = [f"table_1.{one}.{name}{part}" for name in (train, internal) for part in ("", ".sd")]
        found = primitives.p_from_means(
            [paper[ids[0]].printed, paper[ids[2]].printed],
            [paper[ids[1]].printed, paper[ids[3]].printed],
            [paper.count(f"table_1.vertebrae.{name}") for name in (train, internal)],
        )
        _random(
            paper,
            one,
            found["p_high"].max(),
            [*ids, *(f"table_1.vertebrae.{name}" for name in (train, internal))],
            f"greatest p of Student's and Welch's t over all roundings: {paper[ids[0]]} ± {paper[ids[1]]} against "
            f"{paper[ids[2]]} ± {paper[ids[3]]}",
        )


def _random(paper: Paper, name: str, p: float, items: list[str], method: str) -> None:
    paper.add(
        f"random.{name}",
        items,
        stated="training and internal validation divided at random",
        recomputed=f"p ≤ {p:.3f}" if p >= 0.0005 else f"p ≤ {p:.1e}",
        method=method,
        verdict="consistent" if p >= 0.05 else "undecidable" if p >= 0.001 else "inconsistent",
        on_failure=f"A random division gives so large a difference in at most {100 * p:.1f} of 100.",
    )


# --------------------------------------------------------------------------------------------------------- features


def _features(paper: Paper) -> None:
    for model in MODELS:
        parts = [f"results.{kind}_features.{model}" for kind in ("radiomics", "dtl")]
        paper.total(f"sum.features.{model}", f"abstract.fusion_features.{model}", parts)
    paper.same("same.classifiers", "abstract.classifiers", "methods.classifiers", method="eight named in Methods")
    paper.add(
        "text.lasso_cox",
        ["results.lambda.radimagenet", "results.lambda.imagenet"],
        stated="LASSO-Cox regression (Methods, Result), LASSO logistic regression (Abstract)",
        recomputed="three classes, no time to an event anywhere",
        method="Cox regression models the time to an event",
        verdict="inconsistent",
        note="The penalties cannot be reproduced without knowing which model they belong to.",
    )
    paper.add(
        "text.figure_6.radimagenet",
        ["figure_6.categories.radimagenet", "figure_6.categories.imagenet"],
        recomputed="1000 is the number of classes of ImageNet",
        method="Figure 6 prints 1000 output categories under both pretrainings",
        verdict="undecidable",
        note="The paper does not print how many classes RadImageNet has; its own publication lists 165.",
    )
    redone, n = paper.count("methods.redelineated"), paper.count("figure_1.patients.training")
    paper.add(
        "bound.redelineated",
        ["methods.redelineated", "figure_1.patients.training"],
        recomputed=f"{redone} ≤ {n}",
        method="patients delineated again are patients of the training set",
        verdict="consistent" if redone <= n else "impossible",
    )


# ------------------------------------------------------------------------------------------------------ performance


def _performance_in_text(paper: Paper) -> None:
    for cls in CLASSES:
        for figure in ("auc", "accuracy"):
            name = f"{figure}.prospective.radimagenet.{cls}"
            paper.same(f"same.{name}.abstract", f"abstract.{name}", f"table_3.{name}")
            paper.same(f"same.{name}.results", f"results.{name}", f"table_3.{name}")
    for name in SETS:
        for model in MODELS:
            auc = f"auc.{name}.{model}.macro"
            paper.same(f"same.{auc}", f"results.{auc}", f"table_3.{auc}")
        a, b = (paper[f"table_3.auc.{name}.{model}.macro"] for model in MODELS)
        paper.add(
            f"order.auc.{name}",
            [a.id, b.id],
            recomputed=f"{a.text} > {b.text}",
            method="the macro-average AUC of RadImageNet is said to be above that of ImageNet in every set",
            verdict="consistent" if a.range.value > b.range.value else "inconsistent",
        )
    for figure in ("auc", "accuracy"):
        items = [paper[f"table_3.{figure}.prospective.radimagenet.{cls}"] for cls in CLASSES]
        best = max(items, key=lambda item: item.range.value)
        paper.add(
            f"order.class-0.{figure}",
            [item.id for item in items],
            stated="most effective prediction for class 0",
            recomputed=f"greatest {figure} {best.text}, {best.id.rpartition('.')[2].replace('-', ' ')}",
            method=", ".join(item.text for item in items),
            verdict="consistent" if best is items[0] else "inconsistent",
            on_failure="The sentence names AUC and accuracy; by accuracy class 1 is ahead.",
        )


def _accuracies(paper: Paper) -> None:
    for name in SETS:
        n = f"table_1.vertebrae.{name}"
        sizes = [f"table_1.vertebrae.{name}.{cls}" for cls in CLASSES]
        for model in MODELS:
            rows = [f"table_3.accuracy.{name}.{model}.{cls}" for cls in CLASSES]
            macro = f"table_3.accuracy.{name}.{model}.macro"
            other = _other_reading(paper, rows, macro, sizes)
            for cls, row, size in zip(CLASSES, rows, sizes, strict=True):
                paper.possible_share(
                    f"grim.accuracy.{name}.{model}.{cls}",
                    row,
                    n,
                    fail="inconsistent" if other else "impossible",
                    on_failure="No count of the set's vertebrae gives it, so it is no one-vs-rest accuracy of the set. "
                    + (other or "The three can together be no sensitivities, predictive values or F1-scores either."),
                )
                _youden(paper, f"bound.accuracy.{name}.{model}.{cls}", row, row.replace("accuracy", "auc", 1), size, n)
            _nobody(paper, f"chance.accuracy.{name}.{model}", rows[2], sizes[2], n)
            paper.mean(
                f"mean.accuracy.{name}.{model}",
                macro,
                rows,
                on_failure="The footnote calls the row macro-averages.",
            )
            paper.possible_share(
                f"grim.accuracy.{name}.{model}.macro",
                macro,
                n,
                fail="inconsistent",
                note="Read as the share of right classes among all vertebrae; the footnote calls it a macro-average.",
                on_failure="It is neither that nor the mean of the three classes.",
            )
            values = [paper[row].range for row in rows]
            inside = min(x.low for x in values) <= paper[macro].range.high
            inside &= paper[macro].range.low <= max(x.high for x in values)
            paper.add(
                f"between.accuracy.{name}.{model}",
                [macro, *rows],
                stated=str(paper[macro]),
                recomputed=f"between {min(x.value for x in values):.3f} and {max(x.value for x in values):.3f}",
                method="any weighted average of the classes lies between them",
                verdict="consistent" if inside else "impossible",
            )
            mean = Range(*(sum(column) / 3 for column in zip(*values, strict=True)))
            right = Range(*((3 * x - 1) / 2 for x in mean))
            fits = paper[macro].cut.meets(right)
            paper.add(
                f"one_vs_rest.{name}.{model}",
                [macro, *rows],
                stated=str(paper[macro]),
                recomputed=show(right, 3),
                method=f"(3·{mean.value:.4f} − 1) / 2: a vertebra put into a wrong class is wrong in two of the three "
                "one-vs-rest tables and right in one",
                verdict="consistent" if fits else "inconsistent",
                on_failure="The last row read as the share of right classes; its mean is the other reading. "
                "Separate thresholds for the classes, which are not mentioned, would allow it.",
            )
            least, weakest = min(zip(values, CLASSES, strict=True), key=lambda pair: pair[0].value)
            weakest, fits = weakest.replace("-", " "), least.high >= paper[macro].range.low
            paper.add(
                f"least.accuracy.{name}.{model}",
                [macro, *rows],
                stated=f"{paper[macro]} over all, {least.value:.3f} for {weakest}",
                recomputed=f"{weakest}: {least.value:.3f} {'≥' if fits else '<'} {paper[macro].text}",
                method="the errors of one one-vs-rest table are among the vertebrae put into a wrong class: no class "
                "is less accurate than the share of right classes",
                verdict="consistent" if fits else "inconsistent",
                on_failure="The last row read as the share of right classes; its mean is the other reading. "
                "Separate thresholds for the classes, which are not mentioned, would allow it.",
            )


def _other_reading(paper: Paper, rows: list[str], macro: str, sizes: list[str]) -> str:
    """What the three accuracies of a set can together be instead of one-vs-rest accuracies, with an example.

    Preferred: no digits cut off, then the last row as the share of right classes.
    """
    own = [paper.count(size) for size in sizes]
    n = sum(own)
    for truncation in (False, True):
        whole = primitives.proportion_is_possible(paper[macro].text, n, truncation=truncation)
        for name, options in _readings([paper[row].text for row in rows], own, truncation).items():
            tables = list(_tables(options, own))
            if tables:
                right, called = next((table for table in tables if sum(table[0]) in whole), tables[0])
                text = f"Together the three can be {name}: {right} right of {called} put into the classes"
                fits = f"; the last row is then {sum(right)}/{n}, the share of right classes" * (sum(right) in whole)
                return f"{text}{fits}."
    return ""


def _readings(texts: list[str], own: list[int], truncation: bool) -> dict[str, list[list[tuple[int, int]]]]:
    """Pairs (right, put into the class) of each class that print as ``texts``, by what those may be."""
    n = sum(own)

    def hits(text, denominator, each=1):
        counts = primitives.proportion_is_possible(text, denominator, truncation=truncation)
        return [k // each for k in counts if k % each == 0]

    pairs = list(zip(texts, own, strict=True))
    return {
        "sensitivities": [[(k, m) for k in hits(text, size) for m in range(k, n + 1)] for text, size in pairs],
        "positive predictive values": [
            [(k, m) for m in range(1, n + 1) for k in hits(text, m) if k <= size] for text, size in pairs
        ],
        "F1-scores": [
            [(k, m) for m in range(n + 1) for k in hits(text, size + m, 2) if k <= min(size, m)] for text, size in pairs
        ],
    }


def _tables(options: list[list[tuple[int, int]]], own: list[int]):
    """Three-class tables of answers that have one pair of each class in ``options``: (right ones), (put into them)."""
    third = {}
    for k, called in options[2]:
        third.setdefault(called, []).append(k)
    for (a, called_a), (b, called_b) in product(*options[:2]):
        called = (called_a, called_b, sum(own) - called_a - called_b)
        for c in third.get(called[2], []):
            right = (a, b, c)
            # A table exists if no class misses and attracts more than all that are wrong.
            if all(x + m - 2 * k <= sum(own) - sum(right) for k, x, m in zip(right, own, called, strict=True)):
                yield right, called


def _nobody(paper: Paper, id: str, accuracy: str, positive: str, n: str) -> None:
    """A one-vs-rest accuracy of the rare class against that of putting no vertebra into it."""
    k, total = paper.count(positive), paper.count(n)
    paper.add(
        id,
        [accuracy, positive, n],
        stated=f"accuracy {paper[accuracy].text} for class 2",
        recomputed=f"putting no vertebra into class 2: {(total - k) / total:.3f}",
        method=f"({total} − {k}) / {total}",
        verdict="consistent" if paper[accuracy].range.value > (total - k) / total else "undecidable",
        on_failure="Possible, as accuracy depends on the threshold; it then says nothing for the model.",
    )


def _youden(paper: Paper, id: str, accuracy: str, auc: str, positive: str, n: str) -> None:
    """Least accuracy at the threshold of the greatest sensitivity + specificity that an AUC leaves.

    A ROC curve that nowhere rises above the diagonal by more than J has an area of at most ½ + J − J²/2, so an area A
    needs J ≥ 1 − √(2(1 − A)); sensitivity + specificity is then at least 1 + J.
    """
    area = paper[auc].range.low
    j = max(0.0, 1 - math.sqrt(2 * (1 - area)))
    k, total = paper.count(positive), paper.count(n)
    share = k / total
    least = min(share + j * (1 - share), (1 - share) + j * share)
    fits = paper[accuracy].range.high >= least
    paper.add(
        id,
        [accuracy, auc, positive, n],
        stated=f"accuracy {paper[accuracy].text}, AUC {paper[auc].text}",
        recomputed=f"at the best threshold at least {least:.3f}",
        method=f"AUC needs a threshold with sensitivity + specificity − 1 ≥ J = 1 − √(2·(1 − AUC)) = {j:.3f}; accuracy "
        f"there is at least s + J·(1 − s) with s = {k}/{total} or 1 − s in its place",
        verdict="consistent" if fits else "undecidable",
        on_failure="No threshold is stated; it cannot be the one with the greatest sensitivity + specificity.",
    )


def _aucs(paper: Paper) -> None:
    for name in SETS:
        n = f"table_1.vertebrae.{name}"
        for model in MODELS:
            rows = [f"table_3.auc.{name}.{model}.{cls}" for cls in CLASSES]
            macro = f"table_3.auc.{name}.{model}.macro"
            for cls, row in zip(CLASSES, rows, strict=True):
                size = f"table_1.vertebrae.{name}.{cls}"
                paper.inside(f"inside.auc.{name}.{model}.{cls}", row)
                paper.auc_interval(f"interval.auc.{name}.{model}.{cls}", row, size, [n, f"-{size}"])
                _symmetric(paper, f"symmetric.auc.{name}.{model}.{cls}", row)
            paper.inside(f"inside.auc.{name}.{model}.macro", macro)
            _symmetric(paper, f"symmetric.auc.{name}.{model}.macro", macro)
            paper.mean(
                f"mean.auc.{name}.{model}",
                macro,
                rows,
                on_failure="Methods define the macro-average as the average of the AUCs of the classes. An average of "
                "interpolated ROC curves can lie a little above it.",
            )
            widths = [float(paper[row].high) - float(paper[row].low) for row in rows]
            width = float(paper[macro].high) - float(paper[macro].low)
            most = sum(widths) / 3
            paper.add(
                f"interval.auc.{name}.{model}.macro",
                [macro, *rows],
                stated=str(paper[macro]),
                recomputed=f"width {width:.3f}, at most {most:.3f}",
                method=f"({' + '.join(f'{x:.3f}' for x in widths)}) / 3: the SE of a mean is at most the mean of "
                "the SEs",
                verdict="consistent" if width <= most + 0.002 else "inconsistent",
            )


def _symmetric(paper: Paper, id: str, row: str) -> None:
    """An interval of estimate ± 1.96 SE, as DeLong's, is symmetric about the estimate until it is cut off at 1."""
    value, low, high = (primitives.printed(text) for text in paper[row].interval)
    other = Range(2 * value.value - low.value, 2 * value.low - low.high, 2 * value.high - low.low)
    if other.meets(high):
        verdict, failure = "consistent", ""
    elif other.high > 1 and high.value >= 0.99:
        verdict, failure = "undecidable", "Cut off at 1 the bound would print as 1.000."
    else:
        verdict, failure = "undecidable", "No interval of an estimate ± 1.96 SE; resampling gives such intervals."
    paper.add(
        id,
        row,
        recomputed=f"upper bound {other.value:.3f}",
        method=f"2·{paper[row].text} − {paper[row].low}: symmetric about the estimate",
        verdict=verdict,
        on_failure=failure,
    )


def _comparison(paper: Paper) -> None:
    for name in SETS:
        paper.p_paired(
            f"p.delong.{name}",
            "results.p.macro_auc",
            *(f"table_3.auc.{name}.{model}.macro" for model in MODELS),
            items="abstract.p.macro_auc",
            on_failure="The two models score the same vertebrae, so r is above 0, but it is not printed.",
        )
    paper.same("same.p.macro_auc", "abstract.p.macro_auc", "results.p.macro_auc")
    alpha, bound = paper["methods.alpha"], paper["results.p.macro_auc"]
    paper.add(
        "same.alpha",
        [alpha.id, bound.id],
        recomputed=f"p < {bound.high}",
        method="significance level of Methods and the bound of the printed p",
        verdict="consistent" if alpha.text == bound.high else "inconsistent",
    )
    paper.add(
        "text.delong.macro",
        ["results.p.macro_auc", *(f"table_3.auc.{name}.{model}.macro" for name in SETS for model in MODELS)],
        stated="DeLong test of macro-average AUCs",
        recomputed="the test is defined for the AUC of two classes",
        method="an average of three AUCs needs the covariances of the three, which the paper does not give",
        verdict="undecidable",
        note="How the test was extended to averages is not described; vertebrae of one patient count as independent.",
    )
