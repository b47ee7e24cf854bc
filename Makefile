# Needs make and Python >= 3.11; everything else is fetched from the package index into .venv and .tools.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test lint check bench chaos sabotage synth audit image deploy destroy deploy-local destroy-local docs format clean

PYTHON ?= python3
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON_PREFERENCE := only-system
UV := $(shell command -v uv || echo .tools/bin/uv)
RUN := .venv/bin/python
SCENARIO ?= billing
STAGE ?= dev
CDK := PATH=$(CURDIR)/.venv/bin:$$PATH CDK_DISABLE_NOTICES=1 node_modules/.bin/cdk
ENGINE := $(firstword $(foreach tool,docker podman finch,$(shell command -v $(tool))))
HERE := $(RUN) -c 'import boto3; s = boto3.Session(); print("aws://%s/%s" % (s.client("sts").get_caller_identity()["Account"], s.region_name))'
BOOTSTRAPPED := $(RUN) -c 'import boto3; boto3.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")'

help: ## What can be run here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Progress goes to stderr: the stdout of `make serve` belongs to its one JSON line.
.tools/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "patchthrough needs Python >= 3.11; this is %s. Set PYTHON=/path/to/python3.11" % sys.version.split()[0])' 1>&2
	@$(PYTHON) -m venv .tools 1>&2
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv==0.13.9' 1>&2

.venv/.synced: uv.lock pyproject.toml | $(filter .tools/bin/uv,$(UV))
	@$(UV) sync --frozen --quiet --python $(PYTHON) 1>&2
	@touch $@

setup: .venv/.synced ## Install what the commands below need

demo: .venv/.synced ## Play a whole spoken call and leave a folder to listen to (SCENARIO=billing|hours|press-zero|no-answer|caller-hangs-up|screened|attended|hunt|voicemail|closed|promise|model-dies|relay-dies|queue-down|deploy)
	@$(RUN) -m simulators demo --scenario $(SCENARIO)

serve: .venv/.synced ## Run the local stack and wait for calls
	@exec $(RUN) -m simulators serve

test: .venv/.synced node_modules/.bin/cdk .emulator/.synced ## Every test; once set up it needs no network
	@$(RUN) -m pytest

lint: .venv/.synced ## Format, lint, types, import direction
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports

check: lint test ## Everything that must pass before a change lands

bench: .venv/.synced ## Measure the relay beside the floor and a plain relay (QUICK=1: under a minute)
	@$(RUN) -m benchmarks $(if $(QUICK),--quick)

chaos: .venv/.synced .emulator/.synced ## Break everything during calls and write what callers heard (QUICK=1: a few rows; ROWS=R3,R15)
	@$(RUN) -m simulators chaos $(if $(QUICK),--quick) $(if $(ROWS),--rows $(ROWS))

sabotage: .venv/.synced node_modules/.bin/cdk ## Delete each control in turn in a copy of the tree; its test must go red
	@$(RUN) -m tests.sabotage

node_modules/.bin/cdk: package-lock.json .venv/.synced
	@PATH=$(CURDIR)/.venv/bin:$$PATH npm ci --silent
	@touch $@

# AWS on this machine. It wants an older boto3 than we deploy, so it lives apart.
.emulator/.synced: uv.lock pyproject.toml | $(filter .tools/bin/uv,$(UV))
	@UV_PROJECT_ENVIRONMENT=.emulator $(UV) sync --frozen --quiet --only-group emulator --python $(PYTHON) 1>&2
	@touch $@

synth: node_modules/.bin/cdk ## Write the CloudFormation template (STAGE=dev|prod)
	@$(CDK) synth --quiet -c stage=$(STAGE)

audit: node_modules/.bin/cdk ## Scan template, sources and packages for what is known to be unsafe, and list what is deployed in .build/sbom.json (STAGE=dev|prod)
	@$(CDK) synth --quiet -c stage=$(STAGE)
	@$(UV) tool run --quiet --from checkov==3.3.30 checkov --config-file infra/checkov.yaml -f cdk.out/Patchthrough.template.json
	@$(UV) tool run --quiet --from bandit==1.9.4 bandit -q -lll -r contracts functions containers infra cli
	@mkdir -p .build
	@$(UV) export --frozen --quiet --no-default-groups --group webhook --group transfer --group relay --preview-features sbom-export --format cyclonedx1.5 --output-file .build/sbom.json > /dev/null
	@$(RUN) -m infra.advisories $(UV) tool run --quiet --from pip-audit==2.10.1 pip-audit

image: ## Build the relay's image with docker, podman or buildah
	@tool=$$(command -v docker || command -v podman || command -v buildah) || { echo "image: install docker, podman or buildah" >&2; exit 1; }; \
	"$$tool" build --platform linux/arm64 -f containers/media_relay/Dockerfile -t patchthrough-relay .

deploy: node_modules/.bin/cdk ## Build and deploy everything (STAGE=dev|prod); needs AWS credentials and docker, podman or finch
	@./patchthrough secrets check --stage $(STAGE)
	@test -n "$(ENGINE)" || { echo "deploy: there is nothing to build the relay's image with; install docker, podman or finch" >&2; exit 1; }
	@$(BOOTSTRAPPED) 2>/dev/null || { here=$$($(HERE)) && $(CDK) bootstrap "$$here"; }
	@CDK_DOCKER=$(ENGINE) $(CDK) deploy -c stage=$(STAGE) --require-approval never --outputs-file cdk-outputs-$(STAGE).json
	@./patchthrough number refresh --stage $(STAGE)
	@echo "Deployed. Next: ./patchthrough number attach +1… --stage $(STAGE)"

destroy: node_modules/.bin/cdk ## Put the numbers back and remove everything that was deployed (STAGE=dev|prod)
	@[ "$(YES)" = 1 ] || { read -r -p "Remove stage '$(STAGE)' and everything in it? Type its name: " said && [ "$$said" = "$(STAGE)" ]; } || { echo "destroy: nothing was removed" >&2; exit 1; }
	@./patchthrough number detach --all --stage $(STAGE)
	@./patchthrough config forget --yes --stage $(STAGE)
	@$(CDK) destroy --force -c stage=$(STAGE)
	@./patchthrough secrets delete --yes --stage $(STAGE)
	@$(RUN) -m infra.leftovers $(STAGE)
	@rm -f cdk-outputs-$(STAGE).json

deploy-local: node_modules/.bin/cdk .emulator/.synced ## The same deployment into an AWS emulator, with calls through it (KEEP=1 leaves it running; SCENARIO=screened,attended,…)
	@exec $(RUN) -m simulators deploy-local $(if $(KEEP),--keep) $(if $(filter-out file,$(origin SCENARIO)),--scenario $(SCENARIO))

destroy-local: .venv/.synced ## Destroy what `make deploy-local KEEP=1` left
	@exec $(RUN) -m simulators destroy-local

docs: node_modules/.bin/cdk .emulator/.synced ## Write the reference pages that are made by running what they describe
	@$(RUN) -m simulators cli-reference
	@$(RUN) -m benchmarks.detectors > /dev/null

format: .venv/.synced ## Format and fix
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

clean: ## Remove what was installed and made
	@rm -rf .venv .tools .build cdk.out node_modules runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
