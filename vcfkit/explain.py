"""Where a network looks: Grad-CAM, and how much of it falls on the vertebra. What a feature adds to a score: SHAP."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget


def grad_cam(
    network: torch.nn.Module, layer: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
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

    Returns
    -------
    ndarray of float64, shape (n, H, W)
        Each map scaled to [0, 1]; all zero where no activation speaks for the class.
    """
    device = next(network.parameters()).device
    network.eval()
    maps = []
    dtype = next(network.parameters()).dtype
    with GradCAM(model=network, target_layers=[layer]) as cam:
        for image, target in zip(images, targets, strict=True):
            # The library reads the map's size from a four-axis floating-point input.
            x = image.to(device, dtype)[None, None]
            maps.append(cam(input_tensor=x, targets=[ClassifierOutputTarget(int(target))])[0])
    return np.stack(maps).astype(np.float64)


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
    """Contributions to the log-odds score of every class: values (n, n_features, n_classes) and base (n_classes,)."""

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
