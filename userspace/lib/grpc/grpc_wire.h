/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What gRPC adds to HTTP/2, shared by client and server: the five-byte frame in front of each
 * message, percent-encoding of grpc-message, and grpc-timeout (grpc/doc/PROTOCOL-HTTP2.md). No I/O
 * and no library behind it. Private to lib/grpc.
 */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define GRPC_FRAME_HEADER 5
#define GRPC_MAX_MESSAGE  (4u << 20)

/* Uncompressed message of `len` bytes: flag 0, length in network order. */
void grpc_frame_header(uint8_t ret[static GRPC_FRAME_HEADER], uint32_t len);

/*
 * Collects the one message of a unary request or reply. The buffer grows with what has arrived, not
 * with what the header promises. Zero-initialised is ready to use.
 */
struct grpc_reader {
	uint8_t header[GRPC_FRAME_HEADER];
	size_t header_len;
	uint8_t *msg;
	size_t len, want, cap;
};
void grpc_reader_clear(struct grpc_reader *r);
/* 0, -EOPNOTSUPP compressed, -EMSGSIZE above `max`, -EPROTO bytes after the message, -ENOMEM. */
int grpc_reader_feed(struct grpc_reader *r, const uint8_t *data, size_t len, size_t max);
bool grpc_reader_complete(const struct grpc_reader *r);

/* Heap, NUL-terminated; NULL on out-of-memory. Everything outside of 0x20-0x7e, and '%', becomes
 * %XX. */
char *grpc_percent_encode(const char *s);
/* At most size - 1 bytes and a NUL; a broken escape is kept as it stands. */
void grpc_percent_decode(const char *s, size_t len, char *ret, size_t size);

/* "100m", "5S": at most eight digits and a unit of H M S m u n. In milliseconds, rounded up.
 * -EINVAL. */
int grpc_timeout_parse(const char *s, size_t len, uint64_t *ret_ms);
