# Two commands: `make run` trains, `make test` checks everything. Both set up .venv first, once.
# TensorFlow has builds for these versions of Python only.
VERSIONS := 3.13 3.12 3.11
ifndef PYTHON
PYTHON := $(shell for python in python3 $(addprefix python,$(VERSIONS)); do \
    $$python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in "$(VERSIONS)".split())' 2>/dev/null \
    && echo $$python && break; done)
endif
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

# `make run model=cnn_large` would train the default without a warning.
STRAY := $(filter-out ARGS=% PYTHON=% RUNS_DIR=% $(if $(filter records,$(MAKECMDGOALS)),SEEDS=%),$(subst \ ,_,$(MAKEOVERRIDES)))
$(if $(STRAY),$(error settings go through ARGS: make $(MAKECMDGOALS) ARGS="$(STRAY)"))

.DEFAULT_GOAL := help
.PHONY: help run install test lint types check tutorial-table benchmark benchmark-gpu benchmark-sweeps benchmark-searches benchmark-comparison benchmark-augmentation benchmark-loading benchmark-drawing benchmark-predict statistics statistics-looks spread-picture records speedrun screenshots sweep-demo faults constraints clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-23s %s\n", $$1, $$2}' | sort

run: .venv/.installed ## train the default experiment; make run ARGS="model=cnn_large training.epochs=3"
	@$(BIN)/mnist-exp $(ARGS)

install: .venv/.installed ## set up .venv with mnist-exp

test: .venv/.installed-dev ## run the whole suite; make test ARGS="-k config"
	@$(BIN)/python -m pytest $(ARGS)

lint: .venv/.installed-dev ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.installed-dev ## check types, strictly
	@$(BIN)/mypy

check: lint types test ## lint, types and test

tutorial-table: RUNS_DIR := runs/tutorial-$(shell date +%Y-%m-%dT%H-%M-%S)
tutorial-table: .venv/.installed ## retrain the tutorial's three models with 5 seeds each and print the table of the tutorial topic
	@$(BIN)/mnist-exp -m experiment=tutorial_mlp,tutorial_cnn_simple,tutorial_cnn_large 'seed=range(1,6)' \
	    runs_dir=$(RUNS_DIR) $(ARGS)
	@$(BIN)/mnist-exp compare $(RUNS_DIR) --format markdown

benchmark: .venv/.installed-dev ## measure the speed of training, as in the topic speed
	@$(BIN)/python tests/benchmarks/startup.py
	@$(BIN)/python -m tests.benchmarks.training $(ARGS)

benchmark-gpu: .venv/.installed-dev ## measure the speed of training on an NVIDIA GPU, as in the topic speed
	@$(BIN)/python -m tests.benchmarks.gpu $(ARGS)

sweep-demo: .venv/.installed ## kill a sweep of 12 jobs half-way, resume it, and check that nothing was trained twice
	@$(BIN)/python tests/benchmarks/sweep_demo.py $(ARGS)

benchmark-sweeps: .venv/.installed-dev ## measure the speed of sweeps, as in the topic speed
	@$(BIN)/python -m tests.benchmarks.sweeps $(ARGS)

benchmark-searches: .venv/.installed-dev ## check whether a search finds more than chance
	@$(BIN)/python -m tests.benchmarks.searches $(ARGS)

benchmark-comparison: .venv/.installed-dev ## measure compare over 100, 1,000 and 10,000 runs
	@$(BIN)/python -m tests.benchmarks.comparison $(ARGS)

benchmark-loading: .venv/.installed-dev ## measure a folder of 10,000 images: first start, cache, memory (ten minutes)
	@$(BIN)/python -m tests.benchmarks.loading $(ARGS)

benchmark-drawing: .venv/.installed-dev ## check a drawing page on all test images and time it in Chromium: make benchmark-drawing ARGS=runs/... (default: trains cnn_large)
	@$(BIN)/python -m tests.benchmarks.drawing $(ARGS)

benchmark-predict: .venv/.installed-dev ## read sheets of test digits, letters and foreign digits: make benchmark-predict ARGS=runs/...
	@$(BIN)/python -m tests.benchmarks.predict $(ARGS)

statistics: .venv/.installed-dev ## simulate false alarms, coverage and power of compare (minutes; all cells in hours: make statistics ARGS="--full --results FILE")
	@$(BIN)/python -m tests.benchmarks.statistics $(ARGS)

statistics-looks: .venv/.installed-dev ## simulate sweeps that continue until they are decided
	@$(BIN)/python -m tests.benchmarks.sequential $(ARGS)

benchmark-augmentation: .venv/.installed-dev ## measure the share of augmentation in a step
	@$(BIN)/python -m tests.benchmarks.augmentation $(ARGS)

records: SEEDS := 5
records: .venv/.installed-dev ## train the record recipes and print their table; make records SEEDS=3; call it again to resume
	@$(BIN)/python -m tests.benchmarks.records --seeds $(SEEDS) $(ARGS)

speedrun: .venv/.installed-dev ## measure the time to 99 % and to 99.5 %, and that of the tutorial's script: make speedrun ARGS="speedrun_995 --device gpu"
	@$(BIN)/python -m tests.benchmarks.speedrun $(ARGS)

spread-picture: .venv/.installed-dev ## draw the picture of the topic statistics
	@$(BIN)/python -m tests.benchmarks.spread_picture

screenshots: .venv/.installed-dev ## take the pictures of the README and the manual from a trained sweep: make screenshots ARGS=runs/...
	@$(BIN)/python -m tests.benchmarks.screenshots $(ARGS)

faults: .venv/.installed-dev ## break runs on purpose, many times, and count what survives, as in the topic reliability (two hours)
	@$(BIN)/python -m tests.faults $(ARGS)

constraints: .venv/.installed-dev ## update constraints.txt to the newest versions
	@$(BIN)/uv pip compile pyproject.toml --extra gpu --extra ray --extra tensorboard --extra mlflow --extra wandb --extra onnx --extra litert --extra dev --universal --python-version 3.11 --upgrade --quiet \
	    --no-annotate --no-header --output-file constraints.txt

clean: ## remove .venv, caches and build products; runs/ stays
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created: constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "mnist-exp needs one of Python $(VERSIONS): install it, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 2; }
	@echo "setting up .venv (once; TensorFlow is large, a few minutes at most) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) pip setuptools
	@touch $@

# No build isolation: the pinned setuptools of .venv builds, not whichever is newest that day.
.venv/.installed: .venv/.created pyproject.toml
	@$(PIP) --no-build-isolation --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "adding to .venv what tests and benchmarks need (once, a minute or two) ..."
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@
