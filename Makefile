# Needs Python 3.11 or later with venv and pip, and make. Everything else is installed into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test slow lint format docs bench clean

help:
	@echo "make demo    install, fit Old Faithful, write a report and name it"
	@echo "make test    install, run the tests and the doctests"
	@echo "make slow    run the tests that take longer"
	@echo "make lint    ruff, formatting, pyright"
	@echo "make format  let ruff mend what it can"
	@echo "make docs    build the documentation, running its gallery"
	@echo "make bench   run Mixtura and its peers side by side"
	@echo "make clean   remove the environment and everything built"

demo: $(VENV)/.with-all
	$(BIN)/mixtura demo

# Workers take neighbours, so that what a file compiles or fits once is not done by each of them.
test: $(VENV)/.with-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

# Exit status 5 means that no test is marked slow: nothing to do, nothing wrong.
slow: $(VENV)/.with-dev
	$(BIN)/python -m pytest -n auto -m slow || [ $$? -eq 5 ]

lint: $(VENV)/.with-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.with-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.with-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.with-bench
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.learners
	$(BIN)/python -m benchmarks.deconvolution
	$(BIN)/python -m benchmarks.posterior
	$(BIN)/python -m benchmarks.small
	$(BIN)/python -m benchmarks.regressions
	$(BIN)/python -m benchmarks.conditional
	$(BIN)/python -m benchmarks.diffusion
	$(BIN)/python -m benchmarks.optima
	$(BIN)/python -m benchmarks.condition
	$(BIN)/python -m benchmarks.conditional_densities
	$(BIN)/python -m benchmarks.diffusion_guidance
	$(BIN)/python -m benchmarks.bayes
	$(BIN)/python -m benchmarks.fuzz --cases 2000

clean:
	rm -rf $(VENV) build dist docs/_build docs/reference mixtura-demo .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per extra, written last, so that an interrupted install is done again and a finished one is not.
$(VENV)/.with-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
