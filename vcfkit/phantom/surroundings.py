"""What lies over and around the spine on a lateral film, drawn per virtual patient without knowing a label.

Everything is anchored to the patient's *intact* spine, so that a fracture cannot move the diaphragm or the bowel.
Coordinates are those of :mod:`vcfkit.phantom.anatomy` (y anterior, z cranial, mm).
"""

from dataclasses import dataclass

import numpy as np

from .anatomy import BODIES, Alignment, Spine


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
