# make demo and make test do all the set-up on a machine with python3 (>= 3.11) and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
AZURITE := $(BIN)/azurite-blob

.PHONY: demo test lint docs check clean

# STORE=azurite or STORE=seaweedfs keeps the blobs of the demo there.
STORE  ?= disk

demo: $(STAMP) $(if $(filter azurite,$(STORE)),$(AZURITE))
	$(BIN)/neuro-sdk demo --store $(STORE)

test: $(STAMP) $(AZURITE)
	$(BIN)/python -m pytest -n 2 --dist loadscope

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build

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
