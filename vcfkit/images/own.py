"""A hospital's own cohort: all of it opened and checked before anything is trained, and how it meets virtual ones."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vcfkit import cohort
from vcfkit.cohort import CohortError, Fault
from vcfkit.cohort.manifest import resolve
from vcfkit.cohort.schema import READERS, typed

from .files import name_of
from .guard import Guard


@dataclass(frozen=True)
class Opened:
    """A cohort folder, read. ``samples`` is the frame before pseudonyms, indexed by the manifest's lines; ``faults``
    and ``warnings`` (a list of (sample, text)) in its order; ``found`` what each row's files hold, by line."""

    samples: pd.DataFrame
    faults: list
    warnings: list
    found: dict


def open_own(folder: str | Path, *, stem: str) -> pd.DataFrame:
    """Open a cohort folder: manifest, every image, mask and box. Everything is checked here, before anything is
    trained.

    Parameters
    ----------
    folder : path
        As ``cohort.read_manifest`` and ``cohort.describe`` have it.
    stem : str
        The study.

    Returns
    -------
    DataFrame, one row per unit of the study
        Canonical, under pseudonyms, paths absolute; in 02 and 04 boxes as ``"xmin,ymin,xmax,ymax"`` or NaN; in 03
        labels and numbers of vertebrae that the manifest left to the box files.

    Raises
    ------
    CohortError
        Once, with every fault of manifest, images, masks and boxes, in the manifest's order.

    Warns
    -----
    UserWarning
        Of pictures that may hold a patient's name in their pixels.
    """
    opened = inspect(folder, stem=stem)
    if opened.faults:
        raise CohortError(opened.faults)
    for text in dict.fromkeys(text for _, text in opened.warnings):
        count = sum(other == text for _, other in opened.warnings)
        warnings.warn(f"{count} of {len(opened.samples)} samples: {text}", stacklevel=2)
    return cohort.pseudonymise(opened.samples).reset_index(drop=True)


def inspect(folder: str | Path, *, stem: str) -> Opened:
    """All that `open_own` finds out; nothing is raised."""
    study = cohort.study_of(stem)
    samples, faults = cohort.read_manifest(folder, stem=stem, pseudonymous=False)
    lost = _lost(samples, Path(folder).absolute(), study)
    found, notes = {}, []
    rows = samples.dropna(subset=["image"])
    if len(rows):
        with Guard() as guard:
            # Rows of one picture side by side, so that it is still at hand.
            for index, values in rows.sort_values("image", kind="stable").to_dict("index").items():
                found[index] = guard.examine(stem, values, frozenset(column for line, column in lost if line == index))
    for row in rows.itertuples():
        faults += [Fault(name_of(row), *fault) for fault in found[row.Index].faults]
        notes += [(name_of(row), text) for text in found[row.Index].warnings]
        if found[row.Index].box:
            samples.loc[row.Index, "box"] = found[row.Index].box
    if study.multilabel:
        faults += _labels_from_boxes(samples, study, found, {line for line, _ in lost})
    more, also = _pictures_twice(samples, found)
    order = {name: place for place, name in enumerate(map(name_of, samples.itertuples()))}
    faults = sorted([*faults, *more], key=lambda fault: order.get(fault.sample, -1))
    return Opened(samples, faults, [*notes, *also], found)


def with_own(virtual: pd.DataFrame, folder: str | Path | None, *, stem: str) -> pd.DataFrame:
    """The samples a study runs on: virtual patients, a hospital's own, or both.

    Without a folder, the virtual ones. With a folder that has ``training`` (or ``development``) rows, the own ones
    alone. With a folder that has none, both: the network is trained on virtual patients and the own cohorts are further
    test sets.

    Raises
    ------
    CohortError
        As `open_own`; and if an own test cohort would bear the name of a virtual one.
    """
    virtual = virtual.assign(source="virtual")
    if folder is None:
        return virtual
    own = open_own(folder, stem=stem)
    # What the manifest leaves out is blank, so that a study may ask for it.
    for extra in cohort.study_of(stem).extras:
        if extra.name in virtual and extra.name not in own:
            own[extra.name] = typed(extra, pd.Series("", index=own.index, dtype="str"))
    if own["cohort"].isin(cohort.TRAINING).any():
        return own
    taken = [name for name in own["cohort"].unique() if name in {*virtual["cohort"], "testing"}]
    if taken:
        raise CohortError(
            [
                Fault(
                    cohort.MANIFEST,
                    "cohort",
                    "a training cohort, or cohorts named unlike the virtual ones they are tested beside",
                    name,
                    f"rename {name}, or add training rows",
                )
                for name in taken
            ]
        )
    return pd.concat([virtual, own], ignore_index=True)


def _lost(samples, folder, study):
    """(line, column) of every path that leads nowhere: that is told already, and nothing more can be."""
    inside = os.path.realpath(folder)
    columns = [name for name in ("image", "mask", "box", *(f"mask_{r}" for r in READERS)) if name in samples]
    lost = set()
    for column in columns:
        for index, cell in samples[column].items():
            if not isinstance(cell, str) or not cell or (column == "box" and "," in cell):
                continue
            series = study.picture == "volume" and column == "image"
            if resolve(cell, folder, inside, series=series)[0]:
                lost.add((index, column))
    return lost


def _pictures_twice(samples, found):
    """Faults where one picture is of two patients, warnings where a sample stands twice."""
    faults, notes = [], []
    digests = pd.Series({index: one.digest for index, one in found.items() if one.digest}, dtype="str")
    rows = samples.loc[digests.index].assign(digest=digests)
    for _, same in rows.groupby("digest", sort=False):
        first = same.iloc[0]
        if same["patient_id"].nunique() > 1:
            other = same[same["patient_id"] != first["patient_id"]].iloc[0]
            where = f"the same picture as {other['sample_id']}, of another patient"
            if other["cohort"] != first["cohort"]:
                where += f", in {other['cohort']}"
            step = "correct the image or the patient_id: a patient in two cohorts would be tested on what was trained"
            faults.append(Fault(str(first["sample_id"]), "image", "a picture of one patient", where, step))
        cells = same[["box", "mask", "level"]].fillna("").astype("str").agg("|".join, axis=1)
        for index in same.index[cells.duplicated()]:
            twin = same.index[(cells == cells[index]).to_numpy()][0]
            said = f"the same picture, box and level as {same.loc[twin, 'sample_id']}"
            notes.append((str(same.loc[index, "sample_id"]), said))
    return faults, notes


def _labels_from_boxes(samples, study, found, lost):
    """Fills labels, flags and numbers of vertebrae from the box files; faults where the manifest says otherwise."""
    faults = []
    told = {index: one.vertebrae for index, one in found.items() if one.vertebrae is not None}
    filled = samples["label"].notna()
    for code in study.classes:
        stated = samples[code] if code in samples else pd.Series(pd.NA, index=samples.index)
        drawn = pd.Series({index: any(row[code] for row in rows) for index, rows in told.items()}, dtype="boolean")
        drawn = drawn.reindex(samples.index)
        labelled = samples["label"].fillna("").map(lambda label, code=code: code in label.split("+"))
        # A normal vertebra beside a diseased one is no part of the slice's label.
        meant = labelled.astype("boolean").where(filled & ((code != "normal") | drawn.isna()), pd.NA)
        flags = stated.astype("boolean").fillna(drawn).fillna(meant)
        for index in samples.index[(flags != drawn).fillna(False).to_numpy(dtype=bool)]:
            row = samples.loc[index]
            said = f"{int(flags[index])}, the box file has {'one' if drawn[index] else 'none'}"
            step = "correct the cell or the box's name, or leave the cell blank"
            faults.append(Fault(str(row["sample_id"]), code, "what the box file says", said, step))
        samples[code] = flags.astype("int64") if flags.notna().all() else flags.astype("Int64")
    for index in samples.index[(samples[study.classes[0]].isna() & ~filled).to_numpy(dtype=bool)]:
        if index not in lost and not found[index].faults:
            name, step = str(samples.loc[index, "sample_id"]), "fill label, or name a box file"
            faults.append(Fault(name, "label", "the diseases on the slice", "(blank)", step))
    diseases = study.classes[:-1]
    table = samples[list(diseases)].fillna(0).astype(bool)
    joined = ["+".join(code for code in diseases if row[code]) or "normal" for row in table.to_dict("records")]
    samples["label"] = samples["label"].where(filled, pd.Series(joined, index=samples.index, dtype="str"))
    if "n_vertebrae" not in samples:
        counts = pd.Series({index: len(rows) for index, rows in told.items()}, dtype="Int64").reindex(samples.index)
        samples["n_vertebrae"] = counts.astype("int64" if counts.notna().all() else "float64")
    return faults
