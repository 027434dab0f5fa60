#!/usr/bin/env bash
# Runs the benchmarks on a release build: every executable `bench/*.sh`, or the one that BENCH names. Each prints result
# lines (see bench/README.md), which are kept in bench/results/ with the machine and the commit.
#
# `flink` and `operator` run only when they are named (`make bench-flink`, `make bench-operator`): they take long, and want
# Kafka and Flink, or Kubernetes.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc git librdkafka

step "building (release)"
# Programs and benchmarks together: alone, each would build the dependencies with other features.
cargo build --locked --release --workspace --bins --benches
cargo build --quiet --locked --package xtask
export TOCSIN_BIN=$CARGO_TARGET_DIR/release/tocsin

n_run=0
for benchmark in bench/*.sh; do
    name=$(basename "$benchmark" .sh)
    if [ -n "${BENCH:-}" ] && [ "$BENCH" != "$name" ]; then
        continue
    fi
    if [[ "$name" =~ ^(flink|operator)$ ]] && [ -z "${BENCH:-}" ]; then
        continue
    fi
    step "$name"
    lines=$(mktemp)
    "$benchmark" | tee "$lines"
    cargo xtask record "$name" <"$lines"
    rm -f "$lines"
    n_run=$((n_run + 1))
done
[ $n_run -gt 0 ] || fail "There is no benchmark '${BENCH:-}'. There are: $(basename -s .sh bench/*.sh | paste -sd' ')"
