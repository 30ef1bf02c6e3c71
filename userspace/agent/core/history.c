// SPDX-License-Identifier: Apache-2.0
#include "agent/core/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/json/json.h"

#define MAX_OPS 100 /* of one record; more are only counted */

struct entry {
	uint64_t seq;
	char *text;
};

struct history {
	struct entry *ring;
	size_t size, n, next;
	/* the open record */
	struct json_object *record, *handlers, *ops;
	uint64_t seq, start_ns;
	size_t ops_left_out;
};

int history_new(size_t entries, struct history **ret)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->size = entries ? entries : 1;
	h->ring = calloc(h->size, sizeof(*h->ring));
	if (!h->ring) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void history_cancel(struct history *h)
{
	json_object_put(h->record);
	h->record = h->handlers = h->ops = NULL;
	h->ops_left_out = 0;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	history_cancel(h);
	for (size_t i = 0; i < h->size; i++)
		free(h->ring[i].text);
	free(h->ring);
	free(h);
}

void history_begin(struct history *h, const struct history_head *head)
{
	struct json_object *o = json_object_new_object();

	history_cancel(h);
	h->seq = head->seq;
	h->start_ns = clock_ns();
	h->record = o;
	if (!o) {
		json_object_put(head->facts);
		return;
	}
	json_add_int(o, "seq", head->seq);
	json_add_str(o, "event", head->event);
	json_add_str(o, "method", head->method);
	if (head->follow_up_to)
		json_add_int(o, "followUpTo", head->follow_up_to);
	json_add_int(o, "startMs", clock_real_ms());
	json_add_int(o, "waitedMs", head->waited_ms);
	if (head->facts)
		json_add(o, "what", head->facts);
	h->handlers = json_object_new_array();
	if (h->handlers)
		json_add(o, "handlers", h->handlers);
	h->ops = json_object_new_array();
	if (h->ops)
		json_add(o, "operations", h->ops);
}

void history_handler(struct history *h, const char *module, const char *step, uint64_t us,
		     const char *error)
{
	struct json_object *o = h->handlers ? json_object_new_object() : NULL;

	if (!o)
		return;
	json_add_str(o, "module", module);
	json_add_str(o, "step", step);
	json_add_int(o, "us", us);
	if (error && *error)
		json_add_str(o, "error", error);
	json_append(h->handlers, o);
}

void history_op(struct history *h, const struct sched_op *op)
{
	struct json_object *o;

	if (!h->ops)
		return;
	if (json_object_array_length(h->ops) >= MAX_OPS && op->err == 0) {
		h->ops_left_out++;
		return;
	}
	if (json_object_array_length(h->ops) >= 2 * MAX_OPS) {
		h->ops_left_out++;
		return;
	}
	o = json_object_new_object();
	if (!o)
		return;
	json_add_str(o, "op", op->op);
	json_add_str(o, "item", op->key);
	if (op->undo)
		json_add_bool(o, "undo", true);
	if (op->err < 0)
		json_add_str(o, "error", op->error);
	json_append(h->ops, o);
}

static void add_stats(struct json_object *record, const struct txn_stats *stats)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *name;
		unsigned int n;
	} all[] = {
		{ "created", stats->created },	 { "updated", stats->updated },
		{ "deleted", stats->deleted },	 { "unchanged", stats->unchanged },
		{ "pending", stats->pending },	 { "failed", stats->failed },
		{ "reverted", stats->reverted },
	};

	for (size_t i = 0; o && i < ARRAY_SIZE(all); i++)
		if (all[i].n)
			json_add_int(o, all[i].name, all[i].n);
	json_add(record, "items", o);
}

void history_end(struct history *h, const struct txn_stats *stats, const char *error)
{
	struct entry *at = &h->ring[h->next];
	char *text;

	if (!h->record)
		return;
	if (stats)
		add_stats(h->record, stats);
	if (h->ops_left_out)
		json_add_int(h->record, "operationsLeftOut", h->ops_left_out);
	json_add_int(h->record, "us", (clock_ns() - h->start_ns) / 1000);
	if (error && *error)
		json_add_str(h->record, "error", error);
	text = strdup(json_text(h->record));
	history_cancel(h);
	if (!text)
		return;
	free(at->text);
	*at = (struct entry){ .seq = h->seq, .text = text };
	h->next = (h->next + 1) % h->size;
	h->n = MIN(h->n + 1, h->size);
}

char *history_text(const struct history *h, uint64_t since, size_t last)
{
	size_t first = (h->next + h->size - h->n) % h->size, len,
	       skip = h->n > last ? h->n - last : 0;
	bool any = false;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "{\"seq\":%" PRIu64 ",\"records\":[",
		h->n ? h->ring[(h->next + h->size - 1) % h->size].seq : 0);
	for (size_t i = skip; i < h->n; i++) {
		const struct entry *at = &h->ring[(first + i) % h->size];

		if (at->seq <= since)
			continue;
		fprintf(out, "%s%s", any ? "," : "", at->text);
		any = true;
	}
	fputs("]}", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
