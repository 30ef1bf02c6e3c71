// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"

/* ---- life ---- */

static void discard(struct peer *p)
{
	str_put(p->ns);
	selector_free(p->ns_sel);
	selector_free(p->sel);
	free(p->bits);
	free(p->key);
	free(p);
}

/* The selectors' text stands in the order that they were written in: equal ones that are written
 * in another order are two, which costs a little and is right all the same. */
static char *key_of(enum peer_kind kind, const struct str *ns, struct json_object *ns_sel,
		    struct json_object *sel)
{
	char *key;

	if (asprintf(&key, "%d %s %s %s", kind, ns ? ns->text : "*",
		     ns_sel ? json_text(ns_sel) : "-", sel ? json_text(sel) : "-") < 0)
		return NULL;
	return key;
}

static int fill(struct peer *p, struct strs *strs, struct json_object *ns_sel,
		struct json_object *sel, struct err *e)
{
	if (ns_sel && selector_read(strs, ns_sel, &p->ns_sel, e) < 0)
		return err_prefix(e, "namespaceSelector");
	if (sel && selector_read(strs, sel, &p->sel, e) < 0)
		return err_prefix(e, p->kind == PEER_NODES ? "nodes" : "podSelector");
	return 0;
}

int peer_get(struct peers *peers, enum peer_kind kind, struct str *ns, struct json_object *ns_sel,
	     struct json_object *sel, struct peer **ret, struct err *e)
{
	char *key = key_of(kind, ns, ns_sel, sel);
	struct peer *p = NULL;
	int err;

	if (!key)
		return err_set(e, -ENOMEM, "out of memory");
	HASH_FIND_STR(peers->all, key, p);
	if (p) {
		free(key);
		p->refs++;
		*ret = p;
		return 0;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		free(key);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*p = (struct peer){ .of = peers, .key = key, .refs = 1, .kind = kind, .ns = str_ref(ns) };
	err = fill(p, peers->strs, ns_sel, sel, e);
	if (err < 0) {
		discard(p);
		return err;
	}
	HASH_ADD_KEYPTR(hh, peers->all, p->key, strlen(p->key), p);
	*ret = p;
	return 0;
}

struct peer *peer_ref(struct peer *p)
{
	p->refs++;
	return p;
}

void peer_put(struct peer *p)
{
	if (!p || --p->refs)
		return;
	HASH_DEL(p->of->all, p);
	discard(p);
}

/* ---- matching ---- */

bool peer_matches(const struct peer *p, const struct identity *id)
{
	if ((p->kind == PEER_NODES) != (id->kind == IDENTITY_NODE))
		return false;
	if (p->ns && p->ns != id->ns)
		return false;
	if (p->sel && !selector_matches(p->sel, id->labels))
		return false;
	return !p->ns_sel || selector_matches(p->ns_sel, id->ns_labels);
}

static int look(struct peer *p, const struct identity *id)
{
	uint32_t word = id->slot / 64;
	uint64_t bit = 1ull << (id->slot % 64), *bits;

	if (word >= p->n_words) {
		bits = realloc(p->bits, (word + 1) * 2 * sizeof(*bits));
		if (!bits)
			return -ENOMEM;
		memset(bits + p->n_words, 0, ((word + 1) * 2 - p->n_words) * sizeof(*bits));
		p->bits = bits;
		p->n_words = (word + 1) * 2;
	}
	if (peer_matches(p, id))
		p->bits[word] |= bit;
	else
		p->bits[word] &= ~bit;
	return 0;
}

int peer_use(struct peer *p, const struct identities *ids)
{
	int err = 0;

	if (p->users++)
		return 0;
	p->n_words = ids->n_slots / 64 + 1;
	p->bits = calloc(p->n_words, sizeof(*p->bits));
	err = p->bits ? 0 : -ENOMEM;
	for (uint32_t i = 0; !err && i < ids->n_slots; i++)
		if (ids->slots[i])
			err = look(p, ids->slots[i]);
	if (err < 0)
		peer_unuse(p);
	return err;
}

void peer_unuse(struct peer *p)
{
	if (--p->users)
		return;
	free(p->bits);
	p->bits = NULL;
	p->n_words = 0;
}

int peers_look(struct peers *peers, const struct identity *id)
{
	int err = 0;

	for (struct peer *p = peers->all; p && !err; p = p->hh.next)
		if (p->users)
			err = look(p, id);
	return err;
}
