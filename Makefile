# Clarion. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
WORKERS ?= 2
SEEDS ?= 1000
FROM ?= 0

.PHONY: help setup demo up test test-long check lint types contracts protos protos-check schemas locks jars locks-check unit simulate integration bench bench-decision bench-fanout bench-state mutants clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/ready ## .venv with everything, and .venv/bin/clarion

.venv/ready: requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not there; Python 3.11 or newer is needed (PYTHON=... names another)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed (PYTHON=... names another)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(UV) || $(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip sync -q --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## a day at a power company on a real Kafka: what was decided, and why
	@$(BIN)/clarion demo

up: setup ## everything on this machine, until Ctrl-C
	@$(BIN)/clarion up --demo-customers

test: check unit integration ## everything that CI runs

test-long: setup ## the properties over many times more histories: minutes, not seconds
	@$(BIN)/pytest -q -n $(WORKERS) --long tests/property

check: lint types contracts protos-check locks-check ## everything that needs no run of the product

lint: setup ## style
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/deptry services

types: setup ## types, strict
	@$(BIN)/mypy

contracts: setup ## who may import whom
	@$(BIN)/lint-imports --no-cache

protos: setup ## generate Python from the protobuf contracts
	@./protos/generate protos/gen

protos-check: setup ## the contracts are clean, compatible, and what is generated from them is up to date
	@$(BIN)/buf lint protos
	@$(BIN)/buf format -d --exit-code protos
	@if git rev-parse -q --verify main:protos/buf.yaml >/dev/null 2>&1; then $(BIN)/buf breaking protos --against '.git#branch=main,subdir=protos'; fi
	@fresh=$$(mktemp -d) && ./protos/generate "$$fresh" && diff -r -x __pycache__ "$$fresh" protos/gen && rm -r "$$fresh"

schemas: setup ## generate the JSON Schemas of policy files, for editors (a unit test sees that they are up to date)
	@$(BIN)/python -m services.control.editor_schemas deploy/schemas

locks: setup ## resolve the dependencies again
	@$(UV) pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o requirements.lock
	@$(UV) pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o requirements-dev.lock

jars: setup ## resolve Kafka's packages again (needs Maven)
	@$(BIN)/python -m services.control.broker.relock

locks-check: setup ## the lock files hold what pyproject.toml asks for, and no address
	@for lock in requirements.lock requirements-dev.lock; do \
	  if grep -nE '://|index-url|find-links' $$lock; then echo "$$lock names an address" >&2; exit 1; fi; done
	@fresh=$$(mktemp -d) && cp requirements.lock requirements-dev.lock "$$fresh" && \
	  $(UV) pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o "$$fresh/requirements.lock" && \
	  $(UV) pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o "$$fresh/requirements-dev.lock" && \
	  diff requirements.lock "$$fresh/requirements.lock" && diff requirements-dev.lock "$$fresh/requirements-dev.lock" && rm -r "$$fresh"

unit: setup ## the pure parts: behaviours, properties, contracts, and the processor on a model of Kafka
	@$(BIN)/pytest -q -n $(WORKERS) tests/unit tests/property tests/contract tests/simulation

simulate: setup ## the processor on a model of Kafka, SEEDS=n seeds beginning FROM=k; of a single seed the story
	@PYTHONPATH=.:protos/gen $(BIN)/python -m tests.simulation $(SEEDS) $(FROM)

integration: setup ## real Kafka, real processes, kill -9
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup tests/integration tests/e2e

bench: bench-decision ## figures, each beside its baseline
	@$(BIN)/python -m bench.router

bench-fanout: setup ## what a recipient of an event for everyone costs, and what urgent events notice of it
	@$(BIN)/python -m bench.fanout

bench-decision: setup ## what one decision costs, without Kafka; check and tests of large policies
	@$(BIN)/python -m bench.decision

mutants: setup ## whether the tests of the decision core notice mistakes in it
	@$(BIN)/python -m bench.mutants.run --workers $(WORKERS)

bench-state: setup ## figures of the router's state: restore, cost and memory by number of customers
	@$(BIN)/python -m bench.state

clean: ## remove what was built here (not the downloads, not the data of `clarion up`)
	@rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
