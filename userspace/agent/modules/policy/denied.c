// SPDX-License-Identifier: Apache-2.0
/* What policy has denied, counted by name: GET /v1/denied, of the data plane's loom_denied. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/datapath/datapath.h"
#include "agent/modules/policy/private.h"
#include "agent/modules/policy/verdict.h"
#include "lib/base/clock.h"
#include "lib/bpf/walk.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

struct row {
	struct loom_deniedkey key;
	struct loom_denied value;
};

struct rows {
	const struct world *w;
	const char *only; /* "namespace" or "namespace/pod"; "": all */
	struct row *v;
	size_t n;
};

static bool is_wanted(const struct rows *rows, uint32_t number)
{
	size_t len = strlen(rows->only);
	const struct endpoint *ep = NULL;
	const char *pod;

	HASH_FIND(hh, rows->w->endpoints, &number, sizeof(number), ep);
	pod = ep && ep->pod ? ep->pod->key : NULL;
	if (!pod || !len)
		return pod;
	return strncmp(pod, rows->only, len) == 0 && (!pod[len] || pod[len] == '/');
}

static int collect(const void *key, const void *value, void *arg)
{
	struct rows *rows = arg;
	struct row *r;

	if (!is_wanted(rows, ((const struct loom_deniedkey *)key)->ep))
		return 0;
	r = grow(&rows->v, &rows->n, sizeof(*r));
	if (!r)
		return -ENOMEM;
	memcpy(&r->key, key, sizeof(r->key));
	memcpy(&r->value, value, sizeof(r->value));
	return 0;
}

/* The largest first, then the latest. */
static int by_packets(const void *one, const void *other)
{
	const struct row *a = one, *b = other;

	if (a->value.packets != b->value.packets)
		return a->value.packets > b->value.packets ? -1 : 1;
	if (a->value.last_ns != b->value.last_ns)
		return a->value.last_ns > b->value.last_ns ? -1 : 1;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static struct json_object *show_row(const struct world *w, const struct row *r, uint64_t now_ns)
{
	_json_ *o = verdict_denied(w, &r->key);
	uint64_t ago = now_ns > r->value.last_ns ? now_ns - r->value.last_ns : 0;
	char when[CLOCK_STRLEN];

	clock_text(r->value.last_ns, when);
	if (!o || json_add_int(o, "packets", r->value.packets) < 0 ||
	    json_add_str(o, "lastSeen", when) < 0 ||
	    json_add_int(o, "secondsAgo", ago / 1000000000) < 0)
		return NULL;
	return TAKE_PTR(o);
}

static void show_rows(FILE *f, const struct rows *rows)
{
	uint64_t now = clock_ns();

	fputc('[', f);
	for (size_t i = 0; i < rows->n; i++) {
		_json_ *o = show_row(rows->w, &rows->v[i], now);

		fprintf(f, "%s%s", i ? ",\n" : "", o ? json_text(o) : "null");
	}
	fputs("]\n", f);
}

static int show(const struct policy_module *m, const char *only, struct httpd_reply *reply)
{
	struct rows rows = { .w = m->world, .only = only };
	int fd = datapath_map_fd(m->agent, "loom_denied"), err = 0;
	size_t len;
	FILE *f;

	if (m->world)
		err = fd < 0 ? -ENOENT : map_walk(fd, collect, &rows);
	f = err < 0 ? NULL : open_memstream(&reply->text, &len);
	if (f) {
		if (rows.n)
			qsort(rows.v, rows.n, sizeof(*rows.v), by_packets);
		show_rows(f, &rows);
		reply->content_type = "application/json";
		err = fclose(f) == 0 ? 0 : -ENOMEM;
	}
	free(rows.v);
	return f ? err : err ?: -ENOMEM;
}

/* "namespace/pod", and not just a namespace, which may have no pods here at any time. */
static bool is_nobody(const struct policy_module *m, const char *only)
{
	if (!strchr(only, '/') || !m->world)
		return strchr(only, '/');
	for (const struct endpoint *ep = m->world->endpoints; ep; ep = ep->hh.next)
		if (ep->pod && strcmp(ep->pod->key, only) == 0)
			return false;
	return true;
}

static void get(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct policy_module *m = arg;
	const char *only = strcmp(req->path, "/v1/denied") == 0 ? "" : req->rest;

	if (is_nobody(m, only))
		policy_no_pod(m->world, only, reply);
	else if (show(m, only, reply) < 0)
		reply->status = 500;
}

int denied_routes(struct policy_module *m)
{
	struct httpd *h = agent_httpd(m->agent);
	int err = httpd_route(h, "GET", "/v1/denied", get, m);

	return err ?: httpd_route(h, "GET", "/v1/denied/", get, m);
}
