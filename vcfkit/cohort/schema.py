"""What a row of a cohort must hold, study by study.

Columns that every study has, and one `Study` per paper: its unit, its classes, which cells may be blank, and the
columns that only it reads. The door (`manifest`) checks against the pandera schema made from it, and
``python -m vcfkit.cohort describe <stem>`` prints the same as text.
"""

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

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
LEVELS = tuple(f"T{i}" for i in range(1, 13)) + tuple(f"L{i}" for i in range(1, 6))
SEXES = ("F", "M")
AGE_RANGE = (0, 120)
PHANTOM = "phantom:"
MANIFEST = "manifest.csv"
REFERENCE = "reference"  # of an exported virtual sample: what it is a picture of
DISEASES = ("OVCF", "OF", "SN", "KD", "PS")  # of paper 03, non-exclusive
LABEL_ALIASES = {"pathological": "pathologic"}
TRAINING = ("development", "training")  # a cohort of either name is trained on
FLAGS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}
READERS = ("intra", "inter")  # second delineations: by the same reader again, by another one


@dataclass(frozen=True)
class Extra:
    """A column that one study reads.

    ``kind``: ``flag`` (0/1, true/false, yes/no), ``number``, ``whole`` (a number without decimals), ``words`` (one of
    ``values``), ``level`` and ``levels`` (joined by commas), ``text``, ``file``. ``values`` is the range of a number.
    """

    name: str
    kind: str
    meaning: str
    values: tuple = ()
    required: bool = False
    personal: bool = False  # may hold anything: never written to results


@dataclass(frozen=True)
class Study:
    """What one paper's manifest holds.

    ``unit`` is what a row stands for, ``picture`` what ``image`` shows (``radiograph``, ``slice``, ``volume``),
    ``absent`` the columns of ``COLUMNS`` that may be left out, ``blank`` those whose cells may be empty.
    """

    stem: str
    unit: str
    classes: tuple[str, ...]
    picture: str
    image: str
    label: str
    mask: str = "not read"
    box: str = "not read"
    cohorts: str = "training, or development to have it split; any other name is a test set"
    absent: tuple[str, ...] = ("mask", "box")
    blank: tuple[str, ...] = ("age", "sex", "level", "mask", "box")
    extras: tuple[Extra, ...] = ()
    multilabel: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that must be there, in order."""
        return (
            *(name for name in COLUMNS if name not in self.absent),
            *(extra.name for extra in self.extras if extra.required),
        )

    def words(self, name: str) -> str:
        """What a column of ``COLUMNS`` holds in this study, in one sentence."""
        blank = "; may be blank" if name in self.blank else ""
        return {
            "sample_id": f"a name for the {self.unit}, each once",
            "patient_id": "who it is of; replaced by a salted hash before anything is written",
            "site": "the hospital",
            "cohort": self.cohorts,
            "label": self.label,
            "age": f"years, {AGE_RANGE[0]} to {AGE_RANGE[1]}" + blank,
            "sex": " or ".join(SEXES) + blank,
            "level": "T1 to T12, L1 to L5" + blank,
            "image": self.image,
            "mask": self.mask,
            "box": self.box,
        }[name]


RADIOGRAPH_FILE = "a DICOM (CR, DX), PNG or TIFF file (8 or 16 bit), relative to the folder"
BOX_FILE = "xmin,ymin,xmax,ymax in pixels (in quotes), a LabelImg XML or a COCO json; blank: the whole image"
T_SCORE = Extra("t_score", "number", "bone density, lowest T-score", (-10, 10))
SPACING = Extra(
    "mm_per_pixel", "number", "pixel size at the spine, for images that do not tell it (PNG, TIFF)", (0.01, 10)
)
SECOND_MASKS = tuple(
    Extra(
        f"mask_{reader}",
        "file",
        f"the same body delineated again by {who}; rows without are left out of the ICC",
    )
    for reader, who in zip(READERS, ("the same reader", "another reader"), strict=True)
)

STUDIES = {
    study.stem: study
    for study in (
        Study(
            "01_xray_fresh_vcf",
            "film",
            ("fresh", "non-fresh"),
            "radiograph",
            f"the whole lateral radiograph: {RADIOGRAPH_FILE}",
            "fresh (a fracture with marrow oedema on MRI anywhere on the film) or non-fresh",
            extras=(
                Extra("has_old_vcf", "flag", "an old fracture on the film; for the subgroups of old fractures"),
                Extra("fresh_level", "level", "level of the fresh fracture"),
                Extra("fresh_region", "words", "of the fresh fracture", ("thoracic", "lumbar")),
                Extra("old_levels", "levels", "levels of old fractures, joined by commas (in quotes)"),
                Extra("cement_levels", "levels", "levels that hold cement, likewise"),
                Extra("malignant", "flag", "a fresh fracture that is malignant"),
                Extra("patient_number", "whole", "identification number; the paper splits by it", (0, math.inf)),
                Extra("device", "text", "the radiography system", personal=True),
                T_SCORE,
            ),
        ),
        Study(
            "02_xray_acute_chronic_pathological",
            "vertebra",
            ("acute", "chronic", "pathologic"),
            "radiograph",
            f"a radiograph, or a crop of the vertebra alone: {RADIOGRAPH_FILE}",
            "acute, chronic or pathologic",
            box=BOX_FILE + ". Objects of an XML with several are named <Class>-L<n>",
        ),
        Study(
            "03_ct_vertebra_diseases",
            "slice",
            (*DISEASES, "normal"),
            "slice",
            "a sagittal CT slice: a DICOM CT file, or a two-dimensional NIfTI or NRRD of HU, relative to the folder",
            "diseases on the slice joined by +, or normal; may be absent, the box files tell it",
            box="a LabelImg XML or COCO json with every vertebra of the slice, named <disease>[+<disease>]-<level> or "
            "normal-<level>",
            absent=("label", "level", "mask"),
            blank=("age", "sex", "level", "mask", "label"),
            multilabel=True,
            extras=(
                *(
                    Extra(name, "flag", f"{name} on any vertebra of the slice; else from the box file")
                    for name in (*DISEASES, "normal")
                ),
                Extra("n_vertebrae", "whole", "vertebrae on the slice; else from the box file", (0, 25)),
                Extra("offset_mm", "number", "of the slice from the midline", (-200, 200)),
                Extra("detector", "flag", "the slice trains or tests the detector; blank: yes"),
                T_SCORE,
            ),
        ),
        Study(
            "04_xray_ovf_astlof",
            "vertebra",
            ("class_0", "class_1", "class_2"),
            "radiograph",
            f"the radiograph: {RADIOGRAPH_FILE}",
            "class_0, class_1 or class_2 of the ASTLOF score",
            mask="the vertebral body drawn on the image's own grid: PNG, TIFF, NIfTI or NRRD; not 0 is body",
            box="where the 64 mm window lies: xmin,ymin,xmax,ymax; blank: around the body",
            absent=("box",),
            blank=("age", "sex", "level", "box"),
            extras=(
                SPACING,
                *SECOND_MASKS,
                T_SCORE,
                Extra("acuity", "words", "of the fracture on MRI", ("acute", "chronic")),
                *(
                    Extra(f"astlof_{part}", "whole", f"points for {what}", (0, 2))
                    for part, what in (
                        ("morphology", "the shape of the fracture"),
                        ("mri", "the MRI"),
                        ("t", "the T-score"),
                        ("pain", "the pain"),
                    )
                ),
                Extra("astlof_score", "whole", "sum of the points", (1, 8)),
                Extra("treatment", "words", "what was done", ("conservative", "PVA", "open surgery")),
            ),
        ),
        Study(
            "05_ct_acute_chronic",
            "fracture",
            ("acute", "chronic"),
            "volume",
            "the CT: a DICOM series folder, NIfTI or NRRD, relative to the folder",
            "acute or chronic",
            mask="the fractured body on the CT's own grid (ITK-SNAP): NIfTI or NRRD; not 0 is body, see mask_label",
            absent=("box",),
            blank=("level", "box"),
            extras=(
                Extra("mask_label", "whole", "value of this body in a mask that holds several", (1, 65535)),
                *SECOND_MASKS,
                Extra("region", "words", "of the fracture; else from the level", ("thoracic", "lumbar")),
                T_SCORE,
            ),
        ),
    )
}
XRAY_FRESH, XRAY_ACUTE_CHRONIC, CT_DISEASES, XRAY_ASTLOF, CT_ACUTE_CHRONIC = STUDIES


def study_of(stem: str) -> Study:
    """The study behind a notebook's stem.

    Raises
    ------
    ValueError
        If the notebook reads no cohort of one's own.
    """
    if stem not in STUDIES:
        raise ValueError(f"{stem} reads no cohort of one's own; these do: {', '.join(STUDIES)}")
    return STUDIES[stem]


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


def schema(study: Study, present: Iterable[str]) -> pa.DataFrameSchema:
    """What each column that is there must hold as text; ``error`` is the requirement, ``description`` the next step."""
    checks = {name: check for name, check in _base_checks(study).items() if name in present}
    checks |= {extra.name: _extra_check(extra) for extra in study.extras if extra.name in present}
    return pa.DataFrameSchema({name: pa.Column(str, check) for name, check in checks.items()})


def _base_checks(study):
    def filled(next_step):
        return pa.Check(lambda cells: cells != "", error="a value", description=next_step)

    def one_of(values, next_step, *, blank):
        required = f"one of {', '.join(values)}" + (", or blank" if blank else "")
        return pa.Check.isin([*values, ""] if blank else list(values), error=required, description=next_step)

    unique = pa.Check(
        lambda cells: ~cells.duplicated() | (cells == ""),
        error="unique",
        description=f"give every {study.unit} a name of its own",
    )
    or_blank = {name: name in study.blank for name in COLUMNS}
    low, high = AGE_RANGE
    years = pa.Check(
        lambda cells: ((cells == "") & or_blank["age"]) | pd.to_numeric(cells, errors="coerce").between(low, high),
        error=f"years from {low} to {high}" + (", or blank" if or_blank["age"] else ""),
        description="write the age as a number of years" + (", or leave it blank" if or_blank["age"] else ""),
    )
    checks = {
        "sample_id": [filled(f"name the {study.unit}"), unique],
        "patient_id": filled("give each patient one name; it is not written to results"),
        "site": filled("name the hospital"),
        "cohort": filled("write development, training, testing or the name of an external cohort"),
        "label": one_of(study.classes, "correct the label, or leave the row out", blank=or_blank["label"]),
        "age": years,
        "sex": one_of(
            SEXES, "write F or M" + (", or leave it blank" if or_blank["sex"] else ""), blank=or_blank["sex"]
        ),
        "level": pa.Check.isin(
            [*LEVELS, ""] if or_blank["level"] else list(LEVELS),
            error="T1 to T12, L1 to L5" + (", or blank" if or_blank["level"] else ""),
            description="write the vertebra's level" + (", or leave it blank" if or_blank["level"] else ""),
        ),
        "image": filled("name the image file, relative to the folder"),
    }
    if study.multilabel:
        diseases = set(study.classes) - {"normal"}
        checks["label"] = pa.Check(
            lambda cells: cells.map(lambda text: text in ("", "normal") or set(text.split("+")) <= diseases),
            error=f"{', '.join(sorted(diseases, key=study.classes.index))} joined by +, normal, or blank",
            description="correct the label, or leave it blank to take it from the box file",
        )
    for name, what in (("mask", "delineate the body"), ("box", "mark the vertebrae of the slice")):
        if name not in study.blank:
            checks[name] = filled(f"{what} and name the file")
    return checks


def _extra_check(extra):
    def numbers(cells):
        return pd.to_numeric(cells, errors="coerce")

    optional = "" if extra.required else ", or blank"
    step = "correct the cell" + (", or leave it blank" if optional else "")
    if extra.kind == "flag":
        return pa.Check(lambda cells: cells.str.lower().isin([*FLAGS, ""]), error=f"0 or 1{optional}", description=step)
    if extra.kind in ("number", "whole"):
        low, high = extra.values
        span = f"from {low} to {high}" if math.isfinite(high) else f"{low} or more"
        kind = "a whole number" if extra.kind == "whole" else "a number"

        def lies_within(cells):
            values = numbers(cells)
            whole = (values % 1 == 0) if extra.kind == "whole" else True
            return (cells == "") | (values.between(low, min(high, 1e9)) & whole)

        return pa.Check(lies_within, error=f"{kind} {span}{optional}", description=step)
    if extra.kind == "words":
        return pa.Check.isin([*extra.values, ""], error=f"one of {', '.join(extra.values)}{optional}", description=step)
    if extra.kind in ("level", "levels"):
        return pa.Check(
            lambda cells: cells.map(lambda text: text == "" or set(text.split(",")) <= set(LEVELS)),
            error=("levels T1 to L5, joined by commas" if extra.kind == "levels" else "T1 to T12, L1 to L5") + optional,
            description=step,
        )
    return []


def typed(extra: Extra, cells: pd.Series) -> pd.Series:
    """Text cells of an extra column as what they mean; blank is NA in a flag, NaN in a number, "" in words."""
    if extra.kind == "flag":
        values = cells.str.lower().map(FLAGS)
        return values.astype("boolean") if values.isna().any() else values.astype(bool)
    if extra.kind in ("number", "whole"):
        values = pd.to_numeric(cells, errors="coerce").astype("float64")
        if extra.kind == "number":
            return values
        # A fraction is a fault that is told already.
        return values.round().astype("int64") if values.notna().all() else values
    return cells


def describe(stem: str) -> str:
    """The manifest of a study as text: every column, what it holds, whether it may be absent or blank."""
    study = study_of(stem)
    lines = [
        f"{stem}: {MANIFEST}, UTF-8, commas, one row per {study.unit}; paths are relative to the folder",
        "",
        "Columns that must be there",
        *(_line(name, study.words(name)) for name in COLUMNS if name not in study.absent),
        *(_line(extra.name, _meaning(extra)) for extra in study.extras if extra.required),
        "",
        "Columns that may be there",
        *(_line(name, study.words(name)) for name in COLUMNS if name in study.absent and name != "mask"),
        *(_line("mask", study.mask) for _ in (1,) if "mask" in study.absent and study.mask != "not read"),
        *(_line(extra.name, _meaning(extra)) for extra in study.extras if not extra.required),
        "",
        f"Classes: {', '.join(study.classes)}" + (" (not exclusive)" if study.multilabel else ""),
    ]
    return "\n".join(line for line in lines if not line.endswith("not read"))


def _line(name, words):
    return textwrap.fill(f"  {name:<18}{words}", width=100, subsequent_indent=" " * 20)


def _meaning(extra):
    if extra.kind == "flag":
        what = "0 or 1"
    elif extra.kind in ("number", "whole"):
        low, high = extra.values
        what = f"{'whole ' if extra.kind == 'whole' else ''}number, " + (
            f"{low} to {high}" if math.isfinite(high) else f"{low} or more"
        )
    elif extra.kind == "words":
        what = " or ".join(extra.values)
    else:
        what = {"level": "a level", "levels": "levels", "text": "text", "file": "a file"}[extra.kind]
    return f"{what}: {extra.meaning}" + ("" if extra.required else "; may be blank")
