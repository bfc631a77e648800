# Each target sets up .venv by itself, once. PYTHON names another interpreter, VENV another place for it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test soak coverage test-all interop docs check style types bench bench-clients growth clean
.DEFAULT_GOAL := check

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "execserver needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable . --group dev
	@touch $@

run: $(READY)  ## the daemon, driven by our client, runs a real command and prints its ordered events
	$(BIN)/execserver run --verbose -- sh -c 'echo to stdout; sleep 0.2; echo to stderr >&2; sleep 0.2; seq 3; exit 3' || test $$? -eq 3

test: $(READY)
	$(BIN)/pytest

# What decides what a byte or a number means is covered whole: every line, and every branch both ways.
COMMA := ,
WHOLE := execserver/lines.py,execserver/wire/*,$(subst $() $(),$(COMMA),$(patsubst %,execserver/%.py,\
	$(addprefix server/,rpc dispatch bulk eager log record push outbox stdin retention ending process) \
	$(addprefix client/,buffer calls core daemon ending facts handshake pause preamble)))
coverage: $(READY)  ## of the pure modules, by their tests alone: 100 %, branches too
	$(BIN)/coverage run --branch -m pytest -q tests/test_lines.py tests/wire tests/server/test_session.py \
		$(patsubst %,tests/client/test_%.py,buffer core daemon ending handshake) \
		$(patsubst %,tests/server/test_%.py,rpc dispatch bulk eager log record push outbox stdin retention ending process)
	$(BIN)/coverage report --show-missing --fail-under=100 --include='$(WHOLE)'

# every CPython from 3.11 up on the PATH or kept by pyenv, one of each minor version, each with its own environment
CPYTHONS := $(foreach minor,11 12 13 14 15,$(firstword $(shell for p in python3.$(minor) \
	$(wildcard $(HOME)/.pyenv/versions/3.$(minor).*/bin/python3.$(minor)); do \
	$$p -c 'import sys; sys.exit(sys.implementation.name != "cpython")' 2>/dev/null && echo $$p; done)))

soak: $(READY)  ## a GiB without a lost byte, and 300 lives that end at instants nobody has tried
	EXECSERVER_TEST_MIB=1024 EXECSERVER_TEST_SEED=$$$$ $(BIN)/pytest tests/daemon/test_volume.py tests/daemon/test_stress.py

test-all:  ## the suite on every CPython from 3.11 up that is found
	@test -n "$(CPYTHONS)" || { echo "no CPython from 3.11 up was found" >&2; exit 1; }
	@set -e; for p in $(CPYTHONS); do $$p --version; \
		$(MAKE) --no-print-directory test PYTHON=$$p VENV=.venv-$$(basename $$p); done

# The tests start an sshd of their own and skip (in CI: fail) without one. RUNLEVEL=1: install the service, do not start it
SSHD := /usr/sbin/sshd
$(SSHD):
	-test "$$(id -u)" -ne 0 || ! command -v apt-get || { apt-get update -q && \
		RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends openssh-server; }

interop: $(READY) $(SSHD)  ## with programs that are not ours: the real Codex CLI, by npm into .cache; a real sshd
	$(BIN)/pytest tests/interop -m interop

docs: $(READY)  ## the generated pages of docs/reference: the protocol, the client, the command line
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/generate_usage.py

style: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

check: style types coverage test  ## the tests hold the documentation too: every example in it, and what is generated

# The driver is C: a client in Python could not follow a GB/s, and would be what is measured.
BENCH := .cache/bench
BENCH_CFLAGS := -O2 -std=gnu11 -Wall -Wextra
NATIVE := benchmarks/native
DRIVER := driver measure base64 message server throughput latency memory

$(BENCH)/driver: $(DRIVER:%=$(NATIVE)/%.c) $(wildcard $(NATIVE)/*.h)
	@mkdir -p $(BENCH)
	gcc $(BENCH_CFLAGS) -o $@ $(filter %.c,$^)

$(BENCH)/limit: $(NATIVE)/limit.c $(NATIVE)/base64.c $(NATIVE)/base64.h
	@mkdir -p $(BENCH)
	gcc $(BENCH_CFLAGS) -o $@ $(filter %.c,$^)

$(BENCH)/child: $(NATIVE)/child.c $(NATIVE)/pattern.h
	@mkdir -p $(BENCH)
	gcc $(BENCH_CFLAGS) -o $@ $<

$(BENCH)/nothing: $(NATIVE)/nothing.c
	@mkdir -p $(BENCH)
	gcc $(BENCH_CFLAGS) -static -nostdlib -o $@ $<

# two environments: with what the extra `fast` brings, and with the dependencies alone
$(BENCH)/.ready: $(READY)
	$(BIN)/pip install --quiet --group bench
	$(PYTHON) -m venv $(BENCH)/plain
	$(BENCH)/plain/bin/pip install --quiet --editable .
	@touch $@

BENCH_READY := $(BENCH)/driver $(BENCH)/limit $(BENCH)/child $(BENCH)/nothing $(BENCH)/.ready

# A complete run renews the figures of the documentation; any other leaves its own in .cache/bench.
bench: $(BENCH_READY)  ## beside the reference server, in one run; QUICK=1 takes under two minutes, ONLY=echo,spawn picks runs
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick) $(if $(ALONE),--alone) $(if $(HALTING),--halting) \
		$(if $(CHECK),--check) $(if $(ONLY),--only '$(ONLY)') $(if $(QUICK)$(ONLY)$(ALONE)$(HALTING),,--save)

bench-clients: $(BENCH_READY)  ## output through the server and each client, beside the server alone
	$(BIN)/python -m benchmarks.clients --save
	$(BENCH)/plain/bin/python -m benchmarks.clients --save

growth: $(BENCH_READY)  ## does the cost of one thing stay the same as there is more of it; FULL=1: 100 GB, 100,000 processes
	$(BIN)/python -m benchmarks.growth $(if $(FULL),--full --save)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
