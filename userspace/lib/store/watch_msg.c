// SPDX-License-Identifier: Apache-2.0
#include "lib/store/watch_msg.h"

#include <errno.h>
#include <string.h>

#include "lib/base/grow.h"
#include "lib/json/json.h"

int line_buf_append(struct line_buf *b, const void *data, size_t len, size_t max)
{
	if (len > max || b->len > max - len)
		return -E2BIG;
	if (grow_room(&b->buf, &b->cap, b->len + len, 1) < 0)
		return -ENOMEM;
	memcpy(b->buf + b->len, data, len);
	b->len += len;
	return 0;
}

bool line_buf_next(struct line_buf *b, const char **ret, size_t *ret_len)
{
	const char *end = NULL;

	if (b->len > b->scanned)
		end = memchr(b->buf + b->scanned, '\n', b->len - b->scanned);
	if (!end) {
		b->scanned = b->len;
		return false;
	}
	*ret = b->buf;
	*ret_len = end - b->buf;
	return true;
}

void line_buf_drop(struct line_buf *b, size_t line_len)
{
	b->len -= line_len + 1;
	b->scanned = 0;
	memmove(b->buf, b->buf + line_len + 1, b->len);
	/* A long line is rare; its memory is not kept for the short ones. */
	if (b->cap > (1u << 20) && b->len == 0)
		line_buf_clear(b);
}

void line_buf_clear(struct line_buf *b)
{
	free(b->buf);
	*b = (struct line_buf){};
}

static int add_event(struct kv_list *events, struct json_object *event, struct err *e)
{
	const char *type = "PUT";

	if (json_opt_str(event, "type", &type, e) < 0)
		return err_set(e, -EPROTO, "type: no text");
	if (strcmp(type, "PUT") && strcmp(type, "DELETE"))
		return err_set(e, -EPROTO, "type: '%.40s' is neither PUT nor DELETE", type);
	return kv_list_add_json(events, json_field(event, "kv"), !strcmp(type, "DELETE"), e);
}

static int add_events(struct kv_list *events, struct json_object *list, struct watch_msg *m,
		      struct err *e)
{
	size_t n = list ? json_object_array_length(list) : 0;
	int err;

	for (; m->n_events < n; m->n_events++) {
		err = add_event(events, json_object_array_get_idx(list, m->n_events), e);
		if (err < 0)
			return err_prefix(e, "watch: events[%zu]", m->n_events);
	}
	return 0;
}

/* etcd gives a reason as text only. */
static int cancelled(struct json_object *result, struct err *e)
{
	const char *reason = "the watch was cancelled";
	int64_t compacted = 0;

	json_opt_str(result, "cancel_reason", &reason, NULL);
	if (int64_decode(result, "compact_revision", &compacted, NULL) == 0 && compacted > 0)
		return err_set(e, -ESTALE, "compacted up to revision %lld", (long long)compacted);
	if (strstr(reason, "compacted"))
		return err_set(e, -ESTALE, "%.200s", reason);
	if (strstr(reason, "permission denied") || strstr(reason, "auth"))
		return err_set(e, -EACCES, "%.200s", reason);
	return err_set(e, -EAGAIN, "%.200s", reason);
}

static int take_result(struct json_object *result, struct kv_list *events, struct watch_msg *m,
		       struct err *e)
{
	struct json_object *list = NULL;
	int err;

	if (json_opt_bool(result, "created", &m->created, e) < 0 ||
	    json_opt_bool(result, "canceled", &m->canceled, e) < 0 ||
	    json_opt_bool(result, "fragment", &m->fragment, e) < 0 ||
	    json_opt_array(result, "events", &list, e) < 0) {
		err_prefix(e, "watch");
		return e->code = -EPROTO;
	}
	if (m->canceled)
		return cancelled(result, e);
	err = header_decode(result, &m->header, e);
	return err < 0 ? err : add_events(events, list, m, e);
}

int watch_msg_decode(const char *line, size_t len, struct kv_list *events, struct watch_msg *ret,
		     struct err *e)
{
	struct json_object *error, *result;
	_json_ *obj = NULL;

	*ret = (struct watch_msg){};
	if (json_parse(line, len, &obj, e) < 0) {
		err_prefix(e, "watch");
		return e->code = -EPROTO;
	}
	error = json_field(obj, "error");
	if (error) {
		ret->grpc_code = error_decode(error, e);
		return e->code;
	}
	result = json_field(obj, "result");
	if (!json_object_is_type(result, json_type_object))
		return err_set(e, -EPROTO, "watch: a line with neither result nor error");
	return take_result(result, events, ret, e);
}
