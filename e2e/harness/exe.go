// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
)

const (
	// quietFor is how long HNS must not be called until nothing counts as on its way any more. It is longer than hnsproxy ever
	// waits between two calls that belong together, and shorter than the time between two audits of a test.
	quietFor = 100 * time.Millisecond
	// handlePatience is for calls that are on their way when handles are counted.
	handlePatience = 5 * time.Second
)

// exe is a hnsproxy.exe under Wine. What it does is known from its log, its pages, and the calls that reach HNS.
type exe struct {
	*program.Running
	// hns serves the world's HNS to this process alone, so that all handles there are its own.
	hns *winlab.Service
	log *Log

	mu sync.Mutex
	// calls is how often HNS has been called, since is when it last changed.
	calls int
	since time.Time
}

func (w *World) startExe() (*exe, *Log) {
	w.tb.Helper()
	o := w.options()
	hns, err := winlab.Serve(w.HNS)
	w.Must(err)
	// The process must outlive the test's own context, to be stopped in good order.
	running, err := w.program.Launch(context.Background(), hns, w.tb.TempDir(),
		"--kubeconfig="+o.Kubeconfig, "--hostname-override="+o.Hostname, "--network-name="+o.Network, "--source-vip="+o.SourceVIP,
		fmt.Sprintf("--enable-dsr=%t", o.EnableDSR), "--iptables-sync-period="+o.SyncPeriod.String(),
		"--healthz-bind-address="+o.HealthzBindAddress, "--metrics-bind-address="+o.MetricsBindAddress, "--bind-address-hard-fail",
		"--proxy-mode=kernelspace", "--v=2",
	)
	if err != nil {
		w.tb.Fatal(errors.Join(err, hns.Close()))
	}
	e := &exe{Running: running, hns: hns}
	e.log = &Log{lines: e.lines}
	return e, e.log
}

// lines returns the log. While it cannot be read it says why.
func (e *exe) lines() []string {
	text, err := e.Log()
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimSpace(text), "\n")
}

func (e *exe) stop() error {
	e.Stop()
	return errors.Join(e.Err(), e.hns.Close())
}

func (e *exe) kill() error {
	e.Kill()
	return e.hns.Close()
}

// Stopping tells whether the servers are gone, which is the first thing to go.
func (e *exe) Stopping() bool {
	_, _, err := Get("http://" + e.address("metrics") + "/healthz")
	return err != nil
}

func (e *exe) address(server string) string {
	match := regexp.MustCompile(`"Serving" what="` + server + `" address="([^"]+)"`).FindStringSubmatch(strings.Join(e.lines(), "\n"))
	if match == nil {
		return ""
	}
	return match[1]
}

func (e *exe) Synced() bool { return e.log.Count(`"Starting" node=`) > 0 }

func (e *exe) idle() bool {
	if !e.quiet() || e.log.Count("First sync complete") == 0 {
		return false
	}
	behind, err := e.behind()
	return err == nil && !behind && e.quiet()
}

// called returns how often HNS has been called.
func (e *exe) called() int { return sum(e.hns.Server.Calls()) }

// quiet tells whether HNS has not been called for a while.
func (e *exe) quiet() bool {
	calls := e.called()
	e.mu.Lock()
	defer e.mu.Unlock()
	if calls != e.calls {
		e.calls, e.since = calls, time.Now()
	}
	return time.Since(e.since) >= quietFor
}

// behind tells whether work waits: a change that was not taken up yet, or a family that was queued after all of its work was
// last done.
func (e *exe) behind() (bool, error) {
	_, page, err := Get("http://" + e.address("metrics") + "/metrics")
	if err != nil {
		return false, err
	}
	metrics, err := ParseMetrics(page)
	if err != nil {
		return false, err
	}
	_, body, err := Get("http://" + e.address("healthz") + "/livez")
	if err != nil {
		return false, err
	}
	var health struct {
		Status map[string]struct{ LastUpdated time.Time }
	}
	if err := json.Unmarshal([]byte(body), &health); err != nil {
		return false, fmt.Errorf("read %q: %w", body, err)
	}
	const prefix = "kubeproxy_sync_proxy_rules_"
	behind := metrics.Value(prefix+"service_changes_pending")+metrics.Value(prefix+"endpoint_changes_pending") > 0
	for _, family := range []string{"IPv4", "IPv6"} {
		// Both are the clock of one process; as numbers they are equal when the times are.
		done := float64(health.Status[family].LastUpdated.UnixNano()) / 1e9
		behind = behind || metrics.Value(prefix+"last_queued_timestamp_seconds", "ip_family", family) > max(done, 0)
	}
	return behind, nil
}

// Table returns hnsproxy's own numbers: it does not print its table where a test could read it.
func (e *exe) Table() string {
	_, page, err := Get("http://" + e.address("metrics") + "/metrics")
	if err != nil {
		return err.Error()
	}
	var numbers []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "hnsproxy_") && !strings.Contains(line, "_bucket{") {
			numbers = append(numbers, strings.TrimSpace(line))
		}
	}
	return strings.Join(numbers, "\n")
}

// leaks tells whether handles are open that no failed call explains, since hcsshim itself leaks those, beside the one of the
// watch, which a program that runs keeps.
func (e *exe) leaks() error {
	err := wait.PollUntilContextTimeout(context.Background(), pollInterval, handlePatience, true, func(context.Context) (bool, error) {
		handles := e.hns.Server.Handles()
		return handles.Leaked() <= min(1, handles.Open["Callback"]), nil
	})
	if err != nil {
		return fmt.Errorf("it left handles open: %+v", e.hns.Server.Handles())
	}
	return nil
}
