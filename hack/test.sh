#!/usr/bin/env bash
# Everything that CI runs, the quick things first. Each step says how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
	local began=$SECONDS
	printf '\n== %s\n' "$*"
	"$@"
	printf '== %s: %d s\n' "$*" "$((SECONDS - began))"
}

in_e2e() { (cd e2e && "$@"); }
in_release() { (cd hack/release && "$@"); }
in_deploy() { (cd e2e/deploy && "$@"); }

# The control plane builds for minutes on a cold machine: fail early if it cannot.
step hack/control-plane.sh
step hack/control-plane.sh kube-proxy.exe
step hack/winlab.sh
step go build ./...
step go vet ./...
step make windows
step make lint
step go test -count=1 -race -timeout 20m $(go list ./... | grep -v /benchmarks)
# Many more random histories than the default hundred.
step go test -count=1 -timeout 10m -run "TestConverges|TestTenants" ./proxier -rapid.checks=500
step go test -count=1 -timeout 10m ./proxier/traffic -rapid.checks=500
# Time and memory are measured without the race detector.
step go test -count=1 -timeout 10m ./benchmarks
# Endpoint choice, beside the code of upstream's proxies.
step make upstream
step make fuzz
step make winunit
step in_e2e go test -count=1 -timeout 20m ./...
# The Helm chart, rendered, installed and removed. Go does not see that files outside of a module changed, hence -count=1.
step in_deploy go test -count=1 -timeout 5m ./...
# Image and archives, read back, and made twice.
step in_release go test -count=1 -timeout 10m ./...
