// SPDX-License-Identifier: Apache-2.0
#include "lib/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/config/config_int.h"
#include "lib/json/json.h"
#include "lib/yaml/yaml.h"

#define MAX_FILE (1u << 20)
#define MAX_PATH 256
#define MAX_KEYS 64 /* siblings that a suggestion is looked for among */

struct table {
	const struct config_field *fields;
	size_t n;
	bool *seen; /* by field */
	void *cfg;
};

static const struct yaml_limits limits = { .max_bytes = MAX_FILE, .max_nodes = 10000 };

/* ---- unknown keys ---- */

/* The word that follows `parent` in the path, when the path lies below it. */
static bool child_of(const char *path, const char *parent, char *ret, size_t len)
{
	size_t n = strlen(parent), word;

	if (n && (strncmp(path, parent, n) != 0 || path[n] != '.'))
		return false;
	path += n ? n + 1 : 0;
	word = strcspn(path, ".");
	if (word >= len)
		return false;
	memcpy(ret, path, word);
	ret[word] = 0;
	return true;
}

static int unknown_key(const struct table *t, const char *parent, const char *key, struct err *e)
{
	char words[MAX_KEYS][64];
	const char *siblings[MAX_KEYS], *meant;
	size_t n = 0;

	for (size_t i = 0; i < t->n && n < MAX_KEYS; i++) {
		if (!child_of(t->fields[i].path, parent, words[n], sizeof(words[n])))
			continue;
		if (!n || strcmp(words[n], words[n - 1]) != 0) {
			siblings[n] = words[n];
			n++;
		}
	}
	meant = config_nearest(key, siblings, n);
	return err_set(e, -EINVAL, "%s%s%.64s: unknown key%s%s%s", parent, *parent ? "." : "", key,
		       meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

/* ---- the tree ---- */

static const struct config_field *find(const struct table *t, const char *path, bool *ret_parent)
{
	char word[64];

	*ret_parent = false;
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->fields[i].path, path) == 0)
			return &t->fields[i];
		*ret_parent |= child_of(t->fields[i].path, path, word, sizeof(word));
	}
	return NULL;
}

static int set_field(struct table *t, const struct config_field *f, struct json_object *value,
		     struct err *e)
{
	int err = config_value_set(f, value, t->cfg, e);

	if (err < 0) {
		err_prefix(e, "%s", f->path);
		return err;
	}
	t->seen[f - t->fields] = true;
	return 0;
}

static int walk(struct table *t, const char *parent, struct json_object *obj, struct err *e)
{
	struct json_object_iterator it = json_object_iter_begin(obj),
				    end = json_object_iter_end(obj);

	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		const char *key = json_object_iter_peek_name(&it);
		struct json_object *value = json_object_iter_peek_value(&it);
		const struct config_field *f = NULL;
		char path[MAX_PATH];
		bool is_parent = false;
		int err = 0;

		/* "a.b: 1" is not "a: {b: 1}". */
		if (*key && !strchr(key, '.') &&
		    (size_t)snprintf(path, sizeof(path), "%s%s%s", parent, *parent ? "." : "",
				     key) < sizeof(path))
			f = find(t, path, &is_parent);
		if (!f && !is_parent)
			return unknown_key(t, parent, key, e);
		/* "caFile:" with nothing behind it is the default. */
		if (!value)
			continue;
		if (f)
			err = set_field(t, f, value, e);
		else if (json_object_is_type(value, json_type_object))
			err = walk(t, path, value, e);
		else
			err = err_set(e, -EINVAL, "%s: want keys below it, found %s", path,
				      json_type_word(value));
		if (err < 0)
			return err;
	}
	return 0;
}

static int set_default(struct table *t, const struct config_field *f, struct err *e)
{
	_json_ *docs = NULL;
	int err;

	if (!f->def)
		return err_set(e, -EINVAL, "%s: is required", f->path);
	err = yaml_parse(f->def, strlen(f->def), &limits, &docs, e);
	if (!err && json_object_array_length(docs) != 1)
		err = err_set(e, -EINVAL, "default '%s' is not one value", f->def);
	if (err < 0) {
		err_prefix(e, "%s", f->path);
		return err;
	}
	return set_field(t, f, json_object_array_get_idx(docs, 0), e);
}

static int parse(struct table *t, const char *text, size_t len, struct err *e)
{
	_json_ *docs = NULL;
	struct json_object *doc = NULL;
	int err = yaml_parse(text, len, &limits, &docs, e);

	if (err < 0)
		return err;
	if (json_object_array_length(docs) > 1)
		return err_set(e, -EINVAL, "more than one YAML document");
	if (json_object_array_length(docs) == 1)
		doc = json_object_array_get_idx(docs, 0);
	if (doc && !json_object_is_type(doc, json_type_object))
		return err_set(e, -EINVAL, "want keys and values, found %s", json_type_word(doc));
	if (doc)
		err = walk(t, "", doc, e);
	for (size_t i = 0; !err && i < t->n; i++)
		if (!t->seen[i])
			err = set_default(t, &t->fields[i], e);
	return err;
}

/* ---- public ---- */

int config_parse(const struct config_field *fields, size_t n, const char *text, size_t len,
		 void *cfg, struct err *e)
{
	_cleanup_(freep) bool *seen = calloc(n + 1, sizeof(*seen));
	struct table t = { .fields = fields, .n = n, .seen = seen, .cfg = cfg };
	int err;

	if (!seen)
		return err_set(e, -ENOMEM, "out of memory");
	err = parse(&t, text, len, e);
	if (err < 0)
		config_free(fields, n, cfg);
	return err;
}

/* At most MAX_FILE bytes; pipes are read too. */
static int read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(freep) char *buf = malloc(MAX_FILE + 1);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return err_errno(e, -errno, "can't open");
	if (!buf)
		return err_set(e, -ENOMEM, "out of memory");
	while ((n = read(fd, buf + len, MAX_FILE + 1 - len)) > 0)
		len += n;
	if (n < 0)
		return err_errno(e, -errno, "can't read");
	if (len > MAX_FILE)
		return err_set(e, -EFBIG, "is larger than %u bytes", MAX_FILE);
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

int config_load(const struct config_field *fields, size_t n, const char *path, void *cfg,
		struct err *e)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0;
	int err = read_file(path, &text, &len, e);

	if (!err)
		err = config_parse(fields, n, text, len, cfg, e);
	if (err < 0)
		err_prefix(e, "%s", path);
	return err;
}

void config_free(const struct config_field *fields, size_t n, void *cfg)
{
	for (size_t i = 0; i < n; i++)
		config_value_free(&fields[i], cfg);
}
