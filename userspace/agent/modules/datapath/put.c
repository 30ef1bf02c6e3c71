// SPDX-License-Identifier: Apache-2.0
/* What other modules call to put map entries and attachments into a transaction (datapath.h). */
#include <errno.h>

#include "agent/modules/datapath/attach_items.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/datapath/items.h"

static int put(struct txn *t, int kind, const void *key, const void *value)
{
	const struct map_kind *k = &map_kinds[kind];
	struct map_item *item = map_item_new(k, key, value);
	char name[ITEM_NAME_STRLEN];

	if (!item)
		return -ENOMEM;
	k->name(key, name);
	return txn_put(t, item, "%s/%s", k->descriptor.name, name);
}

static int del(struct txn *t, int kind, const void *key)
{
	const struct map_kind *k = &map_kinds[kind];
	char name[ITEM_NAME_STRLEN];

	k->name(key, name);
	return txn_delete(t, "%s/%s", k->descriptor.name, name);
}

static struct loom_ipkey ip_key(uint32_t scope, const union loom_addr *addr)
{
	return (struct loom_ipkey){ .scope = scope, .addr = *addr };
}

static struct loom_cidrkey cidr_key(uint32_t scope, const struct prefix *p)
{
	return (struct loom_cidrkey){ .prefixlen = 32 + p->len, .scope = scope, .addr = p->addr };
}

int datapath_put_state(struct txn *t, const struct loom_state *state)
{
	uint32_t zero = 0;

	return put(t, KIND_STATE, &zero, state);
}

int datapath_put_ifcfg(struct txn *t, unsigned int ifindex, const struct loom_ifcfg *cfg)
{
	return put(t, KIND_IFCFG, &ifindex, cfg);
}

int datapath_del_ifcfg(struct txn *t, unsigned int ifindex)
{
	return del(t, KIND_IFCFG, &ifindex);
}

int datapath_put_ep(struct txn *t, uint32_t scope, const union loom_addr *addr,
		    const struct loom_ep *ep)
{
	struct loom_ipkey k = ip_key(scope, addr);

	return put(t, KIND_EP, &k, ep);
}

int datapath_del_ep(struct txn *t, uint32_t scope, const union loom_addr *addr)
{
	struct loom_ipkey k = ip_key(scope, addr);

	return del(t, KIND_EP, &k);
}

int datapath_put_ip(struct txn *t, uint32_t scope, const union loom_addr *addr,
		    const struct loom_remote *remote)
{
	struct loom_ipkey k = ip_key(scope, addr);

	return put(t, KIND_IP, &k, remote);
}

int datapath_del_ip(struct txn *t, uint32_t scope, const union loom_addr *addr)
{
	struct loom_ipkey k = ip_key(scope, addr);

	return del(t, KIND_IP, &k);
}

int datapath_put_cidr(struct txn *t, uint32_t scope, const struct prefix *p,
		      const struct loom_remote *remote)
{
	struct loom_cidrkey k = cidr_key(scope, p);

	return put(t, KIND_CIDR, &k, remote);
}

int datapath_del_cidr(struct txn *t, uint32_t scope, const struct prefix *p)
{
	struct loom_cidrkey k = cidr_key(scope, p);

	return del(t, KIND_CIDR, &k);
}

int datapath_put_node(struct txn *t, uint32_t node_id, const struct loom_node *node)
{
	return put(t, KIND_NODE, &node_id, node);
}

int datapath_del_node(struct txn *t, uint32_t node_id)
{
	return del(t, KIND_NODE, &node_id);
}

int datapath_put_vip(struct txn *t, uint32_t number, const union loom_addr *addr)
{
	return put(t, KIND_VIP, &number, addr);
}

int datapath_put_attach(struct txn *t, enum datapath_role role, const char *ifname,
			unsigned int ifindex, const char *needs_key)
{
	struct attach_item *item = attach_item_new(role, ifname, ifindex, needs_key);

	if (!item)
		return -ENOMEM;
	return txn_put(t, item, ATTACH_DESCRIPTOR "/%s-%s", attach_role_name(role), ifname);
}

int datapath_del_attach(struct txn *t, enum datapath_role role, const char *ifname)
{
	return txn_delete(t, ATTACH_DESCRIPTOR "/%s-%s", attach_role_name(role), ifname);
}
