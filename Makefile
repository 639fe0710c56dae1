# `make quickstart` and `make test` each set up everything from a clone.

# Small nets gain nothing from more threads, and lose much where a core is shared.
export OMP_NUM_THREADS ?= 1

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint docs benchmark gpu clean

quickstart: $(VENV)/installed
	$(BIN)/python examples/plot_quickstart.py

test: $(VENV)/installed-dev
	$(BIN)/pytest -n 2 --cov --cov-report=term

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/numpydoc lint $(addprefix sklearn_dd/,attack.py base.py baselines.py comparison.py distilled.py distiller.py display.py evaluation.py modules.py pools.py regressor.py)

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

benchmark: $(VENV)/installed-dev
	$(BIN)/pytest tests/benchmarks -o addopts= -q -s

# All that wants a GPU, in one call: correctness on CUDA, then speed, precision and CIFAR-10.
gpu: $(VENV)/installed-dev
	$(BIN)/pytest tests/test_devices.py -v
	$(BIN)/python -m tests.benchmarks.gpu

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples docs/generated .pytest_cache .mypy_cache .ruff_cache

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[plot]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install -c constraints.txt -e ".[dev]"
	touch $@
