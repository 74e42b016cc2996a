"""The virtual patient, the names of virtual pictures, and what every cohort table shares."""

from dataclasses import dataclass, field

from ..anatomy import LEVELS

COLUMNS = ("sample_id", "patient_id", "site", "cohort", "label", "age", "sex", "level", "image", "mask", "box")

# Where osteoporotic fractures lie: the peak at T12/L1 and a small one in the middle of the thoracic spine.
FRACTURE_LEVELS = {
    "T4": 0.01,
    "T5": 0.02,
    "T6": 0.03,
    "T7": 0.05,
    "T8": 0.05,
    "T9": 0.04,
    "T10": 0.05,
    "T11": 0.09,
    "T12": 0.19,
    "L1": 0.25,
    "L2": 0.12,
    "L3": 0.06,
    "L4": 0.03,
    "L5": 0.01,
}


@dataclass(frozen=True)
class VirtualPatient:
    """What the scene of one virtual patient is built from."""

    stem: str
    patient_id: str
    site: str
    age: float
    sex: str
    fractures: dict  # level -> class: "acute", "chronic" or "pathologic"
    seed: int
    effect: float
    t_score: float | None = None  # None: drawn with the anatomy, from age and sex (paper 02)
    acuity: dict = field(default_factory=dict)  # level -> "acute" or "chronic", pathologic fractures included (01)
    device: str = ""  # row of the scanner table, where a hospital has several (01)
    astlof: dict = field(default_factory=dict)  # level -> Astlof (04)
    diseases: dict = field(default_factory=dict)  # level -> labels in the words of paper 03 (03; in 01 cement is PS)
    extents: dict = field(default_factory=dict)  # (level, label) -> (lateral middle, lateral radius) in mm (03)
    offsets: tuple = ()  # lateral places of the slices, mm, ascending (03)
    levels: tuple = ()  # bodies in the field of view, cranial to caudal (03)
    record: dict = field(default_factory=dict)  # what the samples frame says and no picture shows


@dataclass(frozen=True)
class Cohort:
    """All virtual patients of one cohort at the scale of the paper."""

    name: str
    prefix: str  # names the cohort's random streams
    patients: tuple


def first_numbers(quotas) -> list[int]:
    """Number of each cohort's first virtual patient: cohorts whose ids share a prefix are numbered on."""
    found, taken = [], {}
    for quota in quotas:
        found.append(taken.get(quota.prefix, 0) + 1)
        taken[quota.prefix] = taken.get(quota.prefix, 0) + quota.patients
    return found


@dataclass(frozen=True)
class Printed:
    """One number of a paper, as it is printed."""

    cohort: str
    quantity: str
    value: str  # its decimals are the precision that is asked for
    where: str
    rule: str = ""  # where papers contradict themselves: which number the virtual cohort follows


def reference(patient: VirtualPatient, target: str, nuisance: float) -> str:
    """The text that names one virtual image; ``target`` is a level, ``film``, ``slice-<x>`` or ``volume-<level>``."""
    knobs = f"seed={patient.seed}&effect={float(patient.effect)!r}&nuisance={float(nuisance)!r}"
    return f"phantom:{patient.stem}/{patient.patient_id}/{target}?{knobs}"


def row(patient: VirtualPatient, *, cohort: str, name: str, target: str, label: str, level: str, nuisance: float):
    """The standard columns of one sample."""
    return {
        "sample_id": f"{patient.patient_id}-{name}",
        "patient_id": patient.patient_id,
        "site": patient.site,
        "cohort": cohort,
        "label": label,
        "age": patient.age,
        "sex": patient.sex,
        "level": level,
        "image": reference(patient, target, nuisance),
        "mask": "",
        "box": "",
        "source": "virtual",
    }


def by_level(levels) -> list:
    """Levels from cranial to caudal."""
    return sorted(levels, key=LEVELS.index)


def region(level: str) -> str:
    """``thoracic`` or ``lumbar``."""
    return "thoracic" if level.startswith("T") else "lumbar"


def draw_t_score(rng, age: float, sex: str, offset: float) -> float:
    """T = -1.4 - 0.045 (age - 60) k + offset + N(0, 0.9), k = 1 for women and 0.6 for men; within -5.5 to 3.

    For papers that print no T-score. ``offset`` is one number per paper: it never knows the label.
    """
    t = -1.4 - 0.045 * (age - 60) * (0.6 if sex == "M" else 1.0) + offset + 0.9 * rng.standard_normal()
    return float(round(min(max(t, -5.5), 3.0), 2))
