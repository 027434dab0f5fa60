#!/usr/bin/env bash
# Prints what a figure was measured on, one `name: value` a line.
set -euo pipefail
. "$(dirname "$0")/env.sh"

echo "cpu: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | awk 'NR == 1')"
echo "cores: $(nproc)"
echo "memory: $(awk '/^MemTotal:/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
echo "kernel: $(uname -sr)"
echo "rustc: $(rustc --version)"
# What is not committed cannot be found again by the commit's name.
echo "commit: $(git rev-parse --short=12 HEAD)$(git diff --quiet HEAD -- . ':!bench/results' ':!tests/results' || echo ' with changes')"
