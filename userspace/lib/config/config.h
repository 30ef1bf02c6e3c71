/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Configuration files: YAML into a struct, by a table. Unknown keys are refused by name
 * ("transprot: unknown key; did you mean 'transport'?"), wrong types and ranges name the key with
 * its path. The same table prints the documented default file (`netloom-agent --print-config`), so
 * every key is documented in one place.
 */
#include <json-c/json.h>

#include "lib/base/addr.h"
#include "lib/base/err.h"

enum config_type {
	CONFIG_BOOL,	 /* bool */
	CONFIG_INT,	 /* int64_t, min..max */
	CONFIG_STRING,	 /* char *, heap */
	CONFIG_ENUM,	 /* int, index into words[] */
	CONFIG_DURATION, /* int64_t milliseconds; "30s", "5m", "1h30m", "100ms" */
	CONFIG_PREFIXES, /* struct config_prefixes */
	CONFIG_STRINGS,	 /* struct config_strings */
	CONFIG_ADDRESS,	 /* union loom_addr; "" = :: (unset) */
};

struct config_strings {
	char **v; /* NULL-terminated, may be NULL when n == 0 */
	size_t n;
};
struct config_prefixes {
	struct prefix *v;
	size_t n;
};

struct config_field {
	const char *path; /* "etcd.endpoints" */
	enum config_type type;
	size_t offset;	 /* in the struct */
	const char *def; /* YAML text of the default; NULL = required */
	const char *doc; /* one or more sentences */
	int64_t min, max;
	const char *const *words; /* CONFIG_ENUM, NULL-terminated */
};

/* Fills *cfg (zeroed by the caller) from `text`, with defaults for what is absent. On failure *cfg
 * is as config_free() leaves it. */
int config_parse(const struct config_field *fields, size_t n, const char *text, size_t len,
		 void *cfg, struct err *e);
/* Reads a file; an absent file is an error that names it. */
int config_load(const struct config_field *fields, size_t n, const char *path, void *cfg,
		struct err *e);
void config_free(const struct config_field *fields, size_t n, void *cfg);
/* The documented default file; heap. */
char *config_template(const struct config_field *fields, size_t n);

/* Of `n` words, the one that `word` was likely meant to be, or NULL. */
const char *config_nearest(const char *word, const char *const *words, size_t n);
