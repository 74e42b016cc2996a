"""One way to read a sample: phantom reference, DICOM radiograph, PNG or TIFF, with boxes from columns or
LabelImg XML.

``python -m vcfkit.images convert vcfnet IN OUT`` turns a folder named as the code of paper 02 names its crops
into a cohort folder with a manifest.
"""

import csv
import re
import shutil
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
import typer
from joblib import Parallel, delayed, parallel_config
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_rescale, apply_windowing
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from vcfkit import cohort
from vcfkit.cohort import COLUMNS, MANIFEST, PHANTOM, CohortError, Fault

RADIOGRAPHS = ("CR", "DX", "DR", "RG")
_PIXEL_TAGS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData")
_CHUNK = 64  # samples per job: below two of them a second process costs more than it saves

# Names of paper 02's code: files <index>-<Class>-<level code>-<age>-<sex>.png, objects <Class>-L<n>. The
# level code is not documented; 1 to 5 and 11, 12 are all that occurs, read here as L1 to L5 and T11, T12.
VCFNET_LEVELS = {**{str(i): f"L{i}" for i in range(1, 6)}, "11": "T11", "12": "T12"}
_VCFNET_FILE = re.compile(r"(\d+)-([A-Za-z]+)-(\d+)-(\d+)-([FM])\.png", re.IGNORECASE)
_VCFNET_OBJECT = re.compile(r"([A-Za-z]+)-([TL])(\d+)", re.IGNORECASE)


class ImageError(ValueError):
    """A file that cannot be used: the field it belongs to, what is required, what was found, what to do
    next."""

    def __init__(self, field: str, required: str, found: str, next_step: str):
        self.field, self.required, self.found, self.next_step = field, required, found, next_step
        super().__init__(field, required, found, next_step)

    def __str__(self) -> str:
        return f"{self.field}: {self.required} required, found {self.found}. Next step: {self.next_step}"

    def fault(self, sample: str) -> Fault:
        """The same, of a named sample."""
        return Fault(sample, self.field, self.required, self.found, self.next_step)


@dataclass(frozen=True)
class Radiograph:
    """``pixels``: float32 (height, width) in [0, 1], bone bright; ``spacing``: (row, column) in mm, or
    None."""

    pixels: np.ndarray
    spacing: tuple[float, float] | None = None


@dataclass(frozen=True)
class Box:
    """Pixels ``[ymin:ymax, xmin:xmax]``: counted from 0, the maxima exclusive."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int

    def __str__(self) -> str:
        return f"{self.xmin},{self.ymin},{self.xmax},{self.ymax}"


def read_radiograph(path: str | Path) -> Radiograph:
    """Read one radiograph as grey values between 0 and 1; the file's first bytes tell its format, not its
    name.

    PNG and TIFF: 8 or 16 bit, grey, or colour whose channels are equal; opaque alpha is dropped. Scaled by
    the range of the stored type (255 or 65535), not by the image's own extremes. Spacing is None.

    DICOM (CR, DX, DR, RG; any compression that SimpleITK opens): in the standard's order, modality LUT or
    rescale, then VOI LUT or the first window (without either: the image's own minimum to maximum), then
    inversion when MONOCHROME1 (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2). The script of paper 02 inverts the stored
    values first and applies the window, meant for values not inverted, afterwards. Spacing is PixelSpacing,
    else ImagerPixelSpacing, which holds at the detector and so overstates the patient by the magnification.

    Raises
    ------
    ImageError
        When the file is missing, no radiograph, damaged, coloured, blank, or not one two-dimensional frame.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        raise ImageError("image", "a readable file", f"{error.strerror}", "correct the path") from error
    # DICOM first: its 128 free bytes may open like a TIFF on purpose.
    if start[128:] == b"DICM":
        radiograph = _read_dicom(path)
    elif start.startswith(b"\x89PNG\r\n\x1a\n"):
        radiograph = _read_picture(path, "PNG")
    elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        radiograph = _read_picture(path, "TIFF")
    else:
        found = (
            "an empty file" if not start else "a JPEG picture" if start[:2] == b"\xff\xd8" else "another file format"
        )
        raise ImageError("image", "DICOM, PNG or TIFF", found, "export the radiograph again as one of these")
    if radiograph.pixels.min() == radiograph.pixels.max():
        raise ImageError("image", "a radiograph", "a blank image", "export it again, or leave the sample out")
    return radiograph


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
    return _read_annotation(path)[0]


def open_own(folder: str | Path, *, classes: Sequence[str]) -> pd.DataFrame:
    """Open a cohort folder: manifest, every image, every box. Everything is checked here, before anything is
    trained.

    Parameters
    ----------
    folder : path
        As ``cohort.read_manifest`` describes it.
    classes : sequence of str
        The study's classes.

    Returns
    -------
    DataFrame, one row per vertebra
        Canonical, under pseudonyms, paths absolute, boxes as ``"xmin,ymin,xmax,ymax"`` or NaN for the whole
        image.

    Raises
    ------
    CohortError
        Once, with every fault of manifest, images and boxes, in the manifest's order.
    """
    samples, faults = cohort.read_manifest(folder, classes=classes, pseudonymous=False)
    # The radiograph is opened once for all its vertebrae. A path that leads nowhere is reported already.
    for path, rows in samples.dropna(subset=["image"]).groupby("image", sort=False):
        shape = None
        if Path(path).is_file():
            try:
                shape = read_radiograph(path).pixels.shape
            except ImageError as error:
                error.found = f"{Path(path).name}: {error.found}"
                faults += [error.fault(_name(row)) for row in rows.itertuples()]
        for row in rows.itertuples():
            if not isinstance(row.box, str) or not ("," in row.box or Path(row.box).is_file()):
                continue
            try:
                box = _find_box(row.box, row.label, row.level, shape)
            except ImageError as error:
                faults.append(error.fault(_name(row)))
            else:
                samples.loc[row.Index, "box"] = str(box)
    if faults:
        order = {name: place for place, name in enumerate(map(_name, samples.itertuples()))}
        raise CohortError(sorted(faults, key=lambda fault: order.get(fault.sample, -1)))
    return cohort.pseudonymise(samples).reset_index(drop=True)


def with_own(virtual: pd.DataFrame, folder: str | Path | None, *, classes: Sequence[str]) -> pd.DataFrame:
    """The samples a study runs on: virtual patients, a hospital's own, or both.

    Without a folder, the virtual ones. With a folder that has ``training`` (or ``development``) rows, the own ones
    alone. With a folder that has none, both: the network is trained on virtual patients and the own cohorts are further
    test sets.

    Raises
    ------
    CohortError
        As `open_own`; and if an own test cohort would bear the name of a virtual one.
    """
    virtual = virtual.assign(source="virtual")
    if folder is None:
        return virtual
    own = open_own(folder, classes=classes)
    if own["cohort"].isin(["training", "development"]).any():
        return own
    taken = [name for name in own["cohort"].unique() if name in {*virtual["cohort"], "testing"}]
    if taken:
        raise CohortError(
            [
                cohort.Fault(
                    cohort.MANIFEST,
                    "cohort",
                    "a training cohort, or cohorts named unlike the virtual ones they are tested beside",
                    name,
                    f"rename {name}, or add training rows",
                )
                for name in taken
            ]
        )
    return pd.concat([virtual, own], ignore_index=True)


def read_crops(samples: pd.DataFrame, *, size: int, device: str = "cpu", n_jobs: int = 1) -> torch.Tensor:
    """Vertebra crops, as the network sees them: cropped to the box, resized to a square, 8 bit.

    The aspect ratio is not kept and no margin is added (the paper's code resizes its crops to 224 × 224).
    Resizing is antialiased bilinear in float64, so that the bytes do not depend on the processor.

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        A validated frame; phantom references and files may be mixed. An empty ``box`` means the whole image.
    size : int
        Side of the square in pixels.
    device : str
        Where phantom references are rendered and the crops are returned; files are read on the CPU.
    n_jobs : int
        Processes, used from 128 samples on.

    Returns
    -------
    uint8 tensor, shape (n, size, size)
        In the order of the rows.

    Raises
    ------
    CohortError
        With a fault for each sample that cannot be read.
    """
    samples = samples.reset_index(drop=True)
    virtual = samples["image"].str.startswith(PHANTOM)
    crops = torch.empty((len(samples), size, size), dtype=torch.uint8, device=device)
    # The vertebrae of one radiograph stay together, so that it is read once.
    files = samples[~virtual].sort_values("image", kind="stable")
    jobs = [(_read_file_crops, rows, {}) for rows in _chunks(files)]
    phantoms = samples[virtual]
    if n_jobs == 1 or device != "cpu":
        # One call, so that the renderer chooses its own batches.
        jobs += [(_render_crops, phantoms, {"device": device})] if len(phantoms) else []
    else:
        jobs += [(_render_crops, rows, {"device": device}) for rows in _chunks(phantoms)]

    if n_jobs != 1 and len(jobs) > 1:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            done = Parallel(n_jobs=n_jobs)(delayed(job)(rows, size=size, **more) for job, rows, more in jobs)
    else:
        done = [job(rows, size=size, **more) for job, rows, more in jobs]
    faults = [fault for _, found in done for fault in found]
    if faults:
        raise CohortError(faults)
    for (_, rows, _), (part, _) in zip(jobs, done, strict=True):
        crops[torch.tensor(rows.index.tolist(), device=device)] = part.to(device)
    return crops


def convert_vcfnet(in_folder: str | Path, out_folder: str | Path, *, as_cohort: str = "VCFNet sample") -> pd.DataFrame:
    """Make a cohort folder of crops named ``<index>-<Class>-<level code>-<age>-<sex>.png``, as paper 02's
    code names them.

    Level codes 1 to 5 are taken for L1 to L5, 11 and 12 for T11 and T12 (inferred, the code does not say).
    The names hold no patient: ``patient_id`` is sex and age, the best there is, so that two people of one age
    and sex become one and a patient-level split errs on the safe side. Every row is of site ``VCFNet``.

    Parameters
    ----------
    in_folder : path
        Searched with its subfolders, never written to. Files that are no PNG are left alone.
    out_folder : path
        Must not exist. It gets ``manifest.csv`` and ``images/``, in one step when everything is there.
    as_cohort : str
        Cohort of every row. The default is a test set for a network trained on virtual patients; ``development`` has
        the crops split and trained on.

    Returns
    -------
    DataFrame
        The manifest as written.

    Raises
    ------
    CohortError
        With every name that does not follow the pattern, or when there is nothing to convert or
        ``out_folder`` exists.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    if out_folder.exists():
        _refuse_folder("OUT", "a folder yet to be made", f"{out_folder} exists", "name another folder, or remove it")
    if not in_folder.is_dir():
        _refuse_folder("IN", "a folder", f"{in_folder} is none", "correct the path")
    paths = sorted(p for p in in_folder.rglob("*") if p.suffix.lower() == ".png" and p.is_file())
    if not paths:
        _refuse_folder("IN", "PNG files", f"none under {in_folder}", "name the folder that holds the crops")
    rows, faults = [], []
    for path in paths:
        try:
            rows.append(_vcfnet_row(path.name, as_cohort))
        except ImageError as error:
            faults.append(error.fault(str(path.relative_to(in_folder))))
    names = [row["sample_id"] for row in rows]
    faults += [
        Fault(name, "name", "every vertebra once", f"{names.count(name)} files", "remove the copies")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if faults:
        raise CohortError(faults)

    out_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=out_folder.parent) as staging:
        draft = Path(staging) / "cohort"
        (draft / "images").mkdir(parents=True)
        for path, row in zip(paths, rows, strict=True):
            shutil.copyfile(path, draft / row["image"])
        with (draft / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        draft.rename(out_folder)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _refuse_folder(field, required, found, next_step) -> NoReturn:
    raise CohortError([Fault("(folder)", field, required, found, next_step)])


def _vcfnet_row(name: str, as_cohort: str) -> dict[str, str]:
    """Manifest row of one file of paper 02's code."""
    match = _VCFNET_FILE.fullmatch(name)
    if not match:
        pattern = "<index>-<Class>-<level code>-<age>-<sex>.png"
        raise ImageError("name", pattern, name, "rename the file, or move it out of the folder")
    index, label, code, age, sex = match.groups()
    if code not in VCFNET_LEVELS:
        raise ImageError("level code", ", ".join(VCFNET_LEVELS), code, "correct the level code in the name")
    label, sex, level = label.lower(), sex.upper(), VCFNET_LEVELS[code]
    sample_id = f"{label}-{index}-{level}"
    return {
        "sample_id": sample_id,
        "patient_id": f"{sex}{age}",
        "site": "VCFNet",
        "cohort": as_cohort,
        "label": label,
        "age": age,
        "sex": sex,
        "level": level,
        "image": f"images/{sample_id}.png",
        "mask": "",
        "box": "",
    }


def _name(row) -> str:
    return row.sample_id if isinstance(row.sample_id, str) else f"line {row.Index}"


def _chunks(samples: pd.DataFrame) -> list[pd.DataFrame]:
    return [samples.iloc[start : start + _CHUNK] for start in range(0, len(samples), _CHUNK)]


def _render_crops(samples, *, size, device):
    """(crops, no faults) of virtual samples."""
    from vcfkit.phantom import render

    return render.vertebra_crops(samples, size=size, device=device), []


def _read_file_crops(samples, *, size):
    """(crops, faults) of samples that lie in files, sorted by file."""
    crops = torch.zeros((len(samples), size, size), dtype=torch.uint8)
    faults, last, pixels = [], None, None
    for place, row in enumerate(samples.itertuples()):
        try:
            if row.image != last:
                last, pixels = None, read_radiograph(row.image).pixels
                last = row.image
            if isinstance(row.box, str):
                box = _find_box(row.box, row.label, row.level, pixels.shape)
                crop = pixels[box.ymin : box.ymax, box.xmin : box.xmax]
            else:
                crop = pixels
        except ImageError as error:
            faults.append(error.fault(_name(row)))
        else:
            crops[place] = _resize(crop, size)
    return crops, faults


def _resize(crop: np.ndarray, size: int) -> torch.Tensor:
    """(height, width) in [0, 1] to uint8 (size, size)."""
    grey = torch.from_numpy(np.ascontiguousarray(crop, dtype=np.float64))[None, None]
    square = torch.nn.functional.interpolate(grey, (size, size), mode="bilinear", antialias=True)
    return (square[0, 0].clamp(0, 1) * 255).round().to(torch.uint8)


def _read_picture(path: Path, kind: str) -> Radiograph:
    """PNG or TIFF to grey; SimpleITK because PIL would cut 16-bit colour to 8 bit."""
    pixels = _decode(
        path, f"{kind}ImageIO", f"a {kind} file that cannot be decoded: truncated, damaged or grey + alpha"
    )
    channels = pixels.shape[2:] and pixels.shape[2]
    if not np.issubdtype(pixels.dtype, np.unsignedinteger) or pixels.dtype.itemsize > 2:
        raise ImageError("image", "8- or 16-bit grey values", f"{pixels.dtype}", "save it again as 16-bit PNG")
    full = np.iinfo(pixels.dtype).max
    if channels:
        if channels == 4 and (pixels[..., 3] != full).any():
            raise ImageError("image", "an opaque image", "transparent pixels", "save it again without alpha")
        if channels not in (3, 4) or (pixels[..., :3] != pixels[..., :1]).any():
            raise ImageError("image", "a grey image", "colours", "save the radiograph again in grey")
        pixels = pixels[..., 0]
    return Radiograph((pixels / full).astype(np.float32))


def _decode(path: Path, reader: str, if_broken: str) -> np.ndarray:
    """Stored values: (height, width), with a third axis for several channels."""
    try:
        image = sitk.ReadImage(str(path), imageIO=reader)
    except RuntimeError as error:
        raise ImageError("image", "an intact file", if_broken, "export the radiograph again") from error
    for depth in image.GetSize()[2:]:
        _refuse_frames(depth)
    pixels = sitk.GetArrayFromImage(image)
    return pixels[0] if image.GetDimension() == 3 else pixels


def _refuse_frames(number: int) -> None:
    if number != 1:
        found, next_step = f"{number} frames or pages", "export the lateral radiograph alone"
        raise ImageError("image", "one two-dimensional image", found, next_step)


def _read_dicom(path: Path) -> Radiograph:
    tags = _read_tags(path)
    modality = tags.get("Modality") or "no Modality"
    if modality not in RADIOGRAPHS:
        required = f"Modality {', '.join(RADIOGRAPHS[:-1])} or {RADIOGRAPHS[-1]}"
        raise ImageError("image", required, str(modality), "export the radiograph of this patient")
    photometric = tags.get("PhotometricInterpretation") or "no PhotometricInterpretation"
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError("image", "MONOCHROME1 or MONOCHROME2", str(photometric), "export the radiograph in grey")
    _refuse_frames(int(tags.get("NumberOfFrames") or 1))
    stored = _stored_values(tags)
    try:
        grey = _grey_values(stored, tags)
        spacing = tags.get("PixelSpacing") or tags.get("ImagerPixelSpacing")
        spacing = (float(spacing[0]), float(spacing[1])) if spacing else None
    # Tags are parsed when they are asked for; these are what an ill-formed number, LUT or window raises.
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        required = "well-formed rescale, window and spacing tags"
        raise ImageError("image", required, f"{error}", "export the radiograph again") from error
    if photometric == "MONOCHROME1":
        grey = 1 - grey
    return Radiograph(grey.astype(np.float32), spacing)


def _read_tags(path: Path) -> Dataset:
    """The file's elements, with whole pixel data as far as its length tells."""

    def broken(found) -> ImageError:
        return ImageError("image", "an intact DICOM file", found, "export the radiograph again")

    with warnings.catch_warnings():
        # pydicom only warns of this and then drops the pixels.
        warnings.filterwarnings("error", message="End of file reached")
        try:
            tags = dcmread(path)
            syntax = tags.file_meta.TransferSyntaxUID
            missing = [name for name in ("PixelData", "Rows", "Columns", "BitsAllocated") if not tags.get(name)]
        # What a damaged file makes pydicom raise is no closed list, and all of it means the same to the user.
        except Exception as error:
            raise broken(f"one that cannot be read: {error}") from error
    if missing:
        raise broken(f"no {', '.join(missing)}: truncated, or no image")
    needed = tags.Rows * tags.Columns * int(tags.get("NumberOfFrames") or 1) * tags.BitsAllocated // 8
    if not syntax.is_compressed and len(tags.PixelData) < needed:
        raise broken(f"a truncated one, {len(tags.PixelData)} of {needed} bytes of pixels")
    return tags


def _stored_values(tags: Dataset) -> np.ndarray:
    """Decoded pixels (height, width), neither rescaled nor inverted.

    SimpleITK opens every usual compression, but inverts MONOCHROME1 in the stored range and rescales without
    being asked, and refuses signed MONOCHROME1. So it gets a copy that holds the pixels and how they are
    packed, and nothing else: no rescale, and no patient either.
    """
    bare = Dataset()
    for name in _PIXEL_TAGS:
        if name in tags:
            bare[name] = tags[name]
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.SOPClassUID, bare.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = tags.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.dcm"
        bare.save_as(path, enforce_file_format=True)
        return _decode(path, "GDCMImageIO", "pixel data that cannot be decoded: truncated or damaged")


def _grey_values(stored: np.ndarray, tags: Dataset) -> np.ndarray:
    """Modality LUT or rescale, then VOI LUT or window, to float64 in [0, 1]."""
    if tags.get("ModalityLUTSequence"):
        values, _ = _look_up(stored, tags.ModalityLUTSequence[0])
    else:
        values = apply_rescale(stored, tags)
    if tags.get("VOILUTSequence"):
        values, top = _look_up(values, tags.VOILUTSequence[0])
        return values / top
    center, width = (_first(tags.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None:
        low, high = float(values.min()), float(values.max())
        return (values - low) / (high - low) if high > low else np.zeros(values.shape)
    # pydicom windows to the range of the stored type; one bit makes that range 0 to 1.
    window = Dataset()
    window.WindowCenter, window.WindowWidth = center, width
    window.VOILUTFunction = tags.get("VOILUTFunction") or "LINEAR"
    window.PhotometricInterpretation, window.PixelRepresentation, window.BitsStored = "MONOCHROME2", 0, 1
    return apply_windowing(values, window)


def _look_up(values: np.ndarray, item: Dataset) -> tuple[np.ndarray, int]:
    """Values through a LUT (PS3.3 C.11.1.1), and the largest value it can hold.

    Not pydicom's, which takes no 12-bit modality LUT and wraps the index of an 8-bit VOI LUT beyond 255.
    """
    (entries, first, bits), data = item.LUTDescriptor, item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.array(data, dtype=int, ndmin=1)
    table = table[: entries or 65536]
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[index].astype(np.int64), 2**bits - 1


def _first(value):
    """A tag's first value: alternative windows stand in the maker's order of preference."""
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    return None if value in (None, "") else float(value)


def _read_annotation(path: str | Path) -> tuple[list[Box], tuple[int, int] | None]:
    """The boxes of a LabelImg XML, and (width, height) of the image they were drawn on, if stated."""

    def refuse(found, error=None) -> NoReturn:
        raise ImageError("box", "a LabelImg XML file", found, "save the boxes again in LabelImg (PascalVOC)") from error

    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError, UnicodeDecodeError, LookupError, ValueError) as error:
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
        boxes.append(Box(name, *corners))
    drawn_on = cohort.box_numbers(f"{root.findtext('size/width')},{root.findtext('size/height')},0,0")
    return boxes, drawn_on[:2] if drawn_on and min(drawn_on[:2]) > 0 else None


def _find_box(cell: str, label: str, level: str, shape: tuple[int, int] | None) -> Box:
    """The box of a manifest cell, inside an image of ``shape`` (height, width) where that is known."""
    if "," in cell:
        numbers = cohort.box_numbers(cell)
        if numbers is None:
            raise ImageError("box", "xmin,ymin,xmax,ymax in pixels", cell, "write four numbers, or an XML file's path")
        box = Box("", *numbers)
    else:
        boxes, drawn_on = _read_annotation(cell)
        box = _choose_object(boxes, label, level)
        if shape and drawn_on and drawn_on != shape[::-1]:
            raise ImageError(
                "box",
                "a box drawn on this image",
                f"XML of an image of {drawn_on[0]} x {drawn_on[1]}, this one is {shape[1]} x {shape[0]}",
                "name the XML that belongs to the image",
            )
    if box.xmin >= box.xmax or box.ymin >= box.ymax:
        raise ImageError("box", "xmin < xmax and ymin < ymax", f"{box} is empty or inverted", "correct the corners")
    if shape and (min(box.xmin, box.ymin) < 0 or box.xmax > shape[1] or box.ymax > shape[0]):
        found = f"{box} lies outside the image ({shape[1]} x {shape[0]})"
        raise ImageError(
            "box", "a box inside the image, in its pixels", found, "correct the box, or the image it is for"
        )
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


app = typer.Typer(help="Images of the compendium.", no_args_is_help=True, add_completion=False)
convert = typer.Typer(help="Make a cohort folder, with a manifest, of a public data set.", no_args_is_help=True)
app.add_typer(convert, name="convert")


@app.callback()
def main() -> None:
    """Images of the compendium."""


@convert.command()
def vcfnet(
    in_folder: Path,
    out_folder: Path,
    cohort: Annotated[
        str, typer.Option(help="cohort of every row; development has the crops trained on")
    ] = "VCFNet sample",
) -> None:
    """Crops named as the code of paper 02 names them: <index>-<Class>-<level code>-<age>-<sex>.png."""
    try:
        manifest = convert_vcfnet(in_folder, out_folder, as_cohort=cohort)
    except CohortError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(manifest)} vertebrae, manifest in {out_folder / MANIFEST}")


@convert.callback()
def converters() -> None:
    """Make a cohort folder, with a manifest, of a public data set."""


if __name__ == "__main__":
    app()
