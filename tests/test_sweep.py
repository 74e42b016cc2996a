"""The effect sweep keeps virtual patients apart and goes on where it stopped; the phantom's benchmark counts fairly."""

import dataclasses

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

from vcfkit import bench, studies

matplotlib.use("Agg")
SMALL = {task.stem[:2]: dataclasses.replace(task, n_train=12, n_test=12, epochs=1) for task in studies.TASKS}


class Toy:
    """A task whose pictures are noise, brighter by ``40 · effect`` in the second class; counts what was asked of it."""

    def __init__(self):
        self.rendered = 0

    def rows(self, seed, effect):
        label = np.where(np.arange(40) % 2, "b", "a")
        names = [f"patient {k // 2}" for k in range(40)]
        return pd.DataFrame(
            {"patient_id": names, "label": label, "image": [f"{seed} {effect} {k}" for k in range(40)]}
        ).assign(age=60.0 + np.arange(40), sex="F", level="L1")

    def pictures(self, rows, size):
        self.rendered += len(rows)
        effect = rows["image"].str.split().str[1].astype(float).to_numpy()
        seed = int(rows["image"].iloc[0].split()[0])  # training and testing must not share their noise
        noise = np.random.default_rng(seed).normal(128, 20, (len(rows), size, size))
        noise += (40 * effect * (rows["label"] == "b").to_numpy())[:, None, None]
        return torch.as_tensor(noise).clamp(0, 255).round().to(torch.uint8)

    def task(self, **changes):
        recipe = {"size": 32, "n_train": 60, "n_test": 60, "epochs": 4} | changes
        return studies.Task("00_toy", ("a", "b"), self.rows, self.pictures, **recipe)


@pytest.fixture(scope="module")
def toy_sweep(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "effect_sweep.csv"
    return path, studies.effect_sweep(path, tasks=(Toy().task(),), effects=(0.0, 1.0))


@pytest.mark.parametrize("number", sorted(SMALL))
def test_no_virtual_patient_is_trained_and_tested_on_and_classes_are_equal(number):
    task = SMALL[number]
    training = studies.balanced(task, 1.0, 12, first_seed=0)
    testing = studies.balanced(task, 1.0, 12, first_seed=studies.TEST_SEED)
    assert not set(training["patient_id"]) & set(testing["patient_id"])
    assert not set(training["image"]) & set(testing["image"])
    for rows in (training, testing):
        assert rows["label"].value_counts().to_dict() == dict.fromkeys(task.classes, 12 // len(task.classes))


def test_a_cohort_too_small_is_followed_by_the_next_seed_under_other_names():
    rows = studies.balanced(Toy().task(), 0.0, 60, first_seed=3)
    assert {name.split("/")[0] for name in rows["patient_id"]} == {"3", "4"}
    assert rows["label"].value_counts().to_dict() == {"a": 30, "b": 30}


def test_a_class_that_no_cohort_has_is_refused():
    task = dataclasses.replace(Toy().task(), classes=("a", "c"))
    with pytest.raises(ValueError, match="30 rows of each"):
        studies.balanced(task, 0.0, 60, first_seed=0)


@pytest.mark.parametrize("number", sorted(SMALL))
def test_pictures_follow_their_rows(number):
    task = SMALL[number]
    rows = studies.balanced(task, 1.0, 6, first_seed=0)
    pictures = task.pictures(rows, task.size)
    assert pictures.shape == (len(rows), task.size, task.size)
    assert pictures.dtype == torch.uint8
    last = task.pictures(rows.iloc[-1:].reset_index(drop=True), task.size)
    assert torch.equal(pictures[-1:], last)


def test_the_effect_shows_and_without_one_the_interval_holds_a_half(toy_sweep):
    table = toy_sweep[1].set_index("effect")
    assert table.loc[0.0, "low"] <= 0.5 <= table.loc[0.0, "high"]
    assert table.loc[1.0, "auc"] > 0.95
    assert (table["n_test"] == 60).all()
    assert (table["scale"] == "reduced").all()


def test_the_clinical_column_reads_no_picture(toy_sweep):
    assert toy_sweep[1]["clinical_auc"].nunique() == 1  # the same persons at either effect


def test_a_finished_pair_is_not_run_again_and_the_file_is_the_table(toy_sweep, tmp_path):
    path = tmp_path / "sweep.csv"
    path.write_bytes(toy_sweep[0].read_bytes())
    toy = Toy()
    again = studies.effect_sweep(path, tasks=(toy.task(),), effects=(0.0, 1.0))
    assert toy.rendered == 0
    pd.testing.assert_frame_equal(again, toy_sweep[1], check_dtype=False)
    studies.effect_sweep(path, tasks=(toy.task(),), effects=(1.0, 0.5))
    assert toy.rendered == 120
    assert pd.read_csv(path)["effect"].tolist() == [0.0, 1.0, 0.5]


def test_a_changed_recipe_is_measured_anew_in_place_of_the_old_one(toy_sweep, tmp_path):
    path = tmp_path / "sweep.csv"
    path.write_bytes(toy_sweep[0].read_bytes())
    table = studies.effect_sweep(path, tasks=(Toy().task(epochs=1),), effects=(1.0,))
    assert table.set_index("effect")["epochs"].to_dict() == {0.0: 4, 1.0: 1}


def test_the_same_pair_gives_the_same_numbers(toy_sweep):
    again = studies.measure_effect(Toy().task(), 1.0).drop(columns="seconds")
    first = toy_sweep[1].query("effect == 1").drop(columns="seconds").reset_index(drop=True)
    pd.testing.assert_frame_equal(again, first)


def test_three_classes_get_a_row_each_and_their_mean():
    table = studies.measure_effect(SMALL["02"], 1.0)
    assert table["class"].tolist() == ["acute", "chronic", "pathologic", "mean"]
    assert table["auc"].iloc[:3].mean() == pytest.approx(table["auc"].iloc[3])


def test_the_figure_has_a_panel_for_every_task(toy_sweep):
    both = pd.concat([toy_sweep[1], toy_sweep[1].assign(task="01_other")])
    figure = studies.draw_sweep(both)
    assert [ax.get_title()[:2] for ax in figure.axes] == ["00", "01"]
    heights = figure.axes[0].lines[0].get_ydata()
    assert heights.tolist() == pytest.approx(toy_sweep[1]["auc"].tolist())


def test_a_vertebra_that_is_not_on_its_slice_is_refused():
    rows = studies.balanced(SMALL["03"], 1.0, 2, first_seed=0).iloc[:1].assign(level="T1")
    with pytest.raises(ValueError, match="not on their slices"):
        SMALL["03"].pictures(rows, 48)


# The phantom's benchmark


def test_no_run_of_a_benchmark_sees_a_picture_twice_and_growth_compares_single_pictures():
    seen = []
    case = {
        "benchmark": "toy",
        "function": lambda part: seen.append(part["image"].tolist()),
        "samples": pd.DataFrame({"image": range(200)}),
        "n": 4,
        "at_least": 1,
    }
    row = bench.measure_pictures(case, repeats=3)
    assert [len(part) for part in seen] == [1, 4, 4, 4, 16, 16, 16]
    assert len({image for part in seen for image in part}) == sum(map(len, seen))
    assert (row["n"], row["n_large"], row["repeats"]) == (4, 16, 3)
    with pytest.raises(ValueError, match="61 samples required, found 60"):
        bench.measure_pictures(case | {"samples": case["samples"][:60]}, repeats=3)


def test_every_goal_of_the_phantom_is_measured_and_has_pictures_enough():
    cases = bench.picture_cases()
    assert [case["at_least"] for case in cases] == [30, 30, 25, 3]
    assert all(len(case["samples"]) > 25 * case["n"] for case in cases)
    slices = cases[2]["samples"]["patient_id"].iloc[: cases[2]["n"]]
    assert slices.nunique() < len(slices) / 4  # of a virtual patient in sequence


def test_a_benchmark_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench", "everything"])
    with pytest.raises(SystemExit, match=r"statistics\|phantom"):
        bench.main()


def test_shares_of_kept_features_are_counted_over_filters_classes_and_all():
    features = pd.DataFrame(
        {
            "task": "00_toy",
            "reader": "intra",
            "filter": ["original", "original", "square", "square"],
            "feature_class": ["glcm", "shape", "glcm", "glcm"],
            "icc": [0.9, 0.8, 0.79, np.nan],  # what is undefined is not kept
            "dice": 0.95,
        }
    )
    found = studies._kept(features).set_index(["filter", "feature_class"])
    assert found.kept["all", "all"] == 0.5
    assert found.kept["original", "all"] == 1
    assert found.kept["square", "glcm"] == 0
    assert found.features["all", "glcm"] == 3
    assert found.median_icc["all", "all"] == 0.8


def test_pain_completes_the_score_and_no_picture_shows_it():
    found = studies.astlof_ceiling(n_train=2, n_test=1).set_index(["known", "class"])["auc"]
    assert found["morphology + mri + t + pain", "mean"] > 0.99
    assert found["morphology", "mean"] < found["morphology + mri", "mean"] < found["morphology + mri + t", "mean"] < 0.9
