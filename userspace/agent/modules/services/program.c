// SPDX-License-Identifier: Apache-2.0
/*
 * From what a service shall be to what the maps say of it, changing only what differs. The order is
 * that of shared/loom_svc.h: backends, tables, frontends; and the other way round for what goes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/modules/services/backends.h"
#include "agent/modules/services/left.h"
#include "agent/modules/services/private.h"
#include "agent/modules/services/ranges.h"
#include "agent/modules/services/tables.h"

/* What a service's ports are made of. */
struct parts {
	struct slice_object **slices;
	struct prefix *ranges; /* of ranges_list() */
	size_t n_slices, n_ranges;
};

/* ---- what an earlier run had ---- */

/* A pod's hostPort is known by the pod's address: another pod may want the same one. */
static bool is_ours(const struct services *s, const struct side *side, const struct wish *w,
		    const struct loom_svc *left)
{
	const union loom_addr *pod = host_ports_pod(side->program->service, side->family);
	const struct loom_backend *b;

	if (!(left->flags & w->kind))
		return false;
	if (!pod)
		return true;
	b = left_first_backend(s->maps, left);
	return b && addr_equal(&b->addr, pod);
}

static void adopt_tables(struct services *s, struct side *side, const struct wish *w,
			 const struct loom_svc *left)
{
	bool external = front_is_external(w->kind);
	bool local = !external && side->program->service->obj->local_in;
	struct region *in = &side->tables[local ? TABLE_LOCAL : TABLE_CLUSTER];
	struct region *out = &side->tables[TABLE_OUT];

	if (!in->size)
		*in = left_claim_region(s->maps, left->in, left->in_size);
	if (external && !out->size)
		*out = left_claim_region(s->maps, left->out, left->out_size);
}

/* The number and the tables that the port had: from the first frontend that nobody else got. */
static void adopt(struct services *s, struct program *p, const struct wishes w[2])
{
	for (int family = 0; family < 2; family++)
		for (size_t i = 0; i < w[family].n; i++) {
			const struct wish *one = &w[family].v[i];
			const struct loom_svc *left = left_front(s->maps, &one->key);

			if (!left || !is_ours(s, &p->sides[family], one, left))
				continue;
			if (!p->number && left_claim_service(s->maps, left->service))
				p->number = left->service;
			if (p->number == left->service)
				adopt_tables(s, &p->sides[family], one, left);
		}
}

/* ---- one port ---- */

static void run_side(struct services *s, struct side *side, const struct wants *w,
		     const struct wishes *fronts)
{
	struct region freed[N_TABLES] = {};
	struct backends_change change = {};
	int err = backends_set(s, side, w, &change);

	if (err < 0) {
		services_fail(s, err);
	} else {
		side->silent_in = w->silent_in;
		side->silent_out = w->silent_out;
		tables_set(s, side, w, change.numbers, freed);
	}
	side_fronts_set(s, side, fronts);
	for (int kind = 0; kind < N_TABLES; kind++)
		flows_free_slots(s, &freed[kind]);
	backends_end(s, &change);
}

static void withdraw_side(struct services *s, struct side *side)
{
	const struct wishes none = {};
	const struct wants nobody = {};

	run_side(s, side, &nobody, &none);
	for (int kind = 0; kind < N_TABLES; kind++) {
		flows_free_slots(s, &side->tables[kind]);
		side->tables[kind] = (struct region){};
	}
}

static void program_free(struct program *p)
{
	for (int family = 0; family < 2; family++)
		free(p->sides[family].backends);
	free(p->ranges);
	free(p->former_name);
	free(p->port_name);
	free(p);
}

static struct program *program_new(struct service *svc, const struct service_port *port)
{
	struct program *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->port_name = strdup(port->name);
	if (!p->port_name) {
		free(p);
		return NULL;
	}
	p->service = svc;
	for (int family = 0; family < 2; family++) {
		p->sides[family].program = p;
		p->sides[family].family = family;
	}
	p->next = svc->programs;
	svc->programs = p;
	return p;
}

static bool same_number(const struct service_port *a, const struct service_port *b)
{
	return a->port == b->port && a->proto == b->proto;
}

static bool same_port(const struct service_port *a, const struct service_port *b)
{
	return same_number(a, b) && strcmp(a->name, b->name) == 0;
}

static struct program *program_find(const struct service *svc, const struct service_port *port)
{
	struct program *p;

	for (p = svc->programs; p && !same_port(&p->port, port); p = p->next)
		;
	return p;
}

/* The program that has been this port's under another name; NULL when it can't be told: the API
 * gives a number to one port only, but who writes to etcd may not. */
static struct program *program_renamed(const struct service *svc, const struct service_port *port)
{
	struct program *found = NULL;
	size_t n_ports = 0, n_programs = 0;

	for (size_t i = 0; i < svc->obj->n_ports; i++)
		n_ports += same_number(&svc->obj->ports[i], port);
	for (struct program *p = svc->programs; p; p = p->next)
		if (same_number(&p->port, port)) {
			found = p;
			n_programs++;
		}
	return n_ports == 1 && n_programs == 1 ? found : NULL;
}

/* Its connections go on. Slices have the new name a moment later. */
static int program_rename(struct program *p, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	free(p->former_name);
	p->former_name = p->port_name;
	p->port_name = copy;
	return 0;
}

/* Not needed any more when no slice has it, or when another port is called so now. */
static bool needs_former(const struct service *svc, const struct program *p)
{
	for (size_t i = 0; i < svc->obj->n_ports; i++)
		if (svc->obj->ports[i].proto == p->port.proto &&
		    strcmp(svc->obj->ports[i].name, p->former_name) == 0)
			return false;
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		if (compile_names(sl->obj, p->former_name, p->port.proto))
			return true;
	return false;
}

static struct program *program_get(struct service *svc, const struct service_port *port)
{
	struct program *p = program_find(svc, port);

	if (!p) {
		p = program_renamed(svc, port);
		if (p && program_rename(p, port->name) < 0)
			return NULL;
	}
	if (!p)
		p = program_new(svc, port);
	if (!p)
		return NULL;
	p->port = *port;
	p->port.name = p->port_name;
	if (p->former_name && !needs_former(svc, p))
		free(TAKE_PTR(p->former_name));
	p->port.former = p->former_name;
	p->stale = false;
	return p;
}

static int find_wishes(struct services *s, const struct program *p, struct wishes ret[2])
{
	int err = 0;

	for (int family = 0; !err && family < 2; family++)
		if (p->service->obj->families[family])
			err = side_wishes(s, &p->sides[family], &ret[family]);
	return err;
}

static void program_sides(struct services *s, struct program *p, const struct parts *parts,
			  const struct wishes wishes[2])
{
	const struct service_object *obj = p->service->obj;

	for (int family = 0; family < 2; family++) {
		struct side *side = &p->sides[family];
		struct wants w = {};

		if (!obj->families[family]) {
			withdraw_side(s, side);
		} else if (compile_port(obj, &p->port, family, parts->slices, parts->n_slices,
					&s->nodes, &w) < 0) {
			services_fail(s, -ENOMEM);
		} else {
			run_side(s, side, &w, &wishes[family]);
			wants_clear(&w);
		}
	}
}

/* Source ranges are of load balancer addresses only. */
static bool needs_ranges(const struct wishes wishes[2])
{
	for (int family = 0; family < 2; family++)
		for (size_t i = 0; i < wishes[family].n; i++)
			if (wishes[family].v[i].kind == LOOM_SVC_LOADBALANCER)
				return true;
	return false;
}

static void program_port(struct services *s, struct service *svc, const struct service_port *port,
			 const struct parts *parts)
{
	struct program *p = program_get(svc, port);
	struct wishes wishes[2] = {};
	size_t n_ranges;

	if (!p || find_wishes(s, p, wishes) < 0) {
		services_fail(s, -ENOMEM);
	} else {
		if (!p->number)
			adopt(s, p, wishes);
		if (!p->number)
			p->number = svcmaps_service_new(s->maps);
		n_ranges = needs_ranges(wishes) ? parts->n_ranges : 0;
		ranges_open(s, p, parts->ranges, n_ranges);
		program_sides(s, p, parts, wishes);
		ranges_close(s, p, parts->ranges, n_ranges);
	}
	free(wishes[0].v);
	free(wishes[1].v);
}

/* ---- one service ---- */

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
		for (int family = 0; family < 2; family++)
			withdraw_side(s, &p->sides[family]);
		ranges_close(s, p, NULL, 0);
		program_free(p);
	}
}

static bool lacks_room(const struct service *svc)
{
	for (const struct program *p = svc->programs; p; p = p->next)
		for (int family = 0; family < 2; family++)
			for (const struct frontend *f = p->sides[family].fronts; f;
			     f = f->next_of_side)
				if (f->full)
					return true;
	return svc->problems.n || svc->problems.more;
}

struct slice_object **service_slices(const struct service *svc, size_t *ret_n)
{
	struct slice_object **v;
	size_t n = 0;

	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		n++;
	v = calloc(n + 1, sizeof(struct slice_object *));
	if (!v)
		return NULL;
	n = 0;
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		v[n++] = sl->obj;
	*ret_n = n;
	return v;
}

static void parts_clear(struct parts *p)
{
	free(p->slices);
	free(p->ranges);
}

static int parts_read(const struct service *svc, struct parts *ret)
{
	ret->slices = service_slices(svc, &ret->n_slices);
	if (!ret->slices)
		return -ENOMEM;
	return svc->obj ? ranges_list(svc->obj, &ret->ranges, &ret->n_ranges) : 0;
}

void service_program(struct services *s, struct service *svc)
{
	_cleanup_(parts_clear) struct parts parts = {};

	if (parts_read(svc, &parts) < 0)
		return services_fail(s, -ENOMEM);
	problems_clear(&svc->problems);
	for (struct program *p = svc->programs; p; p = p->next)
		p->stale = true;
	for (size_t i = 0; svc->obj && !svc->gone && i < svc->obj->n_ports; i++)
		program_port(s, svc, &svc->obj->ports[i], &parts);
	drop_stale(s, svc);
	service_check(s, svc);
	if (svc->gone) {
		service_object_free(svc->obj);
		svc->obj = NULL;
	}
	s->n_short -= svc->short_of_room;
	svc->short_of_room = lacks_room(svc);
	s->n_short += svc->short_of_room;
	s->compiled++;
}

void service_forget(struct services *s, struct service *svc)
{
	while (svc->programs) {
		struct program *p = svc->programs;

		svc->programs = p->next;
		for (int family = 0; family < 2; family++)
			fronts_forget(s, &p->sides[family]);
		program_free(p);
	}
}
