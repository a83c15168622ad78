// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/printable/printabletest"
	"k8s.io/apimachinery/pkg/api/resource"
	logsapi "k8s.io/component-base/logs/api/v1"
	logsjson "k8s.io/component-base/logs/json"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
)

// hostileObjects is a file with hostile text where nobody has validated it: in a name, a
// namespace, the name of a port, a kind, a field and a key.
func hostileObjects(t *testing.T) string {
	t.Helper()
	quoted := `"` + strings.NewReplacer("\x1b", `\e`, "\x07", `\a`, "\r", `\r`, "\n", `\n`, "\u202e", `\u202e`,
		"\u009b", `\u009b`, "\xff", `\xff`).Replace(printabletest.Hostile) + `"`
	const good = "metadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}\n"
	service := func(old, hostile string) string {
		return "---\napiVersion: v1\nkind: Service\n" + strings.Replace(good, old, hostile, 1)
	}
	file := filepath.Join(t.TempDir(), "hostile.yaml")
	text := service("web", quoted) + service("shop", quoted) + service("http", quoted) +
		service("spec: {", "spec: {"+quoted+": 1, ") + service("10.96.0.7", quoted) +
		strings.Replace(service("", ""), "Service", quoted, 1) + "---\n" + quoted + ": [\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// loggers are the formats of the log, each with a logger that writes to out as the program
// makes it.
func loggers(out *buffer) map[string]logr.Logger {
	text, asJSON := newLogging(defaults()), newLogging(defaults())
	asJSON.config.Format = logsapi.JSONLogFormat
	json, _ := logsjson.Factory{}.Create(*asJSON.config, *asJSON.streams(out, out))
	return map[string]logr.Logger{
		"text": textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(text.streams(out, out).ErrorStream))),
		"json": json,
	}
}

// defaults are what an empty command line says.
func defaults() *options.Resolved {
	return &options.Resolved{Config: &kubeproxy.KubeProxyConfiguration{Logging: *logsapi.NewLoggingConfiguration()}}
}

// TestHostileLog: errors, values and messages are escaped, and each record stays one line.
func TestHostileLog(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var out buffer
		logger := loggers(&out)[format]
		logger.Error(hnslb.NewError(hnslb.VerbNetwork, printabletest.Hostile, hnslb.ResultInvalidJSON, printabletest.Hostile), "HNS says "+printabletest.Hostile, "text", printabletest.Hostile, "raw", []string{printabletest.Hostile})
		logger.Info("said", "oneLine", "\u009b31m \u202e")
		printabletest.WantClean(t, format, out.String(), "forged")
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("%s: %d lines for two records:\n%s", format, n, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if format == "json" && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
}

// TestSplitLog: records are written one at a time, since those of a buffer could not be told
// apart from lines within a record.
func TestSplitLog(t *testing.T) {
	t.Parallel()
	l := newLogging(defaults())
	l.config.Options.Text.SplitStream = true
	l.config.Options.Text.InfoBufferSize = resource.QuantityValue{Quantity: resource.MustParse("1Mi")}
	var out, errOut bytes.Buffer
	l.streams(&errOut, &out)
	if n := l.config.Options.Text.InfoBufferSize.Value(); n != 0 {
		t.Errorf("the log is buffered in %d bytes", n)
	}
}

// TestHostileFileErrors: what is wrong in files is told with reason and remedy in the log,
// and nothing of it is raw.
func TestHostileFileErrors(t *testing.T) {
	t.Parallel()
	_, problems := readObjects(t.Context(), []string{hostileObjects(t)}, nil)
	if len(problems) < 7 {
		t.Fatalf("problems %v, want one for each object", problems)
	}
	for _, format := range []string{"text", "json"} {
		var out buffer
		logger := loggers(&out)[format]
		for _, err := range problems {
			logFileError(logger, err)
		}
		printabletest.WantClean(t, format, out.String(), "forged")
		for _, part := range []string{"document 1: Service shop/", "metadata.name", "lower case alphanumeric", "metadata.namespace",
			"spec.ports[0].name", "until then the last valid version of the object stays in effect"} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("the %s log says nothing of %q:\n%s", format, part, out.String())
			}
		}
	}
}

// TestHostilePlan: the same in all that hnsproxy plan prints. Networks are named by whoever
// made them.
func TestHostilePlan(t *testing.T) {
	file := hostileObjects(t)
	for _, format := range []string{"text", "json", "yaml"} {
		out, complaints, err := execute(t, "plan", "--objects", file, "--hostname-override=n", "--network-name=pods"+printabletest.Hostile, "-o", format)
		if err == nil {
			t.Error("no error for objects that cannot be used")
		}
		printabletest.WantClean(t, "plan -o "+format, out, "forged")
		printabletest.WantClean(t, "stderr of plan", complaints, "forged")
		for line := range strings.Lines(complaints) {
			if !strings.HasPrefix(line, file+", document ") && !strings.HasPrefix(line, "Node \"n\" not found") {
				t.Errorf("line %q, want one for each problem and one for the Node", line)
			}
		}
		var back struct{ Network struct{ Name string } }
		if err := json.Unmarshal([]byte(out), &back); format == "json" && (err != nil || back.Network.Name != strings.ToValidUTF8("pods"+printabletest.Hostile, "\ufffd")) {
			t.Errorf("the JSON says network %q, %v", back.Network.Name, err)
		}
	}
}

// refusingHNS refuses load balancers with hostile text.
func refusingHNS(d hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		if c.Verb == hnslb.VerbCreateLoadBalancer {
			return nil, hnslb.NewError(c.Verb, "x", hnslb.ResultInvalidArgument, printabletest.Hostile)
		}
		return next(ctx)
	})
}

// TestHostileHNS runs the program on an HNS with hostile text in its messages, and reads its
// log and its table.
func TestHostileHNS(t *testing.T) {
	t.Parallel()
	e := emulatorWith(t, "pods", "L2Bridge")
	var log, out buffer
	o := NewOptions()
	o.HNS, o.Hostname, o.Network, o.Objects, o.Table = Emulator, "win-node-1", "pods", []string{exampleDir}, true
	o.HealthzBindAddress, o.MetricsBindAddress = "", ""
	config := textlogger.NewConfig(textlogger.Verbosity(2), textlogger.Output(newLogging(defaults()).streams(&log, &log).ErrorStream))
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), textlogger.NewLogger(config)))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, *o, Deps{Driver: refusingHNS(e), Out: &out}) }()
	r := &running{t: t, out: &log}
	r.eventually("see HNS refuse", func() bool {
		return strings.Contains(out.String(), "forged") && strings.Contains(log.String(), "forged")
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	printabletest.WantClean(t, "log", log.String(), `Retrying`)
	printabletest.WantClean(t, "table", out.String(), "HNSInvalidValue")
	printabletest.WantClean(t, "table", out.String(), printabletest.Escaped)
}

// TestHostileEvent: Events of HNS's text and of the Node have no control characters, and
// their length is that of the escaped text.
func TestHostileEvent(t *testing.T) {
	s, long := &sink{}, anEvent()
	long.Message = strings.Repeat(printabletest.Hostile, 20)
	announce(t, s, "me", long)
	note := s.events[0].Note
	printabletest.WantClean(t, "Event", note, printabletest.Escaped+`\x1b]0;`)
	if len(note) > maxNoteBytes || len(note) < maxNoteBytes-3 {
		t.Errorf("a note of %d bytes", len(note))
	}
}
