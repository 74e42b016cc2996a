"""Radiography systems: one fixed row per hospital, jittered per image. Nothing here ever sees a label.

The four rows are those of a new DR system, an older DR/CR, a vendor with a strong edge filter, and a low-dose system.
Which hospital owns which row is our choice: the paper names no equipment.
"""

from dataclasses import dataclass

import numpy as np

DETECTOR_PITCH = 0.143  # mm (DR systems: 0.139-0.148)
MAGNIFICATION = 1.3  # source-detector 1100 mm, object-detector about 270 mm
SOURCE_OBJECT = 830.0  # mm
WATER_PER_MM = 0.0205  # effective attenuation of water at 78 kVp after 300 mm (about 60 keV)
WATER_PER_KVP = -0.00012
BONE_FACTOR = 1.30  # attenuation of mineral over that of its HU at 120 kVp, at 78 kVp
BONE_PER_KVP = -0.010


@dataclass(frozen=True)
class Scanner:
    """One exposure and its processing."""

    site: str
    kvp: float
    spr: float  # scatter-to-primary ratio behind the grid (0.35-1.0: McVey 2003)
    n0: float  # photons per detector pixel = n0 / 100 behind the spine (automatic exposure control); our scale
    mtf: float  # mm, full width at half maximum of the blur, at the object
    unsharp: float  # weight of the 4 mm edge filter
    gamma: float
    drc: float  # dynamic-range compression: weight of the low-pass that is taken away
    low: float  # window, quantiles of the column
    high: float
    marker: str  # "none", "block", "letter"


SITES = {
    "Site 1": Scanner("Site 1", 78, 0.45, 60e3, 0.45, 0.60, 1.00, 0.95, 0.05, 0.995, "none"),
    "GZFPH": Scanner("GZFPH", 88, 0.75, 25e3, 0.80, 0.15, 1.25, 0.80, 0.05, 0.995, "block"),
    "WHTH": Scanner("WHTH", 72, 0.35, 90e3, 0.35, 1.00, 0.85, 0.97, 0.05, 0.995, "letter"),
    "HB672H": Scanner("HB672H", 95, 0.95, 16e3, 1.00, 0.30, 1.10, 0.72, 0.05, 0.995, "none"),
}


def expose(site: str, rng: np.random.Generator, nuisance: float = 1.0) -> Scanner:
    """The site's row with the variation from image to image; ``nuisance`` divides the photon count.

    Raises
    ------
    KeyError
        If the site has no row; the message names those that have.
    """
    if site not in SITES:
        raise KeyError(f"no scanner row for site {site!r}; rows exist for {', '.join(SITES)}")
    row, z, u = SITES[site], rng.standard_normal(8), rng.random(2)
    return Scanner(
        site=site,
        kvp=row.kvp + 2.0 * z[0],
        spr=row.spr * np.exp(0.12 * z[1]),
        n0=row.n0 * np.exp(0.20 * z[2]) / max(nuisance, 0.05),
        mtf=row.mtf * np.exp(0.08 * z[3]),
        unsharp=row.unsharp * np.exp(0.10 * z[4]),
        gamma=row.gamma * np.exp(0.04 * z[5]),
        drc=float(np.clip(row.drc + 0.015 * z[6], 0.5, 0.99)),
        low=0.02 + 0.06 * u[0],
        high=0.990 + 0.008 * u[1],
        marker=row.marker,
    )


def water_per_mm(kvp):
    """Effective attenuation of water, 1/mm."""
    return WATER_PER_MM + WATER_PER_KVP * (kvp - 78)


def bone_factor(kvp):
    """Factor from excess HU of bone to excess attenuation at this tube voltage."""
    return BONE_FACTOR + BONE_PER_KVP * (kvp - 78)
