"""Runs a notebook as ``make`` does, at whatever size a test can afford."""

import subprocess
import sys
from pathlib import Path

from vcfkit import params

# Of every results folder, beside tables, figures and what single notebooks add.
CONTRACT = {"notebook.ipynb", "cohort.csv", "predictions.csv", "comparison.csv", "audit.csv", "metrics.json"}
CONTRACT |= {"provenance.json"}


def run(stem: str, folder: Path, *arguments, **settings) -> tuple[Path, subprocess.CompletedProcess]:
    """``python -m vcfkit.run notebook STEM`` into ``folder``; its results folder and the finished process.

    ``settings`` replace single parameters of the reduced profile.
    """
    command = [sys.executable, "-m", "vcfkit.run", "notebook", stem, "--results", str(folder), *map(str, arguments)]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(command, cwd=params.ROOT, capture_output=True, text=True, check=False)
    return folder / "reduced" / stem, done


def finished(stem: str, folder: Path, *arguments, **settings) -> Path:
    """As `run`, for a run that has to finish; returns its results folder."""
    place, done = run(stem, folder, *arguments, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def files(place: Path) -> set[str]:
    """All files of a results folder, as paths below it."""
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


def contract(figures: list[str], tables: list[str], *more: str) -> set[str]:
    """The files that a notebook with these figures and tables has to leave, and ``more`` of its own."""
    drawn = {f"figures/figure_{name}.{kind}" for name in figures for kind in ("png", "svg")}
    return CONTRACT | drawn | {f"tables/table_{name}.csv" for name in tables} | set(more)
