"""The results folder of one run: predictions, tables, figures, comparison, provenance.

A run writes into a hidden folder beside its final place and is moved there by `Run.finish`, so that a run that fails
leaves nothing that looks finished.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vcfkit.params import ROOT, Parameters

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Libraries that can move a number; provenance lists their versions.
_VERSIONED = [
    *("vcfkit", "torch", "torchvision", "lightning-fabric", "numpy", "scipy", "pandas", "scikit-learn"),
    *(
        "scikit-image",
        "lightgbm",
        "xgboost-cpu",
        "shap",
        "SimpleITK",
        "pydicom",
        "pyradiomics",
        "statsmodels",
        "tableone",
        "grad-cam",
        "matplotlib",
    ),
    *("seaborn", "papermill"),
]


# What every run of a paper leaves beside its tables and figures.
OWED = ("cohort.csv", "predictions.csv", "comparison.csv", "metrics.json")


UNDER_RUN = "VCFKIT_UNDER_RUN"  # set where an executed notebook will join the results


def ready_folder(root: Path, stem: str) -> Path:
    """Where finished results wait for their executed notebook."""
    return root / f".{stem}.running-ready"


class Run:
    """Collects what one notebook run produces and moves it into place at the end.

    Parameters
    ----------
    stem : str
        The notebook's stem; the results land in ``<results_dir>/<stem>/``.
    parameters : Parameters
        The validated parameters of the run. Without ``results_dir`` (a notebook opened by hand) the results go to
        ``results/interactive``, never over those that ``make`` keeps track of.
    owed : file names
        What has to be written before the run may finish: the contract's files; fewer where a notebook has no cohort.
    """

    def __init__(self, stem: str, parameters: Parameters, *, owed: Sequence[str] = OWED):
        self.stem = stem
        self.owed = owed
        self.parameters = parameters
        root = Path(parameters.results_dir) if parameters.results_dir else ROOT / "results" / "interactive"
        self.folder = root / stem
        # The process id keeps two runs of one notebook apart until the last one wins.
        self.staging = root / f".{stem}.running-{os.getpid()}"
        shutil.rmtree(self.staging, ignore_errors=True)
        (self.staging / "tables").mkdir(parents=True)
        (self.staging / "figures").mkdir()
        atexit.register(shutil.rmtree, self.staging, ignore_errors=True)  # a kernel that ends early leaves nothing
        self._sections: dict[str, float] = {}
        self._started = time.perf_counter()
        self._section: str | None = None
        self._facts: dict[str, Any] = {}

    def section(self, name: str) -> None:
        """Note that a section of the notebook begins; provenance holds the seconds each one took."""
        now = time.perf_counter()
        if self._section is not None:
            self._sections[self._section] = self._sections.get(self._section, 0.0) + now - self._section_started
        self._section, self._section_started = name, now

    def cohort(self, samples: pd.DataFrame) -> None:
        """Write the samples frame that was used, with its split, and note its checksum."""
        path = self.staging / "cohort.csv"
        samples.to_csv(path, index=False)
        sources = samples["source"].value_counts().to_dict() if "source" in samples else {}
        self._facts["data"] = {
            "samples_by_source": {str(name): int(count) for name, count in sources.items()},
            "cohort_csv_sha256": sha256(path),
        }

    def predictions(self, frame: pd.DataFrame) -> None:
        """Write predictions: sample_id, cohort, model, y_true, one ``prob_<class>`` column per class."""
        required = ["sample_id", "cohort", "model", "y_true"]
        missing = [name for name in required if name not in frame]
        probabilities = [name for name in frame if name.startswith("prob")]
        if missing or not probabilities:
            raise ValueError(f"predictions need {required} and prob_<class> columns; missing {missing or 'prob_*'}")
        if frame[probabilities].isna().any(axis=None):
            raise ValueError("predictions hold undefined probabilities")
        frame.to_csv(self.staging / "predictions.csv", index=False)

    def detections(self, frame: pd.DataFrame) -> None:
        """Write boxes, annotated and detected: model, cohort, sample_id (the image), kind, corners, score (03)."""
        required = ["model", "cohort", "sample_id", "kind", "xmin", "ymin", "xmax", "ymax", "score"]
        missing = [name for name in required if name not in frame]
        if missing:
            raise ValueError(f"detections need {required}; missing {missing}")
        frame.to_csv(self.staging / "detections.csv", index=False)

    def features(self, frame: pd.DataFrame) -> None:
        """Write ``features.csv``: index ``sample_id``, one column per feature, to six significant digits."""
        frame.rename_axis("sample_id").to_csv(self.staging / "features.csv", float_format="%.6g")

    def table(self, number: str | int, frame: pd.DataFrame) -> None:
        """Write a table under the paper's own number, unrounded."""
        frame.to_csv(self.staging / "tables" / f"table_{number}.csv", index=False)

    def figure(self, number: str | int, figure: Figure) -> None:
        """Write a figure under the paper's own number, as PNG (150 dpi) and SVG, same bytes for the same picture."""
        import matplotlib as mpl

        stem = self.staging / "figures" / f"figure_{number}"
        with mpl.rc_context({"svg.hashsalt": self.stem}):
            figure.savefig(f"{stem}.png", dpi=150, bbox_inches="tight", metadata={"Software": None})
            figure.savefig(f"{stem}.svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})

    def comparison(self, frame: pd.DataFrame) -> None:
        """Write published beside reproduced (see `vcfkit.tables.comparison`)."""
        frame.to_csv(self.staging / "comparison.csv", index=False)

    def audit(self, found: pd.DataFrame) -> None:
        """Write the checks of the printed numbers (`vcfkit.audit.findings`), and note how many have each verdict."""
        from vcfkit.audit import verdicts

        found.to_csv(self.staging / "audit.csv", index=False)
        self._facts["audit"] = verdicts(found)

    def metrics(self, values: dict[str, float]) -> None:
        """Write ``metrics.json``, flat name → number; an undefined one is null."""
        flat = {name: None if math.isnan(value) else float(value) for name, value in values.items()}
        _write_json(self.staging / "metrics.json", flat)

    def weights(self, description: str, checksum: str) -> None:
        """Note the weights a model started from and their sha256, or "random"."""
        self._facts["weights"] = {"start": description, "sha256": checksum}

    def device(self, name: str) -> None:
        """Note the device the model ran on."""
        self._facts["device"] = name

    def finish(self) -> Path:
        """Write provenance and move everything into place; returns the folder.

        Under `vcfkit.run` the folder waits beside its place for the executed notebook, and both appear in one step: a
        run that is killed in between leaves nothing that looks finished.

        Raises
        ------
        RuntimeError
            If one of the files that this run owes was not written.
        """
        missing = [name for name in self.owed if not (self.staging / name).is_file()]
        if missing:
            raise RuntimeError(f"{self.stem}: run not finished, {', '.join(missing)} not written")
        self.section("")  # closes the last section
        _write_json(self.staging / "provenance.json", self._provenance())
        if os.environ.get(UNDER_RUN):
            ready = ready_folder(self.staging.parent, self.stem)
            shutil.rmtree(ready, ignore_errors=True)
            self.staging.rename(ready)
            return ready
        # An executed notebook of an earlier run does not belong to these files, so the whole folder is replaced.
        aside = self.folder.with_name(f".{self.stem}.old-{os.getpid()}")
        if self.folder.exists():
            self.folder.rename(aside)
        self.staging.rename(self.folder)
        shutil.rmtree(aside, ignore_errors=True)
        return self.folder

    def _provenance(self) -> dict[str, Any]:
        import torch

        if self.parameters.data_dir:
            self._facts["data"]["manifest_sha256"] = sha256(Path(self.parameters.data_dir) / "manifest.csv")
        found = {dist.metadata["Name"].lower(): dist.version for dist in distributions()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
        return {
            "notebook": self.stem,
            "commit": _commit(),
            "parameters": self.parameters.without_paths(),
            "seed": self.parameters.seed,
            **self._facts,
            "platform": f"{platform.system()} {platform.machine()}",
            "threads": torch.get_num_threads(),
            "versions": {"python": platform.python_version()}
            | {name: found[name.lower()] for name in _VERSIONED if name.lower() in found},
            "seconds": {name: round(value, 2) for name, value in self._sections.items() if name},
            "seconds_total": round(time.perf_counter() - self._started, 2),
            "peak_memory_mib": round(peak / (2**20 if sys.platform == "darwin" else 2**10)),
        }


def runs(folders: Mapping[str, Path]) -> pd.DataFrame:
    """What ran, from the provenance of finished runs below each folder (name → folder with one folder per notebook).

    Returns
    -------
    DataFrame
        Columns notebook, run (the folder's name here), data, device, weights, seed, minutes, memory_gib, commit; by
        notebook. Empty where nothing ran.
    """
    import pandas as pd

    rows = []
    for name, place, provenance in _provenances(folders):
        sources = provenance.get("data", {}).get("samples_by_source", {})
        rows.append(
            {
                "notebook": place.name,
                "run": name,
                "data": ", ".join(f"{count:,} {source}" for source, count in sources.items()) or "-",
                "device": provenance.get("device", "cpu"),
                "weights": provenance.get("weights", {}).get("start", "-"),
                "seed": provenance["seed"],
                "minutes": round(provenance["seconds_total"] / 60, 1),
                "memory_gib": round(provenance["peak_memory_mib"] / 1024, 1),
                "commit": (provenance["commit"]["id"] or "-")[:10] + "*" * bool(provenance["commit"]["modified"]),
            }
        )
    columns = ["notebook", "run", "data", "device", "weights", "seed", "minutes", "memory_gib", "commit"]
    return pd.DataFrame(rows, columns=columns).sort_values(["notebook", "run"], ignore_index=True)


def comparisons(folders: Mapping[str, Path]) -> pd.DataFrame:
    """``comparison.csv`` of the finished runs below each folder, with ``notebook`` and ``run``; empty where none is."""
    import pandas as pd

    columns = ["quantity", "where", "cohort", "model", "published", "reproduced", "low", "high", "note"]
    found = [
        pd.read_csv(place / "comparison.csv").assign(notebook=place.name, run=name)
        for name, place, _ in _provenances(folders)
        if (place / "comparison.csv").is_file()
    ]
    found = [frame for frame in found if len(frame)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*columns, "notebook", "run"])


def _provenances(folders: Mapping[str, Path]) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """(run, results folder, provenance) of every paper's finished run; hidden folders are runs on their way."""
    for name, folder in folders.items():
        for path in sorted(Path(folder).glob("[0-9]*/provenance.json")):
            if path.parent.name != "00_summary":
                yield name, path.parent, json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _commit() -> dict[str, Any]:
    """The commit the code stands at, and whether files differ from it; nulls outside a git checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return {"id": git("rev-parse", "HEAD"), "modified": None if changed is None else bool(changed)}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
