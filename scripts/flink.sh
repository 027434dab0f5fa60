#!/usr/bin/env bash
# Puts Flink into the cache, as libraries from Maven Central, and compiles the job of bench/flink against them. Prints the
# class path that the job runs with.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../bench/flink/versions.env
. bench/flink/versions.env

home=$TOCSIN_CACHE/flink-$FLINK_VERSION-$FLINK_KAFKA_VERSION
# Compiled once for each state of the sources.
sources=$(cat bench/flink/pom.xml bench/flink/src/dev/tocsin/bench/*.java | sha256sum | cut -c1-12)
classes=$home/classes-$sources

is_there() {
    [ -d "$home/lib" ] && [ -d "$classes" ]
}

say() {
    echo "$ROOT/bench/flink:$classes:$home/lib/*"
}

if is_there; then
    say
    exit
fi
scripts/need.sh jdk mvn
mkdir -p "$TOCSIN_CACHE"
# Two runs at the same time: the second waits, and then finds everything there.
exec 9>"$TOCSIN_CACHE/flink.lock"
flock 9

temporary=$(mktemp -d "$TOCSIN_CACHE/flink.XXXXXX")
trap 'rm -rf "$temporary"' EXIT

if [ ! -d "$home/lib" ]; then
    step "getting Flink $FLINK_VERSION (once a machine)"
    mvn -q -B -Dstyle.color=never -f bench/flink/pom.xml "-Dflink.version=$FLINK_VERSION" \
        "-Dflink.kafka.version=$FLINK_KAFKA_VERSION" "-Djackson.version=$JACKSON_VERSION" "-Dlog4j.version=$FLINK_LOG4J_VERSION" \
        dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$temporary/lib" >&2 ||
        fail "Flink's jars could not be had from Maven's repository; the lines above say why"
    mkdir -p "$home"
    mv "$temporary/lib" "$home/lib"
fi
if [ ! -d "$classes" ]; then
    step "compiling bench/flink"
    # The jars name annotations that they do not bring.
    javac -nowarn -Xlint:none --release 17 -cp "$home/lib/*" -d "$temporary/classes" bench/flink/src/dev/tocsin/bench/*.java >&2
    rm -rf "$home"/classes-*
    mv "$temporary/classes" "$classes"
fi
say
