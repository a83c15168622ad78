#!/usr/bin/env bash
# Copyright The hnsproxy Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Makes the Windows lab: a Wine prefix whose system32 holds stand-ins for the DLLs through which Windows programs reach HNS
# (e2e/winlab/dll), so that they reach the emulator instead. hack/wine-exec.sh runs programs in it. Does nothing that is done
# already.
#
# The lab is ${HNSPROXY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hnsproxy}/winlab. It takes about 700 MB and, the first time, a
# minute. On Debian and as root it installs wine and mingw-w64 when they are missing.
set -euo pipefail

hack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sources=$hack/../e2e/winlab/dll
lab=${HNSPROXY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hnsproxy}/winlab
compiler=x86_64-w64-mingw32-gcc

say() { echo "winlab.sh: $*" >&2; }
die() { say "$*"; exit 1; }

ensure_packages() {
  if "$hack/wine-exec.sh" --find >/dev/null 2>&1 && command -v $compiler >/dev/null; then return; fi
  local packages="wine wine64 gcc-mingw-w64-x86-64"
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    die "wine (64 bit) or mingw-w64 is missing: install them (Debian, Ubuntu: apt-get install $packages)"
  fi
  say "installing $packages"
  apt-get update -qq >&2
  # shellcheck disable=SC2086 # three packages
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >&2
  "$hack/wine-exec.sh" --find >/dev/null || die "the packages wine and wine64 brought no wine for 64-bit programs"
}

# build NAME FLAGS... makes $lab/dll.new/NAME.dll of the named sources and libraries.
build() {
  local name=$1
  shift
  (cd "$sources" && $compiler -std=c11 -O2 -Wall -Wextra -Werror -shared -static-libgcc -s -o "$lab/dll.new/$name.dll" "$name.c" "$@")
}

# ensure_dlls builds the DLLs into $lab/dll, unless they come from these sources.
ensure_dlls() {
  local stamp
  stamp=$(cat "$sources"/* "${BASH_SOURCE[0]}" | sha256sum)
  if [[ -f $lab/dll/stamp && $(<"$lab/dll/stamp") == "$stamp" ]]; then return; fi
  say "building the DLLs"
  rm -rf "$lab/dll.new"
  mkdir "$lab/dll.new"
  build computenetwork hns.c -lws2_32 -lole32
  build vmcompute hns.c -lws2_32 -lole32
  build bcryptprimitives -ladvapi32
  echo "$stamp" >"$lab/dll.new/stamp"
  rm -rf "$lab/dll"
  mv "$lab/dll.new" "$lab/dll"
}

# in_new_prefix runs a program of Wine's own in the prefix that is being made.
in_new_prefix() {
  WINEPREFIX=$lab/prefix.new WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe=" \
    timeout 300 "$("$hack/wine-exec.sh" --find)" "$@" >>"$lab/wineboot.log" 2>&1 </dev/null ||
    die "$1 failed; see $lab/wineboot.log"
}

# ensure_prefix makes $lab/prefix; it appears under its name only when it is whole.
ensure_prefix() {
  if [[ -f $lab/prefix/system.reg ]]; then return; fi
  say "making the Wine prefix"
  rm -rf "$lab/prefix" "$lab/prefix.new" "$lab/wineboot.log"
  in_new_prefix wineboot -i
  # Drivers of devices that a server does not have make each start slower, and one of them crashes at the end.
  local service
  for service in winebus winehid wineusb PlugPlay; do
    in_new_prefix reg add "HKLM\\System\\CurrentControlSet\\Services\\$service" /v Start /t REG_DWORD /d 4 /f
  done
  # Wine's server writes the registry when it ends.
  WINEPREFIX=$lab/prefix.new wineserver -k || true
  WINEPREFIX=$lab/prefix.new timeout 60 wineserver -w || die "Wine's server does not end"
  [[ -f $lab/prefix.new/system.reg ]] || die "wineboot made no prefix; see $lab/wineboot.log"
  mv "$lab/prefix.new" "$lab/prefix"
}

# install_dll NAME puts a DLL into system32, where hcsshim looks for it and nowhere else. A program that runs keeps the old one.
install_dll() {
  local from=$lab/dll/$1.dll to=$lab/prefix/drive_c/windows/system32/$1.dll
  if cmp -s "$from" "$to"; then return; fi
  cp "$from" "$to.new"
  mv "$to.new" "$to"
}

install_dlls() {
  install_dll computenetwork
  install_dll vmcompute
  # Wine 9 and later have their own.
  local own
  own=$(dirname "$("$hack/wine-exec.sh" --find)")
  if ! ls "$own"/../*/wine/x86_64-windows/bcryptprimitives.dll >/dev/null 2>&1; then install_dll bcryptprimitives; fi
}

ensure_packages
mkdir -p "$lab"
exec 9>"$lab/lock"
flock 9 # tests of several packages may call this at once
ensure_dlls
ensure_prefix 9>&-
install_dlls
