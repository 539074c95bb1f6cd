# Targets for users (install, demo) and developers (test, test-fast, docs, clean); `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
# What pip shall install as torch; empty takes the CPU build where there is one.
TORCH ?=
PYTEST_OPTIONS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo check test test-fast test-cluster bench bench-labelling bench-selection bench-lineage bench-training bench-costs fuzz studies docs clean distclean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(STAMP) ## Make the environment .venv with everything in it; pw.x and a compiler where apt-get may
	@echo "Installed in $(VENV). Next: $(BIN)/aiida-sicmlip setup"

$(STAMP): pyproject.toml constraints.txt install/environment.sh install/system_packages.sh
	@install/system_packages.sh $(PYTHON)
	@install/environment.sh $(VENV) $(PYTHON) "$(TORCH)"
	@touch $@

demo: $(STAMP) ## Run a small example from start to end in the folder demo
	$(BIN)/aiida-sicmlip demo --folder demo

check: $(STAMP) ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check ## Checks and tests, real programs too; all but those of test-cluster and studies
	$(BIN)/pytest -m "not program and not study" -n auto --dist loadfile $(PYTEST_OPTIONS)
	$(BIN)/pytest -m "program and not cluster and not study" -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

test-fast: $(STAMP) ## Tests that start no program and write no AiiDA graph
	$(BIN)/pytest -m "not program and not graph and not study" -n auto $(PYTEST_OPTIONS)

test-cluster: $(STAMP) ## Runs through SSH and Slurm, and on PostgreSQL and RabbitMQ, where those are installed (some 15 minutes)
	$(BIN)/pytest -m cluster -rs $(PYTEST_OPTIONS)

bench: $(STAMP) ## Time a step of sicmlip-lmp, with and without bias, in the folder benchmark (some minutes)
	$(BIN)/python -m benchmarks.engine --folder benchmark --output benchmark/engine.json

bench-labelling: $(STAMP) ## Time 40 labels through the daemon against xargs, in the folder benchmark (about an hour)
	$(BIN)/python -m benchmarks.labelling --output benchmark/labelling.json

bench-selection: $(STAMP) ## Time a selection out of 100,000 frames, in the folder benchmark (some 15 minutes)
	$(BIN)/python -m benchmarks.selection --folder benchmark --output benchmark/selection.json

bench-training: $(STAMP) ## Time a training, against nequip-train and with a prior, in the folder benchmark (some 20 minutes)
	$(BIN)/python -m benchmarks.training --folder benchmark --output benchmark/training.json

fuzz: $(STAMP) ## Give readers, settings and commands two thousand mistakes each, others each time (some 20 minutes)
	SICMLIP_FUZZ_CASES=2000 SICMLIP_FUZZ_RANDOM=1 $(BIN)/pytest tests/fuzz -n auto $(PYTEST_OPTIONS)

studies: $(STAMP) ## Train and compare models: what the prior does, errors on rare events; in benchmark, with their tests (some 45 minutes)
	$(BIN)/pytest -m study $(PYTEST_OPTIONS)
	$(BIN)/python -m studies.prior_walls benchmark
	$(BIN)/python -m studies.prior_accuracy benchmark
	$(BIN)/python -m studies.rare_event_models benchmark

bench-costs: $(STAMP) ## Time labels, trainings and calls that estimates of cost rest on, in the folder benchmark (some 30 minutes)
	$(BIN)/python -m benchmarks.cost_bases --folder benchmark/costs

bench-lineage: $(STAMP) ## Time the questions of the lineage in a made-up graph of six rounds (some minutes)
	$(BIN)/python -m benchmarks.lineage

docs: $(STAMP) ## The documentation as HTML in docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean: ## Remove what tests, checks and builds left
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf $(VENV) aiida_sicmlip.egg-info
