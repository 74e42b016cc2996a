"""The vertebra detector of paper 03 (VDModule): Faster R-CNN on whole slices, its training, its detections.

torchvision's Faster R-CNN (Ren et al. 2015) with one map of the backbone; one class, "vertebra". Slices are uint8
squares that stay on the device; boxes are in their pixels, continuous (width = xmax − xmin).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
import torchvision
from lightning_fabric import Fabric
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork
from torchvision.ops import MultiScaleRoIAlign

from vcfkit.models import Weights, checksum, default_dtype, initialising

BACKBONES = ("resnet18", "mobilenet_v2")
STRIDES = (8, 16)
NARROW, CHANNELS = 128, 256  # a map of fewer channels than the first is widened to the second
GREY_MEAN, GREY_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, for weights learnt there
LOW_CONTRAST = 0.8  # of the second half of the eight variants
BOX_COLUMNS = ["image", "label", "xmin", "ymin", "xmax", "ymax", "score"]
LOSSES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")

_log = logging.getLogger(__name__)


class _Proposals(RegionProposalNetwork):
    """torchvision's, which also keeps how well it tells vertebra from background (Figure 2B, left axis)."""

    accuracy = float("nan")

    def compute_loss(self, objectness, pred_bbox_deltas, labels, regression_targets):
        with torch.no_grad():
            right = (objectness.flatten() > 0).to(torch.float64)
            known = torch.cat(labels)
            shares = [right[known == 1].mean(), 1 - right[known == 0].mean()]
            self.accuracy = float(torch.stack(shares).mean())
        return super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)


def anchor_shapes(boxes: np.ndarray, *, n_sizes: int = 3) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Sizes (square roots of areas, pixels) and shapes (height over width) for the anchors of a detector.

    Parameters
    ----------
    boxes : array, shape (n, 4)
        Those of the training slices and no others: ``n_sizes`` evenly spaced quantiles of their size, the quartiles of
        their shape.

    The paper does not state its anchors; torchvision's default (32 to 512 pixels) suits photographs.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(boxes) == 0:
        raise ValueError("boxes: at least one training box required, found none")
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    if (width <= 0).any() or (height <= 0).any():
        row = int(np.flatnonzero((width <= 0) | (height <= 0))[0])
        raise ValueError(f"boxes: positive width and height required, found {boxes[row].tolist()} in row {row}")
    levels = (np.arange(n_sizes) + 0.5) / n_sizes
    sizes = np.quantile(np.sqrt(width * height), levels)
    shapes = np.quantile(height / width, (0.25, 0.75))
    return tuple(np.round(sizes, 1).tolist()), tuple(np.round(shapes, 2).tolist())


def faster_rcnn(
    backbone: str,
    *,
    size: int,
    anchors: tuple[Sequence[float], Sequence[float]],
    stride: int = 16,
    weights: str = "auto",
    seed: int = 0,
) -> tuple[FasterRCNN, Weights]:
    """Faster R-CNN for one class on square grey slices.

    Parameters
    ----------
    backbone : {"resnet18", "mobilenet_v2"}
        Up to the map of the given stride. A map of fewer than 128 channels passes a 1 × 1 convolution to 256.
    size : int
        Side of the slices in pixels; they are not resized inside.
    anchors : (sizes, shapes)
        Of `anchor_shapes`, for the same slices.
    stride : {16, 8}
        Pixels per cell of the map. The paper does not state it; 16 is the usual one-map detector (conv4), 8 leaves a
        vertebra two cells wide, not one, on a slice of an eighth of the paper's side.
    weights : {"auto", "imagenet", "random"}
        As for `vcfkit.models.resnet18`; for the backbone alone.
    seed : int
        Of the random initialisation.

    Returns
    -------
    network, weights
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone: one of {', '.join(BACKBONES)} required, found {backbone!r}")
    if stride not in STRIDES:
        raise ValueError(f"stride: 8 or 16 required, found {stride}")
    if weights not in ("auto", "imagenet", "random"):
        raise ValueError(f"weights: auto, imagenet or random required, found {weights!r}")
    with initialising(seed):
        # Blocks that begin as the identity (Goyal et al. 2017) learn sooner from a random start; weights replace it.
        begin = {"zero_init_residual": True} if backbone == "resnet18" else {}
        whole = getattr(torchvision.models, backbone)(weights=None, **begin)
        used = _load(whole, backbone, weights)
        if backbone == "resnet18":
            names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"][: 7 if stride == 16 else 6]
            layers = {name: getattr(whole, name) for name in names}
            channels = 256 if stride == 16 else 128
        else:
            layers = {f"block{k}": part for k, part in enumerate(whole.features[: 14 if stride == 16 else 7])}
            channels = 96 if stride == 16 else 32
        body = torch.nn.Sequential()
        for name, layer in layers.items():
            body.add_module(name, layer)
        if channels < NARROW:
            body.add_module("widen", torch.nn.Conv2d(channels, CHANNELS, 1))
            body.add_module("widen_relu", torch.nn.ReLU())
            channels = CHANNELS
        body.out_channels = channels
        sizes, shapes = anchors
        pooled, hidden = 5, 256
        network = FasterRCNN(
            body,
            min_size=size,
            max_size=size,
            image_mean=list(GREY_MEAN),
            image_std=list(GREY_STD),
            rpn_anchor_generator=AnchorGenerator((tuple(sizes),), (tuple(shapes),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], output_size=pooled, sampling_ratio=2),
            box_head=TwoMLPHead(channels * pooled**2, hidden),
            box_predictor=FastRCNNPredictor(hidden, 2),
            # A slice holds 4 to 13 vertebrae, a photograph's thousands of proposals would be waste.
            rpn_pre_nms_top_n_train=256,
            rpn_pre_nms_top_n_test=128,
            rpn_post_nms_top_n_train=64,
            rpn_post_nms_top_n_test=48,
            box_batch_size_per_image=32,
            box_positive_fraction=0.5,
            box_detections_per_img=40,
            box_score_thresh=0.05,
            box_nms_thresh=0.3,
        )
        old = network.rpn
        network.rpn = _Proposals(
            old.anchor_generator,
            old.head,
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=64,
            positive_fraction=0.5,
            pre_nms_top_n=old._pre_nms_top_n,
            post_nms_top_n=old._post_nms_top_n,
            nms_thresh=0.7,
        )
    network.float()
    # Depthwise convolutions are twice as fast in torch's own order on a CPU, the others in channels_last.
    return network.to(memory_format=torch.channels_last if backbone == "resnet18" else torch.contiguous_format), used


def _load(network: torch.nn.Module, backbone: str, weights: str) -> Weights:
    """ImageNet weights into a whole torchvision network, where wanted and to be had."""
    if weights == "random":
        return Weights("random initialisation", "random")
    name = {"resnet18": "ResNet18_Weights", "mobilenet_v2": "MobileNet_V2_Weights"}[backbone]
    enum = getattr(torchvision.models, name).IMAGENET1K_V1
    try:
        state = enum.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        if weights == "imagenet":
            raise OSError(f"torchvision's {enum} not cached and not to be downloaded: {error}") from error
        _log.warning("ImageNet weights are neither cached nor to be downloaded: starting from random weights.")
        return Weights("random initialisation", "random")
    network.load_state_dict(state)
    return Weights(f"torchvision {enum}", checksum(state))


def eight_fold(images: torch.Tensor, boxes: Sequence[np.ndarray]) -> tuple[torch.Tensor, list[np.ndarray]]:
    """Offline augmentation: each slice in eight variants whose boxes stay exact (Development of the VDModule).

    The paper's eight are in its Figure S3, which is no part of its text. Here: as it is, mirrored left to right,
    upside down, and both, each with its own grey levels and with contrast lowered by a fifth about mid grey.

    Parameters
    ----------
    images : uint8 tensor, shape (n, S, S)
    boxes : n arrays of shape (k, 4)

    Returns
    -------
    images (8 n, S, S), boxes (8 n)
        Variants of one slice stand together, the slice itself first.
    """
    side = images.shape[-1]
    pictures, found = [], []
    for image, own in zip(images, boxes, strict=True):
        own = np.asarray(own, dtype=np.float64).reshape(-1, 4)
        pale = ((image.double() - 127.5) * LOW_CONTRAST + 127.5).round().to(torch.uint8)
        for grey in (image, pale):
            for upside_down in (False, True):
                for mirrored in (False, True):
                    axes = [axis for axis, flip in ((-2, upside_down), (-1, mirrored)) if flip]
                    pictures.append(grey.flip(axes) if axes else grey)
                    xmin, ymin, xmax, ymax = own.T
                    if mirrored:
                        xmin, xmax = side - xmax, side - xmin
                    if upside_down:
                        ymin, ymax = side - ymax, side - ymin
                    found.append(np.stack([xmin, ymin, xmax, ymax], axis=1))
    return torch.stack(pictures), found


def fit(
    network: FasterRCNN,
    images: torch.Tensor,
    boxes: Sequence[np.ndarray],
    *,
    optimizer: torch.optim.Optimizer,
    launcher: Fabric,
    n_steps: int,
    batch_size: int,
    seed: int = 0,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> pd.DataFrame:
    """Train a detector for a number of steps; the rate rises over a fifth of them, then falls to 0 along a cosine.

    Parameters
    ----------
    images, boxes
        uint8 tensor (n, S, S) and n arrays (k, 4) in its pixels: the training slices and nothing else. A slice without
        vertebrae is one of background.
    optimizer : Optimizer
        Its learning rate is the highest of the schedule.
    seed : int
        Of the order of slices and of the anchors and proposals that are drawn.

    Returns
    -------
    DataFrame
        One row per step: step, loss (sum of the four), the four losses, proposal_accuracy (mean of the shares of
        vertebra and of background anchors on the right side of one half; NaN for a batch without vertebrae).

    Raises
    ------
    ValueError
        Counts that differ, no box at all, or a box without area (names slice and box).
    FloatingPointError
        The loss stopped being finite; names the step.
    """
    if len(images) != len(boxes) or len(images) == 0:
        raise ValueError(f"boxes for every slice required; found {len(images)} slices, {len(boxes)} lists of boxes")
    truth = [torch.as_tensor(np.asarray(own, dtype=np.float64).reshape(-1, 4)) for own in boxes]
    for place, own in enumerate(truth):
        empty = (own[:, 2:] <= own[:, :2]).any(dim=1)
        if empty.any():
            found = own[empty][0].tolist()
            raise ValueError(f"slice {place}: a box of positive area required, found {found}; correct or remove it")
    if not any(len(own) for own in truth):
        raise ValueError("boxes: at least one vertebra required, found none on any slice")
    model, optimizer = launcher.setup(network, optimizer)
    precise = next(network.parameters()).dtype
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=n_steps, pct_start=0.2
    )
    generator = torch.Generator().manual_seed(seed)
    images = images.to(launcher.device)
    history, order = [], []
    with torch.random.fork_rng(devices=[]), default_dtype(precise):
        torch.manual_seed(seed)  # torchvision draws anchors and proposals from the global stream
        model.train()
        for step in range(1, n_steps + 1):
            if len(order) < batch_size:
                order += torch.randperm(len(images), generator=generator).tolist()
            chosen, order = order[:batch_size], order[batch_size:]
            targets = [
                {
                    "boxes": truth[k].to(launcher.device, precise),
                    "labels": torch.ones(len(truth[k]), dtype=torch.int64, device=launcher.device),
                }
                for k in chosen
            ]
            losses = model([_as_input(images[k], precise) for k in chosen], targets)
            total = sum(losses.values())
            optimizer.zero_grad()
            launcher.backward(total)
            optimizer.step()
            schedule.step()
            row = {"step": step, "loss": float(total.detach())}
            row |= {name: float(losses[name].detach()) for name in LOSSES}
            row["proposal_accuracy"] = network.rpn.accuracy
            if not np.isfinite(row["loss"]):
                raise FloatingPointError(f"step {step}: the training loss is {row['loss']}; lower the learning rate")
            history.append(row)
            if on_step is not None:
                on_step(step, row)
    return pd.DataFrame(history)


def detect(network: FasterRCNN, images: torch.Tensor, *, batch_size: int = 8) -> pd.DataFrame:
    """Detections of all slices, whatever their score (from 0.05 on).

    Returns
    -------
    DataFrame
        image (place in ``images``), label ("vertebra"), xmin, ymin, xmax, ymax (pixels), score; by falling score
        within a slice. A slice without detections has no rows. The network is left in evaluation mode.
    """
    first = next(network.parameters())
    network.eval()
    parts = []
    with torch.inference_mode(), default_dtype(first.dtype):
        for start in range(0, len(images), batch_size):
            batch = [_as_input(image.to(first.device), first.dtype) for image in images[start : start + batch_size]]
            for place, found in enumerate(network(batch), start=start):
                corners = found["boxes"].double().cpu().numpy()
                part = pd.DataFrame(corners, columns=["xmin", "ymin", "xmax", "ymax"])
                parts.append(part.assign(image=place, label="vertebra", score=found["scores"].double().cpu().numpy()))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=BOX_COLUMNS)
    solid = (frame["xmax"] > frame["xmin"]) & (frame["ymax"] > frame["ymin"])
    return frame.loc[solid, BOX_COLUMNS].reset_index(drop=True)


def _as_input(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """uint8 (S, S) → (3, S, S) in [0, 1], as torchvision's detectors take images."""
    return (image.to(dtype) / 255).expand(3, -1, -1)
