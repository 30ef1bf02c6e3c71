/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Golden cases: short conversations, each packet with what must become of it. A case runs in both
 * families and on both targets. Fields left out take the defaults of the case's comment in
 * golden.c: A's or nobody's MACs, hop limit 64, 32 bytes of payload.
 */
#include "bpf/lib/pkt.h"
#include "selftests/bpf/packet.h"
#include "selftests/bpf/world.h"

#define GOLDEN_STEPS 8
#define NAT_PORT     0xffff /* stands for the port that masquerade has chosen */

enum golden_act {
	DO_PACKET,
	DO_BUMP_ROUTES,
	DO_RENUMBER,	 /* masquerade with NODE2's address from now on */
	DO_GC_LATER,	 /* collect as if in `seconds` */
	DO_GC_ADDR,	 /* forget all about `src` */
	DO_GC_SERVICES,	 /* end what services no longer have */
	DO_FILL_CT,	 /* loom_ct takes no more */
	DO_DIRECT,	 /* NODE2's tunnel headers are to be written by the programs */
	DO_NATIVE,	 /* NODE3 is reached by the uplink, by its own address as next hop */
	DO_REST,	 /* the flow of the step in loom_ct has been quiet for `seconds` */
	DO_LOSE_BACKEND, /* `src`'s backends are gone, as `seconds` says (enum loom_backend_flags)
			  */
	DO_CONNECT,	 /* the host has a socket with the step's ends; dport 0: not connected */
	DO_AS_IT_IS,	 /* pods keep their addresses on the way out: no masquerade */
	DO_LOSE_VIP,	 /* no service has `src`'s address any more */
	DO_AGE_FRAG,	 /* the first fragment of src to dst came `seconds` earlier; -1: or later */
	DO_LOSE_NEW, /* the LRU pushes out the pod side (src=A) or wire side (src=NODE) of a flow */
};

enum golden_table { ANY_TABLE, IN_CT, IN_CT_NEW, IN_NEITHER };

struct golden_step {
	enum golden_act act;
	enum loom_hook hook;
	/* The packet. */
	enum who src, dst, quote_src, quote_dst;
	__u8 proto, quote_proto, tcp_flags, icmp_type, ttl, ecn;
	__u16 sport, dport, quote_sport, quote_dport, payload;
	enum packet_shape shape;
	bool df, no_csum, bad_mac, v4_in_v6;
	bool others; /* its destination MAC is somebody else's */
	__u32 vni;   /* 0: the default network's */
	__u16 vlan;  /* 0: no tag */
	enum who outer;
	enum tunnel_shape tunnel;
	__u32 gso;     /* the kernel's gso_size */
	__u32 cut;     /* bytes to leave of the packet */
	__u32 seconds; /* DO_GC_LATER */
	__u32 want_deleted;
	__u32 want_marked; /* DO_GC_SERVICES */
	__u32 want_full;   /* loom_state.ct_full_total, when not 0 */
	/* What must become of it. */
	int reason;
	__u32 kind, ifindex, node;
	enum who want_src, want_dst; /* NOBODY: unchanged */
	__u16 want_sport, want_dport;
	enum who want_quote_src, want_quote_dst;
	__u16 want_quote_sport, want_quote_dport;
	bool same_ttl, error; /* an ICMP error goes back */
	bool reset;	      /* with error: a TCP reset in its place */
	bool encap;	      /* leaves with outer headers */
	bool xdp; /* by the XDP program, if there is one; asked in golden_xdp_cases only */
	enum golden_table table;
	int only; /* family 4 or 6; 0 = both */
};

struct golden {
	const char *name;
	struct golden_step steps[GOLDEN_STEPS];
};

extern const struct golden golden_cases[];
extern const unsigned int golden_count;
extern const struct golden golden_svc_cases[];
extern const unsigned int golden_svc_count;
extern const struct golden golden_end_cases[];
extern const unsigned int golden_end_count;
extern const struct golden golden_dsr_cases[];
extern const unsigned int golden_dsr_count;
extern const struct golden golden_sctp_cases[];
extern const unsigned int golden_sctp_count;
extern const struct golden golden_xdp_cases[];
extern const unsigned int golden_xdp_count;
extern const struct golden golden_hostile_cases[];
extern const unsigned int golden_hostile_count;

/* Runs one case in one family; asserts by cmocka. */
void golden_run(const struct target *t, const struct golden *g, int family);
/* Which backend is chosen: what a conversation can't tell. As many as there are names. */
struct golden_check {
	const char *name;
	void (*run)(const struct target *t, int family);
};
extern const struct golden_check golden_checks[];
extern const unsigned int golden_check_count;
extern const struct golden_check golden_gc_checks[];
extern const unsigned int golden_gc_check_count;
extern const struct golden_check golden_policy_checks[];
extern const unsigned int golden_policy_check_count;
extern const struct golden_check golden_judge_checks[];
extern const unsigned int golden_judge_check_count;

/* All cases in both families, as a cmocka program's main(). */
int golden_main(const struct target *t);
