# Every target prepares .venv first: nothing else has to be installed but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup demo test lint bench chaos simulate docs release-schemas
help:
	@echo 'make demo   the whole pipeline on this machine, with a live view (Ctrl-C ends it)'
	@echo 'make test   every test; starts the real components it needs'
	@echo 'make lint   ruff, mypy --strict, import rules, generated files up to date'
	@echo 'make bench  throughput of worker and sink, beside an idiomatic Faust agent'
	@echo 'make chaos  breaks a running pipeline in every way, on real processes, and judges what it said'
	@echo 'make simulate   the lane runtime in simulated time against simulated faults (SEEDS=20000)'
	@echo 'make release-schemas   keeps the contracts of this version; later ones must be compatible with them'
	@echo 'make docs   regenerates reference pages, docs/kpis.md, types and the JSON Schema of agreements'

setup: $(STAMP)
$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(STAMP)

demo: setup
	@$(BIN)/baton demo

# Two processes: most of the time of a test goes by waiting. Each starts its own components.
PROCESSES ?= 2
test: setup
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m schemas.generate --check
	@$(BIN)/python -m deploy.clickhouse.catalogue --check

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: setup
	@$(BIN)/python -m tests.chaos $(ARGS)

SEEDS ?= 2000
simulate: setup
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

docs: setup
	@$(BIN)/python -m schemas.generate
	@$(BIN)/python -m deploy.clickhouse.catalogue
	@$(BIN)/baton agreement schema > docs/reference/agreement.schema.json

release-schemas: setup
	@$(BIN)/python -m schemas.release $(ARGS)
