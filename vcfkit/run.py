"""Runs notebooks: checks first, then one papermill process each, and moves what finished into place.

``python -m vcfkit.run all`` is what ``make reproduce-all`` calls: it validates the parameters and the user's data of
every notebook before anything starts, lets the Snakefile decide what is out of date, and closes with a table.
``... notebook STEM`` is the one job of that Snakefile, on this machine or a cluster's. ``... refresh`` renews the
outputs stored in ``notebooks/``.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
import yaml

from vcfkit import params
from vcfkit.results import UNDER_RUN, ready_folder

if TYPE_CHECKING:
    from nbformat import NotebookNode

SNAKEFILE = Path(__file__).resolve().parents[1] / "Snakefile"
NOTEBOOKS = params.ROOT / "notebooks"

# Libraries read these when they are loaded, so they must stand before a kernel starts. One thread a process: more
# would change the last digits of float sums, and threads that spin while they wait slow a shared machine tenfold.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}

KERNEL_START_SECONDS = 180
TRACEBACK_LINES = 30

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


# --- before anything starts ---------------------------------------------------------------------------------------


def select(only: str | None) -> list[str]:
    """Stems named by ``only``: all when empty, else names or their unique beginnings, separated by commas.

    Raises
    ------
    ParameterError
        If a name fits no notebook (the nearest one is named) or more than one.
    """
    known = params.stems()
    if not only:
        if not known:
            raise params.ParameterError(f"no notebooks in {NOTEBOOKS}")
        return known
    chosen = []
    for name in filter(None, (part.strip() for part in only.split(","))):
        fits = [name] if name in known else [stem for stem in known if stem.startswith(name)]
        if len(fits) > 1:
            raise params.ParameterError(f"ONLY={name} fits {', '.join(fits)}: write one of them out")
        chosen.append(fits[0] if fits else params.check_stem(name))
    if not chosen:
        raise params.ParameterError(f"ONLY={only} names no notebook (there are: {', '.join(known)})")
    return sorted(set(chosen))


def preflight(stem: str, parameters: params.Parameters) -> None:
    """Open the user's cohort, if one is named, so that a fault in it is told before anything runs.

    Raises
    ------
    ParameterError
        If the notebook reads no cohort of one's own.
    CohortError
        All faults of the manifest and its files (see `vcfkit.images.open_own`).
    """
    if parameters.data_dir is None:
        return
    from vcfkit import cohort, images

    if stem not in cohort.STUDIES:
        raise params.ParameterError(f"{stem} reads no cohort of one's own: DATA= does not work with it")
    images.open_own(Path(parameters.data_dir), stem=stem)


def _given(data: str | None, device: str | None, seed: str | None) -> dict[str, Any]:
    """The knobs that were set, under their parameter names. The data folder is made absolute."""
    knobs = {
        "data_dir": str(Path(data).expanduser().resolve()) if data else None,
        "device": device,
        "seed": seed,
    }
    return {name: value for name, value in knobs.items() if value not in (None, "")}


@contextmanager
def _refusals() -> Iterator[None]:
    """Print a fault of the user's input as plain text and exit with status 2."""
    try:
        yield
    except params.ParameterError as error:
        _refuse(error)
    except ValueError as error:
        # CohortError is a ValueError; its module is heavy, and is loaded only where it can have been raised.
        if type(error).__name__ != "CohortError":
            raise
        _refuse(error.told())


def _refuse(error: Exception | str) -> None:
    typer.echo(f"Nothing was started.\n{error}", err=True)
    raise typer.Exit(2)


# --- one notebook -------------------------------------------------------------------------------------------------


class Progress:
    """One line a section: stem, seconds since the start, heading; also into a log file.

    Parameters
    ----------
    stem : str
        Stands before every line, because notebooks run side by side.
    log : text file, optional
    """

    def __init__(self, stem: str, log: TextIO | None = None):
        self.stem, self.log = stem, log
        self.started = time.monotonic()
        self.heading = "before the first heading"

    def cell(self, cell: NotebookNode) -> None:
        """Say which section begins, if ``cell`` is its heading."""
        if cell.cell_type != "markdown":
            return
        heading = re.search(r"^#{1,2} +(.+)$", cell.source, re.MULTILINE)
        if heading:
            self.heading = heading[1].strip()
            self.say(self.heading)

    def say(self, text: str) -> None:
        """Print ``text`` in one write, so that lines of two notebooks do not mix."""
        self._write(f"{self.stem}  {time.monotonic() - self.started:7.1f} s  {text}\n", sys.stdout, self.log)

    def fail(self, reason: str) -> None:
        """Print where the run ended and the last lines of ``reason``; the log takes all of it."""
        lines = [f"    {line}\n" for line in reason.splitlines()]
        left_out = f"    ... ({len(lines) - TRACEBACK_LINES} lines before)\n" if len(lines) > TRACEBACK_LINES else ""
        self.say(f"FAILED in section {self.heading!r}")
        self._write(left_out + "".join(lines[-TRACEBACK_LINES:]), sys.stdout)
        self._write("".join(lines), self.log)

    @staticmethod
    def _write(text: str, *streams: TextIO | None) -> None:
        for stream in filter(None, streams):
            stream.write(text)
            stream.flush()


@contextmanager
def _kernel_of_this_environment() -> Iterator[None]:
    """Make the kernel ``python3`` mean this interpreter, with one thread, whatever kernels the user has installed."""
    from ipykernel.kernelspec import write_kernel_spec

    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="vcfkit-kernel-") as folder:
        write_kernel_spec(Path(folder) / "kernels" / "python3")
        paths = [folder, *filter(None, [before.get("JUPYTER_PATH")])]
        os.environ.update(ONE_THREAD, JUPYTER_PATH=os.pathsep.join(paths))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def run_notebook(stem: str, parameters: params.Parameters, folder: Path, *, log: TextIO | None = None) -> int:
    """Run one notebook with papermill; its results and the executed notebook land in ``folder/stem``.

    Results of an earlier run are set aside in ``folder/.previous/stem`` first, deleted when this run finishes and kept
    when it does not. A notebook that failed is left in ``folder/.failed/stem.ipynb``, and nothing in its place.

    Returns
    -------
    int
        Exit status: 0 finished, 1 a cell raised or the kernel died (the reason was printed), 130 interrupted.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError

    progress = Progress(stem, log)

    class SayingSections(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            start = nb_man.cell_start

            def cell_start(cell, *arguments, **keywords):
                progress.cell(cell)
                start(cell, *arguments, **keywords)

            nb_man.cell_start = cell_start
            super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("vcfkit", SayingSections)

    source, running = NOTEBOOKS / f"{stem}.ipynb", folder / f".{stem}.running.ipynb"
    place, failed = folder / stem, folder / ".failed" / f"{stem}.ipynb"
    folder.mkdir(parents=True, exist_ok=True)
    _set_aside(folder, stem)
    _sweep(folder, stem)
    try:
        with _kernel_of_this_environment():
            os.environ[UNDER_RUN] = "1"
            papermill.execute_notebook(
                source,
                running,
                parameters=_as_injected(parameters),
                engine_name="vcfkit",
                kernel_name="python3",
                language="python",
                cwd=NOTEBOOKS,
                progress_bar=False,
                start_timeout=KERNEL_START_SECONDS,
            )
        notebook = nbformat.read(running, as_version=4)
        _hide_paths(notebook, parameters)
        notebook.metadata.papermill.input_path = f"{NOTEBOOKS.name}/{source.name}"
        notebook.metadata.papermill.output_path = f"{folder.name}/{stem}/notebook.ipynb"
        nbformat.write(notebook, running)
        ready = ready_folder(folder, stem)
        if ready.is_dir():  # results and executed notebook appear in one step
            running.replace(ready / "notebook.ipynb")
            if place.is_dir():
                place.rmdir()
            ready.rename(place)
        else:  # a notebook that keeps no results
            place.mkdir(exist_ok=True)
            running.replace(place / "notebook.ipynb")
        status, reason = 0, ""
    except PapermillExecutionError as error:
        status, reason = 1, re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    except DeadKernelError:
        status, reason = 1, "The kernel's process ended by itself, most often because memory ran out."
    except KeyboardInterrupt:
        status, reason = 130, "Interrupted."
    except Exception:  # noqa: BLE001 a fault of ours, told as loudly as one of the notebook's
        status, reason = 1, traceback.format_exc()
    finally:
        # What stands in place without an executed notebook is this run's own, and not whole.
        if not (place / "notebook.ipynb").exists():
            shutil.rmtree(place, ignore_errors=True)
            if running.exists():
                failed.parent.mkdir(exist_ok=True)
                running.replace(failed)
        _sweep(folder, stem)
    if status:
        progress.fail(reason)
        if failed.exists():
            progress.say(f"what ran until then: {os.path.relpath(failed, params.ROOT)}")
        if (folder / ".previous" / stem).is_dir():
            progress.say(f"earlier results: {os.path.relpath(folder / '.previous' / stem, params.ROOT)}")
        return status
    _remember(folder, stem)
    shutil.rmtree(folder / ".previous" / stem, ignore_errors=True)
    failed.unlink(missing_ok=True)
    progress.say(f"finished: {os.path.relpath(place, params.ROOT)}")
    return 0


def _as_injected(parameters: params.Parameters) -> dict[str, Any]:
    """Parameter values as the kernel takes them, folders relative to ``notebooks/``, where it starts."""
    values = parameters.model_dump()
    for name in ("data_dir", "results_dir"):
        if values[name] is not None:
            values[name] = os.path.relpath(values[name], NOTEBOOKS)
    return values


def _hide_paths(notebook: NotebookNode, parameters: params.Parameters) -> None:
    """Leave only the names of folders and files in the parameters that papermill wrote into an executed notebook."""
    from papermill.translators import translate_parameters

    shown = parameters.without_paths()
    notebook.metadata.papermill.parameters = shown
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = translate_parameters("python3", "python", shown, "Parameters")


def _finished_copy(folder: Path, stem: str) -> Path:
    return folder / ".finished" / f"{stem}.ipynb"


def _remember(folder: Path, stem: str) -> None:
    """Keep a second name for the executed notebook: Snakemake deletes a target before it makes it anew."""
    copy = _finished_copy(folder, stem)
    copy.parent.mkdir(exist_ok=True)
    copy.unlink(missing_ok=True)
    try:
        os.link(folder / stem / "notebook.ipynb", copy)
    except OSError:  # a file system without hard links
        shutil.copy2(folder / stem / "notebook.ipynb", copy)


def _set_aside(folder: Path, stem: str) -> None:
    """Move the results of an earlier run to ``folder/.previous/stem``, executed notebook included."""
    place, previous, copy = folder / stem, folder / ".previous" / stem, _finished_copy(folder, stem)
    held = place.is_dir() and any(place.iterdir())
    if held or copy.exists():
        shutil.rmtree(previous, ignore_errors=True)
        previous.parent.mkdir(exist_ok=True)
        if held:
            place.rename(previous)
        else:
            previous.mkdir()
        if copy.exists():
            copy.replace(previous / "notebook.ipynb")
    if place.is_dir():  # Snakemake makes an empty one
        place.rmdir()


def _sweep(folder: Path, stem: str) -> None:
    """Remove what a run of ``stem`` that did not finish has left half written."""
    for path in folder.glob(f".{stem}.running*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


# --- the committed notebooks ----------------------------------------------------------------------------------------


def refresh_notebook(stem: str) -> None:
    """Execute ``notebooks/stem.ipynb`` with its own parameters and store the outputs in it, once all cells ran.

    Execution times, paths and library versions are left out of the metadata, so that running twice gives the same
    bytes and a commit shows the outputs that moved and nothing else.
    """
    import nbformat
    from nbclient import NotebookClient

    path = NOTEBOOKS / f"{stem}.ipynb"
    notebook, progress = nbformat.read(path, as_version=4), Progress(stem)
    client = NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=KERNEL_START_SECONDS,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_start=lambda cell, cell_index: progress.cell(cell),
    )
    with _kernel_of_this_environment():
        client.execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for volatile in ("execution", "papermill", "ExecuteTime"):
            cell.metadata.pop(volatile, None)
    fresh = path.with_name(f".{stem}.refreshed")
    nbformat.write(notebook, fresh)
    fresh.replace(path)
    progress.say(f"stored in {path.relative_to(params.ROOT)}")


# --- all notebooks --------------------------------------------------------------------------------------------------


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Refuse to run beside another run on the same results; the operating system frees the lock of one that died."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = os.path.relpath(folder, params.ROOT)
            _refuse(RuntimeError(f"another run is writing to {where}: wait for it, or name another folder in RESULTS="))
        yield


def _snakemake(stems: list[str], profile: str, results: str, knobs: dict[str, Any], jobs: int, log: Path) -> int:
    """Run Snakemake on the chosen notebooks; its own messages go to ``log``, the notebooks' lines to our output."""
    config = {
        "profile": profile,
        "results": results,
        "stems": ",".join(stems),
        "n_jobs": max(1, jobs // len(stems)),
    }
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE, "--directory", params.ROOT]
    command += [
        "--cores",
        jobs,
        "--resources",
        f"mem_mb={memory * 9 // 10}",
        "--keep-going",
        "--rerun-incomplete",
    ]
    # Our lock is freed when a run dies; Snakemake's own would have to be removed by hand.
    command += ["--nolock", "--scheduler", "greedy", "--rerun-triggers", "mtime", "params", "input", "code"]
    command += ["--nocolor", "--config", *(f"{name}={value}" for name, value in (config | knobs).items())]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as messages:
        messages.write(shlex.join(map(str, command)) + "\n")
        messages.flush()
        # A group of its own, so that an interrupt reaches the notebooks also when only this process is told.
        process = subprocess.Popen([str(part) for part in command], stderr=messages, start_new_session=True)
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise


def _row(folder: Path, stem: str, started: float) -> dict[str, str]:
    """What the closing table says of one notebook, read from its results."""
    place = folder / stem
    executed = place / "notebook.ipynb"
    where = os.path.relpath(place, params.ROOT)
    if not executed.is_file():
        failed = folder / ".failed" / f"{stem}.ipynb"
        if failed.is_file():
            where = os.path.relpath(failed, params.ROOT)
        return {"notebook": stem, "state": "FAILED", "look in": where}
    metadata = json.loads(executed.read_text(encoding="utf-8"))["metadata"]
    row = {
        "notebook": stem,
        "state": "ran now" if executed.stat().st_mtime >= started else "up to date",
        "time": f"{metadata['papermill']['duration']:.0f} s",
        "look in": where,
    }
    if (place / "comparison.csv").is_file():
        with open(place / "comparison.csv", newline="", encoding="utf-8") as stream:
            published = [line for line in csv.DictReader(stream) if line["published"]]
        row["published"] = str(len(published))
        row["reproduced"] = str(sum(bool(line["reproduced"]) for line in published))
    if (place / "provenance.json").is_file():
        verdicts = json.loads((place / "provenance.json").read_text(encoding="utf-8")).get("audit", {})
        row["audit"] = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items() if count) or "-"
    return row


def _table(rows: list[dict[str, str]]) -> str:
    columns = ["notebook", "state", "time", "published", "reproduced", "audit", "look in"]
    cells = [columns, *([row.get(name, "-") for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _interruptible() -> None:
    """Let SIGTERM end a run as Ctrl-C does; a shell that runs us in the background also hides the latter."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


# --- command line ---------------------------------------------------------------------------------------------------

Profile = Annotated[str, typer.Option(help="reduced (a laptop, minutes) or paper (the papers' scale)")]
Data = Annotated[str | None, typer.Option(help="folder with manifest.csv and images, in place of virtual patients")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda")]
Seed = Annotated[str | None, typer.Option(help="seed of every random draw")]
Results = Annotated[str, typer.Option(help="folder of the results, below the project's")]


@app.command("all")
def run_all(
    profile: Profile = "reduced",
    only: Annotated[str | None, typer.Option(help="a notebook's stem or its beginning; several with commas")] = None,
    data: Data = None,
    device: Device = None,
    jobs: Annotated[int, typer.Option(min=0, help="processes at a time; 0: as many as processors")] = 0,
    seed: Seed = None,
    results: Results = "results",
) -> None:
    """Run every notebook that is out of date, then print a table of all."""
    started, folder, knobs = time.time(), params.ROOT / results / profile, _given(data, device, seed)
    with _refusals():
        stems = select(only)
        if data and len(stems) > 1:
            raise params.ParameterError(f"DATA= is the cohort of one study: add ONLY=, one of {', '.join(stems)}")
        loaded = {stem: params.load(stem, profile, **knobs) for stem in stems}
        for stem, parameters in loaded.items():
            preflight(stem, parameters)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    log = folder / ".logs" / "snakemake.log"
    _interruptible()
    with _only_one(folder):
        try:
            status = _snakemake(stems, profile, results, knobs, jobs or processors, log)
        except KeyboardInterrupt:
            typer.echo("Interrupted: nothing unfinished was left in place.", err=True)
            raise typer.Exit(130) from None
    rows = sorted((_row(folder, stem, started) for stem in stems), key=lambda row: row["state"] != "FAILED")
    failed = [row["notebook"] for row in rows if row["state"] == "FAILED"]
    if not status and all(row["state"] == "up to date" for row in rows):
        typer.echo("Nothing to be done: every result is newer than its notebook, parameters, data and code.")
    typer.echo("\n" + _table(rows))
    if failed:
        typer.echo(f"\nFailed: {', '.join(failed)}", err=True)
    logs = [folder / ".logs" / f"{stem}.log" for stem in failed]
    if status and not (failed and all(path.is_file() and path.stat().st_mtime >= started for path in logs)):
        # A notebook that started has told its reason; this one is Snakemake's.
        typer.echo("\n".join(["", *log.read_text(encoding="utf-8").splitlines()[-TRACEBACK_LINES:]]), err=True)
    raise typer.Exit(1 if status or failed else 0)


@app.command("notebook")
def notebook_command(
    stem: Annotated[str, typer.Argument(help="the notebook's name without .ipynb")],
    profile: Profile = "reduced",
    data: Data = None,
    device: Device = None,
    seed: Seed = None,
    jobs: Annotated[int, typer.Option(min=1, help="processes the notebook may use")] = 1,
    results: Results = "results",
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of any parameter; repeatable")] = None,
    log: Annotated[
        Path | None, typer.Option(help="file that takes the progress and whole tracebacks; default: in .logs")
    ] = None,
) -> None:
    """Run one notebook, whether or not it is up to date."""
    folder = params.ROOT / results / profile
    values = _given(data, device, seed) | {"n_jobs": jobs, "results_dir": str(folder)}
    with _refusals():
        for text in setting or []:
            name, equals, value = text.partition("=")
            if not equals:
                raise params.ParameterError(f"--set {text}: NAME=VALUE required")
            values[name] = yaml.safe_load(value)
        parameters = params.load(stem, profile, **values)
        preflight(stem, parameters)
    _interruptible()
    log = log or folder / ".logs" / f"{stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as stream:
        raise typer.Exit(run_notebook(stem, parameters, folder, log=stream))


@app.command("refresh")
def refresh_command(
    only: Annotated[str | None, typer.Option(help="a notebook's stem or its beginning; several with commas")] = None,
) -> None:
    """Run notebooks with their own parameters and store the outputs in them."""
    with _refusals():
        stems = select(only)
    _interruptible()
    for stem in stems:
        refresh_notebook(stem)


if __name__ == "__main__":
    app()
