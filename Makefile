# `make quickstart` and `make test` each set up everything from a clone.

# More threads gain nothing for small students, and cost much time where a core is shared.
export OMP_NUM_THREADS ?= 1

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint docs benchmark ablation gpu clean

quickstart: $(VENV)/installed
	$(BIN)/python examples/plot_quickstart.py

test: $(VENV)/installed-dev
	$(BIN)/pytest -n 2 --cov --cov-report=term

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python .ci/lint_docstrings.py

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

# With the settings of the memory allocator that the user guide recommends.
benchmark: export MALLOC_MMAP_THRESHOLD_ = 1073741824
benchmark: export MALLOC_TRIM_THRESHOLD_ = 1073741824
benchmark: $(VENV)/installed-dev
	$(BIN)/pytest benchmarks -o addopts= -q -s
	$(BIN)/python benchmarks/engine.py

# What each piece of acceleration gains, and what the settings above gain.
ablation: $(VENV)/installed-dev
	$(BIN)/python benchmarks/ablation.py

# All that needs a GPU, in one call: correctness on CUDA, then speed, precision and CIFAR-10.
gpu: $(VENV)/installed-dev
	$(BIN)/pytest tests/test_devices.py -v
	$(BIN)/python -m benchmarks.gpu

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples docs/generated .pytest_cache .mypy_cache .ruff_cache

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[plot]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install -c constraints.txt -e ".[dev]"
	touch $@
