// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/config/config_int.h"
#include "lib/json/json.h"

#define SHOWN 64 /* bytes of a value that a message quotes */

static int wrong_type(struct json_object *value, const char *want, struct err *e)
{
	if (json_object_is_type(value, json_type_string))
		return err_set(e, -EINVAL, "want %s, found the string '%.*s'", want, SHOWN,
			       json_object_get_string(value));
	return err_set(e, -EINVAL, "want %s, found %s", want, json_type_word(value));
}

static int get_text(struct json_object *value, const char *want, const char **ret, struct err *e)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string))
		return wrong_type(value, want, e);
	text = json_object_get_string(value);
	if (strlen(text) != (size_t)json_object_get_string_len(value))
		return err_set(e, -EINVAL, "holds a NUL character");
	*ret = text;
	return 0;
}

/* ---- durations ---- */

static int unit_ms(const char *unit, size_t len, int64_t *ret)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) == len && memcmp(units[i].name, unit, len) == 0) {
			*ret = units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

int config_duration_parse(const char *text, int64_t *ret_ms)
{
	int64_t sum = 0, last = INT64_MAX;

	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return 0;
	}
	do {
		size_t digits = strspn(text, "0123456789"), letters;
		int64_t n = 0, ms, part;

		letters = strspn(text + digits, "hms");
		/* Ten digits of hours fit 64 bits of milliseconds. Units come largest first, each
		 * once, or "1m1h" would pass. */
		if (!digits || digits > 10 || unit_ms(text + digits, letters, &ms) < 0 ||
		    ms >= last)
			return -EINVAL;
		for (size_t i = 0; i < digits; i++)
			n = n * 10 + (text[i] - '0');
		if (__builtin_mul_overflow(n, ms, &part) || __builtin_add_overflow(sum, part, &sum))
			return -ERANGE;
		last = ms;
		text += digits + letters;
	} while (*text);
	*ret_ms = sum;
	return 0;
}

/* Largest units first, as config_duration_parse() reads it. */
static const char *duration_format(int64_t ms, char *buf, size_t len)
{
	if (ms % 3600000 == 0 && ms)
		snprintf(buf, len, "%" PRId64 "h", ms / 3600000);
	else if (ms % 60000 == 0 && ms)
		snprintf(buf, len, "%" PRId64 "m", ms / 60000);
	else if (ms % 1000 == 0)
		snprintf(buf, len, "%" PRId64 "s", ms / 1000);
	else
		snprintf(buf, len, "%" PRId64 "ms", ms);
	return buf;
}

static int set_duration(const struct config_field *f, struct json_object *value, int64_t *at,
			struct err *e)
{
	char lo[32], hi[32];
	const char *text = NULL;
	int64_t ms = 0;
	int err;

	/* A bare 0 needs no unit; any other number does. */
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) != 0) {
		err = get_text(value, "a duration with a unit, such as 30s or 1h30m", &text, e);
		if (err < 0)
			return err;
		if (config_duration_parse(text, &ms) < 0)
			return err_set(e, -EINVAL,
				       "'%.*s' is no duration; write it as 100ms, 30s, 5m or 1h30m",
				       SHOWN, text);
	}
	if (f->max && (ms < f->min || ms > f->max))
		return err_set(e, -EINVAL, "%s is not between %s and %s", text ? text : "0",
			       duration_format(f->min, lo, sizeof(lo)),
			       duration_format(f->max, hi, sizeof(hi)));
	*at = ms;
	return 0;
}

/* ---- the other scalars ---- */

static int set_int(const struct config_field *f, struct json_object *value, int64_t *at,
		   struct err *e)
{
	int64_t n;

	if (!json_object_is_type(value, json_type_int))
		return wrong_type(value, "an integer", e);
	n = json_object_get_int64(value);
	if (n < f->min || n > f->max)
		return err_set(e, -EINVAL, "%" PRId64 " is not between %" PRId64 " and %" PRId64, n,
			       f->min, f->max);
	*at = n;
	return 0;
}

static int set_string(const struct config_field *f, struct json_object *value, char **at,
		      struct err *e)
{
	const char *text = NULL;
	int err = get_text(value, "a string", &text, e);

	if (err < 0)
		return err;
	if (strlen(text) < (size_t)f->min)
		return err_set(e, -EINVAL, f->min > 1 ? "'%.*s' is too short" : "is empty", SHOWN,
			       text);
	if (f->max && strlen(text) > (size_t)f->max)
		return err_set(e, -EINVAL, "is longer than %" PRId64 " bytes", f->max);
	*at = strdup(text);
	return *at ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int set_enum(const struct config_field *f, struct json_object *value, int *at, struct err *e)
{
	char want[256] = "one of ";
	const char *text = NULL, *meant;
	size_t n = 0, used = strlen(want);
	int err;

	for (; f->words[n]; n++)
		used += snprintf(want + used, sizeof(want) - used, "%s%s", n ? ", " : "",
				 f->words[n]);
	err = get_text(value, want, &text, e);
	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, f->words[i]) == 0) {
			*at = i;
			return 0;
		}
	}
	meant = config_nearest(text, f->words, n);
	if (meant)
		return err_set(e, -EINVAL, "'%.*s' is not %s; did you mean '%s'?", SHOWN, text,
			       want, meant);
	return err_set(e, -EINVAL, "'%.*s' is not %s", SHOWN, text, want);
}

static int set_address(struct json_object *value, union loom_addr *at, struct err *e)
{
	const char *text = NULL;
	int err = get_text(value, "an IP address", &text, e);

	return err < 0 || !*text ? err : addr_parse(text, at, e);
}

static int set_bool(struct json_object *value, bool *at, struct err *e)
{
	if (!json_object_is_type(value, json_type_boolean))
		return wrong_type(value, "true or false", e);
	*at = json_object_get_boolean(value);
	return 0;
}

/* ---- lists ---- */

static int list_len(const struct config_field *f, struct json_object *value, const char *want,
		    size_t *ret, struct err *e)
{
	if (!json_object_is_type(value, json_type_array))
		return wrong_type(value, want, e);
	*ret = json_object_array_length(value);
	if (*ret < (size_t)f->min)
		return err_set(e, -EINVAL, *ret ? "needs %" PRId64 " entries" : "is empty", f->min);
	if (f->max && *ret > (size_t)f->max)
		return err_set(e, -EINVAL, "has more than %" PRId64 " entries", f->max);
	return 0;
}

static int set_prefixes(const struct config_field *f, struct json_object *value,
			struct config_prefixes *at, struct err *e)
{
	size_t n = 0;
	int err = list_len(f, value, "a list of prefixes such as [10.1.0.0/16]", &n, e);

	if (err < 0 || !n)
		return err;
	at->v = calloc(n, sizeof(*at->v));
	if (!at->v)
		return err_set(e, -ENOMEM, "out of memory");
	for (at->n = 0; at->n < n; at->n++) {
		const char *text = NULL;

		err = get_text(json_object_array_get_idx(value, at->n), "a prefix", &text, e);
		if (!err)
			err = prefix_parse(text, &at->v[at->n], e);
		if (err < 0) {
			err_prefix(e, "entry %zu", at->n);
			return err;
		}
	}
	return 0;
}

static int set_strings(const struct config_field *f, struct json_object *value,
		       struct config_strings *at, struct err *e)
{
	size_t n = 0;
	int err = list_len(f, value, "a list of strings", &n, e);

	if (err < 0 || !n)
		return err;
	at->v = calloc(n + 1, sizeof(*at->v));
	if (!at->v)
		return err_set(e, -ENOMEM, "out of memory");
	for (at->n = 0; at->n < n; at->n++) {
		const char *text = NULL;

		err = get_text(json_object_array_get_idx(value, at->n), "a string", &text, e);
		if (err < 0) {
			err_prefix(e, "entry %zu", at->n);
			return err;
		}
		at->v[at->n] = strdup(text);
		if (!at->v[at->n])
			return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/* ---- any ---- */

int config_value_set(const struct config_field *f, struct json_object *value, void *cfg,
		     struct err *e)
{
	void *at = (char *)cfg + f->offset;

	switch (f->type) {
	case CONFIG_BOOL:
		return set_bool(value, at, e);
	case CONFIG_INT:
		return set_int(f, value, at, e);
	case CONFIG_STRING:
		return set_string(f, value, at, e);
	case CONFIG_ENUM:
		return set_enum(f, value, at, e);
	case CONFIG_DURATION:
		return set_duration(f, value, at, e);
	case CONFIG_PREFIXES:
		return set_prefixes(f, value, at, e);
	case CONFIG_STRINGS:
		return set_strings(f, value, at, e);
	case CONFIG_ADDRESS:
		return set_address(value, at, e);
	}
	return err_set(e, -EINVAL, "type %d is unknown", f->type);
}

void config_value_free(const struct config_field *f, void *cfg)
{
	void *at = (char *)cfg + f->offset;
	struct config_strings *strings = at;
	struct config_prefixes *prefixes = at;

	switch (f->type) {
	case CONFIG_BOOL:
		*(bool *)at = false;
		break;
	case CONFIG_INT:
	case CONFIG_DURATION:
		*(int64_t *)at = 0;
		break;
	case CONFIG_ENUM:
		*(int *)at = 0;
		break;
	case CONFIG_ADDRESS:
		*(union loom_addr *)at = (union loom_addr){};
		break;
	case CONFIG_STRING:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case CONFIG_PREFIXES:
		free(prefixes->v);
		*prefixes = (struct config_prefixes){};
		break;
	case CONFIG_STRINGS:
		/* One more may be half made. */
		for (size_t i = 0; i < strings->n; i++)
			free(strings->v[i]);
		free(strings->v);
		*strings = (struct config_strings){};
		break;
	}
}
