"""Diseases of paper 03 that are more than a fracture, as primitives with exact extent: node, cleft, cement.

Every primitive is drawn for every vertebra, whatever its labels; then one number per disease decides whether it is
shown: ``p = base + effect * (has - base)``. At effect 1 exactly the labelled vertebrae show it; at effect 0 all do so
with the same probability, so that images cannot tell the labels apart. Small nodes look like the endplate
irregularities that occur in every class; that is meant.

Sizes: Kümmell's cleft after Bhalla 1998 (gas in the anterior upper body); cement 2-8 ml; the others are consensus.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

# compression fracture, old fracture, Schmorl's node, Kümmell's disease, previous surgery
DISEASES = ("OVCF", "OF", "SN", "KD", "PS")
BASE_RATE = {"SN": 0.10, "KD": 0.05, "PS": 0.08}  # share that shows the primitive at effect 0; our choice
CLEFT_LOSS = 0.10  # further loss of height of a body with a cleft
GAS_HU, FLUID_HU, FLUID_SHARE = -800.0, 15.0, 0.25
LEAK_SHARE = 0.10  # of cement into the disc above
IRREGULAR_SHARE = 0.16  # of endplates, in every class; our choice
CEMENT_SHARE = 0.22  # of the body's volume at most; our choice
VISIBLE = 0.15  # of its largest section: from there on a primitive counts as visible on a slice


@dataclass(frozen=True)
class Notch:
    """Local displacement of an endplate into the body; mm in the frame of the body."""

    superior: bool
    u: float
    x: float
    depth: float  # 0 when absent
    radius_u: float
    radius_x: float
    rim: float  # HU added beneath it


@dataclass(frozen=True)
class Cleft:
    """Flat ellipsoid parallel to the superior endplate."""

    u: float
    x: float
    below: float  # of its middle beneath the endplate's inner surface, mm
    radius_u: float
    radius_v: float
    radius_x: float
    hu: float
    shown: bool


@dataclass(frozen=True)
class Cement:
    """Merged ellipsoids, rows ``u, v, x, radius u, radius v, radius x``; the last one is the leak (radius 0: none)."""

    ellipsoids: np.ndarray  # (4, 6), mm
    hu: float
    millilitres: float
    phase: np.ndarray  # (6,) of the lobes
    shown: bool


@dataclass(frozen=True)
class Disease:
    """Primitives of one vertebra, shown or not, and the labels it was drawn for."""

    labels: frozenset
    node: Notch
    irregularity: tuple  # Notch, Notch: confounders of the superior and the inferior endplate
    cleft: Cleft
    cement: Cement

    def visible(self, code: str, x: float) -> bool:
        """Whether the primitive of ``SN``, ``KD`` or ``PS`` has more than 15 % of its largest section at ``x``."""
        if code == "SN":
            return _section(x - self.node.x, self.node.radius_x)
        if code == "KD":
            return _section(x - self.cleft.x, self.cleft.radius_x)
        return any(_section(x - row[2], row[5]) for row in self.cement.ellipsoids[:3] if row[5] > 0)


def _section(distance: float, radius: float) -> bool:
    """An ellipsoid's section relative to its largest one is ``1 - (distance / radius)^2``."""
    return 1 - (distance / radius) ** 2 > VISIBLE


def _spread_cement(ellipsoids, pieces, middle, radius):
    """Move the pieces along x so that together they are visible on the slices of one ellipsoid, without a gap."""
    half = radius * math.sqrt(1 - VISIBLE)  # of the stretch that shows it
    for j in range(pieces):
        reach = float(np.clip(ellipsoids[j, 5] * half / radius, 0.6 * half, half))  # two pieces overlap
        inner = half - reach
        ellipsoids[j, 2] = middle + (-inner, inner, np.clip(ellipsoids[j, 2], -inner, inner))[j]
        ellipsoids[j, 5] = reach * radius / half
    ellipsoids[3, 2] = ellipsoids[0, 2]


def presence(code: str, labels, effect: float) -> float:
    """Probability that a vertebra with these labels shows the primitive of ``code``."""
    return float(np.clip(BASE_RATE[code] + effect * ((code in labels) - BASE_RATE[code]), 0, 1))


def extra_loss(labels, effect: float) -> float:
    """Further loss of a body with a cleft, as a fraction of its height; the same for all at effect 0."""
    return CLEFT_LOSS * presence("KD", labels, effect)


def draw_disease(rng, labels, *, depth, width, height, disc, effect, nuisance, lateral=None) -> Disease:
    """Draw all primitives of one vertebra; number and order of the draws never depend on ``labels``.

    Parameters
    ----------
    rng : numpy.random.Generator
        The stream of this vertebra's diseases.
    labels : collection of str
        Subset of :data:`DISEASES`.
    depth, width, height, disc : float
        Of the body as it is (collapsed or not) and of the disc above, mm.
    effect, nuisance : float
        See :mod:`vcfkit.phantom.signs`; nuisance scales the rate of irregularities.
    lateral : dict, optional
        Code -> (middle, radius) along x, mm, where the cohort says which slices show a primitive; otherwise drawn.
        Which of the two is a label's doing, so at an effect below 1 only a part of the vertebrae follow the cohort.
    """
    show, n, c, s = rng.random(3), rng.random(8), rng.random(8), rng.random(24)
    odd, place = rng.random((2, 8)), rng.random()
    strength = 0.6 + 0.4 * effect
    shown = {code: bool(show[j] < presence(code, labels, effect)) for j, code in enumerate(("SN", "KD", "PS"))}

    span = 4 + 5 * n[0]
    node = Notch(
        superior=bool(n[1] < 0.45),
        u=(-0.28 + 0.36 * n[2]) * depth,
        x=-9 + 18 * n[3],
        depth=min((2.5 + 4.0 * n[4]) * strength, 0.4 * height) * shown["SN"],
        radius_u=span / 2,
        radius_x=span / 2 * (0.8 + 0.6 * n[5]),
        rim=260 * (0.7 + 0.6 * n[6]),
    )
    irregularity = tuple(
        Notch(
            superior=j == 0,
            u=(-0.35 + 0.6 * o[0]) * depth,
            x=-14 + 28 * o[1],
            depth=min(0.8 + 2.2 * o[2], 0.3 * height) * (o[3] < IRREGULAR_SHARE * nuisance),
            radius_u=1.5 + 2.0 * o[4],
            radius_x=1.5 + 3.5 * o[5],
            rim=160 * o[6],
        )
        for j, o in enumerate(odd)
    )
    cleft = Cleft(
        u=0.12 * c[0] * depth,
        x=-4 + 8 * c[1],
        below=3.0 + 1.5 * c[2],
        radius_u=0.30 * depth * (0.85 + 0.3 * c[3]),
        radius_v=min(1.6 + 0.3 * c[4], 0.2 * height),
        radius_x=0.30 * width * (0.8 + 0.3 * c[5]),
        hu=FLUID_HU if c[6] < FLUID_SHARE else GAS_HU,
        shown=shown["KD"],
    )
    volume = min(2 + 6 * s[0], CEMENT_SHARE * depth * width * height / 1000)
    pieces = 2 + int(s[1] < 0.5)
    ellipsoids = np.zeros((4, 6))
    for j in range(3):
        a = s[3 + 5 * j : 8 + 5 * j]
        radius = (3 * 1000 * volume * 1.2 / pieces / (4 * math.pi)) ** (1 / 3) * (0.9 + 0.2 * a[4])
        flat = min(0.75, 0.42 * height / radius)
        side = (-1, 1, 0)[j]
        ellipsoids[j] = (
            (-0.06 + 0.22 * a[0]) * depth,
            (-0.12 + 0.24 * a[1]) * height,
            side * (4 + 5 * a[2]) + 4 * (a[3] - 0.5),
            radius / math.sqrt(flat) * 1.1,
            radius * flat,
            radius / math.sqrt(flat) / 1.1,
        )
        ellipsoids[j, 3:] *= j < pieces
    leak = s[18] < LEAK_SHARE
    ellipsoids[3] = (ellipsoids[0, 0], height / 2 + disc / 2, ellipsoids[0, 2], 5.0, 0.45 * disc, 5.0)
    ellipsoids[3, 3:] *= leak
    lateral = lateral if lateral and place < effect else {}
    if "SN" in lateral:
        node = dataclasses.replace(node, x=lateral["SN"][0], radius_x=lateral["SN"][1])
    if "KD" in lateral:
        cleft = dataclasses.replace(cleft, x=lateral["KD"][0], radius_x=lateral["KD"][1])
    if "PS" in lateral:
        _spread_cement(ellipsoids, pieces, *lateral["PS"])
    cement = Cement(ellipsoids, 2000 + 1000 * s[19], volume, rng.uniform(0, 2 * np.pi, 6), shown["PS"])
    return Disease(frozenset(labels), node, irregularity, cleft, cement)
