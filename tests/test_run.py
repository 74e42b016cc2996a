"""Runs of small projects made on the spot: what finishes, what fails, what is refused, what is left alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import vcfkit.run

ROOT = Path(__file__).parents[1]
PARAMETERS = 'profile = "reduced"\ndata_dir = None\nresults_dir = None\ndevice = "auto"\nseed = 0\nn_jobs = 1\n'
GOOD = """
import json, os, sys
from pathlib import Path
place = Path(results_dir or "../results/interactive") / "01_good"
place.mkdir(parents=True)
threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
seen = {"seed": seed, "python": sys.executable, "folder": Path.cwd().name, "threads": threads}
(place / "seen.json").write_text(json.dumps(seen))
assert seed != 13, "an unlucky number"
"""
BAD = "def share(of):\n    return 1 / of\n\nshare(of=seed)"


def make_project(folder: Path, **work: str) -> Path:
    """A project with its own copy of the code, and a notebook per keyword, its value the code of the working cell."""
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copytree(ROOT / "vcfkit", folder / "vcfkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("notebooks", "params/reduced"):
        (folder / name).mkdir(parents=True)
    for name, code in work.items():
        stem = name.lstrip("_")
        cells = [
            new_markdown_cell(f"# Study {stem}", id="title"),
            new_code_cell(PARAMETERS + "n_patients = 60\n", id="parameters", metadata={"tags": ["parameters"]}),
            new_markdown_cell("## The work", id="heading"),
            new_code_cell(code, id="work"),
        ]
        nbformat.write(new_notebook(cells=cells), folder / "notebooks" / f"{stem}.ipynb")
        values = "profile: reduced\nseed: 0\nn_patients: 60\n"
        (folder / "params" / "reduced" / f"{stem}.yaml").write_text(values)
    return folder


def environment(project: Path) -> dict[str, str]:
    """Of a user with several threads asked for and a broken kernel of the same name in front of ours."""
    spec = {"argv": ["/does/not/exist"], "display_name": "Python 3", "language": "python"}
    kernel = project / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))
    user = {"JUPYTER_PATH": str(kernel.parents[1]), "JUPYTER_DATA_DIR": str(kernel.parents[1])}
    inherited = {name: value for name, value in os.environ.items() if name != "VCFKIT_ROOT"}
    return inherited | user | {"OMP_NUM_THREADS": "2"}


def run(project: Path, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "vcfkit.run", *map(str, arguments)]
    return subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(
        tmp_path_factory.mktemp("project"), _01_good=GOOD, _02_bad=BAD, _03_dies="import os\nos._exit(9)"
    )


@pytest.fixture(scope="module")
def first_run(project):
    return run(project, "all", "--jobs", 1)


def files(folder: Path) -> set[str]:
    """Everything below ``folder`` but the hidden folders of failed and earlier runs, logs and locks."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if not str(path).startswith(".")}


def test_a_finished_run_stands_in_place_whole(project, first_run):
    reduced = project / "results" / "reduced"
    assert files(reduced) == {"01_good/notebook.ipynb", "01_good/seen.json"}
    executed = nbformat.read(reduced / "01_good" / "notebook.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    assert str(project) not in (reduced / "01_good" / "notebook.ipynb").read_text()


def test_the_executed_notebook_names_folders_without_their_paths(tmp_path, monkeypatch):
    secret = tmp_path / "jane.doe" / "StMary"
    data, results = secret / "films", secret / "out"
    notebooks = tmp_path / "project" / "notebooks"
    notebooks.mkdir(parents=True)
    read = "from pathlib import Path\nprint(Path(data_dir).resolve() == Path(weights[12:]).parent / 'films')"
    more = 'cache_dir = None\nweights = "auto"\n'
    cells = [
        new_code_cell(PARAMETERS + more, id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(read, id="work"),
    ]
    nbformat.write(new_notebook(cells=cells), notebooks / "01_reads.ipynb")
    monkeypatch.setattr(vcfkit.run, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(vcfkit.run.params, "ROOT", notebooks.parent)
    given = {"data_dir": str(data), "results_dir": str(results), "cache_dir": str(secret / "cache")}
    given |= {"weights": f"radimagenet:{secret / 'ResNet50.pt'}", "profile": "reduced"}
    parameters = vcfkit.run.params.schema("01_reads")(**given)
    assert vcfkit.run.run_notebook("01_reads", parameters, results) == 0

    written = (results / "01_reads" / "notebook.ipynb").read_text()
    executed = nbformat.reads(written, as_version=4)
    assert executed.cells[2].outputs[0].text == "True\n", "the kernel was given the whole path"
    assert "jane.doe" not in written
    assert "StMary" not in written
    assert tmp_path.name not in written
    assert 'data_dir = "films"' in executed.cells[1].source
    assert executed.metadata.papermill.parameters["weights"] == "radimagenet:ResNet50.pt"
    assert executed.metadata.papermill.parameters["cache_dir"] == "cache"
    assert executed.metadata.papermill.output_path == "out/01_reads/notebook.ipynb"


def test_progress_is_a_line_a_section_with_its_stem(first_run):
    lines = first_run.stdout.splitlines()
    assert [line.split(" s  ")[1] for line in lines if line.startswith("01_good ") and " s  " in line][:3] == [
        "Study 01_good",
        "The work",
        "finished: results/reduced/01_good",
    ]


def test_a_failed_notebook_shows_its_own_traceback_and_leaves_nothing_in_place(project, first_run):
    assert first_run.returncode == 1
    assert "ZeroDivisionError: division by zero" in first_run.stdout
    assert "return 1 / of" in first_run.stdout
    assert "\x1b[" not in first_run.stdout
    assert "section 'The work'" in first_run.stdout
    assert "CalledProcessError" not in first_run.stdout + first_run.stderr
    reduced = project / "results" / "reduced"
    assert not (reduced / "02_bad").exists()
    assert not list(reduced.glob(".*.running*"))
    assert "ZeroDivisionError" in (reduced / ".failed" / "02_bad.ipynb").read_text()


def test_a_kernel_that_dies_is_told_as_such(project, first_run):
    assert "03_dies" in first_run.stderr
    assert "ended by itself" in first_run.stdout
    assert not (project / "results" / "reduced" / "03_dies").exists()


def test_the_closing_table_names_the_failed_first(first_run):
    table = first_run.stdout[first_run.stdout.index("\nnotebook ") :].splitlines()
    assert [line.split()[:2] for line in table[2:]] == [["02_bad", "FAILED"], ["03_dies", "FAILED"], ["01_good", "ran"]]
    assert "Failed: 02_bad, 03_dies" in first_run.stderr


def test_the_kernel_is_this_interpreter_with_one_thread_in_the_notebooks_folder(project, first_run):
    seen = json.loads((project / "results" / "reduced" / "01_good" / "seen.json").read_text())
    assert seen["python"] == sys.executable
    assert seen["folder"] == "notebooks"
    assert seen["threads"]["OMP_NUM_THREADS"] == seen["threads"]["OPENBLAS_NUM_THREADS"] == "1"
    assert set(seen["threads"].values()) == {"1"}


def test_what_is_up_to_date_is_left_alone_another_seed_is_not(project, first_run):
    place = project / "results" / "reduced" / "01_good"
    before = (place / "notebook.ipynb").read_bytes()
    again = run(project, "all", "--only", "01")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout
    assert (place / "notebook.ipynb").read_bytes() == before

    other = run(project, "all", "--only", "01", "--seed", 5)
    assert other.returncode == 0
    assert "ran now" in other.stdout
    assert json.loads((place / "seen.json").read_text())["seed"] == 5
    finished = (place / "notebook.ipynb").read_bytes()

    unlucky = run(project, "all", "--only", "01", "--seed", 13)
    assert unlucky.returncode == 1
    assert "an unlucky number" in unlucky.stdout
    assert not place.exists()
    earlier = project / "results" / "reduced" / ".previous" / "01_good"
    assert (earlier / "notebook.ipynb").read_bytes() == finished
    assert json.loads((earlier / "seen.json").read_text())["seed"] == 5


def test_a_changed_file_of_ones_own_makes_results_out_of_date(tmp_path):
    project, own = make_project(tmp_path, _01_xray_fresh_vcf=GOOD), tmp_path / "own"
    writes = """
        import sys
        from pathlib import Path
        place = Path("results", "reduced", sys.argv[2])
        place.mkdir(parents=True, exist_ok=True)
        (place / "notebook.ipynb").touch()
    """
    (project / "vcfkit" / "run.py").write_text(textwrap.dedent(writes))
    (own / "images").mkdir(parents=True)
    for name in ("manifest.csv", "readers.csv", "images/{1}.png"):
        (own / name).write_text(name)

    def snakemake(*options):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "--config", f"data_dir={own}"]
        done = subprocess.run([*command, *options], cwd=project, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    asked = re.search(r"mem_mb=(\d+)", snakemake())
    assert int(asked[1]) > 6.1 * 1024, "what the README says of paper 01"
    (own / ".DS_Store").write_text("a system's")
    assert "Nothing to be done" in snakemake("-n")
    for name in ("images/{1}.png", "readers.csv"):
        (own / name).write_text("changed")
        assert "Nothing to be done" not in snakemake("-n")
        snakemake()
    (own / "readers.csv").unlink()
    assert "Nothing to be done" not in snakemake("-n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["notebook", "01_good", "--set", "n_patient=3"], "n_patient: unknown parameter; did you mean 'n_patients'?"),
        (["notebook", "01_good", "--set", "n_patients=many"], "n_patients: Input should be a valid integer"),
        (["notebook", "01_good", "--set", "n_patients"], "NAME=VALUE required"),
        (["all", "--seed", "x"], "seed: Input should be a valid integer"),
        (["all", "--profile", "huge"], "one of reduced, paper required"),
        (["all", "--only", "01_godo"], "Did you mean 01_good?"),
        (["all", "--only", "01"], "fits 01_good, 01_well"),
        (["all", "--only", ","], "names no notebook (there are: 01_good, 01_well)"),
        (["all", "--data", "cohort"], "add ONLY="),
        (["all", "--only", "01_good", "--data", "cohort"], "reads no cohort of one's own"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(tmp_path, arguments, expected):
    make_project(tmp_path, _01_good=GOOD, _01_well=GOOD)
    refused = run(tmp_path, *arguments)
    assert refused.returncode == 2
    assert expected in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "results").exists()


def test_an_unknown_parameter_in_a_profile_is_refused_for_all_notebooks_at_once(tmp_path):
    make_project(tmp_path, _01_good=GOOD, _02_good=GOOD)
    with open(tmp_path / "params" / "reduced" / "02_good.yaml", "a") as profile:
        profile.write("n_patiens: 3\n")
    refused = run(tmp_path, "all")
    assert refused.returncode == 2
    assert "did you mean 'n_patients'?" in refused.stderr
    assert not (tmp_path / "results").exists()


def test_a_faulty_cohort_is_refused_with_its_faults_before_anything_starts(tmp_path):
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / "manifest.csv").write_text(
        "sample_id,patient_id,site,cohort,label,age,sex,level,image\ns1,p1,A,development,acute,70,F,L1,missing.png\n"
    )
    command = [sys.executable, "-m", "vcfkit.run", "all", "--only", "02_xray_acute_chronic_pathological"]
    command += ["--data", str(cohort), "--results", str(tmp_path / "results")]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2
    assert "missing.png" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "results").exists()


def test_a_terminated_run_ends_its_kernel_and_leaves_nothing_in_place(tmp_path):
    waits = "import os, time\nfrom pathlib import Path\nPath('../kernel').write_text(str(os.getpid()))\ntime.sleep(60)"
    make_project(tmp_path, _01_waits=waits)
    command = [sys.executable, "-m", "vcfkit.run", "all"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True)
    kernel, deadline = tmp_path / "kernel", time.monotonic() + 60
    while not (kernel.is_file() and kernel.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in told
    with pytest.raises(ProcessLookupError):
        os.kill(int(kernel.read_text()), 0)
    assert files(tmp_path / "results" / "reduced") == set()


def test_refreshing_twice_gives_the_same_bytes_and_a_failure_changes_none(tmp_path):
    make_project(tmp_path, _01_prints="print(f'{n_patients} patients')\nn_patients", _02_bad=BAD)
    path, bad = tmp_path / "notebooks" / "01_prints.ipynb", tmp_path / "notebooks" / "02_bad.ipynb"
    untouched = bad.read_bytes()
    assert run(tmp_path, "refresh", "--only", "01").returncode == 0
    once = path.read_bytes()
    stored = nbformat.read(path, as_version=4)
    assert [cell.id for cell in stored.cells] == ["title", "parameters", "heading", "work"]
    assert stored.cells[3].outputs[0].text == "60 patients\n"
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert run(tmp_path, "refresh", "--only", "01").returncode == 0
    assert path.read_bytes() == once
    failed = run(tmp_path, "refresh", "--only", "02")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stdout + failed.stderr
    assert bad.read_bytes() == untouched


def test_importing_run_loads_nothing_heavy():
    heavy = "{'torch', 'pandas', 'numpy', 'papermill', 'snakemake', 'nbformat', 'matplotlib'}"
    code = f"import sys, vcfkit.run; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_summary_runs_after_the_notebooks_it_reads(tmp_path):
    there = "from pathlib import Path\nassert (Path(results_dir) / '01_good' / 'notebook.ipynb').is_file()"
    project = make_project(tmp_path, _00_summary=there, _01_good=GOOD)
    done = run(project, "all", "--jobs", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "results" / "reduced" / "00_summary" / "notebook.ipynb").is_file()
