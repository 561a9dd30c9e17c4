# Everything an operator or developer does, on a machine that has make and Python 3.11 or later and nothing else.
# Each target does its own set-up, asks nothing, and may be run again.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test faults matrix check bench bench-quick bench-page bench-reports bench-scale soak screenshots format lock proto clean setup setup-dev parts lint

# Another Python may be named: make run PYTHON=python3.13
PYTHON ?=
# How many tests run side by side: most wait for processes, so a few more than there are cores.
WORKERS ?= 4
# Another gateway to measure beside: make bench PEER=litellm
PEER ?=
SOAK_MINUTES ?= 60
VENV := .venv
BIN := $(VENV)/bin
INSTALL := sh deploy/install.sh $(VENV) "$(PYTHON)"

help:
	@echo "make run      set up what is missing, then serve on http://127.0.0.1:8000"
	@echo "make test     the tests, on SQLite and PostgreSQL, in real processes and a real browser"
	@echo "make faults   every fault that it survives: processes killed, databases frozen; FAULT_SEED=n plays one again"
	@echo "make matrix   every door, every kind of provider, every feature: asked at the real product, printed as a table"
	@echo "make check    the whole gate: format, lint, types, import laws, migrations, tests"
	@echo "make bench    measure what the gateway costs a call, in under ten minutes; PEER=litellm: with LiteLLM beside it"
	@echo "make bench-quick  whether a call costs more than it did, in under a minute"
	@echo "make bench-page   put the newest results into the documentation"
	@echo "make soak     an hour of mixed load: whether memory stays flat, and the books exact; SOAK_MINUTES=n"
	@echo "make bench-scale  measure what 10, 1,000 and 10,000 clients, models and routes cost"
	@echo "make bench-reports  measure reports over ten million rows, and check them"
	@echo "make screenshots  pictures of every admin page and e-mail, on a desk and on a phone, into var/screenshots"
	@echo "make format   put the code in its form"
	@echo "make lock     pin the requirements anew, with hashes"
	@echo "make proto    make gateway/generated anew from proto/"
	@echo "make clean    remove what was made here, apart from var/, where the data is"

run: setup
	@exec $(BIN)/python manage.py serve

test: setup-dev parts
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder

faults: setup-dev parts
	@$(BIN)/python -m pytest tests/faults -m "" -s

matrix: setup-dev
	@$(BIN)/python -m pytest tests/matrix/test_matrix.py -q -s

check: lint test

lint: setup-dev
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy .
	@NO_COLOR=1 $(BIN)/lint-imports --no-logo
	@STATE_DIR=$$(mktemp -d) $(BIN)/python manage.py makemigrations --check --dry-run

bench: setup-dev
	@if [ -n "$(PEER)" ]; then sh deploy/peer.sh $(VENV) $(PEER); fi
	@$(BIN)/python -m benchmarks.run --peer "$(PEER)"

bench-quick: setup-dev
	@$(BIN)/python -m benchmarks.quick

bench-page: setup-dev
	@$(BIN)/python -m benchmarks.chart

soak: setup-dev
	@$(BIN)/python -m benchmarks.soak --minutes $(SOAK_MINUTES)

bench-reports: setup-dev
	@$(BIN)/python benchmarks/reports.py

bench-scale: setup-dev
	@$(BIN)/python benchmarks/scale.py
	@$(BIN)/python benchmarks/budgets.py

screenshots: setup-dev parts
	@$(BIN)/python -m tests.browser.screenshots var/screenshots
	@echo "Pictures are in var/screenshots."

format: setup-dev
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: setup-dev
	@$(BIN)/uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 requirements.in -o requirements.txt
	@$(BIN)/uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 -c requirements.txt requirements-dev.in -o requirements-dev.txt
	@for pins in tests/clients/foreign/*.in benchmarks/peers/*.in; do $(BIN)/uv pip compile -q --no-header --generate-hashes --universal --python-version 3.11 $$pins -o $${pins%.in}.txt; done

proto: setup-dev
	@$(BIN)/python -m grpc_tools.protoc -I proto/ai_proxy/v1 --python_out=gateway/generated --pyi_out=gateway/generated \
		proto/ai_proxy/v1/ai_proxy.proto

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@$(INSTALL) requirements.txt

setup-dev:
	@$(INSTALL) requirements-dev.txt

parts: setup-dev
	@sh deploy/test-parts.sh $(VENV)
	@sh deploy/test-clients.sh $(VENV)
