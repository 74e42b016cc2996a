"""Two pretrainings for paper 04 where its own are absent: small stand-ins, and never called by the real names.

The paper sets RadImageNet (medical images) against ImageNet (photographs). RadImageNet's checkpoint is on request only.
Without it the question "does pretraining near the target help?" is asked with two pretrainings of our own, alike in
size and in everything but their pictures:

in-domain       *virtual anatomy*: crops of other virtual patients' vertebrae; the task is the region of the spine
out-of-domain   *procedural textures*: clouds, bark, waves, tiles, cells, cracks, leaves, patches; the task is the kind

Both are thousands of times smaller than what they stand in for. A difference between them tells whether the notebook
can find one, and nothing about RadImageNet.

Making one is a step of its own in the Snakefile (``python -m vcfkit.stand_ins KIND``), whose file the notebook reads.
A notebook that finds no file made by the same recipe makes the stand-in itself, which gives the same weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import torch
import typer

from vcfkit import models, params, phantom, training

if TYPE_CHECKING:
    from vcfkit.models import Checkpoint

STEM = "04_xray_ovf_astlof"
KINDS = {"in-domain": "virtual anatomy (stand-in)", "out-of-domain": "procedural textures (stand-in)"}
REAL = {"in-domain": "RadImageNet", "out-of-domain": "ImageNet"}
# Where "auto" looks for RadImageNet's file; the folder is ignored by git.
RADIMAGENET = "weights/RadImageNet-ResNet50.pt"
FOLDER = ".weights"  # beside the results of a profile

REGIONS = {"T4-T9": range(4, 10), "T10-T12": range(10, 13), "L1-L2": range(13, 15), "L3-L5": range(15, 18)}
TEXTURES = ("clouds", "bark", "waves", "tiles", "cells", "cracks", "leaves", "patches")


@dataclass(frozen=True)
class Recipe:
    """All that decides about a stand-in's weights."""

    kind: str
    image_size: int
    n_images: int
    epochs: int
    batch_size: int
    learning_rate: float
    precision: str
    seed: int = 0  # one checkpoint of each, as there is one RadImageNet: a notebook's seed does not change it


def recipes(settings: params.Parameters) -> dict[str, Recipe]:
    """The two recipes that the parameters of notebook 04 ask for."""
    return {
        kind: Recipe(
            kind,
            settings.image_size,
            settings.pretraining_images,
            settings.pretraining_epochs,
            settings.batch_size,
            settings.pretraining_learning_rate,
            settings.precision,
        )
        for kind in KINDS
    }


def pretrainings(
    weights: str, settings: params.Parameters, folder: Path, *, device: str, n_jobs: int = 1
) -> dict[str, tuple[str, Checkpoint]]:
    """The two backbones that notebook 04 compares.

    Parameters
    ----------
    weights : str
        ``radimagenet:<path>``: that checkpoint and torchvision's ImageNet, or an error. ``auto``: the same where
        ``RADIMAGENET`` is in place and ImageNet's can be had, else stand-ins. ``stand-ins``: the stand-ins.
    folder : path
        Where files of earlier stand-ins may lie.

    Returns
    -------
    dict
        in-domain and out-of-domain → (name of the model, checkpoint).
    """
    if weights.startswith("radimagenet:") or (weights == "auto" and (params.ROOT / RADIMAGENET).is_file()):
        path = params.ROOT / RADIMAGENET if weights == "auto" else Path(weights.removeprefix("radimagenet:"))
        try:
            found = (models.radimagenet_resnet50(path), models.imagenet_resnet50())
        except OSError as error:
            if weights != "auto":
                raise
            print(f"{error}. Two stand-ins are compared instead.")
        else:
            return {kind: (REAL[kind], start) for kind, start in zip(KINDS, found, strict=True)}
    return {
        kind: (KINDS[kind], load(folder / f"{kind}.pt", recipe) or make(recipe, device=device, n_jobs=n_jobs))
        for kind, recipe in recipes(settings).items()
    }


def make(recipe: Recipe, *, device: str = "cpu", n_jobs: int = 1) -> Checkpoint:
    """Train one stand-in: ResNet-50 from random weights, Adam, cosine annealing.

    The weights are rounded to float32 at the end, so that one read from its file is the one just made.
    """
    pictures, labels = PICTURES[recipe.kind](recipe, device)
    targets, classes = pd.factorize(np.asarray(labels), sort=True)
    network = models.transfer_resnet50(len(classes), seed=recipe.seed)
    history = training.fit(
        network,
        pictures,
        torch.from_numpy(targets),
        optimizer=torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True),
        launcher=training.fabric(device=device, precision=recipe.precision),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        schedule=training.cosine,
        seed=recipe.seed,
    )
    state = {
        key: tensor.detach().cpu().to(torch.float32 if tensor.is_floating_point() else tensor.dtype).contiguous()
        for key, tensor in network.network.state_dict().items()
        if not key.startswith("fc.")
    }
    accuracy = history["training_accuracy"].iloc[-1]
    name = f"{KINDS[recipe.kind]}: {recipe.n_images} pictures of {len(classes)} kinds, {recipe.epochs} epoch(s)"
    return models.Checkpoint(state, models.Weights(f"{name}, {accuracy:.2f} right in the last", models.checksum(state)))


def save(start: Checkpoint, recipe: Recipe, path: Path) -> None:
    """Write a stand-in and its recipe; into place only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.unfinished")
    torch.save({"state": start.state, "name": start.weights.name, "recipe": asdict(recipe)}, fresh)
    fresh.replace(path)


def load(path: Path, recipe: Recipe) -> Checkpoint | None:
    """The stand-in in a file; None where there is none, or one of another recipe."""
    if not path.is_file():
        return None
    stored = torch.load(path, map_location="cpu", weights_only=True)
    if stored["recipe"] != asdict(recipe):
        return None
    return models.Checkpoint(stored["state"], models.Weights(stored["name"], models.checksum(stored["state"])))


# --- pictures ---------------------------------------------------------------------------------------------------------


def anatomy(recipe: Recipe, device: str = "cpu") -> tuple[torch.Tensor, list[str]]:
    """Crops of vertebrae of virtual patients that no notebook's cohort holds, and the region each lies in.

    The patients are paper 02's under another seed; their fractures and classes play no part in the task.
    """
    pools, seed = [], 1_000 * (1 + recipe.seed)
    while sum(map(len, pools)) < recipe.n_images:
        pools.append(phantom.draw("02_xray_acute_chronic_pathological", seed=seed + len(pools)))
    pool = pd.concat(pools, ignore_index=True)
    order = np.random.default_rng(recipe.seed).permutation(len(pool))
    number = pool["level"].str[1:].astype(int) + np.where(pool["level"].str.startswith("L"), 12, 0)
    region = number.map({n: name for name, numbers in REGIONS.items() for n in numbers})
    chosen = pool.iloc[order[: recipe.n_images]]
    return phantom.vertebra_crops(chosen, size=recipe.image_size, device=device), list(region[chosen.index])


def textures(recipe: Recipe, device: str = "cpu") -> tuple[torch.Tensor, list[str]]:
    """Procedural pictures, as many of each kind as of any other (±1)."""
    kinds = [TEXTURES[k % len(TEXTURES)] for k in range(recipe.n_images)]
    drawn = [texture(kind, recipe.image_size, np.random.default_rng([recipe.seed, k])) for k, kind in enumerate(kinds)]
    return torch.from_numpy(np.stack(drawn)), kinds


PICTURES = {"in-domain": anatomy, "out-of-domain": textures}


def texture(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """One picture, uint8 (size, size), over the full range of grey."""
    y, x = np.mgrid[:size, :size] / size
    angle = rng.uniform(0, np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    if kind == "clouds":
        grey = _noise(size, rng, slope=rng.uniform(1.2, 1.8))
    elif kind == "bark":
        grey = _noise(size, rng, slope=1.0, stretch=rng.uniform(4, 8))
    elif kind == "waves":
        grey = np.sin(2 * np.pi * (rng.uniform(4, 9) * u + 0.35 * _noise(size, rng, slope=2.0)))
    elif kind == "tiles":
        n = rng.uniform(3, 6)
        grey = np.sign(np.sin(np.pi * n * u)) * np.sign(np.sin(np.pi * n * v)) + 0.15 * _noise(size, rng, slope=1.0)
    elif kind in ("cells", "cracks"):
        seeds = rng.random((int(rng.integers(12, 30)), 2))
        near = np.sort(np.hypot(x[..., None] - seeds[:, 0], y[..., None] - seeds[:, 1]), axis=-1)
        grey = -near[..., 0] if kind == "cells" else np.minimum(near[..., 1] - near[..., 0], 0.06)
    elif kind == "leaves":  # discs that hide one another, radii by a power law: edges as in photographs (Lee 2001)
        grey = np.zeros((size, size))
        for _ in range(120):
            cx, cy, r = *rng.random(2), 0.04 / np.sqrt(rng.uniform(0.02, 1))
            grey[np.hypot(x - cx, y - cy) < r] = rng.random()
    elif kind == "patches":
        grey = (_noise(size, rng, slope=1.6) > rng.uniform(-0.4, 0.4)) + 0.1 * _noise(size, rng, slope=0.5)
    else:
        raise ValueError(f"texture: one of {', '.join(TEXTURES)} required, found {kind!r}")
    low, high = grey.min(), grey.max()
    return np.round(255 * (grey - low) / (high - low)).astype(np.uint8)


def _noise(size: int, rng: np.random.Generator, *, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Noise whose amplitude falls as 1/frequency^slope, mean 0 and SD 1; ``stretch`` draws it out along y."""
    fy, fx = np.fft.fftfreq(size)[:, None] * stretch, np.fft.rfftfreq(size)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**slope
    field = np.fft.irfft2(spectrum, s=(size, size))
    return (field - field.mean()) / field.std()


def main(
    kind: str,
    out: Annotated[Path, typer.Option(help="file to write")],
    profile: str = "reduced",
    device: str = "auto",
) -> None:
    """Make one of the stand-ins of notebook 04, in-domain or out-of-domain."""
    if kind not in KINDS:
        typer.echo(f"KIND: {' or '.join(KINDS)} required, found {kind}", err=True)
        raise typer.Exit(2)
    recipe = recipes(params.load(STEM, profile))[kind]
    start = make(recipe, device=models.pick_device(device))
    save(start, recipe, out)
    typer.echo(f"{start.weights.name}; {out.name}")


if __name__ == "__main__":
    typer.run(main)
