// SPDX-License-Identifier: Apache-2.0
/*
 * What the policy compiler costs by itself: a cluster of PODS (10,000) pods and POLICIES (1,000)
 * policies from JSON to map entries, of which LOCAL (110) pods are on this node; then single
 * changes. Writes go nowhere and are counted: the kernel takes about half a microsecond for each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/modules/policy/world.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"

#define SPACES 100
#define APPS   20

static int update(void *arg, enum polmap map, const void *key, const void *value)
{
	return 0;
}

static int unset(void *arg, enum polmap map, const void *key)
{
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

static unsigned int setting(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void set(struct world *w,
		int (*fn)(struct world *w, const char *key, struct json_object *obj, struct err *e),
		const char *key, const char *text)
{
	_json_ *obj = NULL;
	struct err e = {};

	if (json_parse(text, strlen(text), &obj, &e) == 0 && fn(w, key, obj, &e) == 0)
		return;
	fprintf(stderr, "%s: %s\n", key, e.msg);
	exit(1);
}

static void add_namespace(struct world *w, unsigned int i)
{
	char key[32], text[256];

	snprintf(key, sizeof(key), "ns%u", i);
	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"labels\":{\"team\":\"t%u\",\"stage\":\"%s\"}}}", i % 10,
		 i % 2 ? "prod" : "test");
	set(w, world_set_namespace, key, text);
}

static void add_pod(struct world *w, unsigned int i, unsigned int version)
{
	char key[64], text[1024];

	snprintf(key, sizeof(key), "ns%u/pod%u", i % SPACES, i);
	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"uid\":\"u%u\",\"labels\":{\"app\":\"a%u\",\"version\":\"v%u\","
		 "\"pod-template-hash\":\"abcdef%u\",\"tier\":\"back\"}},\"spec\":{\"nodeName\":"
		 "\"node%u\",\"containers\":[{\"name\":\"c\",\"ports\":[{\"name\":\"http\","
		 "\"containerPort\":8080},{\"name\":\"metrics\",\"containerPort\":9090}]}]},"
		 "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.%u.%u.%u\"},{\"ip\":"
		 "\"fd00::%x\"}]}}",
		 i, i / SPACES % APPS, version, i / SPACES % APPS, i % 100, 1 + i / 50000,
		 i / 200 % 250, i % 200 + 1, i + 1);
	set(w, world_set_pod, key, text);
}

static void add_policy(struct world *w, unsigned int i, unsigned int port)
{
	char key[64], text[1500];

	snprintf(key, sizeof(key), "ns%u/np%u", i % SPACES, i);
	snprintf(text, sizeof(text),
		 "{\"spec\":{\"podSelector\":{\"matchLabels\":{\"app\":\"a%u\"}},\"ingress\":[{"
		 "\"from\":[{\"podSelector\":{\"matchLabels\":{\"app\":\"a%u\"}}},{"
		 "\"namespaceSelector\":{\"matchExpressions\":[{\"key\":\"team\",\"operator\":"
		 "\"In\",\"values\":[\"t%u\",\"t%u\"]}]},\"podSelector\":{\"matchLabels\":{"
		 "\"tier\":\"back\"}}}],\"ports\":[{\"port\":\"http\"},{\"port\":%u}]},{\"from\":[{"
		 "\"ipBlock\":{\"cidr\":\"192.168.0.0/16\",\"except\":[\"192.168.%u.0/24\"]}}]}],"
		 "\"egress\":[{\"to\":[{\"namespaceSelector\":{\"matchLabels\":{\"stage\":\"prod\"}"
		 "}}]},{\"ports\":[{\"protocol\":\"UDP\",\"port\":53}]}],\"policyTypes\":["
		 "\"Ingress\",\"Egress\"]}}",
		 i / SPACES % APPS, (i + 3) % APPS, i % 10, (i + 1) % 10, port, i % 250);
	set(w, world_set_policy, key, text);
}

static double ms(uint64_t since)
{
	return (clock_ns() - since) / 1e6;
}

static void show_memory(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	printf("memory      %8.1f MB at most\n", u.ru_maxrss / 1024.0);
}

/* One change and its commit, again and again: the mean. */
static void show_changes(struct world *w, const char *what,
			 void (*change)(struct world *w, unsigned int i, unsigned int n))
{
	uint64_t start, writes = w->maps.writes;
	unsigned int n = 200;

	start = clock_ns();
	for (unsigned int i = 0; i < n; i++) {
		change(w, 0, i + 1);
		world_commit(w, 1000 + i);
	}
	printf("%-11s %8.3f ms a change, %llu writes\n", what, ms(start) / n,
	       (unsigned long long)(w->maps.writes - writes) / n);
	start = clock_ns();
	for (int i = 0; i < 4; i++)
		if (world_reap(w, 10000 + i * REAP_AFTER_MS))
			world_commit(w, 10000 + i * REAP_AFTER_MS);
	printf("%-11s %8.3f ms to remove what is old\n", "", ms(start));
}

int main(void)
{
	const struct polmaps maps = { .ops = &ops,
				      .max_sets = LOOM_POL_SETS,
				      .max_rules = LOOM_POL_RULES,
				      .max_classes = LOOM_POL_CLASSES,
				      .max_idents = LOOM_POL_IDENTS,
				      .max_eps = LOOM_MAX_EPS };
	unsigned int pods = setting("PODS", 10000), policies = setting("POLICIES", 1000);
	unsigned int local = setting("LOCAL", 110);
	struct world *w = NULL;
	uint64_t start = clock_ns(), part;
	char key[64];

	if (world_new(&maps, &w) < 0 || world_adopt(w) == -ENOMEM)
		return 1;
	for (unsigned int i = 0; i < SPACES; i++)
		add_namespace(w, i);
	for (unsigned int i = 0; i < pods; i++)
		add_pod(w, i, 1);
	for (unsigned int i = 0; i < policies; i++)
		add_policy(w, i, 1000);
	printf("read        %8.1f ms: %u pods, %u policies\n", ms(start), pods, policies);
	for (unsigned int i = 0; i < local && i < pods; i++) {
		snprintf(key, sizeof(key), "ns%u/pod%u", i * (pods / local) % SPACES,
			 i * (pods / local));
		world_set_endpoint(w, i + 1, key, "", NULL, 0);
	}
	part = clock_ns();
	world_commit(w, 1);
	printf("compiled    %8.1f ms: %u identities, %u rule sets, %u sets, %u classes, %llu "
	       "writes\n",
	       ms(part), HASH_COUNT(w->ids.all), HASH_COUNT(w->sets.all), w->sets.n_sets,
	       w->sets.classes.n, (unsigned long long)w->maps.writes);
	printf("cold        %8.1f ms\n", ms(start));
	show_memory();
	show_changes(w, "pod", add_pod);
	show_changes(w, "policy", add_policy);
	world_free(w);
	return 0;
}
