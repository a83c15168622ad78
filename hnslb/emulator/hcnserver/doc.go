// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hcnserver serves an emulator.Emulator at the level of Windows' own interfaces:
// the functions of computenetwork.dll (HCN, "V2") and HNSCall of vmcompute.dll ("V1"), with
// GUIDs, handles, JSON documents, HRESULTs and error records. Stand-ins for the two DLLs
// (e2e/winlab/dll) forward each call to it over a loopback socket, so that unmodified
// Windows programs run on the emulator, under Wine.
//
// It adds no rule of its own about load balancing: every call ends in the emulator, with
// its rules, faults, profile and latency. What it does itself is what computenetwork.dll
// and HNS's JSON reader do: documents (documents.go, v1documents.go), queries (query.go),
// handles (handles.go), error records (reply.go). Facts and marks of evidence [A] [B] [C]
// [?] are those of package emulator; names of sections are those of docs/hns.md.
//
// # Faults and counts
//
// A function that does the work of an hnslb.Verb meets the faults of that verb and counts
// as it: HcnCreateEndpoint is CreateEndpoint, HcnModifyLoadBalancer UpdateLoadBalancer,
// an enumeration or V1 list Endpoints or LoadBalancers, any enumeration of networks
// Network, /globals/version Features. Functions around it (open, query, close) and
// enumerations filtered by ID or name take the time of a read and meet a stopped service,
// and count as no verb. Server.Calls counts every function; it is the measure of "HNS
// calls", Emulator.HCNCalls being the estimate of it where nothing is served.
//
// # Not emulated
//
// Namespaces, SDN routes, guest network services and endpoint policies other than the
// provider address are not kept: documents lose them, modifying them is refused with
// 0x803b0015. Service callbacks hear of networks and of the end of the service, without
// data, and of nothing else. Enumerations as texts ("TCP") are refused; no client was seen
// to send them.
//
// # Wire
//
// Numbers are little-endian, texts UTF-16LE as the DLL got them. A request is
//
//	size uint32    of what follows
//	handle uint64  the handle argument, else 0
//	guid [16]byte  the GUID argument as it lies in memory, else zero
//	4 texts        the function's name; its text arguments in order
//
// and a reply is
//
//	size uint32
//	hresult uint32
//	handle uint64  the new handle, else 0
//	2 texts        the out text; the error record
//
// where a text is its size in bytes and the bytes, and size 0xffffffff is NULL. A
// connection carries one call at a time; a client that makes calls from several threads
// has several connections. A server that cannot make sense of a request closes the
// connection.
//
// Callbacks are called by the stand-in: a thread of its own asks with "NextNotification",
// which is no function of a DLL, and the handle of the callback. The answer comes when there
// is a notification, and has its kind in place of a handle, or after some seconds, with kind
// 0. It is 0x80070006 when the callback was unregistered.
package hcnserver
