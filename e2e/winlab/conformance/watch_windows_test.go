// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/e2e/winlab/control"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator/hcnserver"
	"github.com/hnsproxy/hnsproxy/hnslb/hcn"
	"github.com/hnsproxy/hnsproxy/hnslb/watch"
)

const (
	// soon is when a notification must have arrived.
	soon = 2 * time.Second
	// late is when a heartbeat must have noticed. On virtual time it does within two seconds; this machine may be busy.
	late = 40 * time.Second
)

// watch begins to watch, and must be able to.
func (h *host) watch(ctx context.Context, d *hcn.Driver) <-chan struct{} {
	h.t.Helper()
	changed, err := d.Watch(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return changed
}

// wantChange wants a value.
func (h *host) wantChange(changed <-chan struct{}, what string) {
	h.t.Helper()
	select {
	case _, open := <-changed:
		if !open {
			h.t.Fatalf("%s: the watch ended", what)
		}
	case <-time.After(soon):
		h.t.Fatalf("%s: not told within %v", what, soon)
	}
}

// wantEnd wants the end; values may come before it.
func (h *host) wantEnd(changed <-chan struct{}, what string) {
	h.t.Helper()
	timeout := time.After(soon)
	for {
		select {
		case _, open := <-changed:
			if !open {
				return
			}
		case <-timeout:
			h.t.Fatalf("%s: the watch did not end within %v", what, soon)
		}
	}
}

// wantCallback waits until this program is registered again.
func (h *host) wantCallback() {
	h.t.Helper()
	err := wait.PollUntilContextTimeout(h.t.Context(), 10*time.Millisecond, late, true, func(ctx context.Context) (bool, error) {
		var handles hcnserver.Handles
		err := h.control.Call(ctx, "handles", nil, &handles)
		return handles.Open["Callback"] == 1, err
	})
	if err != nil {
		h.t.Fatalf("nobody watches: %v", err)
	}
}

// TestNotifications: HNS calls back when networks change and when it goes away.
func TestNotifications(t *testing.T) {
	h := newHost(t)
	d := hcn.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, other := h.watch(ctx, d), h.watch(ctx, d)
	h.must("replace-network", control.Name{Network: h.network.Name}, nil)
	h.wantChange(changed, "a replaced network")
	h.wantChange(other, "a replaced network")
	h.must("stop", nil, nil)
	h.wantEnd(changed, "stop")
	h.wantEnd(other, "stop")
	if _, err := d.Watch(ctx); hnslb.ErrorClass(err) != hnslb.Unavailable {
		t.Errorf("watching a stopped service: %v", err)
	}
	h.must("start", emulator.RestartOptions{}, nil)
	changed = h.watch(ctx, d)
	h.must("delete-network", control.Name{Network: h.network.Name}, nil)
	h.wantChange(changed, "a deleted network")
	cancel()
	h.wantEnd(changed, "the end of the context")
	if _, err := d.Watch(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
		t.Errorf("watching after the end of the context: %v", err)
	}
}

// TestHungRegistration: a watch whose registration hangs ends with its context, and is unregistered when HNS answers at last.
func TestHungRegistration(t *testing.T) {
	h := newHost(t)
	h.must("hang", control.Plan{N: 1}, nil) // the next call that does the work of no verb
	h.must("reset-counts", nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := hcn.New(nil).Watch(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
		t.Errorf("watching a service that hangs: %v", err)
	}
	h.must("release-hung", nil, nil)
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, late, true, func(ctx context.Context) (bool, error) {
		var counts control.Counts
		err := h.control.Call(ctx, "counts", nil, &counts)
		return counts.Calls["HcnUnregisterServiceCallback"] == 1, err
	})
	if err != nil {
		t.Errorf("the late registration stays: %v", err)
	}
}

// TestWatchLeaks: neither watches that were given up nor those that HNS ended leave handles in this process.
func TestWatchLeaks(t *testing.T) {
	h := newHost(t)
	d := hcn.New(nil)
	again := func(n int) {
		for range n {
			ctx, cancel := context.WithCancel(t.Context())
			given, ended := h.watch(ctx, d), h.watch(t.Context(), d)
			cancel()
			h.wantEnd(given, "the end of the context")
			h.must("stop", nil, nil)
			h.wantEnd(ended, "stop")
			h.must("start", emulator.RestartOptions{}, nil)
		}
		ctx, cancel := context.WithTimeout(t.Context(), late)
		defer cancel()
		h.wantNoHandles(ctx)
	}
	again(10) // the runtime makes its threads
	before := handleCount(t)
	again(50)
	if after := handleCount(t); after > before+25 {
		t.Errorf("%d handles before 100 watches, %d after", before, after)
	}
}

// handleCount returns how many handles this process has open. It tries them all, since Wine says 0 when it is asked.
func handleCount(t *testing.T) int {
	t.Helper()
	const highest = 4 * 4096 // handles are small multiples of 4
	information := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetHandleInformation")
	n := 0
	for handle := uintptr(4); handle <= highest; handle += 4 {
		var flags uint32
		if ok, _, _ := information.Call(handle, uintptr(unsafe.Pointer(&flags))); ok != 0 {
			n++
		}
	}
	if n == 0 {
		t.Fatal("no handle is open")
	}
	return n
}

// TestNoService: Wine's service manager does not know HNS, which is nothing to ask for again.
func TestNoService(t *testing.T) {
	if _, err := hcn.New(nil).ServiceProcess(t.Context()); hnslb.ErrorClass(err) != hnslb.Unsupported {
		t.Errorf("the process of a service that there is not: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hcn.New(nil).ServiceProcess(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
		t.Errorf("after the end of the context: %v", err)
	}
}

// TestWatch: package watch notices what it should through the real driver, whatever HNS keeps back.
func TestWatch(t *testing.T) {
	h := newHost(t)
	within := late // of the first heartbeat
	d := hcn.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan hnslb.Change, 1000), make(chan struct{})
	go func() {
		defer close(done)
		watch.Run(ctx, watch.Config{
			Bare: d, Driver: hnslb.WithTimeout(d, 30*time.Second), Network: h.network.Name,
			Clock: clock.RealClock{}, Logger: klog.Background(),
		}, func(c hnslb.Change) { changes <- c })
	}()
	defer func() {
		cancel()
		<-done
	}()
	noticed := func(what string, want hnslb.Change) {
		t.Helper()
		timeout := time.After(within)
		for {
			select {
			case c := <-changes:
				if c == want {
					return
				}
			case <-timeout:
				t.Fatalf("%s: no %s within %v", what, want, within)
			}
		}
	}
	noticed("the start", hnslb.NetworksChanged)
	partly := h.profile.Quirks.NoNotifications || h.profile.Quirks.StopUntold
	if !partly {
		within = soon
	}
	for range 2 {
		h.must("replace-network", control.Name{Network: h.network.Name}, nil)
		noticed("a replaced network", hnslb.NetworksChanged)
		h.must("stop", nil, nil)
		noticed("stop", hnslb.ServiceGone)
		h.must("start", emulator.RestartOptions{}, nil)
		noticed("start", hnslb.ServiceCame)
	}
	if partly {
		return // a restart that is over at once shows in nothing but the process of the service, which Wine does not have
	}
	h.wantCallback()
	h.must("stop", nil, nil)
	h.must("start", emulator.RestartOptions{}, nil)
	noticed("a quick restart", hnslb.ServiceGone)
	noticed("a quick restart", hnslb.ServiceCame)
}
