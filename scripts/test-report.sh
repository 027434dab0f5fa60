#!/usr/bin/env bash
# Reads the log of a test run: scripts/test-report.sh slowest|failed|counts|suites LOG
#
#   slowest  the ten slowest tests, seconds first
#   failed   the tests that failed
#   counts   `N passed, N failed, N skipped` over all binaries
#   suites   one line a binary: passed, failed, seconds, name
set -euo pipefail

log=$2
# Colours and carriage returns would hide the words.
clean() {
    sed -e 's/\x1b\[[0-9;]*m//g' -e 's/\r//g' "$log"
}

case $1 in
slowest)
    clean | awk '
        /^ +(Running|Doc-tests) / { suite = $NF; sub(/.*\//, "", suite); sub(/-[0-9a-f]+\)$/, "", suite) }
        match($0, /<[0-9.]+s>$/) && /^test / {
            printf "%8.2f s  %s %s\n", substr($0, RSTART + 1, RLENGTH - 3), suite, $2
        }' | sort -rn | awk 'NR <= 10' # not head: it would end early, and sort die of it
    ;;
failed)
    clean | awk '
        /^ +(Running|Doc-tests) / { suite = $NF; sub(/.*\//, "", suite); sub(/-[0-9a-f]+\)$/, "", suite) }
        /^test .* \.\.\. FAILED/ { name = $0; sub(/^test /, "", name); sub(/ \.\.\. FAILED.*/, "", name); print suite, name }'
    ;;
counts)
    clean | awk '
        /^test result: / { passed += $4; failed += $6; skipped += $8 }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }'
    ;;
suites)
    clean | awk '
        /^ +Doc-tests / { suite = $2 " (documentation)" }
        /^ +Running / { suite = $NF; sub(/.*\//, "", suite); sub(/-[0-9a-f]+\)$/, "", suite) }
        /^test result: / && $4 + $6 > 0 { printf "%d %d %s %s\n", $4, $6, $NF, suite }'
    ;;
*)
    echo "usage: $0 slowest|failed|counts|suites LOG" >&2
    exit 2
    ;;
esac
