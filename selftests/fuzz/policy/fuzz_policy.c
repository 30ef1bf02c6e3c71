// SPDX-License-Identifier: Apache-2.0
/*
 * Objects as etcd has them, one a line, the first letter says which kind (see kinds[]): read,
 * compiled and written into maps that forget. What is refused has a sentence, nothing of it is
 * left, and in the end every set that was written has been removed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/world.h"
#include "lib/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long sets;

static void die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static int update(void *arg, enum polmap map, const void *key, const void *value)
{
	const struct loom_polset *set = value;

	if (map == POLMAP_POL &&
	    (set->count > LOOM_POLSET_MAX || set->first + set->count > LOOM_POL_RULES))
		die("a set outside of the map");
	sets += map == POLMAP_POL;
	return 0;
}

static int unset(void *arg, enum polmap map, const void *key)
{
	sets -= map == POLMAP_POL;
	return 0;
}

static int lookup(void *arg, enum polmap map, const void *key, void *ret_value)
{
	return -ENOENT;
}

static int each(void *arg, enum polmap map, int (*fn)(const void *key, void *ctx), void *ctx)
{
	return 0;
}

static int bump(void *arg)
{
	return 0;
}

static const struct polmaps_ops ops = { update, unset, lookup, each, bump };

static int set_pod(struct world *w, const char *key, struct json_object *obj, struct err *e)
{
	return world_set_pod(w, "x/p", obj, e);
}

static int set_other(struct world *w, const char *key, struct json_object *obj, struct err *e)
{
	return world_set_pod(w, "y/q", obj, e);
}

static const struct {
	char letter;
	const char *key;
	int (*set)(struct world *w, const char *key, struct json_object *obj, struct err *e);
} kinds[] = {
	{ 'n', "x/np", world_set_policy },
	{ 'm', "x/other", world_set_policy },
	{ 'c', "cnp", world_set_cluster_policy },
	{ 'd', "cnp2", world_set_cluster_policy },
	{ 'p', "x/p", set_pod },
	{ 'q', "y/q", set_other },
	{ 's', "x", world_set_namespace },
	{ 't', "y", world_set_namespace },
	{ 'k', "node", world_set_node },
	{ 'e', "x/p", world_set_published_pod },
	{ 'o', "node", world_set_published_node },
};

static void take(struct world *w, const char *line, size_t len)
{
	_json_ *obj = NULL;

	if (!len || (len > 1 && json_parse(line + 1, len - 1, &obj, NULL) < 0))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct err e = {};

		if (kinds[i].letter == *line && kinds[i].set(w, kinds[i].key, obj, &e) < 0 &&
		    !e.msg[0])
			die("refused without a reason");
	}
}

static void settle(struct world *w, uint64_t *now)
{
	world_commit(w, *now);
	for (int i = 0; i < 4; i++) {
		*now += REAP_AFTER_MS;
		if (world_reap(w, *now))
			world_commit(w, *now);
	}
}

static void all_gone(struct world *w, uint64_t *now)
{
	world_begin(w);
	world_end(w);
	world_del_endpoint(w, 1);
	world_del_endpoint(w, 2);
	settle(w, now);
	if (sets || w->sets.lists.slots.used || w->sets.classes.n || w->addresses)
		die("something is left behind");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct polmaps maps = {
		.ops = &ops,
		.max_sets = 4096,
		.max_rules = LOOM_POL_RULES,
		.max_classes = 256,
		.max_idents = 4096,
		.max_eps = 16,
	};
	const char *at = (const char *)data, *end = at + size;
	struct world *w = NULL;
	uint64_t now = 1;

	sets = 0;
	if (world_new(&maps, &w) < 0)
		return 0;
	world_set_endpoint(w, 1, "x/p", "", NULL, 0);
	world_set_endpoint(w, 2, "y/q", "", NULL, 0);
	while (at < end) {
		const char *stop = memchr(at, '\n', end - at) ?: end;

		take(w, at, stop - at);
		if (stop - at == 1)
			settle(w, &now);
		at = stop + 1;
	}
	settle(w, &now);
	all_gone(w, &now);
	world_free(w);
	return 0;
}
