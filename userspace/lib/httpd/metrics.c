// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/grow.h"
#include "lib/httpd/httpd.h"

struct family {
	struct family *next;
	char *name, *help;
	enum metric_type type;
	char *samples; /* text */
	size_t len, size;
};

struct metrics {
	struct family *first, *last;
};

int metrics_new(struct metrics **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void family_free(struct family *f)
{
	if (!f)
		return;
	free(f->name);
	free(f->help);
	free(f->samples);
	free(f);
}
DEFINE_FREEP(struct family, family_free)

void metrics_free(struct metrics *m)
{
	struct family *f;

	if (!m)
		return;
	while ((f = m->first)) {
		m->first = f->next;
		family_free(f);
	}
	free(m);
}

static int family_get(struct metrics *m, const char *name, enum metric_type type, const char *help,
		      struct family **ret)
{
	_cleanup_(family_freep) struct family *f = NULL;

	for (struct family *at = m->first; at; at = at->next) {
		if (strcmp(at->name, name) == 0) {
			*ret = at;
			return at->type == type ? 0 : -EINVAL;
		}
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->type = type;
	f->name = strdup(name);
	f->help = strdup(help);
	if (!f->name || !f->help)
		return -ENOMEM;
	if (m->last)
		m->last->next = f;
	else
		m->first = f;
	m->last = f;
	*ret = TAKE_PTR(f);
	return 0;
}

static int append(struct family *f, const char *text, size_t n)
{
	if (grow_room(&f->samples, &f->size, f->len + n + 1, 1) < 0)
		return -ENOMEM;
	memcpy(f->samples + f->len, text, n);
	f->len += n;
	f->samples[f->len] = 0;
	return 0;
}

static int append_str(struct family *f, const char *text)
{
	return append(f, text, strlen(text));
}

static int append_escaped(struct family *f, const char *text)
{
	int err = 0;

	for (; *text && !err; text++) {
		switch (*text) {
		case '\\':
			err = append(f, "\\\\", 2);
			break;
		case '"':
			err = append(f, "\\\"", 2);
			break;
		case '\n':
			err = append(f, "\\n", 2);
			break;
		default:
			err = append(f, text, 1);
		}
	}
	return err;
}

static int append_value(struct family *f, double value)
{
	char text[64];

	if (isnan(value))
		snprintf(text, sizeof(text), " NaN\n");
	else if (isinf(value))
		snprintf(text, sizeof(text), value > 0 ? " +Inf\n" : " -Inf\n");
	else if (value == rint(value) && fabs(value) < 1e15)
		snprintf(text, sizeof(text), " %.0f\n", value);
	else
		snprintf(text, sizeof(text), " %.9g\n", value);
	return append_str(f, text);
}

static int append_label(struct family *f, bool first, const char *label, const char *text)
{
	int err = append_str(f, first ? "{" : ",");

	if (!err)
		err = append_str(f, label);
	if (!err)
		err = append_str(f, "=\"");
	if (!err)
		err = append_escaped(f, text ? text : "");
	if (!err)
		err = append_str(f, "\"");
	return err;
}

static int append_sample(struct family *f, double value, va_list ap)
{
	const char *label;
	bool labels = false;
	int err = append_str(f, f->name);

	while (!err && (label = va_arg(ap, const char *))) {
		err = append_label(f, !labels, label, va_arg(ap, const char *));
		labels = true;
	}
	if (!err && labels)
		err = append_str(f, "}");
	if (!err)
		err = append_value(f, value);
	return err;
}

int metrics_sample(struct metrics *m, const char *name, enum metric_type type, const char *help,
		   double value, ...)
{
	struct family *f;
	size_t before;
	va_list ap;
	int err = family_get(m, name, type, help, &f);

	if (err < 0)
		return err;
	before = f->len;
	va_start(ap, value);
	err = append_sample(f, value, ap);
	va_end(ap);
	/* Half a line would make the whole page unreadable. */
	if (err < 0 && f->samples) {
		f->len = before;
		f->samples[before] = 0;
	}
	return err;
}

char *metrics_text(struct metrics *m)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge"
	};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (const struct family *f = m->first; f; f = f->next) {
		fprintf(out, "# HELP %s ", f->name);
		for (const char *c = f->help; *c; c++)
			fputs(*c == '\n' ? "\\n" : *c == '\\' ? "\\\\" : (char[]){ *c, 0 }, out);
		fprintf(out, "\n# TYPE %s %s\n%s", f->name, types[f->type],
			f->samples ? f->samples : "");
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
