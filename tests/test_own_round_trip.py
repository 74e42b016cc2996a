"""Virtual patients written as files and read back give the cohort and the predictions of those in memory."""

import importlib

import notebook_runs
import pandas as pd
import pytest

from vcfkit import params
from vcfkit.phantom import cohorts, export

# What the notebook's pictures are read at: exported so, pixels come back to the last bit.
SIZE = {
    cohorts.XRAY_FRESH: "image_size",
    cohorts.XRAY_ACUTE_CHRONIC: "image_size",
    cohorts.CT_DISEASES: "image_size",
    cohorts.XRAY_ASTLOF: "window_size",
    cohorts.CT_ACUTE_CHRONIC: None,
}
MODULE = {stem: f"test_notebook_{stem[:2]}" for stem in SIZE} | {cohorts.XRAY_ACUTE_CHRONIC: "test_notebooks"}


@pytest.mark.slow
@pytest.mark.parametrize("stem", [stem for stem in SIZE if stem in params.stems()])
def test_files_give_what_memory_gives(stem, tmp_path):
    smallest = importlib.import_module(MODULE[stem]).SMALLEST
    memory = notebook_runs.finished(stem, tmp_path / "memory", **smallest)
    frame = pd.read_csv(memory / "cohort.csv", dtype={"sample_id": str}, keep_default_na=False)
    settings = params.load(stem, "reduced").model_dump() | smallest
    size = settings[SIZE[stem]] if SIZE[stem] else None
    export.write(frame, tmp_path / "own", size=size)
    files = notebook_runs.finished(stem, tmp_path / "files", "--data", tmp_path / "own", **smallest)
    assert (files / "cohort.csv").read_text() == (memory / "cohort.csv").read_text()
    assert (files / "predictions.csv").read_text() == (memory / "predictions.csv").read_text()
    if (memory / "features.csv").exists():
        assert (files / "features.csv").read_text() == (memory / "features.csv").read_text()
