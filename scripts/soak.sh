#!/usr/bin/env bash
# Runs the engine's tests with a new seed each round until SOAK_MINUTES (60) are over, or until one fails.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc librdkafka

export PROPTEST_CASES=${PROPTEST_CASES:-2048}
export TOCSIN_TEST=full
end=$(($(date +%s) + ${SOAK_MINUTES:-60} * 60))

# The whole workspace is built, so that the build is the one of `make test`; the engine's binaries alone are run.
step "building the tests"
mapfile -t binaries < <(cargo test --locked --workspace --tests --no-run --message-format=json |
    sed -n 's;.*"manifest_path":"\([^"]*/\(contract\|worker/core\)\)/Cargo.toml".*"executable":"\([^"]*\)".*;\1 \3;p')
[ ${#binaries[@]} -gt 0 ] || fail "There is no test of the engine."

round=0
while [ $round = 0 ] || [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    PROPTEST_RNG_SEED=$(od -An -N7 -tu8 /dev/urandom | tr -d ' ')
    export PROPTEST_RNG_SEED
    step "round $round, seed $PROPTEST_RNG_SEED, $PROPTEST_CASES cases a property"
    for line in "${binaries[@]}"; do
        # As cargo does: in the package's folder, where proptest keeps the cases that failed.
        read -r folder binary <<<"$line"
        (cd "$folder" && CARGO_MANIFEST_DIR=$folder "$binary" --quiet) || fail "Round $round failed. Again:
    TOCSIN_TEST=full PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED PROPTEST_CASES=$PROPTEST_CASES cargo test --workspace NAME_OF_TEST"
    done
done
echo "$round rounds, none failed"
