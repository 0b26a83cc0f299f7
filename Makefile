# make demo    train on scikit-learn's digits, with progress, result and pictures
# make test    run the test suite
# make lint    check style and format
# make bench   microbenchmarks of the kernels and their peers, stored in bench/results
# Each sets itself up in .venv; PYTHON chooses the interpreter (3.11 or later).

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

demo: .venv/.demo
	@$(BIN)/fastadmm train digits --out demo

# Without ARGS, what depends on the MPI library is tested a second time, under MPICH.
test: .venv/.dev .venv/mpich/.done
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)
	@$(if $(ARGS),,OMP_WAIT_POLICY=passive .venv/mpich/bin/python -m pytest -m every_mpi tests/mpi)

lint: .venv/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

# A part of the benchmarks, chosen by ARGS, leaves the stored results alone.
bench: .venv/.peers
	@$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only --benchmark-columns=min,median \
	    $(or $(ARGS),-q --benchmark-json=bench/results/kernels.json)

clean:
	rm -rf .venv demo build dist *.egg-info

.venv/bin/python:
	@echo "Setting up .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml | .venv/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[plot,sklearn]'
	@touch $@

.venv/.peers: pyproject.toml | .venv/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,peers]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# An environment that has MPICH, and all else from the main one.
.venv/mpich/.done: .venv/.dev
	@$(PYTHON) -m venv .venv/mpich
	@.venv/mpich/bin/pip install --quiet --disable-pip-version-check mpi4py mpich
	@$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(' + repr(sysconfig.get_path('purelib')) + ')')" \
	    > $$(.venv/mpich/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/shared.pth
	@touch $@
