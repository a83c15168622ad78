// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
)

// web is a Service as people write it.
const web = `apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  clusterIP: 10.96.0.7
  selector: {app: web}
  ports:
  - name: http
    port: 80
    targetPort: 8080
`

// webSlice is an EndpointSlice of web.
const webSlice = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: shop
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
- addresses: [10.244.1.5]
- addresses: [10.244.2.6]
  conditions: {ready: false, terminating: true}
`

// node is a Node.
const node = `apiVersion: v1
kind: Node
metadata:
  name: win-1
status:
  addresses: [{type: InternalIP, address: 192.168.1.11}]
`

// text prints what a file gave: its objects, those that are only named, what it skipped,
// and what is wrong.
func (p parsed) text() string {
	var out strings.Builder
	for _, e := range p.entries {
		state := "used"
		if e.object == nil {
			state = "kept"
		}
		fmt.Fprintf(&out, "%s %s %s/%s at %s\n", state, e.resource, e.namespace, e.name, e.at)
	}
	for _, k := range p.held {
		fmt.Fprintf(&out, "held %s %s/%s\n", k.resource, k.namespace, k.name)
	}
	if p.torn {
		fmt.Fprintln(&out, "torn")
	}
	if s := skippedText(p.skipped); s != "" {
		fmt.Fprintln(&out, "skipped "+s)
	}
	for _, e := range p.problems {
		level := "error"
		if e.Warning {
			level = "warning"
		}
		fmt.Fprintf(&out, "%s %s\n", level, e)
	}
	return out.String()
}

// The rules of names, as Kubernetes words them.
var (
	noLabel     = validation.IsDNS1123Label("_")[0]
	noSubdomain = validation.IsDNS1123Subdomain("_")[0]
)

func edit(text string, oldNew ...string) string { return strings.NewReplacer(oldNew...).Replace(text) }

func TestParse(t *testing.T) {
	indent := func(s string) string { return "- " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n" }
	for _, tt := range []struct{ name, file, want string }{{
		name: "nothing",
		file: "",
	}, {
		name: "comments only",
		file: "# first\n---\n# second\n---\n",
	}, {
		name: "many documents, one of them empty",
		file: web + "---\n" + webSlice + "--- # a comment\n\n---\n" + node + "...\n" + edit(web, "name: web", "name: api"),
		want: `used services shop/web at f.yaml, document 1
used endpointslices shop/web-1 at f.yaml, document 2
used nodes /win-1 at f.yaml, document 3
used services shop/api at f.yaml, document 4
`,
	}, {
		name: "as kubectl get -o yaml prints",
		file: "apiVersion: v1\nitems:\n" + indent(web) + indent(webSlice) + indent(node) + "kind: List\nmetadata:\n  resourceVersion: \"\"\n",
		want: `used services shop/web at f.yaml, document 1, item 1
used endpointslices shop/web-1 at f.yaml, document 1, item 2
used nodes /win-1 at f.yaml, document 1, item 3
`,
	}, {
		name: "list of a resource, as the API prints it",
		file: `{"apiVersion":"v1","kind":"ServiceList","metadata":{},"items":[
			{"metadata":{"name":"a","namespace":"x"},"spec":{"clusterIP":"10.96.0.1","ports":[{"port":80}]}},
			{"apiVersion":"v1","kind":"Service","metadata":{"name":"b","namespace":"x"},"spec":{"clusterIP":"10.96.0.2","ports":[{"port":80}]}}]}`,
		want: "used services x/a at f.yaml, document 1, item 1\nused services x/b at f.yaml, document 1, item 2\n",
	}, {
		name: "JSON objects one after the other",
		file: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}} {"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}`,
		want: "used nodes /a at f.yaml, document 1\nused nodes /b at f.yaml, document 2\n",
	}, {
		name: "JSON that breaks off",
		file: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}} {"apiVersion":"v1",`,
		want: `used nodes /a at f.yaml, document 1
torn
error f.yaml, document 2: cannot be read: unexpected EOF; fix it; until then the last valid contents of the file stay in effect
`,
	}, {
		name: "flow style that is no JSON",
		file: `{apiVersion: v1, kind: Node, metadata: {name: a}}`,
		want: "used nodes /a at f.yaml, document 1\n",
	}, {
		name: "Windows line ends",
		file: strings.ReplaceAll(web+"---\n"+node, "\n", "\r\n"),
		want: "used services shop/web at f.yaml, document 1\nused nodes /win-1 at f.yaml, document 2\n",
	}, {
		name: "no YAML, with the line of the file",
		file: web + "---\n" + "apiVersion: v1\nkind: [Service\n---\n" + node,
		want: `used services shop/web at f.yaml, document 1
used nodes /win-1 at f.yaml, document 3
torn
error f.yaml, document 2: cannot be read: line 15: did not find expected ',' or ']'; fix it; until then the last valid contents of the file stay in effect
`,
	}, {
		name: "no object",
		file: "- a\n- b\n---\njust words\n",
		want: `torn
error f.yaml, document 1: is not an object; write apiVersion, kind, metadata and so on
error f.yaml, document 2: is not an object; write apiVersion, kind, metadata and so on
`,
	}, {
		name: "kinds that a Service proxy does not use",
		file: "apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: Pod\n---\napiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: Endpoints\n",
		want: "skipped Deployment 1, Endpoints 1, Pod 2\n",
	}, {
		name: "unknown kind of a foreign group",
		file: "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n",
		want: `error f.yaml, document 1: Service shop/web: kind: "Service" of apiVersion "serving.knative.dev/v1" is not supported; a Service proxy reads Service (v1), EndpointSlice (discovery.k8s.io/v1) and Node (v1)
`,
	}, {
		name: "slip in the kind",
		file: edit(web, "kind: Service", "kind: Servise"),
		want: `held services shop/web
held endpointslices shop/web
held nodes /web
error f.yaml, document 1: Servise shop/web: kind: "Servise" of apiVersion "v1" is not supported; a Service proxy reads Service (v1), EndpointSlice (discovery.k8s.io/v1) and Node (v1)
`,
	}, {
		name: "no kind",
		file: "apiVersion: v1\nmetadata: {name: a}\n",
		want: `held services default/a
held endpointslices default/a
held nodes /a
error f.yaml, document 1: a: kind: is not set; a Service proxy reads Service (v1), EndpointSlice (discovery.k8s.io/v1) and Node (v1)
`,
	}, {
		name: "a List whose end is missing",
		file: "apiVersion: v1\nitems:\n" + indent(web),
		want: `torn
error f.yaml, document 1: kind: is not set; a Service proxy reads Service (v1), EndpointSlice (discovery.k8s.io/v1) and Node (v1)
`,
	}, {
		name: "the start of an object",
		file: web + "---\nkind: Servi",
		want: `used services shop/web at f.yaml, document 1
torn
error f.yaml, document 2: Servi: apiVersion: is not set; a Service proxy reads Service (v1), EndpointSlice (discovery.k8s.io/v1) and Node (v1)
`,
	}, {
		name: "wrong apiVersions",
		file: edit(webSlice, "discovery.k8s.io/v1", "discovery.k8s.io/v1beta1") + "---\n" + edit(web, "apiVersion: v1", "apiVersion: v2"),
		want: `kept endpointslices shop/web-1 at f.yaml, document 1
kept services shop/web at f.yaml, document 2
error f.yaml, document 1: EndpointSlice shop/web-1: apiVersion: "discovery.k8s.io/v1beta1" is not supported; use apiVersion: discovery.k8s.io/v1
error f.yaml, document 2: Service shop/web: apiVersion: "v2" is not supported; use apiVersion: v1
`,
	}, {
		name: "no name",
		file: edit(web, "name: web", "generateName: web-") + "---\n" + edit(web, "name: web", "labels: {}"),
		want: `torn
error f.yaml, document 1: Service: metadata.name: is not set; set it: generateName requires an API server
error f.yaml, document 2: Service: metadata.name: is not set; set it; until then the last valid contents of the file stay in effect
`,
	}, {
		name: "names that an API server refuses",
		file: edit(web, "name: web", "name: Web") + "---\n" + edit(webSlice, "namespace: shop", "namespace: shop.x") + "---\n" +
			edit(node, "name: win-1", "name: win_1") + "---\n" + edit(web, "name: web", "name: 1web"),
		want: `used services shop/1web at f.yaml, document 4
torn
error f.yaml, document 1: Service shop/Web: metadata.name: ` + noLabel + `; fix it; until then the last valid contents of the file stay in effect
error f.yaml, document 2: EndpointSlice shop.x/web-1: metadata.namespace: must not contain dots; fix it; until then the last valid contents of the file stay in effect
error f.yaml, document 3: Node win_1: metadata.name: ` + noSubdomain + `; fix it; until then the last valid contents of the file stay in effect
`,
	}, {
		name: "names of ports that an API server refuses",
		file: edit(web, "name: http", "name: \"\\e[2J\"") + "---\n" + edit(webSlice, "name: http", "name: HTTP"),
		want: `kept services shop/web at f.yaml, document 1
kept endpointslices shop/web-1 at f.yaml, document 2
error f.yaml, document 1: Service shop/web: spec.ports[0].name: ` + noLabel + `; fix it; until then the last valid version of the object stays in effect
error f.yaml, document 2: EndpointSlice shop/web-1: ports[0].name: ` + noLabel + `; fix it; until then the last valid version of the object stays in effect
`,
	}, {
		name: "name of another type",
		file: edit(web, "name: web", "name: 7"),
		want: `torn
error f.yaml, document 1: Service: metadata.name: is a JSON number, but must be of type string; fix it; until then the last valid contents of the file stay in effect
`,
	}, {
		name: "field of another type",
		file: edit(web, "port: 80\n", "port: eighty\n"),
		want: `kept services shop/web at f.yaml, document 1
error f.yaml, document 1: Service shop/web: spec.ports.port: is a JSON string, but must be of type int32; fix it; until then the last valid version of the object stays in effect
`,
	}, {
		name: "unknown field, and one that stands twice",
		file: edit(web, "  selector", "  clusterIp: 10.96.0.8\n  selector") + "---\n" + node + "kind: Node\n",
		want: `used services shop/web at f.yaml, document 1
used nodes /win-1 at f.yaml, document 2
warning f.yaml, document 1: Service shop/web: spec.clusterIp: unknown field; check the spelling; the field is ignored
warning f.yaml, document 2: unmarshal errors: line 21: key "kind" already set in map; remove one of the two; the last one is used
`,
	}, {
		name: "field that stands twice in JSON",
		file: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"a","name":"b"}}`,
		want: `used nodes /b at f.yaml, document 1
warning f.yaml, document 1: Node b: metadata.name: duplicate field; remove one of the two; the last one is used
`,
	}, {
		name: "no cluster IP",
		file: edit(web, "  clusterIP: 10.96.0.7\n", "") + "---\n" + edit(web, "10.96.0.7", "None", "web", "headless") +
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: alias}\nspec: {type: ExternalName, externalName: a.example}\n",
		want: `kept services shop/web at f.yaml, document 1
used services shop/headless at f.yaml, document 2
used services default/alias at f.yaml, document 3
error f.yaml, document 1: Service shop/web: spec.clusterIP: is not set, and no API server is there to allocate one; set spec.clusterIP to an address in the Service range of the cluster, or None for a headless Service
`,
	}, {
		name: "no node port",
		file: edit(web, "  selector", "  type: NodePort\n  selector"),
		want: `used services shop/web at f.yaml, document 1
warning f.yaml, document 1: Service shop/web: spec.ports[0].nodePort: is not set, and no API server is there to allocate one; set it; until then the Service has no node port
`,
	}, {
		name: "what validation refuses, each thing for itself",
		file: edit(web, "10.96.0.7", "10.96.0.300", "port: 80\n", "port: 80000\n"),
		want: `kept services shop/web at f.yaml, document 1
error f.yaml, document 1: Service shop/web: spec.clusterIPs[0]: Invalid value: "10.96.0.300": REASON; fix it; until then the last valid version of the object stays in effect
error f.yaml, document 1: Service shop/web: spec.ports[0].port: Invalid value: 80000: REASON; fix it; until then the last valid version of the object stays in effect
`,
	}, {
		name: "a list within a list",
		file: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}\n- 7\n",
		want: `torn
error f.yaml, document 1, item 1: List: kind: is a list within a list; give the inner items their place in the outer list
error f.yaml, document 1, item 2: is not an object; write apiVersion, kind, metadata and so on
`,
	}} {
		t.Run(tt.name, func(t *testing.T) {
			got := anyReason(parse("f.yaml", []byte(tt.file), services.Validate).text())
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// anyReason leaves out the words that package services has for an invalid value, which are
// held there.
func anyReason(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if i := strings.Index(line, "Invalid value: "); i >= 0 {
			head, rest := line[:i+len("Invalid value: ")], line[i+len("Invalid value: "):]
			value, tail, _ := strings.Cut(rest, ": ")
			_, remedy, _ := strings.Cut(tail, "; ")
			line = head + value + ": REASON; " + remedy
		}
		out.WriteString(line)
	}
	return out.String()
}

// TestParseEncodings: Notepad writes a byte order mark, PowerShell 5 UTF-16.
func TestParseEncodings(t *testing.T) {
	text := web + "---\n" + node
	want := parse("f.yaml", []byte(text), nil).text()
	wide := func(order binary.AppendByteOrder) []byte {
		out := order.AppendUint16(nil, 0xfeff)
		for _, u := range utf16.Encode([]rune(text)) {
			out = order.AppendUint16(out, u)
		}
		return out
	}
	for name, file := range map[string][]byte{
		"UTF-8 with a mark":    append([]byte{0xef, 0xbb, 0xbf}, text...),
		"UTF-16 little endian": wide(binary.LittleEndian),
		"UTF-16 big endian":    wide(binary.BigEndian),
	} {
		if diff := cmp.Diff(want, parse("f.yaml", file, nil).text()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func only(t *testing.T, file string) object {
	t.Helper()
	p := parse("f.yaml", []byte(file), services.Validate)
	if len(p.entries) != 1 || p.entries[0].object == nil || len(p.problems) > 0 {
		t.Fatalf("not one good object:\n%s", p.text())
	}
	return p.entries[0].object
}

// TestDefaults holds what an API server sets in the objects above.
func TestDefaults(t *testing.T) {
	wantService := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "e7e3bb44-276a-5b9f-8318-f048563d981f"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.7", ClusterIPs: []string{"10.96.0.7"},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Selector: map[string]string{"app": "web"},
			Ports:                 []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP}},
			SessionAffinity:       corev1.ServiceAffinityNone,
			InternalTrafficPolicy: ptr.To(corev1.ServiceInternalTrafficPolicyCluster),
		},
	}
	if diff := cmp.Diff(object(wantService), only(t, web)); diff != "" {
		t.Errorf("Service (-want +got):\n%s", diff)
	}
	wantSlice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-1", Namespace: "shop", UID: "0d05055f-d818-54ca-8177-42457fea18d5",
			Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.1.5"}}, // conditions that are not set stay so
			{Addresses: []string{"10.244.2.6"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false), Terminating: new(true)}},
		},
	}
	if diff := cmp.Diff(object(wantSlice), only(t, webSlice)); diff != "" {
		t.Errorf("EndpointSlice (-want +got):\n%s", diff)
	}
}

// TestServiceDefaults holds the rest of what an API server sets in Services.
func TestServiceDefaults(t *testing.T) {
	spec := func(lines string) corev1.ServiceSpec {
		if !strings.Contains(lines, "ports:") {
			lines += "\n ports: [{port: 80}]"
		}
		s, ok := only(t, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n"+lines).(*corev1.Service)
		if !ok || s.Namespace != "default" {
			t.Fatalf("got %v", s)
		}
		return s.Spec
	}
	for _, tt := range []struct {
		name, lines string
		is          func(corev1.ServiceSpec) bool
	}{
		{"clusterIP from clusterIPs", " clusterIPs: [10.96.0.7, 'fd00::7']", func(s corev1.ServiceSpec) bool {
			return s.ClusterIP == "10.96.0.7" && cmp.Equal(s.IPFamilies, []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol})
		}},
		{"families that are given", " clusterIP: 10.96.0.7\n ipFamilies: [IPv4]", func(s corev1.ServiceSpec) bool {
			return cmp.Equal(s.IPFamilies, []corev1.IPFamily{corev1.IPv4Protocol})
		}},
		{"headless", " clusterIP: None", func(s corev1.ServiceSpec) bool {
			return cmp.Equal(s.ClusterIPs, []string{"None"}) && len(s.IPFamilies) == 0
		}},
		{"policies of a load balancer", " clusterIP: 10.96.0.7\n type: LoadBalancer", func(s corev1.ServiceSpec) bool {
			return s.ExternalTrafficPolicy == "Cluster" && *s.InternalTrafficPolicy == "Cluster"
		}},
		{"policies that are given", " clusterIP: 10.96.0.7\n type: LoadBalancer\n externalTrafficPolicy: Local\n internalTrafficPolicy: Local",
			func(s corev1.ServiceSpec) bool {
				return s.ExternalTrafficPolicy == "Local" && *s.InternalTrafficPolicy == "Local"
			}},
		{"policy of external IPs", " clusterIP: 10.96.0.7\n externalIPs: [192.0.2.1]", func(s corev1.ServiceSpec) bool {
			return s.ExternalTrafficPolicy == "Cluster"
		}},
		{"no policy of an ExternalName", " type: ExternalName", func(s corev1.ServiceSpec) bool {
			return s.ExternalTrafficPolicy == "" && s.InternalTrafficPolicy == nil
		}},
		{"affinity", " clusterIP: 10.96.0.7\n sessionAffinity: ClientIP", func(s corev1.ServiceSpec) bool {
			return *s.SessionAffinityConfig.ClientIP.TimeoutSeconds == 10800
		}},
		{"target port", " clusterIP: 10.96.0.7\n ports: [{port: 53, protocol: UDP}]", func(s corev1.ServiceSpec) bool {
			return s.Ports[0].TargetPort.IntVal == 53 && s.Ports[0].Protocol == "UDP"
		}},
	} {
		if s := spec(tt.lines); !tt.is(s) {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

// TestIngressMode: an API server sets ipMode VIP for addresses.
func TestIngressMode(t *testing.T) {
	s, _ := only(t, edit(web, "  selector", "  type: LoadBalancer\n  selector")+"status:\n  loadBalancer:\n    ingress: [{ip: 192.0.2.1}, {hostname: a.example}, {ip: 192.0.2.2, ipMode: Proxy}]\n").(*corev1.Service)
	var got []string
	for _, i := range s.Status.LoadBalancer.Ingress {
		got = append(got, i.IP+i.Hostname+" "+string(ptr.Deref(i.IPMode, "unset")))
	}
	if diff := cmp.Diff([]string{"192.0.2.1 VIP", "a.example unset", "192.0.2.2 Proxy"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestIdentity: a UID that is given stays, one that is made up is the same each time, and
// the resource version of another server never gets in.
func TestIdentity(t *testing.T) {
	given := only(t, edit(web, "  name: web\n", "  name: web\n  uid: abc\n  resourceVersion: \"123\"\n"))
	if given.GetUID() != "abc" || given.GetResourceVersion() != "" {
		t.Errorf("uid %q, resourceVersion %q", given.GetUID(), given.GetResourceVersion())
	}
	a, b, c := only(t, web), only(t, web), only(t, edit(web, "name: web", "name: api"))
	if a.GetUID() == "" || a.GetUID() != b.GetUID() || a.GetUID() == c.GetUID() {
		t.Errorf("made-up UIDs %q, %q and of another %q", a.GetUID(), b.GetUID(), c.GetUID())
	}
}

func TestErrorUnwrap(t *testing.T) {
	cause := errors.New("cause")
	if err := error(&Error{Err: cause}); !errors.Is(err, cause) || IsWarning(err) || IsWarning(cause) {
		t.Error("an Error hides its cause, or is a warning")
	}
	if !IsWarning(fmt.Errorf("read: %w", &Error{Warning: true})) {
		t.Error("a wrapped warning is none")
	}
}
