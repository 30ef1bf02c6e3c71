/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Translation: what the entry of a flow makes of a packet's addresses and ports, and its writing.
 * Each helper that writes costs as much as a small hash lookup. So addresses are changed in p->ip,
 * with IPv4's checksum, and leave with the one store that deliver_headers() does anyway; behind the
 * IP header one store changes both ports. The transport checksum takes two steps, since addresses
 * and ports differ in what they mean for a packet whose checksum is left to the NIC.
 *
 * ICMP errors are translated with the tuple that they quote (RFC 5508, 4.2), so that the client
 * sees the service's address: the sender's own address is changed only when it is the flow's,
 * errors by routers keep theirs. The quoted transport checksum is left alone: the quote is cut
 * short anyway, and receivers match by ports.
 */
#include "bpf/lib/ct.h"
#include "bpf/lib/sctp.h"

/* The tuple that the packet (or, of an error, its flow in the packet's direction) is to have. */
struct xlate {
	union loom_addr src;
	union loom_addr dst;
	__be16 ports[2] __attribute__((aligned(4))); /* source, destination */
};

/* Masquerade: one side. */
plat_inline int xlate_nat(const struct loom_ct *ct, int init, struct xlate *x)
{
	int source = !!(ct->flags & LOOM_CT_SNAT);

	if (source != init)
		return 0;
	if (source) {
		addr_copy(&x->src, &ct->xaddr);
		x->ports[0] = ct->xport;
	} else {
		addr_copy(&x->dst, &ct->xaddr);
		x->ports[1] = ct->xport;
	}
	return 1;
}

/* Client -> frontend becomes client (or node, or gateway) -> backend. */
plat_inline int xlate_front(const struct pkt *p, const struct loom_ct *ct, struct xlate *x)
{
	if (ct->flags & LOOM_CT_SVC_SNAT)
		ct_svc_source(ct, p->family == 4, &x->src);
	addr_copy(&x->dst, &ct->xaddr);
	x->ports[0] = ct->xport2;
	x->ports[1] = ct->xport;
	return 1;
}

/* Backend -> client (or node, or gateway) becomes frontend -> client. */
plat_inline int xlate_back(const struct loom_ct *ct, struct xlate *x)
{
	if (ct->flags & LOOM_CT_SVC_SNAT) {
		ct_vip(ct->vip, &x->src);
		if (addr_is_none(&x->src))
			return -LOOM_DROP_SVC_NO_VIP;
		addr_copy(&x->dst, &ct->xaddr);
	} else {
		addr_copy(&x->src, &ct->xaddr);
	}
	x->ports[0] = ct->xport;
	x->ports[1] = ct->xport2;
	return 1;
}

/* 1 with the tuple, 0 when the packet stays as it is, or a negative reason. */
plat_inline int xlate_tuple(const struct pkt *p, const struct loom_ct *ct, struct xlate *x)
{
	int init = ct_from_initiator(p, ct);

	addr_copy(&x->src, p->flags & PKT_FROM_B ? &p->key.b : &p->key.a);
	addr_copy(&x->dst, &p->daddr);
	x->ports[0] = p->sport;
	x->ports[1] = p->dport;
	if (ct->flags & CT_NAT)
		return xlate_nat(ct, init, x);
	if (ct->flags & LOOM_CT_DSR)
		return 0;
	if (ct->flags & LOOM_CT_SVC)
		return init ? xlate_front(p, ct, x) : -LOOM_DROP_CT_INVALID;
	return init ? 0 : xlate_back(ct, x);
}

/* What a change of address adds to a sum that is not folded yet. */
plat_inline __u64 xlate_diff(const union loom_addr *from, const union loom_addr *to)
{
	return (__u64)(__u32)~from->w[0] + to->w[0] + (__u32)~from->w[1] + to->w[1] +
	       (__u32)~from->w[2] + to->w[2] + (__u32)~from->w[3] + to->w[3];
}

plat_inline __u32 xlate_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)((sum & 0xffffffff) + (sum >> 32));
}

/* Addresses in p->ip, and IPv4's checksum (RFC 1624). */
plat_inline void xlate_ip(struct pkt *p, const union loom_addr *src, const union loom_addr *dst,
			  __u32 diff)
{
	alias16 *csum = (alias16 *)(p->ip + 10);
	__u64 sum;

	p->flags |= PKT_XLATED;
	if (p->family == 6) {
		addr_copy((union loom_addr *)(p->ip + 8), src);
		addr_copy((union loom_addr *)(p->ip + 24), dst);
		return;
	}
	*(alias32 *)(p->ip + 12) = src->w[3];
	*(alias32 *)(p->ip + 16) = dst->w[3];
	sum = (__u64)(__u16) ~*csum + (diff & 0xffff) + (diff >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*csum = (__u16)~sum;
}

/* Where in the packet a transport checksum is, relative to its header. */
plat_inline __u32 xlate_csum_off(__u8 proto)
{
	return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
}

plat_inline int xlate_echo(struct plat_ctx *ctx, const struct pkt *p, const struct xlate *x,
			   __u32 diff)
{
	__be16 id = x->ports[0] != p->sport ? x->ports[0] : x->ports[1];
	__u32 csum = p->l4 + 2;
	int err = 0;

	if (p->family == 6) /* ICMP for IPv4 has no pseudo header */
		err = plat_csum_pseudo(ctx, csum, diff, 0, 1);
	if (err || id == p->sport)
		return err;
	err = plat_csum_port(ctx, csum, p->sport, id, 0);
	return err ? err : plat_store(ctx, p->l4 + 4, &id, 2);
}

/* SCTP's checksum has no pseudo header, so addresses alone leave it as it is. */
plat_inline int xlate_sctp(struct plat_ctx *ctx, const struct pkt *p, const struct xlate *x,
			   __u32 diff)
{
	if (p->family == 6) /* IPv4's own checksum makes up for it */
		plat_csum_update(ctx, diff);
	if (x->ports[0] == p->sport && x->ports[1] == p->dport)
		return 0;
	return sctp_set_ports(ctx, get32(x->ports));
}

/* Transport header: ports and checksum. */
plat_inline int xlate_l4(struct plat_ctx *ctx, const struct pkt *p, const struct xlate *x,
			 __u32 diff)
{
	__be16 old[2] __attribute__((aligned(4))) = { p->sport, p->dport };
	__u32 csum = p->l4 + xlate_csum_off(p->proto);
	int udp = p->proto == IPPROTO_UDP, err;

	if (ct_is_icmp(p->proto))
		return xlate_echo(ctx, p, x, diff);
	if (p->proto == IPPROTO_SCTP)
		return xlate_sctp(ctx, p, x, diff);
	err = plat_csum_pseudo(ctx, csum, diff, udp, p->family == 6);
	if (err || get32(old) == get32(x->ports))
		return err;
	err = plat_csum_ports(ctx, csum, get32(old), get32(x->ports), udp);
	return err ? err : plat_store(ctx, p->l4, x->ports, 4);
}

/* Addresses of the quoted header; for IPv4 its own checksum makes up for it. */
plat_inline int xlate_quote_ip(struct plat_ctx *ctx, const struct pkt *p, const struct xlate *x,
			       __u32 diff)
{
	union loom_addr h[2];
	__be32 h4[2];
	int err;

	if (p->family == 4) {
		h4[0] = x->dst.w[3];
		h4[1] = x->src.w[3];
		err = plat_csum_ip(ctx, p->in_l3 + 10, diff);
		return err ? err : plat_store(ctx, p->in_l3 + 12, h4, 8);
	}
	addr_copy(&h[0], &x->dst);
	addr_copy(&h[1], &x->src);
	err = plat_csum_data(ctx, p->l4 + 2, diff);
	return err ? err : plat_store(ctx, p->in_l3 + 8, h, 32);
}

/* Ports of the quoted packet, which went the other way. */
plat_inline int xlate_quote_ports(struct plat_ctx *ctx, const struct pkt *p, const struct xlate *x)
{
	__be16 old[2] __attribute__((aligned(4))) = { p->dport, p->sport };
	__be16 new[2] __attribute__((aligned(4))) = { x->ports[1], x->ports[0] };
	__be16 id = x->ports[0] != p->sport ? x->ports[0] : x->ports[1];
	int err;

	if (get32(old) == get32(new))
		return 0;
	if (ct_is_icmp(p->in_proto)) {
		err = plat_csum_port(ctx, p->l4 + 2, p->sport, id, 0);
		return err ? err : plat_store(ctx, p->in_l4 + 4, &id, 2);
	}
	err = plat_csum_ports(ctx, p->l4 + 2, get32(old), get32(new), 0);
	return err ? err : plat_store(ctx, p->in_l4, new, 4);
}

plat_inline int xlate_error(struct plat_ctx *ctx, struct pkt *p, const struct xlate *x)
{
	union loom_addr flow_src, src;
	__u64 dst_diff = xlate_diff(&p->daddr, &x->dst), src_diff;
	int own, err = 0;

	addr_copy(&flow_src, p->flags & PKT_FROM_B ? &p->key.b : &p->key.a);
	own = addr_eq(&p->saddr, &flow_src);
	addr_copy(&src, own ? &x->src : &p->saddr);
	src_diff = xlate_diff(&flow_src, &x->src);
	xlate_ip(p, &src, &x->dst, xlate_fold(dst_diff + (own ? src_diff : 0)));
	if (p->family == 6)
		err = plat_csum_pseudo(ctx, p->l4 + 2, xlate_fold(dst_diff + (own ? src_diff : 0)),
				       0, 1);
	if (!err)
		err = xlate_quote_ip(ctx, p, x, xlate_fold(dst_diff + src_diff));
	return err ? err : xlate_quote_ports(ctx, p, x);
}

/*
 * Translates the packet as its entry says: what is behind the IP header at once, the header itself
 * by p->ip, which deliver_headers() is to write. 0 or a negative reason.
 */
plat_fn int xlate_packet(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct xlate x;
	__u32 diff;
	int err;

	if (!p || !ct)
		return -LOOM_DROP_HELPER;
	err = xlate_tuple(p, ct, &x);
	if (err <= 0)
		return err;
	if ((p->flags & PKT_ERROR) && !(p->flags & PKT_LATER_FRAG)) {
		err = xlate_error(ctx, p, &x);
	} else {
		diff = xlate_fold(xlate_diff(&p->saddr, &x.src) + xlate_diff(&p->daddr, &x.dst));
		xlate_ip(p, &x.src, &x.dst, diff);
		err = p->flags & PKT_LATER_FRAG ? 0 : xlate_l4(ctx, p, &x, diff);
	}
	if (!err)
		return 0;
	p->aux = err;
	return err == -EPROTONOSUPPORT ? -LOOM_DROP_NAT_PROTO : -LOOM_DROP_HELPER;
}
