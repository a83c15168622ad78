#!/usr/bin/env bash
# Copyright The hnsproxy Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Makes the Kubernetes programs that the end-to-end tests run against, at the version that e2e/kubernetes/go.mod pins, and
# keeps them in a cache outside the repository. Does nothing for a program that is there already.
#
#   hack/control-plane.sh                  etcd, kube-apiserver and kube-controller-manager
#   hack/control-plane.sh kube-proxy.exe   the named programs of k8s.io/kubernetes; .exe means for Windows
#
# The cache is ${HNSPROXY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hnsproxy}/k8s-<version>. With an empty Go build cache
# kube-apiserver and kube-controller-manager take about six minutes on two cores.
set -euo pipefail

module=$(cd "$(dirname "${BASH_SOURCE[0]}")/../e2e/kubernetes" && pwd)
version=$(sed -nE 's,^(require)?[[:space:]]*k8s\.io/kubernetes (v[0-9.]+).*,\2,p' "$module/go.mod")
cache=${HNSPROXY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hnsproxy}/k8s-$version

say() { echo "control-plane.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# etcd is not a Go module that builds from outside its repository; the distribution's package is enough.
ensure_etcd() {
  if command -v etcd >/dev/null; then return; fi
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    die "etcd is missing: install it (Debian, Ubuntu: apt-get install etcd-server) so that it is in PATH"
  fi
  say "installing etcd-server"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends etcd-server >&2
  command -v etcd >/dev/null || die "the package etcd-server did not put etcd into PATH"
}

# ensure_program NAME builds k8s.io/kubernetes/cmd/NAME. The file appears under its name only when it is whole.
ensure_program() {
  local name=$1 goos goarch
  if [[ -x $cache/$name ]]; then return; fi
  command -v go >/dev/null || die "go is missing: it builds $name"
  goos=$(go env GOHOSTOS) goarch=$(go env GOHOSTARCH)
  if [[ $name == *.exe ]]; then goos=windows goarch=amd64; fi

  say "building $name $version for $goos/$goarch (minutes when nothing is cached)"
  local minor=${version#v1.} stamp=k8s.io/component-base/version
  minor=${minor%%.*}
  mkdir -p "$cache"
  (
    cd "$module"
    GOOS=$goos GOARCH=$goarch go build -trimpath -o "$cache/$name.$$" \
      -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean" \
      "k8s.io/kubernetes/cmd/${name%.exe}"
  ) || { rm -f "$cache/$name.$$"; die "cannot build $name"; }
  mv "$cache/$name.$$" "$cache/$name"
}

[[ -n $version ]] || die "no version of k8s.io/kubernetes in $module/go.mod"
if [[ $# -eq 0 ]]; then
  ensure_etcd
  set -- kube-apiserver kube-controller-manager
fi
for program in "$@"; do ensure_program "$program"; done
