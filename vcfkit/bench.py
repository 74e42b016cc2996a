"""How much faster the vectorised statistics are than what a user would write, and how fast virtual patients are made.

    python -m vcfkit.bench statistics   # writes results/studies/bench.csv, about a minute
    python -m vcfkit.bench phantom      # writes results/studies/bench_phantom.csv, about a minute
    python -m vcfkit.bench radiomics    # writes results/studies/bench_radiomics.csv, about a minute
    python -m vcfkit.bench              # all

Everything runs on one thread in one process; times are CPU seconds of that process (on a shared machine the clock on
the wall counts other people's work). Statistics: both sides run one after the other, the fastest of the runs counts on
either side. The plain side runs whole, never scaled up from a part, and each row states the largest difference between
the two answers. Pictures: the median of five runs, each with virtual patients that no run before it has seen, so that
what a scene costs is counted and no cache helps; then the same with four times as many. Radiomics: one virtual fracture
after another, pyradiomics called directly and through `vcfkit.radiomics.extract`, which returns the same digits.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics as sk

from vcfkit import metrics
from vcfkit.selection import spearman_matrix

FOLDER = Path(__file__).parents[1] / "results" / "studies"
CLASSES = ("acute", "chronic", "pathologic")


def plain_bootstrap(y_true: np.ndarray, y_score: np.ndarray, *, n_resamples: int, seed: int = 0) -> np.ndarray:
    """scikit-learn in a loop: AUC, accuracy, sensitivity, specificity, F1; shape (5, 2), percentile limits."""
    rng, values = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        rows = rng.integers(0, len(y_true), len(y_true))
        truth, score = y_true[rows], y_score[rows]
        called = score >= 0.5
        values.append(
            [
                sk.roc_auc_score(truth, score),
                sk.accuracy_score(truth, called),
                sk.recall_score(truth, called),
                sk.recall_score(truth, called, pos_label=0),
                sk.f1_score(truth, called),
            ]
        )
    return np.quantile(values, [0.025, 0.975], axis=0).T


def plain_one_vs_rest(y_true: np.ndarray, probabilities: np.ndarray, *, n_resamples: int, seed: int = 0) -> np.ndarray:
    """scikit-learn in a loop, 14 numbers: AUC, sensitivity, specificity, F1 of each of three classes; accuracy; macro
    AUC; shape (14, 2), percentile limits."""
    rng, values = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        rows = rng.integers(0, len(y_true), len(y_true))
        truth, table = y_true[rows], probabilities[rows]
        called, numbers = np.asarray(CLASSES)[table.argmax(axis=1)], []
        for k, name in enumerate(CLASSES):
            positive, decision = truth == name, called == name
            numbers += [
                sk.roc_auc_score(positive, table[:, k]),
                sk.recall_score(positive, decision),
                sk.recall_score(positive, decision, pos_label=0),
                sk.f1_score(positive, decision),
            ]
        numbers += [
            sk.accuracy_score(truth, called),
            sk.roc_auc_score(truth, table, multi_class="ovr", labels=CLASSES),
        ]
        values.append(numbers)
    return np.quantile(values, [0.025, 0.975], axis=0).T


def plain_delong(y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The textbook's test of two models, every case against every control, called for each pair; p in order."""
    return np.array([_delong_p(y_true, scores[:, list(pair)])[0] for pair in combinations(range(scores.shape[1]), 2)])


def plain_delong_once(y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The same, but with each model's comparisons made once and shared by its pairs: a stricter yardstick."""
    return _delong_p(y_true, scores)


def _delong_p(y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    by_case, by_control = [], []
    for score in scores.T:
        case, control = score[y_true == 1][:, None], score[y_true == 0]
        wins = (case > control) + 0.5 * (case == control)
        by_case.append(wins.mean(axis=1))
        by_control.append(wins.mean(axis=0))
    area = np.mean(by_case, axis=1)
    covariance = np.cov(by_case) / len(by_case[0]) + np.cov(by_control) / len(by_control[0])
    p_values = []
    for a, b in combinations(range(len(area)), 2):
        variance = covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
        p_values.append(2 * stats.norm.sf(abs(area[a] - area[b]) / np.sqrt(variance)))
    return np.array(p_values)


def fast_bootstrap(y_true: np.ndarray, y_score: np.ndarray, *, n_resamples: int) -> np.ndarray:
    return metrics.bootstrap_ci(y_true, y_score, n_resamples=n_resamples)[["low", "high"]].to_numpy()


def fast_one_vs_rest(y_true: np.ndarray, probabilities: np.ndarray, *, n_resamples: int) -> np.ndarray:
    """The whole report (33 numbers), of which the 14 are taken."""
    report = metrics.one_vs_rest(y_true, probabilities, classes=CLASSES, n_resamples=n_resamples)
    table = report.set_index(["class", "metric"])[["low", "high"]]
    wanted = [(name, metric) for name in CLASSES for metric in ("auc", "sensitivity", "specificity", "f1")]
    return table.loc[[*wanted, ("all", "accuracy"), ("mean", "auc")]].to_numpy()


def fast_delong(y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return metrics.delong_matrix(y_true, scores).p_value[np.triu_indices(scores.shape[1], 1)]


def fast_spearman(features: pd.DataFrame) -> np.ndarray:
    return spearman_matrix(features).to_numpy()


def plain_spearman(features: pd.DataFrame) -> np.ndarray:
    return features.corr("spearman").to_numpy()


def cases(*, n: int = 1000, n_resamples: int = 1000, features: tuple[int, int] = (1648, 416)) -> list[dict]:
    """What is compared: name, the two functions, their arguments, and the ratio the project asks for."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, n)
    y_score = rng.normal(size=n) * 0.3 + 0.3 * y_true + 0.35
    names = np.asarray(CLASSES)[rng.choice(3, n, p=[0.5, 0.3, 0.2])]
    logits = rng.normal(size=(n, 3)) + 1.5 * (names[:, None] == np.asarray(CLASSES))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    models = y_score[:, None] + 0.2 * rng.normal(size=(n, 6))
    table = pd.DataFrame(rng.normal(size=(features[0], 8)) @ rng.normal(size=(8, features[1])))
    table += rng.normal(size=features)
    resampling = {"n_resamples": n_resamples}
    return [
        {
            "benchmark": "bootstrap, two classes, 5 numbers (AUC, accuracy, sensitivity, specificity, F1)",
            "size": f"n = {n}, {n_resamples} resamples",
            "baseline": "scikit-learn in a loop",
            "functions": (plain_bootstrap, fast_bootstrap),
            "arguments": ((y_true, y_score), resampling),
            "at_least": 200,
        },
        {
            "benchmark": "bootstrap, three classes, 14 numbers (per class AUC, sensitivity, specificity, F1; accuracy; "
            "macro AUC)",
            "size": f"n = {n}, {n_resamples} resamples",
            "baseline": "scikit-learn in a loop",
            "functions": (plain_one_vs_rest, fast_one_vs_rest),
            "arguments": ((names, probabilities), resampling),
            "at_least": 300,
        },
        {
            "benchmark": "DeLong, 6 models, all 15 pairs",
            "size": f"n = {n}",
            "baseline": "textbook test (every case against every control) for each pair",
            "functions": (plain_delong, fast_delong),
            "arguments": ((y_true, models), {}),
            "at_least": 30,
        },
        {
            "benchmark": "DeLong, 6 models, all 15 pairs",
            "size": f"n = {n}",
            "baseline": "the same, each model's comparisons made once and shared",
            "functions": (plain_delong_once, fast_delong),
            "arguments": ((y_true, models), {}),
            "at_least": None,
        },
        {
            "benchmark": "Spearman correlation of all pairs of features",
            "size": f"{features[0]} × {features[1]}",
            "baseline": "pandas",
            "functions": (plain_spearman, fast_spearman),
            "arguments": ((table,), {}),
            "at_least": 10,
        },
    ]


def measure(case: dict, *, for_seconds: float = 3) -> dict:
    """One row of the table: both sides timed on the same data, and how far their answers lie apart."""
    plain, fast = case["functions"]
    positional, keywords = case["arguments"]
    fast(*positional, **keywords)  # imports and first allocations are no part of either side
    plain_seconds, expected = _timed(lambda: plain(*positional, **keywords), for_seconds=for_seconds)
    fast_seconds, found = _timed(lambda: fast(*positional, **keywords), for_seconds=for_seconds)
    row = {name: value for name, value in case.items() if name not in ("functions", "arguments")}
    return row | {
        "baseline_s": round(min(plain_seconds), 6),
        "baseline_runs": len(plain_seconds),
        "vcfkit_s": round(min(fast_seconds), 6),
        "vcfkit_runs": len(fast_seconds),
        "ratio": round(min(plain_seconds) / min(fast_seconds), 1),
        "max_abs_difference": float(np.abs(expected - found).max()),
    }


def picture_cases(*, n: int = 12) -> list[dict]:
    """What is rendered: name, the function, the samples it gets one part after another, and the goal per second.

    Boxes are a quarter of ``n``, as they take longest.
    """
    from vcfkit import phantom

    patients = phantom.draw("03_ct_vertebra_diseases")
    return [
        {
            "benchmark": "whole radiograph, 224 × 224",
            "function": phantom.whole_radiographs,
            "samples": phantom.draw("01_xray_fresh_vcf"),
            "n": n,
            "at_least": 30,
        },
        {
            "benchmark": "vertebra crop, 96 × 96",
            "function": lambda samples: phantom.vertebra_crops(samples, size=96),
            "samples": phantom.draw("02_xray_acute_chronic_pathological"),
            "n": n,
            "at_least": 30,
        },
        {
            "benchmark": "CT slice, 256 × 256, slices of a virtual patient in sequence",
            "function": phantom.ct.ct_slices,
            "samples": patients[patients["cohort"] == "training"],
            "n": n,
            "at_least": 25,
        },
        {
            "benchmark": "CT box, 64 × 64 × 64, with its mask",
            "function": phantom.ct.ct_boxes,
            "samples": phantom.draw("05_ct_acute_chronic"),
            "n": max(n // 4, 1),
            "at_least": 3,
        },
    ]


def measure_pictures(case: dict, *, repeats: int = 5) -> dict:
    """One row of the phantom's table: pictures per second, and how the time of one grows with their number."""
    render, samples, n = case["function"], case["samples"], case["n"]
    render(samples.iloc[:1])  # imports, first allocations, and the cohort that the references name
    start, medians = 1, []
    for size in (n, 4 * n):
        seconds = []
        for _ in range(repeats):
            part = samples.iloc[start : start + size]
            if len(part) < size:
                raise ValueError(f"{case['benchmark']}: {5 * n * repeats + 1} samples required, found {len(samples)}")
            before = time.process_time()
            render(part)
            seconds.append(time.process_time() - before)
            start += size
        medians.append(float(np.median(seconds)) / size)
    few, many = medians
    return {
        "benchmark": case["benchmark"],
        "n": n,
        "repeats": repeats,
        "seconds_each": round(few, 5),
        "per_second": round(1 / few, 1),
        "at_least": case["at_least"],
        "n_large": 4 * n,
        "seconds_each_large": round(many, 5),
        "growth": round(many / few, 3),
    }


def measure_radiomics(*, n: int = 12) -> dict:
    """CPU seconds a case of paper 05's 1,688 features: pyradiomics alone, and `vcfkit.radiomics.extract`."""
    import logging

    import SimpleITK as sitk
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    from vcfkit import phantom, radiomics

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    boxes = phantom.ct.ct_boxes(phantom.draw("05_ct_acute_chronic").head(n))
    images = boxes.hu.clamp(-250, 1250).numpy().astype(np.float64)
    masks = boxes.masks["truth"].numpy().astype(np.uint8)
    settings = radiomics.filter_bank()
    alone = RadiomicsFeatureExtractor(settings)
    alone.addProvenance(False)
    plain, fast, difference = [], [], 0.0
    for image, mask in zip(images, masks, strict=True):
        before = time.process_time()
        expected = alone.execute(sitk.GetImageFromArray(image), sitk.GetImageFromArray(mask))
        plain.append(time.process_time() - before)
        before = time.process_time()
        found = radiomics.extract([image], [mask], settings=settings)
        fast.append(time.process_time() - before)
        difference = max(difference, float(np.abs(found.to_numpy()[0] - [float(v) for v in expected.values()]).max()))
    return {
        "benchmark": f"{found.shape[1]} features of a fracture, 64 × 64 × 64",
        "baseline": "pyradiomics called directly",
        "n": n,
        "baseline_s": round(float(np.median(plain)), 4),
        "vcfkit_s": round(float(np.median(fast)), 4),
        "ratio": round(float(np.median(plain) / np.median(fast)), 2),
        "at_least": 1.0,
        "max_abs_difference": difference,
    }


def machine(*, clock: str = "CPU seconds, fastest of the runs") -> dict:
    """Facts without which a time means nothing."""
    libraries = {f"{name}": version(name) for name in ("numpy", "scipy", "scikit-learn", "pandas", "torch")}
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": 1,
        "clock": clock,
        "python": platform.python_version(),
        **libraries,
        "measured": date.today().isoformat(),
    }


def statistics() -> bool:
    """Measure the statistics; whether they are as fast as asked for."""
    table = pd.DataFrame([measure(case) | machine() for case in cases()])
    shown = ["benchmark", "baseline", "baseline_s", "vcfkit_s", "ratio", "at_least", "max_abs_difference"]
    _write(table, "bench.csv", shown)
    return bool((table["ratio"] >= table["at_least"]).all())


def pictures() -> bool:
    """Measure the phantom; whether it is as fast as asked for."""
    facts = machine(clock="CPU seconds, median of the runs")
    table = pd.DataFrame([measure_pictures(case) | facts for case in picture_cases()])
    shown = ["benchmark", "n", "seconds_each", "per_second", "at_least", "n_large", "seconds_each_large", "growth"]
    _write(table, "bench_phantom.csv", shown)
    return bool((table["per_second"] >= table["at_least"]).all())


def extraction() -> bool:
    """Measure the extraction; whether it is no slower than pyradiomics."""
    facts = machine(clock="CPU seconds a case, median of the cases") | {"pyradiomics": version("pyradiomics")}
    table = pd.DataFrame([measure_radiomics() | facts])
    shown = ["benchmark", "baseline", "n", "baseline_s", "vcfkit_s", "ratio", "at_least", "max_abs_difference"]
    _write(table, "bench_radiomics.csv", shown)
    return bool((table["ratio"] >= table["at_least"]).all())


BENCHMARKS = {"statistics": statistics, "phantom": pictures, "radiomics": extraction}


def main() -> None:
    import torch
    from threadpoolctl import threadpool_limits

    wanted = sys.argv[1:] or list(BENCHMARKS)
    if not set(wanted) <= set(BENCHMARKS):
        sys.exit(f"python -m vcfkit.bench [{'|'.join(BENCHMARKS)}]")
    torch.set_num_threads(1)
    with threadpool_limits(1):
        fast_enough = [BENCHMARKS[name]() for name in wanted]
    if not all(fast_enough):
        sys.exit("slower than asked for: see the table")


def _write(table: pd.DataFrame, name: str, shown: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / name, index=False)
    sys.stdout.write(table[shown].to_string(index=False) + f"\n{FOLDER / name}\n")


def _timed(function: Callable[[], np.ndarray], *, for_seconds: float) -> tuple[list[float], np.ndarray]:
    """CPU seconds of every run, at least one, until together they reach that long."""
    seconds: list[float] = []
    while not seconds or sum(seconds) < for_seconds:
        start = time.process_time()
        value = function()
        seconds.append(time.process_time() - start)
    return seconds, value


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
