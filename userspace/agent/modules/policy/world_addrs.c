// SPDX-License-Identifier: Apache-2.0
/* Whose each address is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/world.h"
#include "lib/json/json.h"

/* ---- lists ---- */

void addrs_clear(struct addrs *a)
{
	free(a->v);
	*a = (struct addrs){};
}

bool addrs_has(const struct addrs *a, const union loom_addr *addr)
{
	for (size_t i = 0; i < a->n; i++)
		if (addr_equal(&a->v[i], addr))
			return true;
	return false;
}

int addrs_add(struct addrs *a, const union loom_addr *addr)
{
	union loom_addr *at;

	if (addrs_has(a, addr))
		return 0;
	at = grow(&a->v, &a->n, sizeof(*at));
	if (!at)
		return -ENOMEM;
	*at = *addr;
	return 0;
}

int addrs_join(const struct addrs from[ADDR_SOURCES], struct addrs *ret)
{
	struct addrs all = {};
	int err = 0;

	for (int s = 0; s < ADDR_SOURCES; s++)
		for (size_t i = 0; !err && i < from[s].n; i++)
			err = addrs_add(&all, &from[s].v[i]);
	if (err < 0) {
		addrs_clear(&all);
		return err;
	}
	*ret = all;
	return 0;
}

int addrs_check_size(struct json_object *list, const char *at, struct err *e)
{
	if (list && json_object_array_length(list) > ADDRS_MAX)
		return err_set(e, -E2BIG, "%s: has %zu entries, of which there can be %d", at,
			       json_object_array_length(list), ADDRS_MAX);
	return 0;
}

int addrs_read(struct json_object *list, const char *field, const char *at, struct addrs *ret,
	       struct err *e)
{
	int err = addrs_check_size(list, at, e);
	struct addrs all = {};

	for (size_t i = 0; !err && list && i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		union loom_addr addr;

		if (field)
			v = json_field(v, field);
		if (!json_object_is_type(v, json_type_string))
			err = err_set(e, -EINVAL, "want a string, found %s", json_type_word(v));
		err = err ?: addr_parse(json_object_get_string(v), &addr, e);
		if (err < 0)
			err_prefix(e, "%s[%zu]%s%s", at, i, field ? "." : "", field ?: "");
		err = err ?: addrs_add(&all, &addr);
	}
	if (err < 0) {
		addrs_clear(&all);
		return err;
	}
	addrs_clear(ret);
	*ret = all;
	return 0;
}

/* ---- addresses ---- */

static void touch(struct world *w, struct address *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	a->next_dirty = w->dirty;
	w->dirty = a;
}

struct address *address_get(struct world *w, const struct loom_ipkey *key)
{
	struct address *a;

	HASH_FIND(hh, w->addresses, key, sizeof(*key), a);
	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->key = *key;
	HASH_ADD(hh, w->addresses, key, sizeof(a->key), a);
	return a;
}

static struct address *find(struct world *w, const union loom_addr *addr)
{
	const struct loom_ipkey key = { .addr = *addr };
	struct address *a;

	HASH_FIND(hh, w->addresses, &key, sizeof(key), a);
	return a;
}

static void insert_claim(struct address *a, struct claim *c)
{
	struct claim **at = &a->claims;

	while (*at && (*at)->source > c->source)
		at = &(*at)->next;
	c->next = *at;
	*at = c;
}

/* NULL: it claims no such address. */
static struct claim *take_claim(struct address *a, const struct owner *o)
{
	struct claim **at = a ? &a->claims : NULL, *c;

	while (at && *at && (*at)->owner != o)
		at = &(*at)->next;
	c = at ? *at : NULL;
	if (c)
		*at = c->next;
	return c;
}

static void claim(struct world *w, struct owner *o, const union loom_addr *addr)
{
	const struct loom_ipkey key = { .addr = *addr };
	struct address *a = address_get(w, &key);
	struct claim *c = a ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return;
	*c = (struct claim){ .owner = o };
	insert_claim(a, c);
	touch(w, a);
}

static void unclaim(struct world *w, struct owner *o, const union loom_addr *addr)
{
	struct address *a = find(w, addr);
	struct claim *gone = take_claim(a, o);

	if (!gone)
		return;
	free(gone);
	touch(w, a);
}

void owner_vouch(struct world *w, struct owner *o, const union loom_addr *addr,
		 enum addr_source source)
{
	struct address *a = find(w, addr);
	struct claim *c = a ? a->claims : NULL;

	while (c && c->owner != o)
		c = c->next;
	if (!c || c->source == source)
		return;
	take_claim(a, o);
	c->source = source;
	insert_claim(a, c);
	touch(w, a);
}

static void touch_all(struct world *w, const struct addrs *addrs)
{
	for (size_t i = 0; i < addrs->n; i++) {
		struct address *a = find(w, &addrs->v[i]);

		if (a)
			touch(w, a);
	}
}

void owner_set(struct world *w, struct owner *o, struct identity *identity, struct addrs *addrs)
{
	struct addrs before = o->addrs;

	o->addrs = *addrs;
	*addrs = (struct addrs){};
	for (size_t i = 0; i < before.n; i++)
		if (!addrs_has(&o->addrs, &before.v[i]))
			unclaim(w, o, &before.v[i]);
	for (size_t i = 0; i < o->addrs.n; i++)
		if (!addrs_has(&before, &o->addrs.v[i]))
			claim(w, o, &o->addrs.v[i]);
	addrs_clear(&before);
	if (o->identity != identity)
		touch_all(w, &o->addrs);
	identity_put(&w->ids, o->identity);
	o->identity = identity;
}

void owner_clear(struct world *w, struct owner *o)
{
	owner_set(w, o, NULL, &(struct addrs){});
}

/* ---- to the map ---- */

static void set_held(struct world *w, struct address *a, struct identity *id)
{
	bool names_new = id && id->n_sets;

	/* A flow of before may have been judged by what either of them is. */
	if (a->written && (!a->held || a->held->n_sets || names_new))
		w->bump = true;
	/* A node may have been reached before anybody knew that it is one. A pod's address is of
	 * the cluster: until it is known whose, what may be denied is. */
	if (!a->written && names_new && id->kind == IDENTITY_NODE)
		w->bump = true;
	w->n_written += (id != NULL) - (a->written != 0);
	if (id)
		identity_ref(id);
	identity_put(&w->ids, a->held);
	a->held = id;
	a->written = id ? id->number : 0;
}

/* Of a pod or node that nobody knows then: it matches no rule, and what may deny it does. */
static bool has_no_room(struct world *w, const struct address *a)
{
	if (a->written || w->n_written < w->maps.max_idents)
		return false;
	if (!w->some_unwritten)
		world_problem(w, "no room for the addresses of all pods and nodes: there can be %u",
			      w->maps.max_idents);
	w->some_unwritten = true;
	return true;
}

bool addresses_may_fit(const struct world *w)
{
	return w->some_unwritten && w->n_written < w->maps.max_idents;
}

static void write_address(struct world *w, struct address *a)
{
	struct identity *id = a->claims ? a->claims->owner->identity : NULL;

	/* Its sets are not there: whoever it is, nobody may say so yet. */
	if (id && (id->fresh || !id->number))
		id = NULL;
	if (id && a->written == id->number && !w->broken) {
		if (a->held != id)
			set_held(w, a, id);
		return;
	}
	if (!id && !a->written)
		return;
	if (id && has_no_room(w, a))
		return;
	if (id && polmaps_put(&w->maps, POLMAP_IDENT, &a->key, &id->number) < 0)
		return;
	if (!id && polmaps_del(&w->maps, POLMAP_IDENT, &a->key) < 0)
		return;
	set_held(w, a, id);
}

void addresses_withdraw(struct world *w)
{
	for (struct address *a = w->addresses; a; a = a->hh.next) {
		struct identity *id = a->claims ? a->claims->owner->identity : NULL;

		if (!a->written || (id && id->number == a->written))
			continue;
		if (polmaps_del(&w->maps, POLMAP_IDENT, &a->key) == 0)
			set_held(w, a, NULL);
	}
}

void addresses_write(struct world *w)
{
	while (w->dirty) {
		struct address *a = w->dirty;

		w->dirty = a->next_dirty;
		a->dirty = false;
		write_address(w, a);
		if (a->claims || a->written)
			continue;
		HASH_DEL(w->addresses, a);
		free(a);
	}
}

void addresses_free(struct world *w)
{
	struct address *a, *next;

	HASH_ITER (hh, w->addresses, a, next) {
		while (a->claims) {
			struct claim *c = a->claims;

			a->claims = c->next;
			free(c);
		}
		HASH_DEL(w->addresses, a);
		free(a);
	}
}

void addresses_touch(struct world *w)
{
	for (struct address *a = w->addresses; a; a = a->hh.next)
		touch(w, a);
}
