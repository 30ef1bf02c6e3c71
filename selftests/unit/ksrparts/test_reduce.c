// SPDX-License-Identifier: Apache-2.0
/* What is kept of an object, and which objects are refused with which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ksr/reduce.h"
#include "lib/json/json.h"

/* A cluster policy, its text as it stays when `meta` and `spec` stay. */
#define CLUSTER(meta, spec) "{\"metadata\":{\"name\":\"a.b\"," meta "},\"spec\":" spec "}"
#define CLUSTER_SPEC(egress) \
	"{\"tier\":\"Admin\",\"priority\":0,\"subject\":{\"namespaces\":{}},\"egress\":" egress "}"
#define CLUSTER_RULES                                                                              \
	"{\"tier\":\"Baseline\",\"priority\":1000,\"subject\":{\"pods\":{\"namespaceSelector\":{"  \
	"\"matchLabels\":{\"a\":\"b\"}},\"podSelector\":{\"matchExpressions\":[{\"key\":\"k\","    \
	"\"operator\":\"In\",\"values\":[\"v\"]}]}}},\"ingress\":[{\"name\":\"in\",\"action\":"    \
	"\"Pass\","                                                                                \
	"\"from\":[{\"namespaces\":{}},{\"pods\":{\"namespaceSelector\":{},\"podSelector\":{}}}]," \
	"\"protocols\":[{\"tcp\":{\"destinationPort\":{\"number\":80}}},{\"udp\":{"                \
	"\"destinationPort\":{\"range\":{\"start\":1,\"end\":65535}}}},{\"sctp\":{}},{"            \
	"\"destinationNamedPort\":\"web\"}]}],\"egress\":[{\"action\":\"Accept\",\"to\":[{"        \
	"\"nodes\":{}},{\"networks\":[\"10.0.0.0/8\",\"fd00::/8\"]},{\"domainNames\":["            \
	"\"*.example.com\"]}]}]}"
#define META "\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"}"

/* `value` NULL: refused, and the message is `error`. Keys and values as they stand in etcd. */
static const struct {
	const char *name;
	enum kind kind;
	const char *object, *key, *value, *error;
} cases[] = {
	{ "a namespace keeps its labels", KIND_NAMESPACE,
	  "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\",\"uid\":\"u\","
	  "\"labels\":{\"team\":\"x\"},\"managedFields\":[{\"fieldsV1\":{}}]},"
	  "\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{\"phase\":\"Active\"}}",
	  "/netloom/k8s/namespace/shop",
	  "{\"metadata\":{\"name\":\"shop\",\"uid\":\"u\",\"labels\":{\"team\":\"x\"}},"
	  "\"status\":{\"phase\":\"Active\"}}",
	  NULL },
	{ "a node loses images and heartbeats", KIND_NODE,
	  "{\"metadata\":{\"name\":\"n1.example\"},\"spec\":{\"podCIDR\":\"10.1.0.0/24\","
	  "\"podCIDRs\":[\"10.1.0.0/24\"],\"providerID\":\"x\"},\"status\":{\"images\":[{}],"
	  "\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"}],"
	  "\"conditions\":[{\"type\":\"MemoryPressure\",\"status\":\"False\"},{\"type\":\"Ready\","
	  "\"status\":\"True\",\"lastHeartbeatTime\":\"2026-01-01T00:00:00Z\"}]}}",
	  "/netloom/k8s/node/n1.example",
	  "{\"metadata\":{\"name\":\"n1.example\"},\"spec\":{\"podCIDR\":\"10.1.0.0/24\","
	  "\"podCIDRs\":[\"10.1.0.0/24\"]},\"status\":{\"addresses\":[{\"type\":\"InternalIP\","
	  "\"address\":\"10.0.0.1\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
	  NULL },
	{ "a pod's environment and volumes never pass", KIND_POD,
	  "{" META ",\"spec\":{\"nodeName\":\"n1\",\"hostNetwork\":false,\"volumes\":[{\"secret\":"
	  "{}}],\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"env\":[{\"name\":\"PASSWORD\","
	  "\"value\":\"x\"}],\"ports\":[{\"name\":\"http\",\"containerPort\":80}]}]},"
	  "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.1.0.7\",\"podIPs\":[{\"ip\":"
	  "\"10.1.0.7\"}],\"containerStatuses\":[{}]}}",
	  "/netloom/k8s/pod/n/a",
	  "{" META ",\"spec\":{\"nodeName\":\"n1\",\"hostNetwork\":false,\"containers\":[{\"name\":"
	  "\"c\",\"ports\":[{\"name\":\"http\",\"containerPort\":80}]}]},\"status\":{\"phase\":"
	  "\"Running\",\"podIP\":\"10.1.0.7\",\"podIPs\":[{\"ip\":\"10.1.0.7\"}]}}",
	  NULL },
	{ "annotations of others are left out", KIND_POD,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"annotations\":{"
	  "\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\",\"netloom.io/x\":\"1\"}}}",
	  "/netloom/k8s/pod/n/a",
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"annotations\":{\"netloom.io/x\":"
	  "\"1\"}}}",
	  NULL },
	{ "a static pod's copy says what uid its kubelet knows it by", KIND_POD,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"annotations\":{"
	  "\"kubernetes.io/config.hash\":\"h\",\"kubernetes.io/config.mirror\":\"h\","
	  "\"kubernetes.io/config.source\":\"file\"}}}",
	  "/netloom/k8s/pod/n/a",
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"annotations\":{"
	  "\"kubernetes.io/config.mirror\":\"h\"}}}",
	  NULL },
	{ "a service has its age, and its source ranges also as an annotation", KIND_SERVICE,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"7\","
	  "\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"annotations\":{"
	  "\"service.beta.kubernetes.io/load-balancer-source-ranges\":\"192.0.2.0/24\","
	  "\"service.beta.kubernetes.io/x\":\"1\"}},\"spec\":{}}",
	  "/netloom/k8s/service/n/a",
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"7\","
	  "\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"annotations\":{"
	  "\"service.beta.kubernetes.io/load-balancer-source-ranges\":\"192.0.2.0/24\"}},"
	  "\"spec\":{}}",
	  NULL },
	{ "no annotation left is no annotations", KIND_POD,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"annotations\":{\"x\":\"1\"}}}",
	  "/netloom/k8s/pod/n/a", "{" META "}", NULL },
	{ "null is absent", KIND_POD, "{" META ",\"spec\":null,\"status\":{\"podIPs\":null}}",
	  "/netloom/k8s/pod/n/a", "{" META ",\"status\":{}}", NULL },
	{ "fields of the future are ignored", KIND_SERVICE,
	  "{" META ",\"spec\":{\"teleport\":{\"x\":[1]},\"ports\":[{\"port\":80,\"targetPort\":"
	  "\"http\",\"quantum\":true}]}}",
	  "/netloom/k8s/service/n/a",
	  "{" META ",\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]}}", NULL },
	{ "empty selectors and rules stay, since they mean something", KIND_NETWORKPOLICY,
	  "{" META ",\"spec\":{\"podSelector\":{},\"ingress\":[{}],\"egress\":[]}}",
	  "/netloom/k8s/networkpolicy/n/a",
	  "{" META ",\"spec\":{\"podSelector\":{},\"ingress\":[{}],\"egress\":[]}}", NULL },
	{ "of a policy's and a namespace's annotations log-only mode stays", KIND_NETWORKPOLICY,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"labels\":{\"x\":\"y\"},"
	  "\"annotations\":{\"netloom.io/policy-mode\":\"log\",\"netloom.io/x\":\"1\"}},"
	  "\"spec\":{}}",
	  "/netloom/k8s/networkpolicy/n/a",
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"annotations\":{"
	  "\"netloom.io/policy-mode\":\"log\"}},\"spec\":{}}",
	  NULL },
	{ "a namespace in log-only mode", KIND_NAMESPACE,
	  "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"},\"annotations\":{"
	  "\"netloom.io/policy-mode\":\"log\",\"k8s.v1.cni.cncf.io/networks\":\"m\"}}}",
	  "/netloom/k8s/namespace/a",
	  "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"},\"annotations\":{"
	  "\"netloom.io/policy-mode\":\"log\"}}}",
	  NULL },
	{ "a native sidecar's ports count, deletion and host network stay", KIND_POD,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"deletionTimestamp\":\"t\","
	  "\"labels\":{\"app\":\"x\"}},\"spec\":{\"hostNetwork\":true,\"initContainers\":[{"
	  "\"name\":\"s\",\"restartPolicy\":\"Always\",\"ports\":[{\"name\":\"m\","
	  "\"containerPort\":9,\"protocol\":\"SCTP\"}]}]}}",
	  "/netloom/k8s/pod/n/a",
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"deletionTimestamp\":\"t\","
	  "\"labels\":{\"app\":\"x\"}},\"spec\":{\"hostNetwork\":true,\"initContainers\":[{"
	  "\"name\":\"s\",\"restartPolicy\":\"Always\",\"ports\":[{\"name\":\"m\","
	  "\"containerPort\":9,\"protocol\":\"SCTP\"}]}]}}",
	  NULL },
	{ "a cluster policy keeps all of its rules", KIND_CLUSTERNETWORKPOLICY,
	  CLUSTER("\"uid\":\"u\",\"labels\":{\"x\":\"y\"},\"annotations\":{"
		  "\"netloom.io/policy-mode\":\"log\",\"kubectl.kubernetes.io/x\":\"{}\"}",
		  CLUSTER_RULES ",\"status\":{\"conditions\":[]}"),
	  "/netloom/k8s/clusternetworkpolicy/a.b",
	  CLUSTER("\"uid\":\"u\",\"annotations\":{\"netloom.io/policy-mode\":\"log\"}",
		  CLUSTER_RULES),
	  NULL },
	{ "a peer and a protocol of the future are empty, not gone", KIND_CLUSTERNETWORKPOLICY,
	  CLUSTER("\"uid\":\"u\"", CLUSTER_SPEC("[{\"action\":\"Deny\",\"to\":[{\"moons\":{}}],"
						"\"protocols\":[{\"quic\":{}}]}]")),
	  "/netloom/k8s/clusternetworkpolicy/a.b",
	  CLUSTER("\"uid\":\"u\"",
		  CLUSTER_SPEC("[{\"action\":\"Deny\",\"to\":[{}],\"protocols\":[{}]}]")),
	  NULL },
	{ "v1beta1 topology becomes node and zone", KIND_ENDPOINTSLICE,
	  "{" META ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.1.0.7\"],"
	  "\"topology\":{\"kubernetes.io/hostname\":\"n1\",\"topology.kubernetes.io/zone\":\"z\"}}]"
	  "}",
	  "/netloom/k8s/endpointslice/n/a",
	  "{" META ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.1.0.7\"],"
	  "\"nodeName\":\"n1\",\"zone\":\"z\"}]}",
	  NULL },

	{ "a wrong type is named with its path", KIND_SERVICE,
	  "{" META ",\"spec\":{\"ports\":[{\"port\":1},{\"port\":\"80\"}]}}",
	  "/netloom/k8s/service/n/a", NULL,
	  "service n/a: spec.ports[1].port: want a whole number, found a string" },
	{ "a port out of range", KIND_SERVICE, "{" META ",\"spec\":{\"ports\":[{\"port\":70000}]}}",
	  "/netloom/k8s/service/n/a", NULL,
	  "service n/a: spec.ports[0].port: 70000 is not in 1..65535" },
	{ "a missing port", KIND_SERVICE, "{" META ",\"spec\":{\"ports\":[{}]}}",
	  "/netloom/k8s/service/n/a", NULL, "service n/a: spec.ports[0].port: missing" },
	{ "a label that is a number", KIND_POD,
	  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"labels\":{\"v\":1}}}",
	  "/netloom/k8s/pod/n/a", NULL,
	  "pod n/a: metadata.labels.v: want a string, found a number" },
	{ "a list where an object is wanted", KIND_POD, "{" META ",\"spec\":[]}",
	  "/netloom/k8s/pod/n/a", NULL, "pod n/a: spec: want an object, found an array" },
	{ "an element that is no object", KIND_POD, "{" META ",\"spec\":{\"containers\":[7]}}",
	  "/netloom/k8s/pod/n/a", NULL,
	  "pod n/a: spec.containers[0]: want an object, found a number" },
	{ "a NUL character", KIND_POD, "{" META ",\"spec\":{\"nodeName\":\"a\\u0000b\"}}",
	  "/netloom/k8s/pod/n/a", NULL, "pod n/a: spec.nodeName: holds a NUL character" },
	{ "a cluster policy without a priority", KIND_CLUSTERNETWORKPOLICY,
	  "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"tier\":\"Admin\",\"subject\":{}}}",
	  "/netloom/k8s/clusternetworkpolicy/a", NULL,
	  "clusternetworkpolicy a: spec.priority: missing" },
	{ "a cluster policy's rule without an action", KIND_CLUSTERNETWORKPOLICY,
	  CLUSTER("\"uid\":\"u\"", CLUSTER_SPEC("[{\"to\":[]}]")),
	  "/netloom/k8s/clusternetworkpolicy/a.b", NULL,
	  "clusternetworkpolicy a.b: spec.egress[0].action: missing" },
	{ "a cluster policy's port out of range", KIND_CLUSTERNETWORKPOLICY,
	  CLUSTER("\"uid\":\"u\"",
		  CLUSTER_SPEC("[{\"action\":\"Deny\",\"to\":[],\"protocols\":[{\"tcp\":{"
			       "\"destinationPort\":{\"number\":0}}}]}]")),
	  "/netloom/k8s/clusternetworkpolicy/a.b", NULL,
	  "clusternetworkpolicy a.b: spec.egress[0].protocols[0].tcp.destinationPort.number: "
	  "0 is not in 1..65535" },
	{ "a policy without spec", KIND_NETWORKPOLICY, "{" META "}",
	  "/netloom/k8s/networkpolicy/n/a", NULL, "networkpolicy n/a: spec: missing" },
};

static void objects_are_reduced_or_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *key = NULL;
		_cleanup_(freep) char *value = NULL;
		_json_ *obj = NULL;
		struct err e = {};

		print_message("  %s\n", cases[i].name);
		assert_int_equal(json_parse(cases[i].object, strlen(cases[i].object), &obj, NULL),
				 0);
		assert_int_equal(reduce_key(cases[i].kind, obj, &key, &e), 0);
		assert_string_equal(key, cases[i].key);
		if (cases[i].value) {
			assert_int_equal(reduce_value(cases[i].kind, obj, &value, &e), 0);
			assert_string_equal(value, cases[i].value);
		} else {
			assert_true(reduce_value(cases[i].kind, obj, &value, &e) < 0);
			assert_string_equal(e.msg, cases[i].error);
			assert_null(value);
		}
	}
}

static void names_that_reach_into_other_keys_are_refused(void **state)
{
	static const struct {
		enum kind kind;
		const char *meta;
	} bad[] = {
		{ KIND_POD, "{\"name\":\"a/b\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"a\",\"namespace\":\"n/m\"}" },
		{ KIND_POD, "{\"name\":\"..\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"A\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"a\\n\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"a\"}" },
		{ KIND_POD, "{\"name\":7,\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"-a\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"a.-b\",\"namespace\":\"n\"}" },
		{ KIND_POD, "{\"name\":\"a\",\"namespace\":\"n.m\"}" },
		{ KIND_NAMESPACE, "{\"name\":\"a.b\"}" },
		{ KIND_NODE, "{}" },
		{ KIND_NODE, "[]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_json_ *obj = json_object_new_object();
		struct json_object *meta;
		struct err e = {};
		char *key = NULL;

		assert_int_equal(json_parse(bad[i].meta, strlen(bad[i].meta), &meta, NULL), 0);
		json_add(obj, "metadata", meta);
		assert_int_not_equal(reduce_key(bad[i].kind, obj, &key, &e), 0);
		assert_non_null(strstr(e.msg, "metadata"));
		assert_null(key);
	}
}

static void what_etcd_could_not_take_is_refused(void **state)
{
	_json_ *obj = NULL;
	struct json_object *labels = json_object_new_object();
	char *big = malloc((2u << 20) + 1), *value = NULL;
	const char *text = "{" META "}";
	struct err e = {};

	memset(big, 'x', 2u << 20);
	big[2u << 20] = 0;
	assert_int_equal(json_parse(text, strlen(text), &obj, NULL), 0);
	json_add_str(json_field(obj, "metadata"), "ignored", big);
	assert_int_equal(reduce_value(KIND_POD, obj, &value, &e), 0);
	free(value);
	json_add_str(labels, "l", big);
	json_add(json_field(obj, "metadata"), "labels", labels);
	assert_int_equal(reduce_value(KIND_POD, obj, &value, &e), -E2BIG);
	assert_non_null(strstr(e.msg, "pod n/a: "));
	free(big);
}

static void versions_alone_make_no_difference(void **state)
{
#define V(rv, rest) "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"" rv "\"" rest "}}"
	assert_true(reduced_equal(V("1", ""), V("1000", "")));
	assert_false(reduced_equal(V("1", ""), V("1", ",\"labels\":{}")));
	assert_false(reduced_equal(V("1", ",\"labels\":{\"resourceVersion\":\"1\"}"),
				   V("1", ",\"labels\":{\"resourceVersion\":\"2\"}")));
	assert_false(reduced_equal(V("1", ""), "{\"metadata\":{\"name\":\"a\"}}"));
	assert_false(reduced_equal("{}", V("1", "")));
	assert_true(reduced_equal("junk", "junk"));
}

static void kinds_are_found_under_their_versions_only(void **state)
{
	assert_int_equal(kind_find("v1", "Pod"), KIND_POD);
	assert_int_equal(kind_find("discovery.k8s.io/v1beta1", "EndpointSlice"),
			 KIND_ENDPOINTSLICE);
	assert_int_equal(kind_find("discovery.k8s.io/v1", "EndpointSlice"), KIND_ENDPOINTSLICE);
	assert_int_equal(kind_find("discovery.k8s.io/v1beta", "EndpointSlice"), KIND_COUNT);
	assert_int_equal(kind_find("v2", "Pod"), KIND_COUNT);
	assert_int_equal(kind_find("", "Pod"), KIND_COUNT);
	assert_int_equal(kind_find("v1", "Secret"), KIND_COUNT);
	assert_int_equal(kind_find("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
			 KIND_CLUSTERNETWORKPOLICY);
	assert_int_equal(kind_find("policy.networking.k8s.io/v1alpha1", "ClusterNetworkPolicy"),
			 KIND_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_reduced_or_refused),
		cmocka_unit_test(names_that_reach_into_other_keys_are_refused),
		cmocka_unit_test(what_etcd_could_not_take_is_refused),
		cmocka_unit_test(versions_alone_make_no_difference),
		cmocka_unit_test(kinds_are_found_under_their_versions_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
