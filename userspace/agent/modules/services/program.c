// SPDX-License-Identifier: Apache-2.0
/* From what a service shall be to what the maps say of it, changing only what differs. */
#define LOG_NAME "services"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/private.h"
#include "lib/base/log.h"

void services_fail(struct services *s, int err)
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
		services_fail(s, svcmaps_backend_set(s->maps, b->number, &v));
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
	services_fail(s, err);
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
		return services_fail(s, -ENOMEM);
	for (size_t i = 0; i < w->n; i++)
		usable[i] = numbers[i] != 0;
	for (int kind = 0; kind < N_TABLES; kind++) {
		struct region now = {};

		old[kind] = (struct region){};
		err = needs_table(p, kind) ? set_table(s, p, kind, w, numbers, usable, &now) : 0;
		if (err < 0) {
			services_fail(s, err);
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
		return services_fail(s, -ENOMEM);
	for (size_t i = 0; i < n; i++)
		if (addr_is_v4(&v[i].addr) == (p->family == 0) && !has_range(copy, kept, &v[i]))
			copy[kept++] = v[i];
	for (size_t i = 0; i < kept; i++)
		if (!has_range(p->ranges, p->n_ranges, &copy[i]))
			services_fail(s, svcmaps_range_add(s->maps, p->number, &copy[i]));
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
		return services_fail(s, -ENOMEM);
	fronts_wish(&fronts, p->service->obj);
	if (!p->number)
		adopt(s, p, &fronts);
	p->silent_in = w->silent_in;
	p->silent_out = w->silent_out;
	err = set_backends(s, p, w, numbers, gone, &n_gone);
	if (err < 0) {
		services_fail(s, err);
	} else {
		set_tables(s, p, w, numbers, old);
		set_ranges(s, p, p->service->obj->ranges, p->service->obj->n_ranges);
	}
	fronts_set(s, p, &fronts);
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

	fronts_set(s, p, &none);
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
		return services_fail(s, -ENOMEM);
	p->port = *port;
	p->port.name = p->port_name;
	p->stale = false;
	svc->local_ready = MAX(svc->local_ready, w.local_ready);
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
		return services_fail(s, -ENOMEM);
	n = 0;
	for (struct slice *sl = svc->slices; sl; sl = sl->next)
		slices[n++] = sl->obj;
	problems_clear(&svc->problems);
	svc->local_ready = 0;
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
