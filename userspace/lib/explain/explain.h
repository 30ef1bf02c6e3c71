/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What becomes of a packet, and why: one that is made up goes through the native build of the data
 * plane's core over a node's live maps, which are only read, and what the core looked up on the way
 * tells why it ended where it did. No packet is sent, nothing is written.
 *
 * Each node knows its own half of the way: explain_half() is asked on a node about that node.
 * explain_way() puts halves together, from the node where the packet starts to where it ends, and
 * leaves to its caller how another node is asked. Questions and answers travel between nodes, so
 * both are read with suspicion.
 *
 * The core's maps are globals: one at a time, one thread. Nothing is kept between calls.
 */
#include <json-c/json.h>

#include "lib/base/err.h"
#include "shared/loom_addr.h"

/* ---- the question ---- */

struct explain_question {
	union loom_addr src, dst; /* of one family */
	uint16_t port;		  /* host order; 0 with IPPROTO_ICMP only */
	uint16_t flow;		  /* source port of a flow that there is; 0: explain a new one */
	uint8_t proto; /* IPPROTO_TCP, _UDP, _SCTP; IPPROTO_ICMP: an echo request of either family
			*/
	bool host;     /* src stands for a node itself, whichever of its addresses it sends from */
	bool arrives;  /* the node before has sent it here, so it comes by, whoever it is for */
};

/*
 * {"from": "10.1.1.5", "to": "10.1.2.6", "port": 80, "protocol": "TCP", "flow": 0, "host": false,
 * "arrives": false}; without a port it is ICMP, with one TCP unless it says another. -EINVAL names
 * the field.
 */
int explain_question_parse(struct json_object *o, struct explain_question *ret, struct err *e);
/* NULL: out of memory. */
struct json_object *explain_question_json(const struct explain_question *q);

/* A question on its way to another node. `until_ms`: since 1970; nobody waits any longer. */
struct explain_letter {
	char asker[254]; /* the node that wants to know */
	int64_t until_ms;
	struct explain_question question;
};
#define EXPLAIN_MAX_LETTER 2048 /* bytes */
/* {"asker": "node1", "until": 1795230563599, "question": {…}} in at most EXPLAIN_MAX_LETTER bytes.
 * -E2BIG, -EINVAL. */
int explain_letter_parse(const char *text, size_t len, struct explain_letter *ret, struct err *e);
struct json_object *explain_letter_json(const struct explain_letter *l);

/* "10.1.1.5", or "[fd00::1]:80/TCP" with a port: what the command line takes. */
#define EXPLAIN_PLACE_LEN 80
const char *explain_place(const union loom_addr *addr, uint16_t port, uint8_t proto,
			  char buf[static EXPLAIN_PLACE_LEN]);
/* "TCP", "ICMP", "132"; of a name in any case, or -EINVAL. */
const char *explain_proto_name(uint8_t proto);
int explain_proto_parse(const char *text, uint8_t *ret);

/* ---- one node's half ---- */

/* A rule by the numbers that it has in the maps (enum loom_pol_tier). */
struct explain_rule {
	unsigned int tier, order;
};

/*
 * Who knows names: each may be NULL, and may return NULL for what it does not know; then numbers
 * and addresses stand alone. Strings are borrowed until the next call.
 */
struct explain_names {
	const char *(*addr)(void *arg, const union loom_addr *addr); /* "default/web", a node's */
	const char *(*node)(void *arg, uint32_t id);
	/* "default/web, port http", by the number of the service's port in the maps */
	const char *(*service)(void *arg, uint32_t number);
	/*
	 * Of the policy in one direction of a local endpoint, a new object: {"policy": its number
	 * in the maps, "policies": names of those that it is made of, "more": so many
	 * NetworkPolicies that the list leaves out, "rule": the text of `rule` (NULL: none is
	 * asked for), "reason": why the endpoint is closed}.
	 */
	struct json_object *(*policy)(void *arg, uint32_t ep, bool ingress,
				      const struct explain_rule *rule);
	void *arg;
};

/*
 *	{"from": {"address", "name"?}, "to": {"address", "port"?, "name"?}, "protocol", "node",
 *	 "steps": [{"step", "text", …}], "verdict": "allowed" | "denied" | "dropped" | "unseen",
 *	 "reason"?, "text"?, "because"?, "logged"?, "before"?, "after"?, "instead"?}
 *
 * "reason" is the drop reason's name, "text" its words, "because" what policy decided by. "before"
 * is the node that the packet comes from, "after" the one that it goes to, "instead" the one where
 * a packet from outside rather arrives: each {"id", "node", "question", "command"}.
 *
 * `max_slots`: of a service's table at most so many are looked at for candidates; 0: all.
 * -EINVAL: nobody can send this packet here (a sentence); -ENOENT: no data plane is pinned below
 * `bpf_dir`; else what reading it failed with. About 0.5 ms; 65,536 slots are 15 ms more.
 */
int explain_half(const struct explain_question *q, const char *bpf_dir,
		 const struct explain_names *names, unsigned int max_slots,
		 struct json_object **ret, struct err *e);

#define EXPLAIN_MAX_ANSWER (256u << 10) /* bytes */
/*
 * Reads a half from another node: the fields above have their types, lists are short, questions are
 * some, and commands are written anew from them. -EINVAL. An {"error": …, "bad": bool} is returned
 * as its text, with -EREMOTEIO, or -EINVAL where "bad" says that the question was.
 */
int explain_answer_parse(const char *text, size_t len, const char *node, struct json_object **ret,
			 struct err *e);

/* ---- the whole way ---- */

#define EXPLAIN_MAX_HALVES 5 /* a NodePort may send a packet back to where it came from */

struct explain_way_ops {
	/* As explain_half(), on this node. */
	int (*here)(void *arg, const struct explain_question *q, struct json_object **ret,
		    struct err *e);
	/* On another one; -EINVAL as there, anything else: it can't be told, and why. */
	int (*ask)(void *arg, const char *node, const struct explain_question *q,
		   struct json_object **ret, struct err *e);
};

/*
 *	{"from", "to", "protocol", "halves": [half, …], "verdict", "node", "reason"?, "text"?,
 *	 "because"?, "logged"?, "unanswered"?: {"node", "why", "command", "before": bool}}
 *
 * The verdict is the last half's, or "unknown" where a node that did not answer could change it.
 * "node" is where it fell. `ops->ask` NULL: this node's half only, with its "before" and "after".
 */
int explain_way(const struct explain_question *q, const struct explain_way_ops *ops, void *arg,
		struct json_object **ret, struct err *e);
