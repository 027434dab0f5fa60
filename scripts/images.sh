#!/usr/bin/env bash
# Builds the images of the operator and the worker with docker, podman or buildah, whichever is there, and says how large
# they are. Nothing is sent anywhere: the tags are the chart's, and `docker tag` and `docker push` bring them elsewhere.
#
#   BUILT=folder   takes the programs `tocsin` and `tocsin-operator` from there, and compiles none
#   BASE=image     stands below them (by default the Dockerfile's)
#   RUST=image     compiles them (by default the Dockerfile's)
#   IMAGES=folder  gets an archive of each, operator.tar and worker.tar, as `ctr image import` and `docker load` read them
#   BUILDER=name   docker, podman or buildah
set -euo pipefail
. "$(dirname "$0")/env.sh"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
for known in ${BUILDER:-docker podman buildah}; do
    if command -v "$known" >/dev/null && { [ "$known" != docker ] || docker info >/dev/null 2>&1; }; then
        builder=$known
        break
    fi
done
[ -n "${builder:-}" ] || fail "None of docker, podman and buildah is there and works; on Debian: sudo apt-get install buildah"

arguments=()
context=$ROOT
if [ -n "${BUILT:-}" ]; then
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    mkdir "$context/dist"
    for program in tocsin tocsin-operator; do
        [ -f "$BUILT/$program" ] || fail "$BUILT has no $program: build it first with cargo build"
        # What debuggers read is most of a program, and of no use in an image.
        strip -o "$context/dist/$program" "$BUILT/$program"
    done
    arguments+=(--build-arg BINARIES=built)
fi
[ -z "${BASE:-}" ] || arguments+=(--build-arg "BASE=$BASE")
[ -z "${RUST:-}" ] || arguments+=(--build-arg "RUST=$RUST")
# Who names one has it.
[ "$builder" = docker ] || [ -z "${BASE:-}" ] || arguments+=(--pull=never)

for target in operator worker; do
    image=docker.io/tocsin/$target:$version
    step "building $image with $builder"
    build=(build)
    [ "$builder" != buildah ] || build=(build-using-dockerfile)
    "$builder" "${build[@]}" "${arguments[@]}" --target "$target" --tag "$image" --file Dockerfile "$context" >&2
    case $builder in
    buildah) "$builder" images --format '{{.Name}}:{{.Tag}} {{.Size}}' "$image" ;;
    *) "$builder" image inspect --format "$image {{.Size}} bytes" "$image" ;;
    esac
    [ -n "${IMAGES:-}" ] || continue
    mkdir -p "$IMAGES"
    case $builder in
    buildah) buildah push --quiet "$image" "docker-archive:$IMAGES/$target.part:$image" >&2 ;;
    *) "$builder" save --output "$IMAGES/$target.part" "$image" ;;
    esac
    mv "$IMAGES/$target.part" "$IMAGES/$target.tar"
done
