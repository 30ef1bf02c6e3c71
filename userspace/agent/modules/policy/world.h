/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The cluster as policies see it, and what follows from it for this node's maps. Pure: objects in,
 * map entries out, through polmaps_ops.
 *
 *	world_new(&maps, &w);
 *	world_adopt(w);                           what an earlier run has left
 *	world_set_namespace(w, "x", json, &e);    NULL instead of an object: it is gone
 *	…
 *	world_commit(w, now_ms);                  the maps say what the world is
 *	again = world_reap(w, now_ms);            what nobody can be using any more goes
 *
 * An object that can't be read is refused whole: the one before it stays, and the error names the
 * field. Nothing is written before world_commit(), which writes in an order that leaves no gap:
 * sets, classes, addresses, endpoints, and only then the generation that has live flows judged
 * again. Costs follow what changed: a pod costs a look at each selector in use when its labels are
 * new to the cluster, a policy costs the rule sets of the local pods that it selects.
 */
#include "agent/modules/policy/ruleset.h"

#define REAP_AFTER_MS 200
/* By then all that was idle has gone: its prefixes first, then their sets. */
#define ROOM_AFTER_MS (4 * REAP_AFTER_MS)

/* The surest last: what an object says of a pod may be long over. */
enum addr_source { ADDR_STATUS, ADDR_PUBLISHED, ADDR_LOCAL, ADDR_SOURCES };

/* Of one pod or node, as one object says. */
#define ADDRS_MAX 256

struct addrs {
	union loom_addr *v;
	size_t n;
};

/* Who has addresses: a pod or a node. */
struct owner {
	struct identity *identity; /* counted; NULL: not known, or none */
	struct addrs addrs;	   /* those that it claims */
};

struct claim {
	struct owner *owner;
	enum addr_source source;
	struct claim *next;
};

struct address {
	UT_hash_handle hh;
	struct loom_ipkey key;
	struct claim *claims;  /* the latest of the surest first: it is whose the address is */
	uint32_t written;      /* number in loom_ident; 0: none */
	struct identity *held; /* counted: what `written` stands for */
	bool dirty;
	struct address *next_dirty;
};

/* Which text of a policy holds on this node: the latest, or where it does not fit, what stands for
 * it. */
enum policy_use { USE_LATEST, USE_BEFORE, USE_CLOSED };

struct policy_entry {
	UT_hash_handle hh;
	struct policy_entry *prev, *next; /* of the namespace, or of the cluster */
	char *key;			  /* "networkpolicy namespace/name" … */
	struct policy *policy;		  /* the latest; NULL: none that can be read came yet */
	struct policy *before;		  /* what held until then; NULL: nothing, or it is over */
	struct policy *closed;		  /* policy_closed() of the latest, once it is needed */
	enum policy_use use;
	bool settled; /* the latest has come through a commit: it fits */
	struct policy_entry *prev_new, *next_new; /* of those that have not */
	char *problem;				  /* why the latest can't be read; NULL: it can */
	char *unfit;				  /* why it does not fit; NULL: it does */
	/* No room that is freed would help, but other policies, or that one of these goes: whom it
	 * holds for, and the peer with too many rules (NULL: everybody). */
	bool lasting;
	const struct identity *subject, *crowded;
	bool untried;	/* nobody has found out yet whether it fits: it has its turn soon */
	uint64_t waits; /* the commit in which some of its pods waited for room */
	uint32_t round; /* when it was last set */
};

struct namespace
{
	UT_hash_handle hh;
	struct str *name;
	struct labels *labels; /* NULL: there is no such object */
	bool log_only;
	uint32_t round;
	struct pod *pods;
	struct policy_entry *policies;
	bool some_lasting; /* of these, maybe: see policy_entry */
};

struct endpoint {
	UT_hash_handle hh;
	struct endpoint *prev, *next; /* of the pod */
	uint32_t ep;
	char *uid; /* of the pod; "" when the runtime did not say */
	struct addrs addrs;
	struct pod *pod; /* NULL: no pod of Kubernetes */
	struct loom_epol written;
	struct ruleset *rules[DIRS]; /* held: what `written` says */
};

struct pod {
	UT_hash_handle hh;
	struct pod *prev, *next; /* of the namespace */
	char *key;		 /* "namespace/name" */
	struct namespace *ns;
	bool there, host_network, ended;
	char *uid;	     /* of the object; "": not known */
	char *published_uid; /* of the one whose addresses are published; NULL, "": not known */
	struct labels *labels;
	struct portmap *ports;
	struct addrs from[ADDR_SOURCES]; /* of pods of that name: see pod_claims() */
	struct endpoint *endpoints;
	uint32_t round, published_round;
	struct owner owner;
};

struct node {
	UT_hash_handle hh;
	char *name;
	struct labels *labels;
	struct addrs from[ADDR_SOURCES];
	uint32_t round, published_round;
	struct owner owner;
};

struct world {
	struct strs strs;
	struct portmaps portmaps;
	struct peers peers;
	struct identities ids;
	struct rulesets sets;
	struct polmaps maps;
	struct namespace *namespaces;
	struct pod *pods;
	struct node *nodes;
	struct policy_entry *policies; /* all, by "networkpolicy ns/name" … */
	struct policy_entry *cluster;
	struct policy_entry *unsettled;
	struct endpoint *endpoints;
	struct address *addresses, *dirty;
	uint32_t n_written;  /* addresses that the map has */
	bool some_unwritten; /* for there was no room */
	struct labels *none; /* no labels */
	bool police_host;    /* LOOM_EPOL_NOT_HOST */
	bool broken;	     /* a write failed: the maps may be anything */
	bool bump;	     /* verdicts may have changed */
	bool adopted;	     /* the first commit is still to come */
	bool relabelled;     /* pods are not what they were */
	bool some_unfit;     /* of the policies */
	bool remarked;	     /* while it commits: what was looked at is to be once more */
	bool wants_commit;   /* what did not fit, waits or was not tried may fit now */
	bool some_untried;   /* of the policies, maybe */
	bool some_wait;	     /* for such room: it is tried again at once, whatever goes */
	uint32_t enforced;   /* flags of entry 0 as written */
	uint64_t now;
	struct host *hosts; /* while it commits, if they are asked for */
	size_t n_hosts;
	uint64_t hosts_gen; /* raised when they have changed */
	uint32_t round;
	uint64_t commits, refused;
	/* What does not fit, by name; may be NULL. */
	void (*on_problem)(const char *text, void *arg);
	void *arg;
};

/* Copies `maps`. -ENOMEM. */
int world_new(const struct polmaps *maps, struct world **ret);
/* Leaves the maps as they are; accepts NULL. */
void world_free(struct world *w);
/* Reads the maps. 0 or a negative errno. */
int world_adopt(struct world *w);

/* `obj` NULL: gone. Negative, with a sentence: what was there stays. */
int world_set_namespace(struct world *w, const char *name, struct json_object *obj, struct err *e);
int world_set_pod(struct world *w, const char *key, struct json_object *obj, struct err *e);
int world_set_node(struct world *w, const char *name, struct json_object *obj, struct err *e);
int world_set_policy(struct world *w, const char *key, struct json_object *obj, struct err *e);
int world_set_cluster_policy(struct world *w, const char *name, struct json_object *obj,
			     struct err *e);
/* What agents publish: /netloom/endpoint/<namespace>/<pod>, /netloom/node/<name>. */
int world_set_published_pod(struct world *w, const char *key, struct json_object *obj,
			    struct err *e);
int world_set_published_node(struct world *w, const char *name, struct json_object *obj,
			     struct err *e);
/* Around setting all objects there are: those that were not set in between are gone. Endpoints are
 * not among them. */
void world_begin(struct world *w);
void world_end(struct world *w);
/* A pod of this node. `key` NULL: of nobody in Kubernetes. `uid` "": not known. Negative: it is
 * closed, and not known any more. */
int world_set_endpoint(struct world *w, uint32_t ep, const char *key, const char *uid,
		       const union loom_addr *addrs, size_t n_addrs);
/* The endpoint is gone; its entry in loom_epol is closed at once. */
void world_del_endpoint(struct world *w, uint32_t ep);

/* Before anything is known: endpoints are closed unless an earlier run has left them open. */
int world_close(struct world *w);
/* 0 or the negative errno of a write: then it is to be called again, and writes everything. */
int world_commit(struct world *w, uint64_t now_ms);
/* True: there is more to do, later; or, with wants_commit, to commit. */
bool world_reap(struct world *w, uint64_t now_ms);

/* ---- for its own files ---- */

void owner_set(struct world *w, struct owner *o, struct identity *identity, struct addrs *addrs);
void owner_clear(struct world *w, struct owner *o);
/* Who says that the address, which it claims, is its; else ADDR_STATUS. */
void owner_vouch(struct world *w, struct owner *o, const union loom_addr *addr,
		 enum addr_source source);
struct address *address_get(struct world *w, const struct loom_ipkey *key);
void addresses_write(struct world *w);
/* Removes those that are not what the map says. */
void addresses_withdraw(struct world *w);
void addresses_free(struct world *w);
void addresses_touch(struct world *w); /* all are to be written */
/* There was no room for some, and now there is. */
bool addresses_may_fit(const struct world *w);
void addrs_clear(struct addrs *a);
int addrs_add(struct addrs *a, const union loom_addr *addr);
bool addrs_has(const struct addrs *a, const union loom_addr *addr);
/* All sources, each address once. */
int addrs_join(const struct addrs from[ADDR_SOURCES], struct addrs *ret);
/* -E2BIG. `list` may be NULL. */
int addrs_check_size(struct json_object *list, const char *at, struct err *e);
int addrs_read(struct json_object *list, const char *field, const char *at, struct addrs *ret,
	       struct err *e);

struct namespace *namespace_get(struct world *w, const char *name);
void namespace_free(struct world *w, struct namespace *ns);
void node_free(struct world *w, struct node *node);
int pod_refresh(struct world *w, struct pod *pod);
int node_refresh(struct world *w, struct node *node);
struct pod *pod_get(struct world *w, const char *key);
void pod_forget_empty(struct world *w, struct pod *pod);
void pods_free(struct world *w);
void endpoints_free(struct world *w);
void endpoint_drop(struct world *w, struct endpoint *ep);
/* False: the pod has the name of the endpoint's, but is one of before, or to come. */
bool endpoint_is_of(const struct endpoint *ep, const struct pod *pod);
/* Says what does not fit. */
void world_problem(struct world *w, const char *fmt, ...) _printf_(2, 3);
/* Its rule sets are to be found again. */
void identity_mark(struct identity *id);
/* Marks the identities of this node's pods: of the namespace (NULL: all), that `subject` (NULL:
 * any) selects. */
void world_mark(struct world *w, const struct namespace *ns, const struct peer *subject);
/* The latest text is to be tried, in the next commit. */
void entry_unsettle(struct world *w, struct policy_entry *entry);
/* Of those that any of the policy's texts selects. */
void entry_mark(struct world *w, const struct policy_entry *entry);
/* Finds the rule sets of all that are marked. What does not fit is refused on the way: the
 * policy's text of before, or else policy_closed(), stands for it. */
void identities_resolve(struct world *w);
/* Rule sets about hosts are to be made anew when an address has changed. */
void identities_mark_naming(struct world *w);
/* The maps have everything: what fits has come to stay. */
void policies_settle(struct world *w);
/* What is refused together with `p`, however much room there is, may fit with the next room. */
void policies_relent(struct world *w, const struct policy *p);
void namespace_relent(struct world *w, struct namespace *ns);
/* The same of what is refused for the sake of who has gone. */
void subject_relent(struct world *w, const struct identity *subject);
void peer_relent(struct world *w, const struct identity *peer);
/* There is room: those that did not fit for want of it are tried again. True: there are such. */
bool policies_retry(struct world *w);
/* Those that were not tried for want of time. True: there are such. */
bool policies_go_on(struct world *w);
/* It is no local pod's any more; nobody's at all. */
void identity_release(struct world *w, struct identity *id);
void identity_leave(struct world *w, struct identity *id);
void world_set_now(struct world *w, uint64_t now_ms);
