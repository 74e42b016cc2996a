"""Paper 01: whole lateral radiographs, fresh fracture or not. Unit of analysis: the film, one per patient.

From the paper: films, fresh fractures, men, ages, thoracic and lumbar fresh fractures and old-fracture flags of every
cohort (Table 1); fresh fractures, men and ages with and without an old fracture at YHDH and BMUH (Table 3); the split
by patient number (Data partition). Ours: which of the three training hospitals a patient comes from, how many old
fractures a flag stands for and where they are, and the few malignant fractures and cemented vertebrae, which the paper
did not exclude but does not count.

Old fractures are drawn without a look at the label where only their number is printed (training, validation); at YHDH
and BMUH Table 3 ties both, which makes age tell a little of the label there, as in the paper.

The standard deviations of Table 3 cannot be met together with those of Table 1: pooled, they give 16.21 and 13.06
instead of 16.26 and 13.12. The cohort's own number is followed; both subgroups are stretched by one common factor.
"""

import functools
from dataclasses import dataclass

import numpy as np

from ..anatomy import LEVELS, generator
from . import levels
from .matching import (
    fit_margins,
    interleave,
    largest_remainder,
    match_moments,
    round_within_margins,
    spread,
    truncated_normal,
)
from .patient import (
    FRACTURE_LEVELS,
    Cohort,
    Printed,
    VirtualPatient,
    by_level,
    draw_t_score,
    first_numbers,
    region,
    row,
)

STEM = "01_xray_fresh_vcf"
CLASSES = ("fresh", "non-fresh")
EXTRAS = (
    "patient_number",
    "device",
    "has_old_vcf",
    "fresh_level",
    "fresh_region",
    "old_levels",
    "cement_levels",
    "malignant",
    "t_score",
)
GROUPS = {"development": ("training", "validation"), "external": ("YHDH", "BMUH")}
STRATA = tuple((label, old) for old in (False, True) for label in CLASSES)
SHOWN = LEVELS[LEVELS.index("T8") :]  # on the film
# Shares of the training hospitals' devices: six devices in five hospitals, so that one has two (which one is ours).
DEVICES = {"Hospital 1": 0.30, "Hospital 1, second device": 0.25, "Hospital 2": 0.25, "Hospital 3": 0.20}
HOSPITALS = tuple(dict.fromkeys(device.partition(",")[0] for device in DEVICES))
AGE_RANGE = (18.0, 97.0)  # ours
MALIGNANT, CEMENTED = 0.01, 0.02  # of all patients; ours
OLD_FRACTURES = (0.70, 0.22, 0.08)  # share of flags that stand for 1, 2 and 3; ours


@dataclass(frozen=True)
class Subgroup:
    """Patients without or with an old fracture (Table 3)."""

    patients: int
    fresh: int
    men: int
    age: tuple  # mean, SD


@dataclass(frozen=True)
class Quota:
    """One cohort of Table 1."""

    cohort: str
    prefix: str  # of the patient_id
    patients: int
    fresh: int
    men: int
    age: tuple  # mean, SD
    thoracic: int  # of the fresh
    old: int
    subgroups: tuple = ()  # Subgroup without, with an old fracture


SPEC = (
    # 62.777 and 62.78 print alike; with the former all cohorts together give the 62.08 of the text.
    Quota("training", "DV", 1050, 355, 416, (62.777, 13.50), 127, 117),
    Quota("validation", "DV", 262, 88, 118, (61.97, 13.05), 56, 31),
    Quota(
        "YHDH",
        "YH",
        221,
        59,
        100,
        (56.8, 16.26),
        22,
        56,
        (Subgroup(165, 43, 76, (53.427, 16.25)), Subgroup(56, 16, 24, (66.738, 11.35))),
    ),
    Quota(
        "BMUH",
        "BM",
        214,
        70,
        87,
        (64.28, 13.12),
        23,
        47,
        (Subgroup(167, 44, 65, (62.44, 12.72)), Subgroup(47, 26, 22, (70.81, 12.26))),
    ),
)


@functools.lru_cache(maxsize=16)
def cohorts(seed: int, effect: float) -> tuple:
    """All cohorts at the scale of the paper."""
    found = []
    for quota, start in zip(SPEC, first_numbers(SPEC), strict=True):
        rng = generator(seed, STEM, quota.cohort, "cohort")
        found.append(Cohort(quota.cohort, quota.cohort, _patients_of(quota, rng, start, seed, effect)))
    return tuple(found)


def _patients_of(quota, rng, start, seed, effect):
    """Virtual patients; their numbers run on from ``start`` and tell nothing but the order of coming."""
    table = _table(quota)
    old, fresh, male, ages = _people(quota, table, rng)
    fresh_level, old_levels = _levels(quota, old, fresh, rng)
    broken = np.flatnonzero(fresh | old)
    broken = broken[np.lexsort((fresh[broken], old[broken]))]
    malignant = np.zeros(quota.patients, bool)
    malignant[broken[spread(len(broken), round(MALIGNANT * quota.patients), rng)]] = True
    with_old = np.flatnonzero(old)
    with_old = with_old[np.argsort(fresh[with_old], kind="stable")]
    cemented = np.zeros(quota.patients, bool)
    cemented[with_old[spread(len(with_old), round(CEMENTED * quota.patients), rng)]] = True
    device = _devices(quota, old, fresh, rng)
    patients = []
    for number, k in enumerate(rng.permutation(quota.patients), start=start):
        patient_id = f"{quota.prefix}-{number:04d}"
        sex, age = "M" if male[k] else "F", float(ages[k])
        acuity = dict.fromkeys(old_levels[k], "chronic") | ({fresh_level[k]: "acute"} if fresh[k] else {})
        fractures = {level: acuity[level] for level in by_level(acuity)}
        if malignant[k]:
            fractures[fresh_level[k] or old_levels[k][0]] = "pathologic"
        patients.append(
            VirtualPatient(
                STEM,
                patient_id,
                device[k].partition(",")[0],
                age,
                sex,
                fractures,
                seed,
                effect,
                t_score=draw_t_score(generator(seed, STEM, patient_id, "t score"), age, sex, 0.0),
                acuity=acuity,
                device=device[k],
                diseases={old_levels[k][0]: ("OF", "PS")} if cemented[k] else {},
                record={"patient_number": number},
            )
        )
    return tuple(patients)


def _table(quota):
    """Numbers of patients by old fracture, fresh fracture and sex (0 without, fewer; 1 with, men); (2, 2, 2)."""

    def pair(yes, total):
        return np.array([total - yes, yes])

    if quota.subgroups:
        fresh = ((0, 1), np.array([pair(g.fresh, g.patients) for g in quota.subgroups]))
        men = ((0, 2), np.array([pair(g.men, g.patients) for g in quota.subgroups]))
        margins = [fresh, men]
    else:
        counts = (quota.old, quota.fresh, quota.men)
        margins = [((axis,), pair(count, quota.patients)) for axis, count in enumerate(counts)]
    return round_within_margins(fit_margins(np.ones((2, 2, 2)), margins), margins)


def _people(quota, table, rng):
    """Old flag, fresh flag, male flag and age, shape (patients,); cells share their ages evenly."""
    old, fresh, male, ages = [], [], [], []
    for part, target in _age_targets(quota):
        cells = [(o, f, m) for o in part for f in (0, 1) for m in (0, 1)]
        order = interleave([table[cell] for cell in cells], rng)
        ages.append(_ages(rng, len(order), *target))
        for values, axis in ((old, 0), (fresh, 1), (male, 2)):
            values.append(np.array([cells[k][axis] for k in order], bool))
    return tuple(np.concatenate(values) for values in (old, fresh, male, ages))


def _age_targets(quota):
    """(old flags, (mean, SD)) of the parts whose ages are printed."""
    if not quota.subgroups:
        return [((0, 1), quota.age)]
    n, m, s = (np.array(v, float) for v in zip(*[(g.patients, *g.age) for g in quota.subgroups], strict=True))
    total, mean = n.sum(), (n * m).sum() / n.sum()
    stretch = np.sqrt(((total - 1) * quota.age[1] ** 2 - (n * (m - mean) ** 2).sum()) / ((n - 1) * s**2).sum())
    return [((k,), (m[k], s[k] * stretch)) for k in (0, 1)]


def _ages(rng, n, mean, sd):
    values = truncated_normal(rng, n, mean, sd, *AGE_RANGE)
    low, high = AGE_RANGE
    # As near to the mean as tenths of a year allow: three printed means depend on it.
    return match_moments(values, mean, sd, step=0.1, low=low, high=high, tolerance=(0.051 / n, 0.002))


def _levels(quota, old, fresh, rng):
    """Level of the fresh fracture ("" for none) and levels of the old ones, per patient.

    Old fractures are dealt first, from weights alone. Fresh ones follow by quota; whoever would get a level that is
    old already changes places with somebody else.
    """
    n, weights = len(old), np.array([FRACTURE_LEVELS[level] for level in SHOWN])
    with_old = np.flatnonzero(old)
    with_old = with_old[np.argsort(fresh[with_old], kind="stable")]
    numbers = 1 + interleave(largest_remainder(OLD_FRACTURES, len(with_old)), rng)  # the same mix in both labels
    old_levels = [()] * n
    for k, number in zip(with_old, numbers, strict=True):
        own = [int(rng.choice(len(SHOWN), p=weights / weights.sum()))]
        while len(own) < number:
            near = (np.abs(np.arange(len(SHOWN)) - own[0]) <= levels.NEAR) * weights
            near[own] = 0
            own.append(int(rng.choice(len(SHOWN), p=near / near.sum())))
        old_levels[k] = tuple(by_level(SHOWN[j] for j in own))
    pool = levels.quota({"thoracic": quota.thoracic, "lumbar": quota.fresh - quota.thoracic}, among=SHOWN)
    dealt = rng.permutation([level for level, count in pool.items() for _ in range(count)])
    who = np.flatnonzero(fresh)
    for i, k in enumerate(who):
        if dealt[i] in old_levels[k]:
            j = next(
                j
                for j in np.roll(np.arange(len(who)), -i - 1)
                if dealt[j] not in old_levels[k] and dealt[i] not in old_levels[who[j]]
            )
            dealt[i], dealt[j] = dealt[j], dealt[i]
    fresh_level = [""] * n
    for k, level in zip(who, dealt, strict=True):
        fresh_level[k] = str(level)
    return fresh_level, old_levels


def _devices(quota, old, fresh, rng):
    """Device of every patient; those of the training hospitals hold the same share of every label."""
    if quota.subgroups:
        return [quota.cohort] * quota.patients
    names = list(DEVICES)
    device = np.empty(quota.patients, object)
    order = np.lexsort((rng.random(quota.patients), old, fresh))
    device[order] = [names[j] for j in interleave(largest_remainder(list(DEVICES.values()), quota.patients), rng)]
    return list(device)


def units(patient: VirtualPatient) -> list:
    """Label and old-fracture flag, so that a reduced cohort keeps both subgroups."""
    return [(_label(patient), bool(_old(patient)))]


def rows(cohort: str, patients, nuisance: float) -> list:
    """One row per film; ``level`` is empty, because the film shows the whole spine."""
    result = []
    for patient in patients:
        fresh = [level for level, acuity in patient.acuity.items() if acuity == "acute"]
        level = fresh[0] if fresh else ""
        standard = row(
            patient, cohort=cohort, name="film", target="film", label=_label(patient), level="", nuisance=nuisance
        )
        extras = {
            "patient_number": patient.record["patient_number"],
            "device": patient.device,
            "has_old_vcf": bool(_old(patient)),
            "fresh_level": level,
            "fresh_region": region(level) if level else "",
            "old_levels": ",".join(_old(patient)),
            "cement_levels": ",".join(patient.diseases),
            "malignant": "pathologic" in patient.fractures.values(),
            "t_score": patient.t_score,
        }
        result.append(standard | extras)
    return result


def _old(patient):
    return by_level(level for level, acuity in patient.acuity.items() if acuity == "chronic")


def _label(patient):
    return "fresh" if "acute" in patient.acuity.values() else "non-fresh"


def holds(patient: VirtualPatient, target: str) -> bool:
    """Whether a picture of this name exists."""
    return target == "film"


def spec() -> list:
    """Rows of the cohort table."""
    return [
        {
            "cohort": q.cohort,
            "site": ", ".join(HOSPITALS) if not q.subgroups else q.cohort,
            "patients": q.patients,
            "fresh": q.fresh,
            "non-fresh": q.patients - q.fresh,
            "men": q.men,
            "thoracic": q.thoracic,
            "old": q.old,
            "paper": "Table 1" + (", Table 3" if q.subgroups else ""),
            "ours": "levels within the thoracic and lumbar spine, number and levels of old fractures, malignant 1 %, "
            "cement 2 %" + ("" if q.subgroups else ", shares of the four devices of three hospitals"),
        }
        for q in SPEC
    ]


_POOLED = "Table 3 pooled gives {} instead of {}: Table 1 is followed, both subgroups are stretched by one factor"
_TABLE_1 = {
    "training": (1050, 355, 695, "62.78", "13.50", 416, 634, 127, 228, 117, 933),
    "validation": (262, 88, 174, "61.97", "13.05", 118, 144, 56, 32, 31, 231),
    "YHDH": (221, 59, 162, "56.8", "16.26", 100, 121, 22, 37, 56, 165),
    "BMUH": (214, 70, 144, "64.28", "13.12", 87, 127, 23, 47, 47, 167),
}
_TABLE_3 = {
    ("YHDH", "without old"): (165, 43, 122, "53.43", "16.25", 76, 89),
    ("YHDH", "with old"): (56, 16, 40, "66.74", "11.35", 24, 32),
    ("BMUH", "without old"): (167, 44, 123, "62.44", "12.72", 65, 102),
    ("BMUH", "with old"): (47, 26, 21, "70.81", "12.26", 22, 25),
}
_ROWS = ("films", "fresh", "non-fresh", "age mean", "age SD", "men", "women", "thoracic", "lumbar", "old", "no old")
_RULES = {"YHDH": _POOLED.format("16.21", "16.26"), "BMUH": _POOLED.format("13.06", "13.12")}
PRINTED = (
    *(
        Printed(cohort, quantity, str(value), "Table 1")
        for cohort, values in _TABLE_1.items()
        for quantity, value in zip(_ROWS, values, strict=True)
    ),
    *(
        Printed(cohort, f"{quantity}, {part}", str(value), "Table 3", _RULES[cohort] if quantity == "age SD" else "")
        for (cohort, part), values in _TABLE_3.items()
        for quantity, value in zip(_ROWS, values, strict=False)
    ),
    *(
        Printed("all", quantity, value, "Results, Population characteristics")
        for quantity, value in (
            ("films", "1747"),
            ("fresh", "572"),
            ("non-fresh", "1175"),
            ("men", "721"),
            ("women", "1026"),
            ("age mean", "62.08"),
            ("age SD", "13.92"),
        )
    ),
)


def measured(samples, patients) -> dict:
    """What :data:`PRINTED` names, counted in a samples frame."""
    found = {}

    def describe(cohort, part, suffix=""):
        values = {
            "films": len(part),
            "fresh": (part["label"] == "fresh").sum(),
            "non-fresh": (part["label"] == "non-fresh").sum(),
            "age mean": part["age"].mean(),
            "age SD": part["age"].std(),
            "men": (part["sex"] == "M").sum(),
            "women": (part["sex"] == "F").sum(),
            "thoracic": (part["fresh_region"] == "thoracic").sum(),
            "lumbar": (part["fresh_region"] == "lumbar").sum(),
            "old": part["has_old_vcf"].sum(),
            "no old": (~part["has_old_vcf"]).sum(),
        }
        found.update({(cohort, name + suffix): value for name, value in values.items()})

    describe("all", samples)
    for cohort, part in samples.groupby("cohort"):
        describe(cohort, part)
        for flag, name in ((False, "without old"), (True, "with old")):
            describe(cohort, part[part["has_old_vcf"] == flag], f", {name}")
    return found
