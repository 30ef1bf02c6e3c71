/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Packets for golden cases: built from a few fields with right checksums, and taken apart again.
 * Addresses are in the data plane's form; the family follows from the source.
 */
#include "selftests/bpf/target.h"

enum packet_shape {
	PACKET_PLAIN,
	PACKET_FIRST_FRAG,
	PACKET_LATER_FRAG,
	PACKET_OPTIONS,	  /* IPv4 options; IPv6 hop-by-hop and destination options */
	PACKET_ERROR_TTL, /* ICMP error that quotes a packet from `quote_src` */
	PACKET_ERROR_MTU,
	PACKET_ERROR_FRAG, /* as ERROR_MTU, and what it quotes is a first fragment */
};

struct packet {
	union loom_addr src, dst;
	__u8 proto; /* IPPROTO_ICMP stands for ICMPv6 in IPv6 */
	__u8 ttl;
	__u8 ecn; /* the IP header's two bits */
	__u8 tcp_flags;
	__u8 icmp_type;	    /* IPv4's number; echo and echo reply are translated for IPv6 */
	__u16 sport, dport; /* host order; ICMP echo: sport is the identifier */
	__u16 payload;
	bool df;
	bool no_csum;	/* UDP, SCTP */
	bool sctp_init; /* SCTP: its first chunk is INIT, else DATA */
	enum packet_shape shape;
	__u8 smac[6], dmac[6];
	/* Of the packet that an ICMP error quotes; its protocol is UDP unless it says another. */
	__u8 quote_proto;
	union loom_addr quote_src, quote_dst;
	__u16 quote_sport, quote_dport;
	/* Set by packet_parse() only. */
	__u32 mtu; /* of a too-big error */
	bool csum_ok;
};

void packet_build(const struct packet *spec, struct target_packet *ret);
/* 0, or negative when the bytes are no packet that packet_build() could have built. */
int packet_parse(const struct target_packet *p, struct packet *ret);
