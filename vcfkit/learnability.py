"""Can whole radiographs be learnt at all? Paper 01's task at the size that one CPU core allows in an hour.

python -m vcfkit.learnability [--cache FOLDER]   # results/studies/learnability.csv, .png, .svg

A start from scratch needs more films and epochs than a CPU affords. So the networks start from *task pretraining*
(`vcfkit.pretraining`): other virtual patients, with the acuity of every vertebra as extra labels. What is asked here
is whether a ResNet-50 and the DRN (ResNet-101) then carry over to two hospitals whose scanners they have never seen,
how much of the AUC is fracture against no fracture, and whether films without their spine tell the label to the same
network.

Every epoch is checkpointed and every finished network keeps its predictions in the cache: an interrupted study goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from vcfkit import metrics, phantom, pretraining, training
from vcfkit.phantom import film, leaks
from vcfkit.pretraining import STEM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[1] / "results" / "studies"
EXTERNAL = ("YHDH", "BMUH")


PRETRAINING = pretraining.Recipe(films=2400, shape=(224, 96), patch_epochs=8, film_epochs=2, contrast_width=14.0)


@dataclass(frozen=True)
class Settings:
    """Size of the study; paper 01 has 1,050 training and 262 validation films, 224 × 224 pixels and 200 epochs.

    Films are the middle columns of the paper's square: the spine and 150 mm about it, at 1.6 mm a pixel.
    """

    training_fraction: float = 0.7
    validation_fraction: float = 0.5
    shape: tuple[int, int] = (224, 96)
    epochs: int = 3
    batch_size: int = 6
    learning_rate: float = 1e-4
    horizontal_flip: float = 0.5
    precision: str = "bf16-mixed"
    effect: float = 1.0
    nuisance: float = 1.0
    seed: int = 0
    pretraining: pretraining.Recipe = PRETRAINING


class Network(NamedTuple):
    """One network of the study; ``films`` is "whole", or "spine masked" for the leak control."""

    architecture: str
    head: str
    films: str


NETWORKS = (
    Network("ResNet-50", "log-sum-exp", "whole"),
    Network("DRN", "log-sum-exp", "whole"),
    Network("ResNet-50", "log-sum-exp", "spine masked"),
)
COMPARISONS = ("fresh against all", "fresh against old", "fresh against none")


def study(settings: Settings, *, cache: Path, networks=NETWORKS) -> pd.DataFrame:
    """Train what is not in ``cache`` yet, and measure.

    Returns
    -------
    DataFrame
        One row per network, comparison and cohort (training, validation, YHDH, BMUH, and both external ones together):
        n, n_fresh, auc with DeLong's interval (low, high) and the bootstrap's (bootstrap_low, bootstrap_high; films
        resampled, one per patient), weights, films trained on, epochs, best_epoch, seconds, code.
    """
    torch.set_num_threads(1)
    cache.mkdir(parents=True, exist_ok=True)
    rows = phantom.draw(
        STEM,
        seed=settings.seed,
        effect=settings.effect,
        nuisance=settings.nuisance,
        fractions={"training": settings.training_fraction, "validation": settings.validation_fraction},
    )
    pictures = _pictures(rows, settings, cache)
    found = []
    for network in networks:
        place = cache / f"{_name(network)}.csv"
        facts = cache / f"{_name(network)}.json"
        if not (place.is_file() and facts.is_file()):
            _train(network, rows, pictures[network.films], settings, cache)
        scores = pd.read_csv(place)["fresh"].to_numpy()
        for row in measure(rows, scores):
            found.append({**network._asdict(), **row, **json.loads(facts.read_text(encoding="utf-8"))})
        say(f"{_name(network)}: external AUC {[r['auc'] for r in found if r['cohort'] == 'external'][-3:]}")
    return pd.DataFrame(found)


def measure(rows: pd.DataFrame, scores: np.ndarray) -> list[dict]:
    """AUCs of one network in every cohort: against all other films, those with old fractures alone, those with none."""
    fresh, old = (rows["label"] == "fresh").to_numpy(), rows["has_old_vcf"].to_numpy(bool)
    part = {"fresh against all": np.ones(len(rows), bool), "fresh against old": fresh | old}
    part["fresh against none"] = fresh | ~old
    cohorts = {name: (rows["cohort"] == name).to_numpy() for name in ("training", "validation", *EXTERNAL)}
    cohorts["external"] = rows["cohort"].isin(EXTERNAL).to_numpy()
    found = []
    for comparison in COMPARISONS:
        for name, of in cohorts.items():
            at = of & part[comparison]
            delong = metrics.delong_ci(fresh[at].astype(int), scores[at])
            boot = metrics.bootstrap_ci(fresh[at].astype(int), scores[at], metrics=("auc",)).loc["auc"]
            found.append(
                {
                    "comparison": comparison,
                    "cohort": name,
                    "n": int(at.sum()),
                    "n_fresh": int(fresh[at].sum()),
                    "auc": delong.estimate,
                    "low": delong.low,
                    "high": delong.high,
                    "bootstrap_low": boot["low"],
                    "bootstrap_high": boot["high"],
                }
            )
    return found


def draw(table: pd.DataFrame) -> Figure:
    """AUC by cohort for every network, one panel per comparison, with DeLong's 95 % intervals."""
    import matplotlib.pyplot as plt

    from vcfkit import figures

    cohorts = ["training", "validation", *EXTERNAL, "external"]
    names = list(dict.fromkeys(map(tuple, table[["architecture", "head", "films"]].to_numpy())))
    with figures.style():
        figure, axes = plt.subplots(1, len(COMPARISONS), figsize=(9.2, 3.4), sharey=True)
        for ax, comparison in zip(axes, COMPARISONS, strict=True):
            for k, (name, (colour, _, marker)) in enumerate(zip(names, figures.CYCLE, strict=False)):
                of = (table[["architecture", "head", "films"]] == pd.Series(name, table.columns[:3])).all(axis=1)
                part = table[of & (table["comparison"] == comparison)].set_index("cohort").loc[cohorts]
                at = np.arange(len(cohorts)) + 0.16 * (k - (len(names) - 1) / 2)
                bars = [part["auc"] - part["low"], part["high"] - part["auc"]]
                label = f"{name[0]}, {name[1]} head" + (", spine masked" if name[2] != "whole" else "")
                ax.errorbar(at, part["auc"], bars, fmt=marker, color=colour, ms=4, lw=1.2, capsize=2, label=label)
            ax.axhline(0.5, color="0.5", lw=0.8, ls=":")
            ax.axhline(0.6, color="0.75", lw=0.8, ls="--")
            ax.set(title=comparison, xticks=range(len(cohorts)), ylim=(0.2, 1.02))
            ax.set_xticklabels(["both\nexternal" if c == "external" else c for c in cohorts], rotation=40, ha="right")
        axes[0].set_ylabel("AUC")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _pictures(rows: pd.DataFrame, settings: Settings, cache: Path) -> dict[str, torch.Tensor]:
    """Films as the networks see them, whole and spine masked; kept, so that all networks see the same bytes."""
    place = cache / "films.pt"
    if place.is_file():
        return torch.load(place, weights_only=True)
    films = phantom.whole_radiographs(rows, size=settings.shape)
    scenes = [film.film_of(image) for image in rows["image"]]
    bands = torch.cat(
        [torch.as_tensor(film.spine_band(scenes[k : k + 64], settings.shape)) for k in range(0, len(scenes), 64)]
    )
    masked = (leaks.without_spine(films, bands) * 255).round().to(torch.uint8)
    width = settings.pretraining.contrast_width
    pictures = {
        "whole": pretraining.local_contrast(films, width=width),
        "spine masked": pretraining.local_contrast(masked, width=width),
    }
    torch.save(pictures, place)
    say(f"{len(films)} films rendered")
    return pictures


def _train(network: Network, rows: pd.DataFrame, films: torch.Tensor, settings: Settings, cache: Path) -> None:
    began = time.process_time()
    launcher = training.fabric(device="cpu", precision=settings.precision)
    model, weights = pretraining.start(
        network.architecture,
        settings.pretraining,
        folder=cache,
        launcher=launcher,
        head=network.head,
        seed=settings.seed,
        on_epoch=lambda step, epoch, row: say(f"pretraining, {step}, epoch {epoch}: loss {row['training_loss']:.3f}"),
    )
    targets = torch.tensor((rows["label"] == "fresh").to_numpy().astype(int))
    parts = {name: np.flatnonzero(rows["cohort"] == name) for name in ("training", "validation")}
    history = training.fit(
        model,
        films[parts["training"]],
        targets[parts["training"]],
        optimizer=torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True),
        launcher=launcher,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        augment=training.flips_and_rotations(horizontal=settings.horizontal_flip, vertical=0, degrees=0),
        monitor=(films[parts["validation"]], targets[parts["validation"]]),
        keep="best",
        seed=settings.seed,
        checkpoint=cache / f"{_name(network)}.pt",
        on_epoch=lambda epoch, row: say(f"{_name(network)}, epoch {epoch}: {row}"),
    )
    history.to_csv(cache / f"{_name(network)}_history.csv", index=False)
    scores = training.predict(model, films, launcher=launcher)[:, 1]
    facts = {
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "n_train": len(parts["training"]),
        "epochs": settings.epochs,
        "best_epoch": int(history["monitor_loss"].idxmin()) + 1,
        "height": settings.shape[0],
        "width": settings.shape[1],
        "effect": settings.effect,
        "seconds": round(time.process_time() - began),
        "code": _commit(),
    }
    pd.DataFrame({"sample_id": rows["sample_id"], "fresh": scores}).to_csv(cache / f"{_name(network)}.csv", index=False)
    (cache / f"{_name(network)}.json").write_text(json.dumps(facts), encoding="utf-8")


def _name(network: Network) -> str:
    return "_".join(network).replace(" ", "-")


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=FOLDER.parents[1], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vcfkit.learnability", description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=FOLDER / ".learnability", help="checkpoints, films, predictions")
    parser.add_argument("--networks", type=int, default=len(NETWORKS), help="only the first so many of the study")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = study(Settings(), cache=arguments.cache, networks=NETWORKS[: arguments.networks])
    table.round(4).to_csv(FOLDER / "learnability.csv", index=False)
    import matplotlib as mpl

    mpl.use("Agg")
    figure = draw(table)
    with mpl.rc_context({"svg.hashsalt": "learnability"}):  # the same table gives the same files
        figure.savefig(FOLDER / "learnability.png", dpi=130, metadata={"Software": None})
        figure.savefig(FOLDER / "learnability.svg", metadata={"Date": None, "Creator": None})
    shown = table[table["cohort"].isin(["training", "external"])]
    columns = ["architecture", "head", "films", "comparison", "cohort", "n", "auc", "low", "high"]
    sys.stdout.write(shown[columns].round(3).to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
