"""Checks of the numbers that paper 01 (Zhang H 2024) prints."""

from .findings import Paper

STEM = "01_xray_fresh_vcf"


def checks(paper: Paper) -> None:
    """Make every check of this paper, in the order of its text."""
