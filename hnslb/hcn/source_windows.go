// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"fmt"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"
	"golang.org/x/sys/windows"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// api are the Windows functions that calls depend on. All but modify came together with
// V2 itself, in Windows Server 2019, so one of a group stands for it.
type api struct {
	v1, network, endpoint, balancer, modify, register, unregister *windows.LazyProc
}

func newAPI() api {
	v2 := windows.NewLazySystemDLL("computenetwork.dll")
	return api{
		v1:         windows.NewLazySystemDLL("vmcompute.dll").NewProc("HNSCall"),
		network:    v2.NewProc("HcnOpenNetwork"),
		endpoint:   v2.NewProc("HcnCreateEndpoint"),
		balancer:   v2.NewProc("HcnCreateLoadBalancer"),
		modify:     v2.NewProc("HcnModifyLoadBalancer"),
		register:   v2.NewProc("HcnRegisterServiceCallback"),
		unregister: v2.NewProc("HcnUnregisterServiceCallback"),
	}
}

// do runs a call of hcsshim and classifies its error. When the function is missing, hcsshim
// panics or returns some code, so that is looked at first; it also panics when HNS returns
// no text where there must be one.
func do[T any](n callName, needs *windows.LazyProc, call func() (T, error)) (value T, err error) {
	if err := needs.Find(); err != nil {
		return value, n.fail(hnslb.Unsupported, fmt.Errorf("this version of Windows does not have %s: %w", needs.Name, err))
	}
	defer func() {
		if p := recover(); p != nil {
			err = n.fail(hnslb.Other, fmt.Errorf("hcsshim panicked: %v", p))
		}
	}()
	if value, err = call(); err != nil {
		err = n.wrap(err)
	}
	return value, err
}

// convert turns a list of hcsshim's values into ours.
func convert[From, To any](all []From, err error, one func(From) To) ([]To, error) {
	if err != nil {
		return nil, err
	}
	out := make([]To, 0, len(all))
	for _, o := range all {
		out = append(out, one(o))
	}
	return out, nil
}

func (a api) v1Endpoints() ([]hnslb.Endpoint, error) {
	all, err := do(callName{hnslb.VerbEndpoints, "all"}, a.v1, hcsshim.HNSListEndpointRequest)
	return convert(all, err, parseV1Endpoint)
}

func (a api) v2Endpoints() ([]hnslb.Endpoint, error) {
	all, err := do(callName{hnslb.VerbEndpoints, "all"}, a.endpoint, hcn.ListEndpoints)
	return convert(all, err, parseEndpoint)
}

func (a api) v2Endpoint(id hnslb.ID) (hnslb.Endpoint, error) {
	doc, err := do(callName{hnslb.VerbEndpoints, string(id)}, a.endpoint, func() (*hcn.HostComputeEndpoint, error) {
		return hcn.GetEndpointByID(string(id))
	})
	if err != nil {
		return hnslb.Endpoint{}, err
	}
	return parseEndpoint(*doc), nil
}

func (a api) v1LoadBalancers() ([]v1LoadBalancer, error) {
	return do(callName{hnslb.VerbLoadBalancers, "all"}, a.v1, func() ([]v1LoadBalancer, error) {
		text, err := a.v1Get("/policylists/")
		if err != nil {
			return nil, err
		}
		return parseV1LoadBalancers(text)
	})
}

func (a api) v2LoadBalancers() ([]hnslb.LoadBalancer, error) {
	all, err := do(callName{hnslb.VerbLoadBalancers, "all"}, a.balancer, hcn.ListLoadBalancers)
	return convert(all, err, parseLoadBalancer)
}

func (a api) v2LoadBalancer(id hnslb.ID) (hnslb.LoadBalancer, error) {
	doc, err := do(callName{hnslb.VerbLoadBalancers, string(id)}, a.balancer, func() (*hcn.HostComputeLoadBalancer, error) {
		return hcn.GetLoadBalancerByID(string(id))
	})
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	return parseLoadBalancer(*doc), nil
}
