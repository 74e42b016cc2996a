"""Checks of the numbers that paper 01 (Zhang H 2024) prints."""

from itertools import pairwise

from scipy import stats

from .findings import Paper, show
from .primitives import Range, p_from_counts, pooled, printed

STEM = "01_xray_fresh_vcf"
COHORTS = ("training", "validation", "yhdh", "bmuh")
EXTERNAL = ("yhdh", "bmuh")
MODELS = ("drn", "resnet-50", "shufflenet-v1", "efficientnetv2-s", "efficientnetv2-m", "efficientnetv2-l")
FIGURES = ("accuracy", "sensitivity", "specificity")
BETTER = "the DRN model … demonstrated better feature representation learning and classification performance"
COLLAPSE = "Every resample of rows that are all right is all right: the bootstrap cannot show this uncertainty."


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
    _enrolment(paper)
    _cohort_tables(paper)
    _ages(paper)
    _performance(paper)
    _subgroups(paper)
    _claims(paper)


def _enrolment(paper):
    paper.same("text.participants", "abstract.participants", "methods.participants", "results.participants")
    paper.same("text.institutions", "abstract.institutions", "methods.institutions", "methods.ethics.hospitals")
    paper.same("text.hospitals", "ethics.hospitals", "methods.institutions")
    for place in ("results.institutions.training", "results.institutions.validation", "discussion.hospitals.training"):
        paper.same(f"text.{place}", "methods.institutions.training-validation", place)
    paper.same("text.cohorts.external", "methods.institutions.external", "discussion.cohorts.external")
    paper.total(
        "sum.institutions",
        "methods.institutions",
        ["methods.institutions.training-validation", "methods.institutions.external"],
    )
    paper.total("sum.excluded", "methods.excluded", ["methods.excluded.interval", "methods.excluded.images"])
    paper.add(
        "flow.screened",
        ["methods.participants", "methods.excluded"],
        recomputed=f"{paper.count(['methods.participants', 'methods.excluded'])} before exclusion, not printed",
        method="enrolled + excluded",
        verdict="undecidable",
        note="The number screened stands in Figure 1 or the supplement, which are no text.",
    )
    for first, second in pairwise(["methods.enrolment.end", *paper.ids("article.date.*")]):
        years = [paper.count(one) // (1 if one.startswith("methods") else 10_000) for one in (first, second)]
        paper.add(
            f"dates.{second}",
            [first, second],
            stated=f"{paper[first].note}; {paper[second].note}",
            recomputed="in this order",
            method="dates compared",
            verdict="consistent"
            if years[0] < years[1] or (years[0] == years[1] and paper.count(first) < paper.count(second))
            else "impossible",
        )
    paper.add(
        "dates.enrolment",
        ["methods.enrolment.start", "methods.enrolment.end"],
        recomputed="the first comes before the last",
        method="order of the years",
        verdict="consistent"
        if paper.count("methods.enrolment.start") < paper.count("methods.enrolment.end")
        else "impossible",
    )
    paper.order(
        "claim.devices",
        "methods.devices",
        "methods.institutions",
        strict=False,
        claim="radiography devices of five institutions",
    )
    paper.order(
        "claim.interval",
        "methods.interval_back_pain",
        "methods.interval_dr_mri",
        strict=False,
        claim="at most a week between radiograph and MRI, both within two weeks of back pain",
    )
    parts = ["methods.participants.training", "methods.participants.validation"]
    paper.total("sum.participants.development", "methods.participants.training-validation", parts)
    whole = "methods.participants.training-validation"
    paper.share("split.training", "methods.share.training", parts[0], whole)
    paper.share("split.validation", "methods.share.validation", parts[1], whole)
    paper.total(
        "sum.participants", "methods.participants", [whole, *(f"methods.participants.{name}" for name in EXTERNAL)]
    )


def _cohort_tables(paper):
    """Table 1, Table 3 and the text on the cohorts: counts, sums, percentages."""
    for name in COHORTS:
        table = f"table1.participants.{name}"
        paper.same(f"text.participants.{name}", f"methods.participants.{name}", f"results.participants.{name}", table)
        for label in ("fresh", "non-fresh", "old"):
            paper.same(f"text.participants.{name}.{label}", f"results.participants.{name}.{label}", f"{table}.{label}")
        paper.same(f"text.share.{name}.old", f"results.share.{name}.old", f"table1.participants_share.{name}.old")
        paper.same(f"text.male.{name}", f"methods.male.{name}", f"results.male.{name}", f"table1.male.{name}")
        paper.same(f"text.male_share.{name}", f"methods.male_share.{name}", f"table1.male_share.{name}")
        paper.same(f"text.female.{name}", f"results.female.{name}", f"table1.female.{name}")
        for part in ("age_mean", "age_sd"):
            paper.same(f"text.{part}.{name}", f"results.{part}.{name}", f"table1.{part}.{name}")
        if f"results.lumbar.{name}" in paper:
            paper.same(f"text.lumbar.{name}", f"results.lumbar.{name}", f"table1.lumbar.{name}")
        for first, second in (("fresh", "non-fresh"), ("old", "non-old")):
            pair = [f"{table}.{first}", f"{table}.{second}"]
            paper.total(f"sum.{name}.{first}", table, pair)
            for label in (first, second):
                share = f"table1.participants_share.{name}.{label}"
                paper.share(f"percent.{name}.{label}", share, f"{table}.{label}", table)
        sexes = [f"table1.male.{name}", f"table1.female.{name}"]
        paper.total(f"sum.{name}.sex", table, sexes)
        for sex in ("male", "female"):
            paper.share(f"percent.{name}.{sex}", f"table1.{sex}_share.{name}", f"table1.{sex}.{name}", table)
        levels = [f"table1.thoracic.{name}", f"table1.lumbar.{name}"]
        paper.total(f"sum.{name}.levels", f"{table}.fresh", levels)
        for level in ("thoracic", "lumbar"):
            share = f"table1.{level}_share.{name}"
            paper.share(f"percent.{name}.{level}", share, f"table1.{level}.{name}", f"{table}.fresh")
    for label in ("fresh", "non-fresh"):
        parts = [f"results.participants.{name}.{label}" for name in COHORTS]
        paper.total(f"sum.participants.{label}", f"results.participants.{label}", parts)
    for sex in ("male", "female"):
        paper.total(f"sum.{sex}", f"results.{sex}", [f"results.{sex}.{name}" for name in COHORTS])
    paper.total("sum.labels", "results.participants", ["results.participants.fresh", "results.participants.non-fresh"])
    paper.total("sum.sexes", "results.participants", ["results.male", "results.female"])

    levels = [[f"table1.{level}.{name}" for level in ("thoracic", "lumbar")] for name in ("training", "validation")]
    counts = [[paper.count(one) for one in row] for row in levels]
    p = p_from_counts(counts).set_index("test")["p"]["chi-squared"]
    (a, b), (c, d) = counts
    swapped = p_from_counts([[a, b], [d, c]]).set_index("test")["p"]["chi-squared"]
    paper.add(
        "split.levels",
        [one for row in levels for one in row],
        recomputed=f"chi-squared p = {p:.1e}; with the two counts of the validation cohort exchanged p = {swapped:.2f}",
        method=f"{a}, {b} against {c}, {d} (thoracic, lumbar)",
        verdict="inconsistent" if p < 0.001 else "consistent",
        note="Training and validation are one population, divided by patient number. Chance alone gives such a "
        "difference in levels rarely; lumbar fractures are the majority in the three other cohorts.",
    )
    labels = [[f"table1.participants.{n}.{label}" for label in ("fresh", "non-fresh")] for n in COHORTS[:2]]
    p = p_from_counts([[paper.count(one) for one in row] for row in labels]).set_index("test")["p"]["chi-squared"]
    paper.add(
        "split.labels",
        [one for row in labels for one in row],
        recomputed=f"chi-squared p = {p:.2f}",
        method="fresh and non-fresh, training against validation",
        verdict="consistent" if p >= 0.001 else "inconsistent",
    )

    for name in EXTERNAL:
        groups = [f"{name}-non-old", f"{name}-old"]
        for group, label in zip(groups, ("non-old", "old"), strict=True):
            table = f"table3.participants.{group}"
            paper.same(f"text.participants.{group}", f"table1.participants.{name}.{label}", table)
            paper.total(f"sum.{group}.labels", table, [f"{table}.fresh", f"{table}.non-fresh"])
            paper.total(f"sum.{group}.sex", table, [f"table3.male.{group}", f"table3.female.{group}"])
            for one in ("fresh", "non-fresh"):
                share = f"table3.participants_share.{group}.{one}"
                paper.share(f"percent.{group}.{one}", share, f"{table}.{one}", table)
            for sex in ("male", "female"):
                paper.share(f"percent.{group}.{sex}", f"table3.{sex}_share.{group}", f"table3.{sex}.{group}", table)
        paper.total(
            f"sum.{name}.subgroups", f"table1.participants.{name}", [f"table3.participants.{g}" for g in groups]
        )
        for one in ("fresh", "non-fresh"):
            parts = [f"table3.participants.{group}.{one}" for group in groups]
            paper.total(f"sum.{name}.subgroups.{one}", f"table1.participants.{name}.{one}", parts)
        for sex in ("male", "female"):
            paper.total(
                f"sum.{name}.subgroups.{sex}", f"table1.{sex}.{name}", [f"table3.{sex}.{group}" for group in groups]
            )
        paper.p_counts(
            f"p.sex.{name}",
            f"table3.p_sex.{name}",
            [[f"table3.{sex}.{g}" for sex in ("male", "female")] for g in groups],
        )
        table = [[f"table3.participants.{g}.{one}" for one in ("fresh", "non-fresh")] for g in groups]
        paper.p_counts(f"p.fresh.{name}", f"table3.p_fresh.{name}", table)
        paper.p_means(
            f"p.age.{name}", f"table3.p_age.{name}", [_age("table3", g, f"table3.participants.{g}") for g in groups]
        )


def _age(table, group, n):
    return f"{table}.age_mean.{group}", f"{table}.age_sd.{group}", n


def _ages(paper):
    """Means and SDs of cohorts against those of everybody, and of subgroups against those of their cohort."""
    everyone = [_age("table1", name, f"table1.participants.{name}") for name in COHORTS]
    paper.pooled("pooled.age", "results.age_mean", "results.age_sd", everyone)
    for name in EXTERNAL:
        groups = [_age("table3", g, f"table3.participants.{g}") for g in (f"{name}-non-old", f"{name}-old")]
        paper.pooled(f"pooled.age.{name}", f"table1.age_mean.{name}", None, groups)
        ns = [paper.count(n) for _, _, n in groups]
        means, sds = ([printed(paper[row[k]].printed) for row in groups] for k in (0, 1))
        # SDs of the subgroups, and of the cohort, with n in place of n − 1.
        grown = [Range(*(x * (n / (n - 1)) ** 0.5 for x in sd)) for sd, n in zip(sds, ns, strict=True)]
        shrink = ((sum(ns) - 1) / sum(ns)) ** 0.5
        found = {
            "n − 1 throughout": pooled(means, sds, ns).sd,
            "n throughout": Range(*(x * shrink for x in pooled(means, grown, ns).sd)),
            "n in the subgroups, n − 1 in the cohort": pooled(means, grown, ns).sd,
        }
        sd = paper[f"table1.age_sd.{name}"]
        fits = [way for way, value in found.items() if sd.cut.meets(value)]
        paper.add(
            f"pooled.age.{name}.sd",
            [sd.id, *(one for row in groups for one in row)],
            stated=str(sd),
            recomputed="; ".join(f"{show(value, sd.decimals)} ({way})" for way, value in found.items()),
            method="√((Σ(n − 1)·SD² + Σn·(mean − common mean)²) / (N − 1)) over the two subgroups of Table 3",
            verdict="consistent" if fits and fits[0].startswith("n − 1") else "inconsistent",
            on_failure="The subgroups are the whole cohort, and their means do pool to its mean."
            + (f" The SDs fit with {fits[0]}: two formulas in one paper." if fits else ""),
        )


def _performance(paper):
    """Text, Table 2 and the confusion matrices behind them."""
    for name in ("validation", *EXTERNAL):
        places = [f"{place}.auc.{name}.drn" for place in ("abstract", "results", "discussion")]
        paper.same(f"text.auc.{name}.drn", *(one for one in places if one in paper))
        for figure in FIGURES:
            places = [f"{place}.{figure}.{name}.drn" for place in ("abstract", "results", "table2")]
            paper.same(f"text.{figure}.{name}.drn", *(one for one in places if one in paper))
    positive, negative = "table1.participants.validation.fresh", "table1.participants.validation.non-fresh"
    for figure, n in (
        ("accuracy", "table1.participants.validation"),
        ("sensitivity", positive),
        ("specificity", negative),
    ):
        paper.possible_share(f"share.text.{figure}.validation", f"results.{figure}.validation.drn", n)
    sizes = [paper.count(one) for one in (positive, negative)]
    parts = [paper[f"results.{figure}.validation.drn"] for figure in ("sensitivity", "specificity")]
    paper.compare(
        "identity.text.accuracy.validation",
        "results.accuracy.validation.drn",
        Range(
            *(
                sum(n * value for n, value in zip(sizes, ends, strict=True)) / sum(sizes)
                for ends in zip(*(part.range for part in parts), strict=True)
            )
        ),
        method=f"({sizes[0]}·{parts[0].text} + {sizes[1]}·{parts[1].text}) / {sum(sizes)}",
        items=[*(part.id for part in parts), positive, negative],
        note="The three figures of the text fit each other, though not the counts: one of them carries the others.",
    )
    paper.between("between.text.validation", *(f"results.{figure}.validation.drn" for figure in FIGURES))

    for name in ("validation", *EXTERNAL):
        positive, negative = (f"table1.participants.{name}.{label}" for label in ("fresh", "non-fresh"))
        for model in MODELS:
            row = {figure: f"table2.{figure}.{name}.{model}" for figure in (*FIGURES, "balanced_accuracy")}
            sizes = dict(zip(FIGURES, (f"table1.participants.{name}", positive, negative), strict=True))
            for figure, n in sizes.items():
                paper.possible_share(f"share.{figure}.{name}.{model}", row[figure], n)
            paper.between(f"between.{name}.{model}", *(row[figure] for figure in FIGURES))
            paper.balanced(f"balanced.{name}.{model}", row["balanced_accuracy"], row["sensitivity"], row["specificity"])
            paper.matrix(f"matrix.{name}.{model}", row, positive, negative)
            text = f"results.auc.{name}.{'shufflenet-v2' if model == 'shufflenet-v1' else model}"
            if text in paper:
                paper.auc_point(f"point.{name}.{model}", text, row["sensitivity"], row["specificity"])
            if text in paper and name in EXTERNAL:
                _against_chance(paper, name, model, text, positive, negative)
    paper.add(
        "text.model.shufflenet",
        ["results.auc.yhdh.shufflenet-v2", "table2.accuracy.yhdh.shufflenet-v1"],
        stated="Shufflenet-v2",
        recomputed="Shufflenet-v1",
        method="name of the model in the text against the head of Table 2",
        verdict="inconsistent",
        note="These are two architectures; which one the rows are of cannot be told.",
    )


def _against_chance(paper, name, model, auc, positive, negative):
    """Whether an AUC lies below 0.5 by more than its sampling error."""
    n1, n0, value = paper.count(positive), paper.count(negative), paper[auc].range.value
    error = ((n1 + n0 + 1) / (12 * n1 * n0)) ** 0.5
    z = (paper[auc].range.high - 0.5) / error
    below = z < stats.norm.ppf(0.001)
    paper.add(
        f"chance.{name}.{model}",
        [auc, positive, negative],
        stated=str(paper[auc]),
        recomputed=f"z = {(value - 0.5) / error:.1f}; the reversed score has {1 - value:.2f}",
        method=f"(AUC − 0.5) / √(({n1} + {n0} + 1) / (12·{n1}·{n0})), the sampling error of an AUC without information",
        verdict="inconsistent" if below else "consistent",
        on_failure="A score that ranks fresh fractures below the others this reliably holds information, with its sign "
        "turned round: the AUC is not that of a score of fresh fractures.",
    )


def _subgroups(paper):
    """Table 4 against Table 2, Table 3 and the text."""
    for name in EXTERNAL:
        groups = [f"{name}-non-old", f"{name}-old"]
        for group in groups:
            auc = f"table4.auc.{group}.drn"
            paper.same(f"text.auc.{group}", f"abstract.auc.{group}.drn", f"results.auc.{group}.drn", auc)
            n = f"table3.participants.{group}"
            positive, negative = f"{n}.fresh", f"{n}.non-fresh"
            row = {figure: f"table4.{figure}.{group}.drn" for figure in FIGURES} | {
                "f1": f"table4.f1_score.{group}.drn"
            }
            sizes = dict(zip(FIGURES, (n, positive, negative), strict=True))
            for figure, size in sizes.items():
                paper.possible_share(f"share.{figure}.{group}", row[figure], size)
            paper.between(f"between.{group}", *(row[figure] for figure in FIGURES))
            found = paper.matrix(f"matrix.{group}", row, positive, negative)
            tp, fn, fp, tn = (int(found.iloc[0][cell]) for cell in ("tp", "fn", "fp", "tn"))
            for figure, k, size in (
                ("accuracy", tp + tn, tp + fn + fp + tn),
                ("sensitivity", tp, tp + fn),
                ("specificity", tn, tn + fp),
            ):
                paper.inside(f"inside.{figure}.{group}", row[figure])
                full = k == size
                cells = (tp, fn, fp, tn)
                paper.bootstrap_interval(f"bootstrap.{figure}.{group}", row[figure], figure, cells, "methods.bootstrap")
                paper.proportion_interval(
                    f"interval.{figure}.{group}", row[figure], k, size, items=sizes[figure], on_failure=COLLAPSE * full
                )
            paper.bootstrap_interval(f"bootstrap.f1.{group}", row["f1"], "f1", (tp, fn, fp, tn), "methods.bootstrap")
            for bound in ("low", "high"):
                paper.possible_share(
                    f"share.accuracy.{group}.{bound}",
                    row["accuracy"],
                    n,
                    bound=bound,
                    fail="undecidable",
                    note="The bootstrap's bounds of an accuracy are whole counts too, unless interpolated.",
                )
            paper.inside(f"inside.f1.{group}", row["f1"])
            paper.inside(f"inside.auc.{group}", f"results.auc.{group}.drn")
            paper.auc_interval(f"interval.auc.{group}", f"results.auc.{group}.drn", positive, negative)
            paper.auc_point(f"point.{group}", f"results.auc.{group}.drn", row["sensitivity"], row["specificity"])
        for figure, labels in (
            ("sensitivity", ("fresh",)),
            ("specificity", ("non-fresh",)),
            ("accuracy", ("fresh", "non-fresh")),
        ):
            sizes = [sum(paper.count(f"table3.participants.{g}.{label}") for label in labels) for g in groups]
            parts = [f"table4.{figure}.{group}.drn" for group in groups]
            right = [round(paper[one].range.value * size) for one, size in zip(parts, sizes, strict=True)]
            paper.compare(
                f"total.{figure}.{name}",
                f"table2.{figure}.{name}.drn",
                sum(right) / sum(sizes),
                method=f"({right[0]} + {right[1]}) / ({sizes[0]} + {sizes[1]}), whole counts of the two subgroups",
                items=[*parts, *(f"table3.participants.{g}.{label}" for g in groups for label in labels)],
            )
        _overall_auc(paper, name, groups)
        paper.same(
            f"text.p_auc.{name}",
            *(f"{place}.p_auc.{name}.drn" for place in ("abstract", "results", "table4", "discussion")),
        )
        first, second = (f"results.auc.{group}.drn" for group in groups)
        paper.p_intervals(
            f"p.auc.{name}",
            f"results.p_auc.{name}.drn",
            first,
            second,
            paired=False,
            on_failure="The subgroups are different patients, so that the test is that of independent AUCs.",
        )
        paper.order(
            f"claim.significance.{name}",
            f"discussion.p_auc.{name}.drn",
            "discussion.significance",
            claim=f"p greater than {paper['discussion.significance']}",
        )
        paper.order(f"claim.decrease.{name}", first, second, claim="AUC lower with old fractures")
        _sensitivity_drop(paper, name, groups)


def _overall_auc(paper, name, groups):
    """The AUC of a cohort is that of its pairs: within the subgroups, and across them, where it is free."""
    sizes = [[paper.count(f"table3.participants.{g}.{label}") for label in ("fresh", "non-fresh")] for g in groups]
    within = [n1 * n0 for n1, n0 in sizes]
    across = sum(n1 for n1, _ in sizes) * sum(n0 for _, n0 in sizes) - sum(within)
    parts = [paper[f"results.auc.{group}.drn"].range for group in groups]
    whole = paper[f"results.auc.{name}.drn"].range
    total = sum(within) + across
    free = [
        (whole[k] * total - sum(auc[j] * pairs for auc, pairs in zip(parts, within, strict=True))) / across
        for k, j in ((0, 0), (1, 2), (2, 1))
    ]
    paper.add(
        f"mixture.auc.{name}",
        [
            f"results.auc.{name}.drn",
            *(f"results.auc.{g}.drn" for g in groups),
            *(f"table3.participants.{g}.{label}" for g in groups for label in ("fresh", "non-fresh")),
        ],
        stated=str(paper[f"results.auc.{name}.drn"]),
        recomputed=f"pairs across the subgroups would have an AUC of {free[0]:.2f}",
        method=f"(AUC·{total} − {within[0]}·{parts[0].value:.2f} − {within[1]}·{parts[1].value:.2f}) / {across} pairs, "
        "which has to lie between 0 and 1",
        verdict="consistent" if free[1] <= 1 and free[2] >= 0 else "impossible",
    )


def _sensitivity_drop(paper, name, groups):
    """The statement that the diagnostic process is not affected, on the counts of Table 4."""
    for figure, label in (("sensitivity", "fresh"), ("specificity", "non-fresh")):
        sizes = [paper.count(f"table3.participants.{g}.{label}") for g in groups]
        right = [
            round(paper[f"table4.{figure}.{g}.drn"].range.value * size) for g, size in zip(groups, sizes, strict=True)
        ]
        p = stats.fisher_exact([[k, n - k] for k, n in zip(right, sizes, strict=True)]).pvalue
        paper.add(
            f"claim.unaffected.{figure}.{name}",
            [
                *(f"table4.{figure}.{g}.drn" for g in groups),
                *(f"table3.participants.{g}.{label}" for g in groups),
                "discussion.significance",
            ],
            stated="the diagnostic process of the DRN was not affected by the presence of old VCFs",
            recomputed=f"{right[0]}/{sizes[0]} without, {right[1]}/{sizes[1]} with old fractures; "
            f"Fisher's exact p = {p:.3f}",
            method=f"{figure} of Table 4 as counts, tested between the subgroups",
            verdict="inconsistent" if p < paper["discussion.significance"].range.value else "consistent",
            on_failure="By the paper's own level this difference is significant; no difference in AUC being shown is "
            "not the same as no difference.",
        )


def _claims(paper):
    """Sentences that compare printed numbers."""
    paper.order(
        "claim.auc.external",
        "results.auc.bmuh.drn",
        "discussion.auc.external.drn",
        claim=f"AUC greater than {paper['discussion.auc.external.drn']} in the external test cohorts",
    )
    paper.order(
        "claim.auc.yhdh", "discussion.auc.yhdh.drn", "discussion.auc.bmuh.drn", claim="slightly superior in YHDH"
    )
    paper.order(
        "claim.auc.fall",
        "results.auc.validation.drn",
        "results.auc.yhdh.drn",
        claim="validation above external cohorts",
    )
    for name in ("validation", *EXTERNAL):
        for figure in ("accuracy", "balanced_accuracy"):
            others = [f"table2.{figure}.{name}.{model}" for model in MODELS[1:]]
            best = max(others, key=lambda one: paper[one].range.value)
            paper.order(
                f"claim.best.{figure}.{name}",
                f"table2.{figure}.{name}.drn",
                best,
                claim=BETTER,
                on_failure=f"{best.rsplit('.', 1)[1]} is higher.",
            )
        if name in EXTERNAL:
            others = [one for one in paper.ids(f"results.auc.{name}.*") if not one.endswith(".drn")]
            best = max(others, key=lambda one: paper[one].range.value)
            paper.order(
                f"claim.best.auc.{name}",
                f"results.auc.{name}.drn",
                best,
                claim=BETTER,
            )
            negative = f"table1.participants.{name}.non-fresh"
            n, k = paper.count(f"table1.participants.{name}"), paper.count(negative)
            right = round(paper[f"table2.accuracy.{name}.drn"].range.value * n)
            p = stats.binomtest(right, n, k / n, alternative="greater").pvalue
            paper.add(
                f"claim.accuracy.{name}",
                [f"table2.accuracy.{name}.drn", negative, f"table1.participants.{name}", "methods.significance"],
                stated="high accuracy on an external test cohort",
                recomputed=f"{right}/{n} right; calling nobody fresh has {k}/{n} right; one-sided p = {p:.3f}",
                method="binomial test of the accuracy against the share of the larger class",
                verdict="consistent" if p < paper["methods.significance"].range.value else "inconsistent",
                on_failure="The accuracy does not exceed that of calling nobody fresh by more than chance.",
            )
    paper.add(
        "text.layers",
        ["discussion.convolution_layers.drn", "methods.residual_modules.drn", "methods.layers.drn"],
        stated=f"{paper['discussion.convolution_layers.drn']} convolution layers",
        recomputed=f"{paper['methods.layers.drn']} layers in {paper['methods.residual_modules.drn']} residual modules",
        method="the architecture in Discussion against that in Materials and methods",
        verdict="inconsistent",
        note="Four is the number of modules, each of many convolutions.",
    )
    thoracic, fresh = ([f"table1.{one}.{name}" for name in COHORTS] for one in ("thoracic", "participants"))
    fresh = [f"{one}.fresh" for one in fresh]
    paper.add(
        "text.levels.radiographs",
        [*thoracic, *fresh],
        stated="lumbar spine radiography",
        recomputed=f"{paper.count(thoracic)} of {paper.count(fresh)} fresh fractures are thoracic",
        method="sums over the cohorts of Table 1",
        verdict="undecidable",
        note="A lumbar film shows the lowest thoracic vertebrae; which levels these are is not printed.",
    )
    columns = [one.rsplit(".", 1)[1] for one in paper.ids("table2.accuracy.validation.*")]
    paper.add(
        "claim.models_compared",
        ["abstract.models_compared", *paper.ids("table2.accuracy.validation.*")],
        stated=f"{paper['abstract.models_compared']} other models",
        recomputed=f"{len(columns) - 1} beside DRN",
        method="columns of Table 2",
        verdict="consistent" if len(columns) - 1 == paper.count("abstract.models_compared") else "inconsistent",
    )
