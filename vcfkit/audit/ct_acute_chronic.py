"""Checks of the numbers that paper 05 (Zhang J 2023) prints."""

from .findings import Paper

STEM = "05_ct_acute_chronic"


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
