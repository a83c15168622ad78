#!/usr/bin/env bash
# Build, vet and compile all tests for Windows.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOOS=windows GOARCH=amd64 CGO_ENABLED=0

go build ./...
go vet ./...
(cd benchmarks/cmd && go vet ./...)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# The program for Windows has an HNS, and no emulator of one. The packet model that hnsproxy trace
# follows is a package of its own.
go build -o "$out/hnsproxy.exe" ./cmd/hnsproxy
go tool nm "$out/hnsproxy.exe" >"$out/symbols"
grep -q 'hnslb/vfp\.Model' "$out/symbols" # so that the next test can fail
if grep -E 'hnslb/emulator[./]|/cmd/hnsproxy/emulated\.' "$out/symbols"; then
  echo "windows: hnsproxy.exe holds the emulator" >&2
  exit 1
fi
rm "$out/hnsproxy.exe" "$out/symbols"
# -o with a folder compiles the test binary of every package that has tests.
go test -c -o "$out/" ./...
printf 'windows: %d test programs compile\n' "$(find "$out" -name '*.exe' | wc -l)"
