# Each target brings what it needs: with Python 3.11, pip and make alone, .venv is made and the lock is synced into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
# A process a core, each with its own store; a file's tests stay together, since they share what they start.
SPREAD := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install demo up test test-fast check fmt bench bench-ingest bench-queries bench-reconcile chaos verify-emitters verify-full clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tollway needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

$(STAMP): pyproject.toml uv.lock | $(BIN)/uv
	$(BIN)/uv sync --frozen --quiet --inexact --system-certs
	@touch $(STAMP)

install: $(STAMP) ## Make .venv and install everything the lock names

demo: $(STAMP) ## Run the whole loop on a slice of real traffic, and keep serving
	$(BIN)/tollway demo

up: $(STAMP) ## Start every part on this machine (CONFIG=tollway.yaml)
	$(BIN)/tollway up --config $(or $(CONFIG),tollway.yaml)

test: $(STAMP) ## Run all tests; without a Chromium the browser tests are skipped, loudly
	$(BIN)/pytest $(SPREAD) $(if $(NO_SKIPS),--no-skips)

test-fast: $(STAMP) ## Run the tests that start no process of their own
	$(BIN)/pytest $(SPREAD) -m "not slow"

check: $(STAMP) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fmt: $(STAMP) ## Format, and mend what can be mended
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

bench: $(STAMP) ## Measure CPU per unit of work, and mixed traffic in tiers and in one pool
	$(BIN)/python -m deploy.bench

bench-ingest: $(STAMP) ## Measure what landing a span costs, all included (SPANS=400000)
	$(BIN)/python -m deploy.bench ingest $(if $(SPANS),--spans $(SPANS))

bench-queries: $(STAMP) ## Ask what dashboards ask of 13 months of attempts (ATTEMPTS=100000000; DATA=DIR keeps them)
	$(BIN)/python -m deploy.bench.queries --attempts $(or $(ATTEMPTS),100000000) $(if $(DATA),--data $(DATA))

bench-reconcile: $(STAMP) ## Reconcile a month of attempts with its invoices (ATTEMPTS=100000000 LINES=100000)
	$(BIN)/python -m deploy.bench.reconcile --attempts $(or $(ATTEMPTS),100000000) --lines $(or $(LINES),100000) $(if $(DATA),--data $(DATA))

verify-emitters: $(STAMP) ## Drive other packages' telemetry for real, and rewrite its corpora where it changed
	$(BIN)/python -m tests.emitters.verify $(EMITTERS)

chaos: $(STAMP) ## Kill, stop and starve the parts under traffic; their books against the generator's (MOMENTS=300)
	$(BIN)/python -m deploy.chaos $(if $(MOMENTS),--moments $(MOMENTS)) $(if $(ROWS),--rows $(ROWS)) $(if $(SEED),--seed $(SEED))

verify-full: check ## Everything, and any skip is a failure
	$(MAKE) test NO_SKIPS=1

clean: ## Remove what was built here (not data/)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
