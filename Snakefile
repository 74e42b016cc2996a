# The only description of what depends on what:
#
#     notebooks/X.ipynb + params/<profile>/X.yaml + vcfkit + own data  ->  results/<profile>/X/
#
# `make reproduce-all` calls it after the parameters and the data were checked. On a Slurm cluster, from a checkout that
# all nodes see and after `make setup`, one command does the same with a job per notebook:
#
#     .venv/bin/snakemake --executor slurm --jobs 7 --keep-going \
#         --default-resources slurm_account=ACCOUNT slurm_partition=PARTITION --config profile=paper device=cuda
#
# Settings (`--config name=value`): profile, results, stems (with commas), data_dir, device, seed, n_jobs.

import hashlib
import re
import sys
from pathlib import Path

PYTHON = sys.executable
PROFILE = config.get("profile", "reduced")
RESULTS = config.get("results", "results")
FOLDER = f"{RESULTS}/{PROFILE}"
DATA = config.get("data_dir")
STEMS = config.get("stems", "").split(",") if config.get("stems") else sorted(
    path.stem for path in Path("notebooks").glob("[!.]*.ipynb")
)
CODE = [str(path) for path in sorted(Path(workflow.basedir, "vcfkit").rglob("*.py"))]

# Notebook 04 compares two pretrainings; the stand-ins for those that cannot be downloaded are made once a profile, from
# what they depend on. A notebook that is run without this Snakefile makes them itself.
REAL_WEIGHTS = PROFILE == "paper" and Path("weights/RadImageNet-ResNet50.pt").is_file()
STAND_INS = [] if REAL_WEIGHTS else expand(FOLDER + "/.weights/{kind}.pt", kind=["in-domain", "out-of-domain"])
STAND_IN_CODE = [path for path in CODE if any(part in path for part in ("phantom", "stand_ins", "training", "models"))]

# What a cluster is asked for; on one machine the memory limits how many run at a time.
NEEDS = {
    "reduced": {"mem_mb": 3_000, "runtime": "1h", "gpu": 0},
    "paper": {"mem_mb": 24_000, "runtime": "12h", "gpu": 0 if config.get("device") == "cpu" else 1},
}[PROFILE]
MORE = {"01_xray_fresh_vcf": 7_000} if PROFILE == "reduced" else {}  # seven networks at full depth in float64


def memory(wildcards):
    return MORE.get(wildcards.stem, NEEDS["mem_mb"])


def state(folder):
    """Of a folder's files: changes when one is added, removed or written. Hidden ones are the system's."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    names = [(path.relative_to(folder), path.stat()) for path in paths]
    seen = [f"{name} {at.st_size} {at.st_mtime_ns}" for name, at in names if not re.search(r"(^|/)[.]", str(name))]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


OWN = state(DATA) if DATA else None


def others(wildcards):
    """The summary reads what the other notebooks of the same call leave."""
    stems = [stem for stem in STEMS if stem != wildcards.stem] if wildcards.stem == "00_summary" else []
    return expand(FOLDER + "/{stem}/notebook.ipynb", stem=stems)


rule all:
    input:
        expand(FOLDER + "/{stem}/notebook.ipynb", stem=STEMS),


rule notebook:
    input:
        "notebooks/{stem}.ipynb",
        f"params/{PROFILE}/{{stem}}.yaml",
        CODE,
        [f"{DATA}/manifest.csv"] if DATA else [],
        others,
        lambda wildcards: STAND_INS if wildcards.stem == "04_xray_ovf_astlof" else [],
    output:
        FOLDER + "/{stem}/notebook.ipynb",
    log:
        FOLDER + "/.logs/{stem}.log",
    params:
        # A change of any of these makes the results out of date.
        knobs=[
            part
            for option, name in (("--data", "data_dir"), ("--device", "device"), ("--seed", "seed"))
            if config.get(name) is not None
            for part in (option, str(config[name]))
        ],
        # Pictures, masks, boxes and readings, which as inputs could have no braces in their names.
        data=OWN,
    threads: int(config.get("n_jobs", 1))
    resources:
        **(NEEDS | {"mem_mb": memory}),
    shell:
        "{PYTHON:q} -m vcfkit.run notebook {wildcards.stem} --profile {PROFILE} --results {RESULTS:q}"
        " --jobs {threads} --log {log:q} {params.knobs:q}"


rule stand_in:
    input:
        f"params/{PROFILE}/04_xray_ovf_astlof.yaml",
        STAND_IN_CODE,
    output:
        FOLDER + "/.weights/{kind}.pt",
    log:
        FOLDER + "/.logs/stand_in_{kind}.log",
    params:
        device=config.get("device", "auto"),
    resources:
        **NEEDS,
    shell:
        "{PYTHON:q} -m vcfkit.stand_ins {wildcards.kind} --profile {PROFILE} --device {params.device} --out {output:q}"
        " 2> {log:q}"
