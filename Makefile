# Two commands on a fresh machine: `make run` and `make test`. Both make .venv first, by pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
RUN ?=
export PYTHONUNBUFFERED = 1

.PHONY: help run test check coverage bench meta field docs clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

run: $(VENV)/run.done  ## learn from the embedded card world and serve the status page
	$(BIN)/adaptd run --checkpoints run/checkpoints $(RUN)

test: $(VENV)/test.done check  ## the whole test suite: style, types, contracts, behaviour
	$(BIN)/pytest -n 3 --dist loadgroup

check: $(VENV)/test.done  ## style, types and import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(VENV)/test.done  ## what the tests of this process reach, by line and branch
	$(BIN)/coverage run -m pytest -q -m "not slow"
	$(BIN)/coverage report --skip-covered --sort=cover

bench: $(VENV)/test.done  ## the figures that README and docs quote (more than an hour on 2 cores)
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.rates
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.shards
	$(BIN)/python -m benchmarks.delivery
	$(BIN)/python -m benchmarks.soak_kafka
	$(BIN)/python -m benchmarks.fill_readme

meta: $(VENV)/test.done  ## the figures of docs/families.md (about an hour on 2 cores)
	$(BIN)/python -m benchmarks.sinusoid --seeds 1
	$(BIN)/python -m benchmarks.sinusoid maml metasgd cavia alpaca --seeds 3
	$(BIN)/python -m benchmarks.omniglot
	$(BIN)/python -m benchmarks.continual
	$(BIN)/python -m benchmarks.speed_maml
	$(BIN)/python -m benchmarks.families
	$(BIN)/python -m benchmarks.fill_readme

field: $(VENV)/test.done  ## the agent and its peers on real streams (many hours; goes on where it stood)
	$(PIP) install -c constraints.txt -e '.[field]'
	$(BIN)/python -m benchmarks.field run --peers adaptd --seeds 3 --delays 0,100,1000 --beside 2000
	$(BIN)/python -m benchmarks.field run
	$(BIN)/python -m benchmarks.field run --peers hat,arf --delays 100,1000 --longest 50000
	$(BIN)/python -m benchmarks.field table

docs: $(VENV)/test.done  ## pages made from the code, dashboards, rules; docs/status.png by headless Chromium
	$(BIN)/python docs/make_settings.py
	$(BIN)/python docs/make_families.py
	$(BIN)/python docs/make_metrics.py
	$(BIN)/python deploy/grafana/make_dashboards.py
	$(BIN)/python deploy/kubernetes/make_rules.py
	$(BIN)/python docs/make_status_png.py

clean:           ## remove the environment and everything that runs made
	rm -rf $(VENV) run runs out .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/run.done: pyproject.toml constraints.txt
	@echo "making $(VENV): a few minutes on a fresh machine, most of it PyTorch"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/test.done: $(VENV)/run.done
	@echo "adding what the tests need to $(VENV)"
	$(PIP) install -c constraints.txt -e '.[dev,fuzz]'
	@touch $@
