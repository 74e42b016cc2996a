"""Radiomic features: extraction, agreement of repeated delineations (ICC), harmonisation over centres (ComBat).

A row is one unit of analysis (papers 04 and 05: a patient's fractured vertebra), a column one feature.
"""

from vcfkit.radiomics.agreement import ICC_FORMS, icc, icc_ci, icc_features
from vcfkit.radiomics.extraction import (
    CaseFault,
    ExtractionError,
    expected_features,
    extract,
    filter_bank,
    filtered_images,
)
from vcfkit.radiomics.harmonisation import ComBat, combat

__all__ = [
    "ICC_FORMS",
    "CaseFault",
    "ComBat",
    "ExtractionError",
    "combat",
    "expected_features",
    "extract",
    "filter_bank",
    "filtered_images",
    "icc",
    "icc_ci",
    "icc_features",
]
