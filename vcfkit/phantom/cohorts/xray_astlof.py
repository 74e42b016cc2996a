"""Paper 04: class 0, 1 or 2 of osteoporotic vertebral fractures by ASTLOF. Unit of analysis: the vertebra.

The score adds four parts (Classification): morphology on CT (0 normal, 1 compression, 2 burst), MRI (0 none, 1 oedema,
2 vacuum or fluid), T-score (0 above -2.5, 1 down to -3.5, 2 below) and pain (0 none, 1 with position, 2 persistent or
neurologic). Class 0 has 1-3 points, class 1 has 4, class 2 has 5-8. Morphology, MRI and T are drawn first; pain, which
no picture shows, is then chosen so that the classes of Table 1 come out: it is the part that no image can predict.

From the paper: vertebrae, men, ages, T-scores, thoracic, acute, class and treatment counts of every cohort (Table 1,
per vertebra), treatment by class (Table 2), patients per cohort (Figure 1), and per patient men, age, bone mass and the
numbers with two and three fractures (Results, Clinical baseline characteristics). Ours: shares of the parts of the
score, levels within the thoracic and lumbar spine. Pain is assessed per vertebra, like the rest. T, age and sex are
independent of each other; the class depends on T by its definition, and not on age, sex or level.

Where the paper contradicts itself:

- 942 patients in the text, 941 in Figure 1 (652 + 125 + 96 + 68). Figure 1 is followed; the missing one is a woman with
  osteoporosis. 86 patients with two and 24 with three fractures make 1076 vertebrae of 942 patients; of 941, one more
  must have two.
- "randomly ... in an 8:2 ratio" fits the vertebrae (712 and 178), not the patients (652 and 125); as Figure 1 adds up
  to the 777 patients of center I, nobody stands in both. No random split would make 53 of 178 validation vertebrae, but
  60 of 712 training vertebrae, second or third ones.
- Per vertebra the ages are 69.17 ± 10.6, per patient 69.34 ± 10.19: patients with several fractures must then be spread
  wider over the ages than the others, and are here.
- Surgery of 113 in class 0 and 85 in class 2 (text); Table 2 has 98 + 35 = 133 and 73 + 15 = 88, and the percentages of
  the text are those of Table 2, which is followed.
"""

import functools
from dataclasses import dataclass

import numpy as np

from vcfkit.astlof import CLASSES, class_of, t_part

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
from .patient import Cohort, Printed, VirtualPatient, by_level, first_numbers, row

STEM = "04_xray_ovf_astlof"
TREATMENTS = ("conservative", "PVA", "open surgery")  # PVA: percutaneous vertebral augmentation
EXTRAS = (
    "t_score",
    "acuity",
    "astlof_morphology",
    "astlof_mri",
    "astlof_t",
    "astlof_pain",
    "astlof_score",
    "treatment",
)
GROUPS = {"development": ("training", "internal_validation")}
STRATA = CLASSES
AGE_RANGE = (50.0, 97.0)  # Results
# Bone mass by T: normal, reduced, osteoporosis. The bounds keep a hundredth from the cuts -1.0, -2.5.
BONE_MASS = ((-0.99, 1.0), (-2.49, -1.01), (-5.5, -2.51))
EXTRA_AGE, EXTRA_SD = 67.99, 13.16  # of the 135 further fractures: what the ages per vertebra and per patient leave
MORPHOLOGY = (0.15, 0.70, 0.15)  # ours
MRI = {"acute": (0.0, 0.92, 0.08), "chronic": (0.86, 0.0, 0.14)}  # ours; acute is oedema, or fluid
PAIN = {"acute": (0.10, 0.45, 0.45), "chronic": (0.35, 0.45, 0.20)}  # ours; before the quota of the classes


@dataclass(frozen=True)
class Astlof:
    """The four parts of the score of one vertebra."""

    morphology: int
    mri: int
    t: int
    pain: int

    @property
    def score(self) -> int:
        return self.morphology + self.mri + self.t + self.pain

    @property
    def label(self) -> str:
        return class_of(self.score)


@dataclass(frozen=True)
class Quota:
    """One cohort: a column of Table 1, its patients in Figure 1, and how we deal the numbers of the text."""

    cohort: str
    site: str
    prefix: str  # of the patient_id
    patients: int
    vertebrae: int
    men: int  # vertebrae of men
    age: tuple  # mean, SD
    t_score: tuple  # mean, SD
    thoracic: int
    acute: int
    classes: tuple
    treatments: tuple
    women_with: tuple  # women with 1, 2, 3 fractures
    men_with: tuple
    bone_mass: tuple  # patients with normal, reduced bone mass
    several_sd: float  # of the normal distribution from which ages of patients with several fractures are cut


SPEC = (
    Quota(
        "training",
        "Center I",
        "C1",
        652,
        712,
        181,
        (70.38, 10.49),
        (-2.7, 0.70),
        205,
        472,
        (330, 294, 88),
        (354, 290, 68),
        (448, 31, 7),
        (154, 9, 3),
        (12, 160),
        25.0,
    ),
    Quota(
        "internal_validation",
        "Center I",
        "C1",
        125,
        178,
        55,
        (68.01, 10.73),
        (-3.0, 0.81),
        47,
        104,
        (75, 85, 18),
        (97, 58, 23),
        (54, 24, 7),
        (28, 9, 3),
        (2, 20),
        13.0,
    ),
    Quota(
        "external",
        "Center II",
        "C2",
        96,
        111,
        41,
        (65.54, 9.19),
        (-2.7, 0.53),
        19,
        76,
        (53, 49, 9),
        (60, 36, 15),
        (52, 6, 2),
        (32, 3, 1),
        (1, 14),
        12.0,
    ),
    Quota(
        "prospective",
        "Center III",
        "C3",
        68,
        75,
        24,
        (65.83, 11.32),
        (-2.9, 0.69),
        19,
        53,
        (32, 33, 10),
        (42, 19, 14),
        (42, 3, 1),
        (20, 2, 0),
        (1, 11),
        13.0,
    ),
)
BY_CLASS = ((357, 98, 35), (159, 232, 70), (37, 73, 15))  # Table 2: class x treatment


@functools.lru_cache(maxsize=16)
def cohorts(seed: int, effect: float) -> tuple:
    """All cohorts at the scale of the paper."""
    rngs = [generator(seed, STEM, quota.cohort, "cohort") for quota in SPEC]
    people = [_sizes_and_sexes(quota, rng) for quota, rng in zip(SPEC, rngs, strict=True)]
    several = _ages_of_several(people, generator(seed, STEM, "several", "cohort"))
    found, parts = [], (SPEC, rngs, people, several, _treatments(), first_numbers(SPEC))
    for quota, rng, (sizes, men), ages, treatments, start in zip(*parts, strict=True):
        ages = _ages(quota, sizes, ages, rng)
        t_scores = _t_scores(quota, sizes, rng)
        pool = levels.quota({"thoracic": quota.thoracic, "lumbar": quota.vertebrae - quota.thoracic})
        order = rng.permutation(quota.patients)  # sizes stand in order: no rank but by chance
        dealt = levels.group(pool, list(sizes), rng)
        vertebrae = _vertebrae(quota, dealt, men, ages, t_scores, treatments, rng)
        patients = []
        for number, k in enumerate(order, start=start):
            own = {level: vertebrae[k, level] for level in by_level(dealt[k])}
            acuity = {level: values[0] for level, values in own.items()}
            patients.append(
                VirtualPatient(
                    STEM,
                    f"{quota.prefix}-{number:04d}",
                    quota.site,
                    float(ages[k]),
                    "M" if men[k] else "F",
                    dict(acuity),
                    seed,
                    effect,
                    t_score=float(t_scores[k]),
                    acuity=acuity,
                    astlof={level: values[1] for level, values in own.items()},
                    record={"treatment": {level: values[2] for level, values in own.items()}},
                )
            )
        found.append(Cohort(quota.cohort, quota.cohort, tuple(patients)))
    return tuple(found)


def _sizes_and_sexes(quota, rng):
    """Number of fractures and male flag per patient, in random order."""
    cells = [(n, male) for male, counts in ((False, quota.women_with), (True, quota.men_with)) for n in (1, 2, 3)]
    counts = (*quota.women_with, *quota.men_with)
    drawn = rng.permutation(np.repeat(np.arange(len(cells)), counts))
    return np.array([cells[k][0] for k in drawn]), np.array([cells[k][1] for k in drawn])


def _ages_of_several(people, rng):
    """Ages of the patients with two or three fractures, per cohort.

    A patient with three counts twice: these ages are what separates Table 1, per vertebra, from the text, per patient.
    The first cohort takes what the others leave.
    """
    extras = [sizes[sizes > 1] - 1 for sizes, _ in people]
    drawn = [
        rng.permutation(truncated_normal(rng, len(extra), quota.age[0] - 0.7, quota.several_sd, *AGE_RANGE))
        for quota, extra in zip(SPEC, extras, strict=True)
    ]
    weights, ages = np.concatenate(extras), np.round(np.concatenate(drawn), 1)
    ages = match_moments(
        ages,
        EXTRA_AGE,
        EXTRA_SD,
        step=0.1,
        low=AGE_RANGE[0],
        high=AGE_RANGE[1],
        tolerance=(0.004, 0.004),
        weights=weights,
        fixed=np.arange(len(ages)) >= len(extras[0]),
    )
    return np.split(ages, np.cumsum([len(extra) for extra in extras])[:-1])


def _ages(quota, sizes, several, rng):
    """Ages of a cohort whose mean and SD over vertebrae are printed; both ends of the range are in the first cohort."""
    single = np.flatnonzero(sizes == 1)
    ages = np.empty(len(sizes))
    ages[sizes > 1] = several
    ages[single] = rng.permutation(truncated_normal(rng, len(single), *quota.age, *AGE_RANGE))
    fixed = sizes > 1
    if quota is SPEC[0]:
        ends = single[np.argsort(ages[single])[[0, -1]]]
        ages[ends], fixed[ends] = AGE_RANGE, True
    low, high = AGE_RANGE
    tolerance = (0.002, 0.002)
    return match_moments(
        ages, *quota.age, step=0.1, low=low, high=high, tolerance=tolerance, weights=sizes, fixed=fixed
    )


def _t_scores(quota, sizes, rng):
    """T-scores by bone mass; mean and SD over vertebrae are printed."""
    normal, reduced = quota.bone_mass
    counts = (normal, reduced, quota.patients - normal - reduced)
    parts = [
        truncated_normal(rng, count, mean, sd, *bounds)
        for count, mean, sd, bounds in zip(counts, (-0.6, -1.8, -2.7), (0.3, 0.4, 0.6), BONE_MASS, strict=True)
    ]
    bounds = np.repeat(np.array(BONE_MASS), counts, axis=0)
    order = rng.permutation(quota.patients)
    values, low, high = np.concatenate(parts)[order], *bounds[order].T
    tolerance = (0.015, 0.002)
    return match_moments(values, *quota.t_score, step=0.01, low=low, high=high, tolerance=tolerance, weights=sizes)


def _treatments():
    """Number of vertebrae by cohort, class and treatment: Tables 1 and 2 give all three two-way margins."""
    margins = [
        ((0, 1), np.array([quota.classes for quota in SPEC])),
        ((0, 2), np.array([quota.treatments for quota in SPEC])),
        ((1, 2), np.array(BY_CLASS)),
    ]
    return round_within_margins(fit_margins(np.ones((len(SPEC), 3, 3)), margins), margins)


def _vertebrae(quota, dealt, men, ages, t_scores, treatments, rng):
    """``{(patient, level): (acuity, Astlof, treatment)}``; every draw is spread evenly over sexes, levels and ages."""
    places = [(men[k], LEVELS.index(level), ages[k], k, level) for k, own in enumerate(dealt) for level in own]
    places.sort()
    n = len(places)
    acute = spread(n, quota.acute, rng)
    morphology = interleave(largest_remainder(MORPHOLOGY, n), rng)
    mri = np.empty(n, int)
    for flag, name in ((True, "acute"), (False, "chronic")):
        mri[acute == flag] = interleave(largest_remainder(MRI[name], int((acute == flag).sum())), rng)
    t = np.array([t_part(t_scores[k]) for *_, k, _ in places])
    label = _classes(quota, morphology + mri + t, acute, rng)
    treatment = np.empty(n, object)
    for c in range(3):
        who = rng.permutation(np.flatnonzero(label == c))
        treatment[who] = np.repeat(TREATMENTS, treatments[c])
    result = {}
    for j, (*_, k, level) in enumerate(places):
        name = "acute" if acute[j] else "chronic"
        seen = int(morphology[j] + mri[j] + t[j])
        pain = _pain(seen, CLASSES[label[j]], name, rng.random())
        result[k, level] = (name, Astlof(int(morphology[j]), int(mri[j]), int(t[j]), pain), treatment[j])
    return result


def _classes(quota, seen, acute, rng):
    """Class per vertebra: pain decides among those that the other parts leave, under the printed class counts."""
    groups = [(s, a) for s in range(7) for a in (True, False)]
    start = np.array([[_share(s, c, "acute" if a else "chronic") for c in CLASSES] for s, a in groups])
    size = np.array([np.sum((seen == s) & (acute == a)) for s, a in groups])
    margins = [((0,), size), ((1,), np.array(quota.classes))]
    table = round_within_margins(fit_margins(start * size[:, None], margins), margins)
    label = np.empty(len(seen), int)
    for (s, a), counts in zip(groups, table, strict=True):
        who = np.flatnonzero((seen == s) & (acute == a))
        if len(who):
            label[who] = interleave(counts, rng)
    return label


def _share(seen, label, acuity):
    """Probability that pain leads from the other parts to a class."""
    return sum(p for pain, p in enumerate(PAIN[acuity]) if seen + pain >= 1 and class_of(seen + pain) == label)


def _pain(seen, label, acuity, u):
    """Pain that gives this class, by its distribution among those that do."""
    able = [pain for pain in range(3) if seen + pain >= 1 and class_of(seen + pain) == label]
    weights = np.cumsum([PAIN[acuity][pain] for pain in able])
    return able[int(np.searchsorted(weights, u * weights[-1], side="right"))]


def units(patient: VirtualPatient) -> list:
    """Classes of the vertebrae."""
    return [part.label for part in patient.astlof.values()]


def rows(cohort: str, patients, nuisance: float) -> list:
    """One row per vertebra."""
    result = []
    for patient in patients:
        for level, parts in patient.astlof.items():
            standard = row(
                patient, cohort=cohort, name=level, target=level, label=parts.label, level=level, nuisance=nuisance
            )
            extras = {
                "t_score": patient.t_score,
                "acuity": patient.acuity[level],
                "astlof_morphology": parts.morphology,
                "astlof_mri": parts.mri,
                "astlof_t": parts.t,
                "astlof_pain": parts.pain,
                "astlof_score": parts.score,
                "treatment": patient.record["treatment"][level],
            }
            result.append(standard | extras)
    return result


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
            "vertebrae": q.vertebrae,
            **dict(zip(CLASSES, q.classes, strict=True)),
            "men": q.men,
            "thoracic": q.thoracic,
            "acute": q.acute,
            "paper": "Table 1 (vertebrae), Table 2, Figure 1 (patients)",
            "ours": "shares of morphology and MRI, levels within the thoracic and lumbar spine; cohorts of the men, "
            "bone masses and numbers of fractures that the text counts over all",
        }
        for q in SPEC
    ]


_TEXT = "Results, Clinical baseline characteristics"
_PATIENTS = "941 patients in Figure 1, 942 in the text: Figure 1 is followed, a woman with osteoporosis is missing"
_TWO = "of 941 patients, not 942, one more must have two fractures to make 1076 vertebrae"
_SURGERY = "Table 2 gives {}, which is the printed percentage: Table 2 is followed"
_ROWS = (
    *("vertebrae", "women", "men", "age mean", "age SD", "T mean", "T SD", "thoracic", "lumbar", "acute", "chronic"),
    *CLASSES,
    *TREATMENTS,
)
_TABLE_1 = {
    "training": "712 531 181 70.38 10.49 -2.7 0.70 205 507 472 240 330 294 88 354 290 68",
    "internal_validation": "178 123 55 68.01 10.73 -3.0 0.81 47 131 104 74 75 85 18 97 58 23",
    "external": "111 70 41 65.54 9.19 -2.7 0.53 19 92 76 35 53 49 9 60 36 15",
    "prospective": "75 51 24 65.83 11.32 -2.9 0.69 19 56 53 22 32 33 10 42 19 14",
}
_FIGURE_1 = {"training": "652", "internal_validation": "125", "external": "96", "prospective": "68"}
PRINTED = (
    *(
        Printed(cohort, quantity, value, "Table 1")
        for cohort, values in _TABLE_1.items()
        for quantity, value in zip(_ROWS, values.split(), strict=True)
    ),
    *(Printed(cohort, "patients", value, "Figure 1") for cohort, value in _FIGURE_1.items()),
    *(
        Printed("all", f"{label}, {treatment}", str(count), "Table 2")
        for label, counts in zip(CLASSES, BY_CLASS, strict=True)
        for treatment, count in zip(TREATMENTS, counts, strict=True)
    ),
    Printed("all", "vertebrae", "1076", _TEXT),
    Printed("all", "patients", "942", _TEXT, _PATIENTS),
    Printed("all", "women, patients", "678", _TEXT, _PATIENTS),
    Printed("all", "men, patients", "264", _TEXT),
    Printed("all", "age mean, patients", "69.34", _TEXT),
    Printed("all", "age SD, patients", "10.19", _TEXT),
    Printed("all", "age least", "50", _TEXT),
    Printed("all", "age largest", "97", _TEXT),
    Printed("all", "normal bone mass", "16", _TEXT),
    Printed("all", "reduced bone mass", "205", _TEXT),
    Printed("all", "osteoporosis", "721", _TEXT, _PATIENTS),
    Printed("all", "two fractures", "86", _TEXT, _TWO),
    Printed("all", "three fractures", "24", _TEXT),
    Printed("all", "class_0, surgery", "113", _TEXT, _SURGERY.format("98 + 35 = 133, 27.1 %")),
    Printed("all", "class_2, surgery", "85", _TEXT, _SURGERY.format("73 + 15 = 88, 70.4 %")),
)


def measured(samples, patients) -> dict:
    """What :data:`PRINTED` names, counted in a samples frame."""
    found = {}
    for cohort, part in [("all", samples), *samples.groupby("cohort")]:
        values = {
            "vertebrae": len(part),
            "patients": part["patient_id"].nunique(),
            "women": (part["sex"] == "F").sum(),
            "men": (part["sex"] == "M").sum(),
            "age mean": part["age"].mean(),
            "age SD": part["age"].std(),
            "T mean": part["t_score"].mean(),
            "T SD": part["t_score"].std(),
            "thoracic": part["level"].str.startswith("T").sum(),
            "lumbar": part["level"].str.startswith("L").sum(),
            "age least": part["age"].min(),
            "age largest": part["age"].max(),
        }
        for column in ("acuity", "label", "treatment"):
            values |= part[column].value_counts().to_dict()
        found.update({(cohort, name): value for name, value in values.items()})
    for (label, treatment), part in samples.groupby(["label", "treatment"]):
        found["all", f"{label}, {treatment}"] = len(part)
    for label in CLASSES:
        found["all", f"{label}, surgery"] = sum(found["all", f"{label}, {name}"] for name in TREATMENTS[1:])
    person = samples.drop_duplicates("patient_id")
    number = samples["patient_id"].value_counts()
    overall = {
        "women, patients": (person["sex"] == "F").sum(),
        "men, patients": (person["sex"] == "M").sum(),
        "age mean, patients": person["age"].mean(),
        "age SD, patients": person["age"].std(),
        "normal bone mass": (person["t_score"] >= -1).sum(),
        "reduced bone mass": ((person["t_score"] < -1) & (person["t_score"] > -2.5)).sum(),
        "osteoporosis": (person["t_score"] <= -2.5).sum(),
        "two fractures": (number == 2).sum(),
        "three fractures": (number == 3).sum(),
    }
    return found | {("all", name): value for name, value in overall.items()}
