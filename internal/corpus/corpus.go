// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package corpus holds the ways in which kube-proxy.exe is started on Windows nodes out there:
// command lines, and the configuration files that they name. Tests of the command line read
// them, and end-to-end tests start hnsproxy.exe with each.
package corpus

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
)

//go:embed config
var files embed.FS

// directory is where in files the configuration files are.
const directory = "config"

// Deployment is a way to start kube-proxy.exe.
type Deployment struct {
	// Name is unique, Source the place that it is from.
	Name, Source string
	// Line is the command line as Windows gets it, with the program that starts kube-proxy.exe
	// if there is one.
	Line string
	// Network is the value of KUBE_NETWORK that the start script sets, if it does.
	Network string
	// Config is the file of Config that is where the command line says, see ConfigPath.
	Config string
	// Kubeconfig is the path of the kubeconfig that the command line or the file names.
	Kubeconfig string
	// Node is the name of the Node object; empty if it is that of the machine.
	Node string
	// HNS is the network of the pods.
	HNS HNS
	// Refused is what is said of a command line or file that cannot be used; empty if it can.
	Refused string
}

// HNS is the HNS network of a node's pods.
type HNS struct {
	Name, Type string
	// Subnet is the range of the pods of this node.
	Subnet string
	// Endpoint is the name and IP the address of an endpoint that the network plugin, or a
	// script, keeps for the node itself, if it does.
	Endpoint, IP string
}

// Args are the arguments of kube-proxy.exe.
func (d Deployment) Args() []string {
	words := service.Split(d.Line)
	program := func(word string) bool { return strings.HasSuffix(strings.ToLower(word), "proxy.exe") }
	return words[slices.IndexFunc(words, program)+1:]
}

// ConfigPath returns the path of the configuration file that the command line names, and empty
// if it names none.
func (d Deployment) ConfigPath() string {
	args := d.Args()
	for i, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		switch {
		case name != "--config":
		case given:
			return value
		case i+1 < len(args):
			return args[i+1]
		}
	}
	return ""
}

// Configs are the names of all configuration files, sorted.
func Configs() []string {
	entries, err := fs.ReadDir(files, directory)
	if err != nil {
		panic(err) // it is compiled in
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Config returns a configuration file. It panics if there is none of that name.
func Config(name string) []byte {
	data, err := files.ReadFile(path.Join(directory, name))
	if err != nil {
		panic(err)
	}
	return data
}
