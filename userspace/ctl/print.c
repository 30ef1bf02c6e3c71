// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "lib/json/json.h"

#define MAX_COLUMNS 24
#define CELL	    512

/* Columns as people count them: bytes that start a UTF-8 character. */
static int text_width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

/* What comes from outside must not drive the terminal. */
static void sanitize(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static const char *cell(const struct column *c, struct json_object *row, char *buf)
{
	column_text(c, row, buf, CELL);
	sanitize(buf);
	return buf;
}

static void print_cell(FILE *out, const char *text, int width, bool right, bool last)
{
	int pad = width - text_width(text);

	if (right)
		fprintf(out, "%*s%s", pad, "", text);
	else if (last)
		fprintf(out, "%s", text);
	else
		fprintf(out, "%s%*s", text, pad, "");
	fputs(last ? "\n" : "  ", out);
}

void print_table(FILE *out, const struct column *columns, struct json_object *rows)
{
	size_t n_rows = rows ? json_object_array_length(rows) : 0, n = 0;
	int width[MAX_COLUMNS];
	char buf[CELL];

	for (; columns[n].heading && n < MAX_COLUMNS; n++) {
		width[n] = text_width(columns[n].heading);
		for (size_t i = 0; i < n_rows; i++)
			width[n] = MAX(width[n],
				       text_width(cell(&columns[n],
						       json_object_array_get_idx(rows, i), buf)));
	}
	for (size_t c = 0; c < n; c++)
		print_cell(out, columns[c].heading, width[c], columns[c].right, c + 1 == n);
	for (size_t i = 0; i < n_rows; i++)
		for (size_t c = 0; c < n; c++)
			print_cell(out, cell(&columns[c], json_object_array_get_idx(rows, i), buf),
				   width[c], columns[c].right, c + 1 == n);
}

void print_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

void print_text_line(FILE *out, const char *heading, const char *text)
{
	fputs(heading, out);
	print_text(out, text);
	fputc('\n', out);
}

void print_json(FILE *out, struct json_object *o)
{
	fprintf(out, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_SPACED |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
}

const char *print_time(struct json_object *when, char *buf, size_t len)
{
	struct tm tm;
	time_t s;

	snprintf(buf, len, "-");
	if (json_object_is_type(when, json_type_string)) {
		snprintf(buf, len, "%s", json_object_get_string(when));
		sanitize(buf);
	} else if (json_object_is_type(when, json_type_int)) {
		s = json_object_get_int64(when) / 1000;
		if (gmtime_r(&s, &tm))
			strftime(buf, len, "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	return buf;
}
