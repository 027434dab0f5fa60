#!/usr/bin/env bash
# Format, Clippy, documentation, generated files, tidiness, licences: everything that is checked without a test.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh rust cc git deny librdkafka

step "format"
cargo fmt --all --check || fail "The code is not formatted. Run: make fmt"

step "clippy"
cargo clippy --locked --workspace --all-targets --features tocsin-fuzz/targets -- -D warnings

step "clippy, of the program without Kafka as the demo builds it"
cargo clippy --locked --package tocsin --no-default-features -- -D warnings

step "documentation"
scripts/doc.sh

step "tidy"
cargo xtask tidy

if [ -d crds ]; then
    step "generated files"
    cargo xtask generate --check || fail "Generated files are stale. Run: make generate"
fi

step "licences, bans, sources"
scripts/deny.sh check bans licenses sources
