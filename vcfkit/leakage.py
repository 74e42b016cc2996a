"""What a network finds in virtual patients where there should be nothing to find.

No number of a network on virtual patients means anything before these do:

python -m vcfkit.leakage masked     # results/studies/leaks.csv: films without their spine, the exposure alone
python -m vcfkit.leakage zero [01]  # results/studies/effect_zero.csv: every paper's question at effect 0

Minutes each, on one core. The network is the small one of the effect sweep, trained anew for every row.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from vcfkit import metrics, phantom
from vcfkit.phantom import anatomy, cohorts, film, leaks, scanner
from vcfkit.studies import FOLDER, TASKS, TEST_SEED, Task, balanced, clinical, of_classes, train_small
from vcfkit.training import predict

FILMS = "01_xray_fresh_vcf"
ALLOWED = 0.55  # AUC of whatever should not know the label
ZERO_WITHIN = 0.03  # of 0.5, the AUC at effect 0
ZERO_SIZE = {"n_train": 600, "n_test": 2001, "epochs": 6}
# Windows of a millimetre a pixel, and small films: some minutes each on a machine with other work.
ZERO_OTHER = {
    "01_xray_fresh_vcf": {"n_train": 400, "n_test": 2000, "size": 64},
    "03_ct_vertebra_diseases": {"n_train": 400},
    "04_xray_ovf_astlof": {"size": 64},
    "05_ct_acute_chronic": {"n_train": 400},
}
CALIPER = {"age": 2.0, "t_score": 0.2}  # years, SD: as far apart may two virtual patients of one pair be
LEAST_PAIRS = 200
N_RESAMPLES = 1000


def masked(*, n_train: int = 1600, n_test: int = 1500, size: int = 96, epochs: int = 10, seed: int = 0) -> pd.DataFrame:
    """What films of paper 01 tell of a fresh fracture when their spine is covered, and what the exposure tells.

    The cover is a band that follows the *intact* spine of every virtual patient (:func:`phantom.film.spine_band`), with
    the mean grey of the rest in it. The network is trained on covered films and tested on covered films of other
    virtual patients: a network that saw the spine in training could not use a background that tells the label.

    Returns
    -------
    DataFrame
        One row per reader: ``reader``, ``input``, ``auc``, ``low``, ``high`` (95 %, bootstrap over virtual patients),
        ``allowed`` (empty where a label may be found), ``held``, ``n_train``, ``n_test``, ``size``, ``epochs``,
        ``training_accuracy``, ``seconds`` (CPU).
    """
    task = replace(_task(FILMS), size=size, n_train=n_train, n_test=n_test, epochs=epochs)
    training = balanced(task, 1.0, n_train, first_seed=seed)
    testing = balanced(task, 1.0, n_test, first_seed=seed + TEST_SEED)
    films = {part: _films(rows, size) for part, rows in (("training", training), ("testing", testing))}
    positive = {
        part: (rows["label"] == "fresh").to_numpy() for part, rows in (("training", training), ("testing", testing))
    }
    target = torch.tensor(positive["training"]).long()
    found = []

    def add(reader, source, score, start, *, allowed=True, accuracy=np.nan):
        ci = metrics.bootstrap_ci(positive["testing"].astype(int), score, metrics=("auc",), n_resamples=N_RESAMPLES)
        auc, low, high = ci.loc["auc", ["estimate", "low", "high"]]
        row = {"reader": reader, "input": source, "auc": auc, "low": low, "high": high}
        row |= {"allowed": ALLOWED if allowed else np.nan, "held": auc <= ALLOWED if allowed else ""}
        row |= {"n_train": n_train, "n_test": n_test, "size": size, "epochs": epochs, "training_accuracy": accuracy}
        found.append(row | {"seconds": round(time.process_time() - start, 1)})

    for source, part, allowed in (("spine covered", 1, True), ("whole film", 0, False)):
        start = time.process_time()
        network, accuracy = train_small(films["training"][part], target, n_classes=2, epochs=epochs)
        score = predict(network, films["testing"][part])[:, 1]
        add("network", source, score, start, allowed=allowed, accuracy=accuracy)
    for reader, features, penalty in (
        ("ridge, block means and filters", leaks.background_features, 100.0),
        ("ridge, noise, histogram and corners", leaks.scanner_features, 10.0),
    ):
        start = time.process_time()
        rows = [features(films[part][1]) for part in films]
        add(reader, "spine covered", leaks.held_out_score(*rows, positive["training"], penalty=penalty), start)
    for reader, table in (("ridge, exposure", exposures), ("ridge, age, sex and T-score", _person)):
        start = time.process_time()
        rows = [table(part) for part in (training, testing)]
        add(reader, "no picture", leaks.held_out_score(*rows, positive["training"], penalty=1.0), start)
    return pd.DataFrame(found)


def exposures(samples: pd.DataFrame) -> np.ndarray:
    """The row of the scanner behind every picture, and its site: all that a scanner can tell; (n, numbers)."""
    rows, sites = [], []
    for image in samples["image"]:
        patient, _, nuisance = cohorts.resolve(image)
        key = (patient.seed, patient.stem, patient.patient_id)
        if patient.site in scanner.CT_SITES:
            made = scanner.reconstruct(patient.site, anatomy.generator(*key, "reconstruction"), nuisance)
        else:
            rng = anatomy.generator(*key, "exposure")
            made = scanner.expose(patient.site, rng, nuisance, device=patient.device)
        rows.append([value for value in vars(made).values() if not isinstance(value, str)])
        sites.append(patient.site)
    return np.column_stack([np.array(rows, float), pd.get_dummies(pd.Series(sites)).to_numpy(float)])


def zero(stem: str, *, first_seed: int = 0) -> pd.DataFrame:
    """Test AUC of the small network where pictures know nothing of the label: effect 0, 2,000 test rows.

    In paper 04 the T-score is part of the label and shows as bone density: a picture tells a little at effect 0. In
    paper 01 a fresh film holds a fracture and most others hold none, at every effect: there the question is put to
    films with one fracture, fresh or old. ``matched_auc`` is the AUC over those pairs of a case and a control that
    agree in sex, in age within two years and in T-score within 0.2 (:data:`CALIPER`): what the picture tells beyond.

    Returns
    -------
    DataFrame
        One row per class (two classes: the positive one; more: each against the rest, and their mean): task, class,
        auc, low, high, matched_auc, matched_low, matched_high (95 %, bootstrap over virtual patients), pairs,
        clinical_auc (age, sex, level and T-score without a picture), held (auc or, in 04, matched_auc within
        :data:`ZERO_WITHIN` of 0.5), n_train, n_test, patients_test, size, epochs, training_accuracy, seconds.
    """
    start = time.process_time()
    sizes = ZERO_SIZE | ZERO_OTHER.get(stem, {})
    task = replace(_task(stem), **sizes)
    if stem == FILMS:
        task = replace(task, rows=_one_fracture(task.rows))
    training = balanced(task, 0.0, task.n_train, first_seed=first_seed)
    testing = balanced(task, 0.0, task.n_test, first_seed=first_seed + TEST_SEED)
    target = torch.tensor([task.classes.index(label) for label in training["label"]])
    network, accuracy = train_small(
        task.pictures(training, task.size), target, n_classes=len(task.classes), epochs=task.epochs
    )
    probabilities = predict(network, task.pictures(testing, task.size))
    rows = of_classes(task, testing, probabilities)
    rows["clinical_auc"] = of_classes(task, testing, clinical(training, testing, task.classes))["auc"]
    matched = matched_aucs(testing, probabilities, task.classes)
    rows = rows.merge(matched, on="class", validate="1:1")
    rows["held"] = (rows["matched_auc" if stem[:2] == "04" else "auc"] - 0.5).abs() <= ZERO_WITHIN
    rows.insert(0, "task", stem)
    facts = {"n_train": len(training), "n_test": len(testing), "patients_test": testing["patient_id"].nunique()}
    facts |= {"size": task.size, "epochs": task.epochs, "training_accuracy": accuracy}
    return rows.assign(**facts, seconds=round(time.process_time() - start, 1))


def matched_aucs(
    samples: pd.DataFrame, probabilities: np.ndarray, classes: tuple[str, ...], *, seed: int = 0
) -> pd.DataFrame:
    """AUC over pairs of a case and a control of equal sex and nearly equal age and T-score.

    Parameters
    ----------
    samples : DataFrame
        ``label``, ``patient_id``, ``sex``, ``age`` and, where there is one, ``t_score``.
    probabilities : array (n, n_classes)
        Of two classes, the second is the positive one; of more, each stands against the rest.

    Returns
    -------
    DataFrame
        class, matched_auc, matched_low, matched_high, pairs; last the ``mean`` of more than two classes.

    Raises
    ------
    ValueError
        If some class has fewer than :data:`LEAST_PAIRS` such pairs.
    """
    near = (samples["sex"].to_numpy()[:, None] == samples["sex"].to_numpy()).astype(np.float32)
    for name, width in CALIPER.items():
        if name in samples and samples[name].notna().all():
            value = samples[name].to_numpy(float)
            near *= np.abs(value[:, None] - value) <= width
    code, patients = pd.factorize(samples["patient_id"])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(patients), size=(N_RESAMPLES, len(patients)))
    weights = np.array([np.bincount(row, minlength=len(patients)) for row in drawn])[:, code].astype(np.float32)
    weights = np.vstack([np.ones((1, len(samples)), np.float32), weights])  # the first are the rows as they are
    rows, all_values = [], []
    for k in [1] if len(classes) == 2 else range(len(classes)):
        case = (samples["label"] == classes[k]).to_numpy()
        pairs = near[np.ix_(case, ~case)]
        if pairs.sum() < LEAST_PAIRS:
            count = int(pairs.sum())
            raise ValueError(
                f"{classes[k]}: {count} pairs of a case and a control agree in sex, age and T-score, {LEAST_PAIRS} are "
                "required; test on more rows"
            )
        score = probabilities[:, k]
        difference = score[case][:, None] - score[~case]
        won = pairs * ((difference > 0) + 0.5 * (difference == 0)).astype(np.float32)
        w_case, w_control = weights[:, case], weights[:, ~case]
        values = ((w_case @ won) * w_control).sum(1) / ((w_case @ pairs) * w_control).sum(1)
        rows.append({"class": classes[k], "pairs": int(pairs.sum())})
        all_values.append(values)
    if len(classes) > 2:
        rows.append({"class": "mean", "pairs": int(sum(row["pairs"] for row in rows))})
        all_values.append(np.mean(all_values, axis=0))
    for row, values in zip(rows, all_values, strict=True):
        low, high = np.percentile(values[1:], (2.5, 97.5))
        row |= {"matched_auc": float(values[0]), "matched_low": float(low), "matched_high": float(high)}
    return pd.DataFrame(rows)


def _task(stem: str) -> Task:
    known = {task.stem: task for task in TASKS}
    if stem not in known:
        raise KeyError(f"no task {stem!r}; known: {', '.join(known)}")
    return known[stem]


def _one_fracture(rows):
    """Films of paper 01 with one broken body."""

    def kept(seed, effect):
        films = rows(seed, effect)
        old = films["old_levels"].str.split(",").map(lambda levels: len([level for level in levels if level]))
        return films[(films["fresh_level"] != "").astype(int) + old == 1]

    return kept


def _films(samples, size):
    """Whole films and the same with their spine covered, uint8 (n, size, size) each."""
    whole, covered = [], []
    for start in range(0, len(samples), 200):
        images = samples["image"].iloc[start : start + 200]
        pictures = phantom.whole_radiographs(list(images), size=size)
        bands = film.spine_band([film.film_of(image) for image in images], (size, size))
        whole.append(pictures)
        covered.append((leaks.without_spine(pictures, bands) * 255).round().to(torch.uint8))
    return torch.cat(whole), torch.cat(covered)


def _person(samples):
    return np.column_stack([samples["age"], samples["sex"] == "M", samples["t_score"]]).astype(float)


STUDIES = ("masked", "zero")


def main() -> None:
    study = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = sys.argv[2:]
    stems = [task.stem for task in TASKS if not wanted or task.stem[:2] in wanted]
    if study not in STUDIES or (study == "masked" and wanted) or not stems:
        sys.exit("python -m vcfkit.leakage masked | zero [paper numbers]")
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if study == "masked":
        table = masked()
        table.to_csv(FOLDER / "leaks.csv", index=False, float_format="%.4f")
    else:
        path = FOLDER / "effect_zero.csv"
        for stem in stems:  # every finished paper is kept
            found = zero(stem)
            before = pd.read_csv(path) if path.exists() else found.iloc[:0]
            table = pd.concat([before[before["task"] != stem], found], ignore_index=True)
            table.sort_values("task", kind="stable").to_csv(path, index=False, float_format="%.4f")
    sys.stdout.write(table.to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
