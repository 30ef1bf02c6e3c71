// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/backends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static struct loom_backend value_of(const struct side *side, const struct want *w)
{
	return (struct loom_backend){ .addr = w->addr,
				      .port = htons(w->port),
				      .proto = side->program->port.proto,
				      .flags = w->flags,
				      .node = w->node };
}

static int order_of(const struct backend *b, const struct want *w)
{
	int order = memcmp(&b->value.addr, &w->addr, sizeof(w->addr));

	return order ? order : (int)ntohs(b->value.port) - (int)w->port;
}

/* Their answers leave by the uplink, where the programs look for them by port. */
static void count_own(struct services *s, struct backend *b, bool own)
{
	uint16_t port = ntohs(b->value.port);

	if (b->own == own)
		return;
	b->own = own;
	services_fail(s, own ? svcmaps_port_get(s->maps, LOOM_PORTS_HOST_BACKEND, port)
			     : svcmaps_port_put(s->maps, LOOM_PORTS_HOST_BACKEND, port));
}

static void update(struct services *s, const struct side *side, struct backend *b,
		   const struct want *w)
{
	struct loom_backend v = value_of(side, w);
	bool was = b->value.flags & LOOM_BACKEND_READY, is = v.flags & LOOM_BACKEND_READY;

	v.gen = b->value.gen;
	if (was && !is && v.proto != IPPROTO_TCP)
		flows_want(s);
	if (s->verify || memcmp(&v, &b->value, sizeof(v)) != 0)
		services_fail(s, svcmaps_backend_set(s->maps, b->number, &v));
	b->value = v;
	count_own(s, b, w->own);
}

/* 1: it has a number now; 0: it gets none; -ENOSPC: there is none left. */
static int add(struct services *s, const struct side *side, struct backend *b, const struct want *w)
{
	int err;

	*b = (struct backend){ .value = value_of(side, w) };
	if (w->tables)
		err = svcmaps_backend_add(s->maps, &b->value, side->tables, N_TABLES, &b->number);
	else
		err = svcmaps_backend_adopt(s->maps, &b->value, side->tables, N_TABLES, &b->number);
	if (err < 0) {
		if (err != -ENOSPC && err != -ENOENT)
			services_fail(s, err);
		return err == -ENOSPC ? err : 0;
	}
	count_own(s, b, w->own);
	return 1;
}

int backends_set(struct services *s, struct side *side, const struct wants *w,
		 struct backends_change *ret)
{
	_cleanup_(freep) struct backend *gone = calloc(side->n_backends + 1, sizeof(*gone));
	_cleanup_(freep) uint32_t *numbers = calloc(w->n + 1, sizeof(*numbers));
	struct backend *v = calloc(w->n + 1, sizeof(*v)), *old = side->backends;
	size_t n = 0, at = 0, n_gone = 0, left_out = 0;
	const size_t end = side->n_backends;

	if (!v || !numbers || !gone) {
		free(v);
		return -ENOMEM;
	}
	for (size_t i = 0; i < w->n; i++) {
		int has = 1;

		while (at < end && order_of(&old[at], &w->v[i]) < 0)
			gone[n_gone++] = old[at++];
		if (at < end && order_of(&old[at], &w->v[i]) == 0) {
			v[n] = old[at++];
			update(s, side, &v[n], &w->v[i]);
		} else {
			has = add(s, side, &v[n], &w->v[i]);
		}
		if (has > 0)
			numbers[i] = v[n++].number;
		left_out += has < 0;
	}
	while (at < end)
		gone[n_gone++] = old[at++];
	free(old);
	side->backends = v;
	side->n_backends = n;
	if (left_out)
		problems_add(&side->program->service->problems,
			     "port %u: %zu of %zu endpoints are left out: all %u backends are in "
			     "use",
			     side->program->port.port, left_out, w->n,
			     s->maps->fd.max_backends - 1);
	ret->numbers = TAKE_PTR(numbers);
	ret->gone = TAKE_PTR(gone);
	ret->n_gone = n_gone;
	return 0;
}

void backends_end(struct services *s, struct backends_change *c)
{
	for (size_t i = 0; i < c->n_gone; i++) {
		count_own(s, &c->gone[i], false);
		flows_end_backend(s, c->gone[i].number);
	}
	free(c->gone);
	free(c->numbers);
	*c = (struct backends_change){};
}
