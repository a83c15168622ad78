// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

var _ hnslb.Watcher = (*Driver)(nil)

// patience is how long the end of a watch waits for HNS to forget it.
const patience = 2 * time.Second

// service is the object of errors that are about HNS as a whole.
const service = "HNS"

// Watch is part of hnslb.Watcher: 1 call, and 1 more when it ends. HNS calls back on threads
// of its own.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) {
	n := callName{hnslb.VerbWatch, service}
	if err := alive(ctx, n.verb, n.object); err != nil {
		return nil, err
	}
	if err := d.api.register.Find(); err != nil {
		return nil, n.fail(hnslb.Unsupported, fmt.Errorf("this version of Windows does not have %s: %w", d.api.register.Name, err))
	}
	r := d.api.newRegistration()
	registered := make(chan error, 1)
	go func() { registered <- r.register() }()
	select {
	case err := <-registered:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done(): // the call cannot be taken back
		go func() {
			if <-registered == nil {
				r.unregister()
			}
		}()
		return nil, n.fail(hnslb.Timeout, context.Cause(ctx))
	}
	changed := make(chan struct{}, 1)
	go func() {
		r.forward(ctx.Done(), changed)
		unregistered := make(chan struct{})
		go func() {
			r.unregister()
			close(unregistered)
		}()
		if ctx.Err() != nil {
			// Whoever ends may end the process next. The call may hang, so it is not waited
			// for without end, and not at all when it was HNS that ended.
			select {
			case <-unregistered:
			case <-time.After(patience):
			}
		}
		close(changed)
	}()
	return changed, nil
}

// registration is one callback that HNS knows.
type registration struct {
	api
	*news
	// context is the value that HNS passes to the callback. It is a number and no pointer,
	// because HNS may keep it for longer than we do.
	context, handle uintptr
}

func (a api) newRegistration() *registration {
	return &registration{api: a, news: newNews()}
}

func (r *registration) register() error {
	r.context = notified.add(r.news)
	result, _, _ := r.api.register.Call(notified.callback(), r.context, uintptr(unsafe.Pointer(&r.handle)))
	if code := hnslb.HRESULT(uint32(result)); int32(code) < 0 {
		notified.remove(r.context)
		return &hnslb.Error{
			Verb: hnslb.VerbWatch, Object: service, Class: hnslb.ClassOf(code), Code: code,
			Err: fmt.Errorf("HcnRegisterServiceCallback: %w", windows.Errno(code)),
		}
	}
	return nil
}

// unregister ends the callbacks. That it fails where the service went away is as expected:
// the service has forgotten the callback.
func (r *registration) unregister() {
	_, _, _ = r.api.unregister.Call(r.handle)
	notified.remove(r.context)
}

// notified are those that wait for notifications in this process.
//
//nolint:gochecknoglobals // Windows never frees a callback, so the process has one, which must find its receiver.
var notified receivers

type receivers struct {
	made    sync.Once
	pointer uintptr

	mu   sync.Mutex // guards what follows
	last uintptr
	all  map[uintptr]*news
}

// callback returns what HNS calls.
func (r *receivers) callback() uintptr {
	r.made.Do(func() { r.pointer = windows.NewCallback(r.hear) })
	return r.pointer
}

func (r *receivers) add(n *news) uintptr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[uintptr]*news{}
	}
	r.last++
	r.all[r.last] = n
	return r.last
}

func (r *receivers) remove(context uintptr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, context)
}

func (r *receivers) get(context uintptr) *news {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[context]
}

// hear is HCN_NOTIFICATION_CALLBACK: it runs on a thread of HNS's, and must not
// wait for anything. Of a kind, which is a DWORD, only the lower half is defined.
func (r *receivers) hear(kind, context, _, _ uintptr) uintptr {
	if n := r.get(context); n != nil {
		n.add(notificationKind(uint32(kind)))
	}
	return 0
}
