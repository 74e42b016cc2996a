"""Fracture signs: who shows what, and how strongly, on a lateral radiograph.

Every class-dependent number is a row of a table here and passes through one function, :func:`scaled`, so that the
knob ``effect`` (s) governs all of them:  ``value_class(s) = mean + s * (value_class - mean)``.  At s = 0 the classes
are the same by construction; s = 1 is the published size of the effect. Amplitudes are shared by the classes and
shrink as ``0.6 + 0.4 s``.

Sources: height loss of acute and old fractures, Qasem 2014; grades, Genant 1993; bands, fracture lines and soft
tissue against oedema, Chang 2020; benign against malignant, Laredo 1995. Penetrances are consensus values.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

CLASSES = ("acute", "chronic", "pathologic")
SHAPES = ("wedge", "biconcave", "crush")

#                        acute chronic pathologic
PENETRANCE = {
    "band": (0.62, 0.14, 0.18),  # condensation under the collapsed endplate
    "line": (0.55, 0.04, 0.20),  # trabecular fracture line
    "step": (0.50, 0.08, 0.25),  # step or buckle of the anterior cortex
    "swelling": (0.55, 0.05, 0.55),  # paravertebral soft tissue
    "oedema": (0.85, 0.08, 0.50),  # water replaces marrow fat: about 1 % of the signal
    "jagged": (0.90, 0.25, 0.90),  # roughened endplate
    "sclerosis": (0.12, 0.60, 0.10),  # of both endplates
    "remodelled": (0.22, 0.55, 0.22),  # smooth contour, rim spurs
    "lysis": (0.03, 0.03, 0.70),  # no sign alone may tell its class from the rest at 0.85
    "posterior_wall": (0.12, 0.05, 0.60),  # convex
    "destruction": (0.04, 0.02, 0.60),  # patches of the shell
    "pedicle": (0.02, 0.02, 0.35),  # one pedicle's shell
}
SIGNS = tuple(PENETRANCE)
SHAPE_SHARE = {"wedge": (0.57, 0.57, 0.35), "biconcave": (0.29, 0.29, 0.20), "crush": (0.14, 0.14, 0.45)}
LOSS_MEAN = (0.22, 0.34, 0.30)  # of the height, before the inclusion rule
LOSS_SD, LOSS_MAX = 0.11, 0.72
COMPACTION_HU = (45.0, 0.0, 20.0)  # per unit of loss; mineral is conserved until it is resorbed; pathologic: our choice
INCLUSION_FRACTION, INCLUSION_MM = 0.20, 4.0  # paper 001, Datasets: "at least 20% or 4 mm"


def scaled(values, label: str, effect: float) -> float:
    """``mean + effect * (value of label - mean)`` over the three classes."""
    mean = sum(values) / len(values)
    return mean + effect * (values[CLASSES.index(label)] - mean)


def penetrance(sign: str, label: str, effect: float) -> float:
    """Probability of a sign, kept within 0.02-0.98."""
    return float(np.clip(scaled(PENETRANCE[sign], label, effect), 0.02, 0.98))


def shape_shares(label: str, effect: float) -> np.ndarray:
    """Probabilities of wedge, biconcave, crush; shape (3,)."""
    shares = np.clip([scaled(SHAPE_SHARE[shape], label, effect) for shape in SHAPES], 0.02, None)
    return shares / shares.sum()


@dataclass(frozen=True)
class Fracture:
    """One fractured body: exact ground truth, before projection and noise."""

    label: str
    shape: str
    loss: tuple  # anterior, mid, posterior, as fractions of the intact height
    superior_share: float  # part of the loss taken by the superior endplate
    compaction: float  # HU added to the trabecular bone
    flags: dict  # sign -> bool
    amplitude: dict  # see draw_fracture; drawn for every sign, present or not
    texture_seed: int

    @property
    def largest_loss(self) -> float:
        return max(self.loss)

    @property
    def genant(self) -> int:
        """Grade by the largest loss: 1 from 20 %, 2 from 25 %, 3 above 40 %; 0 below 20 % (included by 4 mm)."""
        loss = self.largest_loss
        return 0 if loss < 0.20 else 1 if loss < 0.25 else 2 if loss <= 0.40 else 3


def draw_fracture(rng: np.random.Generator, *, label: str, ha: float, hp: float, effect: float) -> Fracture:
    """Draw every sign of one fracture, then let the class decide which of the drawn numbers are used.

    Parameters
    ----------
    rng : numpy.random.Generator
        The stream of this vertebra's fracture. The number and order of its draws never depend on ``label``.
    ha, hp : float
        Intact anterior and posterior height, mm.

    Notes
    -----
    The largest loss is a normal variable *truncated* to what the study includes: at least 20 % or 4 mm. An inclusion
    rule selects, it does not move a vertebra to the threshold, hence no clipping, which would pile up cases there.
    """
    uniform = rng.random(3 + len(SIGNS))
    form = rng.random(4)
    sizes = rng.random(20)
    texture_seed = int(rng.integers(2**31))

    least = min(INCLUSION_FRACTION, INCLUSION_MM / min(ha, hp))
    mean = scaled(LOSS_MEAN, label, effect)
    low, high = ndtr((least - mean) / LOSS_SD), ndtr((LOSS_MAX - mean) / LOSS_SD)
    loss = float(np.clip(mean + LOSS_SD * ndtri(low + uniform[0] * (high - low)), least, LOSS_MAX))
    shape = SHAPES[int(np.searchsorted(np.cumsum(shape_shares(label, effect))[:2], uniform[1], side="right"))]
    if shape == "wedge":
        parts = (loss, loss * (0.55 + 0.25 * form[0]), loss * 0.25 * form[1])
    elif shape == "biconcave":
        parts = (loss * (0.20 + 0.30 * form[0]), loss, loss * (0.10 + 0.30 * form[1]))
    else:
        parts = (loss * (0.85 + 0.15 * form[0]), loss, loss * (0.70 + 0.30 * form[1]))

    strength = 0.6 + 0.4 * effect

    def between(k, low, high):
        return low + (high - low) * sizes[k]

    amplitude = {
        "band_thickness": between(0, 2.5, 6.0),  # mm
        "band_hu": between(1, 50, 190) * (0.5 + 1.5 * loss) * strength,
        "line_hu": -between(2, 60, 180) * strength,
        "line_depth": between(3, 0.12, 0.50),  # of the height, below the superior rim
        "line_slope": between(4, -0.35, 0.35),
        "step": between(5, 0.6, 2.6) * strength,  # mm
        "step_height": between(6, 0.15, 0.60),  # lower end of the step, in half heights above the middle
        "swelling": between(7, 2.0, 7.0) * strength,  # mm
        "oedema_hu": between(8, 10, 45) * strength,
        "jagged": between(9, 0.3, 1.1) * strength,  # mm
        "sclerosis": between(10, 0.5, 1.6) * strength,  # x 170 HU above, x 110 HU below
        "spur_superior": between(11, 1.5, 5.0) * strength,  # mm
        "spur_inferior": between(12, 1.5, 5.0) * strength,
        "lysis_size": between(13, 0.35, 0.55),  # diameter / depth
        "lysis_u": between(14, -0.25, 0.25),  # of the depth
        "lysis_v": between(15, -0.20, 0.20),  # of the height
        "posterior_wall": between(16, 1.0, 4.0) * strength,  # mm
        "fragment": 0.0,  # height of the bulge's edge; only a burst has one
        "destruction": between(17, 0.5, 0.9) * min(strength, 1.1),  # of the shell within the patch
        "destruction_angle": between(18, 0, 2 * np.pi),  # where on the contour
        "pedicle": 0.8 * min(strength, 1.1),  # part of the pedicle's shell that is gone
    }
    return Fracture(
        label=label,
        shape=shape,
        loss=parts,
        superior_share=0.55 + 0.45 * form[2],
        compaction=scaled(COMPACTION_HU, label, effect) * loss,
        flags={sign: bool(uniform[3 + k] < penetrance(sign, label, effect)) for k, sign in enumerate(SIGNS)},
        amplitude=amplitude,
        texture_seed=texture_seed,
    )


@dataclass(frozen=True)
class Wear:
    """Confounders of one vertebra that come with age, whatever the class."""

    spur_superior: float  # osteophyte, mm
    spur_inferior: float
    sclerosis: float  # Modic-like, in units of the fracture sign's amplitude
    roughness: float  # of the endplates, mm
    limbus: bool  # ossicle at the superior anterior corner
    node: float  # depth of a shallow notch of the inferior endplate, mm, 0 when absent
    node_u: float  # of the depth
    vacuum: bool  # gas in the disc below
    step: float  # hypertrophic lip that looks like a small step, mm
    texture_seed: int


def draw_wear(rng: np.random.Generator, *, age: float, degeneration: float, nuisance: float) -> Wear:
    """Draw the confounders of one vertebra; the label is unknown here. ``nuisance`` scales their rates."""
    u = rng.random(12)
    texture_seed = int(rng.integers(2**31))
    age_factor = age / 75
    return Wear(
        spur_superior=2.8 * age_factor * u[0] ** 2 * nuisance,
        spur_inferior=2.8 * age_factor * u[1] ** 2 * nuisance,
        sclerosis=(0.4 + 0.8 * u[2]) * (u[3] < 0.45 * degeneration * nuisance),
        roughness=0.08 + 0.22 * u[4] ** 2,
        limbus=bool(u[5] < 0.03 * nuisance),
        node=(1.0 + 2.2 * u[6]) * (u[7] < 0.12 * nuisance),
        node_u=-0.25 + 0.45 * u[8],
        vacuum=bool(degeneration > 0.75 and u[9] < 0.25 * nuisance),
        step=0.9 * u[10] * (u[11] < 0.10 * nuisance),
        texture_seed=texture_seed,
    )
