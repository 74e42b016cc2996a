"""Point evaluation of a virtual spine: HU of sagittal planes, from the parameters that the radiograph integrates.

A body of the radiograph is a superellipse of depth and width between two endplates that are quadratic in the lateral
coordinate x. Here the same functions are evaluated at given x instead of being integrated over it, so that the sum of
many planes is the radiograph's chord. Signed distances (mm, positive inside) turn into coverage of a pixel over one
pixel's width, which keeps the mass of a cortex that is thinner than a pixel.

What depends on a pixel but not on x (profiles, walls, soft-tissue layers) is worked out once per virtual patient and
grid, in :class:`Field`; a plane then costs arithmetic only.
"""

import dataclasses
import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from . import scene, signs
from .anatomy import BODIES, LEVELS, align, generator
from .chord import surface, to_frame
from .grid import Grid
from .scanner import CtScanner, reconstruct
from .skeleton import CORTEX_HU, LYTIC_HU, POSTERIOR, POSTERIOR_SHELL_MM, SCLEROSIS_MM, VACUUM_HU, Skeleton
from .tissue import MUSCLE, SAC, Tissue

DISC_MEAN, DISC_SD, DISC_LIMIT = 75.0, 6.0, 10.0
HAEMATOMA = 57.0
SHELL_HU, SPONGE_HU = 670.0, 170.0  # of posterior elements; the radiograph's values above muscle
# The radiograph lumps both sides; a plane needs them apart. Rows of POSTERIOR: offsets and half width along x, mm.
# The sum of the half widths is the radiograph's, so that the path is.
SIDES = (
    ((13.0, 3.5),),
    ((-13.0, 3.5),),
    ((15.5, 4.0), (-15.5, 4.0)),
    ((27.0, 4.0), (-27.0, 4.0)),
    ((9.0, 3.0), (-9.0, 3.0), (0.0, 2.0)),
    ((0.0, 4.0),),
)
STEEPEST = 67.0  # degrees from upright that a body in a field of view may stand
BASIVERTEBRAL = 10.0  # mm from the midline, beyond which the foramen of the vein is not looked for
BURST = (0.70, 0.10, 0.20)  # share of convex walls that are an angular fragment, by class; our choice


@dataclass(frozen=True)
class CtScene:
    """One virtual patient as the CT sees them; one entry per body of ``BODIES``."""

    patient: object
    person: scene.Person
    bodies: tuple  # Body
    signs: tuple  # TargetSigns
    diseases: tuple  # Disease
    fragment: np.ndarray  # (18, 2), mm: gap in front of a retropulsed fragment, its height above the centre
    lateral: np.ndarray  # (18, 4): lateral place of line tilt (mm/mm), lysis (2) and destruction (mm)
    disc_hu: np.ndarray  # (18,) of the disc below
    scanner: CtScanner
    centre: tuple  # y, z of the examination's middle, mm
    soft: np.ndarray  # (24,) uniform numbers for the soft tissues
    nuisance: float

    @property
    def key(self) -> tuple:
        """Start of the name of every random stream of this virtual patient."""
        return self.person.key


class Identity:
    """An object as the key of a cache, compared by identity; the cache keeps it alive."""

    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return id(self.value)

    def __eq__(self, other):
        return self.value is other.value


def scene_of(patient, nuisance: float = 1.0) -> CtScene:
    """The CT scene of a virtual patient; nothing is drawn in an order that a label could change.

    Of a :class:`cohorts.VirtualPatient`, ``fractures`` shape the bodies, ``diseases`` add nodes, clefts and cement at
    the lateral places of ``extents``, and ``levels`` are the field of view.
    """
    return _scene(Identity(patient), nuisance)


@functools.lru_cache(maxsize=8)
def _scene(wrapped, nuisance) -> CtScene:
    patient = wrapped.value
    person = scene.person_of(patient, nuisance=nuisance)
    if patient.levels:
        person = _lying_flat(person, patient.levels)
    effect, key, spine = patient.effect, person.key, person.spine
    bodies, added, found = [], [], []
    n = len(BODIES)
    fragment, lateral = np.zeros((n, 2)), np.zeros((n, 4))
    for k, level in enumerate(BODIES):
        rng = generator(*key, level, "ct")
        body = scene.body_of(person, k, target=True, textured=False)
        # No cone beam in CT: the endplates slope by roll alone.
        body = dataclasses.replace(body, slope=math.tan(math.radians(spine.roll[k])))
        u = rng.random(8)
        fracture = person.fractures.get(level, scene.UNBROKEN)
        share = signs.scaled(BURST, fracture.label, effect) if fracture.label else 0.0
        bulge = fracture.amplitude["posterior_wall"] * fracture.flags["posterior_wall"]
        if bulge and u[0] < share and not fracture.amplitude["fragment"]:
            body, fragment[k] = _retropulse(body, bulge, u[1])
        lateral[k] = (-0.15 + 0.3 * u[2], -6 + 12 * u[3], -6 + 12 * u[4], -8 + 16 * u[5])
        found.append(person.disease(k, body))
        bodies.append(body)
        added.append(scene.target_signs(person, k, body))
    disc_hu = DISC_MEAN + np.clip(DISC_SD * generator(*key, "discs").standard_normal(n), -DISC_LIMIT, DISC_LIMIT)
    rng = generator(*key, "field")
    centre = _centre(person, {*patient.diseases, *patient.fractures}, rng)
    scanner = reconstruct(patient.site, generator(*key, "reconstruction"), nuisance)
    if patient.levels:
        centre, scanner = _view(person, patient.levels, centre, scanner)
    return CtScene(
        patient=patient,
        person=person,
        bodies=tuple(bodies),
        signs=tuple(added),
        diseases=tuple(found),
        fragment=fragment,
        lateral=lateral,
        disc_hu=disc_hu,
        scanner=scanner,
        centre=centre,
        soft=rng.random(24),
        nuisance=nuisance,
    )


def _lying_flat(person, levels):
    """A back so bent that the table straightens it: thoracic discs give way by a degree at a time.

    Steeper bodies than :data:`STEEPEST` would lie beside their neighbours, and no edge of an examination part them. The
    body above the uppermost counts too: one such edge runs between the two.
    """
    first = BODIES.index(levels[0])
    at = [max(first - 1, 0), *(BODIES.index(level) for level in levels)]
    part = slice(BODIES.index("T1"), BODIES.index("T12"))
    spine, pose = person.spine, person.actual
    widest = np.degrees(np.arctan(np.maximum(spine.disc - 1.0, 0.0) / (spine.d / 2)))[part]
    while np.degrees(pose.tilt[at].min()) < -STEEPEST and (spine.disc_angle[part] < widest).any():
        disc_angle = spine.disc_angle.copy()
        disc_angle[part] = np.minimum(disc_angle[part] + 1.0, widest)
        spine = dataclasses.replace(spine, disc_angle=disc_angle)
        pose = align(spine, scene.rims(spine, person.fractures))
    if spine is person.spine:
        return person
    return dataclasses.replace(person, spine=spine, intact=align(spine, scene.rims(spine, {})), actual=pose)


def _retropulse(body, bulge, u):
    """An angular fragment of the upper third instead of the bulge over the whole height."""
    over_v, peak = body.over_v.copy(), 0.45 + 0.35 * u
    over_v[:, 1] += scene.bulge(bulge, peak) - scene.bulge(bulge, 0.0)
    height = np.mean(body.over_u[:, 0] - body.over_u[:, 1])
    return dataclasses.replace(body, over_v=over_v), (0.5 + 0.15 * bulge, (peak - 0.55) * height / 2)


def _centre(person, levels, rng):
    """Middle of the examination: the levels of interest, whatever is wrong with them, and some jitter."""
    chosen = [BODIES.index(level) for level in levels] or [BODIES.index("L1")]
    # The lumbar end is always in sight of a whole examination, hence the pull towards L1.
    k = (min(chosen) + max(chosen)) / 2 * 0.7 + BODIES.index("L1") * 0.3
    at = np.arange(len(BODIES))
    jitter = rng.uniform(-1, 1, 2) * (12.0, 18.0)
    y, z = np.interp(k, at, person.actual.y), np.interp(k, at, person.actual.z)
    return float(y + jitter[0] + 5.0), float(z + jitter[1])


def _view(person, levels, centre, scanner):
    """Middle and rows of an examination that shows these bodies and no others: it ends in the discs beyond them."""
    z = person.actual.z
    first, last = BODIES.index(levels[0]), BODIES.index(levels[-1])
    upper = (z[first - 1] + z[first]) / 2 if first else z[first] + 0.6 * person.spine.ha[first]
    lower = (z[last] + z[last + 1]) / 2
    bodies = person.actual.y[first : last + 1]
    y = float(np.clip(centre[0], bodies.min(), bodies.max()))
    return (y, float(upper + lower) / 2), dataclasses.replace(scanner, rows=round(float(upper - lower) / scanner.pixel))


# Geometry on a grid


@dataclass
class _Patch:
    """One body on its window: everything that no x enters; tensors (h, w)."""

    k: int
    window: tuple
    s: object  # Surface
    half_width: torch.Tensor  # X of the ray
    exponent: float
    power_u: torch.Tensor  # |p|^n
    power_x: torch.Tensor  # (1 / half width)^n
    steep_u: torch.Tensor  # squared gradients of the two
    steep_x: torch.Tensor
    rims: tuple  # distance from the lines through the superior and through the inferior corners
    posterior: list  # _Element


class _Element:
    """One ellipsoid of the posterior elements on a grid, worked out when a plane first meets it."""

    def __init__(self, field, k, row, side, half):
        self.grid, self.bodies, self.body = field.grid, field.skeleton.part(k)[0], field.ct.bodies[k]
        self.row, self.side, self.half = row, side, half

    def meets(self, low, high):
        """Whether planes between two x can cut it; axial rotation carries it aside by up to this much."""
        reach = self.half + 1 + 65 * abs(math.sin(self.body.rotation))
        return low - self.side < reach and self.side - high < reach

    @functools.cached_property
    def section(self):
        """Window, squared radius in the plane, a quarter of its squared gradient, lateral middle; None out of sight."""
        body, (u0, v0, ru, rv, _, angle, _) = self.body, POSTERIOR[self.row]
        size, behind = body.depth / 31, -body.depth / 2
        u_middle, v_middle = behind + u0 * size, v0 * body.hp + self.side * body.slope
        a, b = ru * size, rv * body.hp
        c, s = math.cos(body.tilt), math.sin(body.tilt)
        y, z, reach = (
            body.y + u_middle * c - v_middle * s,
            body.z + u_middle * s + v_middle * c,
            max(a, b) + 2,
        )
        window = self.grid.window(*(np.array([edge]) for edge in (y - reach, y + reach, z - reach, z + reach)))
        if window is None:
            return None
        u, v = (f[0, 0] for f in to_frame(*self.grid.points(window), self.bodies))
        du, dv = u - u_middle, v - v_middle
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        along, across = ((du * c + dv * s) / a) ** 2, ((dv * c - du * s) / b) ** 2
        lean = self.side + (u - behind).clamp(max=0) * math.sin(body.rotation)
        return window, along + across, along / a**2 + across / b**2, lean


class Field:
    """Bodies of a CT scene on one grid of the sagittal plane.

    Parameters
    ----------
    grid : Grid
        One rectangle.
    only : int, optional
        Keep this body alone.
    """

    def __init__(self, ct: CtScene, grid: Grid, *, only: int | None = None):
        self.ct, self.grid = ct, grid
        self.device = grid.columns.device
        self.pixel = float(max(grid.pixel_y[0], grid.pixel_z[0]))
        self.shape = (grid.rows.shape[1], grid.columns.shape[1])
        self.skeleton = Skeleton([list(ct.bodies)], self.device)
        wanted = range(len(BODIES)) if only is None else (only,)
        self.patches = [patch for k in wanted if (patch := self._patch(k)) is not None]

    def _patch(self, k):
        window = self.skeleton.body_window(self.grid, k)
        bodies, _ = self.skeleton.part(k)
        behind = BODIES[k] != "S1" and self.skeleton.posterior_window(self.grid, k) is not None
        posterior = self._elements(k) if behind else []
        if window is None:
            return _Patch(k, None, *[None] * 8, posterior) if posterior else None
        s = surface(*self.grid.points(window), bodies)
        for name, value in vars(s).items():
            setattr(s, name, value[0, 0])
        n = float(self.ct.bodies[k].exponent)
        p = (s.depth_from_middle / s.half_depth).clamp(min=1e-6)
        power_u, power_x = p**n, s.half_width**-n
        x_of_ray = s.half_width * (1 - power_u).clamp(min=0) ** (1 / n)
        steep_u = (power_u / p / s.half_depth) ** 2
        rims = tuple(
            sign * (line(s.u) - s.v) for sign, line in zip((1, -1), _corner_lines(self.ct.bodies[k]), strict=True)
        )
        return _Patch(k, window, s, x_of_ray, n, power_u, power_x, steep_u, power_x**2, rims, posterior)

    def _elements(self, k):
        """Posterior elements of body ``k``."""
        spread = min(max(self.ct.person.spine.w[k] / 42, 0.72), 1.1)  # thoracic pedicles stand closer
        return [_Element(self, k, row, side * spread, half) for row, pair in enumerate(SIDES) for side, half in pair]

    def distances(self, patch: _Patch, x):
        """Distance (mm) inside the superior endplate, the inferior one and the wall: three of (nx, h, w)."""
        s, d = patch.s, self.ct.diseases[patch.k]
        x = x.view(-1, 1, 1)
        bend = 1 - (x * (1 / patch.half_width.clamp(min=0.5))).square_().clamp_(max=1)
        slope = x * self.ct.bodies[patch.k].slope
        top = s.above + slope - s.concavity_sup * bend
        bottom = s.below - slope - s.concavity_inf * bend
        for notch in (d.node, *d.irregularity):
            if notch.depth:
                pressed = notch.depth * _dent(s.u, x, notch)
                if notch.superior:
                    top -= pressed
                else:
                    bottom -= pressed
        n, ax = patch.exponent, x.abs()
        r_n = patch.power_u + ax**n * patch.power_x
        r = r_n ** (1 / n)
        steep = (patch.steep_u + ax ** (2 * n - 2) * patch.steep_x).sqrt_().clamp_(min=1e-3)
        wall = (1 - r) * (r * r.sqrt()).clamp_(min=0.3) / steep
        return top, bottom, wall

    def cover(self, distance):
        """Share of a pixel that lies inside, from the signed distance of its centre."""
        return (distance * (1 / self.pixel) + 0.5).clamp_(0, 1)

    def body(self, k: int, x):
        """Signed distance inside body ``k`` on its window, (nx, h, w), and the window; None out of sight."""
        for patch in self.patches:
            if patch.k == k and patch.window is not None:
                top, bottom, wall = self.distances(patch, x)
                return torch.minimum(torch.minimum(top, bottom), wall), patch.window
        return None

    @functools.cached_property
    def soft_tissue(self):
        return Tissue(self)

    def hounsfield(self, x, *, spread=(0.0,), texture=True):
        """HU of the planes at ``x``, and which body covers more than half of a pixel.

        Parameters
        ----------
        x : tensor, shape (nx,)
            Lateral offsets, mm.
        spread : sequence of float
            Offsets about every x over which the outlines of bone are averaged: the thickness of a slice. What fills
            the bone and what surrounds it is that of the middle.
        texture : bool
            With trabecular texture; without it for exact tests.

        Returns
        -------
        tensor (nx, h, w), float64, and tensor (nx, h, w), uint8
            Owner: 0 none, k + 1 for ``BODIES[k]``.
        """
        hu = self.soft_tissue.paint(x)
        owner = torch.zeros(hu.shape, dtype=torch.uint8, device=self.device)
        shown = [patch for patch in self.patches if patch.window is not None]
        n = len(spread)
        planes = (x[:, None] + torch.tensor(spread, dtype=x.dtype, device=x.device)).flatten()
        kept = [self.distances(patch, planes) for patch in shown]
        for patch, distances in zip(shown, kept, strict=True):  # discs first: bodies lie over them
            self._disc(hu, patch, [d[n // 2 :: n] for d in distances], x)
        for patch in self.patches:
            self._posterior(hu, patch, planes, n)
        for patch, distances in zip(shown, kept, strict=True):
            self._body(hu, owner, patch, distances, x, texture)
        return hu, owner

    # Materials

    def _disc(self, hu, patch, distance, x):
        """Disc above and below a body, with swelling, vacuum and leaked cement."""
        top, bottom, wall = distance
        k, spine, s = patch.k, self.ct.person.spine, patch.s
        view = hu[(slice(None), *patch.window)]
        side = self.cover(wall + 0.8)
        for gap, rim, disc in ((bottom, patch.rims[1], k), (top, patch.rims[0], k - 1)):
            if disc < 0 or disc >= len(LEVELS):
                continue
            reach = 0.5 * spine.disc[disc] + spine.d[disc] / 2 * math.tan(math.radians(abs(spine.disc_angle[disc]) / 2))
            inside = side * self.cover(-gap) * self.cover(rim + reach + 1.5)
            view.lerp_(torch.full_like(view[:1], float(self.ct.disc_hu[disc])), inside)
        found = self.ct.signs[k]
        if found.vacuum:
            rho = ((s.u / found.vacuum_radius) ** 2 + ((s.v - found.vacuum_v) / 1.2) ** 2) + (
                x.view(-1, 1, 1) / (2.0 * found.vacuum)
            ) ** 2
            self._blend(view, VACUUM_HU, rho, 1.2)

    def _blend(self, view, value, rho_squared, radius):
        """Fill an ellipsoid given by its squared normalised radius; ``radius`` (mm) sets the softness of its edge."""
        view.lerp_(torch.full_like(view[:1], value), self.cover((1 - rho_squared.sqrt()) * radius))

    def _body(self, hu, owner, patch, distances, x, texture):
        ct, k, s = self.ct, patch.k, patch.s
        n = len(distances[0]) // len(x)
        distance = [d[n // 2 :: n] for d in distances]
        top, bottom, _ = distance
        body, found, disease = ct.bodies[k], ct.signs[k], ct.diseases[k]
        x = x.view(-1, 1, 1)
        low, middle = float(x.abs().min()), float(body.over_u[scene.NU // 2, :2].mean())
        view = hu[(slice(None), *patch.window)]
        if found.swelling:
            self._swelling(view, patch, distance, found.swelling)
        inner_top, inner_bottom = top - body.endplate, bottom - body.endplate
        outer, inner = self._shell(body, distances, n)
        owner[(slice(None), *patch.window)].masked_fill_(outer > 0.5, k + 1)

        grain = self._grain(patch, x.flatten().tolist()) if texture else torch.zeros_like(s.u)[None]
        near = torch.exp(top.clamp(min=0) * (-1 / 3)) + torch.exp(bottom.clamp(min=0) * (-1 / 3))
        # Denser towards the endplates; 0.06 is their share in the middle, where the HU is the parameter's.
        bone = body.hu * (1 + 0.45 * (near - 0.06) - 0.08 * s.u / s.half_depth) + grain * (16 + 0.22 * body.hu)
        shell = CORTEX_HU * body.shell * (1 + 0.10 * grain)
        if low < BASIVERTEBRAL:
            # The vein leaves through a gap in the middle of the posterior wall.
            vein = torch.exp(-0.5 * ((x / 3.5) ** 2 + ((s.v - middle) / 1.4) ** 2)) * torch.sigmoid(
                4 - s.u - s.half_depth
            )
            bone, shell = bone - 0.6 * (bone - SAC) * vein, shell - 0.8 * (shell - SAC) * vein
        bone, shell = self._fracture(bone, shell, grain, patch, distance, x)
        for notch in (disease.node, *disease.irregularity):
            if notch.depth:
                edge = inner_top if notch.superior else inner_bottom
                bone = bone + notch.rim * torch.exp(-edge.clamp(min=0) / 1.3) * _dent(s.u, x, notch, 1.35)
        if disease.cleft.shown:
            bone = self._cleft(bone, disease.cleft, s, inner_top, grain, x)
        value = shell + (bone - shell) * (inner / outer.clamp(min=1e-9))
        if disease.cement.shown:
            filled, leaked = self._cement(disease.cement, body, s, x, grain)
            value = value + (disease.cement.hu - value) * filled
            view.lerp_(torch.full_like(view[:1], disease.cement.hu), leaked * (1 - outer))
        view.lerp_(value, outer)
        if found.limbus:
            du, dv = s.u - found.limbus_u, s.v - found.limbus_v
            rho = (du / 4) ** 2 + ((dv + 0.6 * du) / 0.9) ** 2 + (x / found.limbus) ** 2
            self._blend(view, MUSCLE, rho, 0.9)

    def _shell(self, body, distances, n):
        """Share of a pixel within the body, and within its cortex, averaged over each ``n`` planes."""
        top, bottom, wall = distances
        least = torch.minimum(top, bottom)
        outer = self.cover(torch.minimum(least, wall))
        inner = self.cover(torch.minimum(least - body.endplate, wall - body.wall))
        return _average(outer, n), _average(inner, n)

    def _fracture(self, bone, shell, grain, patch, distance, x):
        """Signs that change HU inside a body: returns trabecular bone and cortex."""
        ct, k, s = self.ct, patch.k, patch.s
        top, bottom, _ = distance
        body, found, tilt = ct.bodies[k], ct.signs[k], ct.lateral[k]
        if found.sclerosis_sup:
            bone = bone + found.sclerosis_sup * torch.exp((top - body.endplate).clamp(min=0) * (-1 / SCLEROSIS_MM))
            bone += found.sclerosis_inf * torch.exp((bottom - body.endplate).clamp(min=0) * (-1 / SCLEROSIS_MM))
        if found.band_hu:
            bone = bone + found.band_hu * self.cover(s.band + body.endplate - top + 0.4 * grain)
        if found.line_hu:
            off = s.v - found.line_v - found.line_slope * s.u - found.line_bend * s.u**2 - tilt[0] * x - 0.3 * grain
            sheet = torch.exp(-0.5 * (off / 0.45) ** 2) * torch.sigmoid(s.u - found.line_from)
            bone = bone + found.line_hu * sheet
            shell = shell + (0.4 * found.line_hu - 0.6 * CORTEX_HU) * sheet  # the line cuts the anterior cortex
        if found.destruction:
            patch_of = (s.u - found.destruction_u) ** 2 + (s.v - found.destruction_v) ** 2 + 0.3 * (x - tilt[3]) ** 2
            gone = found.destruction * torch.exp(patch_of * (-0.5 / 25))
            shell = shell + (LYTIC_HU - shell) * gone
        for j, (u, v, ru, rv, half) in enumerate(found.lysis):
            if half:
                rho = ((s.u - u) / ru) ** 2 + ((s.v - v) / rv) ** 2 + ((x - tilt[1 + j]) / half) ** 2
                hole = (1.5 - 1.25 * rho.sqrt() + 0.08 * grain).clamp(0, 1)
                bone = bone + (LYTIC_HU - bone) * hole
                shell = shell + (LYTIC_HU - shell) * (0.8 * hole)
        gap, height = ct.fragment[k]
        if gap:
            off = (s.v - height) - 0.5 * (s.u + s.half_depth) - 0.25 * grain
            reach = torch.sigmoid(0.42 * body.depth - body.depth / 2 - s.u)
            sheet = torch.exp(-0.5 * (off / gap) ** 2) * reach
            bone, shell = bone - (bone - MUSCLE) * sheet, shell - (shell - MUSCLE) * sheet
        return bone, shell

    def _swelling(self, view, patch, distance, size):
        """Blood and oedema around the body in the place of fat, thinner towards the neighbours and behind."""
        top, bottom, wall = distance
        s = patch.s
        front = torch.sigmoid((s.u + 0.1 * self.ct.bodies[patch.k].depth) / 2.0)
        beyond = (torch.minimum(top, bottom).clamp(max=0) / 9) ** 2
        thickness = size * (1 - 0.8 * beyond).clamp(min=0)
        view.lerp_(torch.full_like(view[:1], HAEMATOMA), self.cover(wall + thickness) * front * (thickness > 0.3))

    def _cleft(self, bone, cleft, s, inner_top, grain, x):
        """Gas or fluid beneath the superior endplate, with a ragged edge."""
        off = inner_top - cleft.below
        rho = ((s.u - cleft.u) / cleft.radius_u) ** 2 + ((x - cleft.x) / cleft.radius_x) ** 2
        rho = (rho + (off / cleft.radius_v) ** 2).sqrt() + 0.10 * grain
        rim = torch.exp(-0.5 * ((rho - 1.5) / 0.3) ** 2)
        inside = self.cover((1 - rho) * cleft.radius_v)
        return bone + 60 * rim + (cleft.hu - bone - 60 * rim) * inside

    def _cement(self, cement, body, s, x, grain):
        """Share of cement at every point: inside the body, and leaked above it."""
        middle = float(body.over_u[scene.NU // 2, :2].mean())
        a, b, c, d, e, f = cement.phase
        lobes = 0.5 * torch.sin(s.u / 2.1 + a + torch.sin(s.v / 2.7 + b)) * torch.sin(x / 2.9 + c)
        lobes = lobes + 0.5 * torch.sin(s.v / 1.7 + d + torch.sin(s.u / 3.1 + e)) + 0.25 * torch.sin(x / 1.6 + f)
        filled = leaked = torch.zeros_like(lobes)
        for j, (u, v, cx, ru, rv, rx) in enumerate(cement.ellipsoids):
            if not ru:
                continue
            rho = ((s.u - u) / ru) ** 2 + ((s.v - middle - v) / rv) ** 2 + ((x - cx) / rx) ** 2
            cover = self.cover((1 - rho.sqrt() - 0.22 * lobes - 0.05 * grain) * rv)
            if j < 3:
                filled = torch.maximum(filled, cover)
            else:
                leaked = cover
        return filled, leaked

    def _grain(self, patch, texture_x):
        """Trabecular texture of SD 1 from one lattice per millimetre of x; (1 or nx, h, w)."""
        level = BODIES[patch.k]
        lattice = np.stack([_lattice(self.ct.key, level, round(at)) for at in texture_x])
        s, (rows, columns) = patch.s, scene.TEXTURE_SHAPE
        at = torch.stack([s.u * (2 / (scene.TEXTURE_U * columns)), s.v * (2 / (scene.TEXTURE_V * rows))], -1)
        lattice = torch.as_tensor(lattice, device=self.device)[:, None]
        grid = at.expand(len(texture_x), *at.shape)
        return torch.nn.functional.grid_sample(lattice, grid, align_corners=False)[:, 0]

    def _posterior(self, hu, patch, x, n):
        """Pedicles, articular, transverse and spinous processes, laminae: shell and inside."""
        x, pedicle = x.view(-1, 1, 1), self.ct.bodies[patch.k].pedicle
        low, high = float(x.min()), float(x.max())
        for e in patch.posterior:
            if not e.meets(low, high) or e.section is None:
                continue
            window, rho2, steep2, lean = e.section
            view = hu[(slice(None), *window)]
            across = ((x - lean) * (1 / e.half)).square_()
            rho = (rho2 + across).sqrt_()
            steep = (steep2 + across * (1 / e.half**2)).sqrt_().clamp_(min=1e-3)
            depth = (1 - rho) * rho.clamp(min=0.05) / steep
            outer, inner = (_average(self.cover(d), n) for d in (depth, depth - POSTERIOR_SHELL_MM))
            value = SHELL_HU + (SPONGE_HU - SHELL_HU) * inner / outer.clamp(min=1e-9)
            if e.row == 0 and pedicle < 1:
                value = MUSCLE + pedicle * (value - MUSCLE)
            view.lerp_(value, outer)


def _corner_lines(body):
    """Straight lines v(u) through the two superior and the two inferior corners, between which discs begin."""
    back, front = (int(np.argmin(np.abs(scene.P - p))) for p in (-1, 1))
    for edge in (0, 1):
        low, high = body.over_u[back, edge], body.over_u[front, edge]
        middle, slope = float(low + high) / 2, float(high - low) / body.depth
        yield lambda u, middle=middle, slope=slope: middle + slope * u


def _average(planes, n):
    """Mean of every ``n`` planes."""
    return planes if n == 1 else planes.view(-1, n, *planes.shape[1:]).mean(1)


def _dent(u, x, notch, wider=1.0):
    """Flat-bottomed depression of an endplate, 1 in its middle."""
    rho2 = ((u - notch.u) / (wider * notch.radius_u)) ** 2 + ((x - notch.x) / (wider * notch.radius_x)) ** 2
    return torch.exp(-0.7 * rho2 * rho2)


@functools.lru_cache(maxsize=256)
def _lattice(key, level, millimetre):
    """Trabecular lattice of one sagittal millimetre of one body."""
    return scene.texture_lattice(generator(*key, level, "trabeculae", millimetre))
