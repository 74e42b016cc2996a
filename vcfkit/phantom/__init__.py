"""Virtual patients: a parametric spine, fracture signs of published size, and the radiographs of four hospitals.

``cohorts.draw`` makes the samples frame, ``render.vertebra_crops`` the pictures, ``describe`` the exact truth.
"""

from . import anatomy, cohorts, ct, film, render, scanner, signs
from .cohorts import draw
from .film import whole_radiographs
from .render import vertebra_crops, vertebra_windows
from .truth import describe

__all__ = [
    "anatomy",
    "cohorts",
    "ct",
    "describe",
    "draw",
    "film",
    "render",
    "scanner",
    "signs",
    "vertebra_crops",
    "vertebra_windows",
    "whole_radiographs",
]
