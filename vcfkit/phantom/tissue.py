"""What surrounds the spine on a CT plane: canal, muscle, fat, great vessels, bowel, lung, skin.

Everything is placed along the *smoothed* course of the spine (sigma 35 mm) and by the virtual patient's intact
anatomy: the thorax follows a kyphosis, but no vessel or bowel loop tells where a body has collapsed. Only the canal
follows every posterior wall. Layers are painted from the back to the front over fat.
"""

import functools

import numpy as np
import torch

from .anatomy import BODIES

COURSE_MM = 35.0
FAT, MUSCLE, SAC, CORD, AORTA, BOWEL, LIVER = -100.0, 50.0, 20.0, 40.0, 42.0, 30.0, 55.0  # HU
LUNG, AIR, GAS = -850.0, -1000.0, -800.0


class Tissue:
    """Soft tissue of one virtual patient on one grid; see :class:`volume.Field`."""

    def __init__(self, field):
        self.field, self.ct = field, field.ct
        grid, u = field.grid, field.ct.soft
        spine, pose, intact = self.ct.person.spine, self.ct.person.actual, self.ct.person.intact
        z = grid.rows[0].cpu().numpy()
        c, s = np.cos(pose.tilt), np.sin(pose.tilt)
        front = _course(pose.z + spine.d / 2 * s, pose.y + spine.d / 2 * c, z, COURSE_MM)
        back = _course(pose.z - spine.d / 2 * s, pose.y - spine.d / 2 * c, z, COURSE_MM)
        wall = _wall(self.ct.bodies, z)
        y = grid.columns[0].cpu().numpy()
        self.a = self._tensor(y[None, :] - front[:, None])  # mm in front of the anterior wall
        self.b = self._tensor(back[:, None] - y[None, :])  # mm behind the posterior wall
        self.canal = self._tensor(wall[:, None] - y[None, :])  # the same, without smoothing
        self.z = self._tensor(z[:, None])
        # 0 at the sacrum, 17 at T1, in steps of one level, for what changes along the spine
        self.height = self._tensor(np.interp(z, pose.z[::-1], np.arange(len(BODIES)))[:, None])
        self.half_width = self._tensor(np.interp(z, pose.z[::-1], spine.w[::-1] / 2)[:, None])

        around = self.ct.person.surroundings
        self.long, self.short = (
            self._tensor(_waves(rows, y, z, front) / 1.7) for rows in (around.waves[:6], around.waves[6:])
        )

        t12 = BODIES.index("T12")
        dome_y, dome_z, bend = around.domes[0, :3]
        ahead_of = dome_y - intact.y[t12] - spine.d[t12] / 2
        risen = dome_z - intact.z[t12] + pose.z[t12]
        self.lung = self.z - (risen - bend * (self.a - ahead_of) ** 2)  # mm above the diaphragm
        self.gas = [
            (gy - np.interp(gz, intact.z[::-1], (intact.y + spine.d / 2)[::-1]), gz, ry, rz)
            for gy, gz, ry, rz, path in around.gas
            if path > 0
        ]
        self.calcium = [row for row in around.aorta if row[4] > 0]
        self.age = spine.age
        self.fat_front, self.fat_back = 12 + 22 * u[2], 8 + 18 * u[3]
        self.skin_front, self.skin_back = 75 + 60 * u[0], 60 + 10 * u[1] + self.fat_back
        self.aorta_x, self.aorta_r = 6 + 8 * u[4], 8.5 + 3.0 * u[5]
        self.cava_x, self.cava_r = -(11 + 8 * u[6]), 8 + 3 * u[7]
        self.gap = 1.5 + 3.0 * u[8]
        self.sag = 15.0 + 2.0 * u[9]  # depth of the canal, mm
        self.conus = float(np.interp(16 - u[10], np.arange(len(BODIES)), pose.z))

    def _tensor(self, value):
        return torch.as_tensor(np.ascontiguousarray(value), device=self.field.device)

    @functools.cached_property
    def _still(self):
        """The layers that do not change with x."""
        cover, a, b = self.field.cover, self.a, self.b
        canvas = FAT + 8 * self.long  # fat is not even

        # In front: bowel with gas in its fat, the liver under the diaphragm, the abdominal wall.
        loops = cover((self.short + 0.35 * self.long - 0.1) * 3.0) * cover(a - self.gap - 12)
        _fill(canvas, BOWEL + 10 * self.long, loops)
        for gy, gz, ry, rz in self.gas:
            rho = ((a - gy) / ry) ** 2 + ((self.z - gz) / (0.75 * rz)) ** 2
            _fill(canvas, GAS, cover((1 - rho.sqrt()) * min(ry, rz)) * loops)
        _fill(canvas, LIVER, cover(a - 30 + 6 * self.long) * cover(self.lung + 55 + 18 * self.long))
        depth = a - self.skin_front + self.fat_front + 3 * self.long
        _fill(canvas, MUSCLE, cover(depth + 9))
        _fill(canvas, FAT, cover(depth))

        # Behind: muscles with streaks of fat that grow with age.
        streaks = torch.sigmoid(4 * (self.short + 0.3 * torch.sin(b / 3.5) - 2.0 + self.age / 75))
        _fill(canvas, MUSCLE - 125 * streaks, cover(b - 15) * cover(self.skin_back - self.fat_back - b))
        air = torch.maximum(cover(a - self.skin_front - 4 * self.long), cover(b - self.skin_back))
        _fill(canvas, AIR, air)
        return {
            "canvas": canvas,
            "ligament": 20 - 60 * streaks,
            "between": cover(b - 17) * cover(self.skin_back - self.fat_back - 6 - b),
            "thorax": cover(self.lung * 0.5),
            "chest": cover(self.lung * 0.5) * cover(a) * (1 - air),
            "mediastinum": FAT + (40 - FAT) * cover(a - 22 - 6 * self.short),
            "air in lung": LUNG + 450 * torch.sigmoid(6 * (self.short - 0.9 + 0.4 * self.long)),
            "pleura": cover(a - 3),
            "beside": cover(-3 - a) * cover(16 - b),
        }

    def paint(self, x):
        """HU of the planes at ``x`` (nx,); (nx, h, w)."""
        side, cover, still = x.abs().view(-1, 1, 1), self.field.cover, self._still
        nearest, farthest = float(side.min()), float(side.max())
        x = x.view(-1, 1, 1)
        canvas = still["canvas"].expand(len(x), -1, -1).clone()
        lung = cover(side - 11 - 2 * self.long) * still["pleura"]
        chest = still["mediastinum"] + (still["air in lung"] - still["mediastinum"]) * lung
        _fill(canvas, chest, still["chest"])
        self._vessels(canvas, x)
        if farthest > float(self.half_width.min()):
            # Psoas, or lung; what lies within the bodies is painted over.
            share = cover(side - self.half_width - 1.5) * still["beside"]
            _fill(canvas, MUSCLE + (LUNG - MUSCLE) * still["thorax"], share)
        if nearest < 5:
            _fill(canvas, still["ligament"], cover(3.5 - side) * still["between"])
        self._canal(canvas, side)
        return canvas

    def _vessels(self, canvas, x):
        """Aorta on the left, down to L4, with calcified plaques; inferior vena cava on the right, below the dome."""
        cover = self.field.cover
        if float((x - self.aorta_x).abs().min()) < self.aorta_r + 1:
            middle = self.a - self.gap - self.aorta_r - 1.5 * self.long
            distance = self.aorta_r - (middle**2 + (x - self.aorta_x) ** 2).sqrt()
            _fill(canvas, AORTA, cover(distance) * cover((self.height - 2.0) * 20))
            for _, z0, length, thick, path in self.calcium:
                rim = torch.exp(-0.5 * ((distance - 0.5) / (0.5 * thick)) ** 2)
                plaque = torch.exp(-0.5 * ((self.z - z0) / length) ** 2)
                canvas += 550 * min(path, 1.5) * rim * plaque * cover(distance + 1)
        if float((x - self.cava_x).abs().min()) < self.cava_r + 1:
            middle = self.a - self.gap - self.cava_r - 2
            distance = self.cava_r - (middle**2 + (x - self.cava_x) ** 2).sqrt()
            below = cover(-self.lung - 20) * cover((self.height - 1.5) * 20)
            _fill(canvas, MUSCLE - 10, cover(distance) * below)

    def _canal(self, canvas, side):
        """Epidural fat, thecal sac, cord down to L1; nerve roots in the fat of the foramina at the sides."""
        cover, b = self.field.cover, self.canal
        half = self.sag / 2
        near, far = float(side.min()), float(side.max())
        _fill(canvas, FAT + 15, cover(b) * cover(self.sag + 3 - b) * cover(21 - side))
        if far > 9:
            root = 2.6 - (((b - 7.5) / 1.5) ** 2 + ((self._level_fraction() - 0.32) * 30) ** 2).sqrt()
            _fill(canvas, 35.0, cover(root) * cover(side - 10))
        off = (b - half).abs()
        if near < 10:
            sac = half * (1 - (side / 10.0) ** 2).clamp(min=0).sqrt() - 0.8
            _fill(canvas, SAC, cover(sac - off) * (side < 10))
        if near < 6:
            cord = 4.2 * (1 - (side / 6.0) ** 2).clamp(min=0).sqrt() - 0.2
            _fill(canvas, CORD, cover(cord - off) * cover((self.z - self.conus) * 0.3) * (side < 6))

    def _level_fraction(self):
        """Position between one disc (0) and the next (1)."""
        return (self.height + 0.5) - torch.floor(self.height + 0.5)


def _fill(canvas, value, share):
    """Blend ``value`` in."""
    canvas += (value - canvas) * share


def _waves(rows, y, z, front):
    """Sum of ``sin(ky (y - front) + kz z + phase)``; (h, w), of SD 1.7 for six rows.

    ``sin(p + q) = sin p cos q + cos p sin q``: outer products of lines along y and along z.
    """
    total = np.zeros((len(z), len(y)))
    for ky, kz, phase, _ in rows:
        q = kz * z + phase - ky * front
        total += np.cos(q)[:, None] * np.sin(ky * y) + np.sin(q)[:, None] * np.cos(ky * y)
    return total


def _course(z_of, y_of, z, sigma):
    """Smoothed y of a chain of points (cranial to caudal) at the heights ``z``; straight beyond its ends."""
    fine = np.arange(z_of.min() - 120, z_of.max() + 120, 2.0)
    order = np.argsort(z_of)
    y = np.interp(fine, z_of[order], y_of[order])
    low, high = fine < z_of.min(), fine > z_of.max()
    ends = [np.polyfit(z_of[order][part], y_of[order][part], 1) for part in (slice(0, 3), slice(-3, None))]
    y[low], y[high] = np.polyval(ends[0], fine[low]), np.polyval(ends[1], fine[high])
    half = round(1.5 * sigma)  # steps of 2 mm: three sigmas
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * 2.0 / sigma) ** 2)
    before = y[0] + (y[1] - y[0]) * np.arange(-half, 0)
    after = y[-1] + (y[-1] - y[-2]) * np.arange(1, half + 1)
    padded = np.concatenate([before, y, after])
    return np.interp(z, fine, np.convolve(padded, kernel / kernel.sum(), mode="valid"))


def _wall(bodies, z):
    """y of the posterior walls, joined across the discs, at the heights ``z``."""
    at_z, at_y = [], []
    for body in bodies[::-1]:
        c, s = np.cos(body.tilt), np.sin(body.tilt)
        for edge in (1, 0):
            v = float(body.over_u[20, edge]) * 0.9
            at_z.append(body.z - body.depth / 2 * s + v * c)
            at_y.append(body.y - body.depth / 2 * c - v * s)
    at_z = np.maximum.accumulate(np.array(at_z) + 1e-6 * np.arange(len(at_z)))
    return np.interp(z, at_z, at_y)
