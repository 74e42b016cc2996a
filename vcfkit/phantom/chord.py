"""Closed-form lateral path lengths through a vertebral body and through ellipsoids.

A lateral ray at (u, v) of the body's frame (u anterior, v cranial) runs along x within ``|x| <= X(u, v)``, the
superellipse ``X = W/2 (1 - |p|^n)^(1/n)`` with p the depth normalised by the walls at that height. Both endplates are
quadratic in ``q = x / X``: the superior one lies at ``R - c (1 - q^2) + s q`` (rim R, concavity c, slope s from roll
and from the divergence of the beam), the inferior one at ``B + c' (1 - q^2) + s q``. A ray is outside the body where
``c q^2 + s q + (h - c) < 0`` (h = R - v) or ``c' q^2 - s q + (h' - c') < 0`` (h' = v - B): two intervals of q, whose
union is taken away. No voxels and no marching.
"""

from dataclasses import dataclass

import torch

P_MAX = 1.15  # profiles over the depth are tabulated for |p| <= P_MAX
LEAST_CONCAVITY = 0.05  # mm; keeps the endplates quadratic


@dataclass
class Bodies:
    """Bodies as tensors: leading shape (B, K), B images of K bodies each; lengths in mm, angles in radians."""

    y: torch.Tensor
    z: torch.Tensor
    tilt: torch.Tensor
    depth: torch.Tensor  # nominal depth, by which profiles over u are normalised
    width: torch.Tensor
    exponent: torch.Tensor
    slope: torch.Tensor  # dv/dx of both endplates
    over_u: torch.Tensor  # (B, K, NU, 5): superior rim, inferior rim, concavities, thickness of the band
    over_v: torch.Tensor  # (B, K, NV, 3): anterior and posterior wall (distance from u = 0), factor of the width

    def select(self, part: slice) -> "Bodies":
        """The bodies ``part`` of every image."""
        return Bodies(**{name: value[:, part] for name, value in vars(self).items()})

    def rows(self, index) -> "Bodies":
        """The images ``index``, each with all of its bodies."""
        return Bodies(**{name: value[index] for name, value in vars(self).items()})


def to_frame(y, z, bodies):
    """Rotate image points (B, 1, h, w) into every body's frame: u, v of shape (B, K, h, w)."""
    dy, dz = y - bodies.y[..., None, None], z - bodies.z[..., None, None]
    c, s = torch.cos(bodies.tilt)[..., None, None], torch.sin(bodies.tilt)[..., None, None]
    return dy * c + dz * s, dz * c - dy * s


def lookup(table, position):
    """Linear interpolation: ``table`` (B, K, N, F) at ``position`` (B, K, h, w) in 0..1, giving F of (B, K, h, w)."""
    n, f = table.shape[-2:]
    scaled = position.clamp(0, 1) * (n - 1)
    index = scaled.floor().clamp(max=n - 2)
    weight = (scaled - index).unsqueeze(-1)
    lead = index.shape[0] * index.shape[1]
    offset = torch.arange(lead, device=table.device).view(index.shape[0], index.shape[1], 1, 1) * n
    rows, flat = (index.long() + offset).reshape(-1), table.reshape(-1, f)
    low, high = flat.index_select(0, rows), flat.index_select(0, rows + 1)
    return torch.lerp(low, high, weight.reshape(-1, 1)).view(*index.shape, f).unbind(-1)


@dataclass
class Surface:
    """What :func:`chord` needs of every pixel and body, each (B, K, h, w)."""

    u: torch.Tensor
    v: torch.Tensor
    above: torch.Tensor  # R - v
    below: torch.Tensor  # v - B
    concavity_sup: torch.Tensor
    concavity_inf: torch.Tensor
    band: torch.Tensor
    depth_from_middle: torch.Tensor  # |u - middle|
    half_depth: torch.Tensor
    half_width: torch.Tensor

    def select(self, part: slice) -> "Surface":
        """The bodies ``part`` of every image."""
        return Surface(**{name: value[:, part] for name, value in vars(self).items()})


def surface(y, z, bodies: Bodies) -> Surface:
    """Evaluate profiles and walls at image points ``y`` and ``z``, broadcastable to (B, 1, h, w)."""
    u, v = to_frame(y, z, bodies)
    p = u * (2 / bodies.depth[..., None, None])
    top, bottom, c_sup, c_inf, band = lookup(bodies.over_u, (p + P_MAX) / (2 * P_MAX))
    relative = (v - bottom) / (top - bottom)
    anterior, posterior, width = lookup(bodies.over_v, relative)
    return Surface(
        u=u,
        v=v,
        above=top - v,
        below=v - bottom,
        concavity_sup=c_sup,
        concavity_inf=c_inf,
        band=band,
        depth_from_middle=(u - (anterior - posterior) / 2).abs(),
        half_depth=(anterior + posterior) / 2,
        half_width=width * (bodies.width / 2)[..., None, None],
    )


def half_width(s: Surface, exponent, wall=0.0):
    """Half length X of the ray within the walls, each moved inward by ``wall`` mm."""
    n = exponent[..., None, None]
    p = (s.depth_from_middle / (s.half_depth - wall)).clamp(max=1.0)
    return (s.half_width - wall) * (1 - p**n).clamp(min=0.0) ** (1 / n)


def chord(s: Surface, x, slope, *, top=0.0, bottom=0.0):
    """Path length in mm between the endplates, moved inward by ``top`` and ``bottom`` mm; (B, K, h, w).

    ``x`` is the half width of :func:`half_width`. With ``top = bottom = 0`` and no wall this is the whole body;
    differences of two calls give cortex, bands and sclerosis.
    """
    tilt = slope[..., None, None] * x
    q1, q2 = _outside(s.concavity_sup, tilt, s.above - top)
    r1, r2 = _outside(s.concavity_inf, -tilt, s.below - bottom)
    both = (torch.minimum(q2, r2) - torch.maximum(q1, r1)).clamp(min=0.0)
    return x * (2 - (q2 - q1) - (r2 - r1) + both).clamp(min=0.0)


def _outside(c, s, h):
    """The interval of q in [-1, 1] where ``c q^2 + s q + (h - c) < 0``; empty (two equal ends) where there is none."""
    root = (s * s - 4 * c * (h - c)).clamp(min=0.0).sqrt()
    half = 0.5 / c
    return ((-s - root) * half).clamp(-1, 1), ((root - s) * half).clamp(-1, 1)


def ellipsoid_chord(u, v, radius_u, radius_v, radius_x):
    """Path length ``2 r_x sqrt(1 - (u/r_u)^2 - (v/r_v)^2)`` through ellipsoids, mm."""
    return 2 * radius_x * (1 - (u / radius_u) ** 2 - (v / radius_v) ** 2).clamp(min=0.0).sqrt()
