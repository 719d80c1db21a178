# `make help` lists what there is. Each target installs or builds what it needs.
SHELL := /usr/bin/env bash
CARGO ?= cargo

.PHONY: help setup build generate test fuzz torture release-check demo bench cluster cluster-down dist image lint deny clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what tests and demo need (Debian packages as root, servers for S3 and Azure, a Kubernetes built from Go modules)
	tests/setup

build: ## Build both programs, optimised, into target/release
	$(CARGO) build --release -p kubectl-kubestash -p kstashfs

generate: ## Write deploy/ anew from the code; a test fails where they differ
	$(CARGO) run --quiet -p kubectl-kubestash -- generate deploy

test: setup ## Run every test: real clusters, real stores, real mounts; `cargo test` alone needs none of them
	$(CARGO) test --workspace --features kubestash-tests/real
	KUBESTASH_TEST_CHAOS=1 $(CARGO) test -p kubestash --lib repository

FUZZ_SECONDS ?= 60
fuzz: ## Fuzz every decoder, FUZZ_SECONDS=60 for each, one on each processor; what is found lies in fuzz/artifacts
	tests/setup fuzz
	tests/fuzz $(FUZZ_SECONDS)

TORTURE_SECONDS ?= 3600
TORTURE_SEED := $(or $(TORTURE_SEED),$(shell date +%s))
torture: ## An hour of machines that back up, prune, read and are killed; then random sequences and crashes. TORTURE_SECONDS, TORTURE_SEED
	tests/setup s3 mount
	TORTURE_SECONDS=$(TORTURE_SECONDS) TORTURE_SEED=$(TORTURE_SEED) $(CARGO) test -p kubestash-tests --features real --test torture -- --nocapture
	STRESS_SECONDS=$$(( $(TORTURE_SECONDS) / 6 )) STRESS_SEED=$(TORTURE_SEED) $(CARGO) test -p kubestash-tests --features real --test mount_stress -- --nocapture
	KUBESTASH_TORTURE_SEED=$(TORTURE_SEED) KUBESTASH_TORTURE_SEEDS=$$(( $(TORTURE_SECONDS) / 5 )) $(CARGO) test -p kubestash --lib -- model fuzzing --nocapture
	for round in 1 2 3 4 5; do KUBESTASH_TEST_CHAOS=$$(( $(TORTURE_SEED) + round )) $(CARGO) test -p kubestash --lib repository || exit 1; done

release-check: ## What must hold before a release: lints, licences, all tests, an hour of torture, an hour of fuzzing for each decoder
	.ci/run
	$(MAKE) torture
	$(MAKE) fuzz FUZZ_SECONDS=3600

demo: ## A real cluster is backed up, mounted, searched, broken and restored, before your eyes
	tests/demo

bench: ## Measure everything beside its floor; writes target/bench.tsv. BENCH_OBJECTS=5000 makes it short
	tests/setup cluster mount s3 bench
	$(CARGO) run --release -p kubestash-tests --bin bench

cluster: ## Start a Kubernetes control plane to play with; prints the KUBECONFIG line
	tests/setup cluster
	@tests/devcluster/devcluster play

cluster-down: ## Stop it
	@tests/devcluster/devcluster stop

dist: ## Build the static programs and the krew archive into target/dist, and fill krew.yaml
	tests/setup musl
	tests/dist

image: ## Build the image of operator and Jobs from the static program, with buildah; IMAGE=name:tag
	tests/setup musl node
	tests/image $(IMAGE)

lint: ## Format and lints, as CI wants them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

deny: ## Licences and origins of all dependencies
	tests/setup deny
	"$${XDG_CACHE_HOME:-$$HOME/.cache}/kubestash-tests/tools/bin/cargo-deny" check bans licenses sources

clean: ## Remove what was built here
	$(CARGO) clean
