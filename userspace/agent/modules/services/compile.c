// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/compile.h"

#include <errno.h>
#include <string.h>

#include "lib/base/grow.h"

/* An endpoint with one of its ports, as several slices may name it. */
struct found {
	struct want want;
	const struct endpoint *ep;
	bool ready, serving, terminating;
};

struct founds {
	struct found *v;
	size_t n, room;
};

const char *want_state_name(enum want_state state)
{
	static const char *const names[] = { "ready", "serving", "terminating", "unready" };

	return names[state];
}

unsigned int compile_needs(const struct service_object *svc, const struct service_port *port,
			   int family)
{
	bool external = port->node_port != 0, cluster = false;
	unsigned int needs = 0;

	for (size_t i = 0; i < svc->n_addrs; i++) {
		if (addr_is_v4(&svc->addrs[i].addr) != (family == 0))
			continue;
		if (svc->addrs[i].kind == LOOM_SVC_CLUSTER_IP)
			cluster = true;
		else
			external = true;
	}
	if (external)
		needs |= 1 << TABLE_OUT | 1 << TABLE_CLUSTER;
	if (cluster)
		needs |= svc->local_in ? 1 << TABLE_LOCAL : 1 << TABLE_CLUSTER;
	return needs;
}

/* ---- which endpoints there are ---- */

static int add_found(struct founds *f, const struct found *one)
{
	if (grow_room(&f->v, &f->room, f->n + 1, sizeof(*f->v)) < 0)
		return -ENOMEM;
	f->v[f->n++] = *one;
	return 0;
}

/* A port of a slice that is the service's. */
struct target {
	uint16_t port;
	bool former; /* by the name that it had */
};

static int add_endpoint(struct founds *f, const struct endpoint *ep, const struct target *t,
			const struct nodes *nodes)
{
	struct found one = { .ep = ep };
	uint32_t owner = 0;

	if (!t->former) {
		one.ready = ep->ready;
		one.serving = ep->serving;
		one.terminating = ep->terminating;
	}
	one.want =
		(struct want){ .addr = ep->addr, .port = t->port, .flags = LOOM_BACKEND_PRESENT };
	one.want.own = nodes_is_own(nodes, &ep->addr);
	if (nodes_owns(nodes, &ep->addr, &owner))
		one.want.flags |= LOOM_BACKEND_HOST;
	one.want.node = *ep->node ? nodes_id(nodes, ep->node) : owner;
	/* What is at our own address is here, also when nobody says so. */
	if (*ep->node ? strcmp(ep->node, nodes->self) == 0 : one.want.own)
		one.want.flags |= LOOM_BACKEND_LOCAL;
	return add_found(f, &one);
}

static int gather_port(struct founds *f, const struct slice_object *slice, const struct target *t,
		       const struct nodes *nodes)
{
	int err = 0;

	for (size_t i = 0; !err && i < slice->n_endpoints; i++)
		err = add_endpoint(f, &slice->endpoints[i], t, nodes);
	return err;
}

/* A name stands once in a slice (ValidateEndpointSlice). */
static const struct endpoint_port *find_port(const struct slice_object *slice, const char *name,
					     uint8_t proto)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].proto == proto && strcmp(slice->ports[i].name, name) == 0)
			return &slice->ports[i];
	return NULL;
}

bool compile_names(const struct slice_object *slice, const char *name, uint8_t proto)
{
	return find_port(slice, name, proto) != NULL;
}

static bool find_target(const struct slice_object *slice, const struct service_port *port,
			struct target *ret)
{
	const struct endpoint_port *found = find_port(slice, port->name, port->proto);

	ret->former = !found && port->former;
	if (ret->former)
		found = find_port(slice, port->former, port->proto);
	if (found)
		ret->port = found->port;
	return found != NULL;
}

static int gather(const struct service_port *port, int family, struct slice_object *const *slices,
		  size_t n_slices, const struct nodes *nodes, struct founds *f)
{
	int err = 0;

	for (size_t s = 0; s < n_slices; s++) {
		const struct slice_object *slice = slices[s];
		struct target t;

		if (!err && slice->family == family && find_target(slice, port, &t))
			err = gather_port(f, slice, &t, nodes);
	}
	return err;
}

static int by_tuple(const void *a, const void *b)
{
	const struct want *wa = &((const struct found *)a)->want,
			  *wb = &((const struct found *)b)->want;
	int order = memcmp(&wa->addr, &wb->addr, sizeof(wa->addr));

	return order ? order : (int)wa->port - (int)wb->port;
}

/* The same endpoint in several slices, while it moves from one to the other: the better word
 * counts. */
static void merge_into(struct found *last, const struct found *other)
{
	if (other->ready && !last->ready)
		last->ep = other->ep;
	last->ready |= other->ready;
	last->serving |= other->serving;
	last->terminating &= other->terminating;
	last->want.flags |= other->want.flags & LOOM_BACKEND_LOCAL;
	last->want.node = last->want.node ?: other->want.node;
}

static void merge(struct founds *f)
{
	size_t n = 0;

	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_tuple);
	for (size_t i = 0; i < f->n; i++) {
		if (n && by_tuple(&f->v[n - 1], &f->v[i]) == 0)
			merge_into(&f->v[n - 1], &f->v[i]);
		else
			f->v[n++] = f->v[i];
	}
	f->n = n;
}

/* ---- which of them are used ---- */

static bool falls_back(const struct found *one)
{
	return !one->ready && one->serving && one->terminating;
}

/* Puts those with `flags` that are ready into the table, or those that end but still serve when
 * none is ready. */
static void use(struct founds *f, uint8_t flags, enum table_kind kind)
{
	size_t n = 0;

	for (int round = 0; round < 2 && !n; round++)
		for (size_t i = 0; i < f->n; i++) {
			struct found *one = &f->v[i];

			if ((one->want.flags & flags) != flags ||
			    !(round ? falls_back(one) : one->ready))
				continue;
			one->want.tables |= 1 << kind;
			n++;
		}
}

static bool is_for(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static const char *const *hints_of(const struct found *one, bool by_node)
{
	return by_node ? one->ep->for_nodes : one->ep->for_zones;
}

/* Hints count when every ready endpoint has them and one is for us. */
static bool has_mode(const struct founds *f, bool by_node, const char *us)
{
	bool ours = false;

	for (size_t i = 0; i < f->n; i++) {
		const char *const *hints = hints_of(&f->v[i], by_node);

		if (!f->v[i].ready)
			continue;
		if (!hints)
			return false;
		ours |= is_for(hints, us);
	}
	return ours && *us;
}

/* The ready endpoints that hints leave to this node: by node, else by zone, else all. */
static void use_by_topology(struct founds *f, const struct nodes *nodes)
{
	bool by_node = has_mode(f, true, nodes->self);
	bool by_zone = !by_node && has_mode(f, false, nodes->zone);
	const char *us = by_node ? nodes->self : nodes->zone;

	use(f, 0, TABLE_CLUSTER);
	if (!by_node && !by_zone)
		return;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].ready && !is_for(hints_of(&f->v[i], by_node), us))
			f->v[i].want.tables &= ~(1 << TABLE_CLUSTER);
}

static enum want_state state_of(const struct found *one)
{
	if (one->ready)
		return WANT_READY;
	if (!one->terminating)
		return WANT_UNREADY;
	return one->serving ? WANT_SERVING : WANT_TERMINATING;
}

/* READY in the maps means: takes new flows now, from whatever table. */
static void categorize(const struct service_object *svc, unsigned int needs, struct founds *f,
		       const struct nodes *nodes, struct wants *ret)
{
	bool any = false, in = false, out = false;

	if (needs & 1 << TABLE_CLUSTER)
		use_by_topology(f, nodes);
	if (needs & 1 << TABLE_LOCAL)
		use(f, LOOM_BACKEND_LOCAL, TABLE_LOCAL);
	if (needs & 1 << TABLE_OUT)
		use(f, svc->local_out ? LOOM_BACKEND_LOCAL : 0, TABLE_OUT);
	for (size_t i = 0; i < f->n; i++) {
		struct want *w = &f->v[i].want;

		w->state = state_of(&f->v[i]);
		if (w->tables)
			w->flags |= LOOM_BACKEND_READY;
		if (f->v[i].terminating)
			w->flags |= LOOM_BACKEND_TERMINATING;
		any |= f->v[i].ready || falls_back(&f->v[i]);
		in |= w->tables & 1 << TABLE_LOCAL;
		out |= w->tables & 1 << TABLE_OUT;
	}
	ret->silent_in = svc->local_in && any && !in;
	ret->silent_out = svc->local_out && any && !out;
}

int compile_port(const struct service_object *svc, const struct service_port *port, int family,
		 struct slice_object *const *slices, size_t n_slices, const struct nodes *nodes,
		 struct wants *ret)
{
	struct founds f = {};
	struct wants w = {};
	int err = gather(port, family, slices, n_slices, nodes, &f);

	if (!err) {
		merge(&f);
		categorize(svc, compile_needs(svc, port, family), &f, nodes, &w);
		w.v = calloc(f.n + 1, sizeof(*w.v));
		err = w.v ? 0 : -ENOMEM;
	}
	if (!err) {
		for (size_t i = 0; i < f.n; i++)
			w.v[i] = f.v[i].want;
		w.n = f.n;
		*ret = w;
	}
	free(f.v);
	return err;
}

void wants_clear(struct wants *w)
{
	free(w->v);
	*w = (struct wants){};
}

static int by_addr(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

static size_t count_different(union loom_addr *v, size_t n)
{
	size_t different = 0;

	qsort(v, n, sizeof(*v), by_addr);
	for (size_t i = 0; i < n; i++)
		different += !i || !addr_equal(&v[i], &v[i - 1]);
	return different;
}

int compile_local_ready(struct slice_object *const *slices, size_t n_slices, const char *node,
			size_t *ret)
{
	_cleanup_(freep) union loom_addr *v = NULL;
	size_t n = 0, room = 0;
	int family = -1;

	/* A pod of two families is one endpoint: count where the first family stands. */
	for (size_t s = 0; s < n_slices; s++) {
		room += slices[s]->n_endpoints;
		if (slices[s]->family >= 0 && (family < 0 || slices[s]->family < family))
			family = slices[s]->family;
	}
	v = calloc(room + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t s = 0; s < n_slices; s++)
		for (size_t i = 0; slices[s]->family == family && i < slices[s]->n_endpoints; i++) {
			const struct endpoint *ep = &slices[s]->endpoints[i];

			if (ep->ready && strcmp(ep->node, node) == 0)
				v[n++] = ep->addr;
		}
	*ret = count_different(v, n);
	return 0;
}
