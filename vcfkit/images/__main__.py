"""``python -m vcfkit.images convert vcfnet IN OUT``."""

from pathlib import Path
from typing import Annotated

import typer

from vcfkit.cohort import MANIFEST, CohortError

from .convert import convert_vcfnet

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
    try:
        manifest = convert_vcfnet(in_folder, out_folder, as_cohort=cohort)
    except CohortError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(manifest)} vertebrae, manifest in {out_folder / MANIFEST}")


@convert.callback()
def converters() -> None:
    """Make a cohort folder, with a manifest, of a public data set."""


if __name__ == "__main__":
    app()
