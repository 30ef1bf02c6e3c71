// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/loaded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/modules/datapath/attach.h"
#include "lib/bpf/walk.h"

void loaded_forget(struct loaded *l)
{
	for (size_t i = 0; i < l->n_progs; i++)
		close(l->progs[i].fd);
	for (size_t i = 0; i < l->n_maps; i++)
		close(l->maps[i].fd);
	l->n_progs = l->n_maps = 0;
}

void loaded_free(struct loaded *l)
{
	if (l)
		loaded_forget(l);
	free(l);
}

const struct loaded_prog *loaded_prog(const struct loaded *l, const char *name)
{
	for (size_t i = 0; i < l->n_progs; i++)
		if (strcmp(l->progs[i].name, name) == 0)
			return &l->progs[i];
	return NULL;
}

const struct loaded_map *loaded_map(const struct loaded *l, const char *name)
{
	for (size_t i = 0; i < l->n_maps; i++)
		if (strcmp(l->maps[i].name, name) == 0)
			return &l->maps[i];
	return NULL;
}

int loaded_map_fd(const struct loaded *l, const char *name)
{
	const struct loaded_map *map = loaded_map(l, name);

	return map ? map->fd : -1;
}

const char *load_how_name(enum load_how how)
{
	static const char *const names[] = { "loaded", "adopted", "replaced" };

	return names[how];
}

int loaded_keep_prog(struct loaded *l, const char *name, int fd)
{
	struct loaded_prog *p = &l->progs[l->n_progs];

	if (fd < 0)
		return fd;
	if (l->n_progs == LOADED_MAX) {
		close(fd);
		return -E2BIG;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->fd = fd;
	p->id = prog_id_of(fd);
	l->n_progs++;
	return 0;
}

int loaded_keep_map(struct loaded *l, const char *name, int fd)
{
	struct loaded_map *m = &l->maps[l->n_maps];
	struct map_shape shape;
	int err;

	if (fd < 0)
		return fd;
	err = l->n_maps == LOADED_MAX ? -E2BIG : map_shape(fd, &shape);
	if (err < 0) {
		close(fd);
		return err;
	}
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->fd = fd;
	m->max_entries = shape.max_entries;
	l->n_maps++;
	return 0;
}
