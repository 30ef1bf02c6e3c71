// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/hostlink/items.h"
#include "api/paths.h"
#include "lib/json/json.h"

/* No ARP and no neighbour discovery: from_host rewrites the Ethernet header of every packet. */
static int set_up(struct nl_sock *nl, unsigned int ifindex, bool noarp, struct err *e)
{
	nl_batch_begin(nl);
	nl_link_set(nl,
		    &(struct nl_link_set){ .ifindex = ifindex,
					   .arp = noarp ? NL_OFF : NL_KEEP,
					   .no_addrgen = true,
					   .rp_filter_off = true },
		    NULL);
	nl_link_set(nl, &(struct nl_link_set){ .ifindex = ifindex, .up = NL_ON }, NULL);
	return nl_batch_end(nl, e);
}

static int create_pair(struct nl_sock *nl, const struct host_link *l, struct err *e)
{
	struct nl_veth v = { .ifindex = l->ifindex, .mtu = l->mtu, .peer.netns_fd = -1 };
	struct nl_link peer;
	int err;

	memcpy(v.name, l->name, sizeof(v.name));
	memcpy(v.peer.name, l->peer, sizeof(v.peer.name));
	err = nl_link_add_veth(nl, &v, e);
	if (!err)
		err = nl_link_get(nl, 0, l->peer, &peer, e);
	if (!err)
		err = set_up(nl, peer.ifindex, true, e);
	return err;
}

int host_link_create(struct nl_sock *nl, const struct host_link *l, struct err *e)
{
	struct nl_link there;
	int err;

	if (nl_link_get(nl, 0, l->name, &there, NULL) == 0) {
		/* Half made by an agent that was killed, or by hand: its name is ours. */
		err = nl_link_del(nl, there.ifindex, e);
		if (err < 0 && err != -ENODEV)
			return err;
	}
	err = l->peer[0] ? create_pair(nl, l, e)
			 : nl_link_add_vxlan(nl, l->name, l->ifindex, l->port, l->mtu, e);
	if (!err)
		err = set_up(nl, l->ifindex, l->peer[0], e);
	if (err < 0)
		nl_link_del(nl, l->ifindex, NULL);
	return err;
}

static int op_create(void *ctx, const char *name, const void *value, struct err *e)
{
	return host_link_create(ctx, value, e);
}

/* Only the MTU changes in place. */
static int op_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		     struct err *e)
{
	const struct host_link *old = old_value, *new = new_value;
	struct host_link like = *old;
	struct nl_link peer;
	int err;

	like.mtu = new->mtu;
	if (!host_link_equal(&like, new))
		return -EOPNOTSUPP;
	err = nl_link_set(ctx, &(struct nl_link_set){ .ifindex = new->ifindex, .mtu = new->mtu },
			  e);
	if (!err && new->peer[0] && nl_link_get(ctx, 0, new->peer, &peer, NULL) == 0)
		err = nl_link_set(
			ctx, &(struct nl_link_set){ .ifindex = peer.ifindex, .mtu = new->mtu }, e);
	return err;
}

static int op_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	struct nl_link link;
	int err = nl_link_get(ctx, 0, name, &link, e);

	if (!err)
		err = nl_link_del(ctx, link.ifindex, e);
	return err == -ENODEV ? 0 : err;
}

int host_link_find(struct nl_sock *nl, const char *name, struct host_link *ret)
{
	struct nl_link link, peer;
	int err = nl_link_get(nl, 0, name, &link, NULL);
	bool vxlan;

	if (err < 0)
		return err;
	vxlan = strcmp(link.kind, "vxlan") == 0;
	*ret = (struct host_link){ .ifindex = link.ifindex,
				   .mtu = link.mtu,
				   .port = link.vxlan.port };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (vxlan) {
		ret->ready = (link.flags & IFF_UP) && link.vxlan.external && !link.vxlan.learning;
	} else if (nl_link_get(nl, link.peer_ifindex, NULL, &peer, NULL) == 0) {
		memcpy(ret->peer, peer.name, sizeof(ret->peer));
		ret->ready = (link.flags & IFF_UP) && (peer.flags & IFF_UP) &&
			     (link.flags & IFF_NOARP) && peer.mtu == link.mtu;
	}
	return 0;
}

static int op_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	static const char *const names[] = { NETLOOM_HOST_LINK, NETLOOM_OVERLAY_LINK };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct host_link l, *copy;
		int err = host_link_find(ctx, names[i], &l);

		if (err == -ENODEV)
			continue;
		copy = err < 0 ? NULL : malloc(sizeof(*copy));
		if (!copy)
			return err_errno(e, err < 0 ? err : -ENOMEM, "link '%s'", names[i]);
		*copy = l;
		err = dump_add(ret, names[i], copy);
		if (err < 0)
			return err_errno(e, err, "link '%s'", names[i]);
	}
	return 0;
}

bool host_link_equal(const void *a, const void *b)
{
	const struct host_link *x = a, *y = b;

	return strcmp(x->name, y->name) == 0 && strcmp(x->peer, y->peer) == 0 &&
	       x->ifindex == y->ifindex && x->mtu == y->mtu && x->port == y->port &&
	       x->ready == y->ready;
}

static struct json_object *op_describe(const char *name, const void *value)
{
	const struct host_link *l = value;
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_add_int(o, "ifindex", l->ifindex);
	json_add_int(o, "mtu", l->mtu);
	if (l->port)
		json_add_int(o, "port", l->port);
	return o;
}

const struct descriptor host_link_descriptor = {
	.name = "host-link",
	.order = 10,
	.create = op_create,
	.update = op_update,
	.delete = op_delete,
	.dump = op_dump,
	.equal = host_link_equal,
	.free = free,
	.describe = op_describe,
};

int host_put_link(struct txn *txn, const struct host_link *l)
{
	struct host_link *copy = malloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *l;
	copy->ready = true;
	return txn_put(txn, copy, "host-link/%s", l->name);
}
