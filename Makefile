# Thin wrappers over plain pip commands; the README shows those too.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DATA ?= $(CELLTRAIL_DATA)

.PHONY: demo test test-all real clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Celltrail needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[segmentation,dashboard]'
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/celltrail demo --out demo --overwrite

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

real: $(VENV)/.demo
	$(BIN)/python benchmarks/real.py $(DATA)

clean:
	rm -rf demo real .pytest_cache .mypy_cache .ruff_cache
