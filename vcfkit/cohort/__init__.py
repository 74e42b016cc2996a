"""Samples frames: what a manifest holds, the door check, pseudonyms, inclusion flow, splits and the baseline table.

One row per unit of analysis (for paper 02 a fractured vertebra). The columns of ``COLUMNS`` always stand first, in that
order; what one paper needs besides (``t_score``, ``has_old_vcf`` ...) follows. Everything that is wrong with a cohort
is collected as a ``Fault`` and raised once, as one ``CohortError``, before anything is trained.

``python -m vcfkit.cohort describe STEM`` says what a study's manifest holds, ``check STEM FOLDER`` opens a cohort.
"""

from .baseline import baseline_table, compare_groups
from .beside import read_features, sample_names
from .faults import CohortError, Fault
from .manifest import read_manifest, validate
from .privacy import SALT_VARIABLE, for_results, pseudonym, pseudonymise
from .schema import (
    AGE_RANGE,
    COLUMNS,
    LABEL_ALIASES,
    LEVELS,
    MANIFEST,
    PHANTOM,
    SEXES,
    STUDIES,
    TRAINING,
    Study,
    box_numbers,
    describe,
    study_of,
)
from .splits import cohort_order, flow, shared_patients, split

__all__ = [
    "AGE_RANGE",
    "COLUMNS",
    "LABEL_ALIASES",
    "LEVELS",
    "MANIFEST",
    "PHANTOM",
    "SALT_VARIABLE",
    "SEXES",
    "STUDIES",
    "TRAINING",
    "CohortError",
    "Fault",
    "Study",
    "baseline_table",
    "box_numbers",
    "cohort_order",
    "compare_groups",
    "describe",
    "flow",
    "for_results",
    "pseudonym",
    "pseudonymise",
    "read_features",
    "read_manifest",
    "sample_names",
    "shared_patients",
    "split",
    "study_of",
    "validate",
]
