// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/native_maps.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "bpf/native/native.h"

static struct nmap *map_of(enum polmap map)
{
	static const char *const names[POLMAPS] = {
		[POLMAP_EPOL] = "loom_epol",	[POLMAP_IDENT] = "loom_ident",
		[POLMAP_CLASS] = "loom_class",	[POLMAP_POL] = "loom_pol",
		[POLMAP_RULE] = "loom_polrule",
	};

	return native_map(names[map]);
}

static bool fails(struct native_maps *m)
{
	m->writes++;
	if (m->ends && m->fail_at)
		return m->writes >= m->fail_at;
	return m->writes == m->fail_at;
}

static int written(struct native_maps *m, int err)
{
	if (m->written)
		m->written(m->arg);
	return err;
}

static int update(void *arg, enum polmap map, const void *key, const void *value)
{
	if (fails(arg))
		return -EIO;
	return written(arg, nmap_update(map_of(map), key, value, BPF_ANY));
}

static int unset(void *arg, enum polmap map, const void *key)
{
	int err = fails(arg) ? -EIO : nmap_delete(map_of(map), key);

	return written(arg, err == -ENOENT ? 0 : err);
}

struct exact {
	const struct nmap *map;
	const void *key, *value;
};

static void match(const void *key, void *value, void *arg)
{
	struct exact *x = arg;

	if (memcmp(key, x->key, x->map->key_size) == 0)
		x->value = value;
}

/* A prefix of the trie itself, where nmap_lookup() may find a longer one that begins alike. */
static const void *find_prefix(struct nmap *map, const void *key)
{
	struct exact x = { .map = map, .key = key };

	nmap_each(map, match, &x);
	return x.value;
}

static int lookup(void *arg, enum polmap map, const void *key, void *ret_value)
{
	const void *value =
		map == POLMAP_CLASS ? find_prefix(map_of(map), key) : nmap_lookup(map_of(map), key);

	if (!value)
		return -ENOENT;
	memcpy(ret_value, value, map_of(map)->value_size);
	return 0;
}

struct each {
	int (*fn)(const void *key, void *ctx);
	void *ctx;
	int err;
};

static void one(const void *key, void *value, void *arg)
{
	struct each *e = arg;

	if (!e->err)
		e->err = e->fn(key, e->ctx);
}

static int each(void *arg, enum polmap map, int (*fn)(const void *key, void *ctx), void *ctx)
{
	struct each e = { fn, ctx, 0 };

	nmap_each(map_of(map), one, &e);
	return e.err;
}

static int bump(void *arg)
{
	struct native_maps *m = arg;

	if (m->ends && m->fail_at && m->writes >= m->fail_at)
		return -EIO;
	m->bumps++;
	return 0;
}

static const struct polmaps_ops ops = {
	.update = update,
	.remove = unset,
	.lookup = lookup,
	.each = each,
	.bump = bump,
};

void native_maps_init(struct native_maps *m, struct polmaps *ret)
{
	native_reset();
	*m = (struct native_maps){};
	*ret = (struct polmaps){
		.ops = &ops,
		.arg = m,
		.max_sets = LOOM_POL_SETS,
		.max_rules = LOOM_POL_RULES,
		.max_classes = LOOM_POL_CLASSES,
		.max_idents = LOOM_POL_IDENTS,
		.max_eps = LOOM_MAX_EPS,
	};
}

uint32_t native_maps_count(enum polmap map)
{
	return map_of(map)->count;
}
