/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The parts of `netloom explain`, around lib/explain:
 *
 *	explain_ask.c    the command's words: who, to whom, which port and protocol
 *	explain_find.c   their addresses, asked from the agent; and names for addresses
 *	explain_print.c  what is printed
 *	cmd_explain.c    this node's half, other nodes' through the agent, the exit code
 */
#include "ctl/ctl.h"
#include "lib/base/addr.h"
#include "lib/explain/explain.h"

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
};

struct ask {
	struct end from, to;
	char port_name[64]; /* of a service's port; "" when none was named */
	uint16_t port;	    /* 0: none was given */
	uint8_t proto;	    /* IPPROTO_*; IPPROTO_ICMP: an echo request */
	bool has_proto;	    /* it was given in so many words */
	uint16_t flow;	    /* source port of a flow that there is; 0: explain a new one */
};

/* The command's arguments, as the user wrote them. -EINVAL. */
int ask_parse(char *const *words, size_t n, struct ask *ret, struct err *e);

/* ---- names ---- */

/* What the agent knows, asked when it is first needed. */
struct found {
	const struct ctl *c;
	struct names *names;
	struct table_names who;
	struct json_object *services; /* NULL: not asked yet, or nobody answers */
	struct found_addr *addrs;     /* by address: pods, of other nodes too */
	struct json_object *policies; /* of the endpoint … */
	uint32_t policies_ep;	      /* … that was asked for last; 0: none */
	char service[640];
	bool asked;
};

int found_init(const struct ctl *c, struct found *ret);
void found_release(struct found *f);
/* Addresses of both ends; those of one family make the question. -EINVAL: no such object;
 * or what client_get() says when a name needs the agent. */
int found_resolve(struct found *f, struct ask *ask, struct explain_question *ret, struct err *e);
/* `f` is borrowed. */
struct explain_names found_names(struct found *f);

/* ---- the result ---- */

/* Steps under headings, the verdict, and what is left to ask for. */
void explain_print(FILE *out, struct json_object *way);
