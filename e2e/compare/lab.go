// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	nodeName    = "win-node-1"
	networkName = "pods"
	networkType = "L2Bridge"
)

// lab is what all runs share.
type lab struct {
	plane      *controlplane.ControlPlane
	kubeconfig string
	cluster    *bulk.Cluster
	kubernetes *bulk.Service
	programs   map[string]program.Program
	network    emulator.NetworkSpec
	// dir gets logs.
	dir string
	// lastIP is the last address that was given to an endpoint: none is used twice.
	lastIP netip.Addr
}

// newLab starts the control plane in dir and makes the programs. The caller closes it.
func newLab(ctx context.Context, o options, dir string) (*lab, error) {
	l := &lab{programs: map[string]program.Program{}, dir: dir, lastIP: netip.MustParseAddr("10.128.0.0")}
	if o.logs != "" {
		l.dir = o.logs
	}
	if err := winlab.Prepare(ctx); err != nil {
		return nil, err
	}
	for _, name := range o.programs {
		var err error
		if l.programs[name], err = findProgram(ctx, name, dir); err != nil {
			return nil, err
		}
	}
	var err error
	if l.network, err = winlab.Network(networkName, networkType); err != nil {
		return nil, err
	}
	if l.plane, err = controlplane.Start(ctx, dir); err != nil {
		return nil, err
	}
	if err := l.populate(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func findProgram(ctx context.Context, name, dir string) (program.Program, error) {
	if name == "kube-proxy" {
		return program.KubeProxy(ctx)
	}
	return program.Hnsproxy(ctx, dir)
}

// populate makes what a cluster has before any Service of ours.
func (l *lab) populate(ctx context.Context) error {
	var err error
	l.cluster = bulk.NewCluster(l.plane.Admin)
	if l.kubeconfig, err = l.plane.Kubeconfig(ctx, controlplane.Admin); err != nil {
		return err
	}
	if l.kubernetes, err = bulk.Find(ctx, l.plane.Admin, metav1.NamespaceDefault, "kubernetes"); err != nil {
		return err
	}
	return l.addNode(ctx)
}

func (l *lab) addNode(ctx context.Context) error {
	_, err := kubelet.New(l.plane.Admin).AddNode(ctx, kubelet.Node{
		Name: nodeName, OS: "windows", InternalIPs: []netip.Addr{l.network.ManagementIP}, PodCIDRs: l.network.Subnets[:1],
	})
	return err
}

func (l *lab) close() { l.plane.Close() }

// nextIP returns an address for an endpoint on another node.
func (l *lab) nextIP() netip.Addr {
	l.lastIP = l.lastIP.Next()
	return l.lastIP
}

// fill writes n Services with the given number of endpoints, and cluster DNS, which comes first in what it returns.
func (l *lab) fill(ctx context.Context, n, endpoints int) ([]*bulk.Service, error) {
	dns := l.service(metav1.NamespaceSystem, "kube-dns", "10.96.0.10", 2)
	dns.Object.Spec.Ports = []corev1.ServicePort{
		{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(53)},
		{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(53)},
	}
	specs := []bulk.Spec{dns}
	for i := range n {
		specs = append(specs, l.service(metav1.NamespaceDefault, fmt.Sprintf("service-%04d", i),
			fmt.Sprintf("10.96.%d.%d", 16+i/250, 1+i%250), endpoints))
	}
	return l.cluster.Add(ctx, specs...)
}

// service describes a Service with port 80, to port 8080 of endpoints on another node.
func (l *lab) service(namespace, name, clusterIP string, endpoints int) bulk.Spec {
	spec := bulk.Spec{Object: &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			ClusterIP: clusterIP,
			Ports:     []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}}
	for range endpoints {
		spec.Endpoints = append(spec.Endpoints, bulk.Endpoint{IP: l.nextIP()})
	}
	return spec
}

// environment describes the machine and the programs.
func (l *lab) environment(ctx context.Context, o options) (Environment, error) {
	e := Environment{
		CPUs: runtime.NumCPU(), Memory: memory(), Kernel: output(ctx, "uname", "-sr"), Go: runtime.Version(),
		Kubernetes: controlplane.Version, Programs: map[string]string{}, Network: networkType, Profile: o.profile.Name,
		Endpoints: o.endpoints, Rate: o.rate, ChangesFor: seconds(o.duration),
	}
	if wine, err := winlab.Command(ctx, nil, "--version"); err == nil {
		e.Wine = output(ctx, wine.Path, wine.Args[1:]...)
	}
	for name, p := range l.programs {
		version, err := p.Version(ctx)
		if err != nil {
			return e, err
		}
		e.Programs[name] = version
	}
	return e, nil
}

// output returns what a command prints, or why it prints nothing: it is for people to read.
func output(ctx context.Context, name string, args ...string) string {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text))
}

// memory returns the machine's memory in MiB, 0 where that is not known.
func memory() int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kilobytes, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kilobytes >> 10
		}
	}
	return 0
}

// load returns the machine's load average over a minute, 0 where that is not known.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	average, _ := strconv.ParseFloat(first, 64)
	return average
}

// logDir returns a directory for the logs of one run.
func (l *lab) logDir(run string) (string, error) {
	dir := filepath.Join(l.dir, strings.ReplaceAll(run, " ", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for logs: %w", err)
	}
	return dir, nil
}
