// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hnsproxy/hnsproxy/e2e/process"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
)

// stopGrace is how long a program may take to end on Ctrl+C.
const stopGrace = 10 * time.Second

// Host is the Windows node that a program runs on.
type Host struct {
	HNS *winlab.Service
	// Kubeconfig is a file, Node the name of the Node object, Network that of the HNS network.
	Kubeconfig, Node, Network string
	// SourceVIP is needed on an overlay network.
	SourceVIP string
	// Dir gets the logs.
	Dir string
	// Args are further flags.
	Args []string
}

// Running is a program that was started. Its methods may be called from several goroutines.
type Running struct {
	*process.Process
	// Started is when.
	Started time.Time

	logPath, metrics string
	hns              *winlab.Service
}

// Start starts the program with DSR and otherwise default options.
func (p Program) Start(ctx context.Context, h Host) (*Running, error) {
	ports, err := freeAddresses(2)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	args := append([]string{
		"--proxy-mode=kernelspace",
		"--kubeconfig=" + h.Kubeconfig,
		"--hostname-override=" + h.Node,
		"--network-name=" + h.Network,
		"--enable-dsr=true",
		"--healthz-bind-address=" + ports[0],
		"--metrics-bind-address=" + ports[1],
	}, h.Args...)
	if h.SourceVIP != "" {
		args = append(args, "--source-vip="+h.SourceVIP)
	}
	r, err := p.Launch(ctx, h.HNS, h.Dir, args...)
	if err != nil {
		return nil, err
	}
	r.metrics = "http://" + ports[1] + "/metrics"
	return r, nil
}

// Launch starts the program with these flags and no others. Its log is a new file in dir. Where it serves metrics is not known,
// so that Syncs is of no use.
func (p Program) Launch(ctx context.Context, hns *winlab.Service, dir string, args ...string) (*Running, error) {
	cmd, err := hns.Command(ctx, p.Path, args...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	r := &Running{Started: time.Now(), hns: hns}
	r.logPath = filepath.Join(dir, fmt.Sprintf("%s-%s.log", p.Name, r.Started.Format("150405.000")))
	if r.Process, err = process.StartCommand(cmd, p.Name, r.logPath); err != nil {
		return nil, err
	}
	return r, nil
}

// Stop ends the program as Ctrl+C does and returns when it is gone. HNS closes the handles that it left open.
func (r *Running) Stop() {
	r.Interrupt(stopGrace)
	r.hns.Server.DropHandles()
}

// Kill ends the program as a crash does.
func (r *Running) Kill() {
	r.Process.Kill()
	r.hns.Server.DropHandles()
}

// Log returns what the program has logged.
func (r *Running) Log() (string, error) {
	text, err := os.ReadFile(r.logPath)
	if err != nil {
		return "", fmt.Errorf("log of %s: %w", r.Name(), err)
	}
	return string(text), nil
}

// Errors returns what the program has logged as an error, a line each, or as Go's runtime prints a panic.
func (r *Running) Errors() ([]string, error) {
	text, err := r.Log()
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(text) {
		// klog's header: the severity, month and day in digits.
		severe := len(line) > 5 && strings.ContainsRune("EF", rune(line[0])) && strings.Trim(line[1:5], "0123456789") == ""
		if severe || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found, nil
}

// Syncs returns how many syncs the program has made, by the metric that both programs serve; 0 before it serves anything.
func (r *Running) Syncs(ctx context.Context) (int, error) {
	families, err := r.scrape(ctx)
	if err != nil {
		if r.ended() {
			return 0, fmt.Errorf("%s has ended: %w; its log ends with:\n%s", r.Name(), r.Err(), r.Tail(20))
		}
		return 0, nil // it does not serve yet
	}
	count := 0
	for _, m := range families["kubeproxy_sync_proxy_rules_duration_seconds"].GetMetric() {
		count += int(m.GetHistogram().GetSampleCount())
	}
	return count, nil
}

func (r *Running) ended() bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

func (r *Running) scrape(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metrics, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", r.Name(), err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", r.Name(), err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", r.Name(), err)
	}
	return families, nil
}

// freeAddresses returns loopback addresses on which nobody listens, as far as one can tell.
func freeAddresses(n int) ([]string, error) {
	var free []string
	var open []net.Listener
	defer func() {
		for _, l := range open {
			_ = l.Close() // it was only there to choose the port
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(errors.New("no free port"), err)
		}
		open, free = append(open, l), append(free, l.Addr().String())
	}
	return free, nil
}
