"""Whole lateral radiographs of virtual patients: T8 to L5 on one film, from the scene parameters of the crops.

The film is framed on the patient: its edges, field and marker, the diaphragm, lung, ribs and skin, and every step of
its processing (exposure, scatter, compression, window) come from the *intact* spine. A fracture changes the pixels of
the spine and no others (:func:`spine_band` says where that is).

A broken spine is held upright: it is turned and shifted as a whole until its centres T8-L5 lie as close as possible to
those of the intact spine, as a patient does with hips and pelvis. The chain of
:func:`vcfkit.phantom.anatomy.align` alone would let a kyphosis carry T8 out of its ribs.

Order of the physics as in :mod:`vcfkit.phantom.render`. Bodies are rendered on small patches of the film, each on its
own pixels and in a fixed order; everything smooth on coarser grids over the same film.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, grid_sample, interpolate

from . import cohorts, scanner, scene
from .anatomy import BODIES, LEVELS, Alignment, align, generator
from .chord import ellipsoid_chord, to_frame
from .cohorts import VirtualPatient
from .grid import Grid
from .overlay import FilmOverlay
from .render import EXPOSURE, FWHM, MASK_CHORD, exposure_row, quantile
from .skeleton import (
    CORTEX_HU,
    POSTERIOR,
    POSTERIOR_HU,
    POSTERIOR_SHELL_HU,
    POSTERIOR_SHELL_MM,
    SOFT_HU,
    Skeleton,
    body,
    posterior_frame,
    stack_signs,
)
from .surroundings import FILM_BOTTOM, FILM_TOP, FilmSurroundings, draw_film_surroundings, draw_surroundings

HIGHEST = BODIES.index("T5")  # bodies above it never reach into the film
SHOWN = slice(BODIES.index(FILM_TOP), BODIES.index(FILM_BOTTOM) + 1)
FLEXION_MEAN, FLEXION_SD = -11.0, 11.0  # degrees, of the lumbar spine, lordotic positive
TEXTURED_BELOW = 1.0  # mm; larger pixels average the trabeculae away
COARSE = 2  # film pixels to a side of one pixel of the soft tissue, gas and ribs
CONTEXT_ROWS = 56  # of the grid of scatter, compression and window
SCATTER_MM, COMPRESSION_MM, EDGE_MM = 25.0, 18.0, 1.7  # sigmas
COMPRESSION_REST = 0.5  # of what a scanner row leaves uncompressed: a film must hold lung and abdomen in one window
AIR = 2.5  # in units of the logarithm below the exposure: darker is air, and does not count in the compression
DIRECT = 4.0  # times the exposure: a brighter beam has missed the patient
WINDOW_BELOW, WINDOW_ABOVE = 0.5, 0.35  # of the span of the window's quantiles, added on either side
WINDOW_TYPICAL = 0.25  # that span in the average film, in units of the logarithm
BAND_MM = (-22.0, 22.0)  # of the intact bodies' centres: where exposure and window are measured
MASK_BAND_MM = (-96.0, 48.0)  # of the intact bodies' centres: all that a fracture can change
VISIBLE = 0.6  # of the projected body that must lie inside the field
ROOM = (8.0, 4.0, 14.0)  # mm before, above and below a body: for spurs, and for the disc below
ROOM_SIGNS = (18.0, 14.0, 16.0)  # and for swelling in front of it
# The sacrum below S1 as ellipsoids: u and v from the centre of S1, half axes along u, v, x (mm), HU above muscle.
SACRUM = (
    (-7.0, -27.0, 14.0, 17.0, 26.0, 170.0),  # S2
    (-16.0, -55.0, 11.0, 17.0, 22.0, 150.0),  # S3
    (-8.0, -6.0, 17.0, 24.0, 28.0, 110.0),  # the wings, over S1
)
ACUITY = ("acute", "chronic")
STEEP = 0.3  # radians
PLATE_HU_MM = 2600.0  # of the posterior elements, averaged over a level
CHUNK = 64  # films per batch on an accelerator
CHUNK_CPU = 4


@dataclass(frozen=True)
class FilmScene:
    """One film: geometry, surroundings, exposure."""

    patient: VirtualPatient
    person: scene.Person
    wide: FilmSurroundings
    scanner: scanner.Scanner
    pose: Alignment  # of the broken spine, held upright


@dataclass(frozen=True)
class FilmTruth:
    """What one film shows, of the vertebrae that lie in its field, from cranial to caudal; pixels 0-based."""

    levels: tuple  # names, length k
    fractures: tuple  # "acute", "chronic", "pathologic", or "" for an unbroken vertebra
    acuity: tuple  # "acute", "chronic" or "", of pathologic fractures too where the cohort says it
    boxes: np.ndarray  # (k, 4) xmin, ymin, xmax, ymax of the projected bodies, pixels
    landmarks: np.ndarray  # (k, 6, 2) x, y in the order of truth.LANDMARKS, pixels
    masks: np.ndarray  # bool (k, h, w): projected bodies without posterior elements; they never overlap
    height_loss: np.ndarray  # (k,) largest loss as a fraction of the height; 0 for an unbroken vertebra
    mm_per_pixel: float


def whole_radiographs(references, *, size=224, device="cpu", truth: bool = False):
    """Render whole lateral radiographs.

    Parameters
    ----------
    references : pandas.DataFrame or sequence of str
        Phantom references of virtual patients (``.../film?...``), or a frame whose ``image`` holds them.
    size : int or (int, int)
        Rows and columns. Pixels are square: the height always spans T8-L5 of the intact spine with a margin, the width
        follows from the shape (paper 01: 224).
    device : str or torch.device
        On the CPU the bytes are the same whatever the batch; an accelerator agrees within 1e-3 of full scale.
    truth : bool
        Also return what every film shows.

    Returns
    -------
    torch.Tensor or (torch.Tensor, list of FilmTruth)
        uint8 (n, h, w), on the CPU.

    Raises
    ------
    ValueError
        If a side is below 32 pixels or a reference cannot be resolved.
    """
    images = list(references["image"]) if hasattr(references, "columns") else list(references)
    pictures, truths = [torch.empty((0, *_shape(size)), dtype=torch.uint8)], []
    for start in range(0, len(images), CHUNK):  # scenes are made as they are needed
        scenes = [film_of(image) for image in images[start : start + CHUNK]]
        picture, found = _films(scenes, _shape(size), torch.device(device), truth)
        pictures.append(picture)
        truths += found
    return (torch.cat(pictures), truths) if truth else torch.cat(pictures)


def film_of(image: str) -> FilmScene:
    """The film behind a phantom reference; its last field is ignored, every picture of a patient has the same film."""
    patient, _, nuisance = cohorts.resolve(image)
    return build(patient, nuisance=nuisance)


def build(patient: VirtualPatient, *, nuisance: float = 1.0) -> FilmScene:
    """The film of one virtual patient, whatever is broken."""
    person = recumbent(scene.person_of(patient, nuisance=nuisance))
    return FilmScene(
        patient=patient,
        person=person,
        wide=draw_film_surroundings(
            generator(*person.key, "film"), person.spine, person.intact, person.surroundings, nuisance=nuisance
        ),
        scanner=scanner.expose(patient.site, generator(*person.key, "exposure"), nuisance, device=patient.device),
        pose=upright(person.actual, person.intact),
    )


def recumbent(person: scene.Person) -> scene.Person:
    """The virtual patient lying on the side for a whole film, with everything that hangs on the intact spine.

    The alignment of :mod:`vcfkit.phantom.anatomy` has the lordosis of standing adults, 48 degrees with little
    variation. With bent hips it is 36.8 +- 13.2 degrees from L1 to S1 (627 adults, PMC6680033): the discs below L1-L5
    give way alike, and the sacrum takes most of the turn, so that the chest stays over the pelvis.
    """
    spine, part = person.spine, slice(BODIES.index("L1"), BODIES.index("S1"))
    bend = FLEXION_MEAN + FLEXION_SD * generator(*person.key, "posture").standard_normal()
    disc_angle = spine.disc_angle.copy()
    # As in draw_spine: a disc keeps 1 mm at either rim.
    widest = np.degrees(np.arctan(np.maximum(spine.disc - 1.0, 0.0) / (spine.d / 2)))[part]
    disc_angle[part] = np.clip(disc_angle[part] + bend / len(widest), -widest, widest)
    spine = replace(spine, disc_angle=disc_angle, sacral_slope=spine.sacral_slope + 0.75 * bend)
    intact = align(spine, scene.rims(spine, {}))
    return replace(
        person,
        spine=spine,
        intact=intact,
        actual=align(spine, scene.rims(spine, person.fractures)),
        surroundings=draw_surroundings(generator(*person.key, "surroundings"), spine, intact, nuisance=person.nuisance),
    )


def upright(actual: Alignment, intact: Alignment) -> Alignment:
    """The broken spine, turned and shifted so that its centres T8-L5 lie closest to those of the intact one."""
    a, b = (np.column_stack([pose.y, pose.z]) for pose in (actual, intact))
    centre_a, centre_b = a[SHOWN].mean(0), b[SHOWN].mean(0)
    da, db = a[SHOWN] - centre_a, b[SHOWN] - centre_b
    angle = np.arctan2((da[:, 0] * db[:, 1] - da[:, 1] * db[:, 0]).sum(), (da * db).sum())
    c, s = np.cos(angle), np.sin(angle)
    turned = (a - centre_a) @ np.array([[c, s], [-s, c]]) + centre_b
    return Alignment(y=turned[:, 0], z=turned[:, 1], tilt=actual.tilt + angle)


def films_of(scenes, *, size=224, device="cpu", truth: bool = False):
    """As :func:`whole_radiographs`, from scenes."""
    pictures, truths = _films(scenes, _shape(size), torch.device(device), truth)
    return (pictures, truths) if truth else pictures


def _films(scenes, shape, device, truth):
    step = CHUNK_CPU if device.type == "cpu" else CHUNK
    pictures = torch.empty((len(scenes), *shape), dtype=torch.uint8)
    truths = []
    for start in range(0, len(scenes), step):
        picture, found = render(scenes[start : start + step], shape=shape, device=device, truth=truth)
        pictures[start : start + step] = (picture * 255).round().to(torch.uint8).cpu()
        truths += found
    return pictures, truths


def _shape(size):
    shape = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    if len(shape) != 2 or min(shape) < 32:
        raise ValueError(f"a film needs a height and a width of at least 32 pixels, got {size}")
    return shape


@torch.no_grad()
def render(scenes, *, shape, device="cpu", truth=False):
    """Pictures in [0, 1] before quantisation, float64 (n, h, w), and the truths (an empty list unless asked for)."""
    row = exposure_row([s.scanner for s in scenes], device)
    row["drc"] = 1 - COMPRESSION_REST * (1 - row["drc"])
    box = frames(scenes, shape)
    overlay = FilmOverlay([s.person.surroundings for s in scenes], [s.wide for s in scenes], device)
    grid = Grid(box, shape, device=device)
    surroundings = _surroundings(Grid(box, _divide(shape, COARSE), device=device), overlay, row)
    around = _context(scenes, box, surroundings, row)

    bone = torch.zeros(len(scenes), *shape, dtype=torch.float64, device=device)
    found = _add_broken_spine(bone, grid, scenes, truth)
    path = _attenuation(bone, _enlarge(surroundings, shape), row)
    primary = torch.exp(-path - around["reference"])
    noisy = primary + _noise(scenes, grid) * torch.sqrt(primary * (1 + row["spr"]) / _photons(grid, row))
    detected = _blur(noisy, row["mtf"] / FWHM, grid) + row["spr"] * _enlarge(around["scatter"], shape)
    film = -torch.log(detected.clamp(min=1e-3))
    film = film - row["drc"] * _enlarge(around["lowpass"], shape)
    film = film + row["unsharp"] * (film - _blur(film, EDGE_MM, grid))
    shown = ((film - around["low"]) / (around["high"] - around["low"])).clamp(0, 1) ** row["gamma"]
    _collimate(shown, grid, scenes)
    return shown, found


def frames(scenes, shape):
    """Edges of the films, mm: y0, y1, z0, z1; (n, 4)."""
    middle, bottom, top = np.array([s.wide.frame for s in scenes]).T
    half = (top - bottom) * shape[1] / shape[0] / 2
    return np.column_stack([middle - half, middle + half, bottom, top])


def spine_band(scenes, shape):
    """Where the intact spine and its processes lie, with room for a broken one; bool (n, h, w).

    The band follows the anatomy of the virtual patient and not the fractured spine: outside of it, a film is the same
    whatever is broken.
    """
    grid = Grid(frames(scenes, shape), shape)
    overlay = FilmOverlay([s.person.surroundings for s in scenes], [s.wide for s in scenes], "cpu")
    aside = grid.columns[:, None, :] - overlay.profile("spine", grid)
    return (aside > MASK_BAND_MM[0]) & (aside < MASK_BAND_MM[1])


# Surroundings and processing


def _surroundings(grid, overlay, row):
    """Bone and soft tissue around the spine, in HU x mm after the weighting of bone."""
    shape = (len(grid.rows), grid.rows.shape[1], grid.columns.shape[1])
    bone = torch.zeros(shape, dtype=torch.float64, device=grid.rows.device)
    soft = torch.zeros_like(bone)
    overlay.add_bone(bone, grid)
    overlay.add_upper_ribs(bone, grid)
    overlay.add_trunk(soft, grid)
    overlay.add_air(soft, grid)
    return bone * scanner.bone_factor(row["kvp"]) + soft


def _divide(shape, step):
    return tuple(-(-n // step) for n in shape)


def _attenuation(bone, surroundings, row):
    return scanner.water_per_mm(row["kvp"]) * (bone * scanner.bone_factor(row["kvp"]) + surroundings) / 1000


def _context(scenes, box, surroundings, row):
    """Exposure, scatter, low-pass and window of the film, from the intact spine."""
    step = max(1, round(surroundings.shape[1] / CONTEXT_ROWS))
    small = _divide(surroundings.shape[1:], step)
    grid = Grid(box, small, device=surroundings.device)
    bone = torch.zeros(len(scenes), *small, dtype=torch.float64, device=surroundings.device)
    _add_intact_spine(bone, grid, scenes)
    path = _attenuation(bone, adaptive_avg_pool2d(surroundings, small), row)
    band = _band_points(scenes, grid, path)
    # Automatic exposure control: the median transmission behind the lumbar spine is 1.
    reference = -quantile(band(path, lumbar=True), torch.full_like(row["low"], 0.5))
    primary = torch.exp(-path - reference)
    scatter = grid.blur(primary.clamp(max=DIRECT), SCATTER_MM)  # the direct beam beside the patient scatters nothing
    film = -torch.log((primary + row["spr"] * scatter).clamp(min=1e-3))
    patient = (film + AIR).clamp(0, 1) + 1e-3
    lowpass = grid.blur(film * patient, COMPRESSION_MM) / grid.blur(patient, COMPRESSION_MM)
    lowpass = lowpass.clamp(min=-AIR)
    ordered = band(film - row["drc"] * lowpass)
    low, high = quantile(ordered, row["low"]), quantile(ordered, row["high"])
    # Half of the width follows the film: a window as wide as the contrast of bone would hide how dense the bone is.
    middle, span = (low + high) / 2, ((high - low) * WINDOW_TYPICAL).sqrt()
    return {
        "reference": reference,
        "scatter": scatter,
        "lowpass": lowpass,
        "low": middle - (0.5 + WINDOW_BELOW) * span,
        "high": middle + (0.5 + WINDOW_ABOVE) * span,
    }


def _band_points(scenes, grid, field):
    """Reader of sorted values of a field along the intact spine, T9 to L5; (B, number of points)."""
    at = {level: k for k, level in enumerate(BODIES)}
    z, aside = np.linspace(0, 1, 40), np.linspace(*BAND_MM, 10)
    points, count = [], 24  # the lower 24 of 40 heights count as lumbar
    for s in scenes:
        intact = s.person.intact
        height = intact.z[at["L5"]] + z * (intact.z[at["T9"]] - intact.z[at["L5"]])
        across = np.interp(height, s.wide.z, s.wide.spine)[:, None] + aside
        points.append(np.stack(np.broadcast_arrays(across, height[:, None])))
    y, z = torch.as_tensor(np.array(points), device=field.device).unbind(1)  # (B, 40, 10)
    y0, y1, z0, z1 = grid.box.view(-1, 4, 1, 1).unbind(1)
    place = torch.stack([2 * (y - y0) / (y1 - y0) - 1, 1 - 2 * (z - z0) / (z1 - z0)], -1)

    def band(values, lumbar=False):
        read = grid_sample(values[:, None], place, padding_mode="border", align_corners=False)
        return read[:, 0, : count if lumbar else None].flatten(1).sort(1).values

    return band


def _enlarge(field, shape):
    """Bilinear values of a field at the pixels of the film, over the same frame."""
    return interpolate(field[:, None], size=shape, mode="bilinear", align_corners=False)[:, 0]


def _blur(image, sigma, grid):
    """Gaussian blur by ``sigma`` mm, broadcastable to (B, 1, 1): shifts and weights, the border repeated."""
    sigma = torch.as_tensor(sigma, dtype=image.dtype, device=image.device) / grid.pixel[..., 0]
    reach = max(1, int(np.ceil(3.2 * float(sigma.max()))))
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device).view(-1, 1, 1, 1)
    weight = torch.exp(-0.5 * (offsets / sigma) ** 2) * (offsets.abs() <= 3.2 * sigma + 1)
    weight = weight / weight.sum(0)
    for axis in (1, 2):
        n = image.shape[axis]
        index = torch.arange(-reach, n + reach, device=image.device).clamp(0, n - 1)
        padded = image.index_select(axis, index)
        image = weight[reach] * padded.narrow(axis, reach, n)
        for k in range(reach):
            image += weight[k] * (padded.narrow(axis, k, n) + padded.narrow(axis, 2 * reach - k, n))
    return image


def _photons(grid, row):
    """Photons per pixel at the reference transmission: those of the detector area it stands for."""
    area = (grid.pixel_y * grid.pixel_z).view(-1, 1, 1) * (scanner.MAGNIFICATION / scanner.DETECTOR_PITCH) ** 2
    return row["n0"] / EXPOSURE * area


def _noise(scenes, grid):
    """Standard normal noise, drawn on the CPU from the stream of each virtual patient."""
    shape = (grid.rows.shape[1], grid.columns.shape[1])
    drawn = [generator(*s.person.key, "film", "noise").standard_normal(shape) for s in scenes]
    return torch.as_tensor(np.stack(drawn), device=grid.columns.device)


def _collimate(shown, grid, scenes):
    """Black outside the field, and the marker of sites that use one inside its edge."""
    for k, s in enumerate(scenes):
        _, _, z0, z1 = grid.box[k].tolist()
        middle, half, turn, upper, lower = s.wide.field
        y, z = grid.columns[k][None, :] - middle, grid.rows[k][:, None]
        across = y + turn * (z - (z0 + z1) / 2)
        side, height, size = s.wide.marker
        if s.scanner.marker != "none":
            size = size if s.scanner.marker == "letter" else 0.8 * size
            edge = min(half, (grid.box[k, 1] - grid.box[k, 0]).item() / 2)
            du = across - side * (edge - size) + size / 2
            dv = z - (z0 + lower + 6 + height * (z1 - z0 - upper - lower - 12 - size))
            inside = (du >= 0) & (du <= size) & (dv >= 0) & (dv <= size)
            if s.scanner.marker == "letter":  # an L
                inside &= (du <= 0.22 * size) | (dv <= 0.22 * size)
            shown[k][inside] = 1.0
        aperture = ((half - across.abs()) / 2 + 0.5).clamp(0, 1)  # a penumbra of 2 mm
        cut = torch.minimum(z1 - upper - z, z - z0 - lower)
        shown[k] *= aperture * ((cut / 2 + 0.5).clamp(0, 1) if upper or lower else 1.0)


# Spine


class Patches:
    """One small window of its own film for each of R bodies; all windows of a call have one shape."""

    def __init__(self, grid, film, y, z, reach_y, reach_z):
        h, w = grid.rows.shape[1], grid.columns.shape[1]
        box = grid.box.cpu().numpy()[film]
        pixel = (box[:, 1] - box[:, 0]) / w
        self.film = film
        self.width = min(int(np.ceil(2 * reach_y / pixel).max()) + 2, w)
        self.height = min(int(np.ceil(2 * reach_z / pixel).max()) + 2, h)
        self.left = np.clip(np.floor((y - reach_y - box[:, 0]) / pixel).astype(int), 0, w - self.width)
        self.top = np.clip(np.floor((box[:, 3] - z - reach_z) / pixel).astype(int), 0, h - self.height)
        self.rows, self.columns = grid.rows, grid.columns
        device = grid.rows.device
        which = torch.as_tensor(film, device=device)[:, None]
        across = torch.as_tensor(self.left, device=device)[:, None] + torch.arange(self.width, device=device)
        down = torch.as_tensor(self.top, device=device)[:, None] + torch.arange(self.height, device=device)
        self.y = grid.columns[which, across][:, None, None, :]
        self.z = grid.rows[which, down][:, None, :, None]
        self.pixel = grid.pixel[which[:, 0]]

    def points(self, window=None):
        """y (R, 1, 1, w) and z (R, 1, h, 1)."""
        return self.y, self.z

    def place(self, r):
        """Film, rows and columns of patch ``r``."""
        top, left = self.top[r], self.left[r]
        return self.film[r], slice(top, top + self.height), slice(left, left + self.width)

    def add(self, canvas, values):
        """Add the patches to the films, one by one in their order: so a sum does not depend on the batch."""
        for r in range(len(self.film)):
            canvas[self.place(r)] += values[r]


def _reach(bodies, half_u, half_v):
    """Half extents along y and z of rectangles ``half_u`` x ``half_v`` in the bodies' frames."""
    tilt = np.array([b.tilt for b in bodies])
    c, s = np.abs(np.cos(tilt)), np.abs(np.sin(tilt))
    return half_u * c + half_v * s, half_u * s + half_v * c


def _windows(bodies, room_u, above, below):
    """Centres and half extents of the windows that hold bodies with some room around them, mm."""
    y, z, tilt, depth, hp = np.array([(b.y, b.z, b.tilt, b.depth, b.hp) for b in bodies]).T
    lower = (above - below) / 2
    y, z = y - lower * np.sin(tilt), z + lower * np.cos(tilt)
    return y, z, *_reach(bodies, depth / 2 + room_u, (hp + above + below) / 2)


def _inside(box, windows):
    y, z, reach_y, reach_z = windows
    return (y + reach_y > box[:, 0]) & (y - reach_y < box[:, 1]) & (z + reach_z > box[:, 2]) & (z - reach_z < box[:, 3])


def _part(bodies, device):
    """Geometry and material of R bodies, each of its own row."""
    return Skeleton([[b] for b in bodies], device).part(0)


def _groups(bodies, films, grid, windows):
    """Rows whose window touches its film, the steep lumbosacral ones apart: their windows are larger."""
    seen = np.flatnonzero(_inside(grid.box.cpu().numpy()[films], windows))
    steep = np.array([abs(bodies[r].tilt) > STEEP for r in seen], dtype=bool)
    return [rows for rows in (seen[~steep], seen[steep]) if len(rows)]


def _add_broken_spine(canvas, grid, scenes, truth):
    """The spine as it is; returns the truths, an empty list unless asked for."""
    box = grid.box.cpu().numpy()
    textured = float(grid.pixel.max()) < TEXTURED_BELOW
    plain, signed = [], []  # (film, k, Body, TargetSigns)
    for f, s in enumerate(scenes):
        for k in range(HIGHEST, len(BODIES)):
            if s.pose.z[k] + 50 < box[f, 2] or s.pose.z[k] - 50 > box[f, 3]:
                continue
            wear, at = s.person.wear(k), BODIES[k]
            marked = at in s.person.fractures or wear.limbus or wear.vacuum or s.person.primitives.get(at)
            made = scene.body_of(s.person, k, target=marked, alignment=s.pose, textured=textured)
            (signed if marked else plain).append((f, k, made))

    shares = _add_bodies(canvas, grid, plain, ROOM)
    signs = [scene.target_signs(scenes[f].person, k, made) for f, k, made in signed]
    shares |= _add_bodies(canvas, grid, signed, ROOM_SIGNS, signs)
    everything = sorted(plain + signed, key=lambda row: row[:2])
    _add_posterior(canvas, grid, everything)
    _add_sacrum(canvas, grid, [row for row in everything if BODIES[row[1]] == "S1"])
    if not truth:
        return []
    return [_truth(s, f, grid, {k: made for g, k, made in everything if g == f}, shares) for f, s in enumerate(scenes)]


def _add_intact_spine(canvas, grid, scenes):
    """Unbroken bodies for the context, whose pixels are as large as a disc: cortex and trabeculae as one mean."""
    part = slice(HIGHEST, len(BODIES))
    rows = []
    for s in scenes:
        spine, pose = s.person.spine, s.person.intact
        height = (spine.ha + spine.hp) / 2
        cortex = 2 * spine.endplate / height + 2 * spine.wall * (1 / spine.w + 1 / spine.d)
        hu = 1.15 * spine.hu - SOFT_HU + (CORTEX_HU - SOFT_HU) * cortex
        rows.append(np.column_stack([pose.y, pose.z, pose.tilt, spine.d, spine.w, height, hu])[part])
    count = len(rows[0])
    y, z, tilt, depth, width, height, hu = np.concatenate(rows).T
    c, s = np.abs(np.cos(tilt)), np.abs(np.sin(tilt))
    reach = (depth / 2 + 70) * c + height * s, (depth / 2 + 70) * s + height * c
    patches = Patches(grid, np.repeat(np.arange(len(scenes)), count), y, z, *reach)
    y, z, tilt, depth, width, height, hu = (
        torch.as_tensor(value, device=canvas.device).view(-1, 1, 1) for value in (y, z, tilt, depth, width, height, hu)
    )
    dy, dz = patches.y[:, 0] - y, patches.z[:, 0] - z
    u, v = dy * torch.cos(tilt) + dz * torch.sin(tilt), dz * torch.cos(tilt) - dy * torch.sin(tilt)
    pixel = patches.pixel[:, 0]
    across = (1 - (2 * u / depth).abs() ** scene.EXPONENT).clamp(min=0) ** (1 / scene.EXPONENT)
    made = hu * width * across * ((height / 2 - v.abs()) / pixel + 0.5).clamp(0, 1)
    # The posterior elements of a level as one plate.
    plate = ((32 - (u + depth / 2 + 30).abs()) / pixel + 0.5).clamp(0, 1) * (1 - (v / height).abs()).clamp(min=0)
    patches.add(canvas, made + PLATE_HU_MM * plate)


def _add_bodies(canvas, grid, rows, room, signs=None):
    """Add bodies, with their signs if given; returns (film, k) -> (place in the canvas, chord over the width)."""
    if not rows:
        return {}
    films, bodies = np.array([f for f, *_ in rows]), [made for *_, made in rows]
    windows = _windows(bodies, *room)
    shares = {}
    for chosen in _groups(bodies, films, grid, windows):
        patches = Patches(grid, films[chosen], *(value[chosen] for value in windows))
        geometry, material = _part([bodies[r] for r in chosen], canvas.device)
        if signs is None:
            bone, share = body(patches, None, geometry, material, None)
        else:
            stacked = stack_signs([signs[r] for r in chosen], canvas.device)
            bone, share = body(patches, None, geometry, material, stacked)
            bone = bone * _support(patches, geometry, material, room)
        patches.add(canvas, bone)
        shares |= {rows[r][:2]: (patches.place(i), share[i]) for i, r in enumerate(chosen)}
    return shares


def _support(patches, geometry, material, room):
    """1 around a body, 0 at the edge of its own window, whatever the window of its neighbours in the batch."""
    u, v = to_frame(*patches.points(), geometry)
    in_u = (geometry.depth[..., None, None] / 2 + room[0] - u.abs()) / 4
    in_v = torch.minimum(material["hp"] / 2 + room[1] - v, material["hp"] / 2 + room[2] + v) / 4
    return (in_u.clamp(0, 1) * in_v.clamp(0, 1))[:, 0]


def _add_posterior(canvas, grid, rows):
    """Pedicles and processes: every element on a window of its own, the long spinous processes apart."""
    bodies = [made for *_, made in rows]
    films = np.array([f for f, *_ in rows])
    pose = {name: np.array([getattr(b, name) for b in bodies]) for name in ("y", "z", "tilt", "depth", "hp")}
    shift = np.array([[np.tan(b.rotation), b.slope] for b in bodies])
    table = np.array(POSTERIOR)
    for elements in (np.arange(len(table) - 1), np.array([len(table) - 1])):
        r, e = (value.ravel() for value in np.meshgrid(np.arange(len(rows)), elements, indexing="ij"))
        u0, v0, ru, rv, rx, angle, side = table[e].T
        here = {name: value[r] for name, value in pose.items()}
        size, angle = here["depth"] / 31, np.radians(angle)
        ru, rv = ru * size, rv * here["hp"]
        u = -here["depth"] / 2 + u0 * size + side * shift[r, 0]
        v = v0 * here["hp"] + side * shift[r, 1]
        c, s = np.cos(here["tilt"]), np.sin(here["tilt"])
        inclined = np.abs(here["tilt"] + angle)
        windows = (
            here["y"] + u * c - v * s,
            here["z"] + u * s + v * c,
            np.hypot(ru * np.cos(inclined), rv * np.sin(inclined)),
            np.hypot(ru * np.sin(inclined), rv * np.cos(inclined)),
        )
        seen = np.flatnonzero(_inside(grid.box.cpu().numpy()[films[r]], windows))
        patches = Patches(grid, films[r[seen]], *(value[seen] for value in windows))
        geometry, material = _part(bodies, canvas.device)
        chosen = torch.as_tensor(r[seen], device=canvas.device)
        numbers = np.stack([u0, v0, np.cos(angle), np.sin(angle), side, ru, rv, rx, e == 0])[:, seen]
        u0, v0, c, s, side, ru, rv, rx, first = torch.as_tensor(numbers, device=canvas.device)[..., None, None, None]
        geometry = geometry.rows(chosen)
        material = {name: material[name][chosen] for name in ("hp", "rotation", "pedicle")}
        u, v = to_frame(*patches.points(), geometry)
        du, dv, _ = posterior_frame(u, v, geometry, material, u0, v0, c, s, side)
        outer = ellipsoid_chord(du, dv, ru, rv, rx)
        # As in a body: a shell thinner than a pixel is widened and thinned in density; at least to twice its thickness,
        # since nothing in a real arch is as smooth as an ellipsoid's outline.
        thinnest = torch.minimum(torch.minimum(ru, rv), rx)
        t = torch.minimum(patches.pixel.clamp(min=2 * POSTERIOR_SHELL_MM), 0.5 * thinnest)
        inner = ellipsoid_chord(du, dv, ru - t, rv - t, rx - t)
        shell = POSTERIOR_SHELL_HU * POSTERIOR_SHELL_MM / t
        kept = 1 - first * (1 - material["pedicle"])
        patches.add(canvas, (kept * (shell * (outer - inner) + POSTERIOR_HU * inner))[:, 0])


def _add_sacrum(canvas, grid, rows):
    if not rows:
        return
    films, bodies = np.array([f for f, *_ in rows]), [made for *_, made in rows]
    patches = Patches(grid, films, *_windows(bodies, 24.0, 24.0, 66.0))
    u, v = to_frame(*patches.points(), _part(bodies, canvas.device)[0])
    patches.add(canvas, sum(hu * ellipsoid_chord(u - u0, v - v0, *radii) for u0, v0, *radii, hu in SACRUM)[:, 0])


def _truth(s, f, grid, bodies, shares):
    """Vertebrae of film ``f`` whose projected body lies in the field by at least :data:`VISIBLE`."""
    y0, y1, z0, z1 = grid.box[f].tolist()
    pixel = float(grid.pixel[f])
    middle, half, _, upper, lower = s.wide.field
    field = max(y0, middle - half), min(y1, middle + half), z0 + lower, z1 - upper
    found = []
    for k in sorted(bodies):
        marks, b = scene.outline(bodies[k])
        wide, high = min(b[1], field[1]) - max(b[0], field[0]), min(b[3], field[3]) - max(b[2], field[2])
        inside = max(wide, 0.0) * max(high, 0.0)
        if BODIES[k] not in LEVELS or (f, k) not in shares or inside < VISIBLE * (b[1] - b[0]) * (b[3] - b[2]):
            continue
        mask = np.zeros((grid.rows.shape[1], grid.columns.shape[1]), dtype=bool)
        (_, rows, columns), share = shares[f, k]
        mask[rows, columns] = (share > MASK_CHORD).cpu().numpy()
        fracture = s.person.fractures.get(BODIES[k])
        found.append(
            (
                BODIES[k],
                fracture.label if fracture else "",
                s.patient.acuity.get(BODIES[k], fracture.label if fracture and fracture.label in ACUITY else ""),
                ((b[0] - y0) / pixel, (z1 - b[3]) / pixel, (b[1] - y0) / pixel, (z1 - b[2]) / pixel),
                np.column_stack([(marks[:, 0] - y0) / pixel, (z1 - marks[:, 1]) / pixel]),
                mask,
                fracture.largest_loss if fracture else 0.0,
            )
        )
    levels, fractures, acuity, boxes, landmarks, masks, losses = zip(*found, strict=True)
    return FilmTruth(
        levels, fractures, acuity, np.array(boxes), np.array(landmarks), np.array(masks), np.array(losses), pixel
    )
