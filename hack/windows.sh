#!/usr/bin/env bash
# Build, vet and compile all tests for Windows.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOOS=windows GOARCH=amd64 CGO_ENABLED=0

go build ./...
go vet ./...
# The program for Windows has an HNS, and no emulator of one.
if go list -deps ./cmd/hnsproxy | grep -E '/hnslb/emulator$|/cmd/hnsproxy/emulated$'; then
  echo "windows: hnsproxy.exe holds the emulator" >&2
  exit 1
fi
# -o with a folder compiles the test binary of every package that has tests.
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go test -c -o "$out/" ./...
printf 'windows: %d test programs compile\n' "$(find "$out" -name '*.exe' | wc -l)"
