#!/usr/bin/env bash
# Puts Kafka's jars into the cache, if they are not there: what the end-to-end tests start. Prints nothing then.
#
# Two things are made from them once, as each broker would spend seconds on it: what StorageTool writes into a new
# data folder, and an archive of loaded classes, which halves the time until a broker answers.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../tests/e2e/rig/versions.env
. tests/e2e/rig/versions.env

home=$TOCSIN_CACHE/kafka-$KAFKA_VERSION
flags=(-Xms320m -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)

java_version() {
    java -version 2>&1 | head -n 2
}

is_there() {
    [ -d "$home" ] && command -v java >/dev/null && [ "$(cat "$home/classes.java" 2>/dev/null)" = "$(java_version)" ]
}

is_there && exit
scripts/need.sh java mvn
mkdir -p "$TOCSIN_CACHE"
# Two runs at the same time: the second waits, and then finds everything there.
exec 9>"$TOCSIN_CACHE/kafka.lock"
flock 9
is_there && exit

temporary=$(mktemp -d "$TOCSIN_CACHE/kafka.XXXXXX")
broker=
trap '[ -z "$broker" ] || kill -KILL "$broker" 2>/dev/null || true; rm -rf "$temporary"' EXIT

write_properties() {
    local port=$((20000 + RANDOM % 8000))
    cat >"$temporary/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$port
listeners=PLAINTEXT://127.0.0.1:$((port + 1)),CONTROLLER://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$temporary/data
END
}

# The install is renamed when it is whole: half of one is never taken for a good one.
install() {
    step "getting Kafka $KAFKA_VERSION (once a machine)"
    mkdir "$temporary/home"
    mvn -q -B -Dstyle.color=never -f tests/e2e/rig/kafka.pom.xml "-Dkafka.version=$KAFKA_VERSION" "-Dlog4j.version=$LOG4J_VERSION" \
        dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$temporary/home/lib" >&2 ||
        fail "Kafka's jars could not be had from Maven's repository; the lines above say why"
    write_properties
    java "${flags[@]}" -cp "$temporary/home/lib/*" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ \
        -c "$temporary/server.properties" >&2
    mv "$temporary/data/bootstrap.checkpoint" "$temporary/home/"
    mv "$temporary/home" "$home"
}

# Runs a broker once, from the jars' final place, and keeps the classes that it loaded. Without it brokers start too.
archive_classes() {
    step "archiving the classes of Kafka $KAFKA_VERSION"
    rm -rf "$temporary/data"
    : >"$temporary/log"
    mkdir "$temporary/data"
    write_properties
    cp "$home/bootstrap.checkpoint" "$temporary/data/"
    printf 'version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=1\ndirectory.id=dG9jc2luLXRyYWluaW5nLQ\n' \
        >"$temporary/data/meta.properties"
    # Ends with this script, however that ends.
    setpriv --pdeathsig KILL java "${flags[@]}" "-XX:ArchiveClassesAtExit=$temporary/classes.jsa" -Xlog:disable -Xlog:all=error \
        "-Dlog4j2.configurationFile=$ROOT/tests/e2e/rig/kafka/log4j2.yaml" \
        -cp "$home/lib/*" kafka.Kafka "$temporary/server.properties" >"$temporary/log" 2>&1 9>&- &
    broker=$!
    local tries=0
    until grep -q 'Kafka Server started' "$temporary/log"; do
        tries=$((tries + 1))
        if [ $tries -gt 600 ] || ! kill -0 "$broker" 2>/dev/null; then
            tail -n 20 "$temporary/log" >&2
            fail "A broker did not start; the lines above are the last of its log"
        fi
        sleep 0.1
    done
    kill "$broker"
    wait "$broker" || true
    broker=
    mv "$temporary/classes.jsa" "$home/classes.jsa"
    java_version >"$temporary/classes.java"
    mv "$temporary/classes.java" "$home/classes.java"
}

[ -d "$home" ] || install
archive_classes
