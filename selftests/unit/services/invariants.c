// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/services/invariants.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "lib/bpf/walk.h"

struct check {
	struct fake *f;
	struct services *s;
	const char *broken;
	size_t fronts;
	uint8_t *slots; /* in use, by slot */
};

static bool is_number_of(const struct side *side, uint32_t number)
{
	for (size_t i = 0; i < side->n_backends; i++)
		if (side->backends[i].number == number)
			return true;
	return false;
}

static void check_slots(struct check *c, const struct side *side, uint8_t proto, uint32_t first,
			uint32_t size)
{
	for (uint32_t i = 0; i < size && !c->broken; i++) {
		uint32_t number = svcmaps_slot(c->s->maps, first + i);
		struct loom_backend b = {};

		bpf_map_lookup_elem(c->f->maps.backend, &number, &b);
		if (!number || !is_number_of(side, number))
			c->broken = "a slot names a backend that is not the service's";
		else if ((b.flags &
			  (LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY | LOOM_BACKEND_GONE)) !=
			 (LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY))
			c->broken = "a slot names a backend that takes no flows";
		else if (b.proto != proto || addr_is_v4(&b.addr) != (side->family == 0) || !b.gen)
			c->broken = "a slot names a backend of another kind";
	}
}

static int check_front(const void *key, const void *value, void *arg)
{
	struct check *c = arg;
	struct loom_svckey k;
	struct loom_svc v;
	struct front_key *fk;
	union loom_addr vip = {};

	memcpy(&k, key, sizeof(k));
	memcpy(&v, value, sizeof(v));
	HASH_FIND(hh, c->s->keys, &k, sizeof(k), fk);
	c->fronts++;
	if (!fk || !fk->holder) {
		c->broken = c->s->swept ? "a frontend is nobody's" : NULL;
		return c->broken != NULL;
	}
	if (memcmp(&v, &fk->written, sizeof(v)) != 0 ||
	    v.service != fk->holder->side->program->number)
		c->broken = "a frontend is not what was written";
	bpf_map_lookup_elem(c->f->maps.vip, &v.vip, &vip);
	if (addr_is_zero(&k.addr) ? v.vip != 0 : !addr_equal(&vip, &k.addr))
		c->broken = "a frontend's number is not its address's";
	if (!c->broken)
		check_slots(c, fk->holder->side, k.proto, v.in, v.in_size);
	if (!c->broken)
		check_slots(c, fk->holder->side, k.proto, v.out, v.out_size);
	return c->broken != NULL;
}

static void take_slots(struct check *c, const struct region *r)
{
	for (uint32_t i = 0; i < r->size && !c->broken; i++) {
		if (r->first + i >= c->f->maps.max_slots || c->slots[r->first + i])
			c->broken = "two regions overlap";
		else
			c->slots[r->first + i] = 1;
	}
}

static void check_regions(struct check *c)
{
	const struct slots *slots = &c->s->maps->slots;

	for (size_t i = 0; i < slots->n_gaps; i++)
		take_slots(c, &slots->gaps[i]);
	for (size_t i = 0; i < c->s->flows.n_freed; i++)
		take_slots(c, &c->s->flows.freed[i]);
	for (struct service *svc = c->s->all; svc; svc = svc->hh.next)
		for (struct program *p = svc->programs; p; p = p->next)
			for (int family = 0; family < 2; family++)
				for (int kind = 0; kind < N_TABLES; kind++)
					take_slots(c, &p->sides[family].tables[kind]);
	for (uint32_t i = 0; c->s->swept && i < c->f->maps.max_slots && !c->broken; i++)
		if (!c->slots[i])
			c->broken = "a slot is lost";
}

static void check_numbers(struct check *c)
{
	uint8_t *seen = calloc(c->f->maps.max_backends, 1);

	for (struct service *svc = c->s->all; svc && !c->broken; svc = svc->hh.next)
		for (struct program *p = svc->programs; p; p = p->next)
			for (int family = 0; family < 2; family++)
				for (size_t i = 0; i < p->sides[family].n_backends; i++) {
					uint32_t n = p->sides[family].backends[i].number;

					if (seen[n]++ || c->s->maps->numbers[n] != NUMBER_USED)
						c->broken = "two backends have one number";
				}
	free(seen);
}

static void check_ports(struct check *c)
{
	const uint32_t *refs = c->s->maps->port_refs[LOOM_PORTS_FRONT];
	uint64_t word = 0;

	for (struct front_key *k = c->s->keys; k && !c->broken; k = k->hh.next) {
		uint16_t port = ntohs(k->key.port);
		uint32_t at = port / 64;

		if (!k->holder || !front_is_external(k->holder->kind))
			continue;
		bpf_map_lookup_elem(c->f->maps.ports, &at, &word);
		if (!refs[port] || !(word >> (port & 63) & 1))
			c->broken = "a frontend's port is not in loom_ports";
	}
}

static void check_all_ports(struct check *c)
{
	const uint32_t *refs = c->s->maps->port_refs[LOOM_PORTS_FRONT];
	uint64_t word = 0;

	for (uint32_t at = 0; at < LOOM_PORTS_WORDS && !c->broken; at++) {
		bpf_map_lookup_elem(c->f->maps.ports, &at, &word);
		for (uint32_t bit = 0; c->s->swept && bit < 64; bit++)
			if ((word >> bit & 1) != (refs[at * 64 + bit] > 0))
				c->broken = "loom_ports has a port that is nobody's";
	}
}

const char *invariants_broken(struct fake *f, bool all)
{
	struct check c = { .f = f, .s = fake_services(f) };

	if (!c.s->maps)
		return NULL;
	c.slots = calloc(f->maps.max_slots, 1);
	map_walk(f->maps.svc, check_front, &c);
	if (!c.broken)
		check_regions(&c);
	if (!c.broken)
		check_numbers(&c);
	if (!c.broken)
		check_ports(&c);
	if (!c.broken && all)
		check_all_ports(&c);
	free(c.slots);
	return c.broken;
}
