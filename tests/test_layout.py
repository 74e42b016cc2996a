"""The package keeps its shape: one direction of imports, a light front door, nothing heavy before it is used."""

import ast
import re
import subprocess
import sys

import pytest

import vcfkit
from vcfkit import params

PACKAGE = params.ROOT / "vcfkit"
ORDER = [name.split(".")[1] for name in re.findall(r"``(vcfkit\.\w+)``", vcfkit.__doc__)]
FRONTS = {"results", "run", "report", "bench", "studies", "leakage", "learnability"}  # may use all that exists


def _imported(path):
    """Modules of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = node.module.split(".")
            if parts[0] == "vcfkit":
                yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("vcfkit."))


def test_the_front_page_names_every_module():
    found = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("name", sorted(set(ORDER) - FRONTS))
def test_a_module_imports_only_what_stands_before_it(name):
    files = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").is_file() else (PACKAGE / name).rglob("*.py")
    allowed = {*ORDER[: ORDER.index(name)], name}
    files = [path for path in files if path.name != "__main__.py"]  # a command line is a front, too
    late = {(path.name, module) for path in files for module in _imported(path) if module not in allowed}
    assert not late


def test_importing_the_package_loads_nothing_heavy_and_takes_half_a_second_at_most():
    command = """
import sys, time
start = time.process_time()
import vcfkit
print(time.process_time() - start, sorted({"torch", "pandas", "numpy", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split(" ", 1)
    assert float(seconds) < 0.5
    assert heavy.strip() == "[]"
