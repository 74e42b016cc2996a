"""From boxes to what the classifier of paper 03 reads: patches (VEModule), their labels, and resampling.

The unit is a vertebra on a slice. Boxes are DataFrames with ``slice`` (place among the slices), ``xmin``, ``ymin``,
``xmax``, ``ymax`` in pixels, and 0/1 columns of `LABELS`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torchvision.ops import roi_align

from vcfkit.detection import CORNERS, iom_matrix

LABELS = ("OVCF", "OF", "SN", "KD", "PS", "normal")
DISEASES = LABELS[:-1]


def window(hu: torch.Tensor, *, level: float, width: float) -> torch.Tensor:
    """HU to grey levels 0…255 (uint8) between ``level − width/2`` and ``level + width/2``."""
    if width <= 0:
        raise ValueError(f"width: a positive number of HU required, found {width}")
    grey = torch.empty(hu.shape, dtype=torch.uint8)
    for into, part in zip(grey.split(64), hu.split(64), strict=True):  # all slices of the paper at once fill no memory
        into.copy_(((part.double() - (level - width / 2)) / width * 255).clamp(0, 255).round())
    return grey


def shrink(images: torch.Tensor, size: int) -> torch.Tensor:
    """Square uint8 images at a smaller side, each pixel the mean of those it covers; unchanged at their own side."""
    side = images.shape[-1]
    if size > side:
        raise ValueError(f"size: at most the images' own side ({side}) required, found {size}")
    if size == side:
        return images
    parts = [
        torch.nn.functional.interpolate(part[:, None].double(), size=(size, size), mode="area")[:, 0]
        for part in images.split(64)
    ]
    return torch.cat(parts).round().to(torch.uint8)


def of_slices(annotated: pd.DataFrame, detected: pd.DataFrame, *, iom: float = 0.5) -> pd.DataFrame:
    """The paper's patch dataset: diseased vertebrae as annotated, normal ones as detected less what overlaps those.

    "We eliminated the detected vertebrae that largely overlapped the diseased vertebrae to obtain the normal vertebrae"
    (Development of the VCModule). So what is called normal depends on the detector: a vertebra that it missed is no
    patch, and a false detection is a normal "vertebra".

    Parameters
    ----------
    annotated : DataFrame
        All annotated vertebrae with their labels, and whatever columns should go along (``level``, …).
    detected : DataFrame
        Detections of the slices, above the threshold, without labels; ``score``.
    iom : float
        "Largely": intersection over the smaller box above this.

    Returns
    -------
    DataFrame
        Columns slice, corners, `LABELS` (0/1), ``origin`` ("annotated", "detected"), ``score`` (NaN for annotated),
        ``row`` (of ``annotated``: the vertebra itself, or the one that a detection overlaps most; −1: none above
        ``iom``). Annotated ones first, both in their order.
    """
    diseased = annotated[annotated[list(DISEASES)].to_numpy().astype(bool).any(axis=1)]
    rows = diseased[["slice", *CORNERS]].assign(**{name: diseased[name].astype(int) for name in DISEASES}, normal=0)
    rows = rows.assign(origin="annotated", score=np.nan, row=diseased.index)
    target = overlapped(annotated, detected, iom=iom)
    on_disease = overlapped(diseased, detected, iom=iom) >= 0
    kept = detected[~on_disease]
    normal = kept[["slice", *CORNERS]].assign(**dict.fromkeys(DISEASES, 0), normal=1)
    normal = normal.assign(origin="detected", score=kept["score"], row=target[~on_disease])
    return pd.concat([part for part in (rows, normal) if len(part)] or [rows], ignore_index=True)


def overlapped(annotated: pd.DataFrame, detected: pd.DataFrame, *, iom: float = 0.5) -> np.ndarray:
    """For each detection the index of the annotated box of its slice that it overlaps most, −1 where none above iom."""
    found = np.full(len(detected), -1)
    by_slice = annotated.groupby("slice").indices
    for place, rows in detected.groupby("slice").indices.items():
        if place not in by_slice:
            continue
        targets = by_slice[place]
        table = iom_matrix(detected[CORNERS].to_numpy()[rows], annotated[CORNERS].to_numpy()[targets])
        best = table.argmax(axis=1)
        enough = table[np.arange(len(rows)), best] > iom
        found[rows] = np.where(enough, annotated.index.to_numpy()[targets[best]], -1)
    return found


def extract(
    images: torch.Tensor,
    boxes: pd.DataFrame,
    *,
    size: int,
    margin: float,
    n: int = 1,
    scaling: float = 0.0,
    translation: float = 0.0,
    seed: int = 0,
) -> torch.Tensor:
    """Square patches around boxes; several of one box differ by scaling and random translation (VEModule, Figure 1C).

    The patch is a square of ``margin`` times the box's longer side about its middle, so that a vertebra keeps its
    proportions: loss of height is what a fracture is. What lies outside the slice is black.

    Parameters
    ----------
    images : uint8 tensor, shape (n_slices, S, S)
    boxes : DataFrame
        ``slice`` and corners, in pixels of ``images``.
    size : int
        Side of the patches in pixels.
    n : int
        Patches of each box; the first is the box itself, unmoved.
    scaling, translation : float
        Of the others: the side is multiplied by a factor within 1 ± ``scaling``, the middle moves by up to
        ``translation`` of the box's longer side either way. The paper states neither.

    Returns
    -------
    uint8 tensor, shape (n_boxes · n, size, size)
        The patches of one box stand together.

    Raises
    ------
    ValueError
        A box without area, or of a slice that is not there; names it.
    """
    corners, places = boxes[CORNERS].to_numpy(dtype=np.float64), boxes["slice"].to_numpy(dtype=int)
    empty = ~((corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1]))
    if empty.any():
        k = int(np.flatnonzero(empty)[0])
        raise ValueError(
            f"slice {places[k]}: a box of positive area required, found {corners[k].tolist()}; correct or remove it"
        )
    if len(places) and (places.min() < 0 or places.max() >= len(images)):
        raise ValueError(f"boxes: slices 0 to {len(images) - 1} required, found {places.min()} to {places.max()}")
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    longer = (corners[:, 2:] - corners[:, :2]).max(axis=1)
    draw = np.random.default_rng(seed).uniform(-1, 1, (len(corners), n, 3))
    draw[:, 0] = 0
    half = longer[:, None] * margin * (1 + scaling * draw[..., 0]) / 2
    centre = middle[:, None] + translation * longer[:, None, None] * draw[..., 1:]
    windows = np.concatenate([centre - half[..., None], centre + half[..., None]], axis=-1).reshape(-1, 4)
    patches = torch.empty((len(windows), size, size), dtype=torch.uint8)
    places = np.repeat(places, n)
    for place in np.unique(places):
        rows = np.flatnonzero(places == place)
        rois = torch.from_numpy(np.column_stack([np.zeros(len(rows)), windows[rows]]))
        picture = images[place].double().cpu()[None, None]
        cut = roi_align(picture, rois, size, sampling_ratio=2, aligned=True)[:, 0]
        patches[rows] = cut.round().clamp(0, 255).to(torch.uint8)
    return patches


def box_masks(boxes: pd.DataFrame, *, size: int, margin: float) -> np.ndarray:
    """Where each box lies on its own patch (`extract`, unmoved): bool, shape (n_boxes, size, size)."""
    corners = boxes[CORNERS].to_numpy(dtype=np.float64)
    sides = corners[:, 2:] - corners[:, :2]
    share = sides / (margin * sides.max(axis=1, keepdims=True))  # of the patch, width and height
    at = np.abs((np.arange(size) + 0.5) / size - 0.5)
    return (at[None, :, None] <= share[:, 1, None, None] / 2) & (at[None, None, :] <= share[:, 0, None, None] / 2)


def resample(table: pd.DataFrame, *, reference: str = "OVCF", seed: int = 0) -> np.ndarray:
    """Rows of a balanced training set (Development of the VCModule): which, some several times, some not at all.

    "The number of chosen normal vertebrae was twice the OVCF count. The OF, SN, KD, and PS categories ... duplicated
    ... to half the OVCF counts." Duplicates are drawn among vertebrae that carry the label alone, so that they raise no
    other count, or among all that carry it where there is none; a label that already has as many keeps what it has.

    Parameters
    ----------
    table : DataFrame of 0 and 1
        Columns `LABELS`: the training rows and no others.

    Returns
    -------
    integer array
        Positions in ``table``, sorted.

    Raises
    ------
    ValueError
        No row carries the reference label.
    """
    flags = table[list(LABELS)].to_numpy().astype(bool)
    count = int(flags[:, LABELS.index(reference)].sum())
    if count == 0:
        raise ValueError(f"{reference}: at least one training vertebra required, found none; nothing to balance by")
    rng = np.random.default_rng(seed)
    normal = np.flatnonzero(flags[:, -1])
    kept = rng.permutation(normal)[: 2 * count]
    parts = [np.flatnonzero(~flags[:, -1]), kept]
    for name in DISEASES:
        if name == reference:
            continue
        column = LABELS.index(name)
        own = flags[:, column]
        missing = round(count / 2) - int(own.sum())
        if missing <= 0 or not own.any():
            continue
        alone = own & (flags.sum(axis=1) == 1)
        parts.append(rng.choice(np.flatnonzero(alone if alone.any() else own), missing, replace=True))
    return np.sort(np.concatenate(parts))


def undo_resampling(probabilities: np.ndarray, resampled_share: np.ndarray, natural_share: np.ndarray) -> np.ndarray:
    """Probabilities as they would be without the resampling: log-odds moved by the change of the labels' odds.

    A network trained where a label is w times as common as in life gives its odds w times too high (King & Zeng 2001,
    prior correction). Both shares are those of the training rows, after and before resampling; no test row enters.

    Parameters
    ----------
    probabilities : array, shape (n, n_labels)
    resampled_share, natural_share : arrays, shape (n_labels,)
        Strictly between 0 and 1; a label for which either is 0 or 1 is left as it is.
    """
    after, before = np.asarray(resampled_share, dtype=np.float64), np.asarray(natural_share, dtype=np.float64)
    known = (after > 0) & (after < 1) & (before > 0) & (before < 1)
    shift = np.ones_like(after)
    shift[known] = (before[known] / (1 - before[known])) / (after[known] / (1 - after[known]))
    p = np.asarray(probabilities, dtype=np.float64)
    return p * shift / (p * shift + 1 - p)


def end_to_end(annotated: pd.DataFrame, detected: pd.DataFrame, probabilities: np.ndarray, hit: np.ndarray):
    """What the whole system says of every vertebra: nothing where the detector missed it.

    Parameters
    ----------
    annotated : DataFrame
        Every annotated vertebra with `LABELS`, indexed 0, 1, ….
    detected : DataFrame
        Every detection above the threshold.
    probabilities : array, shape (n_detected, n_labels)
        Of the classifier on the patches of ``detected``.
    hit : integer array, shape (n_detected,)
        Index of the annotated vertebra that a detection hits, one to one, −1: none (`detection.count_hits`).

    Returns
    -------
    DataFrame, array
        Rows (annotated ones, then detections that hit nothing, which carry no label at all) with ``found`` (bool) and
        ``index`` (of annotated or of detected); probabilities (n_rows, n_labels), all 0 for a vertebra that was missed.
    """
    hit = np.asarray(hit)
    truth = annotated[["slice", *LABELS]].assign(kind="annotated", found=False, index=annotated.index)
    scores = np.zeros((len(annotated), len(LABELS)))
    on = np.flatnonzero(hit >= 0)
    scores[hit[on]] = probabilities[on]
    truth.loc[truth.index[hit[on]], "found"] = True
    loose = detected[hit < 0]
    false = loose[["slice"]].assign(**dict.fromkeys(LABELS, 0), kind="false detection", found=True, index=loose.index)
    rows = pd.concat([part for part in (truth, false) if len(part)], ignore_index=True)
    return rows, np.concatenate([scores, probabilities[hit < 0]])


def resampled_counts(before: Mapping[str, int], *, reference: str = "OVCF") -> dict[str, int]:
    """What the paper's rule makes of the counts of its Table 2 (labels that exclude each other)."""
    count = before[reference]
    after = {name: max(round(count / 2), before[name]) for name in DISEASES if name != reference}
    return {reference: count, **after, "normal": min(2 * count, before["normal"])}
