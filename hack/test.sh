#!/usr/bin/env bash
# Everything that CI runs, the quick things first. Each step says how long it took; --list prints the steps with their reasons instead.
set -euo pipefail
cd "$(dirname "$0")/.."

list=
[[ ${1:-} == --list ]] && list=yes

# step WHY COMMAND...
step() {
	local why=$1 began=$SECONDS
	shift
	if [[ $list ]]; then
		printf '%s\n    %s\n' "$*" "$why"
		return
	fi
	printf '\n== %s\n' "$*"
	"$@"
	printf '== %s: %d s\n' "$*" "$((SECONDS - began))"
}

in_e2e() { (cd e2e && "$@"); }
in_release() { (cd hack/release && "$@"); }
in_deploy() { (cd e2e/deploy && "$@"); }
in_bench() { (cd benchmarks/cmd && "$@"); }

race() { go test -count=1 -race -timeout 20m $(go list ./... | grep -v /benchmarks); }

step "builds etcd's and Kubernetes' programs once, in minutes; comes first, so that a machine that cannot fails early" hack/control-plane.sh
step "builds upstream's kube-proxy.exe once, which hnsproxy.exe is compared with and takes over from" hack/control-plane.sh kube-proxy.exe
step "builds the stand-ins for the DLLs of HNS once, through which Windows programs reach the emulator under Wine" hack/winlab.sh
step "everything compiles" go build ./...
step "what the compiler lets pass: format strings, copied locks, unreachable code" go vet ./...
step "everything compiles for Windows, its tests and e2e included" make windows
step "the limits of .golangci.yml, and which package may import what" make lint
step "unit, scenario, and property tests with the race detector" race
step "500 random histories of a cluster instead of 100: convergence, and tenants that attack each other" \
	go test -count=1 -timeout 10m -run "TestConverges|TestTenants" ./proxier -rapid.checks=500
step "500 random clusters instead of 100: where packets go" go test -count=1 -timeout 10m ./proxier/traffic -rapid.checks=500
step "bars for HNS calls, time, and memory; without the race detector, which would be measured too" go test -count=1 -timeout 10m ./benchmarks
step "hnsproxy-bench: each scenario in virtual time, and a second with a real clock" in_bench go test -count=1 -timeout 10m ./...
step "200,000 random Services: endpoints, flags, and metrics compared with the code of kube-proxy" make upstream
step "each parser of input from outside, for 15 seconds" make fuzz
step "the unit tests as Windows programs under Wine: paths, files, sockets, and services of Windows" make winunit
step "hnsproxy in process and hnsproxy.exe under Wine, against a real API server" in_e2e go test -count=1 -timeout 20m ./...
step "the Helm chart: rendered, installed on a real API server, rolled over nodes under Wine, and removed" in_deploy go test -count=1 -timeout 5m ./...
step "image and archives: read back, and built twice to the same bytes" in_release go test -count=1 -timeout 10m ./...
