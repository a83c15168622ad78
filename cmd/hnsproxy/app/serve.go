// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Exit codes of hnsproxy.
const (
	// ExitStopped follows a signal, or a command that succeeded.
	ExitStopped = 0
	// ExitFailed follows an error for which a restart may help.
	ExitFailed = 1
	// ExitInvalid follows an invalid command line or configuration file, for which a restart does
	// not help.
	ExitInvalid = 2
	// ExitConfigChanged follows a change of the configuration file; a restart applies it.
	ExitConfigChanged = 3
	// ExitFound follows a diagnosis that found a problem.
	ExitFound = 4
)

// errConfigChanged ends the program, so that its supervisor restarts it.
var errConfigChanged = errors.New("the configuration file changed; restart to apply it (or use --hns-reload-config)")

// ExitCode returns the exit code after an error of the command.
func ExitCode(err error) int {
	if err == nil {
		return ExitStopped
	}
	if _, ok := errors.AsType[*options.InvalidError](err); ok {
		return ExitInvalid
	}
	if errors.Is(err, errConfigChanged) {
		return ExitConfigChanged
	}
	if errors.Is(err, diagnose.ErrFound) {
		return ExitFound
	}
	return ExitFailed
}

// writeConfig is --write-config-to.
func writeConfig(r *options.Resolved) error {
	var text bytes.Buffer
	if err := options.WriteConfiguration(&text, r.Config); err != nil {
		return err
	}
	if err := os.WriteFile(r.WriteConfigTo, text.Bytes(), 0o644); err != nil { //nolint:gosec // it holds no secrets
		return fmt.Errorf("--write-config-to: %w", err)
	}
	return nil
}

// serve runs the proxy, and restarts it for each new configuration.
func serve(ctx context.Context, c *options.CommandLine, r *options.Resolved, d Deps) error {
	for {
		next, err := serveOne(ctx, c, r, d)
		if next == nil || err != nil {
			return err
		}
		r = next
	}
}

// serveOne runs the proxy until ctx ends, or until the configuration file has changed, in which
// case it returns the new configuration.
func serveOne(ctx context.Context, c *options.CommandLine, r *options.Resolved, d Deps) (*options.Resolved, error) {
	logger := klog.FromContext(ctx)
	var shown atomic.Pointer[options.Resolved]
	shown.Store(r)
	d.Configuration = func() any { return options.Whole(shown.Load().Config) }
	for _, w := range r.Warnings {
		logger.Info(w.Text, w.Values...)
	}
	if r.Options.ConfigFile == "" {
		return nil, Run(ctx, *r.Options, d)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := &configFile{
		resolve: func() (*options.Resolved, error) { return c.Resolve(thisHost()) },
		read:    func() ([]byte, error) { return os.ReadFile(r.Options.ConfigFile) },
		logger:  logger, clock: clock.RealClock{}, onReload: shown.Store,
	}
	var next *options.Resolved
	var changed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		next, changed = f.follow(ctx, r)
		stop()
	}()
	err := Run(ctx, *r.Options, d)
	stop()
	<-done
	return next, errors.Join(err, changed)
}

// configPeriod is how often the configuration file is read. Polling also works on volumes that
// report no changes, and through the links of a mounted ConfigMap.
const configPeriod = time.Second

// configFile watches the configuration file.
type configFile struct {
	resolve func() (*options.Resolved, error)
	read    func() ([]byte, error)
	logger  klog.Logger
	clock   clock.WithTicker
	// onReload receives a configuration that was applied without a restart; may be nil.
	onReload func(*options.Resolved)
}

// follow returns the configuration that replaces r, an error if the program has to end, or neither
// if ctx ended.
func (f *configFile) follow(ctx context.Context, r *options.Resolved) (*options.Resolved, error) {
	seen := r.File
	for {
		var ok bool
		if seen, ok = f.wait(ctx, seen); !ok {
			return nil, nil
		}
		if !r.Options.ReloadConfig {
			return nil, errConfigChanged
		}
		next, err := f.resolve()
		if err != nil {
			f.logger.Error(err, "Changed configuration file is invalid; keeping the current configuration")
			continue
		}
		f.setVerbosity(r, next)
		if !reflect.DeepEqual(r.Options, next.Options) {
			f.logger.Info("Applying the changed configuration file", "file", next.Options.ConfigFile)
			return next, nil
		}
		if r = next; f.onReload != nil {
			f.onReload(r)
		}
	}
}

// wait waits until two consecutive reads return the same content, different from seen, so that a
// file is not used while it is being written. It returns that content.
func (f *configFile) wait(ctx context.Context, seen []byte) (now []byte, ok bool) {
	ticker := f.clock.NewTicker(configPeriod)
	defer ticker.Stop()
	last := seen
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case <-ticker.C():
		}
		data, err := f.read()
		if err != nil {
			continue // the file is being replaced
		}
		if !bytes.Equal(data, seen) && bytes.Equal(data, last) {
			return data, true
		}
		last = data
	}
}

// setVerbosity applies a changed log verbosity, which needs no restart.
func (f *configFile) setVerbosity(r, next *options.Resolved) {
	level := next.Config.Logging.Verbosity
	if level == r.Config.Logging.Verbosity {
		return
	}
	if _, err := logs.GlogSetter(strconv.Itoa(int(level))); err != nil {
		f.logger.Error(err, "Cannot change log verbosity", "verbosity", level)
		return
	}
	f.logger.Info("Log verbosity changed", "verbosity", level)
}
