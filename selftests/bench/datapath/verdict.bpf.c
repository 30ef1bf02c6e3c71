// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* One verdict of policy a run, over maps of the data plane's own kinds and sizes (policy_ns.c). */
#include "bpf/lib/policy.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile struct loom_config loom_cfg = LOOM_CONFIG_DEFAULT;

struct verdict_ask {
	union loom_addr peer;
	__u32 policy; /* 0: nothing is asked, for the frame's own cost */
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct verdict_ask);
} verdict_ask SEC(".maps");

SEC("tc")
int verdict(struct __sk_buff *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct verdict_ask *ask;
	__u32 zero = 0;

	ask = bpf_map_lookup_elem(&verdict_ask, &zero);
	if (!p || !ask)
		return 7;
	p->pol_scope = 0;
	addr_copy(&p->pol_peer, &ask->peer);
	p->pol_port = ask->port;
	p->pol_proto = ask->proto;
	return ask->policy ? policy_judge(ctx, ask->policy) : POLICY_PASSES;
}
