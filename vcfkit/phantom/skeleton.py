"""Line integrals of bone and disc, in HU x mm above the muscle that they displace."""

import math

import numpy as np
import torch

from . import scene
from .chord import Bodies, chord, ellipsoid_chord, half_width, surface, to_frame

CORTEX_HU, SOFT_HU, DISC_HU, LYTIC_HU, VACUUM_HU = 950.0, 50.0, 75.0, 45.0, -700.0
SCLEROSIS_MM = 1.8
# Trabeculae of about 0.7 mm average out over 40 mm of path: a seventh of the local standard deviation is left, twice
# that where neighbouring plates line up; by eye against published crops.
TEXTURE_SHARE = 0.28

# Posterior elements as ellipsoids: u of the centre from the posterior wall (mm), v (of the posterior height), half
# axes along u (mm), v (of the posterior height), x (mm), inclination (degrees), lateral offset (mm).
POSTERIOR = (
    (-6.0, 0.22, 10.0, 0.24, 3.5, 0.0, 13.0),  # left pedicle
    (-6.0, 0.22, 10.0, 0.24, 3.5, 0.0, -13.0),  # right pedicle
    (-16.0, 0.55, 4.5, 0.40, 8.0, 14.0, 0.0),  # superior articular processes
    (-14.0, 0.10, 4.0, 0.24, 8.0, 20.0, 0.0),  # transverse processes, seen end on
    (-22.0, -0.45, 5.0, 0.45, 8.0, 16.0, 0.0),  # laminae and inferior articular processes
    (-42.0, -0.35, 18.0, 0.36, 4.0, 17.0, 0.0),  # spinous process
)
POSTERIOR_SHELL_MM, POSTERIOR_SHELL_HU, POSTERIOR_HU = 0.7, 620.0, 120.0
PATHS = ("lysis", "cleft", "node", "cement")  # signs whose last number is a path, 0 when absent
POSTERIOR_MEAN_HU = 300.0  # shell and inside together, for the coarse context


class Skeleton:
    """Bodies of B scenes, K each, as tensors: geometry (:class:`Bodies`) and material."""

    def __init__(self, rows, device):
        longest = max(map(len, rows))
        first = rows[0][0]
        far = {"y": 1e5, "z": 1e5}  # where the spine ends, a missing neighbour stands out of sight

        def values(name):
            return np.array(
                [
                    [getattr(b, name) for b in row] + [far.get(name, getattr(first, name))] * (longest - len(row))
                    for row in rows
                ],
                dtype=np.float64,
            )

        geometry = {name: values(name) for name in Bodies.__dataclass_fields__}
        self.pose = {name: geometry[name] for name in ("y", "z", "tilt", "depth")}  # on the CPU, for culling
        self.pose["hp"] = values("hp")
        self.bodies = Bodies(**{name: torch.as_tensor(value, device=device) for name, value in geometry.items()})
        self.material = {
            name: torch.as_tensor(values(name), device=device)
            for name in ("hp", "rotation", "wall", "endplate", "hu", "shell", "pedicle")
        }
        if rows[0][0].texture is not None:
            self.material["texture"] = torch.as_tensor(values("texture"), device=device)

    def body_window(self, grid, k):
        """Where body ``k`` and the disc below it can be seen."""
        return self._window(grid, k, 0.0, self.pose["depth"][:, k] / 2 + 12, self.pose["hp"][:, k] / 2 + 15)

    def posterior_window(self, grid, k):
        """Where the posterior elements of body ``k`` can be seen."""
        depth, hp = self.pose["depth"][:, k], self.pose["hp"][:, k]
        return self._window(grid, k, -depth / 2 - 28 * depth / 31, 34 * depth / 31, 1.05 * hp + 3)

    def _window(self, grid, k, u0, half_u, half_v):
        c, s = np.cos(self.pose["tilt"][:, k]), np.sin(self.pose["tilt"][:, k])
        y, z = self.pose["y"][:, k] + u0 * c, self.pose["z"][:, k] + u0 * s
        dy, dz = half_u * abs(c) + half_v * abs(s), half_u * abs(s) + half_v * abs(c)
        return grid.window(y - dy, y + dy, z - dz, z + dz)

    def part(self, k):
        """Geometry and material of body ``k``, each with K = 1."""
        one = slice(k, k + 1)
        return self.bodies.select(one), {
            name: value[:, one] if name == "texture" else value[:, one, None, None]
            for name, value in self.material.items()
        }


def add_spine(canvas, grid, skeleton: Skeleton, signs: dict):
    """Add three bodies with their discs and posterior elements; returns the target's chord over its width.

    ``canvas`` (B, h, w) is changed in place. Only the target (k = 1) carries signs inside its body.
    """
    target = None
    for k in range(skeleton.bodies.y.shape[1]):
        bodies, material = skeleton.part(k)
        window = (slice(None), slice(None)) if k == 1 else skeleton.body_window(grid, k)
        if window is not None:
            bone, outer = body(grid, window, bodies, material, signs if k == 1 else None)
            canvas[(slice(None), *window)] += bone
            target = outer if k == 1 else target
        window = skeleton.posterior_window(grid, k)
        if window is not None:
            canvas[(slice(None), *window)] += _posterior(*grid.points(window), bodies, material)
    return target


def add_coarse_spine(canvas, grid, skeleton: Skeleton):
    """The same for the context patch, all bodies at once: no signs, no texture, posterior elements without shell."""
    bodies, material = skeleton.bodies, {k: v[..., None, None] for k, v in skeleton.material.items()}
    y, z = grid.points()
    s = surface(y, z, bodies)
    x = half_width(s, bodies.exponent)
    outer = chord(s, x, bodies.slope)
    inner = chord(s, x - material["wall"], bodies.slope, top=material["endplate"], bottom=material["endplate"])
    canvas += ((CORTEX_HU - SOFT_HU) * (outer - inner) + (1.15 * material["hu"] - SOFT_HU) * inner).sum(1)
    canvas += _disc(s, x)
    u, v = s.u, s.v
    for u0, v0, ru, rv, rx, angle, side in POSTERIOR:
        du, dv, size = posterior_frame(u, v, bodies, material, u0, v0, *_turn(angle), side)
        canvas += POSTERIOR_MEAN_HU * ellipsoid_chord(du, dv, ru * size, rv * material["hp"], rx).sum(1)


def stack_signs(targets, device):
    """Signs of :class:`scene.TargetSigns`, one per target, as tensors, and which of them any target shows."""
    numbers = {
        name: np.array([getattr(signs, name) for signs in targets], dtype=np.float64)
        for name in scene.TargetSigns.__dataclass_fields__
    }
    return {
        "value": {name: torch.as_tensor(value, device=device) for name, value in numbers.items()},
        "shown": {name: bool(np.any(value[..., -1] if name in PATHS else value)) for name, value in numbers.items()},
    }


def body(grid, window, bodies, material, signs):
    """One body: cortex, trabecular bone with texture, disc below, signs; and its chord over its width."""
    s = surface(*grid.points(window), bodies)
    # A shell thinner than a rendered pixel is widened to it and thinned in density, so that its mass is kept.
    widen = (grid.pixel / material["endplate"]).clamp(min=1.0)
    wall, endplate = material["wall"] * widen, material["endplate"] * widen
    outer_x = half_width(s, bodies.exponent)
    inner_x = half_width(s, bodies.exponent, wall)
    outer = chord(s, outer_x, bodies.slope)
    inner = chord(s, inner_x, bodies.slope, top=endplate, bottom=endplate)
    shell = (CORTEX_HU - SOFT_HU) / widen * material["shell"] * (outer - inner)
    near_endplate = torch.exp(-s.above.clamp(min=0) / 3) + torch.exp(-s.below.clamp(min=0) / 3)
    hu = material["hu"] * (1 + 0.45 * near_endplate - 0.08 * s.u / s.half_depth)
    grain = _texture(s, material["texture"]) if "texture" in material else torch.zeros_like(s.u)
    texture = grain * (TEXTURE_SHARE * (16 + 0.22 * material["hu"]))
    bone = ((hu + texture - SOFT_HU) * inner + shell)[:, 0] + _disc(s, outer_x)
    share = outer[:, 0] / bodies.width[:, :1, None]
    if signs is None:
        return bone, share
    return bone + _signs(s, bodies, inner_x, inner, shell, hu, grain, endplate, signs), share


def _texture(s, lattice):
    """Trabecular striation at every point, mean 0 and SD 1; ``lattice`` (B, 1, rows, columns)."""
    rows, columns = lattice.shape[-2:]
    at = torch.stack([s.u * (2 / (scene.TEXTURE_U * columns)), s.v * (2 / (scene.TEXTURE_V * rows))], -1)
    return torch.nn.functional.grid_sample(lattice, at[:, 0], align_corners=False)


def _signs(s, bodies, x, inner, shell, hu, grain, endplate, signs):
    """HU x mm that the signs add to the target, (B, h, w). A sign that no sample shows costs nothing."""
    shown, value = signs["shown"], {k: v[:, None, None, None] for k, v in signs["value"].items()}
    added = torch.zeros_like(inner)
    if shown["sclerosis_sup"]:
        below_top = chord(s, x, bodies.slope, top=endplate + SCLEROSIS_MM, bottom=endplate)
        above_bottom = chord(s, x, bodies.slope, top=endplate, bottom=endplate + SCLEROSIS_MM)
        added += value["sclerosis_sup"] * (inner - below_top) + value["sclerosis_inf"] * (inner - above_bottom)
    if shown["band_hu"]:
        added += value["band_hu"] * (inner - chord(s, x, bodies.slope, top=endplate + s.band, bottom=endplate))
    if shown["line_hu"]:
        # A gentle bend, and trabeculae that break unevenly: a straight line would look drawn.
        distance = s.v - value["line_v"] - value["line_slope"] * s.u - value["line_bend"] * s.u**2 - 0.3 * grain
        extent = torch.sigmoid((s.u - value["line_from"]) / 1.0)
        added += value["line_hu"] * inner * torch.exp(-0.5 * (distance / 0.45) ** 2) * extent
    if shown["destruction"]:
        patch = (s.u - value["destruction_u"]) ** 2 + (s.v - value["destruction_v"]) ** 2
        added -= value["destruction"] * shell * torch.exp(-0.5 * patch / 25)
    if shown["lysis"]:
        for hole in signs["value"]["lysis"].unbind(1):
            u, v, ru, rv, half = (hole[:, j].view(-1, 1, 1, 1) for j in range(5))
            for scale in (0.85, 1.1):  # two sizes soften the edge
                path = ellipsoid_chord(s.u - u, s.v - v, ru * scale, rv * scale, half * scale)
                added += 0.5 * (LYTIC_HU - hu) * torch.minimum(path, inner)
    if shown["node"]:
        added += _node(s, bodies, x, inner, hu, endplate, signs["value"]["node"])
    if shown["cleft"]:
        u, below, ru, rv, fill, half = (column.view(-1, 1, 1, 1) for column in signs["value"]["cleft"].unbind(1))
        off = s.above - s.concavity_sup - endplate - below - 0.2 * grain
        path = ellipsoid_chord(s.u - u, off, ru.clamp(min=1e-6), rv.clamp(min=1e-6), half)
        added += (fill - hu) * torch.minimum(path, inner)
    if shown["cement"]:
        # Overlapping blobs hold their cement once: the longest path of the four counts.
        u, v, ru, rv, fill, half = (column[..., None, None] for column in signs["value"]["cement"].unbind(2))
        path = ellipsoid_chord(s.u - u, s.v - v, ru.clamp(min=1e-6), rv.clamp(min=1e-6), half).amax(1, keepdim=True)
        added += (fill[:, :1] - SOFT_HU) * path
    if shown["swelling"]:
        size = value["swelling"]
        cuff = (s.u - bodies.depth[..., None, None] / 2 - size / 2) / (size / 2 + 0.5)
        # Water in the place of fat (150 HU apart) over a cuff 12 mm wide at 4 mm thickness.
        added += 150 * 12 * (size / 4) * torch.exp(-0.5 * cuff**2 - 0.5 * (s.v / 14) ** 2)
    if shown["limbus"]:
        du, dv = s.u - value["limbus_u"], s.v - value["limbus_v"]
        added -= 100 * ellipsoid_chord(du, dv + 0.6 * du, 4.0, 0.8, value["limbus"])
    if shown["vacuum"]:
        gas = ellipsoid_chord(s.u, s.v - value["vacuum_v"], value["vacuum_radius"], 1.2, value["vacuum"])
        added += (VACUUM_HU - DISC_HU) * gas
    return added[:, 0]


def _node(s, bodies, x, inner, hu, endplate, node):
    """Schmorl's node: disc in a dent of an endplate, and denser bone around it, over its lateral extent."""
    superior, u, radius, depth, rim, half = (column.view(-1, 1, 1, 1) for column in node.unbind(1))
    edge = torch.where(superior > 0, s.above - s.concavity_sup, s.below - s.concavity_inf) - endplate
    inside, radius, depth = (edge > -endplate).to(edge.dtype), radius.clamp(min=1e-6), depth.clamp(min=1e-6)
    dent = torch.minimum(ellipsoid_chord(s.u - u, edge.clamp(min=0), radius, depth, half), inner)
    wider = torch.minimum(ellipsoid_chord(s.u - u, edge.clamp(min=0), radius + 1.3, depth + 1.3, half * 1.2), inner)
    # Over the dent there is no endplate: its shell is moved to the rim.
    gone = ellipsoid_chord(s.u - u, torch.zeros_like(edge), radius, depth, half)
    shell = (CORTEX_HU - DISC_HU) * gone * ((edge <= 0) & (edge > -endplate)).to(edge.dtype)
    return inside * ((DISC_HU - hu) * dent + rim * (wider - dent) - shell)


def _disc(s, x):
    """HU x mm of the discs: the body's cross-section, faded out 8 mm below the inferior rim."""
    near = (s.below + 9).clamp(0, 1) * (0.5 - s.below).clamp(0, 1)
    return ((DISC_HU - SOFT_HU) * 2 * x * near).sum(1)


def posterior_frame(u, v, bodies, material, u0, v0, cosine, sine, side):
    """Coordinates about one posterior element, and its size relative to a depth of 31 mm.

    Axial rotation and roll pull the elements of the two sides apart.
    """
    size = bodies.depth[..., None, None] / 31
    du = u + bodies.depth[..., None, None] / 2 - u0 * size - side * torch.tan(material["rotation"])
    dv = v - v0 * material["hp"] - side * bodies.slope[..., None, None]
    return du * cosine + dv * sine, dv * cosine - du * sine, size


def _turn(degrees):
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _posterior(y, z, bodies, material):
    """HU x mm of the pedicles and processes of one body, shell and inside; (B, h, w)."""
    u, v = to_frame(y, z, bodies)
    total = torch.zeros_like(u)
    t = POSTERIOR_SHELL_MM
    for k, (u0, v0, ru, rv, rx, angle, side) in enumerate(POSTERIOR):
        du, dv, size = posterior_frame(u, v, bodies, material, u0, v0, *_turn(angle), side)
        outer = ellipsoid_chord(du, dv, ru * size, rv * material["hp"], rx)
        inner = ellipsoid_chord(du, dv, ru * size - t, rv * material["hp"] - t, rx - t)
        kept = material["pedicle"] if k == 0 else 1.0
        total += kept * (POSTERIOR_SHELL_HU * (outer - inner) + POSTERIOR_HU * inner)
    return total[:, 0]
