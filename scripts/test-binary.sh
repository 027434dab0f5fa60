#!/usr/bin/env bash
# Runs one test binary for cargo (as its `runner`), with times for each test and an end to one that hangs.
#
# libtest prints times only with `--report-time`, which it takes on a stable compiler when RUSTC_BOOTSTRAP is set. It is
# set here, for the run of a finished binary, and never for a build, where it would open unstable features to every crate.
# cargo-nextest would do the same without it, but takes minutes to build on a fresh machine of two cores.
set -u

limit=${TOCSIN_TEST_LIMIT:-900}
# In the foreground, so that Ctrl-C reaches the test too.
RUSTC_BOOTSTRAP=1 timeout --foreground --kill-after=10 "$limit" "$@"
code=$?
if [ $code = 124 ] || [ $code = 137 ]; then
    echo "$1: stopped, it ran for more than $limit s (TOCSIN_TEST_LIMIT)" >&2
fi
exit $code
