"""Opens the files of one row as its study will, and says what is wrong, what is to be minded, and how large it is.

Runs in a process of its own (`guard`), so that a file that kills or stalls a decoder costs one row and not the run.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from vcfkit import cohort
from vcfkit.cohort.schema import READERS

from .boxes import Box, find_box, slice_boxes
from .files import ImageError, kind_of
from .radiographs import burned_in, read_radiograph
from .volumes import body_box, mask_value, read_slice
from .windows import window_of

BOX = 64  # voxels of 1 mm to a side of the boxes of paper 05


@dataclass
class Found:
    """What one row's files hold: ``faults`` (arguments of `ImageError`), ``warnings``, the ``box`` as numbers where
    there is one, the vertebrae of a slice (rows of a table), ``shape`` and ``spacing`` of the picture, its ``digest``.
    """

    faults: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    box: str | None = None
    vertebrae: list | None = None
    shape: tuple = ()
    spacing: tuple | None = None
    digest: str = ""


def examine(stem: str, row: dict, skip: frozenset = frozenset()) -> Found:
    """Open what a row names; ``skip`` holds columns whose path is known to lead nowhere."""
    study, found = cohort.study_of(stem), Found()
    one = _Row(row)
    look = {"slice": _slice, "volume": _volume}.get(study.picture)
    if look is None:
        look = _window if "mask" not in study.blank else _radiograph
    try:
        look(study, one, found, skip)
    except ImageError as error:
        found.faults.append((error.field, error.required, error.found, error.next_step))
    if "image" not in skip and not any(fault[0] == "image" for fault in found.faults):
        found.digest = _digest(Path(one.image))
        if study.picture != "volume" and kind_of(Path(one.image)) == "DICOM" and burned_in(one.image):
            found.warnings.append("BurnedInAnnotation is YES: text in the picture may name the patient, and figures "
                                  "show pictures")  # fmt: skip
    return found


class _Row:
    """A row of the samples frame as a namespace; columns that it lacks are None."""

    def __init__(self, values):
        self.__dict__.update(values)

    def __getattr__(self, name):
        return None


def _text(value) -> str:
    return value if isinstance(value, str) else ""


def _radiograph(study, row, found, skip):
    shape = None
    if "image" not in skip:
        try:
            radiograph = read_radiograph(row.image)
        except ImageError as error:
            said = f"{Path(row.image).name}: {error.found}"
            found.faults.append((error.field, error.required, said, error.next_step))
        else:
            shape = found.shape = radiograph.pixels.shape
            found.spacing = radiograph.spacing
    if study.box != "not read" and _text(row.box) and "box" not in skip:
        found.box = str(_box(row, shape))


def _box(row, shape) -> Box:
    return find_box(row.box, row.label, row.level, shape, image=row.image)


def _window(study, row, found, skip):
    if skip:
        return
    window = window_of(row)
    found.shape, found.spacing = window.pixels.shape, window.spacing
    for column in _second_masks(row):
        window.body(getattr(row, column), column)
    if _text(row.box):
        found.box = str(_box(row, window.pixels.shape))


def _volume(study, row, found, skip):
    if skip:
        return
    files = {name: getattr(row, name) for name in ("mask", *_second_masks(row))}
    found.shape = body_box(row.image, files, side=BOX, value=mask_value(row))[0].shape


def _slice(study, row, found, skip):
    if skip:
        return
    sagittal = read_slice(row.image)
    found.shape, found.spacing = sagittal.hu.shape, sagittal.spacing
    if _text(row.box):
        found.vertebrae = slice_boxes(row.box, sagittal, image=row.image).to_dict("records")


def _second_masks(row):
    return [name for name in (f"mask_{reader}" for reader in READERS) if _text(getattr(row, name))]


def _digest(path):
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.is_file())
        return hashlib.sha256("".join(map(_digest, inside)).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
