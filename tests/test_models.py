"""Networks start from what they say they start from."""

import pytest
import torch
import torchvision

from vcfkit import models, training


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


# --- ResNet-50 on a backbone that was trained before ----------------------------------------------------------------


@pytest.fixture(scope="module")
def donor():
    torch.manual_seed(0)
    network = torchvision.models.resnet50(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics that differ from a fresh network's
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def _as_radimagenet_stores_it(network):
    """The authors' layout: ``self.backbone = Sequential(*list(resnet50.children())[:9])``, the last layer apart."""
    module = torch.nn.Module()
    module.backbone = torch.nn.Sequential(*list(network.children())[:9])
    return module.state_dict()


def test_radimagenets_keys_are_brought_to_torchvisions_names(donor, tmp_path):
    stored = _as_radimagenet_stores_it(donor)
    assert {"backbone.0.weight", "backbone.4.0.conv1.weight", "backbone.7.2.bn3.running_var"} <= stored.keys()
    torch.save(stored, tmp_path / "ResNet50.pt")
    start = models.radimagenet_resnet50(tmp_path / "ResNet50.pt")
    expected = {key: tensor for key, tensor in donor.state_dict().items() if not key.startswith("fc.")}
    assert start.state.keys() == expected.keys()
    assert start.weights == ("RadImageNet ResNet-50", models.checksum(expected))


def test_a_network_on_radimagenets_backbone_gives_the_features_of_the_backbone(donor, tmp_path):
    torch.save(_as_radimagenet_stores_it(donor), tmp_path / "ResNet50.pt")
    network = models.transfer_resnet50(3, models.radimagenet_resnet50(tmp_path / "ResNet50.pt"), seed=1)
    images = torch.randint(0, 256, (4, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = training.embed(network, network.network.avgpool, images, batch_size=3)
    grey = images.float()
    grey = (grey - grey.mean((1, 2), keepdim=True)) / grey.std((1, 2), keepdim=True, correction=0)
    with torch.inference_mode():
        expected = torch.nn.Sequential(*list(donor.children())[:9])(grey[:, None].repeat(1, 3, 1, 1)).flatten(1)
    assert found.shape == (4, 2048)
    assert found == pytest.approx(expected.numpy(), abs=1e-4)
    assert network(images).shape == (4, 3)


def test_what_is_no_radimagenet_checkpoint_is_refused_with_what_was_found(donor, tmp_path):
    path = tmp_path / "ResNet50.pt"
    with pytest.raises(FileNotFoundError, match=r"no file ResNet50.pt"):
        models.radimagenet_resnet50(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="cannot be read"):
        models.radimagenet_resnet50(path)
    torch.save(donor.state_dict(), path)
    with pytest.raises(ValueError, match=r"keys backbone.0 … backbone.7 required, found 'conv1.weight'"):
        models.radimagenet_resnet50(path)
    stored = _as_radimagenet_stores_it(donor)
    torch.save({key: value for key, value in stored.items() if not key.startswith("backbone.7.")}, path)
    with pytest.raises(ValueError, match=r"missing .*layer4.0.bn1"):
        models.radimagenet_resnet50(path)
    stored["backbone.0.weight"] = stored["backbone.0.weight"][:, :1]
    torch.save(stored, path)
    with pytest.raises(ValueError, match=r"conv1.weight of shape \(64, 3, 7, 7\) required, found \(64, 1, 7, 7\)"):
        models.radimagenet_resnet50(path)


def test_every_image_enters_at_mean_0_and_sd_1_and_a_flat_one_at_0():
    class Seen(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(3, 1, 1, dtype=torch.float64)  # tells how many channels are wanted

        def forward(self, x):
            return x

    images = torch.randint(0, 256, (3, 9, 9), dtype=torch.uint8)
    images[2] = 7
    out = models.ZScoredInput(Seen())(images)
    assert out.shape == (3, 3, 9, 9)
    assert out[:2].mean((1, 2, 3)).abs().max() < 1e-12
    assert out[:2, 0].std((1, 2), correction=0).tolist() == pytest.approx([1, 1])
    assert (out[2] == 0).all()


def test_one_input_channel_begins_as_the_same_function_of_a_grey_image():
    colour, grey = (models.transfer_resnet50(2, channels=channels, seed=3).double().eval() for channels in (3, 1))
    assert grey.network.conv1.weight.shape == (64, 1, 7, 7)
    images = torch.randint(0, 255, (2, 32, 32), generator=torch.Generator().manual_seed(0))
    # The sums of float32 kernels are float32 as well.
    torch.testing.assert_close(grey(images), colour(images), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="channels: 1 or 3"):
        models.transfer_resnet50(2, channels=2)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_every_network_of_paper_01_reads_films_and_has_a_last_map(architecture):
    network, used = models.classifier(architecture, weights="random", seed=1)
    assert used.sha256 == "random"
    shapes = []
    hook = models.last_map(network, architecture).register_forward_hook(lambda m, _, out: shapes.append(out.shape[2:]))
    network.eval()
    with torch.inference_mode():
        out = network(torch.zeros(2, 64, 96, dtype=torch.uint8))
    hook.remove()
    assert out.shape == (2, 2)
    assert out.abs().max() < 100  # a random start does not explode in evaluation
    assert shapes == [(2, 3)]


def test_parameters_are_those_of_the_published_networks():
    # torchvision's documentation, less the 1,000-class layer, plus one of two classes.
    published = {"DRN": (44549160, 2048), "ResNet-50": (25557032, 2048), "ShuffleNet-v2": (2278604, 1024)}
    for name, (count, width) in published.items():
        network, _ = models.classifier(name, weights="random")
        assert sum(p.numel() for p in network.parameters()) == count - (width + 1) * 1000 + (width + 1) * 2


def test_the_log_sum_exp_head_adds_the_odds_of_its_cells():
    network, _ = models.classifier("ResNet-50", head="log-sum-exp", weights="random", seed=2)
    network.eval()
    images = torch.randint(0, 256, (2, 64, 48), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(images)
        cells = network.network.cells(network.standardised(images)).double()
    assert cells.shape == (2, 3, 4, 3)
    share = torch.softmax(cells, dim=1)[:, 2]
    odds = (share / (1 - share)).sum((1, 2))
    assert logits[:, 0].tolist() == [0, 0]
    assert logits[:, 1].exp().tolist() == pytest.approx(odds.tolist(), rel=1e-4)
    assert 0 < odds.max() < 1  # twelve cells, each rarely fresh


def test_unknown_networks_and_heads_are_refused():
    with pytest.raises(ValueError, match="one of DRN"):
        models.classifier("VGG")
    with pytest.raises(ValueError, match="average, log-sum-exp required"):
        models.classifier("DRN", head="max")
    with pytest.raises(ValueError, match="two classes required"):
        models.classifier("DRN", 3, head="log-sum-exp")


def test_blocks_that_begin_as_the_identity_pass_their_input_on():
    network, _ = models.classifier("ResNet-50", 6, weights="random", seed=0)
    models.begin_as_identity(network)
    block = network.network.layer1[1].eval()
    x = torch.rand(1, 256, 4, 4)
    assert torch.equal(block(x), x)  # not negative, so that the last ReLU changes nothing
