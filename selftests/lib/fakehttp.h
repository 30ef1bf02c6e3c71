/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An HTTP server that says what a test tells it to, on the test's own event loop: whole answers,
 * streams that are written bit by bit, silence, and connections cut in the middle. It knows just
 * enough HTTP/1.1 to find the end of a request (Content-Length only).
 *
 * Listens on a loopback port of its own, or on a unix socket. Single-threaded.
 */
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct fake_http;
struct fake_conn;

/* One whole request; head holds its first line and its headers. Answer now or later. */
typedef void (*fake_fn)(struct fake_conn *c, const char *head, const char *body, void *arg);

/* unix_path NULL: a TCP port. NULL on failure. */
struct fake_http *fake_http_new(struct event_base *base, const char *unix_path, fake_fn fn,
				void *arg);
void fake_http_free(struct fake_http *f);
const char *fake_http_url(const struct fake_http *f);
/* How many connections were ever accepted. */
int fake_http_accepted(const struct fake_http *f);

/* A whole answer; `headers` are lines that each end with \r\n, or "". */
void fake_answer(struct fake_conn *c, int status, const char *headers, const char *body);
/* A chunked answer with status 200: begin, then any number of chunks, then perhaps the end. */
void fake_stream_begin(struct fake_conn *c);
void fake_stream_chunk(struct fake_conn *c, const void *data, size_t len);
void fake_stream_text(struct fake_conn *c, const char *text);
void fake_stream_end(struct fake_conn *c);
/* Bytes as they stand. */
void fake_raw(struct fake_conn *c, const char *bytes);
/* Closes when what was written is out. */
void fake_close(struct fake_conn *c);
