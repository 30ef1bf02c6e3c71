// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/denied.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/grow.h"
#include "lib/bpf/walk.h"
#include "shared/loom_maps.h"

struct sweep {
	const struct epnum *taken;
	struct loom_deniedkey *keys;
	size_t n;
};

static int collect(const void *key, const void *value, void *arg)
{
	const struct loom_deniedkey *k = key;
	struct loom_deniedkey *copy;
	struct sweep *s = arg;

	if (epnum_taken(s->taken, k->ep))
		return 0;
	copy = grow(&s->keys, &s->n, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *k;
	return 0;
}

/* Keys are collected first: a walk does not bear deletions where the kernel has no batches. */
int denied_sweep(int map_fd, const struct epnum *taken)
{
	struct sweep s = { .taken = taken };
	int err = map_walk(map_fd, collect, &s), n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (bpf_map_delete_elem(map_fd, &s.keys[i]) == 0)
			n++;
		else if (errno != ENOENT)
			err = err ?: -errno;
	}
	free(s.keys);
	return err < 0 ? err : n;
}
