/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * From bytes to struct pkt: link header, IPv4 with options, IPv6 with extension headers, ports or
 * ICMP identifiers. parse_packet() returns 0 or a negative drop reason. IPv6 packets with v4-mapped
 * addresses are refused here, so that the one address form can't be used to pose as IPv4.
 */
#include "bpf/lib/frag.h"

#define EXT_MAX 6

/*
 * Walks IPv6 extension headers from p->l4; proto and l4 are of the transport header afterwards. 0
 * or a negative reason.
 */
plat_fn int parse_ext(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	__u32 off, i;
	__u8 proto, h[8];

	if (!p)
		return -LOOM_DROP_HELPER;
	off = p->l4;
	proto = p->proto;
	for (i = 0; i < EXT_MAX; i++) {
		if (proto != 0 && proto != 43 && proto != 44 && proto != 51 && proto != 60)
			break;
		if (plat_load(ctx, off, h, sizeof(h)))
			return -LOOM_DROP_EXT_HEADERS;
		if (proto == 44) {
			p->frag_flags = h[2] << 8 | h[3];
			plat_copy(&p->frag_id, h + 4, 4);
			if (p->frag_flags & 0xfff8)
				p->flags |= PKT_LATER_FRAG;
			else if (p->frag_flags & 1)
				p->flags |= PKT_FIRST_FRAG;
			off += 8;
		} else {
			off += proto == 51 ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
		}
		proto = h[0];
		if (off > (__u32)p->l3 + p->ip_len)
			return -LOOM_DROP_EXT_HEADERS;
		if (p->flags & PKT_LATER_FRAG)
			break;
	}
	if (i == EXT_MAX)
		return -LOOM_DROP_EXT_HEADERS;
	p->l4 = off;
	p->proto = proto;
	return 0;
}

plat_inline int parse_ip4(struct plat_ctx *ctx, struct pkt *p)
{
	__u32 ihl = (p->ip[0] & 15) * 4;
	__u16 frag = p->ip[6] << 8 | p->ip[7];

	if (p->ip[0] >> 4 != 4 || ihl < 20)
		return -LOOM_DROP_MALFORMED;
	addr_set_v4(&p->saddr, get32(p->ip + 12));
	addr_set_v4(&p->daddr, get32(p->ip + 16));
	p->family = 4;
	p->proto = p->ip[9];
	p->ip_len = p->ip[2] << 8 | p->ip[3];
	if (!p->ip_len && plat_gso_size(ctx)) /* larger than 64 KB: the kernel leaves it zero */
		p->ip_len = p->len - p->l3;
	if (p->ip_len < ihl)
		return -LOOM_DROP_MALFORMED;
	if (p->l3 + p->ip_len > p->len)
		return -LOOM_DROP_SHORT;
	p->ttl = p->ip[8];
	p->l4 = p->l3 + ihl;
	p->frag_flags = frag;
	if (frag & 0x3fff) {
		p->frag_id = get16(p->ip + 4);
		p->flags |= frag & 0x1fff ? PKT_LATER_FRAG : PKT_FIRST_FRAG;
	}
	return 0;
}

plat_inline int parse_ip6(struct plat_ctx *ctx, struct pkt *p)
{
	__u32 payload = p->ip[4] << 8 | p->ip[5];

	if (p->ip[0] >> 4 != 6)
		return -LOOM_DROP_MALFORMED;
	addr_get(&p->saddr, p->ip + 8);
	addr_get(&p->daddr, p->ip + 24);
	p->family = 6;
	p->proto = p->ip[6];
	p->ip_len = payload + 40;
	if (!payload && plat_gso_size(ctx))
		p->ip_len = p->len - p->l3;
	if (p->l3 + p->ip_len > p->len)
		return -LOOM_DROP_SHORT;
	if (addr_is_mapped(&p->saddr) || addr_is_mapped(&p->daddr))
		return -LOOM_DROP_MALFORMED;
	p->ttl = p->ip[7];
	p->l4 = p->l3 + 40;
	p->frag_flags = 0;
	if (p->proto == 0 || p->proto == 43 || p->proto == 44 || p->proto == 51 || p->proto == 60)
		return parse_ext(ctx);
	return 0;
}

plat_inline int parse_tcp(struct plat_ctx *ctx, struct pkt *p, __u32 room)
{
	__u8 h[14] __attribute__((aligned(4)));

	if (room < 20 || plat_load(ctx, p->l4, h, sizeof(h)))
		return -LOOM_DROP_SHORT;
	p->sport = get16(h);
	p->dport = get16(h + 2);
	p->tcp_flags = h[13] & 0x3f;
	p->l4_hlen = (h[12] >> 4) * 4;
	if (p->l4_hlen < 20 || p->l4_hlen > room)
		return -LOOM_DROP_MALFORMED;
	if ((p->tcp_flags & TCP_SYN) && (p->tcp_flags & (TCP_FIN | TCP_RST)))
		return -LOOM_DROP_CT_INVALID;
	if (!(p->tcp_flags & TCP_RST))
		p->flags |= PKT_STARTS;
	return 0;
}

/* Any protocol that begins with two ports: UDP, UDP-Lite, SCTP, DCCP. */
plat_inline int parse_ports(struct plat_ctx *ctx, struct pkt *p, __u32 room)
{
	__u8 h[8] __attribute__((aligned(4)));

	if (room < 8 || plat_load(ctx, p->l4, h, sizeof(h)))
		return -LOOM_DROP_SHORT;
	p->sport = get16(h);
	p->dport = get16(h + 2);
	p->l4_hlen = 8;
	if (p->proto == IPPROTO_UDP && !plat_gso_size(ctx)) {
		__u32 len = h[4] << 8 | h[5];

		if (len < 8 || (len > room && !(p->flags & PKT_FIRST_FRAG)))
			return -LOOM_DROP_MALFORMED;
	}
	p->flags |= PKT_STARTS;
	return 0;
}

plat_inline int parse_icmp(struct plat_ctx *ctx, struct pkt *p, __u32 room)
{
	__u8 h[8] __attribute__((aligned(4)));
	int error, echo;

	if (room < 8 || plat_load(ctx, p->l4, h, sizeof(h)))
		return -LOOM_DROP_SHORT;
	p->icmp_type = h[0];
	p->l4_hlen = 8;
	if (p->family == 4) {
		error = h[0] == ICMP_UNREACH || h[0] == ICMP_TIME_EXCEED || h[0] == ICMP_PARAM;
		echo = h[0] == ICMP_ECHO || h[0] == ICMP_ECHO_REPLY;
	} else {
		error = h[0] >= 1 && h[0] <= 4;
		echo = h[0] == ICMP6_ECHO || h[0] == ICMP6_ECHO_REPLY;
	}
	if (echo) {
		p->sport = p->dport = get16(h + 4);
		p->echo = LOOM_ECHO_REPLY;
		if (h[0] == ICMP_ECHO || h[0] == ICMP6_ECHO) {
			p->echo = LOOM_ECHO_REQUEST;
			p->flags |= PKT_STARTS;
		}
	}
	if (error)
		p->flags |= PKT_ERROR;
	return 0;
}

plat_inline int parse_l4(struct plat_ctx *ctx, struct pkt *p)
{
	__u32 room = p->l3 + p->ip_len - p->l4;

	if (p->proto == IPPROTO_TCP)
		return parse_tcp(ctx, p, room);
	if (p->proto == (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_icmp(ctx, p, room);
	if (p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE || p->proto == IPPROTO_SCTP ||
	    p->proto == IPPROTO_DCCP)
		return parse_ports(ctx, p, room);
	p->flags |= PKT_STARTS;
	return 0;
}

/*
 * IP header and transport header of a packet whose ethertype is known to be IP. `family` is set as
 * soon as there are addresses: until then an event has none to tell.
 */
plat_inline int parse_ip(struct plat_ctx *ctx, struct pkt *p)
{
	__u32 at = p->l3 ? 0 : PKT_ETH_LEN;
	int err;

	if (p->ethertype == ETH_P_IP)
		err = at ? plat_load(ctx, 0, p->ip, 20) : plat_load(ctx, 0, p->eth, 34);
	else
		err = at ? plat_load(ctx, 0, p->ip, 40) : plat_load(ctx, 0, p->eth, 54);
	if (err)
		return -LOOM_DROP_SHORT;
	err = p->ethertype == ETH_P_IP ? parse_ip4(ctx, p) : parse_ip6(ctx, p);
	if (err)
		return err;
	if (p->flags & PKT_LATER_FRAG)
		return frag_find(p);
	return parse_l4(ctx, p);
}
