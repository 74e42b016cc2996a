# A thin front: what depends on what stands in the Snakefile, how a notebook is run in vcfkit/run.py.

# Knobs, set on the command line: make reproduce-all ONLY=02 SEED=1
PROFILE = reduced
ONLY =
DATA =
DEVICE =
JOBS =
SEED =
RESULTS = results
ENV =
LAB =

.DEFAULT_GOAL := help
.PHONY: help setup reproduce-all test check refresh lab report bench lint clean

# One thread a process, set before anything is loaded (the same as in vcfkit/run.py); the environment's own kernel
# comes before one that the user has installed under the same name.
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export NUMEXPR_NUM_THREADS = 1
export VECLIB_MAXIMUM_THREADS = 1
export OMP_WAIT_POLICY = passive
export JUPYTER_PREFER_ENV_PATH = 1

ifeq ($(ENV),active)
PYTHON = python
READY = active-environment
else ifeq ($(ENV),)
PYTHON = .venv/bin/python
READY = .venv/.ready
else
$(error ENV=$(ENV): the only value is "active", which uses the environment that is activated)
endif

KNOBS = --profile "$(PROFILE)" --results "$(RESULTS)" $(if $(ONLY),--only "$(ONLY)") $(if $(DATA),--data "$(DATA)") \
	$(if $(DEVICE),--device "$(DEVICE)") $(if $(JOBS),--jobs "$(JOBS)") $(if $(SEED),--seed "$(SEED)")

NBVAL = --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg \
	--nbval-kernel-startup-timeout=180 --nbval-cell-timeout=600
# loadscope keeps the cells of a notebook on one worker
PYTEST = $(PYTHON) -m pytest --numprocesses $(or $(JOBS),2) --dist loadscope

# The notebooks that ONLY names. What names none stops make: pytest without a path would run all there is.
comma = ,
EVERY = $(wildcard notebooks/*.ipynb)
NONE = $(error ONLY=$(ONLY): $(or $(1),it) fits no notebook (there are: $(basename $(notdir $(EVERY)))))
NAMED = $(foreach name,$(subst $(comma), ,$(ONLY)),$(or $(wildcard notebooks/$(name)*.ipynb),$(call NONE,$(name))))
NOTEBOOKS = $(if $(ONLY),$(or $(sort $(NAMED)),$(call NONE)),$(EVERY))

help: ## Explain the targets and the knobs
	@echo "make TARGET [KNOB=value ...]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PROFILE=reduced|paper   size of the run: minutes on a laptop, or the papers' scale on a GPU"
	@echo "  ONLY=02                 one notebook, by its name or the beginning of it; several with commas"
	@echo "  DATA=folder             your own cohort (manifest.csv and images) in place of virtual patients; with ONLY"
	@echo "  DEVICE=auto|cpu|cuda    where the models run"
	@echo "  JOBS=4                  processes at a time (all processors unless said; 2 for tests)"
	@echo "  SEED=1                  seed of every random draw"
	@echo "  RESULTS=folder          where results go (results)"
	@echo "  ENV=active              use the activated environment (environment.yml), not .venv"

setup: $(READY) ## Make the environment (.venv) from the lock file; the targets below do it themselves

reproduce-all: $(READY) ## Run the notebooks that are out of date; results in results/<profile>/
	@$(PYTHON) -m vcfkit.run all $(KNOBS)

test: lint ## Lint, unit tests, and the notebooks against their stored outputs
	$(PYTEST) $(NBVAL) tests $(NOTEBOOKS)

check: $(READY) ## Only the notebooks against their stored outputs (nbval)
	$(PYTEST) $(NBVAL) $(NOTEBOOKS)

refresh: $(READY) ## Run the notebooks as they stand and store the outputs in them
	@$(PYTHON) -m vcfkit.run refresh $(if $(ONLY),--only "$(ONLY)")

# In a container the user is often root, whom JupyterLab refuses unless told; it still listens on this machine alone.
lab: $(READY) ## Open the notebooks in JupyterLab (LAB="--no-browser --port 8899" passes options on)
	$(PYTHON) -m jupyterlab --ServerApp.root_dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB)

report: $(READY) ## Write the executed notebooks as a static site (results/<profile>/report/index.html)
	@$(PYTHON) -m vcfkit.report --profile "$(PROFILE)" --results "$(RESULTS)"

bench: $(READY) ## Measure speed of statistics, virtual patients and radiomics (results/studies/bench*.csv)
	$(PYTHON) -m vcfkit.bench

lint: $(READY) ## Check style and formatting (ruff)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

clean: ## Remove results of the reduced profile and caches; never results/paper or results/studies
	rm -rf results/reduced results/interactive .pytest_cache .ruff_cache .snakemake/log
	find vcfkit tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# --- the environment ---

.PHONY: active-environment
active-environment:
	@cd notebooks && $(PYTHON) -c 'import sys, vcfkit, papermill, snakemake, torch; assert sys.version_info >= (3, 11)' \
	|| { echo "ENV=active: this environment lacks something; make it from environment.yml and activate it." >&2; exit 1; }

# The first interpreter that runs and fits; 3.11 first, for the lock file was made with it.
FIND_PYTHON = for name in python3.11 python3.12 python3.13 python3 python; do \
	python=$$("$$name" -c 'import sys; print(sys._base_executable) if (3, 11) <= sys.version_info[:2] <= (3, 13) \
	else sys.exit(1)' 2>/dev/null) && break; done; \
	test -n "$$python" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found." >&2; exit 1; }

# pyradiomics' build script wants two names that Python 3.12 dropped; they are put back for the installation alone.
define COMPATIBILITY
import configparser
if not hasattr(configparser, "SafeConfigParser"):
    configparser.SafeConfigParser = configparser.ConfigParser
    configparser.RawConfigParser.readfp = configparser.RawConfigParser.read_file
endef
export COMPATIBILITY

# A uv that is there is used if it can read this project, else one is fetched into .uv.
.venv/.ready: pyproject.toml uv.lock
	@$(FIND_PYTHON); \
	uv=uv; "$$uv" version --short >/dev/null 2>&1 || uv=.uv/bin/uv; \
	test $$uv = uv || test -x $$uv || { \
	echo "Fetching uv into .uv"; \
	"$$python" -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8; } \
	|| { rm -rf .uv; echo "uv could not be installed. Debian and Ubuntu need the package python3-venv." >&2; exit 1; }; \
	mkdir -p .uv/compatibility && printf '%s\n' "$$COMPATIBILITY" > .uv/compatibility/sitecustomize.py; \
	echo "Setting up .venv with $$python (the first time downloads about 3 GB and takes minutes)"; \
	test -t 2 && quiet= || quiet=--quiet; \
	env -u VIRTUAL_ENV PYTHONPATH="$(CURDIR)/.uv/compatibility" UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never \
	"$$uv" sync --locked --compile-bytecode --python "$$python" $$quiet
	@touch $@
