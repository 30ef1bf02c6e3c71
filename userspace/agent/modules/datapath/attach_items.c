// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/attach_items.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"

static const char *const role_names[] = {
	[DATAPATH_POD] = "pod",
	[DATAPATH_HOST] = "host",
	[DATAPATH_UPLINK] = "uplink",
	[DATAPATH_OVERLAY] = "overlay",
};

const char *attach_role_name(enum datapath_role role)
{
	return role_names[role];
}

static void item_free(void *value)
{
	struct attach_item *item = value;

	if (!item)
		return;
	free(item->needs_key);
	free(item);
}

struct attach_item *attach_item_new(enum datapath_role role, const char *ifname,
				    unsigned int ifindex, const char *needs_key)
{
	struct attach_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->role = role;
	snprintf(item->ifname, sizeof(item->ifname), "%s", ifname);
	item->ifindex = ifindex;
	item->complete = true;
	if (needs_key) {
		item->needs_key = strdup(needs_key);
		if (!item->needs_key) {
			item_free(item);
			return NULL;
		}
	}
	return item;
}

static int item_create(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct attach_items *c = ctx;
	const struct attach_item *item = value;

	for (const struct attach_hook *h = attach_hooks; h->prog; h++) {
		const struct loaded_prog *p = loaded_prog(c->loaded, h->prog);
		int err;

		if (h->role != item->role)
			continue;
		if (p)
			err = attach_put(&c->attacher, h, p->fd, item->ifname, item->ifindex, e);
		else if (h->optional)
			err = attach_del(&c->attacher, h, item->ifname, e);
		else
			err = err_set(e, -ENOENT, "the BPF object has no program %s", h->prog);
		if (err < 0)
			return err;
	}
	return 0;
}

static int item_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		       struct err *e)
{
	return item_create(ctx, name, new_value, e);
}

static int item_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct attach_items *c = ctx;
	const struct attach_item *item = value;

	for (const struct attach_hook *h = attach_hooks; h->prog; h++) {
		int err = h->role == item->role ? attach_del(&c->attacher, h, item->ifname, e) : 0;

		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- what is there ---- */

struct found {
	struct attach_item *items;
	unsigned int *good; /* hooks of items[i] that run the program that is loaded */
	size_t n, room;
	const struct attach_items *c;
};

static void found_release(struct found *f)
{
	free(f->items);
	free(f->good);
}

static int found_grow(struct found *f)
{
	size_t room = f->room ? 2 * f->room : 64;
	struct attach_item *items = reallocarray(f->items, room, sizeof(*items));
	unsigned int *good;

	if (!items)
		return -ENOMEM;
	f->items = items;
	good = reallocarray(f->good, room, sizeof(*good));
	if (!good)
		return -ENOMEM;
	f->good = good;
	f->room = room;
	return 0;
}

static int find_item(struct found *f, const struct attached *at, enum datapath_role role)
{
	struct attach_item *item;

	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].role == role && strcmp(f->items[i].ifname, at->ifname) == 0)
			return i;
	if (f->n == f->room && found_grow(f) < 0)
		return -ENOMEM;
	item = &f->items[f->n];
	*item = (struct attach_item){ .role = role, .ifindex = at->ifindex };
	memcpy(item->ifname, at->ifname, sizeof(item->ifname));
	f->good[f->n] = 0;
	return f->n++;
}

static int on_attached(const struct attached *at, void *arg)
{
	struct found *f = arg;
	const struct attach_hook *hook = attach_hook_find(at->prog);
	const struct loaded_prog *p = loaded_prog(f->c->loaded, at->prog);
	int i;

	if (!hook)
		return 0;
	i = find_item(f, at, hook->role);
	if (i < 0)
		return i;
	if (p && p->id == at->prog_id && at->egress == hook->egress &&
	    at->ifindex == f->items[i].ifindex)
		f->good[i]++;
	else
		f->good[i] = LOADED_MAX;
	/* One of two links being dead makes the pair dead. */
	if (!at->ifindex)
		f->items[i].ifindex = 0;
	return 0;
}

static unsigned int programs_of(const struct loaded *l, enum datapath_role role)
{
	unsigned int n = 0;

	for (const struct attach_hook *h = attach_hooks; h->prog; h++)
		n += h->role == role && loaded_prog(l, h->prog);
	return n;
}

static int item_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	_cleanup_(found_release) struct found f = { .c = ctx };
	int err = attach_foreach(&f.c->attacher, on_attached, &f);

	for (size_t i = 0; i < f.n && !err; i++) {
		const struct attach_item *it = &f.items[i];
		struct attach_item *copy = attach_item_new(it->role, it->ifname, it->ifindex, NULL);
		char name[48];

		if (!copy)
			return -ENOMEM;
		copy->complete = f.good[i] == programs_of(f.c->loaded, it->role);
		snprintf(name, sizeof(name), "%s-%s", role_names[it->role], it->ifname);
		err = dump_add(ret, name, copy);
	}
	return err < 0 ? err_errno(e, err, "what programs are attached") : 0;
}

static void item_depends(void *ctx, const char *name, const void *value, struct dep_list *ret)
{
	const struct attach_item *item = value;

	if (item->needs_key)
		dep_add(ret, "%s", item->needs_key);
	if (item->role == DATAPATH_POD)
		dep_add(ret, "bpf-ifcfg/%u", item->ifindex);
}

static bool item_equal(const void *a, const void *b)
{
	const struct attach_item *x = a, *y = b;

	return x->role == y->role && x->ifindex == y->ifindex && x->complete == y->complete &&
	       strcmp(x->ifname, y->ifname) == 0;
}

static struct json_object *item_describe(const char *name, const void *value)
{
	const struct attach_item *item = value;
	_json_ *ret = json_object_new_object();

	if (!ret || json_add_str(ret, "role", role_names[item->role]) < 0 ||
	    json_add_str(ret, "interface", item->ifname) < 0 ||
	    json_add_int(ret, "ifindex", item->ifindex) < 0 ||
	    json_add_bool(ret, "complete", item->complete) < 0)
		return NULL;
	return TAKE_PTR(ret);
}

const struct descriptor attach_descriptor = {
	.name = ATTACH_DESCRIPTOR,
	.order = 200,
	.create = item_create,
	.update = item_update,
	.delete = item_delete,
	.dump = item_dump,
	.depends = item_depends,
	.equal = item_equal,
	.free = item_free,
	.describe = item_describe,
};
