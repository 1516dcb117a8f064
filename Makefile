# Needs make and Python 3.11 or newer; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(if $(filter Windows_NT,$(OS)),$(VENV)/Scripts,$(VENV)/bin)
READY := $(VENV)/.ready
UV := UV_PROJECT_ENVIRONMENT=$(VENV) UV_PYTHON_DOWNLOADS=never $(BIN)/uv
PROGRAM := $(BIN)/agent-orchestration

# Test processes at a time, and anything else for pytest: make test JOBS=4 ARGS="-k claim"
JOBS ?= auto
ARGS ?=
SEEDS ?= 500
MINUTES ?= 30
.DEFAULT_GOAL := help
.PHONY: help setup test test-deploy simulate chaos nightly demo bench profile schema dashboards format lint types check build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with the locked dependencies

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) sync --frozen --quiet
	@touch $(READY)

test: setup ## run the tests (JOBS=4 ARGS="-k claim")
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-deploy: setup ## install, upgrade, roll back and remove the Helm chart on a real kube-apiserver (needs Go)
	$(BIN)/python -m tests.services.go helm
	$(BIN)/python -m tests.services.apiserver
	AO_TEST_APISERVER=1 $(BIN)/python -m pytest -q -p no:xdist tests/deploy/test_chart_on_apiserver.py

simulate: setup ## run simulated failures, each seed a history of its own (SEEDS=10000)
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS)

chaos: setup ## restart Kafka, Neo4j and processors under load, again and again, and fail their network (MINUTES=30)
	AO_MONKEY_MINUTES=$(MINUTES) AO_OUTAGE_SECONDS=60 $(BIN)/python -m pytest -q -s -p no:xdist tests/chaos/test_bad_days.py tests/chaos/test_network.py

nightly: setup ## what needs an environment of its own: the example with LangGraph
	@test -x .nightly/bin/python || $(BIN)/python -m venv .nightly
	@$(BIN)/uv pip install --quiet --python .nightly/bin/python . 'langgraph>=1.2,<2' 'langchain-openai>=1.7,<2'
	AO_OTHER_PYTHON=$(CURDIR)/.nightly/bin/python $(BIN)/python -m pytest -p no:xdist tests/e2e/test_examples.py

demo: setup ## a small company does a real job, and one worker is killed (temporary folder)
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && $(PROGRAM) demo --data "$$data"

bench: setup ## measure beside something known; writes bench/results.json (ARGS="P4 P7")
	$(BIN)/python -m bench $(ARGS)

profile: setup ## where the time goes on the way of a command (ARGS="--top 20")
	$(BIN)/python -m bench.profile $(ARGS)

schema: setup ## write the generated files of schema/
	$(PROGRAM) schema write schema

dashboards: setup ## write Grafana's dashboards from their description (see dashboards.yaml)
	$(BIN)/python -m tests.deploy.dashboards

format: setup ## format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: setup ## check format, style and the direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-cache

types: setup ## check the types, strictly
	$(BIN)/pyright

check: lint types test ## lint, types and tests

build: setup ## build the wheel and the source archive into dist/
	$(UV) build --quiet --clear

clean: ## remove .venv, caches and builds
	rm -rf $(VENV) .nightly build dist .pytest_cache .ruff_cache .hypothesis
	find agent_orchestration bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
