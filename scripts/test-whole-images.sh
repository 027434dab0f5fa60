#!/usr/bin/env bash
# Builds the images as users do, with the compiler in a container, and prints their sizes: on a Debian and a Rust image made here,
# of Debian's packages and this machine's toolchain, as no registry of images is to be had. Takes half an hour and 12 GB.
set -euo pipefail
. "$(dirname "$0")/env.sh"
scripts/need.sh buildah debootstrap rust

suite=bookworm
# Where this machine has its own packages from.
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(http[^ ]*\) .*/\1/p' /etc/apt/sources.list.d/*.sources \
    /etc/apt/sources.list 2>/dev/null | head -n 1)
temporary=$(mktemp -d "$TOCSIN_CACHE/whole-images.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
export BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF=$temporary/storage.conf
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$temporary" "$temporary" \
    >"$CONTAINERS_STORAGE_CONF"

# root NAME PACKAGES: Debian's smallest system, with these packages.
root() {
    debootstrap --variant=minbase --include="$2" "$suite" "$temporary/$1" "$mirror" >"$temporary/$1.log" 2>&1 ||
        fail "debootstrap: $(tail -n 3 "$temporary/$1.log")"
    rm -rf "$temporary/$1"/var/cache/apt/archives/*.deb "$temporary/$1"/var/lib/apt/lists/*
}

# image TAG FOLDER [DOCKERFILE'S LINES]
image() {
    printf 'FROM scratch\nCOPY . /\n%s\n' "${3:-}" >"$temporary/Dockerfile"
    buildah build-using-dockerfile --quiet --tag "$1" --file "$temporary/Dockerfile" "$2" >/dev/null
    rm -rf "$2"
}

step "making a Debian and a Rust image"
root debian apt
image localhost/debian:$suite "$temporary/debian"
root rust ca-certificates,gcc,g++,libc6-dev,make,binutils,git
cp -a "$(rustc --print sysroot)" "$temporary/rust/usr/local/rust"
rm -rf "$temporary/rust/usr/local/rust/share/doc"
# Whom this machine believes, the build believes.
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$temporary/rust/usr/local/share/ca-certificates/"
    chroot "$temporary/rust" update-ca-certificates >/dev/null 2>&1
fi
image localhost/rust:test "$temporary/rust" 'ENV PATH=/usr/local/rust/bin:/usr/local/bin:/usr/bin:/bin'

step "building both images, the programs too"
BUILDER=buildah BASE=localhost/debian:$suite RUST=localhost/rust:test scripts/images.sh
# They begin, as whom they say.
for target in operator worker; do
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    container=$(buildah from --pull-never "docker.io/tocsin/$target:$version")
    program=$(buildah inspect --format '{{index .OCIv1.Config.Entrypoint 0}}' "$container")
    buildah run "$container" -- "$program" --version
done
