/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The lines of a watch: each is one JSON object, {"result": WatchResponse} or {"error": Status}. A
 * line has no bound of its own in etcd (a replay of 500 large events came as one of 6.7 MB), so the
 * buffer grows up to what the caller allows. No I/O. Private to lib/store.
 */
#include "lib/store/codec.h"

struct line_buf {
	char *buf;
	size_t len, cap, scanned;
};
/* Appends; -E2BIG when an unfinished line would be above `max`, -ENOMEM. */
int line_buf_append(struct line_buf *b, const void *data, size_t len, size_t max);
/* The next whole line without its end, borrowed until line_buf_drop(); false: none yet. */
bool line_buf_next(struct line_buf *b, const char **ret, size_t *ret_len);
/* Drops the line that line_buf_next() gave, its end included. */
void line_buf_drop(struct line_buf *b, size_t line_len);
void line_buf_clear(struct line_buf *b);

struct watch_msg {
	struct store_header header;
	bool created, canceled;
	bool fragment; /* more events of the same revision may follow in the next message */
	size_t n_events;
	int grpc_code; /* of an {"error"} line */
};
/*
 * Decodes one line and appends its events. Negative: an {"error"} line or a cancelled watch, as the
 * errno that store.h lists (-ESTALE: compacted, -EACCES: not allowed, -EAGAIN: server lost), or
 * -EPROTO; e has the sentence. `ret` is always set.
 */
int watch_msg_decode(const char *line, size_t len, struct kv_list *events, struct watch_msg *ret,
		     struct err *e);
