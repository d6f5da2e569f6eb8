# `make demo` and `make test` need Python 3.11 or later and a network for the first install only.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.requirements.stamp
# What running needs, and what `make test` needs beside it.
REQUIREMENTS := requirements.txt requirements-dev.txt
PIP := $(PY) -m pip --disable-pip-version-check
# As in pyproject.toml's `parity`. On Linux PyPI's own build brings gigabytes of CUDA, so the
# makers' index of CPU builds is asked first.
TORCH := torch==2.13.0
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# pyenv and its kind leave names that do not start, so a candidate counts only if it runs.
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.14 python
IS_NEW := import sys; sys.exit(sys.version_info < (3, 11))
HAS_VENV := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# Processes that tests run in: `make test WORKERS=2`. One more than there are cores fills the waits
# for commands that tests start.
WORKERS ?= $(shell python3 -c 'import os; print(1 + (os.cpu_count() or 1))' 2>/dev/null || echo logical)

.DEFAULT_GOAL := help
.PHONY: help venv demo test parity lint clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

venv: $(STAMP) ## create .venv and install what running and the tests need (also after a change of it)

demo: $(STAMP) ## stylize with the committed model, then train a small one; minutes on a CPU
	$(PY) -m din_jax.tools.demo
	$(PY) train.py --config configs/din.py:demo --workdir runs/demo

test: lint ## lint, then run every test
	$(PY) -m pytest -n $(WORKERS) --dist worksteal

parity: $(STAMP) ## install PyTorch (its CPU build) and compare numbers with it
	@$(PY) -c 'import torch' 2>/dev/null \
	    || $(PIP) install --quiet --retries 1 --index-url $(TORCH_INDEX) '$(TORCH)' 2>/dev/null \
	    || $(PIP) install --quiet '$(TORCH)'
	XLA_FLAGS= $(PY) -m pytest -n $(WORKERS) -m "not slow" tests/parity
	$(PY) -m parity --brief

lint: $(STAMP) ## check the style of the code
	$(PY) -m ruff check .

clean: ## remove .venv, caches and runs/demo
	rm -rf $(VENV) .pytest_cache .ruff_cache build dist *.egg-info runs/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The file exists exactly if the last install ended well, so that a broken one is repeated.
$(STAMP): $(REQUIREMENTS)
	@set -eu; \
	if ! $(PY) -c '$(IS_NEW)' 2>/dev/null || ! $(PY) -m pip --version >/dev/null 2>&1; then \
	    base=; any=; \
	    for name in $(CANDIDATES); do \
	        if $$name -c '$(HAS_VENV)' 2>/dev/null; then base=$$name; break; fi; \
	        if [ -z "$$any" ] && $$name -c '$(IS_NEW)' 2>/dev/null; then any=$$name; fi; \
	    done; \
	    if [ -z "$$base" ] && [ -n "$$any" ]; then \
	        echo "error: $$any has no venv module; install it" \
	            "(on Debian or Ubuntu: apt install python3-venv) and run make again" >&2; \
	        exit 1; \
	    fi; \
	    if [ -z "$$base" ]; then \
	        echo "error: none of $(CANDIDATES) is Python 3.11 or later; install it" \
	            "(https://www.python.org/downloads) and run make again" >&2; \
	        exit 1; \
	    fi; \
	    echo "creating $(VENV) with $$($$base --version)"; \
	    $$base -m venv --clear $(VENV); \
	fi; \
	echo "installing $(REQUIREMENTS) into $(VENV) (about 1 GB, once)"; \
	if ! $(PIP) install --quiet $(REQUIREMENTS:%=-r %); then \
	    echo "error: pip could not install $(REQUIREMENTS) (its message stands above);" \
	        "check the network and run make again" >&2; \
	    exit 1; \
	fi; \
	touch $@
