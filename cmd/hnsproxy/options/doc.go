// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package options builds one validated set of options from the command line and the
// configuration file. It reads the file and starts nothing.
//
// The command line is that of kube-proxy on Windows, with flags of hnsproxy's own that begin
// with --hns-. The configuration file is kube-proxy's, KubeProxyConfiguration v1alpha1:
//
//	commandline.go   CommandLine: flags and file become Options and warnings
//	kubeproxy.go     kube-proxy's flags            own.go      hnsproxy's
//	obsolete.go      flags without effect          values.go   types of values
//	file.go          the configuration file        defaults.go its defaults
//	gates.go         feature gates                 validate.go what cannot be used, and why
package options
