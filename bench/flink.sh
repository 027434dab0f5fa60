#!/usr/bin/env bash
# The headline job from Kafka to Kafka: Tocsin, Flink and a loop over librdkafka, on one broker. ARGS goes to
# tocsin-bench-kafka: `make bench-flink ARGS=--help` says what there is.
set -euo pipefail
. "$(dirname "$0")/../scripts/env.sh"
scripts/need.sh java mvn
scripts/kafka.sh >&2

TOCSIN_BENCH_FLINK=$(scripts/flink.sh)
export TOCSIN_BENCH_FLINK
# Words of ARGS are separate arguments.
# shellcheck disable=SC2086
"$CARGO_TARGET_DIR/release/tocsin-bench-kafka" run ${ARGS:-}
