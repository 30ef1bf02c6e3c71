/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A BPF object file in memory, opened with its configuration and map sizes filled in, not loaded
 * yet; and the fingerprint that tells whether what is pinned was loaded from exactly that.
 */
#include <bpf/libbpf.h>

#include "lib/base/err.h"
#include "shared/loom_config.h"

struct image_size {
	const char *map;
	uint32_t max_entries;
};

struct image_config {
	const void *elf; /* borrowed */
	size_t elf_len;
	struct loom_config cfg; /* .size is set by image_open() */
	const struct image_size *sizes;
	size_t n_sizes;
};

struct fingerprint {
	uint8_t b[16];
};

DEFINE_FREEP(struct bpf_object, bpf_object__close)

/* -EINVAL when the object has no loom_cfg or one of another size. */
int image_open(const struct image_config *c, struct bpf_object **ret, struct err *e);
/* Of the object's bytes, its configuration, map sizes, and the kernel's release and build. FNV-1a,
 * 128 bits: it guards against change, not against an adversary, who could write the pins anyway. */
void image_fingerprint(const struct image_config *c, struct fingerprint *ret);
/* Loads, and on failure says which program the verifier refused and its last words. */
int image_load(struct bpf_object *obj, struct err *e);
/* Routes libbpf's messages: warnings are kept for image_load()'s error, all go to the debug log. */
void image_quiet_libbpf(void);
