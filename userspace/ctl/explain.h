/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The parts of `netloom explain`: a packet that is made up goes through the native build of the
 * data plane's core over this node's live maps, and what the core looked up on the way tells why it
 * ended where it did. Nothing is written to the kernel, no packet is sent.
 *
 *	explain_ask.c     the command's words: who, to whom, which port and protocol
 *	explain_find.c    their addresses, asked from the agent
 *	explain_maps.c    the pinned maps, and the configuration that the programs run with
 *	explain_run.c     where the packet comes in, and the run
 *	explain_svc.c     which backend; and services that the sender's socket translates
 *	explain_steps.c   the steps, from the run's record; explain_policy.c those of policy
 *	explain_words.c   the policies behind a number, asked from the agent
 *	cmd_explain.c     what is printed, and the exit code
 *
 * One at a time, one thread: the core's maps are globals.
 */
#include "bpf/lib/plat.h"
#include "bpf/native/overlay.h"
#include "ctl/ctl.h"
#include "lib/base/addr.h"

/* ---- what is asked ---- */

enum end_kind {
	END_ADDR,
	END_POD,     /* "NAMESPACE/NAME" */
	END_NAME,    /* a node's name, or "host" */
	END_SERVICE, /* "NAMESPACE/NAME" */
};

struct end {
	enum end_kind kind;
	char text[600]; /* the address, the name, without port */
	union loom_addr addrs[2];
	size_t n;
	bool host; /* this node itself */
};

struct ask {
	struct end from, to;
	char port_name[64]; /* of a service's port; "" when none was named */
	uint16_t port;	    /* 0: none was given */
	uint8_t proto;	    /* IPPROTO_*; IPPROTO_ICMP: an echo request */
	bool has_proto;	    /* it was given in so many words */
	uint16_t flow;	    /* source port of a flow that there is; 0: explain a new one */
	/* What was chosen of both ends' addresses: one family. */
	union loom_addr src, dst;
};

/* The command's arguments, as the user wrote them. -EINVAL. */
int ask_parse(char *const *words, size_t n, struct ask *ret, struct err *e);
/* "10.1.1.5", or "[fd00::1]:80/TCP" with a port, as ask_parse() reads it. */
#define PLACE_STRLEN 80
const char *place_format(const union loom_addr *addr, uint16_t port, uint8_t proto,
			 char buf[static PLACE_STRLEN]);
/* "TCP", "ICMP"; else the number. */
const char *proto_text(uint8_t proto);

/* ---- names ---- */

/* What the agent knows, asked when it is first needed. */
struct found {
	const struct ctl *c;
	struct names *names;
	struct table_names who;
	struct json_object *services; /* NULL: not asked yet, or nobody answers */
	struct found_pod *pods;	      /* in services, by address */
	struct json_object *policies; /* of the pod that was asked for last */
	bool asked;
};

int found_init(const struct ctl *c, struct found *ret);
void found_release(struct found *f);
/* Addresses of both ends, and the one family for src and dst. -EINVAL: no such object;
 * or what client_get() says when a name needs the agent. */
int found_resolve(struct found *f, struct ask *ask, struct err *e);
/* Name of an address ("default/web", a node's), of a pod of another node too if a service has it
 * for a backend; or NULL. Borrowed. */
const char *found_addr(struct found *f, const union loom_addr *addr);
/* "10.1.1.5 (default/web)", with the port when it is not 0. */
#define WHO_STRLEN 720
const char *found_who(struct found *f, const union loom_addr *addr, uint16_t port,
		      char buf[static WHO_STRLEN]);
/* "default/web, port http" by the number that the maps have; NULL when nobody knows. */
const char *found_service(struct found *f, uint32_t number, char *buf, size_t len);

/* What the agent says of the policy that has this number in one direction of a local endpoint; NULL
 * when it says nothing, or has another one by now. Borrowed, until the next pod is asked for. */
struct json_object *found_policy(struct found *f, uint32_t ep, bool ingress, uint32_t policy);
/* Why the endpoint's policy is not known, or NULL. */
const char *found_closed(struct found *f, uint32_t ep);
/* Those that isolate: "networkpolicy default/a, networkpolicy default/b and 3 more"; "" for NULL.
 */
const char *policy_isolating(struct json_object *policy, char *buf, size_t len);
/* The rule in words: "networkpolicy default/a, rule 0: allow TCP 80 from anywhere"; or NULL. */
const char *policy_rule(struct json_object *policy, unsigned int tier, unsigned int order);

/* ---- maps ---- */

struct live;
int live_open(const char *bpf_dir, struct live **ret, struct err *e);
void live_free(struct live *l);
DEFINE_FREEP(struct live, live_free)
/* The maps behind it are `l`'s. */
struct overlay live_overlay(struct live *l);
/* What the programs were loaded with. -ENOENT: no program is pinned. */
int live_config(const char *bpf_dir, struct loom_config *ret, struct err *e);

/* ---- the run ---- */

/* Who sends. */
enum sender { SENDER_POD, SENDER_HOST, SENDER_FAR };

struct run {
	struct ask *ask;
	struct found *found;
	struct overlay *overlay;
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
	unsigned int reason; /* enum loom_drop_reason that it was counted under; 0: it goes on */
	bool logged;	     /* policy denies it, but log only */
	uint8_t buf[PLAT_HEADROOM + 256];
};

/* Steps before the packet, from whom it is; may change ask->src. -EINVAL: from nobody here. */
int run_source(struct run *r, struct err *e);
/* The sender's socket may replace a service by a backend: ask->dst and ask->port are changed then.
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
/* Node, other than this one, that the packet goes to; 0: none. */
uint32_t run_next_node(struct run *r);

/* ---- steps ---- */

/* Appends {"step": …, "text": …} and returns it for more fields, or NULL. */
struct json_object *step_add(struct json_object *steps, const char *step, const char *fmt, ...)
	_printf_(3, 4);
void steps_write(struct run *r);
void steps_service(struct run *r, const struct loom_ct *ct);
void steps_policy(struct run *r);
