"""Where a network looks: Grad-CAM, and how much of it falls on the vertebra. What a feature adds to a score: SHAP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

BATCH = 16  # images at a time


def grad_cam(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    against: int | None = None,
) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017) of each image for one class.

    Parameters
    ----------
    network : Module
        ``(B, H, W)`` uint8 → logits.
    layer : Module
        The convolutional block whose activations are weighed; for ResNet-18 the last, ``network.layer4[-1]``.
    images, targets : uint8 tensor (n, H, W), int64 tensor (n,)
        The class asked about, per image.
    against : int, optional
        Class whose logit is subtracted. With two classes, only the difference of the logits moves a probability; one
        logit alone can rise where the other rises faster.

    Returns
    -------
    ndarray of float64, shape (n, H, W)
        Each map scaled to [0, 1]; all zero where no activation speaks for the class.
    """
    if len(images) != len(targets):
        raise ValueError(f"one target per image required, found {len(images)} images and {len(targets)} targets")
    device = next(network.parameters()).device
    network.eval()
    maps = [np.zeros((0, *images.shape[1:]))]
    dtype = next(network.parameters()).dtype
    with _gradient_from(network, layer), GradCAM(model=network, target_layers=[layer]) as cam:
        for part, classes in zip(images.split(BATCH), targets.split(BATCH), strict=True):
            # The library reads the map's size from a four-axis floating-point input.
            x = part.to(device, dtype)[:, None]
            asked = [ClassifierOutputTarget(int(target)) for target in classes]
            if against is not None:
                asked = [lambda logits, target=target: target(logits) - logits[against] for target in asked]
            maps.append(cam(input_tensor=x, targets=asked))
    return np.concatenate(maps).astype(np.float64)


@contextmanager
def _gradient_from(network: torch.nn.Module, layer: torch.nn.Module):
    """No gradient but that of the layer's output, the only one that Grad-CAM reads: the rest costs twice the time."""
    needed = [(part, part.requires_grad) for part in network.parameters()]
    hook = layer.register_forward_hook(lambda module, _, output: output.requires_grad_())
    try:
        for part, _ in needed:
            part.requires_grad_(False)
        yield
    finally:
        hook.remove()
        for part, wanted in needed:
            part.requires_grad_(wanted)


def share_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each map's total that lies inside its mask, and so in [0, 1]; NaN for an empty map.

    Parameters
    ----------
    maps : array, shape (n, H, W), not negative
    masks : bool array, shape (n, H, W)

    A map that knows nothing of the mask scores the mask's share of the image, which belongs beside it.
    """
    total = maps.sum(axis=(1, 2))
    inside = (maps * masks).sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(maps), np.nan), where=total > 0)


class Shap(NamedTuple):
    """Contributions to the linear score of every class: values (n, n_features, n_classes) and base (n_classes,).

    With two classes the score is the log-odds of the second; with more it is what enters the softmax.
    """

    values: np.ndarray
    base: np.ndarray
    features: tuple[str, ...]
    classes: tuple[str, ...]

    def importance(self) -> pd.DataFrame:
        """Mean absolute contribution, features × classes, the largest sum over classes first."""
        mean = pd.DataFrame(np.abs(self.values).mean(axis=0), index=self.features, columns=self.classes)
        return mean.loc[mean.sum(axis=1).sort_values(ascending=False, kind="stable").index]


def linear_shap(model, background: pd.DataFrame, rows: pd.DataFrame) -> Shap:
    """SHAP values of a fitted scikit-learn `LogisticRegression` (Lundberg & Lee 2017), with the shap package.

    For a linear score the values are exact, coefficient × (value - mean of the background): nothing is sampled. They
    take features as independent; correlated features share an effect in whatever way the model's coefficients do.

    Parameters
    ----------
    background : DataFrame
        The training rows, in the columns the model was fitted on. Their mean is where a contribution is 0.
    rows : DataFrame
        What is explained.

    Returns
    -------
    Shap
        ``base + values.sum(axis=1)`` is the model's ``decision_function``; with two classes that of the second.
    """
    import warnings

    with warnings.catch_warnings():
        # shap loads tqdm's notebook bar, which asks for ipywidgets; nothing here shows a bar.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import shap

    masker = shap.maskers.Independent(background.to_numpy(), max_samples=len(background))
    explainer = shap.LinearExplainer(model, masker)
    values, base = np.asarray(explainer.shap_values(rows.to_numpy())), np.atleast_1d(explainer.expected_value)
    if values.ndim == 2:
        values = values[:, :, None]
    classes = [str(name) for name in model.classes_]
    return Shap(values, base, tuple(rows.columns), tuple(classes if len(classes) > 2 else classes[1:]))


def in_boxes(boxes: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose middle lies in one of an image's boxes; bool (n, h, w).

    Parameters
    ----------
    boxes : sequence of arrays, shape (k, 4)
        Per image xmin, ymin, xmax, ymax in pixels, edges at whole numbers; k may be 0.
    """
    y, x = np.meshgrid(np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5, indexing="ij")
    masks = np.zeros((len(boxes), *shape), dtype=bool)
    for mask, of_image in zip(masks, boxes, strict=True):
        for xmin, ymin, xmax, ymax in np.reshape(of_image, (-1, 4)):
            mask |= (x >= xmin) & (x < xmax) & (y >= ymin) & (y < ymax)
    return masks


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each map's highest pixels that lies inside its mask (Zhang 2018); NaN for an empty map.

    One highest pixel scores 0 or 1. Where several are equally high, as on the plateaus of an enlarged coarse map, their
    share inside is what picking one of them at random would hit on average.
    """
    peaks = maps == maps.max(axis=(1, 2), keepdims=True)
    hits = (peaks & masks).sum(axis=(1, 2)) / peaks.sum(axis=(1, 2))
    return np.where(maps.max(axis=(1, 2)) > 0, hits, np.nan)


def localisation(
    maps: np.ndarray,
    masks: np.ndarray,
    groups: Sequence,
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How often, and by how much, maps lie where they should, group by group.

    Parameters
    ----------
    maps, masks : arrays, shape (n, H, W)
        One image per patient. What a map should lie on; images with an empty mask are left out.
    groups : sequence of str, shape (n,)
        For instance the outcome, "TP" or "FN".

    Returns
    -------
    DataFrame
        Index group (in order of appearance); n, empty (maps without any activation, which hit nothing and are left out
        of the share), then pointing, share and chance with ``_low`` and ``_high``. ``pointing`` is the mean of
        `pointing_game`, empty maps counting 0; ``share`` that of `share_inside`; ``chance`` what a flat map scores, the
        mask's share of the image. Intervals: percentile bootstrap over images.
    """
    groups = np.asarray(groups)
    if not len(maps) == len(masks) == len(groups):
        raise ValueError(f"one mask, one group per map required: {len(maps)}, {len(masks)}, {len(groups)}")
    known = masks.any(axis=(1, 2))
    scores = {
        "pointing": np.nan_to_num(pointing_game(maps, masks)),
        "share": share_inside(maps, masks),
        "chance": masks.mean(axis=(1, 2)),
    }
    tails = [(1 - level) / 2, (1 + level) / 2]
    rows = {}
    for group in dict.fromkeys(groups.tolist()):
        of = np.flatnonzero(known & (groups == group))
        row = {"n": len(of), "empty": int(np.isnan(scores["share"][of]).sum())}
        for name, values in scores.items():
            values = values[of][~np.isnan(values[of])]
            row |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), np.nan)
            if len(values):
                drawn = np.random.default_rng(seed).integers(0, len(values), (n_resamples, len(values)))
                low, high = np.quantile(values[drawn].mean(axis=1), tails)
                row |= {name: values.mean(), f"{name}_low": low, f"{name}_high": high}
        rows[group] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")
