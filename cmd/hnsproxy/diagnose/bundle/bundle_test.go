// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import "testing"

// TestNames: a name is the same word wherever it stands, and nothing else changes.
func TestNames(t *testing.T) {
	t.Parallel()
	n := NewNames()
	for _, s := range [][2]string{{"namespace", "shop"}, {"service", "web"}, {"service", "state"}, {"service", "web"}, {"service", ""}, {"network", "my net"}} {
		n.Hide(s[0], s[1])
	}
	for _, tt := range []struct{ name, in, want string }{
		{"a.json", `{"state":"shop/web","n":[1.50,"webs, web.","my net",{"x":null}],"b":"10.0.0.5"}`,
			"{\n  \"b\": \"10.0.0.5\",\n  \"n\": [\n    1.50,\n    \"webs, web.\",\n    \"network-1\",\n    {\n      \"x\": null\n    }\n  ],\n  \"state\": \"namespace-1/service-1\"\n}"},
		{"a.txt", "--x=web, \"web\": state=web2\n", "--x=service-1, \"service-1\": service-2=web2\n"},
	} {
		got, err := n.Apply(Part{tt.name, []byte(tt.in)})
		if err != nil || string(got.Body) != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, got.Body, tt.want)
		}
	}
	if _, err := n.Apply(Part{"a.json", []byte("{")}); err == nil {
		t.Error("half a document is taken")
	}
}
