// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The frame around XDP programs that are measured, and what they are measured against: the least
 * that sends a packet back. Test runs hand in the same packets again and again, with the bytes (and
 * without live frames also the length) that the last run left, so xdp_frame() puts both back first.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define HEADER_LEN 128 /* the longest: Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv6, TCP */

char _license[] SEC("license") = "Dual BSD/GPL";

struct frame_packet {
	__u64 len;
	__u8 header[HEADER_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct frame_packet);
} frame_packet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} frame_next SEC(".maps");

SEC("xdp.frags")
int xdp_frame(struct xdp_md *ctx)
{
	long len = (long)ctx->data_end - (long)ctx->data;
	struct frame_packet *p;
	__u32 zero = 0;
	void *data;

	p = bpf_map_lookup_elem(&frame_packet, &zero);
	if (!p)
		return XDP_ABORTED;
	if (len != (long)p->len && bpf_xdp_adjust_head(ctx, (int)(len - (long)p->len)))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	if (data + HEADER_LEN > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(__builtin_assume_aligned(data, 8), p->header, HEADER_LEN);
	bpf_tail_call(ctx, &frame_next, 0);
	return XDP_PASS;
}

SEC("xdp.frags")
int xdp_reflect(struct xdp_md *ctx)
{
	__u16 *eth = (void *)(long)ctx->data, mac[3];

	if ((void *)(eth + 7) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(mac, eth, 6);
	__builtin_memcpy(eth, eth + 3, 6);
	__builtin_memcpy(eth + 3, mac, 6);
	return XDP_TX;
}

SEC("xdp.frags")
int xdp_sink(struct xdp_md *ctx)
{
	return XDP_DROP;
}
