#!/usr/bin/env bash
# Formats the code.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust
cargo fmt --all
