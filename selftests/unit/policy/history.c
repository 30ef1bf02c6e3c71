// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/json/json.h"

const char *history_key(struct json_object *obj, char *buf, size_t len)
{
	const char *ns = "", *name = "";

	json_opt_str(obj, "metadata.namespace", &ns, NULL);
	json_opt_str(obj, "metadata.name", &name, NULL);
	snprintf(buf, len, "%s%s%s", ns, *ns ? "/" : "", name);
	return buf;
}

typedef int (*set_fn)(struct world *w, const char *key, struct json_object *obj, struct err *e);

/* The object, or its end: the key is that of what was there. Takes `now`. */
static void replace(struct history *h, set_fn set, struct json_object **at, struct json_object *now)
{
	struct err e = {};
	char key[64];

	if (!now && !*at)
		return;
	history_key(now ?: *at, key, sizeof(key));
	if (set(h->cluster.world, key, now, &e) < 0)
		fail_msg("seed %llu world %zu: %s: %s", (unsigned long long)h->seed, h->world,
			 e.msg, json_text(now));
	json_object_put(*at);
	*at = now;
}

static void set_pod(struct history *h, size_t i, struct json_object *pod)
{
	replace(h, world_set_pod, &h->model.pods[i], pod);
	h->set_endpoint(h, i);
}

void history_fill(struct history *h)
{
	struct random *r = &h->random;
	struct model *m = &h->model;

	for (size_t i = 0; i < MODEL_SPACES; i++)
		replace(h, world_set_namespace, &m->spaces[i], random_space(r, i));
	for (size_t i = 0; i < MODEL_NODES; i++)
		replace(h, world_set_node, &m->nodes[i], random_node(r, i));
	for (size_t i = 0; i < MODEL_PODS; i++)
		set_pod(h, i, random_pod(r, i));
	for (size_t i = 0; i < MODEL_POLICIES; i++)
		replace(h, world_set_policy, &m->policies[i], random_policy(r, i));
	for (size_t i = 0; i < MODEL_POLICIES; i++)
		replace(h, world_set_cluster_policy, &m->cluster[i], random_cluster_policy(r, i));
}

/* Everything again to a new world over the same maps. */
static void restart(struct history *h)
{
	struct world *w;
	struct model *m = &h->model;
	char key[64];

	cluster_restart(&h->cluster);
	w = h->cluster.world;
	for (size_t i = 0; i < MODEL_POLICIES; i++) {
		if (m->policies[i])
			world_set_policy(w, history_key(m->policies[i], key, sizeof(key)),
					 m->policies[i], NULL);
		if (m->cluster[i])
			world_set_cluster_policy(w, history_key(m->cluster[i], key, sizeof(key)),
						 m->cluster[i], NULL);
	}
	for (size_t i = 0; i < MODEL_PODS; i++)
		if (m->pods[i])
			world_set_pod(w, history_key(m->pods[i], key, sizeof(key)), m->pods[i],
				      NULL);
	for (size_t i = 0; i < MODEL_NODES; i++)
		world_set_node(w, history_key(m->nodes[i], key, sizeof(key)), m->nodes[i], NULL);
	for (size_t i = 0; i < MODEL_SPACES; i++)
		world_set_namespace(w, history_key(m->spaces[i], key, sizeof(key)), m->spaces[i],
				    NULL);
	for (size_t i = 0; i < MODEL_PODS; i++)
		h->set_endpoint(h, i);
}

void history_change(struct history *h)
{
	struct random *r = &h->random;
	struct model *m = &h->model;
	size_t pod = random_below(r, MODEL_PODS), policy = random_below(r, MODEL_POLICIES);
	uint32_t what = random_below(r, 8);

	/* Labels of many pods at once, pods whose endpoint is made anew, and a new agent that finds
	 * other identities. */
	h->disturbs = what == 0 || (what >= 2 && what <= 4) || what == 7;
	h->restarted = false;
	switch (what) {
	case 0:
		pod = random_below(r, MODEL_SPACES);
		replace(h, world_set_namespace, &m->spaces[pod], random_space(r, pod));
		break;
	case 1:
		pod = random_below(r, MODEL_NODES);
		replace(h, world_set_node, &m->nodes[pod], random_node(r, pod));
		break;
	case 2:
		set_pod(h, pod, m->pods[pod] ? NULL : random_pod(r, pod));
		break;
	case 3:
	case 4:
		set_pod(h, pod, random_pod(r, pod));
		break;
	case 5:
		replace(h, world_set_policy, &m->policies[policy], random_policy(r, policy));
		break;
	case 6:
		replace(h, world_set_cluster_policy, &m->cluster[policy],
			random_cluster_policy(r, policy));
		break;
	default:
		h->restarted = true;
		restart(h);
	}
}

void history_show(const struct history *h)
{
	struct json_object *const *all = (struct json_object *const *)&h->model;

	for (size_t i = 0; i < sizeof(h->model) / sizeof(*all); i++)
		if (all[i])
			printf("%s\n", json_text(all[i]));
}

void history_forget(struct history *h)
{
	struct json_object **all = (struct json_object **)&h->model;

	cluster_fini(&h->cluster);
	for (size_t i = 0; i < sizeof(h->model) / sizeof(*all); i++)
		json_object_put(all[i]);
	h->model = (struct model){};
}

uint64_t history_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

void history_start(struct history *h, void (*set_endpoint)(struct history *h, size_t pod))
{
	struct timespec ts;

	*h = (struct history){ .set_endpoint = set_endpoint };
	clock_gettime(CLOCK_REALTIME, &ts);
	h->seed = history_number("SEED", ts.tv_sec * 1000000007ull + ts.tv_nsec) ?: 1;
	h->random.state = h->seed;
	printf("seed %llu\n", (unsigned long long)h->seed);
}
