// SPDX-License-Identifier: Apache-2.0
#include "ksr/manifest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "ksr/defaults.h"
#include "ksr/reduce.h"
#include "lib/base/grow.h"
#include "lib/json/json.h"
#include "lib/yaml/yaml.h"

#define MAX_LIST_DEPTH 4 /* a List of Lists */
#define DIGEST	       32

struct reading {
	struct manifest m;
	unsigned int document, line, item;
	void (*bad)(enum kind kind, const struct err *e, void *arg);
	void *arg;
};

void manifest_clear(struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->objects[i].key);
		free(m->objects[i].value);
	}
	free(m->objects);
	*m = (struct manifest){};
}

static void say_bad(struct reading *r, enum kind kind, const struct err *e)
{
	struct err mine = *e;

	if (r->item)
		err_prefix(&mine, "document %u (line %u), item %u", r->document, r->line, r->item);
	else
		err_prefix(&mine, "document %u (line %u)", r->document, r->line);
	r->bad(kind, &mine, r->arg);
}

/* ---- what a server would add ---- */

static void digest(const char *text, unsigned char out[static DIGEST])
{
	unsigned int n = DIGEST;

	memset(out, 0, DIGEST);
	EVP_Digest(text, strlen(text), out, &n, EVP_sha256(), NULL);
}

/* RFC 9562, version 8: the content is ours to choose. */
static int set_uid(struct json_object *meta, const char *key)
{
	unsigned char d[DIGEST];
	char uid[40];

	digest(key, d);
	d[6] = (d[6] & 0x0f) | 0x80;
	d[8] = (d[8] & 0x3f) | 0x80;
	snprintf(uid, sizeof(uid),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0], d[1],
		 d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14],
		 d[15]);
	return json_add_str(meta, "uid", uid);
}

static int set_version(struct json_object *meta, struct json_object *obj)
{
	const char *text = json_text(obj);
	unsigned char d[DIGEST];
	uint64_t n = 0;
	char version[24];

	if (!text)
		return -ENOMEM;
	digest(text, d);
	for (int i = 0; i < 8; i++)
		n = n << 8 | d[i];
	snprintf(version, sizeof(version), "%llu", (unsigned long long)n);
	return json_add_str(meta, "resourceVersion", version);
}

static int complete(enum kind kind, struct json_object *obj, const char *key)
{
	struct json_object *meta = json_field(obj, "metadata");
	int err = set_uid(meta, key);

	json_object_object_del(meta, "resourceVersion");
	err = err ?: defaults_fill(kind, obj);
	return err ?: set_version(meta, obj);
}

/* ---- objects ---- */

static int add_object(struct manifest *m, const struct manifest_object *o)
{
	if (grow_room(&m->objects, &m->cap, m->n + 1, sizeof(*m->objects)) < 0)
		return -ENOMEM;
	m->objects[m->n++] = *o;
	return 0;
}

static int set_namespace(enum kind kind, struct json_object *obj)
{
	struct json_object *meta = json_field(obj, "metadata");

	if (!json_object_is_type(meta, json_type_object))
		return 0;
	if (!kinds[kind].namespaced)
		json_object_object_del(meta, "namespace");
	else if (!json_field(meta, "namespace"))
		return json_add_str(meta, "namespace", "default");
	return 0;
}

static int take_object(struct reading *r, enum kind kind, struct json_object *obj)
{
	struct manifest_object o = { .kind = kind, .document = r->document, .line = r->line };
	const char *ns = "";
	struct err e = {};
	int err = set_namespace(kind, obj);

	if (err < 0)
		return err;
	if (reduce_key(kind, obj, &o.key, &e) < 0) {
		say_bad(r, kind, &e);
		return 0;
	}
	err = complete(kind, obj, o.key);
	if (err < 0) {
		free(o.key);
		return err;
	}
	if (reduce_value(kind, obj, &o.value, &e) < 0)
		say_bad(r, kind, &e);
	json_opt_str(obj, "metadata.namespace", &ns, NULL);
	snprintf(o.name_space, sizeof(o.name_space), "%s", ns);
	err = add_object(&r->m, &o);
	if (err < 0) {
		free(o.key);
		free(o.value);
	}
	return err;
}

static int take_any(struct reading *r, struct json_object *obj, const char *item_kind,
		    unsigned int depth);

/* "PodList" gives its items' kind, where they have none. */
static int take_list(struct reading *r, struct json_object *list, const char *kind,
		     unsigned int depth)
{
	struct json_object *items = NULL;
	char item_kind[64];
	struct err e = {};
	int err = 0;

	snprintf(item_kind, sizeof(item_kind), "%.*s", (int)(strlen(kind) - strlen("List")), kind);
	if (json_opt_array(list, "items", &items, &e) < 0) {
		err_prefix(&e, "%.64s", kind);
		say_bad(r, KIND_COUNT, &e);
		return 0;
	}
	for (size_t i = 0; items && i < json_object_array_length(items) && !err; i++) {
		struct json_object *item = json_object_array_get_idx(items, i);
		const char *version = NULL;

		r->item = i + 1;
		json_opt_str(list, "apiVersion", &version, NULL);
		if (*item_kind && version && json_object_is_type(item, json_type_object) &&
		    !json_field(item, "apiVersion"))
			err = json_add_str(item, "apiVersion", version);
		err = err ?: take_any(r, item, item_kind, depth + 1);
	}
	r->item = 0;
	return err;
}

static bool is_list(const char *kind)
{
	size_t n = strlen(kind);

	return n >= 4 && strcmp(kind + n - 4, "List") == 0;
}

static int take_any(struct reading *r, struct json_object *obj, const char *item_kind,
		    unsigned int depth)
{
	const char *version, *kind = item_kind;
	struct err e = {};
	enum kind k;
	int err;

	if (!json_object_is_type(obj, json_type_object))
		err = err_set(&e, -EINVAL, "want an object with apiVersion and kind, found %s",
			      json_type_word(obj));
	else
		err = json_get_str(obj, "apiVersion", &version, &e);
	if (!err)
		err = json_opt_str(obj, "kind", &kind, &e);
	if (!err && !*kind)
		err = err_set(&e, -EINVAL, "kind: missing");
	if (!err && is_list(kind) && depth > MAX_LIST_DEPTH)
		err = err_set(&e, -EINVAL, "%.32s: lists in lists in lists", kind);
	if (err < 0) {
		say_bad(r, KIND_COUNT, &e);
		return 0;
	}
	if (is_list(kind))
		return take_list(r, obj, kind, depth);
	k = kind_find(version, kind);
	return k < KIND_COUNT ? take_object(r, k, obj) : 0;
}

/* ---- files ---- */

static int on_document(struct json_object *doc, unsigned int index, unsigned int line, void *arg)
{
	struct reading *r = arg;

	r->document = index + 1;
	r->line = line;
	return take_any(r, doc, "", 0);
}

/* libyaml takes no tabs, which JSON files may be full of. */
static bool is_json(const char *text, size_t len, struct json_object **ret)
{
	size_t at = 0;

	while (at < len && strchr(" \t\r\n", text[at]) && text[at])
		at++;
	return at < len && text[at] == '{' && json_parse(text, len, ret, NULL) == 0;
}

int manifest_parse(const char *text, size_t len, struct manifest *ret,
		   void (*bad)(enum kind kind, const struct err *e, void *arg), void *arg,
		   struct err *e)
{
	struct reading r = { .bad = bad, .arg = arg };
	struct err mine = {};
	_json_ *doc = NULL;
	int err;

	if (is_json(text, len, &doc))
		err = on_document(doc, 0, 1, &r);
	else
		err = yaml_parse_each(text, len, NULL, on_document, &r, &mine);
	if (err < 0) {
		manifest_clear(&r.m);
		if (!mine.code)
			return err_set(e, err, "out of memory");
		return err_set(e, err, "document %u: %s", r.document + 1, mine.msg);
	}
	*ret = r.m;
	return 0;
}

int manifest_implied_namespace(const char *name, struct manifest_object *ret)
{
	_json_ *obj = json_object_new_object();
	struct json_object *meta = json_object_new_object();
	struct manifest_object o = { .kind = KIND_NAMESPACE };
	int err;

	if (!obj || !meta || json_add(obj, "metadata", meta) < 0 ||
	    json_add_str(meta, "name", name) < 0)
		return -ENOMEM;
	err = reduce_key(KIND_NAMESPACE, obj, &o.key, NULL);
	err = err ?: complete(KIND_NAMESPACE, obj, o.key);
	err = err ?: reduce_value(KIND_NAMESPACE, obj, &o.value, NULL);
	if (err < 0) {
		free(o.key);
		return err;
	}
	*ret = o;
	return 0;
}
