// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// malformed are documents that cannot be used, each with what is said of it after the name of
// the file. A document begins with "S " for the spec of a Service, "E " for the fields of an
// EndpointSlice, "N " for the addresses of a Node, or else is whole, with escaped line breaks.
const malformed = `
S type: LoadBalancr
spec.type: Unsupported value: "LoadBalancr": supported values: "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
S type: nodeport
spec.type: Unsupported value: "nodeport"
S sessionAffinity: ClientIp
spec.sessionAffinity: Unsupported value: "ClientIp": supported values: "None", "ClientIP"
S sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}
spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be from 1 to 86400
S sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}
spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be from 1 to 86400
S internalTrafficPolicy: local
spec.internalTrafficPolicy: Unsupported value: "local": supported values: "Cluster", "Local"
S type: LoadBalancer, externalTrafficPolicy: Locl
spec.externalTrafficPolicy: Unsupported value: "Locl": supported values: "Cluster", "Local"
S ipFamilies: [IPv5]
spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"
S ipFamilies: [IPv4, IPv4]
spec.ipFamilies[1]: Duplicate value: "IPv4"
S ipFamilyPolicy: Dual
spec.ipFamilyPolicy: Unsupported value: "Dual": supported values: "SingleStack", "PreferDualStack", "RequireDualStack"
S clusterIPs: [10.96.0.8]
spec.clusterIPs[0]: Invalid value: "10.96.0.8": must be the same as clusterIP
S clusterIP: 10.96.0.300
spec.clusterIPs[0]: Invalid value: "10.96.0.300": must be an IP address
S clusterIP: 010.96.0.7
spec.clusterIPs[0]: Invalid value: "010.96.0.7": has leading zeros
S clusterIP: web.example
spec.clusterIPs[0]: Invalid value: "web.example": must be an IP address
S clusterIP: ""
spec.clusterIP: is not set, and no API server is there to allocate one; set spec.clusterIP
S clusterIP: 5
spec.clusterIP: is a JSON number, but must be of type string
S externalIPs: [host]
spec.externalIPs[0]: Invalid value: "host": must be an IP address
S externalIPs: 192.0.2.1
spec.externalIPs: is a JSON string, but must be of type []string
S ports: []
spec.ports: Required value: at least one port is required
S ports: 80
spec.ports: is a JSON number, but must be of type []v1.ServicePort
S ports: [{port: http}]
spec.ports.port: is a JSON string, but must be of type int32
S ports: [{}]
spec.ports[0].targetPort: Invalid value: "0": must be between 1 and 65535, inclusive
S ports: [{port: 0}]
spec.ports[0].targetPort: Invalid value: "0": must be between 1 and 65535, inclusive
S ports: [{port: 65536, targetPort: 80}]
spec.ports[0].port: Invalid value: 65536: must be a port number from 1 to 65535
S ports: [{port: 80, targetPort: 70000}]
spec.ports[0].targetPort: Invalid value: "70000": must be between 1 and 65535, inclusive
S ports: [{port: 80, targetPort: Web_1}]
spec.ports[0].targetPort: Invalid value: "Web_1": must contain only alpha-numeric characters
S ports: [{port: 80, targetPort: -1}]
spec.ports[0].targetPort: Invalid value: "-1": must be between 1 and 65535, inclusive
S ports: [{port: 80, targetPort: [80]}]
spec.ports.targetPort: is a JSON array, but must be of type int32
S ports: [{port: 80, protocol: tcp}]
spec.ports[0].protocol: Unsupported value: "tcp": supported values: "TCP", "UDP", "SCTP"
S ports: [{port: 80}, {port: 81, name: b}]
spec.ports[0].name: Required value: port names are required when there are several ports
S ports: [{port: 80, name: a}, {port: 81, name: a}]
spec.ports[1].name: Duplicate value: "a"
S ports: [{port: 80, name: a}, {port: 80, name: b}]
spec.ports[1].port: Duplicate value: 80
S ports: [{port: 80, name: A}]
spec.ports[0].name: a lowercase RFC 1123 label
S ports: [{port: 80, nodePort: 30080}]
spec.ports[0].nodePort: Forbidden: must not be set for a Service of type ClusterIP
S type: NodePort, ports: [{port: 80, nodePort: 30080, name: a}, {port: 81, nodePort: 30080, name: b}]
spec.ports[1].nodePort: Duplicate value: 30080
S type: NodePort, ports: [{port: 80, nodePort: -1}]
spec.ports[0].nodePort: Invalid value: -1: must be a port number from 0 to 65535
S type: NodePort, ports: [{port: 80, nodePort: 99999}]
spec.ports[0].nodePort: Invalid value: 99999: must be a port number from 0 to 65535
apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {type: LoadBalancer, clusterIP: 10.96.0.7, ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1, ipMode: Vip}]}}
status.loadBalancer.ingress[0].ipMode: Unsupported value: "Vip": supported values: "VIP", "Proxy"
apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {type: LoadBalancer, clusterIP: 10.96.0.7, ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2}]}}
status.loadBalancer.ingress[0]: Invalid value: "192.0.2": must be an IP address
apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/99], clusterIP: 10.96.0.7, ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
spec.loadBalancerSourceRanges[0]: Invalid value: "10.0.0.0/99"
E addressType: IPv7
addressType: Unsupported value: "IPv7": supported values: "IPv4", "IPv6", "FQDN"
E endpoints: [{addresses: [300.1.1.1]}]
endpoints[0].addresses[0]: Invalid value: "300.1.1.1": must be an IP address
E endpoints: [{addresses: []}]
endpoints[0].addresses: Required value: must have exactly one address
E endpoints: [{addresses: ["fd00::1"]}]
endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address, as addressType says
E endpoints: [{addresses: [10.244.1.5], conditions: {ready: maybe}}]
endpoints.conditions.ready: is a JSON string, but must be of type bool
E endpoints: 10.244.1.5
endpoints: is a JSON string, but must be of type []v1.Endpoint
E ports: [{port: 0}]
ports[0].port: Invalid value: 0: must be a port number from 1 to 65535
E ports: [{port: 80, protocol: http}]
ports[0].protocol: Unsupported value: "http": supported values: "TCP", "UDP", "SCTP"
E ports: [{port: 80, name: Bad_}]
ports[0].name: a lowercase RFC 1123 label
E ports: [{port: 80}, {port: 81}]
ports[1].name: Duplicate value: ""
N 300.0.0.1
status.addresses[0]: Invalid value: "300.0.0.1": must be an IP address
N 0.0.0.0
status.addresses: Invalid value: "0.0.0.0": must be a unicast host address
apiVersion: v1\nkind: Service\nmetadata: {namespace: shop}\nspec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}
metadata.name: is not set
apiVersion: v1\nkind: Service\nmetadata: {name: "a b"}\nspec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}
metadata.name: a lowercase RFC 1123 label
apiVersion: v1\nkind: Service\nmetadata: web
metadata: is a JSON string, but must be of type objects.names
apiVersion: v2\nkind: Service\nmetadata: {name: web}
apiVersion: "v2" is not supported; use apiVersion: v1
apiVersion: v1\nkind: Servise\nmetadata: {name: web}
kind: "Servise" of apiVersion "v1" is not supported
apiVersion: v1\nmetadata: {name: web}
kind: is not set; a Service proxy reads
kind: Service\nmetadata: {name: web}
apiVersion: "" is not supported; use apiVersion: v1
kind: Pod\nmetadata: {name: web}
apiVersion: is not set; a Service proxy reads
apiVersion: v1\nkind: List\nitems: [5]
is not an object; write apiVersion, kind, metadata and so on
apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List}]
kind: is a list within a list
just text
is not an object; write apiVersion, kind, metadata and so on
a: b: c
cannot be read: mapping values are not allowed in this context
{"kind":
cannot be read: 
[1, 2]
is not an object; write apiVersion, kind, metadata and so on
`

// malformedDocument returns the whole text of a case.
func malformedDocument(text string) string {
	kind, rest, _ := strings.Cut(text, " ")
	switch kind {
	case "S":
		for name, usual := range map[string]string{"clusterIP:": "clusterIP: 10.96.0.7", "ports:": "ports: [{port: 80}]"} {
			if !strings.Contains(rest, name) {
				rest += ", " + usual
			}
		}
		return "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {" + rest + "}\n"
	case "E":
		if !strings.Contains(rest, "addressType:") {
			rest += ", addressType: IPv4"
		}
		return "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, namespace: shop, " +
			"labels: {kubernetes.io/service-name: web}}, " + rest + "}\n"
	case "N":
		return "{apiVersion: v1, kind: Node, metadata: {name: win-1}, status: {addresses: [{type: InternalIP, address: " + rest + "}]}}\n"
	}
	return strings.ReplaceAll(text, `\n`, "\n") + "\n"
}

// TestMalformed: each object that cannot be used is refused with its file, the field if it is
// about one, why, and what to do. None of it is used, and nothing else in the file is lost.
func TestMalformed(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.Trim(malformed, "\n"), "\n")
	if n := len(lines) / 2; n < 60 {
		t.Errorf("%d cases", n)
	}
	for i := 0; i+1 < len(lines); i += 2 {
		text := malformedDocument(lines[i])
		p := parse("f.yaml", []byte(text+"---\n"+node), services.Validate)
		if len(p.problems) == 0 {
			t.Errorf("%s\nis taken", text)
			continue
		}
		got := p.problems[0]
		if !strings.HasPrefix(got.Error(), "f.yaml, document 1") || !strings.Contains(got.Error(), ": "+lines[i+1]) || got.Remedy == "" || got.Warning {
			t.Errorf("%s\n got %s\nwant %s", text, got, lines[i+1])
		}
		var used []string
		for _, e := range p.entries {
			if e.object != nil {
				used = append(used, string(e.resource)+"/"+e.name)
			}
		}
		if strings.Join(used, " ") != "nodes/win-1" {
			t.Errorf("%s\ngives %v, want the node after it alone", text, used)
		}
	}
}
