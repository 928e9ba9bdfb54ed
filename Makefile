# Each target is one `course` command, so that Windows users have the same ones without make:
#   py -m venv .venv
#   .venv\Scripts\pip install -e .[test] -c constraints.txt
#   .venv\Scripts\course book        (or test, lab, refresh, bench)
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

.PHONY: book test lab refresh bench

book: .venv/.book
	$(BIN)/course book

test: .venv/.test
	$(BIN)/course test

lab: .venv/.lab
	$(BIN)/course lab

refresh: .venv/.test
	$(BIN)/course refresh

bench: .venv/.bench
	$(BIN)/course bench

# .venv/.book, .venv/.lab, …: the extras installed there, in the versions of constraints.txt
.venv/.%: pyproject.toml constraints.txt | .venv/.made
	$(BIN)/python -m pip install --quiet --editable '.[$*]' --constraint constraints.txt
	@touch $@

.venv/.made:
	$(PYTHON) -m venv --clear .venv || (echo "no virtual environment: on Debian and Ubuntu, \
	apt-get install python3-venv; another Python: make PYTHON=python3.12 …" && false)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

.PRECIOUS: .venv/.%
