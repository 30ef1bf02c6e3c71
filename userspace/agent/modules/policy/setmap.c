// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/setmap.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t home(const struct setmap *m, uint32_t peer)
{
	return (uint32_t)(peer * 2654435769u >> 7) & (m->room - 1);
}

static uint32_t place(const struct setmap *m, uint32_t peer)
{
	uint32_t at = home(m, peer);

	while (m->v[at].peer && m->v[at].peer != peer)
		at = (at + 1) & (m->room - 1);
	return at;
}

struct list *setmap_find(const struct setmap *m, uint32_t peer)
{
	return m->n ? m->v[place(m, peer)].list : NULL;
}

static int rehash(struct setmap *m, uint32_t room)
{
	struct setmap now = { .room = room, .n = m->n };

	now.v = calloc(room, sizeof(*now.v));
	if (!now.v)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->room; i++)
		if (m->v[i].peer)
			now.v[place(&now, m->v[i].peer)] = m->v[i];
	free(m->v);
	*m = now;
	return 0;
}

int setmap_add(struct setmap *m, uint32_t peer, struct list *list)
{
	if ((m->n + 1) * 4 > m->room * 3 && rehash(m, m->room ? m->room * 2 : 8) < 0)
		return -ENOMEM;
	m->v[place(m, peer)] = (struct setmap_entry){ peer, list };
	m->n++;
	return 0;
}

/* Those behind it that would not be found any more move up. */
static void close_gap(struct setmap *m, uint32_t gap)
{
	uint32_t mask = m->room - 1;

	for (uint32_t at = (gap + 1) & mask; m->v[at].peer; at = (at + 1) & mask) {
		uint32_t want = home(m, m->v[at].peer);

		if (((at - want) & mask) < ((at - gap) & mask))
			continue;
		m->v[gap] = m->v[at];
		m->v[at] = (struct setmap_entry){};
		gap = at;
	}
}

struct list *setmap_take(struct setmap *m, uint32_t peer)
{
	uint32_t at = m->n ? place(m, peer) : 0;
	struct list *list = m->n ? m->v[at].list : NULL;

	if (!list)
		return NULL;
	m->v[at] = (struct setmap_entry){};
	m->n--;
	close_gap(m, at);
	return list;
}

void setmap_fini(struct setmap *m)
{
	free(m->v);
	*m = (struct setmap){};
}
