"""One way to read a sample, whether a phantom reference or a file of a hospital's own cohort.

    cohort folder → `open_own`, `with_own` → `read_films`, `read_crops`, `read_slices`, `read_windows`, `read_volumes`

DICOM, PNG, TIFF, NIfTI and NRRD become grey values, HU and masks; LabelImg XML and COCO json become boxes.
``python -m vcfkit.images convert SET IN OUT`` makes a cohort folder of a public data set.
"""

import importlib

from .boxes import VCFNET_LEVELS, Box, read_coco, read_labelimg
from .files import ImageError
from .own import inspect, open_own, with_own
from .radiographs import RADIOGRAPHS, Radiograph, read_radiograph
from .volumes import read_mask, read_slice, read_volume

_LAZY = {
    "samples": (
        *("Slices", "Volumes", "Windows", "crop_to_bodies", "delineated_twice"),
        *("read_crops", "read_films", "read_slices", "read_volumes", "read_windows"),
    ),
    "convert": ("convert_vcfnet",),
    "verse": ("convert_verse",),
    "vindr": ("convert_vindr",),
}


def __getattr__(name):
    """What needs torch or scipy is loaded when it is asked for: opening a cohort does without."""
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "RADIOGRAPHS",
    "VCFNET_LEVELS",
    "Box",
    "ImageError",
    "Radiograph",
    "Slices",
    "Volumes",
    "Windows",
    "convert_vcfnet",
    "convert_verse",
    "convert_vindr",
    "crop_to_bodies",
    "delineated_twice",
    "inspect",
    "open_own",
    "read_coco",
    "read_crops",
    "read_films",
    "read_labelimg",
    "read_mask",
    "read_radiograph",
    "read_slice",
    "read_slices",
    "read_volume",
    "read_volumes",
    "read_windows",
    "with_own",
]
