/* Copyright The hnsproxy Authors. */
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stand-in for computenetwork.dll: the Host Compute Network functions of networks, endpoints and load balancers, and the
 * registration of service callbacks, with the signatures of Microsoft's HCN reference. Namespaces, SDN routes and guest network
 * services are not exported.
 */
#include "hns.h"

#include <stdint.h>
#include <stdlib.h>

/* The functions that networks, endpoints and load balancers have alike. */
#define OBJECT_FUNCTIONS(KIND)                                                                        \
	HNS_EXPORT HRESULT WINAPI HcnEnumerate##KIND##s(PCWSTR query, PWSTR *ids, PWSTR *record)          \
	{                                                                                                 \
		return hns_call(&(hns_call_t){                                                                \
			.function = L"HcnEnumerate" #KIND "s", .args = {query}, .text = ids, .record = record});  \
	}                                                                                                 \
	HNS_EXPORT HRESULT WINAPI HcnOpen##KIND(const GUID *id, void **handle, PWSTR *record)             \
	{                                                                                                 \
		return hns_call(&(hns_call_t){                                                                \
			.function = L"HcnOpen" #KIND, .id = id, .new_handle = handle, .record = record});         \
	}                                                                                                 \
	HNS_EXPORT HRESULT WINAPI HcnModify##KIND(void *handle, PCWSTR settings, PWSTR *record)           \
	{                                                                                                 \
		return hns_call(&(hns_call_t){                                                                \
			.function = L"HcnModify" #KIND, .handle = handle, .args = {settings}, .record = record}); \
	}                                                                                                 \
	HNS_EXPORT HRESULT WINAPI HcnQuery##KIND##Properties(                                             \
		void *handle, PCWSTR query, PWSTR *properties, PWSTR *record)                                 \
	{                                                                                                 \
		return hns_call(&(hns_call_t){.function = L"HcnQuery" #KIND "Properties",                     \
			.handle = handle, .args = {query}, .text = properties, .record = record});                \
	}                                                                                                 \
	HNS_EXPORT HRESULT WINAPI HcnDelete##KIND(const GUID *id, PWSTR *record)                          \
	{                                                                                                 \
		return hns_call(&(hns_call_t){.function = L"HcnDelete" #KIND, .id = id, .record = record});   \
	}                                                                                                 \
	HNS_EXPORT HRESULT WINAPI HcnClose##KIND(void *handle)                                            \
	{                                                                                                 \
		return hns_call(&(hns_call_t){.function = L"HcnClose" #KIND, .handle = handle});              \
	}

OBJECT_FUNCTIONS(Network)
OBJECT_FUNCTIONS(Endpoint)
OBJECT_FUNCTIONS(LoadBalancer)

HNS_EXPORT HRESULT WINAPI HcnCreateNetwork(const GUID *id, PCWSTR settings, void **network, PWSTR *record)
{
	return hns_call(&(hns_call_t){
		.function = L"HcnCreateNetwork", .id = id, .args = {settings}, .new_handle = network, .record = record});
}

HNS_EXPORT HRESULT WINAPI HcnCreateEndpoint(
	void *network, const GUID *id, PCWSTR settings, void **endpoint, PWSTR *record)
{
	return hns_call(&(hns_call_t){.function = L"HcnCreateEndpoint",
		.handle = network, .id = id, .args = {settings}, .new_handle = endpoint, .record = record});
}

HNS_EXPORT HRESULT WINAPI HcnCreateLoadBalancer(const GUID *id, PCWSTR settings, void **balancer, PWSTR *record)
{
	return hns_call(&(hns_call_t){
		.function = L"HcnCreateLoadBalancer", .id = id, .args = {settings}, .new_handle = balancer, .record = record});
}

typedef void(CALLBACK *notification_t)(DWORD type, void *context, HRESULT status, PCWSTR data);

#define SERVICE_DISCONNECT 0x01000000

/* What a callback's handle points to. */
typedef struct {
	notification_t callback;
	void *context;
	void *handle; /* the emulator's */
	HANDLE thread;
} registration_t;

/* deliver waits for notifications and calls the callback, until it is unregistered or the service went away. */
static DWORD WINAPI deliver(void *argument)
{
	registration_t *r = argument;
	void *kind;
	HRESULT result;

	do {
		result = hns_call(&(hns_call_t){.function = L"NextNotification", .handle = r->handle, .new_handle = &kind});
		if (result == E_HANDLE)
			return 0;
		if (FAILED(result))
			kind = (void *)SERVICE_DISCONNECT; /* the emulator went away, so the service did */
		if (kind)
			r->callback((DWORD)(uintptr_t)kind, r->context, S_OK, NULL);
	} while (kind != (void *)SERVICE_DISCONNECT);
	return 0;
}

HNS_EXPORT HRESULT WINAPI HcnRegisterServiceCallback(notification_t callback, void *context, void **handle)
{
	registration_t *r = calloc(1, sizeof *r);
	HRESULT result;

	*handle = NULL;
	if (!r)
		return E_OUTOFMEMORY;
	r->callback = callback;
	r->context = context;
	result = hns_call(&(hns_call_t){.function = L"HcnRegisterServiceCallback", .new_handle = &r->handle});
	if (SUCCEEDED(result)) {
		r->thread = CreateThread(NULL, 0, deliver, r, 0, NULL);
		if (r->thread) {
			*handle = r;
			return result;
		}
		hns_call(&(hns_call_t){.function = L"HcnUnregisterServiceCallback", .handle = r->handle});
		result = E_OUTOFMEMORY;
	}
	free(r);
	return result;
}

/* The callback is not called any more when this returns. It must not be called from the callback, since it waits for its end. */
HNS_EXPORT HRESULT WINAPI HcnUnregisterServiceCallback(void *handle)
{
	registration_t *r = handle;
	HRESULT result = hns_call(&(hns_call_t){.function = L"HcnUnregisterServiceCallback", .handle = r->handle});

	WaitForSingleObject(r->thread, INFINITE);
	CloseHandle(r->thread);
	free(r);
	return result;
}
