# Everything a fresh machine needs: `make lab` to learn, `make test` to check. Both can be run again at any time.
PYTHON ?= python3
BIN := .venv/bin
CORES := --numprocesses auto --dist worksteal
NBVAL := $(BIN)/pytest notebooks --nbval --nbval-kernel-name python3 --durations=0
# Pictures follow their sliders sooner: see careedu/course/connection.py.
PROMPT := --ServerApp.kernel_websocket_connection_class=careedu.course.connection.PromptConnection
# Files with tests beside which nothing may run: to read all of them takes longer than these tests.
ALONE = $(shell grep -rl --include='test_*.py' 'mark\.alone' tests)
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab test test-quick test-kills test-runs test-notebooks notebooks runs lint format bench clean

lab: .venv/.installed
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb $(PROMPT) $(ROOT)

# All tests on all cores, those in the browser too, each worker with one thread; then what nothing may run beside; then
# the notebooks and their solutions in two lanes, each in at most twice the seconds that it states for two cores.
test: lint .venv/.installed-test
	$(BIN)/pytest tests --ignore=tests/kills -m "not alone" $(CORES)
	$(BIN)/pytest $(ALONE) -m alone
	OMP_NUM_THREADS=1 $(NBVAL) --numprocesses 2 --dist loadfile

test-quick: .venv/.installed-test
	$(BIN)/pytest tests/unit -m "not slow and not alone" $(CORES)
	$(BIN)/pytest $(ALONE) -m "alone and not slow and not browser"

# Hundreds of processes are killed while they write or train, and what they leave is looked at.
test-kills: .venv/.installed-test
	$(BIN)/pytest tests/kills -s

# One run of each saved experiment is trained again.
test-runs: .venv/.installed-test
	CAREEDU_RUNS=all $(BIN)/pytest tests/real/test_saved_runs.py $(CORES) -s

# One after the other, as a student runs them.
test-notebooks: .venv/.installed-test
	$(NBVAL)

# The exercise notebooks come from the solved ones: change those, then run this.
notebooks: .venv/.installed
	$(BIN)/python -m careedu.course.derive

# The saved results that a notebook opens: make runs NOTEBOOK=01 (an hour or two, 04 four; it goes on where it was stopped).
runs: .venv/.installed
	$(BIN)/python -m careedu.course.runs $(NOTEBOOK)

lint: .venv/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# All benchmarks in one run, half an hour; their table is written into the README.
bench: .venv/.installed-test
	$(BIN)/python tests/benchmarks/figures.py

clean:
	rm -rf .venv build dist careedu-runs artefacts .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"careedu needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip

# Installed again when the dependencies change.
.venv/.installed: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

# Not compiled, which takes a minute: Python does so with what is imported, when it is.
.venv/.installed-test: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --no-compile --editable '.[test]'
	@touch $@ .venv/.installed
