// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hcn implements hnslb.Driver for the HNS of a Windows node, through Microsoft's hcsshim.
//
// compose_windows.go turns our values into hcsshim's, parse_windows.go turns them back, and
// errors_windows.go turns every failure into a *hnslb.Error. No other file knows both
// worlds. What needs no Windows has no build tag and is tested everywhere.
//
// # Calls
//
// One verb costs as many HNS calls as hcsshim can do it with: create endpoint 5 (open
// network, create, query, close, close), create load balancer 3, update 4 (open, modify,
// query, close), delete 1, network 4 when found (one more, through V1, where the network
// shows no provider address). No object is read before it is written, and none is looked
// up before it is deleted.
//
// # Lists
//
// HNS has two interfaces to one store. Through V2 (computenetwork.dll) a list is one call
// for the IDs and three for each object, and it fails as a whole when an object vanishes
// meanwhile. Through V1 (HNSCall in vmcompute.dll) it is one call.
//
// The V1 form of an endpoint has all that hnslb.Endpoint has. That of a load balancer has
// the endpoints, the source VIP, the VIPs, the protocol and both ports. It lacks the
// distribution and the IPv6, UseMux and PreserveDIP flags; it shows the others as
// IsDSR, LocalRoutedVip, IsVipExternalIP and ILB, but since when is not known. So no flag
// is taken from it. None of what is missing can change while an object lives, so it is
// asked through V2 once per object and remembered by ID; objects that this driver made
// itself are known already. The first list after a start therefore costs about as much as
// V2 does, and each later one is a single call.
//
// That V1 and V2 agree on what both show is not taken on trust. Of the endpoints, one of
// each shape (network, local or remote, number of addresses of each family, provider
// address) is compared the first time the shape is met. Of the load balancers, each one
// whose detail is asked is compared, and on a full list also whether either shows an
// object that the other lacks. A difference that a second look confirms makes that kind of
// list go through V2 alone until the process ends, and is reported once. An empty V1 list
// is never believed by itself, since "all is gone" is the costliest thing to be wrong
// about; asking V2 as well is one call when it is true.
//
// # Changes of HNS itself
//
// Watch registers a service callback, which hcsshim does not offer: HNS calls it when
// networks were created or deleted and when the service goes away. The process has one
// callback, however many watches there are; it only sets a flag. HNS forgets callbacks when
// its service ends, and it was not shown that it tells of a crash, so package watch also
// looks at the process of the service "hns" (ServiceProcess), which needs the right to query
// the status of services and nothing else.
//
// # Limits
//
// HNS calls cannot be cancelled: this driver looks at its context between calls only. Wrap
// it in hnslb.WithTimeout for the rest of the contract. hcsshim v0.15.0 does not close its
// handles when a call in the middle fails, so a create that HNS refuses leaks one handle
// in this process.
package hcn
