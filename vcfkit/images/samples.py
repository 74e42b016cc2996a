"""The pictures of a samples frame, phantom references and files alike, as the five studies read them.

=================  =====  ==========================================================================================
`read_films`       01     whole radiographs, resized to a square
`read_crops`       02     vertebrae cropped from radiographs, resized to a square
`read_slices`      03     sagittal CT slices in HU on a square canvas, with the boxes of their vertebrae
`read_windows`     04     windows of 64 mm of radiographs, with the mask of the body and its second delineations
`read_volumes`     05     CT boxes of 64 mm in HU, likewise
=================  =====  ==========================================================================================

Rows keep their order, whatever lies in files and whatever is rendered. A sample that cannot be read is a fault; all
faults come at once, as one `CohortError`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed, parallel_config

from vcfkit.cohort import PHANTOM, CohortError

from .boxes import find_box, slice_boxes
from .examine import BOX
from .files import ImageError, name_of
from .radiographs import read_radiograph
from .volumes import AIR, HIGHEST, body_box, mask_value, read_slice
from .windows import WINDOW_MM, cut, window_of

CANVAS = 1024  # paper 03: slices are centred on this many pixels, cropped or padded
INSIDE = 0.60  # of a vertebra's box: from there on it is annotated on what a crop leaves of the slice
_CHUNK = 64  # samples per job: below two of them a second process costs more than it saves


@dataclass(frozen=True)
class Slices:
    """Sagittal CT slices: first row cranial, first column anterior.

    Attributes
    ----------
    hu : torch.Tensor
        int16 (n, size, size).
    boxes : pandas.DataFrame
        One row per vertebra: ``slice`` (row of ``hu``), ``sample_id``, ``level``, ``xmin``, ``ymin``, ``xmax``,
        ``ymax`` (pixels of the square, 0-based, the maximum exclusive), ``inside`` (share within the picture), one
        boolean column per disease and ``normal``.
    pixel_mm : numpy.ndarray
        (n,); NaN where the file does not tell.
    """

    hu: torch.Tensor
    boxes: pd.DataFrame
    pixel_mm: np.ndarray


@dataclass(frozen=True)
class Windows:
    """``images`` uint8 (n, size, size), bone bright; ``masks`` bool, the bodies; ``again`` reader to bool, further
    delineations; ``mm_per_pixel`` at the spine."""

    images: torch.Tensor
    masks: torch.Tensor
    again: dict
    mm_per_pixel: float


@dataclass(frozen=True)
class Volumes:
    """``hu`` int16 (n, 64, 64, 64) at 1 mm, axes caudal to cranial, anterior to posterior, right to left; ``masks``
    bool, the bodies; ``again`` reader to bool, further delineations."""

    hu: torch.Tensor
    masks: torch.Tensor
    again: dict


def read_films(samples: pd.DataFrame, *, size: int, device: str = "cpu", n_jobs: int = 1) -> torch.Tensor:
    """Whole radiographs (paper 01, "resized to 224 × 224 pixels"; the aspect ratio is not kept, a ``box`` not read).

    Parameters, result and errors as for `read_crops`.
    """

    def render(rows):
        from vcfkit.phantom import film

        return {"images": film.whole_radiographs(rows["image"].tolist(), size=size, device=device)}

    found = _gather(samples, render, _Films(size, boxes=False), device=device, n_jobs=n_jobs)
    return _tensor(found, "images", (size, size), device)


def read_crops(samples: pd.DataFrame, *, size: int, device: str = "cpu", n_jobs: int = 1) -> torch.Tensor:
    """Vertebra crops, as the network sees them: cropped to the box, resized to a square, 8 bit.

    The aspect ratio is not kept and no margin is added (the code of paper 02 resizes its crops to 224 × 224).
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

    def render(rows):
        from vcfkit.phantom import render

        return {"images": render.vertebra_crops(rows, size=size, device=device)}

    found = _gather(samples, render, _Films(size, boxes=True), device=device, n_jobs=n_jobs)
    return _tensor(found, "images", (size, size), device)


def read_slices(samples: pd.DataFrame, *, size: int, device: str = "cpu", n_jobs: int = 1) -> Slices:
    """Sagittal CT slices with their vertebrae (paper 03).

    A slice in a file is centred on a square, cropped where it exceeds 1024 pixels and padded with air where it does
    not fill the square, so that nothing is distorted ("center-cropping and zero-padding"); a square larger than
    ``size`` is then reduced to it, antialiased. Boxes go along; a vertebra that keeps less than 0.6 of its box is left
    out. A virtual slice is rendered at ``size``.

    Parameters, errors
        As for `read_crops`; ``box`` names the file with the vertebrae, an empty one means that none is marked.
    """

    def render(rows):
        from vcfkit.phantom import ct

        hu, truth = ct.ct_slices(rows, size=size, device=device, truth=True)
        return {"images": hu, "boxes": truth.frame.drop(columns="image"), "pixel_mm": np.array(truth.pixel_mm)}

    found = _gather(samples, render, _SliceFiles(size), device="cpu", n_jobs=n_jobs)
    boxes = found.get("boxes")
    if boxes is None:
        boxes = pd.DataFrame(columns=["slice", "level", "xmin", "ymin", "xmax", "ymax", "inside"])
    boxes.insert(1, "sample_id", samples["sample_id"].to_numpy()[boxes["slice"].to_numpy(dtype=int)])
    hu = _tensor(found, "images", (size, size), "cpu", torch.int16)
    return Slices(hu, boxes, found.get("pixel_mm", np.empty(0)))


def read_windows(
    samples: pd.DataFrame, *, size: int, readers: Sequence[str] = (), device: str = "cpu", n_jobs: int = 1
) -> Windows:
    """Square windows of 64 mm around single vertebrae, with masks of their bodies (paper 04).

    In a file the window lies around the middle of the ``box``, else around that of the mask; an image that is no larger
    than the window is taken whole. Its pixel size is that of the DICOM or NIfTI file, else ``mm_per_pixel``.

    Parameters
    ----------
    readers : sequence of {"intra", "inter"}
        Further delineations; `delineated_twice` tells which rows have them.

    Others, errors
        As for `read_crops`.
    """
    pixel = WINDOW_MM / size

    def render(rows):
        from vcfkit.phantom import delineation, render

        pictures, bodies, marks = render.vertebra_windows(rows, size=size, mm_per_pixel=pixel, device=device)
        again = {
            reader: torch.from_numpy(
                delineation.redelineate_all(rows, bodies.numpy(), marks, mm_per_pixel=pixel, reader=reader)
            )
            for reader in readers
        }
        return {"images": pictures, "masks": bodies, **again}

    found = _gather(samples, render, _WindowFiles(size, tuple(readers)), device=device, n_jobs=n_jobs)
    shape = (size, size)
    return Windows(
        _tensor(found, "images", shape, device),
        _tensor(found, "masks", shape, "cpu", torch.bool),
        {reader: _tensor(found, reader, shape, "cpu", torch.bool) for reader in readers},
        pixel,
    )


def read_volumes(
    samples: pd.DataFrame, *, readers: Sequence[str] = (), device: str = "cpu", n_jobs: int = 1
) -> Volumes:
    """CT boxes of 64³ voxels of 1 mm around one vertebra each, with masks of its body (paper 05).

    In a file the box lies around the mask; a volume of exactly this grid is taken as it is, any other is resampled
    (linear; the mask by nearest neighbour), with air outside the examination.

    Parameters, errors
        As for `read_windows`.
    """

    def render(rows):
        from vcfkit.phantom import ct

        made = ct.ct_boxes(rows, device=device, readers=tuple(readers))
        again = {reader: made.masks[reader] for reader in readers}
        return {"images": made.hu, "masks": made.masks["truth"], **again}

    found = _gather(samples, render, _VolumeFiles(tuple(readers)), device="cpu", n_jobs=n_jobs)
    shape = (BOX, BOX, BOX)
    return Volumes(
        _tensor(found, "images", shape, "cpu", torch.int16),
        _tensor(found, "masks", shape, "cpu", torch.bool),
        {reader: _tensor(found, reader, shape, "cpu", torch.bool) for reader in readers},
    )


def crop_to_bodies(images: torch.Tensor, masks: torch.Tensor, *, size: int, margin: float = 0.1) -> torch.Tensor:
    """What a network sees of each window: the box of the mask with a margin, resized to a square (papers 04 and 05).

    Parameters
    ----------
    images, masks : uint8 tensor (n, H, W), bool tensor (n, H, W)
    margin : float
        On every side, as a share of the box's; cut where the window ends.

    Returns
    -------
    uint8 tensor (n, size, size), on the CPU. The aspect ratio is not kept.

    Raises
    ------
    ValueError
        An empty mask; says which.
    """
    empty = (~masks.flatten(1).any(1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"masks: a body in every window required, none in {len(empty)} (first: number {empty[0]})")
    crops = torch.empty((len(images), size, size), dtype=torch.uint8)
    for k, (image, mask) in enumerate(zip(images.cpu().numpy(), masks.cpu().numpy(), strict=True)):
        cut = []
        for axis in (1, 0):
            inside = np.flatnonzero(mask.any(axis=axis))
            more = margin * (inside[-1] + 1 - inside[0])
            cut.append(slice(max(0, round(inside[0] - more)), round(inside[-1] + 1 + more)))
        crops[k] = _resize(image[tuple(cut)] / 255, size)
    return crops


def delineated_twice(samples: pd.DataFrame, *, readers: Sequence[str] = ("intra", "inter")) -> pd.Series:
    """True for rows whose body every one of ``readers`` delineated again; virtual bodies always are."""
    twice = samples["image"].str.startswith(PHANTOM)
    has_all = pd.Series(True, index=samples.index)
    for reader in readers:
        column = f"mask_{reader}"
        has_all &= (samples[column].fillna("") != "") if column in samples else False
    return (twice | has_all).astype(bool)


# One kind of file each: called with rows sorted by file; arrays and faults come back


@dataclass(frozen=True)
class _Films:
    size: int
    boxes: bool

    def __call__(self, rows):
        images = torch.zeros((len(rows), self.size, self.size), dtype=torch.uint8)
        faults, last, pixels = [], None, None
        for place, row in enumerate(rows.itertuples()):
            try:
                if row.image != last:
                    last, pixels = None, read_radiograph(row.image).pixels
                    last = row.image
                crop = pixels
                if self.boxes and isinstance(row.box, str) and row.box:
                    box = find_box(row.box, row.label, row.level, pixels.shape, image=row.image)
                    crop = pixels[box.ymin : box.ymax, box.xmin : box.xmax]
            except ImageError as error:
                faults.append(error.fault(name_of(row)))
            else:
                images[place] = _resize(crop, self.size)
        return {"images": images}, faults


@dataclass(frozen=True)
class _SliceFiles:
    size: int

    def __call__(self, rows):
        images = torch.zeros((len(rows), self.size, self.size), dtype=torch.int16)
        spacing, boxes, faults = np.full(len(rows), np.nan), [], []
        for place, row in enumerate(rows.itertuples()):
            try:
                sagittal = read_slice(row.image)
                named = isinstance(row.box, str) and row.box
                found = slice_boxes(row.box, sagittal, image=row.image) if named else None
            except ImageError as error:
                faults.append(error.fault(name_of(row)))
                continue
            images[place], scale, shift = _on_canvas(sagittal.hu, self.size)
            spacing[place] = sagittal.spacing[0] / scale if sagittal.spacing else np.nan
            if found is not None:
                boxes.append(_moved(found, scale, shift, self.size).assign(slice=place))
        made = {"images": images, "pixel_mm": spacing}
        return made | ({"boxes": pd.concat(boxes, ignore_index=True)} if boxes else {}), faults


@dataclass(frozen=True)
class _WindowFiles:
    size: int
    readers: tuple[str, ...]

    def __call__(self, rows):
        shape = (len(rows), self.size, self.size)
        made = {"images": torch.zeros(shape, dtype=torch.uint8)}
        made |= {name: torch.zeros(shape, dtype=torch.bool) for name in ("masks", *self.readers)}
        faults = []
        for place, row in enumerate(rows.itertuples()):
            try:
                window = window_of(row)
                files = {"masks": "mask"} | {reader: f"mask_{reader}" for reader in self.readers}
                for name, column in files.items():
                    body = window.body(getattr(row, column, "") or "", column)
                    made[name][place] = _resize_mask(body, self.size)
                made["images"][place] = _resize(window.image(), self.size)
            except ImageError as error:
                faults.append(error.fault(name_of(row)))
        return made, faults


@dataclass(frozen=True)
class _VolumeFiles:
    readers: tuple[str, ...]

    def __call__(self, rows):
        shape = (len(rows), BOX, BOX, BOX)
        made = {"images": torch.zeros(shape, dtype=torch.int16)}
        made |= {name: torch.zeros(shape, dtype=torch.bool) for name in ("masks", *self.readers)}
        faults = []
        for place, row in enumerate(rows.itertuples()):
            try:
                columns = {"masks": "mask"} | {reader: f"mask_{reader}" for reader in self.readers}
                files = {column: getattr(row, column, "") or "" for column in columns.values()}
                hu, masks = body_box(row.image, files, side=BOX, value=mask_value(row))
            except ImageError as error:
                faults.append(error.fault(name_of(row)))
                continue
            made["images"][place] = torch.from_numpy(hu)
            for name, column in columns.items():
                made[name][place] = torch.from_numpy(masks[column])
        return made, faults


# Shared


def _gather(samples, render: Callable, read: Callable, *, device, n_jobs):
    """What ``render`` makes of phantom references and ``read`` of files, by name, in the order of the rows."""
    samples = samples.reset_index(drop=True)
    virtual = samples["image"].str.startswith(PHANTOM)
    # What lies in one file stays together, so that it is read once.
    files = samples[~virtual].sort_values("image", kind="stable")
    phantoms = samples[virtual]
    jobs = [(read, rows) for rows in _chunks(files)]
    if n_jobs == 1 or device != "cpu":
        # One call, so that the renderer chooses its own batches.
        jobs += [(_Rendered(render), phantoms)] if len(phantoms) else []
    else:
        jobs += [(_Rendered(render), rows) for rows in _chunks(phantoms)]
    if n_jobs != 1 and len(jobs) > 1:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            done = Parallel(n_jobs=n_jobs)(delayed(job)(rows) for job, rows in jobs)
    else:
        done = [job(rows) for job, rows in jobs]
    faults = [fault for _, found in done for fault in found]
    if faults:
        order = {name: place for place, name in enumerate(map(name_of, samples.itertuples()))}
        raise CohortError(sorted(faults, key=lambda fault: order.get(fault.sample, -1)))
    return _together(samples, [(rows.index.to_numpy(), made) for (_, rows), (made, _) in zip(jobs, done, strict=True)])


@dataclass(frozen=True)
class _Rendered:
    render: Callable

    def __call__(self, rows):
        return self.render(rows), []


def _together(samples, parts):
    """Arrays of the parts in the order of the rows; frames with ``slice`` counted over all rows."""
    whole = {}
    for index, made in parts:
        for name, part in made.items():
            if isinstance(part, pd.DataFrame):
                whole.setdefault(name, []).append(part.assign(slice=index[part["slice"].to_numpy(dtype=int)]))
                continue
            if name not in whole:
                shape = (len(samples), *part.shape[1:])
                if isinstance(part, torch.Tensor):
                    whole[name] = torch.zeros(shape, dtype=part.dtype)
                else:
                    whole[name] = np.full(shape, np.nan)
            place = torch.from_numpy(np.array(index)) if isinstance(part, torch.Tensor) else index
            whole[name][place] = part.cpu() if isinstance(part, torch.Tensor) else part
    frames = {name: parts for name, parts in whole.items() if isinstance(parts, list)}
    for name, made in frames.items():
        table = pd.concat(made, ignore_index=True)
        columns = ["slice", *(column for column in table if column != "slice")]
        whole[name] = table.sort_values("slice", kind="stable", ignore_index=True)[columns]
    return whole


def _tensor(found, name, shape, device, dtype=torch.uint8):
    """The array of that name, empty where there was no row."""
    made = found.get(name)
    return (torch.empty((0, *shape), dtype=dtype) if made is None else made).to(device)


def _chunks(samples: pd.DataFrame) -> list[pd.DataFrame]:
    return [samples.iloc[start : start + _CHUNK] for start in range(0, len(samples), _CHUNK)]


def _resize(crop: np.ndarray, size: int) -> torch.Tensor:
    """(height, width) in [0, 1] to uint8 (size, size)."""
    grey = torch.from_numpy(np.ascontiguousarray(crop, dtype=np.float64))[None, None]
    square = torch.nn.functional.interpolate(grey, (size, size), mode="bilinear", antialias=True)
    return (square[0, 0].clamp(0, 1) * 255).round().to(torch.uint8)


def _resize_mask(body: np.ndarray, size: int) -> torch.Tensor:
    """Bool (side, side) to bool (size, size): where half of a pixel is body."""
    if len(body) == size:
        return torch.from_numpy(np.ascontiguousarray(body))
    share = torch.from_numpy(body.astype(np.float64))[None, None]
    share = torch.nn.functional.interpolate(share, (size, size), mode="bilinear", antialias=True)
    return share[0, 0] > 0.5


def _on_canvas(hu, size):
    """int16 (size, size), the scale from stored pixels to those, and the (row, column) shift before scaling."""
    side = max(min(max(hu.shape), CANVAS), size if max(hu.shape) <= size else 0)
    top, left = -((side - hu.shape[0]) // 2), -((side - hu.shape[1]) // 2)
    square = cut(hu, top, left, side, fill=AIR)
    if side == size:
        return torch.from_numpy(square), 1.0, (-top, -left)
    grey = torch.from_numpy(square.astype(np.float64))[None, None]
    small = torch.nn.functional.interpolate(grey, (size, size), mode="bilinear", antialias=True)
    return small[0, 0].round().clamp(AIR, HIGHEST).to(torch.int16), size / side, (-top, -left)


def _moved(boxes, scale, shift, size):
    """Boxes of the stored slice on the canvas; those that it cuts off are left out."""
    moved = boxes.copy()
    for axis, by in (("x", shift[1]), ("y", shift[0])):
        for end, rounded in (("min", np.floor), ("max", np.ceil)):
            moved[f"{axis}{end}"] = rounded((boxes[f"{axis}{end}"] + by) * scale).astype(int)
    area = (moved["xmax"] - moved["xmin"]) * (moved["ymax"] - moved["ymin"])
    for name in ("xmin", "ymin", "xmax", "ymax"):
        moved[name] = moved[name].clip(0, size)
    left = (moved["xmax"] - moved["xmin"]) * (moved["ymax"] - moved["ymin"]) / area.clip(lower=1)
    moved["inside"] = moved["inside"] * left
    return moved[left >= INSIDE]
