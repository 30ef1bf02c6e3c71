// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "agent/modules/hostlink/items.h"
#include "api/paths.h"
#include "lib/json/json.h"

static int op_create(void *ctx, const char *name, const void *value, struct err *e)
{
	return nl_route_replace(ctx, value, e);
}

/* Same prefix, table and metric: the kernel replaces it in one step. */
static int op_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		     struct err *e)
{
	return nl_route_replace(ctx, new_value, e);
}

static int op_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	int err = nl_route_del(ctx, value, e);

	return err == -ESRCH || err == -ENODEV ? 0 : err;
}

static int dump_one(const struct nl_route *r, void *arg)
{
	char text[PREFIX_STRLEN];
	struct nl_route *copy;

	if (r->protocol != NL_PROTO_NETLOOM || r->table != RT_TABLE_MAIN)
		return 0;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *r;
	return dump_add(arg, prefix_format(&r->dst, text), copy);
}

static int op_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	return nl_route_foreach(ctx, dump_one, ret, e);
}

static void op_depends(void *ctx, const char *name, const void *value, struct dep_list *ret)
{
	dep_add(ret, "host-link/" NETLOOM_HOST_LINK);
}

/* Metric and scope of IPv6 routes are the kernel's own. */
static bool op_equal(const void *a, const void *b)
{
	const struct nl_route *x = a, *y = b;

	return prefix_equal(&x->dst, &y->dst) && x->ifindex == y->ifindex && x->mtu == y->mtu &&
	       (addr_equal(&x->src, &y->src) || (addr_is_zero(&x->src) && addr_is_zero(&y->src))) &&
	       addr_is_zero(&x->gateway) == addr_is_zero(&y->gateway);
}

static struct json_object *op_describe(const char *name, const void *value)
{
	const struct nl_route *r = value;
	struct json_object *o = json_object_new_object();
	char text[ADDR_STRLEN];

	if (!o)
		return NULL;
	json_add_int(o, "ifindex", r->ifindex);
	if (!addr_is_zero(&r->src))
		json_add_str(o, "src", addr_format(&r->src, text));
	return o;
}

const struct descriptor host_route_descriptor = {
	.name = "host-route",
	.order = 40,
	.create = op_create,
	.update = op_update,
	.delete = op_delete,
	.dump = op_dump,
	.depends = op_depends,
	.equal = op_equal,
	.free = free,
	.describe = op_describe,
};

int host_put_route(struct txn *txn, const struct nl_route *r)
{
	char text[PREFIX_STRLEN];
	struct nl_route *copy = malloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *r;
	return txn_put(txn, copy, "host-route/%s", prefix_format(&r->dst, text));
}
