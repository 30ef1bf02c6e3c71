/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A rule set is what the maps call a policy: the rules that hold for some pods of this node in one
 * direction, with a number and its sets in loom_pol. It is made of the policies that select these
 * pods, and of their named ports where rules of ingress name ports; pods for which both are the
 * same share it.
 *
 * Made once, it only changes with its peers: an identity that is new gets its set before an address
 * gets the identity, and a class likewise. Other policies make another rule set. One that nobody
 * has any more stays whole until ruleset_forget(): packets may still be looking at it, and it may
 * be wanted again.
 *
 * One that is new is in memory alone until ruleset_write(), so that it costs no map a write to see
 * whether policies fit together. From then on its sets are written as they are made.
 */
#include "agent/modules/policy/classes.h"
#include "agent/modules/policy/lists.h"
#include "agent/modules/policy/object.h"
#include "agent/modules/policy/polmaps.h"
#include "agent/modules/policy/setmap.h"

struct ruleset_rule {
	const struct rule *rule;
	const struct policy *policy;
	uint16_t tier, order;
	uint32_t index; /* in its policy */
};

/* An address of a pod that has named ports. */
struct host {
	struct prefix prefix;
	const struct portmap *ports;
};

struct rulesets;

struct ruleset {
	UT_hash_handle hh;
	struct rulesets *of;
	void *key;
	size_t key_len;
	enum direction dir;
	struct policy **policies; /* Admin, NetworkPolicies, Baseline */
	size_t n_policies;
	struct portmap *ports;	    /* of the pods; ingress that names ports, else NULL */
	struct ruleset_rule *rules; /* sorted by tier and order */
	size_t n_rules;
	struct class **classes; /* of the prefixes that it names */
	size_t n_classes;
	uint32_t number, refs, held; /* refs: by who wants it; held: by endpoints, until they are
					given another */
	uint16_t flags;		     /* enum loom_polset_flags */
	bool names_hosts;	     /* see ruleset_wish */
	const struct host *hosts;    /* while it is made */
	size_t n_hosts;
	bool written;  /* the maps have it, or are to have it */
	bool given;    /* to an endpoint, once */
	bool left;     /* an earlier run's: what it was made of is not known */
	size_t n_used; /* peers that it is counted in, from the first */
	uint64_t idle_at;
	struct list *any;
	struct setmap ident_sets, class_sets;
};

struct rulesets {
	struct ruleset *all;
	struct identities *ids;
	struct peers *peers;
	struct classes classes;
	struct lists lists;
	struct polmaps *maps;
	uint32_t n_sets, n_idle_sets; /* all, and those of rule sets that nobody wants */
	uint32_t last, n_idle;	      /* rule sets that nobody wants or holds */
	uint32_t n_naming;	      /* rule sets with names_hosts */
	uint32_t n_left;	      /* rule sets of an earlier run */
	/* Whose rules were too many when -E2BIG came last; NULL: those about everybody, or about a
	 * prefix. */
	struct identity *crowded;
	bool closing; /* the maps are to stay as they are */
	bool modest;  /* what is kept back for administrators is not to be used */
	uint64_t now;
};

int rulesets_init(struct rulesets *s, struct identities *ids, struct peers *peers,
		  struct polmaps *maps);
void rulesets_fini(struct rulesets *s);

/* What a rule set shall be made of; everything is borrowed. */
struct ruleset_wish {
	enum direction dir;
	struct policy **policies; /* sorted: policy_order() */
	size_t n;
	struct portmap *ports;
	bool log_only;
	/*
	 * Where a rule of egress has an ipBlock and a port with a name: the pods that it may be
	 * about. Such a rule is of an identity and of a prefix at once, so each of these addresses
	 * becomes a class. They change more often than policies: other hosts make another rule set.
	 */
	const struct host *hosts;
	size_t n_hosts;
	uint64_t hosts_gen; /* 0: there is no such rule */
};
bool policy_names_hosts(const struct policy *p, enum direction dir);
/* Counted. -E2BIG, -ENOSPC: it does not fit, `e` says what. -ENOMEM. The maps' own failures are
 * theirs (polmaps.failed). NetworkPolicies with rules get seven eighths of the room, so that
 * tenants can't keep out what an administrator wants. */
int ruleset_get(struct rulesets *s, const struct ruleset_wish *wish, struct ruleset **ret,
		struct err *e);
/* Into the maps, before anybody is given it. Accepts NULL, and one that was written. */
void ruleset_write(struct rulesets *s, struct ruleset *r);
static inline uint32_t ruleset_sets(const struct ruleset *r)
{
	return !!r->any + r->ident_sets.n + r->class_sets.n;
}
/* That nobody wants it: from now on (1), or no longer (-1). Nothing when somebody does. */
void rulesets_count_idle(struct rulesets *s, const struct ruleset *r, int sign);
void ruleset_put(struct rulesets *s, struct ruleset *r); /* accepts NULL */
/* Back to who had put it, whatever room there is. Accepts NULL. */
void ruleset_retake(struct rulesets *s, struct ruleset *r);
/* Endpoints have it in the map. What is held alone is about to be replaced: its room is there for
 * others, who are beside it in the map, but it stays. Both accept NULL. */
void ruleset_hold(struct ruleset *r);
void ruleset_release(struct rulesets *s, struct ruleset *r);
void ruleset_forget(struct rulesets *s, struct ruleset *r);
/* Of one that nobody was given: with all that was made for it. */
void ruleset_undo(struct rulesets *s, struct ruleset *r);
/* Tiers, then priorities, then names. For qsort() of pointers. */
int policy_order(const void *a, const void *b);

/*
 * Sets of an identity that is new, in all rule sets. 0, or what does not fit. Where it has more
 * rules of one rule set than a set can hold, NetworkPolicies allow it nothing there, and
 * `ret_crowded` is such a rule set (else untouched): its other peers need not care.
 */
int rulesets_add_identity(struct rulesets *s, struct identity *id,
			  const struct ruleset **ret_crowded);
void rulesets_drop_identity(struct rulesets *s, struct identity *id);
void rulesets_drop_class(struct rulesets *s, struct class *class);
/* Everything into the maps once more. */
void rulesets_rewrite(struct rulesets *s);

/* A set that an earlier run has left; the policy becomes a rule set that nobody has. */
int rulesets_adopt(struct rulesets *s, const struct loom_polkey *key,
		   const struct loom_polset *set);

/* ---- for its own files ---- */

/* The set goes to memory and to the map. Takes the list's reference. */
int set_put(struct rulesets *s, struct ruleset *r, uint32_t kind, uint32_t peer, struct list *list);
void set_write(struct rulesets *s, const struct ruleset *r, uint32_t kind, uint32_t peer,
	       struct list *list);
void set_drop(struct rulesets *s, struct ruleset *r, uint32_t kind, uint32_t peer);
void rulesets_drop_unseen(struct rulesets *s);
/* Of `max` entries of a map. */
uint32_t rulesets_room(const struct rulesets *s, uint32_t max);
/* Rules of one set -> a list, counted, or NULL when there is none. Empties `rules`. */
int rules_to_list(struct rulesets *s, struct rules *rules, struct list **ret);
/* Adds the rule's ports; `ports` resolves named ones (NULL: they match nothing). */
enum emit { EMIT_NUMBERS = 1 << 0, EMIT_NAMES = 1 << 1 };
int emit_rule(struct rules *out, const struct ruleset_rule *r, const struct portmap *ports,
	      unsigned int what);
/* The rule has a named port there, and a block around it. */
bool host_is_named(const struct rule *rule, const struct host *h);
int ruleset_compile_identities(struct rulesets *s, struct ruleset *r);
/* It is about to go: they have fewer sets. */
void ruleset_uncount_identities(struct rulesets *s, struct ruleset *r);
/* -E2BIG and `e`: it would take seconds; or, without `e`, more rules than a set can hold. */
int ruleset_compile_classes(struct rulesets *s, struct ruleset *r, struct err *e);
/* Sets of classes that are new, as those above them have it, in all rule sets. */
int rulesets_add_classes(struct rulesets *s);
