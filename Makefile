# What people and CI run; `make` alone lists it. Needs GNU make; recipes are POSIX sh.

CARGO ?= cargo
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

# Terraform or OpenTofu: the one that AIRLOCK_TERRAFORM names, else the first that is installed.
AIRLOCK_TERRAFORM ?= $(firstword $(foreach tool,terraform tofu,$(if $(shell command -v $(tool) 2>/dev/null),$(tool))) terraform)
export AIRLOCK_TERRAFORM

# Every shell script of ours, whatever it is called.
SCRIPTS = $(shell git ls-files '*.sh' .ci/run examples/hello/server)

# How many times as many kills `make soak` tries; how long it repeats all tests; how many cases each property test tries
# every time.
SOAK_SEEDS ?= 20
SOAK_DURATION ?= 30m
SOAK_CASES ?= 4096

# How many tests run at the same time: most flows wait for programs and servers more than they compute.
TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

# Tests and files of tests to go without, by parts of their names: only what somebody names is ever left out.
# SKIP_TESTS=aws_provider is for machines where Terraform's AWS provider can't be had.
SKIP_TESTS ?=
CHOSEN = -E 'all() $(foreach name,$(SKIP_TESTS),- test($(name)) - binary(~$(name)))'

# $(call need,tool,how to get it): one line of a recipe; stops with a message when the tool is missing.
need = @command -v $(1) >/dev/null || { echo "make $@: $(1) is missing: $(2)" >&2; exit 1; }
terraform_hint = install Terraform 1.4 or newer (https://developer.hashicorp.com/terraform/install) \
  or OpenTofu (https://opentofu.org/docs/intro/install); AIRLOCK_TERRAFORM names another program

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# What people use; linking each of the others takes as long.
PROGRAMS = --bin airlock --bin airlock-worker --bin airlock-leash --bin airlock-gateway

.PHONY: build
build: ## Build the release binaries
	$(CARGO) build --release --locked $(PROGRAMS)

.PHONY: build-all
build-all:
	$(CARGO) build --release --locked --bins

.PHONY: demo
demo: demo-tools build ## Take an example service through the whole pipeline, on this machine only
	AIRLOCK_BIN="$(TARGET)/release" sh examples/demo.sh

.PHONY: demo-aws
demo-aws: demo-tools server-tools build-all ## The same with production in an AWS account, played by servers on this machine
	$(call need,curl,install the package curl)
	AIRLOCK_BIN="$(TARGET)/release" AIRLOCK_TOOLS="$(TARGET)/tools" sh examples/demo-aws.sh

.PHONY: demo-tools
demo-tools:
	$(call need,$(CARGO),install Rust from https://rustup.rs)
	$(call need,git,install the package git)
	$(call need,$(AIRLOCK_TERRAFORM),$(terraform_hint))

.PHONY: test
test: test-tools ## Run every test
	@# With the tests: what they need of a dependency is compiled into programs, too, so that it is compiled once.
	$(CARGO) build --workspace --bins --tests --locked
	$(CARGO) nextest run --workspace --locked --no-fail-fast --test-threads $(TEST_THREADS) $(CHOSEN)
	$(CARGO) test --doc --workspace --locked

.PHONY: test-tools
test-tools: server-tools ## Check for what the tests use; installs cargo-nextest, servers that stand in for AWS and, as root, packages
	$(call need,$(CARGO),install Rust from https://rustup.rs)
	$(call need,git,install the package git)
	$(call need,$(AIRLOCK_TERRAFORM),$(terraform_hint))
	$(call need,openssl,install OpenSSL 3)
	@openssl pkeyutl -help 2>&1 | grep -q rawin \
	  || { echo "make $@: this openssl can't sign with Ed25519: install OpenSSL 3" >&2; exit 1; }
	@# Debian's names are those of the programs.
	@for tool in skopeo umoci docker-registry; do \
	  command -v $$tool >/dev/null || { \
	    [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && apt-get install -qq -y $$tool >/dev/null 2>&1; } \
	  || { echo "make $@: $$tool is missing: install the package $$tool" >&2; exit 1; }; \
	done
	@command -v cargo-nextest >/dev/null || $(CARGO) install cargo-nextest --locked

.PHONY: server-tools
server-tools:
	@sh emulators/install.sh "$(TARGET)/tools"

.PHONY: lint
lint: lint-tools ## Check formatting, lints, docs, scripts, licences and duplicate dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --workspace --locked
	@for script in $(SCRIPTS); do \
	  case $$(head -n 1 "$$script") in *bash*) bash -n "$$script" ;; *) sh -n "$$script" ;; esac || exit 1; \
	done
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); fi
	@# `advisories` is a target of its own: it downloads a database, and its answer changes without a commit of ours.
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --workspace --locked check licenses bans sources; fi

.PHONY: lint-tools
lint-tools: ## Say which optional linters are missing; as root, installs shellcheck with apt
	$(call need,git,install the package git)
	@command -v shellcheck >/dev/null || { \
	  [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && apt-get install -qq -y shellcheck >/dev/null 2>&1; } \
	  || echo "make lint: scripts are only parsed: install the package shellcheck to lint them too" >&2
	@command -v cargo-deny >/dev/null \
	  || echo "make lint: dependencies are not checked: cargo install cargo-deny --locked" >&2

.PHONY: advisories
advisories: ## Look for known vulnerabilities in our dependencies; needs cargo-deny and the network
	$(call need,cargo-deny,cargo install cargo-deny --locked)
	$(CARGO) deny --workspace --locked check advisories

.PHONY: bench
bench: demo-tools build-all ## Measure start-up, first event, overhead over Terraform; large bundles; the gateway; hashing, memory, large manifests
	AIRLOCK_BIN="$(TARGET)/release" sh bench/pipeline.sh
	AIRLOCK_BIN="$(TARGET)/release" sh bench/bundle.sh
	AIRLOCK_BIN="$(TARGET)/release" sh bench/gateway.sh
	AIRLOCK_BIN="$(TARGET)/release" sh bench/artifacts.sh

.PHONY: bench-s3
bench-s3: test-tools build-all ## Measure publishing to S3 and fetching from it, beside s5cmd, rclone and the AWS CLI
	@# Debian's names are those of the programs.
	@for tool in rclone time; do \
	  command -v $$tool >/dev/null || { \
	    [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && apt-get install -qq -y $$tool >/dev/null 2>&1; } \
	  || { echo "make $@: $$tool is missing: install the package $$tool" >&2; exit 1; }; \
	done
	AIRLOCK_BIN="$(TARGET)/release" AIRLOCK_TOOLS="$(TARGET)/tools" sh bench/s3.sh

.PHONY: bench-registry
bench-registry: test-tools build-all ## Measure pushing an image into a registry, beside skopeo
	$(call need,time,install the package time)
	$(call need,curl,install the package curl)
	AIRLOCK_BIN="$(TARGET)/release" sh bench/registry.sh

.PHONY: bench-rollout
bench-rollout: test-tools ## Measure how soon the end of an ECS service's rollout is noticed
	$(CARGO) build --workspace --bins --tests --examples --locked
	"$(TARGET)/debug/examples/rollout"

# The revision whose programs `make skew` runs beside this checkout's.
OLD ?= HEAD~1

.PHONY: skew
skew: demo-tools ## Run the demo with an old CLI and the new worker, and the reverse: OLD=REVISION (HEAD~1)
	$(CARGO) build --locked --bins
	CARGO="$(CARGO)" CARGO_TARGET_DIR="$(TARGET)" sh tests/skew.sh "$(OLD)"

.PHONY: freeze
freeze: demo-tools ## Write manifest-schema/fixtures/v1 anew: only until version 1 is released
	$(CARGO) build --locked --bins
	$(CARGO) run --locked --quiet -p flows --example freeze

.PHONY: soak
soak: test-tools ## Kill at SOAK_SEEDS (20) times as many moments, then repeat all tests for SOAK_DURATION (30m)
	$(CARGO) build --workspace --bins --locked
	@# 20 seeds are 400 publishers into S3, 400 applies with their state in S3, and for each step of an apply 20, each of
	@# which is killed somewhere.
	SOAK=$(SOAK_SEEDS) $(CARGO) nextest run -p flows --locked --no-fail-fast \
	  -E 'binary(killed) or binary(s3_killed) or binary(state_killed)'
	PROPTEST_CASES=$(SOAK_CASES) $(CARGO) nextest run --workspace --locked --stress-duration $(SOAK_DURATION) $(CHOSEN)

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean
	rm -rf examples/hello/build
