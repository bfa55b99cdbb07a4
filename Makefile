# make run    set up everything, then listen: the default microphone, else the demo station
# make test   set up everything, then check and test everything
# make check  style, types, import rules
# make reproduce DATA=GTZAN   every row of the paper's comparison -> train/RESULTS.md; goes on when run again

PYTHON ?= python3
DATA ?= data/gtzan
VENV := .venv
BIN := $(VENV)/bin
LOCK := .ci/requirements.lock
# Debian packages: for running, and for the tests with real audio and radio servers and another language.
RUN_PACKAGES := libportaudio2
TEST_PACKAGES := $(RUN_PACKAGES) pulseaudio pulseaudio-utils ffmpeg icecast2 openssl $(shell command -v npm >/dev/null || echo nodejs npm)

.PHONY: run test check format schema screenshot dashboard-cost lock clean

run: $(VENV)/.run
	$(BIN)/genred run

test: $(VENV)/.test check
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(VENV)/.run
	$(BIN)/python -m genred.messages > daemon/genred/schema.json

# The picture of the README. Its run was recorded with: genred run kitchen=demo: & genred listen | gzip -9
screenshot: $(VENV)/.run
	TZ=UTC $(BIN)/python tests/screenshot.py daemon/dashboard.svg

# What the dashboard costs on this machine, in two minutes and a half.
dashboard-cost: $(VENV)/.test
	$(BIN)/python tests/dashboard_cost.py daemon/dashboard-cost.json

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { sh .ci/packages python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.run: pyproject.toml $(LOCK) .ci/packages | $(BIN)/python
	sh .ci/packages $(RUN_PACKAGES)
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[plot]'
	touch $@

$(VENV)/.test: pyproject.toml $(LOCK) .ci/packages | $(BIN)/python
	sh .ci/packages $(TEST_PACKAGES)
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) torch
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[test]'
	touch $@ $(VENV)/.run

reproduce: $(VENV)/.test
	$(BIN)/genretrain reproduce --data $(DATA)

# The versions of the environment as it is now, for everybody else.
lock: $(VENV)/.test
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > $(LOCK)

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
