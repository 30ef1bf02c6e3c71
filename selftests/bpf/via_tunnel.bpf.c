// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Test only: gives a packet the metadata of a tunnel or VLAN that it came through, which
 * BPF_PROG_TEST_RUN can't, then calls the program under test.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} via_next SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_tunnel_key);
} via_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} via_vlan SEC(".maps");

SEC("tc")
int via_tunnel(struct __sk_buff *skb)
{
	__u32 zero = 0, *vlan = bpf_map_lookup_elem(&via_vlan, &zero);
	struct bpf_tunnel_key *key = bpf_map_lookup_elem(&via_key, &zero);

	if (key && key->tunnel_id)
		bpf_skb_set_tunnel_key(skb, key, sizeof(*key), 0);
	if (vlan && *vlan)
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), *vlan);
	bpf_tail_call(skb, &via_next, 0);
	return TC_ACT_UNSPEC;
}
