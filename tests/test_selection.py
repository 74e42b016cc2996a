"""Selection steps against scikit-learn and plain code; classifiers; stability of a selection."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Lasso, LassoCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from vcfkit import radiomics
from vcfkit.selection import (
    CLASSIFIERS,
    CorrelationFilter,
    IccFilter,
    LassoSelector,
    SpearmanFilter,
    deep_selection,
    handcrafted_selection,
    lasso_selection,
    search,
    selection_stability,
    step_counts,
)


@pytest.fixture
def cohort():
    """80 rows × 60 features of 12 latent ones, a label that hangs on two of these, and a second delineation."""
    rng = np.random.default_rng(3)
    latent = rng.normal(size=(80, 12))
    values = latent @ rng.normal(size=(12, 60)) + rng.normal(scale=0.4, size=(80, 60))
    values[:, 50:55] = values[:, :5] + rng.normal(scale=0.01, size=(80, 5))  # near copies
    names = [f"f{k}" for k in range(60)]
    frame = pd.DataFrame(values, columns=names, index=[f"P-{k}" for k in range(80)])
    y = (latent[:, 0] - latent[:, 1] + rng.normal(scale=0.7, size=80) > 0).astype(int)
    noise = np.where(np.arange(60) % 10 == 9, 5.0, 0.05)  # every tenth feature is not reproducible
    again = frame.iloc[:30] + rng.normal(size=(30, 60)) * noise
    return frame, y, again


def standardised(frame):
    return (frame - frame.mean()) / frame.std(ddof=0)


# --- ICC --------------------------------------------------------------------------------------------------------------


def test_icc_filter_keeps_what_every_reading_agrees_on(cohort):
    frame, _, again = cohort
    fitted = IccFilter({"intra": again, "inter": again.iloc[5:25]}).fit(frame)
    assert [name for name, kept in zip(frame, fitted.support_, strict=True) if not kept] == [
        f"f{k}" for k in range(9, 60, 10)
    ]
    assert fitted.icc_.loc["f3", "intra"] == radiomics.icc(np.column_stack([frame["f3"].iloc[:30], again["f3"]]))
    assert fitted.n_rows_ == {"intra": 30, "inter": 20}


def test_icc_filter_looks_at_rows_it_is_given_and_no_others(cohort):
    frame, _, again = cohort
    half = frame.iloc[15:]
    spoilt = again.copy()
    spoilt.iloc[:15] = 1e6  # readings of rows that are not training rows
    expected = IccFilter({"intra": again}).fit(half)
    pd.testing.assert_frame_equal(IccFilter({"intra": spoilt}).fit(half).icc_, expected.icc_)
    with pytest.raises(ValueError, match="two rows of the features delineated again required, 0"):
        IccFilter({"intra": again}).fit(frame.iloc[40:])


def test_a_row_that_stands_twice_counts_once(cohort):
    frame, _, again = cohort
    twice = pd.concat([frame, frame.iloc[:10]])
    pd.testing.assert_frame_equal(IccFilter({"a": again}).fit(twice).icc_, IccFilter({"a": again}).fit(frame).icc_)


def test_icc_filter_names_missing_features_and_an_empty_result(cohort):
    frame, _, again = cohort
    with pytest.raises(ValueError, match=r"readings\['intra'\]: 1 features are missing, first f7"):
        IccFilter({"intra": again.drop(columns="f7")}).fit(frame)
    with pytest.raises(ValueError, match=r"none of 60 features is left; no ICC reaches 1\.1"):
        IccFilter({"intra": again}, threshold=1.1).fit(frame)
    with pytest.raises(ValueError, match="DataFrame"):
        IccFilter({"intra": again}).fit(frame.to_numpy())


# --- Spearman ---------------------------------------------------------------------------------------------------------


def plain_greedy(frame, threshold):
    """The rule of `SpearmanFilter`, word for word, with pandas."""
    left = [name for name in frame if frame[name].nunique() > 1]
    while True:
        rho = frame[left].corr("spearman").abs()
        rho = rho.where(~np.eye(len(left), dtype=bool), 0)
        partners = (rho > threshold).sum()
        if partners.max() == 0:
            return left
        most = rho[partners[partners == partners.max()].index].sum()
        left.remove(most[most >= most.max() - 1e-9].index[-1])


@pytest.mark.parametrize("threshold", [0.9, 0.6, 0.3])
def test_spearman_filter_equals_the_rule_written_out(cohort, threshold):
    frame = cohort[0].assign(flat=1.0)
    fitted = SpearmanFilter(threshold).set_output(transform="pandas").fit(frame)
    assert list(fitted.transform(frame).columns) == plain_greedy(frame, threshold)
    assert fitted.n_constant_ == 1
    left = fitted.transform(frame).corr("spearman").abs().to_numpy()
    assert left[~np.eye(len(left), dtype=bool)].max() <= threshold


def test_spearman_filter_of_constant_features_is_refused():
    with pytest.raises(ValueError, match="none of 4 features is left; all are constant"):
        SpearmanFilter().fit(np.ones((10, 4)))
    with pytest.raises(ValueError, match="not finite"):
        SpearmanFilter().fit(np.array([[1.0, np.nan], [2.0, 3.0]]))


# --- LASSO ------------------------------------------------------------------------------------------------------------


def test_lasso_equals_scikit_learns_coordinate_descent(cohort):
    frame, y, _ = cohort
    x = standardised(frame)
    ours = LassoSelector(folds=10, seed=1).fit(x, y)
    folds = StratifiedKFold(10, shuffle=True, random_state=1)
    theirs = LassoCV(alphas=ours.alphas_, cv=list(folds.split(x, y)), tol=1e-9, max_iter=1_000_000).fit(x, y)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, atol=1e-6)
    assert ours.alpha_ == pytest.approx(theirs.alpha_, rel=1e-12)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_array_equal(ours.support_, theirs.coef_ != 0)
    np.testing.assert_allclose(ours.score_of(x), theirs.predict(x), atol=1e-6)
    k = int(np.flatnonzero(ours.alphas_ == ours.alpha_)[0])
    np.testing.assert_allclose(ours.coef_path_[:, k], ours.coef_)
    assert not ours.coef_path_[:, 0].any()  # nothing has entered at the first penalty
    last = Lasso(alpha=ours.alphas_[-1], tol=1e-10, max_iter=1_000_000).fit(x, y)
    np.testing.assert_allclose(ours.coef_path_[:, -1], last.coef_, atol=1e-5)


def test_lasso_works_where_features_outnumber_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 300))
    y = (x[:, 5] + 0.3 * rng.normal(size=40) > 0).astype(int)
    fitted = LassoSelector(folds=5).fit(standardised(pd.DataFrame(x)), y)
    assert fitted.support_[5]
    assert 1 <= fitted.support_.sum() < 40


def test_lasso_keeps_one_feature_where_none_beats_the_mean():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(60, 3)), np.repeat([0, 1], 30)
    chosen = [LassoSelector(seed=seed).fit(x, y) for seed in range(12)]
    forced = [fitted for fitted in chosen if fitted.forced_]
    assert forced
    assert all(fitted.support_.sum() == 1 for fitted in forced)


def test_where_none_beats_the_mean_all_that_enter_first_are_kept():
    x, y = np.random.default_rng(1).normal(size=(60, 20)), np.repeat([0, 1], 30)
    fitted = LassoSelector(folds=5).fit(x, y)
    assert fitted.forced_
    assert not fitted.coef_path_[:, fitted.mse_path_.mean(axis=1).argmin()].any()
    first = np.flatnonzero(fitted.coef_path_.any(axis=0))[0]
    assert fitted.alpha_ == fitted.alphas_[first]
    assert fitted.support_.sum() == np.count_nonzero(fitted.coef_path_[:, first]) == 4


def test_lasso_wants_a_row_of_each_class_in_each_fold(cohort):
    frame, y, _ = cohort
    few = np.flatnonzero(y == 1)[:6].tolist() + np.flatnonzero(y == 0).tolist()
    with pytest.raises(ValueError, match=r"10 rows or more for as many folds required, found rows per class .*1\.0: 6"):
        LassoSelector().fit(frame.iloc[few], y[few])
    with pytest.raises(ValueError, match="two classes or more"):
        LassoSelector().fit(frame, np.ones(len(frame)))
    with pytest.raises(ValueError, match="no feature varies with y"):
        LassoSelector().fit(np.ones((80, 2)), y)


def test_a_constant_column_gets_no_coefficient(cohort):
    frame, y, _ = cohort
    wide = frame.assign(flat=3.0)
    fitted = lasso_selection().fit(wide, y)
    assert "flat" not in fitted.transform(wide)


# --- correlation ------------------------------------------------------------------------------------------------------


def test_correlation_filter_keeps_the_better_of_a_pair(cohort):
    frame, y, _ = cohort
    fitted = CorrelationFilter(0.5).set_output(transform="pandas").fit(frame, y)
    kept = list(fitted.transform(frame).columns)
    r = frame.corr().abs()
    with_y = frame.corrwith(pd.Series(y, frame.index)).abs()
    assert with_y.idxmax() in kept
    assert r.loc[kept, kept].to_numpy()[~np.eye(len(kept), dtype=bool)].max() <= 0.5
    for name in frame.columns.difference(kept):  # whoever went had a better one above the threshold
        assert any(r.loc[name, other] > 0.5 and with_y[other] >= with_y[name] for other in kept)


# --- pipelines --------------------------------------------------------------------------------------------------------


def test_counts_in_and_out_of_every_step(cohort):
    frame, y, again = cohort
    whole = handcrafted_selection({"intra": again}).fit(frame, y)
    counts = step_counts(whole)
    assert counts["step"].tolist() == ["icc", "spearman", "lasso", "correlation"]
    assert counts["n_in"].iloc[0] == 60
    assert (counts["n_in"].iloc[1:].to_numpy() == counts["n_out"].iloc[:-1].to_numpy()).all()
    chosen = whole.transform(frame)
    assert chosen.shape == (80, counts["n_out"].iloc[-1])
    assert set(chosen.columns) <= set(frame.columns)
    deep = deep_selection(components=20).fit(frame, y)
    assert step_counts(deep)[["n_in", "n_out"]].iloc[0].tolist() == [60, 20]
    assert all(name.startswith("pca") for name in deep.transform(frame).columns)


def test_nothing_is_fitted_on_rows_that_are_only_transformed(cohort):
    frame, y, again = cohort
    training, others = frame.iloc[:60], frame.iloc[60:]
    fitted = handcrafted_selection({"intra": again}).fit(training, y[:60])
    alone = fitted.transform(others.iloc[:1])
    pd.testing.assert_frame_equal(alone, fitted.transform(others).iloc[:1])
    scale = fitted.named_steps["scale"]
    stable = fitted.named_steps["spearman"].get_feature_names_out()
    np.testing.assert_allclose(scale.mean_, training[list(stable)].mean(), rtol=1e-12)


def test_selection_inside_cross_validation_sees_noise_for_what_it_is():
    """Selected on all rows, noise predicts; selected anew in each fold, it does not (Ambroise & McLachlan 2002)."""
    rng = np.random.default_rng(0)
    noise = pd.DataFrame(rng.normal(size=(60, 400)), columns=[f"f{k}" for k in range(400)])
    y = np.repeat([0, 1], 30)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    select = make_pipeline(clone(lasso_selection()), SVC())
    inside = cross_val_score(select, noise, y, cv=folds, scoring="roc_auc").mean()
    chosen = lasso_selection().fit(noise, y).transform(noise)
    outside = cross_val_score(make_pipeline(StandardScaler(), SVC()), chosen, y, cv=folds, scoring="roc_auc").mean()
    assert inside < 0.65
    assert outside > inside + 0.1


# --- classifiers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_learn_and_repeat_themselves(cohort, name, recwarn):
    frame, y, _ = cohort
    x = standardised(frame[frame.corrwith(pd.Series(y, frame.index)).abs().nlargest(6).index])
    first, second = (search(name, x.iloc[:60], y[:60], trees=20) for _ in range(2))
    probability = first.predict_proba(x.iloc[60:])
    np.testing.assert_array_equal(probability, second.predict_proba(x.iloc[60:]))
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    assert roc_auc_score(y[:60], first.predict_proba(x.iloc[:60])[:, 1]) > 0.7
    assert first.best_params_
    assert not recwarn.list


def test_three_classes_are_searched_by_the_mean_of_their_aucs(cohort):
    frame, y, _ = cohort
    three = y + (frame["f3"].to_numpy() > 1)
    found = search("LR", standardised(frame), three)
    assert found.scoring == "roc_auc_ovr"
    assert found.predict_proba(standardised(frame)).shape == (80, 3)


def test_a_class_absent_from_a_fold_is_refused_by_name(cohort):
    frame, y, _ = cohort
    few = np.flatnonzero(y == 1)[:3].tolist() + np.flatnonzero(y == 0).tolist()
    with pytest.raises(ValueError, match=r"KNN: 5 folds need two classes of at least 5 rows each, found .*1: 3"):
        search("KNN", frame.iloc[few], y[few])
    with pytest.raises(ValueError, match="classifier 'CNN' unknown; known: SVM"):
        search("CNN", frame, y)


# --- stability --------------------------------------------------------------------------------------------------------


def test_stability_of_equal_random_and_disjoint_selections():
    same = np.tile([1, 0, 1, 0, 0], (10, 1))
    assert selection_stability(same) == pytest.approx((1, 1, 1))
    rng = np.random.default_rng(0)
    by_chance = selection_stability(rng.random((400, 200)) < 0.1)
    assert by_chance.low < 0 < by_chance.high
    assert selection_stability(np.eye(4)).estimate == pytest.approx(-1 / 3)  # as unlike as they can be: −1/(M − 1)
    assert np.isnan(selection_stability(np.zeros((3, 5)))).all()
    with pytest.raises(ValueError, match="two runs or more"):
        selection_stability([[1, 0]])


def test_stability_of_equal_sizes_is_kunchevas_index():
    """Nogueira 2018, theorem: with k features a run it is Kuncheva's (2007) mean over pairs, (r − k²/d)/(k − k²/d)."""
    rng = np.random.default_rng(1)
    d, k = 30, 6
    runs = np.array([np.isin(np.arange(d), rng.permutation(12)[:k]) for _ in range(8)]).astype(int)
    pairs = [(a & b).sum() for i, a in enumerate(runs) for b in runs[:i]]
    kuncheva = np.mean([(r - k * k / d) / (k - k * k / d) for r in pairs])
    assert selection_stability(runs).estimate == pytest.approx(kuncheva, abs=1e-12)
