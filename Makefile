# The verbs of the project. `make demo` and `make test` set themselves up on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= demo-home
# Nothing phones home, not even from a developer's shell.
export DO_NOT_TRACK = 1
export DAGSTER_DISABLE_TELEMETRY = yes
export GX_ANALYTICS_ENABLED = False
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: setup demo serve-demo test test-services check generate lock clean

setup: $(VENV)/.ready

# The lock is complete, so nothing is resolved at install time: --no-deps and hashes for every wheel.
$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Kinweave needs Python 3.11 or newer: try make PYTHON=python3.11 setup" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## three nights of a synthetic jurisdiction, from files to a published release
	$(BIN)/kinweave demo --home $(HOME_DIR)

serve-demo: setup ## the demo's release in a PostgreSQL of its own, a role for each partner; Ctrl-C ends it
	$(BIN)/kinweave serve demo --home $(HOME_DIR)

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-services: setup ## what needs more than Python: Chromium and PostgreSQL (Debian: chromium, postgresql)
	$(BIN)/python -m pytest tests/browser tests/serving

check: setup ## seconds: style, types, import directions, generated files current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfmt --check --quiet dbt_project
	$(BIN)/python -m expectations.compile.cli generate --check
	$(BIN)/python -m pipelines.measures generate --check

generate: setup ## contracts -> staging SQL, dbt sources and docs, data dictionary; measures' definitions -> their pages
	$(BIN)/python -m expectations.compile.cli generate
	$(BIN)/python -m pipelines.measures generate

lock: ## needs uv on the PATH; writes names, versions and hashes only
	uv pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 --quiet --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf $(VENV) $(HOME_DIR) dbt_project/target dbt_project/logs
