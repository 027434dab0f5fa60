#!/usr/bin/env bash
# Puts `tocsin` where cargo keeps programs (~/.cargo/bin), optimised as for the figures of `make bench`.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc librdkafka

cargo install --locked --path cli --profile release --target-dir "$CARGO_TARGET_DIR"
