/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The etcd schema (docs/etcd.md). All values are JSON objects.
 *
 *	/netloom/k8s/<resource>/<namespace>/<name>  reflected object, written by ksr only;
 *namespaced resources /netloom/k8s/<resource>/<name>              the same, cluster-scoped
 *resources (namespace, node) <resource>: namespace pod node service endpointslice networkpolicy
 *(singular, lower case) value: the Kubernetes object reduced to what agents need, same field names
 *and nesting as in the API, with metadata {name, namespace, uid, resourceVersion, labels,
 *annotations we use} /netloom/ksr/leader                         {"holder","epoch"}: fences ksr's
 *writes /netloom/ksr/synced/<resource>              {"epoch","revision","count"}: this resource is
 *reflected whole /netloom/alloc/node/<id>                    {"name": <node>}: node ids, created if
 *absent, never reused while /netloom/node/<name> or the Kubernetes node exists /netloom/node/<name>
 *what a node publishes: {"id", "name", "addresses": ["10.0.0.1", "fd00::1"], "podCIDRs":
 *["10.1.1.0/24"], "underlay": "10.0.0.1", "transport": "vxlan"|"native", "version", "started"}
 *	/netloom/endpoint/<namespace>/<pod>         {"node", "ips": [], "mac", "containerID", "uid"}
 */
#define KEY_ROOT       "/netloom/"
#define KEY_K8S	       KEY_ROOT "k8s/"
#define KEY_K8S_POD    KEY_K8S "pod/"
#define KEY_K8S_NODE   KEY_K8S "node/"
#define KEY_KSR_LEADER KEY_ROOT "ksr/leader"
/* Holder of the election without Kubernetes, bound to an etcd lease; text: who holds it. */
#define KEY_KSR_LOCK   KEY_ROOT "ksr/lock"
#define KEY_KSR_SYNCED KEY_ROOT "ksr/synced/"
#define KEY_ALLOC_NODE KEY_ROOT "alloc/node/"
#define KEY_NODE       KEY_ROOT "node/"
#define KEY_ENDPOINT   KEY_ROOT "endpoint/"
