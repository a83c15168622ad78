// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiListWatches asks the API server.
func apiListWatches(o *Options) (listWatches, error) {
	config, err := restConfig(o)
	if err != nil {
		return listWatches{}, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return listWatches{}, fmt.Errorf("make a client of the API server: %w", err)
	}
	list := func(client cache.Getter, resource string, tweak func(*metav1.ListOptions)) cache.ListerWatcher {
		return cache.NewFilteredListWatchFromClient(client, resource, metav1.NamespaceAll, tweak)
	}
	core, discovery := client.CoreV1().RESTClient(), client.DiscoveryV1().RESTClient()
	return listWatches{
		services: list(core, "services", selectServices),
		slices:   list(discovery, "endpointslices", selectSlices),
		nodes:    list(core, "nodes", selectNode(o.Hostname)),
	}, nil
}

// restConfig says how to reach the API server: by the kubeconfig and --master, or as the
// pod's service account does.
func restConfig(o *Options) (*rest.Config, error) {
	var config *rest.Config
	var err error
	if o.Kubeconfig == "" && o.Master == "" {
		if o.HNS == HCN && onlyClusterIP() {
			return nil, errClusterIP
		}
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("no source of Services: %w; give --kubeconfig, or --objects for files", err)
		}
	} else {
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig}
		overrides := &clientcmd.ConfigOverrides{ClusterInfo: clientcmdapi.Cluster{Server: o.Master}}
		if config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig(); err != nil {
			return nil, fmt.Errorf("read --kubeconfig=%s: %w", o.Kubeconfig, err)
		}
	}
	config.ContentType = o.ContentType
	config.QPS, config.Burst = o.QPS, int(o.Burst)
	config.UserAgent = userAgent()
	return config, nil
}

var errClusterIP = errors.New("the pod's service account leads to the API server by the cluster IP of Service kubernetes, which a Windows host " +
	"does not reach before this program has made it work; give --kubeconfig or --master with the API server's own address, " +
	"or set the environment variable KUBERNETES_SERVICE_HOST of the pod to it")

// onlyClusterIP tells whether a pod knows the API server by its cluster IP alone. The kubelet
// sets both variables to that; whoever writes the Pod may set the first one to another address.
func onlyClusterIP() bool {
	host := os.Getenv("KUBERNETES_SERVICE_HOST")
	return host != "" && host == os.Getenv("KUBERNETES_PORT_443_TCP_ADDR")
}
