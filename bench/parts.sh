#!/usr/bin/env bash
# The parts of the engine, measured by Criterion: every Criterion target of the workspace.
set -euo pipefail
. "$(dirname "$0")/../scripts/env.sh"

# A folder of its own, so that only what runs now is reported.
CRITERION_HOME=$(mktemp -d)
export CRITERION_HOME
trap 'rm -rf "$CRITERION_HOME"' EXIT

cargo bench --locked --workspace --bench decode >&2
cargo xtask criterion "$CRITERION_HOME"
