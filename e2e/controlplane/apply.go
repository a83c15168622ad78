// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// ApplyFile applies the objects of a YAML file in its order, as `kubectl apply --server-side` does, and as strictly as the
// server can: a field that its schema does not know is an error. The error names the object.
func (c *ControlPlane) ApplyFile(ctx context.Context, path string) error {
	config, err := c.RESTConfig(ctx, Admin)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("apply %s: %w", path, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read from

	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Admin.Discovery()))
	documents := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("apply %s: %w", path, err)
		}
		if len(object.Object) == 0 {
			continue // a document of comments only
		}
		if err := apply(ctx, client, mapper, object); err != nil {
			return fmt.Errorf("apply %s: %s %s: %w", path, object.GetKind(), object.GetName(), err)
		}
	}
}

func apply(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	body, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	options := metav1.PatchOptions{FieldManager: "e2e", Force: &force, FieldValidation: metav1.FieldValidationStrict}
	// An empty namespace is what a cluster-scoped resource wants.
	_, err = client.Resource(mapping.Resource).Namespace(object.GetNamespace()).
		Patch(ctx, object.GetName(), types.ApplyPatchType, body, options)
	return err
}
