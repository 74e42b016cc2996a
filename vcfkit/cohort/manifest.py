"""Samples frames and the door they pass: ``manifest.csv`` of a folder, checked cell by cell.

One row per unit of analysis. The columns of ``COLUMNS`` always stand first, in that order; what one paper needs
besides follows.
"""

import csv
import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from .faults import CohortError, Fault
from .privacy import pseudonymise
from .schema import COLUMNS, LABEL_ALIASES, MANIFEST, PHANTOM, REFERENCE, Study, schema, study_of, typed

# R writes NA and other tools nan for a missing cell; in the identifying columns such text stays what it is.
_MAY_BE_BLANK = ("age", "sex", "level", "mask", "box")
_BLANK_WORDS = {"", "na", "nan"}
_KNOWN_COHORTS = ("development", "training", "testing", "prospective")


def validate(samples: pd.DataFrame, *, stem: str, source: str) -> pd.DataFrame:
    """Check a samples frame and bring it into its canonical form.

    Parameters
    ----------
    samples : DataFrame, one row per unit of the study
        At least the columns that the study requires; the others of ``COLUMNS`` are added empty.
    stem : str
        The study: a key of ``STUDIES``. Labels are matched without case, ``pathological`` counts as ``pathologic``.
    source : {"virtual", "own"}
        Written to the column ``source`` where the frame has none.

    Returns
    -------
    DataFrame
        ``COLUMNS`` first; text columns as ``str`` with NaN for blank, ``age`` in years as float64, the study's own
        columns as numbers, flags or text ("" for blank), row order and index kept.

    Raises
    ------
    CohortError
        With every fault: missing columns, blank or repeated ``sample_id``, labels outside the classes,
        unknown sex or level, ages that are no number of years, a patient in two cohorts. A virtual patient
        may stand in both training and testing, because the paper split images; nobody else may. With ``source="own"``,
        rows that call themselves virtual without the phantom reference of their own patient.
    """
    checked, faults = _check(samples, study=study_of(stem), source=source)
    if faults:
        raise CohortError(faults)
    return checked


def read_manifest(folder: str | Path, *, stem: str, pseudonymous: bool = True) -> tuple[pd.DataFrame, list[Fault]]:
    """Read ``manifest.csv`` of a cohort folder; faults are collected, nothing is raised.

    Parameters
    ----------
    folder : path
        Holds ``manifest.csv``: UTF-8, comma separated, the columns that ``describe`` lists. Every cell is read as
        text, so that sample ``007`` stays ``007``. Paths are relative to the folder and stay inside it.
    stem : str
        As in ``validate``.
    pseudonymous : bool
        Replace patient identifiers (``pseudonymise``). ``False`` leaves that to the caller, who may have more
        faults to report under the manifest's own sample names.

    Returns
    -------
    samples : DataFrame
        Canonical as far as it could be read, with absolute paths, indexed by the manifest's lines. Rows with
        faults are included.
    faults : list of Fault
        Empty when the manifest and all its paths are good.
    """
    folder, study = Path(folder), study_of(stem)
    raw, lines, faults = _read_csv(folder, study)
    if raw is None:
        return pd.DataFrame(columns=[*COLUMNS, "source"]), faults
    names = _sample_names(raw, lines)
    checked, more = _check(raw, study=study, source="own", names=names)
    faults += more
    checked, more = _resolve_paths(checked, folder.absolute(), names, study)
    faults += more
    checked.index = pd.Index(lines, name="line")
    return (pseudonymise(checked) if pseudonymous else checked), faults


def _check(samples, *, study: Study, source, names=None):
    """Canonical frame and all faults of its cells, columns and patients."""
    if names is None:
        names = _sample_names(samples, range(len(samples)), word="row")
    missing = [name for name in study.required if name not in samples.columns]
    faults = [_missing_column(name, samples.columns, study) for name in missing]
    if samples.empty:
        rows = f"one row per {study.unit}"
        faults.append(Fault(MANIFEST, "rows", rows, "none", f"add a row for each {study.unit} to be classified"))

    text = samples.copy()
    for name in COLUMNS:
        text[name] = _as_text(text[name], blank_words=name in _MAY_BE_BLANK) if name in text else ""
    own = {extra.name: extra for extra in study.extras if extra.name in samples.columns}
    for name in own:
        text[name] = _as_text(text[name], blank_words=True)
    aliases = {old: new for old, new in LABEL_ALIASES.items() if old not in study.classes}
    if study.multilabel:
        text["label"] = text["label"].map(lambda label: _join(label, study.classes))
    else:
        text["label"] = _match_case(text["label"].str.lower().replace(aliases), study.classes)
    text["cohort"] = _match_case(text["cohort"], _KNOWN_COHORTS)
    text["sex"] = text["sex"].str.upper()
    text["level"] = text["level"].str.upper()
    text["source"] = _as_text(text["source"]).replace("", source) if "source" in text else source

    # Row labels of the caller's frame need not be unique; positions are.
    index = text.index
    by_row = []
    checks = schema(study, samples.columns)
    columns = [*COLUMNS, *own]
    try:
        checks.validate(text.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as error:
        for case in error.failure_cases.itertuples():
            check = checks.columns[case.column].checks[int(case.check_number)]
            found = _as_text(samples[case.column]).iloc[case.index] or "(blank)"
            if check.error == "unique":
                first = text["sample_id"].tolist().index(text["sample_id"].iloc[case.index])
                found = f"{found} again, also {names[first][1]}"
            fault = Fault(names[case.index][0], case.column, check.error, found, check.description)
            by_row.append((case.index, columns.index(case.column), fault))
    for row in np.flatnonzero(~text["source"].isin(["virtual", "own"])):
        found = text["source"].iloc[row]
        by_row.append(
            (
                row,
                len(columns),
                Fault(names[row][0], "source", "own or virtual", found, "leave the column out"),
            )
        )
    if source == "own":
        by_row += [(row, len(columns), fault) for row, fault in _unproven_virtual(text, study, names)]
    by_row += _patients_in_two_cohorts(text, names)
    faults += [fault for *_, fault in sorted(by_row, key=lambda entry: entry[:2])]

    text.index = index
    age = pd.to_numeric(text["age"], errors="coerce").astype("float64")
    for name in COLUMNS:
        text[name] = text[name].mask(text[name] == "")
    text["age"] = age
    for name, extra in own.items():
        text[name] = typed(extra, text[name])
    extras = [name for name in text.columns if name not in COLUMNS]
    return text[[*COLUMNS, *extras]], faults


def _join(label: str, classes: Sequence[str]) -> str:
    """A label of several in the spelling and order of the classes; what is no class stays, for the check."""
    spelling = {name.lower(): name for name in classes}
    parts = [spelling.get(part.strip().lower(), part.strip()) for part in label.split("+")]
    known = [name for name in classes if name in parts]
    return "+".join([*known, *(part for part in parts if part not in classes)])


def _as_text(cells: pd.Series, *, blank_words: bool = False) -> pd.Series:
    """Stripped text, "" for missing; with ``blank_words`` also for NA and nan."""
    text = cells.astype("str").fillna("").astype("str").str.strip()
    return text.mask(text.str.lower().isin(_BLANK_WORDS), "") if blank_words else text


def _match_case(cells: pd.Series, values: Sequence[str]) -> pd.Series:
    """Each cell in the spelling of the value that it equals but for case."""
    spelling = {value.lower(): value for value in values}
    return cells.str.lower().map(spelling).fillna(cells).astype("str")


def _missing_column(name: str, present: Iterable[str], study: Study) -> Fault:
    spelling = {column.lower(): column for column in map(str, present) if column not in COLUMNS}
    near = difflib.get_close_matches(name, list(spelling), n=1, cutoff=0.5)
    step = f'rename "{spelling[near[0]]}" to "{name}"' if near else f'add the column "{name}"'
    if name in study.blank:
        step += "; its cells may stay blank"
    return Fault(MANIFEST, name, "a column of this name", "no such column", step)


def _unproven_virtual(text, study, names):
    """(row, Fault) for each row of a manifest that says ``virtual`` without the phantom reference of its own patient.

    Names of virtual patients reach the results as they are, and some of them may stand in training and testing: neither
    may hold for a person.
    """
    references = _as_text(text[REFERENCE]) if REFERENCE in text else pd.Series("", index=text.index)
    rows = zip(text["source"], text["patient_id"], references, strict=True)
    for row, (stated, patient_id, reference) in enumerate(rows):
        if stated != "virtual" or reference.startswith(f"{PHANTOM}{study.stem}/{patient_id}/"):
            continue
        required = f"own, or virtual with its patient's own {REFERENCE}"
        # Not shown: it may hold a name.
        found = f"virtual with {'a reference to something else' if reference else 'no reference'}"
        yield row, Fault(names[row][0], "source", required, found, f"leave out the columns source and {REFERENCE}")


def _patients_in_two_cohorts(text, names):
    """(row, column, Fault) for each patient whose rows stand in cohorts that may not share anybody."""
    found = []
    rows = text.reset_index(drop=True)
    rows = rows[(rows["patient_id"] != "") & (rows["cohort"] != "")]
    for _, mine in rows.groupby("patient_id"):
        cohorts = mine.drop_duplicates("cohort")
        virtual = (mine["source"] == "virtual").all()
        if len(cohorts) == 1 or (virtual and set(cohorts["cohort"]) == {"training", "testing"}):
            continue
        first, *others = cohorts.index
        elsewhere = ", ".join(f"{rows.loc[row, 'cohort']} as {names[row][0]}" for row in others)
        fault = Fault(
            names[first][0],
            "cohort",
            "every patient in one cohort only",
            f"{rows.loc[first, 'cohort']}, and the same patient in {elsewhere}",
            "keep the patient in one cohort; if these are two people, make their patient_id differ",
        )
        found.append((first, COLUMNS.index("cohort"), fault))
    return found


def _sample_names(samples, lines, *, word="line"):
    """Per row how a fault names it (sample_id, or its line) and where it stands."""
    places = [f"{word} {line}" for line in lines]
    if "sample_id" not in samples:
        return [(place, place) for place in places]
    return [(name or place, place) for name, place in zip(_as_text(samples["sample_id"]), places, strict=True)]


def _read_csv(folder: Path, study: Study):
    """(text frame, its line numbers, faults); the frame is None when there is nothing to read rows from.

    The csv module rather than pandas, because pandas fills short rows and takes a surplus cell for an index,
    both silently: an unquoted box would shift or lose columns.
    """

    def stop(sample, field, required, found, next_step):
        return None, [], [Fault(sample, field, required, found, next_step)]

    path = folder / MANIFEST
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing there"
        return stop(str(folder), "DATA", f"a folder with {MANIFEST} and the images", what, "correct the folder's path")
    if not path.is_file():
        near = difflib.get_close_matches(MANIFEST, [p.name for p in folder.iterdir()], n=1)
        step = f'rename "{near[0]}" to {MANIFEST}' if near else f"write {MANIFEST}, one row per {study.unit}"
        return stop(str(folder), MANIFEST, "a file of this name", "none in the folder", step)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return stop(
            MANIFEST,
            "file",
            "comma-separated UTF-8 text",
            f"unreadable: {error}",
            'save it again as "CSV UTF-8"',
        )
    if not rows:
        return stop(
            MANIFEST,
            "file",
            f"a header and one row per {study.unit}",
            "an empty file",
            "write the header and rows",
        )

    header = rows[0][1]
    for mark, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            return stop(MANIFEST, "file", "commas between cells", word, "save it again with commas")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        return stop(MANIFEST, "header", "each column once", f"twice: {', '.join(twice)}", "delete one of the two")
    faults = [
        Fault(
            f"line {line}",
            "cells",
            f"{len(header)} cells, as in the header",
            f"{len(cells)} cells",
            'put quotes around a cell that holds a comma, e.g. "10,20,90,70"',
        )
        for line, cells in rows[1:]
        if len(cells) != len(header)
    ]
    whole = [(line, cells) for line, cells in rows[1:] if len(cells) == len(header)]
    frame = pd.DataFrame([cells for _, cells in whole], columns=header, dtype="str")
    if faults and frame.empty:
        return None, [], faults
    # A spreadsheet's trailing empty columns carry no name.
    return frame.drop(columns=[""], errors="ignore"), [line for line, _ in whole], faults


def _resolve_paths(samples, folder, names, study):
    """Paths of pictures, masks and box files made absolute, with a fault for each that leads to no file in the folder.

    A path may not leave the folder, by ``..``, from the root or through a link: what a manifest names is read, and its
    hash is written, so a manifest that came from elsewhere must not reach other files.
    """
    samples, faults = samples.copy(), []
    files = [extra.name for extra in study.extras if extra.kind == "file" and extra.name in samples]
    inside = os.path.realpath(folder)
    for row, index in enumerate(samples.index):
        for column in ("image", "mask", "box", *files):
            cell = samples.loc[index, column]
            if not isinstance(cell, str) or not cell or (column == "box" and "," in cell):
                continue
            found, step, path = resolve(cell, folder, inside, series=study.picture == "volume" and column == "image")
            samples.loc[index, column] = str(path)
            if not found:
                continue
            required = "an existing file"
            if column == "box":
                required += " (LabelImg XML, COCO json), or xmin,ymin,xmax,ymax"
            faults.append(Fault(names[row][0], column, required, found, step))
    return samples, faults


def resolve(cell, folder, inside, *, series):
    """(what is wrong or "", next step, absolute path) of one cell."""
    path = Path(os.path.normpath(folder / cell.replace("\0", "?")))
    try:
        real = os.path.realpath(path)
        if os.path.commonpath([real, inside]) != inside:
            how = "is a link that leads" if folder in path.parents else "leads"
            return f"{cell} {how} out of the folder", "put the file inside the folder", path
        if path.is_file() or (series and path.is_dir()):
            return "", "", path
        if path.is_dir():
            return f"{cell} is a folder", "name the file", path
        found = f"{cell} does not exist"
    except (OSError, ValueError) as error:  # a name too long, or no name at all
        found = f"{cell[:60]} is no path: {getattr(error, 'strerror', None) or error}"
    step = r"write / instead of \ in the path" if "\\" in cell else f"correct the path, or add {cell[:60]}"
    return found, step, path
