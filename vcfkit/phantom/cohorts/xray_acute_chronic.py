"""Paper 02: acute, chronic and pathologic vertebrae of four hospitals. Unit of analysis: the vertebra.

Labels, levels and the number of fractures per virtual patient are fixed before any anatomy is drawn, in such a way
that levels and numbers of fractures are the same in every class.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ..anatomy import LEVELS, generator
from ..signs import CLASSES, scaled
from .levels import fractures_per_patient
from .matching import largest_remainder, spread
from .patient import FRACTURE_LEVELS, Cohort, Printed, VirtualPatient, by_level, row

STEM = "02_xray_acute_chronic_pathological"
EXTRAS = ()
EXTERNAL = ("GZFPH", "WHTH", "HB672H")
GROUPS = {"external": EXTERNAL}
STRATA = CLASSES


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


SPEC = (
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

# What a lateral film of the lumbar spine shows.
LEVEL_WEIGHTS = {level: FRACTURE_LEVELS[level] for level in LEVELS[LEVELS.index("T11") :]}
# Our choice; scaled by the effect like every other difference between the classes, because age shows in the image
# (density, osteophytes): at effect 0 age and sex are the same in all classes.
AGE_MEAN, AGE_SD, AGE_RANGE = (73.0, 74.0, 64.0), 10.0, (40.0, 96.0)
FEMALE_SHARE = (0.76, 0.77, 0.48)


@functools.lru_cache(maxsize=16)
def cohorts(seed: int, effect: float) -> tuple:
    """All cohorts at the scale of the paper."""
    return tuple(Cohort(q.cohort, q.prefix, _patients_of(q, seed, effect)) for q in SPEC)


def _patients_of(quota: Quota, seed: int, effect: float) -> tuple:
    rng = generator(seed, STEM, quota.prefix, "cohort")
    groups = _assign_labels(_assign_levels(quota, rng), quota, rng)
    patients = []
    for number, k in enumerate(rng.permutation(len(groups)), start=1):  # the number must not tell the label
        fractures = groups[k]
        patient_id = f"{quota.prefix}-{number:04d}"
        age, sex = _age_and_sex(generator(seed, STEM, patient_id, "person"), tuple(fractures.values()), effect)
        patients.append(VirtualPatient(STEM, patient_id, quota.site, age, sex, fractures, seed, effect))
    return tuple(patients)


def units(patient: VirtualPatient) -> list:
    """Classes of the vertebrae."""
    return list(patient.fractures.values())


def rows(cohort: str, patients, nuisance: float) -> list:
    """One row per vertebra."""
    return [
        row(patient, cohort=cohort, name=level, target=level, label=label, level=level, nuisance=nuisance)
        for patient in patients
        for level, label in ((level, patient.fractures[level]) for level in by_level(patient.fractures))
    ]


def holds(patient: VirtualPatient, target: str) -> bool:
    """Whether a picture of this name exists."""
    return target in patient.fractures


def spec() -> list:
    """Rows of the cohort table."""
    return [
        {
            "cohort": q.cohort,
            "site": q.site,
            "patients": q.patients,
            "vertebrae": sum(q.counts),
            **dict(zip(CLASSES, q.counts, strict=True)),
            "paper": q.paper,
            "ours": q.ours,
        }
        for q in SPEC
    ]


PRINTED = (
    Printed("development", "acute", "1003", "Results, VCF and clinical datasets"),
    Printed("development", "chronic", "861", "Results, VCF and clinical datasets"),
    Printed("development", "pathologic", "167", "Results, VCF and clinical datasets"),
    Printed("development", "vertebrae", "2031", "Results, VCF and clinical datasets"),
    Printed("development", "patients", "1460", "Abstract and Datasets: 1904 - 387 - 57"),
    Printed("external", "vertebrae", "504", "Datasets"),
    Printed("external", "patients", "387", "Datasets"),
    Printed("prospective", "vertebrae", "74", "Datasets"),
    Printed("prospective", "patients", "57", "Datasets"),
)


def measured(samples, patients) -> dict:
    """What :data:`PRINTED` names, counted in a samples frame."""
    found = {}
    for name, part in samples.groupby(samples["cohort"].replace(dict.fromkeys(EXTERNAL, "external"))):
        found[name, "vertebrae"], found[name, "patients"] = len(part), part["patient_id"].nunique()
        for label in CLASSES:
            found[name, label] = int((part["label"] == label).sum())
    return found


def _age_and_sex(rng, labels, effect):
    """Normal age cut to 40-96 years, by inverse distribution function so that every label uses the same draws."""
    u_age, u_sex = rng.random(2)
    mean = np.mean([scaled(AGE_MEAN, label, effect) for label in labels])
    low, high = (ndtr((limit - mean) / AGE_SD) for limit in AGE_RANGE)
    age = mean + AGE_SD * ndtri(low + u_age * (high - low))
    share = np.mean([scaled(FEMALE_SHARE, label, effect) for label in labels])
    return float(np.round(age, 1)), "F" if u_sex < share else "M"


def _assign_levels(quota: Quota, rng) -> list:
    """Levels per patient: the first by quota of the weights, further ones within two levels of it."""
    levels = tuple(LEVEL_WEIGHTS)
    weights = np.array(list(LEVEL_WEIGHTS.values()))
    groups = []
    for size, number in fractures_per_patient(sum(quota.counts), quota.patients).items():
        for k, count in enumerate(largest_remainder(weights, number)):
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
        for member, chosen in zip(members, spread(len(members), wanted[size], rng), strict=True)
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
    for (*_, k, level), chosen in zip(benign, spread(len(benign), acute, rng), strict=True):
        result[k][level] = "acute" if chosen else "chronic"
    return result
