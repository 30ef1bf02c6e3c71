// SPDX-License-Identifier: Apache-2.0
/*
 * What etcd's gateway sends: a watch's bytes cut into pieces of any size, and single answers. Also
 * holds that the cuts make no difference, and that the budget is given back.
 */
#include <stdint.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/store/watch_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BUDGET 65536

struct outcome {
	size_t lines, good, events;
	int64_t last_revision;
};

static void take(struct line_buf *b, struct kv_list *events, struct outcome *o)
{
	const char *line;
	size_t len;

	while (line_buf_next(b, &line, &len)) {
		struct watch_msg m;
		struct err e = {};
		int err = watch_msg_decode(line, len, events, &m, &e);

		if (err > 0 || (err < 0) != (e.code < 0) || (err < 0 && !e.msg[0]))
			__builtin_trap();
		o->lines++;
		o->good += err == 0;
		o->last_revision = m.header.revision;
		o->events += m.n_events;
		line_buf_drop(b, len);
	}
}

static struct outcome run(const uint8_t *data, size_t size, size_t piece)
{
	struct store_budget budget = { .max = BUDGET };
	struct kv_list events = { .budget = &budget };
	struct line_buf b = {};
	struct outcome o = {};

	for (size_t at = 0; at < size; at += piece) {
		if (line_buf_append(&b, data + at, MIN(piece, size - at), 1 << 20) < 0)
			break;
		take(&b, &events, &o);
	}
	for (size_t i = 0; i < events.n; i++) {
		if (!events.v[i].key_len || events.v[i].key[events.v[i].key_len] ||
		    events.v[i].mod_revision <= 0)
			__builtin_trap();
		if (events.v[i].value && events.v[i].value[events.v[i].value_len])
			__builtin_trap();
	}
	if (budget.used > BUDGET)
		__builtin_trap();
	kv_list_shift(&events, events.n / 2);
	kv_list_clear(&events);
	line_buf_clear(&b);
	if (budget.used)
		__builtin_trap();
	return o;
}

static void single_answer(const uint8_t *data, size_t size)
{
	_json_ *obj = NULL;
	struct store_header h;
	struct err e = {};

	if (json_parse((const char *)data, size, &obj, NULL) < 0)
		return;
	header_decode(obj, &h, &e);
	if (error_decode(obj, &e) < 0 || e.code >= 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;

	if (!size)
		return 0;
	whole = run(data, size, size);
	pieces = run(data, size, 1 + data[0] % 7);
	if (memcmp(&whole, &pieces, sizeof(whole)))
		__builtin_trap();
	single_answer(data, size);
	return 0;
}
