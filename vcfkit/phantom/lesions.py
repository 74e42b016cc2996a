"""Schmorl's nodes of virtual patients on CT slices (paper 03): how deep they are there, and which pixels are theirs."""

import dataclasses
import math

import numpy as np
import pandas as pd
import torch

from . import ct
from .anatomy import BODIES
from .cohorts import resolve
from .volume import scene_of

LEAST_HU = 100.0  # a pixel that a node moves by more belongs to it; our choice


def node_depths(vertebrae: pd.DataFrame) -> np.ndarray:
    """Depth of each vertebra's Schmorl's node on its slice, in mm; NaN where it has none.

    Parameters
    ----------
    vertebrae : DataFrame
        ``image`` (reference of the slice) and ``level``; rows without a reference (own images) are NaN.
    """
    depths = []
    for image, level in zip(vertebrae["image"], vertebrae["level"], strict=True):
        if not isinstance(image, str) or not image.startswith("phantom:"):
            depths.append(np.nan)
            continue
        patient, target, nuisance = resolve(image)
        node = scene_of(patient, nuisance).diseases[BODIES.index(level)].node
        away = (float(target.removeprefix("slice-")) - node.x) / node.radius_x
        # The endplate is pressed in by depth · exp(−0.7 ρ⁴) (`volume`); the middle of the slice's section.
        depths.append(node.depth * math.exp(-0.7 * away**4) if node.depth > 0 else np.nan)
    return np.array(depths, dtype=np.float64)


def node_masks(vertebrae: pd.DataFrame, *, size: int) -> torch.Tensor:
    """Pixels of each slice that a vertebra's node changes: against the same virtual patient without it.

    Every random number of a virtual patient stays where it is when a node goes, and no body moves, so that the two
    pictures differ in the node alone. (A cleft or cement comes with a collapse, which moves the spine above.)

    Parameters
    ----------
    vertebrae : DataFrame
        ``image`` and ``level``; virtual ones only.
    size : int
        Side of the slices in pixels.

    Returns
    -------
    torch.Tensor
        bool (n, size, size).
    """
    masks = torch.zeros((len(vertebrae), size, size), dtype=torch.bool)
    for k, (image, level) in enumerate(zip(vertebrae["image"], vertebrae["level"], strict=True)):
        patient, target, nuisance = resolve(image)
        diseases = dict(patient.diseases)
        diseases[level] = tuple(code for code in diseases.get(level, ()) if code != "SN")
        healed = dataclasses.replace(patient, diseases=diseases)
        pair = ct.ct_slices([(patient, target, nuisance), (healed, target, nuisance)], size=size).double()
        masks[k] = (pair[0] - pair[1]).abs() > LEAST_HU
    return masks
