#!/usr/bin/env bash
# Writes the schemas of Strimzi's kinds into the cache, if they are not there: what an API server of the tests knows of them.
# Prints nothing then.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../tests/e2e/rig/versions.env
. tests/e2e/rig/versions.env

home=$TOCSIN_CACHE/strimzi-$STRIMZI_VERSION
[ -d "$home" ] && exit
scripts/need.sh java mvn jdk
mkdir -p "$TOCSIN_CACHE"
exec 9>"$TOCSIN_CACHE/strimzi.lock"
flock 9
[ -d "$home" ] && exit

step "getting the classes of Strimzi $STRIMZI_VERSION's kinds (once a machine)"
temporary=$(mktemp -d "$TOCSIN_CACHE/strimzi.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
mkdir "$temporary/home"
mvn -q -B -Dstyle.color=never -f tests/e2e/rig/strimzi/pom.xml "-Dstrimzi.version=$STRIMZI_VERSION" \
    dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$temporary/lib" >&2 ||
    fail "Strimzi's classes could not be had from Maven's repository; the lines above say why"
java -cp "$temporary/lib/*" tests/e2e/rig/strimzi/Schemas.java 2>/dev/null >"$temporary/home/schemas.json"
mv "$temporary/home" "$home"
