// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	root := flags.String("root", "../..", "the repository")
	out := flags.String("out", "", "where to write: a file for image, a directory for release")
	name := flags.String("name", "ghcr.io/hnsproxy/hnsproxy", "name of the image")
	arches := flags.String("arch", "amd64,arm64", "architectures")
	if len(args) == 0 || args[0] != "image" && args[0] != "release" {
		return fmt.Errorf("give image or release, and --out")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("give --out, and no other arguments")
	}
	version, err := chartVersion(*root)
	if err != nil {
		return err
	}
	b, err := build(*root, version, strings.Split(*arches, ","))
	if err != nil {
		return err
	}
	if args[0] == "release" {
		return writeRelease(*out, *root, b, *name)
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return err
	}
	return writeImage(*out, b, *name)
}

// chartVersion is the version of hnsproxy that the chart installs, so that image and chart belong together.
func chartVersion(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "deploy/chart/hnsproxy/Chart.yaml"))
	if err != nil {
		return "", err
	}
	var chart struct{ AppVersion string }
	if err := yaml.Unmarshal(text, &chart); err != nil {
		return "", err
	}
	return chart.AppVersion, nil
}
