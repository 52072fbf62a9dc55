# Two commands do everything on a fresh machine: `make demo` and `make test`. Both only need Python >= 3.10.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
INSTALL := $(PIP) install -c constraints.txt
# One process a core and one thread a process; a file's tests stay together and share what they set up. In the
# order of their names the last files are short ones, so that no core waits long for another at the end. Ray's
# tests often wait for processes to start or to be missed: two at once, each with a cluster of its own.
PARALLEL := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder -n
# All tests that start a cluster lie here (tests/test_architecture.py): the other folders need no look.
RAY_TESTS := tests/ray tests/serve
# Processes by the hundred import the same modules: they are compiled once, whatever the machine's setting is.
unexport PYTHONDONTWRITEBYTECODE
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo test test-cluster check lint system-deps clean help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

demo: $(VENV)/.demo  ## set up, then dub a real portrait and a synthetic clip with new speech
	$(BIN)/python -m segtalker demo --out out/demo

test: $(VENV)/.dev lint  ## set up, then lint, types, import contracts and all tests of one machine
	OMP_NUM_THREADS=1 $(PARALLEL) logical --maxprocesses 8 -m "not ray"
	$(PARALLEL) 2 -m "ray and not cluster" $(RAY_TESTS)

test-cluster: $(VENV)/.dev  ## job lines on Ray clusters of two nodes, with kills: about 7 minutes
	$(PARALLEL) 2 -m cluster $(RAY_TESTS)

check: $(VENV)/.dev lint  ## the quick half of `make test`: no Ray cluster, no slow tests
	OMP_NUM_THREADS=1 $(PARALLEL) logical --maxprocesses 8 -m "not ray and not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy segtalker ray_jobs serve benchmarks
	$(BIN)/lint-imports

system-deps:  ## Debian packages: speech synthesisers of the full corpus, browser for the page tests
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq --no-install-recommends espeak-ng flite festival festvox-kallpc16k \
	    festvox-us-slt-hts chromium fonts-dejavu-core

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[demo]'
	$(BIN)/python -m segtalker weights fetch faces
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --no-compile -e '.[ray,demo,dev,c2pa]'
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true  # by all cores; pip takes one
	$(BIN)/python -m segtalker weights fetch faces
	@touch $@ $(VENV)/.demo

clean:  ## remove the environment and everything that was made
	rm -rf $(VENV) out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
