"""Checks of the numbers that paper 02 (Xu 2023) prints."""

from .findings import Paper

STEM = "02_xray_acute_chronic_pathological"


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
