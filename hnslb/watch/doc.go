// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package watch notices within two seconds that HNS itself changed: that its service went
// away, came back or was restarted, and that networks were created or deleted.
//
// It joins two sources. HNS tells of changes where the driver is a hnslb.Watcher, but it is
// not known how reliably, above all when the service crashes. So there is a heartbeat, too,
// every 1.5 seconds: it asks the machine for the process of the service, where the driver
// is a hnslb.ServiceQuerier, and HNS for one network, by its name. That works with every
// driver, costs HNS four or five calls, and makes up for what HNS does not tell: when it
// finds that the service came back, the driver is told to watch anew.
//
// What the heartbeat cannot see is what lives shorter than its period: without
// notifications, a restart within 1.5 seconds is noticed by the service's process alone, and
// not at all where the service shares a process that goes on. A load balancer or an endpoint
// that somebody deletes is noticed by neither source; that is what audits are for.
package watch
