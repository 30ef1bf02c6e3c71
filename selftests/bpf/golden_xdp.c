// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What the XDP program does and what it leaves to others. The cases hold on every target; where
 * there is XDP, `.xdp` says by whom each packet is sent (and its absence that it is passed on).
 */
#include "selftests/bpf/golden_steps.h"

#define AS_DST(d, dp) .want_dst = d, .want_dport = dp
#define AS_SRC(s, sp) .want_src = s, .want_sport = sp
#define FROM_NODE     .want_src = NODE, .want_sport = NAT_PORT
#define BY_TUNNEL     TO_NODE2, .encap = true
#define BY_NODE3      .kind = VERDICT_NEIGH, .node = 3, .ifindex = LINK_UPLINK
#define TO_CLIENT     TO_WIRE, .want_dst = OUT, .want_dport = 7
#define TO_E	      .kind = VERDICT_PEER, .ifindex = LINK_E
#define DIRECT                   \
	{                        \
		.act = DO_DIRECT \
	}
#define NATIVE                   \
	{                        \
		.act = DO_NATIVE \
	}
#define QUOTED(s, sp, d, dp) \
	.want_quote_src = s, .want_quote_sport = sp, .want_quote_dst = d, .want_quote_dport = dp

const struct golden golden_xdp_cases[] = {
	{ "a connection to a NodePort whose pod is behind the overlay, all of it",
	  { DIRECT,
	    { TCP(NET, OUT, 7, NODE, 30081, SYN), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .table = IN_CT_NEW, .xdp = true },
	    { TCP(OVL, C, 8080, NODE, NAT_PORT, SYNACK), TO_CLIENT, AS_SRC(NODE, 30081),
	      .table = IN_CT_NEW, .xdp = true },
	    { TCP(NET, OUT, 7, NODE, 30081, ACK), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .table = IN_CT, .xdp = true },
	    { TCP(OVL, C, 8080, NODE, NAT_PORT, ACK), TO_CLIENT, AS_SRC(NODE, 30081),
	      .table = IN_CT, .xdp = true },
	    { TCP(NET, OUT, 7, NODE, 30081, FINACK), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .table = IN_CT, .xdp = true },
	    { TCP(OVL, C, 8080, NODE, NAT_PORT, FINACK), TO_CLIENT, AS_SRC(NODE, 30081),
	      .xdp = true } } },
	{ "datagrams to an external address whose pod is on a node reached natively",
	  { NATIVE,
	    { UDP(NET, OUT, 7, NODE, 30082), BY_NODE3, FROM_NODE, AS_DST(D, 8080),
	      .table = IN_CT_NEW, .xdp = true },
	    { UDP(NET, OUT, 7, NODE, 30082), BY_NODE3, FROM_NODE, AS_DST(D, 8080),
	      .table = IN_CT_NEW, .xdp = true },
	    { UDP(NET, D, 8080, NODE, NAT_PORT), TO_CLIENT, AS_SRC(NODE, 30082), .table = IN_CT,
	      .xdp = true },
	    { UDP(NET, OUT, 7, NODE, 30082), BY_NODE3, FROM_NODE, AS_DST(D, 8080), .table = IN_CT,
	      .xdp = true } } },
	{ "a backend in another node's network, by the underlay",
	  { { TCP(NET, OUT, 7, NODE, 30083, SYN), TO_WIRE, FROM_NODE, AS_DST(NODE2, 9090),
	      .xdp = true },
	    { TCP(NET, NODE2, 9090, NODE, NAT_PORT, SYNACK), TO_CLIENT, AS_SRC(NODE, 30083),
	      .xdp = true } } },
	{ "an external address, by the overlay",
	  { DIRECT,
	    { UDP(NET, OUT, 7, EXT, 82), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080), .xdp = true },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), TO_CLIENT, AS_SRC(EXT, 82), .xdp = true } } },
	{ "UDP without a checksum stays without, by XDP too",
	  { DIRECT,
	    { UDP(NET, OUT, 7, EXT, 82), .only = 4, .no_csum = true, BY_TUNNEL, FROM_NODE,
	      AS_DST(C, 8080), .xdp = true },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), .only = 4, .no_csum = true, TO_CLIENT,
	      AS_SRC(EXT, 82), .xdp = true } } },
	{ "direct server return, by the overlay and natively",
	  { DIRECT,
	    NATIVE,
	    { TCP(NET, OUT, 7, EXT, 84, SYN), BY_TUNNEL, .table = IN_CT_NEW, .xdp = true },
	    { TCP(NET, OUT, 7, EXT, 84, ACK), BY_TUNNEL, .table = IN_CT_NEW, .xdp = true },
	    { TCP(NET, OUT, 7, EXT, 85, SYN), BY_NODE3, .table = IN_CT_NEW, .xdp = true },
	    { TCP(NET, OUT, 7, EXT, 85, ACK), BY_NODE3, .table = IN_CT_NEW, .xdp = true },
	    { TCP(OVL, OUT, 7, EXT, 86, SYN), TO_E, AS_DST(E, 8080) } } },
	{ "a flow goes on when routes change",
	  { DIRECT,
	    { UDP(NET, OUT, 7, NODE, 30081), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080), .xdp = true },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), TO_CLIENT, AS_SRC(NODE, 30081), .xdp = true },
	    { .act = DO_BUMP_ROUTES },
	    { UDP(NET, OUT, 7, NODE, 30081), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080), .xdp = true },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), TO_CLIENT, AS_SRC(NODE, 30081), .xdp = true } } },
	{ "a SYN on the ports of a connection that has ended is for others to judge",
	  { DIRECT,
	    { TCP(NET, OUT, 7, NODE, 30081, SYN), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .xdp = true },
	    { TCP(OVL, C, 8080, NODE, NAT_PORT, SYNACK), TO_CLIENT, AS_SRC(NODE, 30081),
	      .xdp = true },
	    { TCP(NET, OUT, 7, NODE, 30081, FINACK), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .table = IN_CT, .xdp = true },
	    { TCP(OVL, C, 8080, NODE, NAT_PORT, RST), TO_CLIENT, AS_SRC(NODE, 30081), .xdp = true },
	    { TCP(NET, OUT, 7, NODE, 30081, SYN), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .table = IN_CT },
	    { TCP(OVL, C, 8080, NODE, NAT_PORT, SYNACK), TO_CLIENT, AS_SRC(NODE, 30081),
	      .xdp = true } } },
	{ "a hop limit at its end, and a packet too large for the tunnel",
	  { DIRECT,
	    { UDP(NET, OUT, 7, NODE, 30081), .ttl = 1, REFUSED(TTL) },
	    { UDP(NET, OUT, 7, NODE, 30081), .payload = 1373, .df = true, REFUSED(MTU) },
	    { UDP(NET, OUT, 7, NODE, 30081), .payload = 1352, BY_TUNNEL, FROM_NODE, AS_DST(C, 8080),
	      .xdp = true } } },
	{ "fragments and options go the long way",
	  { DIRECT,
	    { UDP(NET, OUT, 7, NODE, 30081), .shape = PACKET_FIRST_FRAG, BY_TUNNEL, FROM_NODE,
	      AS_DST(C, 8080) },
	    { UDP(NET, OUT, 7, NODE, 30081), .shape = PACKET_OPTIONS, BY_TUNNEL, FROM_NODE,
	      AS_DST(C, 8080) },
	    { UDP(NET, OUT, 7, NODE, 30081), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080), .xdp = true },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), .shape = PACKET_FIRST_FRAG, TO_CLIENT,
	      AS_SRC(NODE, 30081) } } },
	{ "errors of routers and of the backend's node go the long way",
	  { DIRECT,
	    { UDP(NET, OUT, 7, NODE, 30081), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080), .xdp = true },
	    { ERROR(OVL, C, NODE, NODE, NAT_PORT, C, 8080), TO_WIRE, .want_src = NODE,
	      .want_dst = OUT, QUOTED(OUT, 7, NODE, 30081) },
	    { ERROR(NET, OUT, NODE, NODE, 30081, OUT, 7), BY_TUNNEL, .want_src = NODE,
	      .want_dst = C, QUOTED(C, 8080, NODE, NAT_PORT) } } },
	{ "clients of the cluster, backends of this node, and no backend at all",
	  { DIRECT,
	    { TCP(NET, NODE3, 7, NODE, 30081, SYN), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080) },
	    { TCP(NET, OUT, 7, NODE, 30080, SYN), TO_E, AS_DST(E, 8080) },
	    { TCP(NET, OUT, 7, NODE, 30085, SYN), TO_STACK, AS_DST(NODE, 9090) },
	    { TCP(NET, OUT, 7, NODE, 30084, SYN), DROPPED(SVC_NO_LOCAL) },
	    { TCP(NET, OUT, 7, EXT, 81, SYN), DROPPED(SVC_SOURCE) },
	    { TCP(NET, OUT, 7, NODE, 22, SYN), TO_STACK },
	    { TCP(NET, OUT, 7, EXT, 99, SYN), TO_STACK } } },
	{ "a tunnel of another network, and answers to nobody",
	  { DIRECT,
	    { UDP(NET, OUT, 7, NODE, 30081), BY_TUNNEL, FROM_NODE, AS_DST(C, 8080), .xdp = true },
	    { UDP(OVL, C, 8080, NODE, 10240), TO_STACK },
	    { UDP(OVL, C, 8080, B, 1000), TO_B },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), .vni = 77, DROPPED(TUNNEL_VNI) } } },
	{ "what was not sent to this link",
	  { DIRECT,
	    { UDP(NET, OUT, 7, NODE, 30081), .others = true, BY_TUNNEL, FROM_NODE,
	      AS_DST(C, 8080) } } },
	{ "where the tunnel is the device's",
	  { { UDP(NET, OUT, 7, NODE, 30081), TO_NODE2, FROM_NODE, AS_DST(C, 8080) },
	    { UDP(OVL, C, 8080, NODE, NAT_PORT), TO_CLIENT, AS_SRC(NODE, 30081), .table = IN_CT,
	      .xdp = true },
	    { UDP(NET, OUT, 7, NODE, 30081), TO_NODE2, FROM_NODE, AS_DST(C, 8080) } } },
};
const unsigned int golden_xdp_count = sizeof(golden_xdp_cases) / sizeof(golden_xdp_cases[0]);
