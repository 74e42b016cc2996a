"""CT: sagittal slices and volumes in HU, DICOM series sorted by position, NIfTI, NRRD; and masks on their grid."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from pydicom.pixels import apply_rescale

from .files import MAX_BYTES, ImageError, decode, fits, foreign, kind_of
from .radiographs import read_tags, stored_values

AIR, HIGHEST = -1024, 3071  # HU of 12 bit
_SAME = 1e-3  # of a voxel: how far two grids may lie apart and still be one
_TOLERANCE = 0.02  # of the median gap between slices


@dataclass(frozen=True)
class Slice:
    """A sagittal slice: ``hu`` int16 (height, width), first row cranial and first column anterior where the file tells
    how it lies; ``spacing`` (row, column) in mm or None; ``flips`` (rows, columns) from the stored picture."""

    hu: np.ndarray
    spacing: tuple[float, float] | None
    flips: tuple[bool, bool] = (False, False)


def read_slice(path: str | Path) -> Slice:
    """One sagittal CT slice, in HU.

    DICOM CT with one frame, or NIfTI or NRRD with one plane. Slices that their file says to be axial or coronal are
    refused; a file that does not say is taken as it is stored.

    Raises
    ------
    ImageError
        When the file is no such slice, or damaged.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "DICOM":
        return _dicom_slice(path)
    if kind not in ("NIfTI", "NRRD"):
        found = kind or foreign(path)
        raise ImageError("image", "a CT slice: DICOM, NIfTI or NRRD", found, "export the slice in HU")
    image = decode(path, kind)
    planes = [axis for axis, size in enumerate(image.GetSize()) if size == 1]
    if image.GetDimension() > 3 or (image.GetDimension() == 3 and not planes):
        found = f"a volume of {' x '.join(map(str, image.GetSize()))}"
        raise ImageError("image", "one slice", found, "export the sagittal slice alone")
    stored = _scalar(image, "image")
    spacing = image.GetSpacing()
    if image.GetDimension() == 2:
        return Slice(_hounsfield(stored, "image"), (spacing[1], spacing[0]))
    image = sitk.DICOMOrient(image, "LPS")
    planes = [axis for axis, size in enumerate(image.GetSize()) if size == 1]
    if planes != [0]:
        found = f"{' x '.join(map(str, image.GetSize()))} voxels left to right, front to back, feet to head"
        if planes == [2] and _no_place(image):  # a plain picture that a program gave a third axis
            return Slice(_hounsfield(stored[0], "image"), (spacing[1], spacing[0]))
        raise ImageError("image", "a sagittal slice", found, "export a sagittal slice")
    hu = sitk.GetArrayFromImage(image)[::-1, :, 0]
    return Slice(_hounsfield(hu, "image"), (image.GetSpacing()[2], image.GetSpacing()[1]))


def read_mask(path: str, shape: tuple[int, int], column: str) -> np.ndarray:
    """A body delineated on a radiograph, bool (height, width); whatever is not 0 is body.

    PNG, TIFF, NIfTI or NRRD, on the radiograph's own grid.

    Raises
    ------
    ImageError
        When the file is no such mask, is empty, or has another grid.
    """
    if not isinstance(path, str) or not path:
        raise ImageError(column, "a mask of the body", "(blank)", "delineate the body and name the file")
    kind = kind_of(Path(path), column)
    if kind not in ("PNG", "TIFF", "NIfTI", "NRRD"):
        found = kind or foreign(Path(path))
        raise ImageError(column, "a mask: PNG, TIFF, NIfTI or NRRD", found, "save the mask as one of these")
    image = decode(Path(path), kind, column)
    values = sitk.GetArrayFromImage(image)
    if image.GetDimension() == 3:
        if values.shape[0] != 1:
            raise ImageError(column, "one plane", f"{values.shape[0]} planes", "save the mask of this image alone")
        values = values[0]
    if image.GetNumberOfComponentsPerPixel() > 1:
        values = values[..., :3].max(axis=-1)
    if values.shape != shape:
        found = f"{values.shape[1]} x {values.shape[0]}, the image is {shape[1]} x {shape[0]}"
        raise ImageError(column, "the image's own grid", found, "draw the mask on this image")
    body = values != 0
    if not body.any():
        raise ImageError(column, "a body", "an empty mask", "delineate the body, or leave the row out")
    if body.all():
        raise ImageError(column, "a body", "a mask of the whole image", "background must be 0")
    return body


def read_volume(path: str | Path) -> sitk.Image:
    """A CT examination in HU, int16, axes right to left, anterior to posterior, caudal to cranial (as far as the
    gantry was straight).

    A folder is a DICOM series: its slices are sorted by position along their normal, whatever their names and numbers.

    Raises
    ------
    ImageError
        When a file is damaged, the folder holds no or several series, or a slice is missing, doubled or of another
        geometry.
    """
    path = Path(path)
    if path.is_dir():
        image = _read_series(path)
    else:
        kind = kind_of(path)
        if kind not in ("NIfTI", "NRRD"):
            found = "one DICOM file" if kind == "DICOM" else kind or foreign(path)
            raise ImageError("image", "a DICOM series folder, NIfTI or NRRD", found, "name the folder of the series")
        image = decode(path, kind)
    if image.GetDimension() != 3 or min(image.GetSize()) < 2:
        found = f"{' x '.join(map(str, image.GetSize()))} voxels"
        raise ImageError("image", "a volume", found, "export the whole examination")
    _scalar(image, "image")
    if image.GetPixelID() != sitk.sitkInt16:
        image = sitk.Cast(sitk.Round(sitk.Clamp(image, sitk.sitkFloat32, AIR, HIGHEST)), sitk.sitkInt16)
    return sitk.DICOMOrient(image, "LPS")


def mask_value(row) -> int | None:
    """The value of the row's body in its masks; None where ``mask_label`` is blank."""
    value = getattr(row, "mask_label", None)
    return None if value is None or pd.isna(value) else int(value)


def body_box(path: str, masks: dict, *, side: int, value: int | None) -> tuple[np.ndarray, dict]:
    """HU int16 and masks bool (side, side, side) at 1 mm around the body of the first mask.

    Parameters
    ----------
    masks : dict
        Column to file; the first is the body that the box lies around.
    value : int, optional
        Of the body in masks that hold several; None: whatever is not 0, if it is one value only.
    """
    volume = _read_once(path)
    bodies = {column: _body(name, volume, column, value) for column, name in masks.items()}
    first, body = next(iter(bodies.items()))
    whole = tuple(volume.GetSize()) == (side,) * 3 and np.allclose(volume.GetSpacing(), 1)
    if not whole or not np.allclose(volume.GetDirection(), np.eye(3).ravel()):
        grid = _grid(volume, body, side, first)
        volume = sitk.Resample(volume, grid, sitk.Transform(), sitk.sitkLinear, AIR, sitk.sitkInt16)
        bodies = {
            column: sitk.Resample(found, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
            for column, found in bodies.items()
        }
    hu = np.clip(sitk.GetArrayFromImage(volume), AIR, HIGHEST).astype(np.int16)
    return hu, {column: sitk.GetArrayFromImage(found) > 0 for column, found in bodies.items()}


@functools.lru_cache(maxsize=1)
def _read_once(path):
    """Fractures of one examination stand side by side: it is read for the first of them."""
    return read_volume(path)


# DICOM


def _dicom_slice(path):
    tags = _ct_tags(path)
    hu = _rescaled(tags)
    spacing = _spacing(tags)
    across = _normal(tags)
    if across is None:
        return Slice(hu, spacing)
    row, column, normal = across
    if abs(normal[0]) < 0.7:
        plane = "axial" if abs(normal[2]) > abs(normal[1]) else "coronal"
        found = {"axial": "an axial one", "coronal": "a coronal one"}[plane]
        raise ImageError("image", "a sagittal slice", found, "reformat the examination sagittally")
    # Along a row from front to back is +y, down a column from head to feet is -z.
    swapped = abs(row[2]) > abs(row[1])
    if swapped:
        found = "one that lies on its side"
        raise ImageError("image", "a sagittal slice, head up", found, "export it upright")
    flips = bool(column[2] > 0), bool(row[1] < 0)
    hu = hu[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1]
    return Slice(np.ascontiguousarray(hu), spacing, flips)


def _ct_tags(path, *, pixels=True):
    tags = read_tags(path, pixels=pixels)
    modality = str(tags.get("Modality") or "no Modality")
    if modality != "CT":
        raise ImageError("image", "Modality CT", modality, "export the CT of this patient")
    frames = int(tags.get("NumberOfFrames") or 1)
    if frames != 1:
        found = f"{frames} frames in one file"
        raise ImageError("image", "one slice per file", found, "export as single-frame CT")
    return tags


def _rescaled(tags):
    try:
        return _hounsfield(apply_rescale(stored_values(tags), tags), "image")
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError("image", "well-formed rescale tags", f"{error}", "export the slice again") from error


def _numbers(tags, name, count):
    """A tag of ``count`` finite numbers, or None where it is absent."""
    value = tags.get(name)
    if value in (None, ""):
        return None
    try:
        numbers = [float(part) for part in value]
    except (ValueError, TypeError) as error:
        raise ImageError("image", f"{count} numbers in {name}", f"{value}", "export the slice again") from error
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ImageError("image", f"{count} numbers in {name}", f"{value}", "export the slice again")
    return numbers


def _spacing(tags):
    spacing = _numbers(tags, "PixelSpacing", 2)
    if spacing and min(spacing) <= 0:
        found = f"PixelSpacing {spacing[0]:g}, {spacing[1]:g}"
        raise ImageError("image", "positive spacing", found, "export the slice again")
    return tuple(spacing) if spacing else None


def _normal(tags):
    """Row direction, column direction and normal of a slice, or None where the file does not tell."""
    cosines = _numbers(tags, "ImageOrientationPatient", 6)
    if cosines is None:
        return None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    if abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01 or abs(row @ column) > 0.01:
        found = f"{cosines}"
        raise ImageError("image", "two directions at right angles", found, "export the slice again")
    return row, column, np.cross(row, column)


def _read_series(folder):
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    paths = [path for path in paths if path.name.upper() != "DICOMDIR" and kind_of(path) == "DICOM"]
    if not paths:
        raise ImageError("image", "a DICOM series", "no DICOM file in the folder", "export the series into the folder")
    tags = [_ct_tags(path, pixels=False) for path in paths]
    series = sorted({str(one.get("SeriesInstanceUID")) for one in tags})
    if len(series) > 1:
        found = f"{len(series)} series in one folder"
        raise ImageError("image", "one series", found, "give every series a folder of its own")
    first = tags[0]
    size = int(first.get("Columns") or 0), int(first.get("Rows") or 0)
    fits((*size, len(paths)), 2, "image")
    across, spacing = _normal(first), _spacing(first)
    if across is None or spacing is None:
        missing = "PixelSpacing" if across is not None else "ImageOrientationPatient"
        raise ImageError("image", "slices that tell where they lie", f"no {missing}", "export the series again")
    row, column, normal = across
    for path, one in zip(paths, tags, strict=True):
        other = _normal(one)
        shape = int(one.get("Columns") or 0), int(one.get("Rows") or 0)
        turned = other is None or np.abs(np.concatenate(other) - np.concatenate(across)).max() > 1e-3
        if turned or shape != size or not np.allclose(_spacing(one) or 0, spacing, rtol=1e-3):
            found = f"{path.name} differs from {paths[0].name}"
            step = "leave localisers and other reconstructions out of the folder"
            raise ImageError("image", "one geometry in the series", found, step)
    places = []
    for path, one in zip(paths, tags, strict=True):
        place = _numbers(one, "ImagePositionPatient", 3)
        if place is None:
            found = f"no ImagePositionPatient in {path.name}"
            raise ImageError("image", "slices that tell where they lie", found, "export the series again")
        places.append(place)
    places = np.array(places)
    depth = places @ normal
    order = np.argsort(depth, kind="stable")
    gap = _gap(depth[order])
    hu = np.empty((len(paths), size[1], size[0]), dtype=np.int16)
    for position, which in enumerate(order):
        hu[position] = _rescaled(_ct_tags(paths[which]))
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((spacing[1], spacing[0], gap))
    image.SetOrigin(places[order[0]].tolist())
    image.SetDirection(np.column_stack([row, column, normal]).ravel().tolist())
    return image


def _gap(depth):
    """Distance of the slices, mm; refuses a series in which one is missing or doubled."""
    if len(depth) < 2:
        raise ImageError("image", "a series of slices", "one slice", "export the whole series")
    gaps = np.diff(depth)
    usual = float(np.median(gaps))
    if gaps.min() < max(_TOLERANCE * usual, 1e-4):
        at = depth[int(gaps.argmin())]
        found = f"two slices at {at:.1f} mm"
        raise ImageError("image", "every slice once", found, "export the series once, without overlaps")
    if gaps.max() > (1 + 0.5) * usual:
        at = int(gaps.argmax())
        found = f"none between {depth[at]:.1f} and {depth[at + 1]:.1f} mm, others are {usual:.2f} mm apart"
        raise ImageError("image", "every slice of the series", found, "export the missing slices")
    if gaps.max() - gaps.min() > 0.1 * usual:
        found = f"gaps from {gaps.min():.2f} to {gaps.max():.2f} mm"
        raise ImageError("image", "slices at equal distances", found, "export one reconstruction with even slices")
    return float(gaps.mean())


# Masks and grids


def _body(path, volume, column, value):
    """The mask of one body on the grid of the volume, uint8."""
    if not isinstance(path, str) or not path:
        raise ImageError(column, "a mask of the body", "(blank)", "delineate the body and name the file")
    kind = kind_of(Path(path), column)
    if kind not in ("NIfTI", "NRRD"):
        found = kind or foreign(Path(path))
        raise ImageError(column, "a mask: NIfTI or NRRD", found, "save the segmentation from ITK-SNAP as .nii.gz")
    image = decode(Path(path), kind, column)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(column, "a volume of labels", "another kind of image", "save the segmentation as .nii.gz")
    image = sitk.DICOMOrient(image, "LPS")
    if tuple(image.GetSize()) != tuple(volume.GetSize()):
        found = f"{_by(image)} voxels, the CT has {_by(volume)}"
        raise ImageError(column, "the CT's own grid", found, "segment this CT, or resample the mask to it")
    corner = np.array(image.GetSize()) - 1
    for place in ((0, 0, 0), corner.tolist()):
        ours, theirs = (one.TransformIndexToPhysicalPoint([int(n) for n in place]) for one in (volume, image))
        apart = float(np.linalg.norm(np.subtract(ours, theirs)) / min(volume.GetSpacing()))
        if apart > max(_SAME * float(corner.max()), 0.05):
            found = f"a grid {apart * min(volume.GetSpacing()):.1f} mm away"
            raise ImageError(column, "the CT's own grid", found, "segment this CT, or resample the mask to it")
    values = sitk.GetArrayViewFromImage(image)
    present = [float(v) for v in np.unique(values) if v != 0]
    if value is None and len(present) > 1:
        some = ", ".join(f"{v:g}" for v in present[:8])
        raise ImageError(column, "one body", f"labels {some}", "name the body's label in the column mask_label")
    if not present or (value is not None and value not in present):
        some = ", ".join(f"{v:g}" for v in present[:8]) or "none"
        wanted = "a body" if value is None else f"a voxel labelled {value}"
        raise ImageError(column, wanted, f"labels present: {some}", "correct mask_label, or exclude the fracture")
    body = sitk.GetImageFromArray(((values != 0) if value is None else (values == value)).astype(np.uint8))
    body.CopyInformation(volume)
    return body


def _grid(volume, body, side, column):
    """A grid of ``side`` voxels of 1 mm, not rotated, around the body; on the CT's own voxels where these are 1 mm."""
    places = np.argwhere(sitk.GetArrayViewFromImage(body))[:, ::-1]
    low, high = places.min(0), places.max(0)
    corners = [
        volume.TransformContinuousIndexToPhysicalPoint([float((low, high)[bit][axis]) for axis, bit in enumerate(bits)])
        for bits in np.ndindex(2, 2, 2)
    ]
    extent = np.ptp(corners, axis=0)
    if extent.max() > side - 1:
        found = f"one of {extent.max():.0f} mm"
        raise ImageError(column, f"a body within {side} mm", found, "name one vertebra's label in mask_label")
    origin = np.mean([np.min(corners, axis=0), np.max(corners, axis=0)], axis=0) - (side - 1) / 2
    if np.allclose(volume.GetSpacing(), 1) and np.allclose(volume.GetDirection(), np.eye(3).ravel()):
        index = np.floor(volume.TransformPhysicalPointToContinuousIndex(origin.tolist()) + np.array(0.5))
        origin = np.array(volume.GetOrigin()) + index
    grid = sitk.Image([side] * 3, sitk.sitkUInt8)
    grid.SetOrigin(origin.tolist())
    return grid


def _scalar(image, field):
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(field, "HU", "several values per voxel", "export the CT in HU")
    count = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
    if count > 4 * MAX_BYTES:
        raise ImageError(field, "16-bit HU", f"{count / 2**30:.1f} GiB", "save it as 16 bit")
    return sitk.GetArrayViewFromImage(image)


def _hounsfield(values, field):
    """Values as int16 HU; refuses what cannot be HU."""
    values = np.asarray(values)
    if not np.isfinite(values).all():
        raise ImageError(field, "numbers", "NaN or infinity among the pixels", "export the examination again")
    if values.min() == values.max():
        raise ImageError(field, "a CT slice", "a blank image", "export it again, or leave the sample out")
    return np.clip(np.rint(values), AIR, HIGHEST).astype(np.int16)


def _no_place(image):
    return np.allclose(image.GetOrigin(), 0)


def _by(image):
    return " x ".join(map(str, image.GetSize()))
