// SPDX-License-Identifier: Apache-2.0
/* netloom events: packets that were dropped, and why. */
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "lib/json/json.h"

#define DEFAULT_LAST 20
#define POLL_MS	     250

/* Whose policy it was. Names come from objects of the cluster; a terminal is not to obey them. */
static void print_why(FILE *out, struct json_object *ev)
{
	const char *why = NULL;

	json_opt_str(ev, "why", &why, NULL);
	fputs(why ? ": " : "", out);
	for (; why && *why; why++)
		fputc((unsigned char)*why < 0x20 || *why == 0x7f ? '?' : *why, out);
	fputc('\n', out);
}

static void print_event(const struct ctl *c, struct json_object *ev)
{
	static const struct column from = { "", "from", COLUMN_ENDPOINT, false };
	static const struct column to = { "", "to", COLUMN_ENDPOINT, false };
	static const struct column link = { "", "ifindexName", COLUMN_PLAIN, false };
	static const struct column proto = { "", "proto", COLUMN_PLAIN, false };
	char a[256], b[256], on[64], p[32];
	const char *when = "", *reason = "?", *text = "", *hook = "?";
	int64_t len = 0;

	json_opt_str(ev, "time", &when, NULL);
	json_opt_str(ev, "reason", &reason, NULL);
	json_opt_str(ev, "text", &text, NULL);
	json_opt_str(ev, "hook", &hook, NULL);
	json_opt_int(ev, "length", 0, INT64_MAX, &len, NULL);
	fprintf(c->out, "%s  %-12s  %-14s  %s  %s -> %s  %lld bytes on %s: %s", when, hook, reason,
		column_text(&proto, ev, p, sizeof(p)), column_text(&from, ev, a, sizeof(a)),
		column_text(&to, ev, b, sizeof(b)), (long long)len,
		column_text(&link, ev, on, sizeof(on)), text);
	print_why(c->out, ev);
}

static bool matches(const struct ctl *c, struct json_object *ev)
{
	return !c->filter ||
	       strstr(json_object_to_json_string_ext(ev, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE),
		      c->filter);
}

/* One answer; *next is where to go on. */
static void print_answer(const struct ctl *c, struct json_object *answer, int64_t *next)
{
	struct json_object *list = json_field(answer, "events");
	int64_t skipped = 0;

	for (size_t i = 0;
	     json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
	     i++) {
		struct json_object *ev = json_object_array_get_idx(list, i);

		if (!matches(c, ev))
			continue;
		if (c->json)
			fprintf(c->out, "%s\n",
				json_object_to_json_string_ext(ev, JSON_C_TO_STRING_NOSLASHESCAPE));
		else
			print_event(c, ev);
	}
	json_opt_int(answer, "skipped", 0, INT64_MAX, &skipped, NULL);
	if (skipped)
		fprintf(c->complain, "netloom: %lld events came faster than they were read\n",
			(long long)skipped);
	json_opt_int(answer, "next", 1, INT64_MAX, next, NULL);
	fflush(c->out);
}

static int follow(const struct ctl *c, int64_t next)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };

	for (;;) {
		_json_ *answer = NULL;
		struct err e = {};
		char path[64];
		int err;

		nanosleep(&pause, NULL);
		snprintf(path, sizeof(path), "/v1/drops?since=%lld", (long long)next);
		err = client_get(c, path, &answer, &e);
		if (err < 0)
			return client_complain(c, err, &e);
		print_answer(c, answer, &next);
		if (ferror(c->out))
			return CTL_OK;
	}
}

int cmd_events(const struct ctl *c)
{
	_json_ *answer = NULL;
	struct err e = {};
	int64_t next = 1, lost = 0;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/v1/drops?last=%lu", c->last ?: (unsigned long)DEFAULT_LAST);
	err = client_get(c, path, &answer, &e);
	if (err < 0)
		return client_complain(c, err, &e);
	print_answer(c, answer, &next);
	json_opt_int(answer, "lost", 0, INT64_MAX, &lost, NULL);
	if (c->follow)
		return follow(c, next);
	if (next == 1 && !c->json)
		fputs("no packet was dropped since the agent started\n", c->out);
	if (lost)
		fprintf(c->complain,
			"netloom: %lld more were not told, by rate limit (events.rate)\n",
			(long long)lost);
	return CTL_OK;
}
