"""Checks of the numbers that paper 02 (Xu 2023) prints. Its tables are images and no text, so that much stays open."""

import calendar
import math
from itertools import product

from scipy import stats

from .findings import Item, Paper
from .primitives import Range, auc_variance, mean_one_vs_rest_accuracy, printed, proportion_is_possible

STEM = "02_xray_acute_chronic_pathological"
CLASSES = ("acute", "chronic", "pathologic")
SITES = ("gzfph", "whth", "hb672h")
READERS = ("trainee", "competent", "expert")
AIDED = tuple(f"dl-{reader}" for reader in READERS)
COLLABORATION = [f"results.vertebrae.collaboration.{label}" for label in CLASSES]
DEVELOPMENT = [f"results.vertebrae.development.{label}" for label in CLASSES]
NAMES = {"dl": "DL", "trainee": "trainee", "competent": "competent", "expert": "expert"}
NAMES |= {f"dl-{reader}": f"DL and {reader}" for reader in READERS}


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
    _dates(paper)
    _samples(paper)
    _architecture(paper)
    _accuracies(paper)
    _auc_intervals(paper)
    _collaboration(paper)
    _readers(paper)
    _claims(paper)


def _dates(paper):
    for id in paper.ids("methods.date.*"):
        year, month, day = _date(paper[id])
        exists = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
        paper.add(
            f"dates.{id.removeprefix('methods.date.')}",
            id,
            stated=paper[id].note,
            recomputed=f"month {month} of {year} has {calendar.monthrange(year, month)[1]} days",
            method="calendar",
            verdict="consistent" if exists else "impossible",
        )
    for first, second in (
        ("development.start", "development.end"),
        ("external.start", "external.end"),
        ("development.end", "prospective.start"),
    ):
        a, b = (paper[f"methods.date.{one}"] for one in (first, second))
        paper.add(
            f"dates.{first}-{second}",
            [a.id, b.id],
            stated=f"{a.note}; {b.note}",
            recomputed="in this order",
            method="year, month and day compared",
            verdict="consistent" if _date(a) < _date(b) else "impossible",
        )
    start = paper["methods.date.prospective.start"]
    paper.add(
        "dates.approval",
        ["methods.approval.year", start.id],
        stated=f"{paper['methods.approval.year'].note}; inclusion from {start.note}",
        recomputed="the day of the approval is not printed",
        method="year in the number of the approval against the first inclusion",
        verdict="undecidable",
    )


def _date(item: Item) -> tuple[int, int, int]:
    rest, day = divmod(item.count, 100)
    return *divmod(rest, 100), day


def _samples(paper):
    paper.same("text.patients", "abstract.patients", "methods.patients")
    paper.same(
        "text.patients.prospective",
        "abstract.patients.prospective",
        "methods.patients.prospective",
        "methods.patients.prospective.validation",
        "results.patients.prospective",
    )
    paper.same(
        "text.vertebrae.prospective",
        "methods.vertebrae.prospective",
        "methods.vertebrae.prospective.validation",
        "results.vertebrae.prospective",
    )
    paper.same("text.hospitals", "abstract.hospitals", "methods.hospitals")
    paper.same(
        "text.sets.external",
        "abstract.sets.external",
        "methods.hospitals.external",
        "results.hospitals.external",
        "discussion.sets.external",
    )
    paper.total(
        "sum.patients", "abstract.patients", ["abstract.patients.retrospective", "abstract.patients.prospective"]
    )
    others = ["results.vertebrae.external", "results.vertebrae.prospective"]
    paper.total("sum.vertebrae", "methods.vertebrae", [*DEVELOPMENT, *others])
    n = len(SITES) + 2
    paper.add(
        "sum.sets",
        ["results.sets", "methods.hospitals.external"],
        recomputed=f"testing, prospective and {n - 2} external sets: {n}",
        method="sets that are named",
        verdict="consistent" if n == paper.count("results.sets") else "inconsistent",
    )
    n = len(SITES) + 1
    paper.add(
        "sum.hospitals",
        ["methods.hospitals", "methods.hospitals.external"],
        recomputed=f"Site 1 and {n - 1} external sites: {n}",
        method="sites that are named",
        verdict="consistent" if n == paper.count("methods.hospitals") else "inconsistent",
    )
    development = ["abstract.patients.retrospective", "-results.patients.external"]
    for name, vertebrae, patients in (
        ("all", "methods.vertebrae", "methods.patients"),
        ("prospective", "results.vertebrae.prospective", "results.patients.prospective"),
        ("external", "results.vertebrae.external", "results.patients.external"),
        ("development", DEVELOPMENT, development),
    ):
        a, b = paper.count(vertebrae), paper.count(patients)
        paper.add(
            f"units.{name}",
            [
                *([vertebrae] if isinstance(vertebrae, str) else vertebrae),
                *([patients] if isinstance(patients, str) else patients),
            ],
            stated=f"{a} vertebrae of {b} patients",
            recomputed=f"{a / b:.2f} vertebrae a patient",
            method="vertebrae / patients, which is at least 1",
            verdict="consistent" if a >= b else "impossible",
        )
    paper.add(
        "split.unit",
        ["methods.training_share", *DEVELOPMENT, "abstract.patients.retrospective", "results.patients.external"],
        stated=f"images assigned {paper['methods.training_share']} to {paper['methods.testing_share']}",
        recomputed=f"{paper.count(DEVELOPMENT)} vertebrae of {paper.count(development)} patients",
        method="vertebrae against patients of the development set",
        verdict="undecidable",
        note="Images were divided, and patients have several vertebrae: how many patients stand on both sides of the "
        "split is not printed.",
    )
    whole = paper.count(DEVELOPMENT)
    paper.add(
        "split.sizes",
        ["methods.training_share", "methods.testing_share", *DEVELOPMENT],
        stated=f"{paper['methods.training_share']} to {paper['methods.testing_share']}",
        recomputed=f"{whole - _testing(paper)} and {_testing(paper)} of {whole}",
        method=f"share of testing × {whole}, rounded; the two sizes are not printed",
        verdict="undecidable",
    )
    paper.compare(
        "split.shares",
        "methods.testing_share",
        1 - paper["methods.training_share"].range.value,
        method="1 − share of training",
        items="methods.training_share",
    )
    paper.share(
        "percent.collaboration",
        "methods.collaboration_share",
        COLLABORATION,
        "results.vertebrae.external",
        note="Rounded to whole percent, as printed.",
    )


def _testing(paper) -> int:
    return round(paper["methods.testing_share"].range.value * paper.count(DEVELOPMENT))


def _architecture(paper):
    parts = [f"methods.{name}" for name in ("modules", "module_blocks", "block_convolutions")]
    a, b, c = (paper.count(one) for one in parts)
    paper.compare("sum.convolutions", "methods.convolutions", a * b * c, method=f"{a} × {b} × {c}", items=parts)
    n = paper.count("methods.convolutions")
    paper.compare(
        "sum.layers", "methods.layers", n + 2, method=f"{n} + the first + the last", items="methods.convolutions"
    )
    paper.compare(
        "text.layers",
        "methods.layers",
        n + 1,
        method=f"{n} + the first: a fully connected layer is no convolution",
        items="methods.convolutions",
        note="“Convolutional layers in total” counts the fully connected one.",
    )


# ------------------------------------------------------------------------------------------------------ accuracies


def _accuracies(paper):
    for name in ("testing", "prospective"):
        paper.same(f"text.accuracy.{name}", f"abstract.accuracy.{name}", f"results.accuracy.{name}")
    sites = [paper[f"results.accuracy.{site}"] for site in SITES]
    ends = sorted((site.text for site in sites), key=float)
    stated = paper["abstract.accuracy.external"]
    paper.add(
        "text.accuracy.external",
        [stated.id, *(site.id for site in sites)],
        stated=str(stated),
        recomputed=f"{ends[0]}–{ends[-1]}",
        method="least and greatest of the three sites",
        verdict="consistent" if (stated.low, stated.high) == (ends[0], ends[-1]) else "inconsistent",
    )
    paper.same(
        "text.accuracy.testing.twice",
        "results.accuracy.testing",
        "results.testing_accuracy",
        method="accuracy in the testing set, in two paragraphs of Results",
        note="Neither is defined. The reading that fits most of the paper: the lower one is the share of right "
        "answers, the others are means of the three one-vs-rest accuracies.",
    )
    testing = _testing(paper)
    for id, item, n in (
        ("training", "results.training_accuracy", paper.count(DEVELOPMENT) - testing),
        ("testing.argmax", "results.testing_accuracy", testing),
        ("testing", "results.accuracy.testing", testing),
    ):
        _share(paper, f"share.accuracy.{id}", item, n, [*DEVELOPMENT, "methods.testing_share"])
    item = paper["results.accuracy.testing"]
    _one_vs_rest(paper, "ovr.accuracy.testing.counts", item.id, testing, [*DEVELOPMENT, "methods.testing_share"])
    paper.compare(
        "ovr.accuracy.testing",
        item.id,
        mean_one_vs_rest_accuracy(paper["results.testing_accuracy"].range),
        method=f"1 − 2·(1 − {paper['results.testing_accuracy'].text}) / 3, the mean of the one-vs-rest accuracies",
        items="results.testing_accuracy",
    )
    n = "results.vertebrae.prospective"
    _share(paper, "share.accuracy.prospective", "results.accuracy.prospective", paper.count(n), [n])
    _one_vs_rest(paper, "ovr.accuracy.prospective", "results.accuracy.prospective", paper.count(n), [n])
    for site in SITES:
        paper.add(
            f"share.accuracy.{site}",
            [f"results.accuracy.{site}", "results.vertebrae.external"],
            stated=str(paper[f"results.accuracy.{site}"]),
            recomputed="vertebrae of this site not printed",
            method="whole counts out of the vertebrae of a site",
            verdict="undecidable",
        )


def _share(paper, id, item, n, items):
    """A stated accuracy as the share of right answers."""
    text = paper[item].printed
    exact, cut = proportion_is_possible(text, n), proportion_is_possible(text, n, truncation=True)
    k = round(paper[item].range.value * n)
    paper.add(
        id,
        [item, *items],
        stated=str(paper[item]),
        recomputed=", ".join(f"{j}/{n} = {j / n:.4f}" for j in (cut or (k - 1, k, k + 1))),
        method=f"share of right answers among {n} vertebrae",
        verdict="consistent" if exact else "rounding" if cut else "inconsistent",
        on_failure="No whole count of right answers prints so; a size that differs by a few vertebrae, or another "
        "definition of accuracy, would.",
    )


def _one_vs_rest(paper, id, item, n, items):
    """A stated accuracy as the mean of the three one-vs-rest accuracies of whole counts."""
    stated = paper[item]
    values = {k: _exactly(1 - 2 * (1 - k / n) / 3) for k in range(n + 1)}
    exact = [k for k, value in values.items() if stated.range.meets(value)]
    cut = [k for k, value in values.items() if stated.cut.meets(value)]
    nearest = sorted(values, key=lambda k: abs(values[k].value - stated.range.value))[:2]
    paper.add(
        id,
        [item, *items],
        stated=str(stated),
        recomputed=", ".join(f"{k} right: {values[k].value:.4f}" for k in (cut[:2] or sorted(nearest))),
        method=f"(1 + 2·right/{n}) / 3: each wrong answer is wrong in two of the three one-vs-rest tables",
        verdict="consistent" if exact else "rounding" if cut else "inconsistent",
    )


def _auc_intervals(paper):
    """Printed intervals against the narrowest that any scores allow, whatever the sizes of the classes are."""
    sizes = {"testing": _testing(paper)} | dict.fromkeys(SITES, paper.count("results.vertebrae.external"))
    for name, n in sizes.items():
        cited = DEVELOPMENT if name == "testing" else ["results.vertebrae.external"]
        for label in CLASSES:
            item = paper[f"results.auc.{name}.{label}"]
            paper.inside(f"inside.auc.{name}.{label}", item.id)
            value, low, high = (printed(text) for text in item.interval)
            width = 2 * max(high.high - value.low, value.high - low.low)
            least = (
                3.92
                * min(
                    auc_variance(end, n1, n - n1).lowest
                    for n1 in range(1, n // 2 + 1)
                    for end in (value.low, value.high)
                )
                ** 0.5
            )
            usual = 3.92 * auc_variance(value.value, n // 2, n - n // 2).hanley_mcneil ** 0.5
            paper.add(
                f"interval.auc.{name}.{label}",
                [item.id, *cited],
                stated=str(item),
                recomputed=f"width at most {width:.4f}; any scores of {n} vertebrae: at least {least:.3f}; "
                f"usual {usual:.3f}",
                method="2·1.96·SE of an AUC, the least over all scores and all class sizes "
                + (f"of the {n} vertebrae" if name == "testing" else f"of all three sites together ({n} vertebrae)")
                + "; usual: Hanley and McNeil, equal classes",
                verdict="impossible" if width < least / 2 else "inconsistent" if width < least else "consistent",
                on_failure="Such a width is that of the mean of many resamples, not of the AUC.",
            )


# --------------------------------------------------------------------------------------------------- collaboration


def _collaboration(paper):
    for label, model in product(CLASSES, ("dl", *READERS, *AIDED)):
        paper.same(
            f"text.auc.{model}.{label}",
            f"abstract.auc.collaboration.{model}.{label}",
            f"results.auc.collaboration.{model}.{label}",
        )
    n = paper.count(COLLABORATION)
    for model in ("dl", *READERS, *AIDED):
        item = f"results.accuracy.collaboration.{model}"
        _share(paper, f"share.accuracy.{model}", item, n, COLLABORATION)
        _one_vs_rest(paper, f"ovr.accuracy.{model}.counts", item, n, COLLABORATION)
        sensitivity = f"results.sensitivity.collaboration.{model}"
        if sensitivity in paper:
            _share(paper, f"share.sensitivity.{model}", sensitivity, n, COLLABORATION)
            paper.compare(
                f"ovr.accuracy.{model}",
                item,
                mean_one_vs_rest_accuracy(paper[sensitivity].range),
                method=f"(1 + 2·{paper[sensitivity].text}) / 3, the sensitivity read as the share of right answers",
                items=sensitivity,
            )
        of_class = f"results.sensitivity.collaboration.{model}.pathologic"
        paper.possible_share(f"share.sensitivity.{model}.pathologic", of_class, COLLABORATION[-1])
    for model in (*READERS, *AIDED):
        _hard_calls(paper, model)
    misjudged = paper["results.misjudged_by_all"]
    hits = {
        model: round(paper[f"results.sensitivity.collaboration.{model}.pathologic"].range.value * misjudged.n)
        for model in ("dl", *READERS)
    }
    most = misjudged.n - max(hits.values())
    paper.add(
        "bound.misjudged",
        [
            misjudged.id,
            COLLABORATION[-1],
            *(f"results.sensitivity.collaboration.{model}.pathologic" for model in hits),
        ],
        stated=f"{misjudged.text} of {misjudged.n}",
        recomputed=f"between {max(0, misjudged.n - sum(hits.values()))} and {most}",
        method=f"right answers {', '.join(f'{NAMES[model]} {k}' for model, k in hits.items())} of {misjudged.n}: at "
        "most those that the best of them missed, at least those left when no two agree",
        verdict="consistent" if misjudged.n - sum(hits.values()) <= misjudged.count <= most else "impossible",
    )
    paper.same("text.misjudged", "results.misjudged_by_all", "discussion.misjudged_by_all")
    paper.add(
        "text.misjudged.of",
        [misjudged.id, COLLABORATION[-1]],
        stated=f"out of {misjudged.n}",
        recomputed=str(paper[COLLABORATION[-1]]),
        method="the same number in two places",
        verdict="consistent" if misjudged.n == paper.count(COLLABORATION[-1]) else "inconsistent",
    )


def _hard_calls(paper, model):
    """A reader who names one class a vertebra has one operating point a class: AUC = (sensitivity + specificity)/2."""
    sizes = [paper.count(one) for one in COLLABORATION]
    n = sum(sizes)
    aucs = [paper[f"results.auc.collaboration.{model}.{label}"] for label in CLASSES]
    accuracy, sensitivity = (f"results.{name}.collaboration.{model}" for name in ("accuracy", "sensitivity"))
    hits = round(paper[f"{sensitivity}.pathologic"].range.value * sizes[2])
    answers = _Answers(sizes, hits, [auc.cut for auc in aucs])
    alone = answers.false_positives(2, hits)
    others = n - sizes[2]
    value = (hits / sizes[2] + 1) / 2
    nearest = sorted(range(others + 1), key=lambda fp: abs(value - fp / others / 2 - aucs[2].range.value))[:2]
    paper.add(
        f"reader.auc.{model}.pathologic",
        [aucs[2].id, f"{sensitivity}.pathologic", *COLLABORATION],
        stated=str(aucs[2]),
        recomputed="; ".join(
            f"specificity {others - fp}/{others}: {value - fp / others / 2:.4f}" for fp in (alone or nearest)
        ),
        method=f"({hits}/{sizes[2]} + specificity) / 2 with whole counts out of {others}",
        verdict="consistent" if alone else "inconsistent",
        on_failure="With one answer a vertebra no specificity gives this AUC.",
    )
    right = [
        k
        for k in range(n + 1)
        if paper[sensitivity].cut.meets(_exactly(k / n)) or paper[accuracy].cut.meets(_exactly(1 - 2 * (1 - k / n) / 3))
    ]
    exact = _Answers(sizes, hits, [auc.range for auc in aucs]).tables(right)
    found = exact or answers.tables(right)
    any_total = [] if found else answers.tables(range(n + 1))
    paper.add(
        f"reader.matrix.{model}",
        [*(auc.id for auc in aucs), sensitivity, accuracy, f"{sensitivity}.pathologic", *COLLABORATION],
        stated=f"AUCs {', '.join(auc.text for auc in aucs)}; sensitivity {paper[sensitivity]}; "
        f"accuracy {paper[accuracy]}",
        recomputed=f"right {found[0][:3]}, wrongly called {found[0][3:]} (acute, chronic, pathological)"
        if found
        else "no table of answers"
        + (f"; the three AUCs fit {' or '.join(str(sum(row[:3])) for row in any_total)} right" if any_total else ""),
        method=f"tables of one answer a vertebra ({sizes[0]}, {sizes[1]}, {sizes[2]}), {hits} pathological ones found, "
        f"{' or '.join(map(str, right))} right in all, with the AUCs as (sensitivity + specificity)/2",
        verdict="consistent" if exact else "rounding" if found else "inconsistent",
        on_failure="No table of one answer a vertebra has these figures; graded answers, of which Methods say nothing, "
        "could have other AUCs.",
    )


class _Answers:
    """Tables of one answer a vertebra that print as the AUCs of the three classes."""

    def __init__(self, sizes, hits, aucs):
        self.sizes, self.hits, self.aucs, self.n = sizes, hits, aucs, sum(sizes)

    def false_positives(self, k, tp):
        """Numbers of wrong calls of class k with which (tp/size + specificity)/2 prints as its AUC."""
        size, others = self.sizes[k], self.n - self.sizes[k]
        low, high = ((1 + tp / size - 2 * end) * others for end in (self.aucs[k].high, self.aucs[k].low))
        return range(max(0, math.ceil(low - 1e-9)), min(others, math.floor(high + 1e-9)) + 1)

    def tables(self, right):
        """(right answers, wrong calls) of the three classes, for each allowed number of right answers in all."""
        third = set(self.false_positives(2, self.hits))
        found = []
        for acute, chronic in product(range(self.sizes[0] + 1), range(self.sizes[1] + 1)):
            hits = (acute, chronic, self.hits)
            if (wrong := self.n - sum(hits)) < 0 or sum(hits) not in right:
                continue
            missed = [size - tp for size, tp in zip(self.sizes, hits, strict=True)]
            for fp in product(self.false_positives(0, acute), self.false_positives(1, chronic)):
                calls = (*fp, wrong - sum(fp))
                # Off-diagonal counts with these margins exist if no class is missed and called more than wrong answers.
                if calls[2] in third and all(m + f <= wrong for m, f in zip(missed, calls, strict=True)):
                    found.append((*hits, *calls))
        return found


def _exactly(value):
    return Range(value, value, value)


def _readers(paper):
    """Accuracies of the Discussion against those of Results."""
    for model in ("competent", "dl-competent", "trainee", "dl-trainee", "expert"):
        paper.same(f"text.accuracy.{model}", f"results.accuracy.collaboration.{model}", f"discussion.accuracy.{model}")
    paper.add(
        "text.accuracy.expert.source",
        ["discussion.accuracy.expert", "results.accuracy.collaboration.dl", "results.accuracy.collaboration.expert"],
        stated=f"{paper['discussion.accuracy.expert']} called the expert's",
        recomputed=f"{paper['results.accuracy.collaboration.dl']} is the model's, "
        f"{paper['results.accuracy.collaboration.expert']} the expert's",
        method="Discussion against Results",
        verdict="inconsistent"
        if paper["discussion.accuracy.expert"].text != paper["results.accuracy.collaboration.expert"].text
        else "consistent",
    )


def _claims(paper):
    accuracy, sensitivity = "results.accuracy.collaboration.", "results.sensitivity.collaboration."
    paper.order("claim.dl.trainee", f"{accuracy}dl", f"{accuracy}trainee", claim="model above the trainee")
    paper.order("claim.dl.expert", f"{accuracy}expert", f"{accuracy}dl", claim="model slightly below the expert")
    for label in CLASSES:
        paper.order(
            f"claim.dl.expert.auc.{label}",
            f"results.auc.collaboration.expert.{label}",
            f"results.auc.collaboration.dl.{label}",
            claim="diagnostic efficiency of the model slightly lower than the expert's",
            on_failure="By the AUC the model is ahead, by the accuracy the expert: an AUC from a whole curve and one "
            "from a single point do not rank alike.",
        )
    for reader in READERS:
        paper.order(
            f"claim.accuracy.{reader}",
            f"{accuracy}dl-{reader}",
            f"{accuracy}{reader}",
            claim="accuracy increased with DL",
        )
        paper.order(
            f"claim.sensitivity.{reader}",
            f"{sensitivity}dl-{reader}",
            f"{sensitivity}{reader}",
            claim="sensitivity improved with DL",
        )
        paper.order(
            f"claim.sensitivity.{reader}.pathologic",
            f"{sensitivity}dl-{reader}.pathologic",
            f"{sensitivity}{reader}.pathologic",
            claim="sensitivity to pathological fractures increased with DL",
        )
        for label in CLASSES:
            paper.order(
                f"claim.auc.{reader}.{label}",
                f"results.auc.collaboration.dl-{reader}.{label}",
                f"results.auc.collaboration.{reader}.{label}",
                claim="better diagnostic performance with DL",
            )
            paper.order(
                f"claim.auc.dl-{reader}.{label}",
                f"results.auc.collaboration.dl.{label}",
                f"results.auc.collaboration.{reader}.{label}",
                claim="AUC of the model above the reader's",
                note="A model's AUC comes from a whole curve, a reader's from one point: the two are not alike.",
            )
        _significance(paper, reader, reader, f"dl-{reader}", "increased significantly")
        for label in CLASSES:
            paper.order(
                f"claim.auc.dl-{reader}-dl.{label}",
                f"results.auc.collaboration.dl-{reader}.{label}",
                f"results.auc.collaboration.dl.{label}",
                claim="better diagnostic performance when readers and model are combined",
                fail="undecidable",
                on_failure="The model alone has more; the sentence may mean the reader alone.",
            )
    _significance(paper, "dl-trainee", "trainee", "dl", "significantly higher than the trainee")
    paper.order(
        "claim.sensitivity.upto",
        f"{sensitivity}expert.pathologic",
        f"{sensitivity}competent.pathologic",
        strict=False,
        claim=f"sensitivity to pathological fractures up to {paper[sensitivity + 'expert.pathologic']}, the expert's",
        on_failure="The competent radiologist's is higher.",
    )
    for reader in ("competent", "trainee"):
        paper.order(
            f"claim.exceeds.{reader}.discussion",
            f"discussion.accuracy.dl-{reader}",
            "discussion.accuracy.expert",
            claim=f"{reader} with DL exceeds the expert level",
        )
        paper.order(
            f"claim.exceeds.{reader}.results",
            f"{accuracy}dl-{reader}",
            f"{accuracy}expert",
            claim=f"{reader} with DL exceeds the expert level",
            on_failure="By the values of Results it does not.",
        )
    paper.add(
        "p.significance",
        [f"{accuracy}{model}" for model in ("dl", *READERS, *AIDED)],
        stated="significantly higher, increased significantly, significantly improved",
        recomputed="no p value, no test named",
        method="Statistical analysis names ROC curves alone",
        verdict="undecidable",
    )
    paper.add(
        "text.sites",
        [f"results.accuracy.{site}" for site in SITES],
        stated="Site 2, Site 3, Site 4",
        recomputed="GZFPH, WHTH, HB672H",
        method="names of the same three sites in two sentences",
        verdict="undecidable",
        note="Which name is which site is not printed; taken to be in the same order.",
    )


def _significance(paper, name, first, second, stated):
    """McNemar's exact test needs the answers that changed; its range over all of them is what the totals allow."""
    n = paper.count(COLLABORATION)
    before, after = (
        [
            k
            for k in range(n + 1)
            if paper[f"results.accuracy.collaboration.{model}"].cut.meets(_exactly(1 - 2 * (1 - k / n) / 3))
        ]
        or [round(n * paper[f"results.sensitivity.collaboration.{model}"].range.value)]
        for model in (first, second)
    )
    gain, most = after[0] - before[0], n - after[0]
    ps = [stats.binomtest(lost, gain + 2 * lost).pvalue for lost in range(min(most, before[0]) + 1)]
    paper.add(
        f"p.mcnemar.{name}",
        [
            f"results.accuracy.collaboration.{first}",
            f"results.accuracy.collaboration.{second}",
            *COLLABORATION,
        ],
        stated=stated,
        recomputed=f"p between {min(ps):.1e} and {max(ps):.2f}",
        method=f"McNemar's exact test of {before[0]} against {after[0]} right answers of {n}, over all numbers of "
        "vertebrae that the first alone had right",
        verdict="consistent" if max(ps) < 0.05 else "undecidable" if min(ps) < 0.05 else "inconsistent",
        note="How many vertebrae only the first had right is not printed.",
    )
