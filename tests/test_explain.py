"""Grad-CAM finds what a network was built to look at."""

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from sklearn.linear_model import LogisticRegression

from vcfkit import explain, models


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


def test_maps_are_those_of_the_library_and_the_network_keeps_its_gradients():
    network, _ = models.classifier("ResNet-50", weights="random", seed=1)
    network.eval()
    images = torch.randint(0, 255, (3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    layer = models.last_map(network, "ResNet-50")
    targets = torch.tensor([0, 1, 1])
    ours = explain.grad_cam(network, layer, images, targets)
    with GradCAM(model=network, target_layers=[layer]) as cam:
        theirs = cam(images.float()[:, None], [ClassifierOutputTarget(int(k)) for k in targets])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert all(part.requires_grad for part in network.parameters())


def test_boxes_become_the_pixels_whose_middle_they_hold():
    masks = explain.in_boxes([np.array([[1, 2, 3, 4.6]]), np.zeros((0, 4))], (6, 5))
    assert masks[0].sum() == 2 * 3
    assert masks[0, 2:5, 1:3].all()
    assert not masks[1].any()


def test_pointing_asks_whether_the_peak_lies_inside_and_shares_a_plateau():
    maps = np.zeros((3, 4, 4))
    maps[0, 1, 1] = 1
    maps[1, :, :2] = 1
    masks = np.zeros((3, 4, 4), dtype=bool)
    masks[:, :2, :2] = True
    hits = explain.pointing_game(maps, masks)
    assert hits[:2].tolist() == [1, 0.5]
    assert np.isnan(hits[2])


def test_localisation_by_group_against_numbers_made_by_hand():
    maps, masks = np.zeros((5, 4, 4)), np.zeros((5, 4, 4), dtype=bool)
    masks[:4, 0, :] = True  # a quarter of the image; the last has nothing to find
    maps[0, 0, 0] = 1  # all inside
    maps[1, 0, 0], maps[1, 3, 3] = 1, 3  # a quarter inside, peak outside
    maps[3, 0, 1] = 1
    table = explain.localisation(maps, masks, ["TP", "TP", "TP", "FN", "FN"])
    assert table.loc["TP", ["n", "empty"]].tolist() == [3, 1]
    assert table.loc["TP", "pointing"] == pytest.approx(1 / 3)
    assert table.loc["TP", "share"] == pytest.approx((1 + 0.25) / 2)
    assert table.loc["FN", ["n", "pointing", "share", "share_low", "share_high"]].tolist() == [1, 1, 1, 1, 1]
    assert table["chance"].tolist() == [0.25, 0.25]
    assert table.loc["TP", "share_low"] < table.loc["TP", "share"] < table.loc["TP", "share_high"]


def test_the_map_of_a_difference_is_that_of_a_network_whose_logit_is_the_difference():
    class Difference(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            logits = self.network(x)
            return logits - logits.flip(1)

    network, _ = models.classifier("ShuffleNet-v2", weights="random", seed=1)
    images = torch.randint(0, 255, (2, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    layer, targets = models.last_map(network, "ShuffleNet-v2"), torch.tensor([0, 1])
    ours = explain.grad_cam(network, layer, images, targets, against=1)
    theirs = explain.grad_cam(Difference(network), layer, images, targets)
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5)
    assert ours[1].max() == 0  # a class against itself
