"""Cohort tables of the papers, and virtual patients that meet their counts exactly.

The images are references (``phantom:<stem>/<patient_id>/<level>?seed=0&effect=1.0&nuisance=1.0``): the same text gives
the same picture everywhere. Labels, levels and the number of fractures per virtual patient are fixed before any
anatomy is drawn, in such a way that levels and numbers of fractures are the same in every class.
"""

import functools
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from .anatomy import LEVELS, generator
from .signs import CLASSES, scaled

XRAY_ACUTE_CHRONIC = "02_xray_acute_chronic_pathological"
COLUMNS = ("sample_id", "patient_id", "site", "cohort", "label", "age", "sex", "level", "image", "mask", "box")


@dataclass(frozen=True)
class Quota:
    """One cohort at one site: how many vertebrae of each class, of how many patients, and where that stands."""

    cohort: str
    site: str
    prefix: str  # of the patient_id
    counts: tuple  # vertebrae: acute, chronic, pathologic
    patients: int
    paper: str  # what the paper states
    ours: str  # what it does not, hence our choice


SPEC = {
    XRAY_ACUTE_CHRONIC: (
        Quota(
            "development",
            "Site 1",
            "S1",
            (1003, 861, 167),
            1460,
            "classes (Results, VCF and clinical datasets); 1460 patients = 1904 - 387 - 57 (Abstract, Datasets)",
            "fractures per patient, ages, sexes, levels (Table 1 is not in the text)",
        ),
        Quota(
            "GZFPH",
            "GZFPH",
            "GZ",
            (112, 80, 18),
            161,
            "504 vertebrae of 387 patients over three sites",
            "share of the site; class mix of the collaboration set (80/57/13), which is 30 % of these sites",
        ),
        Quota("WHTH", "WHTH", "WH", (83, 59, 14), 120, "as GZFPH", "as GZFPH"),
        Quota("HB672H", "HB672H", "HB", (74, 52, 12), 106, "as GZFPH", "as GZFPH"),
        Quota(
            "prospective",
            "Site 1",
            "PR",
            (37, 31, 6),
            57,
            "74 vertebrae of 57 patients (Datasets)",
            "class mix of the development cohort, rounded",
        ),
    )
}
EXTERNAL = ("GZFPH", "WHTH", "HB672H")

# What a lateral film of the lumbar spine shows, with the level weights of osteoporotic fractures (T12/L1 peak).
LEVEL_WEIGHTS = {"T11": 0.09, "T12": 0.19, "L1": 0.25, "L2": 0.12, "L3": 0.06, "L4": 0.03, "L5": 0.01}
# Our choice; scaled by the effect like every other difference between the classes, because age shows in the image
# (density, osteophytes): at effect 0 age and sex are the same in all classes.
AGE_MEAN, AGE_SD, AGE_RANGE = (73.0, 74.0, 64.0), 10.0, (40.0, 96.0)
FEMALE_SHARE = (0.76, 0.77, 0.48)


@dataclass(frozen=True)
class VirtualPatient:
    """What the scene of one virtual patient is built from."""

    stem: str
    patient_id: str
    site: str
    age: float
    sex: str
    fractures: dict  # level -> class
    seed: int
    effect: float


def spec_table(stem: str = XRAY_ACUTE_CHRONIC) -> pd.DataFrame:
    """The cohort table as a frame: counts, what the paper states, what is our choice. One row per cohort."""
    rows = [
        {
            "cohort": q.cohort,
            "site": q.site,
            "patients": q.patients,
            "vertebrae": sum(q.counts),
            **dict(zip(CLASSES, q.counts, strict=True)),
            "paper": q.paper,
            "ours": q.ours,
        }
        for q in SPEC[stem]
    ]
    return pd.DataFrame(rows)


def draw(stem: str, *, seed: int = 0, effect: float = 1.0, nuisance: float = 1.0, fractions: dict | None = None):
    """Virtual cohort of one paper.

    Parameters
    ----------
    stem : str
        A key of :data:`SPEC`.
    seed : int
        Another seed gives other virtual patients under the same counts.
    effect, nuisance : float
        Size of every difference between the classes (1 = published), and of confounders and noise.
    fractions : dict, optional
        ``{"development": .1, "external": .5, "prospective": .5}``; a cohort's own name goes before ``"external"``, a
        missing one means 1. Whole virtual patients are kept; class counts are rounded by largest remainder, at least
        one of each class. None is the scale of the paper.

    Returns
    -------
    pandas.DataFrame
        One row per vertebra: the samples frame, then ``source`` ("virtual").

    Raises
    ------
    KeyError, ValueError
        For an unknown stem or cohort, or a fraction outside (0, 1].
    """
    if stem not in SPEC:
        raise KeyError(f"no virtual cohort for {stem!r}; known: {', '.join(SPEC)}")
    if effect < 0 or nuisance < 0:
        raise ValueError(f"effect and nuisance must be 0 or more, got {effect} and {nuisance}")
    share = _fractions(stem, fractions or {})
    chosen = [
        patient
        for quota in SPEC[stem]
        for patient in _thin(quota, _patients_of(stem, quota, seed, effect), share[quota.cohort], seed)
    ]
    cohort_of = {quota.prefix: quota.cohort for quota in SPEC[stem]}
    rows = []
    for patient in chosen:
        for level in sorted(patient.fractures, key=LEVELS.index):
            rows.append(
                {
                    "sample_id": f"{patient.patient_id}-{level}",
                    "patient_id": patient.patient_id,
                    "site": patient.site,
                    "cohort": cohort_of[patient.patient_id.split("-")[0]],
                    "label": patient.fractures[level],
                    "age": patient.age,
                    "sex": patient.sex,
                    "level": level,
                    "image": reference(patient, level, nuisance),
                    "mask": "",
                    "box": "",
                    "source": "virtual",
                }
            )
    return pd.DataFrame(rows, columns=[*COLUMNS, "source"])


def reference(patient: VirtualPatient, level: str, nuisance: float) -> str:
    """The text that names one virtual image."""
    knobs = f"seed={patient.seed}&effect={float(patient.effect)!r}&nuisance={float(nuisance)!r}"
    return f"phantom:{patient.stem}/{patient.patient_id}/{level}?{knobs}"


def resolve(image: str):
    """The virtual patient, level and nuisance behind a reference.

    Raises
    ------
    ValueError
        If the text is no reference, or names a patient or a fracture that the cohort does not hold.
    """
    parts = urlsplit(image)
    fields = parts.path.split("/")
    if parts.scheme != "phantom" or len(fields) != 3 or fields[0] not in SPEC:
        raise ValueError(f"not a phantom reference: {image!r}; required phantom:<stem>/<patient_id>/<level>?seed=…")
    knobs = {name: values[0] for name, values in parse_qs(parts.query).items()}
    stem, patient_id, level = fields
    known = _by_id(stem, int(knobs.get("seed", 0)), float(knobs.get("effect", 1.0)))
    if patient_id not in known or level not in known[patient_id].fractures:
        raise ValueError(f"{image!r}: the virtual cohort holds no fracture {level} of {patient_id}")
    return known[patient_id], level, float(knobs.get("nuisance", 1.0))


@functools.lru_cache(maxsize=16)
def _by_id(stem, seed, effect):
    return {p.patient_id: p for quota in SPEC[stem] for p in _patients_of(stem, quota, seed, effect)}


@functools.lru_cache(maxsize=64)
def _patients_of(stem: str, quota: Quota, seed: int, effect: float) -> tuple:
    """All virtual patients of one cohort at the scale of the paper."""
    rng = generator(seed, stem, quota.prefix, "cohort")
    groups = _assign_labels(_assign_levels(quota, rng), quota, rng)
    patients = []
    for number, k in enumerate(rng.permutation(len(groups)), start=1):  # the number must not tell the label
        fractures = groups[k]
        patient_id = f"{quota.prefix}-{number:04d}"
        age, sex = _age_and_sex(generator(seed, stem, patient_id, "person"), tuple(fractures.values()), effect)
        patients.append(VirtualPatient(stem, patient_id, quota.site, age, sex, fractures, seed, effect))
    return tuple(patients)


def _age_and_sex(rng, labels, effect):
    """Normal age cut to 40-96 years, by inverse distribution function so that every label uses the same draws."""
    u_age, u_sex = rng.random(2)
    mean = np.mean([scaled(AGE_MEAN, label, effect) for label in labels])
    low, high = (ndtr((limit - mean) / AGE_SD) for limit in AGE_RANGE)
    age = mean + AGE_SD * ndtri(low + u_age * (high - low))
    share = np.mean([scaled(FEMALE_SHARE, label, effect) for label in labels])
    return float(np.round(age, 1)), "F" if u_sex < share else "M"


def _fractures_per_patient(vertebrae: int, patients: int) -> dict:
    """How many patients hold 1, 2, 3 and 4 fractures (our choice: 3 % and 15 % of the extra fractures make 4 and 3)."""
    extra = vertebrae - patients
    four, three = round(0.03 * extra), round(0.15 * extra)
    two = extra - 2 * three - 3 * four
    return {1: patients - two - three - four, 2: two, 3: three, 4: four}


def _assign_levels(quota: Quota, rng) -> list:
    """Levels per patient: the first by quota of the weights, further ones within two levels of it."""
    levels = tuple(LEVEL_WEIGHTS)
    weights = np.array(list(LEVEL_WEIGHTS.values()))
    groups = []
    for size, number in _fractures_per_patient(sum(quota.counts), quota.patients).items():
        for k, count in enumerate(_largest_remainder(weights, number)):
            for _ in range(count):
                near = np.array([j for j in range(len(levels)) if j != k and abs(j - k) <= (2 if size < 4 else 3)])
                extra = rng.choice(near, size - 1, replace=False, p=weights[near] / weights[near].sum())
                groups.append((levels[k], tuple(levels[j] for j in extra)))
    return groups


def _assign_labels(groups: list, quota: Quota, rng) -> list:
    """Classes so that every level and every number of fractures holds the cohort's class mix, within rounding.

    A virtual patient with a malignancy has pathologic fractures only; acute and chronic ones mix freely.
    """
    acute, _, pathologic = quota.counts
    share = pathologic / sum(quota.counts)
    by_size = {size: [k for k, g in enumerate(groups) if len(g[1]) + 1 == size] for size in (1, 2, 3, 4)}
    wanted = {size: round(share * len(members)) for size, members in by_size.items()}
    wanted[1] = pathologic - sum(size * wanted[size] for size in (2, 3, 4))
    malignant = {
        member
        for size, members in by_size.items()
        for member, chosen in zip(members, _spread(len(members), wanted[size], rng), strict=True)
        if chosen
    }
    result = [
        dict.fromkeys((first, *extra), "pathologic" if k in malignant else "")
        for k, (first, extra) in enumerate(groups)
    ]
    benign = [
        (LEVELS.index(level), len(group), rng.random(), k, level)
        for k, group in enumerate(result)
        if k not in malignant
        for level in group
    ]
    benign.sort()
    for (*_, k, level), chosen in zip(benign, _spread(len(benign), acute, rng), strict=True):
        result[k][level] = "acute" if chosen else "chronic"
    return result


def _spread(n: int, chosen: int, rng) -> np.ndarray:
    """Systematic sample of ``chosen`` of ``n`` ordered places, from a random start; boolean, shape (n,)."""
    steps = np.floor((np.arange(n + 1) * chosen) / max(n, 1) + rng.random())
    return np.diff(steps).astype(bool)


def _largest_remainder(weights, total: int) -> np.ndarray:
    """Whole numbers in proportion to ``weights`` that add up to ``total``."""
    exact = np.asarray(weights, float) / np.sum(weights) * total
    counts = np.floor(exact).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def _fractions(stem, fractions):
    cohorts = [quota.cohort for quota in SPEC[stem]]
    unknown = set(fractions) - set(cohorts) - {"external"}
    if unknown:
        raise ValueError(f"unknown cohort in fractions: {', '.join(sorted(unknown))}; known: {cohorts} and 'external'")
    share = {c: fractions.get(c, fractions.get("external", 1.0) if c in EXTERNAL else 1.0) for c in cohorts}
    for cohort, value in share.items():
        if not 0 < value <= 1:
            raise ValueError(f"fraction of {cohort} must lie in (0, 1], got {value}")
    return share


def _thin(quota, patients, fraction, seed):
    """Whole virtual patients, in a fixed random order, as long as their vertebrae fit the reduced class counts."""
    if fraction == 1:
        return patients
    total = max(round(fraction * sum(quota.counts)), len(CLASSES))
    room = dict(zip(CLASSES, np.maximum(_largest_remainder(quota.counts, total), 1), strict=True))
    kept = []
    for k in generator(seed, patients[0].stem, quota.prefix, "thinning").permutation(len(patients)):
        labels = list(patients[k].fractures.values())
        if all(labels.count(c) <= room[c] for c in CLASSES):
            kept.append(k)
            room = {c: room[c] - labels.count(c) for c in CLASSES}
    return tuple(patients[k] for k in sorted(kept))
