"""Boxes: four numbers, LabelImg XML, COCO json."""

import functools
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pandas as pd

from vcfkit import cohort
from vcfkit.cohort.schema import DISEASES

from .files import ImageError

# Names of paper 02's code: files <index>-<Class>-<level code>-<age>-<sex>.png, objects <Class>-L<n>. The
# level code is not documented; 1 to 5 and 11, 12 are all that occurs, read here as L1 to L5 and T11, T12.
VCFNET_LEVELS = {**{str(i): f"L{i}" for i in range(1, 6)}, "11": "T11", "12": "T12"}
_MAX_ANNOTATION = 1 << 26
_VCFNET_OBJECT = re.compile(r"([A-Za-z]+)-([TL])(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Box:
    """Pixels ``[ymin:ymax, xmin:xmax]``: counted from 0, the maxima exclusive."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    truncated: bool = False

    def __str__(self) -> str:
        return f"{self.xmin},{self.ymin},{self.xmax},{self.ymax}"


def read_labelimg(path: str | Path) -> list[Box]:
    """The boxes of a LabelImg (Pascal VOC) XML file, in the file's order.

    LabelImg writes the corners of the drawn rectangle, counted from the image's corner (0 becomes 1), so that
    its numbers are used as they stand: pixels ``[ymin:ymax, xmin:xmax]``, as paper 02's code crops. In
    annotations of the VOC challenge itself, which count pixels from 1 and include the last, this box lacks
    the first row and column. Fractions are rounded to whole pixels.

    Raises
    ------
    ImageError
        When the file is no such XML, or a box has no four finite numbers.
    """
    return _read_xml(path)[0]


def read_coco(path: str | Path, image: str | Path) -> list[Box]:
    """The boxes of one image in a COCO json (``bbox`` is x, y, width, height from the image's corner; the category is
    the name).

    The image is the one whose ``file_name`` ends in the same name as ``image``, whatever the folders and the suffix,
    or the only one. Fractions are rounded to whole pixels.

    Raises
    ------
    ImageError
        When the file is no COCO json, does not list the image, or a box has no four finite numbers.
    """
    return _read_coco(path, image)[0]


def read_annotation(path: str | Path, image: str | Path | None) -> tuple[list[Box], tuple[int, int] | None]:
    """The boxes of a LabelImg XML or COCO json, and (width, height) of the image they were drawn on, if stated."""
    try:
        with open(path, "rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        size = os.path.getsize(path)
    except OSError as error:
        found = f"one that cannot be read: {error.strerror}"
        raise ImageError("box", "a LabelImg XML or COCO json", found, "correct the path") from error
    if size > _MAX_ANNOTATION:
        found = f"one of {size / 2**20:.0f} MiB"
        raise ImageError("box", "annotations of up to 64 MiB", found, "write one file per image")
    return _read_coco(path, image) if start.startswith(b"{") else _read_xml(path)


def _read_coco(path, image):
    def refuse(found, error=None) -> NoReturn:
        raise ImageError("box", "a COCO json", found, "export the boxes again as COCO") from error

    try:
        content = _load_json(str(path), os.stat(path).st_mtime_ns)
        names = {one["id"]: str(one["name"]) for one in content["categories"]}
        stem = Path(image).stem.removesuffix(".nii") if image else None
        listed = content["images"]
        mine = [one for one in listed if Path(str(one["file_name"])).stem.removesuffix(".nii") == stem]
        mine = mine or (listed if len(listed) == 1 else [])
        if len(mine) != 1:
            refuse(f"{len(mine)} images named {stem} among {len(listed)}")
        boxes = []
        for one in content["annotations"]:
            if one["image_id"] != mine[0]["id"]:
                continue
            x, y, width, height = map(float, one["bbox"])
            corners = cohort.box_numbers(f"{x},{y},{x + width},{y + height}")
            if corners is None:
                refuse(f"a bbox of {one['bbox']}")
            truncated = bool((one.get("attributes") or {}).get("truncated", False))
            boxes.append(Box(names[one["category_id"]], *corners, truncated=truncated))
        width, height = mine[0].get("width"), mine[0].get("height")
        return boxes, (int(width), int(height)) if width and height else None
    except KeyError as error:
        refuse(f"one without {error}", error)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ImageError):
            raise
        refuse(f"one that cannot be read: {getattr(error, 'strerror', None) or error}", error)


@functools.lru_cache(maxsize=4)
def _load_json(path, changed):
    """One file holds the boxes of many images."""
    with open(path, encoding="utf-8-sig") as file:
        return json.load(file)


def _read_xml(path: str | Path) -> tuple[list[Box], tuple[int, int] | None]:
    """The boxes of a LabelImg XML, and (width, height) of the image they were drawn on, if stated."""

    def refuse(found, error=None) -> NoReturn:
        raise ImageError("box", "a LabelImg XML file", found, "save the boxes again in LabelImg (PascalVOC)") from error

    try:
        content = Path(path).read_bytes()
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:  # entities can blow up a small file
            refuse("one with a document type")
        root = ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, UnicodeDecodeError, LookupError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        refuse(f"one that cannot be read: {getattr(error, 'strerror', None) or error}", error)
    if root.tag != "annotation":
        refuse(f"XML of another kind, <{root.tag}>")
    boxes = []
    for item in root.iter("object"):
        name = (item.findtext("name") or "").strip()
        text = ",".join(
            (item.findtext(f"bndbox/{corner}") or "").strip() for corner in ("xmin", "ymin", "xmax", "ymax")
        )
        corners = cohort.box_numbers(text)
        if corners is None:
            refuse(f"object {name} with corners {text}")
        boxes.append(Box(name, *corners, truncated=(item.findtext("truncated") or "").strip() == "1"))
    drawn_on = cohort.box_numbers(f"{root.findtext('size/width')},{root.findtext('size/height')},0,0")
    return boxes, drawn_on[:2] if drawn_on and min(drawn_on[:2]) > 0 else None


def find_box(
    cell: str, label: str, level: str, shape: tuple[int, int] | None, *, image: str | Path | None = None
) -> Box:
    """The box of a manifest cell, inside an image of ``shape`` (height, width) where that is known.

    The cell is four numbers, a LabelImg XML or a COCO json; of several objects the one named ``<Class>-L<n>`` after
    the row's ``label`` and ``level`` is taken. ``image`` is the picture that a COCO json may list among others.
    """
    if "," in cell:
        numbers = cohort.box_numbers(cell)
        if numbers is None:
            raise ImageError("box", "xmin,ymin,xmax,ymax in pixels", cell, "write four numbers, or an XML file's path")
        box = Box("", *numbers)
    else:
        boxes, drawn_on = read_annotation(cell, image)
        box = _choose_object(boxes, label, level)
        if shape and drawn_on and drawn_on != shape[::-1]:
            raise _drawn_elsewhere(drawn_on, shape)
    _check_inside(box, shape)
    return box


def _object_meaning(name: str) -> tuple[str, str] | None:
    """Label and level of a LabelImg name, None when it does not follow ``<Class>-L<n>``."""
    match = _VCFNET_OBJECT.fullmatch(name)
    if not match:
        return None
    label, region, number = match.groups()
    level = f"{region.upper()}{number}"
    # The code counts on past L5: what it calls L11 and L12 is taken for T11 and T12.
    if region.upper() == "L":
        level = VCFNET_LEVELS.get(number, level)
    label = label.lower()
    return cohort.LABEL_ALIASES.get(label, label), level


def _choose_object(boxes: list[Box], label: str, level: str) -> Box:
    """The object whose ``<Class>-L<n>`` is the row's label and level, or the only one, if not so named."""
    label, level = (value if isinstance(value, str) else None for value in (label, level))
    named = [(box, *meaning) for box in boxes if (meaning := _object_meaning(box.name))]
    fitting = [box for box, kind, place in named if kind == label and level in (None, place)]
    if len(fitting) == 1:
        return fitting[0]
    if len(boxes) == 1 and not named:
        return boxes[0]
    found = ", ".join(box.name or "(unnamed)" for box in boxes) or "no object"
    raise ImageError(
        "box",
        f"one object named {str(label).capitalize()}-{level or '<level>'}",
        found,
        "name the objects <Class>-L<n> in LabelImg, or write the box as four numbers",
    )


def slice_boxes(path: str, sagittal, *, image: str | Path | None = None) -> pd.DataFrame:
    """The vertebrae of a slice, named ``<disease>[+<disease>]-<level>`` or ``normal-<level>`` (paper 03).

    Parameters
    ----------
    path : str
        LabelImg XML or COCO json.
    sagittal : Slice
        The slice they were drawn on; boxes are turned with it where it was stored otherwise.

    Returns
    -------
    DataFrame, one row per vertebra
        ``level``, ``xmin``, ``ymin``, ``xmax``, ``ymax``, ``inside`` (1, NaN where the annotation says truncated), one
        boolean column per disease and ``normal``.

    Raises
    ------
    ImageError
        When the file is no such annotation, a name says no disease, or a box leaves the slice.
    """
    boxes, drawn_on = read_annotation(path, image)
    height, width = sagittal.hu.shape
    if drawn_on and drawn_on != (width, height):
        raise _drawn_elsewhere(drawn_on, (height, width))
    rows = []
    for box in boxes:
        codes, level = _vertebra_meaning(box.name)
        _check_inside(box, (height, width))
        xmin, ymin, xmax, ymax = box.xmin, box.ymin, box.xmax, box.ymax
        if sagittal.flips[0]:
            ymin, ymax = height - ymax, height - ymin
        if sagittal.flips[1]:
            xmin, xmax = width - xmax, width - xmin
        flags = {code: code in codes for code in DISEASES}
        inside = float("nan") if box.truncated else 1.0
        row = {"level": level, "xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax, "inside": inside}
        rows.append(row | flags | {"normal": not any(flags.values())})
    columns = ["level", "xmin", "ymin", "xmax", "ymax", "inside", *DISEASES, "normal"]
    return pd.DataFrame(rows, columns=columns)


def _vertebra_meaning(name):
    """Diseases and level of ``OVCF+KD-L1`` or ``normal-L2``."""
    label, _, level = name.rpartition("-")
    spelling = {code.lower(): code for code in (*DISEASES, "normal")}
    codes = [spelling.get(part.strip().lower()) for part in label.split("+")]
    if None in codes or level.upper() not in cohort.LEVELS or ("normal" in codes and len(codes) > 1):
        required = f"vertebrae named <disease>[+<disease>]-<level> or normal-<level>, of {', '.join(DISEASES)}"
        raise ImageError("box", required, name or "(unnamed)", "rename the object, e.g. OVCF+KD-L1")
    return {code for code in codes if code != "normal"}, level.upper()


def _drawn_elsewhere(drawn_on, shape):
    return ImageError(
        "box",
        "a box drawn on this image",
        f"boxes of an image of {drawn_on[0]} x {drawn_on[1]}, this one is {shape[1]} x {shape[0]}",
        "name the annotation that belongs to the image",
    )


def _check_inside(box, shape):
    if box.xmin >= box.xmax or box.ymin >= box.ymax:
        raise ImageError("box", "xmin < xmax and ymin < ymax", f"{box} is empty or inverted", "correct the corners")
    if shape and (min(box.xmin, box.ymin) < 0 or box.xmax > shape[1] or box.ymax > shape[0]):
        found = f"{box} lies outside the image ({shape[1]} x {shape[0]})"
        step = "correct the box, or the image it is for"
        raise ImageError("box", "a box inside the image, in its pixels", found, step)
