// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "bpf/native/overlay.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "bpf/native/native.h"

/* What is known about a key: value, behind it at an 8-byte boundary, or that there is none. */
struct kept {
	UT_hash_handle hh;
	bool present;
	uint64_t bytes[];
};

/* The overlay's side of a native map. */
struct side {
	struct overlay *overlay;
	struct kept *all;
	const struct nmap_ops *was_ops;
	void *was_priv;
};

static void *kept_value(const struct nmap *m, struct kept *k)
{
	return k->bytes + (m->key_size + 7) / 8;
}

static void fail(struct overlay *o, int err)
{
	if (!o->error)
		o->error = err;
}

static struct kept *fetch(struct nmap *m, struct side *side, const void *key)
{
	size_t key_room = ((size_t)m->key_size + 7) / 8 * 8;
	struct kept *k = calloc(1, sizeof(*k) + key_room + m->value_size);
	struct overlay *o = side->overlay;
	int err;

	if (!k) {
		fail(o, -ENOMEM);
		return NULL;
	}
	memcpy(k->bytes, key, m->key_size);
	err = o->fetch(o->arg, m, key, kept_value(m, k));
	k->present = !err;
	if (err && err != -ENOENT)
		fail(o, err);
	HASH_ADD_KEYPTR(hh, side->all, k->bytes, m->key_size, k);
	return k;
}

static struct kept *find(struct nmap *m, const void *key)
{
	struct side *side = m->priv;
	struct kept *k;

	HASH_FIND(hh, side->all, key, m->key_size, k);
	return k ? k : fetch(m, side, key);
}

static void record(struct overlay *o, const struct nmap *m, struct kept *k)
{
	if (o->quiet)
		return;
	if (o->n_seen == o->room) {
		size_t room = o->room ? 2 * o->room : 64;
		struct overlay_lookup *seen = realloc(o->seen, room * sizeof(*seen));

		if (!seen) {
			fail(o, -ENOMEM);
			return;
		}
		o->seen = seen;
		o->room = room;
	}
	o->seen[o->n_seen++] = (struct overlay_lookup){
		.map = m, .key = k->bytes, .value = k->present ? kept_value(m, k) : NULL
	};
}

static void *overlay_lookup(struct nmap *m, const void *key)
{
	struct kept *k = find(m, key);

	if (!k)
		return NULL;
	record(((struct side *)m->priv)->overlay, m, k);
	return k->present ? kept_value(m, k) : NULL;
}

static int overlay_update(struct nmap *m, const void *key, const void *value, __u64 flags)
{
	struct kept *k = find(m, key);

	if (!k)
		return -ENOMEM;
	if (k->present && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!k->present && flags == BPF_EXIST)
		return -ENOENT;
	memcpy(kept_value(m, k), value, m->value_size);
	k->present = true;
	return 0;
}

static int overlay_delete(struct nmap *m, const void *key)
{
	struct kept *k = find(m, key);

	if (!k || !k->present)
		return -ENOENT;
	k->present = false;
	return 0;
}

static void overlay_clear(struct nmap *m)
{
	struct side *side = m->priv;
	struct kept *k, *next;

	HASH_ITER (hh, side->all, k, next) {
		HASH_DEL(side->all, k);
		free(k);
	}
}

static const struct nmap_ops nmap_overlay = { overlay_lookup, overlay_update, overlay_delete,
					      overlay_clear };

static bool is_counter(const struct nmap *m)
{
	static const char *const counters[] = { "loom_metrics", "loom_epstats", "loom_evlimit",
						"loom_denied" };

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (!strcmp(m->name, counters[i]))
			return true;
	return false;
}

static void lay_over(struct overlay *o, struct nmap *m)
{
	struct side *side = calloc(1, sizeof(*side));

	if (!side) {
		fail(o, -ENOMEM);
		return;
	}
	side->overlay = o;
	side->was_ops = m->ops;
	side->was_priv = m->priv;
	m->ops = &nmap_overlay;
	m->priv = side;
}

void overlay_begin(struct overlay *o)
{
	for (unsigned int i = 0; native_maps[i]; i++) {
		if (is_counter(native_maps[i]))
			nmap_clear(native_maps[i]);
		else
			lay_over(o, native_maps[i]);
	}
}

void overlay_end(struct overlay *o)
{
	for (unsigned int i = 0; native_maps[i]; i++) {
		struct nmap *m = native_maps[i];
		struct side *side = m->priv;

		if (m->ops != &nmap_overlay)
			continue;
		overlay_clear(m);
		m->ops = side->was_ops;
		m->priv = side->was_priv;
		free(side);
	}
	free(o->seen);
	o->seen = NULL;
	o->n_seen = 0;
	o->room = 0;
}
