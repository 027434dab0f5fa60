#!/usr/bin/env bash
# Clears the build cache when it has grown past TOCSIN_CACHE_GB (20): every clone leaves its own copy of the workspace's
# crates there. Only the folders that the scripts chose themselves; a CARGO_TARGET_DIR of the user's is theirs.
set -euo pipefail
. "$(dirname "$0")/env.sh"

if [ "$CARGO_TARGET_DIR" != "$TOCSIN_CACHE/target/$RUST_VERSION" ] || [ ! -d "$CARGO_TARGET_DIR" ]; then
    exit
fi
gigabytes=$(du -sc --block-size=1G "$TOCSIN_CACHE"/target/[0-9]* | tail -1 | cut -f1)
if [ "$gigabytes" -gt "${TOCSIN_CACHE_GB:-20}" ]; then
    step "clearing the build cache: $gigabytes GiB in $TOCSIN_CACHE/target"
    rm -rf "${TOCSIN_CACHE:?}"/target/[0-9]*
fi
