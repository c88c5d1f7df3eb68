# make run: from a fresh checkout to the first page.  make test: everything that is checked.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint lab bench image screenshots lock clean

run: $(VENV)/.installed
	@exec $(BIN)/python manage.py up

test: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory --jobs=2 --output-sync lint lab
	$(BIN)/python -m tests.shards

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/djade --check --target-version 5.2 $$(git ls-files --cached --others --exclude-standard 'templates/*.html')
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

# What the tests need besides Python's packages. npm is among the first.
lab: $(VENV)/.installed-dev
	$(BIN)/python -m tests.lab.packages
	$(BIN)/python -m tests.lab.wheels
	$(MAKE) --no-print-directory $(VENV)/.installed-clients

bench: $(VENV)/.installed-bench
	$(BIN)/python -m tests.lab.packages
	$(BIN)/python -m tests.bench $(SECTIONS)

image: $(VENV)/.installed-dev
	$(BIN)/python -m tests.lab.packages
	$(BIN)/python -m tests.lab.wheels
	$(BIN)/python -m pytest -p no:cacheprovider tests/image

screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m tests.browser.screenshots

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("dokreg needs Python 3.11 or later." if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock | $(VENV)/bin/python
	@echo "Installing what dokreg needs (once)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(VENV)/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $(VENV)/.installed $@

$(VENV)/.installed-bench: requirements-bench.lock | $(VENV)/.installed-dev
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bench.lock
	@touch $@

# Clients of the API that others wrote.
$(VENV)/.installed-clients: tests/clients/package.json tests/clients/package-lock.json | $(VENV)/bin/python
	@mkdir -p $(VENV)/clients
	@cp $^ $(VENV)/clients
	@cd $(VENV)/clients && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

lock: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --group bench pyproject.toml -c requirements-dev.lock -o requirements-bench.lock
	cd tests/clients && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
