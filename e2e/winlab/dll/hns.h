/* Copyright The hnsproxy Authors. */
/* SPDX-License-Identifier: Apache-2.0 */

/* The way from the stand-ins for computenetwork.dll and vmcompute.dll to the emulator; see hns.c. */
#ifndef HNS_H
#define HNS_H

#include <windows.h>

#define HNS_EXPORT __declspec(dllexport)

/* One call. What the function does not have stays zero. */
typedef struct {
	PCWSTR function; /* its name */
	const void *handle;
	const GUID *id;
	PCWSTR args[3]; /* its text arguments in order; NULL for those it does not have */
	void **new_handle; /* out parameters; each may be NULL */
	PWSTR *text;
	PWSTR *record;
} hns_call_t;

/* Makes the call and returns its HRESULT. Texts come from CoTaskMemAlloc. Every out parameter is set, to NULL where there is
   nothing, whatever the result. */
HRESULT hns_call(const hns_call_t *call);

#endif
