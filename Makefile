# make quickstart   set up, make a spoken corpus, train, predict, score, show
# make tour         compare ways to adapt the shipped encoder, and end to end with a cascade
# make demo         train a tagger that hears people, on labelled speech beside the checkout or DATA=FOLDER
# make test         set up and run all checks and tests
# make docs         write the documentation with its pages of API to build/docs
# make clean        remove caches and build products; data and runs stay

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help quickstart tour demo test test-fast check benchmarks docs clean

help:
	@sed -n 's/^# make/make/p' Makefile

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); torch and its CUDA libraries take a few minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

quickstart: $(READY)
	@$(BIN)/slue-ner quickstart

tour: $(READY)
	@$(BIN)/slue-ner tour
	@E2E=full PATH="$(CURDIR)/$(BIN):$$PATH" recipes/systems.sh runs/tour data/quickstart/fine-tune.jsonl data/quickstart/tune.jsonl data/quickstart/test.jsonl

demo: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" recipes/demo/run.sh

test: check
	$(BIN)/pytest -n 2

test-fast: $(READY)
	$(BIN)/pytest -n 2 -m 'not slow'

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell slue_ner tests configs docs benchmarks recipes README.md CHANGELOG.md

benchmarks: $(READY)
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/training.py --whisper --threads 1 --utterances 96 --epochs 1 --batch-seconds 40
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/features.py --whisper --utterances 96 --epochs 20 --batch-seconds 80
	$(BIN)/python benchmarks/alignment.py
	$(BIN)/python benchmarks/localization.py
	$(BIN)/python benchmarks/ngram.py

docs: $(READY)
	$(BIN)/mkdocs build --strict

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find slue_ner tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
