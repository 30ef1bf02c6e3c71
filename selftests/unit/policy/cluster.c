// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json/json.h"

static void on_problem(const char *text, void *arg)
{
	struct cluster *c = arg;

	snprintf(c->problem, sizeof(c->problem), "%s", text);
}

static void start(struct cluster *c, const struct polmaps *maps)
{
	assert_int_equal(world_new(maps, &c->world), 0);
	c->world->on_problem = on_problem;
	c->world->arg = c;
	assert_int_equal(world_adopt(c->world), 0);
}

void cluster_begin(struct cluster *c, const struct polmaps *maps)
{
	memset(c, 0, sizeof(*c));
	c->now = 1000;
	start(c, maps);
}

void cluster_fini(struct cluster *c)
{
	world_free(c->world);
	c->world = NULL;
}

void cluster_restart(struct cluster *c)
{
	struct polmaps maps = c->world->maps;
	bool police_host = c->world->police_host;

	world_free(c->world);
	maps.failed = 0;
	start(c, &maps);
	c->world->police_host = police_host;
}

struct json_object *json_of(const char *fmt, ...)
{
	struct json_object *obj = NULL;
	struct err e = {};
	char *text = NULL;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	assert_true(len >= 0);
	if (json_parse(text, len, &obj, &e) < 0)
		fail_msg("%s: %s", e.msg, text);
	free(text);
	return obj;
}

void cluster_namespace(struct cluster *c, const char *name, struct json_object *labels)
{
	_json_ *obj = json_of("{\"metadata\":{\"name\":\"%s\",\"labels\":%s}}", name,
			      labels ? json_text(labels) : "{}");
	struct err e = {};

	if (world_set_namespace(c->world, name, obj, &e) < 0)
		fail_msg("%s", e.msg);
}

uint32_t cluster_ep(const struct cluster *c, const char *key)
{
	for (uint32_t ep = 1; ep < ARRAY_SIZE(c->pods); ep++)
		if (strcmp(c->pods[ep].key, key) == 0)
			return ep;
	return 0;
}

static uint32_t free_ep(const struct cluster *c)
{
	uint32_t ep = cluster_ep(c, "");

	assert_true(ep);
	return ep;
}

static void next_addr(struct cluster *c, char *buf, size_t len)
{
	c->last_addr++;
	snprintf(buf, len, "10.1.%u.%u", c->last_addr / 200, c->last_addr % 200 + 1);
}

static struct json_object *pod_object(const char *ns, const char *name, struct json_object *labels,
				      struct json_object *ports, const char *addr,
				      const char *addr6, bool host_network)
{
	return json_of("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"labels\":%s},"
		       "\"spec\":{\"hostNetwork\":%s,\"containers\":[{\"ports\":%s}]},"
		       "\"status\":{\"podIPs\":[{\"ip\":\"%s\"}%s%s%s]}}",
		       name, ns, labels ? json_text(labels) : "{}", host_network ? "true" : "false",
		       ports ? json_text(ports) : "[]", addr, addr6 ? ",{\"ip\":\"" : "",
		       addr6 ?: "", addr6 ? "\"}" : "");
}

void cluster_pod(struct cluster *c, const char *ns, const char *name, struct json_object *labels,
		 struct json_object *container_ports, const char *addr, const char *addr6,
		 bool host_network)
{
	char key[160], buf[32], old[ADDR_STRLEN];
	struct err e = {};
	_json_ *obj = NULL;
	uint32_t ep;

	snprintf(key, sizeof(key), "%s/%s", ns, name);
	ep = cluster_ep(c, key);
	if (!*addr && ep) {
		addr = addr_format(&c->pods[ep].addrs[0], old);
	} else if (!*addr) {
		next_addr(c, buf, sizeof(buf));
		addr = buf;
	}
	obj = pod_object(ns, name, labels, container_ports, addr, addr6, host_network);
	if (world_set_pod(c->world, key, obj, &e) < 0)
		fail_msg("%s", e.msg);
	if (ep)
		return;
	ep = free_ep(c);
	snprintf(c->pods[ep].key, sizeof(c->pods[ep].key), "%s", key);
	c->pods[ep].host_network = host_network;
	assert_int_equal(addr_parse(addr, &c->pods[ep].addrs[0], NULL), 0);
	if (addr6)
		assert_int_equal(addr_parse(addr6, &c->pods[ep].addrs[1], NULL), 0);
	if (!host_network)
		assert_int_equal(
			world_set_endpoint(c->world, ep, key, "", c->pods[ep].addrs, addr6 ? 2 : 1),
			0);
}

void cluster_pod_gone(struct cluster *c, const char *key)
{
	uint32_t ep = cluster_ep(c, key);

	world_set_pod(c->world, key, NULL, NULL);
	if (!ep)
		return;
	world_del_endpoint(c->world, ep);
	memset(&c->pods[ep], 0, sizeof(c->pods[ep]));
}

void cluster_apply(struct cluster *c, struct json_object *obj)
{
	const char *kind = "NetworkPolicy", *ns = "", *name = NULL;
	struct err e = {};
	char key[600];
	int err;

	json_opt_str(obj, "kind", &kind, NULL);
	assert_int_equal(json_get_str(obj, "metadata.name", &name, NULL), 0);
	json_opt_str(obj, "metadata.namespace", &ns, NULL);
	snprintf(key, sizeof(key), "%s/%s", ns, name);
	if (strcmp(kind, "NetworkPolicy") == 0)
		err = world_set_policy(c->world, key, obj, &e);
	else if (strcmp(kind, "ClusterNetworkPolicy") == 0)
		err = world_set_cluster_policy(c->world, name, obj, &e);
	else
		err = world_set_namespace(c->world, name, obj, &e);
	if (err < 0)
		fail_msg("%s", e.msg);
}

void cluster_settle(struct cluster *c)
{
	assert_int_equal(world_commit(c->world, c->now), 0);
	for (int i = 0; i < 4; i++) {
		c->now += REAP_AFTER_MS;
		if (world_reap(c->world, c->now))
			assert_int_equal(world_commit(c->world, c->now), 0);
	}
}
