/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the module share that know the agent: policy.c, show.c. The rest: world.h. */
#include <event2/event.h>

#include "agent/core/module.h"
#include "agent/modules/policy/kmaps.h"
#include "agent/modules/policy/world.h"

struct httpd_reply;

struct policy_module {
	struct agent *agent;
	struct kmaps kmaps;
	struct world *world; /* NULL before the first resync */
	struct event *commit, *reap;
	uint64_t since;	     /* when the first change came that a commit is to bring; 0: none has */
	bool loaded;	     /* all objects were there once: commits may follow */
	uint64_t unreadable; /* objects that were refused */
	double seconds;
};

struct policy_module *policy_get(struct agent *a);

/* show.c */
int policy_routes(struct policy_module *m);
/* The answer about a pod that no policy is about; `w` may be NULL. */
void policy_no_pod(const struct world *w, const char *key, struct httpd_reply *reply);
/* denied.c */
int denied_routes(struct policy_module *m);
/* Why the endpoint is as it is, where that may surprise; else NULL. */
const char *endpoint_why(const struct endpoint *ep);
void policy_metrics(struct agent *a, struct metrics *out);
struct json_object *policy_status(struct agent *a);
/* words.c: "allow TCP 80 from pods with app=web of namespaces with team in (a, b)"; heap, NULL: out
 * of memory. */
char *rule_words(const struct ruleset_rule *r, enum direction dir);
/* The same, cut to the buffer with "…" behind it. Returns `buf`. */
const char *rule_words_short(const struct ruleset_rule *r, enum direction dir, char *buf,
			     size_t len);
