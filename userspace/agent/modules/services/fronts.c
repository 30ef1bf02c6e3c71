// SPDX-License-Identifier: Apache-2.0
/* Frontends: who has which, and what the map says of it. */
#define LOG_NAME "services"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/private.h"
#include "agent/modules/uplink/uplink.h"
#include "lib/base/log.h"

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
		services_fail(s, svcmaps_front_del(s->maps, &k->key));
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
		services_fail(s, err);
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
			return services_fail(l->s, -ENOMEM);
		l->v = v;
		l->room = room;
	}
	l->v[l->n] = (struct frontend){ .program = l->p, .kind = kind };
	l->v[l->n].key = key_find(l->s, &key);
	if (!l->v[l->n].key)
		return services_fail(l->s, -ENOMEM);
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
void fronts_set(struct services *s, struct program *p, struct fronts *want)
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

void fronts_wish(struct fronts *l, const struct service_object *obj)
{
	for (size_t i = 0; i < obj->n_addrs; i++)
		if (addr_is_v4(&obj->addrs[i].addr) == (l->p->family == 0))
			add_front(l, &obj->addrs[i].addr, l->p->port.port, obj->addrs[i].kind);
	add_node_port(l);
}
