# `make demo` and `make test` are all that a newcomer types. Each installs first, if that is not done.

PYTHON ?=
BIN := .venv/bin

.PHONY: help install demo test check docs format soak clean

help:
	@echo "make demo    the whole chain on eight small objects, with a report: runs/demo/report.html"
	@echo "make test    every test that needs no root and no server (about 7 minutes on 2 cores)"
	@echo "make check   formatting, lint, types, layout"
	@echo "make docs    the documentation as a site: build/site/index.html"
	@echo "make soak    the reliability tests at full counts"
	@echo "make clean   remove .venv and caches; runs/ stays"

install:
	@command -v $(or $(PYTHON),python3) >/dev/null || \
	  { echo "expected $(or $(PYTHON),python3), got nothing: apt-get install -y python3.11 python3.11-venv" >&2; exit 1; }
	@$(or $(PYTHON),python3) bootstrap.py $(PYTHON)

demo: install
	@$(BIN)/zero123 demo

test: install
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: install
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy bootstrap.py bench
	@$(BIN)/python -m pytest tests/test_layout.py tests/test_language.py

docs: install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: install
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

soak: install
	@$(BIN)/python -m bench.soak

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .pytest_cache build dist *.egg-info
