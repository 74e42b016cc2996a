"""Assessment System of Thoracolumbar Osteoporotic Fracture: four parts, one score, three classes (paper 04).

Methods, Classification: morphology on CT (0 normal, 1 compression, 2 burst), MRI (0 none, 1 high signal, 2 vacuum or
fluid), bone density (0 for T > -2.5, 1 down to -3.5, 2 below) and pain (0 none, 1 with position, 2 persistent or with
neurological symptoms) add up to 0-8 points. Tables 1 and 2: class 0 has 1-3 points, class 1 has 4, class 2 has 5-8.

**A score of 0** has no class in those tables: nothing is broken, nothing shines on MRI, the bone is not osteoporotic
and nothing hurts. Such a vertebra is no osteoporotic fracture and belongs to the exclusions, not to class 0, though
the "<3 points" of Methods (an equality bar is lost) would take it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

CLASSES = ("class_0", "class_1", "class_2")
PARTS = ("astlof_morphology", "astlof_mri", "astlof_t", "astlof_pain")


def t_part(t_score: float) -> int:
    """Points of a DXA T-score. -2.5 and -3.5 themselves count 1, as the printed signs (<, >) leave them open."""
    return 0 if t_score > -2.5 else 1 if t_score >= -3.5 else 2


def class_of(score: int) -> str:
    """Class of a total score: 1-3, 4, 5-8 points.

    Raises
    ------
    ValueError
        0, which is no fracture by this system, and everything outside 0-8.
    """
    if score == 0:
        raise ValueError("an ASTLOF score of 0 has no class (the paper's begin at 1 point): exclude the vertebra")
    if score not in range(1, 9):
        raise ValueError(f"an ASTLOF score lies within 1-8, got {score}")
    return CLASSES[0 if score <= 3 else 1 if score == 4 else 2]


def classify(samples: pd.DataFrame) -> pd.DataFrame:
    """Score and class of every row from its parts.

    Parameters
    ----------
    samples : DataFrame, one row per vertebra
        The columns of ``PARTS``, whole numbers 0-2; ``astlof_t`` may be absent where ``t_score`` is there. An optional
        ``sample_id`` names the rows in errors.

    Returns
    -------
    DataFrame, index as given
        Columns of ``PARTS``, ``astlof_score``, ``label``. The label is missing where the score is 0.

    Raises
    ------
    ValueError
        A column that is missing, or a part that is not 0, 1 or 2: which row, what was found.
    """
    import pandas as pd

    parts = samples.copy()
    if "astlof_t" not in parts and "t_score" in parts:
        parts["astlof_t"] = parts["t_score"].map(t_part, na_action="ignore")
    missing = [name for name in PARTS if name not in parts]
    if missing:
        raise ValueError(f"ASTLOF needs {', '.join(PARTS)} (or t_score for astlof_t); missing {', '.join(missing)}")
    names = parts["sample_id"] if "sample_id" in parts else parts.index.to_series()
    for part in PARTS:
        points = pd.to_numeric(parts[part], errors="coerce")
        wrong = ~points.isin([0, 1, 2])
        if wrong.any():
            found = ", ".join(f"{names[i]}: {parts.loc[i, part]}" for i in parts.index[wrong][:5])
            raise ValueError(f"{part}: 0, 1 or 2 points required, not so in {int(wrong.sum())} row(s): {found}")
        parts[part] = points.astype(int)
    scored = parts[list(PARTS)].copy()
    scored["astlof_score"] = scored.sum(axis=1)
    scored["label"] = scored["astlof_score"].map(lambda score: class_of(score) if score else None)
    return scored
