// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package health serves the health checks that kube-proxy serves, with the same status codes and
// bodies, and the HTTP servers for them and for metrics.
//
// There are two checks (KEP-3836). /livez reports whether the proxy is up to date. /healthz reports
// whether a cloud load balancer should send traffic through this node: it also fails while the node
// is about to be removed, so that connections drain without a restart of the proxy.
//
// health.go holds the state, http.go writes the responses, server.go listens and sets the timeouts
// of all ports, connlimit.go limits their connections.
//
// Services with externalTrafficPolicy Local have a third check, each on its own port (KEP-1669):
// whether this node has ready endpoints. nodeports.go answers it from the store and never from HNS,
// and listeners.go keeps the ports open.
package health
