// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import "sync/atomic"

// notificationKind is a value of HCN_NOTIFICATIONS. Those that come before a network is
// created or deleted (1, 3) are of no use: who looks then finds nothing changed.
type notificationKind uint32

const (
	networkCreated    notificationKind = 0x00000002
	networkDeleted    notificationKind = 0x00000004
	serviceDisconnect notificationKind = 0x01000000
	// kindMask leaves out the upper bits, which are reserved for flags.
	kindMask notificationKind = 0x0fffffff
)

// news are notifications that were not looked at yet. HNS's thread adds to them and must not
// wait, so it only sets flags.
type news struct {
	networks, gone atomic.Bool
	// some has room for one value, which says that a flag was set.
	some chan struct{}
}

func newNews() *news { return &news{some: make(chan struct{}, 1)} }

// add takes a notification, and drops what nobody here needs to know.
func (n *news) add(kind notificationKind) {
	switch kind & kindMask {
	case networkCreated, networkDeleted:
		n.networks.Store(true)
	case serviceDisconnect:
		n.gone.Store(true)
	default:
		return
	}
	select {
	case n.some <- struct{}{}:
	default: // it is known that there are some
	}
}

// forward passes the news on to changed, until the service is gone or stop is closed; then
// it returns.
func (n *news) forward(stop <-chan struct{}, changed chan<- struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-n.some:
		}
		if n.networks.Swap(false) {
			select {
			case changed <- struct{}{}:
			default: // one value stands for several changes
			}
		}
		if n.gone.Load() {
			return
		}
	}
}
