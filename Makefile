# Each target makes its environment in .venv; PYTHON selects the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Targets for a GPU use one environment for each release of CUDA: 13, or 12 for drivers older than 580.
CUDA ?= 13
GPU_VENV := .venv-cuda$(CUDA)
RUN_GPU := PYTHONPATH=tests $(GPU_VENV)/bin/python -m gpu.run

# The lowest versions that pyproject.toml allows are resolved by uv, which has a mode for it. uv reads UV_DEFAULT_INDEX
# where pip reads PIP_INDEX_URL.
OLDEST_VENV := .venv-oldest
# The cost of a call does not depend on versions, and is measured in `make test`. Old libraries use functions that newer
# ones have deprecated.
OLDEST_WARNINGS := -W ignore::DeprecationWarning

# For bench-compare: the revision that is compared with BASE, and the number of comparisons.
HEAD ?= HEAD
TIMES ?= 1

.PHONY: help demo bench bench-compare bench-compare-proof check-base bench-history bench-publish docs linkcheck test check \
	test-oldest lint format conformance test-gpu bench-gpu sanitize-gpu gpu-device check-python clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 21

demo: $(VENV)/.installed  ## run the demonstration: ten layers, a photograph, a small network (minutes)
	$(BIN)/convhub demo --output demo-output

bench: $(VENV)/.installed  ## time the default backends beside torch, with tables and a figure (ten minutes or more)
	mkdir -p bench-output
	$(BIN)/convhub bench --primitive all --json bench-output/torch.json --plot bench-output/torch.png \
		--markdown bench-output/torch.md

bench-compare: check-base $(VENV)/.installed  ## compare the speed of HEAD (HEAD=...) with BASE=main~1 by asv (some minutes)
	$(BIN)/python asv_bench/compare.py --times $(TIMES) "$(BASE)" "$(HEAD)"

bench-compare-proof: $(VENV)/.installed  ## check that bench-compare detects a slowdown in each engine (half an hour)
	$(BIN)/python asv_bench/proof.py

check-base:
	@test -n "$(BASE)" || { echo "BASE is missing: name the revision to compare with, as in make bench-compare BASE=main~1" >&2; exit 2; }

bench-history: $(VENV)/.installed  ## run a few benchmarks over the repository's history, for docs/history.md (20 minutes)
	$(BIN)/python asv_bench/history.py

bench-publish: $(VENV)/.installed  ## make a site of asv's results that works offline
	$(BIN)/python asv_bench/publish.py

# Two workers share two cores, and OpenMP's threads, which torch has, must not keep them by waiting in a loop.
test check conformance: export OMP_WAIT_POLICY = passive

test: lint  ## check style and types, then run every test and the conformance suite on every backend
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not timing"
	OMP_WAIT_POLICY= $(BIN)/python -m pytest -m timing tests/e2e
	PYTHONPATH=tests:tests/gpu/emulated_cupy $(BIN)/python -m pytest --numprocesses auto --dist worksteal \
		convhub/conformance --convhub-backend cupy-emulated

check: lint  ## check style, types and the core, and each backend quickly (minutes)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --convhub-level quick tests/core convhub/conformance

test-oldest: $(OLDEST_VENV)/.installed  ## core, command line and conformance suite on the lowest versions allowed (minutes)
	$(OLDEST_VENV)/bin/python -m pytest $(OLDEST_WARNINGS) --numprocesses auto --dist worksteal tests/core tests/cli \
		-k "not costs_at_most"
	$(OLDEST_VENV)/bin/python -m pytest $(OLDEST_WARNINGS) --numprocesses auto --dist worksteal convhub/conformance \
		--convhub-backend naive --convhub-backend numpy --convhub-backend numba --convhub-level quick

lint: $(VENV)/.installed  ## check style, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

conformance: $(VENV)/.installed  ## run the conformance suite alone
	$(BIN)/python -m pytest --numprocesses auto convhub/conformance

# Pages are rebuilt each time, so that changes of the code show; only unchanged notebooks are cached.
SPHINX := $(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --nitpicky

docs: $(VENV)/.installed  ## build the documentation into docs/_build/html, tutorials executed, and check it (offline)
	rm -rf docs/_build/html
	$(SPHINX) --builder html -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python -m pytest tests/docs --built-docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

linkcheck: $(VENV)/.installed  ## check the documentation's links to other sites, which needs a network
	$(SPHINX) --builder linkcheck -d docs/_build/doctrees docs docs/_build/linkcheck

test-gpu: gpu-device $(GPU_VENV)/.installed  ## on a GPU: conformance, tests, compute-sanitizer, benchmark (hours)
	$(RUN_GPU)

bench-gpu: gpu-device $(GPU_VENV)/.installed  ## on a GPU: the benchmark alone, with its dated files
	$(RUN_GPU) benchmark

sanitize-gpu: gpu-device $(GPU_VENV)/.installed  ## on a GPU: compute-sanitizer over every kernel alone
	$(RUN_GPU) sanitizer

# Before gigabytes are installed, check that there is a GPU, and that its driver supports that release of CUDA.
gpu-device: check-python
	$(PYTHON) -I convhub/system/gpu.py $(CUDA)

check-python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "convhub needs Python 3.11 or newer, and PYTHON=$(PYTHON) is %d.%d" % v[:2])'

clean:  ## remove the environments and all outputs of the targets; compiled kernels are in your cache folder
	rm -rf $(VENV) $(OLDEST_VENV) .venv-cuda* demo-output bench-output asv_bench/.asv docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .grimp_cache .import_linter_cache

# Every target installs the whole group, so that no target leaves an incomplete environment.
$(VENV)/.installed: pyproject.toml constraints.txt | check-python
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --upgrade pip
	$(PIP_INSTALL) --group dev --editable .
	touch $@

# No constraints here. Each extra is named, since uv treats the requirements of an extra's extra as indirect, and takes
# their newest versions. Only wheels are used, since the oldest sources do not build on every machine. torch is left out:
# its builds of that age are gigabytes of CUDA.
$(OLDEST_VENV)/.installed: pyproject.toml | check-python
	test -x $(OLDEST_VENV)/bin/python || $(PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.7"
	$(OLDEST_VENV)/bin/uv pip install --quiet --python $(OLDEST_VENV)/bin/python --resolution lowest-direct \
		--only-binary :all: --group oldest --editable '.[conformance,demo,numba]'
	$(OLDEST_VENV)/bin/uv pip list --python $(OLDEST_VENV)/bin/python
	touch $@

# torch's builds with CUDA declare which of NVIDIA's libraries they need.
$(GPU_VENV)/.installed: pyproject.toml constraints.txt | gpu-device
	test -x $(GPU_VENV)/bin/python || $(PYTHON) -m venv $(GPU_VENV)
	grep -v '^nvidia-' constraints.txt > $(GPU_VENV)/constraints.txt
	$(GPU_VENV)/bin/python -m pip install --quiet --constraint $(GPU_VENV)/constraints.txt --upgrade pip
	$(GPU_VENV)/bin/python -m pip install --constraint $(GPU_VENV)/constraints.txt --group gpu$(CUDA) --editable .
	touch $@
