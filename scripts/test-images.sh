#!/usr/bin/env bash
# Makes the images that pods of the operator's tests run, with buildah and without any registry, and prints the folder of
# each archive. What is made already is left as it is.
#
# The base has what Debian's slim image has for a program, from this machine's own files; Kafka's image is laid out as
# apache/kafka is: what the operator's pods ask of it is there, and no more.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../tests/e2e/rig/versions.env
. tests/e2e/rig/versions.env

programs=${1:-$CARGO_TARGET_DIR/debug}
images=$ROOT/tests/e2e/rig/images
fixed=$TOCSIN_CACHE/images-kafka-$KAFKA_VERSION-$(cat "$images"/* "$0" | sha256sum | cut -c1-12)
built=$programs/images

export BUILDAH_ISOLATION=chroot
mkdir -p "$TOCSIN_CACHE"
exec 9>"$TOCSIN_CACHE/images.lock"
flock 9

# Images in a folder of ours: nothing of the user's own is touched.
write_storage() {
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$1" "$1" >"$1/storage.conf"
    export CONTAINERS_STORAGE_CONF=$1/storage.conf
}

# image NAME FILE CONTEXT: builds it, and writes its archive.
image() {
    buildah build-using-dockerfile --quiet --pull=never --tag "$1" --file "$images/$2.Dockerfile" "$3" >/dev/null
    buildah push --quiet "$1" "docker-archive:$home/$2.tar:$1" >&2
}

# A program's libraries, all of them, where the program looks for them.
copy_libraries() {
    local library
    ldd "$@" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^\t\(\/lib[^ ]*\).*/\1/p' | sort -u | while read -r library; do
        case $library in "$temporary"/*) continue ;; esac
        mkdir -p "$base${library%/*}"
        cp -Ln "$library" "$base$library"
    done
}

make_base() {
    base=$temporary/base
    mkdir -p "$base"/{bin,etc,tmp,root,proc,sys,dev}
    chmod 1777 "$base/tmp"
    cp /bin/busybox "$base/bin/"
    local name
    for name in $(/bin/busybox --list); do
        [ "$name" = busybox ] || ln -s busybox "$base/bin/$name"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nappuser:x:1000:1000::/tmp:/bin/sh\n' >"$base/etc/passwd"
    printf 'root:x:0:\nappuser:x:1000:\n' >"$base/etc/group"
    copy_libraries "$programs/tocsin" "$programs/tocsin-operator" "$temporary/kafka/java/bin/java" \
        "$temporary/kafka/java/lib/server/libjvm.so"
}

make_java() {
    jlink --strip-debug --no-man-pages --no-header-files --compress=0 --output "$temporary/kafka/java" --add-modules \
        java.base,java.desktop,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.unsupported,jdk.management
}

make_fixed() {
    step "making the base's and Kafka's image (once a machine)"
    scripts/need.sh buildah cc jdk busybox
    temporary=$(mktemp -d "$TOCSIN_CACHE/images.XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    home=$temporary/home
    mkdir -p "$home" "$temporary/pause" "$temporary/kafka/bin"
    write_storage "$home"
    make_java
    make_base
    cc -static -Os -s -o "$temporary/pause/pause" "$images/pause.c"
    cp -r "$TOCSIN_CACHE/kafka-$KAFKA_VERSION/lib" "$temporary/kafka/libs"
    cp "$images"/kafka-*.sh "$temporary/kafka/bin/"
    chmod 755 "$temporary"/kafka/bin/*
    image docker.io/tocsin/pause:test pause "$temporary/pause"
    image docker.io/tocsin/base:test base "$temporary/base"
    image "docker.io/apache/kafka:$KAFKA_VERSION" kafka "$temporary/kafka"
    # Those of other versions are of no use any more.
    rm -rf "$TOCSIN_CACHE"/images-kafka-*
    mv "$home" "$fixed"
}

make_built() {
    write_storage "$fixed"
    BUILDER=buildah BUILT=$programs BASE=docker.io/tocsin/base:test IMAGES=$built scripts/images.sh >&2
    # Only the archives are read; layers of programs that are no more would fill the disk.
    buildah rmi --prune --force >/dev/null 2>&1 || true
}

is_built() {
    local target program
    for target in operator:tocsin-operator worker:tocsin; do
        program=$programs/${target#*:}
        [ "$built/${target%:*}.tar" -nt "$program" ] && [ "$built/${target%:*}.tar" -nt Dockerfile ] || return 1
    done
}

[ -d "$fixed" ] || make_fixed
is_built || make_built
printf '%s\n' "$fixed"/{pause,base,kafka}.tar "$built"/{operator,worker}.tar
