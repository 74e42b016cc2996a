"""Notebook 02 run whole, at its smallest: what it leaves, that it repeats itself, and own images through it."""

import json
import os
import re
import subprocess
import sys

import nbformat
import notebook_runs
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics as sk

from vcfkit import images, params, phantom

STEM = "02_xray_acute_chronic_pathological"
CLASSES = ["acute", "chronic", "pathologic"]
# The paper's numbers, then what stands beside the paper.
FIGURES = ["1", "2", "3", "3_network", "4", "5", "6", "s1", "intervals", "split", "accuracies", "gradcam"]
TABLES = ["1", "2", "3", "s1", "readings", "mrmc", "mcnemar", "intervals", "split", "accuracies"]
SMALLEST = {
    "epochs": 1,
    "image_size": 32,
    "development_fraction": 0.02,
    "external_fraction": 0.06,
    "prospective_fraction": 0.2,
    "n_bootstrap": 100,
    "n_simulations": 20,
    "n_split_seeds": 2,
}


def run(folder, *arguments, **settings):
    return notebook_runs.run(STEM, folder, *arguments, **(SMALLEST | settings))


def finished(folder, *arguments, **settings):
    return notebook_runs.finished(STEM, folder, *arguments, **(SMALLEST | settings))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("first"))


def test_results_are_what_the_contract_names(first):
    assert notebook_runs.files(first) == notebook_runs.contract(FIGURES, TABLES)


def test_every_number_of_table_2_is_what_scikit_learn_computes_from_the_predictions(first):
    predictions = pd.read_csv(first / "predictions.csv")
    table = pd.read_csv(first / "tables" / "table_2.csv")
    checked = 0
    for row in table.itertuples():
        rows = predictions[predictions["cohort"] == row.cohort]
        scores = rows[[f"prob_{name}" for name in CLASSES]].to_numpy()
        called = np.asarray(CLASSES)[scores.argmax(axis=1)]
        if row[2] == "all":
            expected = {"accuracy": sk.accuracy_score(rows["y_true"], called)}
        elif row[2] == "mean":
            part = table[(table["cohort"] == row.cohort) & table["class"].isin(CLASSES)]
            expected = {"accuracy": part["accuracy"].mean(), "auc": part["auc"].mean(skipna=False)}
        else:
            y, c = rows["y_true"] == row[2], called == row[2]
            expected = {
                "n_positive": y.sum(),
                "auc": sk.roc_auc_score(y, scores[:, CLASSES.index(row[2])]),
                "accuracy": sk.accuracy_score(y, c),
                "balanced_accuracy": sk.balanced_accuracy_score(y, c),
                "sensitivity": sk.recall_score(y, c),
                "specificity": sk.recall_score(y, c, pos_label=False),
                "ppv": sk.precision_score(y, c, zero_division=np.nan),
                "npv": sk.precision_score(y, c, pos_label=False, zero_division=np.nan),
                "f1": sk.f1_score(y, c, zero_division=np.nan),
            }
        for name, value in expected.items():
            assert getattr(row, name) == pytest.approx(value, abs=1e-12, nan_ok=True), (row.cohort, row[2], name)
            checked += 1
    assert checked > 100


def test_reader_rows_of_table_3_are_what_scikit_learn_computes_from_the_readings(first):
    readings = pd.read_csv(first / "tables" / "table_readings.csv")
    table = pd.read_csv(first / "tables" / "table_3.csv").set_index(["reader", "class"])
    truth = pd.read_csv(first / "predictions.csv").set_index("sample_id")["y_true"]
    assert (truth[readings["case"]].to_numpy() == readings["truth"]).all()
    assert readings.groupby(["reader", "modality"]).ngroups == 6
    for (reader, modality), part in readings.groupby(["reader", "modality"]):
        name = reader if modality == "unaided" else f"DL + {reader}"
        assert table.loc[(name, "all"), "accuracy"] == pytest.approx((part["rating"] == part["truth"]).mean())
        for label in CLASSES:
            y, c, row = part["truth"] == label, part["rating"] == label, table.loc[(name, label)]
            assert row["sensitivity"] == pytest.approx(sk.recall_score(y, c)), (name, label)
            assert row["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, c)), (name, label)
            assert row["auc"] == pytest.approx(sk.roc_auc_score(y, part[f"prob_{label}"])), (name, label)


def test_probabilities_sum_to_one_and_every_sample_of_the_cohort_has_them(first):
    predictions, cohort = pd.read_csv(first / "predictions.csv"), pd.read_csv(first / "cohort.csv")
    assert predictions["sample_id"].tolist() == cohort["sample_id"].tolist()
    assert predictions["y_true"].tolist() == cohort["label"].tolist()
    assert predictions[[f"prob_{name}" for name in CLASSES]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-12)


def test_comparison_holds_published_numbers_and_ours_with_intervals(first):
    table = pd.read_csv(first / "comparison.csv")
    metrics = json.loads((first / "metrics.json").read_text())
    assert list(table)[:5] == ["quantity", "where", "cohort", "model", "published"]
    row = table[(table["quantity"] == "AUC, chronic") & (table["cohort"] == "GZFPH")].iloc[0]
    assert row["published"] == 0.906
    assert row["reproduced"] == metrics["GZFPH/chronic/auc"]
    assert row["low"] <= row["reproduced"] <= row["high"]
    assert table["note"].str.contains("virtual patients, reduced run").all()
    collapsed = table["note"].str.contains("interval collapsed")
    assert collapsed.any(), "at this size some class is never called"
    assert table.loc[collapsed, ["low", "high"]].isna().all(axis=None)
    assert not (table["low"] == table["high"]).any(), "an interval of no width would look like certainty"


def test_same_seed_same_bytes_another_seed_other_predictions(first, tmp_path):
    again = finished(tmp_path / "again")
    for name in ("cohort.csv", "predictions.csv", "comparison.csv", "tables/table_1.csv", "tables/table_2.csv"):
        assert (again / name).read_bytes() == (first / name).read_bytes(), name
    other = finished(tmp_path / "other", "--seed", 1)
    assert (other / "predictions.csv").read_bytes() != (first / "predictions.csv").read_bytes()


def test_real_radiograph_crops_run_through_as_an_external_cohort(reference, tmp_path):
    images.convert_vcfnet(reference / "spine_xray" / "images", tmp_path / "own")
    place = finished(tmp_path / "results", "--data", tmp_path / "own")
    cohort, predictions = pd.read_csv(place / "cohort.csv"), pd.read_csv(place / "predictions.csv")
    own = cohort[cohort["source"] == "own"]
    assert own["label"].value_counts().to_dict() == {"acute": 5, "chronic": 5, "pathologic": 5}
    assert (own["cohort"] != "training").all()
    assert own["image"].str.fullmatch(r"sha256:[0-9a-f]{16}").all()
    (name,) = own["cohort"].unique()
    assert (predictions["cohort"] == name).sum() == 15
    table = pd.read_csv(place / "tables" / "table_2.csv").set_index(["cohort", "class"])
    assert table.loc[(name, "acute"), ["auc", "auc_low", "auc_high"]].notna().all()
    text = _printed(place / "notebook.ipynb")
    assert "they say nothing on accuracy" in text
    written = text + "".join(path.read_text() for path in place.rglob("*") if path.suffix in (".csv", ".json"))
    assert not re.findall(r"\b(?:[FM]\d\d|\d+-Acute-\d+-\d\d-F)\b", written), "a patient's id"


def test_real_readers_replace_the_virtual_ones_and_say_what_their_file_says(tmp_path):
    """Two readers of nine own images: always right with the model, always "acute" without."""
    folder, rng = tmp_path / "own", np.random.default_rng(0)
    folder.mkdir()
    names = [f"Doe{k}-{label}" for k, label in enumerate(label for label in CLASSES for _ in range(3))]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (40, 50), dtype=np.uint8)).save(folder / f"{name}.png")
    labels = [label for label in CLASSES for _ in range(3)]
    fixed = {"site": "S", "cohort": "elsewhere", "age": "70", "sex": "F", "level": "L1"}
    manifest = pd.DataFrame({"sample_id": names, "patient_id": [f"Doe{k}" for k in range(9)], "label": labels} | fixed)
    manifest.assign(image=manifest["sample_id"] + ".png").to_csv(folder / "manifest.csv", index=False)
    readings = [
        (reader, aided, case, label if aided else "Acute")
        for reader in ("A", "B")
        for aided in (0, 1)
        for case, label in zip(names, labels, strict=True)
    ]
    pd.DataFrame(readings, columns=["reader", "aided", "case", "rating"]).to_csv(folder / "readers.csv", index=False)
    place = finished(tmp_path / "results", "--data", folder)
    table = pd.read_csv(place / "tables" / "table_3.csv").set_index(["reader", "class"])
    assert set(table.index.unique("reader")) == {"DL", "A", "DL + A", "B", "DL + B"}
    assert table.loc[("A", "all"), "accuracy"] == pytest.approx(1 / 3)
    assert table.loc[("DL + A", "all"), "accuracy"] == 1
    cases = pd.read_csv(place / "tables" / "table_readings.csv")["case"]
    cohort = pd.read_csv(place / "cohort.csv")
    assert set(cases) == set(cohort.loc[cohort["source"] == "own", "sample_id"])
    assert not cases.str.contains("Doe").any(), "readings stand under the hidden names, as the cohort does"
    gains = pd.read_csv(place / "tables" / "table_mcnemar.csv").set_index(["reader", "quantity", "class"])
    assert gains.loc[("A", "accuracy", "all"), ["gained", "lost"]].tolist() == [6, 0]
    assert (pd.read_csv(place / "comparison.csv")["cohort"] != "collaboration").all(), "the paper's are other readers"


def test_virtual_patients_read_back_from_files_give_the_predictions_of_those_in_memory(tmp_path):
    """A folder with development rows replaces the virtual cohort; here it holds the same pixels."""
    size = {"development_fraction": 0.02, "external_fraction": 0.03, "prospective_fraction": 0.2, "seed": 3}
    share = {name.removesuffix("_fraction"): value for name, value in size.items() if name != "seed"}
    virtual = phantom.draw(STEM, seed=3, fractions=share)
    folder = tmp_path / "own"
    folder.mkdir()
    for name, crop in zip(virtual["sample_id"], phantom.vertebra_crops(virtual, size=32), strict=True):
        Image.fromarray(crop.numpy()).save(folder / f"{name}.png")
    exported = virtual.assign(image=virtual["sample_id"] + ".png", reference=virtual["image"])
    exported.to_csv(folder / "manifest.csv", index=False)
    place = finished(tmp_path / "files", "--data", folder, **size)
    cohort = pd.read_csv(place / "cohort.csv")
    assert (cohort["source"] == "virtual").all(), "an exported virtual patient stays a virtual one"
    in_memory = finished(tmp_path / "memory", **size)
    assert cohort["image"].tolist() == pd.read_csv(in_memory / "cohort.csv")["image"].tolist(), "phantom references"
    assert (place / "predictions.csv").read_bytes() == (in_memory / "predictions.csv").read_bytes()


def test_faults_of_an_own_cohort_are_all_named_and_nothing_is_started(tmp_path):
    manifest = pd.DataFrame(
        {
            "sample_id": ["a", "a", "c"],
            "patient_id": ["p", "p", "q"],
            "site": "S",
            "cohort": ["training", "external", "external"],
            "label": ["acute", "chronic", "old"],
            "age": "70",
            "sex": "F",
            "level": "L1",
            "image": ["missing.png", "broken.dcm", "missing.png"],
        }
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broken.dcm").write_bytes(b"not DICOM")
    manifest.to_csv(tmp_path / "own" / "manifest.csv", index=False)
    place, done = run(tmp_path / "results", "--data", tmp_path / "own")
    assert done.returncode == 2
    for part in ("Nothing was started", "missing.png", "broken.dcm", "old", "acute, chronic, pathologic"):
        assert part in done.stdout + done.stderr
    assert not place.parent.exists()


def test_nbval_fails_on_a_number_that_was_changed(tmp_path):
    """In a copy of the notebook one count of the cohort table is raised by one."""
    notebook = nbformat.read(params.ROOT / "notebooks" / f"{STEM}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "cohort.flow(samples)" in cell.source)
    data = cell.outputs[0]["data"]
    number = str(len(phantom.draw(STEM, fractions=_fractions())))
    assert number in data["text/plain"]
    data["text/plain"] = data["text/plain"].replace(number, str(int(number) + 1))
    notebook.cells = notebook.cells[: notebook.cells.index(cell) + 1]
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", "planted.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"VCFKIT_ROOT": str(params.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "Cell outputs differ" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("processor", [{"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}])
def test_nbval_passes_on_another_processors_instructions(processor):
    done = subprocess.run(
        ["make", "check", f"ONLY={STEM}"],
        cwd=params.ROOT,
        env=os.environ | processor,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stem", params.stems())
def test_committed_notebooks_ran_whole_in_order_without_a_warning(stem):
    notebook = nbformat.read(params.ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def _fractions():
    reduced = params.load(STEM, "reduced")
    return {
        "development": reduced.development_fraction,
        "external": reduced.external_fraction,
        "prospective": reduced.prospective_fraction,
    }


def _printed(path):
    """All text a notebook shows: printed lines and tables, no pictures."""
    outputs = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", [])]
    return "\n".join(o.get("text") or o["data"].get("text/html", o["data"]["text/plain"]) for o in outputs)
