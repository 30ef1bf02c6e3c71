// SPDX-License-Identifier: Apache-2.0
/*
 * netloom status: is this node well, and if not, why, and what to do. Reads what the agent says
 * tolerantly: a field that an agent of another version does not send is left out.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"

#define POLL_MS	       250
#define DEFAULT_WAIT_S 60

/* What helps against a problem that names one of these. */
static const struct {
	const char *word, *fix;
} fixes[] = {
	{ "no ksr leads",
	  "see that netloom-ksr runs and is ready; pods that run keep their network meanwhile, and "
	  "policies and services stay as they are" },
	{ "etcd",
	  "see that etcd runs and that etcd.endpoints in the agent's configuration are right; "
	  "pods that run keep their network meanwhile" },
	{ "conntrack", "raise conntrack.maxEntries, or look for who opens so many connections: "
		       "netloom dump ct" },
	{ "uplink", "name the right link in uplink.interface, and see that it is up and has an "
		    "address: ip addr" },
	{ "object is not known",
	  "see that netloom-ksr runs and is ready: what Kubernetes has comes by it" },
	{ "pool", "the node's pod range is used up: netloom ipam shows by whom" },
	{ "node id", "an id is claimed in etcd: see that it can be written" },
	{ "pod CIDR",
	  "with cluster.podCIDRSource kubernetes, the Node object needs spec.podCIDRs" },
	{ "bpf", "the kernel refused something: the agent's log has its words" },
	{ "map",
	  "the data plane's tables are sized for fewer objects: netloom dump TABLE shows them" },
};

static const char *fix_for(const char *problem)
{
	for (size_t i = 0; i < ARRAY_SIZE(fixes); i++)
		if (strcasestr(problem, fixes[i].word))
			return fixes[i].fix;
	return NULL;
}

static void print_problem(const struct ctl *c, const char *who, const char *what)
{
	const char *fix = fix_for(what) ?: fix_for(who);

	fprintf(c->out, "  problem: %s%s%s\n", who, *who ? ": " : "", what);
	if (fix)
		fprintf(c->out, "      try: %s\n", fix);
}

/* Sentences under the names that modules use for what is wrong. A sentence alone, or a list. */
static int print_problems(const struct ctl *c, const char *who, struct json_object *o)
{
	static const char *const fields[] = { "reason",	  "error",    "problem",  "alarms",
					      "problems", "waitsFor", "lastError" };
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct json_object *v = json_field(o, fields[i]);
		bool list = json_object_is_type(v, json_type_array);
		size_t len = list ? json_object_array_length(v) : v ? 1 : 0;

		for (size_t k = 0; k < len; k++) {
			struct json_object *one = list ? json_object_array_get_idx(v, k) : v;
			const char *s = json_object_get_string(one);

			if (!json_object_is_type(one, json_type_string) || !*s)
				continue;
			print_problem(c, who, s);
			n++;
		}
	}
	return n;
}

/* [{"module", "reason"}]: who is not ready yet. */
static void print_waiting(const struct ctl *c, struct json_object *list)
{
	for (size_t i = 0;
	     json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
	     i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *who = "", *why = "is not ready";

		json_opt_str(one, "module", &who, NULL);
		json_opt_str(one, "reason", &why, NULL);
		print_problem(c, who, why);
	}
}

/* Items that could not be made are tried again and again; each says why. */
static void print_failed_items(const struct ctl *c, struct json_object *status)
{
	struct json_object *list;
	_json_ *answer = NULL;
	int64_t failed = 0;

	json_opt_int(status, "itemsFailed", 0, INT64_MAX, &failed, NULL);
	if (!failed || client_get(c, "/v1/items", &answer, NULL) < 0)
		return;
	list = json_field(answer, "items");
	for (size_t i = 0;
	     json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
	     i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const char *key = "?", *error = NULL;

		json_opt_str(item, "key", &key, NULL);
		json_opt_str(item, "error", &error, NULL);
		if (error)
			print_problem(c, key, error);
	}
}

static bool is_problem_field(const char *name)
{
	static const char *const fields[] = { "alarms",	  "reason",   "error",	  "problem",
					      "problems", "waitsFor", "lastError" };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i], name) == 0)
			return true;
	return false;
}

/* "key value, key value" of an object's plain fields, and of objects in it. */
static size_t facts(struct json_object *o, const char *prefix, char *buf, size_t len, size_t at)
{
	json_object_object_foreach(o, name, v)
	{
		char deeper[96];

		snprintf(deeper, sizeof(deeper), "%s%s%s", prefix, *prefix ? "." : "", name);
		if (!v || at >= len ||
		    (is_problem_field(name) && !json_object_is_type(v, json_type_int)))
			continue;
		if (json_object_is_type(v, json_type_object))
			at = facts(v, deeper, buf, len, at);
		else if (!json_object_is_type(v, json_type_array))
			at += snprintf(buf + at, len - at, "%s%s %s", at ? ", " : "", deeper,
				       json_object_get_string(v));
	}
	return MIN(at, len);
}

static int64_t number(struct json_object *o, const char *path)
{
	int64_t v = 0;

	json_opt_int(o, path, 0, INT64_MAX, &v, NULL);
	return v;
}

static void print_datapath(const struct ctl *c, struct json_object *o)
{
	int64_t entries = number(o, "conntrack.entries"), room = number(o, "conntrack.capacity");
	const char *programs = "?", *xdp = "?";

	json_opt_str(o, "programs", &programs, NULL);
	json_opt_str(o, "attached.xdp", &xdp, NULL);
	fprintf(c->out,
		"  %-10s programs %s, attached by %lld tcx links, %lld clsact filters and %lld "
		"cgroup links; XDP %s; %lld endpoints\n",
		"datapath", programs, (long long)number(o, "attached.tcx"),
		(long long)number(o, "attached.clsact"), (long long)number(o, "attached.cgroup"),
		xdp, (long long)number(o, "endpoints"));
	fprintf(c->out, "  %-10s %lld of %lld connections (%lld %%), %lld half open\n", "conntrack",
		(long long)entries, (long long)room, (long long)(room ? entries * 100 / room : 0),
		(long long)number(o, "conntrack.halfOpen"));
	if (number(o, "dropEvents") + number(o, "dropEventsLost"))
		fprintf(c->out,
			"  %-10s %lld events, %lld lost to the rate limit: netloom events\n",
			"drops", (long long)number(o, "dropEvents"),
			(long long)number(o, "dropEventsLost"));
}

static void print_totals(const struct ctl *c, struct json_object *status)
{
	static const struct column up = { "", "uptimeSeconds", COLUMN_SECONDS, false };
	char text[32];

	if (!json_field(status, "uptimeSeconds"))
		return;
	fprintf(c->out, "  %-10s up for %s; %lld items wait, %lld failed\n", "agent",
		column_text(&up, status, text, sizeof(text)),
		(long long)number(status, "itemsPending"),
		(long long)number(status, "itemsFailed"));
}

static void print_module(const struct ctl *c, const char *name, struct json_object *o)
{
	char text[1024] = "";

	if (!json_object_is_type(o, json_type_object))
		return;
	if (strcmp(name, "datapath") == 0 && json_field(o, "conntrack")) {
		print_datapath(c, o);
		return;
	}
	facts(o, "", text, sizeof(text), 0);
	if (*text)
		fprintf(c->out, "  %-10s %s\n", name, text);
}

static void print_status(const struct ctl *c, struct json_object *status, bool ready)
{
	struct json_object *modules = json_field(status, "modules");
	const char *node = "this node", *version = "";

	json_opt_str(status, "node", &node, NULL);
	json_opt_str(status, "version", &version, NULL);
	fprintf(c->out, "%s: %s%s%s\n", node, ready ? "ready" : "NOT READY",
		*version ? ", netloom " : "", version);
	print_problems(c, "", status);
	print_waiting(c, json_field(status, "waiting"));
	print_failed_items(c, status);
	if (json_object_is_type(modules, json_type_object)) {
		json_object_object_foreach(modules, bad, o) print_problems(c, bad, o);
	}
	print_totals(c, status);
	if (json_object_is_type(modules, json_type_object)) {
		json_object_object_foreach(modules, name, part) print_module(c, name, part);
	}
}

static bool is_ready(struct json_object *status)
{
	bool ready = false;

	json_opt_bool(status, "ready", &ready, NULL);
	return ready;
}

/* The last answer, or the last error, when it is ready or the time is over. */
static int wait_for(const struct ctl *c, struct json_object **ret, struct err *e)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	uint64_t limit = clock_ms() + (c->wait_s ?: DEFAULT_WAIT_S) * 1000ull;

	for (;;) {
		_json_ *status = NULL;
		int err = client_get(c, "/v1/status", &status, e);

		if (!c->wait || (!err && is_ready(status)) || clock_ms() >= limit) {
			if (!err)
				*ret = TAKE_PTR(status);
			return err;
		}
		nanosleep(&pause, NULL);
	}
}

int cmd_status(const struct ctl *c)
{
	_json_ *status = NULL;
	struct err e = {};
	int err = wait_for(c, &status, &e);
	bool ready;

	if (err < 0)
		return client_complain(c, err, &e);
	ready = is_ready(status);
	if (c->json)
		print_json(c->out, status);
	else
		print_status(c, status, ready);
	return ready ? CTL_OK : CTL_FAILED;
}
