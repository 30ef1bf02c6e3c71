// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/nodesync/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "agent/modules/nodesync/holders.h"
#include "lib/base/clock.h"

#define NODE_NAME_SHOWN 200

struct entry {
	struct peer peer;
	char *name;
	bool marked;
	bool due;	    /* in `due`: changed, or waits for what another one holds */
	struct err refused; /* of the latest object */
	struct entry *prev, *next;
	struct entry *next_settled;
	UT_hash_handle hh;
};

struct peers {
	struct entry *by_name;
	bool unsorted;
	struct entry *due;     /* to be settled */
	struct entry *settled; /* by the last peers_settle(), until a node goes */
	struct holders holders;
	size_t n_problems;
	uint32_t own_id;
	struct prefix own_cidrs[NODE_MAX_CIDRS];
	size_t n_own_cidrs, n_own_addrs;
	union loom_addr *own_addrs; /* sorted */
};

int peers_new(struct peers **ret)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

static void set_due(struct peers *p, struct entry *n, bool due)
{
	if (due && !n->due)
		DL_APPEND(p->due, n);
	else if (!due && n->due)
		DL_DELETE(p->due, n);
	n->due = due;
}

/* ---- what a node holds ---- */

static void release_id(struct peers *p, struct peer *peer)
{
	const struct prefix what = held_id(peer->info.id);

	if (peer->has_id)
		holders_drop(&p->holders, HELD_ID, &what);
	peer->has_id = false;
}

static void release_cidr(struct peers *p, struct peer *peer, size_t i)
{
	if (peer->has_cidr[i])
		holders_drop(&p->holders, HELD_CIDR, &peer->info.cidrs[i]);
	peer->has_cidr[i] = false;
}

static void release_addr(struct peers *p, struct peer *peer, size_t i)
{
	const struct prefix what = held_addr(&peer->info.addrs[i]);

	if (peer->has_addr[i])
		holders_drop(&p->holders, HELD_ADDR, &what);
	peer->has_addr[i] = false;
}

static void drop(struct peers *p, struct entry *n)
{
	release_id(p, &n->peer);
	for (size_t i = 0; i < NODE_MAX_CIDRS; i++)
		release_cidr(p, &n->peer, i);
	for (size_t i = 0; i < NODE_MAX_ADDRS; i++)
		release_addr(p, &n->peer, i);
	p->n_problems -= n->peer.problem.code != 0;
	p->settled = NULL;
	set_due(p, n, false);
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
	holders_fini(&p->holders);
	free(p->own_addrs);
	free(p);
}

/* ---- what is this node's own ---- */

static int by_addr(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

static bool own_differs(const struct peers *p, uint32_t id, const struct prefix *cidrs,
			size_t n_cidrs, const union loom_addr *addrs, size_t n_addrs)
{
	if (p->own_id != id || p->n_own_cidrs != n_cidrs || p->n_own_addrs != n_addrs)
		return true;
	for (size_t i = 0; i < n_cidrs; i++)
		if (!prefix_equal(&p->own_cidrs[i], &cidrs[i]))
			return true;
	return n_addrs && memcmp(p->own_addrs, addrs, n_addrs * sizeof(*addrs)) != 0;
}

void peers_set_own(struct peers *p, uint32_t id, const struct prefix *cidrs, size_t n_cidrs,
		   const union loom_addr *addrs, size_t n_addrs)
{
	_cleanup_(freep) union loom_addr *copy =
		n_addrs ? reallocarray(NULL, n_addrs, sizeof(*copy)) : NULL;

	n_cidrs = MIN(n_cidrs, (size_t)NODE_MAX_CIDRS);
	/* Out of memory: the addresses that were known stay. */
	if (n_addrs && !copy) {
		addrs = p->own_addrs;
		n_addrs = p->n_own_addrs;
	} else if (n_addrs) {
		memcpy(copy, addrs, n_addrs * sizeof(*copy));
		qsort(copy, n_addrs, sizeof(*copy), by_addr);
		addrs = copy;
	}
	if (!own_differs(p, id, cidrs, n_cidrs, addrs, n_addrs))
		return;
	p->own_id = id;
	p->n_own_cidrs = n_cidrs;
	if (n_cidrs)
		memcpy(p->own_cidrs, cidrs, n_cidrs * sizeof(*cidrs));
	if (addrs != p->own_addrs) {
		free(p->own_addrs);
		p->own_addrs = TAKE_PTR(copy);
		p->n_own_addrs = n_addrs;
	}
	for (struct entry *n = p->by_name; n; n = n->hh.next)
		set_due(p, n, true);
}

static bool is_own_cidr(const struct peers *p, const struct prefix *cidr)
{
	for (size_t i = 0; i < p->n_own_cidrs; i++)
		if (prefix_overlaps(&p->own_cidrs[i], cidr))
			return true;
	return false;
}

static bool is_own_addr(const struct peers *p, const union loom_addr *addr)
{
	return p->n_own_addrs &&
	       bsearch(addr, p->own_addrs, p->n_own_addrs, sizeof(*addr), by_addr);
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
	p->unsorted = true;
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

static bool claims_cidr(const struct node_info *info, const struct prefix *p)
{
	for (size_t i = 0; i < info->n_cidrs; i++)
		if (prefix_equal(&info->cidrs[i], p))
			return true;
	return false;
}

static bool claims_addr(const struct node_info *info, const union loom_addr *a)
{
	for (size_t i = 0; i < info->n_addrs; i++)
		if (addr_equal(&info->addrs[i], a))
			return true;
	return false;
}

/* What the node held and still claims it goes on holding. */
static void take_info(struct peers *p, struct peer *n, const struct node_info *info)
{
	struct peer old;

	if (n->info.id != info->id)
		release_id(p, n);
	for (size_t i = 0; i < n->info.n_cidrs; i++)
		if (!claims_cidr(info, &n->info.cidrs[i]))
			release_cidr(p, n, i);
	for (size_t i = 0; i < n->info.n_addrs; i++)
		if (!claims_addr(info, &n->info.addrs[i]))
			release_addr(p, n, i);
	old = *n;
	n->info = *info;
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
	set_due(p, n, true);
	n->refused = (struct err){};
	err = node_info_parse(obj, name, cluster, &info, &n->refused);
	if (err < 0) {
		err_prefix(&n->refused, "node '%.200s'", name);
		return err_set(e, err, "%s", n->refused.msg);
	}
	take_info(p, &n->peer, &info);
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

/* ---- who gets what ---- */

static const char own[] = "this node";

static int by_name(const struct entry *a, const struct entry *b)
{
	return strcmp(a->name, b->name);
}

static void complain(struct entry *n, int code, const char *what, const char *why)
{
	/* The first complaint is enough to start with. */
	if (!n->peer.problem.code)
		err_set(&n->peer.problem, code, "node '%.200s': %s %s", n->name, what, why);
}

/* Whether `n` holds `what` from now on. Notes the problem, and that it waits, when it does not. */
static bool settle_claim(struct peers *p, struct entry *n, enum held kind,
			 const struct prefix *what, bool is_own, const char *text)
{
	struct entry *holder = is_own ? NULL : holders_find(&p->holders, kind, what);
	char why[NODE_NAME_SHOWN + 32];

	if (holder == n)
		return true;
	if (!is_own && !holder && holders_take(&p->holders, kind, what, n) == 0)
		return true;
	set_due(p, n, true);
	if (is_own || holder) {
		snprintf(why, sizeof(why), "is held by '%.*s'", NODE_NAME_SHOWN,
			 holder ? holder->name : own);
		complain(n, -EADDRINUSE, text, why);
	} else {
		complain(n, -ENOMEM, text, "is not known to be free: out of memory");
	}
	return false;
}

static void settle_one(struct peers *p, struct entry *n)
{
	struct peer *peer = &n->peer;
	char text[PREFIX_STRLEN + 16];
	struct prefix what = held_id(peer->info.id);

	snprintf(text, sizeof(text), "id %u", peer->info.id);
	peer->has_id = settle_claim(p, n, HELD_ID, &what, peer->info.id == p->own_id, text);
	for (size_t i = 0; i < peer->info.n_cidrs; i++) {
		what = peer->info.cidrs[i];
		peer->has_cidr[i] = settle_claim(p, n, HELD_CIDR, &what, is_own_cidr(p, &what),
						 prefix_format(&what, text));
	}
	for (size_t i = 0; i < peer->info.n_addrs; i++) {
		what = held_addr(&peer->info.addrs[i]);
		peer->has_addr[i] = settle_claim(p, n, HELD_ADDR, &what, is_own_addr(p, &what.addr),
						 addr_format(&what.addr, text));
	}
}

/* First of all, so that what a node has to give up is free for whoever is next. */
static void yield_to_own(struct peers *p, struct peer *peer)
{
	if (peer->info.id == p->own_id)
		release_id(p, peer);
	for (size_t i = 0; i < peer->info.n_cidrs; i++)
		if (is_own_cidr(p, &peer->info.cidrs[i]))
			release_cidr(p, peer, i);
	for (size_t i = 0; i < peer->info.n_addrs; i++)
		if (is_own_addr(p, &peer->info.addrs[i]))
			release_addr(p, peer, i);
}

void peers_settle(struct peers *p)
{
	struct entry *due, *n, *tmp, **at = &p->settled;

	DL_SORT(p->due, by_name);
	due = TAKE_PTR(p->due);
	DL_FOREACH (due, n)
		yield_to_own(p, &n->peer);
	DL_FOREACH_SAFE (due, n, tmp) {
		DL_DELETE(due, n);
		n->due = false;
		p->n_problems -= n->peer.problem.code != 0;
		n->peer.problem = n->refused;
		if (n->peer.valid)
			settle_one(p, n);
		p->n_problems += n->peer.problem.code != 0;
		*at = n;
		at = &n->next_settled;
	}
	*at = NULL;
}

/* ---- looking ---- */

bool peers_conflict(const struct peers *p)
{
	return p->n_problems != 0;
}

static const struct peer *holder_with_id(const struct peers *p, enum held kind,
					 const struct prefix *what)
{
	const struct entry *n = holders_find(&p->holders, kind, what);

	return n && n->peer.has_id ? &n->peer : NULL;
}

bool peers_hold_id(const struct peers *p, uint32_t id)
{
	const struct prefix what = held_id(id);

	return holder_with_id(p, HELD_ID, &what);
}

bool peers_hold_cidr(const struct peers *p, const struct prefix *cidr)
{
	const struct peer *n = holder_with_id(p, HELD_CIDR, cidr);

	return n && had_cidr(n, cidr);
}

bool peers_hold_addr(const struct peers *p, const union loom_addr *addr)
{
	const struct prefix what = held_addr(addr);

	return holder_with_id(p, HELD_ADDR, &what);
}

const struct peer *peers_with_id(const struct peers *p, uint32_t id)
{
	const struct prefix what = held_id(id);
	const struct entry *n = holders_find(&p->holders, HELD_ID, &what);

	return n ? &n->peer : NULL;
}

const struct peer *peers_with_addr(const struct peers *p, const union loom_addr *addr)
{
	const struct prefix what = held_addr(addr);
	const struct entry *n = holders_find(&p->holders, HELD_ADDR, &what);

	return n ? &n->peer : NULL;
}

const struct peer *peers_find(const struct peers *p, const char *name)
{
	const struct entry *n = find(p, name);

	return n ? &n->peer : NULL;
}

int peers_foreach(struct peers *p, int (*fn)(const struct peer *peer, void *arg), void *arg)
{
	if (p->unsorted)
		HASH_SORT(p->by_name, by_name);
	p->unsorted = false;
	for (const struct entry *n = p->by_name; n; n = n->hh.next) {
		int stop = fn(&n->peer, arg);

		if (stop)
			return stop;
	}
	return 0;
}

int peers_foreach_settled(const struct peers *p, int (*fn)(const struct peer *peer, void *arg),
			  void *arg)
{
	for (const struct entry *n = p->settled; n; n = n->next_settled) {
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
