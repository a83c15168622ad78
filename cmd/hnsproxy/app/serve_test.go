// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"k8s.io/klog/v2"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/clock"
)

// TestFollowConfig: a changed file ends the program, or is taken over when that was asked
// for; one that cannot be used, and one that is being written, change nothing.
func TestFollowConfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reload bool
		// reads are what the file holds second by second, the last one from then on; each
		// but "bad" and "" names the network that it configures, and "" is no file.
		reads []string
		want  string // the network taken over, or the error
	}{
		{"nothing changes", true, []string{"a"}, ""},
		{"a change ends the program", false, []string{"a", "b"}, errConfigChanged.Error()},
		{"a bad change does, too", false, []string{"a", "bad"}, errConfigChanged.Error()},
		{"a change is taken over", true, []string{"a", "b"}, "b"},
		{"a bad change is not", true, []string{"a", "bad"}, ""},
		{"a good change after a bad one", true, []string{"bad", "bad", "bad", "c"}, "c"},
		{"back to what was there after a bad one", true, []string{"bad", "bad", "bad", "a"}, ""},
		{"half written", true, []string{"b", "c"}, "c"},
		{"replaced", true, []string{"", "", "b"}, "b"},
		{"gone", false, []string{""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, held := -1, ""
				r := func(name string) *options.Resolved {
					o := options.New()
					o.Network, o.ReloadConfig = name, tt.reload
					return &options.Resolved{Options: o, Config: &kubeproxy.KubeProxyConfiguration{}, File: []byte(name)}
				}
				f := &configFile{
					read: func() ([]byte, error) {
						n = min(n+1, len(tt.reads)-1)
						if held = tt.reads[n]; held == "" {
							return nil, errors.New("no such file")
						}
						return []byte(held), nil
					},
					resolve: func() (*options.Resolved, error) {
						if held == "bad" {
							return nil, errors.New("it is bad")
						}
						return r(held), nil
					},
					logger: klog.Background(), clock: clock.RealClock{},
				}
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				next, err := f.follow(ctx, r("a"))
				got := ""
				if next != nil {
					got = next.Options.Network
				}
				if err != nil {
					got = fmt.Sprint(err)
				}
				if got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}
