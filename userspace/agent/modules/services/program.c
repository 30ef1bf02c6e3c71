// SPDX-License-Identifier: Apache-2.0
/* From what a service shall be to what the maps say of it, changing only what differs. */
#define LOG_NAME "services"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/private.h"
#include "agent/modules/uplink/uplink.h"
#include "lib/base/log.h"

#define EXTERNAL_KINDS \
	(LOOM_SVC_NODEPORT | LOOM_SVC_EXTERNAL_IP | LOOM_SVC_LOADBALANCER | LOOM_SVC_HOSTPORT)

static void fail(struct services *s, int err)
{
	if (err < 0 && !s->failed)
		s->failed = err;
}

static void push_number(uint32_t **v, size_t *n, uint32_t number)
{
	uint32_t *more;

	if (!(*n & (*n + 1)) || !*v) {
		more = realloc(*v, (*n * 2 + 2) * sizeof(*more));
		if (!more)
			return;
		*v = more;
	}
	(*v)[(*n)++] = number;
}

/* Its flows end; whoever resyncs without memory ends them then. */
static void end_backend(struct services *s, const struct backend *b)
{
	if ((b->value.flags & (LOOM_BACKEND_HOST | LOOM_BACKEND_LOCAL)) ==
	    (LOOM_BACKEND_HOST | LOOM_BACKEND_LOCAL))
		svcmaps_port_put(s->maps, LOOM_PORTS_HOST_BACKEND, ntohs(b->value.port));
	svcmaps_backend_end(s->maps, b->number);
	push_number(&s->dying, &s->n_dying, b->number);
	s->flows = true;
}

static void free_region(struct services *s, struct region *r)
{
	struct region *v;

	if (!r->size)
		return;
	v = realloc(s->freed, (s->n_freed + 1) * sizeof(*v));
	if (v) {
		s->freed = v;
		v[s->n_freed++] = *r;
	}
	*r = (struct region){};
}

/* ---- frontends ---- */

static bool is_older(const struct service *a, const struct service *b)
{
	int order = a->obj && b->obj ? strcmp(a->obj->created, b->obj->created) : 0;

	return order ? order < 0 : strcmp(a->name, b->name) < 0;
}

struct frontend *front_winner(const struct front_key *k)
{
	struct frontend *best = NULL;

	for (struct frontend *f = k->wishes; f; f = f->next)
		if (!best || is_older(f->program->service, best->program->service))
			best = f;
	return best;
}

/* What the key's value is to be. */
static void front_value(const struct services *s, const struct frontend *f, struct loom_svc *ret)
{
	const struct service_object *obj = f->program->service->obj;
	const struct program *p = f->program;
	bool external = f->kind & EXTERNAL_KINDS;
	const struct region *in =
		&p->tables[!external && obj->local_in ? TABLE_LOCAL : TABLE_CLUSTER];
	const struct region *out = &p->tables[TABLE_OUT];

	*ret = (struct loom_svc){ .service = p->number,
				  .vip = ret->vip,
				  .flags = f->kind,
				  .in = in->size ? in->first : 0,
				  .in_size = in->size };
	if (!external && obj->local_in)
		ret->flags |= LOOM_SVC_LOCAL_IN | (p->silent_in ? LOOM_SVC_SILENT_IN : 0);
	if (obj->affinity) {
		ret->flags |= LOOM_SVC_AFFINITY;
		ret->affinity_s = obj->affinity_s;
	}
	if (!external)
		return;
	ret->flags |= LOOM_SVC_EXTERNAL;
	ret->out = out->size ? out->first : 0;
	ret->out_size = out->size;
	if (obj->local_out)
		ret->flags |= LOOM_SVC_LOCAL_OUT | (p->silent_out ? LOOM_SVC_SILENT_OUT : 0);
	else if (agent_cfg(s->agent)->services.mode == SERVICES_DSR && f->kind != LOOM_SVC_HOSTPORT)
		ret->flags |= LOOM_SVC_DSR;
	if (f->kind == LOOM_SVC_LOADBALANCER && obj->has_ranges)
		ret->flags |= LOOM_SVC_SRCRANGE;
}

static void front_remove(struct services *s, struct front_key *k)
{
	if (k->is_written)
		fail(s, svcmaps_front_del(s->maps, &k->key));
	if (k->has_vip)
		svcmaps_vip_put(s->maps, &k->key.addr);
	HASH_DEL(s->keys, k);
	free(k);
}

void front_write(struct services *s, struct front_key *k)
{
	struct frontend *f = front_winner(k);
	bool any = addr_is_zero(&k->key.addr);
	struct loom_svc v = {};
	int err;

	if (!f) {
		front_remove(s, k);
		return;
	}
	if (!any && !k->has_vip) {
		v.vip = svcmaps_vip_get(s->maps, &k->key.addr);
		k->has_vip = v.vip != 0;
		k->written.vip = v.vip;
	}
	v.vip = k->written.vip;
	front_value(s, f, &v);
	if (k->is_written && memcmp(&v, &k->written, sizeof(v)) == 0)
		return;
	/* UDP that has passed the frontend by, or went to another one, comes by it now. */
	if (!k->is_written && k->key.proto == IPPROTO_UDP && !svcmaps_front_left(s->maps, &k->key))
		s->flows = true;
	err = !any && !v.vip ? -ENOSPC : svcmaps_front_set(s->maps, &k->key, &v);
	f->refused = err == -E2BIG || err == -ENOSPC;
	if (err == 0) {
		k->written = v;
		k->is_written = true;
	} else if (!f->refused) {
		fail(s, err);
	}
}

static struct front_key *key_find(struct services *s, const struct loom_svckey *key)
{
	struct front_key *k;

	HASH_FIND(hh, s->keys, key, sizeof(*key), k);
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->key = *key;
	HASH_ADD(hh, s->keys, key, sizeof(k->key), k);
	return k;
}

static void wish_add(struct frontend *f)
{
	f->next = f->key->wishes;
	f->key->wishes = f;
}

static void wish_drop(struct frontend *f)
{
	struct frontend **at = &f->key->wishes;

	while (*at && *at != f)
		at = &(*at)->next;
	if (*at)
		*at = f->next;
}

struct fronts {
	struct services *s;
	struct program *p;
	struct frontend *v;
	size_t n, room;
};

static void add_front(struct fronts *l, const union loom_addr *addr, uint16_t port, uint32_t kind)
{
	struct loom_svckey key = { .addr = *addr, .port = htons(port), .proto = l->p->port.proto };

	for (size_t i = 0; i < l->n; i++)
		if (memcmp(&l->v[i].key->key, &key, sizeof(key)) == 0)
			return;
	if (l->n == l->room) {
		size_t room = l->room * 2 + 4;
		struct frontend *v = realloc(l->v, room * sizeof(*v));

		if (!v)
			return fail(l->s, -ENOMEM);
		l->v = v;
		l->room = room;
	}
	l->v[l->n] = (struct frontend){ .program = l->p, .kind = kind };
	l->v[l->n].key = key_find(l->s, &key);
	if (!l->v[l->n].key)
		return fail(l->s, -ENOMEM);
	l->n++;
}

static int add_node_address(const union loom_addr *addr, void *arg)
{
	struct fronts *l = arg;
	const struct agent_config *cfg = agent_cfg(l->s->agent);
	bool host = l->p->service->obj->host_ports;

	if (addr_is_v4(addr) != (l->p->family == 0))
		return 0;
	for (size_t i = 0; i < cfg->services.node_ports.n; i++)
		if (prefix_contains(&cfg->services.node_ports.v[i], addr))
			add_front(l, addr, l->p->port.node_port,
				  host ? LOOM_SVC_HOSTPORT : LOOM_SVC_NODEPORT);
	return 0;
}

static void add_node_port(struct fronts *l)
{
	bool host = l->p->service->obj->host_ports;
	union loom_addr any = {};

	if (!l->p->port.node_port)
		return;
	if (!addr_is_zero(&l->p->port.host_ip)) {
		if (addr_is_v4(&l->p->port.host_ip) == (l->p->family == 0))
			add_front(l, &l->p->port.host_ip, l->p->port.node_port, LOOM_SVC_HOSTPORT);
		return;
	}
	if (agent_cfg(l->s->agent)->services.node_ports.n) {
		uplink_host_addresses(l->s->agent, add_node_address, l);
		return;
	}
	if (l->p->family == 0)
		addr_from_v4(0, &any);
	add_front(l, &any, l->p->port.node_port, host ? LOOM_SVC_HOSTPORT : LOOM_SVC_NODEPORT);
}

/* Those that the program had and has no longer are dropped; what both have keeps its place. */
static void set_fronts(struct services *s, struct program *p, struct fronts *want)
{
	struct frontend *old = p->fronts;
	size_t n_old = p->n_fronts;

	for (size_t i = 0; i < n_old; i++) {
		if (old[i].kind & EXTERNAL_KINDS)
			svcmaps_port_put(s->maps, LOOM_PORTS_FRONT, ntohs(old[i].key->key.port));
		wish_drop(&old[i]);
	}
	for (size_t i = 0; i < want->n; i++) {
		if (want->v[i].kind & EXTERNAL_KINDS)
			svcmaps_port_get(s->maps, LOOM_PORTS_FRONT,
					 ntohs(want->v[i].key->key.port));
		wish_add(&want->v[i]);
	}
	p->fronts = want->v;
	p->n_fronts = want->n;
	for (size_t i = 0; i < n_old; i++) {
		bool kept = false;

		for (size_t k = 0; k < want->n && !kept; k++)
			kept = want->v[k].key == old[i].key;
		if (!kept)
			front_write(s, old[i].key);
	}
	for (size_t i = 0; i < want->n; i++)
		front_write(s, want->v[i].key);
	free(old);
}

static void wish_fronts(struct fronts *l, const struct service_object *obj)
{
	for (size_t i = 0; i < obj->n_addrs; i++)
		if (addr_is_v4(&obj->addrs[i].addr) == (l->p->family == 0))
			add_front(l, &obj->addrs[i].addr, l->p->port.port, obj->addrs[i].kind);
	add_node_port(l);
}

/* ---- backends ---- */

static void backend_value(const struct program *p, const struct want *w, struct loom_backend *ret)
{
	*ret = (struct loom_backend){ .addr = w->addr,
				      .port = htons(w->port),
				      .proto = p->port.proto,
				      .flags = w->flags,
				      .node = w->node };
}

static int backend_order(const struct backend *b, const struct want *w)
{
	int order = memcmp(&b->value.addr, &w->addr, sizeof(w->addr));

	return order ? order : (int)ntohs(b->value.port) - (int)w->port;
}

static void update_backend(struct services *s, struct program *p, struct backend *b,
			   const struct want *w)
{
	struct loom_backend v;
	bool was = b->value.flags & LOOM_BACKEND_READY, is;

	backend_value(p, w, &v);
	is = v.flags & LOOM_BACKEND_READY;
	if (was && !is && p->port.proto != IPPROTO_TCP)
		s->flows = true;
	if (v.flags != b->value.flags || v.node != b->value.node)
		fail(s, svcmaps_backend_set(s->maps, b->number, &v));
	b->value = v;
}

static bool new_backend(struct services *s, struct program *p, struct backend *b,
			const struct want *w)
{
	int err;

	backend_value(p, w, &b->value);
	err = svcmaps_backend_add(s->maps, &b->value, &b->number);
	if (err == -ENOSPC)
		return false;
	fail(s, err);
	if (!err && (w->flags & LOOM_BACKEND_HOST))
		svcmaps_port_get(s->maps, LOOM_PORTS_HOST_BACKEND, w->port);
	return !err;
}

/*
 * p->backends follows `w`; what has gone is left in `gone`, to be ended when no table names it any
 * more. numbers[i] is that of w->v[i], 0 when there was none left.
 */
static int set_backends(struct services *s, struct program *p, const struct wants *w,
			uint32_t *numbers, struct backend *gone, size_t *ret_gone)
{
	struct backend *v = calloc(w->n + 1, sizeof(*v));
	size_t n = 0, old = 0, left_out = 0;

	if (!v)
		return -ENOMEM;
	*ret_gone = 0;
	for (size_t i = 0; i < w->n; i++) {
		while (old < p->n_backends && backend_order(&p->backends[old], &w->v[i]) < 0)
			gone[(*ret_gone)++] = p->backends[old++];
		if (old < p->n_backends && backend_order(&p->backends[old], &w->v[i]) == 0) {
			v[n] = p->backends[old++];
			update_backend(s, p, &v[n], &w->v[i]);
		} else if (!new_backend(s, p, &v[n], &w->v[i])) {
			left_out++;
			continue;
		}
		numbers[i] = v[n++].number;
	}
	while (old < p->n_backends)
		gone[(*ret_gone)++] = p->backends[old++];
	free(p->backends);
	p->backends = v;
	p->n_backends = n;
	if (left_out)
		problems_add(
			&p->service->problems,
			"port %u: %zu of %zu endpoints are left out: all %u backends are in use",
			p->port.port, left_out, w->n, s->maps->fd.max_backends - 1);
	return 0;
}

/* ---- tables ---- */

/* Room for the table: where it is when the size is the same, else new; smaller when there is none
 * left, which makes a coarser table, not a wrong one. */
static bool table_room(struct services *s, struct program *p, enum table_kind kind, uint32_t size,
		       struct region *ret)
{
	if (p->tables[kind].size == size) {
		*ret = p->tables[kind];
		return true;
	}
	if (slots_take(&s->maps->slots, size, ret) == 0)
		return true;
	problems_add(&p->service->problems,
		     "port %u: no room for a table of %u slots; all %u of loom_lut are in use",
		     p->port.port, size, s->maps->fd.max_slots);
	return false;
}

static uint32_t slots_of(const struct services *s, enum table_kind kind)
{
	const struct agent_config *cfg = agent_cfg(s->agent);

	return kind == TABLE_OUT ? cfg->services.maglev_slots : cfg->services.local_weight;
}

/* The table without room keeps what it has, as far as that goes. */
static void shorten(struct program *p, enum table_kind kind, uint32_t **slots, uint32_t *n)
{
	uint32_t have = p->tables[kind].size;

	if (*n > have)
		*n = have;
	else
		have = *n;
	p->tables[kind].size = have;
}

static int set_table(struct services *s, struct program *p, enum table_kind kind,
		     const struct wants *w, const uint32_t *numbers, const bool *usable,
		     struct region *ret)
{
	_cleanup_(freep) uint32_t *slots = NULL;
	uint32_t n = 0, per = slots_of(s, kind);
	int err = compile_table(w, kind, usable, per, per, &slots, &n);

	if (err < 0)
		return err;
	if (!table_room(s, p, kind, n, ret)) {
		shorten(p, kind, &slots, &n);
		*ret = p->tables[kind];
	}
	for (uint32_t i = 0; i < n; i++)
		slots[i] = numbers[slots[i]];
	return svcmaps_slots_set(s->maps, ret, slots);
}

static bool needs_table(const struct program *p, enum table_kind kind)
{
	const struct service_object *obj = p->service->obj;
	bool external = p->port.node_port != 0;

	for (size_t i = 0; i < obj->n_addrs; i++)
		external |= obj->addrs[i].kind != LOOM_SVC_CLUSTER_IP;
	if (kind == TABLE_OUT)
		return external;
	return kind == TABLE_LOCAL ? obj->local_in : external || !obj->local_in;
}

static void set_tables(struct services *s, struct program *p, const struct wants *w,
		       const uint32_t *numbers, struct region old[N_TABLES])
{
	_cleanup_(freep) bool *usable = calloc(w->n + 1, sizeof(*usable));
	int err;

	if (!usable)
		return fail(s, -ENOMEM);
	for (size_t i = 0; i < w->n; i++)
		usable[i] = numbers[i] != 0;
	for (int kind = 0; kind < N_TABLES; kind++) {
		struct region now = {};

		old[kind] = (struct region){};
		err = needs_table(p, kind) ? set_table(s, p, kind, w, numbers, usable, &now) : 0;
		if (err < 0) {
			fail(s, err);
			continue;
		}
		if (memcmp(&now, &p->tables[kind], sizeof(now)) != 0) {
			if (now.first != p->tables[kind].first || !now.size)
				old[kind] = p->tables[kind];
			p->tables[kind] = now;
		}
	}
}

/* ---- source ranges ---- */

static bool has_range(const struct prefix *v, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(&v[i], p))
			return true;
	return false;
}

static void set_ranges(struct services *s, struct program *p, const struct prefix *v, size_t n)
{
	struct prefix *copy = calloc(n + 1, sizeof(*copy));
	size_t kept = 0;

	if (!copy)
		return fail(s, -ENOMEM);
	for (size_t i = 0; i < n; i++)
		if (addr_is_v4(&v[i].addr) == (p->family == 0) && !has_range(copy, kept, &v[i]))
			copy[kept++] = v[i];
	for (size_t i = 0; i < kept; i++)
		if (!has_range(p->ranges, p->n_ranges, &copy[i]))
			fail(s, svcmaps_range_add(s->maps, p->number, &copy[i]));
	for (size_t i = 0; i < p->n_ranges; i++)
		if (!has_range(copy, kept, &p->ranges[i]))
			svcmaps_range_del(s->maps, p->number, &p->ranges[i]);
	free(p->ranges);
	p->ranges = copy;
	p->n_ranges = kept;
}

/* ---- programs ---- */

/* What an earlier run of the agent gave this port: its number, and tables of the same size. */
static void adopt(struct services *s, struct program *p, const struct fronts *fronts)
{
	for (size_t i = 0; i < fronts->n && !p->number; i++) {
		const struct loom_svc *left = svcmaps_front_left(s->maps, &fronts->v[i].key->key);
		bool external = fronts->v[i].kind & EXTERNAL_KINDS;
		int in = !external && p->service->obj->local_in ? TABLE_LOCAL : TABLE_CLUSTER;

		if (!left || fronts->v[i].key->wishes)
			continue;
		p->number = left->service;
		p->tables[in] = svcmaps_region_claim(s->maps, left->in, left->in_size);
		if (external)
			p->tables[TABLE_OUT] =
				svcmaps_region_claim(s->maps, left->out, left->out_size);
	}
	/* The rest of its tables may stand at other frontends. */
	for (size_t i = 0; i < fronts->n && p->number; i++) {
		const struct loom_svc *left = svcmaps_front_left(s->maps, &fronts->v[i].key->key);
		bool external = fronts->v[i].kind & EXTERNAL_KINDS;
		int in = !external && p->service->obj->local_in ? TABLE_LOCAL : TABLE_CLUSTER;

		if (!left || left->service != p->number)
			continue;
		if (!p->tables[in].size)
			p->tables[in] = svcmaps_region_claim(s->maps, left->in, left->in_size);
		if (external && !p->tables[TABLE_OUT].size)
			p->tables[TABLE_OUT] =
				svcmaps_region_claim(s->maps, left->out, left->out_size);
	}
	if (!p->number)
		p->number = s->maps->next_service++;
}

static void run_program(struct services *s, struct program *p, const struct wants *w)
{
	_cleanup_(freep) uint32_t *numbers = calloc(w->n + 1, sizeof(*numbers));
	_cleanup_(freep) struct backend *gone = calloc(p->n_backends + 1, sizeof(*gone));
	struct fronts fronts = { .s = s, .p = p };
	struct region old[N_TABLES] = {};
	size_t n_gone = 0;
	int err;

	if (!numbers || !gone)
		return fail(s, -ENOMEM);
	wish_fronts(&fronts, p->service->obj);
	if (!p->number)
		adopt(s, p, &fronts);
	p->silent_in = w->silent_in;
	p->silent_out = w->silent_out;
	err = set_backends(s, p, w, numbers, gone, &n_gone);
	if (err < 0) {
		fail(s, err);
	} else {
		set_tables(s, p, w, numbers, old);
		set_ranges(s, p, p->service->obj->ranges, p->service->obj->n_ranges);
	}
	set_fronts(s, p, &fronts);
	for (int kind = 0; kind < N_TABLES; kind++)
		free_region(s, &old[kind]);
	for (size_t i = 0; i < n_gone; i++)
		end_backend(s, &gone[i]);
}

static void program_free(struct program *p)
{
	free(p->backends);
	free(p->fronts);
	free(p->ranges);
	free(p->port_name);
	free(p);
}

static void withdraw_program(struct services *s, struct program *p)
{
	struct fronts none = { .s = s, .p = p };

	set_fronts(s, p, &none);
	for (size_t i = 0; i < p->n_ranges; i++)
		svcmaps_range_del(s->maps, p->number, &p->ranges[i]);
	for (int kind = 0; kind < N_TABLES; kind++)
		free_region(s, &p->tables[kind]);
	for (size_t i = 0; i < p->n_backends; i++)
		end_backend(s, &p->backends[i]);
	program_free(p);
}

static struct program *program_find(struct service *svc, const struct service_port *port,
				    int family)
{
	struct program *p;

	for (p = svc->programs; p; p = p->next)
		if (p->family == family && p->port.port == port->port &&
		    p->port.proto == port->proto && strcmp(p->port_name, port->name) == 0)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->port_name = strdup(port->name);
	if (!p->port_name) {
		free(p);
		return NULL;
	}
	p->service = svc;
	p->family = family;
	p->next = svc->programs;
	svc->programs = p;
	return p;
}

static void program_port(struct services *s, struct service *svc, const struct service_port *port,
			 int family, struct slice_object *const *slices, size_t n_slices,
			 const struct here *here)
{
	struct program *p = program_find(svc, port, family);
	struct wants w = {};

	if (!p || compile_port(svc->obj, port, family, slices, n_slices, here, &w) < 0)
		return fail(s, -ENOMEM);
	p->port = *port;
	p->port.name = p->port_name;
	p->stale = false;
	run_program(s, p, &w);
	wants_clear(&w);
}

static void drop_stale(struct services *s, struct service *svc)
{
	struct program **at = &svc->programs;

	while (*at) {
		struct program *p = *at;

		if (!p->stale) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		withdraw_program(s, p);
	}
}

static void tell_conflicts(struct service *svc)
{
	for (struct program *p = svc->programs; p; p = p->next)
		for (size_t i = 0; i < p->n_fronts; i++) {
			struct frontend *f = &p->fronts[i], *winner = front_winner(f->key);
			char addr[ADDR_STRLEN];

			addr_format(&f->key->key.addr, addr);
			if (winner != f)
				problems_add(&svc->problems, "%s port %u is of service '%s'", addr,
					     ntohs(f->key->key.port),
					     winner->program->service->name);
			else if (f->refused)
				problems_add(&svc->problems,
					     "%s port %u is left out: loom_svc or loom_vip is full",
					     addr, ntohs(f->key->key.port));
		}
}

void service_program(struct services *s, struct service *svc, const struct here *here)
{
	_cleanup_(freep) struct slice_object **slices = NULL;
	size_t n = 0;

	for (struct slice *sl = svc->slices; sl; sl = sl->next)
		n++;
	slices = calloc(n + 1, sizeof(*slices));
	if (!slices)
		return fail(s, -ENOMEM);
	n = 0;
	for (struct slice *sl = svc->slices; sl; sl = sl->next)
		slices[n++] = sl->obj;
	problems_clear(&svc->problems);
	for (struct program *p = svc->programs; p; p = p->next)
		p->stale = true;
	for (size_t i = 0; svc->obj && i < svc->obj->n_ports; i++)
		for (int family = 0; family < 2; family++)
			if (svc->obj->families[family])
				program_port(s, svc, &svc->obj->ports[i], family, slices, n, here);
	drop_stale(s, svc);
	tell_conflicts(svc);
	s->compiled++;
}

void service_withdraw(struct services *s, struct service *svc)
{
	while (svc->programs) {
		struct program *p = svc->programs;

		svc->programs = p->next;
		withdraw_program(s, p);
	}
	problems_clear(&svc->problems);
}
