"""A run leaves everything or nothing; its files are the same for the same run."""

import json

import matplotlib as mpl
import pandas as pd
import pytest

from vcfkit import figures, params, results

mpl.use("Agg")
STEM = "02_xray_acute_chronic_pathological"
PREDICTIONS = pd.DataFrame(
    {"sample_id": ["a"], "cohort": ["testing"], "model": ["m"], "y_true": ["acute"], "prob_acute": [0.5]}
)


@pytest.fixture
def run(tmp_path):
    return results.Run(STEM, params.load(STEM, "reduced", results_dir=str(tmp_path)))


def _fill(run):
    run.section("Cohort")
    run.cohort(pd.DataFrame({"sample_id": ["a"], "source": ["virtual"]}))
    run.predictions(PREDICTIONS)
    run.comparison(pd.DataFrame({"quantity": []}))
    run.metrics({"testing/acute/auc": 0.75, "testing/all/auc": float("nan")})
    run.table("2", pd.DataFrame({"x": [1 / 3]}))
    with figures.style():
        figure, ax = figures.plt.subplots()
        ax.plot([0, 1])
    run.figure("5", figure)


def test_nothing_stands_in_place_until_the_run_is_finished(run, tmp_path):
    _fill(run)
    assert not (tmp_path / STEM).exists()
    folder = run.finish()
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "cohort.csv",
        "comparison.csv",
        "figures/figure_5.png",
        "figures/figure_5.svg",
        "metrics.json",
        "predictions.csv",
        "provenance.json",
        "tables/table_2.csv",
    ]
    assert [path.name for path in tmp_path.iterdir()] == [STEM]


def test_a_run_that_owes_a_file_is_not_finished(run, tmp_path):
    run.predictions(PREDICTIONS)
    with pytest.raises(RuntimeError, match=r"cohort\.csv, comparison\.csv, metrics\.json not written"):
        run.finish()
    assert not (tmp_path / STEM).exists()


def test_finishing_replaces_an_earlier_run_whole(run, tmp_path):
    (tmp_path / STEM).mkdir()
    (tmp_path / STEM / "notebook.ipynb").write_text("of an earlier run")
    _fill(run)
    assert not (run.finish() / "notebook.ipynb").exists()


def test_same_run_same_bytes(tmp_path):
    folders = []
    for name in ("a", "b"):
        run = results.Run(STEM, params.load(STEM, "reduced", results_dir=str(tmp_path / name)))
        _fill(run)
        folders.append(run.finish())
    first, second = (
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "provenance.json"
        }
        for folder in folders
    )
    assert first == second


def test_provenance_says_how_a_run_was_made(run):
    _fill(run)
    run.weights("random initialisation", "random")
    run.device("cpu")
    folder = run.finish()
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts["parameters"]["learning_rate"] == 2e-4
    assert facts["seed"] == 0
    assert facts["data"]["cohort_csv_sha256"] == results.sha256(folder / "cohort.csv")
    assert facts["data"]["samples_by_source"] == {"virtual": 1}
    assert facts["weights"] == {"start": "random initialisation", "sha256": "random"}
    assert "torch" in facts["versions"]
    assert facts["seconds"].keys() == {"Cohort"}
    assert facts["peak_memory_mib"] > 0
    assert str(folder.parent.parent) not in json.dumps(facts)


def test_undefined_metrics_are_null_not_invalid_json(run):
    _fill(run)
    assert json.loads((run.finish() / "metrics.json").read_text()) == {
        "testing/acute/auc": 0.75,
        "testing/all/auc": None,
    }


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (PREDICTIONS.drop(columns="cohort"), r"missing \['cohort'\]"),
        (PREDICTIONS.drop(columns="prob_acute"), "prob_"),
        (PREDICTIONS.assign(prob_acute=float("nan")), "undefined probabilities"),
    ],
)
def test_predictions_of_the_wrong_shape_are_refused(run, frame, message):
    with pytest.raises(ValueError, match=message):
        run.predictions(frame)
