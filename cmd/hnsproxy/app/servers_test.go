// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier/health"
)

// TestLongProfile: a profile takes as long as was asked for, whatever the time-outs of the
// port.
func TestLongProfile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, at := proxiertest.NewNetwork(), netip.MustParseAddrPort("127.0.0.1:10249")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		shown := pages.New(pages.Config{Profiling: true})
		go func() {
			ended <- health.Server{Name: "metrics", Addr: at.String(), Handler: shown, Network: n}.Serve(ctx)
		}()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("ended with %v", err)
			}
		}()
		synctest.Wait()
		begin := time.Now()
		c, err := n.Dial(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		// The difference of two heap profiles; unlike the others it needs nothing of the
		// process that other tests may be using.
		if _, err := io.WriteString(c, "GET /debug/pprof/heap?seconds=90 HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("status %d, %d bytes, %v", response.StatusCode, len(body), err)
		}
		if took := time.Since(begin); took != 90*time.Second {
			t.Errorf("it took %v", took)
		}
		_ = response.Body.Close()
	})
}
