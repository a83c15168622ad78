// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiListWatches returns ListWatches on the API server whose failures are logged.
func (p *program) apiListWatches() (listWatches, error) {
	o := &p.opts
	config, err := restConfig(o)
	if err != nil {
		return nil, err
	}
	from, err := newListWatches(config, o.Hostname)
	if err != nil {
		return nil, err
	}
	p.apiMonitor = newAPIMonitor(config.Host, apiServerRemedy(o), p.logger, p.deps.Clock)
	for r, lw := range from {
		from[r] = monitoredListWatch{cache.ToListerWatcherWithContext(lw), string(r), p.apiMonitor}
	}
	return from, nil
}

// newListWatches returns ListWatches on what the proxy of a node reads from the API server.
func newListWatches(config *rest.Config, node string) (listWatches, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create API server client: %w", err)
	}
	list := func(client cache.Getter, r objects.Resource, tweak func(*metav1.ListOptions)) cache.ListerWatcher {
		return cache.NewFilteredListWatchFromClient(client, string(r), metav1.NamespaceAll, tweak)
	}
	core, discovery := client.CoreV1().RESTClient(), client.DiscoveryV1().RESTClient()
	return listWatches{
		objects.Services:       list(core, objects.Services, selectServices),
		objects.EndpointSlices: list(discovery, objects.EndpointSlices, selectSlices),
		objects.Nodes:          list(core, objects.Nodes, selectNode(node)),
	}, nil
}

// restConfig returns the client configuration for the API server.
func restConfig(o *Options) (*rest.Config, error) {
	config, err := clientConfig(o)
	if err != nil {
		return nil, err
	}
	config.ContentType, config.AcceptContentTypes = o.ContentType, o.AcceptContentTypes
	config.QPS, config.Burst = o.QPS, int(o.Burst)
	config.UserAgent = userAgent()
	return config, nil
}

// clientConfig uses a kubeconfig, else the pod's service account. The address in the pod's
// environment is the cluster IP of a Service, which a Windows host cannot reach before a proxy
// serves it; --master sets another one.
func clientConfig(o *Options) (*rest.Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig}
	what := "--kubeconfig=" + o.Kubeconfig
	if o.Kubeconfig == "" && o.KubeconfigList != "" {
		rules.Precedence = filepath.SplitList(o.KubeconfigList)
		what = "the environment variable KUBECONFIG=" + o.KubeconfigList
	} else if o.Kubeconfig == "" {
		if o.Master == "" && o.HNS == HCN && onlyClusterIP() {
			return nil, errClusterIP
		}
		// Without TLS the token is not sent, and an address without a service account is used
		// without credentials.
		config, err := rest.InClusterConfig()
		switch {
		case err == nil && o.Master == "":
			return config, nil
		case err == nil && strings.HasPrefix(o.Master, "https:"):
			config.Host = o.Master
			return config, nil
		case o.Master == "":
			return nil, fmt.Errorf("no source of Services: %w; set --kubeconfig, or --hns-objects to read files", err)
		}
		what = "--master=" + o.Master
	}
	overrides := &clientcmd.ConfigOverrides{ClusterInfo: clientcmdapi.Cluster{Server: o.Master}}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return config, nil
}

var errClusterIP = errors.New("the service account of the pod uses the cluster IP of Service kubernetes, which a Windows host " +
	"cannot reach until hnsproxy has programmed it; set --kubeconfig or --master to the API server's own address, " +
	"or set the environment variable KUBERNETES_SERVICE_HOST of the pod to it; if the host has a route to the cluster IP, pass it as --master")

// apiServerRemedy suggests how to fix an unreachable API server.
func apiServerRemedy(o *Options) string {
	const check = "check that the API server is running and that its address is correct in "
	switch {
	case o.Master != "":
		return check + "--master"
	case o.Kubeconfig != "":
		return check + "--kubeconfig=" + o.Kubeconfig
	case o.KubeconfigList != "":
		return check + "the environment variable KUBECONFIG=" + o.KubeconfigList
	}
	return "set --master to the API server's own address; the service account of the pod uses a cluster IP, which a Windows host can reach " +
		"only through a host route, or once a Service proxy serves it"
}

// onlyClusterIP returns whether a pod knows only the cluster IP of the API server. The kubelet sets
// both variables to it; a Pod may set the first one to another address.
func onlyClusterIP() bool {
	host := os.Getenv("KUBERNETES_SERVICE_HOST")
	return host != "" && host == os.Getenv("KUBERNETES_PORT_443_TCP_ADDR")
}
