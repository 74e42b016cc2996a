"""Windows of 64 mm around one vertebra on its radiograph (paper 04)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .boxes import find_box
from .files import ImageError
from .radiographs import read_radiograph
from .volumes import read_mask

WINDOW_MM = 64.0


@dataclass(frozen=True)
class Window:
    """Where the 64 mm of one vertebra lie on its radiograph: rows and columns from ``top`` and ``left``, ``side`` of
    them, beyond the image where need be."""

    pixels: np.ndarray
    top: int
    left: int
    side: int
    spacing: tuple[float, float]

    def image(self) -> np.ndarray:
        """(side, side) in [0, 1]; what lies outside the radiograph is black."""
        return cut(self.pixels, self.top, self.left, self.side)

    def body(self, path: str, column: str) -> np.ndarray:
        """The mask of a file in the window, bool (side, side)."""
        return cut(read_mask(path, self.pixels.shape, column), self.top, self.left, self.side)


def window_of(row) -> Window:
    """The window of a row of the samples frame.

    Raises
    ------
    ImageError
        When image, mask or box cannot be used, the pixel size is unknown, or the body does not fit the window.
    """
    radiograph = read_radiograph(row.image)
    pixels, spacing = radiograph.pixels, radiograph.spacing
    stated = getattr(row, "mm_per_pixel", None)
    if stated is not None and not pd.isna(stated):
        spacing = (float(stated), float(stated))
    if spacing is None:
        step = "add the column mm_per_pixel, at the spine"
        raise ImageError("image", "a pixel size in mm", "a file that does not tell it", step)
    if abs(spacing[0] / spacing[1] - 1) > 0.02:
        found = f"{spacing[0]:g} x {spacing[1]:g} mm"
        raise ImageError("image", "square pixels", found, "export the radiograph with square pixels")
    if not 0.02 <= spacing[0] <= 2:
        required = "pixels of 0.02 to 2 mm"
        raise ImageError("image", required, f"{spacing[0]:g} mm", "correct the pixel size in mm_per_pixel")
    side = round(WINDOW_MM / spacing[0])
    body = read_mask(row.mask, pixels.shape, "mask")
    if isinstance(row.box, str) and row.box:
        box = find_box(row.box, row.label, row.level, pixels.shape, image=row.image)
        middle = (box.ymin + box.ymax) / 2, (box.xmin + box.xmax) / 2
    elif max(pixels.shape) <= side + 1:
        # A picture of one vertebra alone, no larger than the window.
        side = side if side > max(pixels.shape) else max(pixels.shape)
        middle = pixels.shape[0] / 2, pixels.shape[1] / 2
    else:
        rows, columns = np.nonzero(body)
        middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    window = Window(pixels, round(middle[0] - side / 2), round(middle[1] - side / 2), side, spacing)
    if cut(body, window.top, window.left, side).sum() < body.sum():
        found = "one that leaves it"
        raise ImageError(
            "mask", f"a body within {WINDOW_MM:g} mm", found, "correct the mask, the box or the pixel size"
        )
    return window


def cut(pixels: np.ndarray, top: int, left: int, side: int, fill=0) -> np.ndarray:
    """A square of an image, filled where it lies outside."""
    square = np.full((side, side), fill, dtype=pixels.dtype)
    rows = slice(max(top, 0), min(top + side, pixels.shape[0]))
    columns = slice(max(left, 0), min(left + side, pixels.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = pixels[rows, columns]
        square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = inside
    return square
