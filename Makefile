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

# .venv/.book, .venv/.lab, … : the extras that are installed there, with the versions of constraints.txt
.venv/.%: pyproject.toml constraints.txt | .venv
	$(BIN)/python -m pip install --quiet --editable '.[$*]' --constraint constraints.txt
	@touch $@

.venv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.PRECIOUS: .venv/.%
