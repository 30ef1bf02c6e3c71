// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Direct server return: the node that is asked sends packets on as they are, the backend's node
 * translates them and answers, with the address that the client has asked.
 */
#include "selftests/bpf/golden_steps.h"

#define BY_NODE3 .kind = VERDICT_NEIGH, .node = 3, .ifindex = LINK_UPLINK
#define NATIVE                   \
	{                        \
		.act = DO_NATIVE \
	}
#define GONE(who) \
	.act = DO_LOSE_BACKEND, .src = who, .seconds = LOOM_BACKEND_PRESENT | LOOM_BACKEND_GONE

const struct golden golden_dsr_cases[] = {
	{ "asked first, natively: packets leave as they are, by the backend's node",
	  { NATIVE,
	    { TCP(NET, OUT, 7, EXT, 85, SYN), BY_NODE3, .table = IN_CT_NEW },
	    { TCP(NET, OUT, 7, EXT, 85, ACK), BY_NODE3, .table = IN_CT_NEW },
	    { UDP(NET, OUT, 7, EXT, 85), BY_NODE3, .table = IN_CT_NEW },
	    { SCTP(NET, OUT, 7, EXT, 85), BY_NODE3, .table = IN_CT_NEW } } },
	{ "asked first: a connection stays half-seen from its first packet to its last",
	  { { TCP(NET, OUT, 7, EXT, 84, SYN), TO_NODE2, .table = IN_CT_NEW },
	    { TCP(NET, OUT, 7, EXT, 84, ACK), TO_NODE2, .table = IN_CT_NEW },
	    { .act = DO_GC_LATER, .seconds = 3600 },
	    { TCP(NET, OUT, 7, EXT, 84, FINACK), TO_NODE2, .table = IN_CT_NEW },
	    { TCP(NET, OUT, 7, EXT, 84, RST), TO_NODE2, .table = IN_CT_NEW },
	    { .act = DO_GC_LATER, .seconds = 15, .want_deleted = 1 } } },
	{ "asked first: a client that never goes on is forgotten soon",
	  { { TCP(NET, OUT, 7, EXT, 84, SYN), TO_NODE2, .table = IN_CT_NEW },
	    { .act = DO_GC_LATER, .seconds = 20 },
	    { .act = DO_GC_LATER, .seconds = 40, .want_deleted = 1 } } },
	{ "asked first: errors and fragments take the same way",
	  { { UDP(NET, OUT, 7, EXT, 84), .shape = PACKET_FIRST_FRAG, TO_NODE2 },
	    { UDP(NET, OUT, 0, EXT, 0), .shape = PACKET_LATER_FRAG, TO_NODE2 },
	    { ERROR(NET, OUT, EXT, EXT, 84, OUT, 7), TO_NODE2 },
	    { ERROR(NET, PEERED, EXT, EXT, 84, OUT, 7), TO_NODE2 } } },
	{ "asked first: the choice ends with its backend",
	  { { TCP(NET, OUT, 7, EXT, 84, SYN), TO_NODE2, .table = IN_CT_NEW },
	    { TCP(NET, OUT, 7, EXT, 84, ACK), TO_NODE2 },
	    { GONE(C) },
	    { .act = DO_GC_SERVICES, .want_marked = 1 },
	    { TCP(NET, OUT, 7, EXT, 84, ACK), RESET(SVC_NO_BACKEND), .table = IN_NEITHER } } },
	{ "asked first: clients in the cluster and backends here are translated as ever",
	  { { TCP(POD, B, 7, EXT, 84, SYN), TO_NODE2, AS_DST(C, 8080) },
	    { TCP(NET, OUT, 7, NODE, 30086, SYN), TO_E, AS_DST(E, 8080) },
	    { TCP(POD, E, 8080, OUT, 7, SYNACK), TO_WIRE, AS_SRC(NODE, 30086) },
	    { TCP(HOST, NODE, 8, EXT, 84, SYN), TO_NODE2, AS_DST(C, 8080), .same_ttl = true } } },
	{ "asked second, by the overlay: the answer has another node's address and port",
	  { { TCP(OVL, OUT, 7, NODE2, 30086, SYN), TO_E, AS_DST(E, 8080) },
	    { TCP(POD, E, 8080, OUT, 7, SYNACK), TO_WIRE, AS_SRC(NODE2, 30086) },
	    { TCP(OVL, OUT, 7, NODE2, 30086, ACK), TO_E, AS_DST(E, 8080), .table = IN_CT },
	    { TCP(POD, E, 8080, OUT, 7, ACK), TO_WIRE, AS_SRC(NODE2, 30086), .table = IN_CT } } },
	{ "asked second, natively",
	  { { UDP(NET, OUT, 7, NODE3, 30086), TO_E, AS_DST(E, 8080) },
	    { UDP(POD, E, 8080, OUT, 7), TO_WIRE, AS_SRC(NODE3, 30086), .table = IN_CT },
	    { SCTP(NET, OUT, 7, NODE3, 30086), TO_E, AS_DST(E, 8080) },
	    { SCTP(POD, E, 8080, OUT, 7), TO_WIRE, AS_SRC(NODE3, 30086), .table = IN_CT },
	    { ERROR(NET, OUT, NODE3, NODE3, 30086, OUT, 7), TO_E, .want_dst = E,
	      QUOTED(E, 8080, OUT, 7) },
	    { ERROR(POD, E, OUT, OUT, 7, E, 8080), TO_WIRE, .want_src = NODE3,
	      QUOTED(OUT, 7, NODE3, 30086) } } },
	{ "asked second for what has no direct return: that is another node's",
	  { { TCP(NET, OUT, 7, NODE3, 30080, SYN), TO_STACK, .table = IN_NEITHER },
	    { TCP(NET, OUT, 7, NODE3, 30087, SYN), TO_STACK, .table = IN_NEITHER } } },
	{ "asked second with fragments",
	  { { UDP(OVL, OUT, 7, EXT, 86), .shape = PACKET_FIRST_FRAG, TO_E, AS_DST(E, 8080) },
	    { UDP(OVL, OUT, 0, EXT, 0), .shape = PACKET_LATER_FRAG, TO_E, .want_dst = E },
	    { UDP(POD, E, 8080, OUT, 7), .shape = PACKET_FIRST_FRAG, TO_WIRE, AS_SRC(EXT, 86) },
	    { UDP(POD, E, 0, OUT, 0), .shape = PACKET_LATER_FRAG, TO_WIRE, .want_src = EXT } } },
};
const unsigned int golden_dsr_count = sizeof(golden_dsr_cases) / sizeof(golden_dsr_cases[0]);
