// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/emulated"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// asProgram makes the test binary the program itself.
const asProgram = "HNSPROXY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(func(o *app.Options, logger klog.Logger, c clock.WithTicker) (app.Emulation, error) {
			return emulated.New(o, logger, c) // on Windows, too
		}))
	}
	os.Exit(m.Run())
}

// program runs hnsproxy in a process of its own, which is to end with an exit code, and returns what it wrote.
func program(t *testing.T, code int, args ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if exit, ok := errors.AsType[*exec.ExitError](c.Run()); !ok || exit.ExitCode() != code {
		t.Errorf("%q ended with %v, want exit code %d:\n%s", args, exit, code, out.String())
	}
	return out.String()
}

// wantPrintable fails if text lacks a part, holds control or format characters, or has a
// line that begins like one of the log but is none.
func wantPrintable(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("no %q in\n%q", part, text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) }); i >= 0 {
		t.Errorf("%q holds a control character, from %q", text, text[i:])
	}
	if strings.Contains(text, "\nI1124 forged") {
		t.Errorf("a forged line in\n%q", text)
	}
}

// hostileName has an escape sequence, a second line, a change of direction and a colour.
const hostileName = "\x1b[2J\r\nI1124 forged\u202e\u009b31m"

// inLog is hostileName in a log of text, where klog indents the lines of a value.
const inLog = `\x1b[2J\r\n\tI1124 forged\u202e\u009b31m`

// TestHostileNames starts the program with a file that nobody has validated, in each format
// of the log. A port that is taken ends it once the file was read.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	dir := t.TempDir()
	file := filepath.Join(dir, "hostile.yaml")
	if err := os.WriteFile(file, []byte(`{apiVersion: v1, kind: Service, metadata: {name: "\e[2J\r\nI1124 forged\u202e\u009b31m"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--hns=emulator", "--hostname-override=n", "--objects=" + file, "--metrics-bind-address=",
		"--healthz-bind-address=" + taken.Addr().String(), "--bind-address-hard-fail"}
	for _, tt := range []struct {
		format []string
		want   string
	}{
		{nil, inLog},
		{[]string{"--logging-format=json"}, `\u001b[2J\r\nI1124 forged\u202e\u009b31m`},
		{[]string{"--table"}, inLog},
		{[]string{"--logtostderr=false", "--alsologtostderr", "--log-file=" + filepath.Join(dir, "log")}, inLog},
		{[]string{"--logtostderr=false", "--logging-format=json", "--log-file=" + filepath.Join(dir, "json")}, `\u001b[2J\r\nI1124 forged\u202e\u009b31m`},
	} {
		out := program(t, 1, append(tt.format, args...)...)
		wantPrintable(t, out, tt.want)
		if !strings.Contains(out, "metadata.name: a lowercase RFC 1123 label") {
			t.Errorf("with %q the reason is missing:\n%s", tt.format, out)
		}
	}
	for name, want := range map[string]string{"log": inLog, "json": `\u001b[2J\r\nI1124 forged\u202e\u009b31m`} {
		log, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		wantPrintable(t, string(log), want)
	}
}

// TestHostileError: the last words of the program are printable too, and keep their lines.
func TestHostileError(t *testing.T) {
	t.Parallel()
	wantPrintable(t, program(t, 1, "plan", "--objects="+hostileName, "--emulator-state=x"+hostileName), "Error: ")
	wantPrintable(t, program(t, 1, "--hns=emulator", "--hostname-override=n", "--objects="+hostileName), "Error: open objects: \\x1b[2J\\r\n  I1124 forged\\u202e")
	wantPrintable(t, program(t, 1, "--hns=emulator", "--hostname-override=n", "--objects="+hostileName, "--logtostderr=false", "--stderrthreshold=INFO",
		"--log-file="+filepath.Join(t.TempDir(), "log")), "\"Command line\" ")
	out := program(t, 2, "--hns=emulator", "--hostname-override=n", "--proxy-mode=userspace", "--source-vip=x"+hostileName)
	wantPrintable(t, out, "\n  --source-vip=x\\x1b[2J\\r\n  I1124 forged")
}

// TestLogDir: the directory of the log is made, or the program ends and says why.
func TestLogDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "logs")
	args := []string{"--hns=emulator", "--hostname-override=n", "--objects=none", "--logtostderr=false"}
	program(t, 1, append(args, "--log-dir="+dir)...)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || filepath.Ext(files[0].Name()) != ".log" {
		t.Fatalf("log files %v, %v", files, err)
	}
	path := filepath.Join(dir, files[0].Name())
	log, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(log), `"Command line"`) {
		t.Errorf("log %q, %v", log, err)
	}
	out := program(t, 1, append(args, "--log-dir="+path)...)
	if !strings.Contains(out, "Error: --log-dir="+path+": cannot create the directory: ") {
		t.Errorf("a file as directory: %s", out)
	}
	out = program(t, 1, append(args, "--log-file="+dir)...)
	if !strings.Contains(out, "Error: --log-file="+dir+": ") {
		t.Errorf("a directory as file: %s", out)
	}
}
