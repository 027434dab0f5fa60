#!/usr/bin/env bash
# Puts `tocsin` where cargo keeps programs (~/.cargo/bin), from the build that `make demo` uses.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc

cargo install --locked --path cli --profile demo --target-dir "$CARGO_TARGET_DIR"
