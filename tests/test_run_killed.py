"""Runs that are killed where they stand: nothing looks finished, and the next run gives the same files."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from test_run import environment, files, make_project

# A study in miniature: every file that a run owes, written slowly, the same each time.
WORK = """
import time
import numpy as np
import pandas as pd
from vcfkit import params, results

settings = params.check("01_slow", {n: globals()[n] for n in params.schema("01_slow").model_fields})
run = results.Run("01_slow", settings)
rows = pd.DataFrame({"sample_id": ["a", "b"], "cohort": "training", "source": "virtual"})
run.cohort(rows)
time.sleep(0.3)
values = np.random.default_rng(seed).random(2)
rows = rows.drop(columns="source").assign(model="m", y_true="x", prob_x=values)
run.predictions(rows)
time.sleep(0.3)
run.table("1", rows)
run.comparison(rows.assign(published=1.0, reproduced=1.0))
run.metrics({"mean": float(values.mean())})
run.finish()
time.sleep(0.3)
"""
OWED = {"notebook.ipynb", "cohort.csv", "predictions.csv", "comparison.csv", "metrics.json", "provenance.json"}
OWED |= {"tables/table_1.csv"}


def start(project, *arguments):
    command = [sys.executable, "-m", "vcfkit.run", "all", "--jobs", "1", *map(str, arguments)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    known = environment(project) | {"VCFKIT_ROOT": str(project), "PYTHONPATH": str(project)}
    return subprocess.Popen(command, cwd=project, env=known, start_new_session=True, **silent)


def descendants(pid):
    """Processes below one, told by /proc: the DAG, the runner and the kernel have sessions of their own."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8") as stat:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        waiting += children.get(waiting[0], [])
        found.append(waiting.pop(0))
    return found


def kill(process):
    """SIGKILL to a run and all that it started, in one sweep."""
    for pid in descendants(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def contents(place):
    return {name: (place / name).read_bytes() for name in OWED - {"notebook.ipynb", "provenance.json"}}


def kill_at_times(tmp_path, shares):
    """Kill runs after these shares of the time that a whole one takes on this machine."""
    project = make_project(tmp_path, _01_slow=WORK)
    place = project / "results" / "reduced" / "01_slow"
    began = time.monotonic()
    assert start(project).wait(timeout=120) == 0
    duration = time.monotonic() - began
    assert files(place) == OWED
    whole, early = contents(place), 0
    finished = [whole]
    for number, seconds in enumerate((share * duration for share in shares), start=1):
        process = start(project, "--seed", number)  # the stored result is of another seed: there is work to do
        time.sleep(seconds)
        early += process.poll() is None
        kill(process)
        found = files(place) if place.exists() else set()
        if found == OWED - {"notebook.ipynb"}:
            # Snakemake takes the target of the earlier run away before ours starts: what is left is that run's, whole.
            assert contents(place) in finished
        else:
            assert found in (OWED, set()), f"killed after {seconds:.1f} s"
        if found == OWED:
            finished.append(contents(place))
    assert early >= len(shares) // 2, "most runs were still running"
    assert start(project).wait(timeout=120) == 0
    assert contents(place) == whole
    assert files(place) == OWED
    left = [path.name for path in place.parent.iterdir() if ".running" in path.name]
    assert left == []


def test_a_killed_run_leaves_nothing_that_looks_finished_and_the_next_one_the_same_files(tmp_path):
    kill_at_times(tmp_path, [0.6, 0.9])


@pytest.mark.slow
def test_ten_kills_at_random_times(tmp_path):
    chance = random.Random(17)
    kill_at_times(tmp_path, [chance.uniform(0.1, 1.1) for _ in range(10)])
