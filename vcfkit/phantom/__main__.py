"""Virtual patients, to be looked at or to be handed on as files: ``python -m vcfkit.phantom montage | export``."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help=__doc__, add_completion=False)


def radiographs(axes_of, *, size: int = 336):
    """One row per site of papers 01 and 04: unbroken, fresh, old, fresh beside old with cement, pathologic.

    The virtual patients here belong to no cohort; their levels are chosen so that every region is seen.
    """
    from . import film
    from .cohorts import VirtualPatient

    shown = ({}, {"L1": "acute"}, {"T12": "chronic"}, {"T11": "chronic", "L2": "acute"}, {"L3": "pathologic"})
    sites = ("Hospital 1", "Hospital 2", "Hospital 3", "YHDH", "BMUH", "Center I", "Center II", "Center III")
    axes = axes_of(len(sites), len(shown))
    for i, site in enumerate(sites):
        cement = ({}, {}, {}, {"T11": ("OF", "PS")}, {})
        scenes = [
            film.build(
                VirtualPatient(
                    "montage", f"{site}-{j}", site, 58.0 + 5 * j, "FFMFM"[j], shown[j], 0, 1.0, diseases=cement[j]
                )
            )
            for j in range(len(shown))
        ]
        for ax, picture, fractures in zip(axes[i], film.films_of(scenes, size=size), shown, strict=True):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
            ax.set_title(", ".join(f"{level} {label}" for level, label in fractures.items()) or "unbroken", fontsize=7)
        axes[i][0].set_ylabel(site, fontsize=8)


def tomograms(axes_of):
    """Slices of both sites of paper 03: a row per disease, then whole ones; boxes of paper 05 with their masks."""
    from . import ct, volume
    from .cohorts import VirtualPatient

    shown = (
        ("OVCF", {"L1": "acute"}, ()),
        ("OF", {"L1": "chronic"}, ()),
        ("SN", {}, ("SN",)),
        ("KD", {"L1": "acute"}, ("KD",)),
        ("PS", {"L1": "chronic"}, ("PS",)),
        ("normal", {}, ()),
    )
    columns, half = 6, 36.0  # mm around L1
    axes = axes_of(len(shown) + 4, columns)

    def patient(name, j, site, fractures, codes):
        own = {"L1": codes} if codes else {}
        patient_id, age = f"{name}-{j}", 58.0 + 3 * j
        return VirtualPatient("montage", patient_id, site, age, "FFMF"[j % 4], fractures, 0, 1.0, diseases=own)

    def show(ax, picture, title):
        ax.imshow(picture, cmap="gray", vmin=-250, vmax=900)
        ax.set_title(title, fontsize=8)

    for i, (name, fractures, codes) in enumerate(shown):
        for j in range(columns):
            person = patient(name, j, ("Luhe", "Xuanwu")[j % 2], fractures, codes)
            disease = volume.scene_of(person).diseases[12]
            x = {"SN": disease.node.x, "KD": disease.cleft.x, "PS": disease.cement.ellipsoids[0, 2]}.get(name, 0.0)
            picture, truth = ct.ct_slices([(person, f"slice-{x:.1f}", 1.0)], size=1024, truth=True)
            box = truth.frame.set_index("level").loc["L1"]
            w, row, column = int(half / truth.pixel_mm[0]), (box.ymin + box.ymax) // 2, (box.xmin + box.xmax) // 2
            part = picture[0, max(row - w, 0) : row + w, max(column - w, 0) : column + w]
            show(axes[i][j], part, f"{name} {person.site} {x:.0f} mm")
            if j < 2:  # the whole slice of either site, at 256 pixels
                whole = ct.ct_slices([(person, f"slice-{x:.1f}", 1.0)])[0]
                show(axes[len(shown) + j][i], whole, f"{name} {person.site}")
    levels = ("T8", "T10", "T12", "L1", "L3", "L5")
    for j, level in enumerate(levels):
        label = ("acute", "chronic")[j % 2]
        person = patient("box", j, "Nanjing", {level: label}, ())
        made = ct.ct_boxes([(person, f"volume-{level}", 1.0)], readers=("intra",))
        hu, middle = made.hu[0], ct.largest_slice(made.masks["truth"][0])
        for k, cut in enumerate(((slice(None), slice(None), middle), (slice(None), 32, slice(None)))):
            ax = axes[len(shown) + 2 + k][j]
            show(ax, hu[cut].flip(0), f"{level} {label} {('sagittal', 'coronal')[k]}")
            for reader, colour in (("truth", "gold"), ("intra", "tab:cyan")):
                ax.contour(made.masks[reader][0][cut].flip(0), [0.5], colors=colour, linewidths=0.4)


def crops(axes_of, *, size: int = 128):
    """Reader's boxes of paper 02, a row per class of three sites; windows of paper 04 by morphology (M) and MRI."""
    import dataclasses

    from . import render, scene
    from .cohorts import VirtualPatient
    from .cohorts.xray_astlof import Astlof

    levels = ("T8", "T11", "T12", "L1", "L1", "L2", "L3", "L4")
    sites, classes = ("Site 1", "GZFPH", "WHTH"), ("acute", "chronic", "pathologic")
    # morphology, MRI, acuity: unlike in class, alike in age and T-score
    scores = ((0, 0, "chronic"), (1, 0, "chronic"), (1, 1, "acute"), (1, 2, "acute"), (2, 1, "acute"), (2, 2, "acute"))
    axes = axes_of(len(sites) * len(classes) + len(scores), len(levels))

    def show(ax, made, title):
        ax.imshow(render.render([made], size=size)[0][0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=8)

    for j, level in enumerate(levels):
        row = 0
        for site in sites:
            for label in classes:
                person = VirtualPatient(
                    "montage", f"{site}-{j}", site, 58.0 + 3 * j, "FFMF"[j % 4], {level: label}, 0, 1.0
                )
                show(axes[row][j], scene.build(person, level), f"{site} {level} {label}")
                row += 1
        bare = VirtualPatient("montage", f"score-{j}", "Center I", 66.0 + j, "FFMF"[j % 4], {}, 0, 1.0, t_score=-2.9)
        for morphology, mri, label in scores:
            score = {level: Astlof(morphology, mri, 1, 1)}
            person = dataclasses.replace(bare, fractures={level: label}, astlof=score)
            made = render.windowed(scene.build(person, level), 64.0)
            show(axes[row][j], made, f"{level}: M {morphology}, MRI {mri}")
            row += 1


MONTAGES = {"radiographs": radiographs, "ct": tomograms, "crops": crops}
DPI = {"radiographs": 125, "ct": 88, "crops": 76}  # with few greys, small enough to be kept beside the code
GREYS, CONTOURS = 40, ((255, 215, 0), (23, 190, 207))  # of the palette: pictures, and the two delineations


@app.command()
def montage(
    kind: Annotated[str, typer.Argument(help=f"one of: {', '.join(MONTAGES)}")] = "radiographs",
    folder: Annotated[Path, typer.Option(help="where montage_<kind>.png goes")] = Path("results/studies"),
):
    """Draw virtual patients of every site side by side."""
    if kind not in MONTAGES:
        raise typer.BadParameter(f"unknown montage {kind!r}; known: {', '.join(MONTAGES)}")
    from io import BytesIO

    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figures = []

    def axes_of(rows, columns):
        size = (2 * columns, 2.12 * rows)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="compressed")
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
        figures.append(figure)
        return axes

    MONTAGES[kind](axes_of)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    figures[0].savefig(drawn, dpi=DPI[kind])
    tones = [[round(255 * k / (GREYS - 1))] * 3 for k in range(GREYS)]
    tones += [[round(share * c) for c in colour] for colour in CONTOURS for share in (1, 0.85, 0.7, 0.55)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for tone in tones for value in tone])
    few = Image.open(drawn).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    few.save(folder / f"montage_{kind}.png", optimize=True)
    typer.echo(folder / f"montage_{kind}.png")


@app.command(name="export")
def export_cohort(
    stem: Annotated[str, typer.Argument(help="of a paper, as in notebooks/<stem>.ipynb")],
    folder: Annotated[Path, typer.Argument(help="of the cohort; must not exist")],
    fraction: Annotated[float, typer.Option(help="of every cohort; 1 is the scale of the paper")] = 1.0,
    seed: Annotated[int, typer.Option(help="other virtual patients under the same counts")] = 0,
    size: Annotated[int | None, typer.Option(help="pixels to a side; what the paper reads if not given")] = None,
    effect: Annotated[float, typer.Option(help="size of every difference between the classes; 1 as published")] = 1.0,
    nuisance: Annotated[float, typer.Option(help="size of confounders and noise")] = 1.0,
):
    """Write the virtual cohorts of a paper as real files with a manifest."""
    from . import export

    try:
        written = export.export(stem, folder, fraction=fraction, seed=seed, size=size, effect=effect, nuisance=nuisance)
    except (KeyError, ValueError, FileExistsError) as error:
        typer.echo(error.args[0] if isinstance(error, KeyError) else error, err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(written)} samples of {written['patient_id'].nunique()} virtual patients in {folder}")


if __name__ == "__main__":
    app()
