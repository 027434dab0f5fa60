#!/usr/bin/env bash
# Writes the generated files from the code.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc
cargo xtask generate
