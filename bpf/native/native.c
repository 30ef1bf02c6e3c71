// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "bpf/native/native.h"

#include "bpf/lib/ct_gc.h"
#include "bpf/lib/hooks.h"

#define MAP(map, kind, max, key, value)                  \
	struct nmap map = { .name = #map,                \
			    .ops = &nmap_##kind,         \
			    .key_size = sizeof(key),     \
			    .value_size = sizeof(value), \
			    .max_entries = max }

MAP(loom_state, array, 1, __u32, struct loom_state);
MAP(loom_ifcfg, array, 4096, __u32, struct loom_ifcfg);
MAP(loom_ep, hash, 8192, struct loom_ipkey, struct loom_ep);
MAP(loom_ip, hash, 65536, struct loom_ipkey, struct loom_remote);
MAP(loom_cidr, lpm, 32768, struct loom_cidrkey, struct loom_remote);
MAP(loom_node, array, 1024, __u32, struct loom_node);
MAP(loom_ct, hash, 4096, struct loom_ctkey, struct loom_ct);
MAP(loom_ct_new, lru, 65536, struct loom_ctkey, struct loom_ct);
MAP(loom_frag, lru, 8192, struct loom_fragkey, struct loom_frag);
MAP(loom_metrics, array, LOOM_DROP_MAX *LOOM_HOOK_MAX, __u32, struct loom_counter);
MAP(loom_epstats, array, LOOM_MAX_EPS, __u32, struct loom_epstats);
MAP(loom_denied, lru, LOOM_MAX_DENIED, struct loom_deniedkey, struct loom_denied);
MAP(loom_evlimit, array, 2, __u32, struct loom_evlimit);
MAP(loom_svc, hash, LOOM_DEFAULT_FRONTENDS, struct loom_svckey, struct loom_svc);
MAP(loom_backend, array, 4096, __u32, struct loom_backend);
MAP(loom_lut, array, 65536, __u32, __u32);
MAP(loom_vip, array, 4096, __u32, union loom_addr);
MAP(loom_ports, array, LOOM_PORTS_SETS *LOOM_PORTS_WORDS, __u32, __u64);
MAP(loom_aff, lru, 4096, struct loom_affkey, struct loom_aff);
MAP(loom_srcrange, lpm, 32768, struct loom_srckey, __u32);
MAP(loom_epol, array, LOOM_MAX_EPS, __u32, struct loom_epol);
MAP(loom_polrule, array, LOOM_POL_RULES, __u32, struct loom_polrule);
MAP(loom_ident, hash, LOOM_POL_IDENTS, struct loom_ipkey, __u32);
MAP(loom_pol, hash, 2 * LOOM_POL_SETS, struct loom_polkey, struct loom_polset);
MAP(loom_class, lpm, LOOM_POL_CLASSES, struct loom_cidrkey, __u32);

struct nmap *const native_maps[] = { &loom_state,   &loom_ifcfg,   &loom_ep,	   &loom_ip,
				     &loom_cidr,    &loom_node,	   &loom_ct,	   &loom_ct_new,
				     &loom_frag,    &loom_metrics, &loom_epstats,  &loom_evlimit,
				     &loom_svc,	    &loom_backend, &loom_lut,	   &loom_vip,
				     &loom_ports,   &loom_aff,	   &loom_srcrange, &loom_epol,
				     &loom_polrule, &loom_ident,   &loom_pol,	   &loom_class,
				     &loom_denied,  NULL };

struct loom_config loom_cfg = LOOM_CONFIG_DEFAULT;

int native_policy(const struct native_policy *ask)
{
	static struct plat_ctx ctx;

	ctx.pkt.pol_peer = ask->peer;
	ctx.pkt.pol_scope = ask->scope;
	ctx.pkt.pol_port = ask->port;
	ctx.pkt.pol_proto = ask->proto;
	return ask->policy ? policy_judge(&ctx, ask->policy) : POLICY_PASSES;
}

int native_run(struct plat_ctx *ctx, enum loom_hook hook)
{
	switch (hook) {
	case LOOM_HOOK_FROM_POD:
		return hook_from_pod(ctx, &ctx->pkt);
	case LOOM_HOOK_FROM_HOST:
		return hook_from_host(ctx, &ctx->pkt);
	case LOOM_HOOK_FROM_NET:
		return hook_from_net(ctx, &ctx->pkt);
	case LOOM_HOOK_TO_NET:
		return hook_to_net(ctx, &ctx->pkt);
	case LOOM_HOOK_FROM_OVERLAY:
		return hook_from_overlay(ctx, &ctx->pkt);
	default:
		return -EINVAL;
	}
}

/*
 * The kernel's walk survives any deletion; uthash's only that of the entry at hand. So the first
 * pass judges, and the second one deletes what the first has marked.
 */
struct gc_mark {
	struct loom_gc_args *args;
	struct nmap *doomed; /* key -> u8, 1: in loom_ct */
	__u8 established;
};

static void gc_mark(const void *key, void *value, void *arg)
{
	struct loom_ctkey pair;
	struct gc_mark *mark = arg;
	struct loom_gc_args *args = mark->args;
	int has_pair = gc_pair(key, value, &pair);

	if (mark->established)
		args->scanned++;
	else
		args->new_scanned++;
	if (!gc_judge(key, value, &pair, has_pair, args)) {
		gc_keep(key, value, args);
		return;
	}
	nmap_update(mark->doomed, key, &mark->established, BPF_ANY);
	if (has_pair)
		nmap_update(mark->doomed, &pair, &mark->established, BPF_ANY);
}

static void gc_sweep(const void *key, void *value, void *arg)
{
	struct loom_gc_args *args = arg;

	if (!nmap_delete(&loom_ct, key))
		args->deleted++;
	else if (!nmap_delete(&loom_ct_new, key))
		args->new_deleted++;
}

void native_gc(struct loom_gc_args *args)
{
	struct nmap doomed = { .name = "doomed",
			       .ops = &nmap_hash,
			       .key_size = sizeof(struct loom_ctkey),
			       .value_size = 1,
			       .max_entries = 1 << 20 };
	struct gc_mark mark = { .args = args, .doomed = &doomed, .established = 1 };
	struct loom_gc_args in = *args;

	*args = (struct loom_gc_args){
		.mode = in.mode, .now = in.now, .scope = in.scope, .addr = in.addr
	};
	nmap_each(&loom_ct, gc_mark, &mark);
	mark.established = 0;
	nmap_each(&loom_ct_new, gc_mark, &mark);
	nmap_each(&doomed, gc_sweep, args);
	nmap_clear(&doomed);
}

void native_reset(void)
{
	static const struct loom_config defaults = LOOM_CONFIG_DEFAULT;
	unsigned int i;

	for (i = 0; native_maps[i]; i++)
		nmap_clear(native_maps[i]);
	loom_cfg = defaults;
}

struct nmap *native_map(const char *name)
{
	unsigned int i;

	for (i = 0; native_maps[i]; i++) {
		if (!strcmp(native_maps[i]->name, name))
			return native_maps[i];
	}
	return NULL;
}
