# One virtual environment with locked versions; every target makes it if it is not there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
STUDY ?= demo
# the code of this folder, whatever the environment has installed
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: demo study status test bench-metrics bench-variational bench-training bench-dag bench-subjects bench-checking check format clean

## the default study, from the phantom's scans to the report
demo: STUDY = demo
demo: study

## any study: make study STUDY=laptop
study: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) --config study=$(STUDY) --quiet rules
	$(BIN)/snakemake --config study=$(STUDY) --report results/$(STUDY)/report.html --quiet all
	@echo "The report: $(CURDIR)/results/$(STUDY)/report.html"

## how far a study is, from another terminal: make status STUDY=laptop (or a YAML file's path); makes no environment
status:
	@$(BIN)/python -m cardiouq.progress results/$(basename $(notdir $(STUDY))) $(if $(findstring .y,$(STUDY)),--study $(STUDY))

## the whole test suite; the tests of a file share a worker, as some share a run of the study
test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

## values and time of the metrics beside other libraries: make bench-metrics CARDIOUQ_ACDC_ROOT=/acdc
bench-metrics: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/metrics.py $(CARDIOUQ_ACDC_ROOT)

## Bayes by Backprop's convolutions beside libraries of variational layers
bench-variational: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --no-deps --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/variational_layers.py

## a training step in each layout and precision
bench-training: $(VENV)/installed
	MALLOC_MMAP_THRESHOLD_=17179869184 MALLOC_TRIM_THRESHOLD_=17179869184 $(BIN)/python benchmarks/training_step.py

## the papers' studies with five seeds: jobs, dry run, GPU-hours, disk; needs the folders of ACDC and M&Ms
bench-dag: $(VENV)/installed
	$(BIN)/python benchmarks/paper_scale_dag.py

## ten thousand subjects: time, memory and open files of listing, split, plan, dry run and so on
bench-subjects: $(VENV)/installed
	$(BIN)/python benchmarks/many_subjects.py

## what it costs to compare files with their hashes
bench-checking: $(VENV)/installed
	$(BIN)/python benchmarks/checking.py

## format, lint, types, tests
check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/ruff check .
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(MAKE) test

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

$(VENV)/installed: envs/requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV)
