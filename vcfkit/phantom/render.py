"""Lateral radiograph crops of single vertebrae, from scenes to uint8 pictures.

Order of the physics: HU along the ray -> attenuation (Beer-Lambert) -> quantum noise -> detector blur -> scatter ->
logarithm -> dynamic-range compression -> edge filter -> window -> gamma. Lengths are mm throughout, so that a box
resized to a square keeps its noise and blur.

Scatter, compression and window of a real film depend on the whole film. Here they come from a *context patch* of
120 x 140 mm around the target, rendered coarsely from the virtual patient's intact spine and surroundings. No
fracture and no sign enters the patch, so these steps cannot carry a label; at the scale they act on (25-38 mm) the
signs of one vertebra would hardly show.

Arithmetic is float64 and every sample is drawn from its own streams; nothing mixes the samples of a batch, and what
is culled is exactly zero. So a picture does not depend on the batch, and the last bits, which another instruction set
may change, are gone after quantisation to 8 bits.
"""

from dataclasses import replace

import numpy as np
import torch

from . import cohorts, scanner, scene
from .anatomy import generator
from .grid import Grid
from .overlay import Overlay
from .skeleton import Skeleton, add_coarse_spine, add_spine, stack_signs

SCATTER_MM, COMPRESSION_MM, EDGE_MM = 25.0, 16.0, 1.7  # sigmas; compression and edge filters are 38 and 4 mm wide
FWHM = 2.355  # sigmas; the blur of a scanner row is a full width at half maximum
CONTEXT_MM = (-45.0, 75.0, -70.0, 70.0)  # y and z around the target
CONTEXT_SHAPE = (48, 40)
COLUMN = slice(8, 26)  # columns of the context that hold the spine: y from -21 to 33 mm
# The patch is coarser than the film: fine endplates and noise need room beyond its quantiles (our choice, by eye).
WINDOW_BELOW, WINDOW_ABOVE = 0.25, 0.35
EXPOSURE = 100  # n0 / EXPOSURE photons reach a detector pixel behind the spine
MASK_CHORD = 0.25  # of the width: the projected body
CHUNK, CHUNK_SMALL, SMALL = 64, 4, 128  # samples per batch: on an accelerator; on the CPU below 128 pixels, else 1


def vertebra_crops(samples, *, size: int = 224, device="cpu", masks: bool = False):
    """Render the crops of a samples frame.

    Parameters
    ----------
    samples : pandas.DataFrame
        Rows whose ``image`` is a phantom reference; nothing else of a row is read.
    size : int
        Rows and columns of the result; the box is resized without keeping its aspect ratio (paper 001: 224).
    device : str or torch.device
        On the CPU the bytes are the same whatever the batch; an accelerator agrees within 1e-3 of full scale.
    masks : bool
        Also return the projected body of the target, without posterior elements.

    Returns
    -------
    torch.Tensor or tuple
        uint8 (n, size, size), on the CPU; with ``masks`` also bool (n, size, size).

    Raises
    ------
    ValueError
        If ``size`` is below 16 or a reference cannot be resolved.
    """
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}")
    pictures, bodies, _ = _pictures(samples, scene_of, size, device)
    return (pictures, bodies) if masks else pictures


def vertebra_windows(samples, *, size: int = 128, mm_per_pixel: float = 0.5, device="cpu"):
    """Square windows of the film around single vertebrae, at one pixel size for all: what radiomics needs.

    Parameters
    ----------
    samples : pandas.DataFrame
        As for :func:`vertebra_crops`.
    size : int
        Rows and columns.
    mm_per_pixel : float
        At the object; 128 pixels of 0.5 mm hold one body and the edges of its neighbours.
    device : str or torch.device
        As for :func:`vertebra_crops`.

    Returns
    -------
    torch.Tensor, torch.Tensor, array
        uint8 (n, size, size); bool (n, size, size), the projected bodies without posterior elements, discs or fat;
        landmarks (n, 6, 2) as x, y in pixels, in the order of :data:`vcfkit.phantom.truth.LANDMARKS`.

    Raises
    ------
    ValueError
        If ``size`` is below 16, the pixel size is not positive, or a reference cannot be resolved.
    """
    if size < 16 or mm_per_pixel <= 0:
        raise ValueError(f"size must be at least 16 and mm_per_pixel positive, got {size} and {mm_per_pixel}")
    side = size * mm_per_pixel
    pictures, bodies, found = _pictures(samples, lambda image: windowed(scene_of(image), side), size, device)
    marks = np.array([(marks - box[[0, 3]]) * (1, -1) for marks, box in found]).reshape(-1, 6, 2)
    return pictures, bodies, marks / mm_per_pixel


def windowed(s: scene.Scene, side: float) -> scene.Scene:
    """The scene with a square box of ``side`` mm about the middle of the reader's box."""
    y, z = (s.box[0] + s.box[1]) / 2, (s.box[2] + s.box[3]) / 2
    return replace(s, box=np.array([y - side / 2, y + side / 2, z - side / 2, z + side / 2]))


def _pictures(samples, scene_of_image, size, device):
    """Pictures, body masks, and (landmarks, box) in mm; scenes are made as they are needed."""
    device, images = torch.device(device), list(samples["image"])
    step = CHUNK if device.type != "cpu" else CHUNK_SMALL if size < SMALL else 1
    pictures = torch.empty((len(images), size, size), dtype=torch.uint8)
    bodies = torch.empty((len(images), size, size), dtype=torch.bool)
    found = []
    for start in range(0, len(images), step):
        scenes = [scene_of_image(image) for image in images[start : start + step]]
        picture, body = render(scenes, size=size, device=device)
        pictures[start : start + step] = (picture * 255).round().to(torch.uint8).cpu()
        bodies[start : start + step] = body.cpu()
        found += [(s.landmarks, s.box) for s in scenes]
    return pictures, bodies, found


def scene_of(image: str) -> scene.Scene:
    """The scene behind a phantom reference."""
    patient, level, nuisance = cohorts.resolve(image)
    return scene.build(patient, level, nuisance=nuisance)


@torch.no_grad()
def render(scenes, *, size: int, device="cpu"):
    """Pictures in [0, 1] before quantisation, float64 (n, size, size), and body masks, bool (n, size, size)."""
    grid = Grid.of_crops([s.box for s in scenes], size, device)
    row = exposure_row([s.scanner for s in scenes], device)
    overlay = Overlay(scenes, device)
    excess, target = _excess(scenes, grid, overlay, row)
    around = _context(scenes, overlay, row, device)

    primary = torch.exp(-scanner.water_per_mm(row["kvp"]) * excess - around["reference"])
    noisy = primary + _noise(scenes, grid) * torch.sqrt(primary * (1 + row["spr"]) / photons(grid, row))
    detected = grid.blur(noisy, row["mtf"] / FWHM) + row["spr"] * grid.resample(around["scatter"], around["grid"])
    film = -torch.log(detected.clamp(min=1e-3))
    film = film - row["drc"] * grid.resample(around["lowpass"], around["grid"])
    film = film + row["unsharp"] * (film - grid.blur(film, EDGE_MM))
    shown = ((film - around["low"]) / (around["high"] - around["low"])).clamp(0, 1) ** row["gamma"]
    _burn_marker(shown, grid, scenes)
    body = grid.downsample((target > MASK_CHORD).to(shown.dtype), size) > 0.5
    return grid.downsample(shown, size), body


def exposure_row(scanners, device):
    """The numbers of B exposures as tensors (B, 1, 1)."""
    row = {
        name: torch.as_tensor([getattr(s, name) for s in scanners], dtype=torch.float64, device=device)
        for name in ("kvp", "spr", "n0", "mtf", "unsharp", "gamma", "drc", "low", "high")
    }
    return {name: value.view(-1, 1, 1) for name, value in row.items()}


def _excess(scenes, grid, overlay, row):
    """Excess attenuation of the crops as mm of water, (B, h, w), and the target's chord over its width."""
    device = grid.columns.device
    skeleton = Skeleton([s.bodies for s in scenes], device)
    signs = stack_signs([s.signs for s in scenes], device)
    bone = torch.zeros(len(scenes), grid.rows.shape[1], grid.columns.shape[1], dtype=torch.float64, device=device)
    soft = torch.zeros_like(bone)
    target = add_spine(bone, grid, skeleton, signs)
    overlay.add_bone(bone, grid)
    overlay.add_trunk(soft, grid)
    overlay.add_air(soft, grid)
    return (bone * scanner.bone_factor(row["kvp"]) + soft) / 1000, target


def _context(scenes, overlay, row, device):
    """What the processing takes from the film: exposure, scatter, low-pass, window; from the intact spine alone."""
    centre = np.array([s.context_centre for s in scenes])
    grid = Grid(centre[:, [0, 0, 1, 1]] + np.array(CONTEXT_MM), CONTEXT_SHAPE, device=device)
    skeleton = Skeleton([s.context for s in scenes], device)
    bone = torch.zeros(len(scenes), *CONTEXT_SHAPE, dtype=torch.float64, device=device)
    soft = torch.zeros_like(bone)
    add_coarse_spine(bone, grid, skeleton)
    overlay.add_bone(bone, grid)
    overlay.add_trunk(soft, grid)
    overlay.add_air(soft, grid)
    path = scanner.water_per_mm(row["kvp"]) * (bone * scanner.bone_factor(row["kvp"]) + soft) / 1000
    # Automatic exposure control: the median transmission behind the spine is 1.
    reference = -path[:, :, COLUMN].flatten(1).median(1).values.view(-1, 1, 1)
    primary = torch.exp(-path - reference)
    scatter = grid.blur(primary, SCATTER_MM)
    film = -torch.log((primary + row["spr"] * scatter).clamp(min=1e-3))
    lowpass = grid.blur(film, COMPRESSION_MM)
    column = (film - row["drc"] * lowpass)[:, :, COLUMN].flatten(1).sort(1).values
    low, high = quantile(column, row["low"]), quantile(column, row["high"])
    span = high - low
    return {
        "grid": grid,
        "reference": reference,
        "scatter": scatter,
        "lowpass": lowpass,
        "low": low - WINDOW_BELOW * span,
        "high": high + WINDOW_ABOVE * span,
    }


def quantile(ordered, share):
    """Quantile ``share`` (B, 1, 1) of every row of sorted values (B, n), linear; (B, 1, 1)."""
    position = share.view(-1, 1) * (ordered.shape[1] - 1)
    index = position.floor().long().clamp(max=ordered.shape[1] - 2)
    low, high = ordered.gather(1, index), ordered.gather(1, index + 1)
    return torch.lerp(low, high, position - index)[..., None]


def photons(grid, row):
    """Photons per rendered pixel at the reference transmission: those of the detector area it stands for."""
    area = (grid.pixel_y * grid.pixel_z).view(-1, 1, 1) * (scanner.MAGNIFICATION / scanner.DETECTOR_PITCH) ** 2
    return row["n0"] / EXPOSURE * area


def _noise(scenes, grid):
    """Standard normal noise on the rendered pixels, drawn on the CPU from the stream of each virtual vertebra."""
    shape = (grid.rows.shape[1], grid.columns.shape[1])
    drawn = [
        generator(s.patient.seed, s.patient.stem, s.patient.patient_id, s.level, "noise").standard_normal(shape)
        for s in scenes
    ]
    return torch.as_tensor(np.stack(drawn), device=grid.columns.device)


def _burn_marker(shown, grid, scenes):
    """Write the lead marker into pictures of sites that use one, where it happens to lie inside the crop."""
    for k, s in enumerate(scenes):
        y0, z0, size = s.surroundings.marker
        if s.scanner.marker == "none" or size == 0:
            continue
        y, z = (grid.columns[k] - y0)[None, :], (grid.rows[k] - z0)[:, None]
        inside = (y >= 0) & (y <= size) & (z >= 0) & (z <= size)
        if s.scanner.marker == "letter":  # an L
            inside &= (y <= 0.2 * size) | (z <= 0.2 * size)
        shown[k][inside] = 1.0
