// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a peer of the gRPC server may send, over a socket pair, in pieces. The first byte
 * says whether the HTTP/2 preface is put in front, and how long a piece is.
 */
#include <string.h>
#include <sys/socket.h>

#include "lib/grpc/grpc_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void echo(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	grpc_call_finish(call, GRPC_OK, NULL, msg, len);
}

static void stream(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	for (int i = 0; i < 10 && grpc_call_send(call, msg, len) == 0; i++)
		;
	grpc_call_finish(call, GRPC_NOT_FOUND, "50% of it", NULL, 0);
}

/* At most one is kept; it is answered when the peer is long gone. */
static void keep(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	struct grpc_call **kept = arg;

	if (*kept)
		grpc_call_finish(*kept, GRPC_OK, NULL, NULL, 0);
	*kept = call;
}

static void feed(struct event_base *base, int fd, const uint8_t *data, size_t size, size_t piece)
{
	static uint8_t sink[65536];

	while (size > 0) {
		ssize_t n = send(fd, data, MIN(size, piece), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			return;
		data += n;
		size -= n;
		event_base_loop(base, EVLOOP_NONBLOCK);
		recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	static struct event_base *base;
	const struct grpc_server_config cfg = { .max_message = 4096 };
	struct grpc_call *kept = NULL;
	struct grpc_server *s;
	struct grpc_conn *c;
	int fds[2];

	if (!base)
		base = event_base_new();
	if (size < 1 || grpc_server_new(base, &cfg, &s, NULL) < 0)
		return 0;
	grpc_server_method(s, "/t/E", echo, NULL);
	grpc_server_method(s, "/t/S", stream, NULL);
	grpc_server_method(s, "/t/K", keep, &kept);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	if (grpc_conn_new(s, fds[0], &c) == 0) {
		if (data[0] & 1)
			feed(base, fds[1], (const uint8_t *)preface, sizeof(preface) - 1, 1000);
		feed(base, fds[1], data + 1, size - 1, (data[0] >> 1) + 1);
	}
	close(fds[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	grpc_server_free(s);
	if (kept)
		grpc_call_finish(kept, GRPC_OK, NULL, NULL, 0);
	return 0;
}
