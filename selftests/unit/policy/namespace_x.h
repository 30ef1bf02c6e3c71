/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tests of the world start from: one cluster with the namespace "x", and few words for what
 * happens there. */
#include <netinet/in.h>

#include "selftests/unit/policy/cluster.h"

#define TCP IPPROTO_TCP

/* Spec of a policy about all pods, that lets in those with app=a. */
#define ONLY_A                                                                                    \
	"{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{\"app\":" \
	"\"a\"}}}]}]}"

/* A rule of ingress of a ClusterNetworkPolicy. */
#define CNP_RULE(action, app)   \
	"{\"action\":\"" action \
	"\",\"from\":[{\"pods\":{\"podSelector\":{\"matchLabels\":{\"app\":\"" app "\"}}}}]}"

extern struct cluster c;

/* Around each test: an empty namespace. */
int x_setup(void **state);
int x_teardown(void **state);
/* A pod of this node with the label app. */
void add_pod(const char *name, const char *app);
/* Of a pod, "x/a". */
const union loom_addr *addr_of(const char *key);
union loom_addr ipv4(const char *text);
/* A NetworkPolicy of "x". */
void apply(const char *name, const char *spec);
/* A ClusterNetworkPolicy about all pods; `rules`: of ingress. */
void apply_cluster(const char *name, const char *tier, const char *rules);
/* TCP, by the policies of both. */
bool reaches(const char *from, const char *to, uint16_t port);
struct loom_epol epol(uint32_t ep);
/* "networkpolicy x/a"; it is there. */
const struct policy_entry *entry_of(const char *key);
