"""What lies over and around the spine on a lateral film, drawn per virtual patient without knowing a label.

Everything is anchored to the patient's *intact* spine, so that a fracture cannot move the diaphragm or the bowel.
Coordinates are those of :mod:`vcfkit.phantom.anatomy` (y anterior, z cranial, mm).
"""

from dataclasses import dataclass

import numpy as np

from .anatomy import BODIES, TABLE, Alignment, Spine


@dataclass(frozen=True)
class Surroundings:
    """Soft tissue, lung, gas, ribs, iliac crests, calcified aorta and film marker; one row per structure."""

    trunk: float  # lateral path of soft tissue, mm
    middle: np.ndarray  # (2,) y, z of the thickest part
    waves: np.ndarray  # (12, 4): ky, kz (1/mm), phase, amplitude (mm of water): fat, muscle, bowel
    domes: np.ndarray  # (2, 5): y, z of the top, curvature (1/mm), softness (mm), path of lung (mm)
    gas: np.ndarray  # (6, 5): y, z, radius y, radius z, half path (mm)
    ribs: np.ndarray  # (6, 6): y, z of the joint, slope, curvature, radius (mm), density factor
    crests: np.ndarray  # (2, 4): y, z of the top, radius of curvature, path of bone (mm)
    aorta: np.ndarray  # (3, 5): y, z, half length, thickness, path of calcium (mm)
    marker: np.ndarray  # (3,): y, z, size (mm); size 0 when it lies elsewhere on the film


@dataclass(frozen=True)
class FilmSurroundings:
    """What only a whole film shows: skin, the upper ribs, heart, more gas, the sacrum, the field and the marker."""

    trunk: float  # lateral path of soft tissue at the thickest part, mm
    tissue: np.ndarray  # TISSUE_SHAPE, mm of water about the middle of the film: fat, muscle, bowel
    z: np.ndarray  # (N,) heights, rising, at which the profiles are given, mm
    back: np.ndarray  # (N,) y of the skin of the back
    front: np.ndarray  # (N,) y of the skin of the belly
    spine: np.ndarray  # (N,) y of the centres of the intact bodies
    lung_gain: float  # how much more lung lies 80 mm above a dome, as a share of its path there
    heart: np.ndarray  # (5,): y, z, radius y, radius z (mm), share of the lung it fills in its middle
    gas: np.ndarray  # (9, 5): as in Surroundings; the last is the stomach
    ribs: np.ndarray  # (8, 7): as in Surroundings, then the reach (mm)
    frame: np.ndarray  # (3,): y of the middle, z of the lower and upper edge of the film, mm
    field: np.ndarray  # (5,): y of the middle, half width (mm), inclination, cut at the upper and lower edge (mm)
    marker: np.ndarray  # (3,): side (-1 posterior, 1 anterior), height as a share of the film, size (mm)


FILM_TOP, FILM_BOTTOM = "T8", "L5"  # what every film shows
TISSUE_SHAPE, TISSUE_STEP = (96, 96), 4.0  # mm
TISSUE_SLOPE = 1.4  # amplitude falls with frequency to this power, as in projections of soft tissue (power: 2.8)
TISSUE_SD = 3.0  # mm of water


def draw_film_surroundings(rng, spine: Spine, intact: Alignment, around: Surroundings, *, nuisance: float):
    """Draw them in a fixed order, from the intact spine alone, so that no fracture moves the film or its frame."""
    at = {level: k for k, level in enumerate(BODIES)}
    lumbar = at["L3"]
    size = spine.d[lumbar] / TABLE["d"][lumbar]

    # Skin: the back lies behind the spinous processes and follows the lordosis in part.
    z = np.arange(-120.0, 560.0, 8.0)
    order = np.argsort(intact.z)
    curve = np.interp(z, intact.z[order], intact.y[order])
    fat = 14 + 0.08 * (around.trunk - 300) + 7 * rng.random()
    follows, lean = rng.uniform(0.25, 0.55), 0.05 * rng.standard_normal()
    back = intact.y[lumbar] - 74 * size - max(fat, 6.0) + follows * (curve - intact.y[lumbar])
    depth = 0.82 * around.trunk + 14 * rng.standard_normal() + 10
    belly = rng.uniform(-6, 22) * np.exp(-0.5 * ((z - intact.z[at["L4"]]) / 60) ** 2)
    front = back[np.argmin(abs(z - intact.z[lumbar]))] + depth + lean * (z - intact.z[lumbar]) + belly
    front = front + 0.5 * np.maximum(curve - intact.y[lumbar], 0)

    lung_gain = rng.uniform(0.0, 0.5)
    dome = around.domes[:, 1].mean()
    heart = np.array(
        [
            intact.y[at["T9"]] + rng.uniform(90, 120),
            dome + rng.uniform(15, 40),
            rng.uniform(35, 55),
            rng.uniform(35, 55),
            rng.uniform(0.5, 0.8),
        ]
    )
    belly_gas = np.column_stack(
        [
            intact.y[lumbar] + spine.d[lumbar] / 2 + rng.uniform(25, 105, 8),
            rng.uniform(intact.z[at["L5"]], intact.z[at["L1"]] + 10, 8),
            rng.uniform(7, 20, 8),
            rng.uniform(6, 15, 8),
            rng.uniform(4, 16, 8) * (rng.random(8) < 0.35 * nuisance),
        ]
    )
    stomach = (
        intact.y[at["T12"]] + rng.uniform(45, 90),
        dome - rng.uniform(12, 26),
        rng.uniform(16, 32),
        rng.uniform(9, 16),
        rng.uniform(8, 25) * (rng.random() < 0.5 * nuisance),
    )

    pair = np.repeat([at["T6"], at["T7"], at["T8"], at["T9"]], 2)
    ribs = np.column_stack(
        [
            intact.y[pair] - spine.d[pair] / 2 - rng.uniform(0, 10, 8),
            intact.z[pair] - rng.uniform(6, 18, 8),
            -rng.uniform(0.45, 0.95, 8),
            rng.uniform(-0.003, 0.003, 8),
            rng.uniform(3.0, 4.8, 8),
            rng.uniform(0.45, 0.95, 8) * min(nuisance, 1.5),
            rng.uniform(90, 160, 8),
        ]
    )

    shown = slice(at[FILM_TOP], at[FILM_BOTTOM] + 1)
    upper, lower = at[FILM_TOP], at[FILM_BOTTOM]
    top = _highest(spine, intact, upper) + rng.uniform(3, 18)
    bottom = -_highest(spine, Alignment(intact.y, -intact.z, -intact.tilt), lower) - rng.uniform(18, 36)
    middle = (intact.y[shown].min() + intact.y[shown].max()) / 2 + rng.uniform(-2, 16)
    frame = np.array([middle, bottom, top])
    cut = np.maximum(rng.uniform(-14, 6, 2), 0)
    field = np.array([middle + 4 * rng.standard_normal(), rng.uniform(96, 128), 0.012 * rng.standard_normal(), *cut])
    marker = np.array([rng.choice([-1, 1]), rng.uniform(0.05, 0.95), rng.uniform(9, 14)])
    return FilmSurroundings(
        trunk=around.trunk,
        tissue=TISSUE_SD * nuisance * _cloud(rng),
        z=z,
        back=back,
        front=front,
        spine=curve,
        lung_gain=lung_gain,
        heart=heart,
        gas=np.vstack([belly_gas, stomach]),
        ribs=ribs,
        frame=frame,
        field=field,
        marker=marker,
    )


def _cloud(rng):
    """Random field of SD 1 whose amplitude falls with the frequency; TISSUE_SHAPE."""
    frequency = np.hypot(np.fft.fftfreq(TISSUE_SHAPE[0])[:, None], np.fft.rfftfreq(TISSUE_SHAPE[1])[None, :])
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(TISSUE_SHAPE)) / frequency**TISSUE_SLOPE, TISSUE_SHAPE)
    return field / field.std()


def _highest(spine, pose, k):
    """Height of the higher superior corner of body ``k``, mm."""
    u, v = spine.d[k] / 2, max(spine.ha[k], spine.hp[k]) / 2
    return pose.z[k] + v * np.cos(pose.tilt[k]) + abs(u * np.sin(pose.tilt[k]))


def draw_surroundings(rng, spine: Spine, intact: Alignment, *, nuisance: float) -> Surroundings:
    """Draw all structures in a fixed order; ``nuisance`` scales how often and how strongly they overlap."""
    at = {level: k for k, level in enumerate(BODIES)}
    wall = {level: intact.y[k] + spine.d[k] / 2 for level, k in at.items()}  # anterior wall, roughly

    trunk = float(np.clip(300 + 35 * rng.standard_normal(), 225, 400))
    middle = np.array([intact.y[at["L3"]] + 25, intact.z[at["L3"]]])

    length = np.concatenate([rng.uniform(40, 110, 6), rng.uniform(12, 35, 6)])
    angle, phase = rng.uniform(0, np.pi, 12), rng.uniform(0, 2 * np.pi, 12)
    size = np.concatenate([rng.uniform(1.0, 4.0, 6), rng.uniform(0.2, 1.1, 6)]) * nuisance
    waves = np.column_stack([2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length, phase, size])

    top = intact.z[at["L1"]] + 8 + 16 * rng.standard_normal() + np.array([5.0, -5.0]) * rng.uniform(0.3, 1.6)
    domes = np.column_stack(
        [
            intact.y[at["T12"]] + rng.uniform(25, 60, 2),
            top + 20,
            rng.uniform(0.006, 0.014, 2),
            rng.uniform(1.5, 7.0, 2),
            0.07 * trunk * rng.uniform(0.4, 1.2, 2),
        ]
    )

    gas = np.column_stack(
        [
            wall["L3"] + rng.normal(8, 24, 6),
            rng.uniform(intact.z[at["L4"]] - 20, intact.z[at["L1"]] - 5, 6),
            rng.uniform(5, 15, 6),
            rng.uniform(4, 11, 6),
            rng.uniform(3, 11, 6) * (rng.random(6) < 0.45 * nuisance),
        ]
    )

    pair = np.repeat([at["T10"], at["T11"], at["T12"]], 2)
    ribs = np.column_stack(
        [
            intact.y[pair] - spine.d[pair] / 2 - rng.uniform(0, 8, 6),
            intact.z[pair] + rng.uniform(2, 12, 6),
            -rng.uniform(0.35, 1.3, 6),
            rng.uniform(-0.007, 0.010, 6),
            rng.uniform(3.2, 5.0, 6),
            rng.uniform(0.15, 0.55, 6) * min(nuisance, 1.5),
        ]
    )

    crests = np.column_stack(
        [
            intact.y[at["L5"]] + rng.uniform(-25, 20, 2),
            intact.z[at["L4"]] + rng.normal(-8, 7, 2),
            rng.uniform(35, 60, 2),
            rng.uniform(3, 7, 2) * min(nuisance, 1.5),
        ]
    )

    present = rng.random(3) < np.clip((spine.age - 50) / 60, 0, 0.6) * nuisance
    aorta = np.column_stack(
        [
            wall["L3"] + rng.uniform(2, 26, 3),
            rng.uniform(intact.z[at["L5"]], intact.z[at["T12"]], 3),
            rng.uniform(5, 18, 3),
            rng.uniform(0.8, 1.6, 3),
            rng.uniform(0.5, 2.0, 3) * present,
        ]
    )

    marker = np.array(
        [
            rng.uniform(-60, 90),
            intact.z[at["L2"]] + rng.uniform(-120, 110),
            rng.uniform(6, 10) * (rng.random() < 0.5 * nuisance),
        ]
    )
    return Surroundings(trunk, middle, waves, domes, gas, ribs, crests, aorta, marker)
