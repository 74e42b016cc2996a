"""Paper 03: diseases of vertebrae on sagittal CT slices of two hospitals.

Unit of analysis: the samples frame has one row per slice, because a slice is the picture that is read and what the
detector sees, with one 0/1 column per label (on any of its vertebrae). The classifier works on vertebrae, and the paper
counts its labels there: :func:`boxes` has one row per vertebra on a slice, and Table 2 is a sum over that frame.

From the paper: patients, men, ages, T-scores and slices (Table 1); labels (Table 2); images and vertebrae of the
detector (Results). Ours: slices per patient, their lateral places, fields of view, levels, and which diseases share a
vertebra.

Rules:

- A fracture (OVCF, OF) runs through the body and is labelled on every slice. A node, a cleft or cement (SN, KD, PS) is
  labelled on a slice that shows more than 15 % of its largest section, ``1 - ((x - middle) / radius)^2 > 0.15``. Middle
  and radius of every lesion follow from the run of slices that it is to be seen on, so that picture and label agree.
- A label counts once per slice and vertebra, and a vertebra with two labels counts under both. The "14,584 manually
  annotated diseased vertebrae" of the paper are the sum of its five labels (so are 4,489 and 645), which holds here;
  the number of different diseased vertebrae on slices is then smaller.
- ``normal`` is a vertebra on a slice without any label, as the paper takes detected vertebrae less annotated ones. So
  the body around a cleft is normal on the few lateral slices that miss the cleft.
- All patients have an OVCF (inclusion), yet at least 502 of 8548 training slices are without the label (8046), and 69
  of 467 at Xuanwu. "KD is a specific type of OVCF": here some patients have KD in its place, labelled KD alone. Their
  slices make the difference to the unit.

Where the paper contradicts itself: 11,417 slices in the abstract are 8548 + 2456 + 467 = 11,471 in Table 1, which is
followed.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..anatomy import LEVELS, TABLE, generator
from ..disease import DISEASES, VISIBLE
from .matching import interleave, match_moments, steps_to_total, subset_with_sum, truncated_normal
from .patient import FRACTURE_LEVELS, Cohort, Printed, VirtualPatient, by_level, first_numbers, reference, row

STEM = "03_ct_vertebra_diseases"
CLASSES = (*DISEASES, "normal")
EXTRAS = (*CLASSES, "n_vertebrae", "offset_mm", "detector", "t_score")
GROUPS = {"development": ("training", "testing"), "external": ("Xuanwu",)}
STRATA = ("KD", "SN", "PS", "OF", "OVCF")  # of a patient: the rarest disease; every reduced cohort keeps all

AGE_RANGE, T_RANGE = (55.0, 97.0), (-6.5, 3.0)  # inclusion from 55 years
SLICES, SLICES_SD = (6, 16), 2.0  # per patient; ours
SPAN = (18.0, 24.0)  # mm from the first to the last slice, less where the field reaches up to narrow bodies
WITHIN = 0.66  # of the narrowest body's half width: every slice cuts every body of the field
BODIES_SEEN, BODIES_SD = (4, 13), 1.3  # vertebrae in the field of view
CEMENT_IN_OLD = 0.4  # share of old fractures with cement; ours
NODE_SHARED = 0.1  # share of nodes in a body with another disease
NODE_SLICES = 3.0  # that show a node
CEMENT_SEEN, CEMENT_SEEN_MOST = 0.88, 0.95  # share of the slices that show cement: mean, and of all together at most
CLEFT_LEVELS = ("T11", "T12", "L1", "L2")
NODE_LEVELS = LEVELS[LEVELS.index("T8") :]
REACH = 3  # levels between the index fracture and further diseases


@dataclass(frozen=True)
class Quota:
    """One cohort of Tables 1 and 2."""

    cohort: str
    site: str
    prefix: str  # of the patient_id
    patients: int
    men: int
    age: tuple  # mean, SD
    t_score: tuple
    slices: int
    labels: tuple  # vertebrae on slices, in the order of DISEASES
    normal: int
    detector: tuple  # images, vertebrae; empty without
    clefts: int  # patients with KD in place of an OVCF; ours


SPEC = (
    Quota(
        "training",
        "Luhe",
        "LH",
        819,
        192,
        (73, 8),
        (-2.9, 1.3),
        8548,
        (8046, 3257, 824, 478, 1979),
        47604,
        (1082, 9135),
        48,
    ),
    Quota(
        "testing",
        "Luhe",
        "LH",
        232,
        52,
        (72, 8),
        (-2.9, 1.4),
        2456,
        (2536, 893, 154, 204, 702),
        15122,
        (405, 3212),
        20,
    ),
    Quota("Xuanwu", "Xuanwu", "XW", 46, 13, (76, 9), (-2.9, 0.5), 467, (398, 66, 23, 56, 102), 2425, (), 7),
)


@dataclass
class _Lesion:
    """A disease of one virtual patient while the cohort is put together."""

    label: str
    patient: int
    host: "_Lesion | None" = None  # the fracture whose body it shares
    level: str = ""
    run: tuple = ()  # first and last slice that show it


@functools.lru_cache(maxsize=8)
def cohorts(seed: int, effect: float) -> tuple:
    """All cohorts at the scale of the paper."""
    found = []
    for quota, start in zip(SPEC, first_numbers(SPEC), strict=True):
        rng = generator(seed, STEM, quota.cohort, "cohort")
        found.append(Cohort(quota.cohort, quota.cohort, _patients_of(quota, rng, start, seed, effect)))
    return tuple(found)


def _patients_of(quota, rng, start, seed, effect):
    n = truncated_normal(rng, quota.patients, quota.slices / quota.patients, SLICES_SD, *SLICES)
    n = steps_to_total(rng.permutation(np.round(n).astype(int)), quota.slices, *SLICES, rng)
    lesions = _lesions(quota, n, rng)
    of_patient = [[] for _ in n]
    for lesion in lesions:  # the index fracture of everybody comes first, hosts before guests
        of_patient[lesion.patient].append(lesion)
    for own in of_patient:
        _place(own, rng)
    fields = _fields(quota, n, of_patient, rng)
    images = _detector(quota, n, fields, rng)
    ages, men, t_scores = _people(quota, rng)
    patients = []
    for k in range(quota.patients):
        offsets = _offsets(n[k], fields[k], rng)
        diseases, fractures, extents = {}, {}, {}
        for lesion in of_patient[k]:
            diseases.setdefault(lesion.level, set()).add(lesion.label)
            if lesion.label in ("OVCF", "OF"):
                fractures[lesion.level] = "acute" if lesion.label == "OVCF" else "chronic"
            else:
                extents[lesion.level, lesion.label] = _extent(offsets, lesion.run, rng)
        patients.append(
            VirtualPatient(
                STEM,
                f"{quota.prefix}-{start + k:04d}",
                quota.site,
                float(ages[k]),
                "M" if men[k] else "F",
                {level: fractures[level] for level in by_level(fractures)},
                seed,
                effect,
                t_score=float(t_scores[k]),
                acuity={level: fractures[level] for level in by_level(fractures)},
                diseases={v: tuple(d for d in DISEASES if d in diseases[v]) for v in by_level(diseases)},
                extents=extents,
                offsets=offsets,
                levels=LEVELS[fields[k][0] : fields[k][1] + 1],
                record={"detector": images[k]},
            )
        )
    return tuple(patients)


def _people(quota, rng):
    """Ages, male flags and T-scores, independent of each other and of every disease."""
    low, high = AGE_RANGE
    ages = truncated_normal(rng, quota.patients, *quota.age, low, high)
    ages = match_moments(ages, *quota.age, step=0.1, low=low, high=high, tolerance=(0.05, 0.05))
    men = interleave((quota.patients - quota.men, quota.men), rng)
    order = rng.permutation(quota.patients)
    low, high = T_RANGE
    t = truncated_normal(rng, quota.patients, *quota.t_score, low, high)
    t = match_moments(t, *quota.t_score, step=0.01, low=low, high=high, tolerance=(0.01, 0.01))
    return ages[order], men[order], rng.permutation(t)


# Diseases


def _lesions(quota, n, rng):
    """Every disease of the cohort with its patient, its host and its number of slices; labels add up to Table 2."""
    total = dict(zip(DISEASES, quota.labels, strict=True))
    mean = n.mean()
    # The index fracture: OVCF, or KD in its place. Further OVCF make up the rest.
    further = max(round((total["OVCF"] - quota.slices) / mean + quota.clefts), 0)
    without = round(quota.clefts * mean) if further else quota.slices - total["OVCF"]
    cleft = np.isin(np.arange(quota.patients), subset_with_sum(n, quota.clefts, without, rng))
    lesions = [_Lesion("KD" if cleft[k] else "OVCF", k) for k in range(quota.patients)]
    rest = np.flatnonzero(~cleft)
    chosen = subset_with_sum(n[rest], further, total["OVCF"] - quota.slices + without, rng)
    lesions += [_Lesion("OVCF", int(k)) for k in rest[chosen]]

    places = np.repeat(np.arange(quota.patients), 2)  # at most two old fractures each
    chosen = subset_with_sum(n[places], round(total["OF"] / mean), total["OF"], rng)
    old = [_Lesion("OF", int(k)) for k in places[chosen]]
    number = round(total["PS"] / (CEMENT_SEEN * mean))
    shared = [old[k] for k in rng.permutation(len(old))[: round(CEMENT_IN_OLD * len(old))]]
    cement = [_Lesion("PS", host.patient, host) for host in shared]
    others = rng.permutation(quota.patients)
    cement += [_Lesion("PS", int(k)) for k in others[: number - len(shared)]]
    for k in others[number - len(shared) :]:  # a small cohort may draw patients with few slices
        if CEMENT_SEEN_MOST * sum(n[lesion.patient] for lesion in cement) >= total["PS"]:
            break
        cement.append(_Lesion("PS", int(k)))
    number = round(total["SN"] / NODE_SLICES)
    fractures = [lesion for lesion in lesions if lesion.label == "OVCF"] + old
    shared = [fractures[k] for k in rng.permutation(len(fractures))[: round(NODE_SHARED * number)]]
    nodes = [_Lesion("SN", host.patient, host) for host in shared]
    nodes += [_Lesion("SN", int(k)) for k in rng.permutation(quota.patients)[: number - len(shared)]]

    _see([lesion for lesion in lesions if lesion.label == "KD"], n, total["KD"], n, rng)
    _see(cement, n, total["PS"], np.round(CEMENT_SEEN * n + rng.uniform(-1, 1, len(n))), rng)
    _see(nodes, n, total["SN"], np.round(NODE_SLICES + rng.uniform(-1.5, 1.5, len(n))), rng)
    return lesions + old + cement + nodes


def _see(lesions, n, total, wanted, rng):
    """Run of slices that show each lesion: about ``wanted`` of its patient, ``total`` of all, around the middle."""
    whose = np.array([lesion.patient for lesion in lesions])
    seen = steps_to_total(np.asarray(wanted)[whose].astype(int), total, 1, n[whose], rng)
    for lesion, k, count in zip(lesions, seen, n[whose], strict=True):
        spare = count - k
        middle = rng.integers(spare + 1) if lesion.label == "SN" else round(spare / 2 + rng.uniform(-0.5, 0.5))
        first = int(np.clip(middle, 0, spare))
        lesion.run = (first, first + int(k) - 1)


def _place(own, rng):
    """Levels of one virtual patient's diseases: the index fracture, the others near it; hosts before guests."""
    index = own[0]
    taken = []
    for lesion in own:
        if lesion.host is not None:
            lesion.level = lesion.host.level
            continue
        among = CLEFT_LEVELS if lesion.label == "KD" else NODE_LEVELS if lesion.label == "SN" else FRACTURE_LEVELS
        free = [level for level in among if level not in taken]
        if lesion is not index:
            centre, reach = LEVELS.index(index.level), REACH
            while not any(abs(LEVELS.index(level) - centre) <= reach for level in free):
                reach += 1
            free = [level for level in free if abs(LEVELS.index(level) - centre) <= reach]
        weights = np.array([FRACTURE_LEVELS[level] for level in free])
        lesion.level = free[int(rng.choice(len(free), p=weights / weights.sum()))]
        taken.append(lesion.level)


# Fields of view, slices, boxes


def _fields(quota, n, of_patient, rng):
    """First and last body of every field of view (places in LEVELS); normal vertebrae add up to Table 2."""
    wanted = quota.normal + _diseased(of_patient, n)
    low = np.array([min(LEVELS.index(lesion.level) for lesion in own) for own in of_patient])
    high = np.array([max(LEVELS.index(lesion.level) for lesion in own) for own in of_patient])
    size = np.round(wanted / quota.slices + BODIES_SD * rng.standard_normal(len(n))).astype(int)
    size = np.clip(size, np.maximum(high - low + 1, BODIES_SEEN[0]), BODIES_SEEN[1])
    top = np.empty(len(n), int)
    for k in range(len(n)):
        starts = np.arange(max(high[k] - size[k] + 1, 0), min(low[k], len(LEVELS) - size[k]) + 1)
        weight = np.exp(-(((starts - LEVELS.index("T10")) / 2.5) ** 2))
        top[k] = rng.choice(starts, p=weight / weight.sum())
    bottom = top + size - 1
    grow = {
        1: lambda k: bottom[k] - top[k] + 1 < BODIES_SEEN[1] and (top[k] > 0 or bottom[k] < len(LEVELS) - 1),
        -1: lambda k: bottom[k] - top[k] + 1 > BODIES_SEEN[0] and (top[k] < low[k] or bottom[k] > high[k]),
    }

    def change(k, sign):
        at_top = top[k] > 0 if sign > 0 else top[k] < low[k]
        if at_top:
            top[k] -= sign
        else:
            bottom[k] += sign

    missing = wanted - int((n * (bottom - top + 1)).sum())
    for k in rng.permutation(np.tile(np.arange(len(n)), 3)):
        if abs(missing) <= SLICES[1]:
            break
        sign = 1 if missing > 0 else -1
        if grow[sign](k):
            change(k, sign)
            missing -= sign * int(n[k])
    for a, b in _exchange(n, missing, grow, rng):
        change(a, 1)
        change(b, -1)
    return list(zip(top.tolist(), bottom.tolist(), strict=True))


def _exchange(n, missing, grow, rng):
    """Pairs of patients, one to see a body more and one a body less, whose slices differ by ``missing`` in all."""
    order = rng.permutation(len(n))
    used = set()
    while missing:
        step = int(np.clip(missing, -4, 4))
        a, b = next(
            (a, b)
            for a in order
            if a not in used and grow[1](a)
            for b in order
            if b not in used and b != a and n[a] - n[b] == step and grow[-1](b)
        )
        used |= {a, b}
        missing -= step
        yield a, b


def _diseased(of_patient, n):
    """Number of vertebrae on slices with at least one label; a fracture is on every slice."""
    total = 0
    for own, count in zip(of_patient, n, strict=True):
        seen = {}
        for lesion in own:
            first, last = lesion.run or (0, int(count) - 1)
            seen.setdefault(lesion.level, set()).update(range(first, last + 1))
        total += sum(len(slices) for slices in seen.values())
    return total


def _detector(quota, n, fields, rng):
    """Slices of every patient, as places, on which all vertebrae were annotated for the detector."""
    images = [()] * len(n)
    if not quota.detector:
        return images
    whose = np.repeat(np.arange(len(n)), n)
    which = np.concatenate([np.arange(count) for count in n])
    seen = np.array([b - a + 1 for a, b in fields])[whose]
    number, vertebrae = quota.detector
    # The detector's slices show more vertebrae than the average slice: tilt the chances until the mean fits.
    low, high = -2.0, 2.0
    for _ in range(60):
        tilt = (low + high) / 2
        chance = np.exp(tilt * (seen - seen.mean()))
        low, high = (tilt, high) if (chance * seen).sum() / chance.sum() < vertebrae / number else (low, tilt)
    chosen = subset_with_sum(seen, number, vertebrae, rng, weights=chance)
    for j in chosen:
        images[whose[j]] += (int(which[j]),)
    return images


def _offsets(n, field, rng):
    """Lateral places of the slices, mm: evenly spaced, all within the narrowest body of the field."""
    half = WITHIN * TABLE["w"][field[0] : field[1] + 1].min() / 2
    span = min(rng.uniform(*SPAN), 2 * half - 1.0)
    shift = rng.uniform(-1, 1) * min(half - span / 2, 2.0)
    return tuple(float(round(x, 1) + 0.0) for x in shift + np.linspace(-span / 2, span / 2, n))


def _extent(offsets, run, rng):
    """Middle and radius (mm) of a lesion that slices ``run`` show, by the 15 % rule, and no others."""
    first, last = run
    step = (offsets[-1] - offsets[0]) / (len(offsets) - 1)
    u = rng.uniform(0.35, 0.65, 2)
    left, right = offsets[first] - u[0] * step, offsets[last] + u[1] * step
    return round((left + right) / 2, 2), round((right - left) / 2 / np.sqrt(1 - VISIBLE), 2)


def shows(patient: VirtualPatient, level: str, label: str, x: float) -> bool:
    """Whether the slice at ``x`` mm shows a disease that the vertebra has: the rule behind every label."""
    if (level, label) not in patient.extents:
        return True
    middle, radius = patient.extents[level, label]
    return 1 - ((x - middle) / radius) ** 2 > VISIBLE


def _labels(patient):
    """0/1 by slice, vertebra and label, (slices, levels, labels), labels in the order of ``CLASSES``."""
    x = np.array(patient.offsets)
    table = np.zeros((len(x), len(patient.levels), len(CLASSES)), int)
    for level, labels in patient.diseases.items():
        for label in labels:
            seen = [shows(patient, level, label, at) for at in x]
            table[:, patient.levels.index(level), CLASSES.index(label)] = seen
    table[:, :, -1] = ~table[:, :, :-1].any(axis=2)
    return table


def _slices(patient):
    """Names and targets of the slices."""
    return [(f"s{j:02d}", f"slice-{x}") for j, x in enumerate(patient.offsets, start=1)]


def units(patient: VirtualPatient) -> list:
    """The rarest disease, so that a reduced cohort keeps all of them."""
    own = {label for labels in patient.diseases.values() for label in labels}
    return [next(label for label in STRATA if label in own)]


def rows(cohort: str, patients, nuisance: float) -> list:
    """One row per slice: ``label`` names its diseases; a 0/1 column per label says whether any vertebra has it."""
    result = []
    for patient in patients:
        found = _labels(patient).any(axis=1).astype(int)
        for j, (name, target) in enumerate(_slices(patient)):
            label = "+".join(d for d, flag in zip(DISEASES, found[j], strict=False) if flag) or "normal"
            standard = row(patient, cohort=cohort, name=name, target=target, label=label, level="", nuisance=nuisance)
            extras = {
                **dict(zip(CLASSES, found[j].tolist(), strict=True)),
                "n_vertebrae": len(patient.levels),
                "offset_mm": patient.offsets[j],
                "detector": j in patient.record["detector"],
                "t_score": patient.t_score,
            }
            result.append(standard | extras)
    return result


def boxes(cohort: str, patients, nuisance: float) -> pd.DataFrame:
    """One row per vertebra on a slice."""
    columns = {name: [] for name in ("sample_id", "patient_id", "site", "level", "detector", "image")}
    tables = []
    for patient in patients:
        width = len(patient.levels)
        tables.append(_labels(patient).reshape(-1, len(CLASSES)))
        for j, (name, target) in enumerate(_slices(patient)):
            columns["sample_id"] += [f"{patient.patient_id}-{name}"] * width
            columns["patient_id"] += [patient.patient_id] * width
            columns["site"] += [patient.site] * width
            columns["level"] += patient.levels
            columns["detector"] += [j in patient.record["detector"]] * width
            columns["image"] += [reference(patient, target, nuisance)] * width
    frame = pd.DataFrame(columns)
    frame.insert(0, "box_id", frame["sample_id"] + "-" + frame["level"])
    frame.insert(4, "cohort", cohort)
    labels = pd.DataFrame(np.concatenate(tables), columns=list(CLASSES))
    return pd.concat([frame.iloc[:, :6], labels, frame.iloc[:, 6:]], axis=1)


def holds(patient: VirtualPatient, target: str) -> bool:
    """Whether a picture of this name exists."""
    return target in {name for _, name in _slices(patient)}


def spec() -> list:
    """Rows of the cohort table."""
    return [
        {
            "cohort": q.cohort,
            "site": q.site,
            "patients": q.patients,
            "men": q.men,
            "slices": q.slices,
            **dict(zip(CLASSES, (*q.labels, q.normal), strict=True)),
            "paper": "Table 1, Table 2; detector: Results",
            "ours": f"{q.clefts} patients with KD in place of an OVCF, slices per patient and their places, fields of "
            "view, levels, which diseases share a vertebra",
        }
        for q in SPEC
    ]


_ABSTRACT = "the cohorts of Table 1 add up to 11471, which is followed"
_SUM = "the paper calls the sum of the five labels diseased vertebrae; a vertebra with two counts under both"
_TABLE_1 = {
    "training": "819 192 627 73 8 -2.9 1.3 8548",
    "testing": "232 52 180 72 8 -2.9 1.4 2456",
    "Xuanwu": "46 13 33 76 9 -2.9 0.5 467",
}
_ROWS = ("patients", "men", "women", "age mean", "age SD", "T mean", "T SD", "slices")
_TABLE_2 = {
    "training": "8046 3257 824 478 1979 47604",
    "testing": "2536 893 154 204 702 15122",
    "Xuanwu": "398 66 23 56 102 2425",
}
PRINTED = (
    *(
        Printed(cohort, quantity, value, "Table 1")
        for cohort, values in _TABLE_1.items()
        for quantity, value in zip(_ROWS, values.split(), strict=True)
    ),
    *(
        Printed(cohort, quantity, value, "Table 2")
        for cohort, values in _TABLE_2.items()
        for quantity, value in zip(CLASSES, values.split(), strict=True)
    ),
    Printed("training", "sum of labels", "14584", "Results, VCModule", _SUM),
    Printed("testing", "sum of labels", "4489", "Results, VCModule", _SUM),
    Printed("Xuanwu", "sum of labels", "645", "Results, Alternative hospital validation", _SUM),
    Printed("all", "sum of labels", "19718", "Abstract", _SUM),
    Printed("training", "detector images", "1082", "Results, VDModule"),
    Printed("training", "detector vertebrae", "9135", "Results, VDModule"),
    Printed("testing", "detector images", "405", "Results, VDModule"),
    Printed("testing", "detector vertebrae", "3212", "Results, VDModule"),
    Printed("all", "slices", "11417", "Abstract", _ABSTRACT),
)


def measured(samples, patients) -> dict:
    """What :data:`PRINTED` names, counted in a samples frame and the vertebrae on its slices."""
    found = {}
    for cohort, part in [("all", samples), *samples.groupby("cohort")]:
        person = part.drop_duplicates("patient_id")
        table = sum(_labels(patients[name]).sum(axis=(0, 1)) for name in person["patient_id"])
        values = {
            "patients": len(person),
            "men": (person["sex"] == "M").sum(),
            "women": (person["sex"] == "F").sum(),
            "age mean": person["age"].mean(),
            "age SD": person["age"].std(),
            "T mean": person["t_score"].mean(),
            "T SD": person["t_score"].std(),
            "slices": len(part),
            **dict(zip(CLASSES, table, strict=True)),
            "sum of labels": table[:-1].sum(),
            "detector images": part["detector"].sum(),
            "detector vertebrae": part.loc[part["detector"], "n_vertebrae"].sum(),
        }
        found.update({(cohort, name): value for name, value in values.items()})
    return found
