# `make book` builds the book, `make test` proves it again; both set up what they need. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help book test pdf audit serve lab execute bench lock clean

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# The tools, and the book's own code that they import, are found from book/.
TOOL := PYTHONPATH=$(CURDIR)/book $(PY) -m _tools

# Two notebooks or two test workers run side by side: one thread of linear algebra each. A fixed hash seed keeps
# SymPy's order of terms, and with it every printed formula, the same in each run.
book test execute: export OMP_NUM_THREADS := 1
book test execute: export OPENBLAS_NUM_THREADS := 1
book test execute: export PYTHONHASHSEED := 0
# The kernels of this environment, not one of the same name in the home folder.
export JUPYTER_PREFER_ENV_PATH := 1
# No debugger is attached to a kernel here, and the note about frozen modules would end up in the outputs.
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# No progress bars in stored outputs or logs.
book test execute: export TQDM_DISABLE := 1

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(INSTALLED)  ## execute every notebook and build the HTML; prints the page to open
	@$(TOOL).build

test: $(INSTALLED)  ## unit tests, doctests, built pages in a browser, every notebook compared with a fresh run
	@failed=; notebooks=$$($(TOOL).execute --list); \
	stage() { echo; echo "$$1"; began=$$SECONDS; $(PY) -m pytest -n 2 --durations 10 "$${@:2}" || failed="$$failed$$1; "; \
	    echo "  took $$((SECONDS - began)) s"; }; \
	stage "1/3  The library: unit tests and doctests" --dist worksteal tests/library gradlib; \
	stage "2/3  The book and its built pages" --maxschedchunk 1 tests/book tests/site book/_lib; \
	stage "3/3  The notebooks, each stored output against a fresh run" \
	    --nbval --dist loadscope --no-loadscope-reorder $$notebooks; \
	echo; echo "$${failed:+FAILED: }$${failed:-all passed} in $$SECONDS s"; [ -z "$$failed" ]

# Lighthouse has a folder and a lock of its own; nothing but `make audit` needs it.
audit: $(INSTALLED)  ## weigh and time the built pages, and let Lighthouse judge them (about 10 minutes; needs Chromium)
	@[ -f _build/html/searchindex.js ] || $(MAKE) --no-print-directory book
	@[ audit/node_modules/.package-lock.json -nt audit/package-lock.json ] || { echo "Fetching Lighthouse (once)"; \
	    PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm ci --prefix audit --ignore-scripts --no-audit --no-fund --loglevel=error; \
	    touch audit/node_modules/.package-lock.json; }
	@$(TOOL).check.audit $(AUDIT)
AUDIT ?=

serve: $(INSTALLED)  ## serve the built book at http://localhost:8000 (PORT=... for another port)
	@[ -f _build/html/index.html ] || $(MAKE) --no-print-directory book
	@echo "The book is at http://localhost:$(PORT); Ctrl-C ends it."
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

pdf: $(INSTALLED)  ## print the whole book as one PDF, with an installed Chromium or Chrome; prints its path
	@[ -f _build/html/index.html ] || $(MAKE) --no-print-directory book
	@$(TOOL).print.pdf

lab: $(INSTALLED)  ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab --notebook-dir=book

execute: $(INSTALLED)  ## re-execute all notebooks in place and normalise them (NOTEBOOKS=book/soft.ipynb for some)
	@$(TOOL).execute $(NOTEBOOKS)
NOTEBOOKS ?=

# The peers live in an environment of their own, which looks up all else in this one; only `make bench` needs them.
bench: $(INSTALLED)  ## compare with PyTorch and JAX (about 15 minutes; BENCH=--quick for a test of the harness)
	@[ -f _build/bench/.installed ] || { echo "Installing the peers (once)"; \
	    $(PY) -m venv _build/bench; \
	    $(PY) -c 'import numpy; print(*numpy.__path__[0].rsplit("/numpy"))' > _build/bench/lib/$$(ls _build/bench/lib)/site-packages/project.pth; \
	    _build/bench/bin/python -m pip install --disable-pip-version-check --progress-bar off --quiet \
	        $$($(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"])'); \
	    touch _build/bench/.installed; }
	@PYTHONPATH=$(CURDIR) _build/bench/bin/python benchmarks/run.py $(BENCH)
BENCH ?=

# uv resolves for all platforms and Python versions at once, which pip cannot.
lock: $(INSTALLED)  ## refresh requirements.txt (UPGRADE= keeps the versions that still fit)
	@$(VENV)/bin/uv pip compile pyproject.toml --extra book --extra test --extra install --quiet \
	    --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header $(UPGRADE) --output-file requirements.txt
	@echo "requirements.txt: $$(grep -c '^[a-z].*==' requirements.txt) packages"
	@for folder in . audit; do PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm install --prefix $$folder --package-lock-only \
	    --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved --loglevel=error; done
UPGRADE ?= --upgrade

clean:  ## remove everything that was built or installed
	rm -rf $(VENV) _build node_modules audit/node_modules gradlib.egg-info .pytest_cache .hypothesis
	rm -f book/checked.md book/gradients-of-expectations.zip
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment. pip fetches uv, uv the rest: it is many times faster, and checks the same hashes. It does not read
# pip's configuration; where that makes it fail, pip goes on. All modules are compiled at the end, on all
# processors, which is faster than one by one and makes them load fast even where Python may not write byte code.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Python 3.11 or newer is needed ($(PYTHON) is not); name one, as in: make book PYTHON=python3.12" >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "Python's venv module is missing; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once): $$(grep -c '^[a-z].*==' requirements.txt) packages at most"
	@$(PYTHON) -m venv $(VENV) && date +%s > $(VENV)/began
	@awk '/^[a-z]/{ wanted = /^uv==/ } wanted' requirements.txt > $(VENV)/uv.txt
	@$(PIP) -r $(VENV)/uv.txt && \
	$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements.txt || { \
	    echo "  uv cannot fetch them; pip does, in a minute or more"; $(PIP) -r requirements.txt; }
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(PY) -m compileall -q -q -j 0 -x "/tests?/" $(VENV)/lib || true  # some carry templates that are no Python
	@touch $@
	@echo "  took $$(($$(date +%s) - $$(cat $(VENV)/began))) s"
PIP := $(PY) -m pip install --disable-pip-version-check --no-compile --progress-bar off --quiet --require-hashes
