// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/compile.h"

#include <errno.h>
#include <string.h>

#include "agent/modules/services/maglev.h"
#include "lib/json/json.h"

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

static int add_found(struct founds *f, const struct found *one)
{
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 16;
		struct found *v = realloc(f->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		f->v = v;
		f->room = room;
	}
	f->v[f->n++] = *one;
	return 0;
}

static bool is_local(const struct endpoint *ep, const struct here *here, bool own)
{
	return own || (*ep->node && strcmp(ep->node, here->node) == 0);
}

static int add_endpoint(struct founds *f, const struct endpoint *ep, uint16_t port,
			const struct here *here)
{
	bool own = here->is_own(&ep->addr, here->arg);
	struct found one = {
		.ep = ep, .ready = ep->ready, .serving = ep->serving, .terminating = ep->terminating
	};

	one.want = (struct want){ .addr = ep->addr, .port = port, .flags = LOOM_BACKEND_PRESENT };
	if (*ep->node)
		one.want.node = here->node_id(ep->node, here->arg);
	if (is_local(ep, here, own))
		one.want.flags |= LOOM_BACKEND_LOCAL;
	if (own)
		one.want.flags |= LOOM_BACKEND_HOST;
	if (ep->terminating)
		one.want.flags |= LOOM_BACKEND_TERMINATING;
	return add_found(f, &one);
}

static int gather(const struct service_port *port, int family, struct slice_object *const *slices,
		  size_t n_slices, const struct here *here, struct founds *f)
{
	int err = 0;

	for (size_t s = 0; s < n_slices; s++) {
		const struct slice_object *slice = slices[s];

		if (slice->family != family)
			continue;
		for (size_t p = 0; p < slice->n_ports; p++) {
			if (slice->ports[p].proto != port->proto ||
			    strcmp(slice->ports[p].name, port->name) != 0)
				continue;
			for (size_t i = 0; !err && i < slice->n_endpoints; i++)
				err = add_endpoint(f, &slice->endpoints[i], slice->ports[p].port,
						   here);
		}
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

/* The same endpoint in several slices: the better word counts. */
static void merge(struct founds *f)
{
	size_t n = 0;

	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_tuple);
	for (size_t i = 0; i < f->n; i++) {
		struct found *last = n ? &f->v[n - 1] : NULL;

		if (!last || by_tuple(last, &f->v[i]) != 0) {
			f->v[n++] = f->v[i];
			continue;
		}
		last->ready |= f->v[i].ready;
		last->serving |= f->v[i].serving;
		if (!f->v[i].terminating) {
			last->terminating = false;
			last->want.flags &= ~LOOM_BACKEND_TERMINATING;
		}
	}
	f->n = n;
}

/* Marks the usable ones of those with all of `flags`. Their number. */
static size_t use(struct founds *f, uint8_t flags, enum table_kind kind)
{
	size_t n = 0;

	for (int round = 0; round < 2 && !n; round++)
		for (size_t i = 0; i < f->n; i++) {
			struct found *one = &f->v[i];

			if ((one->want.flags & flags) != flags)
				continue;
			if (round ? !(one->serving && one->terminating) : !one->ready)
				continue;
			one->want.tables |= 1 << kind;
			one->want.flags |= LOOM_BACKEND_READY;
			n++;
		}
	return n;
}

static bool names(struct json_object *list, const char *name)
{
	size_t n = list ? json_object_array_length(list) : 0;
	const char *one;

	for (size_t i = 0; i < n; i++) {
		one = "";
		json_opt_str(json_object_array_get_idx(list, i), "name", &one, NULL);
		if (strcmp(one, name) == 0)
			return true;
	}
	return false;
}

/*
 * Hints count if every usable endpoint has them and one is meant for us; else all are used. Nodes
 * come before zones.
 */
static void prefer(struct founds *f, bool by_node, const char *us)
{
	size_t ours = 0;

	if (!*us)
		return;
	for (size_t i = 0; i < f->n; i++) {
		const struct endpoint *ep = f->v[i].ep;
		struct json_object *hints = by_node ? ep->for_nodes : ep->for_zones;

		if (!(f->v[i].want.tables & 1 << TABLE_CLUSTER))
			continue;
		if (!hints)
			return;
		ours += names(hints, us);
	}
	if (!ours)
		return;
	for (size_t i = 0; i < f->n; i++) {
		const struct endpoint *ep = f->v[i].ep;

		if (!names(by_node ? ep->for_nodes : ep->for_zones, us))
			f->v[i].want.tables &= ~(1 << TABLE_CLUSTER);
	}
}

static void categorize(const struct service_object *svc, struct founds *f, const struct here *here,
		       struct wants *ret)
{
	size_t cluster, local, kind = TABLE_OUT;

	cluster = use(f, 0, TABLE_CLUSTER);
	local = use(f, LOOM_BACKEND_LOCAL, TABLE_LOCAL);
	for (size_t i = 0; i < f->n; i++) {
		struct want *w = &f->v[i].want;
		unsigned int from = svc->local_out ? TABLE_LOCAL : TABLE_CLUSTER;

		if (w->tables & 1u << from)
			w->tables |= 1 << kind;
		if (f->v[i].ready && (w->flags & LOOM_BACKEND_LOCAL))
			ret->local_ready++;
	}
	prefer(f, false, here->zone);
	if (svc->distribution == DISTRIBUTE_NODE)
		prefer(f, true, here->node);
	ret->silent_in = svc->local_in && !local && cluster;
	ret->silent_out = svc->local_out && !local && cluster;
}

int compile_port(const struct service_object *svc, const struct service_port *port, int family,
		 struct slice_object *const *slices, size_t n_slices, const struct here *here,
		 struct wants *ret)
{
	struct founds f = {};
	struct wants w = {};
	int err = gather(port, family, slices, n_slices, here, &f);

	if (!err) {
		merge(&f);
		categorize(svc, &f, here, &w);
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

/* FNV-1a of address and port, the backend's name for all nodes. */
static uint64_t name_of(const struct want *w)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(w->addr); i++)
		h = (h ^ w->addr.b[i]) * 0x100000001b3u;
	h = (h ^ (w->port >> 8)) * 0x100000001b3u;
	return (h ^ (w->port & 0xff)) * 0x100000001b3u;
}

static bool stands_in(const struct wants *w, size_t i, enum table_kind kind, const bool *usable)
{
	return usable[i] && (w->v[i].tables & 1u << kind);
}

static int list_table(const struct wants *w, enum table_kind kind, const bool *usable,
		      uint32_t local_weight, uint32_t **ret_slots, uint32_t *ret_n)
{
	uint32_t *slots = calloc(w->n * local_weight + 1, sizeof(*slots)), n = 0;

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++) {
		bool local = kind == TABLE_CLUSTER && (w->v[i].flags & LOOM_BACKEND_LOCAL);

		for (uint32_t k = local ? local_weight : 1; k && stands_in(w, i, kind, usable); k--)
			slots[n++] = i;
	}
	*ret_slots = slots;
	*ret_n = n;
	return 0;
}

static int maglev_table(const struct wants *w, const bool *usable, uint32_t per_backend,
			uint32_t **ret_slots, uint32_t *ret_n)
{
	_cleanup_(freep) uint64_t *who = calloc(w->n + 1, sizeof(*who));
	_cleanup_(freep) uint32_t *index = calloc(w->n + 1, sizeof(*index));
	_cleanup_(freep) uint32_t *slots = NULL;
	uint32_t size;
	size_t n = 0;

	if (!who || !index)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++)
		if (stands_in(w, i, TABLE_OUT, usable)) {
			who[n] = name_of(&w->v[i]);
			index[n++] = i;
		}
	size = maglev_size(n, per_backend);
	slots = calloc(size + 1, sizeof(*slots));
	if (!slots || (n && maglev_fill(who, n, size, slots) < 0))
		return -ENOMEM;
	for (uint32_t s = 0; s < size; s++)
		slots[s] = index[slots[s]];
	*ret_slots = TAKE_PTR(slots);
	*ret_n = size;
	return 0;
}

int compile_table(const struct wants *w, enum table_kind kind, const bool *usable,
		  uint32_t local_weight, uint32_t maglev_slots, uint32_t **ret_slots,
		  uint32_t *ret_n)
{
	if (kind == TABLE_OUT)
		return maglev_table(w, usable, maglev_slots, ret_slots, ret_n);
	return list_table(w, kind, usable, local_weight, ret_slots, ret_n);
}
