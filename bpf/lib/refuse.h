/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Refusals: whoever asks a service that has no backend, or goes on with one that is gone, is told
 * at once. TCP gets a reset (RFC 9293 3.10.7.1) from the address that it asked, everything else an
 * ICMP port unreachable (RFC 1122 3.2.2.1, RFC 4443 3.1). The packet in hand becomes the answer and
 * goes back to where it came from, as ICMP errors do, and under the same limit.
 */
#include "bpf/lib/icmp_gen.h"

#define REFUSE_TCP_LEN 20

/* Sequence space that the segment takes: payload, SYN and FIN. */
plat_inline __u32 refuse_seg_len(const struct pkt *p)
{
	__u32 head = p->l4 - p->l3 + p->l4_hlen;
	__u32 len = p->ip_len > head ? p->ip_len - head : 0;

	return len + !!(p->tcp_flags & TCP_SYN) + !!(p->tcp_flags & TCP_FIN);
}

/*
 * The reset's TCP header, from the segment's in `h`: where the segment acknowledges, that is the
 * sequence number; else all of it is acknowledged.
 */
plat_inline void refuse_tcp(const struct pkt *p, __u8 *h)
{
	__be32 ack = 0, seq = 0, word;
	__u8 flags = TCP_RST;

	if (p->tcp_flags & TCP_ACK) {
		seq = get32(h + 8);
	} else {
		plat_copy(&word, h + 4, 4);
		ack = plat_htonl(plat_ntohl(word) + refuse_seg_len(p));
		flags |= TCP_ACK;
	}
	plat_zero(h, REFUSE_TCP_LEN);
	plat_copy(h, &p->dport, 2);
	plat_copy(h + 2, &p->sport, 2);
	plat_copy(h + 4, &seq, 4);
	plat_copy(h + 8, &ack, 4);
	h[12] = REFUSE_TCP_LEN / 4 << 4;
	h[13] = flags;
}

plat_inline __u16 refuse_tcp_csum(const struct pkt *p, const __u8 *h)
{
	__u32 pseudo[2] = { plat_htonl(REFUSE_TCP_LEN), plat_htonl(IPPROTO_TCP) };
	__u32 sum = plat_csum_add(h, REFUSE_TCP_LEN, 0);

	sum = plat_csum_add(pseudo, 8, sum);
	/* The upper half of a v4-mapped address adds 0xffff, which is nothing. */
	sum = plat_csum_add(&p->saddr, 16, sum);
	return icmp_gen_fold(plat_csum_add(&p->daddr, 16, sum));
}

plat_inline void refuse_ip4(const struct pkt *p, __u8 *h)
{
	__u16 csum;

	h[0] = 0x45;
	h[3] = 20 + REFUSE_TCP_LEN;
	h[6] = 0x40; /* DF */
	h[8] = 64;
	h[9] = IPPROTO_TCP;
	plat_copy(h + 12, &p->daddr.w[3], 4);
	plat_copy(h + 16, &p->saddr.w[3], 4);
	csum = icmp_gen_fold(plat_csum_add(h, 20, 0));
	plat_copy(h + 10, &csum, 2);
}

plat_inline void refuse_ip6(const struct pkt *p, __u8 *h)
{
	h[0] = 0x60;
	h[5] = REFUSE_TCP_LEN;
	h[6] = IPPROTO_TCP;
	h[7] = 64;
	plat_copy(h + 8, &p->daddr, 16);
	plat_copy(h + 24, &p->saddr, 16);
}

/* The packet becomes a reset; extension headers and options go. 0 or negative. */
plat_fn int refuse_reset(struct plat_ctx *ctx)
{
	__u8 h[40 + REFUSE_TCP_LEN] __attribute__((aligned(8))) = {};
	struct pkt *p = plat_pkt(ctx);
	__u32 ip_len;
	__u16 csum;
	__u8 *tcp;

	if (!p || (p->tcp_flags & TCP_RST))
		return -EINVAL;
	ip_len = p->family == 4 ? 20 : 40;
	tcp = p->family == 4 ? h + 20 : h + 40;
	if (plat_load(ctx, p->l4, tcp, REFUSE_TCP_LEN))
		return -EFAULT;
	refuse_tcp(p, tcp);
	csum = refuse_tcp_csum(p, tcp);
	plat_copy(tcp + 16, &csum, 2);
	if (plat_trim(ctx, p->l3 + ip_len + REFUSE_TCP_LEN))
		return -EFAULT;
	if (p->family == 4) {
		refuse_ip4(p, h);
		return plat_store(ctx, p->l3, h, 20 + REFUSE_TCP_LEN);
	}
	refuse_ip6(p, h);
	return plat_store(ctx, p->l3, h, 40 + REFUSE_TCP_LEN);
}

/* 0 when the packet now is the refusal, with a verdict; negative when there is none to be sent. */
plat_inline int refuse(struct plat_ctx *ctx, int reason)
{
	struct pkt *p = plat_pkt(ctx);

	/* What the host's stack sends by the uplink has nobody behind it who could be told. */
	if (!p || !p->family || p->hook == LOOM_HOOK_TO_NET ||
	    (p->flags & (PKT_ERROR | PKT_LATER_FRAG)))
		return -EINVAL;
	if (p->proto != IPPROTO_TCP)
		return icmp_gen(ctx, reason);
	if (addr_check_unicast(&p->saddr, p->family == 4))
		return -EINVAL;
	if (!account_token(1, plat_now_ns(), ICMP_GEN_RATE, ICMP_GEN_BURST))
		return -EAGAIN;
	return refuse_reset(ctx) ? -EFAULT : icmp_gen_return(ctx, p);
}
