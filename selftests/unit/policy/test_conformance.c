// SPDX-License-Identifier: Apache-2.0
/* The cases of selftests/data/, on the compiler with the native data plane's judgement. */
#include "selftests/unit/policy/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json/json.h"

static struct json_object *load(const char *path)
{
	struct json_object *obj = NULL;
	struct err e = {};
	char *text = NULL;
	size_t len = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("'%s': %s (run from the repository's top folder)", path, strerror(errno));
	assert_true(getdelim(&text, &len, 0, f) > 0);
	fclose(f);
	if (json_parse(text, strlen(text), &obj, &e) < 0)
		fail_msg("'%s': %s", path, e.msg);
	free(text);
	return obj;
}

static const char *str(struct json_object *obj, const char *path)
{
	const char *s = NULL;
	struct err e = {};

	if (json_get_str(obj, path, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static struct json_object *at(struct json_object *array, size_t i)
{
	return json_object_array_get_idx(array, i);
}

static size_t len(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

/* ---- NetworkPolicy ---- */

static struct json_object *served(void)
{
	struct json_object *ports = json_object_new_array();
	static const char *const protos[] = { "TCP", "UDP", "SCTP" };
	static const char *const lower[] = { "tcp", "udp", "sctp" };

	for (int port = 80; port <= 81; port++)
		for (int i = 0; i < 3; i++)
			json_append(ports, json_of("{\"name\":\"serve-%d-%s\",\"protocol\":\"%s\","
						   "\"containerPort\":%d}",
						   port, lower[i], protos[i], port));
	return ports;
}

static void np_world(struct cluster *c, struct json_object *ports)
{
	static const char *const names[] = { "a", "b", "c" }, *const spaces[] = { "x", "y", "z" };
	char addr[32];
	int host = 241;

	for (int n = 0; n < 3; n++) {
		_json_ *labels = json_of("{\"ns\":\"%s\"}", spaces[n]);

		cluster_namespace(c, spaces[n], labels);
		for (int i = 0; i < 3; i++) {
			_json_ *pod = json_of("{\"pod\":\"%s\"}", names[i]);

			snprintf(addr, sizeof(addr), "192.168.242.%d", host++);
			cluster_pod(c, spaces[n], names[i], pod, ports, addr, NULL, false);
		}
	}
}

static void namespace_action(struct cluster *c, const char *what, struct json_object *a)
{
	if (strcmp(what, "DeleteNamespace") != 0) {
		cluster_namespace(c, str(a, "Namespace"), json_field(a, "Labels"));
		return;
	}
	for (uint32_t ep = 1; ep < ARRAY_SIZE(c->pods); ep++) {
		char key[160];
		size_t n = strlen(str(a, "Namespace"));

		snprintf(key, sizeof(key), "%s", c->pods[ep].key);
		if (strncmp(key, str(a, "Namespace"), n) == 0 && key[n] == '/')
			cluster_pod_gone(c, key);
	}
	world_set_namespace(c->world, str(a, "Namespace"), NULL, NULL);
}

/* .250 is that of a created pod; of two that one step creates, the second has the next one. */
static const char *created_addr(const struct cluster *c)
{
	union loom_addr first;

	assert_int_equal(addr_parse("192.168.242.250", &first, NULL), 0);
	for (uint32_t ep = 1; ep < ARRAY_SIZE(c->pods); ep++)
		if (addr_equal(&c->pods[ep].addrs[0], &first))
			return "192.168.242.251";
	return "192.168.242.250";
}

static void np_action(struct cluster *c, struct json_object *ports, const char *what,
		      struct json_object *a)
{
	char key[160];

	if (strstr(what, "Namespace")) {
		namespace_action(c, what, a);
	} else if (strcmp(what, "DeletePolicy") == 0) {
		snprintf(key, sizeof(key), "%s/%s", str(a, "Namespace"), str(a, "Name"));
		world_set_policy(c->world, key, NULL, NULL);
	} else if (strstr(what, "Policy")) {
		cluster_apply(c, json_field(a, "Policy"));
	} else if (strcmp(what, "DeletePod") == 0) {
		snprintf(key, sizeof(key), "%s/%s", str(a, "Namespace"), str(a, "Pod"));
		cluster_pod_gone(c, key);
	} else {
		cluster_pod(c, str(a, "Namespace"), str(a, "Pod"), json_field(a, "Labels"), ports,
			    strcmp(what, "CreatePod") == 0 ? created_addr(c) : "", NULL, false);
	}
}

static uint8_t parse_port(const char *text, uint16_t *ret_port)
{
	char proto[8];
	unsigned int port;

	assert_int_equal(sscanf(text, "%7[A-Z]/%u", proto, &port), 2);
	*ret_port = port;
	return proto_parse(proto);
}

static size_t np_probe(struct cluster *c, int id, size_t step_no, struct json_object *step)
{
	struct json_object *pods = json_field(step, "pods"), *ports = json_field(step, "ports");
	const char *in = str(step, "ingress"), *out = str(step, "egress");
	size_t n = 0;

	for (size_t f = 0; f < len(pods); f++)
		for (size_t t = 0; t < len(pods); t++)
			for (size_t p = 0; p < len(ports); p++, n++) {
				const char *from = json_object_get_string(at(pods, f));
				const char *to = json_object_get_string(at(pods, t));
				const char *text = json_object_get_string(at(ports, p));
				uint32_t fe = cluster_ep(c, from), te = cluster_ep(c, to);
				uint16_t port;
				uint8_t proto = parse_port(text, &port);
				bool i = cluster_ingress(c, to, &c->pods[fe].addrs[0], proto, port);
				bool o =
					cluster_egress(c, from, &c->pods[te].addrs[0], proto, port);

				if (i != (in[n] == '1') || o != (out[n] == '1'))
					fail_msg("case %d step %zu: %s -> %s %s: ingress %d, want "
						 "%c; egress %d, want %c",
						 id, step_no, from, to, text, i, in[n], o, out[n]);
			}
	return n;
}

static size_t np_case(struct json_object *one, struct json_object *ports)
{
	struct json_object *steps = json_field(one, "steps");
	struct cluster c;
	size_t cells = 0;

	cluster_init(&c);
	np_world(&c, ports);
	for (size_t s = 0; s < len(steps); s++) {
		struct json_object *actions = json_field(at(steps, s), "actions");

		for (size_t i = 0; i < len(actions); i++) {
			json_object_object_foreach(at(actions, i), what, args)
			{
				np_action(&c, ports, what, args);
			}
		}
		cluster_settle(&c);
		cells += np_probe(&c, json_object_get_int(json_field(one, "id")), s, at(steps, s));
	}
	cluster_fini(&c);
	return cells;
}

static void every_network_policy_case_holds(void **state)
{
	_json_ *cases = load("selftests/data/networkpolicy/cases.json");
	_json_ *ports = served();
	size_t cells = 0;

	for (size_t i = 0; i < len(cases); i++)
		cells += np_case(at(cases, i), ports);
	assert_int_equal(len(cases), 230);
	assert_int_equal(cells, 123669);
}

/* ---- ClusterNetworkPolicy ---- */

static void cnp_world(struct cluster *c, struct json_object *world)
{
	struct json_object *spaces = json_field(world, "namespaces"),
			   *pods = json_field(world, "pods");
	int nodes = 0;
	char addr[32];

	for (size_t i = 0; i < len(spaces); i++)
		cluster_namespace(c, str(at(spaces, i), "name"),
				  json_field(at(spaces, i), "labels"));
	for (size_t i = 0; i < len(pods); i++) {
		struct json_object *p = at(pods, i);
		bool host = json_object_get_boolean(json_field(p, "hostNetwork"));

		if (host) {
			char name[32];
			_json_ *node = NULL;

			snprintf(addr, sizeof(addr), "172.18.0.%d", ++nodes);
			snprintf(name, sizeof(name), "node%d", nodes);
			node = json_of("{\"metadata\":{\"labels\":%s},\"status\":{\"addresses\":[{"
				       "\"type\":\"InternalIP\",\"address\":\"%s\"},{\"type\":"
				       "\"Hostname\",\"address\":\"%s\"}]}}",
				       json_text(json_path(world, "nodes.labels")), addr, name);
			assert_int_equal(world_set_node(c->world, name, node, NULL), 0);
		}
		cluster_pod(c, str(p, "namespace"), str(p, "name"), json_field(p, "labels"),
			    json_field(p, "containerPorts"), host ? addr : "", NULL, host);
	}
}

/* "${podIP:ns/pod}" becomes the address. */
static struct json_object *with_addresses(const struct cluster *c, struct json_object *obj)
{
	char *text = strdup(json_text(obj)), *mark, *now;
	struct json_object *ret;

	while ((mark = strstr(text, "${podIP:"))) {
		char *end = strchr(mark, '}'), key[160] = "", addr[ADDR_STRLEN];
		uint32_t ep;

		/* json-c writes "/" as "\/". */
		for (char *s = mark + 8; s < end; s++)
			if (*s != '\\')
				strncat(key, s, 1);
		ep = cluster_ep(c, key);
		assert_true(ep);
		assert_true(asprintf(&now, "%.*s%s%s", (int)(mark - text), text,
				     addr_format(&c->pods[ep].addrs[0], addr), end + 1) > 0);
		free(text);
		text = now;
	}
	ret = json_of("%s", text);
	free(text);
	return ret;
}

static void cnp_action(struct cluster *c, const char *what, struct json_object *obj)
{
	_json_ *real = with_addresses(c, obj);
	char key[600];

	if (strcmp(what, "Delete") != 0) {
		cluster_apply(c, real);
	} else if (strcmp(str(obj, "kind"), "ClusterNetworkPolicy") == 0) {
		world_set_cluster_policy(c->world, str(obj, "name"), NULL, NULL);
	} else {
		snprintf(key, sizeof(key), "%s/%s", str(obj, "namespace"), str(obj, "name"));
		world_set_policy(c->world, key, NULL, NULL);
	}
}

static void cnp_probe(struct cluster *c, int id, struct json_object *step,
		      struct json_object *probe)
{
	const char *from = str(probe, "from"), *to = str(probe, "to");
	uint8_t proto = proto_parse(str(probe, "protocol"));
	uint16_t port = json_object_get_int(json_field(probe, "port"));
	bool want = json_object_get_boolean(json_field(probe, "allow")), got;
	uint32_t fe, te;

	if (strncmp(to, "podIP:", 6) == 0)
		to += 6;
	fe = cluster_ep(c, from);
	te = cluster_ep(c, to);
	assert_true(fe && te);
	got = cluster_egress(c, from, &c->pods[te].addrs[0], proto, port) &&
	      cluster_ingress(c, to, &c->pods[fe].addrs[0], proto, port);
	if (got != want)
		fail_msg("case %d '%s': %s -> %s %s/%u: %d, want %d", id, str(step, "description"),
			 from, to, str(probe, "protocol"), port, got, want);
}

static void cnp_case(struct json_object *one, struct json_object *world, size_t *probes)
{
	struct json_object *steps = json_field(one, "steps");
	struct cluster c;

	cluster_init(&c);
	cnp_world(&c, world);
	for (size_t s = 0; s < len(steps); s++) {
		struct json_object *step = at(steps, s);
		struct json_object *actions = json_field(step, "actions");
		struct json_object *list = json_field(step, "probes");

		for (size_t i = 0; i < len(actions); i++) {
			json_object_object_foreach(at(actions, i), what, obj)
			{
				cnp_action(&c, what, obj);
			}
		}
		cluster_settle(&c);
		for (size_t i = 0; i < len(list); i++, ++*probes)
			cnp_probe(&c, json_object_get_int(json_field(one, "id")), step,
				  at(list, i));
	}
	cluster_fini(&c);
}

static void every_cluster_network_policy_case_holds(void **state)
{
	_json_ *cases = load("selftests/data/clusternetworkpolicy/cases.json");
	_json_ *world = load("selftests/data/clusternetworkpolicy/world.json");
	size_t probes = 0;

	for (size_t i = 0; i < len(cases); i++)
		cnp_case(at(cases, i), world, &probes);
	assert_int_equal(len(cases), 24);
	assert_int_equal(probes, 301);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_network_policy_case_holds),
		cmocka_unit_test(every_cluster_network_policy_case_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
