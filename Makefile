# A command runner: one verb each. `make help` lists them, from the comments behind the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
EXAMPLE := examples/quickstart

.PHONY: help setup toolchain check fix unit test e2e-hosts demo down bench faults docs

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment from uv.lock
	@:

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: Atoll needs Python 3.11 or newer; name one with PYTHON=…' >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv sync --frozen --quiet --all-extras
	@touch $(STAMP)

toolchain: setup ## get the Kubernetes binaries that are missing (the first time this can take minutes)
	@$(BIN)/atoll toolchain get

check: setup ## formatting, lint, types, import contracts, generated files
	@stray=$$(find operator -maxdepth 1 -name '*.py'); test -z "$$stray" || { echo "error: $$stray: no Python file may lie directly in operator/ (docs/explanation/packaging.md)" >&2; exit 1; }
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy -p atoll
	$(BIN)/lint-imports
	$(BIN)/atoll crds --check

fix: setup ## format, and mend what lint can mend by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

unit: setup ## the tests without I/O, in seconds
	$(BIN)/pytest tests/unit

test: toolchain ## all tests: unit, planted bugs, the providers' contract, and against real API servers
	$(BIN)/python -m tests.lanes

e2e-hosts: toolchain ## the tests on throw-away hosts: SSH, pools, kubeadm (Linux, root; part of `make test`)
	$(BIN)/pytest tests/e2e/ssh tests/e2e/hosts

demo: setup ## grow a fleet from nothing and upgrade it, on this machine
	@$(BIN)/atoll demo

down: setup ## stop what the demo or `atoll up` started, and remove its state
	@$(BIN)/atoll down --purge

bench: toolchain ## measure, and print numbers with the machine that they come from
	$(BIN)/python -m bench

faults: toolchain ## end the operator at every write and effect, break hosts in every way, search rollouts (three hours)
	$(BIN)/python -m tests.faults --all --write-ledger
	$(BIN)/python -m tests.faults.hosts --all --write-ledger
	$(BIN)/python -m tests.faults.rollouts --states 1000000 --sequences 20000 --write-ledger

docs: setup ## check that links inside the documentation lead somewhere
	$(BIN)/pytest tests/unit/cli/test_documentation.py
