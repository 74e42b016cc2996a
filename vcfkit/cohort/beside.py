"""Files that lie beside a manifest and name its samples: readings, and features made elsewhere."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from .faults import CohortError, Fault
from .manifest import read_manifest
from .privacy import pseudonymise

FEATURES = "features.csv"


def sample_names(folder: str | Path, *, stem: str) -> dict[str, str]:
    """The manifest's name of every sample to the one it has in the frame, where a patient's id in it is hidden."""
    samples, _ = read_manifest(folder, stem=stem, pseudonymous=False)
    hidden = pseudonymise(samples)["sample_id"]
    pairs = zip(samples["sample_id"], hidden, strict=True)
    return {before: after for before, after in pairs if isinstance(before, str)}


def read_features(folder: str | Path, *, stem: str) -> pd.DataFrame | None:
    """Features of a cohort that were computed elsewhere: ``features.csv`` beside the manifest.

    Parameters
    ----------
    folder : path
        ``features.csv`` in it has the column ``sample_id`` and one number per further column.

    Returns
    -------
    DataFrame, sample × feature, float64, or None where there is no such file
        Indexed by the samples' names in the frame, in the manifest's order.

    Raises
    ------
    CohortError
        With every sample that is missing, strange or doubled and every cell that is no finite number.
    """
    path = Path(folder) / FEATURES
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = pd.DataFrame(list(csv.DictReader(file, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise CohortError([_fault("file", "comma-separated UTF-8 text", f"unreadable: {error}")]) from error
    if table.empty or "sample_id" not in table or table.shape[1] < 2:
        found = "no rows" if table.empty else ", ".join(map(str, table.columns[:5]))
        raise CohortError([_fault("columns", "sample_id and one column per feature", found)])
    names = sample_names(folder, stem=stem)
    given = table["sample_id"].astype(str).str.strip()
    wrong = {
        "every sample once": [(name, f"{name} again") for name in given[given.duplicated()]],
        "samples of the manifest": [(name, "a stranger") for name in given if name not in names],
        "every sample of the manifest": [(name, "none") for name in names if name not in set(given)],
    }
    faults = [
        _fault("sample_id", required, found, name) for required, all_of in wrong.items() for name, found in all_of
    ]
    values = table.drop(columns="sample_id").apply(pd.to_numeric, errors="coerce").astype("float64")
    for row, column in np.argwhere(~np.isfinite(values.to_numpy())):
        cell = str(table.drop(columns="sample_id").iloc[row, column])
        faults.append(_fault(str(values.columns[column]), "a finite number", cell or "(blank)", given.iloc[row]))
    if faults:
        raise CohortError(faults)
    return values.set_index(given.to_numpy()).loc[list(names)].rename(index=names).rename_axis("sample_id")


def _fault(field, required, found, sample=FEATURES):
    return Fault(str(sample), field, required, found, f"correct {FEATURES}, or move it out of the folder")
