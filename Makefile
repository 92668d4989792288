# Every target sets up its own environment first (.venv, from requirements*.txt and pyproject.toml; a no-op once made).
# PYTHON=/path/to/python3.12 picks the Python. PIP_ARGS is handed to pip. Installed is what the locks say, with
# hashes; LOCK=0 installs the readable pins, for CPU-only builds of torch, say, which have other hashes.
PY = .venv/bin/python
export NO_ALBUMENTATIONS_UPDATE = 1
export PYTHON PIP_ARGS LOCK
# Containers often set it; each worker of the tests would then compile all test files again, for 6 seconds.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help env demo test test-all smoke lint bench kills dashboard lock audit licences
.DEFAULT_GOAL := help

help:
	@echo "make demo            the whole job on drawn people: search, retrain, submission, report in out/demo/"
	@echo "make demo DATA=DIR   the same on your photos; GROUP=COLUMN or a regular expression says whose each is"
	@echo "                     SET='seed=1 augment=light' fixes fields of every trial, with and without DATA"
	@echo "make test            the quick tests: all but those marked slow or server (pyproject.toml)"
	@echo "make test-all        all tests; ARGS='-k loss' hands words to pytest, here as in make test"
	@echo "make dashboard       the study of the newest search in Optuna's dashboard; EXPERIMENT=NAME chooses another"
	@echo "make smoke           tiny trials of every shipped experiment"
	@echo "make bench           speed, memory and start cost against their rivals; QUICK=1 for a short look"
	@echo "make kills           kills small searches 60 times and counts what was lost; KILLS=1000 for a night"
	@echo "make lint            style and types"
	@echo "make env             only the environment"
	@echo "make lock            resolve the pins to *.lock, with hashes; UPGRADE=1 for newer versions of what they need"
	@echo "make audit           known vulnerabilities of the locked versions; asks PyPI"
	@echo "make licences        the licences of what is installed, in docs/licences.md"

env:
	@nni_setup/env.sh

demo: env
	@$(PY) -m experiments demo $(if $(DATA),--data "$(DATA)") $(if $(GROUP),--set "group=$(GROUP)") $(addprefix --set ,$(SET))

# worksteal: each worker has whole files next to each other, so that what a file's tests share is mostly made once;
# one that is done takes tests from another's end, where loadfile would leave a worker alone with the longest file.
PYTEST = $(PY) -m pytest -n auto --dist worksteal

test: env
	@$(PYTEST) -m "not server and not slow" $(ARGS)

test-all: env
	@$(PYTEST) $(ARGS)

dashboard: env
	@$(PY) -m experiments dashboard "$(or $(EXPERIMENT),latest)"

smoke: env
	@$(PY) -m experiments smoke

bench: env
	@$(PY) -m benchmarks $(if $(QUICK),--quick)

kills: env
	@$(PY) -m benchmarks.kills $(if $(KILLS),--kills $(KILLS))

lint: env
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

# The environment of the tools; nothing of it is imported by the project.
TOOLS = out/tools
$(TOOLS)/.made: requirements-tools.txt | env
	@$(PY) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) -r requirements-tools.txt
	@touch $@

# universal: for all systems and Pythons at once, with markers. The versions that stand in a lock are kept.
COMPILE = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: $(TOOLS)/.made
	@$(COMPILE) requirements.txt --output-file requirements.lock
	@$(COMPILE) --no-deps requirements-no-deps.txt --output-file requirements-no-deps.lock

# strict: a package that could not be looked up is a failure, too.
audit: $(TOOLS)/.made
	@for lock in requirements.lock requirements-no-deps.lock; do \
		$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r $$lock || exit 1; done

licences: env
	@$(PY) -m tools.licences
