"""Who is trained on and who is tested on, and the inclusion flow that counts them."""

import numpy as np
import pandas as pd

from .faults import CohortError, Fault
from .schema import MANIFEST

_N_GROUP_SPLITS = 200


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
    table = {name: counts(samples[samples["cohort"] == name]) for name in cohort_order(samples["cohort"])}
    table["total"] = counts(samples)
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("cohort")


def shared_patients(samples: pd.DataFrame) -> int:
    """Number of patients in both training and testing: 0 unless vertebrae were split one by one."""
    sides = samples[samples["cohort"].isin(["training", "testing"])]
    return int((sides.groupby("patient_id")["cohort"].nunique() == 2).sum())


def cohort_order(cohorts: pd.Series) -> list[str]:
    """Development, training, testing, then the others as they come."""
    names = list(dict.fromkeys(cohorts.dropna()))
    first = [name for name in ("development", "training", "testing") if name in names]
    return first + [name for name in names if name not in first]


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
