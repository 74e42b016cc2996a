"""Studies behind statements that no single run can make.

python -m vcfkit.studies coverage   # results/studies/coverage.csv: intervals of the AUC; a few minutes on one core
python -m vcfkit.studies sweep      # results/studies/effect_sweep.*: AUC by size of the effect; half an hour
python -m vcfkit.studies ceiling    # results/studies/astlof_ceiling.csv: what a perfect reader of paper 04 could know
python -m vcfkit.studies delineation  # results/studies/delineation.csv: features that survive another outline; minutes
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri
from sklearn.linear_model import RidgeClassifier

from vcfkit import cohort, metrics, phantom
from vcfkit.metrics.delong import delong_ci
from vcfkit.metrics.resampling import PairwiseAuc, intervals, resampled_sums, weighted_auc
from vcfkit.phantom import ct
from vcfkit.phantom.anatomy import LEVELS
from vcfkit.training import fabric, fit, predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[1] / "results" / "studies"
METHODS = ("percentile", "bca", "delong")


def coverage(
    *,
    sizes: tuple[int, ...] = (75, 220),
    shares: tuple[float, ...] = (0.5, 0.25),
    aucs: tuple[float, ...] = (0.75, 0.85, 0.92),
    n_simulations: int = 2000,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How often a nominal interval of the AUC holds the true AUC, at the sizes of the papers' test cohorts.

    Scores are binormal with equal variances: controls N(0, 1), cases N(√2·Φ⁻¹(AUC), 1), without ties, one row per
    patient, the number of cases fixed. Each simulated cohort gets three intervals: percentile and BCa from the same
    ``n_resamples`` resamples of its rows, and DeLong's.

    Returns
    -------
    DataFrame
        One row per size, share of cases, true AUC and method: n, n_positive, auc, method, coverage and its Monte-Carlo
        standard error, missed_low and missed_high (share of intervals lying wholly below and above the truth),
        mean_width, no_interval (cohorts in which the method gave none, counted as not covering), verdict: does the
        coverage lie in 92–97 %?
    """
    rows = []
    rng = np.random.default_rng(seed)
    for n, share, auc in ((n, share, auc) for n in sizes for share in shares for auc in aucs):
        n_positive = round(n * share)
        limits = np.array(
            [
                _intervals_of_one_cohort(n, n_positive, auc, n_resamples=n_resamples, level=level, rng=rng)
                for _ in range(n_simulations)
            ]
        )
        for k, method in enumerate(METHODS):
            low, high = limits[:, k].T
            held = (low <= auc) & (auc <= high)
            error = float(np.sqrt(held.mean() * (1 - held.mean()) / n_simulations))
            rows.append(
                {
                    "n": n,
                    "n_positive": n_positive,
                    "auc": auc,
                    "method": method,
                    "level": level,
                    "n_simulations": n_simulations,
                    "n_resamples": 0 if method == "delong" else n_resamples,
                    "coverage": held.mean(),
                    "monte_carlo_error": round(error, 4),
                    "missed_low": (high < auc).mean(),
                    "missed_high": (low > auc).mean(),
                    "mean_width": round(float(np.nanmean(high - low)), 4),
                    "no_interval": int(np.isnan(low).sum()),
                    "verdict": verdict(held.mean(), error),
                }
            )
    return pd.DataFrame(rows)


def interval_of_the_bootstrap_mean(aucs: np.ndarray, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The interval that paper 02 prints for an AUC: that of the *mean* of its bootstrap resamples.

    The authors' code gives its 1,000 resampled AUCs to ``scipy.stats.bootstrap`` as if they were data. What comes out
    (BCa, 9,999 resamples of the resamples) tells how exactly the mean of so many resamples is known, not how exactly
    the AUC is: more resamples make it as narrow as one likes.

    Parameters
    ----------
    aucs : array, shape (n_resamples,)
        AUCs of the bootstrap resamples of a cohort.
    """
    from scipy.stats import bootstrap

    found = bootstrap((aucs,), np.mean, confidence_level=level, batch=500, rng=np.random.default_rng(seed))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def procedure_coverage(
    *,
    n_positive: int,
    n_negative: int,
    auc: float,
    n_simulations: int,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How often two intervals made of the same resamples hold the true AUC: percentile, and that of their mean.

    Scores are binormal as in `coverage`. The interval of the mean is mean ± z·SD/√``n_resamples``, which for so many
    resamples is what `interval_of_the_bootstrap_mean` returns, to three decimals and a thousand times faster.

    Returns
    -------
    DataFrame
        One row per simulation: estimate, percentile_low, percentile_high, mean_low, mean_high.
    """
    rng = np.random.default_rng(seed)
    positive = np.arange(n_positive + n_negative) < n_positive
    tail = (1 - level) / 2
    rows = []
    for _ in range(n_simulations):
        score = rng.normal(size=len(positive)) + np.sqrt(2) * ndtri(auc) * positive
        sums = resampled_sums(
            np.zeros((0, len(positive))),
            [PairwiseAuc.of_classes(positive, score)],
            n_resamples=n_resamples,
            seed=rng,
        )
        resamples = sums.aucs[0][1:]
        half = -ndtri(tail) * resamples.std() / np.sqrt(n_resamples)
        mean = resamples.mean()
        rows.append((sums.aucs[0][0], *np.quantile(resamples, [tail, 1 - tail]), mean - half, mean + half))
    return pd.DataFrame(rows, columns=["estimate", "percentile_low", "percentile_high", "mean_low", "mean_high"])


def split_optimism(
    samples: pd.DataFrame,
    features: np.ndarray,
    *,
    test_fraction: float,
    n_seeds: int = 20,
    signatures: tuple[float, ...] = (0.0,),
    alpha: float = 100.0,
) -> pd.DataFrame:
    """What a split over images gains on a split by patient, with a model cheap enough to repeat (ridge regression).

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        Development rows of a samples frame; training and testing rows are taken together and divided anew.
    features : array, shape (n_vertebrae, n_features)
    test_fraction : float
        As in `vcfkit.cohort.split`, whose splits these are, seeds 0 … ``n_seeds`` − 1.
    signatures : tuple of float
        Planted likeness of one patient's vertebrae: that share of the variance of every (standardised) feature is
        replaced by a draw that all vertebrae of a patient have in common and that knows nothing of the class.
    alpha : float
        Ridge penalty on standardised features. Not tuned.

    Returns
    -------
    DataFrame
        signature, seed, unit (vertebra, patient), auc (mean of the one-vs-rest AUCs in the testing rows) and
        shared_patients, those with vertebrae on both sides.
    """
    pool = samples.assign(cohort="development").reset_index(drop=True)
    labels = pool["label"].to_numpy()
    standard = (features - features.mean(axis=0)) / np.where(features.std(axis=0) > 0, features.std(axis=0), 1)
    patients, names = pd.factorize(pool["patient_id"])
    rows = []
    for seed in range(n_seeds):
        marks = np.random.default_rng(seed).standard_normal((len(names), standard.shape[1]))[patients]
        for unit in ("vertebra", "patient"):
            divided = cohort.split(pool, test_fraction=test_fraction, unit=unit, seed=seed)
            divided = divided.set_index("sample_id").loc[pool["sample_id"]].reset_index()
            training = (divided["cohort"] == "training").to_numpy()
            for signature in signatures:
                x = np.sqrt(1 - signature) * standard + np.sqrt(signature) * marks
                model = RidgeClassifier(alpha=alpha).fit(x[training], labels[training])
                scores = model.decision_function(x[~training]).reshape((~training).sum(), -1)
                if scores.shape[1] == 1:  # two classes have one score
                    scores = np.concatenate([-scores, scores], axis=1)
                count = np.ones((1, len(scores)))
                aucs = [
                    weighted_auc(labels[~training] == name, scores[:, k], count)[0]
                    for k, name in enumerate(model.classes_)
                ]
                rows.append((signature, seed, unit, float(np.mean(aucs)), cohort.shared_patients(divided)))
    return pd.DataFrame(rows, columns=["signature", "seed", "unit", "auc", "shared_patients"])


def verdict(share: float, error: float) -> str:
    """In words, whether a nominal 95 % interval does what it says, allowing 92–97 %."""
    if 0.92 <= share <= 0.97:
        return "within 92–97 %"
    words = "too low: below 92 %" if share < 0.92 else "too high: above 97 %"
    close = min(abs(share - 0.92), abs(share - 0.97)) < 2 * error
    return f"{words}, by less than two Monte-Carlo errors" if close else words


def _intervals_of_one_cohort(
    n: int, n_positive: int, auc: float, *, n_resamples: int, level: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    positive = np.arange(n) < n_positive
    score = rng.normal(size=n) + np.sqrt(2) * ndtri(auc) * positive
    sums = resampled_sums(
        np.zeros((0, n)),
        [PairwiseAuc.of_classes(positive, score)],
        n_resamples=n_resamples,
        seed=rng,
        leave_out=True,
    )
    found = [
        intervals({"auc": sums.aucs[0]}, n_resamples=n_resamples, level=level, method=method).loc["auc"]
        for method in ("percentile", "bca")
    ]
    analytic = delong_ci(positive, score, level=level)
    return [*((part["low"], part["high"]) for part in found), (analytic.low, analytic.high)]


# How well a small network reads the label off the pictures, by size of the effect

EFFECTS = (0.0, 0.5, 1.0, 1.5)
TEST_SEED = 100  # cohorts from this seed on are tested on, those from 0 on trained on: no virtual patient is in both
RATE = 1e-3  # AdamW, falling to 0 in equal steps; batches of 32
CLINICAL = ("age", "sex", "level", "t_score")


@dataclass(frozen=True)
class Task:
    """One question of a paper and the fixed recipe with which it is asked at every effect.

    Attributes
    ----------
    rows : callable
        ``(seed, effect)`` → frame of one virtual cohort: ``label``, ``image``, ``patient_id``, `CLINICAL`.
    pictures : callable
        ``(frame, size)`` → uint8 tensor (n, size, size).
    classes : tuple of str
        Of two, the second is the positive one.
    n_train, n_test : int
        Rows, the same number of each class.
    """

    stem: str
    classes: tuple[str, ...]
    rows: Callable[[int, float], pd.DataFrame]
    pictures: Callable[[pd.DataFrame, int], torch.Tensor]
    size: int
    n_train: int
    n_test: int
    epochs: int = 12


class SmallNetwork(torch.nn.Sequential):
    """Five convolutions of 3 × 3, halved after each but the last, and the mean over the picture; (B, H, W) uint8."""

    WIDTHS = (16, 32, 64, 96, 128)

    def __init__(self, n_classes: int):
        layers: list[torch.nn.Module] = []
        for before, width in pairwise((1, *self.WIDTHS)):
            layers += [
                torch.nn.Conv2d(before, width, 3, padding=1, bias=False),
                torch.nn.BatchNorm2d(width),
                torch.nn.ReLU(),
                torch.nn.MaxPool2d(2),
            ]
        pooled = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(self.WIDTHS[-1], n_classes)]
        super().__init__(*layers[:-1], *pooled)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward((images[:, None].float() - 128) / 64)


def effect_sweep(
    path: Path, *, tasks: tuple[Task, ...] | None = None, effects: tuple[float, ...] = EFFECTS
) -> pd.DataFrame:
    """Test AUC of one small network per task and effect; every finished pair is written to ``path`` at once.

    A pair that stands in ``path`` under the same recipe is not run again, so that an interrupted sweep goes on where it
    stopped.

    Returns
    -------
    DataFrame
        One row per task, effect and class (two classes: the positive one; more: each against the rest, and their
        ``mean``): task, effect, class, auc, low, high (95 %, virtual patients resampled), clinical_auc (logistic
        regression on age, sex, level and T-score, the same rows, no picture), n_train, n_test, n_positive,
        patients_test, size, epochs, training_accuracy, seconds (CPU), scale.
    """
    table = pd.read_csv(path) if path.exists() else pd.DataFrame()
    for task in tasks or TASKS:
        for effect in effects:
            if not _done(table, task, effect):
                if not table.empty:  # what another recipe gave
                    table = table[(table["task"] != task.stem) | (table["effect"] != effect)]
                table = pd.concat([table, measure_effect(task, effect)], ignore_index=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                table.to_csv(path, index=False)
    return table


def measure_effect(task: Task, effect: float, *, first_seed: int = 0) -> pd.DataFrame:
    """Draw, render, train and test one task at one effect: its rows of `effect_sweep`.

    Another ``first_seed`` (10 or more apart) repeats the measurement with other virtual patients.
    """
    start = time.process_time()
    training = balanced(task, effect, task.n_train, first_seed=first_seed)
    testing = balanced(task, effect, task.n_test, first_seed=first_seed + TEST_SEED)
    target = torch.tensor([task.classes.index(label) for label in training["label"]])
    network, accuracy = train_small(
        task.pictures(training, task.size), target, n_classes=len(task.classes), epochs=task.epochs
    )
    rows = of_classes(task, testing, predict(network, task.pictures(testing, task.size)))
    rows["clinical_auc"] = of_classes(task, testing, clinical(training, testing, task.classes))["auc"]
    facts = {
        "n_train": len(training),
        "n_test": len(testing),
        "patients_test": testing["patient_id"].nunique(),
        **_recipe(task),
        "training_accuracy": accuracy,
        "seconds": round(time.process_time() - start, 1),
        "scale": "reduced",
    }
    rows.insert(0, "task", task.stem)
    rows.insert(1, "effect", effect)
    return rows.assign(**facts)


def train_small(
    pictures: torch.Tensor, target: torch.Tensor, *, n_classes: int, epochs: int
) -> tuple[SmallNetwork, float]:
    """The small network, trained from scratch on uint8 pictures (n, h, w), and its accuracy in the last epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallNetwork(n_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)

    def cool(epoch: int, _row: dict[str, float]) -> None:
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - epoch / epochs)

    history = fit(
        network,
        pictures,
        target,
        optimizer=optimizer,
        launcher=fabric(device="cpu", precision="32-true"),
        epochs=epochs,
        batch_size=32,
        on_epoch=cool,
    )
    return network, round(history["training_accuracy"].iloc[-1], 3)


def balanced(task: Task, effect: float, n: int, *, first_seed: int) -> pd.DataFrame:
    """``n`` rows, the same number of each class, from as many virtual cohorts as it takes; seeds rise by one.

    ``patient_id`` gets the cohort's seed in front: the same name under another seed is somebody else.
    """
    wanted, parts = n // len(task.classes), []
    for seed in range(first_seed, first_seed + TEST_SEED):
        rows = task.rows(seed, effect).sample(frac=1, random_state=seed)
        parts.append(rows.assign(patient_id=f"{seed}/" + rows["patient_id"]))
        found = pd.concat(parts, ignore_index=True)
        if (found["label"].value_counts().reindex(task.classes, fill_value=0) >= wanted).all():
            found = found[found["label"].isin(task.classes)]
            # In the order of the cohorts: a virtual patient's pictures share what is made once.
            return found.groupby("label").head(wanted).sort_values(["patient_id", "image"], ignore_index=True)
    raise ValueError(f"{task.stem}: {wanted} rows of each of {task.classes} are not in {TEST_SEED} virtual cohorts")


def draw_sweep(table: pd.DataFrame) -> Figure:
    """One panel per task: AUC by effect with 95 % intervals; short bars: age, sex, level and T-score alone."""
    import matplotlib.pyplot as plt

    from vcfkit import figures

    stems = sorted(table["task"].unique())
    with figures.style():
        size = (2.3 * len(stems), 2.9)
        figure, axes = plt.subplots(1, len(stems), figsize=size, sharex=True, sharey=True, squeeze=False)
        for ax, stem in zip(axes[0], stems, strict=True):
            shown = table[(table["task"] == stem) & (table["class"] != "mean")]
            groups = shown.groupby("class", sort=False)
            for k, ((name, rows), (colour, line, marker)) in enumerate(zip(groups, figures.CYCLE, strict=False)):
                rows = rows.sort_values("effect")
                at = rows["effect"] + 0.04 * (k - (len(groups) - 1) / 2)
                bars = np.maximum([rows["auc"] - rows["low"], rows["high"] - rows["auc"]], 0)
                ax.errorbar(at, rows["auc"], bars, color=colour, ls=line, marker=marker, ms=3.5, lw=1.2, label=name)
                ax.plot(at, rows["clinical_auc"], color=colour, ls="none", marker="_", ms=8, mew=1.5)
            ax.axhline(0.5, color="0.6", lw=0.8, zorder=0)
            first = shown.iloc[0]
            ax.set_title(f"{stem[:2]}: {first.n_train} trained, {first.n_test} tested")
            ax.set(xlabel="Effect", xticks=sorted(table["effect"].unique()), ylim=(0.35, 1.02))
            ax.plot([], [], color="0.4", ls="none", marker="_", ms=8, mew=1.5, label="no picture")
            ax.legend(frameon=False, loc="upper left", handlelength=1.6)
        axes[0, 0].set_ylabel("Test AUC (reduced sweep)")
    return figure


def of_classes(task: Task, testing: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """AUC per class with its interval (virtual patients resampled), and the mean of more than two classes."""
    if len(task.classes) == 2:
        positive = (testing["label"] == task.classes[1]).to_numpy()
        found = metrics.bootstrap_ci(
            positive.astype(int), probabilities[:, 1], metrics=("auc",), groups=testing["patient_id"]
        )
        found = found.assign(**{"class": task.classes[1], "n_positive": positive.sum()})
    else:
        found = metrics.one_vs_rest(testing["label"], probabilities, classes=task.classes, groups=testing["patient_id"])
        found = found[found["metric"] == "auc"]
    found = found.rename(columns={"estimate": "auc"}).reset_index(drop=True)
    return found[["class", "auc", "low", "high", "n_positive"]]


def clinical(training: pd.DataFrame, testing: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    """Probabilities (n, n_classes) by logistic regression on what a request form says."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def numbers(rows: pd.DataFrame) -> pd.DataFrame:
        table = rows[[name for name in CLINICAL if name in rows]].copy()
        table["sex"] = table["sex"] == "M"
        table["level"] = table["level"].map({level: k for k, level in enumerate(LEVELS)}).fillna(-1)  # films have none
        return table.astype(float)

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers(training), training["label"])
    order = [list(model.classes_).index(name) for name in classes]
    return model.predict_proba(numbers(testing))[:, order]


def _recipe(task: Task) -> dict[str, int]:
    return {"size": task.size, "epochs": task.epochs}


def _done(table: pd.DataFrame, task: Task, effect: float) -> bool:
    if table.empty:
        return False
    wanted = {"task": task.stem, "effect": effect, **_recipe(task), **_sizes(task)}
    return (table[list(wanted)] == pd.Series(wanted)).all(axis=1).any()


def _sizes(task: Task) -> dict[str, int]:
    k = len(task.classes)
    return {"n_train": task.n_train // k * k, "n_test": task.n_test // k * k}


# The tasks, of a size that leaves the whole sweep a quarter of an hour on one core. Training and testing share their
# hospitals, so that the sweep shows the effect and not a change of scanner.


def _drawn(stem: str, *cohorts: str) -> Callable[[int, float], pd.DataFrame]:
    def rows(seed: int, effect: float) -> pd.DataFrame:
        samples = phantom.draw(stem, seed=seed, effect=effect)
        return samples[samples["cohort"].isin(cohorts)]

    return rows


def _fractured_boxes(seed: int, effect: float) -> pd.DataFrame:
    """Paper 03: fractured vertebrae without another disease on the slice of each virtual patient nearest the middle."""
    settings = {"seed": seed, "effect": effect, "fractions": {"training": 0.4, "testing": 0.02, "Xuanwu": 0.1}}
    slices = phantom.draw("03_ct_vertebra_diseases", **settings)
    slices = slices[slices["cohort"] == "training"]
    slices = slices.iloc[slices["offset_mm"].abs().argsort(kind="stable")].drop_duplicates("patient_id")
    boxes = phantom.cohorts.boxes("03_ct_vertebra_diseases", **settings)
    boxes = boxes.merge(slices[["sample_id", "age", "sex", "t_score"]], on="sample_id")
    boxes = boxes[(boxes["OVCF"] + boxes["OF"] == 1) & (boxes[["SN", "KD", "PS"]].sum(axis=1) == 0)]
    return boxes.assign(label=np.where(boxes["OVCF"] == 1, "OVCF", "OF"))


def _around_boxes(boxes: pd.DataFrame, size: int) -> torch.Tensor:
    """Windows of the 256-pixel slice about the middle of each box, in the bone window."""
    images = boxes["image"].drop_duplicates()
    pictures, truth = phantom.ct.ct_slices(list(images), truth=True)
    found = boxes[["image", "level"]].merge(truth.frame, on=["image", "level"], how="left", validate="1:1")
    missing = found["slice"].isna()
    if missing.any():
        raise ValueError(f"{missing.sum()} annotated vertebrae are not on their slices: {found[missing].image.iloc[0]}")
    half = size // 2
    wide = torch.nn.functional.pad(_grey(pictures), (half, half, half, half))
    row = ((found["ymin"] + found["ymax"]) // 2).astype(int)  # its own middle, once padded, starts the window
    column = ((found["xmin"] + found["xmax"]) // 2).astype(int)
    at = zip(found["slice"].astype(int), row, column, strict=True)
    return torch.stack([wide[k, r : r + size, c : c + size] for k, r, c in at])


def _largest_slices(samples: pd.DataFrame, size: int) -> torch.Tensor:
    """Paper 05: the sagittal slice of each box on which the mask is largest, in the bone window."""
    if size != ct.BOX:
        raise ValueError(f"boxes have {ct.BOX} voxels to a side, size {size} was asked for")
    return _grey(ct.largest_slices(samples))


def _grey(hu: torch.Tensor) -> torch.Tensor:
    return (ct.bone_window(hu) * 255).round().to(torch.uint8)


TASKS = (
    Task(
        stem="02_xray_acute_chronic_pathological",
        classes=("acute", "chronic", "pathologic"),
        rows=_drawn("02_xray_acute_chronic_pathological", "development"),
        pictures=lambda rows, size: phantom.vertebra_crops(rows, size=size),
        size=64,
        n_train=900,
        n_test=450,
    ),
    Task(
        stem="05_ct_acute_chronic",
        classes=("acute", "chronic"),
        rows=_drawn("05_ct_acute_chronic", "training", "testing"),
        pictures=_largest_slices,
        size=64,
        n_train=200,
        n_test=160,
    ),
    Task(
        stem="04_xray_ovf_astlof",
        classes=("class_0", "class_1", "class_2"),
        rows=_drawn("04_xray_ovf_astlof", "training", "internal_validation"),
        # 64 mm, in pixels that a fracture line and a step are not lost in
        pictures=lambda rows, size: phantom.vertebra_windows(rows, size=size, mm_per_pixel=64 / size)[0],
        size=96,
        n_train=600,
        n_test=450,
    ),
    Task(
        stem="03_ct_vertebra_diseases",
        classes=("OVCF", "OF"),
        rows=_fractured_boxes,
        pictures=_around_boxes,
        size=48,
        n_train=200,
        n_test=160,
    ),
    Task(
        stem="01_xray_fresh_vcf",
        classes=("non-fresh", "fresh"),
        rows=_drawn("01_xray_fresh_vcf", "training", "validation"),
        pictures=lambda rows, size: phantom.whole_radiographs(rows, size=size),
        size=96,
        n_train=400,
        n_test=300,
    ),
)


# How much of the ASTLOF class a picture could tell at most

ASTLOF_PARTS = ("astlof_morphology", "astlof_mri", "astlof_t", "astlof_pain")


def astlof_ceiling(*, n_train: int = 10, n_test: int = 3, seed: int = 0) -> pd.DataFrame:
    """AUC of the class of paper 04 for whoever knows parts of the score without error, at effect 1.

    The class is the sum of four parts, and pain is on no picture. Frequencies of the classes given the parts are
    counted in ``n_train`` virtual cohorts and tested on ``n_test`` others.

    Returns
    -------
    DataFrame
        One row per set of known parts and class, and the mean of the classes: known, class, auc, n_test.
    """
    stem = "04_xray_ovf_astlof"
    classes = next(task.classes for task in TASKS if task.stem == stem)
    training = pd.concat([phantom.draw(stem, seed=seed + 1 + k) for k in range(n_train)])
    testing = pd.concat([phantom.draw(stem, seed=seed + TEST_SEED + k) for k in range(n_test)])
    rows = []
    for known in (ASTLOF_PARTS[:1], ASTLOF_PARTS[1:2], ASTLOF_PARTS[:2], ASTLOF_PARTS[:3], ASTLOF_PARTS):
        keys = list(known)
        share = training.groupby(keys)["label"].value_counts(normalize=True).unstack(fill_value=0.0)
        found = testing[keys].merge(share, left_on=keys, right_index=True, how="left").fillna(0.0)
        words = " + ".join(key.removeprefix("astlof_") for key in keys)
        aucs = [delong_ci(testing["label"] == name, found[name]).estimate for name in classes]
        for name, auc in zip((*classes, "mean"), (*aucs, np.mean(aucs)), strict=True):
            rows.append({"known": words, "class": name, "auc": auc, "n_test": len(testing)})
    return pd.DataFrame(rows)


# Which radiomic features survive a second delineation

READERS = ("intra", "inter")  # the same reader a month later, another reader
ICC_KEPT = 0.8  # papers 04 and 05, Methods: Feature selection and fusion


def delineation(
    *, n_cases: int = 30, seed: int = 0, cache: Path | None = None, stems: tuple[str, ...] = ("04", "05")
) -> pd.DataFrame:
    """ICC of every radiomic feature between the true outline of a body and a virtual reader's, at native resolution.

    As many fractures as the papers delineated again, drawn from the training cohort: windows of 128 pixels of 0.5 mm
    (paper 04), boxes of 64 voxels of 1 mm (paper 05). All feature classes and filters of `vcfkit.radiomics.filter_bank`
    with pyradiomics; ICC(2,1), undefined counts as not kept.

    Returns
    -------
    DataFrame
        One row per paper, reader, image filter and feature class, and rows ``all`` over either: task, reader, filter,
        feature_class, features, kept (share with an ICC of at least 0.8), median_icc, dice (mean overlap of the two
        outlines), cases.
    """
    from vcfkit import images, radiomics

    parts = []
    for number in stems:
        stem = next(task.stem for task in TASKS if task.stem.startswith(number))
        samples = phantom.draw(stem, seed=seed)
        samples = samples[samples["cohort"] == "training"].drop_duplicates("patient_id")
        samples = samples.sample(n_cases, random_state=seed)
        flat = number == "04"
        settings = radiomics.filter_bank(dimensions=2 if flat else 3)
        if flat:
            found = images.read_windows(samples, size=128, readers=READERS)
            pictures = found.images
        else:
            found = images.read_volumes(samples, readers=READERS)
            pictures = found.hu
        outlines = {"truth": found.masks, **found.again}
        values = {
            name: radiomics.extract(
                list(pictures.numpy()),
                list(masks.numpy().astype(np.uint8)),
                settings=settings,
                names=list(samples["sample_id"]),
                spacing_mm=0.5 if flat else 1.0,
                cache=cache,
            )
            for name, masks in outlines.items()
        }
        names = values["truth"].columns.str.rsplit("_", n=2)
        for reader in READERS:
            both = outlines["truth"] & outlines[reader]
            sizes = [outlines[name].flatten(1).sum(1) for name in ("truth", reader)]
            table = pd.DataFrame(
                {
                    "task": stem,
                    "reader": reader,
                    "filter": names.str[0],
                    "feature_class": names.str[1],
                    "icc": radiomics.icc_features(np.stack([values["truth"].T, values[reader].T], axis=2)),
                }
            )
            table["dice"] = float((2 * both.flatten(1).sum(1) / (sizes[0] + sizes[1])).mean())
            parts.append(table)
    return _kept(pd.concat(parts, ignore_index=True)).assign(cases=n_cases)


def _kept(features: pd.DataFrame) -> pd.DataFrame:
    """Shares of features with an ICC of at least 0.8 by filter and class, by filter, by class, and of all."""
    rows = []
    for keys in ([], ["filter"], ["feature_class"], ["filter", "feature_class"]):
        for group, part in features.groupby(["task", "reader", *keys], sort=False):
            named = dict(zip(["task", "reader", *keys], group, strict=True))
            rows.append(
                {"filter": "all", "feature_class": "all"}
                | named
                | {
                    "features": len(part),
                    "kept": (part["icc"] >= ICC_KEPT).mean(),
                    "median_icc": part["icc"].median(),
                    "dice": part["dice"].iloc[0],
                }
            )
    columns = ["task", "reader", "filter", "feature_class", "features", "kept", "median_icc", "dice"]
    return pd.DataFrame(rows)[columns]


STUDIES = ("coverage", "sweep", "ceiling", "delineation")


def main() -> None:
    study = sys.argv[1] if len(sys.argv) > 1 else "coverage"
    if study not in STUDIES or len(sys.argv) > 2:
        sys.exit(f"python -m vcfkit.studies [{'|'.join(STUDIES)}]")
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if study == "coverage":
        table = coverage()
        table.to_csv(FOLDER / "coverage.csv", index=False)
    elif study == "ceiling":
        table = astlof_ceiling()
        table.to_csv(FOLDER / "astlof_ceiling.csv", index=False, float_format="%.4f")
    elif study == "delineation":
        table = delineation()
        table.to_csv(FOLDER / "delineation.csv", index=False, float_format="%.4f")
    else:
        table = effect_sweep(FOLDER / "effect_sweep.csv")
        import matplotlib as mpl

        mpl.use("Agg")
        figure = draw_sweep(table)
        with mpl.rc_context({"svg.hashsalt": "effect_sweep"}):  # the same table gives the same files
            figure.savefig(FOLDER / "effect_sweep.png", dpi=150, metadata={"Software": None})
            figure.savefig(FOLDER / "effect_sweep.svg", metadata={"Date": None, "Creator": None})
    sys.stdout.write(table.to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
