"""Checks of the numbers that paper 04 (Zhang J 2024) prints."""

from .findings import Paper

STEM = "04_xray_ovf_astlof"


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
