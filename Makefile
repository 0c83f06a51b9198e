# Each target makes its own environment in .venv; PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo bench test lint format conformance clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed  ## run the demonstration: ten layers, a photograph, a small network (minutes)
	$(BIN)/convhub demo --output demo-output

bench: $(VENV)/.installed  ## time the default backends beside torch, with tables and a figure (ten minutes or more)
	mkdir -p bench-output
	$(BIN)/convhub bench --primitive all --json bench-output/torch.json --plot bench-output/torch.png \
		--markdown bench-output/torch.md

test: lint  ## check style and types, then run every test and the conformance suite on every backend
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal
	PYTHONPATH=tests:tests/emulated_cupy $(BIN)/python -m pytest --numprocesses auto --dist worksteal \
		convhub/conformance --convhub-backend cupy-emulated

lint: $(VENV)/.installed  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

conformance: $(VENV)/.installed  ## run the conformance suite alone
	$(BIN)/python -m pytest --numprocesses auto convhub/conformance

clean:  ## remove the environment and what the targets made
	rm -rf $(VENV) demo-output bench-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find backends -name '*.nb[ic]' -delete

# The group is installed whole by every target, so that no target leaves the environment half done.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "convhub needs Python 3.11 or newer, and PYTHON=$(PYTHON) is %d.%d" % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --upgrade pip
	$(PIP_INSTALL) --group dev --editable .
	touch $@
