# One virtual environment with locked versions; every target makes it if it is not there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
STUDY ?= demo
# of the folder of results
NAME = $(shell basename "$(STUDY)" | sed 's/\.ya*ml$$//')
# the code of this folder, whatever the environment has installed
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: demo study environment status help test quick check lint format settings clean
.PHONY: bench bench-apply bench-metrics bench-variational bench-dag bench-subjects bench-checking

## the demo study, from the phantom's scans to the report, and a model of it for `cardiouq apply` (also plain `make`)
demo: STUDY = demo
demo: study
	@test models/demo -nt results/demo/evaluation/deep_ensemble/scores.csv || \
	  $(BIN)/cardiouq export demo deep_ensemble models/demo

## any study: make study STUDY=laptop (or a YAML file's path)
study: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) --config study="$(STUDY)" --quiet rules
	@echo "The report: $(CURDIR)/results/$(NAME)/report.html"

## the environment alone, with the command `.venv/bin/cardiouq`
environment: $(VENV)/installed

## how far a study is, from another terminal: make status STUDY=laptop (or a YAML file's path); makes no environment
status:
	@$(BIN)/python -m cardiouq.cli status "$(STUDY)"

## this list
help:
	@awk '/^## / {text = substr($$0, 4)} \
	  /^[a-z-]+:/ && text {sub(/:.*/, ""); printf "  make %-18s %s\n", $$0, text; text = ""}' \
	  $(firstword $(MAKEFILE_LIST))

# the tests of a file share a worker, as some share a run of the study
## the whole test suite
test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

## format, lint, types and the tests that start no Snakemake: before every commit
quick: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/workflow

## all that a change must pass: format, lint, types, the whole test suite
check: lint
	$(BIN)/snakemake --lint
	$(MAKE) test

## formatters, linters and types, which change nothing
lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/ruff check .
	$(BIN)/mypy

## format every file, and mend what the linter can
format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

## training, prediction, metrics and start beside peers, half an hour; nnU-Net lies in a folder of its own: make bench NNUNET=FOLDER
bench: $(VENV)/installed
	NNUNET=$(NNUNET) $(BIN)/python benchmarks/bench.py

## `cardiouq apply` with a model that nnU-Net trained, beside nnU-Net's own command: make bench-apply NNUNET=FOLDER CARDIOUQ_NNUNET_ROOT=FOLDER CARDIOUQ_ACDC_ROOT=/acdc
bench-apply: $(VENV)/installed
	NNUNET=$(NNUNET) $(BIN)/python benchmarks/applying.py

## values and time of the metrics beside other libraries: make bench-metrics CARDIOUQ_ACDC_ROOT=/acdc
bench-metrics: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/metrics.py $(CARDIOUQ_ACDC_ROOT)

## Bayes by Backprop's convolutions beside libraries of variational layers
bench-variational: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --no-deps --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/variational_layers.py

## the papers' studies with five seeds: jobs, dry run, GPU-hours, disk; needs the folders of ACDC and M&Ms
bench-dag: $(VENV)/installed
	$(BIN)/python benchmarks/paper_scale_dag.py

## ten thousand subjects: time, memory and open files of listing, split, plan, dry run and so on
bench-subjects: $(VENV)/installed
	$(BIN)/python benchmarks/many_subjects.py

## what it costs to compare files with their hashes
bench-checking: $(VENV)/installed
	$(BIN)/python benchmarks/checking.py


## the tables of config/README.md, from the schemas
settings: $(VENV)/installed
	$(BIN)/python -m cardiouq.study.readme

$(VENV)/installed: envs/requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

## remove the environment; results stay
clean:
	rm -rf $(VENV)
