/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * BPF object files in memory, opened with their configuration and map sizes filled in, not loaded
 * yet; and the fingerprint that tells whether what is pinned was loaded from exactly those.
 *
 * The first object makes the node; each of the others is loaded when the kernel takes it, and left
 * out when not. Maps of one name are one map, which the first object with it defines.
 */
#include <bpf/libbpf.h>

#include "lib/base/err.h"
#include "shared/loom_config.h"

struct image_size {
	const char *map;
	uint32_t max_entries;
};

struct image_object {
	const char *name;
	const void *elf; /* borrowed */
	size_t elf_len;
};

#define IMAGE_OBJECTS 4

struct image_config {
	struct image_object objects[IMAGE_OBJECTS];
	size_t n_objects;
	struct loom_config cfg;		/* .size is set by image_open() */
	const struct image_size *sizes; /* of the first object's maps */
	size_t n_sizes;
};

struct fingerprint {
	uint8_t b[16];
};

DEFINE_FREEP(struct bpf_object, bpf_object__close)

/* objects[i]. -EINVAL when it has no loom_cfg or one of another size. */
int image_open(const struct image_config *c, size_t i, struct bpf_object **ret, struct err *e);
/* Of the objects' bytes, their configuration, map sizes, and the kernel's release and build.
 * FNV-1a, 128 bits: it guards against change, not against an adversary, who could write the pins
 * anyway. */
void image_fingerprint(const struct image_config *c, struct fingerprint *ret);
/* Loads, and on failure says which program the verifier refused and its last words. */
int image_load(struct bpf_object *obj, struct err *e);
/* Routes libbpf's messages: warnings are kept for image_load()'s error, all go to the debug log. */
void image_quiet_libbpf(void);
