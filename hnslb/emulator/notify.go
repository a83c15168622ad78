// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"context"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

var (
	_ hnslb.Watcher        = (*Emulator)(nil)
	_ hnslb.ServiceQuerier = (*Emulator)(nil)
)

// NotificationKind is a value of HCN_NOTIFICATIONS [A: HCN reference]. HNS has more of them;
// none is about load balancers, and those about namespaces and attached endpoints are not
// emulated.
type NotificationKind uint32

// The kinds that are told.
const (
	NetworkCreated    NotificationKind = 0x00000002
	NetworkDeleted    NotificationKind = 0x00000004
	ServiceDisconnect NotificationKind = 0x01000000
)

// Notification is what HNS tells those who registered for it.
type Notification struct {
	Kind NotificationKind
	// Network is the ID of the network it is about, empty for the service.
	Network hnslb.ID
}

// registration is somebody who hears of notifications.
type registration struct{ notify func(Notification) }

// OnNotification calls hear for each notification, in order and before the call that causes
// it returns, until cancel is called or the service stops, which ends all registrations and
// is the last they hear of. It must be quick, and must not call the emulator. Quirks say
// what is not told. Registering fails while the service is stopped; it is no call of a verb
// and meets no faults. Restore tells nobody.
func (e *Emulator) OnNotification(hear func(Notification)) (cancel func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		code := cmp.Or(e.trouble.faults.StoppedCode, hnslb.ResultServerUnavailable)
		return nil, hnslb.NewError(hnslb.VerbWatch, "HNS", code, ErrorText(code, ""))
	}
	r := &registration{hear}
	e.registrations = append(e.registrations, r)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.registrations = slices.DeleteFunc(e.registrations, func(o *registration) bool { return o == r })
	}, nil
}

// sendNotification tells of a network; the caller holds the lock.
func (e *Emulator) sendNotification(kind NotificationKind, network hnslb.ID) {
	if e.profile.Quirks.NoNotifications {
		return
	}
	for _, r := range e.registrations {
		r.notify(Notification{Kind: kind, Network: network})
	}
}

// endRegistrations is what a stop of the service does to them; the caller holds the lock.
func (e *Emulator) endRegistrations() {
	if !e.profile.Quirks.StopUntold {
		e.sendNotification(ServiceDisconnect, "")
	}
	e.registrations = nil
}

// Watch is part of hnslb.Watcher.
func (e *Emulator) Watch(ctx context.Context) (<-chan struct{}, error) {
	if ctx.Err() != nil {
		return nil, &hnslb.Error{Verb: hnslb.VerbWatch, Object: "HNS", Class: hnslb.Timeout, Err: context.Cause(ctx)}
	}
	changed, gone := make(chan struct{}, 1), make(chan struct{})
	cancel, err := e.OnNotification(func(n Notification) {
		if n.Kind == ServiceDisconnect {
			close(gone)
			return
		}
		select {
		case changed <- struct{}{}:
		default: // one value stands for several changes
		}
	})
	if err != nil {
		return nil, err
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-gone:
		}
		cancel()
		close(changed) // nobody sends any more
	}()
	return changed, nil
}

// Windows numbers processes in steps of four.
const firstProcess, processStep = 1000, 4

// ServiceProcess is part of hnslb.ServiceQuerier: each start of the service is another
// process.
func (e *Emulator) ServiceProcess(ctx context.Context) (uint32, error) {
	if ctx.Err() != nil {
		return 0, &hnslb.Error{Verb: hnslb.VerbServiceProcess, Object: "HNS", Class: hnslb.Timeout, Err: context.Cause(ctx)}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return 0, nil
	}
	return firstProcess + processStep*uint32(e.epoch), nil
}
