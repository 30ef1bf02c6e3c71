// SPDX-License-Identifier: Apache-2.0
#include "ksr/kinds.h"

#include <string.h>

#include "ksr/shape.h"

/*
 * Fields of the API as of Kubernetes 1.36. Older servers lack some, newer ones have more: both are
 * fine. Environment, volumes, images, and everything else that a network has no use for, are not in
 * here, and so never get into etcd.
 */

#define STR(n)                                 \
	{                                      \
		.name = (n), .type = SHAPE_STR \
	}
#define STR_NEEDED(n)                                            \
	{                                                        \
		.name = (n), .type = SHAPE_STR, .required = true \
	}
#define BOOL(n)                                 \
	{                                       \
		.name = (n), .type = SHAPE_BOOL \
	}
#define INT(n, lo, hi)                                                   \
	{                                                                \
		.name = (n), .type = SHAPE_INT, .min = (lo), .max = (hi) \
	}
#define PORT(n) INT(n, 0, 65535)
#define PORT_NEEDED(n)                                                                   \
	{                                                                                \
		.name = (n), .type = SHAPE_INT, .min = 1, .max = 65535, .required = true \
	}
#define PORT_OR_NAME(n)                                             \
	{                                                           \
		.name = (n), .type = SHAPE_INT_OR_STR, .max = 65535 \
	}
#define STRS(n)                                 \
	{                                       \
		.name = (n), .type = SHAPE_STRS \
	}
#define MAP(n)                                 \
	{                                      \
		.name = (n), .type = SHAPE_MAP \
	}
#define OBJ(n, f)                                             \
	{                                                     \
		.name = (n), .type = SHAPE_OBJ, .fields = (f) \
	}
#define OBJ_NEEDED(n, f)                                                        \
	{                                                                       \
		.name = (n), .type = SHAPE_OBJ, .fields = (f), .required = true \
	}
#define LIST_NEEDED(n, f)                                                        \
	{                                                                        \
		.name = (n), .type = SHAPE_LIST, .fields = (f), .required = true \
	}
#define LIST(n, f)                                             \
	{                                                      \
		.name = (n), .type = SHAPE_LIST, .fields = (f) \
	}
#define END \
	{   \
	}

/* ---- metadata ---- */

static const char *const annotations[] = {
	"netloom.io/*",
	"service.kubernetes.io/*",
	"service.beta.kubernetes.io/load-balancer-source-ranges",
	"kubernetes.io/config.mirror", /* of a static pod: its uid at the kubelet */
	"kubernetes.io/ingress-bandwidth",
	"kubernetes.io/egress-bandwidth",
	"k8s.v1.cni.cncf.io/networks",
	NULL,
};
static const struct shape metadata[] = {
	STR_NEEDED("name"),
	STR("namespace"),
	STR("uid"),
	STR("resourceVersion"),
	STR("deletionTimestamp"),
	MAP("labels"),
	{ .name = "annotations", .type = SHAPE_MAP, .only = annotations },
	END,
};
/* Of two Services that want one address the older has it. */
static const struct shape service_metadata[] = {
	STR_NEEDED("name"),
	STR("namespace"),
	STR("uid"),
	STR("resourceVersion"),
	STR("creationTimestamp"),
	STR("deletionTimestamp"),
	MAP("labels"),
	{ .name = "annotations", .type = SHAPE_MAP, .only = annotations },
	END,
};
/* Namespaces and policies: what policies are made of, and log-only mode. */
static const char *const policy_annotations[] = { "netloom.io/policy-mode", NULL };
static const struct shape namespace_metadata[] = {
	STR_NEEDED("name"),
	STR("uid"),
	STR("resourceVersion"),
	STR("deletionTimestamp"),
	MAP("labels"),
	{ .name = "annotations", .type = SHAPE_MAP, .only = policy_annotations },
	END,
};
static const struct shape policy_metadata[] = {
	STR_NEEDED("name"),
	STR("namespace"),
	STR("uid"),
	STR("resourceVersion"),
	STR("deletionTimestamp"),
	{ .name = "annotations", .type = SHAPE_MAP, .only = policy_annotations },
	END,
};
#define METADATA_OF(f)                                                                 \
	{                                                                              \
		.name = "metadata", .type = SHAPE_OBJ, .fields = (f), .required = true \
	}
#define METADATA METADATA_OF(metadata)

/* Not the others: they carry a heartbeat. */
static const char *const ready_only[] = { "Ready", NULL };
static const struct shape condition[] = { STR_NEEDED("type"), STR("status"), END };
#define CONDITIONS                                                                                \
	{                                                                                         \
		.name = "conditions", .type = SHAPE_LIST, .fields = condition, .only = ready_only \
	}

/* ---- namespace, node ---- */

static const struct shape namespace_status[] = { STR("phase"), END };
static const struct shape namespace[] = {
	METADATA_OF(namespace_metadata),
	OBJ("status", namespace_status),
	END,
};

static const struct shape node_address[] = { STR("type"), STR("address"), END };
static const struct shape node_spec[] = {
	STR("podCIDR"),
	STRS("podCIDRs"),
	BOOL("unschedulable"),
	END,
};
static const struct shape node_status[] = { LIST("addresses", node_address), CONDITIONS, END };
static const struct shape node[] = {
	METADATA,
	OBJ("spec", node_spec),
	OBJ("status", node_status),
	END,
};

/* ---- pod ---- */

static const struct shape container_port[] = {
	STR("name"), PORT_NEEDED("containerPort"), PORT("hostPort"), STR("hostIP"), STR("protocol"),
	END,
};
/* Of init containers only those with restartPolicy Always run on, and their ports count. */
static const struct shape container[] = {
	STR("name"),
	STR("restartPolicy"),
	LIST("ports", container_port),
	END,
};
static const struct shape ip[] = { STR("ip"), END };
static const struct shape pod_spec[] = {
	STR("nodeName"),
	BOOL("hostNetwork"),
	LIST("initContainers", container),
	LIST("containers", container),
	END,
};
static const struct shape pod_status[] = {
	STR("phase"), STR("hostIP"), LIST("hostIPs", ip), STR("podIP"), LIST("podIPs", ip),
	CONDITIONS,   END,
};
static const struct shape pod[] = {
	METADATA,
	OBJ("spec", pod_spec),
	OBJ("status", pod_status),
	END,
};

/* ---- service ---- */

static const struct shape service_port[] = {
	STR("name"),
	STR("protocol"),
	PORT_NEEDED("port"),
	PORT_OR_NAME("targetPort"),
	PORT("nodePort"),
	STR("appProtocol"),
	END,
};
static const struct shape client_ip[] = { INT("timeoutSeconds", 0, INT32_MAX), END };
static const struct shape affinity[] = { OBJ("clientIP", client_ip), END };
static const struct shape service_spec[] = {
	STR("type"),
	STR("clusterIP"),
	STRS("clusterIPs"),
	STRS("ipFamilies"),
	STR("ipFamilyPolicy"),
	STRS("externalIPs"),
	STR("externalName"),
	LIST("ports", service_port),
	MAP("selector"),
	STR("sessionAffinity"),
	OBJ("sessionAffinityConfig", affinity),
	STR("externalTrafficPolicy"),
	STR("internalTrafficPolicy"),
	STR("trafficDistribution"),
	PORT("healthCheckNodePort"),
	BOOL("publishNotReadyAddresses"),
	BOOL("allocateLoadBalancerNodePorts"),
	STR("loadBalancerClass"),
	STR("loadBalancerIP"),
	STRS("loadBalancerSourceRanges"),
	END,
};
static const struct shape ingress_port[] = { PORT("port"), STR("protocol"), STR("error"), END };
static const struct shape ingress[] = {
	STR("ip"), STR("hostname"), STR("ipMode"), LIST("ports", ingress_port), END,
};
static const struct shape balancer[] = { LIST("ingress", ingress), END };
static const struct shape service_status[] = { OBJ("loadBalancer", balancer), END };
static const struct shape service[] = {
	METADATA_OF(service_metadata),
	OBJ("spec", service_spec),
	OBJ("status", service_status),
	END,
};

/* ---- endpointslice ---- */

static const struct shape endpoint_conditions[] = {
	BOOL("ready"),
	BOOL("serving"),
	BOOL("terminating"),
	END,
};
static const struct shape target_ref[] = {
	STR("kind"), STR("namespace"), STR("name"), STR("uid"), END,
};
static const struct shape named[] = { STR("name"), END };
static const struct shape hints[] = { LIST("forZones", named), LIST("forNodes", named), END };
static const struct shape endpoint[] = {
	{ .name = "addresses", .type = SHAPE_STRS, .required = true },
	OBJ("conditions", endpoint_conditions),
	STR("hostname"),
	OBJ("targetRef", target_ref),
	STR("nodeName"),
	STR("zone"),
	OBJ("hints", hints),
	END,
};
static const struct shape endpoint_port[] = {
	STR("name"), STR("protocol"), PORT("port"), STR("appProtocol"), END,
};
static const struct shape endpointslice[] = {
	METADATA,
	STR_NEEDED("addressType"),
	LIST("endpoints", endpoint),
	LIST("ports", endpoint_port),
	END,
};

/* ---- networkpolicy ---- */

static const struct shape expression[] = {
	STR_NEEDED("key"),
	STR_NEEDED("operator"),
	STRS("values"),
	END,
};
static const struct shape selector[] = {
	MAP("matchLabels"),
	LIST("matchExpressions", expression),
	END,
};
static const struct shape ip_block[] = { STR_NEEDED("cidr"), STRS("except"), END };
static const struct shape peer[] = {
	OBJ("podSelector", selector),
	OBJ("namespaceSelector", selector),
	OBJ("ipBlock", ip_block),
	END,
};
static const struct shape policy_port[] = {
	STR("protocol"),
	PORT_OR_NAME("port"),
	PORT("endPort"),
	END,
};
static const struct shape ingress_rule[] = { LIST("from", peer), LIST("ports", policy_port), END };
static const struct shape egress_rule[] = { LIST("to", peer), LIST("ports", policy_port), END };
static const struct shape policy_spec[] = {
	OBJ("podSelector", selector),
	STRS("policyTypes"),
	LIST("ingress", ingress_rule),
	LIST("egress", egress_rule),
	END,
};
static const struct shape networkpolicy[] = {
	METADATA_OF(policy_metadata),
	OBJ_NEEDED("spec", policy_spec),
	END,
};

/* ---- clusternetworkpolicy ---- */

/*
 * policy.networking.k8s.io/v1alpha2, both channels. A peer or a protocol of a kind that isn't in
 * here is left as an empty object, by which readers know to fail closed, as the API says.
 */
static const struct shape cluster_pods[] = {
	OBJ("namespaceSelector", selector),
	OBJ("podSelector", selector),
	END,
};
static const struct shape cluster_subject[] = {
	OBJ("namespaces", selector),
	OBJ("pods", cluster_pods),
	END,
};
static const struct shape cluster_peer[] = {
	OBJ("namespaces", selector), OBJ("pods", cluster_pods),
	OBJ("nodes", selector),	     STRS("networks"),
	STRS("domainNames"),	     END,
};
static const struct shape port_range[] = { PORT_NEEDED("start"), PORT_NEEDED("end"), END };
static const struct shape destination_port[] = {
	INT("number", 1, 65535),
	OBJ("range", port_range),
	END,
};
static const struct shape port_match[] = { OBJ("destinationPort", destination_port), END };
static const struct shape cluster_protocol[] = {
	OBJ("tcp", port_match),
	OBJ("udp", port_match),
	OBJ("sctp", port_match),
	STR("destinationNamedPort"),
	END,
};
static const struct shape cluster_ingress_rule[] = {
	STR("name"),
	STR_NEEDED("action"),
	LIST_NEEDED("from", cluster_peer),
	LIST("protocols", cluster_protocol),
	END,
};
static const struct shape cluster_egress_rule[] = {
	STR("name"),
	STR_NEEDED("action"),
	LIST_NEEDED("to", cluster_peer),
	LIST("protocols", cluster_protocol),
	END,
};
static const struct shape cluster_spec[] = {
	STR_NEEDED("tier"),
	{ .name = "priority", .type = SHAPE_INT, .max = 1000, .required = true },
	OBJ_NEEDED("subject", cluster_subject),
	LIST("ingress", cluster_ingress_rule),
	LIST("egress", cluster_egress_rule),
	END,
};
static const struct shape clusternetworkpolicy[] = {
	METADATA_OF(policy_metadata),
	OBJ_NEEDED("spec", cluster_spec),
	END,
};

/* ---- the table ---- */

#define PATHS(...) ((const char *const[]){ __VA_ARGS__, NULL })

const struct kind_info kinds[KIND_COUNT] = {
	[KIND_NAMESPACE] = { "namespace", "Namespace", "v1", PATHS("/api/v1/namespaces"), false,
			     namespace },
	[KIND_NODE] = { "node", "Node", "v1", PATHS("/api/v1/nodes"), false, node },
	[KIND_POD] = { "pod", "Pod", "v1", PATHS("/api/v1/pods"), true, pod },
	[KIND_SERVICE] = { "service", "Service", "v1", PATHS("/api/v1/services"), true, service },
	/* v1 came with Kubernetes 1.21, v1beta1 went with 1.25. */
	[KIND_ENDPOINTSLICE] = { "endpointslice", "EndpointSlice",
				 "discovery.k8s.io/v1 discovery.k8s.io/v1beta1",
				 PATHS("/apis/discovery.k8s.io/v1/endpointslices",
				       "/apis/discovery.k8s.io/v1beta1/endpointslices"),
				 true, endpointslice },
	[KIND_NETWORKPOLICY] = { "networkpolicy", "NetworkPolicy", "networking.k8s.io/v1",
				 PATHS("/apis/networking.k8s.io/v1/networkpolicies"), true,
				 networkpolicy },
	[KIND_CLUSTERNETWORKPOLICY] = { "clusternetworkpolicy", "ClusterNetworkPolicy",
					"policy.networking.k8s.io/v1alpha2",
					PATHS("/apis/policy.networking.k8s.io/v1alpha2/"
					      "clusternetworkpolicies"),
					false, clusternetworkpolicy, true },
};

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = words; n && (at = strstr(at, word)); at += n) {
		if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
	}
	return false;
}

enum kind kind_find(const char *api_version, const char *kind)
{
	for (enum kind k = 0; k < KIND_COUNT; k++) {
		if (strcmp(kinds[k].kind, kind) == 0 &&
		    has_word(kinds[k].api_versions, api_version))
			return k;
	}
	return KIND_COUNT;
}
