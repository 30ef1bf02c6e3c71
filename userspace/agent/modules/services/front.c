// SPDX-License-Identifier: Apache-2.0
/* Frontends: which ones a side wants, and who gets one that several want. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/left.h"
#include "agent/modules/services/private.h"
#include "lib/base/grow.h"
#include "lib/bpf/walk.h"

#define EXTERNAL_KINDS \
	(LOOM_SVC_NODEPORT | LOOM_SVC_EXTERNAL_IP | LOOM_SVC_LOADBALANCER | LOOM_SVC_HOSTPORT)

bool front_is_external(uint32_t kind)
{
	return kind & EXTERNAL_KINDS;
}

/* ---- what a side wants ---- */

static int add_wish(struct wishes *w, const struct side *side, const union loom_addr *addr,
		    uint16_t port, uint32_t kind)
{
	struct wish one = { .kind = kind };

	if (addr_is_v4(addr) != (side->family == 0))
		return 0;
	one.key.addr = *addr;
	one.key.port = htons(port);
	one.key.proto = side->program->port.proto;
	for (size_t i = 0; i < w->n; i++)
		if (memcmp(&w->v[i].key, &one.key, sizeof(one.key)) == 0)
			return 0;
	if (grow_room(&w->v, &w->room, w->n + 1, sizeof(*w->v)) < 0)
		return -ENOMEM;
	w->v[w->n++] = one;
	return 0;
}

/* With services.nodePortAddresses: those of this node's addresses that it names. */
static int add_own_addresses(struct services *s, const struct side *side, struct wishes *w)
{
	const struct config_prefixes *only = &agent_cfg(s->agent)->services.node_ports;
	int err = 0;

	for (size_t i = 0; !err && i < s->nodes.n_own; i++)
		for (size_t k = 0; !err && k < only->n; k++)
			if (prefix_contains(&only->v[k], &s->nodes.own[i]))
				err = add_wish(w, side, &s->nodes.own[i],
					       side->program->port.node_port, LOOM_SVC_NODEPORT);
	return err;
}

static int add_node_port(struct services *s, const struct side *side, struct wishes *w)
{
	const struct service_port *port = &side->program->port;
	bool host = side->program->service->obj->host_ports;
	uint32_t kind = host ? LOOM_SVC_HOSTPORT : LOOM_SVC_NODEPORT;
	union loom_addr any = {};

	if (!port->node_port)
		return 0;
	if (!addr_is_zero(&port->host_ip))
		return add_wish(w, side, &port->host_ip, port->node_port, kind);
	if (!host && agent_cfg(s->agent)->services.node_ports.n)
		return add_own_addresses(s, side, w);
	if (side->family == 0)
		addr_from_v4(0, &any);
	return add_wish(w, side, &any, port->node_port, kind);
}

int side_wishes(struct services *s, const struct side *side, struct wishes *ret)
{
	const struct service_object *obj = side->program->service->obj;
	struct wishes w = {};
	int err = 0;

	for (size_t i = 0; !err && i < obj->n_addrs; i++)
		err = add_wish(&w, side, &obj->addrs[i].addr, side->program->port.port,
			       obj->addrs[i].kind);
	if (!err)
		err = add_node_port(s, side, &w);
	if (err < 0)
		free(w.v);
	else
		*ret = w;
	return err;
}

/* ---- who gets it ---- */

static const char *since(const struct frontend *f)
{
	return f->side->program->service->obj->created;
}

/* What the cluster gives out comes before what anybody may write into an object: who may make a
 * Service must not get another one's traffic by naming its address. */
static unsigned int rank(const struct frontend *f)
{
	switch (f->kind) {
	case LOOM_SVC_CLUSTER_IP:
		return 0;
	case LOOM_SVC_LOADBALANCER:
		return 1;
	case LOOM_SVC_EXTERNAL_IP:
		return 3;
	default: /* node ports and host ports */
		return 2;
	}
}

static bool is_before(const struct frontend *a, const struct frontend *b)
{
	int order = strcmp(since(a), since(b));

	return order ? order < 0
		     : strcmp(a->side->program->service->title, b->side->program->service->title) <
			       0;
}

/*
 * Of those of the first rank the oldest Service. Of a pod's hostPort, and of objects without a
 * creationTimestamp, the age is not known: who has the frontend keeps it, and comes behind those
 * whose age is known otherwise.
 */
static struct frontend *winner(const struct front_key *k, struct frontend *holder)
{
	struct frontend *known = NULL, *other = NULL;
	unsigned int first = UINT_MAX;

	for (struct frontend *f = k->wishes; f; f = f->next_of_key)
		first = MIN(first, rank(f));
	if (holder && !*since(holder) && rank(holder) == first)
		return holder;
	for (struct frontend *f = k->wishes; f; f = f->next_of_key) {
		struct frontend **best = *since(f) ? &known : &other;

		if (rank(f) == first && (!*best || is_before(f, *best)))
			*best = f;
	}
	return known ?: other;
}

const char *front_problem(const struct frontend *f, char *buf, size_t len)
{
	const struct frontend *best = f->key->holder ?: winner(f->key, NULL);
	const struct service *svc = best->side->program->service;

	if (best != f && svc == f->side->program->service)
		snprintf(buf, len, "another port of this service has it");
	else if (best != f)
		snprintf(buf, len, "%s '%s' has it",
			 svc->obj->host_ports ? "a hostPort of pod" : "service", svc->title);
	else if (f->full)
		snprintf(buf, len, "left out: no room in loom_svc or loom_vip");
	else
		return NULL;
	return buf;
}

/* ---- what the map says ---- */

static const struct region *in_table(const struct frontend *f)
{
	bool local = !front_is_external(f->kind) && f->side->program->service->obj->local_in;

	return &f->side->tables[local ? TABLE_LOCAL : TABLE_CLUSTER];
}

static void set_outside(const struct services *s, const struct frontend *f, struct loom_svc *v)
{
	const struct service_object *obj = f->side->program->service->obj;
	const struct region *out = &f->side->tables[TABLE_OUT];

	v->flags |= LOOM_SVC_EXTERNAL;
	v->out = out->size ? out->first : 0;
	v->out_size = out->size;
	if (obj->local_out)
		v->flags |= LOOM_SVC_LOCAL_OUT | (f->side->silent_out ? LOOM_SVC_SILENT_OUT : 0);
	else if (agent_cfg(s->agent)->services.mode == SERVICES_DSR && f->kind != LOOM_SVC_HOSTPORT)
		v->flags |= LOOM_SVC_DSR;
	if (f->kind == LOOM_SVC_LOADBALANCER && obj->has_ranges)
		v->flags |= LOOM_SVC_SRCRANGE;
}

static struct loom_svc value_of(const struct services *s, const struct frontend *f)
{
	const struct service_object *obj = f->side->program->service->obj;
	const struct region *in = in_table(f);
	struct loom_svc v = { .service = f->side->program->number,
			      .vip = f->key->vip,
			      .in = in->size ? in->first : 0,
			      .in_size = in->size,
			      .flags = f->kind };

	if (obj->affinity) {
		v.flags |= LOOM_SVC_AFFINITY;
		v.affinity_s = obj->affinity_s;
	}
	if (front_is_external(f->kind))
		set_outside(s, f, &v);
	else if (obj->local_in)
		v.flags |= LOOM_SVC_LOCAL_IN | (f->side->silent_in ? LOOM_SVC_SILENT_IN : 0);
	return v;
}

static void key_remove(struct services *s, struct front_key *k)
{
	if (k->is_written) {
		services_fail(s, svcmaps_front_del(s->maps, &k->key));
		services_room(s);
	}
	if (k->vip)
		svcmaps_vip_put(s->maps, &k->key.addr);
	HASH_DEL(s->keys, k);
	free(k);
}

/* True: somebody of before had it, who is not `f`, and may still turn up. */
static bool waits_for_holder(const struct services *s, const struct frontend *f)
{
	const struct loom_svc *left = left_front(s->maps, &f->key->key);

	return !s->settling && left && !f->key->is_written &&
	       left->service != f->side->program->number;
}

static void key_write(struct services *s, struct front_key *k, struct frontend *f)
{
	const struct loom_svc v = value_of(s, f);
	int err;

	if (k->is_written && memcmp(&v, &k->written, sizeof(v)) == 0) {
		k->holder = f;
		f->full = false;
		return;
	}
	/* UDP that has passed the frontend by comes by it from now on. */
	if (!k->is_written && k->key.proto == IPPROTO_UDP && !left_front(s->maps, &k->key))
		flows_want(s);
	err = svcmaps_front_set(s->maps, &k->key, &v);
	f->full = err == -E2BIG || err == -ENOSPC;
	if (err == 0) {
		k->holder = f;
		k->written = v;
		k->is_written = true;
	} else if (!f->full) {
		services_fail(s, err);
	}
}

/* Who has the key: of before, as long as nobody has written it in this run. */
static struct frontend *holder_of(const struct services *s, const struct front_key *k)
{
	const struct loom_svc *left = k->holder ? NULL : left_front(s->maps, &k->key);

	for (struct frontend *f = left ? k->wishes : NULL; f; f = f->next_of_key)
		if (f->side->program->number == left->service)
			return f;
	return k->holder;
}

/* After a change of the key's wishes, or of what is behind them. */
static void key_sync(struct services *s, struct front_key *k)
{
	struct frontend *f = winner(k, holder_of(s, k));

	if (!f) {
		key_remove(s, k);
		return;
	}
	if (waits_for_holder(s, f))
		return;
	if (!k->vip && !addr_is_zero(&k->key.addr)) {
		k->vip = svcmaps_vip_get(s->maps, &k->key.addr);
		if (!k->vip) {
			f->full = true;
			return;
		}
	}
	key_write(s, k, f);
}

/* ---- wishes come and go ---- */

static struct front_key *key_get(struct services *s, const struct loom_svckey *key)
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

static struct frontend *front_of(const struct side *side, const struct loom_svckey *key)
{
	for (struct frontend *f = side->fronts; f; f = f->next_of_side)
		if (memcmp(&f->key->key, key, sizeof(*key)) == 0)
			return f;
	return NULL;
}

/* Ports of what clients outside may ask for are looked up on the node's own addresses too. */
static void front_set_kind(struct services *s, struct frontend *f, uint32_t kind)
{
	bool was = front_is_external(f->kind), is = front_is_external(kind);
	uint16_t port = ntohs(f->key->key.port);

	f->kind = kind;
	if (is && !was)
		services_fail(s, svcmaps_port_get(s->maps, LOOM_PORTS_FRONT, port));
	else if (was && !is)
		services_fail(s, svcmaps_port_put(s->maps, LOOM_PORTS_FRONT, port));
}

static struct frontend *front_add(struct services *s, struct side *side, const struct wish *w)
{
	struct frontend *f = calloc(1, sizeof(*f));
	struct front_key *k = f ? key_get(s, &w->key) : NULL;

	if (!k) {
		free(f);
		services_fail(s, -ENOMEM);
		return NULL;
	}
	*f = (struct frontend){
		.side = side, .key = k, .next_of_side = side->fronts, .next_of_key = k->wishes
	};
	side->fronts = f;
	k->wishes = f;
	front_set_kind(s, f, w->kind);
	return f;
}

/* Out of both lists. */
static void front_unlink(struct frontend *f)
{
	struct frontend **at;

	for (at = &f->key->wishes; *at != f; at = &(*at)->next_of_key)
		;
	*at = f->next_of_key;
	for (at = &f->side->fronts; *at != f; at = &(*at)->next_of_side)
		;
	*at = f->next_of_side;
	if (f->key->holder == f)
		f->key->holder = NULL;
}

static void drop_stale(struct services *s, struct side *side)
{
	struct frontend *next;

	for (struct frontend *f = side->fronts; f; f = next) {
		struct front_key *k = f->key;

		next = f->next_of_side;
		if (!f->stale)
			continue;
		front_set_kind(s, f, 0);
		front_unlink(f);
		free(f);
		key_sync(s, k);
	}
}

/* What both have keeps its place, whatever kind it was: no packet meets a gap. */
void side_fronts_set(struct services *s, struct side *side, const struct wishes *w)
{
	for (struct frontend *f = side->fronts; f; f = f->next_of_side)
		f->stale = true;
	for (size_t i = 0; i < w->n; i++) {
		struct frontend *f = front_of(side, &w->v[i].key);

		if (!f)
			continue;
		f->stale = false;
		front_set_kind(s, f, w->v[i].kind);
	}
	drop_stale(s, side);
	for (size_t i = 0; i < w->n; i++) {
		struct frontend *f = front_of(side, &w->v[i].key);

		if (!f)
			f = front_add(s, side, &w->v[i]);
		if (f)
			key_sync(s, f->key);
	}
}

void fronts_forget(struct services *s, struct side *side)
{
	while (side->fronts) {
		struct frontend *f = side->fronts;
		struct front_key *k = f->key;

		front_unlink(f);
		free(f);
		if (k->wishes)
			continue;
		HASH_DEL(s->keys, k);
		free(k);
	}
}

/* ---- all of them ---- */

void fronts_settle(struct services *s)
{
	struct front_key *k, *next;

	s->settling = true;
	HASH_ITER (hh, s->keys, k, next)
		key_sync(s, k);
	s->settling = false;
}

static int check_entry(const void *key, const void *value, void *arg)
{
	struct services *s = arg;
	struct loom_svckey copy;
	struct front_key *k;

	memcpy(&copy, key, sizeof(copy));
	HASH_FIND(hh, s->keys, &copy, sizeof(copy), k);
	if (!k || !k->is_written)
		services_fail(s, svcmaps_front_del(s->maps, &copy));
	return 0;
}

/* What somebody else did to the map is undone. */
void fronts_check(struct services *s)
{
	struct loom_svc now;

	for (struct front_key *k = s->keys; k; k = k->hh.next)
		if (k->is_written && (bpf_map_lookup_elem(s->maps->fd.svc, &k->key, &now) < 0 ||
				      memcmp(&now, &k->written, sizeof(now)) != 0))
			services_fail(s, svcmaps_front_set(s->maps, &k->key, &k->written));
	if (s->swept)
		services_fail(s, map_walk(s->maps->fd.svc, check_entry, s));
}
