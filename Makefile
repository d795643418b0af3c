# make demo | make test | make lint: each makes .venv first, if it is missing or out of date.
# Choose the Python with PY=..., for the first run. Only Linux is tried (lint uses GNU cp).

PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Written last, so that an interrupted installation is started over. It holds the path of the
# checkout, since a copied or moved virtual environment would go on using the old one.
STAMP := $(VENV)/installed
FOLDERS := robots mocap sim2real skill_module tasks

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test lint
.DELETE_ON_ERROR:

help:
	@echo "make demo   track a clip, walk a course and dribble in simulation; writes a film and a report"
	@echo "make test   run the tests"
	@echo "make lint   ruff and pyright"

demo: $(STAMP)
	@$(BIN)/legged-skills demo

test: $(STAMP)
	@$(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 8 --dist loadfile

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
# pyright looks for modules by their place, so it gets the folders where imports say they are.
	@rm -rf build/typing && mkdir -p build/typing/legged_skills
	@cp -rs "$(CURDIR)/tests" build/typing
	@cp -s "$(CURDIR)"/legged_skills/*.py build/typing/legged_skills
	@cp -rs $(FOLDERS:%="$(CURDIR)/%") build/typing/legged_skills
	@$(BIN)/pyright --pythonpath $(BIN)/python

ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
$(STAMP): setup.py setup.cfg pyproject.toml package.xml
	@command -v $(PY) >/dev/null || { \
	  echo "$(PY) was not found; install Python 3.11 or newer, or name one: make PY=python3.12"; \
	  exit 1; }
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PY) is $$($(PY) --version 2>&1); 3.11 or newer is needed: make PY=python3.12"; \
	  exit 1; }
	@$(PY) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PY) cannot make virtual environments; on Debian: apt install python3-venv"; \
	  exit 1; }
	@echo "Installing into $(VENV); this takes a minute or two."
	@[ "$$(cat $@ 2>/dev/null)" = "$(CURDIR)" ] || $(PY) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --editable '.[dev,ros]'
	@echo "$(CURDIR)" > $@
