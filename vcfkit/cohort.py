"""Samples frames: the door check, pseudonyms, inclusion flow, splits and the baseline table.

One row per unit of analysis (for paper 02 a fractured vertebra). The columns of ``COLUMNS`` always stand
first, in that order; what one paper needs besides (``t_score``, ``height_loss`` ...) follows. Everything that
is wrong with a cohort is collected as a ``Fault`` and raised once, as one ``CohortError``, before anything is
trained.
"""

import csv
import difflib
import hashlib
import hmac
import math
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

COLUMNS = (
    "sample_id",
    "patient_id",
    "site",
    "cohort",
    "label",
    "age",
    "sex",
    "level",
    "image",
    "mask",
    "box",
)
REQUIRED = COLUMNS[:9]
LEVELS = tuple(f"T{i}" for i in range(1, 13)) + tuple(f"L{i}" for i in range(1, 6))
SEXES = ("F", "M")
AGE_RANGE = (0, 120)
PHANTOM = "phantom:"
MANIFEST = "manifest.csv"
SALT_VARIABLE = "VCFKIT_SALT"
SALT_FILE = Path(__file__).resolve().parents[1] / ".vcfkit-salt"

# R writes NA and other tools nan for a missing cell; in the identifying columns such text stays what it is.
_MAY_BE_BLANK = ("age", "sex", "level", "mask", "box")
_BLANK_WORDS = {"", "na", "nan"}
LABEL_ALIASES = {"pathological": "pathologic"}
_KNOWN_COHORTS = ("development", "training", "testing", "prospective")
_N_GROUP_SPLITS = 200


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: which sample, which field, what is required, what was found, what to do
    next."""

    sample: str
    field: str
    required: str
    found: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.sample}: {self.field} {self.found}; {self.required} required. Next: {self.next_step}"


class CohortError(ValueError):
    """All faults of a cohort; prints as one plain-text table, a line per fault."""

    def __init__(self, faults: Iterable[Fault]):
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        header = tuple(field.name.replace("_", " ") for field in fields(Fault))
        # A stray line break inside a cell would break the table.
        rows = [tuple(" ".join(cell.split()) for cell in astuple(fault)) for fault in self.faults]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [header, tuple("-" * width for width in widths), *rows]
        table = "\n".join(
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )
        count = len(self.faults)
        return f"{count} {'fault' if count == 1 else 'faults'} in the cohort; nothing was run.\n{table}"


def validate(samples: pd.DataFrame, *, classes: Sequence[str], source: str) -> pd.DataFrame:
    """Check a samples frame and bring it into its canonical form.

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        At least the columns of ``REQUIRED``; ``mask`` and ``box`` are added empty when they are absent.
    classes : sequence of str
        The study's classes. Labels are matched without case, and ``pathological`` counts as ``pathologic``.
    source : {"virtual", "own"}
        Written to the column ``source`` where the frame has none.

    Returns
    -------
    DataFrame
        ``COLUMNS`` first; text columns as ``str`` with NaN for blank, ``age`` in years as float64, row order
        and index kept.

    Raises
    ------
    CohortError
        With every fault: missing columns, blank or repeated ``sample_id``, labels outside the classes,
        unknown sex or level, ages that are no number of years, a patient in two cohorts. A virtual patient
        may stand in both training and testing, because the paper split images; nobody else may.
    """
    checked, faults = _check(samples, classes=classes, source=source)
    if faults:
        raise CohortError(faults)
    return checked


def read_manifest(
    folder: str | Path, *, classes: Sequence[str], pseudonymous: bool = True
) -> tuple[pd.DataFrame, list[Fault]]:
    """Read ``manifest.csv`` of a cohort folder; faults are collected, nothing is raised.

    Parameters
    ----------
    folder : path
        Holds ``manifest.csv``: UTF-8, comma separated, one row per vertebra, the columns of ``COLUMNS``
        (``mask`` and ``box`` may be absent). Every cell is read as text, so that sample ``007`` stays
        ``007``. Paths of ``image``, ``mask`` and of a ``box`` that is a LabelImg XML are relative to the
        folder, or absolute.
    classes : sequence of str
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
    folder = Path(folder)
    raw, lines, faults = _read_csv(folder)
    if raw is None:
        return pd.DataFrame(columns=[*COLUMNS, "source"]), faults
    names = _sample_names(raw, lines)
    checked, more = _check(raw, classes=classes, source="own", names=names)
    faults += more
    checked, more = _resolve_paths(checked, folder.absolute(), names)
    faults += more
    checked.index = pd.Index(lines, name="line")
    return (pseudonymise(checked) if pseudonymous else checked), faults


def pseudonym(patient_id: str) -> str:
    """``own-`` and 12 hexadecimal digits: HMAC-SHA-256 of the identifier under this machine's salt.

    The salt is ``$VCFKIT_SALT``, or the file ``.vcfkit-salt`` in the project root, made at first use and
    readable by its owner only. Without the salt the pseudonym can be neither reversed nor guessed; with the
    same salt it is the same again.
    """
    digest = hmac.new(_salt().encode(), patient_id.encode(), hashlib.sha256).hexdigest()
    return f"own-{digest[:12]}"


def pseudonymise(samples: pd.DataFrame) -> pd.DataFrame:
    """Replace the patient identifiers of all rows that are not virtual.

    A ``sample_id`` that holds its row's ``patient_id`` (``P-0412-L1`` of patient ``P-0412``) gets the
    pseudonym in its place: sample names are written to every results file. Shorter identifiers than four
    characters are replaced only where they stand apart from other letters and digits.
    """

    def hide(sample_id, patient_id, source):
        if source == "virtual" or not isinstance(patient_id, str):
            return sample_id, patient_id
        pattern = re.escape(patient_id)
        if len(patient_id) < 4:
            pattern = rf"(?<![0-9A-Za-z]){pattern}(?![0-9A-Za-z])"
        hidden = pseudonym(patient_id)
        if isinstance(sample_id, str):
            sample_id = re.sub(pattern, hidden, sample_id, flags=re.IGNORECASE)
        return sample_id, hidden

    names = [hide(*row) for row in samples[["sample_id", "patient_id", "source"]].itertuples(index=False, name=None)]
    hidden = pd.DataFrame(names, columns=["sample_id", "patient_id"], index=samples.index, dtype="str")
    return samples.assign(sample_id=hidden["sample_id"], patient_id=hidden["patient_id"])


def for_results(samples: pd.DataFrame, *, extras: Sequence[str] = ()) -> pd.DataFrame:
    """The frame as it may be written to ``cohort.csv``: no path, no identifier.

    Files become ``sha256:`` and the first 16 hexadecimal digits of their content's hash, wherever they lie; a
    ``box`` is kept when it is four numbers. Columns beyond ``COLUMNS`` and ``source`` may hold anything in an
    own manifest, so own rows lose them, except those named in ``extras``. Phantom references are kept.

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        A validated frame.
    extras : sequence of str
        Further columns of own rows known to identify nobody.
    """
    hashes: dict[str, str] = {}

    def fingerprint(cell):
        if not isinstance(cell, str) or not cell or cell.startswith(PHANTOM):
            return cell
        if cell not in hashes:
            with Path(cell).open("rb") as file:
                hashes[cell] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
        return hashes[cell]

    shown = samples.copy()
    for column in ("image", "mask"):
        shown[column] = shown[column].map(fingerprint)
    shown["box"] = [box if isinstance(box, str) and box_numbers(box) else fingerprint(box) for box in shown["box"]]
    own = shown["source"] != "virtual"
    private = [c for c in shown.columns if c not in (*COLUMNS, "source", *extras)]
    if own.all():
        return shown.drop(columns=private)
    for column in private:
        shown[column] = shown[column].mask(own)
    return shown


def box_numbers(text: str) -> tuple[int, int, int, int] | None:
    """``"xmin,ymin,xmax,ymax"`` as whole pixels; None when the text is not four finite numbers."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        return None
    xmin, ymin, xmax, ymax = map(round, numbers)
    return xmin, ymin, xmax, ymax


def split(
    samples: pd.DataFrame,
    *,
    test_fraction: float,
    unit: str = "vertebra",
    seed: int,
    stratify: str = "label",
) -> pd.DataFrame:
    """Divide the development rows into ``training`` and ``testing`` (Model training: "randomly ... ratio of
    8:2").

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        Rows of other cohorts are left alone. A frame that comes with training and testing rows is only
        checked.
    test_fraction : float
        Share of testing, 0.2 in the paper.
    unit : {"vertebra", "patient"}
        ``vertebra``: within each class, every vertebra for itself, as the authors' code does over images;
        vertebrae of one patient can then fall on both sides (``shared_patients`` counts them). Testing gets
        ``test_fraction`` of each class, rounded, at least 1 and at most all but 1. ``patient``: nobody on
        both sides. Of 200 random divisions of the patients (scikit-learn's ``GroupShuffleSplit``) the one
        whose testing counts per class come nearest to ``test_fraction`` is taken, which balances the classes
        as far as whole patients allow.
    seed : int
        The same seed gives the same split whatever the order of the rows.
    stratify : str
        Column that holds the classes.

    Raises
    ------
    ValueError
        If ``unit`` or ``test_fraction`` is none of these.
    CohortError
        If there is nothing to train or test on: a class without a vertebra (or patient) for either side, or
        both development and training or testing rows.
    """
    if unit not in ("vertebra", "patient"):
        raise ValueError(f'split unit "{unit}": "vertebra" or "patient" required')
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction {test_fraction}: a number between 0 and 1 required")
    development = samples["cohort"] == "development"
    given = samples["cohort"].isin(["training", "testing"])
    if development.any() and given.any():
        raise CohortError(
            [
                Fault(
                    MANIFEST,
                    "cohort",
                    "development, or training and testing",
                    f"{development.sum()} development rows beside {given.sum()} training or testing rows",
                    "name all of them development to have them split, or none",
                )
            ]
        )
    samples = samples.copy()
    if development.any():
        # Sorting makes the draw a function of the rows, not of their order in the file.
        pool = samples.reset_index(drop=True)[development.to_numpy()].sort_values("sample_id")
        divide = _split_vertebrae if unit == "vertebra" else _split_patients
        testing = divide(pool, test_fraction, seed, stratify)
        cohorts = samples["cohort"].to_numpy(dtype=object)
        cohorts[pool.index] = np.where(testing, "testing", "training")
        samples["cohort"] = pd.Series(cohorts, index=samples.index, dtype="str")
    counts = pd.crosstab(samples[stratify], samples["cohort"]).reindex(columns=["training", "testing"], fill_value=0)
    faults = [
        Fault(
            f"class {name}",
            "cohort",
            f"at least one vertebra in {side}",
            f"{counts.loc[name, 'training']} in training, {counts.loc[name, 'testing']} in testing",
            "add development rows of this class, from two patients or more, or leave the class out",
        )
        for name in counts.index
        for side in counts.columns
        # A frame that comes with training rows may be tested on other cohorts alone.
        if not counts.loc[name, side] and (side == "training" or development.any())
    ]
    if (samples["cohort"] == "training").all():
        faults.append(
            Fault(
                MANIFEST, "cohort", "training and a test cohort", "training only", "name test rows testing or otherwise"
            )
        )
    if faults:
        raise CohortError(faults)
    return samples


def flow(samples: pd.DataFrame) -> pd.DataFrame:
    """Inclusion flow: counts of patients, of vertebrae and of vertebrae per class, cohort by cohort.

    Returns
    -------
    DataFrame, index cohort
        Columns ``patients``, ``vertebrae`` and one per class; development, training and testing first, then
        the other cohorts as they come, ``total`` last. Somebody who stands in two cohorts counts once in the
        total.
    """

    def counts(rows):
        return {
            "patients": rows["patient_id"].nunique(),
            "vertebrae": len(rows),
            **{name: int((rows["label"] == name).sum()) for name in classes},
        }

    classes = sorted(samples["label"].dropna().unique())
    table = {name: counts(samples[samples["cohort"] == name]) for name in _cohort_order(samples["cohort"])}
    table["total"] = counts(samples)
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("cohort")


def shared_patients(samples: pd.DataFrame) -> int:
    """Number of patients in both training and testing: 0 unless vertebrae were split one by one."""
    sides = samples[samples["cohort"].isin(["training", "testing"])]
    return int((sides.groupby("patient_id")["cohort"].nunique() == 2).sum())


def baseline_table(samples: pd.DataFrame, by: str = "cohort") -> pd.DataFrame:
    """Baseline characteristics (the paper's Table 1) by cohort, with tableone.

    Age and sex are counted once per patient and group, level group and label once per vertebra. Two groups:
    Welch's t-test for age; more: one-way analysis of variance. Level group, sex and label: chi-squared, or
    Fisher's exact test for a 2 × 2 table with an expected or column count below 5; a larger table with such
    counts keeps chi-squared and the test's name carries a warning. Blank cells are counted as missing and
    left out of percentages and tests; a variable is not tested when a group has no value of it (for age:
    fewer than two). A patient who stands in two groups, and several vertebrae of one patient, make the groups
    less independent than the tests assume.

    Returns
    -------
    DataFrame of text
        Columns ``variable``, ``value``, ``missing``, ``overall``, one per group, ``p_value``, ``test``.
    """
    samples = samples.reset_index(drop=True)
    groups = _cohort_order(samples[by])
    level_group = samples["level"].astype("str").str[:1].map({"T": "thoracic", "L": "lumbar"})
    vertebrae = samples.assign(level_group=level_group.astype("str"))
    everybody = samples.drop_duplicates("patient_id")
    by_group = samples.drop_duplicates(["patient_id", by])
    parts = [
        _count("patients, n", everybody, by_group, by, groups),
        _describe("age", everybody, by_group, by, groups),
        _describe("sex", everybody, by_group, by, groups, order=SEXES),
        _count("vertebrae, n", vertebrae, vertebrae, by, groups),
        _describe("level_group", vertebrae, vertebrae, by, groups, order=("thoracic", "lumbar")),
        _describe("label", vertebrae, vertebrae, by, groups),
    ]
    return pd.concat(parts, ignore_index=True).fillna("").astype("str")


def _schema(classes: Sequence[str], present: Iterable[str]) -> pa.DataFrameSchema:
    """What each column must hold as text; ``error`` is the requirement, ``description`` the next step."""

    def filled(next_step):
        return pa.Check(lambda cells: cells != "", error="a value", description=next_step)

    def one_of(values, next_step, *, blank=False):
        required = f"one of {', '.join(values)}" + (", or blank" if blank else "")
        return pa.Check.isin([*values, ""] if blank else list(values), error=required, description=next_step)

    unique = pa.Check(
        lambda cells: ~cells.duplicated() | (cells == ""),
        error="unique",
        description="give every vertebra a name of its own",
    )
    years = pa.Check(
        lambda cells: (cells == "") | pd.to_numeric(cells, errors="coerce").between(*AGE_RANGE),
        error=f"years from {AGE_RANGE[0]} to {AGE_RANGE[1]}, or blank",
        description="write the age as a number of years, or leave it blank",
    )
    checks = {
        "sample_id": [filled("name the vertebra"), unique],
        "patient_id": filled("give each patient one name; it is not written to results"),
        "site": filled("name the hospital"),
        "cohort": filled("write development, training, testing or the name of an external cohort"),
        "label": one_of(classes, "correct the label, or leave the row out"),
        "age": years,
        "sex": one_of(SEXES, "write F or M, or leave it blank", blank=True),
        "level": pa.Check.isin(
            [*LEVELS, ""],
            error="T1 to T12, L1 to L5, or blank",
            description="write the vertebra's level, or leave it blank",
        ),
        "image": filled("name the image file, relative to the folder"),
    }
    return pa.DataFrameSchema({name: pa.Column(str, check) for name, check in checks.items() if name in present})


def _check(samples, *, classes, source, names=None):
    """Canonical frame and all faults of its cells, columns and patients."""
    if names is None:
        names = _sample_names(samples, range(len(samples)), word="row")
    missing = [name for name in REQUIRED if name not in samples.columns]
    faults = [_missing_column(name, samples.columns) for name in missing]
    if samples.empty:
        faults.append(
            Fault(
                MANIFEST,
                "rows",
                "one row per vertebra",
                "none",
                "add a row for each vertebra to be classified",
            )
        )

    text = samples.copy()
    for name in COLUMNS:
        text[name] = _as_text(text[name], blank_words=name in _MAY_BE_BLANK) if name in text else ""
    aliases = {old: new for old, new in LABEL_ALIASES.items() if old not in classes}
    text["label"] = _match_case(text["label"].str.lower().replace(aliases), classes)
    text["cohort"] = _match_case(text["cohort"], _KNOWN_COHORTS)
    text["sex"] = text["sex"].str.upper()
    text["level"] = text["level"].str.upper()
    text["source"] = _as_text(text["source"]).replace("", source) if "source" in text else source

    # Row labels of the caller's frame need not be unique; positions are.
    index = text.index
    by_row = []
    present = [name for name in COLUMNS if name in samples.columns]
    schema = _schema(classes, present)
    try:
        schema.validate(text.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as error:
        for case in error.failure_cases.itertuples():
            check = schema.columns[case.column].checks[int(case.check_number)]
            found = _as_text(samples[case.column]).iloc[case.index] or "(blank)"
            if check.error == "unique":
                first = text["sample_id"].tolist().index(text["sample_id"].iloc[case.index])
                found = f"{found} again, also {names[first][1]}"
            fault = Fault(names[case.index][0], case.column, check.error, found, check.description)
            by_row.append((case.index, COLUMNS.index(case.column), fault))
    for row in np.flatnonzero(~text["source"].isin(["virtual", "own"])):
        found = text["source"].iloc[row]
        by_row.append(
            (
                row,
                len(COLUMNS),
                Fault(names[row][0], "source", "own or virtual", found, "leave the column out"),
            )
        )
    by_row += _patients_in_two_cohorts(text, names)
    faults += [fault for *_, fault in sorted(by_row, key=lambda entry: entry[:2])]

    text.index = index
    age = pd.to_numeric(text["age"], errors="coerce").astype("float64")
    for name in COLUMNS:
        text[name] = text[name].mask(text[name] == "")
    text["age"] = age
    extras = [name for name in text.columns if name not in COLUMNS]
    return text[[*COLUMNS, *extras]], faults


def _as_text(cells: pd.Series, *, blank_words: bool = False) -> pd.Series:
    """Stripped text, "" for missing; with ``blank_words`` also for NA and nan."""
    text = cells.astype("str").fillna("").astype("str").str.strip()
    return text.mask(text.str.lower().isin(_BLANK_WORDS), "") if blank_words else text


def _match_case(cells: pd.Series, values: Sequence[str]) -> pd.Series:
    """Each cell in the spelling of the value that it equals but for case."""
    spelling = {value.lower(): value for value in values}
    return cells.str.lower().map(spelling).fillna(cells).astype("str")


def _missing_column(name: str, present: Iterable[str]) -> Fault:
    spelling = {column.lower(): column for column in map(str, present) if column not in COLUMNS}
    near = difflib.get_close_matches(name, list(spelling), n=1, cutoff=0.5)
    step = f'rename "{spelling[near[0]]}" to "{name}"' if near else f'add the column "{name}"'
    if name in _MAY_BE_BLANK:
        step += "; its cells may stay blank"
    return Fault(MANIFEST, name, "a column of this name", "no such column", step)


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


def _read_csv(folder: Path):
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
        step = f'rename "{near[0]}" to {MANIFEST}' if near else f"write {MANIFEST}, one row per vertebra"
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
            "a header and one row per vertebra",
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


def _resolve_paths(samples, folder, names):
    """Paths of image, mask and box XML made absolute, with a fault for each that leads to no file."""
    samples, faults = samples.copy(), []
    for row, index in enumerate(samples.index):
        for column in ("image", "mask", "box"):
            cell = samples.loc[index, column]
            if not isinstance(cell, str) or (column == "box" and "," in cell):
                continue
            path = Path(os.path.normpath(folder / cell))
            samples.loc[index, column] = str(path)
            if path.is_file():
                continue
            required = "an existing file" + (" (LabelImg XML), or xmin,ymin,xmax,ymax" if column == "box" else "")
            step = r"write / instead of \ in the path" if "\\" in cell else f"correct the path, or add {cell}"
            found = f"{cell} is a folder" if path.is_dir() else f"{cell} does not exist"
            faults.append(Fault(names[row][0], column, required, found, step))
    return samples, faults


def _salt() -> str:
    """The salt of this machine's pseudonyms, made when there is none."""
    if salt := os.environ.get(SALT_VARIABLE, "").strip():
        return salt
    try:
        if not SALT_FILE.exists():
            # A link appears whole or not at all: two notebooks that start together cannot make two salts.
            handle, draft = tempfile.mkstemp(prefix=f"{SALT_FILE.name}-", dir=SALT_FILE.parent)  # mode 0600
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(secrets.token_hex(32) + "\n")
                if not SALT_FILE.exists():
                    os.link(draft, SALT_FILE)
            except FileExistsError:
                pass  # the other notebook was first, and its salt is as good
            finally:
                Path(draft).unlink()
        salt = SALT_FILE.read_text().strip()
    except OSError as error:
        raise CohortError([_no_salt(f"{error.strerror or error}")]) from error
    if not salt:
        raise CohortError([_no_salt("an empty file")])
    return salt


def _no_salt(found: str) -> Fault:
    return Fault(
        SALT_FILE.name,
        "salt",
        "a secret for the pseudonyms of your patients",
        found,
        f"set ${SALT_VARIABLE} to a long random text and keep it to yourself",
    )


def _split_vertebrae(pool, test_fraction, seed, stratify):
    """True for testing, one entry per row of ``pool``, drawn class by class."""
    testing = np.zeros(len(pool), dtype=bool)
    for name, rows in pool.reset_index(drop=True).groupby(stratify):
        size = min(max(round(test_fraction * len(rows)), 1), len(rows) - 1)
        # The class's own generator: adding a class does not reshuffle the others.
        rng = np.random.default_rng([seed, *str(name).encode()])
        testing[rng.permutation(rows.index)[:size]] = True
    return testing


def _split_patients(pool, test_fraction, seed, stratify):
    """True for testing, one entry per row of ``pool``, patients undivided."""
    from sklearn.model_selection import GroupShuffleSplit

    # A patient's first sample stands for him or her, because pseudonyms sort differently under another salt.
    patients = pool.groupby("patient_id")["sample_id"].transform("min")
    if patients.nunique() < 2:
        return np.zeros(len(pool), dtype=bool)
    classes = pd.get_dummies(pool[stratify]).to_numpy(dtype=float)
    wanted = test_fraction * classes.sum(axis=0)
    splitter = GroupShuffleSplit(_N_GROUP_SPLITS, test_size=test_fraction, random_state=seed)
    best, least = np.zeros(len(pool), dtype=bool), np.inf
    for _, rows in splitter.split(pool, groups=patients):
        got = classes[rows].sum(axis=0)
        # Relative to the class, so that the rarest class counts as much; a class that misses a side is worst.
        one_sided = ((got == 0) | (got == classes.sum(axis=0))).sum()
        distance = (np.abs(got - wanted) / classes.sum(axis=0)).sum() + 10 * one_sided
        if distance < least:
            best, least = np.isin(np.arange(len(pool)), rows), distance
    return best


def _cohort_order(cohorts: pd.Series) -> list[str]:
    """Development, training, testing, then the others as they come."""
    names = list(dict.fromkeys(cohorts.dropna()))
    first = [name for name in ("development", "training", "testing") if name in names]
    return first + [name for name in names if name not in first]


def _count(variable, everybody, by_group, by, groups):
    """One row of counts, overall and by group."""
    counts = by_group[by].value_counts()
    cells = {group: str(counts.get(group, 0)) for group in groups}
    return pd.DataFrame([{"variable": variable, "value": "", "missing": "", "overall": str(len(everybody)), **cells}])


def _describe(variable, everybody, by_group, by, groups, *, order=()):
    """tableone's rows for one variable: overall, where nobody counts twice, beside the groups and a test."""
    from tableone import TableOne

    continuous = variable == "age"
    name = "age in years, mean (SD)" if continuous else f"{variable.replace('_', ' ')}, n (%)"
    missing = str(everybody[variable].isna().sum())
    values = by_group.dropna(subset=[variable])
    if values.empty:
        return pd.DataFrame([{"variable": name, "missing": missing}])
    distinct = values.groupby(by)[variable].nunique()
    counts = values[by].value_counts().reindex(groups, fill_value=0)
    if continuous:
        testable = counts.min() >= 2 and distinct.max() >= 2
    else:
        testable = counts.min() >= 1 and len(values[variable].unique()) >= 2
    testable = bool(testable and len(groups) >= 2)
    shown = [value for value in order or sorted(values[variable].unique()) if value in set(values[variable])]
    settings = {"columns": [variable], "categorical": [] if continuous else [variable], "include_null": False}
    settings["continuous"] = [variable] if continuous else []
    category_order = {} if continuous else {variable: shown}
    overall = TableOne(everybody[[variable]].dropna(), order=category_order, **settings).tableone
    # Blanks are left out here, because numpy warns of a mean or SD of nothing; such a group's cells stay blank.
    table = TableOne(
        values[[variable, by]],
        groupby=by,
        order={by: [group for group in groups if counts[group]], **category_order},
        overall=False,
        missing=False,
        pval=testable,
        htest_name=testable,
        **settings,
    ).tableone
    table.columns = [column for _, column in table.columns]
    table = table.drop(index="n", level=0).rename(columns={"P-Value": "p_value", "Test": "test"})
    rows = pd.DataFrame(
        {
            "variable": [name] + [""] * (len(table) - 1),
            "value": table.index.get_level_values(1),
            "missing": [missing] + [""] * (len(table) - 1),
            "overall": overall["Overall"].drop(index="n", level=0).to_numpy(),
        }
    )
    return pd.concat([rows, table.reset_index(drop=True)], axis=1).astype(object)
