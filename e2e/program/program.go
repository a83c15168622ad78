// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
)

// Program is a Service proxy as a file.
type Program struct {
	// Name is "hnsproxy" or "kube-proxy".
	Name string
	// Path of the file for Windows.
	Path string
}

// Hnsproxy builds hnsproxy.exe from this repository into dir.
func Hnsproxy(ctx context.Context, dir string) (Program, error) {
	p := Program{Name: "hnsproxy", Path: filepath.Join(dir, "hnsproxy.exe")}
	build := exec.CommandContext(ctx, "go", "build", "-o", p.Path, "./cmd/hnsproxy")
	build.Dir = repository()
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return Program{}, fmt.Errorf("build hnsproxy.exe: %w\n%s", err, output)
	}
	return p, nil
}

// KubeProxy returns upstream's kube-proxy.exe, built if it was not yet: minutes the first time.
func KubeProxy(ctx context.Context) (Program, error) {
	const file = "kube-proxy.exe"
	script := filepath.Join(repository(), "hack", "control-plane.sh")
	if output, err := exec.CommandContext(ctx, script, file).CombinedOutput(); err != nil {
		return Program{}, fmt.Errorf("make %s: %w\n%s", file, err, output)
	}
	path, err := controlplane.Program(file)
	return Program{Name: "kube-proxy", Path: path}, err
}

// Version asks the program for its own version, in one line. What hnsproxy prints for --version is that of kube-proxy.
func (p Program) Version(ctx context.Context) (string, error) {
	ask := "--version"
	if p.Name == "hnsproxy" {
		ask = "version"
	}
	cmd, err := winlab.Command(ctx, nil, p.Path, ask)
	if err != nil {
		return "", err
	}
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", p.Name, ask, err)
	}
	return strings.Join(strings.Fields(string(output)), " "), nil
}

// repository is the directory that holds all of hnsproxy. Programs that need it must not be built with -trimpath.
func repository() string {
	_, source, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(source), "..", "..")
}
