# The commands of Redial. Everything they need is installed into .venv, from requirements-dev.txt.

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help chosen install lint format test run demo picture e2e bench simulate clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install what is needed into .venv: PYTHON=python3.11, or a later one

# The stamp is newer than the requirements once they are installed, so nothing is installed twice.
$(INSTALLED): requirements.txt requirements-dev.txt | chosen
	@echo "Installing into .venv (once; again when the requirements change)"
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: PYTHON=$(PYTHON) is not a Python of 3.11 or later on this machine:" \
	  "install Python 3.11, or name one that is there (example: make install PYTHON=python3.12)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# PYTHON= of the command line or the environment names another Python than the one that .venv was made with.
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
chosen:
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
	@test ! -x $(BIN)/python || { has=$$($(BIN)/python $(VERSION)); wanted=$$($(PYTHON) $(VERSION) 2>/dev/null); \
	  test "$$has" = "$$wanted" || { echo "error: .venv has Python $$has, and PYTHON=$(PYTHON) is" \
	  "$${wanted:-not on this machine}: run make clean first, or leave PYTHON= out" >&2; exit 1; }; }
endif

format: $(INSTALLED) ## Format the code and fix what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(INSTALLED) ## Check formatting, style, types, the layers and the complexity of the core
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ops.complexity
	$(BIN)/python -m ops.docstrings

# Schemathesis makes its cases when pytest reads this file, in eight seconds. All of the file is slow: make e2e runs it.
SCHEMATHESIS := tests/api/test_schemathesis.py

test: lint ## Check everything and run every fast test
	$(BIN)/pytest -m "not e2e and not slow" -p no:schemathesis --ignore $(SCHEMATHESIS)

FRESH ?=

run: $(INSTALLED) ## Run the local stack until Ctrl-C, with the calls and key of the last time: FRESH=1 forgets them
	@$(BIN)/python -m ops.local $(if $(filter-out 0,$(FRESH)),--fresh)

demo: $(INSTALLED) ## Watch calls being retried on the local stack; ends by itself
	@$(BIN)/python -m ops.local.demo

picture: $(INSTALLED) ## Run the demo and draw it into docs/demo.svg
	@$(BIN)/python -m ops.local.demo --svg docs/demo.svg

e2e: $(INSTALLED) ## Run the slow tests, and the end-to-end tests on the local stack
	$(BIN)/pytest -m "slow or e2e" -n 3 --dist loadscope

JSON ?=

bench: $(INSTALLED) ## Count what each kind of event costs, and measure the hot paths: JSON=1 prints JSON
	@$(BIN)/python -m ops.bench $(if $(filter-out 0,$(JSON)),--json)

SEED ?= 1
CALLS ?= 100
FAULTS ?= light

simulate: $(INSTALLED) ## Simulate everything under faults: SEED=1 CALLS=100 FAULTS=none|light|heavy
	@$(BIN)/python -m ops.simulate --seed $(SEED) --calls $(CALLS) --faults $(FAULTS)

clean: ## Remove what the other commands made on this machine: .venv, the calls of make run, caches
	rm -rf .venv .local .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .chalice/deployments
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
