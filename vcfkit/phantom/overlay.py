"""Line integrals of everything but the spine, in HU x mm: trunk, lung, bowel gas, ribs, crests, aorta."""

import numpy as np
import torch

from .chord import ellipsoid_chord

GAS_HU, LUNG_HU = -800.0, -900.0
RIB_REACH = 75.0  # mm anterior of its joint that a rib is followed


class Overlay:
    """Surroundings of B scenes as tensors; each structure (B, N, columns of ``Surroundings``)."""

    NAMES = ("trunk", "middle", "waves", "domes", "gas", "ribs", "crests", "aorta")

    def __init__(self, scenes, device):
        self.numbers = {name: np.array([getattr(s.surroundings, name) for s in scenes]) for name in self.NAMES}
        self.tensors = {name: torch.as_tensor(value, device=device) for name, value in self.numbers.items()}

    def add_trunk(self, canvas, grid):
        """Soft tissue against the trunk's mean: its outline, and waves of fat, muscle and bowel.

        ``sin(a y + b z + f) = sin(a y + f) cos(b z) + cos(a y + f) sin(b z)``: all waves are two matrix products.
        """
        trunk, middle = self.tensors["trunk"], self.tensors["middle"]
        shape_y = -0.5 * ((grid.columns - middle[:, 0:1]) / 130) ** 2
        shape_z = -0.25 * ((grid.rows - middle[:, 1:2]) / 200) ** 2
        canvas += 1000 * trunk[:, None, None] * (shape_y[:, None, :] + shape_z[:, :, None])
        ky, kz, phase, size = (value[:, :, None] for value in self.tensors["waves"].unbind(-1))
        along = ky * grid.columns[:, None, :] + phase
        across = kz * grid.rows[:, None, :]
        canvas += (1000 * size * torch.cos(across)).transpose(1, 2) @ torch.sin(along)
        canvas += (1000 * size * torch.sin(across)).transpose(1, 2) @ torch.cos(along)

    def add_air(self, canvas, grid):
        """Lung above the domes of the diaphragm, and bowel gas."""
        if self._reaches_lung(grid):
            y, z = grid.points()
            y0, z0, bend, soft, path = self._columns("domes", [0, 1])
            height = z - (z0 - bend * (y - y0) ** 2)
            canvas += LUNG_HU * (path * _ramp(height, 4 * soft)).sum(1)
        y0, z0, ry, rz, path = self.numbers["gas"].transpose(2, 0, 1)
        for j in range(y0.shape[1]):
            rectangle = (y0[:, j] - ry[:, j], y0[:, j] + ry[:, j], z0[:, j] - rz[:, j], z0[:, j] + rz[:, j])
            window = grid.window(*rectangle) if path[:, j].any() else None
            if window is not None:
                y, z = grid.points(window)
                u, v, ru, rv, half = self._columns("gas", [j])
                # Bowel wall is uneven: the outline is bent by a slow wave of the position.
                bent = v + 0.25 * rv * torch.sin((y - u) / ru * 2.2 + u)
                canvas[(slice(None), *window)] += GAS_HU * ellipsoid_chord(y - u, z - bent, ru, rv * 0.75, half)[:, 0]

    def add_bone(self, canvas, grid):
        """Ribs, iliac crests and calcified aorta."""
        y0, z0, slope, curve = self.numbers["ribs"].transpose(2, 0, 1)[:4]
        for j in range(y0.shape[1]):
            ends = [slope[:, j] * a + curve[:, j] * a * a for a in (-25.0, 0.0, 45.0, RIB_REACH + 15)]
            low, high = z0[:, j] + np.min(ends, 0) - 14, z0[:, j] + np.max(ends, 0) + 14
            window = grid.window(y0[:, j] - 25, y0[:, j] + RIB_REACH + 15, low, high)
            if window is not None:
                canvas[(slice(None), *window)] += self._rib(*grid.points(window), j)

        if (grid.lowest < self.numbers["crests"][..., 1].max(1) + 12).any():
            y, z = grid.points()
            y0, z0, bend, path = self._columns("crests", [0, 1])
            depth = z0 - (y - y0) ** 2 / (2 * bend) - z  # below the arch
            rim = torch.exp(-0.5 * ((depth - 1) / 1.0) ** 2)
            canvas += (path * (350 * _ramp(depth, 4.0) + 450 * rim)).sum(1)

        if self.numbers["aorta"][..., 4].any():
            y, z = grid.points()
            y0, z0, length, thick, path = self._columns("aorta", slice(None))
            across = (y - y0 - 0.12 * (z - z0)) / thick
            canvas += 900 * (path * torch.exp(-0.5 * across**2 - 0.5 * ((z - z0) / length) ** 2)).sum(1)

    def _rib(self, y, z, j):
        """One rib: a tube along a parabola, cortex 1 mm."""
        y0, z0, slope, curve, radius, density = self._columns("ribs", [j])
        along = y - y0
        distance = (z - z0 - slope * along - curve * along * along) / torch.sqrt(1 + slope * slope)
        outer = 2 * (radius**2 - distance**2).clamp(min=0).sqrt()
        inner = 2 * ((radius - 0.9) ** 2 - distance**2).clamp(min=0).sqrt()
        reach = _ramp(along + 18, 8.0) * _ramp(RIB_REACH - along, 16.0)
        return ((600 * (outer - inner) + 50 * inner) * density * reach)[:, 0]

    def _reaches_lung(self, grid):
        """Whether the highest point above a dome, at a corner of some grid, lies in its lung."""
        y0, z0, bend, soft, _ = self.numbers["domes"].transpose(2, 0, 1)
        aside = np.maximum((grid.leftmost[:, None] - y0) ** 2, (grid.rightmost[:, None] - y0) ** 2)
        return bool((grid.highest[:, None] - z0 + bend * aside > -2 * soft).any())

    def _columns(self, name, which):
        return [value[:, which][..., None, None] for value in self.tensors[name].unbind(-1)]


def _ramp(value, width):
    """0 to 1 over ``width`` mm around 0; of finite support, so that culling changes nothing."""
    return (value / width + 0.5).clamp(0, 1)
