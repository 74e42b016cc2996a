"""Figures draw the numbers they return."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, roc_auc_score

from vcfkit import figures, metrics, readers

mpl.use("Agg")
CLASSES = ("acute", "chronic", "pathologic")


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    return np.asarray(CLASSES)[rng.integers(0, 3, 80)], rng.dirichlet([1, 1, 1], 80)


def test_area_under_the_drawn_curve_is_the_reported_auc(predictions):
    _, ax = figures.plt.subplots()
    drawn = figures.roc_one_vs_rest(*predictions, classes=CLASSES, auc_text=dict.fromkeys(CLASSES, ""), ax=ax)
    for k, name in enumerate(CLASSES):
        curve = drawn[drawn["class"] == name]
        area = auc(curve["false_positive_rate"], curve["sensitivity"])
        expected = metrics.weighted_auc(predictions[0] == name, predictions[1][:, k], np.ones((1, 80)))[0]
        assert area == pytest.approx(expected)
        assert np.array_equal(ax.lines[k].get_ydata(), curve["sensitivity"])


def test_a_class_without_rows_has_no_curve_and_the_legend_says_so(predictions):
    keep = predictions[0] != "pathologic"
    _, ax = figures.plt.subplots()
    drawn = figures.roc_one_vs_rest(
        predictions[0][keep], predictions[1][keep], classes=CLASSES, auc_text=dict.fromkeys(CLASSES, ""), ax=ax
    )
    assert "pathologic" not in set(drawn["class"])
    assert any("no curve (n = 0)" in text.get_text() for text in ax.get_legend().get_texts())


def test_confusion_shares_sum_to_one_by_true_class_and_show_counts(predictions):
    counts = metrics.confusion(*predictions, classes=CLASSES)
    _, ax = figures.plt.subplots()
    shares = figures.confusion(counts, ax=ax)
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert {text.get_text().split("\n")[1] for text in ax.texts} == {f"({n})" for n in counts.to_numpy().ravel()}


def test_classes_differ_by_line_style_as_well_as_colour():
    colours, lines, markers = zip(*figures.CYCLE, strict=True)
    assert len(set(colours)) == len({str(line) for line in lines}) == len(set(markers)) == len(figures.CYCLE)


def test_styles_do_not_leak_into_matplotlibs_settings():
    before = mpl.rcParams["font.size"]
    figures.learning_curve(pd.DataFrame({"epoch": [1, 2], "training_loss": [1, 0.5], "training_accuracy": [0.5, 0.6]}))
    assert mpl.rcParams["font.size"] == before


def test_reader_points_are_the_operating_points_hollow_without_the_model_and_filled_with_it():
    rows = [
        ("A", m, case, truth, said)
        for m, said in (("unaided", "x"), ("aided", "y"))
        for case, truth in enumerate("xxyy")
    ]
    points = readers.operating_points(pd.DataFrame(rows, columns=readers.COLUMNS), classes=["x", "y"])
    _, ax = figures.plt.subplots()
    drawn = figures.reader_points(points, name="x", ax=ax).set_index("modality")
    assert drawn.loc["unaided", ["false_positive_rate", "sensitivity"]].tolist() == [1, 1]
    assert drawn.loc["aided", ["false_positive_rate", "sensitivity"]].tolist() == [0, 0]
    marks = {line.get_label(): line for line in ax.lines}
    assert marks["A, unaided"].get_markerfacecolor() == "none"
    assert marks["A, aided"].get_markerfacecolor() == marks["A, aided"].get_color()


def test_both_accuracies_of_one_set_of_decisions_lie_on_the_drawn_line():
    points = pd.DataFrame({"source": "ours", "name": ["a", "b"], "plain": [0.4, 0.7], "one_vs_rest": [0.6, 0.8]})
    figure, drawn = figures.accuracy_identity(points)
    x, y = figure.axes[0].lines[0].get_data()
    assert np.interp(drawn["plain"], x, y) == pytest.approx(drawn["one_vs_rest"])


def test_architecture_draws_a_block_per_stage_and_the_input():
    stages = pd.DataFrame({"stage": ["a", "b"], "what": ["w", "v"], "channels": [4, 2], "side": [8, 1]})
    figure, drawn = figures.architecture(stages, size=16)
    assert len(figure.axes[0].patches) >= 1 + len(drawn)
    heights = [patch.get_height() for patch in figure.axes[0].patches if isinstance(patch, mpl.patches.Rectangle)]
    assert heights == sorted(heights, reverse=True)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"3 × 16²", "4 × 8²", "2"} <= texts


def test_residual_blocks_name_every_layer():
    blocks = {"plain": (["conv"], []), "with 1×1": (["other"], ["1×1"])}
    words = [{text.get_text() for text in ax.texts} for ax in figures.residual_blocks(blocks).axes]
    assert {"conv", "unchanged"} <= words[0]
    assert {"other", "1×1"} <= words[1]


def test_lasso_nomogram_calibration_and_decision_curves_draw_what_they_are_given():
    import numpy as np
    import pandas as pd

    from vcfkit import decision, figures, selection

    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(60, 12)), columns=[f"f{k}" for k in range(12)])
    y = (x["f3"] + rng.normal(size=60) > 0).astype(int)
    lasso = selection.LassoSelector(folds=5).fit(x, y)
    figure, drawn = figures.lasso(lasso, x.columns, most=3)
    assert len(drawn) == lasso.support_.sum()
    assert len(figure.axes[2].patches) == min(3, len(drawn))
    assert len(figure.axes[0].lines) == 12 + 1  # and the line at λ

    axes = decision.Nomogram({"age": 0.03, "sex": {"M": 0.0, "F": -1.2}}, -2.7, {"age": (15, 85)}).axes()
    figure, drawn = figures.nomogram(axes, labels={"age": "Age (years)"})
    assert drawn["axis"].unique().tolist() == list(axes)
    assert "Age (years)" in [text.get_text() for text in figure.axes[0].texts]

    with figures.style():
        _, ax = figures.plt.subplots()
        curves = decision.decision_curve(y, {"a": np.full(60, 0.5)}, thresholds=[0.1, 0.3], n_resamples=20)
        assert figures.decision_curves(curves, bands=["a"], ax=ax) is curves
        assert len(ax.lines) == 3 + 2  # and both ends of the band
        assert len(ax.collections) == 1
        assert [text.get_text() for text in ax.get_legend().get_texts()] == [
            "a",
            "a, 95 % band",
            "treat all",
            "treat none",
        ]
        assert ax.get_ylim()[1] >= curves.loc[curves["model"] == "a", "high"].max()
        ax.figure.draw_without_rendering()
        assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1  # beside the curves
        _, ax = figures.plt.subplots()
        corners = figures.roc_of_models(y, {"a": x["f3"], "b": -x["f3"]}, auc_text={"a": "", "b": ""}, ax=ax)
        assert corners["model"].unique().tolist() == ["a", "b"]
    figures.plt.close("all")


def test_areas_under_averaged_curves_are_scikit_learns():
    rng = np.random.default_rng(0)
    classes = ["a", "b", "c"]
    y = np.array(classes)[rng.integers(0, 3, 80)]
    p = rng.dirichlet([1, 1, 1], 80) + 0.4 * (y[:, None] == np.array(classes))
    _, ax = plt.subplots()
    areas = figures.roc_averages(y, p, classes=classes, ax=ax)
    truth = y[:, None] == np.array(classes)
    assert areas["micro"] == pytest.approx(roc_auc_score(truth.ravel(), p.ravel()))
    assert areas["macro"] == pytest.approx(roc_auc_score(truth, p, average="macro"), abs=0.02)
    assert areas["macro"] != roc_auc_score(truth, p, average="macro"), "the mean curve is not the mean of the areas"
    plt.close("all")


def test_a_legend_below_covers_no_curve_and_digits_are_those_asked_for():
    rng = np.random.default_rng(0)
    y, p = np.array(["a", "b"])[rng.integers(0, 2, 40)], rng.dirichlet([1, 1], 40)
    with figures.style():
        figure, ax = plt.subplots()
        areas = figures.roc_averages(y, p, classes=["a", "b"], ax=ax, digits=2)
        figures.legend_below(ax)
        figure.canvas.draw()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == [f"{name} curve: {area:.2f}" for name, area in areas.items()]
    assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0
    plt.close("all")


def test_decision_paths_end_at_the_scores_and_bars_show_every_class():
    rng = np.random.default_rng(1)
    values, features = rng.normal(size=(6, 3)), ["one", "two", "three"]
    _, ax = plt.subplots()
    ends = figures.shap_decision(values, 0.25, features, groups=list("aabbcc"), ax=ax)
    assert ends == pytest.approx(0.25 + values.sum(axis=1))
    values[5] *= 100
    for draw in (figures.shap_swarm, figures.shap_decision):
        _, ax = plt.subplots()
        more = (pd.DataFrame(values, columns=features),) if draw is figures.shap_swarm else (0.25, features)
        options = {} if draw is figures.shap_swarm else {"groups": list("aabbcc")}
        draw(values, *more, **options, ax=ax, unit="softmax input", fit=np.arange(6) < 5)
        fitted = values[:5] if draw is figures.shap_swarm else 0.25 + values[:5, ::-1].cumsum(axis=1)
        low, high = ax.get_xlim()
        assert low < fitted.min() < fitted.max() < high, "the fitted rows lie on the axis"
        assert max(-low, high) < np.abs(values[5]).max() / 5, "the far row does not stretch it"
        assert "(softmax input)" in ax.get_xlabel()
    importance = pd.DataFrame(np.abs(rng.normal(size=(3, 2))), index=features, columns=["p", "q"])
    _, ax = plt.subplots()
    figures.shap_importance(importance, ax=ax)
    widths = [patch.get_width() for patch in ax.patches]
    assert sum(widths) == pytest.approx(importance.to_numpy().sum())
    table = figures.paired_seeds(
        pd.DataFrame({"seed": [0, 0, 1, 1], "model": ["a", "b"] * 2, "auc": [0.6, 0.5, 0.7, 0.65]}), value="auc", ax=ax
    )
    assert table.to_numpy().tolist() == [[0.6, 0.5], [0.7, 0.65]]
    plt.close("all")


def test_a_decision_plot_of_many_features_draws_the_last_as_one_step_to_the_same_score():
    values = np.random.default_rng(0).normal(size=(4, 60))
    _, ax = plt.subplots()
    ends = figures.shap_decision(values, 0.5, [f"f{k}" for k in range(60)], groups=list("aabb"), ax=ax)
    assert ends == pytest.approx(0.5 + values.sum(axis=1))
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names[0] == "36 others"
    assert names[1:] == [f"f{k}" for k in reversed(range(24))]
    assert len(ax.lines[0].get_xdata()) == figures.MOST_STEPS + 1
    plt.close("all")


def test_precision_recall_curves_have_scikit_learns_average_precision():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    positive = rng.random(60) < 0.3
    score = np.clip(0.4 * positive + rng.random(60) * 0.6, 0, 1)
    both, y_true = np.stack([1 - score, score], axis=1), np.where(positive, "fresh", "none")
    _, ax = plt.subplots()
    found = figures.pr_one_vs_rest(y_true, both, classes=("none", "fresh"), ax=ax)
    assert found["fresh"] == pytest.approx(average_precision_score(positive, score))
    assert found["macro"] == pytest.approx((found["none"] + found["fresh"]) / 2)
    pooled = average_precision_score(np.stack([~positive, positive], axis=1).ravel(), both.ravel())
    assert found["micro"] == pytest.approx(pooled)
    assert len(ax.lines) == 4


def test_intervals_are_drawn_where_they_belong_and_undefined_points_left_out():
    index = pd.MultiIndex.from_tuples([("TP", "A"), ("FN", "A"), ("TP", "B")])
    table = pd.DataFrame({"share": [0.5, np.nan, 0.2], "share_low": [0.4, np.nan, 0.1]}, index=index)
    table["share_high"] = table["share"] + 0.2
    _, ax = plt.subplots()
    drawn = figures.intervals(table, "share", groups=["TP", "FN"], series=["A", "B"], ax=ax)
    assert drawn["series"].tolist() == ["A", "B"]
    assert [bar.get_segments()[0][:, 1].tolist() for bar in ax.collections] == [[0.4, 0.7], [0.1, 0.4]]


def test_boxes_on_a_montage_frame_their_pixels():
    images = np.zeros((1, 8, 8), dtype=np.uint8)
    boxes = [{"fresh": np.array([[1, 2, 4, 6]]), "old": np.zeros((0, 4))}]
    figure = figures.montage(images, ["a"], columns=1, boxes=boxes)
    (frame,) = figure.axes[0].patches
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (0.5, 1.5, 3, 4)
