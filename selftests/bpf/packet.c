// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define ETH 14

static bool is_v4(const union loom_addr *a)
{
	return !a->d[0] && a->w[2] == LOOM_V4_MARK;
}

static __u32 sum(const __u8 *p, __u32 n, __u32 s)
{
	__u32 i;

	for (i = 0; i < n; i++)
		s += i & 1 ? p[i] : p[i] << 8;
	return s;
}

static __u16 fold(__u32 s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (__u16)~s;
}

static void put16(__u8 *p, __u16 v)
{
	p[0] = v >> 8;
	p[1] = v & 0xff;
}

static __u16 get(const __u8 *p)
{
	return p[0] << 8 | p[1];
}

static __u32 pseudo(const union loom_addr *src, const union loom_addr *dst, __u8 proto, __u32 len)
{
	__u32 at = is_v4(src) ? 12 : 0;

	return sum(src->b + at, 16 - at, sum(dst->b + at, 16 - at, proto + len));
}

/* CRC32c as SCTP has it (RFC 9260, appendix A), bit by bit, its checksum field taken for 0. */
static __u32 sctp_csum(const __u8 *p, __u32 n)
{
	__u32 crc = ~0u, i, bit;

	for (i = 0; i < n; i++) {
		crc ^= i >= 8 && i < 12 ? 0 : p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static __u32 get_le32(const __u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (__u32)p[3] << 24;
}

static __u32 l4_header(__u8 proto)
{
	return proto == IPPROTO_TCP ? 20 : proto == IPPROTO_SCTP ? 12 : 8;
}

static int csum_offset(__u8 proto)
{
	return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
}

static void finish_l4(const struct packet *s, __u8 proto, __u8 *l4, __u32 len)
{
	__u8 *csum = l4 + csum_offset(proto);
	__u32 start = proto == IPPROTO_ICMP ? 0 : pseudo(&s->src, &s->dst, proto, len);
	__u32 crc;
	__u16 v;

	if (s->no_csum)
		return;
	if (proto == IPPROTO_SCTP) {
		crc = sctp_csum(l4, len);
		memcpy(l4 + 8, (__u8[]){ crc, crc >> 8, crc >> 16, crc >> 24 }, 4);
		return;
	}
	v = fold(sum(l4, len, start));
	put16(csum, v || proto != IPPROTO_UDP ? v : 0xffff);
}

/* IP header for `len` bytes of payload; returns its length. */
static __u32 build_ip(const struct packet *s, __u8 proto, __u8 *h, __u32 len)
{
	__u32 options = s->shape == PACKET_OPTIONS ? (is_v4(&s->src) ? 4 : 16) : 0, n;

	if (is_v4(&s->src)) {
		n = 20 + options;
		h[0] = 0x40 | n / 4;
		h[1] = s->ecn;
		put16(h + 2, n + len);
		put16(h + 4, 0x1234);
		put16(h + 6, s->df			     ? 0x4000
			     : s->shape == PACKET_FIRST_FRAG ? 0x2000
			     : s->shape == PACKET_LATER_FRAG ? 8
							     : 0);
		h[8] = s->ttl;
		h[9] = proto;
		memcpy(h + 12, s->src.b + 12, 4);
		memcpy(h + 16, s->dst.b + 12, 4);
		memset(h + 20, 1, options); /* no-operation */
		put16(h + 10, fold(sum(h, n, 0)));
		return n;
	}
	h[0] = 0x60;
	h[1] = s->ecn << 4;
	h[6] = proto;
	h[7] = s->ttl;
	memcpy(h + 8, &s->src, 16);
	memcpy(h + 24, &s->dst, 16);
	n = 40;
	if (options) {
		h[6] = IPPROTO_HOPOPTS;
		h[40] = IPPROTO_DSTOPTS;
		h[42] = 1; /* PadN */
		h[43] = 4;
		h[48] = proto;
		h[50] = 1;
		h[51] = 4;
		n += 16;
	} else if (s->shape == PACKET_FIRST_FRAG || s->shape == PACKET_LATER_FRAG) {
		h[6] = IPPROTO_FRAGMENT;
		h[40] = proto;
		put16(h + 42, s->shape == PACKET_FIRST_FRAG ? 1 : 64);
		put16(h + 46, 0x1234);
		n += 8;
	}
	put16(h + 4, n - 40 + len);
	return n;
}

static __u8 icmp6_type(__u8 type)
{
	return type == 8 ? 128 : type == 0 ? 129 : type;
}

static void build_chunk(const struct packet *s, __u8 *h)
{
	if (s->payload < 4)
		return;
	h[0] = s->sctp_init; /* RFC 9260, 3.2: DATA 0, INIT 1 */
	h[1] = s->sctp_init ? 0 : 3;
	put16(h + 2, s->payload);
}

static __u32 build_l4(const struct packet *s, __u8 proto, __u8 *h)
{
	__u32 n = l4_header(proto);

	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
		h[0] = proto == IPPROTO_ICMP ? s->icmp_type : icmp6_type(s->icmp_type);
		put16(h + 4, s->sport);
	} else {
		put16(h, s->sport);
		put16(h + 2, s->dport);
		if (proto == IPPROTO_TCP) {
			h[12] = 0x50;
			h[13] = s->tcp_flags;
		} else if (proto == IPPROTO_SCTP) {
			put16(h + 4, s->sctp_init ? 0 : 0xabcd); /* verification tag */
		} else {
			put16(h + 4, 8 + s->payload);
		}
	}
	memset(h + n, 'x', s->payload);
	if (proto == IPPROTO_SCTP)
		build_chunk(s, h + n);
	return n + s->payload;
}

static __u32 build_error(const struct packet *s, bool v4, __u8 *h)
{
	struct packet q = { .src = s->quote_src,
			    .dst = s->quote_dst,
			    .proto = s->quote_proto ? s->quote_proto : IPPROTO_UDP,
			    .icmp_type = 8,
			    .ttl = 1,
			    .sport = s->quote_sport,
			    .dport = s->quote_dport };
	__u32 n;

	if (s->shape == PACKET_ERROR_FRAG)
		q.shape = PACKET_FIRST_FRAG;
	if (q.proto == IPPROTO_ICMP && !v4)
		q.proto = IPPROTO_ICMPV6;

	if (s->shape == PACKET_ERROR_TTL) {
		h[0] = v4 ? 11 : 3;
	} else {
		h[0] = v4 ? 3 : 2;
		h[1] = v4 ? 4 : 0;
		put16(h + 6, 1300);
	}
	n = build_ip(&q, q.proto, h + 8, l4_header(q.proto));
	return 8 + n + build_l4(&q, q.proto, h + 8 + n);
}

void packet_build(const struct packet *s, struct target_packet *ret)
{
	bool v4 = is_v4(&s->src);
	__u8 proto = s->proto == IPPROTO_ICMP && !v4 ? IPPROTO_ICMPV6 : s->proto;
	__u8 l4[TARGET_PKT_MAX] = {};
	__u32 len, n;

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->data, s->dmac, 6);
	memcpy(ret->data + 6, s->smac, 6);
	put16(ret->data + 12, v4 ? 0x0800 : 0x86dd);
	if (s->shape == PACKET_LATER_FRAG) {
		len = s->payload;
		memset(l4, 'y', len);
	} else if (s->shape >= PACKET_ERROR_TTL) {
		proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		len = build_error(s, v4, l4);
		finish_l4(s, proto, l4, len);
	} else {
		len = build_l4(s, proto, l4);
		finish_l4(s, proto, l4, len);
	}
	n = build_ip(s, proto, ret->data + ETH, len);
	memcpy(ret->data + ETH + n, l4, len);
	ret->len = ETH + n + len;
}

static void parse_addrs(bool v4, const __u8 *h, union loom_addr *src, union loom_addr *dst)
{
	memset(src, 0, sizeof(*src));
	memset(dst, 0, sizeof(*dst));
	if (!v4) {
		memcpy(src, h + 8, 16);
		memcpy(dst, h + 24, 16);
		return;
	}
	src->w[2] = dst->w[2] = LOOM_V4_MARK;
	memcpy(src->b + 12, h + 12, 4);
	memcpy(dst->b + 12, h + 16, 4);
}

static void parse_error(bool v4, const __u8 *h, struct packet *ret)
{
	const __u8 *q = h + 8;
	__u32 n = v4 ? (q[0] & 15) * 4 : q[6] == IPPROTO_FRAGMENT ? 48 : 40;

	ret->shape = h[0] == 11 || (!v4 && h[0] == 3) ? PACKET_ERROR_TTL : PACKET_ERROR_MTU;
	ret->mtu = get(h + 6);
	parse_addrs(v4, q, &ret->quote_src, &ret->quote_dst);
	ret->quote_proto = v4 ? q[9] : q[6] == IPPROTO_FRAGMENT ? q[40] : q[6];
	if (v4 && fold(sum(q, n, 0)))
		ret->csum_ok = false;
	ret->quote_sport = get(q + n);
	ret->quote_dport = get(q + n + 2);
}

static bool l4_csum_ok(const struct packet *p, __u8 proto, const __u8 *l4, __u32 len)
{
	if (proto == IPPROTO_UDP && !get(l4 + 6))
		return p->no_csum;
	if (proto == IPPROTO_SCTP)
		return p->no_csum || get_le32(l4 + 8) == sctp_csum(l4, len);
	return !fold(
		sum(l4, len, proto == IPPROTO_ICMP ? 0 : pseudo(&p->src, &p->dst, proto, len)));
}

static bool is_error(bool v4, __u8 type)
{
	return v4 ? type == 3 || type == 11 : type < 128;
}

int packet_parse(const struct target_packet *p, struct packet *ret)
{
	const __u8 *h = p->data + ETH, *l4;
	bool v4 = get(p->data + 12) == 0x0800;
	__u32 n, len;
	__u8 proto;

	memset(ret, 0, sizeof(*ret));
	if (p->len < ETH + (v4 ? 20u : 40u))
		return -1;
	memcpy(ret->dmac, p->data, 6);
	memcpy(ret->smac, p->data + 6, 6);
	parse_addrs(v4, h, &ret->src, &ret->dst);
	proto = v4 ? h[9] : h[6];
	n = v4 ? (h[0] & 15) * 4 : 40;
	ret->ttl = v4 ? h[8] : h[7];
	ret->csum_ok = !v4 || !fold(sum(h, n, 0));
	if (proto == IPPROTO_HOPOPTS && !v4) {
		proto = h[48];
		n += 16;
	} else if (proto == IPPROTO_FRAGMENT && !v4) {
		proto = h[40];
		ret->shape = get(h + 42) & 0xfff8 ? PACKET_LATER_FRAG : PACKET_FIRST_FRAG;
		n += 8;
	} else if (v4 && (get(h + 6) & 0x3fff)) {
		ret->shape = get(h + 6) & 0x1fff ? PACKET_LATER_FRAG : PACKET_FIRST_FRAG;
	}
	ret->proto = proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : proto;
	l4 = h + n;
	len = (v4 ? get(h + 2) : get(h + 4) + 40u) - n;
	if (ret->shape == PACKET_LATER_FRAG)
		return 0;
	ret->no_csum = (proto == IPPROTO_UDP && !get(l4 + 6)) ||
		       (proto == IPPROTO_SCTP && !get_le32(l4 + 8));
	ret->csum_ok = ret->csum_ok && l4_csum_ok(ret, proto, l4, len);
	if (ret->proto == IPPROTO_ICMP && is_error(v4, l4[0])) {
		parse_error(v4, l4, ret);
	} else if (ret->proto == IPPROTO_ICMP) {
		ret->sport = get(l4 + 4);
	} else {
		ret->sport = get(l4);
		if (ret->proto == IPPROTO_TCP)
			ret->tcp_flags = l4[13];
		ret->dport = get(l4 + 2);
	}
	return 0;
}
