#!/usr/bin/env bash
# Prints the linker flags that stamp hnsproxy with its version and commit; nothing outside of a git repository.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(git describe --tags --match 'v*' --always --dirty --abbrev=12 2>/dev/null) || exit 0
app=github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app
echo "-X $app.gitVersion=$version -X $app.gitCommit=$(git rev-parse HEAD)"
