// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unsafe"

	"github.com/Microsoft/hcsshim/hcn"
	"golang.org/x/sys/windows"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

var _ hnslb.Viewer = (*Driver)(nil)

// ViewEndpoint is part of hnslb.Viewer: 4 calls.
func (d *Driver) ViewEndpoint(ctx context.Context, id hnslb.ID) (hnslb.Views, error) {
	n := callName{hnslb.VerbEndpoints, string(id)}
	v2, err := run(ctx, n, d.api.endpoint, func() (*hcn.HostComputeEndpoint, error) { return hcn.GetEndpointByID(string(id)) })
	if err != nil {
		return hnslb.Views{}, err
	}
	return d.view(ctx, n, "/endpoints/", v2)
}

// ViewLoadBalancer is part of hnslb.Viewer: 4 calls.
func (d *Driver) ViewLoadBalancer(ctx context.Context, id hnslb.ID) (hnslb.Views, error) {
	n := callName{hnslb.VerbLoadBalancers, string(id)}
	v2, err := run(ctx, n, d.api.balancer, func() (*hcn.HostComputeLoadBalancer, error) { return hcn.GetLoadBalancerByID(string(id)) })
	if err != nil {
		return hnslb.Views{}, err
	}
	return d.view(ctx, n, "/policylists/", v2)
}

// view adds the V1 form of the object to that of V2.
func (d *Driver) view(ctx context.Context, n callName, path string, v2 any) (hnslb.Views, error) {
	text, err := json.Marshal(v2)
	if err != nil {
		return hnslb.Views{}, n.fail(hnslb.Other, err)
	}
	v1, err := run(ctx, n, d.api.v1, func() ([]byte, error) { return d.api.v1Get(path + strings.ToUpper(n.object)) })
	return hnslb.Views{V1: v1, V2: text}, err
}

// v1Get asks V1 for an object or a collection. hcsshim would leave out fields that it does not know, such as
// the state of a policy list.
func (a api) v1Get(path string) ([]byte, error) {
	var strings [3]*uint16
	for i, text := range []string{"GET", path, ""} {
		var err error
		if strings[i], err = windows.UTF16PtrFromString(text); err != nil {
			return nil, err
		}
	}
	var response *uint16
	result, _, _ := a.v1.Call(uintptr(unsafe.Pointer(strings[0])), uintptr(unsafe.Pointer(strings[1])),
		uintptr(unsafe.Pointer(strings[2])), uintptr(unsafe.Pointer(&response)))
	var text string
	if response != nil {
		text = windows.UTF16PtrToString(response)
		windows.CoTaskMemFree(unsafe.Pointer(response))
	}
	if code := uint32(result); int32(code) < 0 {
		return nil, fmt.Errorf("HNSCall GET %s: %w %s", path, windows.Errno(code), text)
	}
	var answer struct {
		Success bool
		Output  json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("HNSCall GET %s: %w", path, err)
	}
	if !answer.Success {
		return nil, fmt.Errorf("HNSCall GET %s: %s", path, text)
	}
	return answer.Output, nil
}
