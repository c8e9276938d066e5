# make demo and make test are all a newcomer needs: each sets .venv up first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Hundreds of interpreters start in the tests; none is to compile again what another has compiled.
export PYTHONDONTWRITEBYTECODE :=
# Tests with daemons wait as much as they work, so one process more than there are cores.
TESTERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')

.PHONY: help install demo test check format bench clean

help:  ## show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kbd needs Python 3.11 or newer, found $$($(PYTHON) --version); try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[worker,test,dev]'
	touch $(STAMP)

install: $(STAMP)  ## make .venv with kbd and everything it can use

demo: $(STAMP)  ## start a daemon on a spool of its own, judge five example jobs, show the verdicts
	$(BIN)/kbd demo

test: $(STAMP)  ## run all tests that need no GPU (and those that do, where there is one)
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadgroup

check: $(STAMP)  ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.typing $(BIN)/lint-imports

format: $(STAMP)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## run the benchmarks that this machine can run
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/quiet.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/load.py

clean:  ## remove .venv and everything built
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
