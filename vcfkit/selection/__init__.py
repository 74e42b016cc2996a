"""From many features to a few, and from those to a classifier, each fitted on training rows only.

Scikit-learn transformers: in a pipeline they are fitted anew wherever it is, so that cross-validation sees what
selection costs. Papers 04 and 05 print the counts in and out of each step; `step_counts` gives ours.
"""

from vcfkit.selection.classifiers import CLASSIFIERS, search
from vcfkit.selection.correlation import spearman_matrix
from vcfkit.selection.filters import (
    CorrelationFilter,
    IccFilter,
    LassoSelector,
    SpearmanFilter,
    deep_selection,
    handcrafted_selection,
    lasso_selection,
    step_counts,
)
from vcfkit.selection.stability import selection_stability

__all__ = [
    "CLASSIFIERS",
    "CorrelationFilter",
    "IccFilter",
    "LassoSelector",
    "SpearmanFilter",
    "deep_selection",
    "handcrafted_selection",
    "lasso_selection",
    "search",
    "selection_stability",
    "spearman_matrix",
    "step_counts",
]
