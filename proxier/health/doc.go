// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package health answers the probes that kube-proxy answers, with the same status codes
// and bodies, and serves the two ports that kube-proxy serves.
//
// Two questions are told apart (KEP-3836). /livez: does the proxy get its work done?
// /healthz: should a cloud load balancer send traffic through this node? The second is the
// first and also no while the node is about to be removed, so that connections drain
// before it goes, without the proxy being restarted.
//
// health.go keeps the answer, http.go words it, server.go listens and sets the time-outs of
// all ports, connlimit.go bounds their connections.
//
// A third question is asked of Services with externalTrafficPolicy Local, each on a port of
// its own (KEP-1669): has this node ready endpoints? nodeports.go answers it, from the store
// and never from HNS, and listeners.go keeps those ports open.
package health
