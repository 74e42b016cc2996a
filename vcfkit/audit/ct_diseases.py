"""Checks of the numbers that paper 03 (Wang 2024) prints."""

from .findings import Paper

STEM = "03_ct_vertebra_diseases"


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
