"""Line integrals of everything but the spine, in HU x mm: trunk, lung, bowel gas, ribs, crests, aorta."""

import numpy as np
import torch

from .chord import ellipsoid_chord
from .surroundings import TISSUE_SHAPE, TISSUE_STEP

GAS_HU, LUNG_HU = -800.0, -900.0
RECESS_MM = 75.0  # depth of the costophrenic recess below the top of a dome
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
        self._add_gas(canvas, grid)

    def _add_gas(self, canvas, grid):
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


class FilmOverlay(Overlay):
    """Surroundings of B whole films, drawn on a grid coarser than the film."""

    PROFILES = ("z", "back", "front", "spine")
    FILM = ("tissue", "frame", "heart", "ribs", "lung_gain", *PROFILES)

    def __init__(self, surroundings, wide, device):
        self.numbers = {name: np.array([getattr(s, name) for s in surroundings]) for name in self.NAMES}
        self.numbers["gas"] = np.concatenate([self.numbers["gas"], np.array([s.gas for s in wide])], axis=1)
        self.numbers |= {f"film_{name}": np.array([getattr(s, name) for s in wide]) for name in self.FILM}
        self.tensors = {name: torch.as_tensor(value, device=device) for name, value in self.numbers.items()}

    def add_trunk(self, canvas, grid):
        """Soft tissue against the trunk's mean, from skin to skin, uneven with fat, muscle and bowel."""
        trunk = self.tensors["trunk"][:, None, None]
        back, front, thickest = (self.profile(name, grid) for name in ("back", "front", "spine"))
        aside = grid.columns[:, None, :] - thickest - 12
        behind = (aside / (back - thickest - 12)).clamp(0, 1)
        before = (aside / (front - thickest - 12)).clamp(0, 1)
        # The back is flatter than the belly: superellipses of exponent 5 and 2.5.
        chord = (1 - behind**5).clamp(min=0.0) ** 0.2 * (1 - before * before * before.sqrt()).clamp(min=0.0) ** 0.4
        height = 0.06 * ((grid.rows - self.tensors["middle"][:, 1:2]) / 200) ** 2
        canvas += 1000 * trunk * (chord * (1 - height[:, :, None]) - 1)
        # Over a whole film the plane waves of the crops would show as stripes.
        y, z, tissue = grid.columns, grid.rows, self.tensors["film_tissue"]
        frame = self.tensors["film_frame"][..., None]
        span = 0.5 * TISSUE_STEP * TISSUE_SHAPE[0]
        place = torch.broadcast_tensors(
            ((y - frame[:, 0]) / span)[:, None, :], (((frame[:, 1] + frame[:, 2]) / 2 - z) / span)[:, :, None]
        )
        canvas += (
            1000
            * torch.nn.functional.grid_sample(
                tissue[:, None], torch.stack(place, -1), padding_mode="reflection", align_corners=False
            )[:, 0]
        )

    def add_air(self, canvas, grid):
        """Lung with the heart in it, within the chest wall; bowel gas and the stomach bubble."""
        if self._reaches_lung(grid):
            y, z = grid.points()
            y0, z0, bend, soft, path = self._columns("domes", [0, 1])
            # Behind and before its top a dome falls no further than the recess between diaphragm and chest wall.
            height = z - (z0 - RECESS_MM * (1 - torch.exp(-bend / RECESS_MM * (y - y0) ** 2)))
            gain = 1 + self.tensors["film_lung_gain"].view(-1, 1, 1, 1) * _ramp(height - 40, 80)
            lung = (path * _ramp(height, 4 * soft) * gain).sum(1)
            y1, z1, ry, rz, share = self.tensors["film_heart"].view(-1, 5, 1, 1, 1).unbind(1)
            lung = lung * (1 - share * torch.exp(-(((y - y1) / ry) ** 2 + ((z - z1) / rz) ** 2)))[:, 0]
            back, front = (self.profile(name, grid) for name in ("back", "front"))
            columns = grid.columns[:, None, :]
            canvas += LUNG_HU * lung * _ramp(columns - back - 16, 56) * _ramp(front - columns - 24, 24)
        self._add_gas(canvas, grid)

    def add_upper_ribs(self, canvas, grid):
        """The ribs that only a whole film shows."""
        y0, z0, slope, curve, *_, reach = self.numbers["film_ribs"].transpose(2, 0, 1)
        for j in range(y0.shape[1]):
            ends = [slope[:, j] * a + curve[:, j] * a * a for a in (-50.0, 0.0, 80.0, 170.0)]
            low, high = z0[:, j] + np.min(ends, 0) - 12, z0[:, j] + np.max(ends, 0) + 12
            window = grid.window(y0[:, j] - 55, y0[:, j] + reach[:, j] + 16, low, high)
            if window is not None:
                y, z = grid.points(window)
                *shape, far = (value[:, [j]][..., None, None] for value in self.tensors["film_ribs"].unbind(-1))
                canvas[(slice(None), *window)] += _tube(y, z, *shape, -40.0, far, wall=grid.pixel)[:, 0]

    def profile(self, name, grid):
        """A profile over the height at the rows of the grid: (B, h, 1)."""
        at = self.tensors["film_z"]
        step = at[:, 1:2] - at[:, 0:1]
        position = ((grid.rows - at[:, 0:1]) / step).clamp(0, at.shape[1] - 1.001)
        index = position.long()
        values = self.tensors[f"film_{name}"]
        return torch.lerp(values.gather(1, index), values.gather(1, index + 1), position - index)[..., None]


def _tube(y, z, y0, z0, slope, curve, radius, density, start, end, *, wall):
    """A rib as a tube along a parabola: cortex 0.9 mm, widened to ``wall`` at the same mass, from start to end (mm)."""
    along = y - y0
    distance = (z - z0 - slope * along - curve * along * along) / torch.sqrt(1 + slope * slope)
    shell = torch.maximum(torch.full_like(radius, 0.9), torch.minimum(wall, 0.6 * radius))
    outer = 2 * (radius**2 - distance**2).clamp(min=0).sqrt()
    inner = 2 * ((radius - shell) ** 2 - distance**2).clamp(min=0).sqrt()
    reach = _ramp(along - start, 16.0) * _ramp(end - along, 24.0)
    return (600 * 0.9 / shell * (outer - inner) + 50 * inner) * density * reach


def _ramp(value, width):
    """0 to 1 over ``width`` mm around 0; of finite support, so that culling changes nothing."""
    return (value / width + 0.5).clamp(0, 1)
