# `make` alone lists the targets. Each is one script, which checks what it needs, says what is missing and how to get it.
# As root on Debian it installs what is missing; TOCSIN_INSTALL=no only tells.

.DEFAULT_GOAL := help
.PHONY: help demo install images test test-full soak lint doc bench bench-flink bench-operator generate fmt

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: ## Builds Tocsin and shows it at work on real series; SERVE=1 keeps the live page open
	@scripts/demo.sh

install: ## Puts `tocsin` into ~/.cargo/bin
	@scripts/install.sh

images: ## Builds the images of the operator and the worker with docker, podman or buildah
	@scripts/images.sh

test: ## All checks and all tests in their short form; what CI runs
	@scripts/test.sh

test-full: ## The same with many more cases and all rounds, in hours; writes a report to tests/results/
	@TOCSIN_TEST=full scripts/test.sh

soak: ## Random kills and faults, and property tests with new seeds, for SOAK_MINUTES (60)
	@scripts/soak.sh

lint: ## Format, Clippy, documentation, generated files, tidiness, licences
	@scripts/lint.sh

doc: ## Builds the documentation of the crates
	@scripts/doc.sh

bench: ## Measures; writes figures with machine and commit to bench/results/; BENCH=name runs one
	@scripts/bench.sh

bench-flink: ## Measures against Flink and librdkafka on one Kafka, for an hour; ARGS="--rows exactly-once" runs a part
	@BENCH=flink scripts/bench.sh

bench-operator: ## Measures the operator with 1,000 and 10,000 pipelines on a real API server
	@BENCH=operator scripts/bench.sh

generate: ## Writes the generated files (crds/) from the code
	@scripts/generate.sh

fmt: ## Formats the code
	@scripts/fmt.sh
