# Needs Python 3.11 or newer with pip and venv; everything else comes from the pinned files in requirements/.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PINNED := requirements/build.txt requirements/dev.txt
UV := build/uv/bin/uv
UV_VERSION := 0.13.8
COMPILE := $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make requirements'
# hatchling needs this package for an editable install; without build isolation pip does not install it.
EDITABLES := editables~=0.3
CLIENTS := sdk1 sdk2 mcp-use
AGENT_HOSTS := claude-code codex gemini-cli opencode-ai copilot qwen-code cline cli
AGENT_FRAMEWORKS := langgraph pydantic-ai openai-agents llama-index crewai google-adk smolagents fastmcp
LIGHT_HOSTS := gemini-cli cli
KUBERNETES := 1.37
MEASURED = $(if $(NIGHTLY),--nightly) $(if $(LIGHT),--light) $(if $(SEED),--seed $(SEED)) $(if $(AGAIN),--again $(AGAIN))
BUILD_REQUIRES := import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "$(EDITABLES)", sep="\n")

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without files of bytecode, each of the many processes that the tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo test hosts clients agents bundle conformance dist bench reliability security fleet deploy-check mutants import author real catalogue browser lint check docs docs-check reference examples pictures requirements clean
.DELETE_ON_ERROR:

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'

venv: .venv/.stamp ## Install all dependencies into .venv; PYTHON=/path/to/python selects another Python

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

clients: venv scripts/clients/node_modules/.stamp $(CLIENTS:%=build/clients/%/.stamp) $(AGENT_HOSTS:%=scripts/agents/node/%/node_modules/.stamp) $(AGENT_FRAMEWORKS:%=build/agents/%/.stamp) ## Test the MCP clients and agent hosts of docs/project/clients-tested.md (needs Node, about 5 GB); INTO=docs/project/clients-tested.md writes the tables
	@$(BIN)/python scripts/clients/run.py $(if $(INTO),--into $(INTO))
	@$(BIN)/python -m scripts.clients.login
	@$(BIN)/python -m scripts.agents $(if $(INTO),--into $(INTO))

agents: venv $(LIGHT_HOSTS:%=scripts/agents/node/%/node_modules/.stamp) ## Test the two smallest agent hosts (needs Node)
	@$(BIN)/python -m scripts.agents --only 'Gemini CLI,Continue' --slow-seconds 2

scripts/clients/node_modules/.stamp: scripts/clients/package-lock.json
	cd scripts/clients && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

scripts/agents/node/%/node_modules/.stamp: scripts/agents/node/%/package-lock.json
	cd $(dir $<) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build/agents/%/.stamp: scripts/agents/python/%.txt
	'$(PYTHON)' -m venv --clear build/agents/$*
	build/agents/$*/bin/python -m pip install --quiet -r $<
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

dist: venv ## Build the sdist and the wheel into dist/, check them, and test the wheel in an empty environment
	@$(BIN)/python scripts/dist.py

bench: venv ## Compare the speed with other implementations; SMOKE=1 runs a minimal size, INTO=benchmarks/results/2026-12.md writes the tables
	@$(BIN)/python -m compileall -q src # pip compiles an installed package, too
	@$(BIN)/python -m benchmarks $(if $(SMOKE),--smoke) $(if $(INTO),--into $(INTO))

reliability: venv ## Verify the delivery guarantees; NIGHTLY=1 large size, LIGHT=1 small size, SEED=7 repeats a run, AGAIN=2 repeats what misses a target
	@$(BIN)/python -m verification.reliability $(MEASURED)

security: venv ## Verify the security guarantees; the same variables as for reliability
	@$(BIN)/python -m verification.security $(MEASURED)

fleet: venv ## Verify what replicas share, with a real Redis and nginx; the same variables as for reliability
	@$(BIN)/python -m verification.fleet $(MEASURED)

deploy-check: build/deploy/.stamp ## Check the files of deploy/ with the schemas of Docker Compose and Kubernetes
	build/deploy/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	build/deploy/bin/kubernetes-validate --strict --kubernetes-version $(KUBERNETES) deploy/kubernetes/*.yaml

build/deploy/.stamp: scripts/deploy/python.txt
	'$(PYTHON)' -m venv --clear build/deploy
	build/deploy/bin/python -m pip install --quiet --no-compile -r $<
	@touch $@

mutants: venv ## Change the code at random places and see whether a test fails; SIZE=200 mutants, SEED=1 repeats a sample
	@$(BIN)/python -m verification.mutants $(if $(SIZE),--size $(SIZE)) $(if $(SEED),--seed $(SEED))

author: venv ## Let a scripted model connect servers with the tools of author; LIGHT=1 without installations
	@$(BIN)/python -m verification.authoring $(if $(LIGHT),--light)

import: venv build/importing/.stamp scripts/importing/node_modules/.stamp ## Measure import: real descriptions, times, real servers (needs Node); SMOKE=1 leaves out the programs of Debian
	@$(BIN)/python -m verification.importing $(if $(SMOKE),documents light)

build/importing/.stamp: scripts/importing/python.txt
	'$(PYTHON)' -m venv --clear build/importing
	build/importing/bin/python -m pip install --quiet -r $<
	@touch $@

scripts/importing/node_modules/.stamp: scripts/importing/package-lock.json
	cd scripts/importing && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

real: venv ## Test the real servers in the folder SERVERS
	$(BIN)/python -m verification.real

catalogue: venv ## Call every tool of the entries of the catalogue with the real programs, which are installed on first use
	$(BIN)/python -m verification.catalogue

browser: venv scripts/browser/node_modules/.stamp ## Test the studio in a headless Chromium, which must be installed (needs Node for axe-core); LIGHT=1 the part of CI
	@$(BIN)/python -m verification.browser $(MEASURED) $(if $(LIGHT),panels access accessibility)

scripts/browser/node_modules/.stamp: scripts/browser/package-lock.json
	cd scripts/browser && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

lint: venv ## Check lint rules, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint ## Check lint rules, format, types, layers and documentation
	$(BIN)/python -m pytest -q tests/test_layers.py tests/docs

# Material for MkDocs advertises its successor at each build unless this variable is set.
docs: export NO_MKDOCS_2_WARNING := 1
docs: venv ## Build the documentation site into build/site; warnings are errors
	@$(BIN)/mkdocs build --strict

docs-check: venv ## Run every example, command and program of the documentation; find undocumented features
	$(BIN)/python -m pytest -q tests/docs

reference: venv ## Generate the tables of docs/reference from the program
	@$(BIN)/python -m scripts.reference

examples: venv ## Write the current messages of the program into the examples of the documentation
	@$(BIN)/python -m scripts.update_examples

pictures: venv ## Render the terminal pictures of the documentation
	@$(BIN)/python -m scripts.pictures

requirements: $(UV) ## Pin the newest versions that pyproject.toml allows
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra redis --constraint requirements/dev.txt --output-file requirements/image.txt
	'$(PYTHON)' -c '$(BUILD_REQUIRES)' | \
		$(COMPILE) - --constraint requirements/dev.txt --output-file requirements/build.txt

$(UV): $(firstword $(MAKEFILE_LIST))
	'$(PYTHON)' -m venv --clear build/uv
	build/uv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	@touch $@

clean: ## Remove all generated files
	rm -rf .venv .servers build dist scripts/hosts/node_modules scripts/clients/node_modules scripts/agents/node/*/node_modules scripts/bundle/node_modules scripts/browser/node_modules scripts/conformance/node_modules scripts/importing/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
