# The only commands anyone must know. Each sets up what it needs and nothing more.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup demo test check soak bench up clean

PYTHON ?= python3.11
WORKSPACE ?= .footfall/workspace
EXTRAS := serve,train,pipeline,demo,dev
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(BIN):$(PATH)

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

setup: $(READY) ## make .venv, every version held by constraints.txt

# uv where it works, else pip. uv does not read pip's configuration, so pip's find-links and index are handed on.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(VENV)
	said() { python -m pip config get "global.$$1" 2>/dev/null || true; }
	links="$${PIP_FIND_LINKS:-$$(said find-links)}"
	index="$${PIP_INDEX_URL:-$$(said index-url)}"
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$${UV_FIND_LINKS:-$$(xargs <<<"$$links" | tr ' ' ',')}"; fi
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; fi
	quiet=--quiet; if [ -t 1 ]; then quiet=; fi
	wanted=(--constraint constraints.txt --editable '.[$(EXTRAS)]')
	if python -m pip install --quiet uv && uv pip install --compile-bytecode $$quiet --python $(BIN)/python "$${wanted[@]}"; then
		echo "set up with uv: $(VENV)"
	else
		echo "uv could not set up the environment; trying pip"
		python -m pip install $$quiet "$${wanted[@]}"
		echo "set up with pip: $(VENV)"
	fi
	touch $(READY)

demo: $(READY) ## run the whole loop on the demonstration shop (ARGS=--keep leaves it running)
	@footfall demo $(ARGS)

test: $(READY) ## run the tests (ARGS='tests/unit -k gate' for some of them)
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY) ## lint, formatting, types, layers
	@ruff check .
	ruff format --check .
	mypy
	PYTHONPATH=src lint-imports

soak: $(READY) ## run the trials (kills, faults, floods, erasures) at their stated counts; figures in reports/bench/soak.json
	@FOOTFALL_SOAK=1 python -m pytest -m trial -o faulthandler_timeout=7200 -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(READY) ## run the benchmarks at the size of this machine; figures in reports/bench (FULL=1 for the stated sizes)
	@python -m benchmarks all $(if $(FULL),--full)

up: $(READY) ## start production on this machine, in WORKSPACE (default .footfall/workspace)
	@[ -f $(WORKSPACE)/params.yaml ] || footfall init $(WORKSPACE)
	cd $(WORKSPACE)
	exec env FOOTFALL_ROOT="$$PWD" PYTHONPATH=src:. honcho start

clean: ## remove .venv, caches and all state below .footfall (the demo's workspace too)
	@rm -rf .venv .footfall .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
