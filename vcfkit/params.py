"""Parameters of a run, and the numbers the papers print.

A run is named by a notebook's stem and a profile: ``params/<profile>/<stem>.yaml`` holds every parameter of
``notebooks/<stem>.ipynb``. ``reduced`` equals the notebook's own parameters cell, ``paper`` is the paper's scale.
``params/published/<stem>.yaml`` holds what the paper prints, each number with where it stands; no published number
is typed anywhere else.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

if TYPE_CHECKING:
    import pandas as pd

# A test, or a second checkout, may point the package at another project folder.
ROOT = Path(os.environ.get("VCFKIT_ROOT") or Path(__file__).resolve().parents[1])
PROFILES = ("reduced", "paper")

Fraction = Annotated[float, Field(gt=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]


class ParameterError(ValueError):
    """A parameter, profile or stem that cannot be used; the message says which, why, and what would do."""


class Parameters(BaseModel):
    """What every notebook takes. Field names are the notebook's variable names.

    ``classes`` is no parameter: it says what the labels of a cohort may be; none where a notebook reads no own cohort.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    classes: ClassVar[tuple[str, ...]] = ()

    profile: Literal["reduced", "paper"]
    data_dir: str | None = None
    results_dir: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    n_jobs: PositiveInt = 1

    def without_paths(self) -> dict[str, Any]:
        """The values as they may be written: of a folder or file its name only.

        A path tells a hospital's user and machine names.
        """
        values = self.model_dump()
        for name in {"data_dir", "results_dir", "cache_dir"} & set(values):
            values[name] = Path(values[name]).name if values[name] else values[name]
        kind, colon, path = str(values.get("weights", "")).partition(":")
        if colon:  # radimagenet:<path>
            values["weights"] = f"{kind}:{Path(path).name}"
        return values


class AcuteChronicPathological(Parameters):
    """Paper 02 (Xu 2023). Comments in the profiles say where each value stands in the paper."""

    classes: ClassVar[tuple[str, ...]] = ("acute", "chronic", "pathologic")

    split_unit: Literal["vertebra", "patient"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    horizontal_flip: Probability
    vertical_flip: Probability
    rotation_degrees: Annotated[float, Field(ge=0, le=180)]
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    weights: Annotated[str, Field(pattern=r"^(auto|imagenet|random)$")]
    image_size: Annotated[int, Field(ge=32)]
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    precision: Literal["64-true", "32-true", "bf16-mixed"]
    n_bootstrap: Annotated[int, Field(ge=100)]
    n_simulations: Annotated[int, Field(ge=20)]
    n_split_seeds: Annotated[int, Field(ge=2)]
    development_fraction: Fraction
    external_fraction: Fraction
    prospective_fraction: Fraction
    effect: Annotated[float, Field(ge=0, le=2)]
    nuisance: Annotated[float, Field(ge=0, le=2)]


class FreshFractures(Parameters):
    """Paper 01 (Zhang H 2024). Comments in the profiles say where each value stands in the paper."""

    classes: ClassVar[tuple[str, ...]] = ("non-fresh", "fresh")

    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=2)]
    horizontal_flip: Probability
    n_bootstrap: Annotated[int, Field(ge=100)]
    weights: Literal["auto", "imagenet", "random", "task"]
    image_size: Annotated[int, Field(ge=32)]
    epochs: PositiveInt
    precision: Literal["64-true", "32-true", "bf16-mixed"]
    training_fraction: Fraction
    validation_fraction: Fraction
    external_fraction: Fraction
    study_learning_rates: list[Annotated[float, Field(gt=0)]]
    study_batch_sizes: list[Annotated[int, Field(ge=2)]]
    pretraining_films: Annotated[int, Field(ge=0)]
    models_at_once: PositiveInt
    effect: Annotated[float, Field(ge=0, le=2)]
    nuisance: Annotated[float, Field(ge=0, le=2)]
    cache_dir: str | None = None


class CtVertebraDiseases(Parameters):
    """Paper 03 (Wang 2024). Comments in the profiles say where each value stands in the paper."""

    classes: ClassVar[tuple[str, ...]] = ("OVCF", "OF", "SN", "KD", "PS", "normal")

    detection_threshold: Annotated[float, Field(gt=0.05, lt=1)]
    iom_threshold: Annotated[float, Field(ge=0, lt=1)]
    window_width: Annotated[float, Field(gt=0)]
    window_level: float
    detector_learning_rate: Annotated[float, Field(gt=0)]
    patch_margin: Annotated[float, Field(ge=1)]
    patches_per_box: PositiveInt
    patch_scaling: Annotated[float, Field(ge=0, lt=1)]
    patch_translation: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    decision_threshold: Probability
    weights: Annotated[str, Field(pattern=r"^(auto|imagenet|random)$")]
    image_size: Annotated[int, Field(ge=64)]
    detector_size: Annotated[int, Field(ge=64)]
    detector_stride: Literal[8, 16]
    detector_steps: PositiveInt
    detector_batch_size: PositiveInt
    patch_size: Annotated[int, Field(ge=32)]
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    precision: Literal["64-true", "32-true", "bf16-mixed"]
    n_bootstrap: Annotated[int, Field(ge=100)]
    n_nodes: PositiveInt
    n_explained: PositiveInt
    training_fraction: Fraction
    testing_fraction: Fraction
    xuanwu_fraction: Fraction
    slices_per_patient: PositiveInt | None
    effect: Annotated[float, Field(ge=0, le=2)]
    nuisance: Annotated[float, Field(ge=0, le=2)]

    @model_validator(mode="after")
    def _detector_sees_no_more_than_there_is(self) -> CtVertebraDiseases:
        if self.detector_size > self.image_size:
            raise ValueError(f"detector_size: at most image_size ({self.image_size}) required")
        return self


class CtAcuteChronic(Parameters):
    """Paper 05 (Zhang 2023). Comments in the profiles say where each value stands in the paper."""

    classes: ClassVar[tuple[str, ...]] = ("acute", "chronic")

    split_unit: Literal["vertebra", "patient"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    window_width: Annotated[float, Field(gt=0)]
    window_level: float
    n_delineated_again: Annotated[int, Field(ge=2)]
    icc_least: Annotated[float, Field(gt=0, lt=1)]
    spearman_most: Fraction
    lasso_folds: Annotated[int, Field(ge=2)]
    correlation_most: Fraction
    image_size: Annotated[int, Field(ge=32)]
    deep_components: PositiveInt
    classifier_folds: Annotated[int, Field(ge=2)]
    bin_width: Annotated[float, Field(gt=0)]
    log_sigmas_mm: list[Annotated[float, Field(gt=0)]]
    wavelet: str | None
    filters: list[str]
    classifier: Literal["SVM", "KNN", "DecisionTree", "RandomForest", "ExtraTrees", "XGBoost", "LightGBM"]
    trees: PositiveInt
    backbone_learning_rate: Annotated[float, Field(gt=0)]
    task_learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=2)]
    weights: Annotated[str, Field(pattern=r"^(auto|imagenet|random)$")]
    epochs: PositiveInt
    precision: Literal["64-true", "32-true", "bf16-mixed"]
    n_bootstrap: Annotated[int, Field(ge=100)]
    n_repeats: PositiveInt
    n_subsamples: Annotated[int, Field(ge=2)]
    n_split_seeds: Annotated[int, Field(ge=2)]
    fraction: Fraction
    effect: Annotated[float, Field(ge=0, le=2)]
    nuisance: Annotated[float, Field(ge=0, le=2)]
    cache_dir: str | None = None


class OvfAstlof(Parameters):
    """Paper 04 (Zhang 2024). Comments in the profiles say where each value stands in the paper."""

    classes: ClassVar[tuple[str, ...]] = ("class_0", "class_1", "class_2")

    n_redelineated: Annotated[int, Field(ge=2)]
    icc_least: Annotated[float, Field(gt=0, lt=1)]
    spearman_most: Fraction
    folds: Annotated[int, Field(ge=2)]
    batch_size: Annotated[int, Field(ge=2)]
    classifier: Literal["SVM", "KNN", "RandomForest", "ExtraTrees", "XGBoost", "LightGBM", "LR", "MLP"]
    learning_rate: Annotated[float, Field(gt=0)]
    harmonise: Literal["own_rows", "as_is", "none"]
    bin_width: Annotated[float, Field(gt=0)]
    log_sigmas_mm: list[Annotated[float, Field(gt=0)]]
    wavelet: str | None
    filters: list[str]
    trees: PositiveInt
    weights: Annotated[str, Field(pattern=r"^(auto|stand-ins|radimagenet:.+)$")]
    window_size: Annotated[int, Field(ge=32)]
    image_size: Annotated[int, Field(ge=32)]
    epochs: PositiveInt
    precision: Literal["64-true", "32-true", "bf16-mixed"]
    pretraining_images: Annotated[int, Field(ge=16)]
    pretraining_epochs: PositiveInt
    pretraining_learning_rate: Annotated[float, Field(gt=0)]
    n_bootstrap: Annotated[int, Field(ge=100)]
    study_seeds: Annotated[int, Field(ge=3)]
    study_epochs: Annotated[int, Field(ge=0)]
    development_fraction: Fraction
    external_fraction: Fraction
    prospective_fraction: Fraction
    effect: Annotated[float, Field(ge=0, le=2)]
    nuisance: Annotated[float, Field(ge=0, le=2)]


SCHEMAS: dict[str, type[Parameters]] = {
    "04_xray_ovf_astlof": OvfAstlof,
    "01_xray_fresh_vcf": FreshFractures,
    "05_ct_acute_chronic": CtAcuteChronic,
    "02_xray_acute_chronic_pathological": AcuteChronicPathological,
    "03_ct_vertebra_diseases": CtVertebraDiseases,
}


def stems() -> list[str]:
    """Stems of the notebooks that exist, in order."""
    return sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if not path.name.startswith("."))


def check_stem(stem: str) -> str:
    """Return ``stem`` if its notebook exists; otherwise raise `ParameterError` naming the nearest one."""
    known = stems()
    if stem not in known:
        near = [name for name in known if stem and stem in name] or difflib.get_close_matches(stem, known, 1, 0.3)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ParameterError(f"no notebook {stem!r} (there are: {', '.join(known) or 'none'}).{hint}")
    return stem


def notebook_defaults(stem: str) -> dict[str, Any]:
    """The literals of the notebook's ``parameters`` cell, without running it.

    Raises
    ------
    ParameterError
        If the notebook has no such cell, or the cell holds anything but ``name = literal`` lines: papermill replaces
        values after the cell, so a value computed from another would keep its old one.
    """
    path = ROOT / "notebooks" / f"{check_stem(stem)}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise ParameterError(f"{path.name}: exactly one cell tagged 'parameters' required, found {len(tagged)}")
    values = {}
    for node in ast.parse("".join(tagged[0]["source"])).body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            raise ParameterError(f"{path.name}: parameters cell, line {node.lineno}: 'name = literal' required")
        try:
            values[node.targets[0].id] = ast.literal_eval(node.value)
        except ValueError as error:
            raise ParameterError(f"{path.name}: parameters cell, line {node.lineno}: not a literal") from error
    return values


def schema(stem: str) -> type[Parameters]:
    """The typed parameters of a notebook; one without its own class is typed after its parameters cell."""
    if stem in SCHEMAS:
        return SCHEMAS[stem]
    common = Parameters.model_fields
    own = {
        name: (Any if value is None else type(value), ...)
        for name, value in notebook_defaults(stem).items()
        if name not in common
    }
    return create_model(f"Parameters_{stem}", __base__=Parameters, **own)


def load(stem: str, profile: str, **overrides: Any) -> Parameters:
    """Read and check ``params/<profile>/<stem>.yaml``; ``overrides`` replace single values.

    ``load(...).model_dump()`` is exactly what the notebook takes.

    Raises
    ------
    ParameterError
        Unknown stem, profile or parameter (with the nearest known name), a missing one, or a value out of range;
        all faults of a file at once.
    """
    check_stem(stem)
    if profile not in PROFILES:
        raise ParameterError(f"profile {profile!r}: one of {', '.join(PROFILES)} required")
    path = ROOT / "params" / profile / f"{stem}.yaml"
    if not path.is_file():
        raise ParameterError(f"{path.relative_to(ROOT)} is missing: profile {profile!r} of {stem} has no parameters")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParameterError(f"{path.relative_to(ROOT)} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{path.relative_to(ROOT)}: a mapping of parameter names to values required")
    return check(stem, values | overrides, where=str(path.relative_to(ROOT)))


def check(stem: str, values: dict[str, Any], *, where: str = "parameters") -> Parameters:
    """Validate ``values`` as the parameters of ``stem``; see `load` for the errors."""
    model = schema(stem)
    known = list(model.model_fields)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"]) or "(all)"
            if fault["type"] == "extra_forbidden":
                near = difflib.get_close_matches(name, known, 1, 0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                lines.append(f"{name}: unknown parameter; {hint}")
            elif fault["type"] == "missing":
                lines.append(f"{name}: required, not given")
            else:
                lines.append(f"{name}: {fault['msg']}; found {fault['input']!r}")
        raise ParameterError(f"{stem}, {where}:\n  " + "\n  ".join(lines)) from error


class PublishedItem(BaseModel):
    """One number a paper prints. Two values for one thing are two items.

    ``where`` is the place as the paper names it. ``low`` and ``high`` are a printed interval or range, ``unit`` says
    what is counted or measured, ``n`` the printed denominator.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9_.\-]+$")]
    quantity: str
    cohort: str | None = None
    model: str | None = None
    class_: Annotated[str | None, Field(alias="class")] = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str | None = None
    n: int | None = None
    where: str
    note: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PublishedItem:
        if self.value is None and (self.low is None or self.high is None):
            raise ValueError("a value, or low and high, required")
        return self


def published(stem: str) -> pd.DataFrame:
    """What the paper behind ``stem`` prints: one row per item of ``params/published/<stem>.yaml``.

    Returns
    -------
    DataFrame
        Columns id, quantity, cohort, model, class, value, low, high, unit, n, where, note; printed order.

    Raises
    ------
    ParameterError
        A malformed item (its position and fault), or an id used twice.
    """
    import pandas as pd

    path = ROOT / "params" / "published" / f"{stem}.yaml"
    if not path.is_file():
        raise ParameterError(f"{path.relative_to(ROOT)} is missing: the published numbers of {stem} are not listed")
    rows, seen = [], set()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads some 700 items a dozen times faster
    for position, item in enumerate(yaml.load(path.read_text(encoding="utf-8"), loader)):
        try:
            row = PublishedItem.model_validate(item).model_dump(by_alias=True)
        except ValidationError as error:
            raise ParameterError(f"{path.name}, item {position} ({item.get('id')}): {error}") from error
        if row["id"] in seen:
            raise ParameterError(f"{path.name}: id {row['id']!r} stands twice")
        seen.add(row["id"])
        rows.append(row)
    return pd.DataFrame(rows)


def published_text(stem: str) -> dict[str, dict[str, str]]:
    """The items of `published` as they are written, by id: ``"13.50"`` keeps its last digit, which a float loses."""
    path = ROOT / "params" / "published" / f"{stem}.yaml"
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    return {item["id"]: item for item in yaml.load(path.read_text(encoding="utf-8"), loader)}


class Headline(BaseModel):
    """What a paper is quoted for: ``items`` are ids of its published list, ``label`` the fields that name a row."""

    model_config = ConfigDict(extra="forbid")

    study: str
    question: str
    measure: str
    label: str
    items: Annotated[list[str], Field(min_length=1)]


def headlines() -> dict[str, Headline]:
    """``params/headlines.yaml`` by stem; a malformed entry raises `ParameterError`."""
    path = ROOT / "params" / "headlines.yaml"
    try:
        return {
            stem: Headline.model_validate(entry)
            for stem, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items()
        }
    except ValidationError as error:
        raise ParameterError(f"{path.name}: {error}") from error


ANSWERS = ("yes", "no", "unclear", "n/a")


class ChecklistItem(BaseModel):
    """One item of a reporting checklist; the papers' answers stand beside it, each ``answer | place``."""

    model_config = ConfigDict(extra="allow")

    id: str
    section: str
    topic: str

    def answers(self) -> dict[str, tuple[str, str]]:
        """Paper → (answer, place in the paper or what is missing)."""
        found = {}
        for paper, text in (self.model_extra or {}).items():
            answer, bar, where = text.partition(" | ")
            if answer not in ANSWERS or not bar or not where or (answer == "yes" and where == "-"):
                raise ValueError(f"item {self.id}, paper {paper}: 'answer | place' required, found {text!r}")
            found[paper] = (answer, where)
        return found


def checklist(name: str) -> pd.DataFrame:
    """A reporting checklist as filled from the papers' texts: ``params/checklists/<name>.yaml``.

    Returns
    -------
    DataFrame
        Columns item, section, topic, paper (``"01"``, …), answer (of `ANSWERS`), where; one row per item and paper.

    Raises
    ------
    ParameterError
        A malformed item, or an id used twice.
    """
    import pandas as pd

    path = ROOT / "params" / "checklists" / f"{name}.yaml"
    rows, seen = [], set()
    # Everything is text: "yes" and "no" are words here.
    for entry in yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)["items"]:
        try:
            item = ChecklistItem.model_validate(entry)
            answers = item.answers()
        except ValueError as error:
            raise ParameterError(f"{path.name}: {error}") from error
        if item.id in seen:
            raise ParameterError(f"{path.name}: item {item.id!r} stands twice")
        seen.add(item.id)
        rows += [(item.id, item.section, item.topic, paper, *answer) for paper, answer in answers.items()]
    return pd.DataFrame(rows, columns=["item", "section", "topic", "paper", "answer", "where"])
