#!/usr/bin/env bash
# Checks that tools are there: scripts/need.sh TOOL...
#
# Says exactly what is missing and how to get it. As root on Debian it installs Debian's packages, and rustup's
# toolchain where rustup is there; TOCSIN_INSTALL=no only tells. Tools from the crate registry are built into the cache.
set -euo pipefail
. "$(dirname "$0")/env.sh"

CARGO_DENY_VERSION=0.20.2
cargo_deny=$TOCSIN_CACHE/tools/cargo-deny-$CARGO_DENY_VERSION

# Where the tool stands that the cache holds.
if [ "${1:-}" = --path ] && [ "${2:-}" = deny ]; then
    echo "$cargo_deny/bin/cargo-deny"
    exit
fi

packages=() # Debian's packages to install, all in one call.
missing=()  # What is missing and how to get it.

may_install() {
    [ "${TOCSIN_INSTALL:-yes}" != no ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null
}

# package PACKAGE WHAT ELSEWHERE: asks for a Debian package.
package() {
    if may_install; then
        packages+=("$1")
    elif [ -e /etc/debian_version ]; then
        missing+=("$2 is missing. Get it with: sudo apt-get install $1")
    else
        missing+=("$2 is missing. $3 (on Debian: sudo apt-get install $1)")
    fi
}

need_cc() {
    command -v cc >/dev/null || package build-essential "a C compiler (cc)" "Install gcc or clang"
}

need_git() {
    command -v git >/dev/null || package git "git" "Install git"
}

# Any of the names under which Chromium is installed.
find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable
}

need_chromium() {
    find_chromium >/dev/null || package chromium "Chromium (the tests of the live page run in it)" "Install Chromium or Chrome"
}

need_node() {
    command -v node >/dev/null || package nodejs "Node.js (it drives Chromium in the tests of the live page)" "Install Node.js 18 or newer"
}

# How new a Java is: 17 of `openjdk version "17.0.15" 2025-04-15`.
java_release() {
    java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

need_java() {
    [ "$(java_release)" -ge 17 ] 2>/dev/null ||
        package openjdk-17-jre-headless "Java 17 or newer (the end-to-end tests start Kafka)" "Install a Java runtime, 17 or newer"
}

need_jdk() {
    if [ "$(java_release)" -lt 17 ] 2>/dev/null || ! command -v javac >/dev/null; then
        package openjdk-17-jdk-headless "A Java development kit, 17 or newer (the job that runs on Flink is compiled with it)" \
            "Install a JDK, 17 or newer"
    fi
}

need_mvn() {
    command -v mvn >/dev/null || package maven "Maven (it gets Kafka's and Flink's jars)" "Install Maven"
}

# What librdkafka is built with. It has no C++ that we use, and its build asks for the compiler nevertheless.
need_librdkafka() {
    command -v make >/dev/null || package make "make (librdkafka is built with it)" "Install GNU make"
    command -v g++ >/dev/null || command -v clang++ >/dev/null || command -v c++ >/dev/null ||
        package g++ "a C++ compiler (librdkafka's build asks for it)" "Install g++ or clang"
    command -v pkg-config >/dev/null ||
        package pkg-config "pkg-config (it finds OpenSSL for librdkafka)" "Install pkg-config"
    pkg-config --exists openssl 2>/dev/null ||
        package libssl-dev "OpenSSL with its headers (librdkafka is built with it)" "Install OpenSSL's development files"
}

need_etcd() {
    command -v etcd >/dev/null || package etcd-server "etcd (the operator's tests start Kubernetes' API on it)" "Install etcd 3.4 or newer"
}

need_buildah() {
    command -v buildah >/dev/null || package buildah "buildah (it builds the images that the operator's tests run)" "Install buildah"
}

need_debootstrap() {
    command -v debootstrap >/dev/null || package debootstrap "debootstrap (it makes what images are built on)" "Install debootstrap"
}

need_faketime() {
    find /usr/lib* -name libfaketime.so.1 2>/dev/null | grep -q . || package faketime "libfaketime (it moves the clock of an operator)" "Install libfaketime"
}

need_curl() {
    command -v curl >/dev/null || package curl "curl (it asks for the live page of a pipeline in a cluster)" "Install curl"
}

need_busybox() {
    [ -x /bin/busybox ] || package busybox-static "busybox (the shell in the images of the operator's tests)" "Install a static busybox as /bin/busybox"
}

# What makes a machine a node of Kubernetes.
need_node_of_kubernetes() {
    local program
    for program in containerd:containerd runc:runc iptables:iptables conntrack:conntrack ip:iproute2; do
        PATH=$PATH:/usr/sbin command -v "${program%:*}" >/dev/null ||
            package "${program#*:}" "${program%:*} (the operator's tests run pods with it)" "Install ${program#*:}"
    done
    [ -x /usr/lib/cni/bridge ] ||
        package containernetworking-plugins "CNI's plugins in /usr/lib/cni (pods are joined to a network by them)" "Install the CNI plugins"
}

need_kerberos() {
    local program
    for program in krb5kdc:krb5-kdc kadmin.local:krb5-admin-server; do
        PATH=$PATH:/usr/sbin command -v "${program%:*}" >/dev/null ||
            package "${program#*:}" "${program%:*} (the end-to-end tests log in by Kerberos)" "Install MIT Kerberos' servers"
    done
}

# What a program with the feature `kerberos` is built and run with; nothing else asks for it.
need_kerberos_login() {
    [ -e /usr/include/sasl/sasl.h ] ||
        package libsasl2-dev "Cyrus SASL with its headers (librdkafka logs in by Kerberos with it)" "Install Cyrus SASL's development files"
    compgen -G '/usr/lib/*/sasl2/libgssapiv2.so*' >/dev/null ||
        package libsasl2-modules-gssapi-mit "Cyrus SASL's GSSAPI module (it logs in by Kerberos)" "Install Cyrus SASL's GSSAPI module"
    command -v kinit >/dev/null || package krb5-user "kinit (it gets tickets)" "Install MIT Kerberos' client"
}

# Debian 12 has an older Go than the S3 server takes, so there is no package to name.
GO_LEAST=1.25

need_go() {
    local version
    version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9.]*\).*/\1/p')
    if [ -z "$version" ] || [ "$(printf '%s\n' "$GO_LEAST" "$version" | sort -V | head -n 1)" != "$GO_LEAST" ]; then
        missing+=("Go $GO_LEAST or newer is missing${version:+ (there is $version)}: the S3 server of the end-to-end tests is built with it. Get it from https://go.dev/dl/")
    fi
}

rust_is_there() {
    [ "$(rustc --version 2>/dev/null | cut -d' ' -f2)" = "$RUST_VERSION" ] &&
        cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1
}

need_rust() {
    rust_is_there && return
    local install="rustup toolchain install $RUST_VERSION --profile minimal --component rustfmt --component clippy"
    if ! command -v rustup >/dev/null; then
        missing+=("Rust $RUST_VERSION with rustfmt and clippy is missing. Install rustup (https://rustup.rs), then: $install")
    elif [ "${TOCSIN_INSTALL:-yes}" = no ] || ! $install </dev/null >&2; then
        missing+=("Rust $RUST_VERSION with rustfmt and clippy is missing. Get it with: $install")
    fi
}

# Built without optimisation: it checks a few hundred packages, and building it is what takes the time.
need_deny() {
    [ -x "$cargo_deny/bin/cargo-deny" ] && return
    if [ "${TOCSIN_INSTALL:-yes}" = no ]; then
        missing+=("cargo-deny is missing. Get it with: cargo install --locked cargo-deny --version $CARGO_DENY_VERSION --root $cargo_deny")
        return
    fi
    step "building cargo-deny $CARGO_DENY_VERSION (once a machine)"
    local build
    build=$(mktemp -d)
    if CARGO_TARGET_DIR=$build CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked cargo-deny --version "$CARGO_DENY_VERSION" --no-default-features --root "$cargo_deny" >&2; then
        rm -rf "$build"
    else
        rm -rf "$build"
        missing+=("cargo-deny $CARGO_DENY_VERSION could not be built; the lines above say why")
    fi
}

for tool in "$@"; do
    [ "$tool" = deny ] || "need_$tool"
done

if [ ${#packages[@]} -gt 0 ]; then
    step "installing Debian's packages: ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -q </dev/null && apt-get install -q -y --no-install-recommends "${packages[@]}" </dev/null; } >&2; then
        missing+=("Debian's packages could not be installed; the lines above say why. By hand: apt-get update && apt-get install ${packages[*]}")
    fi
fi

# cargo-deny is built with what the others have brought.
if [ ${#missing[@]} -eq 0 ] && [[ " $* " == *" deny "* ]]; then
    need_deny
fi

if [ ${#missing[@]} -gt 0 ]; then
    printf 'Not everything that this needs is there:\n' >&2
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
fi
