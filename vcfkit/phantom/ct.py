"""CT of virtual patients: sagittal slices (paper 03) and boxes of 64 mm around a vertebra (paper 05).

A reference names the picture: ``phantom:<stem>/<patient_id>/slice-<x>?...`` is the sagittal slice whose middle lies
x mm from the midline, ``.../volume-<level>?...`` the box. Points of the scene become HU (:mod:`volume`), three planes
make a slice of the scanner's thickness, the point spread and the kernel of the hospital follow, then noise. Nothing
after the scene sees a label, and every random number comes from a stream of the virtual patient, drawn on the CPU, so
that a picture does not depend on its neighbours in a batch.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from . import cohorts
from .anatomy import BODIES, LEVELS, generator
from .delineation import READERS
from .disease import DISEASES
from .grid import Grid
from .tissue import AIR
from .volume import Field, Identity, scene_of

FIELD_MM = 260.0  # at least this much of the sagittal plane is seen on a small picture
INSIDE = 0.60  # of its section: from there on a vertebra is annotated
SECTION = 0.15  # of its central section: less is no vertebra on this slice
LOWEST, HIGHEST = -1024, 3071  # 12 bit
BOX = 64  # voxels of 1 mm
BOX_JITTER = 3.0  # mm
BLUR_REACH = 8  # planes of a box: 3 of the widest point spread, 5 of the kernel
CODE_OF = {"acute": "OVCF", "chronic": "OF"}  # of a fracture, in the words of paper 03
LANDMARKS, LANDMARK_STEP = 20, 4.0  # of a delineation: around the contour; mm between contours


@dataclass(frozen=True)
class SliceTruth:
    """What the slices show.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per annotated vertebra: ``slice`` (row of the pictures), ``image``, ``level``, ``xmin``, ``ymin``,
        ``xmax``, ``ymax`` (pixels, 0-based, the maximum exclusive), ``inside`` (share within the picture), one
        boolean column per disease and ``normal``.
    masks : torch.Tensor
        uint8 (n, size, size): 0, or 1 + the position of the body in ``BODIES`` (S1 included).
    pixel_mm : tuple of float
        Pixel size of every slice.
    """

    frame: pd.DataFrame
    masks: torch.Tensor
    pixel_mm: tuple


@dataclass(frozen=True)
class Boxes:
    """Boxes of 64 mm at 1 mm; axes (z, y, x): caudal to cranial, anterior to posterior, right to left.

    Attributes
    ----------
    hu : torch.Tensor
        int16 (n, 64, 64, 64).
    masks : dict of str to torch.Tensor
        bool (n, 64, 64, 64) of the body without discs, pedicles and fat: ``truth``, and readers that were asked for.
    """

    hu: torch.Tensor
    masks: dict


def ct_slices(references_or_samples, *, size: int = 256, device="cpu", truth: bool = False):
    """Sagittal CT slices.

    Parameters
    ----------
    references_or_samples : pandas.DataFrame, or sequence
        A samples frame (its ``image`` is read), references, or tuples ``(virtual patient, "slice-<x>", nuisance)``.
    size : int
        Rows and columns. The pixel is the scanner's own where the picture then shows 260 mm, otherwise larger; what
        lies outside the reformat of the examination is air (paper 03 pads with zeros to 1024).
    truth : bool
        Also return :class:`SliceTruth`.

    Returns
    -------
    torch.Tensor or tuple
        int16 HU (n, size, size) on the CPU: first row cranial, first column anterior.

    Raises
    ------
    ValueError
        If ``size`` is below 64 or a reference cannot be resolved.
    """
    if size < 64:
        raise ValueError(f"size must be at least 64 pixels, got {size}")
    wanted = _wanted(references_or_samples, "slice-")
    pictures = torch.empty((len(wanted), size, size), dtype=torch.int16)
    masks = torch.empty((len(wanted), size, size) if truth else (0, 0, 0), dtype=torch.uint8)
    rows, pixels = [], []
    for j, (image, patient, what, nuisance) in enumerate(wanted):
        ct = scene_of(patient, nuisance)
        x, field = float(what), _field(Identity(ct), size, torch.device(device))
        pictures[j], mask = _slice(field, x)
        pixels.append(field.pixel)
        if truth:
            masks[j] = mask
            rows += [{"slice": j, "image": image, **row} for row in _annotate(field, mask, x)]
    columns = ["slice", "image", "level", "xmin", "ymin", "xmax", "ymax", "inside", *DISEASES, "normal"]
    return (pictures, SliceTruth(pd.DataFrame(rows, columns=columns), masks, tuple(pixels))) if truth else pictures


def ct_boxes(references_or_samples, *, device="cpu", readers=()) -> Boxes:
    """Boxes of 64³ voxels of 1 mm around one vertebra each, with masks of its body.

    Parameters
    ----------
    references_or_samples : pandas.DataFrame, or sequence
        As in :func:`ct_slices`, with ``volume-<level>``.
    readers : sequence of {"intra", "inter"}
        Further delineations: landmarks displaced by N(0, 0.6 mm), or by N(0, 1.0 mm) and a bias of 0.3 mm.
    """
    wanted = _wanted(references_or_samples, "volume-")
    hu = torch.empty((len(wanted), BOX, BOX, BOX), dtype=torch.int16)
    masks = {name: torch.empty(hu.shape, dtype=torch.bool) for name in ("truth", *readers)}
    for j, (_, patient, level, nuisance) in enumerate(wanted):
        ct = scene_of(patient, nuisance)
        hu[j], found = _box(ct, level, torch.device(device), readers)
        for name, mask in found.items():
            masks[name][j] = mask
    return Boxes(hu, masks)


def largest_slices(references_or_samples, *, device="cpu"):
    """Of every box of :func:`ct_boxes` the sagittal slice on which the mask is largest (paper 05, the network's input).

    The same bytes as from the box, in a third of the time: only the planes are computed that the blur reaches.

    Returns
    -------
    torch.Tensor
        int16 (n, 64, 64), HU; first row cranial, first column anterior.
    """
    wanted = _wanted(references_or_samples, "volume-")
    hu = torch.empty((len(wanted), BOX, BOX), dtype=torch.int16)
    for j, (_, patient, level, nuisance) in enumerate(wanted):
        ct = scene_of(patient, nuisance)
        k, field, x = _box_field(ct, level, torch.device(device))
        middle = int((_depth_inside(field, k, x) > 0).sum((1, 2)).argmax())
        planes = slice(max(middle - BLUR_REACH, 0), middle + BLUR_REACH + 1)
        found = _box_hu(ct, level, field, x, planes)[middle - planes.start]  # (y, z)
        hu[j] = _whole(found.T.flip(1))
    return hu


def box_origin(image: str) -> tuple:
    """Middle of the first voxel of a box of :func:`ct_boxes`, in mm: x to the left, y to the back, z to the head."""
    patient, target, nuisance = cohorts.resolve(image)
    y, z, x = _box_centre(scene_of(patient, nuisance), target.removeprefix("volume-"))
    edge = BOX / 2 - 0.5
    return float(x - edge), float(-(y + edge)), float(z - edge)


def bone_window(hu, *, width: float = 1500.0, level: float = 500.0):
    """HU to [0, 1] in the bone window of paper 05 (W1500 L500)."""
    return ((hu.to(torch.float32) - (level - width / 2)) / width).clamp(0, 1)


def largest_slice(mask) -> int:
    """Index along x of the sagittal plane in which the mask (z, y, x) is largest (paper 05, the network's input)."""
    return int(mask.sum((0, 1)).argmax())


def _wanted(given, prefix):
    """(text, virtual patient, what follows the prefix, nuisance) of every picture that is asked for."""
    if isinstance(given, pd.DataFrame):
        given = list(given["image"])
    result = []
    for item in given:
        if isinstance(item, str):
            (patient, what, nuisance), text = cohorts.resolve(item), item
        else:
            patient, what, nuisance = item
            text = f"phantom:{patient.stem}/{patient.patient_id}/{what}"
        if not what.startswith(prefix):
            raise ValueError(f"{text!r}: required {prefix}…, found {what!r}")
        result.append((text, patient, what.removeprefix(prefix), nuisance))
    return result


@functools.lru_cache(maxsize=2)
def _field(wrapped, size, device) -> Field:
    ct = wrapped.value
    tall = ct.scanner.rows * ct.scanner.pixel if ct.patient.levels else FIELD_MM
    pixel = max(ct.scanner.pixel, FIELD_MM / size, tall / size)
    y, z = ct.centre
    half = size * pixel / 2
    return Field(ct, Grid(np.array([[y - half, y + half, z - half, z + half]]), (size, size), device=device))


@torch.no_grad()
def _slice(field, x):
    """One slice as int16 and its body mask, first column anterior."""
    ct, scanner = field.ct, field.ct.scanner
    at, third = torch.tensor([x], dtype=torch.float64, device=field.device), scanner.thickness / 3
    planes, owner = field.hounsfield(at, spread=(-third, 0.0, third))
    hu = planes[0]
    rng = generator(*ct.key, "slice noise", round(1000 * x))
    noise = torch.as_tensor(rng.standard_normal(field.shape), device=field.device)
    hu = _develop(hu, noise, scanner, (field.pixel,) * 2)
    beyond = _outside(field)
    hu, owner = hu.masked_fill(beyond, AIR), owner[0].masked_fill(beyond, 0)
    return hu.flip(-1).clamp(LOWEST, HIGHEST).round().to(torch.int16).cpu(), owner.flip(-1).cpu()


def _develop(hu, noise, scanner, voxel, planes=slice(None)):
    """Point spread, kernel and noise; ``voxel`` in mm per axis of ``hu``, which is the part ``planes`` of ``noise``."""
    hu = smooth(hu, [scanner.psf / step for step in voxel])
    wide = [1.6] * 2 + [0.7] * (len(voxel) - 2)  # pixels: the kernel acts in two axes
    if scanner.kernel == "bone":
        hu = hu + scanner.overshoot * (hu - smooth(hu, wide))
        noise = noise - smooth(noise, wide)
    else:
        noise = smooth(noise, [1.0] * 2 + [0.5] * (len(voxel) - 2))
    return hu + scanner.noise / noise.std() * noise[planes]


def smooth(image, sigma):
    """Gaussian blur of the last ``len(sigma)`` axes by ``sigma`` samples each; borders repeat the last sample.

    A sum of shifted copies in a fixed order, so that the same bytes follow whatever library multiplies matrices.
    """
    first = image.dim() - len(sigma)
    for axis, width in enumerate(sigma, start=first):
        reach = math.ceil(3 * width)
        weight = [math.exp(-0.5 * (k / width) ** 2) for k in range(-reach, reach + 1)]
        n, total = image.shape[axis], sum(weight)
        low = image.narrow(axis, 0, 1).expand(*image.shape[:axis], reach, *image.shape[axis + 1 :])
        high = image.narrow(axis, n - 1, 1).expand(*image.shape[:axis], reach, *image.shape[axis + 1 :])
        padded = torch.cat([low, image, high], axis)
        image = torch.zeros_like(image)
        for k, w in enumerate(weight):
            image.add_(padded.narrow(axis, k, n), alpha=w / total)
    return image


def _outside(field):
    """Where the picture shows air, beyond the reformat of the examination."""
    scanner, size = field.ct.scanner, field.shape[0]
    at = (torch.arange(size, device=field.device, dtype=torch.float64) + 0.5 - size / 2).abs() * field.pixel
    beyond_z, beyond_y = at > scanner.rows * scanner.pixel / 2, at > scanner.columns * scanner.pixel / 2
    return beyond_z[:, None] | beyond_y[None, :]


def _annotate(field, mask, x):
    """Rows of :attr:`SliceTruth.frame` for one slice."""
    ct, size = field.ct, field.shape[0]
    for patch in field.patches:
        k = patch.k
        if patch.window is None or BODIES[k] not in LEVELS:
            continue
        rows, columns = torch.nonzero(mask == k + 1, as_tuple=True)
        if not len(rows):
            continue
        area, central = len(rows) * field.pixel**2, _section(Identity(ct), k, 0.0)
        inside = 1.0 if _clear(rows, columns, size, field) else min(area / _section(Identity(ct), k, x), 1.0)
        if inside < INSIDE or area / inside < SECTION * central:
            continue
        codes = _codes(ct, BODIES[k], x)
        yield {
            "level": BODIES[k],
            "xmin": int(columns.min()),
            "ymin": int(rows.min()),
            "xmax": min(int(columns.max()) + 1, size),
            "ymax": min(int(rows.max()) + 1, size),
            "inside": inside,
            **{code: code in codes for code in DISEASES},
            "normal": not codes,
        }


@functools.lru_cache(maxsize=64)
def _alone(wrapped, k) -> Field:
    """One body on a grid of 1 mm that holds all of it."""
    body = wrapped.value.bodies[k]
    box = np.array([[body.y - 32, body.y + 32, body.z - 32, body.z + 32]])
    return Field(wrapped.value, Grid(box, (64, 64)), only=k)


@functools.lru_cache(maxsize=1024)
def _section(wrapped, k, x):
    """Area of body ``k`` in the plane at ``x``, mm^2, wherever the picture ends."""
    inside, _ = _alone(wrapped, k).body(k, torch.tensor([x], dtype=torch.float64))
    return max(float((inside > 0).sum()), 1.0)


def _clear(rows, columns, size, field):
    """Whether a mask keeps off the border of the picture and of the examination."""
    scanner = field.ct.scanner
    for places, pixels in ((rows, scanner.rows), (columns, scanner.columns)):
        reach = min(pixels * scanner.pixel / 2 / field.pixel, size / 2) - 1
        if not size / 2 - reach <= int(places.min()) <= int(places.max()) <= size / 2 + reach - 1:
            return False
    return True


def _codes(ct, level, x):
    """Diseases of a vertebra that this slice shows; a fracture runs through the whole body."""
    disease = ct.diseases[BODIES.index(level)]
    codes = {code for code in disease.labels if code in ("OVCF", "OF") or disease.visible(code, x)}
    label = ct.patient.fractures.get(level)
    return codes | ({CODE_OF[label]} if label in CODE_OF else set())


def _box_centre(ct, level):
    """Middle of a box: y, z (mm) and x (whole mm)."""
    body = ct.bodies[BODIES.index(level)]
    shift = generator(*ct.key, level, "box").uniform(-BOX_JITTER, BOX_JITTER, 3)
    return body.y + shift[0], body.z + shift[1], round(shift[2])


@torch.no_grad()
def _box(ct, level, device, readers):
    """One box as int16 (z, y, x) and its masks."""
    k, field, x = _box_field(ct, level, device)
    hu = _box_hu(ct, level, field, x)
    distance = _depth_inside(field, k, x)
    found = {"truth": distance > 0}
    for reader in readers:
        found[reader] = distance + _reading(generator(*ct.key, level, "reader", reader), reader, field, k, x) > 0
    # rows fall and columns rise in the grid: z upwards, y backwards
    volume = hu.permute(2, 1, 0).flip((0, 1))
    masks = {name: mask.permute(1, 2, 0).flip((0, 1)).cpu() for name, mask in found.items()}
    return _whole(volume), masks


def _box_field(ct, level, device):
    """Body, field and lateral places of the planes of one box."""
    half = BOX / 2
    y, z, middle = _box_centre(ct, level)
    field = Field(ct, Grid(np.array([[y - half, y + half, z - half, z + half]]), (BOX, BOX), device=device))
    return BODIES.index(level), field, torch.arange(BOX, dtype=torch.float64, device=device) + 0.5 - half + middle


def _box_hu(ct, level, field, x, planes=slice(None)):
    """HU of some planes of a box, (x, y, z); right where all that the blur reaches is among them."""
    noise = generator(*ct.key, level, "volume noise").standard_normal((BOX, BOX, BOX))
    # Images are axial: the kernel acts in x and y, little along the table. Axes here: x, y, z.
    made = field.hounsfield(x[planes])[0].permute(0, 2, 1)
    return _develop(made, torch.as_tensor(noise, device=x.device), ct.scanner, (1.0, 1.0, 1.0), planes)


def _depth_inside(field, k, x):
    """Signed distance inside body ``k`` in the whole box, (x, z, y), mm; -99 far from it."""
    inside, window = field.body(k, x)
    distance = torch.full((BOX, BOX, BOX), -99.0, dtype=torch.float64, device=x.device)
    distance[(slice(None), *window)] = inside
    return distance


def _whole(hu):
    return hu.clamp(LOWEST, HIGHEST).round().to(torch.int16).cpu()


def _reading(rng, reader, field, k, x):
    """Displacement (mm, outward) of a reader's contour: landmarks around it on every fourth plane, joined smoothly."""
    if reader not in READERS:
        raise ValueError(f"unknown reader {reader!r}; known: {', '.join(READERS)}")
    sd, bias = READERS[reader]
    contours = math.ceil(len(x) / LANDMARK_STEP) + 2
    marks = bias + sd * rng.standard_normal((contours, LANDMARKS))
    body, patch = field.ct.bodies[k], next(p for p in field.patches if p.k == k)
    height = float(np.mean(body.over_u[:, 0] - body.over_u[:, 1]))
    u, v = patch.s.u / (body.depth / 2), (patch.s.v - float(body.over_u[:, :2].mean())) / (height / 2)
    angle = torch.atan2(v, u) / (2 * math.pi) * LANDMARKS  # (h, w)
    around = _hat_wrapped(angle, LANDMARKS)  # (h, w, LANDMARKS)
    along = torch.arange(len(x), dtype=torch.float64, device=x.device) / LANDMARK_STEP
    weight = (1 - (along[:, None] - torch.arange(contours, device=x.device)).abs()).clamp(min=0)
    drawn = torch.as_tensor(marks, device=x.device)
    shift = torch.zeros(len(x), *field.shape, dtype=torch.float64, device=x.device)
    shift[(slice(None), *patch.window)] = torch.einsum("xc,cl,hwl->xhw", weight, drawn, around)
    return shift


def _hat_wrapped(position, n):
    """Linear interpolation weights on a circle of ``n`` knots."""
    distance = (position[..., None] - torch.arange(n, dtype=position.dtype, device=position.device)).remainder(n)
    return (1 - torch.minimum(distance, n - distance)).clamp(min=0)
