"""``python -m vcfkit.images convert vcfnet|verse|vindr IN OUT``."""

from pathlib import Path
from typing import Annotated

import typer

from vcfkit.cohort import MANIFEST, CohortError

from .convert import convert_vcfnet
from .verse import convert_verse
from .vindr import convert_vindr

app = typer.Typer(help="Images of the compendium.", no_args_is_help=True, add_completion=False)
convert = typer.Typer(help="Make a cohort folder, with a manifest, of a public data set.", no_args_is_help=True)
app.add_typer(convert, name="convert")


@app.callback()
def main() -> None:
    """Images of the compendium."""


@convert.command()
def vcfnet(
    in_folder: Path,
    out_folder: Path,
    cohort: Annotated[
        str, typer.Option(help="cohort of every row; development has the crops trained on")
    ] = "VCFNet sample",
) -> None:
    """Crops named as the code of paper 02 names them: <index>-<Class>-<level code>-<age>-<sex>.png."""
    _convert(convert_vcfnet, in_folder, out_folder, as_cohort=cohort)


@convert.command()
def verse(
    in_folder: Path,
    out_folder: Path,
    study: Annotated[str, typer.Option(help="05: a row per vertebra; 03: sagittal slices with boxes")] = "05",
    labels: Annotated[Path | None, typer.Option(help="CSV of subject, level, label, age, sex")] = None,
    cohort: Annotated[str, typer.Option(help="cohort of every row")] = "VerSe",
) -> None:
    """VerSe: CT with vertebra masks and centroids, NIfTI and json under the names of the data set."""
    _one_of("--study", study, ("03", "05"))
    _convert(convert_verse, in_folder, out_folder, study=study, labels=labels, as_cohort=cohort)


@convert.command()
def vindr(
    in_folder: Path,
    out_folder: Path,
    study: Annotated[str, typer.Option(help="01: whole films; 02: boxes of vertebral collapse")] = "01",
    labels: Annotated[Path | None, typer.Option(help="CSV of sample_id, label, level")] = None,
    cohort: Annotated[str, typer.Option(help="cohorts are named <this> train and <this> test")] = "VinDr",
) -> None:
    """VinDr-SpineXR: DICOM radiographs with a CSV of boxes, in the layout of PhysioNet."""
    _one_of("--study", study, ("01", "02"))
    _convert(convert_vindr, in_folder, out_folder, study=study, labels=labels, as_cohort=cohort)


def _one_of(option, value, known):
    if value not in known:
        typer.echo(f"{option} {value}: one of {', '.join(known)} required", err=True)
        raise typer.Exit(2)


def _convert(function, in_folder, out_folder, **options):
    try:
        manifest = function(in_folder, out_folder, **options)
    except CohortError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error
    blank = int((manifest["label"] == "").sum()) if options.get("labels", "") is None else 0
    typer.echo(f"{len(manifest)} rows, manifest in {out_folder / MANIFEST}")
    if blank:
        typer.echo(
            f"{blank} rows wait for a label: fill in {out_folder / 'labels.csv'}, then convert again with --labels"
        )


@convert.callback()
def converters() -> None:
    """Make a cohort folder, with a manifest, of a public data set."""


if __name__ == "__main__":
    app()
