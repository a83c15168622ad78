/* Copyright The hnsproxy Authors. */
/* SPDX-License-Identifier: Apache-2.0 */

/* Stand-in for vmcompute.dll: the one function of it that reaches HNS. */
#include "hns.h"

HNS_EXPORT HRESULT WINAPI HNSCall(PCWSTR method, PCWSTR path, PCWSTR request, PWSTR *response)
{
	return hns_call(&(hns_call_t){.function = L"HNSCall", .args = {method, path, request}, .text = response});
}
