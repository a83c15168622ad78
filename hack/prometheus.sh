#!/usr/bin/env bash
# Copyright The hnsproxy Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Installs prometheus and promtool, which end-to-end tests of the metrics run, on Debian and Ubuntu. Does nothing where both are in
# PATH already. Their package starts Prometheus as a service where there is systemd; nothing here needs that service.
set -euo pipefail

say() { echo "prometheus.sh: $*" >&2; }

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  say "prometheus or promtool is missing: install them (Debian, Ubuntu: apt-get install prometheus) so that they are in PATH"
  exit 1
fi
say "installing prometheus"
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends prometheus >&2
