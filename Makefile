# `make demo` trains examples/digits on this machine, `make test` runs every test. Both make the environment first; it is
# made again only when pyproject.toml or constraints.txt change.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Four on two cores, because tests also wait: for pages, for retries, for jobs. Six took a quarter longer for the same
# tests, with more CPU. tests/fixtures/suite/distribution.py deals them out.
PYTEST_ARGS ?= --numprocesses 4
# What is run with the oldest and with the newest dependencies: imports, blocks, the command line, the example from
# its folder to its model, Google's own client against local_vertex, and layers made of wheels.
SMOKE := tests/smoke tests/blocks tests/local_vertex/test_sdk.py tests/images/wheels/test_wheel_layer.py
# Images of continuous integration often set it. The tests start hundreds of processes, each of which would then compile
# the package's modules, and each of pytest's processes would compile all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check test-lowest test-newest package hooks screenshots constraints clean help
.DEFAULT_GOAL := help

help: ## Print this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("Python 3.11 to 3.13 is needed; name one with: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --group dev --editable .
	@touch $@

demo: $(STAMP) ## Train examples/digits on this machine, through every step.
	@$(BIN)/vertex-training run examples/digits -- --epochs 5

test: $(STAMP) ## Run all tests; those whose tools this machine lacks are skipped, with the reason.
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP) ## Check style, format and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright

test-lowest: $(STAMP) ## Run the smoke tests with the lowest version of each dependency in pyproject.toml.
	@$(call smoke,.venv-lowest,--resolution lowest-direct)

test-newest: $(STAMP) ## Run the smoke tests with the newest versions, without constraints.txt.
	@$(call smoke,.venv-newest,--upgrade)

# Makes an environment with uv's given options, and runs the smoke tests in it.
define smoke
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(1) && \
	$(BIN)/uv pip install --quiet --python $(1) $(2) --group dev --editable . && \
	$(BIN)/uv pip list --quiet --python $(1) | grep -E '^(prefect|pydantic|fastapi|sqlalchemy|google-cloud-aiplatform|grpcio) ' && \
	$(1)/bin/python -m pytest -o cache_dir=$(1)/.pytest_cache $(SMOKE)
endef

package: $(STAMP) ## Build the source distribution, and the wheel from it, into dist/.
	@rm -rf build dist
	@$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist

hooks: $(STAMP) ## Run `make check` before each of your commits, with pre-commit.
	@$(BIN)/pre-commit install

screenshots: $(STAMP) ## Take the pictures in docs/images again, from Prefect's real UI.
	@PYTHONPATH=tests $(BIN)/python docs/screenshots.py

constraints: $(STAMP) ## Pin the newest versions in constraints.txt: names and versions only.
	@$(BIN)/uv pip compile --quiet --universal --no-annotate --no-header --upgrade --group dev pyproject.toml --output-file constraints.txt

clean: ## Remove the environments and what builds and tests left.
	@rm -rf $(VENV) .venv-lowest .venv-newest build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
