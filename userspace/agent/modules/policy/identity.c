// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/grow.h"

/* ---- canonical text ---- */

/* NUL ends each string: none holds one. */
static void put_text(FILE *f, const char *text)
{
	fwrite(text, 1, strlen(text) + 1, f);
}

static void put_labels(FILE *f, const struct labels *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (!l->v[i].key->chosen)
			continue;
		fputc('=', f);
		put_text(f, l->v[i].key->text);
		put_text(f, l->v[i].value->text);
	}
}

static void put_ports(FILE *f, const struct portmap *m)
{
	for (uint32_t i = 0; i < m->n; i++) {
		if (!m->v[i].name->chosen)
			continue;
		put_text(f, m->v[i].name->text);
		fprintf(f, "%u/%u,", m->v[i].proto, m->v[i].port);
	}
}

static char *canonical(enum identity_kind kind, const struct str *ns,
		       const struct labels *ns_labels, const struct labels *labels,
		       const struct portmap *ports, size_t *ret_len)
{
	char *key = NULL;
	FILE *f = open_memstream(&key, ret_len);

	if (!f)
		return NULL;
	fputs(kind == IDENTITY_POD ? "pod:" : "node:", f);
	put_text(f, ns ? ns->text : "");
	if (ns_labels)
		put_labels(f, ns_labels);
	fputc(';', f);
	put_labels(f, labels);
	fputc(';', f);
	if (ports)
		put_ports(f, ports);
	if (fclose(f) == 0)
		return key;
	free(key);
	return NULL;
}

/* ---- slots ---- */

static int take_slot(struct identities *ids, struct identity *id)
{
	uint32_t slot = 0;

	while (slot < ids->n_slots && ids->slots[slot])
		slot = HASH_COUNT(ids->all) < ids->n_slots ? slot + 1 : ids->n_slots;
	if (grow_room(&ids->slots, &ids->room, slot + 1, sizeof(*ids->slots)) < 0)
		return -1;
	if (slot == ids->n_slots)
		ids->n_slots++;
	ids->slots[slot] = id;
	id->slot = slot;
	return 0;
}

/* ---- life ---- */

static void discard(struct identity *id)
{
	str_put(id->ns);
	labels_put(id->ns_labels);
	labels_put(id->labels);
	portmap_put(id->ports);
	free(id->key);
	free(id);
}

struct identity *identity_ref(struct identity *id)
{
	id->refs++;
	return id;
}

static struct identity *revive(struct identities *ids, struct identity *id)
{
	if (!id->refs)
		ids->n_idle--;
	return identity_ref(id);
}

/* Takes `key`. */
static struct identity *create(struct identities *ids, char *key, size_t len)
{
	struct identity *id = calloc(1, sizeof(*id));

	if (!id || take_slot(ids, id) < 0) {
		free(id);
		free(key);
		return NULL;
	}
	id->key = key;
	id->key_len = len;
	id->refs = 1;
	id->fresh = true;
	ids->n_fresh++;
	HASH_ADD_KEYPTR(hh, ids->all, id->key, id->key_len, id);
	return id;
}

struct identity *identity_get(struct identities *ids, enum identity_kind kind, struct str *ns,
			      struct labels *ns_labels, struct labels *labels,
			      struct portmap *ports)
{
	struct identity *id;
	size_t len = 0;
	char *key = canonical(kind, ns, ns_labels, labels, ports, &len);

	if (!key)
		return NULL;
	HASH_FIND(hh, ids->all, key, len, id);
	if (id) {
		free(key);
		return revive(ids, id);
	}
	id = create(ids, key, len);
	if (!id)
		return NULL;
	id->kind = kind;
	id->ns = str_ref(ns);
	id->ns_labels = ns_labels ? labels_chosen(ns_labels) : NULL;
	id->labels = labels_chosen(labels);
	id->ports = ports ? portmap_chosen(ports) : NULL;
	if (id->labels && !id->ns_labels == !ns_labels && !id->ports == !ports)
		return id;
	id->refs = 0;
	ids->n_idle++;
	identity_forget(ids, id);
	return NULL;
}

void identity_put(struct identities *ids, struct identity *id)
{
	if (!id || --id->refs)
		return;
	ids->n_idle++;
	id->idle_at = ids->now;
}

void identity_forget(struct identities *ids, struct identity *id)
{
	HASH_DEL(ids->all, id);
	ids->slots[id->slot] = NULL;
	ids->n_idle -= !id->refs;
	ids->n_fresh -= id->fresh;
	discard(id);
}

void identities_fini(struct identities *ids)
{
	struct identity *id, *next;

	HASH_ITER (hh, ids->all, id, next)
		identity_forget(ids, id);
	free(ids->slots);
	*ids = (struct identities){};
}
