# make demo         train on scikit-learn's digits, with progress, result and pictures
# make test         run the test suite
# make lint         check style, format and types
# make docs         the documentation as a site, in build/site
# make bench        microbenchmarks of the kernels and their peers, stored in bench/results
# make test-peers   the tests beside pyproximal, cvxpy and torch, which make test leaves out
# make test-lowest  a slice of the suite on the lowest versions that pyproject.toml names
# make test-3.13    the same on another interpreter, and the newest versions for it
# make attack       the whole of tests/hostile, over 10,000 cases, stored in bench/results
# Each sets itself up in .venv; PYTHON chooses the interpreter (3.11 or later).

PYTHON ?= python3
BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint docs bench attack clean test-peers test-lowest

demo: .venv/.demo
	@$(BIN)/fastadmm train digits --out demo

# Without ARGS, what depends on the MPI library is tested a second time, under MPICH.
test: .venv/.dev .venv/mpich/.done
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)
	@$(if $(ARGS),,OMP_WAIT_POLICY=passive .venv/mpich/bin/python -m pytest -m every_mpi tests/mpi)

lint: .venv/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@rm -rf build/rooms && mkdir -p build/rooms/fastadmm
	@ln -s $(CURDIR)/fastadmm/* $(CURDIR)/kernels $(CURDIR)/mpi build/rooms/fastadmm
	@$(BIN)/pyright

docs: .venv/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# A part of the benchmarks, chosen by ARGS, leaves the stored results alone.
bench: .venv/.peers
	@$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only --benchmark-columns=min,median \
	    $(or $(ARGS),-q --benchmark-json=bench/results/kernels.json)

# ARGS chooses areas, a part (--share 0.1) or another seed; only the whole is stored.
attack: .venv/.dev
	@OMP_WAIT_POLICY=passive PYTHONPATH=.:tests $(BIN)/python -m hostile.attack $(ARGS)

test-peers: .venv/.peers
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -m peers $(ARGS)

# What says most of other versions in a minute: the command line from data to picture, iterates,
# ranks, model files, BLAS, and kernels in a user's compiled code.
SLICE := $(addprefix tests/,fastadmm/test_command_line.py::test_train_digits \
    fastadmm/test_command_line.py::test_help_lists_the_commands fastadmm/test_golden.py \
    mpi/test_ranks.py::test_command_line_over_ranks fastadmm/test_network.py kernels/test_blas.py \
    kernels/test_matrix_free.py::test_callable_from_cached_user_code)

# Environments that compile at the same time would overwrite each other's cached kernels.
slice = FASTADMM_CACHE=$(CURDIR)/.venv/$(1)/cache OMP_WAIT_POLICY=passive \
    .venv/$(1)/bin/python -m pytest $(or $(ARGS),$(SLICE))

test-lowest: .venv/lowest/.done
	@$(call slice,lowest)

test-3.%: .venv/3.%/.done
	@$(call slice,3.$*)

clean:
	rm -rf .venv demo build dist *.egg-info

.venv/bin/python:
	@echo "Setting up .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml | .venv/bin/python
	@$(BIN)/python $(INSTALL) --editable '.[plot,sklearn]'
	@touch $@

.venv/.peers: pyproject.toml | .venv/bin/python
	@$(BIN)/python $(INSTALL) --editable '.[dev,peers]'
	@touch $@

.venv/.docs: pyproject.toml | .venv/bin/python
	@$(BIN)/python $(INSTALL) --editable '.[docs]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@$(BIN)/python $(INSTALL) --editable '.[dev]'
	@touch $@

# An environment that has MPICH, and all else from the main one.
.venv/mpich/.done: .venv/.dev
	@$(PYTHON) -m venv .venv/mpich
	@.venv/mpich/bin/python $(INSTALL) mpi4py mpich
	@$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(' + repr(sysconfig.get_path('purelib')) + ')')" \
	    > $$(.venv/mpich/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/shared.pth
	@touch $@

.venv/lowest/.done: pyproject.toml .ci/lowest.py | .venv/bin/python
	@$(BIN)/python -m venv .venv/lowest
	@$(BIN)/python .ci/lowest.py > .venv/lowest/requirements.txt
	@.venv/lowest/bin/python $(INSTALL) --requirement .venv/lowest/requirements.txt --editable .
	@touch $@

.PRECIOUS: .venv/3.%/.done
.venv/3.%/.done: pyproject.toml
	@python3.$* -m venv .venv/3.$*
	@.venv/3.$*/bin/python $(INSTALL) --upgrade --upgrade-strategy eager --editable '.[test]'
	@touch $@
