#!/usr/bin/env bash
# State written to the files of a snapshot and brought back, in memory on one thread.
set -euo pipefail
. "$(dirname "$0")/../scripts/env.sh"

cargo bench --locked --quiet --workspace --bench snapshot
