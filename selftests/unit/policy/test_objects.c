// SPDX-License-Identifier: Apache-2.0
/* Policies and pods that can't be read: what is said of them, and that what was before holds. */
#include "selftests/unit/policy/cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json/json.h"

#define FROM(peer)  "{\"ingress\":[{\"from\":[" peer "]}]}"
#define PORTS(port) "{\"ingress\":[{\"ports\":[" port "]}]}"

/* clang-format off */
static const struct {
	const char *spec, *says;
} np_cases[] = {
	{ "[]", "networkpolicy x/np: spec: want an object, found an array" },
	{ "{\"podSelector\":7}", "spec: podSelector: want an object" },
	{ "{\"podSelector\":{\"matchLabels\":{\"a\":1}}}", "podSelector: matchLabels: a: want a string" },
	{ "{\"podSelector\":{\"matchLabels\":{\"a\":\"b\\u0000c\"}}}", "a: holds a NUL" },
	{ "{\"podSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Like\"}]}}",
	  "podSelector: matchExpressions[0]: operator: 'Like' is none of In, NotIn, Exists, DoesNotExist" },
	{ "{\"podSelector\":{\"matchExpressions\":[{\"operator\":\"Exists\"}]}}", "key: missing" },
	{ "{\"podSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}}",
	  "values: In needs at least one" },
	{ "{\"podSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"x\"]}]}}",
	  "values: Exists takes none" },
	{ "{\"policyTypes\":[\"ingress\"]}", "policyTypes[0]: 'ingress' is none of Ingress, Egress" },
	{ "{\"ingress\":[7]}", "ingress[0]: want an object" },
	{ FROM("{}"), "ingress[0]: from[0]: none of podSelector, namespaceSelector, ipBlock" },
	{ FROM("{\"podSelector\":{}},{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\"},\"podSelector\":{}}"),
	  "ingress[0]: from[1]: ipBlock: stands together with a selector" },
	{ FROM("{\"ipBlock\":{}}"), "from[0]: ipBlock: cidr: missing" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"10.0.0.0/33\"}}"), "ipBlock: cidr: '10.0.0.0/33'" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"10.0.0.0\"}}"), "ipBlock: cidr: '10.0.0.0'" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"fd00::/129\"}}"), "ipBlock: cidr: 'fd00::/129'" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\",\"11.0.0.0/16\"]}}"),
	  "ipBlock: except[1]: '11.0.0.0/16' is not a part of '10.0.0.0/8'" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.0.0.0/8\"]}}"), "is not a part of" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"fd00::/16\"]}}"), "is not a part of" },
	{ FROM("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[4]}}"), "except[0]: want a string" },
	{ PORTS("{\"protocol\":\"ICMP\"}"), "ports[0]: protocol: 'ICMP' is none of TCP, UDP, SCTP" },
	{ PORTS("{\"port\":0}"), "ports[0]: port: " },
	{ PORTS("{\"port\":65536}"), "ports[0]: port: " },
	{ PORTS("{\"port\":\"\"}"), "ports[0]: port: is empty" },
	{ PORTS("{\"port\":80,\"endPort\":79}"), "ports[0]: endPort: 79 is below port 80" },
	{ PORTS("{\"port\":\"http\",\"endPort\":90}"), "endPort: the port has a name" },
	{ PORTS("{\"endPort\":90}"), "endPort: there is no port" },
	{ PORTS("{\"port\":80,\"endPort\":70000}"), "endPort: " },
	{ "{\"egress\":[{\"to\":7}]}", "egress[0]: to: want" },
};

#define CNP(rest) "{\"tier\":\"Admin\",\"priority\":1,\"subject\":{\"namespaces\":{}}" rest "}"
#define OUT(rule) CNP(",\"egress\":[" rule "]")
#define DENY(rest) "{\"action\":\"Deny\"," rest "}"

static const struct {
	const char *spec, *says;
} cnp_cases[] = {
	{ "{}", "clusternetworkpolicy cnp: spec: tier: missing" },
	{ "{\"tier\":\"Top\",\"priority\":1}", "tier: 'Top' is none of Admin, Baseline" },
	{ "{\"tier\":\"Admin\",\"priority\":1001}", "priority: " },
	{ "{\"tier\":\"Admin\",\"priority\":-1}", "priority: " },
	{ "{\"tier\":\"Admin\",\"priority\":1}", "subject: missing" },
	{ "{\"tier\":\"Admin\",\"priority\":1,\"subject\":{}}", "subject: want one of namespaces, pods" },
	{ "{\"tier\":\"Admin\",\"priority\":1,\"subject\":{\"pods\":{}}}", "subject: pods: podSelector: missing" },
	{ OUT("{}"), "egress[0]: action: missing" },
	{ OUT("{\"action\":\"Allow\"}"), "action: 'Allow' is none of Accept, Deny, Pass" },
	{ OUT(DENY("\"x\":1")), "egress[0]: to: missing" },
	{ OUT(DENY("\"to\":[]")), "to: is empty" },
	{ OUT(DENY("\"to\":[{\"networks\":[\"10.0.0.0/40\"]}]")), "to[0]: networks[0]: cidr: '10.0.0.0/40'" },
	{ OUT(DENY("\"to\":[{\"namespaces\":{},\"nodes\":{}}]")), "to[0]: has more than one of" },
	{ OUT(DENY("\"to\":[{\"nodes\":{}}],\"protocols\":[{\"destinationNamedPort\":\"http\"}]")),
	  "protocols: a named port stands with nodes or networks" },
	{ OUT(DENY("\"to\":[{\"namespaces\":{}}],\"protocols\":[{\"tcp\":{\"destinationPort\":{\"number\":0}}}]")),
	  "protocols[0]: tcp.destinationPort: number: " },
	{ OUT(DENY("\"to\":[{\"namespaces\":{}}],\"protocols\":[{\"udp\":{\"destinationPort\":"
		   "{\"range\":{\"start\":9,\"end\":9}}}}]")),
	  "udp.destinationPort: range: end: 9 is not above start 9" },
};

static const struct {
	const char *pod, *says;
} pod_cases[] = {
	{ "{}", NULL },
	{ "[]", "pod x/p: " },
	{ "{\"metadata\":{\"labels\":[]}}", "pod x/p: metadata.labels: want an object" },
	{ "{\"metadata\":{\"labels\":{\"a\":[]}}}", "metadata.labels: a: want a string" },
	{ "{\"spec\":{\"hostNetwork\":\"yes\"}}", "spec.hostNetwork: want" },
	{ "{\"spec\":{\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":0}]}]}}",
	  "spec: containers[0].ports[0]: containerPort: " },
	{ "{\"spec\":{\"containers\":[{\"ports\":[{\"containerPort\":1,\"protocol\":\"X\"}]}]}}",
	  "protocol: 'X' is none of" },
	{ "{\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.256\"}]}}", "status.podIPs[0].ip: '10.0.0.256'" },
	{ "{\"status\":{\"podIP\":\"x\"}}", "status.podIP: 'x'" },
};
/* clang-format on */

static const struct policy_entry *entry_of(const struct world *w, const char *key)
{
	struct policy_entry *entry;

	HASH_FIND_STR(w->policies, key, entry);
	return entry;
}

static void policies_that_cannot_be_read_are_named(void **state)
{
	_json_ *good = json_of("{\"spec\":{\"podSelector\":{}}}");
	struct cluster c;

	cluster_init(&c);
	assert_int_equal(world_set_policy(c.world, "x/np", good, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(np_cases); i++) {
		_json_ *obj = json_of("{\"spec\":%s}", np_cases[i].spec);
		struct err e = {};

		assert_true(world_set_policy(c.world, "x/np", obj, &e) < 0);
		if (!strstr(e.msg, np_cases[i].says))
			fail_msg("%s: '%s' does not say '%s'", np_cases[i].spec, e.msg,
				 np_cases[i].says);
		/* The one before it holds. */
		assert_non_null(entry_of(c.world, "networkpolicy x/np")->policy);
		assert_string_equal(entry_of(c.world, "networkpolicy x/np")->problem, e.msg);
	}
	assert_int_equal(world_set_policy(c.world, "x/np", good, NULL), 0);
	assert_null(entry_of(c.world, "networkpolicy x/np")->problem);
	cluster_fini(&c);
}

static void cluster_policies_that_cannot_be_read_are_named(void **state)
{
	struct cluster c;

	cluster_init(&c);
	for (size_t i = 0; i < ARRAY_SIZE(cnp_cases); i++) {
		_json_ *obj = json_of("{\"spec\":%s}", cnp_cases[i].spec);
		struct err e = {};

		assert_true(world_set_cluster_policy(c.world, "cnp", obj, &e) < 0);
		if (!strstr(e.msg, cnp_cases[i].says))
			fail_msg("%s: '%s' does not say '%s'", cnp_cases[i].spec, e.msg,
				 cnp_cases[i].says);
	}
	cluster_fini(&c);
}

static void pods_that_cannot_be_read_are_named(void **state)
{
	struct cluster c;

	cluster_init(&c);
	for (size_t i = 0; i < ARRAY_SIZE(pod_cases); i++) {
		_json_ *obj = json_of("%s", pod_cases[i].pod);
		struct err e = {};

		assert_int_equal(world_set_pod(c.world, "x/p", obj, &e) < 0,
				 pod_cases[i].says != NULL);
		if (pod_cases[i].says && !strstr(e.msg, pod_cases[i].says))
			fail_msg("%s: '%s' does not say '%s'", pod_cases[i].pod, e.msg,
				 pod_cases[i].says);
	}
	cluster_fini(&c);
}

static void labels_may_be_long_and_many(void **state)
{
	_json_ *labels = json_object_new_object();
	char key[400], prefix[254], value[64];
	struct cluster c;
	_json_ *np = NULL;
	union loom_addr outside;

	memset(prefix, 'p', sizeof(prefix) - 1);
	prefix[sizeof(prefix) - 1] = 0;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "%s/k%d", prefix, i);
		json_add_str(labels, key, value);
	}
	cluster_init(&c);
	cluster_namespace(&c, "x", NULL);
	cluster_pod(&c, "x", "p", labels, NULL, "", NULL, false);
	cluster_pod(&c, "x", "q", NULL, NULL, "", NULL, false);
	np = json_of("{\"metadata\":{\"name\":\"np\",\"namespace\":\"x\"},"
		     "\"spec\":{\"podSelector\":{\"matchLabels\":%s}}}",
		     json_text(labels));
	cluster_apply(&c, np);
	cluster_settle(&c);
	assert_int_equal(addr_parse("1.2.3.4", &outside, NULL), 0);
	assert_false(cluster_ingress(&c, "x/p", &outside, 6, 80));
	assert_true(cluster_ingress(&c, "x/q", &outside, 6, 80));
	cluster_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_that_cannot_be_read_are_named),
		cmocka_unit_test(cluster_policies_that_cannot_be_read_are_named),
		cmocka_unit_test(pods_that_cannot_be_read_are_named),
		cmocka_unit_test(labels_may_be_long_and_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
