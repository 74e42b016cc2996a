"""Pixel grids in mm, and the separable linear steps on them as products with small matrices."""

import math

import numpy as np
import torch

PAD = 0.06  # of the crop, rendered around it, so that blur and edge filter find real neighbours
FINE = 88  # samples across the crop below which a picture is rendered finer and averaged


class Grid:
    """Pixel centres of B rectangles, float64.

    Attributes
    ----------
    columns, rows : tensor (B, w), (B, h)
        y and z of the pixel centres in mm; rows fall, because the first row of a picture is its top.
    pixel_y, pixel_z : tensor (B,)
        Pixel size in mm; a box resized to a square has two of them.
    """

    def __init__(self, box, shape, *, pad=0, device="cpu"):
        height, width = shape
        self.pad = pad
        edges = np.asarray(box, dtype=np.float64)
        step_y, step_z = (edges[:, 1] - edges[:, 0]) / width, (edges[:, 3] - edges[:, 2]) / height
        columns = edges[:, 0:1] + (np.arange(-pad, width + pad) + 0.5) * step_y[:, None]
        rows = edges[:, 3:4] - (np.arange(-pad, height + pad) + 0.5) * step_z[:, None]
        self._columns, self._rows = columns, rows  # on the CPU, to cull without asking the accelerator
        self.leftmost, self.rightmost = columns.min(1), columns.max(1)
        self.lowest, self.highest = rows.min(1), rows.max(1)
        self.box, self.columns, self.rows, self.pixel_y, self.pixel_z = (
            torch.as_tensor(value, device=device) for value in (edges, columns, rows, step_y, step_z)
        )
        self.pixel = torch.maximum(self.pixel_y, self.pixel_z).view(-1, 1, 1, 1)

    @classmethod
    def of_crops(cls, box, size, device="cpu"):
        """A padded grid, finer than ``size`` where that is small."""
        n = size * max(1, round(FINE / size))
        return cls(box, (n, n), pad=math.ceil(PAD * n), device=device)

    def window(self, y0, y1, z0, z1):
        """Rows and columns that some sample's rectangle (arrays of shape (B,), mm) touches; None when none does."""
        columns = np.flatnonzero(((self._columns >= y0[:, None]) & (self._columns <= y1[:, None])).any(0))
        rows = np.flatnonzero(((self._rows >= z0[:, None]) & (self._rows <= z1[:, None])).any(0))
        if not len(columns) or not len(rows):
            return None
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def points(self, window=(slice(None), slice(None))):
        """y (B, 1, 1, w) and z (B, 1, h, 1) of a window."""
        rows, columns = window
        return self.columns[:, None, None, columns], self.rows[:, None, rows, None]

    def blur(self, image, sigma):
        """Gaussian blur by ``sigma`` mm, broadcastable to (B, 1, 1); the kernel is renormalised at the border."""
        return separable(gauss(self.rows, sigma), image, gauss(self.columns, sigma))

    def downsample(self, image, size):
        """Cut the padding off and average the samples of each of ``size`` x ``size`` pixels."""
        n = image.shape[-1] - 2 * self.pad
        inner = image[:, self.pad : self.pad + n, self.pad : self.pad + n]
        return inner.reshape(-1, size, n // size, size, n // size).mean((2, 4))

    def resample(self, field, source):
        """Bilinear values of ``field``, given on the unpadded grid ``source``, at this grid's pixels."""
        h, w = field.shape[-2:]
        at_y = (self.columns - source.box[:, 0:1]) / source.pixel_y[:, None] - 0.5
        at_z = (source.box[:, 3:4] - self.rows) / source.pixel_z[:, None] - 0.5
        return separable(_hat(at_z, h), field, _hat(at_y, w))


def gauss(position, sigma):
    """Row-normalised Gaussian matrix between the positions (B, n): (B, n, n)."""
    distance = (position[:, :, None] - position[:, None, :]) / sigma
    weight = torch.exp(-0.5 * distance * distance)
    return weight / weight.sum(-1, keepdim=True)


def _hat(position, n):
    """Linear interpolation matrix (B, m, n) at fractional indices (B, m), constant beyond the ends."""
    knots = torch.arange(n, dtype=position.dtype, device=position.device)
    return (1 - (position.clamp(0, n - 1)[:, :, None] - knots).abs()).clamp(min=0)


def separable(rows, image, columns):
    """``rows @ image @ columns^T`` for every sample."""
    return rows @ image @ columns.transpose(1, 2)
