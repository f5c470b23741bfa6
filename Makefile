# Everything here runs in an environment of its own, .venv, which make builds when it is needed.
# `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP ?= $(BIN)/python -m pip
# More arguments for `pip install`.
INSTALL_ARGS ?=
# Arguments for pytest: a process for each core, which take work from each other.
PYTEST_ARGS ?= -n auto --maxprocesses 8 --dist worksteal
# An index asked beside the usual one, such as https://download.pytorch.org/whl/cpu, whose wheels
# of PyTorch are small and for the CPU only.
TORCH_INDEX ?=
# The oldest releases that Pet supports, in an environment beside the usual one.
OLDEST_VENV := .venv-oldest
OLDEST ?= torch==2.6.0 torchvision==0.21.0 'numpy<2'

QUICKSTART := quickstart_e2e_mask_rcnn_R-18-FPN
QUICKSTART_CFG := cfgs/rcnn/shapes/$(QUICKSTART).yaml
QUICKSTART_OUT := ckpts/rcnn/shapes/$(QUICKSTART)

.PHONY: help quickstart install test test-real test-oldest pytest lint format slow clean
.DEFAULT_GOAL := help
# Two installations into one environment must not run at once.
.NOTPARALLEL:

help:
	@echo "make quickstart  install, train Mask R-CNN on drawn shapes, test it, write pictures"
	@echo "make install     build .venv and install Pet in it, editable"
	@echo "make test        ruff, mypy and pytest: all that continuous integration checks"
	@echo "make test-real   the tests of real pictures alone: PET_TEST_DATA names their folder"
	@echo "make test-oldest pytest on the oldest PyTorch supported, in an environment of its own"
	@echo "make lint        ruff and mypy alone"
	@echo "make format      let ruff format and mend the code"
	@echo "make slow        the tests that take many minutes"
	@echo "make clean       remove .venv and caches; data/ and ckpts/ stay"
	@echo "Variables: PYTHON=python3.12  TORCH_INDEX=URL  INSTALL_ARGS=..."

quickstart: $(VENV)/.installed
	@if test -d $(QUICKSTART_OUT); then echo "== $(QUICKSTART_OUT) exists: the run goes on from" \
	    "its last checkpoint; remove the folder to train from the beginning"; fi
	@echo "== training ($(QUICKSTART_CFG))"
	@start=$$(date +%s); \
	$(BIN)/python tools/rcnn/train_net.py --cfg $(QUICKSTART_CFG) || exit $$?; \
	trained=$$(date +%s); \
	echo "== testing"; \
	$(BIN)/python tools/rcnn/test_net.py --cfg $(QUICKSTART_CFG) VIS.ENABLED True || exit $$?; \
	tested=$$(date +%s); \
	echo "== training took $$((trained - start)) s, testing $$((tested - trained)) s"; \
	echo "== pictures of the detections: $(CURDIR)/$(QUICKSTART_OUT)/vis/shapes_val/"; \
	echo "== log, metrics and checkpoints: $(CURDIR)/$(QUICKSTART_OUT)/"

install: $(VENV)/.installed
	@echo "== Pet is installed: . $(BIN)/activate"

test: lint pytest

pytest: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-real: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m 'real_pictures and not slow'

test-oldest:
	$(MAKE) pytest VENV=$(OLDEST_VENV) INSTALL_ARGS="$(INSTALL_ARGS) $(OLDEST)"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV) $(OLDEST_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find pet tools tests -name __pycache__ -prune -exec rm -rf {} +

# The environment. A stamp is written last, so that what was interrupted is done again.

$(VENV)/.created:
	@command -v $(PYTHON) > /dev/null || { \
	    echo "there is no $(PYTHON); install Python 3.10 or newer, or name it: make PYTHON=PATH"; \
	    exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Pet needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	        "Name another one: make PYTHON=python3.12"; \
	    exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	    echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv"; \
	    exit 1; } >&2
	@echo "== making the environment $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: extra :=
$(VENV)/.installed-test: extra := [test]
$(VENV)/.installed $(VENV)/.installed-test: setup.py pyproject.toml | $(VENV)/.created
	@echo "== installing Pet$(extra) and what it needs; PyTorch is large, this can take minutes"
	@rm -f $@.part
	@start=$$(date +%s); \
	{ $(PIP) install --progress-bar off $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	        $(INSTALL_ARGS) --editable '.$(extra)' && touch $@.part; } \
	    | grep --line-buffered -E '^ *((Downloading|Using cached) .*whl |Installing coll)' \
	    | cut -c 1-100; \
	test -f $@.part || { echo "the installation failed; make tries again from here" >&2; exit 1; }; \
	echo "== installed in $$(($$(date +%s) - start)) s"
	@$(BIN)/python -c 'import cv2' 2> /dev/null || { \
	    echo "== opencv-python lacks a system library; taking opencv-python-headless instead" && \
	    $(PIP) uninstall -qq --yes opencv-python opencv-python-headless && \
	    $(PIP) install --quiet $(INSTALL_ARGS) 'opencv-python-headless>=4.8' && \
	    $(BIN)/python -c 'import cv2'; }
	@mv $@.part $@
