#!/usr/bin/env bash
# Clears parts of the build cache when it has grown past TOCSIN_CACHE_GB (20): every clone leaves its own copy of the
# workspace's crates there. Only the folders that the scripts chose themselves; a CARGO_TARGET_DIR of the user's is theirs.
set -euo pipefail
. "$(dirname "$0")/env.sh"

if [ "$CARGO_TARGET_DIR" != "$TOCSIN_CACHE/target/$RUST_VERSION" ] || [ ! -d "$CARGO_TARGET_DIR" ]; then
    exit
fi
limit=${TOCSIN_CACHE_GB:-20}
gigabytes() {
    du -sc --block-size=1G "$TOCSIN_CACHE"/target/[0-9]* 2>/dev/null | tail -1 | cut -f1
}

# What the tests do not need goes first, then what is ours: the crates of others would take a quarter of an hour.
for part in '*/incremental' release demo own ''; do
    size=$(gigabytes)
    [ "$size" -gt "$limit" ] || break
    step "clearing the build cache ($size GiB in $TOCSIN_CACHE/target): ${part:-all of it}"
    if [ "$part" = own ]; then
        # Tests and programs have no ending; of libraries, those that bear our name.
        find "${TOCSIN_CACHE:?}"/target/[0-9]*/*/deps -maxdepth 1 -type f \
            \( ! -name '*.*' -o -name '*tocsin*' \) -delete 2>/dev/null || true
        continue
    fi
    # The pattern is meant to be one.
    # shellcheck disable=SC2086
    rm -rf "${TOCSIN_CACHE:?}"/target/[0-9]*/$part
done
