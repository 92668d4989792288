# Every target sets up its own environment first (.venv, from requirements*.txt and pyproject.toml; a no-op once made).
# PYTHON=/path/to/python3.12 picks the Python. PIP_ARGS is handed to pip: an --extra-index-url with CPU-only builds
# of torch, say, for a smaller environment.
PY = .venv/bin/python
export NO_ALBUMENTATIONS_UPDATE = 1
export PYTHON PIP_ARGS
# Containers often set it; each worker of the tests would then compile all test files again, for 6 seconds.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help env demo test test-all smoke lint bench kills dashboard
.DEFAULT_GOAL := help

help:
	@echo "make demo            the whole job on drawn people: search, retrain, submission, report in out/demo/"
	@echo "make demo DATA=DIR   the same on your photos; GROUP=COLUMN or a regular expression says whose each is"
	@echo "make test            the quick tests: all but those marked slow or server (pyproject.toml)"
	@echo "make test-all        all tests; ARGS='-k loss' hands words to pytest, here as in make test"
	@echo "make dashboard       the study of the newest search in Optuna's dashboard; EXPERIMENT=NAME chooses another"
	@echo "make smoke           tiny trials of every shipped experiment"
	@echo "make bench           speed, memory and start cost against their rivals; QUICK=1 for a short look"
	@echo "make kills           kills small searches 60 times and counts what was lost; KILLS=1000 for a night"
	@echo "make lint            style and types"
	@echo "make env             only the environment"

env:
	@nni_setup/env.sh

demo: env
	@$(PY) -m experiments demo $(if $(DATA),--data "$(DATA)") $(if $(GROUP),--set "group=$(GROUP)")

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
