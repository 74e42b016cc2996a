"""A second look at the same body: what another delineation of its outline gives.

Radiomic features are kept when they survive a second delineation, by the same reader a month later or by another one
(paper 04). A virtual reader moves the six landmarks of a body (corners and middles of the endplates); the outline
follows smoothly and is rasterised anew. The picture is not touched.
"""

import numpy as np
from scipy.interpolate import CubicSpline
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from .anatomy import generator

# Standard deviation of every coordinate of a landmark, and how far the outline lies outside the true one, mm.
READERS = {"intra": (0.6, 0.0), "inter": (1.0, 0.3)}


def redelineate(mask, landmarks, *, mm_per_pixel: float, reader: str, rng: np.random.Generator) -> np.ndarray:
    """Delineate one body again.

    Parameters
    ----------
    mask : array, bool (h, w)
        The true projected body, or an earlier delineation.
    landmarks : array, (6, 2)
        x and y in pixels, in the order of :data:`vcfkit.phantom.truth.LANDMARKS`.
    mm_per_pixel : float
        Size of the (square) pixels.
    reader : {"intra", "inter"}
        The same reader again, or another one: a row of :data:`READERS`.
    rng : numpy.random.Generator
        One stream per body and reading.

    Returns
    -------
    array, bool (h, w)

    Raises
    ------
    ValueError
        If the mask is empty or the reader unknown.
    """
    if reader not in READERS:
        raise ValueError(f"unknown reader {reader!r}; known: {', '.join(READERS)}")
    if not np.any(mask):
        raise ValueError("the mask is empty: nothing to delineate again")
    deviation, bias = (value / mm_per_pixel for value in READERS[reader])
    outline = max(find_contours(np.pad(np.asarray(mask, dtype=float), 1), 0.5), key=len)[:-1, ::-1] - 1  # x, y

    step = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)])  # arc length; the last one closes the outline
    distance = np.linalg.norm(outline[None] - np.asarray(landmarks, dtype=float)[:, None], axis=2)
    moves = deviation * rng.standard_normal((6, 2))
    knots, first = np.unique(distance.argmin(1), return_index=True)  # in the order of the outline
    moves = moves[first]
    spline = CubicSpline(
        np.append(along[knots], along[knots[0]] + along[-1]), np.vstack([moves, moves[:1]]), bc_type="periodic"
    )
    moved = outline + spline(along[:-1]) + bias * _outward(outline)
    return polygon2mask(mask.shape, moved[:, ::-1])


def redelineate_all(samples, masks, landmarks, *, mm_per_pixel: float, reader: str) -> np.ndarray:
    """:func:`redelineate` for every sample, each from its own stream; bool (n, h, w).

    ``samples["image"]`` names the streams, so that a reading does not depend on the other samples.
    """
    again = []
    for image, mask, marks in zip(samples["image"], np.asarray(masks), landmarks, strict=True):
        rng = generator(image, reader, "delineation")
        again.append(redelineate(mask, marks, mm_per_pixel=mm_per_pixel, reader=reader, rng=rng))
    return np.array(again)


def _outward(outline):
    """Unit normals of a closed outline, smoothed over a tenth of it, pointing away from its inside."""
    n = len(outline)
    width = max(n // 10, 1)
    ahead, behind = np.roll(outline, -width, axis=0), np.roll(outline, width, axis=0)
    tangent = ahead - behind
    normal = np.column_stack([tangent[:, 1], -tangent[:, 0]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    area = np.sum(outline[:, 0] * np.roll(outline[:, 1], -1) - np.roll(outline[:, 0], -1) * outline[:, 1])
    return normal if area > 0 else -normal
