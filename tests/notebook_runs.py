"""Runs a notebook as ``make`` does, at whatever size a test can afford."""

import subprocess
import sys
from pathlib import Path

from vcfkit import params


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
