"""Paper 05: acute or chronic vertebral fractures on CT of one hospital. Unit of analysis: the fracture.

From the paper (Table 1, Results): patients, women and men, ages with their range, and thoracic and lumbar fractures of
the acute and of the chronic group; the sizes of training and test cohort (Discussion). Ours: fractures per patient,
levels within the thoracic and lumbar spine, T-scores.

Where the paper contradicts itself:

- The text counts 149 men and 216 women and a mean age of 61.7 ± 17.0; the two columns of Table 1 add up to 123 and 242
  and to 62.9 ± 17.3. The table is followed.
- "Patients were randomly allocated" 8:2, but 252 + 63 acute and 164 + 41 chronic fractures are 8:2 of the *fractures*
  of each class to the unit. The printed counts are followed: the split is per fracture, and a virtual patient with two
  fractures may stand on both sides. To split by patient, name all rows ``development`` and use ``vcfkit.cohort.split``.
- Figure 12 shows a patient with acute and chronic fractures; Table 1 has no column for one. Here nobody has both.

Age tells much of the class (59.3 against 71.1 years) and so do, a little, sex and region: the table prints that. Bone
density falls with age, so that a picture knows an acute fracture by its patient's age too. The effect scales these
differences like every other: at effect 1 the table is met, at effect 0 both classes have the ages, sexes and regions of
all patients together. Above effect 2 they grow no more, for the spread of the chronic patients' ages nears 0 there.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from ..anatomy import generator
from . import levels
from .matching import fit_margins, interleave, match_moments, round_within_margins, truncated_normal
from .patient import Cohort, Printed, VirtualPatient, by_level, draw_t_score, region, row

STEM = "05_ct_acute_chronic"
CLASSES = ("acute", "chronic")
EXTRAS = ("region", "t_score")
GROUPS = {}
STRATA = CLASSES
SITE = "Nanjing"
TEST_FRACTION = 0.2
T_OFFSET = -0.7  # everybody has a fracture
LARGEST_EFFECT = 2.0  # on ages, sexes and regions


@dataclass(frozen=True)
class Quota:
    """One column of Table 1."""

    label: str
    patients: int
    women: int
    fractures: int
    thoracic: int
    age: tuple  # mean, SD, least, largest


SPEC = (
    Quota("acute", 253, 164, 315, 111, (59.3, 18.1, 17.0, 95.0)),
    Quota("chronic", 112, 78, 205, 88, (71.1, 11.9, 39.0, 95.0)),
)


@functools.lru_cache(maxsize=16)
def cohorts(seed: int, effect: float) -> tuple:
    """One pool; :func:`rows` splits what is kept of it."""
    rng = generator(seed, STEM, "development", "cohort")
    people = [person for quota in SPEC for person in _people(_at_effect(quota, effect), rng)]
    patients = []
    for number, k in enumerate(rng.permutation(len(people)), start=1):  # the number must not tell the label
        label, age, sex, broken = people[k]
        patient_id = f"NJ-{number:04d}"
        patients.append(
            VirtualPatient(
                STEM,
                patient_id,
                SITE,
                age,
                sex,
                dict.fromkeys(by_level(broken), label),
                seed,
                effect,
                t_score=draw_t_score(generator(seed, STEM, patient_id, "t score"), age, sex, T_OFFSET),
                acuity=dict.fromkeys(by_level(broken), label),
            )
        )
    return (Cohort("development", "NJ", tuple(patients)),)


def _at_effect(quota, effect):
    """The quota with its difference from all patients together times ``effect``; itself at 1."""
    effect = min(effect, LARGEST_EFFECT)

    def between(pooled, own):
        return effect * own + (1 - effect) * pooled

    def share(name, of):
        pooled = sum(getattr(q, name) for q in SPEC) / sum(getattr(q, of) for q in SPEC)
        whole = getattr(quota, of)
        return round(min(max(between(whole * pooled, getattr(quota, name)), 0), whole))

    n = np.array([q.patients for q in SPEC])
    mean, sd, least, largest = np.array([q.age for q in SPEC]).T
    pooled_mean = np.average(mean, weights=n)
    pooled_sd = np.sqrt(np.average(sd**2 + (mean - pooled_mean) ** 2, weights=n))
    ages = zip((pooled_mean, pooled_sd, least.min(), largest.max()), quota.age, strict=True)
    return replace(
        quota,
        women=share("women", "patients"),
        thoracic=share("thoracic", "fractures"),
        age=tuple(float(between(pooled, own)) for pooled, own in ages),
    )


def _people(quota, rng):
    """(label, age, sex, levels) of every virtual patient of a class."""
    mean, sd, least, largest = quota.age
    ages = truncated_normal(rng, quota.patients, mean, sd, least, largest)
    ages[[0, -1]] = least, largest  # the printed range
    ends = np.isin(np.arange(quota.patients), (0, quota.patients - 1))
    ages = match_moments(ages, mean, sd, step=0.1, low=least, high=largest, tolerance=(0.02, 0.02), fixed=ends)
    numbers = levels.fractures_per_patient(quota.fractures, quota.patients)
    margins = [((0,), list(numbers.values())), ((1,), (quota.women, quota.patients - quota.women))]
    table = round_within_margins(fit_margins(np.ones((len(numbers), 2)), margins), margins)
    cells = [(size, sex) for size in numbers for sex in "FM"]
    order = [cells[k] for k in interleave(table.ravel(), rng)]
    pool = levels.quota({"thoracic": quota.thoracic, "lumbar": quota.fractures - quota.thoracic})
    dealt = levels.group(pool, [size for size, _ in order], rng)
    return [(quota.label, float(age), sex, broken) for age, (_, sex), broken in zip(ages, order, dealt, strict=True)]


def units(patient: VirtualPatient) -> list:
    """Classes of the fractures."""
    return list(patient.fractures.values())


def rows(cohort: str, patients, nuisance: float) -> list:
    """One row per fracture; 8:2 into training and testing within each class, at least one on either side."""
    result = []
    for patient in patients:
        for level, label in patient.fractures.items():
            target = f"volume-{level}"
            standard = row(
                patient, cohort="training", name=level, target=target, label=label, level=level, nuisance=nuisance
            )
            result.append(standard | {"region": region(level), "t_score": patient.t_score})
    for label in CLASSES:
        own = [sample for sample in result if sample["label"] == label]
        seed = patients[0].seed
        # A lot of one's own, so that the split depends neither on the order nor on who else was kept.
        own.sort(key=lambda sample: generator(seed, STEM, sample["sample_id"], "split").random())
        for sample in own[: max(round(TEST_FRACTION * len(own)), 1)]:
            sample["cohort"] = "testing"
    return result


def holds(patient: VirtualPatient, target: str) -> bool:
    """Whether a picture of this name exists."""
    return target.startswith("volume-") and target.removeprefix("volume-") in patient.fractures


def spec() -> list:
    """Rows of the cohort table."""
    return [
        {
            "cohort": q.label,
            "site": SITE,
            "patients": q.patients,
            "women": q.women,
            "men": q.patients - q.women,
            "fractures": q.fractures,
            "thoracic": q.thoracic,
            "lumbar": q.fractures - q.thoracic,
            "paper": "Table 1",
            "ours": "fractures per patient, levels within the thoracic and lumbar spine, T-scores",
        }
        for q in SPEC
    ]


_TEXT = "Results, Clinical baseline characteristics"
_TABLE_WINS = "Table 1 adds up to {}: the table is followed"
_PER_FRACTURE = "8:2 of the fractures of each class, though the Methods say patients: the counts are followed"
_NAMES = (
    "patients",
    "women",
    "men",
    "age mean",
    "age SD",
    "age least",
    "age largest",
    "fractures",
    "thoracic",
    "lumbar",
)
_TABLE_1 = {
    "acute": ("253", "164", "89", "59.3", "18.1", "17", "95", "315", "111", "204"),
    "chronic": ("112", "78", "34", "71.1", "11.9", "39", "95", "205", "88", "117"),
}
PRINTED = (
    *(
        Printed(label, quantity, value, "Table 1")
        for label, values in _TABLE_1.items()
        for quantity, value in zip(_NAMES, values, strict=True)
    ),
    Printed("training", "acute", "252", "Discussion", _PER_FRACTURE),
    Printed("training", "chronic", "164", "Discussion", _PER_FRACTURE),
    Printed("testing", "acute", "63", "Discussion", _PER_FRACTURE),
    Printed("testing", "chronic", "41", "Discussion", _PER_FRACTURE),
    Printed("all", "patients", "365", _TEXT),
    Printed("all", "fractures", "520", "Discussion"),
    Printed("all", "men", "149", _TEXT, _TABLE_WINS.format("123")),
    Printed("all", "women", "216", _TEXT, _TABLE_WINS.format("242")),
    Printed("all", "age mean", "61.7", _TEXT, _TABLE_WINS.format("62.9")),
    Printed("all", "age SD", "17.0", _TEXT, _TABLE_WINS.format("17.3")),
)


def measured(samples, patients) -> dict:
    """What :data:`PRINTED` names, counted in a samples frame; ages and sexes per patient."""
    found = {(cohort, label): len(part) for (cohort, label), part in samples.groupby(["cohort", "label"])}
    for label, part in [("all", samples), *samples.groupby("label")]:
        person = part.drop_duplicates("patient_id")
        values = {
            "patients": len(person),
            "women": (person["sex"] == "F").sum(),
            "men": (person["sex"] == "M").sum(),
            "age mean": person["age"].mean(),
            "age SD": person["age"].std(),
            "age least": person["age"].min(),
            "age largest": person["age"].max(),
            "fractures": len(part),
            "thoracic": (part["region"] == "thoracic").sum(),
            "lumbar": (part["region"] == "lumbar").sum(),
        }
        found.update({(label, name): value for name, value in values.items()})
    return found
