# Needs Python 3.11 or newer with pip and venv; everything else comes from the pinned files in requirements/.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PINNED := requirements/build.txt requirements/dev.txt
UV := build/uv/bin/uv
UV_VERSION := 0.13.8
COMPILE := $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make requirements'
# hatchling needs it for an editable install, and without build isolation pip does not install it.
EDITABLES := editables~=0.3
CLIENTS := sdk1 sdk2 mcp-use
MEASURED = $(if $(NIGHTLY),--nightly) $(if $(SEED),--seed $(SEED)) $(if $(AGAIN),--again)
BUILD_REQUIRES := import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "$(EDITABLES)", sep="\n")

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv demo test hosts clients bundle conformance bench reliability security real check docs-check pictures requirements clean
.DELETE_ON_ERROR:

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'

venv: .venv/.stamp ## Install everything into .venv; PYTHON=/path/to/python chooses another Python

.venv/.stamp: $(PINNED)
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make venv PYTHON=/path/to/python3.11' >&2; exit 1; }
	'$(PYTHON)' -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes $(PINNED:%=-r %)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv ## Run the demo
	@$(BIN)/utcp-ws-mcp demo

test: venv ## Run the tests
	$(BIN)/python -m pytest -n 3

hosts: scripts/hosts/node_modules/.stamp ## Install the MCP hosts that the tests drive (needs Node)

scripts/hosts/node_modules/.stamp: scripts/hosts/package-lock.json
	cd scripts/hosts && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

conformance: venv hosts scripts/conformance/node_modules/.stamp ## Run the official MCP conformance suite (needs Node)
	@$(BIN)/python -m verification.conformance

scripts/conformance/node_modules/.stamp: scripts/conformance/package-lock.json
	cd scripts/conformance && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

clients: venv scripts/clients/node_modules/.stamp $(CLIENTS:%=build/clients/%/.stamp) ## Try the MCP clients of docs/hosts.md (needs Node); INTO=docs/hosts.md keeps the table
	@$(BIN)/python scripts/clients/run.py $(if $(INTO),--into $(INTO))

scripts/clients/node_modules/.stamp: scripts/clients/package-lock.json
	cd scripts/clients && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build/clients/%/.stamp: scripts/clients/python/%.txt
	'$(PYTHON)' -m venv --clear build/clients/$*
	build/clients/$*/bin/python -m pip install --quiet -r $<
	@touch $@

bundle: venv scripts/bundle/node_modules/.stamp ## Check and pack the MCP bundle for Claude Desktop into dist/ (needs Node)
	@$(BIN)/python scripts/bundle/bundle.py

scripts/bundle/node_modules/.stamp: scripts/bundle/package-lock.json
	cd scripts/bundle && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

bench: venv ## Measure the speed of all contenders; SMOKE=1 only checks that it works, INTO=page.md saves the tables
	@$(BIN)/python -m compileall -q src # as pip does it for those who install
	@$(BIN)/python -m benchmarks $(if $(SMOKE),--smoke) $(if $(INTO),--into $(INTO))

reliability: venv ## Measure the promises of delivery; NIGHTLY=1 the large size, SEED=7 repeats a run, AGAIN=1 retries
	@$(BIN)/python -m verification.reliability $(MEASURED)

security: venv ## Measure the promises of security; NIGHTLY, SEED and AGAIN as for reliability
	@$(BIN)/python -m verification.security $(MEASURED)

real: venv ## Run the cases of the real servers in the folder SERVERS
	$(BIN)/python -m verification.real

check: venv ## Lint, check the format, the types, the layers and the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/docs

docs-check: venv ## Run every example, command and program of the documentation; find what it does not describe
	$(BIN)/python -m pytest -q tests/docs

pictures: venv ## Draw the terminal pictures of the README
	@$(BIN)/python -m scripts.pictures

requirements: $(UV) ## Pin the newest versions that pyproject.toml allows
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	'$(PYTHON)' -c '$(BUILD_REQUIRES)' | \
		$(COMPILE) - --constraint requirements/dev.txt --output-file requirements/build.txt

$(UV): $(firstword $(MAKEFILE_LIST))
	'$(PYTHON)' -m venv --clear build/uv
	build/uv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	@touch $@

clean: ## Take away everything that was made
	rm -rf .venv .servers build dist scripts/hosts/node_modules scripts/clients/node_modules scripts/bundle/node_modules scripts/conformance/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
