// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Version is the Kubernetes version of the control plane: that of k8s.io/kubernetes in e2e/kubernetes/go.mod.
const Version = "v1.37.2"

const remedy = `run "make e2e", or hack/control-plane.sh alone, which makes it`

// Program returns the path of a program that hack/control-plane.sh built: kube-apiserver, kube-controller-manager, or one that
// the script was asked for by name, such as kube-proxy.exe. The error of a missing one says how to get it.
func Program(name string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "k8s-"+Version, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s %s is missing (%w): %s", name, Version, err, remedy)
	}
	return path, nil
}

// CacheDir is where hack/control-plane.sh and hack/winlab.sh put their work; they must agree.
func CacheDir() (string, error) {
	if dir := os.Getenv("HNSPROXY_CACHE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "hnsproxy"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the cache of programs: %w", err)
	}
	return filepath.Join(home, ".cache", "hnsproxy"), nil
}

// findPrograms returns the path of each program by its name, or all that is missing.
func findPrograms() (map[string]string, error) {
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		err = fmt.Errorf("etcd is missing (%w): %s", err, remedy)
	}
	found, missing := map[string]string{"etcd": etcd}, []error{err}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager"} {
		path, err := Program(name)
		found[name], missing = path, append(missing, err)
	}
	return found, errors.Join(missing...)
}

// ports are the loopback ports of one control plane.
type ports struct {
	etcdClient, etcdPeer, apiServer int
}

func (p ports) etcdURL() string      { return loopbackURL("http", p.etcdClient) }
func (p ports) apiServerURL() string { return loopbackURL("https", p.apiServer) }

func loopbackURL(scheme string, port int) string {
	return scheme + "://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// freePorts chooses ports below the range from which systems take the ports of outgoing connections (32768 on Linux, 49152
// elsewhere). Else a connection, say of a client that redials a stopped API server, could take the server's own port.
func freePorts() (ports, error) {
	var chosen []int
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // taken, by another or by an earlier round
		}
		defer listener.Close() //nolint:errcheck // it was only there to reserve the port
		if chosen = append(chosen, port); len(chosen) == 3 {
			return ports{etcdClient: chosen[0], etcdPeer: chosen[1], apiServer: chosen[2]}, nil
		}
	}
	return ports{}, errors.New("no three free ports between 20000 and 30000 on 127.0.0.1")
}

func (c *ControlPlane) etcdArgs() []string {
	peer := loopbackURL("http", c.ports.etcdPeer)
	return []string{
		"--name=e2e",
		"--data-dir=" + filepath.Join(c.dir, "etcd"),
		"--listen-client-urls=" + c.ports.etcdURL(),
		"--advertise-client-urls=" + c.ports.etcdURL(),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=e2e=" + peer,
		"--logger=zap",
		"--log-level=warn",
		// A single member waits out its election timeout before it elects itself; the default is a second.
		"--heartbeat-interval=10",
		"--election-timeout=100",
		// The data lives no longer than the test, and etcd itself is never stopped before the end.
		"--unsafe-no-fsync",
	}
}

func (c *ControlPlane) apiServerArgs() []string {
	return []string{
		"--etcd-servers=" + c.ports.etcdURL(),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.ports.apiServer),
		"--advertise-address=" + AdvertiseAddress,
		"--tls-cert-file=" + c.secrets.certFile,
		"--tls-private-key-file=" + c.secrets.certKeyFile,
		"--token-auth-file=" + c.secrets.tokenFile,
		"--authorization-mode=RBAC",
		"--allow-privileged", // as kubeadm has it: without it, no HostProcess Pods
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.secrets.serviceAccountKeyFile,
		"--service-account-signing-key-file=" + c.secrets.serviceAccountKeyFile,
		"--service-cluster-ip-range=" + ServiceCIDRs,
		// Wider than usual: the guides for Windows clusters use node port 4444.
		"--service-node-port-range=4000-32767",
		"--audit-policy-file=" + c.auditPolicyPath(),
		"--audit-log-path=" + c.auditLogPath(),
		// It would demand a ServiceAccount of each Pod, and no Pod of a test ever runs.
		"--disable-admission-plugins=ServiceAccount",
	}
}

func managerArgs(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		// The garbage collector is part of the behaviour under test: it deletes the slices of a deleted Service. That of DaemonSets
		// decides which nodes hnsproxy runs on.
		"--controllers=endpointslice-controller,garbage-collector-controller,daemonset-controller",
		"--use-service-account-credentials=true",
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--secure-port=0", // serves nothing
		// The default of 20 requests per second would be the slowest part of every test with many Services.
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	}
}
