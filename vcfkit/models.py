"""Networks, the weights they start from, and the device they run on."""

from __future__ import annotations

import hashlib
import logging
import math
import pickle
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import torchvision
from torchvision.models.resnet import Bottleneck, ResNet

# Paper 02, Model training: "normalized with mean= [0.485,0.456,0.406] and std= [0.229,0.224,0.225]".
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_log = logging.getLogger(__name__)


class Weights(NamedTuple):
    """What a network started from: ``name`` for people, ``sha256`` of the checkpoint's tensors or "random"."""

    name: str
    sha256: str


class GreyscaleInput(torch.nn.Module):
    """Feeds a one-channel image to a network made for ImageNet colours.

    ``(B, H, W)`` or ``(B, 1, H, W)``, grey levels 0…255 → ``(B, 3, H, W)`` standardised with ImageNet's channel mean
    and standard deviation: images stay uint8 in memory until the batch they are used in.
    """

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def standardised(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.to(self.mean.dtype).view(len(images), 1, *images.shape[-2:]) / 255
        return ((grey - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(self.standardised(images))


def resnet18(n_classes: int, *, weights: str = "auto", seed: int = 0) -> tuple[GreyscaleInput, Weights]:
    """ResNet-18 (He et al. 2016) with a fresh last layer, for one-channel uint8 images.

    Parameters
    ----------
    weights : {"auto", "imagenet", "random"}
        "auto" takes torchvision's ImageNet weights where they are cached or can be downloaded and else starts at
        random, saying so in one line; "imagenet" raises instead.
    seed : int
        Of the random initialisation (last layer included).

    Returns
    -------
    network, weights
        The module maps ``(B, H, W)`` to logits ``(B, n_classes)``.

    Raises
    ------
    OSError
        ``weights="imagenet"`` and they can be neither found nor downloaded.
    """
    if weights not in ("auto", "imagenet", "random"):
        raise ValueError(f"weights: auto, imagenet or random required, found {weights!r}")
    with initialising(seed):
        network = torchvision.models.resnet18(weights=None)
        network.fc = torch.nn.Linear(network.fc.in_features, n_classes)
    network.float()
    used = Weights("random initialisation", "random")
    if weights != "random":
        enum = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
        try:
            state = enum.get_state_dict(progress=False, check_hash=True)
        except OSError as error:  # urllib's errors and a read-only cache are both OSError
            if weights == "imagenet":
                raise OSError(f"torchvision's {enum} not cached and not to be downloaded: {error}") from error
            _log.warning("ImageNet weights are neither cached nor to be downloaded: starting from random weights.")
        else:
            used = Weights(f"torchvision {enum}", checksum(state))
            network.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")}, strict=False)
    return GreyscaleInput(network.to(memory_format=torch.channels_last)), used


class Architecture(NamedTuple):
    """One torchvision network: how to make it, its ImageNet weights, and where its maps are.

    ``shallow`` and ``deep`` name the modules, in order, up to the map of stride 16 and from there to that of stride 32,
    the last before pooling, which Grad-CAM weighs.
    """

    builder: str
    weights: str
    shallow: tuple[str, ...]
    deep: tuple[str, ...]


def _efficientnet(size: str, parts: int) -> Architecture:
    names = [f"features.{k}" for k in range(parts)]
    weights = f"EfficientNet_V2_{size.upper()}_Weights"
    return Architecture(f"efficientnet_v2_{size}", weights, tuple(names[:6]), tuple(names[6:]))


_RESNET = (("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"), ("layer4",))
# Paper 01, Model test and evaluation; its Table 2 calls ShuffleNet-v2 "Shufflenet-v1".
ARCHITECTURES = {
    "DRN": Architecture("resnet101", "ResNet101_Weights", *_RESNET),
    "ResNet-50": Architecture("resnet50", "ResNet50_Weights", *_RESNET),
    "ShuffleNet-v2": Architecture(
        "shufflenet_v2_x1_0",
        "ShuffleNet_V2_X1_0_Weights",
        ("conv1", "maxpool", "stage2", "stage3"),
        ("stage4", "conv5"),
    ),
    "EfficientNetV2-S": _efficientnet("s", 8),
    "EfficientNetV2-M": _efficientnet("m", 9),
    "EfficientNetV2-L": _efficientnet("l", 9),
}
HEADS = ("average", "log-sum-exp")
CELL_CLASSES = ("none", "old", "fresh")
# A cell is rarely fresh at the start, as in detectors (Lin 2017, RetinaNet); else a film's odds begin at their number.
CELL_PRIOR = 0.01


class LogSumExp(torch.nn.Module):
    """A film's odds as the sum of those of its cells, so that one fresh vertebra is enough.

    Every cell of the map of stride 16 (joined by that of stride 32, doubled) gets logits of `CELL_CLASSES` from 1 × 1
    convolutions; the film's log-odds of "fresh" are the log-sum-exp over cells of theirs (multiple-instance pooling;
    Pinheiro and Collobert 2015). The paper's networks average over the whole film first.
    """

    def __init__(self, trunk: torch.nn.Module, architecture: Architecture):
        super().__init__()
        self.trunk, self._shallow, self._deep = trunk, architecture.shallow, architecture.deep
        channels = self._channels()
        self.shallow_cells = torch.nn.Conv2d(channels[0], len(CELL_CLASSES), 1, bias=False)
        self.deep_cells = torch.nn.Conv2d(channels[1], len(CELL_CLASSES), 1)
        for layer in (self.shallow_cells, self.deep_cells):
            torch.nn.init.normal_(layer.weight, std=0.01)
        with torch.no_grad():
            rare = math.log(CELL_PRIOR / (1 - 2 * CELL_PRIOR))
            self.deep_cells.bias.copy_(torch.tensor([0.0, rare, rare]))

    def _channels(self) -> tuple[int, int]:
        training = self.trunk.training
        self.trunk.eval()
        with torch.no_grad():
            shallow, deep = self.features(torch.zeros(1, 3, 64, 64, dtype=next(self.trunk.parameters()).dtype))
        self.trunk.train(training)
        return shallow.shape[1], deep.shape[1]

    def features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for name in self._shallow:
            x = self.trunk.get_submodule(name)(x)
        deep = x
        for name in self._deep:
            deep = self.trunk.get_submodule(name)(deep)
        return x, deep

    def cells(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, 3, H, W)`` → logits of `CELL_CLASSES`, ``(B, 3, H/16, W/16)`` rounded up; cell i lies at pixel 16 i."""
        shallow, deep = self.features(x)
        cells, deep = self.shallow_cells(shallow), self.deep_cells(deep)
        b, c, h, w = deep.shape
        # Doubled by repetition: its gradient is the same on every device, that of an interpolation is not.
        doubled = deep[:, :, :, None, :, None].expand(b, c, h, 2, w, 2).reshape(b, c, 2 * h, 2 * w)
        return cells + doubled[:, :, : cells.shape[2], : cells.shape[3]]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.cells(x).flatten(2)
        cells = cells.to(torch.promote_types(cells.dtype, torch.float32))  # bfloat16 would tie films
        odds = cells[:, 2] - torch.logaddexp(cells[:, 0], cells[:, 1])
        fresh = torch.logsumexp(odds, dim=1)
        return torch.stack([torch.zeros_like(fresh), fresh], dim=1)


def classifier(
    architecture: str, n_classes: int = 2, *, head: str = "average", weights: str = "auto", seed: int = 0
) -> tuple[GreyscaleInput, Weights]:
    """One of `ARCHITECTURES` for one-channel uint8 images of any size.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`; "DRN" is paper 01's name for ResNet-101.
    n_classes : int
        Outputs; 2 for ``head="log-sum-exp"``, non-fresh and fresh.
    head : {"average", "log-sum-exp"}
        The paper's global average and fully connected layer (dropout as torchvision has it), or `LogSumExp`.
    weights : {"auto", "imagenet", "random"}
        As for `resnet18`. Task pretraining is put on top by `vcfkit.pretraining.start`.
    seed : int
        Of the random initialisation.

    Returns
    -------
    network, weights
        The module maps ``(B, H, W)`` to logits ``(B, n_classes)``.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture: one of {', '.join(ARCHITECTURES)} required, found {architecture!r}")
    if head not in HEADS:
        raise ValueError(f"head: one of {', '.join(HEADS)} required, found {head!r}")
    if head == "log-sum-exp" and n_classes != 2:
        raise ValueError(f"head log-sum-exp: two classes required, found {n_classes}")
    if weights not in ("auto", "imagenet", "random"):
        raise ValueError(f"weights: auto, imagenet or random required, found {weights!r}")
    recipe = ARCHITECTURES[architecture]
    # Blocks that begin as the identity (Goyal 2017): else a random ResNet-101 has logits of thousands in evaluation,
    # until its running means have settled after some ten batches.
    begin = {"zero_init_residual": True} if recipe.builder.startswith("resnet") else {}
    with initialising(seed):
        network = getattr(torchvision.models, recipe.builder)(weights=None, **begin)
        last = network.classifier if hasattr(network, "classifier") else network
        name = "1" if hasattr(network, "classifier") else "fc"
        setattr(last, name, torch.nn.Linear(getattr(last, name).in_features, n_classes))
    network.float()
    used = Weights("random initialisation", "random")
    if weights != "random":
        enum = getattr(torchvision.models, recipe.weights).IMAGENET1K_V1
        try:
            state = enum.get_state_dict(progress=False, check_hash=True)
        except OSError as error:  # urllib's errors and a read-only cache are both OSError
            if weights == "imagenet":
                raise OSError(f"torchvision's {enum} not cached and not to be downloaded: {error}") from error
            _log.warning("ImageNet weights are neither cached nor to be downloaded: starting from random weights.")
        else:
            used = Weights(f"torchvision {enum}", checksum(state))
            last_layer = ("fc.", "classifier.1.")
            network.load_state_dict({k: v for k, v in state.items() if not k.startswith(last_layer)}, strict=False)
    if head == "log-sum-exp":
        setattr(last, name, torch.nn.Identity())
        with initialising(seed + 1):
            network = LogSumExp(network.double(), recipe).float()
    return GreyscaleInput(network.to(memory_format=torch.channels_last)), used


def begin_as_identity(network: torch.nn.Module) -> None:
    """Let every residual block of a network that starts at random begin as the identity (Goyal et al. 2017).

    The scale of the last normalisation of each block becomes 0. A deep network then trains in few steps as a shallow
    one; it is for random starts alone, since it would undo pretrained weights.
    """
    for block in network.modules():
        if isinstance(block, Bottleneck):
            torch.nn.init.zeros_(block.bn3.weight)


def small_residual(*, seed: int = 0) -> GreyscaleInput:
    """A ResNet-101 with one block a stage and the log-sum-exp head: what task pretraining trains and then deepens."""
    with initialising(seed):
        trunk = ResNet(Bottleneck, [1, 1, 1, 1])
        trunk.fc = torch.nn.Identity()
        network = LogSumExp(trunk, ARCHITECTURES["DRN"])
    return GreyscaleInput(network.float().to(memory_format=torch.channels_last))


def last_map(network: GreyscaleInput, architecture: str) -> torch.nn.Module:
    """The module whose output Grad-CAM weighs: the last map before pooling (stride 32)."""
    trunk = network.network.trunk if isinstance(network.network, LogSumExp) else network.network
    layer = trunk.get_submodule(ARCHITECTURES[architecture].deep[-1])
    return layer[-1] if isinstance(layer, torch.nn.Sequential) else layer


@contextmanager
def default_dtype(dtype: torch.dtype):
    """What torch makes of a number without a type, for the length of a block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def initialising(seed: int):
    """Draw weights in float64 from their own stream.

    torch draws float32 normals by an approximation that depends on the processor's vector instructions; training grows
    such a difference in the seventh digit into another network.
    """
    with default_dtype(torch.float64), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def checksum(state: dict[str, torch.Tensor]) -> str:
    """sha256 over the names, types, shapes and bytes of a state dict's tensors, in sorted order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def stages(network: GreyscaleInput, *, size: int) -> pd.DataFrame:
    """What a residual network is made of, told by the network itself while one image passes through it.

    Parameters
    ----------
    network : GreyscaleInput
        Around a torchvision ResNet: its direct children are the stages.
    size : int
        Side of the image in pixels.

    Returns
    -------
    DataFrame
        One row per stage that changes the shape or has weights: stage (its name in the module), what (in words),
        convolutions (1 × 1 shortcuts not counted), shortcuts (1 × 1), parameters, channels and side of its output
        (side 1 after pooling).
    """
    rows = []

    def note(name: str, module: torch.nn.Module, output: torch.Tensor) -> None:
        convolutions = [part for part in module.modules() if isinstance(part, torch.nn.Conv2d)]
        shortcuts = sum(part.kernel_size == (1, 1) for part in convolutions)
        rows.append(
            {
                "stage": name,
                "what": _in_words(module),
                "convolutions": len(convolutions) - shortcuts,
                "shortcuts": shortcuts,
                "parameters": sum(part.numel() for part in module.parameters()),
                "channels": output.shape[1],
                "side": output.shape[2] if output.ndim == 4 else 1,
            }
        )

    parts = [
        (name, module)
        for name, module in network.network.named_children()
        if not isinstance(module, torch.nn.BatchNorm2d | torch.nn.ReLU)
    ]
    hooks = [
        module.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, module in parts
    ]
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            network(torch.zeros((1, size, size), dtype=torch.uint8, device=next(network.parameters()).device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows)


def block_paths(block: torch.nn.Module) -> tuple[list[str], list[str]]:
    """The layers of a two-convolution residual block in words: main path, and shortcut ([] passes the input)."""
    main = [_in_words(part) for part in (block.conv1, block.bn1, block.relu, block.conv2, block.bn2)]
    return main, [] if block.downsample is None else [_in_words(part) for part in block.downsample]


def _in_words(module: torch.nn.Module) -> str:
    if isinstance(module, torch.nn.Conv2d):
        stride = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        return f"{module.kernel_size[0]}×{module.kernel_size[1]} convolution, {module.out_channels}{stride}"
    if isinstance(module, torch.nn.MaxPool2d):
        return f"{module.kernel_size}×{module.kernel_size} max pooling, stride {module.stride}"
    if isinstance(module, torch.nn.Linear):
        return f"fully connected, {module.out_features}"
    if isinstance(module, torch.nn.Sequential):
        return f"{len(module)} residual blocks"
    names = {"BatchNorm2d": "batch normalisation", "ReLU": "ReLU", "AdaptiveAvgPool2d": "average pooling"}
    return names.get(type(module).__name__, type(module).__name__)


class Checkpoint(NamedTuple):
    """Weights to start from, all but the last layer, under torchvision's names; and what to call them."""

    state: dict[str, torch.Tensor]
    weights: Weights


class ZScoredInput(torch.nn.Module):
    """Feeds a one-channel image to a network, every image at mean 0 and standard deviation 1.

    Paper 04, Radiomics and DTL features extraction: "Each image underwent Z-score normalization"; paper 05, DTL feature
    extraction, likewise. ``(B, H, W)`` or ``(B, 1, H, W)`` of any grey scale → ``(B, C, H, W)``, C the channels of the
    network's first layer; an image without contrast becomes 0.
    """

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.to(next(self.network.parameters()).dtype).view(len(images), 1, *images.shape[-2:])
        spread, mean = torch.std_mean(grey, dim=(1, 2, 3), keepdim=True, correction=0)
        scaled = (grey - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))
        channels = self.network.conv1.in_channels
        return self.network(scaled.expand(-1, channels, -1, -1).contiguous(memory_format=torch.channels_last))


def transfer_resnet50(
    n_classes: int, start: Checkpoint | None = None, *, channels: int = 3, seed: int = 0
) -> ZScoredInput:
    """ResNet-50 with a fresh last layer on a backbone that was trained before (paper 04, Figure 6; paper 05).

    Parameters
    ----------
    start : Checkpoint, optional
        `imagenet_resnet50`, `radimagenet_resnet50` or a stand-in (`vcfkit.stand_ins`); None begins at random.
    channels : {1, 3}
        Of the first layer. With 1 (paper 05: "the input channel is 1") its kernels are the sums of the three colours',
        so that the network begins as the same function of a grey image.
    seed : int
        Of the fresh layer, and of the rest without ``start``.

    Returns
    -------
    ZScoredInput
        ``(B, H, W)`` → logits ``(B, n_classes)``. Its ``network.avgpool`` gives the 2,048 features.
    """
    with initialising(seed):
        network = torchvision.models.resnet50(weights=None)
        network.fc = torch.nn.Linear(network.fc.in_features, n_classes)
    network.float()
    if start is not None:
        _load_backbone(network, start.state, start.weights.name)
    if channels == 1:
        network.conv1.weight = torch.nn.Parameter(network.conv1.weight.data.sum(dim=1, keepdim=True))
        network.conv1.in_channels = 1
    elif channels != 3:
        raise ValueError(f"channels: 1 or 3 required, found {channels!r}")
    return ZScoredInput(network.to(memory_format=torch.channels_last))


def imagenet_resnet50() -> Checkpoint:
    """torchvision's ImageNet weights, version 1 (the one whose training the papers' time knew).

    Raises
    ------
    OSError
        They are neither cached nor to be downloaded.
    """
    enum = torchvision.models.ResNet50_Weights.IMAGENET1K_V1
    try:
        state = enum.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise OSError(f"torchvision's {enum} not cached and not to be downloaded: {error}") from error
    return Checkpoint(_without_last_layer(state), Weights(f"torchvision {enum}", checksum(state)))


# RadImageNet's PyTorch file holds the children of torchvision's ResNet-50 by their number in a Sequential.
_RADIMAGENET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def radimagenet_resnet50(path: str | Path) -> Checkpoint:
    """RadImageNet's ResNet-50 (Mei et al. 2022, Radiol Artif Intell 4:e210315) from its PyTorch checkpoint.

    Its keys read ``backbone.0.weight``, ``backbone.4.0.conv1.weight``, …; they get torchvision's names here. The file
    is the user's: its licence forbids passing it on.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file; a file that is no such checkpoint, with the keys that are missing or left over.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"RadImageNet checkpoint required, no file {path.name}: ask its authors for ResNet50.pt"
        )
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path.name}: a PyTorch state dict required, found a file that cannot be read") from error
    if not isinstance(stored, dict) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise ValueError(f"{path.name}: a state dict of tensors required, found {type(stored).__name__}")
    state = {}
    for key, tensor in stored.items():
        prefix, _, rest = key.removeprefix("module.").partition(".")
        number, _, inner = rest.partition(".")
        if prefix != "backbone" or number not in _RADIMAGENET:
            raise ValueError(
                f"{path.name}: keys backbone.0 … backbone.7 required, found {key!r}: not RadImageNet's ResNet-50"
            )
        state[f"{_RADIMAGENET[number]}.{inner}"] = tensor
    weights = Weights("RadImageNet ResNet-50", checksum(state))
    _load_backbone(torchvision.models.resnet50(weights=None), state, path.name)  # refuses here what does not fit
    return Checkpoint(state, weights)


def _load_backbone(network: torch.nn.Module, state: dict[str, torch.Tensor], name: str) -> None:
    """Fill all but the last layer; ValueError where keys or shapes do not fit."""
    own = _without_last_layer(network.state_dict())
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    # Checkpoints older than this counter lack it; it is not used in evaluation.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or extra:
        raise ValueError(
            f"{name}: not a ResNet-50; missing {missing[:3] or 'nothing'}, unknown {extra[:3] or 'nothing'}"
        )
    wrong = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if wrong:
        key = min(wrong)
        raise ValueError(f"{name}: {key} of shape {tuple(own[key].shape)} required, found {tuple(state[key].shape)}")
    network.load_state_dict(state, strict=False)


def _without_last_layer(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}


def pick_device(device: str) -> str:
    """Turn "auto" into "cuda" where there is one, else "cpu"; refuse a "cuda" that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda required, but torch sees no CUDA device; use device auto or cpu")
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device: auto, cpu or cuda required, found {device!r}")
    return device
