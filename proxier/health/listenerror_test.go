// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestTakenPort: who finds its port taken asks whether kube-proxy still runs, and says how to see
// it; other failures stay as they are.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	got := Server{Name: "healthz", Addr: l.Addr().String(), HardFail: true}.Serve(t.Context())
	for _, want := range []string{
		"serve healthz on " + l.Addr().String() + ": ",
		"; is kube-proxy or another hnsproxy still running on this node? ", "-LocalPort " + port + ").OwningProcess",
	} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("error %v lacks %s", got, want)
		}
	}
	for _, tt := range []struct {
		err  error
		addr string
		want string
	}{
		{os.NewSyscallError("bind", syscall.Errno(10048)), ":80", "is kube-proxy"},
		{os.NewSyscallError("bind", syscall.Errno(10013)), ":80", "excludedportrange"},
		{errors.New("other"), ":80", ""},
		{syscall.EADDRINUSE, "nonsense", ""},
	} {
		got := explainListenError(tt.err, tt.addr)
		if !errors.Is(got, tt.err) || !strings.Contains(got.Error(), tt.want) || tt.want == "" && got.Error() != tt.err.Error() {
			t.Errorf("%v on %s: %v, want %q", tt.err, tt.addr, got, tt.want)
		}
	}
}
