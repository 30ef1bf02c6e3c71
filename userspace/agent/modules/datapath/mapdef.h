/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What becomes of a pinned map when programs are loaded anew. A map that is defined as before is
 * used on. One whose size, type or flags changed, but whose entries still mean the same, is copied.
 * Everything else starts empty: old bytes under a new meaning would be worse than none.
 */
#include <bpf/libbpf.h>

#include "lib/bpf/walk.h"

enum map_fate { MAP_FRESH, MAP_REUSE, MAP_COPY, MAP_REPLACE };

/* `why` is a borrowed, static sentence for the log; set for MAP_COPY and MAP_REPLACE. */
enum map_fate mapdef_fate(const struct bpf_map *wanted, struct bpf_object *obj, int old_fd,
			  const char **why);

struct map_copy {
	unsigned int copied, left; /* left: what did not fit */
};
/*
 * Entries of `from` into `to`. With `only_absent`, the second pass after programs were swapped:
 * what the new programs have written meanwhile stays. Arrays: non-zero entries below the new size.
 */
int map_copy(int from, int to, bool only_absent, struct map_copy *ret);
/*
 * Bytes of the old type mean the same in the new one: names, offsets, sizes and kinds are equal,
 * through members and array elements; typedefs and qualifiers don't count. Members of a new struct
 * that are called `reserved…` take the place of whatever was there, member by member.
 */
bool btf_fits(const struct btf *new, uint32_t new_id, const struct btf *old, uint32_t old_id);
