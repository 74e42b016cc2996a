"""``python -m vcfkit.cohort describe STEM`` says what a manifest holds, ``check STEM FOLDER`` whether one is ready."""

import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from vcfkit import cohort, images, params

app = typer.Typer(help="A hospital's own cohort.", no_args_is_help=True, add_completion=False)
Stem = Annotated[str, typer.Argument(help="the notebook's name, or its first characters: 01 to 05")]

# What a run needs besides the libraries, per row: bytes of a picture of that many pixels to a side, and what one core
# takes: milliseconds per row and epoch at 224 pixels, forward and backward, all networks; seconds once for features.
_COSTS = {
    "01": (lambda side: side**2, 1_900, 0.0),  # ResNet-101 and five networks
    "02": (lambda side: side**2, 108, 0.0),  # ResNet-18
    "03": (lambda side: 2 * side**2, 4_000, 0.0),  # Faster R-CNN and ResNet-50
    "04": (lambda side: 2 * side**2, 0, 1.0),
    "05": (lambda side: 3 * side**3, 0, 4.0),
}
_SIDES = {"03": 1024, "04": 128, "05": 64}  # pixels or voxels, where the profile does not say; 224 otherwise
_LIBRARIES = 1.5  # GiB
_FOLLOWED = 12  # lines of warnings that are shown


@app.callback()
def main() -> None:
    """A hospital's own cohort."""


@app.command()
def describe(stem: Stem) -> None:
    """What the manifest of a study holds, column by column."""
    typer.echo(cohort.describe(_stem(stem)))


@app.command()
def check(
    stem: Stem,
    folder: Path,
    profile: Annotated[str, typer.Option(help="size of the run that time and memory are estimated for")] = "paper",
) -> None:
    """Open all that a run would open, list every fault at once. Status: 0 ready, 1 faults, 2 no such study."""
    stem = _stem(stem)
    study, started = cohort.study_of(stem), time.monotonic()
    opened = images.inspect(folder, stem=stem)
    samples, seconds = opened.samples, time.monotonic() - started
    faults = [*opened.faults, *_faults_of_the_whole(samples, study)]
    if faults:
        typer.echo(cohort.CohortError(faults).told("nothing would be run"))
    for sample, text in opened.warnings[:_FOLLOWED]:
        typer.echo(f"warning: {sample}: {text}")
    if len(opened.warnings) > _FOLLOWED:
        typer.echo(f"warning: {len(opened.warnings) - _FOLLOWED} more of these")
    if len(samples):
        typer.echo("\n" + _summary(samples, study, opened.found))
        typer.echo("\n" + _estimate(samples, stem, profile, seconds))
    counts = {"row": len(samples), "fault": len(faults), "warning": len(opened.warnings)}
    typer.echo("\n" + ", ".join(f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items()) + ": ", nl=False)
    typer.echo("not ready" if faults else f"ready for make reproduce-all ONLY={stem} DATA={folder}")
    raise typer.Exit(1 if faults else 0)


def _stem(name: str) -> str:
    fits = [stem for stem in cohort.STUDIES if name and stem.startswith(name)]
    if len(fits) != 1:
        typer.echo(f"{name!r}: one of {', '.join(cohort.STUDIES)} required", err=True)
        raise typer.Exit(2)
    return fits[0]


def _faults_of_the_whole(samples: pd.DataFrame, study: cohort.Study) -> list[cohort.Fault]:
    """What no single row is to blame for: classes and cohorts that a study cannot do without."""
    if samples.empty:
        return []
    faults = []

    def fault(field, required, found, step):
        faults.append(cohort.Fault(cohort.MANIFEST, field, required, found, step))

    names = set(samples["cohort"].dropna())
    trained = names & set(cohort.TRAINING)
    if trained:
        rows = samples[samples["cohort"].isin(trained)]
        for name in study.classes:
            count = int((rows[name].fillna(0) > 0).sum()) if study.multilabel else int((rows["label"] == name).sum())
            if count < 2:
                step = "add rows of this class, from two patients or more"
                fault("label", f"at least two training rows of class {name}", str(count), step)
        if names <= {"training"}:
            fault("cohort", "a test cohort beside training", "training only", "name test rows testing or otherwise")
    else:
        from vcfkit.phantom import cohorts

        virtual = {one.name for one in cohorts.PAPERS[study.stem].cohorts(0, 1.0)}
        for name in sorted(names & {*virtual, "testing"}):
            required = "training rows, or cohorts named unlike the virtual ones they are tested beside"
            fault("cohort", required, name, f"rename {name}, or add training rows")
    return faults


def _summary(samples, study, found) -> str:
    """Counts per cohort and class, and what the pictures are like."""
    if study.multilabel:
        table = samples.groupby("cohort", sort=False).agg(
            patients=("patient_id", "nunique"), slices=("sample_id", "size"), **{c: (c, "sum") for c in study.classes}
        )
    else:
        table = cohort.flow(samples).rename(
            columns={"vertebrae": f"{study.unit}s" if study.unit != "vertebra" else "vertebrae"}
        )
    lines = [table.to_string()]
    opened = [one for one in found.values() if one.shape]
    if opened and study.picture != "volume":
        sizes = pd.Series([f"{one.shape[1]} x {one.shape[0]}" for one in opened]).value_counts()
        shown = ", ".join(f"{size} ({count})" for size, count in sizes.head(4).items())
        lines.append(f"\npictures: {shown}" + (f" and {len(sizes) - 4} other sizes" if len(sizes) > 4 else ""))
        steps = [one.spacing[0] for one in opened if one.spacing]
        if steps:
            lines.append(f"pixel size: {min(steps):.3f} to {max(steps):.3f} mm, not told by {len(opened) - len(steps)}")
    if not samples["cohort"].isin(cohort.TRAINING).any():
        lines.append("no training rows: networks are trained on virtual patients, these are further test sets")
    return "\n".join(lines)


def _estimate(samples, stem, profile, seconds) -> str:
    """Time and memory of a run, rough: one core, and a graphics card is ten to a hundred times faster."""
    number, settings = stem[:2], None
    if stem in params.stems():
        settings = params.load(stem, profile)
    side = getattr(settings, "image_size", None) or _SIDES.get(number, 224)
    epochs = getattr(settings, "epochs", None) or 25
    size, per_epoch, once = _COSTS[number]
    training = int(samples["cohort"].isin(cohort.TRAINING).sum())
    memory = _LIBRARIES + len(samples) * size(side) / 2**30
    minutes = (training * epochs * per_epoch / 1000 * (side / 224) ** 2 + len(samples) * once) / 60
    needs = [f"{memory:.1f} GiB of memory"]
    if minutes:
        needs.append("less than a minute" if minutes < 1 else f"{minutes:.0f} min")
    if not training:
        needs.append("plus the training on virtual patients")
    return (
        f"opening took {seconds:.0f} s. A rough estimate for PROFILE={profile} on one processor core, features and "
        f"training on these rows alone:\n{', '.join(needs)}"
    )


if __name__ == "__main__":
    app()
