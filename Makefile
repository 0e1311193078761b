# `make help` lists the targets. Needs Python >= 3.11 and a package index, nothing else.

PROFILE  ?= quick
CLAIMS   ?=
LAUNCHER ?= joblib
STORE    ?= store
OUT      ?= out
SETTINGS ?=
PYTHON   ?= python3

BIN := .venv/bin
# Each glob in quotes: bench-lr matches claim ids, the shell must not match files.
claims = $(foreach claim,$(CLAIMS),'$(claim)')
settings = $(if $(SETTINGS),-- $(SETTINGS))
where  = --profile '$(PROFILE)' --store '$(STORE)' --out '$(OUT)'

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup data reproduce report test check record bench docs audit lint format smoke clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables, as they are now:"
	@printf '  %-22s %s\n' \
	  "PROFILE=$(PROFILE)" "smoke, quick, standard or full" \
	  "CLAIMS='$(CLAIMS)'" "globs of claim ids, such as 'ai_edu/* raschka/*'; empty: all" \
	  "LAUNCHER=$(LAUNCHER)" "joblib (a process a core), local (one process) or slurm" \
	  "STORE=$(STORE)" "folder of results, kept between runs" \
	  "OUT=$(OUT)" "folder of reports" \
	  "SETTINGS='$(SETTINGS)'" "Hydra overrides, such as hydra.launcher.partition=long" \
	  "PYTHON=$(PYTHON)" "makes .venv"

.venv/.installed: pyproject.toml constraints.txt
	@command -v '$(PYTHON)' >/dev/null || \
	  { echo "error: '$(PYTHON)' not found; try make PYTHON=python3.12" >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python >= 3.11 is needed, '$(PYTHON)' is" \
	         "$$('$(PYTHON)' -V 2>&1); try make PYTHON=python3.12" >&2; exit 1; }
	'$(PYTHON)' -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,slurm]'
	@touch $@

setup: .venv/.installed data ## make .venv, install, fetch the data (quick if done)

data: .venv/.installed ## fetch and verify the data sets that the claims need
	@$(BIN)/python -m bench_lr.data --profile '$(PROFILE)' --claims $(claims)

reproduce: setup ## run the claims and write the report
	$(BIN)/bench-lr run $(claims) --launcher '$(LAUNCHER)' $(where) $(settings)

report: .venv/.installed ## write the report again from stored results
	$(BIN)/bench-lr report $(claims) $(where)

check: setup ## run the claims and fail if a verdict or number left what is recorded
	$(BIN)/bench-lr check $(claims) --launcher '$(LAUNCHER)' $(where) $(settings)

record: .venv/.installed ## make the stored verdicts the recorded ones (reproductions/)
	$(BIN)/bench-lr record $(claims) $(where)

smoke: setup ## run every claim for seconds, to prove the plumbing
	$(BIN)/bench-lr run $(claims) --launcher '$(LAUNCHER)' \
	  --profile smoke --store '$(OUT)/smoke/store' --out '$(OUT)/smoke'

test: setup ## run the tests, without the benchmarks
	$(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder

bench: setup ## run the benchmarks: training beside its peers, cost as the work grows
	@mkdir -p '$(OUT)'
	BENCH_LR_SPEED='$(OUT)/speed.json' $(BIN)/pytest tests/bench -q -s \
	  --benchmark-only --benchmark-json='$(OUT)/bench.json'

docs: .venv/.installed ## build the documentation as a site in out/docs; a warning fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "documentation: out/docs/index.html"

audit: ## look the pinned dependencies up among known vulnerabilities (needs PyPI itself)
	@test -d .audit || '$(PYTHON)' -m venv .audit
	@.audit/bin/python -m pip install --disable-pip-version-check -q 'pip-audit==2.10.1'
	.audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

lint: .venv/.installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed ## repair what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove reports, logs and caches; keeps .venv, data and results
	rm -rf out outputs multirun dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find bench_lr tests -name __pycache__ -type d -prune -exec rm -rf {} +
