"""The classifiers that papers 04 and 05 compare, each with the grid it is searched over.

The papers name the classifiers, "grid search", 5-fold cross-validation and "common used parameters", no grid. Ours are
small, around each library's defaults. Everything is seeded and runs on one thread, so that a search gives the same
answer wherever it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

CLASSIFIERS = ("SVM", "KNN", "DecisionTree", "RandomForest", "ExtraTrees", "XGBoost", "LightGBM", "LR", "MLP")


def _candidate(name: str, seed: int, trees: int) -> tuple[BaseEstimator, dict[str, list]]:
    if name == "SVM":
        # Platt's sigmoid over cross-validated decision values: what SVC(probability=True) was.
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        support = CalibratedClassifierCV(SVC(), cv=folds, ensemble=False)
        return support, {"estimator__C": [0.1, 1.0, 10.0], "estimator__gamma": ["scale", 0.01]}
    if name == "KNN":
        return KNeighborsClassifier(), {"n_neighbors": [3, 5, 9], "weights": ["uniform", "distance"]}
    if name == "DecisionTree":
        return DecisionTreeClassifier(random_state=seed), {"max_depth": [2, 3, 5], "min_samples_leaf": [1, 5]}
    if name in ("RandomForest", "ExtraTrees"):
        forest = {"RandomForest": RandomForestClassifier, "ExtraTrees": ExtraTreesClassifier}[name]
        return forest(n_estimators=trees, random_state=seed, n_jobs=1), {"max_depth": [3, None]}
    if name == "XGBoost":
        from xgboost import XGBClassifier

        boosted = XGBClassifier(n_estimators=trees, random_state=seed, n_jobs=1, tree_method="exact")
        return boosted, {"max_depth": [2, 4], "learning_rate": [0.05, 0.3]}
    if name == "LightGBM":
        from lightgbm import LGBMClassifier

        same = {"deterministic": True, "force_row_wise": True, "n_jobs": 1, "random_state": seed, "verbose": -1}
        boosted = LGBMClassifier(n_estimators=trees, min_child_samples=5, **same)
        return boosted, {"num_leaves": [4, 15], "learning_rate": [0.05, 0.3]}
    if name == "LR":
        return LogisticRegression(max_iter=5000, tol=1e-8), {"C": [0.01, 0.1, 1.0, 10.0]}
    if name == "MLP":
        network = MLPClassifier(solver="lbfgs", max_iter=10_000, max_fun=100_000, random_state=seed)
        return network, {"hidden_layer_sizes": [(16,), (32, 16)], "alpha": [0.1, 1.0, 10.0]}
    raise ValueError(f"classifier {name!r} unknown; known: {', '.join(CLASSIFIERS)}")


def search(
    name: str,
    X: ArrayLike,
    y: ArrayLike,
    *,
    folds: int = 5,
    seed: int = 0,
    scoring: str | None = None,
    trees: int = 100,
    grid: dict[str, list[Any]] | None = None,
) -> GridSearchCV:
    """Grid search of one classifier by stratified cross-validation on training rows, refitted on all of them.

    Parameters
    ----------
    name : one of ``CLASSIFIERS``
    X : array or DataFrame, shape (n, n_features)
        Standardised, for SVM, KNN, LR and MLP.
    y : array, shape (n,)
        Classes, two or more.
    scoring : str, optional
        What the search maximises. Default: the AUC; with three classes or more its mean over one-vs-rest.
    trees : int
        Of a forest, or rounds of boosting.
    grid : dict, optional
        Instead of the built-in one.

    Returns
    -------
    GridSearchCV
        Fitted. ``.predict_proba`` has its columns in the order of ``.classes_``.

    Raises
    ------
    ValueError
        Unknown name; a class with fewer rows than folds, which would be absent from one.
    """
    estimator, own = _candidate(name, seed, trees)
    y = np.asarray(y)
    levels, counts = np.unique(y, return_counts=True)
    if len(levels) < 2 or counts.min() < folds:
        fewest = dict(zip(levels.tolist(), counts.tolist(), strict=True))
        raise ValueError(
            f"{name}: {folds} folds need two classes of at least {folds} rows each, found {fewest}. Use fewer folds, "
            "or leave the class out."
        )
    found = GridSearchCV(
        estimator,
        own if grid is None else grid,
        scoring=scoring or ("roc_auc" if len(levels) == 2 else "roc_auc_ovr"),
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        error_score="raise",
    )
    return found.fit(X, y)
