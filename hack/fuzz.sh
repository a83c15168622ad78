#!/usr/bin/env bash
# Run every fuzz target for a while: hack/fuzz.sh 30s
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:-15s}

grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=e2e . | while read -r file; do
	package=$(dirname "$file")
	grep -oE '^func Fuzz[A-Za-z0-9_]*' "$file" | sed 's/^func //' | while read -r target; do
		printf '== %s %s for %s\n' "$package" "$target" "$duration"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" </dev/null
	done
done
