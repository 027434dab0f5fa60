#!/usr/bin/env bash
# Builds Tocsin and runs its demo. SERVE=1 keeps the live page open until Ctrl-C.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc

step "building (the first time takes minutes, nearly all of it DataFusion)"
cargo build --locked --profile demo --package tocsin --no-default-features
step "running the demo"
arguments=()
if [ -n "${SERVE:-}" ] && [ "$SERVE" != 0 ]; then
    arguments+=(--serve)
fi
exec "$CARGO_TARGET_DIR/demo/tocsin" demo "${arguments[@]}"
