"""Virtual patients: a parametric spine, fracture signs of published size, and the radiographs of four hospitals.

``cohorts.draw`` makes the samples frame, ``render.vertebra_crops`` the pictures, ``describe`` the exact truth.
"""

from . import anatomy, cohorts, render, scanner, signs
from .cohorts import draw
from .render import vertebra_crops
from .truth import describe

__all__ = ["anatomy", "cohorts", "describe", "draw", "render", "scanner", "signs", "vertebra_crops"]
