// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/config/config.h"

#define COLUMNS 96

static void put_wrapped(FILE *out, const char *text, unsigned int indent)
{
	while (*text) {
		size_t room = COLUMNS - indent - 2, n = strlen(text);

		if (n > room) {
			n = room;
			while (n > 0 && text[n] != ' ')
				n--;
			if (!n)
				n = room;
		}
		fprintf(out, "%*s# %.*s\n", indent, "", (int)n, text);
		text += n + strspn(text + n, " ");
	}
}

/* What the value may be, where the type alone does not say it. */
static void format_bounds(const struct config_field *f, char *buf, size_t len)
{
	size_t used = 0;

	buf[0] = 0;
	if (f->type == CONFIG_INT && f->max == INT64_MAX)
		snprintf(buf, len, " At least %" PRId64 ".", f->min);
	else if (f->type == CONFIG_INT)
		snprintf(buf, len, " From %" PRId64 " to %" PRId64 ".", f->min, f->max);
	if (f->type != CONFIG_ENUM)
		return;
	used = snprintf(buf, len, " One of:");
	for (size_t i = 0; f->words[i] && used < len; i++)
		used += snprintf(buf + used, len - used, "%s %s", i ? "," : "", f->words[i]);
	if (used < len)
		snprintf(buf + used, len - used, ".");
}

static void put_field(FILE *out, const struct config_field *f, unsigned int indent)
{
	const char *dot = strrchr(f->path, '.'), *key = dot ? dot + 1 : f->path;
	char text[2048], bounds[256];

	format_bounds(f, bounds, sizeof(bounds));
	snprintf(text, sizeof(text), "%s%s%s", f->doc, bounds, f->def ? "" : " Required.");
	put_wrapped(out, text, indent);
	fprintf(out, "%*s%s:%s%s\n", indent, "", key, f->def ? " " : "", f->def ? f->def : "");
}

/* Opens the parents that `path` has and `last` had not; returns the depth of the leaf. */
static unsigned int put_parents(FILE *out, const char *path, const char *last)
{
	unsigned int depth = 0;
	const char *dot;
	bool same = true;

	for (const char *at = path; (dot = strchr(at, '.')); at = dot + 1, depth++) {
		size_t n = dot - path + 1;

		same = same && strncmp(path, last, n) == 0;
		if (!same)
			fprintf(out, "%*s%.*s:\n", depth * 2, "", (int)(dot - at), at);
	}
	return depth;
}

char *config_template(const struct config_field *fields, size_t n)
{
	const char *last = "";
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *path = fields[i].path;
		size_t group = strcspn(path, ".");

		if (i && (strncmp(path, last, group) != 0 || !strchr(path, '.')))
			fputc('\n', out);
		put_field(out, &fields[i], put_parents(out, path, last) * 2);
		last = path;
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
