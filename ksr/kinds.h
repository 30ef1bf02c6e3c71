/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The resources that are reflected: one row each in kinds.c. */
#include <stdbool.h>
#include <stddef.h>

enum kind {
	KIND_NAMESPACE,
	KIND_NODE,
	KIND_POD,
	KIND_SERVICE,
	KIND_ENDPOINTSLICE,
	KIND_NETWORKPOLICY,
	KIND_CLUSTERNETWORKPOLICY,
	KIND_COUNT,
};

struct shape;

struct kind_info {
	const char *name;	  /* in keys: "endpointslice" */
	const char *kind;	  /* in manifests: "EndpointSlice" */
	const char *api_versions; /* blank-separated: "discovery.k8s.io/v1 …" */
	const char *const *paths; /* of the API, best first */
	bool namespaced;
	const struct shape *shape; /* what is kept of an object */
	bool optional;		   /* of a CRD: a server without it is a server without objects */
};
extern const struct kind_info kinds[KIND_COUNT];

/* By a manifest's apiVersion and kind; KIND_COUNT when it is none of ours. A kind of ours under an
 * apiVersion that isn't, too. */
enum kind kind_find(const char *api_version, const char *kind);
