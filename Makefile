# Two commands: `make demo` shows what Chainrule does, `make test` proves that it works.
# They need Python 3.11 or newer, make and git. Everything is installed into .venv, from hashed locks.

VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch==2.13.0
JAX := jax==0.10.2
OTLP := opentelemetry-exporter-otlp-proto-http==1.45.2
TABLES := mlxtend==0.25.0 palmerpenguins==0.1.6 scikit-lego==0.9.10 vega-datasets==0.9.0
BENCHES := compare service serving
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
FAULTS := FAULTS FILLS KILLS RESTARTS TRIES ZOMBIES
COUNT := 10
SEED := $(shell date +%s)
EXAMPLES := digits mnist diabetes auto
LOCKS := requirements.txt requirements-dev.txt requirements-audit.txt
OURS := app alembic supply

# A name on the PATH may be an empty shim: only an interpreter that runs, and can make a venv, counts.
FIT := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
	$$each -c '$(FIT)' >/dev/null 2>&1 && { echo $$each; break; }; done)

# Of these only files of data are used, which need none of what they require.
IMAGES = for each in $(TABLES); do $(BIN)/python -m pip show -q $${each%%=*} 2>/dev/null \
	|| $(PIP) install -qq --no-deps $$each \
	|| echo "$$each cannot be installed here: the examples that need its data are skipped."; done

LOCK := $(BIN)/python -m uv --quiet pip compile --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help install demo examples serve test check faults lint audit bench peers docs lock clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.runtime ## Install the server into .venv

demo: $(VENV)/.runtime ## Upload data, train, follow the cost, predict: a minute at the first run
	@$(BIN)/python -m examples.demo

examples: $(VENV)/.dev ## Train on real data, beside scikit-learn
	@$(IMAGES)
	@set -e; for each in $(EXAMPLES); do $(BIN)/python -m "examples.$$each"; done

serve: $(VENV)/.runtime ## Run the server on http://127.0.0.1:8000, data in ./chainrule-data
	@$(BIN)/chainrule-server serve

# Tests start our programs hundreds of times. Where PYTHONDONTWRITEBYTECODE is set, each would compile itself.
test: $(VENV)/.dev ## Run the tests
	@$(BIN)/python -m compileall -qq app alembic
	@$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

check: $(VENV)/.dev lint ## Run everything: lint, the slow tests too, PyTorch and MNIST if they can be had
	@$(BIN)/python -c "import torch" 2>/dev/null || $(PIP) install -qq $(TORCH) \
		|| echo "PyTorch ($(TORCH)) cannot be installed here: the tests that compare with it are skipped."
	@$(BIN)/python -c "import opentelemetry.sdk" 2>/dev/null || $(PIP) install -qq $(OTLP) \
		|| echo "$(OTLP) cannot be installed here: the tests of traces are skipped."
	@$(IMAGES)
	@$(BIN)/python -m pytest

faults: $(VENV)/.dev ## Do the server harm at random, many times, and say what came of it: COUNT=100 SEED=1
	@$(foreach each,$(FAULTS),CHAINRULE_TEST_$(each)=$(COUNT)) CHAINRULE_TEST_SEED=$(SEED) \
		$(BIN)/python -m pytest -m slow -s tests/faults

lint: $(VENV)/.dev ## Check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

audit: $(VENV)/.runtime $(AUDIT)/.tools $(AUDIT)/.shipped ## Look for known holes, risky code, unfit licences; write dist/sbom.json
	@$(AUDIT)/bin/bandit --quiet --recursive --severity-level medium $(OURS) 2>$(AUDIT)/bandit.log \
		|| { cat $(AUDIT)/bandit.log >&2; exit 1; } # it warns of each part of a line that has a nosec
	@$(BIN)/python -m supply.licences requirements.txt docs/licences.md
	@mkdir -p dist
	@$(AUDIT)/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
		--output-file dist/sbom.json $(AUDIT)/shipped/bin/python
	@$(AUDIT)/bin/python -m supply.advisories $(LOCKS) $(ADVISORIES)

bench: $(VENV)/.dev ## Compare our speed with that of the peers that are installed, and measure the service
	@set -e; for each in $(BENCHES); do echo "# bench/$$each.py"; $(BIN)/python -m "bench.$$each"; done

peers: $(VENV)/.dev ## Install the peers that make bench compares with
	@$(PIP) install -qq $(TORCH) $(JAX)

docs: $(VENV)/.runtime ## Write the tables of docs/errors.md, docs/metrics.md and docs/licences.md anew
	@$(BIN)/python -m app.codes docs/errors.md
	@$(BIN)/python -m app.metrics.families docs/metrics.md
	@$(BIN)/python -m supply.licences requirements.txt docs/licences.md

lock: $(VENV)/.dev ## Resolve requirements.txt, requirements-dev.txt and requirements-audit.txt anew
	@$(LOCK) pyproject.toml --group build -o requirements.txt
	@$(LOCK) pyproject.toml --group build --group dev -c requirements.txt -o requirements-dev.txt
	@$(LOCK) --group audit -o requirements-audit.txt

clean: ## Remove .venv and caches; your data stays
	@rm -rf $(VENV) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(FIT)' || { \
		echo "Chainrule needs Python 3.11 or newer with its venv module; none was found." >&2; \
		echo "Debian and Ubuntu: apt install python3-venv. Another place: make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(BIN)/python -c '$(FIT)' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing Chainrule into $(VENV) (once; a minute or less) ..."
	@$(PIP) install -qq --require-hashes --only-binary :all: -r requirements.txt
	@$(PIP) install -qq --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	@echo "Installing what the tests need (once; a minute or two) ..."
	@$(PIP) install -qq --require-hashes --only-binary :all: -r requirements-dev.txt
	@touch $@

$(AUDIT)/.tools: requirements-audit.txt $(VENV)/.runtime
	@echo "Installing what audits into $(AUDIT) (once; a minute) ..."
	@$(BIN)/python -m venv --clear $(AUDIT)
	@$(PIP) --python $(AUDIT)/bin/python install -qq --require-hashes --only-binary :all: -r requirements-audit.txt
	@touch $@

$(AUDIT)/.shipped: requirements.txt $(AUDIT)/.tools
	@$(BIN)/python -m venv --clear --without-pip $(AUDIT)/shipped
	@$(PIP) --python $(AUDIT)/shipped/bin/python install -qq --require-hashes --only-binary :all: -r requirements.txt
	@touch $@
