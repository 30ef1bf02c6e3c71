/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The node's programs and maps, by name: what the loader ended with. Descriptors belong to it. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/util.h"

enum load_how { LOAD_FRESH, LOAD_ADOPTED, LOAD_REPLACED };
enum attach_mode { ATTACH_TCX, ATTACH_CLSACT };

#define LOADED_MAX 64

struct loaded_prog {
	char name[32];
	int fd;
	uint32_t id;
};
struct loaded_map {
	char name[32];
	int fd;
	uint32_t max_entries;
};

struct loaded {
	enum load_how how;
	enum attach_mode mode;
	struct loaded_prog progs[LOADED_MAX];
	size_t n_progs;
	struct loaded_map maps[LOADED_MAX];
	size_t n_maps;
};

/* Closes the descriptors; what is pinned and attached stays. Accepts NULL. */
void loaded_free(struct loaded *l);
DEFINE_FREEP(struct loaded, loaded_free)
/* The same, and `l` is empty. */
void loaded_forget(struct loaded *l);

const struct loaded_prog *loaded_prog(const struct loaded *l, const char *name); /* NULL: none */
const struct loaded_map *loaded_map(const struct loaded *l, const char *name);
/* Descriptor, or -1 when there is no such map. */
int loaded_map_fd(const struct loaded *l, const char *name);
const char *load_how_name(enum load_how how);

/* Take the descriptor, also on failure; a negative one is returned as the error that it is. -E2BIG:
 * there are LOADED_MAX of them. */
int loaded_keep_prog(struct loaded *l, const char *name, int fd);
int loaded_keep_map(struct loaded *l, const char *name, int fd);
