# make run    set up everything, then listen: the default microphone, else the demo station
# make test   set up everything, then check and test everything
# make check  style, types, import rules
# make install    as root: genred under /opt/genred, with its systemd units; make uninstall removes it again
# make reproduce DATA=GTZAN   every row of the paper's comparison -> train/RESULTS.md; goes on when run again

PYTHON ?= python3
DATA ?= data/gtzan
VENV := .venv
BIN := $(VENV)/bin
LOCK := .ci/requirements.lock
# Where it is installed. DESTDIR is put before it all, for packages and tests; PREFIX is written into the units.
DESTDIR ?=
PREFIX ?= /opt/genred
UNITS ?= /usr/local/lib/systemd
CONFIG := /etc/genred
APP := $(DESTDIR)$(PREFIX)
# What is installed: this checkout, or a wheel of it.
WHEEL ?= .
# Debian packages: for running, and for the tests with real audio and radio servers and another language.
RUN_PACKAGES := libportaudio2
TEST_PACKAGES := $(RUN_PACKAGES) pulseaudio pulseaudio-utils ffmpeg icecast2 openssl systemd \
    $(shell command -v npm >/dev/null || echo nodejs npm)

.PHONY: run test check format schema screenshot dashboard-cost lock clean install uninstall

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

install:
	$(if $(DESTDIR),,sh .ci/packages $(RUN_PACKAGES))
	$(PYTHON) -m venv --clear $(APP)
	$(APP)/bin/python -m pip install --quiet --constraint $(LOCK) $(PIP_ARGS) $(WHEEL)
	$(if $(DESTDIR),grep -rlZ '^#!$(APP)/' $(APP)/bin | xargs -0r sed -i '1s|^#!$(APP)/|#!$(PREFIX)/|')
	install -d $(APP)/share/genred $(DESTDIR)$(UNITS)/system $(DESTDIR)$(UNITS)/user $(DESTDIR)$(CONFIG)
	install -d -m 700 $(DESTDIR)$(CONFIG)/keys
	install -d -m 755 $(DESTDIR)$(CONFIG)/clients
	install -m 644 README.md LICENSE daemon/PROTOCOL.md systemd/cuda.conf systemd/genred.toml $(APP)/share/genred
	for unit in system/genred.service system/genred@.service user/genred.service; do \
	    sed 's|/opt/genred|$(PREFIX)|g' systemd/$${unit#system/} > $(DESTDIR)$(UNITS)/$$unit || exit; done
	test -e $(DESTDIR)$(CONFIG)/genred.toml || install -m 644 systemd/genred.toml $(DESTDIR)$(CONFIG)/genred.toml
	$(if $(DESTDIR),,-systemctl daemon-reload)

# The configuration and the keys stay.
uninstall:
	$(if $(DESTDIR),,-systemctl disable --now genred.service 'genred@*.service')
	rm -f $(addprefix $(DESTDIR)$(UNITS)/,system/genred.service system/genred@.service user/genred.service)
	rm -rf $(APP)
	$(if $(DESTDIR),,-systemctl daemon-reload)
	@echo "genred is removed; its configuration is still in $(DESTDIR)$(CONFIG)"

reproduce: $(VENV)/.test
	$(BIN)/genretrain reproduce --data $(DATA)

# The versions of the environment as it is now, for everybody else.
lock: $(VENV)/.test
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > $(LOCK)

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
