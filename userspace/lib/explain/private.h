/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files share.
 *
 *	question.c   questions, from JSON and to it
 *	maps.c       the pinned maps, and the configuration that the programs run with
 *	run.c        where the packet comes in, and the run
 *	svc.c        which backend; and services that the sender's socket translates
 *	steps.c      the steps, from the run's record; policy.c those of policy
 *	who.c        names of addresses; words.c the policies behind a number
 *	half.c       one node's half
 *	answer.c     another node's half
 *	way.c        all of them
 */
#include "bpf/lib/plat.h"
#include "bpf/native/overlay.h"
#include "lib/base/addr.h"
#include "lib/explain/explain.h"

/* ---- maps ---- */

struct live;
int live_open(const char *bpf_dir, struct live **ret, struct err *e);
void live_free(struct live *l);
DEFINE_FREEP(struct live, live_free)
/* The maps behind it are `l`'s. */
struct overlay live_overlay(struct live *l);
/* Backends' numbers in slots first … first + n - 1 of loom_lut. Negative errno. */
int live_slots(struct live *l, uint32_t first, uint32_t n, uint32_t *ret);
/* What the programs were loaded with. -ENOENT: no program is pinned. */
int live_config(const char *bpf_dir, struct loom_config *ret, struct err *e);

/* ---- the run ---- */

/* Who sends. */
enum sender { SENDER_POD, SENDER_HOST, SENDER_FAR };

struct run {
	struct explain_question q; /* as the sender's socket has changed it */
	const struct explain_names *names;
	struct live *live;
	struct overlay *overlay;
	unsigned int max_slots;
	struct nl_sock *nl;
	struct json_object *steps;
	struct loom_state st;
	enum sender sender;
	enum loom_hook hook;
	uint32_t via_node; /* from_overlay: node that the packet comes from */
	char past[400];	   /* why no program sees the packet; "": they do */
	bool elsewhere;	   /* with `past`: it does not come by this node at all */
	uint16_t sport;
	struct plat_ctx ctx;
	uint32_t len;	     /* of the packet as it came in */
	int result;	     /* native_run()'s */
	bool by_host;	     /* it ends at loom_host, where the host's routes lead it */
	unsigned int reason; /* enum loom_drop_reason that it was counted under; 0: it goes on */
	bool logged;	     /* policy denies it, but log only */
	char because[1024];  /* what policy denied it by; "": it did not */
	uint8_t buf[PLAT_HEADROOM + 256];
};

/* Steps before the packet, from whom it is; may change r->q.src. -EINVAL: from nobody here. */
int run_source(struct run *r, struct err *e);
/* The sender's socket may replace a service by a backend: dst and port of r->q are changed then.
 * 1: connect() fails, which is the reason; else 0. */
int run_socket(struct run *r);
/* Where the packet comes in: after these two. Negative errno. */
int run_entry(struct run *r, struct err *e);
void run_packet(struct run *r);
void run_release(struct run *r);

/* The packet as it leaves; ports in host order. For one that goes on. */
struct wire {
	union loom_addr src, dst;
	uint16_t sport, dport;
};
void run_wire(const struct run *r, struct wire *ret);
/* Entry of a map as the run has it, without leaving a trace in the record; or NULL. */
void *run_peek(struct run *r, const char *map, const void *key);
/* What loom_ip or else loom_cidr say of the address; NULL: it is not of the cluster. */
const struct loom_remote *run_remote(struct run *r, const union loom_addr *addr);
/* The flow's entry after the run, or the one that it would have had; NULL: it got no further. */
const struct loom_ct *run_flow(struct run *r, bool *ret_known);
/* Nodes other than this one; 0: none. Whom the packet goes to, whom it comes from, and where one
 * from outside of the cluster for this destination arrives. */
uint32_t run_next_node(struct run *r);
uint32_t run_node_before(struct run *r);
uint32_t run_node_instead(struct run *r);

/* ---- names ---- */

const char *who_addr(const struct explain_names *n, const union loom_addr *addr);
const char *who_node(const struct explain_names *n, uint32_t id);
/* "10.1.1.5 (default/web)", with the port when it is not 0. */
#define WHO_STRLEN 720
const char *who_text(const struct explain_names *n, const union loom_addr *addr, uint16_t port,
		     char buf[static WHO_STRLEN]);

/* What is known of the policy that has this number in one direction of a local endpoint, as
 * explain_names.policy has it; new. NULL when nothing is, or it has another one by now. */
struct json_object *words_policy(struct run *r, uint32_t ep, bool ingress, uint32_t policy,
				 const struct explain_rule *rule);
/* Those that isolate: "networkpolicy default/a, networkpolicy default/b and 3 more"; "" for NULL.
 */
const char *words_isolating(struct json_object *policy, char *buf, size_t len);
/* Takes away what a buffer's end has left of a character. */
void words_cut(char *text);

/* ---- steps ---- */

/* Appends {"step": …, "text": …} and returns it for more fields, or NULL. */
struct json_object *step_add(struct json_object *steps, const char *step, const char *fmt, ...)
	_printf_(3, 4);
void steps_write(struct run *r);
void steps_service(struct run *r, const struct loom_ct *ct);
void steps_policy(struct run *r);

/* ---- questions to others ---- */

/* {"id", "node", "question", "command"} */
struct json_object *other_json(uint32_t id, const char *node, const struct explain_question *q);
/* "netloom explain 10.1.1.5 10.1.2.6:80/TCP", with --flow where it is of one. */
#define COMMAND_STRLEN 256
const char *question_command(const struct explain_question *q, char buf[static COMMAND_STRLEN]);
