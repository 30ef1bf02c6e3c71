// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "ctl/explain.h"
#include "lib/json/json.h"

static const char *str(struct json_object *o, const char *path)
{
	return json_object_get_string(json_path(o, path)) ?: "";
}

static const char *node_of(struct json_object *o)
{
	return *str(o, "node") ? str(o, "node") : "this node";
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* Numbers go on from one node to the next. */
static size_t print_steps(FILE *out, struct json_object *half, size_t n)
{
	struct json_object *steps = json_field(half, "steps");

	for (size_t i = 0; i < length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);

		fprintf(out, "%2zu  ", ++n);
		print_text(out, str(step, "step"));
		fprintf(out, "%*s ",
			(int)(strlen(str(step, "step")) < 8 ? 8 - strlen(str(step, "step")) : 0),
			"");
		print_text(out, str(step, "text"));
		fputc('\n', out);
	}
	return n;
}

/* "n1", "n1 and n2", "n1, n2 and n1" */
static void print_nodes(FILE *out, struct json_object *halves)
{
	size_t n = length(halves);

	for (size_t i = 0; i < n; i++) {
		fputs(!i ? "" : i + 1 == n ? " and " : ", ", out);
		print_text(out, node_of(json_object_array_get_idx(halves, i)));
	}
}

static void print_verdict(FILE *out, struct json_object *way)
{
	struct json_object *halves = json_field(way, "halves");
	const char *verdict = str(way, "verdict");

	fprintf(out, "\n%s", strcmp(verdict, "unknown") == 0 ? "not known: " : "");
	print_text(out, str(json_object_array_get_idx(halves, length(halves) - 1), "verdict"));
	fputs(" on ", out);
	if (strcmp(verdict, "denied") == 0 || strcmp(verdict, "dropped") == 0)
		print_text(out, node_of(way));
	else
		print_nodes(out, halves);
	if (json_field(way, "reason")) {
		fputs(": ", out);
		print_text(out, str(way, "text"));
	}
	if (json_field(way, "because")) {
		fputs(": ", out);
		print_text(out, str(way, "because"));
	}
	fputc('\n', out);
}

static void print_other(FILE *out, const char *what, struct json_object *o)
{
	if (!o)
		return;
	fprintf(out, "  %s, on node ", what);
	print_text(out, *str(o, "node") ? str(o, "node") : str(o, "id"));
	fputs(": ", out);
	print_text(out, str(o, "command"));
	fputc('\n', out);
}

static void print_unanswered(FILE *out, struct json_object *o)
{
	if (!o)
		return;
	fputs("  ", out);
	print_text(out, str(o, "why"));
	fputc('\n', out);
}

/* Other nodes that were not asked, or did not answer. */
static void print_rest(FILE *out, struct json_object *way)
{
	struct json_object *halves = json_field(way, "halves");
	struct json_object *half = json_object_array_get_idx(halves, length(halves) - 1);
	struct json_object *silent = json_field(way, "unanswered");

	print_unanswered(out, silent);
	if (length(halves) == 1) {
		print_other(out, "what happened before this", json_field(half, "before"));
		print_other(out, "where it arrives, coming from outside",
			    json_field(half, "instead"));
	}
	if (silent && json_object_get_boolean(json_field(silent, "before")))
		return;
	print_other(out, "what happens then", json_field(half, "after"));
}

void explain_print(FILE *out, struct json_object *way)
{
	struct json_object *halves = json_field(way, "halves");
	size_t n = 0;

	for (size_t i = 0; i < length(halves); i++) {
		struct json_object *half = json_object_array_get_idx(halves, i);

		if (length(halves) > 1) {
			fprintf(out, "%son ", i ? "\n" : "");
			print_text(out, node_of(half));
			fputs(":\n", out);
		}
		n = print_steps(out, half, n);
	}
	print_verdict(out, way);
	print_rest(out, way);
}
