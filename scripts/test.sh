#!/usr/bin/env bash
# All checks, then all tests. TOCSIN_TEST=full runs many more cases a property, all rounds of each fault, and writes a
# report. That takes hours: one that was interrupted goes on where it stopped, if the commit is the same.
#
# The short form runs the property tests from one fixed seed, so that a commit that passed goes on passing; the full form
# and `make soak` draw new seeds.
set -euo pipefail
. "$(dirname "$0")/env.sh"

export TOCSIN_TEST=${TOCSIN_TEST:-short}
case $TOCSIN_TEST in
short)
    export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20260401}
    ;;
full)
    export PROPTEST_CASES=${PROPTEST_CASES:-4096}
    export TOCSIN_TEST_LIMIT=${TOCSIN_TEST_LIMIT:-7200}
    ;;
*) fail "TOCSIN_TEST is '$TOCSIN_TEST'; expected short or full" ;;
esac

scripts/need.sh rust cc git chromium node deny librdkafka java mvn go kerberos etcd buildah busybox curl faketime \
    jdk node_of_kubernetes
scripts/kafka.sh
scripts/schema-registry.sh
scripts/s3-server.sh
scripts/kubernetes.sh
scripts/strimzi.sh
scripts/trim-cache.sh
started=$(date +%s)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

n_kept=0
if [ "$TOCSIN_TEST" = full ] && [ -z "$(git status --porcelain)" ]; then
    export TOCSIN_TEST_KEPT
    TOCSIN_TEST_KEPT=$TOCSIN_CACHE/test-full/$(git rev-parse --short=12 HEAD)
    mkdir -p "$TOCSIN_TEST_KEPT"
    # Those of other commits are of no use any more.
    find "$TOCSIN_CACHE/test-full" -mindepth 1 -maxdepth 1 ! -name "${TOCSIN_TEST_KEPT##*/}" -exec rm -rf {} +
    rm -f "$TOCSIN_TEST_KEPT"/*.part
    n_kept=$(find "$TOCSIN_TEST_KEPT" -type f | wc -l)
    [ "$n_kept" = 0 ] || echo "It goes on: $n_kept test binaries have passed before." >&2
fi

scripts/lint.sh

host=$(rustc -vV | sed -n 's/^host: //p')
runner="target.$host.runner=[\"$ROOT/scripts/test-binary.sh\"]"
code=0

step "building the tests"
cargo test --locked --workspace --no-run
cargo build --locked --workspace --bins
scripts/test-images.sh >/dev/null
built=$(date +%s)

step "tests ($TOCSIN_TEST)"
cargo --config "$runner" test --locked --workspace --tests --no-fail-fast -- -Z unstable-options --report-time 2>&1 |
    tee "$log" || code=1

step "the live page in Chromium"
LIVE_PAGE=$CARGO_TARGET_DIR/debug/examples/live_page node --test tests/browser/ 2>&1 | tee -a "$log" || code=1

if [ "$TOCSIN_TEST" = full ]; then
    step "a program that logs in by Kerberos"
    scripts/need.sh kerberos_login
    # Built to a folder of its own: with this feature librdkafka and all above it are others.
    with_kerberos=(--locked --workspace --features tocsin/kerberos,tocsin-e2e/kerberos)
    (
        export CARGO_TARGET_DIR=$CARGO_TARGET_DIR-kerberos
        cargo build "${with_kerberos[@]}" --bin tocsin &&
            cargo --config "$runner" test "${with_kerberos[@]}" --test sources --no-fail-fast -- \
                -Z unstable-options --report-time kerberos
    ) 2>&1 | tee -a "$log" || code=1
fi

sizes=
if [ "$TOCSIN_TEST" = full ]; then
    step "the images as users build them"
    sizes=$(scripts/test-whole-images.sh) || code=1
fi

step "examples in the documentation"
cargo test --locked --workspace --doc --no-fail-fast 2>&1 | tee -a "$log" || code=1

step "slowest tests"
scripts/test-report.sh slowest "$log"

counts=$(scripts/test-report.sh counts "$log")
ended=$(date +%s)
if [ "$TOCSIN_TEST" = full ]; then
    report=tests/results/$(date +%F)-$(git rev-parse --short=12 HEAD).md
    mkdir -p tests/results
    {
        echo "# Full test run of $(date +%F)"
        echo
        scripts/machine.sh | sed 's/^/- /'
        echo "- cases a property: $PROPTEST_CASES"
        echo "- checks and build: $((built - started)) s, tests: $((ended - built)) s"
        [ "$n_kept" = 0 ] || echo "- of an interrupted run of this commit: $n_kept test binaries, not in the time above"
        echo "- result: $counts"
        # Of each image, and what its program says of itself.
        [ -z "$sizes" ] || sed 's/^/- image: /' <<<"$sizes"
        echo
        echo "| suite | passed | failed | time |"
        echo "|---|---:|---:|---:|"
        scripts/test-report.sh suites "$log" | awk '{ n = $4; for (i = 5; i <= NF; i++) n = n " " $i; printf "| %s | %d | %d | %s |\n", n, $1, $2, $3 }'
        echo
        scripts/test-report.sh failed "$log" | sed 's/^/- failed: /'
        echo
        echo "Slowest tests:"
        echo
        echo '```'
        scripts/test-report.sh slowest "$log"
        echo '```'
    } >"$report"
    echo "The report is in $report." >&2
    [ $code != 0 ] || rm -rf "${TOCSIN_TEST_KEPT:-}"
fi

if [ $code != 0 ]; then
    step "failed tests (a binary that was stopped or could not be built is named above)"
    scripts/test-report.sh failed "$log"
fi

# A last line that sums up, as the binaries' own lines stand far above.
printf '\nchecks and build %d s, tests %d s\n' $((built - started)) $((ended - built))
echo "$counts"
if [[ "$counts" == "0 passed"* ]]; then
    fail "No test ran."
fi
exit $code
