"""The two routes to the environment name the same versions, and every way in sets the same threads."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from vcfkit import run

ROOT = Path(__file__).parents[1]
# what a package is called on conda-forge, where that differs
PYPI_NAME = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
# present in a conda environment only to build the pip section
CONDA_ONLY = {"python", "pip", "c-compiler", "editables", "hatchling", "setuptools"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pyproject_pins() -> dict[str, str]:
    pins = (line.split("==") for line in project()["dependencies"])
    return {normalised(name): version for name, version in pins}


def environment_pins() -> tuple[dict[str, str], dict[str, str | None], list[str]]:
    """Pins of packages in both routes, of those only conda needs, and other lines of the pip section."""
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pins, extra = {}, {}
    for line in conda:
        name, _, version = line.partition("=")
        if name in CONDA_ONLY:
            extra[name] = version or None
        else:
            pins[normalised(PYPI_NAME.get(name, name))] = version
    lines = pip["pip"]
    pins |= {normalised(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}
    return pins, extra, [line for line in lines if "==" not in line]


def test_environment_and_pyproject_name_the_same_packages_in_the_same_versions():
    pins, _, others = environment_pins()
    assert pins == pyproject_pins()
    assert others == ["-e ."]


def test_environment_has_a_python_the_package_accepts():
    python = environment_pins()[1]["python"]
    assert project()["requires-python"] == ">=3.11,<3.14"
    assert python in {"3.11", "3.12", "3.13"}


def test_the_lock_holds_the_pinned_versions():
    locked = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        locked.setdefault(normalised(package["name"]), set()).add(package["version"])
    assert {name: locked[name] for name in pyproject_pins()} == {
        name: {version} for name, version in pyproject_pins().items()
    }


def test_make_and_run_set_the_same_threads():
    exported = dict(re.findall(r"^export (\w+) = (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert run.ONE_THREAD.items() <= exported.items()


def test_make_help_explains_every_target():
    makefile = (ROOT / "Makefile").read_text()
    public = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    assert public == set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))


@pytest.mark.parametrize("target", ["check", "test"])
@pytest.mark.parametrize(
    ("only", "named"),
    [("", {"00", "01", "02", "03", "04", "05"}), ("02", {"02"}), ("01,05_ct_acute_chronic", {"01", "05"})],
)
def test_make_checks_the_notebooks_that_only_names(target, only, named):
    shown = made(target, only)
    assert shown.returncode == 0
    assert set(re.findall(r"notebooks/(\d\d)\w+\.ipynb", shown.stdout)) == named


@pytest.mark.parametrize(("only", "stranger"), [("nope", "nope"), ("01,5", "5"), (",", "it")])
def test_make_refuses_a_name_that_fits_no_notebook(only, stranger):
    refused = made("check", only)
    assert refused.returncode == 2
    assert f"ONLY={only}: {stranger} fits no notebook (there are: 00_summary 01_" in refused.stderr


def made(target: str, only: str) -> subprocess.CompletedProcess:
    """What make would do."""
    command = ["make", "--dry-run", target, f"ONLY={only}", "ENV=active"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_version_is_the_same_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == project()["version"]
    assert cited["license"] == project()["license"]
