"""A CT volume with labelled vertebrae as the sagittal slices and boxes that paper 03 works on.

``python -m vcfkit.sagittal CT LABELS OUT`` writes a cohort folder that ``DATA=OUT`` reads: slices as NIfTI, boxes as
LabelImg XML, a manifest. The label volume holds vertebral *bodies* on the CT's own grid, one number per level.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import SimpleITK as sitk
import typer

from vcfkit.cohort import COLUMNS, MANIFEST, CohortError, Fault
from vcfkit.images import ImageError
from vcfkit.images.volumes import AIR, read_volume

FIELD_MM, PIXELS = 260.0, 1024  # the square that virtual slices show, at the paper's side
SECTION = 0.15  # of a vertebra's largest section among the slices: less is no vertebra on a slice
OBLIQUE = 0.90  # least cosine between the volume's axes and the patient's (about 26°)
INSIDE = 0.60  # of its section: less within the square is no box, as on virtual slices
T1_TO_L5 = {7 + n: f"T{n}" for n in range(1, 13)} | {19 + n: f"L{n}" for n in range(1, 6)}
# Number in a label volume → level, and the largest number that such a volume may hold. TotalSegmentator's task is
# ``vertebrae_pp_refined``; its task ``total`` numbers other organs so, and its vertebrae include the arch.
CODES = {"totalsegmentator": T1_TO_L5, "verse": T1_TO_L5}
LARGEST = {"totalsegmentator": 24, "verse": 28}


@dataclass(frozen=True)
class Sagittal:
    """``hu`` int16 (1024, 1024), first row cranial, first column anterior; ``boxes`` level and corners in its pixels;
    ``x_mm`` its place, to the left; ``plane`` the same as an image of one plane."""

    hu: np.ndarray
    boxes: pd.DataFrame
    x_mm: float
    plane: sitk.Image


def reformat(
    ct: str | Path, labels: str | Path, *, code: Mapping[int, str], n_slices: int = 5, largest: int | None = None
) -> list[Sagittal]:
    """Sagittal slices through the labelled vertebrae, 260 mm square about their middle.

    Slices are evenly spaced over the middle half of the vertebrae's width. A slice that no vertebra reaches has no box,
    and a vertebra of which less than 0.6 of its section lies within the square has none.

    Parameters
    ----------
    ct, labels : path
        NIfTI or NRRD (the CT also a DICOM series folder) on one grid, in any of the 48 orientations.
    code : mapping
        Number in the label volume to level; other numbers are left alone.
    largest : int, optional
        Largest number of that code: a volume with a larger one is of another code, whose numbers mean other things.

    Raises
    ------
    ImageError
        A file that says nothing of how it lies, or lies obliquely; labels on another grid, of another code, or none of
        the code's levels among them.
    """
    for path, field in ((ct, "image"), (labels, "mask")):
        _check_place(path, field)
    volume = read_volume(ct)
    bodies = _read_labels(labels, volume)
    values = sitk.GetArrayViewFromImage(bodies)
    present = [int(value) for value in np.unique(values) if value]
    known = [value for value in present if value in code]
    if largest is not None and present and max(present) > largest:
        step = "name its code; of TotalSegmentator, segment the bodies with its task vertebrae_pp_refined"
        raise ImageError("mask", f"vertebral bodies labelled 1 to {largest}", f"label {max(present)}", step)
    if not known:
        found = "an empty mask" if not present else f"labels {', '.join(map(str, present[:8]))}"
        wanted = ", ".join(f"{value} ({level})" for value, level in list(code.items())[:4])
        raise ImageError("mask", f"vertebrae labelled {wanted}, …", found, "name the label code of the segmentation")
    # Index axes are x, y, z and world axes too, once oriented: extents in mm along the patient's axes.
    places = np.argwhere(np.isin(values, known))[:, ::-1]
    corners = [bodies.TransformIndexToPhysicalPoint([int(n) for n in at]) for at in (places.min(0), places.max(0))]
    low, high = np.minimum(*corners), np.maximum(*corners)
    middle, width = (low + high) / 2, high[0] - low[0]
    offsets = middle[0] + (np.linspace(-0.25, 0.25, n_slices) * width if n_slices > 1 else np.zeros(1))
    planes = [
        (float(x), _cut(volume, x, middle, sitk.sitkLinear), _cut(bodies, x, middle, sitk.sitkNearestNeighbor))
        for x in offsets
    ]
    areas = {value: [int((sitk.GetArrayViewFromImage(cut) == value).sum()) for *_, cut in planes] for value in known}
    whole = _whole_sections(bodies, offsets, known)
    found = []
    for k, (x, plane, cut) in enumerate(planes):
        seen = sitk.GetArrayFromImage(cut)[::-1, :, 0]
        rows = []
        for value in known:
            if areas[value][k] <= SECTION * max(areas[value]) or areas[value][k] < INSIDE * whole[value][k]:
                continue
            at = np.argwhere(seen == value)
            (ymin, xmin), (ymax, xmax) = at.min(0), at.max(0) + 1
            rows.append({"level": code[value], "xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax})
        boxes = pd.DataFrame(rows, columns=["level", "xmin", "ymin", "xmax", "ymax"])
        found.append(Sagittal(sitk.GetArrayFromImage(plane)[::-1, :, 0], boxes, x, plane))
    return found


def convert(
    ct: str | Path,
    labels: str | Path,
    out_folder: str | Path,
    *,
    code: str = "totalsegmentator",
    patient_id: str = "patient",
    as_cohort: str = "own CT",
    n_slices: int = 5,
    diseases: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Write a cohort folder of one CT: the slices of `reformat`, their boxes and the manifest.

    Parameters
    ----------
    code : {"totalsegmentator", "verse"}
        Of the numbers in the label volume: TotalSegmentator's task ``vertebrae_pp_refined`` (not ``total``), or VerSe.
    diseases : mapping, optional
        Level to diseases, e.g. ``{"L1": "OVCF+KD"}``. Levels that are not named are written as *normal*: a claim to be
        checked before anything is said of the classifier.

    Returns
    -------
    DataFrame
        The manifest as written.

    Raises
    ------
    CohortError
        Any fault of the two volumes, or ``out_folder`` exists; nothing is left half written.
    """
    out_folder, diseases = Path(out_folder), dict(diseases or {})
    if code not in CODES:
        raise ValueError(f"code: one of {', '.join(CODES)} required, found {code!r}")
    if out_folder.exists():
        step = "name another folder, or remove it"
        raise CohortError([Fault("(folder)", "OUT", "a folder yet to be made", f"{out_folder} exists", step)])
    try:
        slices = reformat(ct, labels, code=CODES[code], n_slices=n_slices, largest=LARGEST[code])
    except ImageError as error:
        raise CohortError([error.fault(Path(ct).name)]) from error
    rows = []
    out_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=out_folder.parent) as staging:
        draft = Path(staging) / "cohort"
        for name in ("images", "boxes"):
            (draft / name).mkdir(parents=True)
        for k, sagittal in enumerate(slices, start=1):
            name = f"{patient_id}-s{k:02d}"
            sitk.WriteImage(sagittal.plane, str(draft / f"images/{name}.nii.gz"))
            _write_boxes(draft / f"boxes/{name}.xml", f"{name}.nii.gz", sagittal.boxes, diseases)
            row = dict.fromkeys(COLUMNS, "") | {"sample_id": name, "patient_id": patient_id, "site": as_cohort}
            row |= {"cohort": as_cohort, "image": f"images/{name}.nii.gz", "box": f"boxes/{name}.xml"}
            rows.append(row | {"offset_mm": f"{sagittal.x_mm:.1f}"})
        with (draft / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*COLUMNS, "offset_mm"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        draft.rename(out_folder)
    return pd.DataFrame(rows)


def _check_place(path, field) -> None:
    """Refuse a file that does not tell where it lies, or lies askew."""
    path = Path(path)
    if path.is_dir():
        return
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageError(field, "a readable volume", path.name, "correct the path, or export it again") from error
    codes = [reader.GetMetaData(key) for key in ("qform_code", "sform_code") if key in reader.GetMetaDataKeys()]
    if codes and all(value.strip() in ("", "0") for value in codes):
        found = "a NIfTI file without qform and sform"
        raise ImageError(field, "a volume that tells how it lies", found, "export it again with its affine")
    if reader.GetDimension() == 3:
        axes = np.array(reader.GetDirection()).reshape(3, 3)
        if np.abs(axes).max(axis=0).min() < OBLIQUE:
            turn = np.degrees(np.arccos(np.clip(np.abs(axes).max(axis=0).min(), 0, 1)))
            step = "resample it to the patient's axes"
            raise ImageError(field, "axes along the patient's", f"axes turned by {turn:.0f} degrees", step)


def _read_labels(path, volume) -> sitk.Image:
    """The label volume, oriented as the CT, whose grid it must share."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ImageError(
            "mask", "a readable volume", Path(path).name, "correct the path, or export it again"
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError("mask", "a volume of labels", f"{image.GetDimension()} axes", "save it as one volume")
    image = sitk.DICOMOrient(sitk.Cast(image, sitk.sitkInt32), "LPS")
    if image.GetSize() != volume.GetSize():
        found = f"{_by(image)} voxels, the CT has {_by(volume)}"
        raise ImageError("mask", "the CT's own grid", found, "segment this CT, or resample the labels to it")
    ends = [(0, 0, 0), tuple(n - 1 for n in image.GetSize())]
    apart = max(
        float(np.linalg.norm(np.subtract(*(one.TransformIndexToPhysicalPoint(end) for one in (volume, image)))))
        for end in ends
    )
    if apart > 0.1 * min(volume.GetSpacing()):
        raise ImageError("mask", "the CT's own grid", f"a grid {apart:.1f} mm away", "resample the labels to the CT")
    return image


def _cut(image, x, middle, interpolator) -> sitk.Image:
    """One plane at ``x`` mm, 260 mm square about ``middle``."""
    pixel = FIELD_MM / PIXELS
    grid = sitk.Image([1, PIXELS, PIXELS], image.GetPixelID())
    grid.SetSpacing((1.0, pixel, pixel))
    half = FIELD_MM / 2 - pixel / 2
    grid.SetOrigin((float(x), float(middle[1] - half), float(middle[2] - half)))
    outside = AIR if interpolator == sitk.sitkLinear else 0
    return sitk.Resample(image, grid, sitk.Transform(), interpolator, outside, image.GetPixelID())


def _whole_sections(bodies, offsets, values) -> dict[int, list[float]]:
    """Area of every body on every plane, wherever the square ends; in the square's pixels."""
    spacing, found = np.array(bodies.GetSpacing()), {value: [] for value in values}
    pixels = spacing[1] * spacing[2] / (FIELD_MM / PIXELS) ** 2
    for x in offsets:
        column = bodies.TransformPhysicalPointToIndex((float(x), *bodies.GetOrigin()[1:]))[0]
        plane = sitk.GetArrayViewFromImage(bodies)[:, :, column]
        for value in values:
            found[value].append(float((plane == value).sum() * pixels))
    return found


def _write_boxes(path, picture, boxes, diseases) -> None:
    """LabelImg's Pascal VOC, objects named as `images.read_slices` reads them."""
    lines = ["<annotation>", f"\t<filename>{picture}</filename>"]
    lines += [f"\t<size><width>{PIXELS}</width><height>{PIXELS}</height><depth>1</depth></size>"]
    for box in boxes.itertuples():
        corners = "".join(f"<{name}>{getattr(box, name)}</{name}>" for name in ("xmin", "ymin", "xmax", "ymax"))
        name = f"{diseases.get(box.level, 'normal')}-{box.level}"
        lines += [f"\t<object><name>{name}</name><truncated>0</truncated><bndbox>{corners}</bndbox></object>"]
    path.write_text("\n".join([*lines, "</annotation>", ""]), encoding="utf-8")


def _by(image) -> str:
    return " x ".join(map(str, image.GetSize()))


def main(
    ct: Annotated[Path, typer.Argument(help="CT volume: NIfTI, NRRD or a DICOM series folder")],
    labels: Annotated[Path, typer.Argument(help="vertebral bodies on the same grid, one number per level")],
    out: Annotated[Path, typer.Argument(help="cohort folder to be made")],
    code: Annotated[str, typer.Option(help=f"of the numbers: {', '.join(CODES)}")] = "totalsegmentator",
    patient: Annotated[str, typer.Option(help="patient identifier, replaced by a pseudonym in results")] = "patient",
    slices: Annotated[int, typer.Option(min=1, help="number of slices")] = 5,
    disease: Annotated[list[str] | None, typer.Option(help="LEVEL=DISEASE[+DISEASE]; repeatable")] = None,
) -> None:
    """Make a cohort folder for notebook 03 from one CT and its labelled vertebrae."""
    told = dict(text.partition("=")[::2] for text in disease or [])
    try:
        manifest = convert(ct, labels, out, code=code, patient_id=patient, n_slices=slices, diseases=told)
    except (CohortError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{len(manifest)} slices in {out}; levels without --disease are called normal: check the box files")


if __name__ == "__main__":
    typer.run(main)
