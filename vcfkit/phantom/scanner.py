"""Radiography systems: one fixed row per hospital, jittered per image. Nothing here ever sees a label.

The rows of paper 02 are those of a new DR system, an older DR/CR, a vendor with a strong edge filter, and a low-dose
system; those of papers 01 and 04 lie around them. Which hospital owns which row is our choice: the papers name no
equipment. Paper 01 counts six devices in five hospitals: the first hospital has two.
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
    # paper 01: three training hospitals, two unseen ones
    "Hospital 1": Scanner("Hospital 1", 78, 0.45, 60e3, 0.45, 0.60, 1.00, 0.93, 0.05, 0.995, "none"),
    "Hospital 1, second device": Scanner("Hospital 1", 84, 0.60, 40e3, 0.55, 0.40, 1.10, 0.88, 0.05, 0.995, "letter"),
    "Hospital 2": Scanner("Hospital 2", 88, 0.75, 25e3, 0.80, 0.15, 1.25, 0.80, 0.05, 0.995, "block"),
    "Hospital 3": Scanner("Hospital 3", 74, 0.40, 80e3, 0.40, 0.75, 0.90, 0.95, 0.05, 0.995, "letter"),
    "YHDH": Scanner("YHDH", 82, 0.65, 30e3, 0.65, 0.30, 0.95, 0.85, 0.05, 0.995, "letter"),
    "BMUH": Scanner("BMUH", 95, 0.95, 16e3, 1.00, 0.30, 1.10, 0.72, 0.05, 0.995, "none"),
    # paper 04: two centres of development and test, one prospective
    "Center I": Scanner("Center I", 78, 0.45, 60e3, 0.45, 0.60, 1.00, 0.93, 0.05, 0.995, "letter"),
    "Center II": Scanner("Center II", 88, 0.75, 25e3, 0.80, 0.20, 1.20, 0.80, 0.05, 0.995, "block"),
    "Center III": Scanner("Center III", 74, 0.40, 70e3, 0.40, 0.80, 0.90, 0.95, 0.05, 0.995, "none"),
}
DEVICES = {"Hospital 1": ("Hospital 1", "Hospital 1, second device")}  # rows of hospitals with several; one per film


def expose(site: str, rng: np.random.Generator, nuisance: float = 1.0, *, device: str = "") -> Scanner:
    """The site's row with the variation from image to image; ``nuisance`` divides the photon count.

    ``device`` names the row of a hospital that has several; without it, one is drawn.

    Raises
    ------
    KeyError
        If the site has no row; the message names those that have.
    """
    if site not in SITES:
        raise KeyError(f"no scanner row for site {site!r}; rows exist for {', '.join(SITES)}")
    z, u = rng.standard_normal(8), rng.random(3)
    devices = DEVICES.get(site, (site,))
    row = SITES[device or devices[int(u[2] * len(devices))]]
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


@dataclass(frozen=True)
class CtScanner:
    """One CT examination and its reconstruction."""

    site: str
    kernel: str  # "bone": overshoot and band-passed noise; "soft": smooth noise
    overshoot: float  # weight of the edge that the bone kernel adds
    psf: float  # sigma of the point spread, mm
    pixel: float  # of a sagittal reformat, mm
    noise: float  # SD, HU
    thickness: float  # of a sagittal slice, mm
    rows: int  # of a sagittal reformat, pixels
    columns: int


# Luhe: a bone kernel; Xuanwu: a soft one (paper 03 names no equipment in its text, so the choice is ours). Nanjing
# (paper 05): Philips iCT, 1 mm slices, bone reconstruction. Matrix of 03: 743 +- 111 by 619 +- 122 pixels (VDModule).
CT_SITES = {
    "Luhe": CtScanner("Luhe", "bone", 0.70, 0.50, 0.50, 28, 2.0, 743, 619),
    "Xuanwu": CtScanner("Xuanwu", "soft", 0.00, 0.65, 0.55, 22, 3.0, 743, 619),
    "Nanjing": CtScanner("Nanjing", "bone", 0.60, 0.55, 1.00, 32, 1.0, 512, 512),
}


def reconstruct(site: str, rng: np.random.Generator, nuisance: float = 1.0) -> CtScanner:
    """The site's row with the variation from one virtual patient to the next; ``nuisance`` scales the noise.

    Raises
    ------
    KeyError
        If the site has no row; the message names those that have.
    """
    if site not in CT_SITES:
        raise KeyError(f"no CT scanner row for site {site!r}; rows exist for {', '.join(CT_SITES)}")
    row, z = CT_SITES[site], rng.standard_normal(7)
    return CtScanner(
        site=site,
        kernel=row.kernel,
        overshoot=float(np.clip(row.overshoot * (1 + 0.10 * z[0]), 0, 0.8)),
        psf=float(np.clip(row.psf * (1 + 0.06 * z[1]), 0.4, 0.7)),
        pixel=float(np.clip(row.pixel * (1 + 0.05 * z[2]), 0.45, 1.0)),
        noise=float(np.clip(row.noise * np.exp(0.15 * z[3]), 10, 60) * nuisance),
        thickness=float(np.clip(row.thickness * (1 + 0.10 * z[4]), 1.0, 3.0)),
        rows=round(float(np.clip(row.rows + 111 * z[5], 512, 1024))),
        columns=round(float(np.clip(row.columns + 122 * z[6], 400, 1024))),
    )
