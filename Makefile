# make install   the runtime in .venv; pip also looks where PIP_EXTRA_INDEX_URL says
# make demo      install, then track the bundled conversation as one microphone hears it; no network is used
# make test      install what tests need, run them
# make test-long  those tests that take about half a minute each
# make lint      ruff and mypy
# make mutants   change the core a little at random and see whether its tests notice; make mutants ARGS='--seed 1'
# make schema    generate the formats of events, topics and WebSockets anew; make picture draws the dashboard for the documents
# make bench     how fast it is, beside what else one could do; make bench ARGS=--quick for a short look
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)

.DELETE_ON_ERROR:
.PHONY: install demo test test-long lint mutants bench system schema picture clean

install: .venv/runtime.done

# For Linux the package index has PyTorch with CUDA alone. Where no NVIDIA card is, the processor's build is taken, if
# pip finds one; on other systems the plain one is for the processor.
.venv/runtime.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "emotrack needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	@nvidia-smi -L >/dev/null 2>&1 || test "$$(uname -s)" != Linux \
	  || said=$$($(PIP) '$(TORCH)+cpu' 2>&1) \
	  || echo "There is no NVIDIA card, and pip finds no $(TORCH)+cpu: taking CUDA's build, of 6 GB." \
	    "docs/installation.md says how to spare them. $$(echo "$$said" | tail -n 1)" >&2
	$(PIP) --editable .
	touch $@

.venv/dev.done: .venv/runtime.done
	$(PIP) --editable '.[test,lint]'
	touch $@

demo: install
	$(BIN)/emotrack live --file examples/kitchen-table.flac

# PortAudio and a sound server for the microphone tests, tmux for the dashboard's, Chromium for the report's, strace for
# those of who is spoken to: installed where that is possible, named where it is not (their tests then skip).
system:
	@sh tests/system-packages.sh

# What listens as time goes by has the machine to itself; everything else runs three at a time, as much of it waits.
LISTENING := tests/benchmarks/test_measuring.py tests/benchmarks/test_busy.py tests/tracker/test_event_loop.py \
  tests/tracker/test_rooms.py tests/tracker/sources/test_microphone.py tests/tracker/mqtt/sites/test_scale.py \
  $(patsubst %,tests/tracker/session/test_%.py,pipeline provisional speculation)
# Their processes load models of their own: one thread each would make them slower than what they are tested against.
RUNNING := tests/tracker/test_interrupts.py tests/tracker/command_line tests/tracker/mqtt tests/tracker/dashboard

test: .venv/dev.done system
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not long" --numprocesses 3 --dist loadfile --no-loadscope-reorder tests \
	  $(LISTENING:%=--ignore=%) $(RUNNING:%=--ignore=%)
	$(BIN)/python -m pytest -m "not long" --numprocesses 3 --dist worksteal $(RUNNING) $(LISTENING:%=--ignore=%)
	$(BIN)/python -m pytest -m "not long" $(LISTENING)

test-long: .venv/dev.done system
	$(BIN)/python -m pytest -m long

lint: .venv/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p emotrack -p tests -p benchmarks

mutants: .venv/dev.done
	$(BIN)/python -m tests.mutants $(ARGS)

bench: .venv/dev.done
	$(BIN)/python -m benchmarks $(ARGS)

# The events' JSON Schema and the documents of the MQTT topics and of the page's WebSockets are generated from their
# classes; tests check that they are current.
schema: install
	$(BIN)/python -m emotrack.tracker.events > tracker/events.schema.json
	$(BIN)/python -m emotrack.tracker.mqtt.format.asyncapi > tracker/mqtt/format/asyncapi.json
	$(BIN)/python -m emotrack.tracker.web.asyncapi > tracker/web/asyncapi.json

# The dashboard as the documents show it: emotrack tracks the bundled conversation in a terminal of tmux.
picture: install
	$(BIN)/python examples/draw_dashboard.py docs/dashboard.svg

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
