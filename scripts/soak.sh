#!/usr/bin/env bash
# Looks for what only hours find, until SOAK_MINUTES (60) are over or something fails. Each round has a new seed: random
# kills and faults over a stream of numbered events for SOAK_ROUND seconds (600), then the engine's tests. The rounds are
# told in tests/results/soak-DATE-COMMIT.md.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc git librdkafka java
scripts/kafka.sh
scripts/s3-server.sh

export PROPTEST_CASES=${PROPTEST_CASES:-2048}
export TOCSIN_TEST=full
end=$(($(date +%s) + ${SOAK_MINUTES:-60} * 60))
report=$ROOT/tests/results/soak-$(date +%F)-$(git rev-parse --short=12 HEAD).md
if [ -n "$(git status --porcelain)" ]; then
    report=${report%.md}-with-changes.md
fi

# The whole workspace is built, so that the build is the one of `make test`; the engine's binaries and the scenario are run.
step "building the tests"
mapfile -t binaries < <(cargo test --locked --workspace --tests --no-run --message-format=json |
    sed -n 's;.*"manifest_path":"\([^"]*/\(contract\|worker/core\|tests/e2e\)\)/Cargo.toml".*"executable":"\([^"]*\)".*;\1 \3;p' |
    awk '$1 !~ /e2e$/ || $2 ~ /\/soak-[0-9a-f]*$/' | sort)
[ ${#binaries[@]} -gt 1 ] || fail "There is no test of the engine, or no soak."

mkdir -p "$(dirname "$report")"
{
    echo "# Soak of $(date +%F)"
    echo
    scripts/machine.sh | sed 's/^/- /'
    echo
} >"$report"

round=0
while [ $round = 0 ] || [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    seed=$(od -An -N7 -tu8 /dev/urandom | tr -d ' ')
    export PROPTEST_RNG_SEED=$seed TOCSIN_SOAK_SEED=$seed
    left=$((end - $(date +%s)))
    TOCSIN_SOAK_SECONDS=${SOAK_ROUND:-600}
    if [ $left -lt "$TOCSIN_SOAK_SECONDS" ]; then
        TOCSIN_SOAK_SECONDS=$((left > 30 ? left : 30))
    fi
    export TOCSIN_SOAK_SECONDS TOCSIN_SOAK_REPORT=$report
    step "round $round, seed $seed, $TOCSIN_SOAK_SECONDS s of faults, $PROPTEST_CASES cases a property"
    for line in "${binaries[@]}"; do
        # As cargo does: in the package's folder, where proptest keeps the cases that failed.
        read -r folder binary <<<"$line"
        (cd "$folder" && CARGO_MANIFEST_DIR=$folder "$binary" --quiet) || {
            echo "- seed $seed: FAILED in $(basename "$binary")" >>"$report"
            fail "Round $round failed. Again:
    TOCSIN_TEST=full PROPTEST_RNG_SEED=$seed PROPTEST_CASES=$PROPTEST_CASES TOCSIN_SOAK_SEED=$seed \\
        TOCSIN_SOAK_SECONDS=$TOCSIN_SOAK_SECONDS cargo test --workspace NAME_OF_TEST"
        }
    done
    echo "- round $round: the engine's tests passed, $PROPTEST_CASES cases a property" >>"$report"
done
echo "$round rounds, none failed. The report is in $report."
