// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
)

// malformedObjects cannot be used, each for another reason.
const malformedObjects = `apiVersion: v1
kind: Service
metadata: {name: type}
spec: {type: LoadBalancr, clusterIP: 10.96.0.7, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: address}
spec: {clusterIP: 10.96.0.300, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: port}
spec: {clusterIP: 10.96.0.9, ports: [{port: 99999}]}
---
apiVersion: v1
kind: Servise
metadata: {name: kind}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: type-1, labels: {kubernetes.io/service-name: type}}
addressType: IPv4
endpoints: [{addresses: [host]}]
---
- no
- object
---
a: b: c
`

// TestMalformedObjects: objects that cannot be used are told, each with its place in the file,
// and nothing is written to HNS for them.
func TestMalformedObjects(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte(malformedObjects), 0o600); err != nil {
		t.Fatal(err)
	}
	book := &logLines{begin: time.Now()}
	r := startWith(t, funcr.New(book.add, funcr.Options{}), func(o *Options, _ *Deps) { o.Objects = []string{file} })
	r.eventually("come to rest", r.Proxier.Idle)
	for verb, n := range r.Emulator.Counts() {
		if verb.IsWrite() && n > 0 {
			t.Errorf("%d times %s", n, verb)
		}
	}
	r.stop()
	log := strings.Join(book.take(), "\n")
	for _, want := range []string{
		"document 1: Service default/type: spec.type: ", "document 2: Service default/address: spec.clusterIPs[0]: ",
		"document 3: Service default/port: spec.ports[0].", "document 4: Servise kind: kind: ",
		"document 5: EndpointSlice default/type-1: endpoints[0].addresses[0]: ", "document 6: is not an object", "document 7: cannot be read: ",
	} {
		if !strings.Contains(log, `"error"="`+strings.Trim(strconv.Quote(file), `"`)+", "+want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}
