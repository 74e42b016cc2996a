"""Grad-CAM finds what a network was built to look at."""

import numpy as np
import torch

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
