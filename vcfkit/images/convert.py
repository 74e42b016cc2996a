"""Public data sets made into cohort folders, with a manifest."""

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pandas as pd

from vcfkit.cohort import COLUMNS, MANIFEST, CohortError, Fault

from .boxes import VCFNET_LEVELS
from .files import ImageError

_VCFNET_FILE = re.compile(r"(\d+)-([A-Za-z]+)-(\d+)-(\d+)-([FM])\.png", re.IGNORECASE)


def convert_vcfnet(in_folder: str | Path, out_folder: str | Path, *, as_cohort: str = "VCFNet sample") -> pd.DataFrame:
    """Make a cohort folder of crops named ``<index>-<Class>-<level code>-<age>-<sex>.png``, as paper 02's
    code names them.

    Level codes 1 to 5 are taken for L1 to L5, 11 and 12 for T11 and T12 (inferred, the code does not say).
    The names hold no patient: ``patient_id`` is sex and age, the best there is, so that two people of one age
    and sex become one and a patient-level split errs on the safe side. Every row is of site ``VCFNet``.

    Parameters
    ----------
    in_folder : path
        Searched with its subfolders, never written to. Files that are no PNG are left alone.
    out_folder : path
        Must not exist. It gets ``manifest.csv`` and ``images/``, in one step when everything is there.
    as_cohort : str
        Cohort of every row. The default is a test set for a network trained on virtual patients; ``development`` has
        the crops split and trained on.

    Returns
    -------
    DataFrame
        The manifest as written.

    Raises
    ------
    CohortError
        With every name that does not follow the pattern, or when there is nothing to convert or
        ``out_folder`` exists.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    check_folders(in_folder, out_folder)
    paths = sorted(p for p in in_folder.rglob("*") if p.suffix.lower() == ".png" and p.is_file())
    if not paths:
        refuse_folder("IN", "PNG files", f"none under {in_folder}", "name the folder that holds the crops")
    rows, faults = [], []
    for path in paths:
        try:
            rows.append(_vcfnet_row(path.name, as_cohort))
        except ImageError as error:
            faults.append(error.fault(str(path.relative_to(in_folder))))
    names = [row["sample_id"] for row in rows]
    faults += [
        Fault(name, "name", "every vertebra once", f"{names.count(name)} files", "remove the copies")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if faults:
        raise CohortError(faults)

    def write(draft):
        (draft / "images").mkdir()
        for path, row in zip(paths, rows, strict=True):
            shutil.copyfile(path, draft / row["image"])
        return rows

    write_cohort(out_folder, write)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def check_folders(in_folder: Path, out_folder: Path) -> None:
    """Refuse a source that is no folder and a target that exists."""
    if out_folder.exists():
        refuse_folder("OUT", "a folder yet to be made", f"{out_folder} exists", "name another folder, or remove it")
    if not in_folder.is_dir():
        refuse_folder("IN", "a folder", f"{in_folder} is none", "correct the path")


def write_cohort(out_folder: Path, write: Callable[[Path], list[dict]], columns: Sequence[str] = COLUMNS) -> None:
    """Make a cohort folder in one step: ``write`` fills a draft and returns the manifest's rows; an error leaves
    nothing."""
    out_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=out_folder.parent) as staging:
        draft = Path(staging) / "cohort"
        draft.mkdir()
        rows = write(draft)
        with (draft / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(columns), lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(rows)
        draft.rename(out_folder)


def take(source: Path, target: Path) -> None:
    """The file under another name: a second link where the disk is the same, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def refuse_folder(field, required, found, next_step) -> NoReturn:
    raise CohortError([Fault("(folder)", field, required, found, next_step)])


def _vcfnet_row(name: str, as_cohort: str) -> dict[str, str]:
    """Manifest row of one file of paper 02's code."""
    match = _VCFNET_FILE.fullmatch(name)
    if not match:
        pattern = "<index>-<Class>-<level code>-<age>-<sex>.png"
        raise ImageError("name", pattern, name, "rename the file, or move it out of the folder")
    index, label, code, age, sex = match.groups()
    if code not in VCFNET_LEVELS:
        raise ImageError("level code", ", ".join(VCFNET_LEVELS), code, "correct the level code in the name")
    label, sex, level = label.lower(), sex.upper(), VCFNET_LEVELS[code]
    sample_id = f"{label}-{index}-{level}"
    return {
        "sample_id": sample_id,
        "patient_id": f"{sex}{age}",
        "site": "VCFNet",
        "cohort": as_cohort,
        "label": label,
        "age": age,
        "sex": sex,
        "level": level,
        "image": f"images/{sample_id}.png",
        "mask": "",
        "box": "",
    }
