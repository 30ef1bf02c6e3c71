// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/podwire/pod_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "api/paths.h"

static const union loom_addr any4 = { .b = { [10] = 0xff, [11] = 0xff } }, any6;

void pod_link_free(struct pod_link *l)
{
	if (!l)
		return;
	free(l->alias);
	free(l->netns);
	free(l);
}

bool pod_link_equal(const struct pod_link *a, const struct pod_link *b)
{
	return a->host_ifindex == b->host_ifindex && a->mtu == b->mtu && a->up == b->up &&
	       memcmp(a->hmac, b->hmac, sizeof(a->hmac)) == 0 &&
	       strcmp(a->host_ifname, b->host_ifname) == 0 && strcmp(a->alias, b->alias) == 0;
}

bool pod_link_name_is_ours(const char *name)
{
	size_t prefix = strlen(NETLOOM_POD_LINK_PREFIX);

	return strncmp(name, NETLOOM_POD_LINK_PREFIX, prefix) == 0 && strlen(name) == prefix + 12 &&
	       strspn(name + prefix, "0123456789abcdef") == 12;
}

/* ---- the host's end ---- */

static int explain_exists(struct nl_sock *nl, const struct pod_link *l, struct err *e)
{
	struct nl_link there;

	if (nl_link_get(nl, 0, l->host_ifname, &there, NULL) == 0)
		return err_set(e, -EEXIST, "link '%s' exists already, with alias '%s'",
			       l->host_ifname, there.alias);
	if (nl_link_get(nl, l->host_ifindex, NULL, &there, NULL) == 0)
		return err_set(e, -EEXIST, "link index %u is taken by '%s'", l->host_ifindex,
			       there.name);
	return err_set(e, -EEXIST, "the pod's namespace has an interface '%s' already", l->ifname);
}

static int add_pair(struct nl_sock *nl, const struct pod_link *l, int netns_fd, struct err *e)
{
	struct nl_veth v = {
		.ifindex = l->host_ifindex,
		.mac = l->hmac,
		.mtu = l->mtu,
		.peer = { .mac = l->mac, .netns_fd = netns_fd },
	};
	int err;

	memcpy(v.name, l->host_ifname, sizeof(v.name));
	memcpy(v.peer.name, l->ifname, sizeof(v.peer.name));
	err = nl_link_add_veth(nl, &v, e);
	if (err == -EEXIST || err == -EBUSY)
		return explain_exists(nl, l, e);
	return err;
}

static int set_up_host_end(struct nl_sock *nl, const struct pod_link *l, struct err *e)
{
	static const uint32_t in_use;

	nl_batch_begin(nl);
	nl_link_set(nl,
		    &(struct nl_link_set){ .ifindex = l->host_ifindex,
					   .alias = l->alias,
					   .group = &in_use,
					   .no_addrgen = true,
					   .rp_filter_off = true },
		    NULL);
	nl_link_set(nl, &(struct nl_link_set){ .ifindex = l->host_ifindex, .up = NL_ON }, NULL);
	return nl_batch_end(nl, e);
}

/* ---- the pod's end ---- */

/* In the pod's namespace. Absent where the kernel has no IPv6, which then refuses the address. */
static void set_sysctl(const char *ifname, const char *name, const char *value)
{
	char path[128];
	_cleanup_(closep) int fd = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", ifname, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		return;
}

static void link_local(const uint8_t mac[6], union loom_addr *ret)
{
	/* Modified EUI-64 (RFC 4291, appendix A). */
	*ret = (union loom_addr){ .b = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2],
					 0xff, 0xfe, mac[3], mac[4], mac[5] } };
}

/* Address, gateway's neighbour, route to it, and the default route by it. */
static void queue_family(struct nl_sock *pod, const struct pod_link *l, unsigned int ifindex,
			 const union loom_addr *ip, const char *gateway, const union loom_addr *any)
{
	bool v4 = addr_is_v4(ip);
	struct nl_addr addr = {
		.ifindex = ifindex, .addr = *ip, .len = v4 ? 32 : 128, .flags = v4 ? 0 : IFA_F_NODAD
	};
	struct nl_neigh neigh = { .ifindex = ifindex, .state = NUD_PERMANENT };
	struct nl_route to_gateway = { .ifindex = ifindex,
				       .dst.len = 128,
				       .protocol = RTPROT_STATIC,
				       .scope = RT_SCOPE_LINK };
	struct nl_route def = { .ifindex = ifindex,
				.dst = { *any, v4 ? 96 : 0 },
				.protocol = RTPROT_STATIC,
				.src = v4 ? *ip : any6 };

	addr_parse(gateway, &neigh.addr, NULL);
	memcpy(neigh.mac, l->hmac, sizeof(neigh.mac));
	to_gateway.dst.addr = def.gateway = neigh.addr;
	nl_addr_add(pod, &addr, NULL);
	nl_neigh_replace(pod, &neigh, NULL);
	nl_route_replace(pod, &to_gateway, NULL);
	nl_route_replace(pod, &def, NULL);
}

static int configure(struct nl_sock *pod, const struct pod_link *l, unsigned int ifindex,
		     struct err *e)
{
	struct nl_addr local = {
		.ifindex = ifindex, .len = 64, .scope = RT_SCOPE_LINK, .flags = IFA_F_NODAD
	};

	nl_batch_begin(pod);
	nl_link_set(pod, &(struct nl_link_set){ .ifindex = ifindex, .no_addrgen = true }, NULL);
	nl_link_set(pod, &(struct nl_link_set){ .ifindex = ifindex, .up = NL_ON }, NULL);
	nl_link_set(pod, &(struct nl_link_set){ .ifindex = 1, .up = NL_ON }, NULL);
	if (!addr_is_zero(&l->ips.ip4))
		queue_family(pod, l, ifindex, &l->ips.ip4, NETLOOM_GATEWAY4, &any4);
	if (!addr_is_zero(&l->ips.ip6)) {
		link_local(l->mac, &local.addr);
		nl_addr_add(pod, &local, NULL);
		queue_family(pod, l, ifindex, &l->ips.ip6, NETLOOM_GATEWAY6, &any6);
	}
	return nl_batch_end(pod, e);
}

/* The calling thread is in the pod's namespace; `nl` still speaks to the host's. */
static int make(struct nl_sock *nl, const struct pod_link *l, int netns_fd, bool *made,
		struct err *e)
{
	_cleanup_(nl_closep) struct nl_sock *pod = NULL;
	struct nl_link end;
	int err = nl_open(-1, &pod, e);

	if (!err)
		err = add_pair(nl, l, netns_fd, e);
	if (err < 0)
		return err;
	*made = true;
	err = set_up_host_end(nl, l, e);
	if (!err)
		err = nl_link_get(pod, 0, l->ifname, &end, e);
	if (err < 0)
		return err;
	if (!addr_is_zero(&l->ips.ip6)) {
		/* Some runtimes turn it off where they know of no network; a pod's own addresses
		 * are reached by lo. */
		set_sysctl("lo", "disable_ipv6", "0");
		set_sysctl(l->ifname, "disable_ipv6", "0");
		set_sysctl(l->ifname, "accept_ra", "0");
	}
	/* The pod's end comes up second: the end that does is ready when the call returns, and it
	 * is the pod that speaks first. nl_link_settle() is for the other one. */
	return configure(pod, l, end.ifindex, e);
}

int pod_link_create(struct nl_sock *nl, const struct pod_link *l, int netns_fd, struct err *e)
{
	bool made = false;
	int home, err = netns_enter(netns_fd, &home, e);

	if (err < 0)
		return err;
	err = make(nl, l, netns_fd, &made, e);
	netns_leave(&home);
	if (err < 0 && made)
		nl_link_del(nl, l->host_ifindex, NULL);
	if (!err)
		nl_link_settle(l->host_ifname);
	return err;
}

/* A link made anew would take with it what the pod's plugins and processes did to their end. */
int pod_link_update(struct nl_sock *nl, const struct pod_link *old, const struct pod_link *new,
		    struct err *e)
{
	struct nl_link_set back = { .ifindex = new->host_ifindex, .mtu = new->mtu };
	int err;

	if (old->host_ifindex != new->host_ifindex)
		return -EOPNOTSUPP;
	if (memcmp(old->hmac, new->hmac, sizeof(old->hmac)) != 0)
		back.mac = new->hmac;
	err = nl_link_set(nl, &back, e);
	return err < 0 ? err : set_up_host_end(nl, new, e);
}

int pod_link_delete(struct nl_sock *nl, const char *host_ifname, struct err *e)
{
	struct nl_link link;
	int err = nl_link_get(nl, 0, host_ifname, &link, e);

	if (!err)
		err = nl_link_del(nl, link.ifindex, e);
	return err == -ENODEV ? 0 : err;
}

int pod_link_retire(struct nl_sock *nl, const char *host_ifname, struct err *e)
{
	static const uint32_t retired = POD_LINK_RETIRED_GROUP;
	struct nl_link_set set = { .up = NL_OFF, .group = &retired };
	struct nl_link link;
	int err = nl_link_get(nl, 0, host_ifname, &link, e);

	set.ifindex = link.ifindex;
	if (!err)
		err = nl_link_set(nl, &set, e);
	return err == -ENODEV ? 0 : err < 0 ? err : 1;
}

/* ---- looking ---- */

struct walk {
	int (*fn)(struct pod_link *l, void *arg);
	void *arg;
};

static int walk_link(const struct nl_link *link, void *arg)
{
	_cleanup_(pod_link_freep) struct pod_link *l = NULL;
	struct walk *w = arg;

	/* A crash may have left one without its alias; the name alone is ours. */
	if (strcmp(link->kind, "veth") != 0 || !pod_link_name_is_ours(link->name))
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	memcpy(l->host_ifname, link->name, sizeof(l->host_ifname));
	memcpy(l->hmac, link->mac, sizeof(l->hmac));
	l->host_ifindex = link->ifindex;
	l->mtu = link->mtu;
	l->up = link->flags & IFF_UP;
	l->alias = strdup(link->alias);
	if (!l->alias)
		return -ENOMEM;
	return w->fn(TAKE_PTR(l), w->arg);
}

int pod_link_foreach(struct nl_sock *nl, int (*fn)(struct pod_link *l, void *arg), void *arg,
		     struct err *e)
{
	struct walk w = { fn, arg };

	return nl_link_foreach(nl, walk_link, &w, e);
}
