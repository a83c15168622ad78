// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package commandline

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/internal/corpus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
)

// theirsAtLast reads a file as kube-proxy does: one with fields that it does not know, once more without heed to them.
func theirsAtLast(text string) (*config.KubeProxyConfiguration, error) {
	c, err := theirs(text)
	if !runtime.IsStrictDecodingError(err) {
		return c, err
	}
	obj, _, err := serializer.NewCodecFactory(scheme.Scheme, serializer.DisableStrict).UniversalDecoder().Decode([]byte(text), nil, nil)
	if err != nil {
		return nil, err
	}
	return obj.(*config.KubeProxyConfiguration), nil
}

// TestDeployedFiles: files from the field are read as kube-proxy reads them, and what it refuses is refused.
func TestDeployedFiles(t *testing.T) {
	refused := 0
	for _, name := range corpus.Configs() {
		text := string(corpus.Config(name))
		our, _, ourErr := options.ParseConfiguration(name, []byte(text))
		their, theirErr := theirsAtLast(text)
		if (ourErr == nil) != (theirErr == nil) {
			t.Errorf("%s: kube-proxy says %v, hnsproxy %v", name, theirErr, ourErr)
			continue
		}
		if ourErr != nil {
			t.Logf("%s: kube-proxy says %v, hnsproxy %v", name, theirErr, ourErr)
			refused++
			continue
		}
		want, err := theirsWritten(their)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := options.WriteConfiguration(&got, our); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("%s (-kube-proxy +hnsproxy):\n%s", name, diff)
		}
	}
	t.Logf("%d files compared, %d refused by both", len(corpus.Configs()), refused)
}
