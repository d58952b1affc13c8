# make train   train the paper's agent at 10% oversight and say what it learnt
# make test    run the tests
# make check   formatting, lint and types
# make slow    the tests that take minutes, and those that need the extras
# make faults  kill a run, fill its disk and more, at its every third file operation; minutes
# make mutate  small wrong changes, each of which a test must see; ten minutes
# make docs    this documentation as a site, in docs/_build; its own links are checked
# make links   the links that lead elsewhere; needs the network
# make fuzz    every command with inputs that are wrong in many ways; MINUTES=10 for less than all
# make bench   how fast it is, beside the machine's own limit
PYTHON ?= python3
TORCH_INDEX ?=
MINUTES ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SPHINX := $(BIN)/python -m sphinx --quiet
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: train test check slow faults fuzz mutate docs links bench clean

train: .venv/installed
	$(BIN)/python train.py $(FLAGS)

test: .venv/installed
	$(PYTEST) $(FLAGS)

slow: .venv/extras
	$(PYTEST) -m "slow or extras" $(FLAGS)

faults: .venv/installed
	$(PYTEST) -m slow tests/faults $(FLAGS)

mutate: .venv/extras
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/mutate.py $(FLAGS)

docs: .venv/docs
	$(SPHINX) --fresh-env --fail-on-warning --keep-going docs docs/_build
	@echo "Open docs/_build/index.html"

links: .venv/docs
	$(SPHINX) --builder linkcheck docs docs/_build/links

fuzz: .venv/installed
	PYTHONPATH=$(CURDIR):tests/support OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py \
		$(if $(MINUTES),--minutes $(MINUTES)) $(FLAGS)

bench: .venv/installed
	$(BIN)/python benchmarks/bench.py $(FLAGS)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

.venv/installed: requirements.txt pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.11 ..." % v[:2])'
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) $(shell grep '^torch==' requirements.txt))
	$(PIP) --requirement requirements.txt
	$(PIP) --no-deps --editable .
	@touch $@

.venv/extras: .venv/installed requirements-extras.txt requirements-trl.txt requirements-docs.txt
	$(PIP) --requirement requirements-extras.txt
	@touch $@

.venv/docs: .venv/installed requirements-docs.txt
	$(PIP) --requirement requirements-docs.txt
	@touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache build/mutate.json docs/_build
