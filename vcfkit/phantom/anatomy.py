"""Anatomy of one virtual patient: vertebral sizes, bone density, and the alignment chain from the sacrum.

All lengths are in mm, angles in degrees unless a name ends in ``_rad``, in the sagittal plane of the patient:
``y`` points anteriorly, ``z`` cranially, the origin is the centre of the S1 endplate.

Sources
-------
Widths, depths and posterior heights follow the cadaver tables of Panjabi 1991 and 1992 (thoracic, lumbar); heights
are the 5-12 % larger values of radiographic and CT series; disc heights L3/4 to L5/S1 follow MRI, the others are
consensus values. Trabecular density by age: Jang 2019. Endplate concavity: Heidelberg 2002. The bodies of T5-T12 alone
are wedged by 18 degrees together; their discs take the rest of a thoracic kyphosis of 30-45 degrees (our choice).
"""

import hashlib
from dataclasses import dataclass

import numpy as np

LEVELS = (*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)))
BODIES = (*LEVELS, "S1")  # S1 is no unit of analysis: it closes the chain and shows below an L5 crop

# Adult woman of 65 years. ha, hp: anterior and posterior height; d: depth; w: width; disc: mid height of the disc
# BELOW; lordosis: angle of that disc in degrees, lordotic positive. The heights of S1 are our choice.
#          ha    hp    d     w     disc  lordosis
_TABLE = {
    "T1": (14.2, 14.6, 18.5, 26.0, 3.6, -2.0),
    "T2": (15.2, 15.8, 19.6, 26.0, 3.6, -1.5),
    "T3": (15.6, 16.4, 21.7, 25.0, 3.5, -1.0),
    "T4": (16.2, 17.0, 23.0, 25.0, 3.5, -0.5),
    "T5": (16.6, 17.5, 24.0, 25.5, 3.6, -2.5),
    "T6": (17.2, 18.2, 25.4, 26.5, 3.8, -2.5),
    "T7": (18.0, 19.0, 26.3, 27.5, 4.1, -2.5),
    "T8": (18.8, 19.8, 27.0, 29.0, 4.5, -2.5),
    "T9": (19.4, 20.5, 28.0, 30.0, 4.8, -2.5),
    "T10": (20.3, 21.3, 28.8, 31.5, 5.2, -2.5),
    "T11": (21.0, 22.3, 29.0, 34.0, 5.8, -1.5),
    "T12": (22.8, 24.3, 29.3, 37.0, 6.8, 1.0),
    "L1": (24.6, 25.9, 29.8, 39.5, 7.8, 4.0),
    "L2": (25.8, 26.6, 30.8, 41.0, 8.8, 6.0),
    "L3": (26.4, 26.4, 31.8, 42.8, 9.8, 8.0),
    "L4": (26.8, 25.8, 32.8, 45.2, 10.6, 12.0),
    "L5": (27.4, 24.0, 33.2, 47.5, 10.2, 14.0),
    "S1": (30.0, 25.0, 34.0, 50.0, 0.0, 0.0),
}
TABLE = {
    name: np.array([_TABLE[level][k] for level in BODIES])
    for k, name in enumerate(("ha", "hp", "d", "w", "disc", "lordosis"))
}
MALE_SCALE = 1.10
REFERENCE_AGE = 65.0  # the table's woman
REFERENCE_DEGENERATION = 0.40  # mean disc degeneration at that age; the table's discs include it


def generator(*key) -> np.random.Generator:
    """A generator seeded by the sha256 of ``key``: one stream per topic, the same in any batch, order or subset.

    Python's own ``hash`` is salted per process and would not do. Every topic (anatomy, surroundings, each fracture,
    box, scanner, noise) has its own stream, so no draw can shift another one, whatever the label.
    """
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


@dataclass(frozen=True)
class Spine:
    """Intact bodies T1-L5 and S1 of one virtual patient; arrays of shape (18,) in the order of ``BODIES``."""

    age: float
    sex: str
    t_score: float
    ha: np.ndarray  # anterior height, mm
    hp: np.ndarray  # posterior height, mm
    d: np.ndarray  # depth, mm
    w: np.ndarray  # width, mm
    disc: np.ndarray  # mid height of the disc below, mm
    disc_angle: np.ndarray  # of the disc below, degrees, lordotic positive
    degeneration: np.ndarray  # of the disc below, 0-1
    hu: np.ndarray  # trabecular HU at 120 kVp
    concavity_sup: np.ndarray  # mid-depth of the superior endplate, mm
    concavity_inf: np.ndarray
    waist: np.ndarray  # fraction of the half depth lost at mid height
    roll: np.ndarray  # rotation about the antero-posterior axis, degrees
    rotation: np.ndarray  # axial rotation, degrees
    wall: float  # thickness of the wall cortex, mm
    endplate: float  # thickness of the endplate, mm
    sacral_slope: float  # degrees


def draw_spine(rng: np.random.Generator, *, age: float, sex: str, t_score: float | None = None) -> Spine:
    """Draw one spine; the label of the patient is unknown here.

    Parameters
    ----------
    rng : numpy.random.Generator
        The stream of the patient's anatomy.
    age : float
        Years.
    sex : {"F", "M"}
        Men are 10 % larger.
    t_score : float, optional
        Measured value of a cohort that states it; None draws one.

    Notes
    -----
    ``T = -1.4 - 0.045 (age - 60) k - 0.7 + N(0, 0.9)`` with k = 1 for women, 0.6 for men; -0.7 because every virtual
    patient of a fracture cohort is fractured. ``HU = 160 + 30 T + N(0, 18)`` within 15-280, level factor SD 7 %.
    """
    n = len(BODIES)
    patient, level = rng.standard_normal(12), rng.standard_normal((9, n))
    scale = (MALE_SCALE if sex == "M" else 1.0) * (1 + 0.045 * patient[0])
    height = (TABLE["ha"] + TABLE["hp"]) / 2 * scale * (1 + 0.03 * patient[1] + 0.018 * level[0])
    wedge = (TABLE["ha"] - TABLE["hp"]) / ((TABLE["ha"] + TABLE["hp"]) / 2)
    wedge = wedge - 0.0008 * (age - REFERENCE_AGE) + 0.025 * level[1]
    drawn = -1.4 - 0.045 * (age - 60) * (0.6 if sex == "M" else 1.0) - 0.7 + 0.9 * patient[2]
    t_score = drawn if t_score is None else t_score
    mean_hu = np.clip(160 + 30 * t_score + 18 * patient[3], 15, 280)
    degeneration = REFERENCE_DEGENERATION + 0.012 * (age - REFERENCE_AGE) + 0.15 * patient[4] + 0.15 * level[2]
    disc = TABLE["disc"] * scale * (1 + 0.12 * patient[5] + 0.08 * level[3])
    disc = np.maximum(disc * (1 - 0.6 * (degeneration - REFERENCE_DEGENERATION)), 0.35 * TABLE["disc"])
    d = TABLE["d"] * scale * (1 + 0.04 * patient[6])
    # A disc keeps 1 mm at either rim, so that neighbouring bodies never overlap.
    widest = np.degrees(np.arctan(np.maximum(disc - 1.0, 0.0) / (d / 2)))
    disc_angle = np.clip(TABLE["lordosis"] + 0.8 * patient[7] + 1.8 * level[4], -widest, widest)
    biconcavity = 0.35 * max(0.0, -1 - t_score)
    return Spine(
        age=age,
        sex=sex,
        t_score=float(t_score),
        ha=height * (1 + wedge / 2),
        hp=height * (1 - wedge / 2),
        d=d,
        w=TABLE["w"] * scale * (1 + 0.04 * patient[8]),
        disc=disc,
        disc_angle=disc_angle,
        degeneration=np.clip(degeneration, 0, 1),
        hu=np.clip(mean_hu * (1 + 0.07 * level[5]), 15, 280),
        concavity_sup=np.maximum(1.3 + biconcavity + 0.3 * level[6], 0.4),
        concavity_inf=np.maximum(1.5 + biconcavity + 0.3 * level[7], 0.4),
        waist=rng.uniform(0.06, 0.11, n),
        roll=3 * patient[9] + 2 * level[8],
        rotation=3 * patient[10] + 2 * rng.standard_normal(n),
        wall=max(0.60 + 0.08 * t_score, 0.30),
        endplate=max(0.85 + 0.08 * t_score, 0.40),
        sacral_slope=36 + 6 * patient[11],
    )


@dataclass(frozen=True)
class Alignment:
    """Pose of every body, shape (18,): centre ``y``, ``z`` in mm and ``tilt`` in radians (anterior end up positive)."""

    y: np.ndarray
    z: np.ndarray
    tilt: np.ndarray


def align(spine: Spine, rims: np.ndarray) -> Alignment:
    """Stack the bodies from the sacrum upward.

    Parameters
    ----------
    rims : array, shape (18, 4)
        Height of the superior anterior, superior posterior, inferior anterior and inferior posterior rim above the
        centre of the body, mm, in the frame of the body. A fracture lowers rims, so that it tilts the spine above it
        forward: the local kyphosis is a consequence, not a parameter.
    """
    n = len(BODIES)
    y, z, tilt = np.zeros(n), np.zeros(n), np.zeros(n)
    superior = np.arctan((rims[:, 0] - rims[:, 1]) / spine.d)
    inferior = np.arctan((rims[:, 2] - rims[:, 3]) / spine.d)
    tilt[-1] = -np.radians(spine.sacral_slope) - superior[-1]
    middle = (rims[-1, 0] + rims[-1, 1]) / 2
    y[-1], z[-1] = middle * np.sin(tilt[-1]), -middle * np.cos(tilt[-1])
    for i in range(n - 2, -1, -1):
        below = tilt[i + 1] + superior[i + 1]  # direction of the endplate below the disc
        angle = np.radians(spine.disc_angle[i])
        up = below + angle / 2 + np.pi / 2
        top = (rims[i + 1, 0] + rims[i + 1, 1]) / 2
        y0 = y[i + 1] - top * np.sin(tilt[i + 1]) + spine.disc[i] * np.cos(up)
        z0 = z[i + 1] + top * np.cos(tilt[i + 1]) + spine.disc[i] * np.sin(up)
        tilt[i] = below + angle - inferior[i]
        bottom = (rims[i, 2] + rims[i, 3]) / 2
        y[i], z[i] = y0 + bottom * np.sin(tilt[i]), z0 - bottom * np.cos(tilt[i])
    return Alignment(y=y, z=z, tilt=tilt)
