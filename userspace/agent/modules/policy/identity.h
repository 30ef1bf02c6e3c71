/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Identities: what policies can tell peers apart by. One for each distinct namespace with its
 * labels, pod labels, and named ports; nodes have theirs by their labels. Labels and ports count
 * whose keys and names some policy has (strs.h); when that is no longer so, all are to be asked for
 * again. Counted by whoever has
 * one; one that nobody has any more stays, with its sets, until identity_forget(), so that it can
 * come back, and packets that still look for it find it.
 */
#include "agent/modules/policy/labels.h"
#include "agent/modules/policy/portmap.h"

struct identities;
struct ruleset;

enum identity_kind { IDENTITY_POD, IDENTITY_NODE };

/* 0: ingress, 1: egress */
enum direction { DIR_IN, DIR_OUT, DIRS };

struct identity {
	UT_hash_handle hh;
	char *key; /* canonical text of what follows; equal on every node */
	size_t key_len;
	enum identity_kind kind;
	struct str *ns;		  /* NULL: a node's */
	struct labels *ns_labels; /* NULL: a node's */
	struct labels *labels;
	struct portmap *ports; /* NULL: a node's; these three: what is chosen of them */

	uint32_t refs, slot, number;
	uint32_t n_sets;	     /* of it, in all rule sets */
	bool fresh;		     /* no sets were made for it yet */
	bool homeless;		     /* for they did not fit */
	uint64_t idle_at;	     /* when the last reference went; ms */
	uint32_t n_local;	     /* endpoints of this node */
	bool marked;		     /* its rule sets are to be found again */
	struct ruleset *rules[DIRS]; /* of local endpoints; NULL: no policy */
	bool known;		     /* `rules` is what policies say */
	bool starved;		     /* some did not fit */
	bool waiting;		     /* for room that is about to come, since: */
	uint64_t waits_since;
	/* Policies were refused that may fit when it is no pod's here any more, or when it goes. */
	bool blamed, crowded;
};

struct identities {
	struct identity *all;
	struct identity **slots; /* NULL where free */
	size_t room;
	uint32_t n_slots, n_idle, n_fresh;
	uint64_t now;  /* ms; the owner keeps it */
	uint32_t last; /* number given, but for LOCAL_IDENTITY */
	bool anew;     /* all of them have been given once */
};

#define LOCAL_IDENTITY 0x80000000u

/* Counted; NULL: out of memory. */
struct identity *identity_get(struct identities *ids, enum identity_kind kind, struct str *ns,
			      struct labels *ns_labels, struct labels *labels,
			      struct portmap *ports);
struct identity *identity_ref(struct identity *id);
void identity_put(struct identities *ids, struct identity *id); /* accepts NULL */
void identity_forget(struct identities *ids, struct identity *id);
void identities_fini(struct identities *ids);
