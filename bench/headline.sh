#!/usr/bin/env bash
# The headline job: JSON alerts in memory through filter, count and escalation, on one thread; and its relatives.
set -euo pipefail
. "$(dirname "$0")/../scripts/env.sh"

cargo bench --locked --quiet --workspace --bench headline
