// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/services/kernel_maps.h"

#include <bpf/bpf.h>
#include <errno.h>

static int make(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value, uint32_t n,
		uint32_t flags, int *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, name, key, value, n, &opts);

	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

int kernel_maps_new(struct fake_maps *m)
{
	int err = make(BPF_MAP_TYPE_HASH, "t_svc", sizeof(struct loom_svckey),
		       sizeof(struct loom_svc), m->max_fronts, 0, &m->svc);

	if (!err)
		err = make(BPF_MAP_TYPE_ARRAY, "t_lut", 4, 4, m->max_slots, BPF_F_MMAPABLE,
			   &m->lut);
	if (!err)
		err = make(BPF_MAP_TYPE_ARRAY, "t_backend", 4, sizeof(struct loom_backend),
			   m->max_backends, 0, &m->backend);
	if (!err)
		err = make(BPF_MAP_TYPE_ARRAY, "t_vip", 4, sizeof(union loom_addr), m->max_vips, 0,
			   &m->vip);
	if (!err)
		err = make(BPF_MAP_TYPE_ARRAY, "t_ports", 4, 8, LOOM_PORTS_SETS * LOOM_PORTS_WORDS,
			   0, &m->ports);
	if (!err)
		err = make(BPF_MAP_TYPE_LPM_TRIE, "t_srcrange", sizeof(struct loom_srckey), 4,
			   m->max_ranges, BPF_F_NO_PREALLOC, &m->srcrange);
	if (!err)
		err = make(BPF_MAP_TYPE_LRU_HASH, "t_sockrev", sizeof(struct loom_sockkey),
			   sizeof(struct loom_sockrev), 64, 0, &m->sockrev);
	return err;
}

void kernel_maps_close(struct fake_maps *m)
{
	int *const fds[] = { &m->svc,	&m->lut,      &m->backend, &m->vip,
			     &m->ports, &m->srcrange, &m->sockrev };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(fds[i]);
}
