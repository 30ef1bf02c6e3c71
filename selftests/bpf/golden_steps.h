/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* Words that steps of golden cases are written in. */
#include <netinet/in.h>

#include "selftests/bpf/golden.h"

#define POD    LOOM_HOOK_FROM_POD
#define HOST   LOOM_HOOK_FROM_HOST
#define NET    LOOM_HOOK_FROM_NET
#define TONET  LOOM_HOOK_TO_NET
#define OVL    LOOM_HOOK_FROM_OVERLAY
#define SYN    0x02
#define ACK    0x10
#define SYNACK 0x12
#define FINACK 0x11
#define RST    0x04
#define SYNFIN 0x03
#define UDP(h, s, sp, d, dp) \
	.hook = h, .proto = IPPROTO_UDP, .src = s, .sport = sp, .dst = d, .dport = dp
#define TCP(h, s, sp, d, dp, f)                                                        \
	.hook = h, .proto = IPPROTO_TCP, .src = s, .sport = sp, .dst = d, .dport = dp, \
	.tcp_flags = f
#define SCTP(h, s, sp, d, dp) \
	.hook = h, .proto = IPPROTO_SCTP, .src = s, .sport = sp, .dst = d, .dport = dp
#define ECHO(h, s, d, id) \
	.hook = h, .proto = IPPROTO_ICMP, .icmp_type = 8, .src = s, .dst = d, .sport = id
#define REPLY(h, s, d, id) \
	.hook = h, .proto = IPPROTO_ICMP, .icmp_type = 0, .src = s, .dst = d, .sport = id
#define QUOTING(h, s, d, sh, qs, qsp, qd, qdp)                                              \
	.hook = h, .proto = IPPROTO_ICMP, .src = s, .dst = d, .shape = sh, .quote_src = qs, \
	.quote_sport = qsp, .quote_dst = qd, .quote_dport = qdp
#define ERROR(h, s, d, qs, qsp, qd, qdp) QUOTING(h, s, d, PACKET_ERROR_TTL, qs, qsp, qd, qdp)
#define SCTP_ERROR(h, s, d, qs, qsp, qd, qdp) \
	ERROR(h, s, d, qs, qsp, qd, qdp), .quote_proto = IPPROTO_SCTP
#define TO_B	   .kind = VERDICT_PEER, .ifindex = LINK_B
#define TO_NODE2   .kind = VERDICT_TUNNEL, .node = 2
#define TO_NODE3   .kind = VERDICT_NEIGH, .node = 3, .ifindex = LINK_NATIVE
#define TO_STACK   .kind = VERDICT_STACK, .same_ttl = true
#define TO_WIRE	   .kind = VERDICT_NEIGH, .ifindex = LINK_UPLINK
#define TO_PEER_A  .kind = VERDICT_PEER, .ifindex = LINK_A
#define DROPPED(r) .kind = VERDICT_DROP, .reason = LOOM_DROP_##r
#define REFUSED(r) \
	.kind = VERDICT_REDIRECT, .ifindex = LINK_A, .reason = LOOM_DROP_##r, .error = true
#define RESET(r) REFUSED(r), .reset = true
/* By a service: addresses and ports as they leave, or as an error quotes them. */
#define AS_DST(d, dp) .want_dst = d, .want_dport = dp
#define AS_SRC(s, sp) .want_src = s, .want_sport = sp
#define FROM_NODE     .want_src = NODE, .want_sport = NAT_PORT
#define TO_E	      .kind = VERDICT_PEER, .ifindex = LINK_E
#define TO_HOST	      .kind = VERDICT_INGRESS, .same_ttl = true
#define QUOTED(s, sp, d, dp) \
	.want_quote_src = s, .want_quote_sport = sp, .want_quote_dst = d, .want_quote_dport = dp
#define MASQ .want_src = NODE, .want_sport = NAT_PORT
