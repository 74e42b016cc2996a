"""From printed items to rows with a verdict: the vocabulary of the audit, and one builder per kind of check.

A module per paper calls the builders of `Paper`. Items are named by their ids, never typed as numbers. Where a count
is needed, several ids are added, and one that begins with ``-`` is subtracted: ``["patients", "-patients.female"]``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .. import params
from . import primitives
from .primitives import Range

# From agreement to contradiction; `vcfkit.audit.findings` says what each means.
VERDICTS = ("consistent", "rounding", "inconsistent", "impossible", "undecidable")
COLUMNS = ["id", "where", "stated", "recomputed", "method", "verdict", "note", "items"]

# What the first part of a check's id says, in the words of an overview.
KINDS = {
    "counts and sums": "sum flow units labels total resampling ratio",
    "shares of whole counts": "percent share grim",
    "confusion matrices": "matrix reader",
    "identities between figures": "balanced between bound f1 bayes prevalence implied identity least mixture "
    "one_vs_rest ovr path point",
    "means and deviations": "mean sd pooled fit",
    "p values": "p chi2 variances",
    "intervals": "interval inside symmetric bootstrap",
    "one number in several places": "text same",
    "statements": "claim order chance",
    "splits and dates": "split random dates",
}

# An id, or several to be added; "-" before an id subtracts it.
Ref = str | Sequence[str]


class Item(NamedTuple):
    """One printed item, its numbers as the texts that the paper prints."""

    id: str
    where: str
    text: str | None
    low: str | None
    high: str | None
    unit: str | None
    n: int | None
    note: str | None

    @property
    def percent(self) -> bool:
        return self.unit == "percent"

    @property
    def printed(self) -> str:
        """The value as a text that `primitives` reads: with a percent sign where the unit is percent."""
        if self.text is None:
            raise ValueError(f"{self.id}: a single value required, found the range {self.low} to {self.high}")
        return self.text + "%" * self.percent

    @property
    def interval(self) -> tuple[str, str, str]:
        """Value, low and high as texts that `primitives` reads."""
        if self.low is None or self.high is None:
            raise ValueError(f"{self.id}: an interval required, found {self.text} alone")
        return self.printed, self.low + "%" * self.percent, self.high + "%" * self.percent

    @property
    def decimals(self) -> int:
        return len(self.printed.removesuffix("%").partition(".")[2])

    @property
    def range(self) -> Range:
        """All that the value may have been rounded from; of a percentage as a proportion."""
        return primitives.printed(self.printed)

    @property
    def cut(self) -> Range:
        """As `range`, where digits may also have been cut off."""
        return primitives.printed(self.printed, truncation=True)

    @property
    def count(self) -> int:
        number = float(self.printed.removesuffix("%"))
        if not number.is_integer():
            raise ValueError(f"{self.id}: a whole number required, found {self.text}")
        return int(number)

    def __str__(self) -> str:
        sign = "%" * self.percent
        if self.text is None:
            return f"{self.low}–{self.high}{sign}"
        bounds = f" ({self.low}–{self.high})" if self.low is not None else ""
        return f"{self.text}{sign}{bounds}"


class Paper:
    """The printed items of a paper by id, and the checks made on them so far.

    Every builder takes the id of the check first; its first part is the kind of check. Builders with ``fail`` say which
    verdict a disagreement gets. ``note`` is kept; ``on_failure`` is added where the check does not pass.
    """

    def __init__(self, stem: str):
        self.stem = stem
        texts = params.published_text(stem)
        self.items = {
            row["id"]: Item(
                row["id"],
                row["where"],
                *(texts[row["id"]].get(name) for name in ("value", "low", "high")),
                row["unit"],
                None if pd.isna(row["n"]) else int(row["n"]),
                row["note"],
            )
            for row in params.published(stem).to_dict("records")
        }
        self._rows: list[dict] = []

    def __getitem__(self, id: str) -> Item:
        if id not in self.items:
            near = difflib.get_close_matches(id, self.items, 1, 0.5)
            raise KeyError(f"{self.stem} prints no item {id!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return self.items[id]

    def __contains__(self, id: str) -> bool:
        return id in self.items

    def ids(self, pattern: str) -> list[str]:
        """Ids that match a shell pattern, in printed order."""
        return [id for id in self.items if fnmatch(id, pattern)]

    def count(self, ref: Ref) -> int:
        """The whole number behind a reference."""
        return sum((-1 if id.startswith("-") else 1) * self[id.removeprefix("-")].count for id in _many(ref))

    def frame(self) -> pd.DataFrame:
        """All checks so far (columns `COLUMNS`)."""
        return pd.DataFrame(self._rows, columns=COLUMNS)

    # ------------------------------------------------------------------------------------------------- any check

    def add(
        self,
        id: str,
        items: Ref,
        *,
        recomputed: str,
        method: str,
        verdict: str,
        note: str = "",
        stated: str | None = None,
        on_failure: str = "",
    ) -> None:
        """Add a row; the builders below end here. ``stated`` is what the items print unless it is given."""
        if verdict not in VERDICTS:
            raise ValueError(f"{id}: a verdict of {', '.join(VERDICTS)} required, found {verdict!r}")
        if any(row["id"] == id for row in self._rows):
            raise ValueError(f"check {id!r} stands twice")
        cited = [self[one.removeprefix("-")] for one in _many(items)]
        if verdict not in ("consistent", "rounding"):
            note = " ".join(text for text in (note, on_failure) if text)
        self._rows.append(
            {
                "id": id,
                "where": "; ".join(dict.fromkeys(item.where for item in cited)),
                "stated": stated if stated is not None else ", ".join(dict.fromkeys(str(item) for item in cited)),
                "recomputed": recomputed,
                "method": method,
                "verdict": verdict,
                "note": note,
                "items": " ".join(dict.fromkeys(item.id for item in cited)),
            }
        )

    def compare(
        self,
        id: str,
        stated: str,
        found: Range | float,
        *,
        method: str,
        items: Ref = (),
        fail: str = "inconsistent",
        recomputed: str | None = None,
        lenient: Range | float | None = None,
        note: str = "",
        on_failure: str = "",
    ) -> None:
        """One printed value against what was recomputed, on the scale of a proportion where it is printed in percent.

        Consistent where rounding explains it; rounding where digits were cut off, or where it agrees with ``lenient``
        (the same from numbers that were rounded before). ``items`` are those that went into the computation.
        """
        item, found = self[stated], _as_range(found)
        if item.range.meets(found):
            verdict = "consistent"
        elif item.cut.meets(found) or (lenient is not None and item.cut.meets(_as_range(lenient))):
            verdict = "rounding"
        else:
            verdict = fail
        self.add(
            id,
            [stated, *_many(items)],
            stated=str(item),
            recomputed=recomputed or show(found, item.decimals, percent=item.percent),
            method=method,
            verdict=verdict,
            note=note,
            on_failure=on_failure,
        )

    # ------------------------------------------------------------------------------------------ counts and shares

    def same(self, id: str, *stated: str, method: str = "the same number in two places", **options) -> None:
        """Two or more places that print one thing. Fewer decimals in one are agreement; so is a missing bound.

        Rounding, where the last digit differs by one: rounded in one place and cut off in the other.
        """
        first, *rest = (self[one] for one in stated)
        fail = options.pop("fail", "inconsistent")
        found = {
            _agreement(a, b)
            for other in rest
            for a, b in zip(_parts(first), _parts(other), strict=True)
            if a is not None and b is not None
        }
        verdict = fail if "no" in found else "rounding" if "rounding" in found else "consistent"
        self.add(
            id,
            stated,
            stated=str(first),
            recomputed="; ".join(dict.fromkeys(str(other) for other in rest)),
            method=method,
            verdict=verdict,
            **options,
        )

    def total(self, id: str, whole: Ref, parts: Ref, *, fail: str = "inconsistent", **options) -> None:
        """A printed count against the sum of its parts."""
        a, b = self.count(whole), self.count(parts)
        self.add(
            id,
            [*_many(whole), *_many(parts)],
            stated=_sum(self, whole),
            recomputed=_sum(self, parts) + (f" = {b}" if len(_many(parts)) > 1 else ""),
            method=options.pop("method", "sum of the parts"),
            verdict="consistent" if a == b else fail,
            on_failure=" ".join(filter(None, [f"They differ by {abs(a - b)}.", options.pop("on_failure", "")])),
            **options,
        )

    def share(self, id: str, share: str, part: Ref, whole: Ref, *, fail: str = "inconsistent", **options) -> None:
        """A printed share of a printed count."""
        k, n = self.count(part), self.count(whole)
        self.compare(
            id,
            share,
            k / n,
            items=[*_many(part), *_many(whole)],
            method=options.pop("method", f"{k} / {n}"),
            fail=fail,
            **options,
        )

    def possible_share(
        self, id: str, share: str, n: Ref, *, fail: str = "impossible", bound: str = "value", **options
    ) -> None:
        """Whether any whole count of ``n`` gives the printed share (GRIM)."""
        item, total = self[share], self.count(n)
        text = dict(zip(("value", "low", "high"), _parts(item), strict=True))[bound]
        exact = primitives.proportion_is_possible(text, total)
        cut = exact or primitives.proportion_is_possible(text, total, truncation=True)
        nearest = round(primitives.printed(text).value * total)
        around = sorted({max(0, nearest - 1), nearest, min(total, nearest + 1)})
        self.add(
            id,
            [share, *_many(n)],
            stated=str(item),
            recomputed=", ".join(f"{k}/{total} = {_print(k / total, text)}" for k in (cut or around)),
            method=f"whole counts out of {total} that print so" if cut else f"nearest whole counts out of {total}",
            verdict="consistent" if exact else "rounding" if cut else fail,
            **options,
        )

    # --------------------------------------------------------------------------------------- confusion matrices

    def matrix(
        self,
        id: str,
        figures: Mapping[str, str],
        positive: Ref | None,
        negative: Ref | None,
        *,
        n: Ref | None = None,
        fail: str = "impossible",
        **options,
    ) -> pd.DataFrame:
        """Whether one whole-number confusion matrix prints as all figures at once; returns the matrices that do.

        Tried in turn: exact; digits cut off; figures other than sensitivity and specificity computed from those two as
        printed.
        """
        items = [*figures.values(), *(one for ref in (positive, negative, n) if ref for one in _many(ref))]
        sizes = [None if ref is None else self.count(ref) for ref in (positive, negative)]
        total = None if n is None else self.count(n)
        printed = {name: self[one].printed for name, one in figures.items()}
        found = primitives.confusion_matrices(*sizes, printed, n=total)
        verdict, how = "consistent", "all figures at once"
        if found.empty:
            found = primitives.confusion_matrices(*sizes, printed, n=total, truncation=True)
            verdict, how = "rounding", "all figures at once, digits also cut off"
        if found.empty and "sensitivity" in printed and "specificity" in printed:
            found, twice = self._rounded_twice(printed, sizes, total)
            if not found.empty:
                verdict = "rounding"
                how = f"counts from the other figures; {', '.join(twice)} from figures that were rounded before"
        if found.empty:
            verdict = fail
            sets = primitives.conflicts(*sizes, printed, n=total, truncation=True)
            how = "no counts give " + " or ".join(" with ".join(names) for names in sets)
        else:
            tp, fn, fp, tn = found.iloc[0]
            how += f": {tp}/{tp + fn} and {tn}/{tn + fp}" + (f", {tp + tn}/{tp + fn + fp + tn}" if total else "")
        sides = " + ".join("?" if size is None else str(size) for size in sizes)
        self.add(
            id,
            items,
            stated=", ".join(f"{name} {self[one]}" for name, one in figures.items()),
            recomputed="no matrix" if found.empty else _matrices(found),
            method=f"TP + FN and TN + FP of {sides}{'' if total is None else f' = {total}'}; {how}",
            verdict=verdict,
            **options,
        )
        return found

    def _rounded_twice(self, printed, sizes, total):
        """Matrices of the figures that are counts, with the others taken from rounded ones, and the names of those."""
        se, sp = (primitives.printed(printed[name]) for name in ("sensitivity", "specificity"))
        derived = {name for name in printed if name in ("balanced_accuracy", "f1")}
        twice = []
        if "balanced_accuracy" in derived:
            mean = (se.value + sp.value) / 2
            if not primitives.printed(printed["balanced_accuracy"], truncation=True).meets(Range(mean, mean, mean)):
                return pd.DataFrame(), twice
            twice.append("balanced accuracy")
        if "f1" in derived and "ppv" in printed:
            f1 = primitives.f1_from(primitives.printed(printed["ppv"]).value, se.value)
            if not primitives.printed(printed["f1"], truncation=True).meets(f1):
                return pd.DataFrame(), twice
            twice.append("F1")
        rest = {
            name: text
            for name, text in printed.items()
            if name not in derived or (name == "f1" and "ppv" not in printed)
        }
        return primitives.confusion_matrices(*sizes, rest, n=total, truncation=True), twice

    # -------------------------------------------------------------------------------------------------- identities

    def between(self, id: str, accuracy: str, sensitivity: str, specificity: str, **options) -> None:
        """Accuracy lies between sensitivity and specificity."""
        a, b = self[sensitivity], self[specificity]
        limits = primitives.accuracy_between(a.range, b.range)
        inside = Range(self[accuracy].range.value, limits.low, limits.high).meets(self[accuracy].range)
        self.add(
            id,
            [accuracy, sensitivity, specificity],
            stated=str(self[accuracy]),
            recomputed=f"between {min(a.text, b.text, key=float)} and {max(a.text, b.text, key=float)}",
            method="accuracy is a mean of sensitivity and specificity, weighted by the class sizes",
            verdict="consistent" if inside else "impossible",
            **options,
        )

    def balanced(self, id: str, stated: str, sensitivity: str, specificity: str, **options) -> None:
        """Balanced accuracy as the mean of two printed figures."""
        a, b = self[sensitivity], self[specificity]
        mean = primitives.accuracy_between(a.range, b.range).value
        half = Range(mean, (a.range.low + b.range.low) / 2, (a.range.high + b.range.high) / 2)
        self.compare(id, stated, half, method=f"({a.text} + {b.text}) / 2", items=[sensitivity, specificity], **options)

    def f1(self, id: str, stated: str, ppv: str, sensitivity: str, **options) -> None:
        """F1 score from printed PPV and sensitivity."""
        found = primitives.f1_from(self[ppv].range, self[sensitivity].range)
        method = f"2 × {self[ppv].text} × {self[sensitivity].text} / ({self[ppv].text} + {self[sensitivity].text})"
        self.compare(id, stated, found, method=method, items=[ppv, sensitivity], **options)

    def predictive(
        self, id: str, stated: str, which: str, sensitivity: str, specificity: str, part: Ref, whole: Ref, **options
    ) -> None:
        """PPV or NPV (``which``) from sensitivity, specificity and the share ``part / whole`` by Bayes' rule."""
        k, n = self.count(part), self.count(whole)
        se, sp = self[sensitivity], self[specificity]
        ppv, npv = primitives.ppv_npv_from(se.range, sp.range, k / n)
        a, b, pr = f"{se.range.value:.4g}", f"{sp.range.value:.4g}", f"{k / n:.4f}"
        method = (
            f"{a}·{pr} / ({a}·{pr} + (1 − {b})·(1 − {pr}))"
            if which == "ppv"
            else f"{b}·(1 − {pr}) / ({b}·(1 − {pr}) + (1 − {a})·{pr})"
        )
        self.compare(
            id,
            stated,
            ppv if which == "ppv" else npv,
            method=f"{method}, prevalence {k}/{n}",
            items=[sensitivity, specificity, *_many(part), *_many(whole)],
            **options,
        )

    def mean(self, id: str, stated: str, parts: Sequence[str], **options) -> None:
        """A printed average against the mean of the printed parts."""
        ranges = [self[part].range for part in parts]
        mean = Range(*(sum(column) / len(ranges) for column in zip(*ranges, strict=True)))
        method = f"({' + '.join(self[part].text for part in parts)}) / {len(parts)}"
        self.compare(id, stated, mean, method=method, items=parts, **options)

    def pooled(
        self, id: str, mean: str | None, sd: str | None, groups: Sequence[tuple[str, str, Ref]], **options
    ) -> None:
        """Mean and SD of everybody (``id.mean``, ``id.sd``) from (mean, SD, size) of disjoint groups."""
        ns = [self.count(n) for _, _, n in groups]
        cited = [one for m, s, n in groups for one in (m, s, *_many(n))]
        found = primitives.pooled([self[m].printed for m, _, _ in groups], [self[s].printed for _, s, _ in groups], ns)
        total = sum(ns)
        if mean:
            method = f"({' + '.join(f'{n}·{self[m].text}' for (m, _, _), n in zip(groups, ns, strict=True))}) / {total}"
            self.compare(f"{id}.mean", mean, found.mean, method=method, items=cited, **options)
        if sd:
            method = f"√((Σ(n − 1)·SD² + Σn·(mean − {found.mean.value:.3f})²) / {total - 1}) over the groups"
            self.compare(f"{id}.sd", sd, found.sd, method=method, items=cited, **options)

    def auc_point(self, id: str, auc: str, sensitivity: str, specificity: str, **options) -> None:
        """An AUC against the least and greatest area under any rising curve through an operating point."""
        se, sp, area = self[sensitivity].cut, self[specificity].cut, self[auc].cut
        high_se, high_sp = min(se.high, 1.0), min(sp.high, 1.0)
        least, most = max(0.0, se.low) * max(0.0, sp.low), high_sp + (1 - high_sp) * high_se
        self.add(
            id,
            [auc, sensitivity, specificity],
            stated=str(self[auc]),
            recomputed=f"between {least:.3f} and {most:.3f}",
            method=f"a curve that rises through sensitivity {se.value:.4g}, specificity {sp.value:.4g} has at least "
            f"the area {se.value:.4g}·{sp.value:.4g} and at most {sp.value:.4g} + (1 − {sp.value:.4g})·{se.value:.4g}",
            verdict="consistent" if area.meets(Range(area.value, least, most)) else "impossible",
            **options,
        )

    def order(self, id: str, larger: str, smaller: str, *, strict: bool = True, claim: str, **options) -> None:
        """A statement that one printed number exceeds another, judged on the numbers as printed."""
        a, b = self[larger], self[smaller]
        holds = a.range.value > b.range.value or (not strict and a.range.value == b.range.value)
        might = a.range.high > b.range.low
        equal = a.range.value == b.range.value
        self.add(
            id,
            [larger, smaller],
            stated=claim,
            recomputed=f"{a} against {b}",
            method=f"{a.text} {'>' if a.range.value > b.range.value else '=' if equal else '<'} {b.text}",
            verdict="consistent" if holds else "rounding" if might and equal else options.pop("fail", "inconsistent"),
            **{key: value for key, value in options.items() if key != "fail"},
        )

    # ------------------------------------------------------------------------------------------ intervals and tests

    def inside(self, id: str, item: str, **options) -> None:
        """An estimate lies in its own interval, and the interval is the right way round."""
        value, low, high = (primitives.printed(text) for text in self[item].interval)
        fits = low.low <= value.high and value.low <= high.high and low.value <= high.value
        self.add(
            id,
            item,
            recomputed=f"{self[item].low} ≤ {self[item].text} ≤ {self[item].high}: {'yes' if fits else 'no'}",
            method="an estimate lies in its own interval",
            verdict="consistent" if fits else options.pop("fail", "inconsistent"),
            **{key: value for key, value in options.items() if key != "fail"},
        )

    def auc_interval(self, id: str, item: str, positive: Ref, negative: Ref, *, ties: bool = False, **options) -> None:
        """Whether an AUC's 95 % interval can be that of these class sizes, whatever the scores are.

        Impossible below half of the least width that any scores allow; between that and the least, inconsistent: an
        interval from percentiles need not have the width of a symmetric one. Too wide is inconsistent.
        """
        n1, n0 = self.count(positive), self.count(negative)
        found = primitives.check_auc_interval(self[item].interval, n1, n0, ties=ties)
        least = found.possible.lowest_tied if ties else found.possible.lowest
        verdict = "consistent"
        if found.verdict == "too narrow":
            verdict = "impossible" if found.width.high < least / 2 else "inconsistent"
        elif found.verdict == "too wide":
            verdict = "inconsistent"
        self.add(
            id,
            [item, *_many(positive), *_many(negative)],
            stated=str(self[item]),
            recomputed=f"width {found.width.value:.3f}; possible {least:.3f} to {found.possible.highest:.3f}, "
            f"usual {found.possible.hanley_mcneil:.3f}",
            method=f"2·1.96·SE of an AUC of {self[item].text} with {n1} positive and {n0} negative: least and greatest "
            "for any scores, usual by Hanley and McNeil; printed width as twice its longer side",
            verdict=verdict,
            **options,
        )

    def proportion_interval(self, id: str, item: str, k: int, n: int, *, items: Ref = (), **options) -> None:
        """A 95 % interval of the share k/n against the exact (Clopper–Pearson), Wilson and normal ones.

        Inconsistent where its width differs from all of them by more than a factor of 1.5. The normal one has no
        width, and no say, where all or none are right.
        """
        test = stats.binomtest(k, n)
        ways = {"exact": test.proportion_ci(method="exact"), "Wilson": test.proportion_ci(method="wilson")}
        if 0 < k < n:
            half = 1.96 * np.sqrt(k * (n - k) / n) / n
            ways["normal"] = (max(0.0, k / n - half), min(1.0, k / n + half))
        _, low, high = (primitives.printed(text) for text in self[item].interval)
        width = high.value - low.value
        widths = [b - a for a, b in ways.values()]
        fits = min(widths) / 1.5 <= width <= max(widths) * 1.5
        scale, places = (100, self[item].decimals) if self[item].percent else (1, self[item].decimals)
        self.add(
            id,
            [item, *_many(items)],
            stated=str(self[item]),
            recomputed="; ".join(
                f"{name} {a * scale:.{places}f}–{b * scale:.{places}f}" for name, (a, b) in ways.items()
            ),
            method=f"95 % interval of {k}/{n}",
            verdict="consistent" if fits else options.pop("fail", "inconsistent"),
            **{key: value for key, value in options.items() if key != "fail"},
        )

    def bootstrap_interval(
        self, id: str, item: str, figure: str, cells: tuple[int, int, int, int], n_resamples: Ref, **options
    ) -> None:
        """A percentile interval of a figure of TP, FN, FP, TN against resampling those very counts.

        With B resamples, a bound meant for 2.5 % lies with near certainty between the quantiles 2.5 % ± 4·√(0.025·
        0.975/B) of the resampled figure; those come from 20,000 draws of the counts (fixed seed).
        """
        total = sum(cells)
        draws = np.random.default_rng(0).multinomial(total, np.array(cells) / total, size=20_000).T
        numerator, denominator = primitives.figure(figure, *draws)
        values = (numerator / np.maximum(denominator, 1))[denominator > 0]
        reach = 4 * np.sqrt(0.025 * 0.975 / self.count(n_resamples))
        _, low, high = (primitives.printed(text) for text in self[item].interval)
        ends = [np.quantile(values, [max(0.0, q - reach), q, min(1.0, q + reach)]) for q in (0.025, 0.975)]
        fits = all(
            bound.low <= end[2] + 1e-9 and end[0] <= bound.high + 1e-9
            for bound, end in zip((low, high), ends, strict=True)
        )
        scale, places = (100, self[item].decimals) if self[item].percent else (1, self[item].decimals)
        shown = [[f"{value * scale:.{places}f}" for value in end] for end in ends]
        self.add(
            id,
            [item, *_many(n_resamples)],
            stated=str(self[item]),
            recomputed=f"{shown[0][1]}–{shown[1][1]}; bounds of {self[n_resamples].text} resamples stray to "
            f"{shown[0][0]}–{shown[0][2]} and {shown[1][0]}–{shown[1][2]}",
            method=f"2.5 and 97.5 % of {figure} over resamples of TP {cells[0]}, FN {cells[1]}, FP {cells[2]}, "
            f"TN {cells[3]}",
            verdict="consistent" if fits else options.pop("fail", "inconsistent"),
            **{key: value for key, value in options.items() if key != "fail"},
        )

    def p(self, id: str, stated: str, candidates: pd.DataFrame, *, items: Ref, method: str, **options) -> None:
        """A printed p against the candidates of `primitives.p_from_counts`, ``p_from_means``, ``p_from_intervals``."""
        item = self[stated]
        text = item.text or (f"<{item.high}" if float(item.low) == 0 else f">{item.low}")
        match = primitives.match_p(text, candidates)
        shown = [
            f"{row.test} {_p(row.p)}" if pd.notna(row.p) else f"{row.test} {_p(row.p_low)} to {_p(row.p_high)}"
            for row in candidates.itertuples()
        ]
        self.add(
            id,
            [stated, *_many(items)],
            stated=f"p {text}" if text[0] in "<>" else f"p = {text}",
            recomputed="; ".join(shown),
            method=f"{method}; agrees: {', '.join(match)}" if match else f"{method}; none agrees",
            verdict="consistent" if match else options.pop("fail", "inconsistent"),
            **{key: value for key, value in options.items() if key != "fail"},
        )

    def p_counts(self, id: str, stated: str, table: Sequence[Sequence[Ref]], **options) -> None:
        """A printed p against the usual tests of a table of printed counts (rows of references)."""
        counts = [[self.count(ref) for ref in row] for row in table]
        cited = [one for row in table for ref in row for one in _many(ref)]
        shown = " / ".join(", ".join(map(str, row)) for row in counts)
        self.p(id, stated, primitives.p_from_counts(counts), items=cited, method=f"counts {shown}", **options)

    def p_means(self, id: str, stated: str, groups: Sequence[tuple[str, str, Ref]], **options) -> None:
        """A printed p against tests of (mean, SD, size) of independent groups."""
        ns = [self.count(n) for _, _, n in groups]
        found = primitives.p_from_means(
            [self[m].printed for m, _, _ in groups], [self[s].printed for _, s, _ in groups], ns
        )
        cited = [one for m, s, n in groups for one in (m, s, *_many(n))]
        shown = ", ".join(f"{self[m].text} ± {self[s].text} (n = {n})" for (m, s, _), n in zip(groups, ns, strict=True))
        self.p(id, stated, found, items=cited, method=shown, **options)

    def p_intervals(self, id: str, stated: str, first: str, second: str, *, paired: bool, **options) -> None:
        """A printed p of the difference of two AUCs against what their intervals allow."""
        found = primitives.p_from_intervals(self[first].interval, self[second].interval)
        kinds = found["test"].str.startswith("paired" if paired else "independent")
        method = f"SE = width / 3.92 of {self[first]} and {self[second]}, z = difference / √(SE₁² + SE₂²)"
        self.p(id, stated, found[kinds], items=[first, second], method=method, **options)

    def p_paired(
        self, id: str, stated: str, first: str, second: str, *, likely: float = 0.5, items: Ref = (), **options
    ) -> None:
        """A printed p of two AUCs on the same cases: which correlation of the two estimates it needs.

        The variance of the difference is SE₁² + SE₂² − 2r·SE₁·SE₂, SE = width / 3.92 of each interval. Inconsistent
        where no r from −1 to 1 gives the printed p, or only one above 0.95, which two different models do not reach;
        undecidable where "p below" needs an r above ``likely``.
        """
        a, b = self[first], self[second]
        z = stats.norm.ppf(0.975)
        text = self[stated].text or f"<{self[stated].high}"
        errors = [primitives._standard_error([primitives.printed(one) for one in item.interval], z) for item in (a, b)]
        gap = primitives._difference(*([primitives.printed(one) for one in item.interval] for item in (a, b)))
        grid = [np.linspace(one.low, one.high, 9) for one in (gap, *errors)]
        d, s1, s2 = np.meshgrid(*grid, indexing="ij")
        below = text.startswith("<")
        p = primitives.printed(text.removeprefix("<"))
        limits = [p.value] if below else [p.low, p.high]

        def correlation(limit):
            return (s1**2 + s2**2 - (d / stats.norm.isf(limit / 2)) ** 2) / (2 * s1 * s2)

        found = [correlation(limit) for limit in limits]
        low, high = min(x.min() for x in found), max(x.max() for x in found)
        at = 2 * stats.norm.sf(gap.value / np.hypot(errors[0].value, errors[1].value))
        if low > 0.95 or (not below and high < -1):
            verdict = "inconsistent"
        elif below and low > likely:
            verdict = "undecidable"
        else:
            verdict = "consistent"
        opposite = 2 * stats.norm.sf(gap.low / (errors[0].high + errors[1].high))
        if below:
            recomputed = f"p = {_p(at)} at r = 0; below {limits[0]:g} " + (
                "whatever r is" if low <= -1 else "for no r" if low > 1 else f"from r = {low:.2f} on"
            )
        else:
            recomputed = f"p = {_p(at)} at r = 0, at most {_p(opposite)} at r = −1"
        self.add(
            id,
            [stated, *_many(items), first, second],
            stated=f"p {text}" if below else f"p = {text}",
            recomputed=recomputed,
            method=f"SE = width / 3.92: {errors[0].value:.4f} and {errors[1].value:.4f}; z = |{a.text} − {b.text}| / "
            "√(SE₁² + SE₂² − 2·r·SE₁·SE₂), over all roundings",
            verdict=verdict,
            **options,
        )


def kind(id: str) -> str:
    """The kind of check (a key of `KINDS`) that an id names."""
    first = id.partition(".")[0]
    return next((name for name, prefixes in KINDS.items() if first in prefixes.split()), "other")


def show(found: Range | float, decimals: int, *, percent: bool = False) -> str:
    """A recomputed number with one digit more than printed, and what the rounding of its inputs leaves open."""
    value, low, high = (x * (100 if percent else 1) for x in _as_range(found))
    places, sign = decimals + 1, "%" * percent
    text = f"{value:.{places}f}{sign}"
    if f"{low:.{places}f}" == f"{high:.{places}f}":
        return text
    return f"{text} ({low:.{places}f} to {high:.{places}f})"


def _many(ref: Ref | Iterable[str]) -> list[str]:
    return [ref] if isinstance(ref, str) else list(ref)


def _as_range(found: Range | float) -> Range:
    return found if isinstance(found, Range) else Range(found, found, found)


def _parts(item: Item) -> tuple[str | None, str | None, str | None]:
    sign = "%" * item.percent
    return tuple(None if text is None else text + sign for text in (item.text, item.low, item.high))


def _agreement(a: str, b: str) -> str:
    """Whether two texts print one number: "yes", "rounding" or "no". Whole numbers are counts, and exact."""
    x, y = primitives.printed(a), primitives.printed(b)
    if len(a.partition(".")[2]) == len(b.partition(".")[2]) and a.endswith("%") == b.endswith("%"):
        steps = abs(x.value - y.value) / (x.high - x.low)
        return "yes" if steps < 0.5 else "rounding" if steps < 1.5 and "." in a else "no"
    if x.meets(y):
        return "yes"
    return "rounding" if primitives.printed(a, truncation=True).meets(primitives.printed(b, truncation=True)) else "no"


def _print(share: float, like: str) -> str:
    """A share with one digit more than a text, in percent where that is."""
    places = len(like.removesuffix("%").partition(".")[2]) + 1
    return f"{100 * share:.{places}f}%" if like.endswith("%") else f"{share:.{places}f}"


def _sum(paper: Paper, ref: Ref) -> str:
    text = ""
    for id in _many(ref):
        minus = id.startswith("-")
        text += (" − " if minus else " + ") + str(paper[id.removeprefix("-")].count)
    return text.removeprefix(" + ").strip()


def _matrices(found: pd.DataFrame, most: int = 2) -> str:
    shown = [f"TP {m.tp}, FN {m.fn}, FP {m.fp}, TN {m.tn}" for m in found.head(most).itertuples()]
    return "; ".join(shown) + (f"; {len(found)} matrices in all" if len(found) > most else "")


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.1e}"
