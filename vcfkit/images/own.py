"""A hospital's own cohort: all of it opened and checked before anything is trained, and how it meets virtual ones."""

import os
from pathlib import Path

import pandas as pd

from vcfkit import cohort
from vcfkit.cohort import CohortError, Fault
from vcfkit.cohort.manifest import resolve
from vcfkit.cohort.schema import READERS

from .boxes import find_box, slice_boxes
from .files import ImageError, name_of
from .radiographs import read_radiograph
from .samples import BOX, window_of
from .volumes import body_box, read_slice


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
    """
    samples, faults = examine(folder, stem=stem)
    if faults:
        raise CohortError(faults)
    return cohort.pseudonymise(samples).reset_index(drop=True)


def examine(folder: str | Path, *, stem: str) -> tuple[pd.DataFrame, list[Fault]]:
    """The frame of `open_own` before pseudonyms, as far as it could be read, and every fault; nothing is raised."""
    study = cohort.study_of(stem)
    samples, faults = cohort.read_manifest(folder, stem=stem, pseudonymous=False)
    lost = _lost(samples, Path(folder).absolute(), study)
    if study.picture == "radiograph" and "mask" in study.blank:
        faults += _examine_radiographs(samples, lost, boxes=study.box != "not read")
    elif study.picture == "radiograph":
        faults += _examine_rows(samples, lost, _examine_window)
    elif study.picture == "slice":
        faults += _examine_slices(samples, lost)
    else:
        faults += _examine_rows(samples, lost, _examine_volume)
    order = {name: place for place, name in enumerate(map(name_of, samples.itertuples()))}
    return samples, sorted(faults, key=lambda fault: order.get(fault.sample, -1))


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
    """(row, column) of every path that leads nowhere: that is told already, and nothing more can be."""
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


def _examine_radiographs(samples, lost, *, boxes):
    """Faults of radiographs and of the boxes on them; the boxes become numbers."""
    faults = []
    # The radiograph is opened once for all its vertebrae.
    for path, rows in samples.dropna(subset=["image"]).groupby("image", sort=False):
        shape = None
        if (rows.index[0], "image") not in lost:
            try:
                shape = read_radiograph(path).pixels.shape
            except ImageError as error:
                faults += [_named(error, path).fault(name_of(row)) for row in rows.itertuples()]
        for row in rows.itertuples():
            if not boxes or not isinstance(row.box, str) or (row.Index, "box") in lost:
                continue
            try:
                box = find_box(row.box, row.label, row.level, shape)
            except ImageError as error:
                faults.append(error.fault(name_of(row)))
            else:
                samples.loc[row.Index, "box"] = str(box)
    return faults


def _examine_rows(samples, lost, examine_one):
    """Faults of rows that are read whole or not at all."""
    faults = []
    for row in samples.dropna(subset=["image"]).itertuples():
        if any(index == row.Index for index, _ in lost):
            continue
        try:
            found = examine_one(row)
        except ImageError as error:
            faults.append(error.fault(name_of(row)))
        else:
            for column, value in found.items():
                samples.loc[row.Index, column] = value
    return faults


def _examine_window(row):
    window = window_of(row, 64)
    for column in _second_masks(row):
        window.cut(getattr(row, column), column)
    if not isinstance(row.box, str):
        return {}
    return {"box": str(find_box(row.box, row.label, row.level, window.pixels.shape))}


def _examine_volume(row):
    value = getattr(row, "mask_label", None)
    value = None if value is None or pd.isna(value) else int(value)
    body_box(row.image, {name: getattr(row, name) for name in ("mask", *_second_masks(row))}, side=BOX, value=value)
    return {}


def _second_masks(row):
    names = [f"mask_{reader}" for reader in READERS]
    return [name for name in names if isinstance(getattr(row, name, None), str) and getattr(row, name)]


def _examine_slices(samples, lost):
    """Faults of slices and their boxes; labels and numbers that the manifest leaves out come from the boxes."""
    study = cohort.study_of("03_ct_vertebra_diseases")
    faults, told = [], {}
    for row in samples.dropna(subset=["image"]).itertuples():
        if any(index == row.Index for index, _ in lost):
            continue
        try:
            sagittal = read_slice(row.image)
            if isinstance(row.box, str) and row.box:
                told[row.Index] = slice_boxes(row.box, sagittal)
        except ImageError as error:
            faults.append(error.fault(name_of(row)))
    filled = samples["label"].notna()
    for code in study.classes:
        stated = samples[code] if code in samples else pd.Series(pd.NA, index=samples.index, dtype="boolean")
        drawn = pd.Series({index: bool(found[code].any()) for index, found in told.items()}, dtype="boolean")
        drawn = drawn.reindex(samples.index)
        labelled = samples["label"].where(filled, "").map(lambda label, code=code: code in label.split("+"))
        # A normal vertebra beside a diseased one is no part of the slice's label.
        from_label = labelled.where(filled & (code != "normal" or drawn.isna()), pd.NA).astype("boolean")
        flags = stated.astype("boolean").fillna(drawn).fillna(from_label)
        for row in samples[(flags != drawn).fillna(False).to_numpy(dtype=bool)].itertuples():
            found = f"{int(flags[row.Index])}, the box file has {'one' if drawn[row.Index] else 'none'}"
            step = "correct the cell or the box's name, or leave the cell blank"
            faults.append(Fault(name_of(row), code, "what the box file says", found, step))
        samples[code] = flags.astype(bool) if flags.notna().all() else flags
    unknown = samples[samples[study.classes[0]].isna() & ~filled]
    for row in unknown.itertuples():
        if not any(index == row.Index for index, _ in lost):
            required = "the diseases on the slice"
            faults.append(Fault(name_of(row), "label", required, "(blank)", "fill label, or name a box file"))
    joined = [
        "+".join(code for code in study.classes[:-1] if row[code] is True or row[code] == True) or "normal"  # noqa: E712
        for row in samples[list(study.classes)].fillna(False).to_dict("records")
    ]
    samples["label"] = samples["label"].where(filled, pd.Series(joined, index=samples.index, dtype="str"))
    counts = pd.Series({index: len(found) for index, found in told.items()}, dtype="float64").reindex(samples.index)
    if "n_vertebrae" not in samples:
        samples["n_vertebrae"] = counts.astype("int64") if counts.notna().all() else counts
    return faults


def _named(error, path):
    found = f"{Path(path).name}: {error.found}"
    return ImageError(error.field, error.required, found, error.next_step)
