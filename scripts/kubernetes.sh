#!/usr/bin/env bash
# Puts Kubernetes' servers, kubectl, CoreDNS, kwok and Helm into the cache, if they are not there: what the operator's
# tests start. Prints nothing then.
#
# Kubernetes is built from its Go module, as there are no packages of it. It takes its own parts ("staging") from folders
# that the module does not have; each is replaced by the module of the same release.
set -euo pipefail
. "$(dirname "$0")/env.sh"
# shellcheck source=../tests/e2e/rig/versions.env
. tests/e2e/rig/versions.env

home=$TOCSIN_CACHE/kubernetes-$KUBERNETES_VERSION-kubectl-$KUBERNETES_VERSION-coredns-$COREDNS_VERSION-kwok-$KWOK_VERSION
home=$home-helm-$HELM_VERSION
[ -d "$home" ] && exit
scripts/need.sh go
mkdir -p "$TOCSIN_CACHE"
exec 9>"$TOCSIN_CACHE/kubernetes.lock"
flock 9
[ -d "$home" ] && exit

temporary=$(mktemp -d "$TOCSIN_CACHE/kubernetes.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
mkdir "$temporary/home" "$temporary/source"

staging=(api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap
    code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib
    dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy
    kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin
    sample-controller)
servers=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
# Debian's kubectl is years older than the API.
programs=("${servers[@]}" kubectl)

write_module() {
    local part server
    {
        printf 'module tocsin.dev/kubernetes\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$KUBERNETES_VERSION"
        for part in "${staging[@]}"; do
            printf '\tk8s.io/%s => k8s.io/%s v0.%s\n' "$part" "$part" "${KUBERNETES_VERSION#1.}"
        done
        printf ')\n'
    } >go.mod
    {
        printf 'package kubernetes\n\nimport (\n'
        for server in "${servers[@]}"; do
            printf '\t_ "k8s.io/kubernetes/cmd/%s/app"\n' "$server"
        done
        printf '\t_ "k8s.io/kubectl/pkg/cmd"\n)\n'
    } >servers.go
}

build_programs() {
    local version=$KUBERNETES_VERSION program minor
    minor=${version#*.}
    minor=${minor%%.*}
    export CGO_ENABLED=0
    go mod tidy >&2
    for program in "${programs[@]}"; do
        go build -trimpath -o "$temporary/home/$program" -ldflags "-s -w \
            -X k8s.io/component-base/version.gitVersion=v$version \
            -X k8s.io/component-base/version.gitMajor=${version%%.*} \
            -X k8s.io/component-base/version.gitMinor=$minor" "k8s.io/kubernetes/cmd/$program" >&2
    done
}

step "building Kubernetes $KUBERNETES_VERSION (once a machine, about seven minutes)"
(cd "$temporary/source" && write_module && build_programs) || fail "Kubernetes could not be built; the lines above say why"

step "building CoreDNS $COREDNS_VERSION, kwok $KWOK_VERSION and Helm $HELM_VERSION (once a machine, about four minutes)"
for tool in "github.com/coredns/coredns@v$COREDNS_VERSION" "sigs.k8s.io/kwok/cmd/kwok@v$KWOK_VERSION" \
    "helm.sh/helm/v3/cmd/helm@v$HELM_VERSION"; do
    GOBIN=$temporary/home CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$tool" >&2 ||
        fail "$tool could not be built; the lines above say why"
done
# Those of other versions are of no use any more.
rm -rf "$TOCSIN_CACHE"/kubernetes-[0-9]*
mv "$temporary/home" "$home"
