/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Programs and maps of the node: those that are pinned, when they were loaded from the very same
 * object, configuration and kernel (then nothing at all is changed), else new ones put in their
 * place while packets flow:
 *
 *	1. each map keeps its pin, is made anew and filled from the old one, or starts empty
 * (mapdef.h)
 *	2. the programs are loaded over these maps and pinned
 *	3. every attached program is replaced in place, receivers first
 *	4. what the old programs wrote into copied maps since step 1 follows; the new maps get the
 * pins
 *
 * A tiny pinned map, loom_build, holds the fingerprint of what is loaded, and since step 3 that a
 * swap is under way. After a crash in between, the next start finishes the maps first and then does
 * all of it again.
 *
 * Blocking, a fraction of a second; called once at start. Links are left alone apart from their
 * programs: which links have programs is the business of the bpf-attach items.
 */
#include "agent/modules/datapath/attach.h"
#include "agent/modules/datapath/image.h"

enum load_how { LOAD_FRESH, LOAD_ADOPTED, LOAD_REPLACED };

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

/* `force_clsact` is for tests of the fallback on a kernel that has tcx. Logs what was replaced. */
int loader_run(const char *dir, const struct image_config *image, bool force_clsact,
	       struct loaded **ret, struct err *e);
/* Closes the descriptors; what is pinned and attached stays. Accepts NULL. */
void loaded_free(struct loaded *l);
DEFINE_FREEP(struct loaded, loaded_free)

const struct loaded_prog *loaded_prog(const struct loaded *l, const char *name); /* NULL: none */
const struct loaded_map *loaded_map(const struct loaded *l, const char *name);
/* Descriptor, or -1 when there is no such map. */
int loaded_map_fd(const struct loaded *l, const char *name);
const char *load_how_name(enum load_how how);
