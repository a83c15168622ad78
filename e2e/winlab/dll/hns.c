/* Copyright The hnsproxy Authors. */
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Carries calls to the emulator that hnslb/emulator/hcnserver serves; its package comment describes the bytes. The address
 * is in the environment variable HNS_EMULATOR, "127.0.0.1:47253" when it is not set.
 *
 * A connection carries one call at a time. Idle ones are kept in a pool, so there are as many as calls were ever made at once.
 * A call waits for its answer for ever, as calls into HNS do.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "hns.h"

#include <objbase.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RPC_SERVER_UNAVAILABLE ((HRESULT)0x800706ba)
#define RPC_CALL_FAILED ((HRESULT)0x800706be)
#define DEFAULT_ADDRESS "127.0.0.1:47253"
#define NO_TEXT 0xffffffffu
#define MAX_IDLE 64

static SRWLOCK lock = SRWLOCK_INIT; /* guards the pool and the start of Winsock */
static SOCKET idle[MAX_IDLE];
static int idle_count;
static int winsock_started;

/* start_winsock cannot run in DllMain, where other libraries may not be called. */
static int start_winsock(void)
{
	WSADATA data;

	AcquireSRWLockExclusive(&lock);
	if (!winsock_started && WSAStartup(MAKEWORD(2, 2), &data) == 0)
		winsock_started = 1;
	ReleaseSRWLockExclusive(&lock);
	return winsock_started;
}

/* read_address reads HNS_EMULATOR; it returns 0 for what is no IPv4 address and port. */
static int read_address(struct sockaddr_in *address)
{
	char text[64];
	char *colon;
	DWORD n = GetEnvironmentVariableA("HNS_EMULATOR", text, sizeof text);

	if (n >= sizeof text)
		return 0;
	if (n == 0)
		strcpy(text, DEFAULT_ADDRESS);
	colon = strrchr(text, ':');
	if (!colon)
		return 0;
	*colon = 0;
	memset(address, 0, sizeof *address);
	address->sin_family = AF_INET;
	address->sin_port = htons((u_short)atoi(colon + 1));
	address->sin_addr.s_addr = inet_addr(text);
	return address->sin_addr.s_addr != INADDR_NONE && address->sin_port != 0;
}

static SOCKET dial(void)
{
	struct sockaddr_in address;
	SOCKET s;
	int on = 1;

	if (!start_winsock() || !read_address(&address))
		return INVALID_SOCKET;
	s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	if (s == INVALID_SOCKET)
		return s;
	if (connect(s, (struct sockaddr *)&address, sizeof address) != 0) {
		closesocket(s);
		return INVALID_SOCKET;
	}
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
	return s;
}

static SOCKET take_connection(void)
{
	SOCKET s = INVALID_SOCKET;

	AcquireSRWLockExclusive(&lock);
	if (idle_count > 0)
		s = idle[--idle_count];
	ReleaseSRWLockExclusive(&lock);
	return s != INVALID_SOCKET ? s : dial();
}

static void give_connection(SOCKET s)
{
	AcquireSRWLockExclusive(&lock);
	if (idle_count < MAX_IDLE) {
		idle[idle_count++] = s;
		s = INVALID_SOCKET;
	}
	ReleaseSRWLockExclusive(&lock);
	if (s != INVALID_SOCKET)
		closesocket(s);
}

/* drop_connections forgets the pool: when one connection has ended, so has the emulator behind all of them. */
static void drop_connections(SOCKET failed)
{
	SOCKET all[MAX_IDLE];
	int n;

	AcquireSRWLockExclusive(&lock);
	n = idle_count;
	memcpy(all, idle, sizeof all);
	idle_count = 0;
	ReleaseSRWLockExclusive(&lock);
	while (n > 0)
		closesocket(all[--n]);
	closesocket(failed);
}

static int send_all(SOCKET s, const char *data, size_t n)
{
	while (n > 0) {
		int sent = send(s, data, n > INT_MAX ? INT_MAX : (int)n, 0);

		if (sent <= 0)
			return 0;
		data += sent;
		n -= sent;
	}
	return 1;
}

static int receive_all(SOCKET s, char *data, size_t n)
{
	while (n > 0) {
		int got = recv(s, data, n > INT_MAX ? INT_MAX : (int)n, 0);

		if (got <= 0)
			return 0;
		data += got;
		n -= got;
	}
	return 1;
}

static char *put(char *at, const void *data, size_t n)
{
	memcpy(at, data, n);
	return at + n;
}

static char *put_u32(char *at, uint32_t n)
{
	return put(at, &n, sizeof n);
}

static size_t text_size(PCWSTR text)
{
	return text ? wcslen(text) * sizeof(WCHAR) : 0;
}

static char *put_text(char *at, PCWSTR text)
{
	if (!text)
		return put_u32(at, NO_TEXT);
	at = put_u32(at, (uint32_t)text_size(text));
	return put(at, text, text_size(text));
}

/* encode returns the bytes of a request, to be freed, and their number. */
static char *encode(const hns_call_t *call, size_t *size)
{
	static const GUID zero;
	uint64_t handle = (uintptr_t)call->handle;
	char *request, *at;
	int i;

	*size = 4 + sizeof handle + sizeof zero + 4 + text_size(call->function);
	for (i = 0; i < 3; i++)
		*size += 4 + text_size(call->args[i]);
	request = at = malloc(*size);
	if (!request)
		return NULL;
	at = put_u32(at, (uint32_t)(*size - 4));
	at = put(at, &handle, sizeof handle);
	at = put(at, call->id ? call->id : &zero, sizeof zero);
	at = put_text(at, call->function);
	for (i = 0; i < 3; i++)
		at = put_text(at, call->args[i]);
	return request;
}

/* receive_reply returns the bytes of a reply without its size, to be freed, or NULL. */
static char *receive_reply(SOCKET s, size_t *size)
{
	uint32_t n;
	char *reply;

	if (!receive_all(s, (char *)&n, sizeof n))
		return NULL;
	reply = malloc(n);
	if (reply && !receive_all(s, reply, n)) {
		free(reply);
		return NULL;
	}
	*size = n;
	return reply;
}

/* take_text moves past a text and copies it to *out, if there is an out. It returns NULL where the reply is too short. */
static const char *take_text(const char *at, const char *end, PWSTR *out)
{
	uint32_t n;

	if (!at || end - at < 4)
		return NULL;
	memcpy(&n, at, sizeof n);
	at += 4;
	if (n == NO_TEXT)
		return at;
	if ((size_t)(end - at) < n)
		return NULL;
	if (out) {
		*out = CoTaskMemAlloc(n + sizeof(WCHAR));
		if (!*out)
			return NULL;
		memcpy(*out, at, n);
		(*out)[n / sizeof(WCHAR)] = 0;
	}
	return at + n;
}

static HRESULT decode(const hns_call_t *call, const char *reply, size_t size)
{
	const char *at = reply + 12, *end = reply + size;
	uint32_t result;
	uint64_t handle;

	if (size < 12)
		return RPC_CALL_FAILED;
	memcpy(&result, reply, sizeof result);
	memcpy(&handle, reply + 4, sizeof handle);
	at = take_text(at, end, call->text);
	if (!take_text(at, end, call->record))
		return RPC_CALL_FAILED;
	if (call->new_handle)
		*call->new_handle = (void *)(uintptr_t)handle;
	return (HRESULT)result;
}

/*
 * An emulator that cannot be reached is a service that does not run. When a connection ends in a call, the service went away
 * meanwhile and nobody knows what became of the call; that of the next call is a new one.
 */
HRESULT hns_call(const hns_call_t *call)
{
	char *request, *reply = NULL;
	size_t request_size, reply_size = 0;
	HRESULT result;
	SOCKET s;

	if (call->new_handle)
		*call->new_handle = NULL;
	if (call->text)
		*call->text = NULL;
	if (call->record)
		*call->record = NULL;
	s = take_connection();
	if (s == INVALID_SOCKET)
		return RPC_SERVER_UNAVAILABLE;
	request = encode(call, &request_size);
	if (!request) {
		give_connection(s);
		return E_OUTOFMEMORY;
	}
	if (send_all(s, request, request_size))
		reply = receive_reply(s, &reply_size);
	free(request);
	if (!reply) {
		drop_connections(s);
		return RPC_CALL_FAILED;
	}
	result = decode(call, reply, reply_size);
	free(reply);
	give_connection(s);
	return result;
}
