// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/kmaps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

const char *polmap_name(enum polmap map)
{
	static const char *const names[POLMAPS] = {
		[POLMAP_EPOL] = "loom_epol",	[POLMAP_IDENT] = "loom_ident",
		[POLMAP_CLASS] = "loom_class",	[POLMAP_POL] = "loom_pol",
		[POLMAP_RULE] = "loom_polrule",
	};

	return names[map];
}

static int fd_of(void *arg, enum polmap map)
{
	return ((struct kmaps *)arg)->fds[map];
}

static int update(void *arg, enum polmap map, const void *key, const void *value)
{
	return bpf_map_update_elem(fd_of(arg, map), key, value, BPF_ANY) < 0 ? -errno : 0;
}

static int remove_key(void *arg, enum polmap map, const void *key)
{
	return bpf_map_delete_elem(fd_of(arg, map), key) < 0 && errno != ENOENT ? -errno : 0;
}

static int lookup(void *arg, enum polmap map, const void *key, void *ret_value)
{
	return bpf_map_lookup_elem(fd_of(arg, map), key, ret_value) < 0 ? -errno : 0;
}

static int each(void *arg, enum polmap map, int (*fn)(const void *key, void *ctx), void *ctx)
{
	uint64_t keys[2][8]; /* room for the largest */
	void *last = NULL;
	int err = 0;

	for (int i = 0; !err; i = !i) {
		if (bpf_map_get_next_key(fd_of(arg, map), last, keys[i]) < 0)
			return errno == ENOENT ? 0 : -errno;
		last = keys[i];
		err = fn(last, ctx);
	}
	return err;
}

static int bump(void *arg)
{
	struct kmaps *k = arg;

	return k->bump(k->arg);
}

const struct polmaps_ops kmaps_ops = {
	.update = update,
	.remove = remove_key,
	.lookup = lookup,
	.each = each,
	.bump = bump,
};
