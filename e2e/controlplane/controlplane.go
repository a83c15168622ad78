// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/hnsproxy/hnsproxy/e2e/process"
)

const (
	// AdvertiseAddress is the endpoint of the Service "kubernetes". The API refuses loopback addresses there, so it is a
	// documentation address (RFC 5737) on which nobody listens; to a proxy it is an ordinary endpoint outside the cluster.
	AdvertiseAddress = "192.0.2.10"
	// ServiceCIDRs are the ranges of cluster IPs: IPv4 first, so that a Service gets IPv4 unless it asks for more.
	ServiceCIDRs = "10.96.0.0/16,fd00:10:96::/112"

	// pollInterval is short because the time to readiness adds to each test that starts a control plane.
	pollInterval = 25 * time.Millisecond
	// stopGrace is how long the API server may take to end by itself. Withdrawing its endpoint takes milliseconds; then it
	// would wait a minute for open watches to end, which is longer than a test wants to.
	stopGrace = time.Second
)

// ControlPlane is a running control plane. Its methods may be called from several goroutines, but for those that
// start, stop or kill a program, which are for one goroutine at a time.
type ControlPlane struct {
	// Admin may do everything, without client-side rate limit.
	Admin *kubernetes.Clientset

	dir       string
	ports     ports
	secrets   *secrets
	programs  map[string]string
	etcd      *process.Process
	apiServer *process.Process
	manager   *process.Process
}

// Start starts a control plane that keeps its data, keys and logs in dir, an empty directory that the caller owns and removes
// after Close. It returns when Services can be created; ctx bounds that wait and nothing afterwards. The error of a missing
// program says how to get it, the error of a program that ended says what it logged last.
func Start(ctx context.Context, dir string) (*ControlPlane, error) {
	c := &ControlPlane{dir: dir}
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := c.startAll(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("control plane: %w", err)
	}
	return c, nil
}

// prepare does all that needs no running program.
func (c *ControlPlane) prepare() error {
	var err error
	if c.programs, err = findPrograms(); err != nil {
		return err
	}
	if c.ports, err = freePorts(); err != nil {
		return err
	}
	if c.secrets, err = writeSecrets(c.dir); err != nil {
		return err
	}
	if err := c.writeAuditPolicy(); err != nil {
		return err
	}
	config, err := c.RESTConfig(context.Background(), Admin)
	if err != nil {
		return err
	}
	c.Admin, err = kubernetes.NewForConfig(config)
	return err
}

func (c *ControlPlane) startAll(ctx context.Context) error {
	var err error
	if c.etcd, err = process.Start(c.programs["etcd"], c.dir, c.etcdArgs()); err != nil {
		return err
	}
	if err := c.await(ctx, c.etcd, c.etcdHealthy); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

// StartAPIServer starts the API server on the same port and data as before, and the controller manager anew: one that missed
// the API server waits for up to half a minute before it asks again. It returns when the API server is ready. It is an error
// when it runs already.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	if c.apiServer != nil {
		return errors.New("start kube-apiserver: it runs already")
	}
	var err error
	if c.apiServer, err = process.Start(c.programs["kube-apiserver"], c.dir, c.apiServerArgs()); err != nil {
		return err
	}
	if err := c.await(ctx, c.apiServer, c.apiServerReady); err != nil {
		return err
	}
	c.manager.Kill()
	kubeconfig, err := c.Kubeconfig(ctx, controllerManager)
	if err != nil {
		return err
	}
	c.manager, err = process.Start(c.programs["kube-controller-manager"], c.dir, managerArgs(kubeconfig))
	return err
}

// StopAPIServer ends the API server as an orderly restart does: it takes its endpoint out of the Service "kubernetes", which a
// watching proxy still sees, and a second later it is gone and connections are refused. etcd and the controller manager keep
// running. Stopping a stopped one does nothing.
func (c *ControlPlane) StopAPIServer() {
	c.apiServer.Stop(stopGrace)
	c.apiServer = nil
}

// KillAPIServer ends the API server as a crash does: at once, and the Service "kubernetes" keeps its endpoint.
func (c *ControlPlane) KillAPIServer() {
	c.apiServer.Kill()
	c.apiServer = nil
}

// Close kills all programs and returns when they are gone. The directory stays.
func (c *ControlPlane) Close() {
	c.manager.Kill()
	c.KillAPIServer()
	c.etcd.Kill()
}

// Logs returns the last lines of each program's log, for the report of a failed test, also after Close.
func (c *ControlPlane) Logs(lines int) string {
	var b strings.Builder
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager"} {
		fmt.Fprintf(&b, "== %s logged last:\n%s\n", name, process.Tail(process.LogPath(c.dir, name), lines))
	}
	return b.String()
}

// await polls probe until it passes. It fails at once when the program has ended.
func (c *ControlPlane) await(ctx context.Context, p *process.Process, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.Done():
			return false, fmt.Errorf("%s ended: %w; its log ends with:\n%s", p.Name(), p.Err(), p.Tail(20))
		default:
		}
		last = probe(ctx)
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("%s did not become ready: %w; its log ends with:\n%s", p.Name(), last, p.Tail(20))
	}
	return err
}

func (c *ControlPlane) etcdHealthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.ports.etcdURL()+"/health", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd health: %s: %s", response.Status, body)
	}
	return nil
}

// apiServerReady asks /readyz, and then for the two objects without which a test cannot begin: the namespace of hnsproxy's
// ServiceAccount, and the first Service, which exists only after cluster IPs can be allocated. Both are made by background
// loops of the API server that readyz does not wait for.
func (c *ControlPlane) apiServerReady(ctx context.Context) error {
	if _, err := c.Admin.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("readyz: %w", err)
	}
	if _, err := c.Admin.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{}); err != nil {
		return err
	}
	_, err := c.Admin.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	return err
}
