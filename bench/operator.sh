#!/usr/bin/env bash
# The operator on a real etcd and API server, with 1,000 and 10,000 pipelines, beside a client that writes the same. ARGS goes
# to tocsin-bench-operator in the place of both runs: `make bench-operator ARGS=--help` says what there is.
set -euo pipefail
. "$(dirname "$0")/../scripts/env.sh"
scripts/need.sh etcd go
scripts/kubernetes.sh >&2

export TOCSIN_OPERATOR_BIN=$CARGO_TARGET_DIR/release/tocsin-operator
if [ -n "${ARGS:-}" ]; then
    # Words of ARGS are separate arguments.
    # shellcheck disable=SC2086
    exec "$CARGO_TARGET_DIR/release/tocsin-bench-operator" $ARGS
fi
"$CARGO_TARGET_DIR/release/tocsin-bench-operator" --pipelines 1000
"$CARGO_TARGET_DIR/release/tocsin-bench-operator" --pipelines 10000 --rounds 3
