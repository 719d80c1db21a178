# `make help` lists what there is. Each target installs or builds what it needs.
SHELL := /usr/bin/env bash
CARGO ?= cargo

.PHONY: help setup build generate test demo bench cluster cluster-down dist image lint deny clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what tests and demo need (Debian packages as root, servers for S3 and Azure, a Kubernetes built from Go modules)
	tests/setup

build: ## Build both programs, optimised, into target/release
	$(CARGO) build --release -p kubectl-kubestash -p kstashfs

generate: ## Write deploy/ anew from the code; a test fails where they differ
	$(CARGO) run --quiet -p kubectl-kubestash -- generate deploy

test: setup ## Run every test: real clusters, real stores, real mounts; `cargo test` alone needs none of them
	$(CARGO) test --workspace --features kubestash-tests/real
	KUBESTASH_TEST_CHAOS=1 $(CARGO) test -p kubestash --lib repository

demo: ## A real cluster is backed up, mounted, searched, broken and restored, before your eyes
	tests/demo

bench: ## Measure everything beside its floor; writes target/bench.tsv. BENCH_OBJECTS=5000 makes it short
	tests/setup cluster mount bench
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
