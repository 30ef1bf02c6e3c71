/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Selectors of peers, kept once however many rules name them, and which identities each matches.
 * A selector is looked at once for each identity, not for each rule and pod: the answers are bits,
 * by the identity's slot, for as long as a rule set uses the selector.
 */
#include "agent/modules/policy/identity.h"

enum peer_kind { PEER_PODS, PEER_NODES };

struct peers;

struct peer {
	UT_hash_handle hh;
	struct peers *of;
	char *key;
	uint32_t refs;
	enum peer_kind kind;
	struct str *ns;		 /* pods of this namespace only; NULL: see ns_sel */
	struct selector *ns_sel; /* NULL: of any namespace */
	struct selector *sel;	 /* NULL: all */
	uint32_t users;		 /* rule sets */
	uint64_t *bits;		 /* while there are users */
	uint32_t n_words;
};

struct peers {
	struct peer *all;
	struct strs *strs;
};

/* Counted. Selectors are JSON, NULL: none. -EINVAL: `e` says which field of which selector. */
int peer_get(struct peers *peers, enum peer_kind kind, struct str *ns, struct json_object *ns_sel,
	     struct json_object *sel, struct peer **ret, struct err *e);
struct peer *peer_ref(struct peer *p);
void peer_put(struct peer *p); /* accepts NULL */

/* What the selectors say, without the bits. */
bool peer_matches(const struct peer *p, const struct identity *id);

/* Counted. The first user has all identities looked at: 0 or -ENOMEM. */
int peer_use(struct peer *p, const struct identities *ids);
void peer_unuse(struct peer *p);
/* Whom of the identities of slots 64 * `word` and up it has, a bit each, while it is used; those of
 * slots that are free say nothing. */
static inline uint64_t peer_word(const struct peer *p, uint32_t word)
{
	return word < p->n_words ? p->bits[word] : 0;
}
/* The identity is new: its bit, in all that are used. 0 or -ENOMEM. */
int peers_look(struct peers *peers, const struct identity *id);
