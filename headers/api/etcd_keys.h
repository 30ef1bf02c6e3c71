/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The etcd schema; docs/etcd.md has it in full. All values are JSON objects.
 *
 *	k8s/<resource>/<namespace>/<name>  a reflected object, written by ksr only
 *	k8s/<resource>/<name>              the same, cluster-scoped: namespace, node,
 *	                                   clusternetworkpolicy
 *	ksr/leader                         fences ksr's writes
 *	ksr/alive                          somebody leads; under an etcd lease
 *	ksr/synced/<resource>              this resource is reflected whole
 *	alloc/node/<id>                    node ids: created if absent, never freed
 *	node/<name>                        what a node publishes of itself
 *	endpoint/<namespace>/<pod>         what a node publishes of a wired pod
 *	ask/<node>/<id>                    a question to that node, under a lease of the asker
 *	answer/<asker>/<id>                its answer, under the same lease
 *
 * <resource> is one of: namespace pod node service endpointslice networkpolicy
 * clusternetworkpolicy.
 */
#define KEY_ROOT       "/netloom/"
#define KEY_K8S	       KEY_ROOT "k8s/"
#define KEY_K8S_POD    KEY_K8S "pod/"
#define KEY_K8S_NODE   KEY_K8S "node/"
#define KEY_KSR	       KEY_ROOT "ksr/"
#define KEY_KSR_LEADER KEY_KSR "leader"
#define KEY_KSR_LOCK   KEY_KSR "lock" /* election without Kubernetes: under an etcd lease */
#define KEY_KSR_SYNCED KEY_KSR "synced/"
#define KEY_KSR_ALIVE  KEY_KSR "alive" /* the same text as the leader's */
#define KEY_ALLOC_NODE KEY_ROOT "alloc/node/"
#define KEY_NODE       KEY_ROOT "node/"
#define KEY_ENDPOINT   KEY_ROOT "endpoint/"
#define KEY_ASK	       KEY_ROOT "ask/"
#define KEY_ANSWER     KEY_ROOT "answer/"
