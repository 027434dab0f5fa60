#!/usr/bin/env bash
# Runs cargo-deny, built into the cache if it is not there: scripts/deny.sh check bans licenses sources
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc deny
exec "$(scripts/need.sh --path deny)" --locked "$@"
