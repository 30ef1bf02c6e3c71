// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/nodes.h"

#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"
#include "shared/loom_limits.h"

#define MAX_ADDRS 16

struct node {
	uint32_t id;
	union loom_addr addrs[MAX_ADDRS];
	size_t n_addrs;
	bool seen;
	UT_hash_handle hh;
	char name[];
};

/* Two nodes may claim one address for a while; who came last has it, until it lets go. */
struct node_addr {
	union loom_addr addr;
	struct node *node;
	UT_hash_handle hh;
};

void nodes_init(struct nodes *n, const char *self)
{
	*n = (struct nodes){ .self = self };
}

static void claim(struct nodes *n, struct node *node, const union loom_addr *addr)
{
	struct node_addr *a;

	HASH_FIND(hh, n->by_addr, addr, sizeof(*addr), a);
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return;
		a->addr = *addr;
		HASH_ADD(hh, n->by_addr, addr, sizeof(a->addr), a);
	}
	a->node = node;
}

static void release(struct nodes *n, struct node *node)
{
	struct node_addr *a;

	for (size_t i = 0; i < node->n_addrs; i++) {
		HASH_FIND(hh, n->by_addr, &node->addrs[i], sizeof(node->addrs[i]), a);
		if (!a || a->node != node)
			continue;
		HASH_DEL(n->by_addr, a);
		free(a);
	}
}

static void drop(struct nodes *n, struct node *node)
{
	release(n, node);
	HASH_DEL(n->by_name, node);
	free(node);
}

void nodes_fini(struct nodes *n)
{
	struct node *node, *next;

	HASH_ITER (hh, n->by_name, node, next)
		drop(n, node);
	free(n->own);
	*n = (struct nodes){};
}

static struct node *find(const struct nodes *n, const char *name)
{
	struct node *node;

	HASH_FIND_STR(n->by_name, name, node);
	return node;
}

static struct node *add(struct nodes *n, const char *name)
{
	size_t len = strlen(name);
	struct node *node = calloc(1, sizeof(*node) + len + 1);

	if (!node)
		return NULL;
	memcpy(node->name, name, len);
	HASH_ADD_STR(n->by_name, name, node);
	return node;
}

/* nodesync tells what is wrong with the object; here the parts that are right are taken. */
static void read_node(struct json_object *obj, struct node *ret)
{
	struct json_object *list = NULL;
	int64_t id = 0;

	json_opt_int(obj, "id", 0, LOOM_MAX_NODES - 1, &id, NULL);
	ret->id = id;
	ret->n_addrs = 0;
	json_opt_array(obj, "addresses", &list, NULL);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (ret->n_addrs < MAX_ADDRS && json_object_is_type(o, json_type_string) &&
		    addr_parse(json_object_get_string(o), &ret->addrs[ret->n_addrs], NULL) == 0)
			ret->n_addrs++;
	}
}

static bool same(const struct node *a, const struct node *b)
{
	return a->id == b->id && a->n_addrs == b->n_addrs &&
	       memcmp(a->addrs, b->addrs, a->n_addrs * sizeof(a->addrs[0])) == 0;
}

bool nodes_put(struct nodes *n, const char *name, struct json_object *obj)
{
	struct node *node = find(n, name), now = {};

	if (!obj) {
		if (node)
			drop(n, node);
		return node != NULL;
	}
	read_node(obj, &now);
	if (node) {
		node->seen = true;
		if (same(node, &now))
			return false;
		release(n, node);
	} else if (!(node = add(n, name))) {
		return false;
	}
	node->seen = true;
	node->id = now.id;
	node->n_addrs = now.n_addrs;
	memcpy(node->addrs, now.addrs, sizeof(now.addrs));
	for (size_t i = 0; i < node->n_addrs; i++)
		claim(n, node, &node->addrs[i]);
	return true;
}

void nodes_begin(struct nodes *n)
{
	for (struct node *node = n->by_name; node; node = node->hh.next)
		node->seen = false;
}

bool nodes_end(struct nodes *n)
{
	struct node *node, *next;
	bool changed = false;

	HASH_ITER (hh, n->by_name, node, next) {
		if (node->seen)
			continue;
		drop(n, node);
		changed = true;
	}
	return changed;
}

static int by_value(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

bool nodes_set_own(struct nodes *n, const union loom_addr *addrs, size_t count)
{
	union loom_addr *v = calloc(count + 1, sizeof(*v));

	if (!v)
		return false;
	if (count) {
		memcpy(v, addrs, count * sizeof(*v));
		qsort(v, count, sizeof(*v), by_value);
	}
	if (count == n->n_own && (!count || memcmp(n->own, v, count * sizeof(*v)) == 0)) {
		free(v);
		return false;
	}
	free(n->own);
	n->own = v;
	n->n_own = count;
	return true;
}

bool nodes_set_zone(struct nodes *n, const char *zone)
{
	if (strcmp(n->zone, zone) == 0)
		return false;
	snprintf(n->zone, sizeof(n->zone), "%s", zone);
	return true;
}

uint32_t nodes_id(const struct nodes *n, const char *name)
{
	const struct node *node;

	if (strcmp(name, n->self) == 0 && n->self_id)
		return n->self_id;
	node = find(n, name);
	return node ? node->id : 0;
}

bool nodes_is_own(const struct nodes *n, const union loom_addr *addr)
{
	return n->n_own && bsearch(addr, n->own, n->n_own, sizeof(*addr), by_value);
}

bool nodes_owns(const struct nodes *n, const union loom_addr *addr, uint32_t *ret_id)
{
	struct node_addr *a;

	if (nodes_is_own(n, addr)) {
		*ret_id = n->self_id;
		return true;
	}
	HASH_FIND(hh, n->by_addr, addr, sizeof(*addr), a);
	if (!a)
		return false;
	*ret_id = a->node->id;
	return true;
}
