// SPDX-License-Identifier: Apache-2.0
/* Namespaces and policies, and the world's own life. */
#include "agent/modules/policy/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/json/json.h"

/* ---- namespaces ---- */

struct namespace *namespace_get(struct world *w, const char *name)
{
	struct str *str = str_get(&w->strs, name);
	struct namespace *ns = NULL;

	if (!str)
		return NULL;
	HASH_FIND_PTR(w->namespaces, &str, ns);
	if (ns) {
		str_put(str);
		return ns;
	}
	ns = calloc(1, sizeof(*ns));
	if (!ns) {
		str_put(str);
		return NULL;
	}
	ns->name = str;
	HASH_ADD_PTR(w->namespaces, name, ns);
	return ns;
}

void namespace_free(struct world *w, struct namespace *ns)
{
	HASH_DEL(w->namespaces, ns);
	labels_put(ns->labels);
	str_put(ns->name);
	free(ns);
}

static bool same_labels(const struct labels *a, const struct labels *b)
{
	if (!a || !b || a->n != b->n)
		return a == b;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].key != b->v[i].key || a->v[i].value != b->v[i].value)
			return false;
	return true;
}

static int refresh_pods(struct world *w, struct namespace *ns)
{
	int err = 0;

	for (struct pod *pod = ns->pods; pod; pod = pod->next)
		err = pod_refresh(w, pod) ?: err;
	return err;
}

static struct namespace *namespace_find(struct world *w, const char *name)
{
	struct str *str = str_find(&w->strs, name);
	struct namespace *ns = NULL;

	if (str)
		HASH_FIND_PTR(w->namespaces, &str, ns);
	return ns;
}

static int namespace_gone(struct world *w, const char *name)
{
	struct namespace *ns = namespace_find(w, name);

	if (!ns)
		return 0;
	labels_put(ns->labels);
	ns->labels = NULL;
	ns->log_only = false;
	return refresh_pods(w, ns);
}

int world_set_namespace(struct world *w, const char *name, struct json_object *obj, struct err *e)
{
	_cleanup_(labels_putp) struct labels *labels = NULL;
	struct namespace *ns = namespace_find(w, name);
	struct json_object *map = NULL;
	bool log_only;
	struct err own = {};
	int err;

	e = e ?: &own;
	if (!obj)
		return namespace_gone(w, name);
	if (ns)
		ns->round = w->round;
	err = json_opt_object(obj, "metadata.labels", &map, e);
	err = err ?: labels_read(&w->strs, map, "kubernetes.io/metadata.name", name, &labels, e);
	if (err < 0)
		return err_prefix(e, "namespace %.300s", name);
	ns = namespace_get(w, name);
	if (!ns)
		return err_set(e, -ENOMEM, "out of memory");
	ns->round = w->round;
	log_only = object_is_log_only(obj);
	if (log_only != ns->log_only) {
		ns->log_only = log_only;
		world_mark(w, ns, NULL);
		namespace_relent(w, ns);
	}
	if (same_labels(ns->labels, labels))
		return 0;
	labels_put(ns->labels);
	ns->labels = TAKE_PTR(labels);
	err = refresh_pods(w, ns);
	return err < 0 ? err_set(e, err, "out of memory") : 0;
}

/* ---- policies ---- */

void world_mark(struct world *w, const struct namespace *ns, const struct peer *subject)
{
	for (struct endpoint *ep = w->endpoints; ep; ep = ep->hh.next) {
		struct identity *id = ep->pod ? ep->pod->owner.identity : NULL;

		if (ns && (!ep->pod || ep->pod->ns != ns))
			continue;
		if (id && (!subject || peer_matches(subject, id)))
			identity_mark(id);
	}
}

static struct policy_entry *entry_get(struct world *w, const char *kind, const char *key, bool make)
{
	struct policy_entry *entry = NULL;
	char *full;

	if (asprintf(&full, "%s %s", kind, key) < 0)
		return NULL;
	HASH_FIND_STR(w->policies, full, entry);
	if (entry || !make) {
		free(full);
		return entry;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		free(full);
		return NULL;
	}
	entry->key = full;
	HASH_ADD_KEYPTR(hh, w->policies, entry->key, strlen(entry->key), entry);
	return entry;
}

static struct policy_entry **list_of(struct world *w, const struct policy *p)
{
	struct namespace *ns = p->ns ? namespace_get(w, p->ns->text) : NULL;

	if (p->ns)
		return ns ? &ns->policies : NULL;
	return &w->cluster;
}

static void mark_selected(struct world *w, const struct policy *p)
{
	if (p)
		world_mark(w, p->ns ? namespace_get(w, p->ns->text) : NULL, p->subject);
}

void entry_mark(struct world *w, const struct policy_entry *entry)
{
	mark_selected(w, entry->policy);
	mark_selected(w, entry->before);
}

static bool is_new(const struct policy_entry *entry)
{
	return entry->prev_new;
}

void entry_unsettle(struct world *w, struct policy_entry *entry)
{
	entry->use = USE_LATEST;
	entry->settled = entry->lasting = entry->untried = false;
	if (!is_new(entry))
		DL_APPEND2(w->unsettled, entry, prev_new, next_new);
}

static void entry_free(struct world *w, struct policy_entry *entry)
{
	struct policy_entry **list;

	if (!entry)
		return;
	list = entry->policy ? list_of(w, entry->policy) : NULL;
	if (list)
		DL_DELETE(*list, entry);
	if (is_new(entry))
		DL_DELETE2(w->unsettled, entry, prev_new, next_new);
	entry_mark(w, entry);
	policies_relent(w, entry->policy);
	policy_put(entry->policy);
	policy_put(entry->before);
	policy_put(entry->closed);
	HASH_DEL(w->policies, entry);
	free(entry->key);
	free(entry->problem);
	free(entry->unfit);
	free(entry);
}

/* The present text becomes the one of before, if it ever held. */
static void entry_step(struct policy_entry *entry)
{
	if (entry->settled && entry->use == USE_LATEST && !entry->policy->unreadable) {
		policy_put(entry->before);
		entry->before = entry->policy;
	} else {
		policy_put(entry->policy);
	}
	policy_put(TAKE_PTR(entry->closed));
}

/* Takes `p`. */
static int entry_set(struct world *w, struct policy_entry *entry, struct policy *p)
{
	struct policy_entry **list = list_of(w, p);

	free(TAKE_PTR(entry->problem));
	if (!list || (entry->policy && entry->policy->unreadable == p->unreadable &&
		      strcmp(entry->policy->text, p->text) == 0)) {
		policy_put(p);
		return list ? 0 : -ENOMEM;
	}
	entry_mark(w, entry);
	policies_relent(w, entry->policy);
	if (entry->policy)
		entry_step(entry);
	else
		DL_APPEND(*list, entry);
	entry->policy = p;
	entry_unsettle(w, entry);
	mark_selected(w, p);
	return 0;
}

/* How a kind of policy is read. */
struct policy_kind {
	const char *name;
	int (*read)(const struct policy_reader *r, const char *key, struct json_object *obj,
		    struct policy **ret, struct err *e);
	int (*read_closed)(const struct policy_reader *r, const char *key, struct json_object *obj,
			   struct policy **ret);
};

/* Its text of before holds, or else nothing may pass that it might deny. */
static void entry_refuse(struct world *w, struct policy_entry *entry,
			 const struct policy_kind *kind, const char *key, struct json_object *obj,
			 const char *problem)
{
	const struct policy_reader reader = { &w->strs, &w->peers };
	struct policy *p = NULL;

	if ((!entry->policy || entry->policy->unreadable) &&
	    kind->read_closed(&reader, key, obj, &p) == 0)
		entry_set(w, entry, p);
	free(entry->problem);
	entry->problem = strdup(problem);
}

static int set_policy(struct world *w, const struct policy_kind *kind, const char *key,
		      struct json_object *obj, struct err *e)
{
	const struct policy_reader reader = { &w->strs, &w->peers };
	struct policy_entry *entry = entry_get(w, kind->name, key, obj != NULL);
	struct policy *p = NULL;
	struct err own = {};
	int err;

	e = e ?: &own;
	if (!obj) {
		entry_free(w, entry);
		return 0;
	}
	if (!entry)
		return err_set(e, -ENOMEM, "out of memory");
	entry->round = w->round;
	err = kind->read(&reader, key, obj, &p, e);
	err = err ?: entry_set(w, entry, p);
	if (err < 0)
		entry_refuse(w, entry, kind, key, obj, e->msg);
	return err;
}

int world_set_policy(struct world *w, const char *key, struct json_object *obj, struct err *e)
{
	static const struct policy_kind kind = { "networkpolicy", policy_read, policy_read_closed };

	return set_policy(w, &kind, key, obj, e);
}

int world_set_cluster_policy(struct world *w, const char *name, struct json_object *obj,
			     struct err *e)
{
	static const struct policy_kind kind = { "clusternetworkpolicy", cluster_policy_read,
						 cluster_policy_read_closed };

	return set_policy(w, &kind, name, obj, e);
}

/* ---- all of them ---- */

void world_begin(struct world *w)
{
	w->round++;
}

static void end_pods(struct world *w)
{
	struct pod *pod, *next;

	HASH_ITER (hh, w->pods, pod, next) {
		char *key = strdup(pod->key);

		/* The first may be the end of it. */
		if (key && pod->from[ADDR_PUBLISHED].n && pod->published_round != w->round)
			world_set_published_pod(w, key, NULL, NULL);
		if (key)
			HASH_FIND_STR(w->pods, key, pod);
		if (key && pod && pod->there && pod->round != w->round)
			world_set_pod(w, key, NULL, NULL);
		free(key);
	}
}

static void end_nodes(struct world *w)
{
	for (struct node *node = w->nodes; node; node = node->hh.next) {
		if (node->published_round != w->round)
			world_set_published_node(w, node->name, NULL, NULL);
		if (node->round != w->round)
			world_set_node(w, node->name, NULL, NULL);
	}
}

void world_end(struct world *w)
{
	struct policy_entry *entry, *next;

	end_pods(w);
	end_nodes(w);
	for (struct namespace *ns = w->namespaces; ns; ns = ns->hh.next)
		if (ns->labels && ns->round != w->round)
			namespace_gone(w, ns->name->text);
	HASH_ITER (hh, w->policies, entry, next)
		if (entry->round != w->round)
			entry_free(w, entry);
}

/* ---- life ---- */

int world_new(const struct polmaps *maps, struct world **ret)
{
	struct world *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->maps = *maps;
	w->portmaps.strs = &w->strs;
	w->peers.strs = &w->strs;
	err = labels_read(&w->strs, NULL, NULL, NULL, &w->none, NULL);
	err = err ?: rulesets_init(&w->sets, &w->ids, &w->peers, &w->maps);
	if (err < 0) {
		world_free(w);
		return err;
	}
	*ret = w;
	return 0;
}

static void free_identities(struct world *w)
{
	for (uint32_t i = 0; i < w->ids.n_slots; i++)
		if (w->ids.slots[i])
			identity_release(w, w->ids.slots[i]);
}

void world_free(struct world *w)
{
	struct policy_entry *entry, *next;
	struct namespace *ns, *next_ns;

	if (!w)
		return;
	w->sets.closing = true;
	HASH_ITER (hh, w->policies, entry, next)
		entry_free(w, entry);
	endpoints_free(w);
	pods_free(w);
	addresses_free(w);
	free_identities(w);
	rulesets_fini(&w->sets);
	HASH_ITER (hh, w->namespaces, ns, next_ns)
		namespace_free(w, ns);
	identities_fini(&w->ids);
	labels_put(w->none);
	free(w);
}
