# Two commands: `make demo` takes examples/digits from Point A to Point B, `make test` runs every test.
# Both make the environment first; it is made again only when pyproject.toml or constraints.txt change.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= --numprocesses 2 --dist loadfile
STAMP := $(VENV)/.installed

.PHONY: demo test check screenshots constraints clean help
.DEFAULT_GOAL := help

help: ## This list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("Python 3.11 to 3.13 is needed; name one with: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --group dev --editable .
	@touch $@

demo: $(STAMP) ## Take examples/digits from Point A to Point B on this machine.
	@$(BIN)/vertex-training run examples/digits -- --epochs 5

test: $(STAMP) ## Run all tests; what a machine lacks is skipped and said.
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP) ## Lint, format and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright

screenshots: $(STAMP) ## Take the pictures of docs/images anew from Prefect's real UI.
	@PYTHONPATH=tests $(BIN)/python docs/screenshots.py

constraints: $(STAMP) ## Pin what is installed here again, names and versions only.
	@$(BIN)/uv pip compile --quiet --universal --no-annotate --no-header --upgrade --group dev pyproject.toml --output-file constraints.txt

clean: ## Remove the environment and build output.
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache *.egg-info
