// SPDX-License-Identifier: Apache-2.0
#include "lib/store/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/base/grow.h"
#include "lib/json/json.h"

static size_t kv_bytes(const struct store_kv *kv)
{
	return sizeof(*kv) + kv->key_len + kv->value_len + 2;
}

/* Room for one more, within the budget. */
static int kv_list_grow(struct kv_list *l, size_t bytes)
{
	if (l->budget && (bytes > l->budget->max || l->budget->used > l->budget->max - bytes))
		return -E2BIG;
	return grow_room(&l->v, &l->cap, l->n + 1, sizeof(*l->v));
}

/* Key and value share one allocation, which starts with the key. */
int kv_list_add(struct kv_list *l, const struct store_kv *kv)
{
	size_t bytes = kv_bytes(kv);
	struct store_kv *to;
	char *mem;
	int err;

	err = kv_list_grow(l, bytes);
	if (err < 0)
		return err;
	mem = malloc(kv->key_len + kv->value_len + 2);
	if (!mem)
		return -ENOMEM;
	memcpy(mem, kv->key, kv->key_len);
	mem[kv->key_len] = 0;
	to = &l->v[l->n++];
	*to = *kv;
	to->key = mem;
	if (kv->value) {
		to->value = mem + kv->key_len + 1;
		memcpy(mem + kv->key_len + 1, kv->value, kv->value_len);
	}
	mem[kv->key_len + 1 + kv->value_len] = 0;
	l->bytes += bytes;
	if (l->budget)
		l->budget->used += bytes;
	return 0;
}

void kv_list_shift(struct kv_list *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t bytes = kv_bytes(&l->v[i]);

		free((char *)l->v[i].key);
		l->bytes -= bytes;
		if (l->budget)
			l->budget->used -= bytes;
	}
	l->n -= n;
	if (l->n)
		memmove(l->v, l->v + n, l->n * sizeof(*l->v));
}

void kv_list_clear(struct kv_list *l)
{
	kv_list_shift(l, l->n);
	free(l->v);
	*l = (struct kv_list){ .budget = l->budget };
}

void kv_list_unbudget(struct kv_list *l)
{
	if (l->budget)
		l->budget->used -= l->bytes;
	l->budget = NULL;
}

int base64_decode(const char *text, size_t len, char **ret, size_t *ret_len)
{
	size_t pad = 0;
	char *out;
	int n;

	if (len % 4 || len > INT_MAX)
		return -EPROTO;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	/* EVP_DecodeBlock() takes '=' for zero bits anywhere, and skips blanks at the ends. */
	if (memchr(text, '=', len - pad) || (len && (text[0] <= ' ' || text[len - 1] <= ' ')))
		return -EPROTO;
	out = malloc(len / 4 * 3 + 1);
	if (!out)
		return -ENOMEM;
	n = len ? EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, len) : 0;
	if (n < 0 || (size_t)n != len / 4 * 3) {
		free(out);
		return -EPROTO;
	}
	*ret_len = n - pad;
	out[*ret_len] = 0;
	*ret = out;
	return 0;
}

/* Absent is empty. */
static int bytes_field(struct json_object *obj, const char *name, char **ret, size_t *ret_len,
		       struct err *e)
{
	struct json_object *v = json_field(obj, name);
	int err;

	if (v && !json_object_is_type(v, json_type_string))
		return err_set(e, -EPROTO, "%s: want base64, found %s", name, json_type_word(v));
	err = base64_decode(v ? json_object_get_string(v) : "",
			    v ? json_object_get_string_len(v) : 0, ret, ret_len);
	if (err == -ENOMEM)
		return err_set(e, err, "out of memory");
	return err < 0 ? err_set(e, err, "%s: not base64", name) : 0;
}

static int uint64_text(const char *s, uint64_t *ret)
{
	char *end;

	if (!s[0] || strspn(s, "0123456789") != strlen(s))
		return -EPROTO;
	errno = 0;
	*ret = strtoull(s, &end, 10);
	return errno || *end ? -EPROTO : 0;
}

int int64_decode(struct json_object *obj, const char *name, int64_t *ret, struct err *e)
{
	struct json_object *v = json_field(obj, name);
	const char *s;
	uint64_t n;
	bool minus;

	if (!v) {
		*ret = 0;
		return 0;
	}
	if (json_object_is_type(v, json_type_int)) {
		*ret = json_object_get_int64(v);
		return 0;
	}
	if (!json_object_is_type(v, json_type_string))
		return err_set(e, -EPROTO, "%s: want an integer, found %s", name,
			       json_type_word(v));
	s = json_object_get_string(v);
	minus = s[0] == '-';
	if (uint64_text(s + minus, &n) < 0 || n > INT64_MAX)
		return err_set(e, -EPROTO, "%s: '%.40s' is no 64-bit integer", name, s);
	*ret = minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

/* cluster_id uses all 64 bits. */
static int uint64_decode(struct json_object *obj, const char *name, uint64_t *ret, struct err *e)
{
	struct json_object *v = json_field(obj, name);

	if (!v) {
		*ret = 0;
		return 0;
	}
	if (json_object_is_type(v, json_type_int)) {
		*ret = json_object_get_uint64(v);
		return 0;
	}
	if (!json_object_is_type(v, json_type_string) ||
	    uint64_text(json_object_get_string(v), ret) < 0)
		return err_set(e, -EPROTO, "%s: no 64-bit integer", name);
	return 0;
}

int header_decode(struct json_object *answer, struct store_header *ret, struct err *e)
{
	struct json_object *h = json_field(answer, "header");
	struct store_header out;
	int err;

	err = uint64_decode(h, "cluster_id", &out.cluster_id, e);
	if (err == 0)
		err = int64_decode(h, "revision", &out.revision, e);
	if (err < 0)
		return err_prefix(e, "header");
	if (out.revision <= 0)
		return err_set(e, -EPROTO, "header.revision: missing");
	*ret = out;
	return 0;
}

int kv_list_add_json(struct kv_list *l, struct json_object *obj, bool deleted, struct err *e)
{
	_cleanup_(freep) char *key = NULL;
	_cleanup_(freep) char *value = NULL;
	struct store_kv kv = {};
	int err;

	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EPROTO, "kv: want an object, found %s", json_type_word(obj));
	err = bytes_field(obj, "key", &key, &kv.key_len, e);
	if (err == 0 && !deleted)
		err = bytes_field(obj, "value", &value, &kv.value_len, e);
	if (err == 0)
		err = int64_decode(obj, "mod_revision", &kv.mod_revision, e);
	if (err == 0)
		err = int64_decode(obj, "create_revision", &kv.create_revision, e);
	if (err == 0)
		err = int64_decode(obj, "version", &kv.version, e);
	if (err == 0)
		err = int64_decode(obj, "lease", &kv.lease, e);
	if (err < 0)
		return err;
	if (!kv.key_len || kv.mod_revision <= 0)
		return err_set(e, -EPROTO, "kv.%s: missing", kv.key_len ? "mod_revision" : "key");
	kv.key = key;
	kv.value = value;
	err = kv_list_add(l, &kv);
	if (err == -E2BIG)
		return err_set(e, err, "more than the bound of %zu bytes", l->budget->max);
	return err < 0 ? err_set(e, err, "out of memory") : 0;
}

static void put_base64(FILE *f, const void *data, size_t len)
{
	/* A multiple of 3 in, so that padding comes at the end only. */
	unsigned char out[4096 + 1];
	const unsigned char *in = data;

	while (len) {
		size_t n = MIN(len, 3072u);

		EVP_EncodeBlock(out, in, n);
		fputs((char *)out, f);
		in += n;
		len -= n;
	}
}

/* The same, with the last byte one higher. */
static void put_base64_end(FILE *f, const char *data, size_t len)
{
	size_t whole = (len - 1) / 3 * 3;
	char tail[3] = {};

	put_base64(f, data, whole);
	memcpy(tail, data + whole, len - whole);
	tail[len - whole - 1]++;
	put_base64(f, tail, len - whole);
}

void put_bytes(FILE *f, const char *name, const void *data, size_t len)
{
	fprintf(f, "\"%s\":\"", name);
	put_base64(f, data, len);
	fputc('"', f);
}

void put_text(FILE *f, const char *name, const char *text)
{
	put_bytes(f, name, text, strlen(text));
}

void put_prefix_end(FILE *f, const char *prefix)
{
	size_t len = strlen(prefix);

	/* The end is the prefix with its last byte one higher; 0xff has none higher. */
	while (len && (unsigned char)prefix[len - 1] == 0xff)
		len--;
	fputs("\"range_end\":\"", f);
	if (len)
		put_base64_end(f, prefix, len);
	else
		put_base64(f, "", 1); /* a zero byte: no end */
	fputc('"', f);
}

void put_prefix(FILE *f, const char *prefix)
{
	size_t len = strlen(prefix);

	put_bytes(f, "key", prefix, len ? len : 1);
	fputc(',', f);
	put_prefix_end(f, prefix);
}

int put_close(FILE *f, char **body)
{
	bool bad = ferror(f);

	if (fclose(f) == 0 && !bad)
		return 0;
	free(*body);
	*body = NULL;
	return -ENOMEM;
}
