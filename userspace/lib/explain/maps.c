// SPDX-License-Identifier: Apache-2.0
/* The node's live maps, for reading only; and the programs' own configuration. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "bpf/native/native.h"
#include "lib/bpf/pins.h"
#include "lib/bpf/walk.h"
#include "lib/explain/private.h"

#define MAX_MAPS 64
#define PROGRAM	 "loom_from_pod" /* any of the tc family's: they share one .rodata */

struct live {
	int fds[MAX_MAPS]; /* in the order of native_maps */
};

/* Per-CPU maps and their like are the overlay's own: nobody asks for those of the node. */
static bool is_needed(const struct nmap *m)
{
	return strcmp(m->name, "loom_metrics") != 0 && strcmp(m->name, "loom_epstats") != 0 &&
	       strcmp(m->name, "loom_evlimit") != 0 && strcmp(m->name, "loom_denied") != 0;
}

static int open_map(const char *bpf_dir, const struct nmap *m, struct err *e)
{
	_cleanup_(closep) int fd = pin_open_map_readonly(bpf_dir, m->name, e);
	struct map_shape shape;
	int err;

	if (fd < 0)
		return fd;
	err = map_shape(fd, &shape);
	if (err < 0)
		return err_errno(e, err, "map '%s'", m->name);
	if (shape.key_size != m->key_size || shape.value_size != m->value_size)
		return err_set(e, -EINVAL,
			       "the pinned map '%s' has keys of %u and values of %u bytes, this "
			       "program knows %u and %u: they are of different versions",
			       m->name, shape.key_size, shape.value_size, m->key_size,
			       m->value_size);
	return TAKE_FD(fd);
}

int live_open(const char *bpf_dir, struct live **ret, struct err *e)
{
	_cleanup_(live_freep) struct live *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	for (size_t i = 0; i < MAX_MAPS; i++)
		l->fds[i] = -1;
	for (size_t i = 0; native_maps[i]; i++) {
		if (i >= MAX_MAPS)
			return -E2BIG;
		if (!is_needed(native_maps[i]))
			continue;
		l->fds[i] = open_map(bpf_dir, native_maps[i], e);
		if (l->fds[i] < 0)
			return l->fds[i];
	}
	*ret = TAKE_PTR(l);
	return 0;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < MAX_MAPS; i++)
		closep(&l->fds[i]);
	free(l);
}

static int fetch(void *arg, const struct nmap *map, const void *key, void *ret_value)
{
	const struct live *l = arg;
	size_t i = 0;

	while (native_maps[i] && native_maps[i] != map)
		i++;
	if (!native_maps[i])
		return -EBADF;
	return bpf_map_lookup_elem(l->fds[i], key, ret_value) < 0 ? -errno : 0;
}

int live_slots(struct live *l, uint32_t first, uint32_t n, uint32_t *ret)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	_cleanup_(freep) uint32_t *keys = malloc(n * sizeof(*keys) ?: 1);
	uint32_t before = first - 1, last, count = n;
	int fd = -1;

	for (size_t i = 0; native_maps[i]; i++)
		if (native_maps[i] == &loom_lut)
			fd = l->fds[i];
	if (!keys)
		return -ENOMEM;
	if (!n)
		return 0;
	/* The kernel goes on behind the key that it is given. */
	if (bpf_map_lookup_batch(fd, first ? &before : NULL, &last, keys, ret, &count, &opts) < 0 &&
	    errno != ENOENT)
		return -errno;
	memset(ret + count, 0, (n - count) * sizeof(*ret));
	return 0;
}

struct overlay live_overlay(struct live *l)
{
	return (struct overlay){ .fetch = fetch, .arg = l };
}

/* ---- configuration ---- */

/* Place of the variable in the map, from the map's own types; or -ENOENT. */
static int find_config(const struct bpf_map_info *info, uint32_t *ret_offset)
{
	struct btf *btf = btf__load_from_kernel_by_id(info->btf_id);
	const struct btf_type *sec = btf ? btf__type_by_id(btf, info->btf_value_type_id) : NULL;
	int err = -ENOENT;

	for (int i = 0; sec && btf_is_datasec(sec) && i < btf_vlen(sec); i++) {
		const struct btf_var_secinfo *var = btf_var_secinfos(sec) + i;
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (!t || strcmp(btf__name_by_offset(btf, t->name_off), "loom_cfg") != 0 ||
		    var->size != sizeof(struct loom_config) ||
		    var->offset + var->size > info->value_size)
			continue;
		*ret_offset = var->offset;
		err = 0;
	}
	btf__free(btf);
	return err;
}

/* The configuration, when the map is the one that holds it. */
static int read_config(uint32_t map_id, struct loom_config *ret)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = BPF_F_RDONLY);
	_cleanup_(closep) int fd = bpf_map_get_fd_by_id_opts(map_id, &opts);
	_cleanup_(freep) char *data = NULL;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0, offset;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (!strstr(info.name, ".rodata") || find_config(&info, &offset) < 0)
		return -ENOENT;
	data = malloc(info.value_size);
	if (!data)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, data) < 0)
		return -errno;
	memcpy(ret, data + offset, sizeof(*ret));
	return 0;
}

int live_config(const char *bpf_dir, struct loom_config *ret, struct err *e)
{
	_cleanup_(closep) int fd = pin_open(bpf_dir, PIN_PROG, PROGRAM, e);
	uint32_t ids[MAX_MAPS], len;
	struct bpf_prog_info info = { .nr_map_ids = MAX_MAPS, .map_ids = (uintptr_t)ids };

	len = sizeof(info);
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return err_errno(e, -errno, "the program '%s'", PROGRAM);
	for (uint32_t i = 0; i < info.nr_map_ids && i < MAX_MAPS; i++)
		if (read_config(ids[i], ret) == 0)
			return 0;
	return err_set(e, -EINVAL,
		       "the program '%s' has no configuration that this one knows: they are of "
		       "different versions",
		       PROGRAM);
}
