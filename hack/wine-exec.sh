#!/usr/bin/env bash
# Copyright The hnsproxy Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs a 64-bit Windows program in the Windows lab that hack/winlab.sh made. Arguments, standard streams, environment and exit
# code pass through, so it also serves tests:
#
#   GOOS=windows go test -exec "$PWD/hack/wine-exec.sh" ./hnslb/...
#
# HNS_EMULATOR says where the emulator serves, e.g. 127.0.0.1:47253. With --find it prints which wine it would run.
set -euo pipefail

# Debian's own "wine" is a script that complains about a missing 32-bit wine on each start.
find_wine() {
  local candidate
  for candidate in /usr/lib/wine/wine64 wine64 wine; do
    if command -v "$candidate"; then return; fi
  done
  echo "wine-exec.sh: wine is missing: run hack/winlab.sh" >&2
  return 1
}

wine=$(find_wine)
if [[ ${1:-} == --find ]]; then
  echo "$wine"
  exit
fi

export WINEPREFIX=${HNSPROXY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hnsproxy}/winlab/prefix
export WINEDEBUG=${WINEDEBUG:--all}
# No browser engine, no .NET and no entries in the desktop's menus: nothing here needs them.
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
if [[ ! -d $WINEPREFIX ]]; then
  echo "wine-exec.sh: there is no Windows lab in $WINEPREFIX: run hack/winlab.sh" >&2
  exit 1
fi

# The first program in a prefix starts Wine's own services, which keep its output open until they end. So they are started
# ahead, with no output, and stay for ten minutes after the last program (Debian's default is no time at all). One at a time: a
# second server would end with an error, and a program that finds the server but no services yet would start them itself.
start_services() {
  if wineserver -k0 2>/dev/null; then return; fi
  wineserver -p600 </dev/null >/dev/null 2>&1 || true # the program itself will say what is wrong
  "$wine" cmd /c exit </dev/null >/dev/null 2>&1 || true
}
exec 9>"$WINEPREFIX.lock"
flock 9
start_services 9>&-
exec 9>&-
exec "$wine" "$@"
