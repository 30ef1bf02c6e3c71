// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "bpf/native/probe.h"

#include <netinet/in.h>
#include <string.h>

#define ETH_LEN	  14
#define HOP_LIMIT 64

static bool is_v4(const union loom_addr *a)
{
	return !a->d[0] && a->w[2] == LOOM_V4_MARK;
}

static void put16(__u8 *to, __u16 v)
{
	to[0] = v >> 8;
	to[1] = v & 0xff;
}

static __u32 build_l4(const struct probe *s, bool v4, __u8 *h)
{
	if (s->proto == IPPROTO_ICMP) {
		h[0] = v4 ? 8 : 128;
		put16(h + 4, s->sport);
		return 8;
	}
	put16(h, s->sport);
	put16(h + 2, s->dport);
	switch (s->proto) {
	case IPPROTO_TCP:
		h[12] = 0x50;
		h[13] = s->tcp_flags;
		return 20;
	case IPPROTO_SCTP:
		h[12] = 1; /* INIT (RFC 9260 3.3.2) */
		put16(h + 14, 20);
		return 32;
	default:
		put16(h + 4, 8);
		return 8;
	}
}

static __u32 build_ip(const struct probe *s, bool v4, __u8 *h)
{
	__u32 len;

	if (v4) {
		len = 20 + build_l4(s, v4, h + 20);
		h[0] = 0x45;
		put16(h + 2, len);
		h[6] = 0x40; /* don't fragment */
		h[8] = HOP_LIMIT;
		h[9] = s->proto;
		memcpy(h + 12, s->src.b + 12, 4);
		memcpy(h + 16, s->dst.b + 12, 4);
		return len;
	}
	len = build_l4(s, v4, h + 40);
	h[0] = 0x60;
	put16(h + 4, len);
	h[6] = s->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : s->proto;
	h[7] = HOP_LIMIT;
	memcpy(h + 8, &s->src, 16);
	memcpy(h + 24, &s->dst, 16);
	return 40 + len;
}

__u32 probe_build(const struct probe *s, __u8 buf[PROBE_MAX])
{
	bool v4 = is_v4(&s->src);

	memset(buf, 0, PROBE_MAX);
	if (s->raw)
		return build_ip(s, v4, buf);
	memcpy(buf, s->dmac, 6);
	memcpy(buf + 6, s->smac, 6);
	put16(buf + 12, v4 ? 0x0800 : 0x86dd);
	return ETH_LEN + build_ip(s, v4, buf + ETH_LEN);
}
