"""Paper-shaped tables, and published numbers beside reproduced ones."""

from __future__ import annotations

import pandas as pd

# Metric names as tables print them.
NAMES = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}


def with_interval(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """``0.874 (0.801–0.930)``; a dash for what is undefined."""
    if pd.isna(value):
        return "–"
    if pd.isna(low) or pd.isna(high):
        return f"{value:.{digits}f} (–)"
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def wide(reports: pd.DataFrame) -> pd.DataFrame:
    """One row per cohort and class, unrounded: what goes to ``tables/``.

    Parameters
    ----------
    reports : DataFrame
        `vcfkit.metrics.one_vs_rest` of each cohort, stacked, with a ``cohort`` column.

    Returns
    -------
    DataFrame
        Columns cohort, class, n_positive, then per metric its estimate and ``_low``, ``_high``.
    """
    keys = ["cohort", "class", "n_positive"]
    parts = {}
    for metric in reports["metric"].drop_duplicates():
        rows = reports[reports["metric"] == metric].set_index(keys)
        parts |= {metric: rows["estimate"], f"{metric}_low": rows["low"], f"{metric}_high": rows["high"]}
    order = pd.MultiIndex.from_frame(reports[keys].drop_duplicates())
    return pd.DataFrame(parts).reindex(order).reset_index()


def display(table: pd.DataFrame, metrics: list[str], *, digits: int = 3) -> pd.DataFrame:
    """A `wide` table for reading: one text cell per metric with its interval."""
    shown = table[["cohort", "class", "n_positive"]].rename(columns={"n_positive": "n"})
    for metric in metrics:
        cells = table[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy()
        shown[NAMES[metric]] = [with_interval(*cell, digits=digits) for cell in cells]
    return shown.set_index(["cohort", "class"])


def comparison(published: pd.DataFrame, reproduced: pd.DataFrame, *, model: str) -> pd.DataFrame:
    """Published beside reproduced, one row per published item that has a counterpart in this run.

    Parameters
    ----------
    published : DataFrame
        Items of `vcfkit.params.published`, already restricted to what the run answers.
    reproduced : DataFrame
        Columns id, reproduced, low, high, note: our value for a published item, by its id.
    model : str
        Name of our model, where the item names none.

    Returns
    -------
    DataFrame
        quantity, where, cohort, model, published, reproduced, low, high, note; printed order. ``low`` and ``high``
        are our interval.

    Raises
    ------
    KeyError
        A reproduced id that the published list does not hold.
    """
    strangers = sorted(set(reproduced["id"]) - set(published["id"]))
    if strangers:
        raise KeyError(f"not among the published items: {', '.join(strangers)}")
    both = published[["id", "quantity", "class", "where", "cohort", "model", "value"]].merge(reproduced, on="id")
    quantity = both["quantity"] + both["class"].map(lambda name: f", {name}" if isinstance(name, str) else "")
    return pd.DataFrame(
        {
            "quantity": quantity,
            "where": both["where"],
            "cohort": both["cohort"],
            "model": both["model"].where(both["model"].notna(), model),
            "published": both["value"],
            "reproduced": both["reproduced"],
            "low": both["low"],
            "high": both["high"],
            "note": both["note"],
        }
    )
