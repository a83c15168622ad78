// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// troubled is an API server that gives empty lists, or an error.
type troubled struct {
	mu  sync.Mutex
	err func(resource string) error
}

func (s *troubled) set(err func(resource string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// refused is what a request ends with when nobody listens.
func refused(resource string) error {
	return &url.Error{Op: "Get", URL: "https://10.0.0.10:6443/api/v1/" + resource + "?limit=500", Err: &net.OpError{
		Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 10), Port: 6443}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
}

// forbidden is the answer for a user without rights.
func forbidden(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("may not"))
}

// listWatch follows a resource of the server.
func (s *troubled) listWatch(resource string, list runtime.Object) cache.ListerWatcherWithContext {
	ask := func(ctx context.Context) error {
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		if err == nil {
			return nil
		}
		if err := err(resource); err != nil {
			return err
		}
		<-ctx.Done() // a server that never answers
		return ctx.Err()
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
			return list, ask(ctx)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			if err := ask(ctx); err != nil {
				return nil, err
			}
			if o.SendInitialEvents != nil {
				return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
			}
			w := watch.NewRaceFreeFake()
			context.AfterFunc(ctx, w.Stop)
			time.AfterFunc(10*time.Second, w.Stop)
			return w, nil
		},
	}
}

// TestContact: an API server that cannot be reached is told at once with its address, again
// each minute, in one line for all resources, and so is its return. One that never answers is
// told within a few seconds.
func TestContact(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   func(string) error
		first time.Duration
		lines int
		said  string
	}{
		{"refused", refused, 0, 1, `"msg"="API server unreachable; retrying" "error"="dial tcp 10.0.0.10:6443: connect: connection refused" ` +
			`"server"="https://10.0.0.10:6443"`},
		{"silent", func(string) error { return nil }, 6 * time.Second, 1, `"error"="no response yet" "server"="https://10.0.0.10:6443"`},
		{"forbidden", forbidden, 0, 3, `"msg"="API server rejected a request; retrying" "error"="services is forbidden`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testContact(t, tt.err, tt.first, tt.lines, tt.said) })
		})
	}
}

func testContact(t *testing.T, err func(string) error, first time.Duration, lines int, said string) {
	t.Helper()
	book := &logLines{begin: time.Now()}
	server := &troubled{}
	logger := funcr.New(book.add, funcr.Options{})
	c := newAPIMonitor("https://10.0.0.10:6443", "fix it", logger, clock.RealClock{})
	follow := func(resource string, list runtime.Object) cache.ListerWatcher {
		return monitoredListWatch{server.listWatch(resource, list), resource, c}
	}
	meta := metav1.ListMeta{ResourceVersion: "1"}
	i, buildErr := newInformers(listWatches{
		objects.Services:       follow("services", &corev1.ServiceList{ListMeta: meta}),
		objects.EndpointSlices: follow("endpointslices", &discoveryv1.EndpointSliceList{ListMeta: meta}),
		objects.Nodes:          follow("nodes", &corev1.NodeList{ListMeta: meta}),
	}, time.Hour, cacheTransform{}, nil)
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	ctx, stop := context.WithCancel(klog.NewContext(t.Context(), logger))
	var ended sync.WaitGroup
	server.set(err)
	ended.Go(func() { i.run(ctx) })
	ended.Go(func() { c.run(ctx) })
	const minutes = 10
	<-time.After(minutes*time.Minute + 30*time.Second)
	got := book.take()
	if len(got) != lines*(minutes+1) {
		t.Errorf("%d lines in %d minutes, want %d:\n%s", len(got), minutes, lines*(minutes+1), strings.Join(got, "\n"))
	}
	for n, line := range got {
		at, _, _ := strings.Cut(line, " ")
		after, _ := time.ParseDuration(at)
		if late := after - first - time.Duration(n/lines)*time.Minute; late < 0 || late > checkInterval*time.Duration(n/lines) {
			t.Errorf("line %d came after %v: %s", n, after, line)
		}
	}
	if all := strings.Join(got, "\n"); !strings.Contains(all, said) {
		t.Errorf("not told: %s:\n%s", said, all)
	}
	if err("") == nil {
		stop() // what never answers ends with the program
		ended.Wait()
		return
	}
	server.set(nil)
	<-time.After(3 * time.Minute)
	got = book.take()
	healed := got[max(0, len(got)-1):] // what came before are reminders
	if len(healed) != 1 || !strings.Contains(healed[0], `"msg"="API server reachable again" "server"="https://10.0.0.10:6443"`) {
		t.Errorf("healed: %q", got)
	}
	stop()
	ended.Wait()
}

// logLines keeps the lines of a log, with their times since begin.
type logLines struct {
	begin time.Time
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprint(time.Since(l.begin), " ", line))
}

func (l *logLines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lines
	l.lines = nil
	return out
}

// TestContactFlaps: each loss of contact is told, and what is the same in between is not.
func TestContactFlaps(t *testing.T) {
	t.Parallel()
	book := &logLines{begin: time.Now()}
	c := newAPIMonitor("https://m", "fix it", funcr.New(book.add, funcr.Options{}), clock.RealClock{})
	for range 2 {
		for _, err := range []error{refused("nodes"), refused("nodes"), nil, nil} {
			c.note("nodes", err)
		}
	}
	if got := book.take(); len(got) != 4 || !strings.Contains(got[2], "unreachable") || !strings.Contains(got[3], "reachable again") {
		t.Errorf("said %q", got)
	}
}

// TestContactRemedy: what to do depends on who named the API server.
func TestContactRemedy(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Kubeconfig: "f", Master: "https://m"}, "its address is correct in --master"},
		{Options{Kubeconfig: "f"}, "--kubeconfig=f"},
		{Options{KubeconfigList: "g"}, "KUBECONFIG=g"},
		{Options{}, "set --master to the API server's own address"},
	} {
		remedy := apiServerRemedy(&tt.o)
		if !strings.Contains(remedy, tt.want) {
			t.Errorf("%+v: %s", tt.o, remedy)
		}
		got[remedy] = true
	}
	if len(got) != 4 {
		t.Errorf("remedies %v", got)
	}
	reasons := map[string]bool{}
	for _, reason := range []metav1.StatusReason{metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonInternalError} {
		reasons[refusalRemedy(reason)] = true
	}
	if len(reasons) != 3 {
		t.Errorf("remedies of answers %v", reasons)
	}
}
