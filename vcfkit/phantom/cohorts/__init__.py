"""Cohort tables of the five papers, and virtual patients that meet them.

At the scale of the papers every printed count is met exactly, and means and standard deviations to the printed
decimals; :func:`check_table` shows it, with the rule that was followed where a paper contradicts itself. The images are
references (``phantom:<stem>/<patient_id>/<target>?seed=0&effect=1.0&nuisance=1.0``): the same text gives the same
picture everywhere. Labels, levels, ages and sexes are fixed before any anatomy is drawn.

``effect`` scales what pictures show, and in papers 02 and 05 the differences of age and sex (05: and region) between
the classes, which show in bone density; printed ones (05) are met at effect 1. In papers 01, 03 and 04 age and sex
follow the printed tables at every effect: 01 and 03 print none by class, in 04 the T-score is part of the class itself.
"""

import functools
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

from ..anatomy import generator
from . import ct_acute_chronic, ct_diseases, xray_acute_chronic, xray_astlof, xray_fresh
from .matching import largest_remainder
from .patient import COLUMNS, VirtualPatient, reference
from .xray_acute_chronic import EXTERNAL

PAPERS = {paper.STEM: paper for paper in (xray_fresh, xray_acute_chronic, ct_diseases, xray_astlof, ct_acute_chronic)}
SPEC = {stem: paper.SPEC for stem, paper in PAPERS.items()}
XRAY_FRESH, XRAY_ACUTE_CHRONIC, CT_DISEASES, XRAY_ASTLOF, CT_ACUTE_CHRONIC = PAPERS

__all__ = [
    "COLUMNS",
    "CT_ACUTE_CHRONIC",
    "CT_DISEASES",
    "EXTERNAL",
    "SPEC",
    "XRAY_ACUTE_CHRONIC",
    "XRAY_ASTLOF",
    "XRAY_FRESH",
    "VirtualPatient",
    "boxes",
    "check_table",
    "draw",
    "reference",
    "resolve",
    "spec_table",
]


def spec_table(stem: str = XRAY_ACUTE_CHRONIC) -> pd.DataFrame:
    """The cohort table as a frame: counts, what the paper states, what is our choice. One row per cohort."""
    return pd.DataFrame(_paper(stem).spec())


def check_table(stem: str, *, seed: int = 0) -> pd.DataFrame:
    """Every printed number of a cohort table beside that of the virtual cohort at the scale of the paper.

    Returns
    -------
    pandas.DataFrame
        ``cohort``, ``quantity``, ``ours``, ``paper`` (as text, with the printed decimals), ``difference`` (0 where the
        number is met), ``where`` it stands, and ``rule``: which number was followed where the paper contradicts itself.
    """
    paper = _paper(stem)
    found = paper.measured(draw(stem, seed=seed), _by_id(stem, seed, 1.0))
    rows = []
    for item in paper.PRINTED:
        decimals = len(item.value.partition(".")[2])
        ours = round(float(found[item.cohort, item.quantity]), decimals)
        rows.append(
            {
                "cohort": item.cohort,
                "quantity": item.quantity,
                "ours": f"{ours:.{decimals}f}",
                "paper": item.value,
                "difference": round(ours - float(item.value), decimals),
                "where": item.where,
                "rule": item.rule,
            }
        )
    return pd.DataFrame(rows)


def draw(stem: str, *, seed: int = 0, effect: float = 1.0, nuisance: float = 1.0, fractions: dict | None = None):
    """Virtual cohorts of one paper.

    Parameters
    ----------
    stem : str
        A key of :data:`SPEC`.
    seed : int
        Another seed gives other virtual patients under the same counts.
    effect, nuisance : float
        Size of every difference between the classes (1 = published), and of confounders and noise.
    fractions : dict, optional
        ``{"development": .1, "external": .5, "prospective": .5}``; a cohort's own name goes before that of its group
        (``development``, ``external``), a missing one means 1. Whole virtual patients are kept; counts per class are
        rounded by largest remainder, at least one of each class. None is the scale of the paper.

    Returns
    -------
    pandas.DataFrame
        The samples frame, then ``source`` ("virtual") and the paper's own columns. One row per film (01), vertebra
        (02, 04), slice (03) or fracture (05).

    Raises
    ------
    KeyError, ValueError
        For an unknown stem or cohort, or a fraction outside (0, 1].
    """
    paper, rows = _paper(stem), []
    for cohort, patients in _chosen(stem, seed, effect, nuisance, fractions):
        rows += paper.rows(cohort.name, patients, nuisance)
    return pd.DataFrame(rows, columns=[*COLUMNS, "source", *paper.EXTRAS])


def boxes(stem: str, *, seed: int = 0, effect: float = 1.0, nuisance: float = 1.0, fractions: dict | None = None):
    """The vertebrae on the slices of :func:`draw`, called with the same arguments (paper 03).

    Returns
    -------
    pandas.DataFrame
        One row per vertebra on a slice: ``box_id``, ``sample_id`` of the slice, ``patient_id``, ``site``, ``cohort``,
        ``level``, one 0/1 column per disease, ``normal``, ``detector`` (whether the slice is one of those on which all
        vertebrae were annotated for the detector), ``image``. Pixel boxes come with the rendered slice.

    Raises
    ------
    ValueError
        If the paper has no slices.
    """
    paper = _paper(stem)
    if not hasattr(paper, "boxes"):
        raise ValueError(f"{stem} has one row per sample and no boxes on slices; only {CT_DISEASES} has")
    chosen = _chosen(stem, seed, effect, nuisance, fractions)
    return pd.concat([paper.boxes(cohort.name, patients, nuisance) for cohort, patients in chosen], ignore_index=True)


def resolve(image: str):
    """The virtual patient, target (level, ``film``, ``slice-<x>``, ``volume-<level>``) and nuisance of a reference.

    Raises
    ------
    ValueError
        If the text is no reference, or names a patient or a picture that the cohort does not hold.
    """
    parts = urlsplit(image)
    fields = parts.path.split("/")
    if parts.scheme != "phantom" or len(fields) != 3 or fields[0] not in PAPERS:
        raise ValueError(f"not a phantom reference: {image!r}; required phantom:<stem>/<patient_id>/<target>?seed=…")
    knobs = {name: values[0] for name, values in parse_qs(parts.query).items()}
    stem, patient_id, target = fields
    known = _by_id(stem, int(knobs.get("seed", 0)), float(knobs.get("effect", 1.0)))
    if patient_id not in known or not PAPERS[stem].holds(known[patient_id], target):
        raise ValueError(f"{image!r}: the virtual cohort holds no fracture or picture {target} of {patient_id}")
    return known[patient_id], target, float(knobs.get("nuisance", 1.0))


def _paper(stem):
    if stem not in PAPERS:
        raise KeyError(f"no virtual cohort for {stem!r}; known: {', '.join(PAPERS)}")
    return PAPERS[stem]


@functools.lru_cache(maxsize=16)
def _by_id(stem, seed, effect):
    return {p.patient_id: p for cohort in PAPERS[stem].cohorts(seed, effect) for p in cohort.patients}


def _chosen(stem, seed, effect, nuisance, fractions):
    """(cohort, its virtual patients that are kept), in the paper's order."""
    if effect < 0 or nuisance < 0:
        raise ValueError(f"effect and nuisance must be 0 or more, got {effect} and {nuisance}")
    paper = PAPERS[stem]
    cohorts = paper.cohorts(seed, float(effect))
    share = _fractions(paper, [cohort.name for cohort in cohorts], fractions or {})
    for cohort in cohorts:
        rng = generator(seed, stem, cohort.prefix, "thinning")
        yield cohort, _thin(cohort.patients, paper, share[cohort.name], rng)


def _fractions(paper, cohorts, fractions):
    group_of = {cohort: group for group, members in paper.GROUPS.items() for cohort in members}
    unknown = set(fractions) - set(cohorts) - set(paper.GROUPS)
    if unknown:
        groups = " and ".join(repr(group) for group in paper.GROUPS)
        also = f" and {groups}" if groups else ""
        raise ValueError(f"unknown cohort in fractions: {', '.join(sorted(unknown))}; known: {cohorts}{also}")
    share = {c: fractions.get(c, fractions.get(group_of.get(c), 1.0)) for c in cohorts}
    for cohort, value in share.items():
        if not 0 < value <= 1:
            raise ValueError(f"fraction of {cohort} must lie in (0, 1], got {value}")
    return share


def _thin(patients, paper, fraction, rng):
    """Whole virtual patients, in a fixed random order, as long as their units fit the reduced counts per stratum."""
    if fraction == 1:
        return patients
    units = [paper.units(patient) for patient in patients]
    strata = [s for s in paper.STRATA if any(s in own for own in units)]
    counts = [sum(own.count(s) for own in units) for s in strata]
    total = max(round(fraction * sum(counts)), len(strata))
    room = dict(zip(strata, np.maximum(largest_remainder(counts, total), 1), strict=True))
    kept = []
    for k in rng.permutation(len(patients)):
        if all(units[k].count(s) <= room[s] for s in strata):
            kept.append(k)
            room = {s: room[s] - units[k].count(s) for s in strata}
    return tuple(patients[k] for k in sorted(kept))
