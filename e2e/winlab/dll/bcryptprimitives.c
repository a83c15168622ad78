/* Copyright The hnsproxy Authors. */
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Go programs need and Wine 8 lacks, in a stand-in for bcryptprimitives.dll, which every Go program loads first of all.
 */
#include <windows.h>
#include <string.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG size); /* RtlGenRandom of advapi32.dll */

/* The one function of bcryptprimitives.dll that Go calls. */
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
	while (size > 0) {
		ULONG n = size > 0x40000000 ? 0x40000000 : (ULONG)size;

		if (!SystemFunction036(data, n))
			return FALSE;
		data += n;
		size -= n;
	}
	return TRUE;
}

/*
 * os.RemoveAll asks NtSetInformationFile for FileDispositionInformationEx. A Windows that does not have it says
 * STATUS_INVALID_INFO_CLASS, and Go then takes the older way; Wine 8 says "not implemented", and Go gives up, so that each test
 * with a temporary directory fails. So the function's beginning is replaced by a jump to one that answers as Windows does.
 */
typedef LONG(NTAPI *set_information_t)(HANDLE file, void *status, void *data, ULONG size, int class);

#define FILE_DISPOSITION_INFORMATION_EX 64
#define INVALID_INFO_CLASS ((LONG)0xc0000003)

static set_information_t original;

static LONG NTAPI set_information(HANDLE file, void *status, void *data, ULONG size, int class)
{
	if (class == FILE_DISPOSITION_INFORMATION_EX)
		return INVALID_INFO_CLASS;
	return original(file, status, data, size, class);
}

/* The system calls of Wine 8: 32 bytes that work at any place, of which four hold the number of the call. */
#define STUB_SIZE 32
#define NUMBER_AT 4
static const unsigned char stub_begin[] = {0x4c, 0x8b, 0xd1, 0xb8};
static const unsigned char stub_end[] = {0xf6, 0x04, 0x25, 0x08, 0x03, 0xfe, 0x7f, 0x01, 0x75, 0x03, 0x0f, 0x05,
	0xc3, 0xeb, 0x01, 0xc3, 0xff, 0x14, 0x25, 0x00, 0x10, 0xfe, 0x7f, 0xc3};

/* replace_set_information leaves a function alone that does not look as expected. */
static void replace_set_information(void)
{
	unsigned char jump[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}; /* mov rax, target; jmp rax */
	void *target = (void *)set_information;
	unsigned char *stub = (unsigned char *)GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtSetInformationFile");
	unsigned char *copy;
	DWORD protection;

	if (!stub || memcmp(stub, stub_begin, sizeof stub_begin) != 0 ||
		memcmp(stub + NUMBER_AT + 4, stub_end, sizeof stub_end) != 0)
		return;
	copy = VirtualAlloc(NULL, STUB_SIZE, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
	if (!copy || !VirtualProtect(stub, sizeof jump, PAGE_EXECUTE_READWRITE, &protection))
		return;
	memcpy(copy, stub, STUB_SIZE);
	original = (set_information_t)(void *)copy;
	memcpy(jump + 2, &target, sizeof target);
	memcpy(stub, jump, sizeof jump);
	VirtualProtect(stub, sizeof jump, protection, &protection);
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved)
{
	(void)module;
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH)
		replace_set_information();
	return TRUE;
}
