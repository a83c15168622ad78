// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// now is the time of the test host.
func now() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }

// testHost is a machine whose HNS is given.
func testHost(hns HNS) Host {
	return Host{
		Environment: options.Host{Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return "win-node-1", nil }},
		Help:        func(*cobra.Command, *options.FlagSets) {},
		Write: func(w io.Writer, format string, document any, text func() string) error {
			if format != "json" {
				_, err := io.WriteString(w, text())
				return err
			}
			return json.NewEncoder(w).Encode(document)
		},
		Confirm: func(in io.Reader, out io.Writer, text string) error {
			_, _ = io.WriteString(out, text)
			if answer, _ := io.ReadAll(in); string(answer) != "y\n" {
				return errors.New("nothing was done")
			}
			return nil
		},
		Terminal: func(io.Writer) (int, bool) { return 0, false },
		HNS:      func(context.Context, *options.Options) (HNS, error) { return hns, nil },
		API:      func(*options.Options) (*rest.Config, error) { return nil, errors.New("there is no cluster") },
		Version:  func() string { return "hnsproxy/test" },
		Now:      now,
	}
}

// execute runs a command of the host.
func execute(t *testing.T, h Host, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "hnsproxy", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands(h)...)
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetIn(strings.NewReader("n\n"))
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

// golden compares a text with a file; UPDATE=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
