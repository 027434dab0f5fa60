#!/usr/bin/env bash
# Builds the S3 server versitygw into the cache, if it is not there. Prints nothing then.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../tests/e2e/rig/versions.env
. tests/e2e/rig/versions.env

home=$TOCSIN_CACHE/s3-server-$S3_SERVER_VERSION
[ -d "$home" ] && exit
scripts/need.sh go
mkdir -p "$TOCSIN_CACHE"
exec 9>"$TOCSIN_CACHE/s3-server.lock"
flock 9
[ -d "$home" ] && exit

step "building the S3 server versitygw $S3_SERVER_VERSION (once a machine, about three minutes)"
temporary=$(mktemp -d "$TOCSIN_CACHE/s3-server.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
mkdir "$temporary/home"
GOBIN=$temporary/home CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' \
    "github.com/versity/versitygw/cmd/versitygw@$S3_SERVER_VERSION" >&2 ||
    fail "The S3 server could not be built; the lines above say why"
mv "$temporary/home" "$home"
