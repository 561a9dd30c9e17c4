# Everything an operator or developer does, on a machine that has make and Python 3.11 or later and nothing else.
# Each target does its own set-up, asks nothing, and may be run again.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test faults check bench bench-reports format lock clean setup setup-dev parts lint

# Another Python may be named: make run PYTHON=python3.13
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := sh deploy/install.sh $(VENV) "$(PYTHON)"

help:
	@echo "make run      set up what is missing, then serve on http://127.0.0.1:8000"
	@echo "make test     every test, on SQLite and PostgreSQL, in real processes and a real browser"
	@echo "make faults   every fault that it survives: processes killed, databases frozen; FAULT_SEED=n plays one again"
	@echo "make check    the whole gate: format, lint, types, import laws, migrations, tests"
	@echo "make bench    measure what the gateway costs a call"
	@echo "make bench-reports  measure reports over ten million rows, and check them"
	@echo "make format   put the code in its form"
	@echo "make lock     pin the requirements anew, with hashes"
	@echo "make clean    remove what was made here, apart from var/, where the data is"

run: setup
	@exec $(BIN)/python manage.py serve

test: setup-dev parts
	@$(BIN)/python -m pytest

faults: setup-dev parts
	@$(BIN)/python -m pytest tests/faults -m "" -s

check: lint test

lint: setup-dev
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy .
	@NO_COLOR=1 $(BIN)/lint-imports --no-logo
	@STATE_DIR=$$(mktemp -d) $(BIN)/python manage.py makemigrations --check --dry-run

bench: setup-dev
	@$(BIN)/python benchmarks/run.py

bench-reports: setup-dev
	@$(BIN)/python benchmarks/reports.py

format: setup-dev
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: setup-dev
	@$(BIN)/uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 requirements.in -o requirements.txt
	@$(BIN)/uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 -c requirements.txt requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@$(INSTALL) requirements.txt

setup-dev:
	@$(INSTALL) requirements-dev.txt

parts: setup-dev
	@sh deploy/test-parts.sh $(VENV)
