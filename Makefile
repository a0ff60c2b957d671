# make demo and make test do all the set-up on a machine with python3 (>= 3.11) and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
AZURITE := $(BIN)/azurite-blob

.PHONY: demo test lint docs bench check clean

# STORE=azurite or STORE=seaweedfs keeps the blobs of the demo there.
STORE  ?= disk

demo: $(STAMP) $(if $(filter azurite,$(STORE)),$(AZURITE))
	$(BIN)/neuro-sdk demo --store $(STORE)

test: $(STAMP) $(AZURITE)
	$(BIN)/python -m pytest -n 4 --dist loadscope

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build

# BENCH takes the options of `python -m benchmarks --help`, as in make bench BENCH=--quick.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(BENCH)

check: lint docs test

clean:
	rm -rf $(VENV) docs/_build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 lacks venv; on Debian: apt-get install python3-venv"; exit 1; }

$(STAMP): $(BIN)/python pyproject.toml constraints.txt
	@echo "Setting up $(VENV); this takes a minute the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

# An emulator of Azure, and Node.js where the machine has none.
$(AZURITE): | $(STAMP)
	@echo "Setting up Azurite; this takes half a minute the first time"
	@$(BIN)/python -m tests.servers.azurite

$(VENV)/.lint: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint]'
	@touch $@

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

# aioboto3 pins an older botocore than everything else, so it gets an environment of its own.
# Azurite is for --store azurite alone.
$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m venv $(VENV)/peers/aioboto3
	$(VENV)/peers/aioboto3/bin/python -m pip install --quiet --disable-pip-version-check 'aioboto3==15.5.0'
	@npm install --global --prefix=$(VENV) --omit=dev --no-audit --no-fund --loglevel=error azurite@3.35.0 || \
	  echo "No Azurite, so make bench BENCH='--store azurite' will not work"
	@touch $@
