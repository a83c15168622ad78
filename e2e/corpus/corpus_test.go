// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/process"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	deployed "github.com/hnsproxy/hnsproxy/internal/corpus"
)

const (
	// patience is for programs under Wine on a busy machine.
	patience = time.Minute
	// kubernetes is the cluster IP of the API server's own Service, the first of controlplane.ServiceCIDRs.
	kubernetes = "10.96.0.1"
	// account is the ServiceAccount of kube-proxy, as kubeadm makes it.
	account = "kube-proxy"
)

// lab is a cluster and a Windows machine on which one deployment after the other runs.
type lab struct {
	*testing.T
	plane    *controlplane.ControlPlane
	hnsproxy program.Program
	machine  winlab.Prefix
	// kubeconfig is that of kube-proxy's ServiceAccount, server the URL of the API server.
	kubeconfig []byte
	server     string
	logs       string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, logs: t.TempDir()}
	l.must(winlab.Prepare(t.Context()))
	var err error
	l.hnsproxy, err = program.Hnsproxy(t.Context(), t.TempDir())
	l.must(err)
	l.plane = controlplane.New(t)
	l.machine = winlab.NewPrefix(t)
	config, err := l.plane.RESTConfig(t.Context(), controlplane.Admin)
	l.must(err)
	l.server = config.Host
	l.addAccount()
	l.addNodes()
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// addAccount makes kube-proxy's ServiceAccount, with the role that Kubernetes has for it and no other.
func (l *lab) addAccount() {
	l.Helper()
	ctx, meta := l.Context(), metav1.ObjectMeta{Name: account, Namespace: metav1.NamespaceSystem}
	_, err := l.plane.Admin.CoreV1().ServiceAccounts(meta.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	l.must(err)
	_, err = l.plane.Admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "kubeadm:node-proxier"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: meta.Namespace, Name: meta.Name}},
	}, metav1.CreateOptions{})
	l.must(err)
	path, err := l.plane.Kubeconfig(ctx, controlplane.ServiceAccount(meta.Namespace, meta.Name))
	l.must(err)
	l.kubeconfig, err = os.ReadFile(path) //nolint:gosec // just written
	l.must(err)
}

// addNodes makes the Node objects of all deployments.
func (l *lab) addNodes() {
	l.Helper()
	own, err := os.Hostname()
	l.must(err)
	names := []string{strings.ToLower(own)}
	for _, d := range deployed.Deployments() {
		if d.Node != "" && !slices.Contains(names, d.Node) {
			names = append(names, d.Node)
		}
	}
	spec, err := winlab.Network("any", "L2Bridge")
	l.must(err)
	kubelets := kubelet.New(l.plane.Admin)
	for _, name := range names {
		_, err = kubelets.AddNode(l.Context(), kubelet.Node{Name: name, OS: "windows", InternalIPs: []netip.Addr{spec.ManagementIP}, PodCIDRs: spec.Subnets[:1]})
		l.must(err)
	}
}

// named reports whether the command line, the environment or the file names the network of the pods.
func named(d deployed.Deployment) bool {
	text := d.Network + d.Line
	if d.Config != "" {
		text += string(deployed.Config(d.Config))
	}
	return strings.Contains(text, d.HNS.Name)
}

// hns serves the HNS of a deployment's node. Where the network of the pods is named there is another one, which cannot be meant.
func (l *lab) hns(d deployed.Deployment) *winlab.Service {
	l.Helper()
	n := d.HNS
	spec, err := winlab.Network(n.Name, n.Type)
	l.must(err)
	spec.Subnets[0] = netip.MustParsePrefix(n.Subnet)
	if n.Type == hnslb.NetworkOverlay {
		spec.ManagementIPv6, spec.Subnets = netip.Addr{}, spec.Subnets[:1]
	}
	e := emulator.New(emulator.Config{Profile: profiles.WS2022()})
	_, err = e.AddNetwork(spec)
	l.must(err)
	if named(d) {
		other, err := winlab.Network("other", "L2Bridge")
		l.must(err)
		other.Subnets = []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24")}
		_, err = e.AddNetwork(other)
		l.must(err)
	}
	if n.Endpoint != "" {
		_, err = e.AddForeignEndpoint(n.Name, hnslb.Endpoint{Name: n.Endpoint, IPs: []netip.Addr{netip.MustParseAddr(n.IP)}})
		l.must(err)
	}
	service, err := winlab.Serve(e)
	l.must(err)
	l.Cleanup(func() {
		if err := service.Close(); err != nil {
			l.Error(err)
		}
	})
	return service
}

// write puts a file on drive C: of the machine, under its path there.
func (l *lab) write(path string, content []byte) {
	l.Helper()
	inside := strings.TrimLeft(strings.ReplaceAll(path, `\`, "/"), "/")
	if len(inside) > 1 && inside[1] == ':' {
		inside = inside[2:]
	}
	file := filepath.Join(l.machine.DriveC, inside)
	l.must(os.MkdirAll(filepath.Dir(file), 0o750))
	l.must(os.WriteFile(file, content, 0o600))
}

// log is the file in which the output of a deployment's program is.
func (l *lab) log(d deployed.Deployment) string { return filepath.Join(l.logs, d.Name+".log") }

// clean takes off drive C: what the deployment before has left there.
func (l *lab) clean() {
	l.Helper()
	entries, err := os.ReadDir(l.machine.DriveC)
	l.must(err)
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 { // links are directories of Windows
			l.must(os.RemoveAll(filepath.Join(l.machine.DriveC, e.Name())))
		}
	}
}

// onDriveC names the drive of paths that name none: what begins with a slash is a path of Linux to Wine.
func onDriveC(text string, d deployed.Deployment) string {
	for _, path := range []string{d.Kubeconfig, d.ConfigPath()} {
		if strings.HasPrefix(path, "/") {
			text = strings.ReplaceAll(text, path, "C:"+path)
		}
	}
	return text
}

// start starts hnsproxy.exe in place of kube-proxy.exe. Nothing of the deployment is changed but what the machine forces: the URL
// of an API server, and the drive of paths that name none.
func (l *lab) start(d deployed.Deployment, hns *winlab.Service) *process.Process {
	l.Helper()
	l.clean()
	if d.Kubeconfig != "" {
		l.write(d.Kubeconfig, l.kubeconfig)
	}
	if d.Config != "" {
		l.write(d.ConfigPath(), []byte(onDriveC(string(deployed.Config(d.Config)), d)))
	}
	args := d.Args()
	for i, arg := range args {
		if args[i] = onDriveC(arg, d); strings.HasPrefix(arg, "--master=") {
			args[i] = "--master=" + l.server
		}
	}
	env := append(slices.Clone(l.machine.Env), winlab.EnvEmulator+"="+hns.HCN)
	if d.Network != "" {
		env = append(env, "KUBE_NETWORK="+d.Network)
	}
	cmd, err := winlab.Command(l.Context(), env, l.hnsproxy.Path, args...)
	l.must(err)
	p, err := process.StartCommand(cmd, d.Name, l.log(d))
	l.must(err)
	l.Cleanup(p.Kill)
	return p
}

// serves reports whether HNS has a load balancer for the API server's Service.
func serves(hns *winlab.Service) bool {
	for _, lb := range hns.State().LoadBalancers {
		if slices.Contains(lb.VIPs, netip.MustParseAddr(kubernetes)) {
			return true
		}
	}
	return false
}

// await waits for something that a program brings about, which must not end.
func (l *lab) await(what string, p *process.Process, done func(context.Context) bool) {
	l.Helper()
	err := wait.PollUntilContextTimeout(l.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.Done():
			return false, errors.Join(errors.New("it has ended"), p.Err())
		default:
			return done(ctx), nil
		}
	})
	if err != nil {
		l.Fatalf("waited for %s: %v\n%s", what, err, p.Tail(30))
	}
}

// run runs a deployment until its first sync.
func (l *lab) run(d deployed.Deployment) {
	l.Helper()
	l.awaitPorts()
	hns := l.hns(d)
	p := l.start(d, hns)
	if d.Refused != "" {
		err := p.Err()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !strings.Contains(p.Tail(10), d.Refused) {
			l.Errorf("%s ended with %v, want exit code 2 and %q in\n%s", d.Line, err, d.Refused, p.Tail(10))
		}
		return
	}
	l.await("a load balancer for "+kubernetes, p, func(context.Context) bool { return serves(hns) })
	l.await("the first sync", p, synced)
	p.Kill()
	hns.Server.DropHandles()
	l.complaints(d)
}

// complaint is an error that hnsproxy.exe logs, or that the API server refused it something.
var complaint = regexp.MustCompile(`(?m)^E\d{4} .*$|^.*forbidden.*$`)

// elsewhere is the one complaint that is right: --bind-address has the address of a node, and this machine has another.
const elsewhere = "Node address is not the management IP"

// complaints fails for what hnsproxy.exe has logged as errors, which go to standard error wherever the log is.
func (l *lab) complaints(d deployed.Deployment) {
	l.Helper()
	text, err := os.ReadFile(l.log(d))
	l.must(err)
	for _, line := range complaint.FindAllString(string(text), -1) {
		if !strings.Contains(line, elsewhere) || !strings.Contains(d.Line, "--bind-address") {
			l.Error(line)
		}
	}
}

// TestDeployments starts hnsproxy.exe as kube-proxy.exe is started out there, with the rights that kube-proxy has.
func TestDeployments(t *testing.T) {
	l := newLab(t)
	files := map[string]bool{}
	for _, d := range deployed.Deployments() {
		t.Run(d.Name, func(t *testing.T) {
			one := *l
			one.T = t
			one.run(d)
		})
		files[d.Config] = true
	}
	t.Logf("%d command lines and %d configuration files", len(deployed.Deployments()), len(files)-1)
}
