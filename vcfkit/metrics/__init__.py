"""Estimates, intervals and tests for predictions.

Every table of the compendium takes its numbers from here. A row is one unit of analysis (paper 02: a vertebra); where
several rows belong to one patient, intervals come from resampling patients, not rows.

Symbols: TP, FN, FP, TN are counts at a decision; sensitivity TP/(TP+FN), specificity TN/(TN+FP), PPV TP/(TP+FP),
NPV TN/(TN+FN), F1 2TP/(2TP+FP+FN). A ratio with an empty denominator is undefined (NaN), never 0.

================  =========================================================================================
``reports``       what a table prints: two classes, one class against the rest, a carried threshold
``resampling``    the bootstrap behind them (percentile, BCa; rows or patients; CPU or GPU)
``curves``        ROC and precision–recall curves, Youden's threshold, Hand and Till's multiclass AUC
``delong``        DeLong's variance, interval and tests: paired, unpaired, all pairs of many models
``comparisons``   McNemar, permutation test of two AUCs, Holm's adjustment
``calibration``   recalibration slope and intercept, Brier score, E-max
================  =========================================================================================

Intervals of a DeLong test and of the bootstrap are nominal; how often they hold the truth at the cohort sizes of the
five papers was simulated: ``results/studies/coverage.csv`` (`vcfkit.studies`).
"""

from vcfkit.estimates import Interval, TestResult
from vcfkit.metrics.calibration import Calibration, calibration
from vcfkit.metrics.comparisons import (
    McnemarResult,
    SeedDifference,
    auc_permutation_test,
    holm,
    mcnemar,
    seed_difference,
)
from vcfkit.metrics.curves import OperatingPoint, hand_till_auc, partial_auc, pr_curve, roc_curve, youden_threshold
from vcfkit.metrics.delong import DelongMatrix, delong_ci, delong_matrix, delong_test, delong_test_unpaired
from vcfkit.metrics.reports import (
    BINARY_METRICS,
    binary_report,
    bootstrap_ci,
    bootstrap_difference,
    carried_reports,
    confusion,
    multi_label,
    multiclass_auc,
    multiclass_difference,
    one_vs_rest,
)
from vcfkit.metrics.resampling import bootstrap_counts, decision_metrics, weighted_auc

__all__ = [
    "BINARY_METRICS",
    "Calibration",
    "DelongMatrix",
    "Interval",
    "McnemarResult",
    "OperatingPoint",
    "SeedDifference",
    "TestResult",
    "auc_permutation_test",
    "binary_report",
    "bootstrap_ci",
    "bootstrap_counts",
    "bootstrap_difference",
    "calibration",
    "carried_reports",
    "confusion",
    "decision_metrics",
    "delong_ci",
    "delong_matrix",
    "delong_test",
    "delong_test_unpaired",
    "hand_till_auc",
    "holm",
    "mcnemar",
    "multi_label",
    "multiclass_auc",
    "multiclass_difference",
    "one_vs_rest",
    "partial_auc",
    "pr_curve",
    "roc_curve",
    "seed_difference",
    "weighted_auc",
    "youden_threshold",
]
