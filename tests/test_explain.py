"""Grad-CAM finds what a network was built to look at."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from vcfkit import explain


class _LooksLeft(torch.nn.Module):
    """Class 1 is the brightness of the left half, class 0 of the right: where it looks is known."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 2, 1, bias=False)
        torch.nn.init.ones_(self.layer.weight)

    def forward(self, x):
        features = self.layer(x.view(len(x), 1, *x.shape[-2:]) / 255)
        half = features.shape[-1] // 2
        left, right = features[..., :half].mean((1, 2, 3)), features[..., half:].mean((1, 2, 3))
        return torch.stack([right, left], dim=1)


def test_map_lies_where_the_network_looks():
    images = torch.zeros(2, 16, 16, dtype=torch.uint8)
    images[0, 4:12, 1:6] = 250
    images[1, 2:8, 10:15] = 250
    network = _LooksLeft()
    maps = explain.grad_cam(network, network.layer, images, torch.tensor([1, 0]))
    assert maps.shape == (2, 16, 16)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert explain.share_inside(maps, images.numpy() > 0).min() > 0.99


def test_share_inside_is_the_masks_share_for_a_flat_map_and_undefined_for_an_empty_one():
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[:, :3] = True
    shares = explain.share_inside(np.stack([np.ones((10, 10)), np.zeros((10, 10))]), masks)
    assert shares[0] == 0.3
    assert np.isnan(shares[1])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_shap_of_a_linear_model_is_coefficient_times_distance_from_the_training_mean(n_classes):
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(150, 4)), columns=list("abcd"))
    y = np.array(["p", "q", "r"])[rng.integers(0, n_classes, 150)]
    model = LogisticRegression().fit(x.to_numpy(), y)
    rows = x.iloc[:7] + 1
    found = explain.linear_shap(model, x, rows)
    expected = model.coef_[None] * (rows - x.mean()).to_numpy()[:, None]
    assert found.values.transpose(0, 2, 1) == pytest.approx(expected, abs=1e-12)
    score = model.decision_function(rows.to_numpy()).reshape(7, -1)
    assert found.base + found.values.sum(axis=1) == pytest.approx(score, abs=1e-12)
    assert found.classes == (("p", "q", "r") if n_classes == 3 else ("q",))
    importance = found.importance()
    assert importance.sum(axis=1).is_monotonic_decreasing
    assert importance.loc["b"].to_numpy() == pytest.approx(np.abs(found.values[:, 1]).mean(axis=0))
