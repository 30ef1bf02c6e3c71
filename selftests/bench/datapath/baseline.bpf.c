// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What the data plane is measured against: the least that a program can do to deliver a packet by
 * its destination, one hash lookup with a key of conntrack's size and a redirect. And the frame
 * around both: BPF_PROG_TEST_RUN hands in the same packet again and again, as the last run left
 * it, so base_frame() puts its first bytes back before it calls the program to be measured. With
 * `flows` each packet gets ports of its own (IPv4), and begins a flow.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "selftests/bench/datapath/baseline.h"
#include "shared/loom_maps.h"

#define PORTS_AT 34 /* behind an IPv4 header without options */

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__type(key, struct loom_ctkey);
	__type(value, struct loom_ct);
} base_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct base_header);
} base_header SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} base_next SEC(".maps");

SEC("tc")
int base_frame(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct base_header *h = bpf_map_lookup_elem(&base_header, &zero);

	if (h && h->fresh == BASE_FRESH)
		*(__u32 *)(h->bytes + PORTS_AT) = ++h->flows;
	if (h && h->fresh == BASE_SCAN) {
		h->flows++;
		*(__u32 *)(h->bytes + PORTS_AT) = h->flows << 16 | h->flows >> 16;
	}
	if (h)
		bpf_skb_store_bytes(skb, 0, h->bytes, HEADER_LEN, 0);
	bpf_tail_call(skb, &base_next, 0);
	return TC_ACT_OK;
}

SEC("tc")
int base_peer(struct __sk_buff *skb)
{
	struct loom_ctkey key = {};
	struct loom_ct *v;

	if (bpf_skb_load_bytes(skb, 26, &key.a.w[2], 8))
		return TC_ACT_SHOT;
	v = bpf_map_lookup_elem(&base_table, &key);
	return v ? bpf_redirect_peer(v->out_a, 0) : TC_ACT_SHOT;
}
