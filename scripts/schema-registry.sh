#!/usr/bin/env bash
# Puts the schema registry Apicurio into the cache, if it is not there. Prints nothing then.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../tests/e2e/rig/versions.env
. tests/e2e/rig/versions.env

home=$TOCSIN_CACHE/schema-registry-$SCHEMA_REGISTRY_VERSION
[ -d "$home" ] && exit
scripts/need.sh java mvn
mkdir -p "$TOCSIN_CACHE"
exec 9>"$TOCSIN_CACHE/schema-registry.lock"
flock 9
[ -d "$home" ] && exit

step "getting the schema registry Apicurio $SCHEMA_REGISTRY_VERSION (once a machine)"
temporary=$(mktemp -d "$TOCSIN_CACHE/schema-registry.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
mvn -q -B -Dstyle.color=never dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$SCHEMA_REGISTRY_VERSION:tar.gz:all" \
    "-DoutputDirectory=$temporary/archive" >&2 ||
    fail "The schema registry could not be had from Maven's repository; the lines above say why"
mkdir "$temporary/home"
tar -xzf "$temporary"/archive/*.tar.gz -C "$temporary/home"
mv "$temporary/home" "$home"
