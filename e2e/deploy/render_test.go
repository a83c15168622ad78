// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"errors"
	"io"
	"path"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const (
	deployDir = "../../deploy"
	chartDir  = deployDir + "/chart/hnsproxy"
	namespace = "kube-system"
)

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	must(t, err)
	return c
}

// render returns what the templates make of these values, YAML as the user would write it, by the names of their files.
func render(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	parsed := parse(t, values)
	options := common.ReleaseOptions{Name: "hnsproxy", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, parsed, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: true}.RenderWithContext(t.Context(), c, all)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for name, text := range rendered {
		files[path.Base(name)] = text
	}
	return files, nil
}

func parse(t *testing.T, values string) map[string]any {
	t.Helper()
	parsed := map[string]any{}
	must(t, yaml.UnmarshalStrict([]byte(values), &parsed))
	return parsed
}

// objects are the objects of YAML documents. Comments alone are none.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if len(object.Object) > 0 {
			all = append(all, object)
		}
	}
}

// daemonSet is the rendered DaemonSet; a field that Kubernetes does not know is an error.
func daemonSet(t *testing.T, values string) *appsv1.DaemonSet {
	t.Helper()
	files, err := render(t, values)
	must(t, err)
	into := &appsv1.DaemonSet{}
	decode(t, files["daemonset.yaml"], into)
	return into
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	found := objects(t, text)
	if len(found) != 1 {
		t.Fatalf("%d objects, want one, in:\n%s", len(found), text)
	}
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found[0].Object, into, true))
}

func container(t *testing.T, ds *appsv1.DaemonSet) corev1.Container {
	t.Helper()
	if n := len(ds.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("%d containers, want one", n)
	}
	return ds.Spec.Template.Spec.Containers[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
