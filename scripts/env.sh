# shellcheck shell=bash
# Sourced by every script: where builds and tools are kept, and which toolchain is used.
# Sets variables and defines small helpers; installs nothing and builds nothing.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit

# A shell that was not a login shell may lack cargo's folder.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

RUST_VERSION=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)

# Outside the checkout, so that a fresh clone starts with what an earlier one built; a folder per compiler, so that an
# old one can be deleted whole.
TOCSIN_CACHE=${TOCSIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tocsin}
export TOCSIN_CACHE
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$TOCSIN_CACHE/target/$RUST_VERSION}

# Incremental files of a clone that is deleted afterwards only fill the disk.
if [ -n "${CI:-}" ]; then
    export CARGO_INCREMENTAL=0
fi

# need.sh says what is installed; no other command does it on the way.
export RUSTUP_AUTO_INSTALL=0

# rustup asks for the toolchain by the name in rust-toolchain.toml. A machine may have the very same compiler under
# another name (`stable`): then that one is used, rather than a second copy downloaded.
if command -v rustup >/dev/null && [ -z "${RUSTUP_TOOLCHAIN:-}" ]; then
    installed=$(rustup toolchain list 2>/dev/null | awk '{print $1}' | grep -v '^no$' || true)
    if ! grep -q "^$RUST_VERSION-" <<<"$installed"; then
        for toolchain in $installed; do
            if [ "$(rustup run "$toolchain" rustc --version 2>/dev/null | cut -d' ' -f2)" = "$RUST_VERSION" ]; then
                export RUSTUP_TOOLCHAIN=$toolchain
                break
            fi
        done
    fi
    unset installed toolchain
fi

# Prints a heading on standard error; the time shows what a slow run spent it on.
step() {
    printf '\n== %s (%s)\n' "$*" "$(date +%H:%M:%S)" >&2
}

# Prints a reason and ends the script.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}
