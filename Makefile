# Verbs of the workspace. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := shared/contracts shared/kit shared/testing services/identity services/government-services services/evaluation compute-scheduler data-hub algorithm-dev service-portal deploy/standalone
LOCKS := $(wildcard requirements/*.txt)
PROJECTS := $(addsuffix /pyproject.toml,$(MEMBERS))
HOME_DIR ?= ./brain-data
PORT ?= 8080
# More than the two cores: many tests wait for what they have killed to come back.
JOBS ?= 3
SOAK_ROUNDS ?= 20
# The platform and its tests start hundreds of processes: each of them would compile the sources anew.
export PYTHONDONTWRITEBYTECODE :=
COMPILE := $(BIN)/uv pip compile --quiet --no-emit-index-url --no-emit-find-links --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock"

##@ Use
.PHONY: help run setup demo
help: ## list these verbs
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## create the environment, install locked dependencies, fetch browser assets
	@$(BIN)/python -m service_portal.portal.assets

run: setup ## start the platform with the demonstration cluster on http://127.0.0.1:8080
	$(BIN)/brain up --home $(HOME_DIR) --port $(PORT) --demo

##@ Develop
.PHONY: test check style types suite fmt bench soak docs client examples lock
test: setup-servers style ## every check and test, as CI runs them; types are checked beside the tests
	$(MAKE) --no-print-directory --jobs=2 types suite

check: style types ## style, import contracts, types

style: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup-dev
	$(BIN)/mypy $(addsuffix /src,$(MEMBERS))

suite: setup-dev
	$(BIN)/pytest -n $(JOBS) $(TESTARGS)

fmt: setup-dev ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-servers ## measure every figure, each as a ratio to a reference of the same run
	$(BIN)/python -m tests.benchmarks $(BENCHARGS)

soak: setup-servers ## the fault tests, twenty rounds each
	BRAIN_FAULT_ROUNDS=$(SOAK_ROUNDS) $(BIN)/pytest -m fault --timeout 7200 $(TESTARGS)

docs: setup-dev ## write anew what is made from the code: reference pages, compose file, parts of the chart
	$(BIN)/python -m brain_contracts.reference docs/data-sets.md
	$(BIN)/python -m industry_brain.reference docs/settings.md
	$(BIN)/python -m industry_brain.deployment .

client: setup-dev ## make the Python package brain-client and its wheel in build/
	$(BIN)/python -m industry_brain.client.generate build/client
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir build/dist build/client

examples: setup-dev ## play every operation's examples and write down the answers, which are then the documentation
	$(BIN)/python -m tests.e2e.record_examples

lock: $(VENV)/.bootstrap ## compile the requirement locks anew
	for name in bootstrap runtime dev; do $(COMPILE) requirements/$$name.in -o requirements/$$name.txt || exit 1; done

##@ Cluster
.PHONY: servers cluster servers-down setup-servers
servers: setup-dev ## start PostgreSQL, Kafka and an S3 server on free loopback ports
	$(BIN)/python -m brain_testing.servers up --dir .servers --detach

cluster: setup-dev ## one process per service on the servers of `make servers`
	$(BIN)/brain cluster --env .servers/env --home $(HOME_DIR)-cluster --port $(PORT)

setup-servers: setup-dev ## fetch what tests need: PostgreSQL, Kafka, an S3 server, Chromium with a Chinese font
	$(BIN)/python -m brain_testing.servers install

servers-down: ## stop what `make servers` started
	$(BIN)/python -m brain_testing.servers down --dir .servers

##@ Clean
.PHONY: clean setup-dev
clean: ## remove environment, caches, browser assets and the built client; keeps brain-data
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis service-portal/src/service_portal/portal/static/vendor
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup-dev: setup $(VENV)/.dev

$(VENV)/.bootstrap: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.runtime: $(VENV)/.bootstrap requirements/runtime.txt $(PROJECTS)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/runtime.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ./,$(MEMBERS))
	$(BIN)/python -m compileall -q $(addsuffix /src,$(MEMBERS))
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@
