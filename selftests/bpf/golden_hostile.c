// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Packets that would end, move or forge the flows of others, and what becomes of them. */
#include "selftests/bpf/golden_steps.h"

#define FROM_OUT    TO_B, .want_dst = B, .want_dport = 1000
#define LATER(s, n) .act = DO_GC_LATER, .seconds = s, .want_deleted = n
#define NOT_RELATED DROPPED(ICMP_UNRELATED)

const struct golden golden_hostile_cases[] = {
	{ "a pod tells of its own flows only what went wrong",
	  { { UDP(POD, B, 1000, C, 53), TO_NODE2 },
	    { ERROR(POD, A, C, C, 53, B, 1000), NOT_RELATED },
	    { UDP(POD, B, 1000, E, 53), TO_E },
	    { ERROR(POD, A, B, B, 1000, E, 53), NOT_RELATED },
	    { ERROR(POD, B, C, C, 53, B, 1000), TO_NODE2 } } },
	{ "of services' flows too",
	  { { UDP(POD, B, 1000, VIP, 80), TO_E, AS_DST(E, 8080) },
	    { ERROR(POD, A, E, E, 8080, B, 1000), NOT_RELATED },
	    { ERROR(POD, A, B, B, 1000, E, 8080), NOT_RELATED },
	    { ERROR(POD, E, B, B, 1000, E, 8080), TO_B, .want_src = VIP,
	      QUOTED(B, 1000, VIP, 80) } } },
	{ "a reset that its own side belies closes nothing",
	  { { TCP(POD, B, 1000, OUT, 80, SYN), TO_WIRE, MASQ },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, SYNACK), FROM_OUT },
	    { TCP(POD, B, 1000, OUT, 80, ACK), TO_WIRE, MASQ, .table = IN_CT },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, RST), FROM_OUT },
	    { TCP(POD, B, 1000, OUT, 80, ACK), TO_WIRE, MASQ },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, ACK), FROM_OUT },
	    { LATER(100, 0) } } },
	{ "a connection lives on after an earlier one on its ports was refused",
	  { { TCP(POD, B, 1000, OUT, 80, SYN), TO_WIRE, MASQ },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, RST), FROM_OUT },
	    { LATER(5, 0) },
	    { TCP(POD, B, 1000, OUT, 80, SYN), TO_WIRE, MASQ },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, SYNACK), FROM_OUT },
	    { TCP(POD, B, 1000, OUT, 80, ACK), TO_WIRE, MASQ, .table = IN_CT },
	    { LATER(100, 0) } } },
	{ "by a service too",
	  { { TCP(POD, B, 1000, VIP, 81, SYN), TO_NODE2, AS_DST(C, 8080) },
	    { TCP(OVL, C, 8080, B, 1000, RST), TO_B, AS_SRC(VIP, 81) },
	    { LATER(5, 0) },
	    { TCP(POD, B, 1000, VIP, 81, SYN), TO_NODE2, AS_DST(C, 8080) },
	    { TCP(OVL, C, 8080, B, 1000, SYNACK), TO_B, AS_SRC(VIP, 81) },
	    { TCP(POD, B, 1000, VIP, 81, ACK), TO_NODE2, AS_DST(C, 8080), .table = IN_CT },
	    { LATER(100, 0) } } },
	{ "the end of an earlier connection on the ports does not count for a half-closed one",
	  { { TCP(POD, B, 1000, OUT, 80, SYN), TO_WIRE, MASQ },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, SYNACK), FROM_OUT },
	    { TCP(POD, B, 1000, OUT, 80, FINACK), TO_WIRE, MASQ, .table = IN_CT },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, FINACK), FROM_OUT },
	    { TCP(POD, B, 1000, OUT, 80, SYN), TO_WIRE, MASQ, .table = IN_CT },
	    { TCP(NET, OUT, 80, NODE, NAT_PORT, SYNACK), FROM_OUT },
	    { TCP(POD, B, 1000, OUT, 80, FINACK), TO_WIRE, MASQ, .table = IN_CT },
	    { LATER(100, 0) } } },
};
const unsigned int golden_hostile_count =
	sizeof(golden_hostile_cases) / sizeof(golden_hostile_cases[0]);
