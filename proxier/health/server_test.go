// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

// ask sends one request on a connection of its own.
func ask(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+url, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func hello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestServeRetries: a taken address is tried again every 5 s until it is free, and the end
// of the context ends the server without an error.
func TestServeRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := listen(t)
		addr := holder.Addr().String()
		var mu sync.Mutex
		var said []string
		logger := funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, args)
		}, funcr.Options{})
		ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), logger))
		ended := make(chan error, 1)
		go func() { ended <- health.Server{Name: "healthz", Addr: addr, Handler: hello()}.Serve(ctx) }()

		<-time.After(12 * time.Second) // Tries at 0, 5 and 10 s.
		mu.Lock()
		if len(said) != 3 || !strings.Contains(said[0], "serve healthz on "+addr) {
			t.Errorf("log after 12 s: %q, want the failure three times", said)
		}
		mu.Unlock()
		if err := holder.Close(); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second)
		// The fourth try is due now. A bubble's time stands still while it accepts.
		body, err := ask(ctx, addr)
		for err != nil {
			body, err = ask(ctx, addr)
		}
		if body != "hello" {
			t.Errorf("once the address was free: %q", body)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		if _, err := ask(t.Context(), addr); err == nil {
			t.Error("still answers after the end")
		}
	})
}

func TestServeStopsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := listen(t).Addr().String()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- health.Server{Name: "healthz", Addr: addr, Handler: hello()}.Serve(ctx) }()
		synctest.Wait()
		begin := time.Now()
		cancel()
		if err := <-ended; err != nil || time.Since(begin) > 0 {
			t.Errorf("ended with %v after %v", err, time.Since(begin))
		}
	})
}

func TestServeHardFail(t *testing.T) {
	addr := listen(t).Addr().String()
	var heard error
	err := health.Server{Name: "metrics", Addr: addr, Handler: hello(), HardFail: true, Failed: func(err error) { heard = err }}.Serve(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "serve metrics on "+addr+": ") {
		t.Errorf("got %v, want an error that names server and address", err)
	}
	if !errors.Is(heard, err) {
		t.Errorf("heard of %v", heard)
	}
}

func TestServeNothing(t *testing.T) {
	server := health.Server{Name: "healthz", Handler: hello(), HardFail: true}
	if err := server.Serve(t.Context()); err != nil {
		t.Errorf("an empty address: %v", err)
	}
}

// TestServeDrains: a request in progress gets its answer although the server has to stop.
func TestServeDrains(t *testing.T) {
	holder := listen(t)
	addr := holder.Addr().String()
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-ctx.Done()
			if err := r.Context().Err(); err != nil {
				t.Errorf("the request was cut off: %v", err)
			}
		}
		_, _ = io.WriteString(w, "in the end")
	})
	ended := make(chan error, 1)
	go func() { ended <- health.Server{Name: "healthz", Addr: addr, Handler: slow}.Serve(ctx) }()
	listening := func(ctx context.Context) (bool, error) {
		_, err := ask(ctx, addr+"/ready")
		return err == nil, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, listening); err != nil {
		t.Fatal(err)
	}
	answers := make(chan string, 1)
	go func() {
		body, err := ask(t.Context(), addr+"/slow")
		answers <- fmt.Sprint(body, err)
	}()
	<-arrived
	cancel()
	if got := <-answers; got != "in the end<nil>" {
		t.Errorf("answer %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}
