"""Reader study: readers with and without the model, operating points, multi-reader multi-case test, virtual readers.

A row of a reader frame is one reading: ``reader`` read ``case`` (the unit of analysis: paper 02, a vertebra) under
``modality`` (unaided, aided, …); ``truth`` is the case's true class and ``rating`` what the reader said. Two kinds of
frame differ in the last two columns:

=========  ================================  ==========================================
decisions  ``truth``, ``rating`` are names   `operating_points`, `accuracies`, `compare`
ratings    ``truth`` 0 or 1, ``rating`` any  `mrmc_test`
           number that rises with class 1
=========  ================================  ==========================================

`one_vs_rest` makes the second out of the first. The design is crossed: every reader reads every case under every
modality, once. Cases are taken as independent of one another; several vertebrae of one patient are not, and intervals
come out too narrow by what they share.

===========  ==================================================================================
``study``    what is computed from readings, and how real readings are read from a file
``virtual``  readers drawn from a stated decision model, set by published operating points
===========  ==================================================================================
"""

from vcfkit.readers.study import (
    COLUMNS,
    MrmcResult,
    accuracies,
    compare,
    mrmc_test,
    one_vs_rest,
    operating_points,
    read_csv,
)
from vcfkit.readers.virtual import Reader, expected_sensitivity, readings, solve, solve_trust

__all__ = [
    "COLUMNS",
    "MrmcResult",
    "Reader",
    "accuracies",
    "compare",
    "expected_sensitivity",
    "mrmc_test",
    "one_vs_rest",
    "operating_points",
    "read_csv",
    "readings",
    "solve",
    "solve_trust",
]
