#!/usr/bin/env bash
# Runs one test binary for cargo (as its `runner`), with times for each test and an end to one that hangs.
#
# libtest prints times only with `--report-time`, which it takes on a stable compiler when RUSTC_BOOTSTRAP is set. It is
# set here, for the run of a finished binary, and never for a build, where it would open unstable features to every crate.
# cargo-nextest would do the same without it, but takes minutes to build on a fresh machine of two cores.
#
# With TOCSIN_TEST_KEPT, a folder, what a binary said that passed is kept there, and said again instead of another run.
set -uo pipefail

limit=${TOCSIN_TEST_LIMIT:-900}
# In the foreground, so that Ctrl-C reaches the test too.
run() {
    RUSTC_BOOTSTRAP=1 timeout --foreground --kill-after=10 "$limit" "$@"
}
if [ -z "${TOCSIN_TEST_KEPT:-}" ]; then
    run "$@"
    code=$?
else
    kept=$TOCSIN_TEST_KEPT/$(basename "$1")-$(cksum <<<"$*" | cut -d' ' -f1)
    if [ -f "$kept" ]; then
        cat "$kept"
        exit 0
    fi
    run "$@" | tee "$kept.part"
    code=$?
    if [ $code = 0 ]; then
        mv "$kept.part" "$kept"
    fi
fi
if [ $code = 124 ] || [ $code = 137 ]; then
    echo "$1: stopped, it ran for more than $limit s (TOCSIN_TEST_LIMIT)" >&2
fi
exit $code
