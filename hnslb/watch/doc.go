// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package watch detects within two seconds that HNS itself changed: that its service went
// away, came back or was restarted, and that networks were created or deleted.
//
// It joins two sources. HNS tells of changes where the driver is a hnslb.Watcher. And there is
// a heartbeat, every 1.5 seconds: it asks the machine for the process of the service, where the
// driver is a hnslb.ServiceQuerier, which costs HNS nothing, and HNS for one network, by its
// name, which costs it four or five calls. While Watching HNS notifications, only every tenth
// heartbeat asks for the network: it is not known how reliably HNS tells, above all when the
// service crashes. When the heartbeat finds that the service came back, the driver is told to
// watch anew.
//
// What the heartbeat cannot see is what lives shorter than its period: without
// notifications, a restart within 1.5 seconds is noticed by the service's process alone, and
// not at all where the service shares a process that goes on. A load balancer or an endpoint
// that somebody deletes is noticed by neither source; that is what audits are for.
package watch
