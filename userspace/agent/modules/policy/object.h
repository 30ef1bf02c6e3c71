/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * NetworkPolicy (networking.k8s.io/v1) and ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2)
 * as ksr reflects them, read once when they arrive. A policy that can't be read is refused whole,
 * with the field that is wrong. Read ones never change: a new text makes a new object, and rule
 * sets hold the one that they were made of.
 */
#include "agent/modules/policy/peers.h"
#include "lib/base/addr.h"
#include "lib/base/grow.h"
#include "shared/loom_pol.h"

/* Value of the annotation that makes a policy, or all NetworkPolicies of a namespace, log-only. */
#define POLICY_MODE_ANNOTATION "netloom.io/policy-mode"
#define POLICY_MODE_LOG_ONLY   "log"

/* CIDRs and excepts of one policy: an eighth of those that a node has room for. */
#define POLICY_MAX_PREFIXES (LOOM_POL_CLASSES / 8)

/* Behind the name of what stands for a policy that can't hold. */
#define CLOSED_MARK " (closed)"

struct port_match {
	uint8_t proto;	  /* 0, only with a name: any */
	uint16_t lo, hi;  /* host order, both ends included; without a name */
	struct str *name; /* NULL: by number */
};

struct block {
	struct prefix cidr;
	struct prefix *except;
	size_t n_except;
};

/* Addresses of one family, both ends included. */
struct span {
	union loom_addr first, last;
	bool v4;
};

struct rule {
	enum loom_pol_action action;
	char *name; /* of a ClusterNetworkPolicy's rule; NULL: none */
	bool any_peer, any_port;
	bool has_names; /* some port is named */
	struct peer **peers;
	struct block *blocks;
	struct port_match *ports;
	size_t n_peers, n_blocks, n_ports;
	struct span *spans; /* of the blocks, where there are names too: reach.h */
	size_t n_spans;
};

struct policy {
	uint32_t refs;
	enum loom_pol_tier tier;
	char *name;	/* "networkpolicy ns/name", "clusternetworkpolicy name"; CLOSED_MARK */
	char *text;	/* what it was read from */
	struct str *ns; /* NULL: of the cluster */
	int priority;	/* of the cluster */
	bool log_only;
	bool unreadable; /* a closed reading */
	struct peer *subject;
	bool decides[DIRS]; /* policyTypes; of the cluster: there are rules */
	struct rule *rules[DIRS];
	size_t n_rules[DIRS];
};

struct policy_reader {
	struct strs *strs;
	struct peers *peers;
};

/* `key`: "namespace/name". Negative: "networkpolicy x/a: spec.ingress[0].from[1]: ipBlock.cidr: …".
 */
int policy_read(const struct policy_reader *r, const char *key, struct json_object *obj,
		struct policy **ret, struct err *e);
int cluster_policy_read(const struct policy_reader *r, const char *name, struct json_object *obj,
			struct policy **ret, struct err *e);
/*
 * Of an object that can't be read: what can be of its subject and directions, closed as
 * policy_closed() says. What is not known is taken to be about all pods (of the namespace, or of
 * the cluster), about both directions, of the Admin tier, first, and to deny. 0 or -ENOMEM;
 * -EINVAL: the key is none.
 */
int policy_read_closed(const struct policy_reader *r, const char *key, struct json_object *obj,
		       struct policy **ret);
int cluster_policy_read_closed(const struct policy_reader *r, const char *name,
			       struct json_object *obj, struct policy **ret);
struct policy *policy_ref(struct policy *p);
void policy_put(struct policy *p); /* accepts NULL */
/*
 * What stands for a policy that can't hold where none of before does: it selects the same pods, in
 * the same directions, and lets nothing through that the policy might not. A NetworkPolicy isolates
 * without rules. Of a ClusterNetworkPolicy Accept matches nothing, and Deny and Pass deny
 * everything, as its API has it for rules that an implementation does not understand. NULL: out of
 * memory.
 */
struct policy *policy_closed(const struct policy *p);
DEFINE_FREEP(struct policy, policy_put)
const char *direction_name(enum direction dir);
/* "Accept", "Deny", "Pass" */
const char *action_name(enum loom_pol_action action);

/* The annotation says log-only. */
bool object_is_log_only(struct json_object *obj);

/* ---- for the files that read them ---- */

int block_read(struct rule *rule, const char *cidr, struct json_object *except, struct err *e);
/* -E2BIG: one policy would take what is for many. */
int policy_check_size(const struct policy *p, struct err *e);
/* Where there are more ports than a set has rules: those with numbers that touch become one, so
 * that they do not have to for each peer. */
void rule_join_ports(struct rule *r);
int port_number(struct json_object *obj, const char *field, uint16_t *ret, struct err *e);
/* The rule of a ClusterNetworkPolicy fails closed: see policy_closed(). */
void rule_close(struct rule *rule);
/* Marks it as a closed reading. 0 or -ENOMEM. */
int policy_mark_unreadable(struct policy *p);
struct policy *policy_new(const char *kind, const char *key, struct json_object *obj);
