# Needs Python 3.11 or newer and make; everything else comes from the lock file into .venv.
PYTHON ?= python3
BIN := .venv/bin
SERVE ?= 1
RESOLUTIONS ?= 100000
WORKERS ?= 2
CASES ?= 500
HLEDGER ?= hledger
.DEFAULT_GOAL := help

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

.venv/installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Solvent needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.13 ..."; exit 2; }
	@echo "Installing the locked packages into .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: .venv/installed ## the environment in .venv

.PHONY: run
run: .venv/installed ## the sample month on the embedded stack; SERVE=0 ends after the summary
	@$(BIN)/solvent run $(if $(filter 0,$(SERVE)),--no-serve,--serve)

.PHONY: test
test: .venv/installed ## all tests
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: api-cases
api-cases: .venv/installed ## 1,000 made-up requests for each route of the API; CASES=500 valid and as many invalid ones
	@SOLVENT_API_CASES=$(CASES) $(BIN)/pytest -n 2 tests/end_to_end/test_api_cases.py tests/api/test_cases.py

.PHONY: bench
bench: .venv/installed ## measurements, also written to build/bench.json
	@$(BIN)/python -m bench

.PHONY: simulate
simulate: .venv/installed ## months of faults against the books; RESOLUTIONS=100000, written to build/simulation.json
	@$(BIN)/python -m tests.simulation --resolutions $(RESOLUTIONS) --crash-points

.PHONY: simulate-planted
simulate-planted: .venv/installed ## bugs put into the engine on purpose: the simulator has to find each
	@$(BIN)/python -m tests.simulation.planted

.PHONY: mutate
mutate: .venv/installed ## mutants of the engine, each to be noticed by a test; PACKAGES=ledger, written to build/mutation.json
	@$(BIN)/python -m tests.mutation $(PACKAGES) --workers $(WORKERS)

.PHONY: journals
journals: .venv/installed ## the ledger of the run as journals, checked by bean-check and by hledger; HLEDGER=hledger
	@$(BIN)/solvent finance formats --format beancount --to build/journals
	@$(BIN)/bean-check build/journals/ledger.beancount
	@$(BIN)/solvent finance formats --format hledger --to build/journals
	@$(HLEDGER) --file build/journals/ledger.journal check --strict
	@echo "bean-check and hledger accept the ledger, and every balance is what it says"

.PHONY: check
check: .venv/installed ## ruff, mypy, import rules, template lint, generated documents
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/cfn-lint template.yaml infra/aws-only.yaml infra/athena-views.yaml
	@$(BIN)/python -m docs.generate --check

.PHONY: format
format: .venv/installed ## rewrite the sources in the agreed form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lock
lock: .venv/installed ## resolve the lock files anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" --extra exports pyproject.toml -o requirements-exports.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" --extra cli --extra dev pyproject.toml -o requirements-dev.lock

# Called by `sam build --build-in-source` for each function: its runtime packages, and nothing else. They are compiled,
# for Lambda keeps no compiled code: a cold start would compile all that it imports, and take five times as long.
LAMBDA_PYTHON ?= python3.13
LAMBDA_PACKAGES := requirements.lock
# The only one with DuckDB, which is larger than all the rest together.
build-ExportLedger: LAMBDA_PACKAGES := requirements-exports.lock
build-%:
	@$(LAMBDA_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || \
		{ echo "$(LAMBDA_PYTHON) is not Python 3.13, the functions' runtime; set LAMBDA_PYTHON to one that is"; exit 2; }
	@mkdir -p "$(ARTIFACTS_DIR)/infra"
	@cp -R billing events functions ledger payouts settlement "$(ARTIFACTS_DIR)/"
	@cp -R infra/__init__.py infra/replacing.py infra/aws infra/exports infra/stripe infra/webhooks "$(ARTIFACTS_DIR)/infra/"
	@find "$(ARTIFACTS_DIR)" \( -name __pycache__ -o -name '*.md' \) -prune -exec rm -rf {} +
	@$(BIN)/uv pip install --quiet --target "$(ARTIFACTS_DIR)" --python-platform aarch64-manylinux_2_28 \
		--python-version 3.13 --only-binary :all: --require-hashes -r $(LAMBDA_PACKAGES)
	@$(LAMBDA_PYTHON) -m compileall -q -j 0 --invalidation-mode unchecked-hash "$(ARTIFACTS_DIR)"

.PHONY: clean
clean: ## remove what was built
	rm -rf .venv build *.egg-info
