// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/nodesync/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/clock.h"

struct entry {
	struct peer peer;
	char *name;
	bool marked;
	struct err refused; /* of the latest object */
	UT_hash_handle hh;
};

struct peers {
	struct entry *by_name;
	uint32_t own_id;
	struct prefix own_cidrs[NODE_MAX_CIDRS];
	size_t n_own_cidrs, n_own_addrs;
	union loom_addr *own_addrs;
};

int peers_new(struct peers **ret)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

static void drop(struct peers *p, struct entry *n)
{
	HASH_DEL(p->by_name, n);
	free(n->name);
	free(n);
}

void peers_free(struct peers *p)
{
	struct entry *n, *tmp;

	if (!p)
		return;
	HASH_ITER (hh, p->by_name, n, tmp)
		drop(p, n);
	free(p->own_addrs);
	free(p);
}

void peers_set_own(struct peers *p, uint32_t id, const struct prefix *cidrs, size_t n_cidrs,
		   const union loom_addr *addrs, size_t n_addrs)
{
	union loom_addr *copy = n_addrs ? reallocarray(NULL, n_addrs, sizeof(*copy)) : NULL;

	p->own_id = id;
	p->n_own_cidrs = MIN(n_cidrs, (size_t)NODE_MAX_CIDRS);
	memcpy(p->own_cidrs, cidrs, p->n_own_cidrs * sizeof(*cidrs));
	/* Out of memory: what was known stays. */
	if (n_addrs && !copy)
		return;
	free(p->own_addrs);
	p->own_addrs = copy;
	p->n_own_addrs = n_addrs;
	if (n_addrs)
		memcpy(copy, addrs, n_addrs * sizeof(*copy));
}

/* ---- objects ---- */

static struct entry *find(const struct peers *p, const char *name)
{
	struct entry *n;

	HASH_FIND_STR(p->by_name, name, n);
	return n;
}

static struct entry *add(struct peers *p, const char *name)
{
	struct entry *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->name = strdup(name);
	if (!n->name) {
		free(n);
		return NULL;
	}
	n->peer.name = n->name;
	HASH_ADD_KEYPTR(hh, p->by_name, n->name, strlen(n->name), n);
	return n;
}

static bool had_cidr(const struct peer *n, const struct prefix *p)
{
	for (size_t i = 0; i < n->info.n_cidrs; i++)
		if (n->has_cidr[i] && prefix_equal(&n->info.cidrs[i], p))
			return true;
	return false;
}

static bool had_addr(const struct peer *n, const union loom_addr *a)
{
	for (size_t i = 0; i < n->info.n_addrs; i++)
		if (n->has_addr[i] && addr_equal(&n->info.addrs[i], a))
			return true;
	return false;
}

/* What the node held and still claims it goes on holding. */
static void take_info(struct peer *n, const struct node_info *info)
{
	struct peer old = *n;

	n->info = *info;
	n->has_id = old.has_id && old.info.id == info->id;
	for (size_t i = 0; i < NODE_MAX_CIDRS; i++)
		n->has_cidr[i] = i < info->n_cidrs && had_cidr(&old, &info->cidrs[i]);
	for (size_t i = 0; i < NODE_MAX_ADDRS; i++)
		n->has_addr[i] = i < info->n_addrs && had_addr(&old, &info->addrs[i]);
	if (!n->valid)
		n->since_ms = clock_real_ms();
	n->valid = true;
}

int peers_set(struct peers *p, const char *name, struct json_object *obj,
	      const struct config_prefixes *cluster, struct err *e)
{
	struct entry *n = find(p, name);
	struct node_info info;
	int err;

	if (!obj) {
		if (n)
			drop(p, n);
		return 0;
	}
	if (!n)
		n = add(p, name);
	if (!n)
		return err_errno(e, -ENOMEM, "node '%.200s'", name);
	n->marked = false;
	n->refused = (struct err){};
	err = node_info_parse(obj, name, cluster, &info, &n->refused);
	if (err < 0) {
		err_prefix(&n->refused, "node '%.200s'", name);
		return err_set(e, err, "%s", n->refused.msg);
	}
	take_info(&n->peer, &info);
	return 0;
}

void peers_mark(struct peers *p)
{
	for (struct entry *n = p->by_name; n; n = n->hh.next)
		n->marked = true;
}

void peers_sweep(struct peers *p)
{
	struct entry *n, *tmp;

	HASH_ITER (hh, p->by_name, n, tmp) {
		if (n->marked)
			drop(p, n);
	}
}

/* ---- who holds what ---- */

static const char own[] = "this node";

static const char *id_holder(const struct peers *p, uint32_t id, const struct entry *but)
{
	if (id == p->own_id)
		return own;
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		if (n != but && n->peer.has_id && n->peer.info.id == id)
			return n->name;
	return NULL;
}

static const char *cidr_holder(const struct peers *p, const struct prefix *cidr,
			       const struct entry *but)
{
	for (size_t i = 0; i < p->n_own_cidrs; i++)
		if (prefix_overlaps(&p->own_cidrs[i], cidr))
			return own;
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		for (size_t i = 0; n != but && i < n->peer.info.n_cidrs; i++)
			if (n->peer.has_cidr[i] && prefix_overlaps(&n->peer.info.cidrs[i], cidr))
				return n->name;
	return NULL;
}

static const char *addr_holder(const struct peers *p, const union loom_addr *addr,
			       const struct entry *but)
{
	for (size_t i = 0; i < p->n_own_addrs; i++)
		if (addr_equal(&p->own_addrs[i], addr))
			return own;
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		for (size_t i = 0; n != but && i < n->peer.info.n_addrs; i++)
			if (n->peer.has_addr[i] && addr_equal(&n->peer.info.addrs[i], addr))
				return n->name;
	return NULL;
}

static void complain(struct entry *n, const char *what, const char *holder)
{
	/* The first complaint is enough to start with. */
	if (!n->peer.problem.code)
		err_set(&n->peer.problem, -EADDRINUSE, "node '%.200s': %s is held by '%.200s'",
			n->name, what, holder);
}

static void settle_one(struct peers *p, struct entry *n)
{
	struct peer *peer = &n->peer;
	char text[PREFIX_STRLEN + 16];
	const char *holder;

	holder = id_holder(p, peer->info.id, n);
	peer->has_id = !holder;
	if (holder) {
		snprintf(text, sizeof(text), "id %u", peer->info.id);
		complain(n, text, holder);
	}
	for (size_t i = 0; i < peer->info.n_cidrs; i++) {
		holder = cidr_holder(p, &peer->info.cidrs[i], n);
		peer->has_cidr[i] = !holder;
		if (holder)
			complain(n, prefix_format(&peer->info.cidrs[i], text), holder);
	}
	for (size_t i = 0; i < peer->info.n_addrs; i++) {
		holder = addr_holder(p, &peer->info.addrs[i], n);
		peer->has_addr[i] = !holder;
		if (holder)
			complain(n, addr_format(&peer->info.addrs[i], text), holder);
	}
}

static int by_name(const struct entry *a, const struct entry *b)
{
	return strcmp(a->name, b->name);
}

void peers_settle(struct peers *p)
{
	HASH_SORT(p->by_name, by_name);
	for (struct entry *n = p->by_name; n; n = n->hh.next) {
		n->peer.problem = n->refused;
		if (n->peer.valid)
			settle_one(p, n);
	}
}

/* ---- looking ---- */

bool peers_conflict(const struct peers *p)
{
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		if (n->peer.problem.code)
			return true;
	return false;
}

bool peers_hold_id(const struct peers *p, uint32_t id)
{
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		if (n->peer.has_id && n->peer.info.id == id)
			return true;
	return false;
}

bool peers_hold_cidr(const struct peers *p, const struct prefix *cidr)
{
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		if (n->peer.has_id && had_cidr(&n->peer, cidr))
			return true;
	return false;
}

bool peers_hold_addr(const struct peers *p, const union loom_addr *addr)
{
	for (const struct entry *n = p->by_name; n; n = n->hh.next)
		if (n->peer.has_id && had_addr(&n->peer, addr))
			return true;
	return false;
}

const struct peer *peers_find(const struct peers *p, const char *name)
{
	const struct entry *n = find(p, name);

	return n ? &n->peer : NULL;
}

int peers_foreach(const struct peers *p, int (*fn)(const struct peer *peer, void *arg), void *arg)
{
	for (const struct entry *n = p->by_name; n; n = n->hh.next) {
		int stop = fn(&n->peer, arg);

		if (stop)
			return stop;
	}
	return 0;
}

size_t peers_count(const struct peers *p)
{
	return HASH_COUNT(p->by_name);
}
