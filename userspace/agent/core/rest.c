// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include <errno.h>
#include <string.h>

#include "agent/core/agent_int.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"
#include "version.h"

/* ---- probes ---- */

static void on_livez(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	/* The loop turns, or nobody would answer. */
	reply->text = strdup("ok\n");
}

static void add_waiting(const char *module, const char *why, void *arg)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return;
	json_add_str(o, "module", module);
	json_add_str(o, "reason", why);
	json_append(arg, o);
}

static void add_readiness(struct agent *a, struct json_object *o, bool *ret_ready)
{
	struct json_object *waiting = json_object_new_array();

	*ret_ready = waiting && ready_waiting(a, add_waiting, waiting) == 0;
	json_add_bool(o, "ready", *ret_ready);
	if (waiting)
		json_add(o, "waiting", waiting);
}

static void on_readyz(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	bool ready;

	reply->json = json_object_new_object();
	if (reply->json)
		add_readiness(arg, reply->json, &ready);
	reply->status = reply->json && ready ? 200 : 503;
}

/* ---- metrics ---- */

static void add_kind(const char *descriptor, const struct sched_kind_stats *s, void *arg)
{
	const struct {
		const char *op;
		uint64_t n;
	} ops[] = { { "create", s->created },
		    { "update", s->updated },
		    { "delete", s->deleted },
		    { "failed", s->failed } };

	for (size_t i = 0; i < ARRAY_SIZE(s->items); i++)
		metrics_sample(arg, "netloom_scheduler_items", METRIC_GAUGE,
			       "Items by descriptor and state.", s->items[i], "descriptor",
			       descriptor, "state", item_state_name(i), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		metrics_sample(arg, "netloom_scheduler_operations_total", METRIC_COUNTER,
			       "Operations on the node since start.", ops[i].n, "descriptor",
			       descriptor, "operation", ops[i].op, NULL);
}

static void add_events(const struct event_stats *s, struct metrics *m)
{
	const struct {
		const char *result;
		uint64_t n;
	} results[] = { { "ok", s->ok }, { "failed", s->failed }, { "reverted", s->reverted } };

	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		metrics_sample(m, "netloom_agent_events_total", METRIC_COUNTER,
			       "Events handled, by type and result.", results[i].n, "event",
			       s->name, "result", results[i].result, NULL);
	metrics_sample(m, "netloom_agent_event_seconds_total", METRIC_COUNTER,
		       "Time spent on events, by type.", s->seconds, "event", s->name, NULL);
}

static void add_core(struct agent *a, struct metrics *m)
{
	metrics_sample(m, "netloom_agent_info", METRIC_GAUGE, "Always 1.", 1, "version",
		       NETLOOM_VERSION, "node", a->cfg->node_name, NULL);
	metrics_sample(m, "netloom_agent_ready", METRIC_GAUGE, "1 when the node can serve pods.",
		       a->ready, NULL);
	metrics_sample(m, "netloom_agent_event_queue_length", METRIC_GAUGE, "Events that wait.",
		       event_queue_len(a), NULL);
	metrics_sample(m, "netloom_agent_healings_total", METRIC_COUNTER, "Resyncs after failures.",
		       a->heals, NULL);
	for (const struct event_stats *s = a->stats; s; s = s->next)
		add_events(s, m);
}

static void on_metrics(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct agent *a = arg;
	struct metrics *m;

	if (metrics_new(&m) < 0) {
		reply->status = 500;
		return;
	}
	add_core(a, m);
	scheduler_foreach_kind(a->scheduler, add_kind, m);
	for (size_t i = 0; i < a->n_modules; i++)
		if (a->modules[i].m->metrics)
			a->modules[i].m->metrics(a, m);
	process_metrics(m);
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	reply->text = metrics_text(m);
	reply->status = reply->text ? 200 : 500;
	metrics_free(m);
}

/* ---- items ---- */

static struct json_object *item_json(const struct item_view *item)
{
	const char *slash = strchr(item->key, '/');
	struct json_object *o = json_object_new_object(), *value = NULL;

	if (!o)
		return NULL;
	json_add_str(o, "key", item->key);
	json_add_str(o, "state", item_state_name(item->state));
	if (item->error)
		json_add_str(o, "error", item->error);
	if (item->waits_for)
		json_add_str(o, "waitsFor", item->waits_for);
	if (item->descriptor->describe)
		value = item->descriptor->describe(slash ? slash + 1 : item->key, item->value);
	if (value)
		json_add(o, "value", value);
	return o;
}

static int add_item(const struct item_view *item, void *arg)
{
	return json_append(arg, item_json(item));
}

static void on_items(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	const char *prefix = httpd_query(req, "prefix");
	struct json_object *items = json_object_new_array();
	struct agent *a = arg;

	reply->json = json_object_new_object();
	if (!items || !reply->json ||
	    scheduler_foreach(a->scheduler, prefix ? prefix : "", add_item, items) < 0) {
		json_object_put(items);
		reply->status = 500;
		return;
	}
	json_add(reply->json, "items", items);
}

struct one_item {
	const char *key;
	struct json_object *json;
};

static int keep_item(const struct item_view *item, void *arg)
{
	struct one_item *one = arg;

	if (strcmp(item->key, one->key) != 0)
		return 1; /* sorted: the key itself is the first of its prefix */
	one->json = item_json(item);
	return 1;
}

static void on_item(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct one_item one = { .key = req->rest };
	struct agent *a = arg;

	scheduler_foreach(a->scheduler, one.key, keep_item, &one);
	reply->json = one.json;
	if (one.json)
		return;
	reply->status = 404;
	reply->json = json_object_new_object();
	if (reply->json)
		json_add_str(reply->json, "error", "no such item");
}

/* ---- history ---- */

static int number(const struct httpd_request *req, const char *name, uint64_t *ret)
{
	const char *text = httpd_query(req, name);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno ? -EINVAL : 0;
}

static void refuse(struct httpd_reply *reply, const char *why)
{
	reply->status = 400;
	reply->json = json_object_new_object();
	if (reply->json)
		json_add_str(reply->json, "error", why);
}

static void on_history(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	uint64_t since = 0, last = UINT64_MAX;
	struct agent *a = arg;

	if (number(req, "since", &since) < 0 || number(req, "last", &last) < 0) {
		refuse(reply, "since and last are numbers");
		return;
	}
	reply->content_type = "application/json";
	reply->text = history_text(a->history, since, last);
	reply->status = reply->text ? 200 : 500;
}

/* ---- status ---- */

static void on_status(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct json_object *o = json_object_new_object(), *modules = json_object_new_object();
	struct agent *a = arg;
	struct txn_stats s;
	bool ready;

	reply->json = o;
	if (!o || !modules) {
		json_object_put(modules);
		reply->status = 500;
		return;
	}
	scheduler_totals(a->scheduler, &s);
	json_add_str(o, "version", NETLOOM_VERSION);
	json_add_str(o, "node", a->cfg->node_name);
	json_add_int(o, "pid", getpid());
	json_add_int(o, "startedMs", a->start_real_ms);
	json_add_int(o, "uptimeSeconds", (clock_ms() - a->start_ms) / 1000);
	add_readiness(a, o, &ready);
	json_add_int(o, "itemsPending", s.pending);
	json_add_int(o, "itemsFailed", s.failed);
	json_add_int(o, "eventsWaiting", event_queue_len(a));
	for (size_t i = 0; i < a->n_modules; i++) {
		const struct module *m = a->modules[i].m;
		struct json_object *part = m->status ? m->status(a) : NULL;

		if (part)
			json_add(modules, m->name, part);
	}
	json_add(o, "modules", modules);
}

/* ---- resync ---- */

static void on_resync(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	static const struct {
		const char *name;
		enum event_method method;
	} methods[] = { { "full", EVENT_FULL_RESYNC },
			{ "upstream", EVENT_UPSTREAM_RESYNC },
			{ "downstream", EVENT_DOWNSTREAM_RESYNC } };
	const char *asked = httpd_query(req, "method");
	struct agent *a = arg;
	uint64_t seq;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(asked ? asked : "upstream", methods[i].name) != 0)
			continue;
		seq = event_push_resync(a, methods[i].method, "asked for through the API");
		reply->status = 202;
		reply->json = json_object_new_object();
		if (reply->json)
			json_add_int(reply->json, "seq", seq);
		return;
	}
	refuse(reply, "method is one of full, upstream, downstream");
}

int rest_init(struct agent *a, struct err *e)
{
	static const struct {
		const char *method, *path;
		httpd_fn fn;
	} routes[] = {
		{ "GET", "/livez", on_livez },	    { "GET", "/readyz", on_readyz },
		{ "GET", "/metrics", on_metrics },  { "GET", "/v1/items", on_items },
		{ "GET", "/v1/items/", on_item },   { "GET", "/v1/history", on_history },
		{ "GET", "/v1/status", on_status }, { "POST", "/v1/resync", on_resync },
	};
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(routes); i++)
		err = httpd_route(a->httpd, routes[i].method, routes[i].path, routes[i].fn, a);
	return err < 0 ? err_errno(e, err, "routes") : 0;
}
