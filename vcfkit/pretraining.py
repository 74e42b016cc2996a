"""Task pretraining: networks that have seen fresh and old fractures of *other* virtual patients, vertebra by vertebra.

What a network learns here uses labels that paper 01 does not have: for every vertebra of the pretraining films, whether
it is unbroken, old or fresh, and where it lies. It is therefore never a stand-in for ImageNet. None of these virtual
patients stands in a cohort of the compendium (their seeds begin at `FIRST_SEED`).

Two steps, on films of the same frame and pixel size as those of the study:

1. patches around single vertebrae, the three classes equally often; the answer is read in the middle of the patch;
2. whole films; the answer is read in the cell of every vertebra, and in some beside the spine, where nothing is broken.

The residual networks share one pretraining: a network with one block a stage is trained and then deepened to ResNet-50
or ResNet-101 by blocks that start as the identity (Chen 2016, Net2Net), which is exact and saves most of the time.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from vcfkit import models, phantom
from vcfkit.models import CELL_CLASSES, GreyscaleInput, LogSumExp, Weights
from vcfkit.phantom.anatomy import generator
from vcfkit.training import cosine, fit

STEM = "01_xray_fresh_vcf"
FIRST_SEED = 1_000_000  # of cohorts used for nothing else
GROWN = ("DRN", "ResNet-50")
JITTER = 5  # pixels that the middle of a patch may lie beside that of its vertebra
STRIDE, IGNORED, ONE_IN = 16, -100, 8  # of the cells; no target (torch's own number); share of cells without a vertebra
BATCH = 32
FRESH = CELL_CLASSES.index("fresh")


@dataclass(frozen=True)
class Recipe:
    """Size of a task pretraining. Everything in it goes into the name of the cached file.

    Attributes
    ----------
    films : int
        Pretraining films, two thirds with a fresh fracture, a third with old ones alone.
    shape : (int, int)
        Rows and columns of a film.
    patch : int
        Side of a patch in pixels; 65 puts its middle into the middle of a cell.
    patch_epochs, film_epochs : int
        Of steps 1 and 2.
    learning_rate : float
        Adam; falls to 0 over each step by half a cosine. Step 2 starts at a third of it.
    contrast_width : float
        Of `local_contrast`, in pixels; 0 leaves films as they are.
    """

    films: int
    shape: tuple[int, int]
    patch: int = 65
    patch_epochs: int = 8
    film_epochs: int = 3
    learning_rate: float = 1e-3
    contrast_width: float = 0.0
    effect: float = 1.0
    nuisance: float = 1.0
    seed: int = 0


def local_contrast(films: torch.Tensor, *, width: float) -> torch.Tensor:
    """Every pixel less the mean of its surroundings, by their standard deviation; uint8 (n, h, w) → uint8 (n, h, w).

    ``width`` is that of a Gaussian (full width at half maximum) in pixels. ±3 standard deviations fill the range: what
    a scanner does to brightness and contrast at scales above a vertebra is gone.
    """
    sigma = width / 2.355
    reach = int(np.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float32) / sigma) ** 2)
    kernel /= kernel.sum()

    def blur(x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1).to(x))
        return F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1).to(x))

    done = []
    for part in films.split(64):
        x = part[:, None].float()
        mean = blur(x)
        spread = (blur(x**2) - mean**2).clamp(min=4.0).sqrt()
        done.append((((x - mean) / spread / 6 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)[:, 0])
    return torch.cat(done) if done else films


def other_patients(recipe: Recipe) -> pd.DataFrame:
    """Rows of virtual patients with a fracture that stand in no cohort of the compendium."""
    wanted = {True: recipe.films - recipe.films // 3, False: recipe.films // 3}
    parts: dict[bool, list[pd.DataFrame]] = {True: [], False: []}
    seed = FIRST_SEED + 1000 * recipe.seed
    while any(sum(map(len, parts[fresh])) < n for fresh, n in wanted.items()):
        drawn = phantom.draw(STEM, seed=seed, effect=recipe.effect, nuisance=recipe.nuisance)
        parts[True].append(drawn[drawn["label"] == "fresh"])
        parts[False].append(drawn[(drawn["label"] != "fresh") & drawn["has_old_vcf"]])
        seed += 1
    chosen = [pd.concat(parts[fresh]).head(n) for fresh, n in wanted.items()]
    return pd.concat(chosen, ignore_index=True)


def films_with_vertebrae(
    references, *, shape: tuple[int, int], contrast_width: float = 0.0, device: str = "cpu"
) -> tuple[torch.Tensor, pd.DataFrame]:
    """Films, and where every vertebra of them lies.

    Returns
    -------
    films : uint8 tensor (n, h, w)
    vertebrae : DataFrame
        film (row of ``films``), level, x, y (middle of the projected body, pixels), width, height, cell_class (index in
        `CELL_CLASSES`), mm_per_pixel.
    """
    references = list(references)
    films, rows = [], []
    for start in range(0, len(references), 64):
        pictures, truths = phantom.whole_radiographs(
            references[start : start + 64], size=shape, device=device, truth=True
        )
        films.append(pictures)
        for k, truth in enumerate(truths, start=start):
            for level, acuity, box in zip(truth.levels, truth.acuity, truth.boxes, strict=True):
                rows.append((k, level, *box, _cell_class(acuity), truth.mm_per_pixel))
    found = pd.DataFrame(rows, columns=["film", "level", "xmin", "ymin", "xmax", "ymax", "cell_class", "mm_per_pixel"])
    found["x"], found["y"] = (found["xmin"] + found["xmax"]) / 2, (found["ymin"] + found["ymax"]) / 2
    stack = torch.cat(films)
    if contrast_width:
        stack = local_contrast(stack, width=contrast_width)
    return stack, found


def start(
    architecture: str,
    recipe: Recipe,
    *,
    folder: Path,
    launcher: Fabric,
    head: str = "average",
    seed: int = 0,
    on_epoch: Callable[[str, int, dict], None] | None = None,
) -> tuple[GreyscaleInput, Weights]:
    """A classifier that starts from task pretraining; from the cache in ``folder`` where it has been done before.

    Parameters
    ----------
    architecture : str
        A key of `vcfkit.models.ARCHITECTURES`.
    head : {"average", "log-sum-exp"}
        With "average" the trunk alone is pretrained and the last layer is new.

    Returns
    -------
    network, weights
        The name of the weights tells the extra labels, their sha256 is that of the trunk and, with the log-sum-exp
        head, its 1 × 1 convolutions.
    """
    state = pretrained(architecture, recipe, folder=folder, launcher=launcher, on_epoch=on_epoch)
    network, _ = models.classifier(architecture, head=head, weights="random", seed=seed)
    if head == "log-sum-exp":
        network.network.load_state_dict(state)
    else:
        trunk = {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}
        missing, unexpected = network.network.load_state_dict(trunk, strict=False)
        if unexpected or {name.rpartition(".")[0] for name in missing} - {"fc", "classifier.1"}:
            raise ValueError(f"{architecture}: pretrained trunk does not fit: {unexpected} {missing}")
        state = trunk
    name = f"task pretraining on {recipe.films} other virtual patients with acuity labels of every vertebra"
    return network, Weights(name, models.checksum(state))


def pretrained(
    architecture: str,
    recipe: Recipe,
    *,
    folder: Path,
    launcher: Fabric,
    on_epoch: Callable[[str, int, dict], None] | None = None,
) -> dict[str, torch.Tensor]:
    """State of a `LogSumExp` after task pretraining; made once per recipe and kept in ``folder``."""
    name = "residual" if architecture in GROWN else architecture
    text = json.dumps({"network": name, **asdict(recipe)}, sort_keys=True)
    place = Path(folder) / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.pt"
    if place.is_file():
        state = torch.load(place, map_location="cpu", weights_only=True)["state"]
    else:
        network = (
            models.small_residual(seed=recipe.seed)
            if architecture in GROWN
            else models.classifier(architecture, head="log-sum-exp", weights="random", seed=recipe.seed)[0]
        )
        train(network, recipe, launcher=launcher, checkpoint=place, on_epoch=on_epoch)
        state = {key: value.cpu() for key, value in network.network.state_dict().items()}
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(place.name + ".part")
        torch.save({"recipe": text, "state": state}, draft)
        os.replace(draft, place)
    if architecture in GROWN:
        deep = models.classifier(architecture, head="log-sum-exp", weights="random", seed=recipe.seed)[0]
        state = grow(state, deep.network)
    return state


def grow(state: dict[str, torch.Tensor], network: LogSumExp) -> dict[str, torch.Tensor]:
    """State of a deeper residual network that computes what the shallow one of ``state`` computes.

    Blocks that the shallow network lacks keep their random convolutions but end in a batch normalisation whose weight
    and bias are 0: they add nothing to their input (and receive a gradient, so that they learn).
    """
    grown = {name: value.clone() for name, value in network.state_dict().items()}
    unknown = [name for name in state if name not in grown or grown[name].shape != state[name].shape]
    if unknown:
        raise ValueError(f"a residual network with the same widths required, {unknown[0]} does not fit")
    for name in grown:
        if name in state:
            grown[name] = state[name].clone()
        elif name.endswith(("bn3.weight", "bn3.bias")):
            grown[name].zero_()
    return grown


def train(
    network: GreyscaleInput,
    recipe: Recipe,
    *,
    launcher: Fabric,
    checkpoint: Path | None = None,
    on_epoch: Callable[[str, int, dict], None] | None = None,
) -> None:
    """Both steps, in place. ``network`` has the log-sum-exp head; ``checkpoint`` is a name, each step adds its own."""
    films, vertebrae = films_with_vertebrae(
        other_patients(recipe)["image"], shape=recipe.shape, contrast_width=recipe.contrast_width
    )
    patches, classes = fracture_patches(films, vertebrae, side=recipe.patch, seed=recipe.seed)
    cells = cell_targets(vertebrae, shape=recipe.shape, n_films=len(films), seed=recipe.seed)
    steps = (
        ("patches", patches, classes, recipe.patch_epochs, recipe.learning_rate),
        ("films", films, cells, recipe.film_epochs, recipe.learning_rate / 3),
    )
    for step, images, targets, epochs, rate in steps:
        if not epochs:
            continue
        reading = _Cells(network, middle=step == "patches")
        optimizer = torch.optim.Adam(reading.parameters(), lr=rate, fused=True)
        fit(
            reading,
            images,
            targets,
            optimizer=optimizer,
            launcher=launcher,
            epochs=epochs,
            batch_size=BATCH if step == "patches" else BATCH // 4,
            seed=recipe.seed,
            schedule=cosine,
            on_epoch=on_epoch and functools.partial(on_epoch, step),
            checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}.{step}"),
        )


def fracture_patches(
    films: torch.Tensor, vertebrae: pd.DataFrame, *, side: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches (n, side, side) around every broken vertebra and as many unbroken ones as fresh ones; their classes (n,).

    Middles are jittered by up to `JITTER` pixels, alike in all classes; beyond the film is black.
    """
    rng = generator(seed, STEM, "pretraining", "patches")
    broken = vertebrae[vertebrae["cell_class"] > 0]
    whole = vertebrae[vertebrae["cell_class"] == 0]
    whole = whole.iloc[rng.permutation(len(whole))[: int((broken["cell_class"] == FRESH).sum())]]
    chosen = pd.concat([broken, whole])
    half = side // 2
    wide = F.pad(films, (half,) * 4)  # its own middle, once padded, starts the patch
    place = np.column_stack([chosen["y"], chosen["x"]]).round().astype(int)
    place = np.clip(place + rng.integers(-JITTER, JITTER + 1, size=place.shape), 0, np.array(films.shape[1:]) - 1)
    cut = [wide[f, y : y + side, x : x + side] for f, (y, x) in zip(chosen["film"], place, strict=True)]
    return torch.stack(cut), torch.tensor(chosen["cell_class"].to_numpy())


def cell_targets(vertebrae: pd.DataFrame, *, shape: tuple[int, int], n_films: int, seed: int) -> torch.Tensor:
    """What every cell of the stride-16 map should say, int64 (n_films, h, w): a class of `CELL_CLASSES`, or `IGNORED`.

    The cell nearest to the middle of a vertebra has its class (the graver of two). Of the others, those near a broken
    vertebra are ignored, as it reaches into them; one in `ONE_IN` of the rest says "none".
    """
    rng = generator(seed, STEM, "pretraining", "cells")
    high, wide = (-(-n // STRIDE) for n in shape)
    rows, columns = np.meshgrid(np.arange(high) * STRIDE, np.arange(wide) * STRIDE, indexing="ij")
    targets = np.where(rng.random((n_films, high, wide)) < 1 / ONE_IN, 0, IGNORED)
    for row in vertebrae[vertebrae["cell_class"] > 0].itertuples():
        near = np.hypot(rows - row.y, columns - row.x) < 1.5 * STRIDE
        targets[row.film][near] = IGNORED
    order = vertebrae.sort_values("cell_class", kind="stable")
    at = np.column_stack([order["y"], order["x"]]) / STRIDE
    at = np.clip(at.round().astype(int), 0, (high - 1, wide - 1))
    targets[order["film"], at[:, 0], at[:, 1]] = order["cell_class"]
    return torch.from_numpy(targets)


class _Cells(torch.nn.Module):
    """Cell logits of films ``(B, 3, h, w)``, or of the middle of patches ``(B, 3)``."""

    def __init__(self, network: GreyscaleInput, *, middle: bool):
        super().__init__()
        self.network, self.middle = network, middle

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        cells = self.network.network.cells(self.network.standardised(images))
        return cells[:, :, cells.shape[2] // 2, cells.shape[3] // 2] if self.middle else cells


def _cell_class(acuity: str) -> int:
    return {"": 0, "chronic": 1, "acute": FRESH}[acuity]
