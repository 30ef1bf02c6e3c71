// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Test only: another port for SCTP that comes in and its own for the answers, as a service's
 * translation gives them, with a count of how checksums and segments looked before.
 */
#include <linux/pkt_cls.h>

#include "bpf/lib/sctp.h"
#include "selftests/bpf/sctp_ports.h"

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SEEN_MAX);
	__type(key, __u32);
	__type(value, __u64);
} sctp_seen SEC(".maps");

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&sctp_seen, &what);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Neither options nor extension headers. */
static __always_inline int parse(struct __sk_buff *skb, struct pkt *p)
{
	__u8 h[40] = {};

	p->flags = 0;
	p->l3 = PKT_ETH_LEN;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, p->l3, h, 20) || h[9] != IPPROTO_SCTP)
			return -1;
		p->ip_len = h[2] << 8 | h[3];
		p->l4 = p->l3 + 20;
		return 0;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6))
		return -1;
	if (bpf_skb_load_bytes(skb, p->l3, h, 40) || h[6] != IPPROTO_SCTP)
		return -1;
	p->ip_len = (h[4] << 8 | h[5]) + 40;
	p->l4 = p->l3 + 40;
	return 0;
}

static __always_inline int translate(struct __sk_buff *skb, int in)
{
	__be16 h[6], *port = in ? &h[1] : &h[0];
	struct pkt *p = plat_pkt(skb);
	__u32 ports;

	if (!p || parse(skb, p) || bpf_skb_load_bytes(skb, p->l4, h, sizeof(h)))
		return TC_ACT_OK;
	if (*port != bpf_htons(in ? SERVICE_PORT : SERVER_PORT))
		return TC_ACT_OK;
	count(skb->gso_size ? SEEN_SEGMENTS : h[4] || h[5] ? SEEN_SUM : SEEN_NO_SUM);
	*port = bpf_htons(in ? SERVER_PORT : SERVICE_PORT);
	ports = h[0] | (__u32)h[1] << 16;
	return sctp_set_ports(skb, ports) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int sctp_in(struct __sk_buff *skb)
{
	return translate(skb, 1);
}

SEC("tc")
int sctp_out(struct __sk_buff *skb)
{
	return translate(skb, 0);
}
