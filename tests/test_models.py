"""Networks start from what they say they start from."""

import pytest
import torch
import torchvision

from vcfkit import models


def test_random_start_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first, used = models.resnet18(3, weights="random", seed=4)
    torch.manual_seed(2)
    second, _ = models.resnet18(3, weights="random", seed=4)
    other, _ = models.resnet18(3, weights="random", seed=5)
    assert used == ("random initialisation", "random")
    assert models.checksum(first.state_dict()) == models.checksum(second.state_dict())
    assert models.checksum(first.state_dict()) != models.checksum(other.state_dict())


def test_input_is_standardised_as_the_paper_says():
    class Identity(torch.nn.Module):
        def forward(self, x):
            return x

    images = torch.full((2, 5, 5), 255, dtype=torch.uint8)
    images[1] = 0
    out = models.GreyscaleInput(Identity())(images)
    assert out.shape == (2, 3, 5, 5)
    white = [(1 - m) / s for m, s in zip(models.IMAGENET_MEAN, models.IMAGENET_STD, strict=True)]
    assert out[0, :, 0, 0].tolist() == pytest.approx(white, rel=1e-6)
    assert out[1, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229, rel=1e-6)


def test_cached_imagenet_weights_are_used_and_their_checksum_kept(monkeypatch):
    donor = torchvision.models.resnet18(weights=None).state_dict()
    monkeypatch.setattr(
        torchvision.models.ResNet18_Weights, "get_state_dict", lambda self, *args, **options: donor, raising=True
    )
    network, used = models.resnet18(3, weights="imagenet")
    assert torch.equal(network.network.conv1.weight, donor["conv1.weight"])
    assert network.network.fc.out_features == 3
    assert used.sha256 == models.checksum(donor)
    assert "IMAGENET1K_V1" in used.name


def test_unreachable_imagenet_weights_fall_back_on_auto_and_raise_on_imagenet(monkeypatch, caplog):
    def refuse(self, *args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", refuse)
    _, used = models.resnet18(3, weights="auto")
    assert used.sha256 == "random"
    assert len(caplog.records) == 1
    with pytest.raises(OSError, match="no route to host"):
        models.resnet18(3, weights="imagenet")


def test_unknown_weights_and_devices_are_refused():
    with pytest.raises(ValueError, match="auto, imagenet or random required"):
        models.resnet18(3, weights="radimagenet")
    with pytest.raises(ValueError, match="device: auto, cpu or cuda required"):
        models.pick_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_cuda_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no CUDA device"):
        models.pick_device("cuda")
    assert models.pick_device("auto") == "cpu"


def test_stages_are_those_of_resnet18_and_leave_the_network_as_it_was():
    network, _ = models.resnet18(3, weights="random")
    before = models.checksum(network.state_dict())
    table = models.stages(network, size=64).set_index("stage")
    assert table["side"].tolist() == [32, 16, 16, 8, 4, 2, 1, 1]
    assert table["channels"].tolist() == [64, 64, 64, 128, 256, 512, 512, 3]
    # He et al. 2016, table 1: one 7x7 convolution, sixteen in the blocks, a fully connected layer.
    assert table["convolutions"].sum() == 17
    assert table["shortcuts"].sum() == 3
    normalised = sum(p.numel() for p in network.network.bn1.parameters())
    assert table["parameters"].sum() + normalised == sum(p.numel() for p in network.parameters())
    assert network.training
    assert models.checksum(network.state_dict()) == before


def test_a_block_has_a_convolved_shortcut_only_where_the_shape_changes():
    network, _ = models.resnet18(3, weights="random")
    main, shortcut = models.block_paths(network.network.layer2[0])
    assert main[0] == "3×3 convolution, 128, stride 2"
    assert shortcut == ["1×1 convolution, 128, stride 2", "batch normalisation"]
    assert models.block_paths(network.network.layer2[1])[1] == []
