# Winnow's commands. `make demo` and `make test` set up what they need on first use.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# a job's own lines, and how many are done; all else is in the log that Snakemake names at the end
FOLLOWED := --quiet host rules
.DEFAULT_GOAL := help

.PHONY: demo check plan report live test pytest soak lint docs clean help

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/locked ## the main job on embedded data, some minutes; prints the tables
	$(BIN)/python -m snakemake --profile profiles/local --configfile config/demo.yaml $(FOLLOWED)
	@echo; cat results/demo/tables/quantization.md; echo; cat results/demo/tables/pruning.md
	@echo; echo "The report is one page, for any browser: results/demo/overview.html"

CONFIG ?= config/config.yaml
SLOTS ?= 1
PROFILE ?= profiles/local
STUDY = $(BIN)/python -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["study"])' "$(CONFIG)"
plan: .venv/locked ## jobs, hours, disk and wall time of a study: make plan CONFIG=config/demo.yaml SLOTS=4
	@$(BIN)/python workflow/scripts/plan.py $(TARGETS) --configfile "$(CONFIG)" --slots $(SLOTS) --profile "$(PROFILE)"

check: .venv/locked ## import, try and score what needs no training, before hours are spent: make check CONFIG=mine.yaml
	@$(BIN)/python -m snakemake check --profile "$(PROFILE)" --configfile "$(CONFIG)" $(FOLLOWED)
	@echo; cat "results/$$($(STUDY))/tables/check.md"

report: .venv/locked ## run a study as far as it is missing, then write its report: make report CONFIG=config/demo.yaml
	@$(BIN)/python -m snakemake --profile "$(PROFILE)" --configfile "$(CONFIG)" $(FOLLOWED) \
	  || { $(MAKE) --no-print-directory live CONFIG="$(CONFIG)"; exit 1; }
	@report="results/$$($(STUDY))/report.html" && $(BIN)/python -m snakemake --profile "$(PROFILE)" \
	  --configfile "$(CONFIG)" --report "$$report" --report-stylesheet workflow/report/report.css --quiet \
	  && echo "$$report" && echo "results/$$($(STUDY))/overview.html"

live: .venv/locked ## report on what a study has so far, while it runs or after a failure: make live CONFIG=...
	@$(BIN)/python workflow/scripts/live.py "$(CONFIG)"

test: lint pytest ## lint and all tests; with -j 2 at the same time

pytest: .venv/locked-dev ## all tests: make pytest PYTEST=tests/unit
	$(BIN)/python -m pytest $(PYTEST)

KILLS ?= 50
soak: .venv/locked-dev ## kill a study at random, 50 times or KILLS=n, and jobs at every write; compare with undisturbed ones
	WINNOW_SOAK=$(KILLS) $(BIN)/python -m pytest tests/faults/test_soak.py tests/faults/test_kill_points.py $(PYTEST)

lint: .venv/locked-dev ## style of Python and Snakemake files, types, spelling
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m snakefmt --check Snakefile workflow
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m snakemake --configfile config/demo.yaml --lint

docs: .venv/locked-dev ## write config/README.md, the schema, results/README.md and docs/networks.md from the code
	PYTHONPATH=workflow/scripts $(BIN)/python -m winnow.config.guide
	PYTHONPATH=workflow/scripts $(BIN)/python -m winnow.results.guide
	cd tests && PYTHONPATH=.:../workflow/scripts ../$(BIN)/python -m networks.table

clean: ## remove the environment and caches; results stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The environment is rebuilt when, and only when, its lock changes. `python -m` keeps it working from a path
# with a space in it, where the #! lines of installed commands do not.
.venv/locked: requirements.txt
	$(call check_python)
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(PIP) --require-hashes -r $<
	@touch $@

.venv/locked-dev: requirements-dev.txt requirements.txt
	$(call check_python)
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(PIP) --require-hashes -r $<
	@touch .venv/locked $@

define check_python
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "Winnow needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
endef
