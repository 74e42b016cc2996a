"""What a reader study says: operating points, accuracies, paired tests, the multi-reader multi-case test."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from vcfkit.metrics import McnemarResult, holm, mcnemar

COLUMNS = ("reader", "modality", "case", "truth", "rating")
_AIDED = dict.fromkeys(("0", "no", "false"), "unaided") | dict.fromkeys(("1", "yes", "true"), "aided")


class MrmcResult(namedtuple("MrmcResult", ["f", "df1", "df2", "p_value", "reader_aucs"])):
    """Test that all modalities are equal; `f` on (`df1`, `df2`) degrees of freedom. Unpacks as those five fields.

    ``df2`` is infinite where the test is a χ² (fixed readers): then f = χ²/df1.

    reader_aucs : DataFrame, reader × modality

    Further attributes:

    modalities : DataFrame, index modality; columns estimate, se, df, low, high: the mean over readers
    differences : DataFrame; columns first, second, difference (first − second), se, df, t, p_value, low, high
    reader_differences : DataFrame; the same per reader, cases random: reader, first, second, difference, se, z, …
    components : dict, name → number: variances and covariances of the Obuchowski–Rockette model (ms_t, ms_r, ms_tr,
        var_r, var_tr, var_error, cov1, cov2, cov3) and of the Dorfman–Berbaum–Metz model (dbm_*). Estimates may be
        negative.
    """

    def __new__(cls, f, df1, df2, p_value, reader_aucs, *, modalities, differences, reader_differences, components):
        self = super().__new__(cls, f, df1, df2, p_value, reader_aucs)
        self.modalities, self.differences = modalities, differences
        self.reader_differences, self.components = reader_differences, components
        return self

    def __getnewargs_ex__(self):  # for copies and pickles
        return tuple(self), vars(self)


def mrmc_test(
    ratings: pd.DataFrame,
    *,
    metric: Literal["auc", "sensitivity", "specificity"] = "auc",
    threshold: float | None = None,
    covariance: Literal["jackknife", "delong", "unbiased"] = "jackknife",
    readers: Literal["random", "fixed"] = "random",
    cases: Literal["random", "fixed"] = "random",
    level: float = 0.95,
) -> MrmcResult:
    """Do the modalities differ, for readers and cases like these? (Obuchowski & Rockette 1995; Hillis 2007.)

    The readers' AUCs are analysed as a modality × reader table whose errors are correlated, because the cases are
    shared: Cov1 between modalities of one reader, Cov2 between readers under one modality, Cov3 between both. With
    random readers and cases,

        F = MS(T) / [MS(T·R) + r·max(Cov2 − Cov3, 0)],  df2 = denominator² / [MS(T·R)² / ((t−1)(r−1))].

    With jackknife covariances and the AUC this is also the Dorfman–Berbaum–Metz test in its later form (Hillis 2008).

    Parameters
    ----------
    ratings : DataFrame
        Columns reader, modality, case, truth (0/1), rating (a number, larger for 1). Crossed and complete.
    metric : {"auc", "sensitivity", "specificity"}
        The area under the empirical ROC curve, ties counted half; or the share of cases called right when
        ``rating >= threshold`` calls a case positive.
    covariance : {"jackknife", "delong", "unbiased"}
        How the error covariances are estimated: leaving out one case at a time (what OR-DBM MRMC, RJafroc and MRMCaov
        do unless told otherwise); DeLong 1988; or the unbiased U-statistic of Gallas 2006 (iMRMC).
    readers, cases : {"random", "fixed"}
        To what the result applies: fixed readers are these and no others (a χ² test), fixed cases likewise (a
        repeated-measures analysis of variance of the AUCs).
    level : float
        Of the confidence intervals.

    Returns
    -------
    MrmcResult

    Raises
    ------
    ValueError
        Naming the argument: missing columns, readings missing or given twice, a case with two truths, one class only,
        fewer than two readers or modalities, readings that are not finite numbers, a test without any variation.
    """
    if (readers, cases) == ("fixed", "fixed") or not {readers, cases} <= {"random", "fixed"}:
        raise ValueError(f"readers, cases: random or fixed required, not both fixed; found {readers!r}, {cases!r}")
    if not 0 < level < 1:
        raise ValueError(f"level between 0 and 1 required, found {level}")
    positive, x, reader_names, modality_names = _rating_array(ratings)
    r, t = x.shape[:2]
    theta, error, n = _estimates(x, positive, metric=metric, threshold=threshold, covariance=covariance)
    anova = _anova(theta)
    cov1, cov2, cov3, var_error = _covariance_means(error)
    shared = max(cov2 - cov3, 0.0)
    ms_t, ms_r, ms_tr = anova

    # The variance of a difference of two modality means is 2/r times the denominator of F, in all three designs.
    df1 = t - 1
    if (readers, cases) == ("random", "random"):
        denominator = ms_tr + r * shared
        df2 = _ratio(denominator**2, ms_tr**2 / ((t - 1) * (r - 1)))
    elif readers == "fixed":
        denominator, df2 = var_error - cov1 + (r - 1) * shared, np.inf
    else:
        denominator, df2 = ms_tr, float((t - 1) * (r - 1))
    if not denominator > 1e-15:
        raise ValueError("ratings: the differences between modalities do not vary over readers and cases; no test")
    f = ms_t / denominator

    components = {
        "ms_t": ms_t,
        "ms_r": ms_r,
        "ms_tr": ms_tr,
        "var_r": (ms_r - ms_tr) / t - cov1 + cov3,
        "var_tr": ms_tr - var_error + cov1 + shared,
        "var_error": var_error,
        "cov1": cov1,
        "cov2": cov2,
        "cov3": cov3,
    }
    components |= {
        "dbm_var_r": components["var_r"],
        "dbm_var_c": n * cov3,
        "dbm_var_tr": components["var_tr"],
        "dbm_var_tc": n * (cov2 - cov3),
        "dbm_var_rc": n * (cov1 - cov3),
        "dbm_var_trc_error": n * (var_error - cov1 - cov2 + cov3),
    }
    return MrmcResult(
        f=float(f),
        df1=df1,
        df2=float(df2),
        p_value=_f_tail(f, df1, df2),
        reader_aucs=pd.DataFrame(theta, reader_names, modality_names),
        modalities=_modality_table(theta, error, modality_names, readers=readers, cases=cases, level=level),
        differences=_difference_table(theta.mean(axis=0), modality_names, np.sqrt(2 / r * denominator), df2, level),
        reader_differences=_reader_table(theta, error, reader_names, modality_names, level),
        components={name: float(value) for name, value in components.items()},
    )


def read_csv(
    path: str | Path, *, truth: Mapping[str, str] | pd.Series, names: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Decisions of real readers, from a file with one reading a line.

    Parameters
    ----------
    path : path
        A CSV with the columns reader, aided (0/1, no/yes or false/true), case and rating (a class name, without regard
        to case). Further columns are left out.
    truth : mapping
        Case → true class. Cases that nobody read are left out.
    names : mapping, optional
        Name of a case in the file → its name in ``truth``, where a patient's id in it is hidden
        (`vcfkit.cohort.sample_names`).

    Returns
    -------
    DataFrame
        Columns reader, modality (unaided, aided), case, truth, rating: what `operating_points`, `accuracies`, `compare`
        and, after `one_vs_rest`, `mrmc_test` take.

    Raises
    ------
    ValueError
        Naming the file and every fault found: missing columns, an empty file, values of aided or rating that are
        neither, cases without a truth, readings given twice or absent.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path.name}: no such file; a CSV with columns reader, aided, case, rating required")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    missing = [column for column in ("reader", "aided", "case", "rating") if column not in frame]
    if missing:
        raise ValueError(
            f"{path.name}: columns {', '.join(missing)} missing (required: reader, aided, case, rating; "
            f"found: {', '.join(frame)})"
        )
    if frame.empty:
        raise ValueError(f"{path.name}: no readings")
    frame = frame.apply(lambda column: column.str.strip())
    if names is not None:
        frame["case"] = frame["case"].map(lambda case: names.get(case, case))
    truth = pd.Series(truth)
    truth.index = truth.index.map(str)
    classes = {str(name).casefold(): name for name in truth.unique()}
    frame["truth"] = frame["case"].map(truth)
    frame["modality"] = frame["aided"].str.casefold().map(_AIDED)
    said, frame["rating"] = frame["rating"], frame["rating"].str.casefold().map(classes)
    faults = [
        f"{column}: {required} required, found {_list(found[unreadable])} in {int(unreadable.sum())} readings"
        for column, required, found, unreadable in (
            ("reader", "a name", frame["reader"], frame["reader"] == ""),
            ("aided", "0 or 1", frame["aided"], frame["modality"].isna()),
            ("case", "a sample of the cohort", frame["case"], frame["truth"].isna()),
            ("rating", f"one of {_list(classes.values())}", said, frame["rating"].isna()),
        )
        if unreadable.any()
    ]
    if faults:
        raise ValueError(f"{path.name}:\n  " + "\n  ".join(faults))
    return _check_design(frame, path.name)


def one_vs_rest(decisions: pd.DataFrame, name: Hashable) -> pd.DataFrame:
    """The ratings frame of one class: truth and rating are 1 where they are class `name`, else 0.

    A decision gives one operating point, whose trapezoidal AUC is (sensitivity + specificity)/2.
    """
    _require_columns(decisions, "decisions")
    if name not in set(decisions["truth"]):
        raise ValueError(f"name: a class of the truth required ({_list(decisions['truth'])}), found {name!r}")
    binary = {column: (decisions[column] == name).astype(int) for column in ("truth", "rating")}
    return decisions[list(COLUMNS)].assign(**binary)


def operating_points(decisions: pd.DataFrame, *, classes: Sequence[Hashable]) -> pd.DataFrame:
    """Sensitivity and specificity of every reader, modality and class, class against the rest.

    Returns
    -------
    DataFrame
        Columns reader, modality, class, n_positive, n_negative, sensitivity, specificity and auc_one_point, the area
        under the two lines through the one point, (sensitivity + specificity)/2. NaN where a class has no case.
    """
    decisions = _check_decisions(decisions, classes)
    rows = []
    for (reader, modality), part in decisions.groupby(["reader", "modality"], sort=True, observed=True):
        for name in classes:
            truth, called = part["truth"] == name, part["rating"] == name
            sensitivity, specificity = (
                _ratio((truth & called).sum(), truth.sum()),
                _ratio((~truth & ~called).sum(), (~truth).sum()),
            )
            rows.append(
                (
                    reader,
                    modality,
                    name,
                    truth.sum(),
                    (~truth).sum(),
                    sensitivity,
                    specificity,
                    (sensitivity + specificity) / 2,
                )
            )
    columns = "reader modality class n_positive n_negative sensitivity specificity auc_one_point"
    return pd.DataFrame(rows, columns=columns.split())


def accuracies(decisions: pd.DataFrame, *, classes: Sequence[Hashable]) -> pd.DataFrame:
    """Two accuracies that papers mix up, for every reader and modality.

    Returns
    -------
    DataFrame
        Columns reader, modality, n; ``accuracy``: the share of cases given their own class; ``accuracy_one_vs_rest``:
        the mean over classes of the share of cases rightly put in or out of the class. With K classes the second is
        1 − 2(1 − accuracy)/K, for three (1 + 2·accuracy)/3: never below one third.
    """
    decisions = _check_decisions(decisions, classes)
    right = (decisions["truth"] == decisions["rating"]).groupby(
        [decisions["reader"], decisions["modality"]], observed=True
    )
    frame = right.agg(n="size", accuracy="mean").reset_index()
    return frame.assign(accuracy_one_vs_rest=1 - 2 * (1 - frame["accuracy"]) / len(classes))


def compare(
    decisions: pd.DataFrame, *, classes: Sequence[Hashable], first: Hashable = "unaided", second: Hashable = "aided"
) -> pd.DataFrame:
    """What each reader gains from `first` to `second` on the same cases, with McNemar's exact test.

    The test takes the cases on which the two decisions are not both right or both wrong (McNemar 1947; exact binomial)
    and is adjusted over the readers, within each quantity, after Holm 1979.

    Returns
    -------
    DataFrame
        Columns reader, quantity, class, n, first, second, difference (second − first), gained, lost (cases right only
        under `second`, only under `first`), p_value, p_holm. Quantities: ``accuracy`` (class "all", all cases);
        ``sensitivity`` of each class, over its cases; ``specificity`` of each class, over the others. A class without
        cases is undefined (NaN), and so is its test.
    """
    decisions = _check_decisions(decisions, classes)
    for argument, modality in (("first", first), ("second", second)):
        if modality not in set(decisions["modality"]):
            raise ValueError(f"{argument}: one of {_list(decisions['modality'])} required, found {modality!r}")
    if first == second:
        raise ValueError(f"first, second: two modalities required, found {first!r} twice")
    rows = []
    for reader, part in decisions.groupby("reader", sort=True, observed=True):
        wide = part.pivot(index="case", columns="modality", values="rating")
        truth = part.drop_duplicates("case").set_index("case")["truth"].reindex(wide.index)
        samples = [("accuracy", "all", truth.notna(), wide.eq(truth, axis=0))]
        for name in classes:
            samples.append(("sensitivity", name, truth == name, wide == name))
            samples.append(("specificity", name, truth != name, wide != name))
        for quantity, name, concerned, right in samples:
            a, b = (right.loc[concerned, modality].to_numpy(int) for modality in (first, second))
            n = len(a)
            at_first, at_second = _ratio(a.sum(), n), _ratio(b.sum(), n)
            test = mcnemar(np.ones(n, int), a, b) if n else McnemarResult(np.nan, np.nan, 0, 0)
            change = (at_second - at_first, test.only_b, test.only_a, test.p_value)
            rows.append((reader, quantity, name, n, at_first, at_second, *change))
    columns = "reader quantity class n first second difference gained lost p_value"
    table = pd.DataFrame(rows, columns=columns.split())
    return table.assign(p_holm=table.groupby(["quantity", "class"])["p_value"].transform(holm))


def _require_columns(frame: pd.DataFrame, argument: str) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"{argument}: a DataFrame with columns {', '.join(COLUMNS)} required, found {type(frame).__name__}"
        )
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(f"{argument}: columns {', '.join(missing)} missing (required: {', '.join(COLUMNS)})")


def _check_design(frame: pd.DataFrame, argument: str) -> pd.DataFrame:
    """The reader frame's columns, complete and crossed; or ValueError with the first offenders."""
    _require_columns(frame, argument)
    frame = frame[list(COLUMNS)].reset_index(drop=True)
    if frame.empty:
        raise ValueError(f"{argument}: no rows")
    if frame.isna().any(axis=None):
        counts = frame.isna().sum()
        raise ValueError(
            f"{argument}: missing values in {', '.join(f'{c} ({n})' for c, n in counts[counts > 0].items())}"
        )
    key = ["reader", "modality", "case"]
    for column in key:
        if len({isinstance(name, str) for name in frame[column]}) > 1:
            raise ValueError(f"{argument}: {column} named by text or by numbers, not both")
    twice = frame.duplicated(key)
    if twice.any():
        raise ValueError(f"{argument}: {int(twice.sum())} readings given twice, first {_where(frame.loc[twice, key])}")
    truths = frame.groupby("case", observed=True)["truth"].nunique()
    if (truths > 1).any():
        raise ValueError(
            f"{argument}: case {truths.index[truths > 1][0]} has {truths.max()} different truths; one required"
        )
    full = pd.MultiIndex.from_product([pd.unique(frame[column]) for column in key], names=key)
    absent = full.difference(pd.MultiIndex.from_frame(frame[key]), sort=False)
    if len(absent):
        raise ValueError(
            f"{argument}: every reader must read every case under every modality; {len(absent)} of {len(full)} are "
            f"absent, first {_where(absent.to_frame(index=False))}. Leave out what is not crossed."
        )
    return frame


def _check_decisions(decisions: pd.DataFrame, classes: Sequence[Hashable]) -> pd.DataFrame:
    if isinstance(classes, str) or len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(f"classes: two or more different names required, found {classes!r}")
    # As plain names: two categoricals compare only where their categories are the same.
    frame = _check_design(decisions, "decisions").astype({"truth": object, "rating": object})
    for column in ("truth", "rating"):
        strangers = set(frame[column]) - set(classes)
        if strangers:
            raise ValueError(f"decisions: {column} out of {_list(classes)} required, found {_list(strangers)}")
    return frame


def _rating_array(ratings: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.Index, pd.Index]:
    """Whether a case is positive, (n_cases,); ratings, (n_readers, n_modalities, n_cases); names of the first axes."""
    frame = _check_design(ratings, "ratings")
    if not pd.api.types.is_numeric_dtype(frame["rating"]) or not np.isfinite(frame["rating"].astype(float)).all():
        raise ValueError(
            f"ratings: rating of finite numbers required, found {frame['rating'].dtype} with {_list(frame['rating'])}"
        )
    if not set(frame["truth"]) <= {0, 1}:
        raise ValueError(f"ratings: truth of 0 and 1 required, found {_list(frame['truth'])}; see one_vs_rest")
    if frame["truth"].nunique() < 2:
        raise ValueError(f"ratings: truth holds one class only ({_list(frame['truth'])}); both required")
    for column in ("reader", "modality"):
        if frame[column].nunique() < 2:
            raise ValueError(
                f"ratings: at least two {column}s required, found {_list(frame[column])}"
                + ("; for one reader compare the two AUCs by metrics.delong_test" if column == "reader" else "")
            )
    wide = frame.pivot(index=["reader", "modality"], columns="case", values="rating").sort_index()
    readers, modalities = wide.index.unique("reader"), wide.index.unique("modality")
    truth = frame.drop_duplicates("case").set_index("case")["truth"].reindex(wide.columns)
    x = wide.to_numpy(np.float64).reshape(len(readers), len(modalities), -1)
    return truth.to_numpy() == 1, x, readers, modalities


def _estimates(
    x: np.ndarray, positive: np.ndarray, *, metric: str, threshold: float | None, covariance: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Estimates, (r, t); their error covariances over cases, (r, t, r, t); how many cases bear on them.

    All three metrics are means of a kernel ψ over pairs of a positive and a negative case: which is rated higher, or
    whether one of them is called right. So one set of covariance formulas serves them.
    """
    r, t, _ = x.shape
    x = x.reshape(r * t, -1)
    high, low = x[:, positive, None], x[:, None, ~positive]  # (r·t, n1, 1), (r·t, 1, n0)
    n1, n0 = high.shape[1], low.shape[2]
    if metric == "auc" and threshold is None:
        psi = (high > low) + 0.5 * (high == low)
    elif metric in ("sensitivity", "specificity") and threshold is not None:
        called = high >= threshold if metric == "sensitivity" else low < threshold
        psi = np.broadcast_to(called, (r * t, n1, n0)).astype(np.float64)
    elif metric in ("auc", "sensitivity", "specificity"):
        raise ValueError(
            f"threshold: a number for sensitivity and specificity, None for auc, found {threshold!r} for {metric}"
        )
    else:
        raise ValueError(f"metric: auc, sensitivity or specificity required, found {metric!r}")
    theta = psi.mean(axis=(1, 2))
    v1, v0 = psi.mean(axis=2) - theta[:, None], psi.mean(axis=1) - theta[:, None]  # components of the cases
    if min(n1, n0) < 2:
        raise ValueError(f"ratings: at least two cases of each truth required, found {n1} of 1 and {n0} of 0")
    n = {"auc": n1 + n0, "sensitivity": n1, "specificity": n0}[metric]
    if covariance == "delong":
        error = v1 @ v1.T / (n1 * (n1 - 1)) + v0 @ v0.T / (n0 * (n0 - 1))
    elif covariance == "jackknife":
        # Without positive case i the estimate moves by −v1ᵢ/(n1 − 1); the movements of each class sum to nothing.
        left_out = np.concatenate([v1 / (n1 - 1), v0 / (n0 - 1)], axis=1)
        error = (n - 1) / n * left_out @ left_out.T
    elif covariance == "unbiased":
        error = _unbiased(psi)
    else:
        raise ValueError(f"covariance: jackknife, delong or unbiased required, found {covariance!r}")
    return theta.reshape(r, t), error.reshape(r, t, r, t), n


def _unbiased(psi: np.ndarray) -> np.ndarray:
    """Cov(θa, θb) = E[θa θb] − E[θa]E[θb], each from the pairs of pairs that share the right cases (Gallas 2006)."""
    _, n1, n0 = psi.shape
    both = np.einsum("aij,bij->ab", psi, psi)
    same_positive = np.einsum("ai,bi->ab", psi.sum(axis=2), psi.sum(axis=2)) - both
    same_negative = np.einsum("aj,bj->ab", psi.sum(axis=1), psi.sum(axis=1)) - both
    total = psi.sum(axis=(1, 2))
    neither = np.outer(total, total) - same_positive - same_negative - both
    product = np.outer(total, total) / (n1 * n0) ** 2
    return product - neither / (n1 * n0 * (n1 - 1) * (n0 - 1))


def _anova(theta: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of modality, reader and their interaction in the table of estimates, (r, t)."""
    r, t = theta.shape
    modality, reader, grand = theta.mean(axis=0), theta.mean(axis=1), theta.mean()
    rest = theta - modality - reader[:, None] + grand
    return (
        r * ((modality - grand) ** 2).sum() / (t - 1),
        t * ((reader - grand) ** 2).sum() / (r - 1),
        (rest**2).sum() / ((r - 1) * (t - 1)),
    )


def _covariance_means(error: np.ndarray) -> tuple[float, float, float, float]:
    """Cov1, Cov2, Cov3, Var(error): means of the error covariances, (r, t, r, t), of each kind."""
    r, t = error.shape[:2]
    same_reader = np.eye(r, dtype=bool)[:, None, :, None] & np.ones((1, t, 1, t), dtype=bool)
    same_modality = np.eye(t, dtype=bool)[None, :, None, :] & np.ones((r, 1, r, 1), dtype=bool)
    kinds = (
        same_reader & ~same_modality,
        ~same_reader & same_modality,
        ~same_reader & ~same_modality,
        same_reader & same_modality,
    )
    return tuple(float(error[kind].mean()) for kind in kinds)


def _modality_table(
    theta: np.ndarray, error: np.ndarray, names: pd.Index, *, readers: str, cases: str, level: float
) -> pd.DataFrame:
    """Mean over readers of each modality, from that modality's readings alone (Hillis 2007, single-modality df)."""
    from scipy.stats import t as student

    r = len(theta)
    rows = []
    for i, name in enumerate(names):
        ms_r, block = theta[:, i].var(ddof=1), error[:, i, :, i]
        shared = max(block[~np.eye(r, dtype=bool)].mean(), 0.0)
        if readers == "fixed":
            variance, df = (np.diag(block).mean() + (r - 1) * shared) / r, np.inf
        else:
            shared = shared if cases == "random" else 0.0
            variance = (ms_r + r * shared) / r
            df = _ratio((ms_r + r * shared) ** 2, ms_r**2 / (r - 1))
        mean, se = theta[:, i].mean(), np.sqrt(max(variance, 0.0))
        half = student.ppf((1 + level) / 2, df) * se if se > 0 else 0.0
        rows.append((name, mean, se, df, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["modality", "estimate", "se", "df", "low", "high"]).set_index("modality")


def _difference_table(means: np.ndarray, names: pd.Index, se: float, df: float, level: float) -> pd.DataFrame:
    from scipy.stats import t as student

    rows = []
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            difference, half = means[i] - means[j], student.ppf((1 + level) / 2, df) * se
            p_value = 2 * student.sf(abs(difference) / se, df)
            rows.append(
                (names[i], names[j], difference, se, df, difference / se, p_value, difference - half, difference + half)
            )
    return pd.DataFrame(rows, columns=["first", "second", "difference", "se", "df", "t", "p_value", "low", "high"])


def _reader_table(
    theta: np.ndarray, error: np.ndarray, readers: pd.Index, names: pd.Index, level: float
) -> pd.DataFrame:
    """Differences of one reader from that reader's variance and Cov1, both means over modalities (a z test)."""
    from scipy.stats import norm

    t = len(names)
    rows = []
    for k, reader in enumerate(readers):
        block = error[k, :, k, :]
        se = np.sqrt(max(2 * (np.diag(block).mean() - block[~np.eye(t, dtype=bool)].mean()), 0.0))
        for i in range(t):
            for j in range(i + 1, t):
                difference, half = theta[k, i] - theta[k, j], norm.ppf((1 + level) / 2) * se
                z = difference / se if se > 0 else np.nan  # ratings that never vary have no sampling error
                rows.append(
                    (
                        reader,
                        names[i],
                        names[j],
                        difference,
                        se,
                        z,
                        2 * norm.sf(abs(z)),
                        difference - half,
                        difference + half,
                    )
                )
    return pd.DataFrame(rows, columns=["reader", "first", "second", "difference", "se", "z", "p_value", "low", "high"])


def _f_tail(f: float, df1: int, df2: float) -> float:
    from scipy.stats import chi2
    from scipy.stats import f as fisher

    # Beyond 1e8 (readers who all gain alike) the two agree to nine digits, and scipy's F loses its way.
    return float(chi2.sf(f * df1, df1) if df2 > 1e8 else fisher.sf(f, df1, df2))


def _ratio(numerator: float, denominator: float) -> float:
    if denominator > 0:
        return float(numerator / denominator)
    return np.inf if numerator > 0 else np.nan


def _list(values: object) -> str:
    names = [str(value) for value in pd.unique(pd.Series(list(values)))]
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def _where(rows: pd.DataFrame) -> str:
    return ", ".join(f"{column} {value}" for column, value in rows.iloc[0].items())
