"""One function per kind of figure.

Each takes ``ax=None`` (or makes its own figure where it needs several axes), draws numbers that were computed
elsewhere, and returns what it drew, so that a notebook can print it: a figure without its numbers is not tested.
Classes differ by colour *and* line style, so that a greyscale print still tells them apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito's colours, chosen to fall at different greys; one line style and marker each.
CYCLE = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", ":", "^"),
    ("#CC79A7", "-.", "D"),
    ("#56B4E9", (0, (5, 1)), "v"),
    ("#000000", (0, (1, 1)), "P"),
)
MOST_STEPS = 25  # of a decision plot: more names are not to be read
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}


@contextmanager
def style():
    """The look of every figure of the compendium, without touching matplotlib's global settings."""
    # Not plt.rc_context: the first figure loads a notebook's backend, whose own settings that would undo on leaving.
    before = {name: plt.rcParams[name] for name in STYLE}
    plt.rcParams.update(STYLE)
    try:
        yield
    finally:
        plt.rcParams.update(before)


def learning_curve(history: pd.DataFrame, *, monitor: str = "testing") -> tuple[Figure, pd.DataFrame]:
    """Loss and accuracy by epoch, from `vcfkit.training.fit`; ``monitor`` names the watched set."""
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
        for ax, quantity, label in ((axes[0], "loss", "Cross-entropy"), (axes[1], "accuracy", "Accuracy")):
            for (colour, line, marker), (column, name) in zip(
                CYCLE, ((f"training_{quantity}", "training"), (f"monitor_{quantity}", monitor)), strict=False
            ):
                if column in history:
                    ax.plot(history["epoch"], history[column], color=colour, ls=line, marker=marker, ms=3, label=name)
            ax.set(xlabel="Epoch", ylabel=label)
            ax.xaxis.get_major_locator().set_params(integer=True)
        axes[1].set_ylim(0, 1)
        axes[0].legend(frameon=False)
    return figure, history


def roc_one_vs_rest(
    y_true: Sequence[str],
    probabilities: np.ndarray,
    *,
    classes: Sequence[str],
    auc_text: dict[str, str],
    ax: Axes | None = None,
    title: str = "",
) -> pd.DataFrame:
    """One-vs-rest ROC curves, one per class (scikit-learn's `roc_curve`, every threshold kept).

    Parameters
    ----------
    auc_text : dict
        What the legend says of each class, for instance its AUC with interval.

    Returns
    -------
    DataFrame
        class, false_positive_rate, sensitivity of every corner drawn. A class without rows, or alone, has no curve.
    """
    from sklearn.metrics import roc_curve

    ax = ax or plt.gca()
    y_true = np.asarray(y_true)
    drawn = []
    for k, (name, (colour, line, _)) in enumerate(zip(classes, CYCLE, strict=False)):
        positive = y_true == name
        if positive.all() or not positive.any():
            ax.plot([], [], color=colour, ls=line, label=f"{name}: no curve (n = {positive.sum()})")
            continue
        fpr, tpr, _ = roc_curve(positive, probabilities[:, k], drop_intermediate=False)
        ax.plot(fpr, tpr, color=colour, ls=line, lw=1.4, label=f"{name}: {auc_text[name]}")
        drawn.append(pd.DataFrame({"class": name, "false_positive_rate": fpr, "sensitivity": tpr}))
    ax.plot([0, 1], [0, 1], color="0.7", lw=0.8, zorder=0)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="1 − specificity", ylabel="Sensitivity", title=title)
    ax.set_aspect("equal")
    ax.legend(loc="lower right", edgecolor="none", framealpha=0.85, fontsize=7, handlelength=2.4, borderaxespad=0.2)
    return pd.concat(drawn, ignore_index=True) if drawn else pd.DataFrame()


def legend_below(ax: Axes, *, columns: int = 1) -> None:
    """Move an axes' legend under its label: between curves that may run anywhere it covers some."""
    look = {"frameon": False, "fontsize": 7, "handlelength": 2.4, "ncols": columns}
    # The pad counts in font sizes, not in heights of the axes: room for ticks and label however small the panel.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5, **look)


def roc_multi_label(
    y_true: pd.DataFrame,
    probabilities: np.ndarray,
    *,
    auc_text: dict[str, str],
    ax: Axes | None = None,
    title: str = "",
    inset: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """ROC curves of labels that do not exclude each other, one per column of ``y_true``, each against all other rows.

    ``inset`` = (largest 1 − specificity, smallest sensitivity) adds the enlarged corner of paper 03's figures.

    Returns
    -------
    DataFrame
        class, false_positive_rate, sensitivity of every corner drawn.
    """
    from sklearn.metrics import roc_curve

    ax = ax or plt.gca()
    axes = [ax]
    if inset is not None:
        axes.append(
            ax.inset_axes((1.2, 0.08, 0.5, 0.4), xlim=(0, inset[0]), ylim=(inset[1], 1.01))
        )  # beside: covers nothing
        axes[1].tick_params(labelsize=6)
    drawn = []
    for k, (name, (colour, line, _)) in enumerate(zip(y_true.columns, CYCLE, strict=False)):
        positive = y_true[name].to_numpy().astype(bool)
        if positive.all() or not positive.any():
            ax.plot([], [], color=colour, ls=line, label=f"{name}: no curve (n = {positive.sum()})")
            continue
        fpr, tpr, _ = roc_curve(positive, probabilities[:, k], drop_intermediate=False)
        for each in axes:
            each.plot(fpr, tpr, color=colour, ls=line, lw=1.3, label=f"{name}: {auc_text[name]}")
        drawn.append(pd.DataFrame({"class": name, "false_positive_rate": fpr, "sensitivity": tpr}))
    ax.plot([0, 1], [0, 1], color="0.7", lw=0.8, zorder=0)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="1 − specificity", ylabel="Sensitivity", title=title)
    ax.set_aspect("equal")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, fontsize=7, handlelength=2.4)
    return pd.concat(drawn, ignore_index=True) if drawn else pd.DataFrame()


def boxes_on_slice(
    image: np.ndarray, annotated: pd.DataFrame, detected: pd.DataFrame, *, ax: Axes | None = None, title: str = ""
) -> None:
    """A slice with annotated boxes (solid, white over black) and detected ones (dashed), as in paper 03's Figure 2E."""
    ax = ax or plt.gca()
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    for boxes, colour, line, width in ((annotated, "white", "-", 1.6), (detected, CYCLE[1][0], (0, (3, 1.5)), 1.4)):
        for box in boxes.itertuples():
            place, side = (box.xmin, box.ymin), (box.xmax - box.xmin, box.ymax - box.ymin)
            ax.add_patch(plt.Rectangle(place, *side, fill=False, ec=colour, ls=line, lw=width))
    ax.set_title(title, fontsize=8)
    ax.axis("off")


def roc_of_models(
    y_true: np.ndarray, scores: dict[str, np.ndarray], *, auc_text: dict[str, str], ax: Axes | None = None
) -> pd.DataFrame:
    """ROC curves of several models for the same rows, {0, 1} and any scores; a row of the answer per corner."""
    from sklearn.metrics import roc_curve

    ax = ax or plt.gca()
    drawn = []
    for (name, score), (colour, line, _) in zip(scores.items(), CYCLE, strict=False):
        fpr, tpr, _ = roc_curve(y_true, score, drop_intermediate=False)
        ax.plot(fpr, tpr, color=colour, ls=line, lw=1.4, label=f"{name}: {auc_text[name]}")
        drawn.append(pd.DataFrame({"model": name, "false_positive_rate": fpr, "sensitivity": tpr}))
    ax.plot([0, 1], [0, 1], color="0.7", lw=0.8, zorder=0)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="1 − specificity", ylabel="Sensitivity")
    ax.set_aspect("equal")
    ax.legend(loc="lower right", edgecolor="none", framealpha=0.85, fontsize=7, handlelength=2.4, borderaxespad=0.2)
    return pd.concat(drawn, ignore_index=True)


def lasso(selector, names: Sequence[str], *, most: int = 20) -> tuple[Figure, pd.DataFrame]:
    """A LASSO as papers 04 and 05 draw it: coefficient paths, cross-validated error against λ, coefficients at λ.

    Parameters
    ----------
    selector : vcfkit.selection.LassoSelector, fitted
    names : of the features it was given
    most : the largest coefficients that are drawn as bars; the caption says of how many.

    Returns
    -------
    Figure, DataFrame
        Columns feature, coefficient of all that differ from 0, falling in size.
    """
    error = selector.mse_path_
    mean, spread = error.mean(axis=1), error.std(axis=1, ddof=1) / np.sqrt(error.shape[1])
    chosen = pd.DataFrame({"feature": list(names), "coefficient": selector.coef_})
    chosen = chosen[selector.coef_ != 0].sort_values("coefficient", key=np.abs, ascending=False, kind="stable")
    chosen = chosen.reset_index(drop=True)
    with style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.4, 3.4), width_ratios=(1, 1, 0.8))
        path, kept = selector.coef_path_, selector.coef_ != 0
        left.plot(selector.alphas_, path[~kept].T, lw=0.5, color="0.8", rasterized=True)  # hundreds of lines
        left.plot(selector.alphas_, path[kept].T, lw=0.9)
        left.set(ylabel="Coefficient (standardised features)", title="Path")
        colour, _, marker = CYCLE[0]
        middle.errorbar(selector.alphas_, mean, yerr=spread, fmt=marker, ms=2, color=colour, ecolor="0.75", lw=0.8)
        middle.set(ylabel=f"Mean squared error, {error.shape[1]} folds (± SE)", title="Cross-validation")
        for ax in (left, middle):
            ax.axvline(selector.alpha_, color="black", ls="--", lw=0.9)
            ax.set(xscale="log", xlabel="λ")
        shown = chosen.head(most)
        colours = [CYCLE[0][0] if value > 0 else CYCLE[1][0] for value in shown["coefficient"]]
        right.barh(range(len(shown)), shown["coefficient"], color=colours)
        right.axvline(0, color="0.3", lw=0.8)
        labels = [f"{_shortened(name)} {'+' if value > 0 else '−'}" for name, value in shown.itertuples(index=False)]
        right.set_yticks(range(len(shown)), labels, fontsize=5.5)
        right.set_ylim(max(len(shown), 6) - 0.4, -0.6)
        count = f"{len(shown)} of {len(chosen)}" if len(shown) < len(chosen) else f"all {len(chosen)}"
        right.set(xlabel="Coefficient", title=f"At λ = {selector.alpha_:.3f}, {count}")
    return figure, chosen


def decision_curves(
    curves: pd.DataFrame, *, bands: Sequence[str] = (), level: float = 0.95, ax: Axes | None = None
) -> pd.DataFrame:
    """Net benefit against the threshold probability, from `vcfkit.decision.decision_curve`.

    ``bands`` names the models whose bootstrap band is shaded, ``level`` that of the curves; more than two
    bands hide one another. The legend stands beside the axes, where it hides no curve; far below 0 all is cut off.
    """
    ax = ax or plt.gca()
    models = [name for name in curves["model"].unique() if name not in ("treat_all", "treat_none")]
    for name, (colour, line, _) in zip(models, CYCLE, strict=False):
        own = curves[curves["model"] == name]
        ax.plot(own["threshold"], own["net_benefit"], color=colour, ls=line, lw=1.4, label=name)
        if name in bands:
            said = {"label": f"{name}, {100 * level:.0f} % band"}
            ax.fill_between(own["threshold"], own["low"], own["high"], fc=colour, ec="none", alpha=0.12, **said)
            for end in ("low", "high"):  # shades merge where they overlap; their ends do not
                ax.plot(own["threshold"], own[end], color=colour, ls=line, lw=0.6)
    for name, label, line in (("treat_all", "treat all", "-"), ("treat_none", "treat none", "--")):
        own = curves[curves["model"] == name]
        ax.plot(own["threshold"], own["net_benefit"], color="0.45", ls=line, lw=0.9, label=label)
    top = max(curves["net_benefit"].max(), curves.loc[curves["model"].isin(bands), "high"].max())
    low = -0.15 * curves["net_benefit"].max()
    ax.set(ylim=(low, 1.05 * top), xlabel="Threshold probability", ylabel="Net benefit")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=7, handlelength=2.4)
    return curves


def nomogram(axes: dict[str, pd.DataFrame], *, labels: dict[str, str] | None = None) -> tuple[Figure, pd.DataFrame]:
    """A nomogram as R's rms draws one: an axis of points, one per predictor, total points, predicted risk.

    Parameters
    ----------
    axes : `vcfkit.decision.Nomogram.axes`
    labels : names of axes as they are to be read.
    """
    labels = {"points": "Points", "total_points": "Total points", "linear_predictor": "Linear predictor"} | (
        labels or {}
    )
    below = {"total_points", "linear_predictor", "risk"}
    scales = {False: axes["points"]["points"].max(), True: axes["total_points"]["points"].max()}
    with style():
        figure, ax = plt.subplots(figsize=(7.4, 0.62 * len(axes) + 0.3))
        ax.axis("off")
        for row, (name, ticks) in enumerate(axes.items()):
            place = ticks["points"].to_numpy(dtype=float) / scales[name in below]
            ax.plot([place.min(), place.max()], [-row, -row], color="black", lw=0.9)
            ax.text(-0.03, -row, labels.get(name, name), ha="right", va="center", fontsize=8)
            # A label that would touch the last one goes to the other side of the axis, or stays a bare tick.
            last = {1: -1.0, -1: -1.0}
            for at, value in sorted(zip(place, ticks["value"], strict=True), key=lambda pair: pair[0]):
                ax.plot([at, at], [-row, -row - 0.12], color="black", lw=0.8)
                text = value if isinstance(value, str) else f"{value:g}"
                room = 0.011 * len(text) + 0.012
                side = next((side for side in (-1, 1) if at - last[side] >= room), None)
                if side is not None:
                    y, alignment = (-row - 0.16, "top") if side < 0 else (-row + 0.05, "bottom")
                    ax.text(at, y, text, ha="center", va=alignment, fontsize=7)
                    last[side] = at
        ax.set(xlim=(-0.3, 1.03), ylim=(-len(axes) + 0.4, 0.4))
    drawn = pd.concat({name: ticks.astype({"value": str}) for name, ticks in axes.items()}, names=["axis"])
    return figure, drawn.reset_index("axis").reset_index(drop=True)


def calibration(curve: pd.DataFrame, *, ax: Axes | None = None) -> pd.DataFrame:
    """Observed share against predicted risk, from `vcfkit.decision.calibrate`: apparent, and optimism-corrected."""
    ax = ax or plt.gca()
    ax.plot([0, 1], [0, 1], color="0.7", lw=0.8, label="ideal")
    for column, (colour, line, _) in zip(("apparent", "corrected"), CYCLE, strict=False):
        ax.plot(curve["predicted"], curve[column], color=colour, ls=line, label=column)
    ax.set(xlim=(0, 1), ylim=(-0.05, 1.05), xlabel="Predicted risk", ylabel="Observed share")
    ax.set_aspect("equal")
    ax.legend(frameon=False, fontsize=7)
    return curve


def confusion(counts: pd.DataFrame, *, ax: Axes | None = None, title: str = "") -> pd.DataFrame:
    """Confusion matrix with each row (true class) summing to 1; every cell shows its share and its count.

    Returns
    -------
    DataFrame
        The shares drawn; a class without rows has none (NaN).
    """
    ax = ax or plt.gca()
    totals = counts.sum(axis=1)
    shares = counts.div(totals.where(totals > 0), axis=0)
    ax.imshow(shares.fillna(0), cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*shares.shape):
        share = shares.iloc[i, j]
        text = "–" if np.isnan(share) else f"{share:.2f}\n({counts.iloc[i, j]})"
        ax.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if share > 0.55 else "black")
    ax.set_xticks(range(len(counts.columns)), counts.columns, rotation=20)
    ax.set_yticks(range(len(counts.index)), counts.index)
    ax.set(xlabel="Predicted class", ylabel="True class", title=title)
    ax.spines[:].set_visible(False)
    return shares


def montage(
    images: np.ndarray,
    titles: Sequence[str],
    *,
    columns: int,
    overlay: np.ndarray | None = None,
    boxes: Sequence[dict[str, np.ndarray]] | None = None,
) -> Figure:
    """Greyscale images in a grid, each under its title; ``overlay`` (values 0…1) is laid over in colour.

    Parameters
    ----------
    images : uint8 array, shape (n, H, W)
    overlay : array, shape (n, H, W), optional
        For instance Grad-CAM maps. Contour lines at 0.5 keep it readable in greyscale.
    boxes : sequence of dicts, optional
        Per image ``{"fresh": (k, 4), "old": (k, 4)}``: xmin, ymin, xmax, ymax in pixels. Fresh ones are drawn with a
        white line, old ones with a yellow broken one.
    """
    rows = -(-len(images) // columns)
    with style():
        figure, axes = plt.subplots(rows, columns, figsize=(1.5 * columns, 1.75 * rows), squeeze=False)
        for ax in axes.flat:
            ax.axis("off")
        for k, (ax, image, title) in enumerate(zip(axes.flat, images, titles, strict=False)):
            ax.imshow(image, cmap="gray", vmin=0, vmax=255)
            if overlay is not None:
                ax.imshow(overlay[k], cmap="inferno", alpha=0.45 * overlay[k], vmin=0, vmax=1)
                if overlay[k].max() > 0.5:
                    ax.contour(overlay[k], levels=[0.5], colors="white", linewidths=1)
            for kind, look in (("fresh", {"ec": "white"}), ("old", {"ec": "#F0E442", "ls": "--"})):
                for x0, y0, x1, y1 in [] if boxes is None else boxes[k][kind]:
                    frame = plt.Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, lw=1, **look)
                    ax.add_patch(frame)  # imshow's pixel edges lie at half numbers
            ax.set_title(title, fontsize=7)
    return figure


def delineations(
    images: np.ndarray, outlines: dict[str, np.ndarray], titles: Sequence[str], *, mm_per_pixel: float
) -> Figure:
    """Windows of radiographs, below each the outlines of its body, a colour and line style per reader.

    Parameters
    ----------
    images : uint8 array, shape (n, H, W)
    outlines : dict of name to bool array (n, H, W)
    """
    n = len(images)
    extent = (0, images.shape[2] * mm_per_pixel, images.shape[1] * mm_per_pixel, 0)
    with style():
        figure, axes = plt.subplots(2, n, figsize=(1.7 * n, 3.6), squeeze=False, sharex=True, sharey=True)
        for k in range(n):
            for ax in axes[:, k]:
                ax.imshow(images[k], cmap="gray", vmin=0, vmax=255, extent=extent)
            for (name, masks), (colour, line, _) in zip(outlines.items(), CYCLE[1:], strict=False):
                axes[1, k].contour(
                    masks[k].astype(float),
                    [0.5],
                    colors=[colour],
                    linestyles=[line],
                    linewidths=0.9,
                    extent=extent,
                    origin="upper",
                )
                axes[1, k].plot([], [], color=colour, ls=line, label=name)
            axes[0, k].set_title(titles[k], fontsize=8)
            axes[1, k].set_xlabel("mm")
        axes[0, 0].set_ylabel("mm")
        axes[1, 0].set_ylabel("mm")
        axes[1, 0].legend(loc="lower left", fontsize=6, framealpha=0.8, edgecolor="none")
    return figure


def flow(
    rows: Sequence[tuple[str, Sequence[tuple[float, str]]]], edges: Sequence[tuple[tuple[int, int], tuple[int, int]]]
) -> Figure:
    """Cohort flow: a row of boxes per stage, joined by arrows.

    Parameters
    ----------
    rows : sequence of (stage, boxes)
        Each box is (column, text); columns are shared by all rows and may be fractions, for instance
        ``[("Enrolled", [(0.5, "development\\n2,031 vertebrae"), …]), ("Used as", [(0, "training"), …])]``.
    edges : sequence of ((row, box), (row, box))
        Arrows, from and to.
    """
    columns = 1 + max(column for _, boxes in rows for column, _ in boxes)
    with style():
        figure, ax = plt.subplots(figsize=(1.25 * columns + 0.9, 0.95 * len(rows)))
        ax.axis("off")
        for i, (stage, boxes) in enumerate(rows):
            ax.text(-0.6, -i, stage, ha="right", va="center", fontsize=8, color="0.35")
            for column, text in boxes:
                frame = {"boxstyle": "round", "fc": "white", "ec": "0.3"}
                ax.text(column, -i, text, ha="center", va="center", fontsize=8, bbox=frame)
        for (row, box), (next_row, next_box) in edges:
            start, end = rows[row][1][box][0], rows[next_row][1][next_box][0]
            arrow = {"arrowstyle": "->", "color": "0.35"}
            ax.annotate("", (end, 0.34 - next_row), (start, -0.34 - row), arrowprops=arrow)
        ax.set(xlim=(-1.2, columns - 0.5), ylim=(0.5 - len(rows), 0.5))
    return figure


def architecture(stages: pd.DataFrame, *, size: int, channels: int = 3) -> tuple[Figure, pd.DataFrame]:
    """A network as a row of blocks, as tall as its maps are wide, from `vcfkit.models.stages`.

    Heights go with the square root of the side, so that the last stages remain visible.
    """
    with style():
        figure, ax = plt.subplots(figsize=(1.15 * (len(stages) + 1), 2.9))
        ax.axis("off")
        sides = [size, *stages["side"]]
        captions = ["input\ngrey crop", *(f"{r.stage}\n{_folded(r.what)}" for r in stages.itertuples())]
        shapes = [f"{channels} × {size}²", *(f"{r.channels} × {r.side}²" for r in stages.itertuples())]
        shapes = [text.removesuffix(" × 1²") for text in shapes]
        grey = np.linspace(0.95, 0.6, len(sides))
        for k, (side, caption, shape) in enumerate(zip(sides, captions, shapes, strict=True)):
            half = 0.5 * np.sqrt(side / size)
            ax.add_patch(plt.Rectangle((k - 0.24, -half), 0.48, 2 * half, fc=str(grey[k]), ec="0.2"))
            ax.text(k, half + 0.04, shape, ha="center", va="bottom", fontsize=7.5)
            ax.text(k, -0.58, caption, ha="center", va="top", fontsize=7)
            if k:
                ax.annotate("", (k - 0.25, 0), (k - 0.75, 0), arrowprops={"arrowstyle": "->", "color": "0.3"})
        ax.set(xlim=(-0.55, len(sides) - 0.45), ylim=(-1.05, 0.68))
    return figure, stages


def residual_blocks(blocks: dict[str, tuple[Sequence[str], Sequence[str]]]) -> Figure:
    """Residual blocks side by side, each as (main path, shortcut) in words; see `vcfkit.models.block_paths`."""
    with style():
        figure, axes = plt.subplots(1, len(blocks), figsize=(3.6 * len(blocks), 3.8), squeeze=False)
        for ax, (title, (main, shortcut)) in zip(axes[0], blocks.items(), strict=True):
            ax.axis("off")
            ax.set_title(title)
            arrow, foot = {"arrowstyle": "->", "color": "0.3"}, -len(main) - 1
            frame = {"boxstyle": "round", "fc": "white", "ec": "0.3"}
            ax.text(0, 0, "input", ha="center", va="center", fontsize=8)
            for k, text in enumerate([*main, "+"], start=1):
                ax.annotate("", (0, 0.3 - k), (0, 0.7 - k), arrowprops=arrow)
                ax.text(0, -k, text, ha="center", va="center", fontsize=8, bbox=frame)
            ax.annotate("", (0, foot - 0.7), (0, foot - 0.3), arrowprops=arrow)
            ax.text(0, foot - 1, "ReLU, output", ha="center", va="center", fontsize=8)
            # The way round the convolutions.
            ax.plot([0.15, 1.15, 1.15], [-0.05, -0.05, foot], color="0.3", lw=1)
            ax.annotate("", (0.12, foot), (1.15, foot), arrowprops=arrow)
            around = "\n".join(_folded(text) for text in shortcut) or "unchanged"
            ax.text(1.15, foot / 2, around, ha="center", va="center", fontsize=8, bbox=frame)
            ax.set(xlim=(-0.85, 1.75), ylim=(foot - 1.3, 0.4))
    return figure


def reader_points(
    points: pd.DataFrame, *, name: str, modalities: Sequence[str] = ("unaided", "aided"), ax: Axes | None = None
) -> pd.DataFrame:
    """Operating points of one class in a ROC plot: hollow in the first modality, filled in the second, joined.

    Parameters
    ----------
    points : DataFrame
        `vcfkit.readers.operating_points`; a reader may have one modality only.

    Returns
    -------
    DataFrame
        reader, modality, false_positive_rate, sensitivity of the points drawn.
    """
    ax = ax or plt.gca()
    drawn = points[points["class"] == name].assign(false_positive_rate=lambda part: 1 - part["specificity"])
    drawn = drawn[["reader", "modality", "false_positive_rate", "sensitivity"]].dropna()
    readers = drawn["reader"].drop_duplicates()
    for k, reader in enumerate(readers):
        colour, _, marker = CYCLE[(k + 1) % len(CYCLE)]  # the first is the model's curve
        own = drawn[drawn["reader"] == reader].set_index("modality")
        own = own.loc[[m for m in modalities if m in own.index]]
        ax.plot(own["false_positive_rate"], own["sensitivity"], color=colour, lw=0.8)
        for modality, row in own.iterrows():
            fill = "none" if modality == modalities[0] else colour  # what lies beneath shows
            label = f"{reader}, {modality}"
            place = row["false_positive_rate"], row["sensitivity"]
            ax.plot(*place, marker=marker, ms=6.5, color=colour, mfc=fill, mec=colour, ls="", label=label)
    return drawn.reset_index(drop=True)


def accuracy_identity(points: pd.DataFrame, *, n_classes: int = 3) -> tuple[Figure, pd.DataFrame]:
    """Plain accuracy against the mean of one-vs-rest accuracies, with the line on which all of them must lie.

    Parameters
    ----------
    points : DataFrame
        Columns source (one panel each), name, plain, one_vs_rest.
    """
    sources = points["source"].drop_duplicates()
    with style():
        figure, axes = plt.subplots(1, len(sources), figsize=(4.9 * len(sources), 3.5), squeeze=False)
        line = np.array([0.0, 1.0])
        for ax, source in zip(axes[0], sources, strict=True):
            ax.plot(line, 1 - 2 * (1 - line) / n_classes, color="0.5", lw=1, label=f"identity, {n_classes} classes")
            ax.plot(line, line, color="0.75", lw=0.8, ls=":", label="equal")
            part = points[points["source"] == source]
            for k, row in enumerate(part.itertuples()):
                colour, _, marker = CYCLE[k % len(CYCLE)]
                fill, width = ("none", 7) if k < len(CYCLE) else (colour, 4)  # small ones show inside large ones
                ax.plot(row.plain, row.one_vs_rest, marker, color=colour, mfc=fill, ms=width, label=row.name)
            low = min(0.4, points["plain"].min() - 0.05)
            ax.set(xlim=(low, 1), ylim=(low, 1), xlabel="Share of right answers", title=source)
            ax.set_ylabel("Mean of one-vs-rest accuracies")
            ax.set_aspect("equal")
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)  # points lie everywhere
    return figure, points


def roc_averages(
    y_true: Sequence[str], probabilities: np.ndarray, *, classes: Sequence[str], ax: Axes, digits: int = 3
) -> pd.Series:
    """Add a macro and a micro curve to one-vs-rest ROC curves; returns the areas under the drawn curves.

    Micro pools all (class, row) pairs. The macro *curve* is the mean sensitivity of the classes at each false-positive
    rate, with straight lines between corners, as plotting code usually has it; its area is not the mean of the classes'
    AUCs to the last digit, and that mean is what "macro AUC" is said to be (paper 04, Model evaluation).
    """
    from sklearn.metrics import auc, roc_curve

    positive = np.asarray(y_true)[:, None] == np.asarray(classes)
    fpr, tpr, _ = roc_curve(positive.ravel(), probabilities.ravel())
    curves = {"micro": (fpr, tpr)}
    each = [roc_curve(positive[:, k], probabilities[:, k])[:2] for k in range(len(classes)) if positive[:, k].any()]
    grid = np.unique(np.concatenate([fpr for fpr, _ in each]))
    curves["macro"] = grid, np.mean([np.interp(grid, *curve) for curve in each], axis=0)
    for name, (colour, line, _) in zip(curves, CYCLE[3:], strict=False):
        ax.plot(*curves[name], color=colour, ls=line, lw=1.2, label=f"{name} curve: {auc(*curves[name]):.{digits}f}")
    ax.legend(loc="lower right", edgecolor="none", framealpha=0.85, fontsize=7, handlelength=2.4, borderaxespad=0.2)
    return pd.Series({name: auc(*curve) for name, curve in curves.items()})


def pr_one_vs_rest(
    y_true: Sequence[str], probabilities: np.ndarray, *, classes: Sequence[str], ax: Axes | None = None
) -> pd.Series:
    """Precision–recall curves of each class and of all (class, row) pairs pooled (micro).

    Returns
    -------
    Series
        Average precision (step-wise, no interpolation) of each class that has rows, then ``micro`` and ``macro``, the
        mean of the classes.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    ax = ax or plt.gca()
    positive = np.asarray(y_true)[:, None] == np.asarray(classes)
    columns = {name: (positive[:, k], probabilities[:, k]) for k, name in enumerate(classes) if positive[:, k].any()}
    columns["micro"] = positive.ravel(), probabilities.ravel()
    found = {}
    for (name, (truth, score)), (colour, line, _) in zip(columns.items(), CYCLE, strict=False):
        precision, recall, _ = precision_recall_curve(truth, score)
        found[name] = average_precision_score(truth, score)
        ax.step(recall, precision, where="post", color=colour, ls=line, lw=1.4, label=f"{name}: {found[name]:.2f}")
    found["macro"] = np.mean([found[name] for name in columns if name != "micro"])
    ax.plot([], [], " ", label=f"macro (mean, no curve): {found['macro']:.2f}")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="Recall (sensitivity)", ylabel="Precision")
    ax.set_aspect("equal")
    ax.legend(loc="lower left", edgecolor="none", framealpha=0.85, fontsize=7, handlelength=2.4, borderaxespad=0.2)
    return pd.Series(found)


def intervals(
    table: pd.DataFrame, value: str, *, groups: Sequence[str], series: Sequence[str], ax: Axes | None = None
) -> pd.DataFrame:
    """Points with intervals: one group of points per place on the axis, one colour and marker per series.

    Parameters
    ----------
    table : DataFrame
        Index (group, series); columns ``value``, ``value_low``, ``value_high``. Undefined points are left out.

    Returns
    -------
    DataFrame
        The rows drawn.
    """
    ax = ax or plt.gca()
    drawn = []
    for k, (name, (colour, _, marker)) in enumerate(zip(series, CYCLE, strict=False)):
        rows = table[table.index.get_level_values(1) == name].droplevel(1).reindex(groups).dropna(subset=[value])
        at = np.array([list(groups).index(g) for g in rows.index]) + 0.12 * (k - (len(series) - 1) / 2)
        bars = np.maximum([rows[value] - rows[f"{value}_low"], rows[f"{value}_high"] - rows[value]], 0)
        ax.errorbar(at, rows[value], bars, fmt=marker, color=colour, ms=4, lw=1.2, capsize=2, label=name)
        drawn.append(rows.assign(series=name))
    ax.set_xticks(range(len(groups)), groups)
    ax.set_xlim(-0.6, len(groups) - 0.4)
    return pd.concat(drawn)


def coefficients(weights: pd.Series, *, ax: Axes | None = None, title: str = "", labels: int = 30) -> pd.Series:
    """Horizontal bars of a linear score's coefficients, the largest on top; at most ``labels`` of them."""
    ax = ax or plt.gca()
    shown = weights.reindex(weights.abs().sort_values(ascending=False, kind="stable").index)[:labels][::-1]
    colours = [CYCLE[0][0] if value > 0 else CYCLE[1][0] for value in shown]
    ax.barh(range(len(shown)), shown, color=colours)
    ax.set_yticks(range(len(shown)), [_shortened(name) for name in shown.index], fontsize=7)
    ax.axvline(0, color="0.3", lw=0.8)
    more = f" ({labels} largest of {len(weights)})" if len(weights) > labels else ""
    ax.set(xlabel="Coefficient (features at mean 0, SD 1)", title=title + more)
    return shown[::-1]


def shap_importance(
    importance: pd.DataFrame, *, ax: Axes | None = None, title: str = "", unit: str = "log-odds"
) -> pd.DataFrame:
    """Mean absolute SHAP value of each feature, stacked over the classes; see `vcfkit.explain.Shap.importance`.

    ``unit`` is that of the explained score: log-odds with two classes, "softmax input" with more.
    """
    ax = ax or plt.gca()
    shown, start = importance[::-1], np.zeros(len(importance))
    hatches = ("", "///", "...", "xxx")
    for name, (colour, *_), hatch in zip(shown.columns, CYCLE, hatches, strict=False):
        ax.barh(range(len(shown)), shown[name], left=start, color=colour, hatch=hatch, ec="white", lw=0, label=name)
        start = start + shown[name].to_numpy()
    ax.set_yticks(range(len(shown)), [_shortened(name) for name in shown.index], fontsize=7)
    ax.set(xlabel=f"Mean |SHAP value| ({unit})", title=title, xlim=(0, 1.05 * start.max()))
    ax.legend(loc="lower right", framealpha=0.9, edgecolor="none")
    return importance


def shap_swarm(
    values: np.ndarray,
    features: pd.DataFrame,
    *,
    ax: Axes | None = None,
    title: str = "",
    unit: str = "log-odds",
    fit: np.ndarray | None = None,
) -> None:
    """SHAP values of one class, a dot per row and feature, coloured by the feature's value (blue low, red high).

    Parameters
    ----------
    values : array (n, n_features)
    features : DataFrame (n, n_features)
        In the order in which they are drawn, the first on top.
    unit : str
        See `shap_importance`.
    fit : bool array (n,), optional
        The rows that the axis fits; others may leave it.
    """
    ax = ax or plt.gca()
    ranks = features.rank(pct=True).to_numpy()
    for k in range(values.shape[1]):
        # Rows spread across the line in the order of their position, which needs no random jitter.
        order = np.argsort(np.argsort(values[:, k], kind="stable"), kind="stable")
        spread = 0.6 * ((order * 7) % 11 - 5) / 11
        dots = ax.scatter(values[:, k], -k + spread, c=ranks[:, k], cmap="coolwarm", s=6, vmin=0, vmax=1)
    ax.axvline(0, color="0.3", lw=0.8)
    ax.set_yticks(-np.arange(values.shape[1]), [_shortened(name) for name in features.columns], fontsize=7)
    ax.set(xlabel=f"SHAP value ({unit})", title=title, xlim=_around(values if fit is None else values[fit]))
    bar = ax.figure.colorbar(dots, ax=ax, ticks=[0, 1], pad=0.02, aspect=30)
    bar.ax.set_yticklabels(["low", "high"], fontsize=7)


def shap_decision(
    values: np.ndarray,
    base: float,
    features: Sequence[str],
    *,
    groups: Sequence[str],
    ax: Axes | None = None,
    title: str = "",
    unit: str = "log-odds",
    fit: np.ndarray | None = None,
) -> np.ndarray:
    """Decision plot: each row's score from the base value, feature by feature from the bottom, to its end on top.

    Parameters
    ----------
    values : array (n, n_features)
        Of one class; ``features`` in the order in which they are drawn, the first on top. Beyond `MOST_STEPS` the last
        ones make one step together, at the bottom.
    groups : sequence of str
        A colour and line style each, for instance the true classes of the rows.
    unit, fit
        See `shap_importance`, `shap_swarm`.

    Returns
    -------
    array (n,)
        The scores of the class, on top.
    """
    ax = ax or plt.gca()
    if len(features) > MOST_STEPS:
        rest = len(features) - MOST_STEPS + 1
        values = np.column_stack([values[:, :-rest], values[:, -rest:].sum(axis=1)])
        features = [*features[:-rest], f"{rest} others"]
    paths = base + np.concatenate([np.zeros((len(values), 1)), np.cumsum(values[:, ::-1], axis=1)], axis=1)
    for name, (colour, line, _) in zip(sorted(set(groups)), CYCLE, strict=False):
        for k, row in enumerate(np.flatnonzero(np.asarray(groups) == name)):
            label = name if k == 0 else None
            ax.plot(paths[row], np.arange(paths.shape[1]), color=colour, ls=line, lw=0.8, alpha=0.7, label=label)
    ax.axvline(base, color="0.3", lw=0.8)
    ax.set_yticks(np.arange(len(features)) + 0.5, [_shortened(name) for name in features[::-1]], fontsize=7)
    ax.set(xlabel=f"Score ({unit})", title=title, ylim=(0, len(features)))
    ax.set_xlim(_around(paths if fit is None else paths[fit]))
    ax.legend(title="true class", fontsize=7, title_fontsize=7, loc="lower right", framealpha=0.85, edgecolor="none")
    return paths[:, -1]


def paired_seeds(points: pd.DataFrame, *, value: str, ax: Axes | None = None, title: str = "") -> pd.DataFrame:
    """Two models at the same seeds, a line between the two of each seed, and the models' means.

    Parameters
    ----------
    points : DataFrame
        Columns seed, model (two of them) and ``value``.
    """
    ax = ax or plt.gca()
    table = points.pivot(index="seed", columns="model", values=value)[points["model"].unique()]
    for row in table.to_numpy():
        ax.plot([0, 1], row, color="0.75", lw=0.8, zorder=0)
    for k, (name, (colour, _, marker)) in enumerate(zip(table.columns, CYCLE, strict=False)):
        ax.plot(np.full(len(table), k), table[name], marker, color=colour, ms=4, ls="")
        ax.plot([k - 0.18, k + 0.18], [table[name].mean()] * 2, color=colour, lw=2)
    ax.set_xticks([0, 1], [_folded(name) for name in table.columns], fontsize=7)
    ax.set(xlim=(-0.5, 1.5), title=title)
    return table


def forest(rows: pd.DataFrame, *, label: str = "") -> tuple[Figure, pd.DataFrame]:
    """Estimates with intervals, a panel per group and the sources side by side in each row.

    Parameters
    ----------
    rows : DataFrame
        group, name, source, value, low, high (NaN where there is no interval); drawn in this order. A group that names
        an AUC gets a line at 0.5.
    label : str
        Below the horizontal axis.
    """
    sources = list(rows["source"].unique())
    groups = dict(list(rows.groupby("group", sort=False)))
    heights = [part["name"].nunique() + 0.8 for part in groups.values()]
    with style():
        figure, axes = plt.subplots(
            len(groups), 1, figsize=(7.2, 0.23 * sum(heights) + 0.9), height_ratios=heights, sharex=True, squeeze=False
        )
        for ax, (group, part) in zip(axes[:, 0], groups.items(), strict=True):
            names = list(part["name"].unique())
            for k, source in enumerate(sources):
                (colour, _, mark), mine = CYCLE[k % len(CYCLE)], part[part["source"] == source]
                at = mine["name"].map(names.index) + 0.5 * (k - (len(sources) - 1) / 2) / max(1, len(sources))
                sides = [(mine["value"] - mine["low"]).clip(lower=0), (mine["high"] - mine["value"]).clip(lower=0)]
                sides = np.nan_to_num(np.array(sides, dtype=float))
                ax.errorbar(mine["value"], at, xerr=sides, fmt=mark, color=colour, ms=4, lw=1, capsize=2, label=source)
            ax.set_yticks(range(len(names)), names)
            ax.set_ylim(len(names) - 0.4, -0.6)
            ax.set_title(group, loc="left")
            if "AUC" in group:  # chance
                ax.axvline(0.5, color="0.8", lw=0.8, zorder=0)
            ax.grid(axis="x", color="0.92", lw=0.6)
        axes[-1, 0].set_xlabel(label)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure, rows[["group", "name", "source", "value", "low", "high"]]


def shares(counts: pd.DataFrame, *, label: str = "") -> tuple[Figure, pd.DataFrame]:
    """Stacked bars of counts (rows × kinds) on the scale of percent, each part with its count where there is room."""
    hatches = ("", "..", "//", "xx", "--")
    percent = 100 * counts.div(counts.sum(axis=1), axis=0)
    with style():
        figure, ax = plt.subplots(figsize=(7.2, 0.36 * len(counts) + 0.9))
        left = np.zeros(len(counts))
        for k, name in enumerate(counts):
            shade = str(0.92 - 0.8 * k / max(1, counts.shape[1] - 1))
            bars = ax.barh(
                range(len(counts)),
                percent[name],
                left=left,
                color=shade,
                edgecolor="0.3",
                lw=0.5,
                hatch=hatches[k % len(hatches)],
                label=name,
            )
            for bar, count in zip(bars, counts[name], strict=True):
                if bar.get_width() > 4:
                    box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
                    middle = bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2
                    ax.text(*middle, str(count), ha="center", va="center", fontsize=7, bbox=box)
            left += percent[name].to_numpy()
        ax.set_yticks(range(len(counts)), counts.index)
        ax.invert_yaxis()
        ax.set_xlim(0, 100)
        ax.set_xlabel(label)
        figure.legend(loc="outside lower center", ncols=len(counts.columns), frameon=False)
    return figure, counts


def _around(values: np.ndarray) -> tuple[float, float]:
    """Limits of an axis with all values, and a margin of a twentieth."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _shortened(name: str) -> str:
    """A feature's name without what all of them share."""
    return str(name).replace("-mm-3D", "").replace("original_", "")


def _folded(text: str) -> str:
    """Words over several short lines."""
    return textwrap.fill(text, 14)
