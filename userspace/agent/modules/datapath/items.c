// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/items.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/addr.h"
#include "lib/bpf/tables.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"

struct map_item *map_item_new(const struct map_kind *kind, const void *key, const void *value)
{
	struct map_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->kind = kind;
	memcpy(item->key, key, kind->key_size);
	memcpy(item->value, value, kind->value_size);
	return item;
}

/* ---- names ---- */

static void name_state(const void *key, char *ret)
{
	snprintf(ret, ITEM_NAME_STRLEN, "node");
}

static void name_index(const void *key, char *ret)
{
	snprintf(ret, ITEM_NAME_STRLEN, "%u", *(const uint32_t *)key);
}

static void name_ip(const void *key, char *ret)
{
	const struct loom_ipkey *k = key;
	char text[ADDR_STRLEN];

	snprintf(ret, ITEM_NAME_STRLEN, "%u:%s", k->scope, addr_format(&k->addr, text));
}

static void name_cidr(const void *key, char *ret)
{
	const struct loom_cidrkey *k = key;
	struct prefix p = { .addr = k->addr, .len = MAX(k->prefixlen, 32u) - 32 };
	char text[PREFIX_STRLEN];

	snprintf(ret, ITEM_NAME_STRLEN, "%u:%s", k->scope, prefix_format(&p, text));
}

/* ---- writing ---- */

static void changed(const struct map_items *m)
{
	if (m->redirected && m->kind->flags & MAP_KIND_REDIRECTS)
		m->redirected(m->arg);
}

static int write_error(const struct map_items *m, const char *name, int err, struct err *e)
{
	if (err != -E2BIG && err != -ENOSPC)
		return err_errno(e, err, "%s: can't write entry %s", m->kind->map, name);
	if (m->kind->flags & MAP_KIND_ARRAY)
		return err_set(e, err, "%s: entry %s is outside of the map, which has %u",
			       m->kind->map, name, m->max_entries);
	return err_set(e, err, "%s is full (%u entries): no room for %s", m->kind->map,
		       m->max_entries, name);
}

/* The programs count ct_full_total, and generations are bumped elsewhere. */
static int keep_dynamic(const struct map_items *m, struct loom_state *s, struct loom_state *ret_was)
{
	struct loom_state now;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(m->fd, &zero, &now) < 0)
		return -errno;
	s->policy_gen = now.policy_gen;
	s->route_gen = now.route_gen;
	s->ct_full_total = now.ct_full_total;
	*ret_was = now;
	return 0;
}

/* An address that is only away for a moment, with its link, keeps its flows. */
static void masq_changed(const struct map_items *m, const union loom_addr *was,
			 const union loom_addr *is)
{
	if (m->masq_moved && !addr_is_zero(was) && !addr_is_zero(is) && !addr_equal(was, is))
		m->masq_moved(m->arg, was);
}

static int item_write(const struct map_items *m, const char *name, const void *key,
		      const void *value, struct err *e)
{
	_Alignas(8) uint8_t copy[sizeof(struct loom_state)];
	struct loom_state *state = (struct loom_state *)copy, was = {};
	int err = 0;

	memcpy(copy, value, m->kind->value_size);
	if (m->kind->flags & MAP_KIND_STATE)
		err = keep_dynamic(m, state, &was);
	if (!err && bpf_map_update_elem(m->fd, key, copy, BPF_ANY) < 0)
		err = -errno;
	if (err < 0)
		return write_error(m, name, err, e);
	if (m->kind->flags & MAP_KIND_STATE) {
		masq_changed(m, &was.masq4, &state->masq4);
		masq_changed(m, &was.masq6, &state->masq6);
	}
	changed(m);
	return 0;
}

static int item_create(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct map_item *item = value;

	return item_write(ctx, name, item->key, item->value, e);
}

static int item_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		       struct err *e)
{
	return item_create(ctx, name, new_value, e);
}

static int item_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct map_items *m = ctx;
	const struct map_item *item = value;
	uint8_t zeros[sizeof(item->value)] = {};

	if (m->kind->flags & MAP_KIND_ARRAY)
		return item_write(m, name, item->key, zeros, e);
	if (bpf_map_delete_elem(m->fd, item->key) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "%s: can't delete entry %s", m->kind->map, name);
	changed(m);
	return 0;
}

/* ---- reading ---- */

static void forget_dynamic(struct loom_state *s)
{
	s->policy_gen = 0;
	s->route_gen = 0;
	s->ct_full_total = 0;
}

#define DUMP_DONE 1

struct dumping {
	const struct map_items *m;
	struct dump_list *ret;
};

static int dump_entry(const void *key, const void *value, void *arg)
{
	const struct dumping *d = arg;
	const struct map_kind *kind = d->m->kind;
	char name[ITEM_NAME_STRLEN];
	struct map_item *item;

	/* Arrays are walked in the order of their keys. */
	if (kind->flags & MAP_KIND_NODE_VIPS && *(const uint32_t *)key >= LOOM_VIP_SERVICE_FIRST)
		return DUMP_DONE;
	/* Most entries of an array are nothing, so they are sorted out before anything is made. */
	if (kind->flags & MAP_KIND_ARRAY && !(kind->flags & MAP_KIND_STATE) &&
	    map_value_is_zero(value, kind->value_size))
		return 0;
	item = map_item_new(kind, key, value);
	if (!item)
		return -ENOMEM;
	if (kind->flags & MAP_KIND_STATE) {
		forget_dynamic((struct loom_state *)item->value);
		if (map_value_is_zero(item->value, kind->value_size)) {
			free(item);
			return 0;
		}
	}
	kind->name(key, name);
	return dump_add(d->ret, name, item);
}

static int item_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	const struct map_items *m = ctx;
	struct dumping d = { m, ret };
	int err = map_walk(m->fd, dump_entry, &d);

	return err < 0 ? err_errno(e, err, "reading %s", m->kind->map) : 0;
}

static bool item_equal(const void *a, const void *b)
{
	struct map_item x = *(const struct map_item *)a, y = *(const struct map_item *)b;

	if (x.kind->flags & MAP_KIND_STATE) {
		forget_dynamic((struct loom_state *)x.value);
		forget_dynamic((struct loom_state *)y.value);
	}
	return memcmp(x.value, y.value, x.kind->value_size) == 0;
}

static struct json_object *item_describe(const char *name, const void *value)
{
	const struct map_item *item = value;
	const struct table *t = table_of_map(item->kind->map);
	char text[ADDR_STRLEN];

	if (item->kind->flags & MAP_KIND_NODE_VIPS) {
		struct json_object *ret = json_object_new_object();
		const union loom_addr *addr = (const void *)item->value;

		if (ret)
			json_add_str(ret, "address", addr_format(addr, text));
		return ret;
	}
	return t ? table_record(t, item->key, item->value, NULL) : NULL;
}

#define DESCRIPTOR(descriptor_name, when)                                        \
	{                                                                        \
		.name = descriptor_name, .order = when, .create = item_create,   \
		.update = item_update, .delete = item_delete, .dump = item_dump, \
		.equal = item_equal, .free = free, .describe = item_describe,    \
	}

const struct map_kind map_kinds[N_KINDS] = {
	[KIND_STATE] = { DESCRIPTOR("bpf-state", 100), "loom_state", sizeof(uint32_t),
			 sizeof(struct loom_state),
			 MAP_KIND_ARRAY | MAP_KIND_STATE | MAP_KIND_REDIRECTS, name_state },
	[KIND_NODE] = { DESCRIPTOR("bpf-node", 110), "loom_node", sizeof(uint32_t),
			sizeof(struct loom_node), MAP_KIND_ARRAY | MAP_KIND_REDIRECTS, name_index },
	[KIND_IP] = { DESCRIPTOR("bpf-ip", 120), "loom_ip", sizeof(struct loom_ipkey),
		      sizeof(struct loom_remote), MAP_KIND_REDIRECTS, name_ip },
	[KIND_CIDR] = { DESCRIPTOR("bpf-cidr", 121), "loom_cidr", sizeof(struct loom_cidrkey),
			sizeof(struct loom_remote), MAP_KIND_REDIRECTS, name_cidr },
	[KIND_IFCFG] = { DESCRIPTOR("bpf-ifcfg", 130), "loom_ifcfg", sizeof(uint32_t),
			 sizeof(struct loom_ifcfg), MAP_KIND_ARRAY, name_index },
	[KIND_EP] = { DESCRIPTOR("bpf-ep", 140), "loom_ep", sizeof(struct loom_ipkey),
		      sizeof(struct loom_ep), MAP_KIND_REDIRECTS, name_ip },
	[KIND_VIP] = { DESCRIPTOR("bpf-vip", 139), "loom_vip", sizeof(uint32_t),
		       sizeof(union loom_addr), MAP_KIND_ARRAY | MAP_KIND_NODE_VIPS, name_index },
};
