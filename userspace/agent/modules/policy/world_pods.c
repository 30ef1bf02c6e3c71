// SPDX-License-Identifier: Apache-2.0
/* Pods, nodes, and the endpoints of this node. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/modules/policy/world.h"
#include "lib/json/json.h"

/* ---- pods ---- */

struct pod *pod_get(struct world *w, const char *key)
{
	const char *slash = strchr(key, '/');
	struct pod *pod;
	char ns[256];

	HASH_FIND_STR(w->pods, key, pod);
	if (pod)
		return pod;
	if (!slash || (size_t)(slash - key) >= sizeof(ns))
		return NULL;
	memcpy(ns, key, slash - key);
	ns[slash - key] = 0;
	pod = calloc(1, sizeof(*pod));
	if (!pod)
		return NULL;
	pod->key = strdup(key);
	pod->uid = strdup("");
	pod->ns = namespace_get(w, ns);
	if (!pod->key || !pod->uid || !pod->ns) {
		free(pod->key);
		free(pod->uid);
		free(pod);
		return NULL;
	}
	DL_APPEND(pod->ns->pods, pod);
	HASH_ADD_KEYPTR(hh, w->pods, pod->key, strlen(pod->key), pod);
	return pod;
}

static void pod_free(struct world *w, struct pod *pod)
{
	owner_clear(w, &pod->owner);
	DL_DELETE(pod->ns->pods, pod);
	HASH_DEL(w->pods, pod);
	for (int s = 0; s < ADDR_SOURCES; s++)
		addrs_clear(&pod->from[s]);
	labels_put(pod->labels);
	portmap_put(pod->ports);
	free(pod->key);
	free(pod->uid);
	free(pod->published_uid);
	free(pod);
}

void pod_forget_empty(struct world *w, struct pod *pod)
{
	if (!pod->there && !pod->endpoints && !pod->from[ADDR_PUBLISHED].n)
		pod_free(w, pod);
}

void node_free(struct world *w, struct node *node)
{
	owner_clear(w, &node->owner);
	HASH_DEL(w->nodes, node);
	for (int s = 0; s < ADDR_SOURCES; s++)
		addrs_clear(&node->from[s]);
	labels_put(node->labels);
	free(node->name);
	free(node);
}

void pods_free(struct world *w)
{
	struct pod *pod, *next;
	struct node *node, *next_node;

	HASH_ITER (hh, w->pods, pod, next)
		pod_free(w, pod);
	HASH_ITER (hh, w->nodes, node, next_node)
		node_free(w, node);
}

static bool is_same_pod(const char *a, const char *b)
{
	return !a || !b || !*a || !*b || strcmp(a, b) == 0;
}

bool endpoint_is_of(const struct endpoint *ep, const struct pod *pod)
{
	return is_same_pod(ep->uid, pod->uid);
}

/* The addresses of the pod that the object is about. Another one of that name may have been wired
 * already, or still be there: its addresses are not of one with these labels. */
static int pod_claims(const struct pod *pod, struct addrs *ret)
{
	struct addrs from[ADDR_SOURCES] = { [ADDR_STATUS] = pod->from[ADDR_STATUS] };
	struct addrs local = {};
	int err = 0;

	if (is_same_pod(pod->published_uid, pod->uid))
		from[ADDR_PUBLISHED] = pod->from[ADDR_PUBLISHED];
	for (const struct endpoint *ep = pod->endpoints; ep && !err; ep = ep->next)
		for (size_t i = 0; endpoint_is_of(ep, pod) && !err && i < ep->addrs.n; i++)
			err = addrs_add(&local, &ep->addrs.v[i]);
	from[ADDR_LOCAL] = local;
	err = err ?: addrs_join(from, ret);
	addrs_clear(&local);
	return err;
}

static enum addr_source source_of(const struct pod *pod, const union loom_addr *addr)
{
	for (const struct endpoint *ep = pod->endpoints; ep; ep = ep->next)
		if (endpoint_is_of(ep, pod) && addrs_has(&ep->addrs, addr))
			return ADDR_LOCAL;
	return is_same_pod(pod->published_uid, pod->uid) &&
			       addrs_has(&pod->from[ADDR_PUBLISHED], addr)
		       ? ADDR_PUBLISHED
		       : ADDR_STATUS;
}

static void count_local(struct pod *pod, struct identity *id, int by)
{
	for (struct endpoint *ep = pod->endpoints; ep; ep = ep->next) {
		id->n_local += by;
		if (by > 0 && id->n_local == 1)
			identity_mark(id);
	}
}

int pod_refresh(struct world *w, struct pod *pod)
{
	bool counts = pod->there && !pod->host_network && !pod->ended;
	struct identity *id = NULL, *before = pod->owner.identity;
	struct addrs addrs = {};

	if (counts && pod->ns->labels) {
		id = identity_get(&w->ids, IDENTITY_POD, pod->ns->name, pod->ns->labels,
				  pod->labels, pod->ports);
		if (!id)
			return -ENOMEM;
	}
	if (!pod->host_network && !pod->ended && pod_claims(pod, &addrs) < 0) {
		identity_put(&w->ids, id);
		return -ENOMEM;
	}
	w->relabelled |= before && before != id;
	if (before && before != id)
		count_local(pod, before, -1);
	if (id && before != id)
		count_local(pod, id, 1);
	owner_set(w, &pod->owner, id, &addrs);
	for (size_t i = 0; i < pod->owner.addrs.n; i++)
		owner_vouch(w, &pod->owner, &pod->owner.addrs.v[i],
			    source_of(pod, &pod->owner.addrs.v[i]));
	return 0;
}

struct pod_reading {
	const char *uid, *phase;
	bool host_network;
	struct labels *labels;
	struct portmap *ports;
	struct addrs addrs;
};

static int read_pod_ips(struct json_object *obj, struct addrs *ret, struct err *e)
{
	struct json_object *list = NULL;
	const char *one = NULL;
	union loom_addr addr;

	if (json_opt_array(obj, "status.podIPs", &list, e) < 0 ||
	    json_opt_str(obj, "status.podIP", &one, e) < 0)
		return -EINVAL;
	if (addrs_read(list, "ip", "status.podIPs", ret, e) < 0)
		return -EINVAL;
	if (!one || !*one)
		return 0;
	if (addr_parse(one, &addr, e) < 0)
		return err_prefix(e, "status.podIP");
	return addrs_add(ret, &addr);
}

/* The kubelet's uid: of a static pod it is a hash, which the API server's copy (with a uid of its
 * own) has in an annotation. */
static int read_uid(struct json_object *obj, const char **ret, struct err *e)
{
	struct json_object *hash =
		json_field(json_path(obj, "metadata.annotations"), "kubernetes.io/config.mirror");

	if (!json_object_is_type(hash, json_type_string))
		return json_opt_str(obj, "metadata.uid", ret, e);
	*ret = json_object_get_string(hash);
	return 0;
}

static int read_pod(struct world *w, struct json_object *obj, struct pod_reading *r, struct err *e)
{
	struct json_object *labels = NULL, *spec = NULL;
	int err = json_opt_object(obj, "metadata.labels", &labels, e);

	err = err ?: read_uid(obj, &r->uid, e);
	err = err ?: json_opt_object(obj, "spec", &spec, e);
	err = err ?: json_opt_bool(obj, "spec.hostNetwork", &r->host_network, e);
	err = err ?: json_opt_str(obj, "status.phase", &r->phase, e);
	err = err ?: labels_read(&w->strs, labels, NULL, NULL, &r->labels, e);
	err = err ?: portmap_read(&w->portmaps, spec, &r->ports, e);
	/* The node's: they belong to all that is on it. */
	return err ?: r->host_network ? err : read_pod_ips(obj, &r->addrs, e);
}

static void reading_clear(struct pod_reading *r)
{
	labels_put(r->labels);
	portmap_put(r->ports);
	addrs_clear(&r->addrs);
}

static int pod_take(struct world *w, struct pod *pod, struct pod_reading *r)
{
	char *uid = strdup(r->uid);

	if (!uid)
		return -ENOMEM;
	free(pod->uid);
	pod->uid = uid;
	labels_put(pod->labels);
	portmap_put(pod->ports);
	addrs_clear(&pod->from[ADDR_STATUS]);
	pod->labels = TAKE_PTR(r->labels);
	pod->ports = TAKE_PTR(r->ports);
	pod->from[ADDR_STATUS] = r->addrs;
	r->addrs = (struct addrs){};
	pod->there = true;
	pod->host_network = r->host_network;
	pod->ended = strcmp(r->phase, "Succeeded") == 0 || strcmp(r->phase, "Failed") == 0;
	return pod_refresh(w, pod);
}

static void pod_gone(struct world *w, struct pod *pod)
{
	pod->there = pod->host_network = pod->ended = false;
	pod->uid[0] = 0;
	addrs_clear(&pod->from[ADDR_STATUS]);
	pod_refresh(w, pod);
	pod_forget_empty(w, pod);
}

int world_set_pod(struct world *w, const char *key, struct json_object *obj, struct err *e)
{
	struct pod_reading r = { .uid = "", .phase = "" };
	struct err own = {};
	struct pod *pod;
	int err;

	e = e ?: &own;
	HASH_FIND_STR(w->pods, key, pod);
	if (!obj) {
		if (pod)
			pod_gone(w, pod);
		return 0;
	}
	if (pod)
		pod->round = w->round;
	err = read_pod(w, obj, &r, e);
	if (err < 0) {
		reading_clear(&r);
		return err_prefix(e, "pod %.300s", key);
	}
	pod = pod_get(w, key);
	if (pod)
		pod->round = w->round;
	err = pod ? pod_take(w, pod, &r) : -ENOMEM;
	reading_clear(&r);
	return err < 0 ? err_set(e, err, "out of memory") : 0;
}

int world_set_published_pod(struct world *w, const char *key, struct json_object *obj,
			    struct err *e)
{
	struct json_object *list = NULL;
	const char *uid = "";
	struct err own = {};
	struct pod *pod;
	int err;

	e = e ?: &own;
	HASH_FIND_STR(w->pods, key, pod);
	if (!obj && !pod)
		return 0;
	pod = pod ?: pod_get(w, key);
	if (!pod)
		return err_set(e, -ENOMEM, "out of memory");
	pod->published_round = w->round;
	err = json_opt_array(obj, "ips", &list, e);
	err = err ?: json_opt_str(obj, "uid", &uid, e);
	err = err ?: addrs_read(list, NULL, "ips", &pod->from[ADDR_PUBLISHED], e);
	if (!err) {
		free(pod->published_uid);
		pod->published_uid = strdup(uid);
	}
	err = err ?: pod_refresh(w, pod);
	pod_forget_empty(w, pod);
	return err < 0 ? err_prefix(e, "endpoint %.300s", key) : 0;
}

/* ---- nodes ---- */

static struct node *node_get(struct world *w, const char *name)
{
	struct node *node;

	HASH_FIND_STR(w->nodes, name, node);
	if (node)
		return node;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->name = strdup(name);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->labels = labels_ref(w->none);
	HASH_ADD_KEYPTR(hh, w->nodes, node->name, strlen(node->name), node);
	return node;
}

int node_refresh(struct world *w, struct node *node)
{
	struct identity *id = identity_get(&w->ids, IDENTITY_NODE, NULL, NULL, node->labels, NULL);
	struct addrs addrs = {};

	if (!id || addrs_join(node->from, &addrs) < 0) {
		identity_put(&w->ids, id);
		return -ENOMEM;
	}
	owner_set(w, &node->owner, id, &addrs);
	return 0;
}

/* Of status.addresses those that are addresses: names stand there too. */
static int read_node_addrs(struct json_object *obj, struct addrs *ret, struct err *e)
{
	struct json_object *list = NULL;
	struct addrs all = {};
	int err = json_opt_array(obj, "status.addresses", &list, e);

	err = err ?: addrs_check_size(list, "status.addresses", e);
	for (size_t i = 0; !err && list && i < json_object_array_length(list); i++) {
		const char *text = "";
		union loom_addr addr;

		json_opt_str(json_object_array_get_idx(list, i), "address", &text, NULL);
		if (addr_parse(text, &addr, NULL) == 0)
			err = addrs_add(&all, &addr);
	}
	if (err < 0)
		addrs_clear(&all);
	else
		*ret = all;
	return err;
}

int world_set_node(struct world *w, const char *name, struct json_object *obj, struct err *e)
{
	struct json_object *map = NULL;
	struct labels *labels = NULL;
	struct addrs addrs = {};
	struct err own = {};
	struct node *node;
	int err;

	e = e ?: &own;
	HASH_FIND_STR(w->nodes, name, node);
	if (node)
		node->round = w->round;
	err = json_opt_object(obj, "metadata.labels", &map, e);
	err = err ?: read_node_addrs(obj, &addrs, e);
	err = err ?: labels_read(&w->strs, map, NULL, NULL, &labels, e);
	if (err < 0) {
		addrs_clear(&addrs);
		return err_prefix(e, "node %.300s", name);
	}
	node = node_get(w, name);
	if (!node) {
		addrs_clear(&addrs);
		labels_put(labels);
		return err_set(e, -ENOMEM, "out of memory");
	}
	labels_put(node->labels);
	node->labels = labels;
	node->round = w->round;
	addrs_clear(&node->from[ADDR_STATUS]);
	node->from[ADDR_STATUS] = addrs;
	err = node_refresh(w, node);
	return err < 0 ? err_set(e, err, "node %.300s: out of memory", name) : 0;
}

int world_set_published_node(struct world *w, const char *name, struct json_object *obj,
			     struct err *e)
{
	struct json_object *list = NULL;
	struct node *node = node_get(w, name);
	struct err own = {};
	int err;

	e = e ?: &own;
	if (!node)
		return err_set(e, -ENOMEM, "out of memory");
	node->published_round = w->round;
	err = json_opt_array(obj, "addresses", &list, e);
	err = err ?: addrs_read(list, NULL, "addresses", &node->from[ADDR_PUBLISHED], e);
	err = err ?: node_refresh(w, node);
	return err < 0 ? err_prefix(e, "published node %.300s", name) : 0;
}

/* ---- endpoints of this node ---- */

static struct endpoint *endpoint_get(struct world *w, uint32_t number)
{
	struct endpoint *ep;

	HASH_FIND_INT(w->endpoints, &number, ep);
	if (ep)
		return ep;
	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return NULL;
	ep->ep = number;
	/* An earlier run may have left its policies; they hold until there are others. */
	w->maps.ops->lookup(w->maps.arg, POLMAP_EPOL, &number, &ep->written);
	HASH_ADD_INT(w->endpoints, ep, ep);
	return ep;
}

static void detach(struct world *w, struct endpoint *ep)
{
	struct pod *pod = ep->pod;

	if (!pod)
		return;
	if (pod->owner.identity)
		pod->owner.identity->n_local--;
	DL_DELETE(pod->endpoints, ep);
	ep->pod = NULL;
	pod_refresh(w, pod);
	pod_forget_empty(w, pod);
}

static int attach(struct world *w, struct endpoint *ep, const char *key)
{
	struct pod *pod = pod_get(w, key);

	if (!pod)
		return -ENOMEM;
	ep->pod = pod;
	DL_APPEND(pod->endpoints, ep);
	if (pod->owner.identity && pod->owner.identity->n_local++ == 0)
		identity_mark(pod->owner.identity);
	return pod_refresh(w, pod);
}

static int endpoint_fill(struct endpoint *ep, const char *uid, const union loom_addr *addrs,
			 size_t n)
{
	int err = 0;

	free(ep->uid);
	ep->uid = strdup(uid);
	addrs_clear(&ep->addrs);
	for (size_t i = 0; !err && i < n; i++)
		err = addrs_add(&ep->addrs, &addrs[i]);
	return ep->uid ? err : -ENOMEM;
}

int world_set_endpoint(struct world *w, uint32_t number, const char *key, const char *uid,
		       const union loom_addr *addrs, size_t n_addrs)
{
	struct endpoint *ep;
	int err;

	if (!number || number >= w->maps.max_eps)
		return -EINVAL;
	ep = endpoint_get(w, number);
	if (!ep)
		return -ENOMEM;
	detach(w, ep);
	err = endpoint_fill(ep, uid, addrs, n_addrs);
	if (!err && key)
		err = attach(w, ep, key);
	/* One that is not known whole is not one of nobody's: that would be open. */
	if (err < 0)
		world_del_endpoint(w, number);
	return err;
}

void endpoint_drop(struct world *w, struct endpoint *ep)
{
	detach(w, ep);
	for (enum direction dir = 0; dir < DIRS; dir++)
		ruleset_release(&w->sets, ep->rules[dir]);
	HASH_DEL(w->endpoints, ep);
	addrs_clear(&ep->addrs);
	free(ep->uid);
	free(ep);
}

void world_del_endpoint(struct world *w, uint32_t number)
{
	const struct loom_epol none = {};
	struct endpoint *ep;

	HASH_FIND_INT(w->endpoints, &number, ep);
	if (!ep)
		return;
	polmaps_put(&w->maps, POLMAP_EPOL, &number, &none);
	endpoint_drop(w, ep);
}

void endpoints_free(struct world *w)
{
	struct endpoint *ep, *next;

	HASH_ITER (hh, w->endpoints, ep, next)
		endpoint_drop(w, ep);
}
