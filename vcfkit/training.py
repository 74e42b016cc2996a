"""One training loop for image classifiers, and prediction.

Images are few and small enough to stay on the device as uint8 tensors; a batch is an index, not a loader.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from vcfkit.models import default_dtype


def fabric(*, device: str, precision: str) -> Fabric:
    """A deterministic single-device Fabric.

    "64-true" is what the reduced profile uses: float32 training moves probabilities by several 1e-3 from one CPU's
    instruction set to another's, float64 by 1e-14, which is what lets stored outputs be compared exactly.
    """
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products; read at first use
    if device == "cpu":
        torch.set_num_threads(1)  # several notebooks share a machine; threads that wait for each other cost most
    torch.use_deterministic_algorithms(True)
    # By default every new buffer would then be filled with NaN, against code that reads what it has not written: a
    # tenth of the time, and the numbers are the same.
    torch.utils.deterministic.fill_uninitialized_memory = False
    return Fabric(accelerator="gpu" if device == "cuda" else device, devices=1, precision=precision)


def adam(network: torch.nn.Module, rate: float, *, device: str, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Adam (Kingma & Ba 2015) with torch's defaults, fused; on a GPU it can be part of a CUDA graph."""
    return torch.optim.Adam(
        network.parameters(), lr=rate, weight_decay=weight_decay, fused=True, capturable=device == "cuda"
    )


def side_by_side(work: Callable, items: Sequence, *, at_once: int) -> list:
    """``[work(item) for item in items]``, on a GPU up to ``at_once`` of them together, each on a stream of its own.

    Batches of a few images leave a large GPU idle between kernels; two or three networks fill it. ``work`` must not
    make networks (torch's default type, which that sets, belongs to all threads). Without a GPU they run in turn.
    """
    if at_once == 1 or not torch.cuda.is_available():
        return [work(item) for item in items]

    def on_own_stream(item):
        with torch.cuda.stream(torch.cuda.Stream()):
            return work(item)

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(on_own_stream, items))


def flips_and_rotations(
    *, horizontal: float, vertical: float, degrees: float
) -> Callable[[torch.Tensor, torch.Generator], torch.Tensor]:
    """Augmentation drawn anew for every image of a batch: flips with the given probabilities, rotation in ±degrees.

    Returns a function ``(images (B, H, W) uint8, CPU generator) -> (B, H, W) uint8``. A square image is rotated about
    its centre with bilinear interpolation, and what turns in from outside is black, as torchvision's
    ``RandomRotation`` does; that one draws a single angle per batch, hence this.
    """

    def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        n = len(images)
        draw = torch.rand(3, n, generator=generator, dtype=torch.float64)
        mirror = torch.where(draw[:2] < torch.tensor([[horizontal], [vertical]]), -1.0, 1.0)
        angle = torch.deg2rad((2 * draw[2] - 1) * degrees)
        cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros(n, dtype=torch.float64)
        # Output → input: rotate, then mirror; flips and turns in one resampling.
        rows = [
            torch.stack([mirror[0] * cos, -mirror[0] * sin, zero], dim=1),
            torch.stack([mirror[1] * sin, mirror[1] * cos, zero], dim=1),
        ]
        theta = torch.stack(rows, dim=1).to(images.device)
        grid = F.affine_grid(theta, [n, 1, *images.shape[1:]], align_corners=False)
        turned = F.grid_sample(images[:, None].to(grid.dtype), grid, align_corners=False)
        return turned[:, 0].round().to(torch.uint8)

    return augment


def _own_random_stream(train: Callable) -> Callable:
    """Let ``seed`` also rule layers that drop, which draw from the process's stream; that one is left as it was."""

    @functools.wraps(train)
    def seeded(*arguments, launcher: Fabric, seed: int = 0, **settings):
        on_device = [launcher.device] if launcher.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on_device):
            torch.manual_seed(seed)
            return train(*arguments, launcher=launcher, seed=seed, **settings)

    return seeded


@_own_random_stream
def fit(
    network: torch.nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    optimizer: torch.optim.Optimizer,
    launcher: Fabric,
    epochs: int,
    batch_size: int,
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    monitor: tuple[torch.Tensor, torch.Tensor] | None = None,
    seed: int = 0,
    schedule: Callable[[float], float] | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
    keep: Literal["last", "best"] = "last",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 0.0,
    graphed: bool = False,
) -> pd.DataFrame:
    """Train for a fixed number of epochs: cross-entropy for one class of many, binary cross-entropy for several labels.

    Parameters
    ----------
    network : Module
        ``(B, H, W)`` uint8 → logits ``(B, n_classes)``. Trained in place.
    images, targets : uint8 tensor (n, H, W); int64 tensor (n,), or floating-point tensor (n, n_classes)
        The training rows and nothing else. Whole numbers are classes that exclude each other. A table of 0 and 1 holds
        labels that do not: every output is a yes or no of its own (paper 03, "multi-output"), and accuracy is the share
        of right answers over all outputs.
    optimizer : Optimizer
        Over ``network.parameters()``.
    augment : callable, optional
        See `flips_and_rotations`.
    monitor : (images, targets), optional
        A set that is only watched: no weight, epoch or threshold is chosen by it unless ``keep`` says so.
    seed : int
        Of dropout, and of the order of the batches and of the augmentation, from one CPU generator: device and monitor
        do not change these two.
    schedule : callable, optional
        Share of the optimiser's learning rate at a share of all batches done, for instance `cosine`; None keeps it.
    on_epoch : callable, optional
        Gets the epoch and its row, for progress.
    keep : {"last", "best"}
        Which weights stay in the network: those of the last epoch, or of the (earliest) epoch with the lowest loss on
        ``monitor``.
    checkpoint : path, optional
        Written after every epoch, in one step. A file that is there already and comes from the same call (images,
        targets, epochs, batch size, seed, number of weights) is gone on from: an interrupted run loses one epoch at
        most (or ``checkpoint_seconds``) and ends with the weights it would have ended with.
    checkpoint_seconds : float
        Least time between two checkpoints but the last: those of a network of 100 million weights take two gigabytes.
    graphed : bool
        Replay one captured CUDA graph per step (forward, backward, optimiser) from the fourth batch on: small batches
        cost a GPU more launches than arithmetic. Needs a GPU, `adam` and no ``schedule``; batches of another size
        than ``batch_size`` run as usual.

    Returns
    -------
    DataFrame
        One row per epoch: epoch, training_loss, training_accuracy (running, augmented batches) and, with ``monitor``,
        monitor_loss, monitor_accuracy.

    Raises
    ------
    ValueError
        Fewer than two training images (batch normalisation needs two), or counts that differ; ``keep="best"`` without
        ``monitor``; a checkpoint of another call.
    FloatingPointError
        The loss stopped being finite; names the epoch.
    """
    if len(images) != len(targets) or len(images) < 2:
        raise ValueError(f"at least two images, one target each required; found {len(images)} and {len(targets)}")
    if keep not in ("last", "best"):
        raise ValueError(f"keep: last or best required, found {keep!r}")
    if graphed and (launcher.device.type != "cuda" or schedule is not None):
        raise ValueError("graphed: a CUDA device and no schedule required")
    if keep == "best" and monitor is None:
        raise ValueError("keep best: a monitor required, by which the best epoch is known; found none")
    generator = torch.Generator().manual_seed(seed)
    model, optimizer = launcher.setup(network, optimizer)
    images, targets = images.to(launcher.device), targets.to(launcher.device)
    precise = next(network.parameters()).dtype
    rates = [group["lr"] for group in optimizer.param_groups]
    per_epoch = len(_batches(torch.arange(len(images)), batch_size))
    history, best, first = [], None, 1
    if checkpoint is not None:
        call = _fingerprint(network, images, targets, epochs=epochs, batch_size=batch_size, seed=seed)
        if checkpoint.is_file():
            history, best = _resume(checkpoint, call, network, optimizer, generator)
            first = len(history) + 1

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Sum of losses and number of right answers of a batch, float64, after it has been learnt from."""
        # Fabric casts what a model returns to torch's default type; float64 would end here.
        with default_dtype(precise) if precise == torch.float64 else contextlib.nullcontext():
            logits = model(x)
        loss = _loss(logits, y)
        optimizer.zero_grad()
        launcher.backward(loss)
        optimizer.step()
        with torch.no_grad():
            return torch.stack([loss.double() * len(y), _right(logits, y).sum()])

    replay = _Replay(step, optimizer) if graphed else None
    saved, usual = time.monotonic(), 0
    done, all_batches = (first - 1) * per_epoch, epochs * per_epoch
    for epoch in range(first, epochs + 1):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        total = torch.zeros(2, dtype=torch.float64, device=launcher.device)  # read once an epoch, not once a batch
        for batch in _batches(order, batch_size):
            batch = batch.to(launcher.device)
            x, y = images[batch], targets[batch]
            if schedule is not None:
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * schedule(done / all_batches)
            done += 1
            if augment is not None:
                x = augment(x, generator)
            if replay is not None and usual >= GRAPH_AFTER and len(batch) == batch_size:
                total += replay(x, y)
            else:
                total += step(x, y)
                usual += 1
        mean_loss, accuracy = (total / len(images)).tolist()
        if not np.isfinite(mean_loss):
            raise FloatingPointError(f"epoch {epoch}: the training loss is {mean_loss}; lower the learning rate")
        row = {"epoch": epoch, "training_loss": mean_loss, "training_accuracy": accuracy}
        if monitor is not None:
            logits = _logits(network, monitor[0], launcher.device, batch_size, launcher).double()
            watched = monitor[1].to(logits.device)
            row["monitor_loss"] = _loss(logits, watched).item()
            row["monitor_accuracy"] = _right(logits, watched).mean().item()
        history.append(row)
        if keep == "best" and (best is None or row["monitor_loss"] < best["monitor_loss"]):
            best = {"epoch": epoch, "monitor_loss": row["monitor_loss"], "network": _copy(network.state_dict())}
        if checkpoint is not None and (epoch == epochs or time.monotonic() - saved >= checkpoint_seconds):
            _save(checkpoint, call, history, best, network, optimizer, generator)
            saved = time.monotonic()
        if on_epoch is not None:
            on_epoch(epoch, row)
    if best is not None:
        network.load_state_dict(best["network"])
    return pd.DataFrame(history)


def cosine(done: float) -> float:
    """Cosine annealing to 0 (Loshchilov & Hutter 2017, without restarts), as a ``schedule`` of `fit`."""
    return 0.5 * (1 + math.cos(math.pi * done))


def embed(
    network: torch.nn.Module, layer: torch.nn.Module, images: torch.Tensor, *, batch_size: int = 64
) -> np.ndarray:
    """What leaves an inner layer, flattened: shape (n, width), float64. The network is left in evaluation mode.

    Parameters
    ----------
    layer : Module
        Part of ``network``; papers 04 and 05 take the average pool, ``network.network.avgpool``.
    """
    parts = []
    hook = layer.register_forward_hook(lambda module, _, output: parts.append(output.flatten(1).double().cpu()))
    try:
        _logits(network, images, next(network.parameters()).device, batch_size)
    finally:
        hook.remove()
    return torch.cat(parts).numpy()


def predict(
    network: torch.nn.Module,
    images: torch.Tensor,
    *,
    batch_size: int = 64,
    launcher: Fabric | None = None,
    exclusive: bool = True,
) -> np.ndarray:
    """Class probabilities, shape (n, n_classes), float64. The network is left in evaluation mode.

    ``launcher`` predicts in the precision that it trained in; without one, in that of the weights. ``exclusive``
    classes share a probability of one (softmax), other labels have one each (sigmoid).
    """
    device = next(network.parameters()).device
    logits = _logits(network, images, device, batch_size, launcher).double()
    return (torch.softmax(logits, dim=1) if exclusive else torch.sigmoid(logits)).cpu().numpy()


def _loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if targets.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
    return F.cross_entropy(logits, targets)


def _right(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Per row, the share of its answers that are right."""
    if targets.is_floating_point():
        return ((logits > 0) == (targets > 0.5)).double().mean(dim=1)
    return (logits.argmax(1) == targets).double()


GRAPH_AFTER = 3  # batches that run as usual: libraries choose their kernels and the optimiser makes its state


class _Replay:
    """A training step captured once as a CUDA graph; a replay first fills buffers of the first batch's shape."""

    def __init__(self, step: Callable, optimizer: torch.optim.Optimizer):
        self._step, self._optimizer, self._graph = step, optimizer, None

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self._graph is None:
            self._x, self._y = x.clone(), y.clone()
            self._optimizer.zero_grad(set_to_none=True)  # gradients then live in the graph's own memory
            self._graph = torch.cuda.CUDAGraph()
            torch.cuda.current_stream().synchronize()
            # Capturing computes nothing; other networks may be training in other threads meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._total = self._step(self._x, self._y)
        self._x.copy_(x)
        self._y.copy_(y)
        self._graph.replay()
        return self._total


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def _fingerprint(network, images, targets, **call) -> dict:
    """What makes a training run the same run: its data, its size, its order."""
    digest = hashlib.sha256(images.cpu().contiguous().numpy().tobytes())
    digest.update(targets.cpu().contiguous().numpy().tobytes())
    weights = sum(part.numel() for part in network.parameters())
    return {"data": digest.hexdigest(), "images": len(images), "weights": weights, **call}


def _save(path, call, history, best, network, optimizer, generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    torch.save(
        {
            "call": call,
            "history": history,
            "best": best,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "dropout": torch.get_rng_state(),  # layers that drop draw from the stream of the process
        },
        draft,
    )
    os.replace(draft, path)


def _resume(path, call, network, optimizer, generator):
    """(history, best) of a checkpoint; network, optimizer and generator are put where they were."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    other = [name for name in call if saved["call"].get(name) != call[name]]
    if other:
        pairs = ", ".join(f"{name} {call[name]} (there {saved['call'].get(name)})" for name in other)
        raise ValueError(f"{path}: a checkpoint of this run required, it differs in {pairs}; remove it to start anew")
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    generator.set_state(saved["generator"])
    torch.set_rng_state(saved["dropout"])
    return saved["history"], saved["best"]


def _batches(order: torch.Tensor, batch_size: int) -> list[torch.Tensor]:
    """Batches in the given order; a last batch of one joins its neighbour, as batch normalisation needs two."""
    parts = list(order.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _logits(
    network: torch.nn.Module,
    images: torch.Tensor,
    device: torch.device,
    batch_size: int,
    launcher: Fabric | None = None,
) -> torch.Tensor:
    network.eval()
    with torch.inference_mode(), contextlib.nullcontext() if launcher is None else launcher.autocast():
        return torch.cat([network(part.to(device)) for part in images.split(batch_size)])
