// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package corpus

import "slices"

// Types of HNS networks.
const (
	bridge  = "L2Bridge"
	overlay = "Overlay"
)

// podRange is that of the pods of a node where nothing else is said.
const podRange = "10.244.1.0/24"

// calicoOverlay is Calico's network with VXLAN.
func calicoOverlay() HNS {
	return HNS{Name: "Calico", Type: overlay, Subnet: podRange, Endpoint: "Calico_ep", IP: "10.244.1.2"}
}

// Deployments are all that are known, in no order that matters.
func Deployments() []Deployment { return slices.Concat(clouds(), distributions(), scripts(), old()) }

// clouds are nodes of providers.
func clouds() []Deployment {
	const (
		aks       = "https://github.com/Azure/AgentBaker/tree/master/staging/cse/windows"
		aksEngine = "https://github.com/Azure/aks-engine/blob/master/staging/provisioning/windows/kubeproxystart.ps1"
		eks       = "https://docs.aws.amazon.com/eks/latest/userguide/eks-optimized-windows-ami.html"
		gce       = "https://github.com/kubernetes/kubernetes/blob/v1.30.0/cluster/gce/windows/k8s-node-setup.psm1"
	)
	azure, l2bridge := HNS{Name: "azure", Type: bridge, Subnet: podRange}, HNS{Name: "l2bridge", Type: bridge, Subnet: podRange}
	vpc := HNS{Name: "vpcbr1a2b3c", Type: bridge, Subnet: podRange}
	return []Deployment{
		{
			Name: "AKS", Source: aks, Network: "azure", HNS: azure, Node: "akswin000001", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --v=3 --proxy-mode=kernelspace --hostname-override=AKSWIN000001 --kubeconfig=c:\k\config --metrics-bind-address=0.0.0.0:10249 --enable-dsr=true --feature-gates=WinDSR=true,WinOverlay=false`,
		},
		{
			Name: "AKS dual stack", Source: aksEngine, Network: "azure", HNS: azure, Node: "n", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --v=3 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --feature-gates=WinDSR=true,WinOverlay=false,IPv6DualStack=true`,
		},
		{
			Name: "AKS with kubenet", Source: aksEngine, Network: "l2bridge", HNS: l2bridge, Node: "34763k8s9010", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --v=3 --proxy-mode=kernelspace --hostname-override=34763k8s9010 --kubeconfig=c:\k\config`,
		},
		{
			Name: "EKS", Source: eks, HNS: vpc, Node: "ip-10-0-0-4.ec2.internal", Kubeconfig: `C:\ProgramData\kubernetes\kubeconfig`,
			Line: `"C:\Program Files\Amazon\EKS\bin\EKS-WindowsServiceHost.exe" kube-proxy "C:\Program Files\kubernetes\kube-proxy.exe" --kubeconfig="C:\ProgramData\kubernetes\kubeconfig" --v=1 --proxy-mode=kernelspace --hostname-override="ip-10-0-0-4.ec2.internal" --feature-gates WinDSR=true --enable-dsr --cluster-cidr="10.0.0.0/16" --logtostderr=true`,
		},
		{
			Name: "EKS, older", Source: eks, HNS: vpc, Node: "n", Kubeconfig: `C:\k\config`,
			Line: `kube-proxy.exe --kubeconfig=C:\k\config --v=1 --proxy-mode=kernelspace --hostname-override=n --resource-container="" --cluster-cidr=10.0.0.0/16 --logtostderr=true`,
		},
		{
			Name: "GCE", Source: gce, Network: "l2bridge", Node: "n", Kubeconfig: `C:\etc\kubernetes\kubeproxy.kubeconfig`,
			HNS:  HNS{Name: "l2bridge", Type: bridge, Subnet: podRange, Endpoint: "cbr0", IP: "10.244.1.2"},
			Line: `C:\etc\kubernetes\node\bin\kube-log-runner.exe -log-file=C:\etc\kubernetes\logs\kube-proxy.log C:\etc\kubernetes\node\bin\kube-proxy.exe --kubeconfig=C:\etc\kubernetes\kubeproxy.kubeconfig --cluster-cidr=10.64.0.0/14 --hostname-override=n --v=2 --proxy-mode=kernelspace --windows-service=true --feature-gates=WinDSR=true --enable-dsr=true --forward-healthcheck-vip=true`,
		},
		{
			Name: "GCE with empty values", Source: gce, HNS: l2bridge, Kubeconfig: `C:\k\c`,
			Line: `kube-proxy.exe --kubeconfig=C:\k\c --cluster-cidr= --hostname-override= --feature-gates= --enable-dsr= --conntrack-min= --ipvs-exclude-cidrs= --iptables-masquerade-bit= --detect-local-mode= --oom-score-adj= --conntrack-tcp-timeout-established= --masquerade-all=`,
		},
	}
}

// distributions are nodes of Kubernetes distributions and network plugins.
func distributions() []Deployment {
	const (
		rke2   = "https://github.com/rancher/rke2/tree/master/pkg/windows"
		calico = "https://github.com/projectcalico/calico/tree/master/node/windows-packaging/CalicoWindows"
		wmco   = "https://github.com/openshift/windows-machine-config-operator"
	)
	hybrid := HNS{Name: "OVNKubernetesHybridOverlayNetwork", Type: overlay, Subnet: "10.132.1.0/24", Endpoint: "VIPEndpoint", IP: "10.132.1.14"}
	calicoBridge := HNS{Name: "Calico", Type: bridge, Subnet: podRange}
	return []Deployment{
		{
			Name: "RKE2", Source: rke2, Node: "n", Kubeconfig: `c:\var\lib\rancher\rke2\agent\kubeproxy.kubeconfig`,
			HNS:  HNS{Name: "vxlan0", Type: overlay, Subnet: "10.42.1.0/24"},
			Line: `c:\var\lib\rancher\rke2\bin\kube-proxy.exe --bind-address=10.0.0.4 --enable-dsr=true --feature-gates=WinDSR=true --network-name=vxlan0 --source-vip=10.42.1.2 --cluster-cidr=10.42.0.0/16 --healthz-bind-address=127.0.0.1 --hostname-override=n --kubeconfig=c:\var\lib\rancher\rke2\agent\kubeproxy.kubeconfig --proxy-mode=kernelspace`,
		},
		{
			Name: "RKE2 without source VIP", Source: rke2, Node: "n", Kubeconfig: `c:\var\lib\rancher\rke2\agent\kubeproxy.kubeconfig`, HNS: calicoBridge,
			Line: `c:\var\lib\rancher\rke2\bin\kube-proxy.exe --bind-address=10.0.0.4 --network-name=Calico --source-vip= --cluster-cidr=10.42.0.0/16 --healthz-bind-address=127.0.0.1 --hostname-override=n --kubeconfig=c:\var\lib\rancher\rke2\agent\kubeproxy.kubeconfig --proxy-mode=kernelspace`,
		},
		{
			Name: "Calico", Source: calico, Network: "Calico", HNS: calicoOverlay(), Node: "n", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --hostname-override=n --v=4 --proxy-mode=kernelspace --kubeconfig="c:\k\config" --enable-dsr=true --source-vip=10.244.1.2 --feature-gates=WinDSR=true,WinOverlay=true`,
		},
		{
			Name: "Calico, BGP", Source: calico, Network: "Calico", HNS: calicoBridge, Node: "n", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --hostname-override=n --v=4 --proxy-mode=kernelspace --kubeconfig="c:\k\config" --enable-dsr=true --feature-gates=WinDSR=true`,
		},
		{
			Name: "OpenShift, before its files", Source: wmco, HNS: hybrid, Node: "n", Kubeconfig: `c:\k\kubeconfig`,
			Line: `C:\k\kube-proxy.exe --windows-service --v=4 --proxy-mode=kernelspace --feature-gates=WinOverlay=true --hostname-override=n --kubeconfig=c:\k\kubeconfig --cluster-cidr=10.132.1.0/24 --log-dir=C:\var\log\kube-proxy --logtostderr=false --network-name=OVNKubernetesHybridOverlayNetwork --source-vip=10.132.1.14 --enable-dsr=false`,
		},
		{
			Name: "OpenShift", Source: wmco, HNS: hybrid, Node: "winhost-1", Config: "wmco.json", Kubeconfig: `C:\k\kubeconfig`,
			Line: `C:\k\kube-log-runner.exe -log-file=C:\var\log\kube-proxy\kube-proxy.log C:\k\kube-proxy.exe --config C:\k\kube-proxy.conf --windows-service`,
		},
		{
			Name: "OpenShift, YAML", Source: wmco, HNS: hybrid, Node: "winhost-1", Config: "wmco.yaml", Kubeconfig: `C:\k\kubeconfig`,
			Line: `C:\k\kube-log-runner.exe -log-file=C:\var\log\kube-proxy\kube-proxy.log C:\k\kube-proxy.exe --config C:\k\kube-proxy.conf --windows-service`,
		},
		{
			Name: "K2s", Source: "https://github.com/Siemens-Healthineers/K2s", Network: "cbr0", Node: "n", Kubeconfig: `C:\k\config`,
			HNS:  HNS{Name: "cbr0", Type: bridge, Subnet: podRange},
			Line: `C:\k\kube-proxy.exe --v=6 --proxy-mode=kernelspace --hostname-override=n --kubeconfig="C:\k\config" --enable-dsr=false --log-dir="C:\var\log\kubeproxy" --logtostderr=true`,
		},
	}
}

// scripts are nodes of kubeadm and of scripts that many start from.
func scripts() []Deployment {
	const (
		sigWindows = "https://github.com/kubernetes-sigs/sig-windows-tools"
		sdn        = "https://github.com/microsoft/SDN/tree/master/Kubernetes"
		mounted    = "/var/lib/kube-proxy/kubeconfig.conf"
	)
	vxlan := HNS{Name: "vxlan0", Type: overlay, Subnet: podRange}
	flannel := HNS{Name: "flannel.4096", Type: overlay, Subnet: podRange, Endpoint: "flannel.4096_ep", IP: "10.244.1.2"}
	cbr0 := HNS{Name: "cbr0", Type: bridge, Subnet: podRange}
	return []Deployment{
		{
			Name: "Calico, HostProcess", Source: sigWindows + "/blob/master/hostprocess/calico/kube-proxy/start.ps1", Network: "Calico", HNS: calicoOverlay(),
			Node: "n", Kubeconfig: `C:\C\mount/var/lib/kube-proxy/kubeconfig.conf`,
			Line: `C:\C\mount/kube-proxy/kube-proxy.exe --hostname-override=n --v=2 --proxy-mode=kernelspace --kubeconfig=C:\C\mount/var/lib/kube-proxy/kubeconfig.conf --enable-dsr=true --source-vip=10.244.1.2 --feature-gates=WinDSR=true,WinOverlay=true,IPv6DualStack=false`,
		},
		{
			Name: "flannel, HostProcess", Source: sigWindows + "/blob/master/hostprocess/flannel/kube-proxy/start.ps1", Network: "flannel.4096", HNS: flannel,
			Node: "n", Kubeconfig: mounted,
			Line: `kube-proxy.exe --v=6 --hostname-override=n --feature-gates=WinOverlay=true,IPv6DualStack=false --proxy-mode=kernelspace --source-vip=10.244.1.2 --kubeconfig=/var/lib/kube-proxy/kubeconfig.conf`,
		},
		{
			Name: "flannel, HostProcess, network by flag", Source: sigWindows + "/tree/master/hostprocess/flannel", HNS: flannel, Node: "n", Kubeconfig: mounted,
			Line: `kube-proxy.exe --v=6 --hostname-override=n --feature-gates=WinOverlay=true,IPv6DualStack=false --proxy-mode=kernelspace --network-name=flannel.4096 --source-vip=10.244.1.2 --kubeconfig=/var/lib/kube-proxy/kubeconfig.conf`,
		},
		{
			Name: "flannel of CAPZ", Source: "https://github.com/e2e-win/k8s-e2e-runner", HNS: flannel, Node: "win-1",
			Config: "capz-flannel.yaml", Kubeconfig: "/k/kube-proxy/kubeconfig.conf",
			Line: `C:\hpc\kube-proxy\kube-proxy.exe --hostname-override=win-1 --enable-dsr=true --config=/k/kube-proxy/kube-proxy.conf --v=4`,
		},
		{
			Name: "nssm, overlay", Source: sdn + "/flannel", HNS: vxlan, Node: "n", Kubeconfig: `c:\k\config`,
			Line: `C:\k\kube-proxy.exe --v=4 --proxy-mode=kernelspace --feature-gates="WinOverlay=true" --hostname-override=n --kubeconfig=c:\k\config --network-name=vxlan0 --source-vip=10.244.1.2 --enable-dsr=false --cluster-cidr=10.244.0.0/16 --log-dir=C:\k --logtostderr=false`,
		},
		{
			Name: "nssm, l2bridge", Source: sdn + "/flannel", Network: "cbr0", HNS: cbr0, Node: "n", Kubeconfig: `c:\k\config`,
			Line: `C:\k\kube-proxy.exe --v=4 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --cluster-cidr=10.244.0.0/16 --log-dir=C:\k --logtostderr=false`,
		},
		{
			Name: "l2bridge by script", Source: sdn + "/windows/start-kubeproxy.ps1", Network: "cbr0", HNS: cbr0, Node: "n", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --v=4 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --cluster-cidr=192.168.0.0/16`,
		},
		{
			Name: "kubeadm", Source: "https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/phases/addons/proxy/manifests.go", HNS: cbr0,
			Node: "win-1", Config: "kubeadm.yaml", Kubeconfig: mounted,
			Line: `kube-proxy.exe --config=/var/lib/kube-proxy/config.conf --hostname-override=Win-1`,
		},
		{
			Name: "kubeadm 1.37", Source: "https://github.com/kubernetes/kubernetes/pull/139777", HNS: cbr0, Node: "win-1", Config: "kubeadm-1.37.yaml", Kubeconfig: mounted,
			Line: `kube-proxy.exe --config=/var/lib/kube-proxy/config.conf --hostname-override=win-1`,
		},
		{
			Name: "kubeadm with wins", Source: sigWindows + "/tree/v0.1.5/kubeadm", HNS: vxlan, Node: "win-1", Config: "kubeadm-1.21.yaml", Kubeconfig: mounted,
			Line: `C:\k\kube-proxy\rancher-wins-kube-proxy.exe --v=6 --config=/var/lib/kube-proxy/config.conf --hostname-override=win-1 --feature-gates=WinOverlay=true`,
		},
	}
}

// old are command lines of old releases, and such that have more in them than any.
func old() []Deployment {
	const (
		format19      = "https://github.com/kubernetes/kubernetes/blob/v1.9.0/pkg/proxy/apis/kubeproxyconfig/v1alpha1/types.go"
		userspaceGone = "the userspace mode was removed in Kubernetes 1.26; kernelspace replaces it"
	)
	l2bridge := HNS{Name: "l2bridge", Type: bridge, Subnet: podRange}
	vxlan := HNS{Name: "vxlan0", Type: overlay, Subnet: podRange, Endpoint: "source_vip", IP: "10.244.1.2"}
	return []Deployment{
		{
			Name: "1.9", Source: "https://github.com/MicrosoftDocs/Virtualization-Documentation", Network: "l2bridge", HNS: l2bridge, Node: "n", Kubeconfig: `c:\k\config`,
			Line: `c:\k\kube-proxy.exe --v=4 --proxy-mode=kernelspace --hostname-override=n --kubeconfig=c:\k\config --network-name=l2bridge --log-dir=C:\k --logtostderr=false`,
		},
		{
			Name: "1.9 with a file", Source: format19, HNS: vxlan, Network: "vxlan0", Node: "windows-node", Config: "1.9.yaml", Kubeconfig: `c:\k\proxy-kconfig`,
			Line:    `kube-proxy.exe --config C:\k\kubeproxy-config`,
			Refused: `featureGates: "\"\"": has the wrong type`,
		},
		{
			Name: "1.10 with a file", Source: format19, HNS: vxlan, Network: "vxlan0", Node: "windows-node", Config: "1.10.yaml", Kubeconfig: `c:\k\proxy-kconfig`,
			Line: `kube-proxy.exe --config C:\k\kubeproxy-config`,
		},
		{
			Name: "1.5", Source: "https://kubernetes.io/blog/2016/12/windows-server-support-kubernetes", HNS: l2bridge, Node: "10.0.0.4", Refused: userspaceGone,
			Line: `proxy.exe --v=3 --proxy-mode=userspace --hostname-override=10.0.0.4 --master=http://10.0.0.1:8080 --bind-address=10.0.0.4`,
		},
		{
			Name: "Antrea", Source: "https://github.com/kubernetes-sigs/sig-windows-tools/blob/master/hostprocess/antrea/kube-proxy/start.ps1", HNS: l2bridge,
			Kubeconfig: "/var/lib/kube-proxy/kubeconfig.conf", Refused: userspaceGone,
			Line: `kube-proxy.exe --proxy-mode=userspace --kubeconfig=/var/lib/kube-proxy/kubeconfig.conf --log-dir=C:\var\log\kube-proxy --logtostderr=false --alsologtostderr`,
		},
		{
			Name: "flags of old releases", Source: "https://github.com/kubernetes/kubernetes/blob/v1.9.0/cmd/kube-proxy/app/server.go", HNS: l2bridge, Kubeconfig: `C:\k\config`,
			Line: `kube-proxy.exe --kubeconfig=C:\k\config --cleanup-iptables --cleanup-ipvs=false --resource-container=/kube-proxy --udp-timeout=250ms --proxy-port-range=0-0 --conntrack-max=0 --google-json-key= --azure-container-registry-config= --log_dir=C:\k --log-backtrace-at=:0 --skip-headers --machine-id-file=/etc/machine-id`,
		},
		{
			Name: "gates that come and go", Source: "https://github.com/projectcalico/calico/issues/5539", HNS: l2bridge, Kubeconfig: `C:\k\config`,
			Line: `kube-proxy.exe --kubeconfig=C:\k\config --feature-gates=NoSuchGate=true,KubeProxyIPVS=true,LoggingBetaOptions=true,WatchListClient=false,ContextualLogging=false`,
		},
		{
			Name: "everything in a file", Config: "full.yaml", Kubeconfig: `C:\k\config`, Node: "from-file",
			HNS:  HNS{Name: "Calico", Type: bridge, Subnet: podRange, Endpoint: "ep0", IP: "10.244.1.3"},
			Line: `kube-proxy.exe --config=C:\k\config.yaml --v=5 --bind-address=10.0.0.9 --cluster-cidr=10.0.0.0/8 --master=https://10.0.0.1:6443`,
		},
	}
}
