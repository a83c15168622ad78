// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"os"

	"github.com/go-logr/logr"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// logging configures the log of the process. It affects the whole process, so commands do it and
// Run does not.
type logging struct {
	config *logsapi.LoggingConfiguration
	files  options.LogFiles
}

func newLogging(r *options.Resolved) *logging { return &logging{&r.Config.Logging, r.LogFiles} }

// apply sets logging up for the process.
func (l *logging) apply(gate featuregate.FeatureGate) error {
	if errs := logsapi.Validate(l.config, gate, nil); len(errs) > 0 {
		return fmt.Errorf("set up logging: %w", errs.ToAggregate())
	}
	var stderr, stdout io.Writer = os.Stderr, os.Stdout
	if l.toFiles() {
		file, err := openLogFile(l.files, stderr)
		if err != nil {
			return err
		}
		stderr, stdout = file, file
	}
	if err := logsapi.ValidateAndApplyWithOptions(l.config, l.streams(stderr, stdout), gate); err != nil {
		return fmt.Errorf("set up logging: %w", err)
	}
	return nil
}

// streams returns the outputs of the logger. They escape everything that is not printable,
// whichever library logs it.
func (l *logging) streams(stderr, stdout io.Writer) *logsapi.LoggingOptions {
	wrap := printable.Records
	if l.config.Format == logsapi.JSONLogFormat {
		wrap = printable.JSONRecords
	}
	// Disable the buffer: it would pass on several records at once, which cannot be told from one
	// record with line breaks.
	l.config.Options.Text.InfoBufferSize = resource.QuantityValue{}
	return &logsapi.LoggingOptions{ErrorStream: wrap(stderr), InfoStream: wrap(stdout)}
}

// toFiles returns whether the log is written to files.
func (l *logging) toFiles() bool { return !l.files.ToStderr }

// ownLogger returns a logger for commands that do not configure the log of the process.
func ownLogger(stderr io.Writer) klog.Logger {
	return textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(printable.Records(stderr))))
}

// errorsOnly logs errors only, since information would be printed between the tables.
func errorsOnly(sink logr.LogSink) { klog.SetLogger(logr.New(quiet{sink})) }

// quiet is a sink for errors.
type quiet struct{ logr.LogSink }

// Enabled implements logr.LogSink.
func (quiet) Enabled(int) bool { return false }

// WithValues implements logr.LogSink.
func (q quiet) WithValues(kv ...any) logr.LogSink { return quiet{q.LogSink.WithValues(kv...)} }

// WithName implements logr.LogSink.
func (q quiet) WithName(name string) logr.LogSink { return quiet{q.LogSink.WithName(name)} }
