#!/usr/bin/env bash
# Builds the documentation of the crates; a broken link is an error.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc librdkafka
# `--examples` makes cargo resolve features as it does for Clippy and the tests, so that dependencies are not checked twice.
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --lib --bins --examples
echo "The documentation is in $CARGO_TARGET_DIR/doc." >&2
