// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/datapath.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/embed.h"
#include "agent/modules/datapath/internal.h"
#include "agent/modules/modules.h"

#define LOG_NAME "datapath"
#include "lib/base/log.h"

struct datapath *datapath_get(struct agent *a)
{
	return module_state(a, &datapath_module);
}

/* ---- generations ---- */

static void bump_route_gen(evutil_socket_t fd, short what, void *arg)
{
	const struct datapath *dp = arg;
	int map = loaded_map_fd(dp->loaded, "loom_state");
	struct loom_state s;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(map, &zero, &s) < 0)
		return;
	s.route_gen = s.route_gen + 1 ?: 1;
	if (bpf_map_update_elem(map, &zero, &s, BPF_ANY) < 0)
		log_error("the route generation can't be raised: %s", strerror(errno));
}

/* Runs when the loop turns, which is after the transaction that asked, and once for all of it. */
static void ask_for_bump(void *arg)
{
	struct datapath *dp = arg;

	if (dp->route_bump)
		event_active(dp->route_bump, EV_TIMEOUT, 0);
}

int datapath_bump_policy_gen(struct agent *a)
{
	int map = loaded_map_fd(datapath_get(a)->loaded, "loom_state");
	struct loom_state s;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(map, &zero, &s) < 0)
		return -errno;
	s.policy_gen = s.policy_gen + 1 ?: 1;
	return bpf_map_update_elem(map, &zero, &s, BPF_ANY) < 0 ? -errno : 0;
}

void datapath_bump_route_gen(struct agent *a)
{
	ask_for_bump(datapath_get(a));
}

/* ---- what other modules ask for ---- */

int datapath_forget_addr(struct agent *a, uint32_t scope, const union loom_addr *addr)
{
	struct err e = {};
	int err = ctgc_forget(datapath_get(a)->gc, scope, addr, &e);

	if (err < 0)
		log_warn("connections of an address that is gone stay until they time out: %s",
			 e.msg);
	return err;
}

/* Flows go on under the address that they began with, which is not this node's any more. */
static void forget_masq(void *arg, const union loom_addr *old)
{
	const struct datapath *dp = arg;

	if (dp->gc)
		datapath_forget_addr(dp->agent, 0, old);
}

/* Its policy is not known yet. */
static int close_endpoint(const struct datapath *dp, uint32_t ep)
{
	const struct loom_epol none = {};

	return bpf_map_update_elem(loaded_map_fd(dp->loaded, "loom_epol"), &ep, &none, BPF_ANY);
}

static void sweep_denied(struct datapath *dp)
{
	int err = denied_sweep(loaded_map_fd(dp->loaded, "loom_denied"), &dp->eps);

	if (err < 0)
		log_warn("denials of pods that are gone stay counted: %s", strerror(-err));
	dp->denied_stale = err < 0;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	sweep_denied(arg);
}

/* When the loop turns: after the transaction, with which the last of the pod's packets goes. */
static void sweep_later(struct datapath *dp)
{
	dp->denied_stale = true;
	event_active(dp->denied_sweep, EV_TIMEOUT, 0);
}

uint32_t datapath_ep_alloc(struct agent *a)
{
	struct datapath *dp = datapath_get(a);
	uint32_t ep;

	if (dp->denied_stale)
		sweep_denied(dp);
	ep = epnum_alloc(&dp->eps);
	if (ep && close_endpoint(dp, ep) < 0)
		log_error("endpoint %u may have the policy of who had the number before", ep);
	if (ep && epnum_clear_stats(loaded_map_fd(dp->loaded, "loom_epstats"), ep) < 0)
		log_warn("the counters of endpoint %u do not start at zero", ep);
	return ep;
}

void datapath_ep_reserve(struct agent *a, uint32_t ep)
{
	epnum_reserve(&datapath_get(a)->eps, ep);
}

void datapath_ep_release(struct agent *a, uint32_t ep)
{
	struct datapath *dp = datapath_get(a);

	epnum_release(&dp->eps, ep);
	sweep_later(dp);
}

/* ---- starting ---- */

static uint32_t seconds(int64_t ms)
{
	return (ms + 999) / 1000;
}

/* Of the network namespace that the agent is in, which is the host's; Linux 5.14. 0: not known. */
static uint64_t netns_cookie(void)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

/* The words of services.socketLB are in the order of enum loom_svc_sockets. */
uint32_t datapath_translated_sockets(const struct agent_config *c)
{
	return c->services.enabled ? c->services.sockets : LOOM_SOCKETS_NONE;
}

/* It is for services alone, which `on` does not ask about. */
static bool wants_xdp(const struct agent_config *c)
{
	return c->uplink.xdp == XDP_ON || (c->uplink.xdp == XDP_AUTO && c->services.enabled);
}

static struct loom_config make_config(const struct agent_config *c)
{
	return (struct loom_config){
		.ct_tcp_new_s = seconds(c->conntrack.tcp_new_ms),
		.ct_tcp_s = seconds(c->conntrack.tcp_ms),
		.ct_tcp_closing_s = seconds(c->conntrack.tcp_closing_ms),
		.ct_udp_new_s = seconds(c->conntrack.udp_new_ms),
		.ct_udp_s = seconds(c->conntrack.udp_ms),
		.ct_icmp_s = seconds(c->conntrack.icmp_ms),
		.ct_other_s = seconds(c->conntrack.other_ms),
		.masq_port_min = c->masquerade.port_min,
		.masq_port_max = c->masquerade.port_max,
		.event_rate = c->events.rate,
		.event_burst = c->events.burst,
		.overlay_vni = c->overlay.vni,
		.overlay_port = c->overlay.port,
		.svc_sockets = datapath_translated_sockets(c),
		.host_netns = netns_cookie(),
	};
}

/* Kernels since 5.11 charge maps to the cgroup, so a limit that stays is no failure. */
static void raise_memlock(void)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &lim) < 0)
		log_debug("the memlock limit stays: %s", strerror(errno));
}

static int load(struct datapath *dp, const struct agent_config *cfg, struct err *e)
{
	const struct image_size sizes[] = {
		{ "loom_ct", cfg->conntrack.max_entries },
		{ "loom_ct_new", cfg->conntrack.max_new },
		{ "loom_svc", cfg->services.max_frontends },
		{ "loom_backend", cfg->services.max_backends },
		{ "loom_lut", cfg->services.max_slots },
		{ "loom_aff", cfg->services.max_affinity },
		{ "loom_srcrange", cfg->services.max_ranges },
	};
	struct image_config image = { .objects = { embedded_tc() },
				      .n_objects = 1,
				      .cfg = make_config(cfg),
				      .sizes = sizes,
				      .n_sizes = ARRAY_SIZE(sizes) };
	int err;

	if (datapath_translated_sockets(cfg))
		image.objects[image.n_objects++] = embedded_sock();
	if (wants_xdp(cfg))
		image.objects[image.n_objects++] = embedded_xdp();
	image_quiet_libbpf();
	raise_memlock();
	err = loader_run(cfg->paths.bpf_dir, &image, false, &dp->loaded, e);
	if (err < 0)
		return err_prefix(e, "paths.bpf '%s'", cfg->paths.bpf_dir);
	log_info("%zu programs and %zu maps %s, attached by %s", dp->loaded->n_progs,
		 dp->loaded->n_maps, load_how_name(dp->loaded->how),
		 attach_mode_name(dp->loaded->mode));
	return 0;
}

static int register_descriptors(struct datapath *dp, const struct agent_config *cfg, struct err *e)
{
	struct scheduler *s = agent_scheduler(dp->agent);
	int err;

	for (int i = 0; i < N_KINDS; i++) {
		const struct loaded_map *map = loaded_map(dp->loaded, map_kinds[i].map);

		if (!map)
			return err_set(e, -ENOENT, "the BPF object has no map %s",
				       map_kinds[i].map);
		dp->items[i] = (struct map_items){ &map_kinds[i], map->fd,     map->max_entries,
						   ask_for_bump,  forget_masq, dp };
		err = scheduler_register(s, &map_kinds[i].descriptor, &dp->items[i]);
		if (err < 0)
			return err_errno(e, err, "descriptor %s", map_kinds[i].descriptor.name);
	}
	dp->attach.loaded = dp->loaded;
	dp->attach.attacher = (struct attacher){ cfg->paths.bpf_dir, dp->loaded->mode };
	err = scheduler_register(s, &attach_descriptor, &dp->attach);
	if (err < 0)
		return err_errno(e, err, "descriptor " ATTACH_DESCRIPTOR);
	dp->cgroup = (struct cgroup_items){ dp->loaded, cfg->paths.bpf_dir };
	err = scheduler_register(s, &cgroup_descriptor, &dp->cgroup);
	if (err < 0)
		return err_errno(e, err, "descriptor " CGROUP_DESCRIPTOR);
	dp->xdp = (struct xdp_items){ .loaded = dp->loaded,
				      .dir = cfg->paths.bpf_dir,
				      .must = cfg->uplink.xdp == XDP_ON };
	err = scheduler_register(s, &xdp_descriptor, &dp->xdp);
	return err < 0 ? err_errno(e, err, "descriptor " XDP_DESCRIPTOR) : 0;
}

static int start_gc(struct datapath *dp, const struct agent_config *cfg, struct err *e)
{
	const struct loaded_prog *prog = loaded_prog(dp->loaded, "loom_ct_gc");
	const struct loaded_map *ct = loaded_map(dp->loaded, "loom_ct");
	const struct loaded_map *ct_new = loaded_map(dp->loaded, "loom_ct_new");
	struct ctgc_config c = {
		.base = agent_base(dp->agent),
		.state_fd = loaded_map_fd(dp->loaded, "loom_state"),
		.interval_ms = cfg->conntrack.gc_interval_ms,
	};

	if (!prog || !ct || !ct_new)
		return err_set(e, -ENOENT, "the BPF object has no conntrack collector");
	c.prog_fd = prog->fd;
	c.capacity = ct->max_entries;
	c.new_capacity = ct_new->max_entries;
	return ctgc_new(&c, &dp->gc);
}

static int start(struct datapath *dp, struct err *e)
{
	const struct agent_config *cfg = agent_cfg(dp->agent);
	int err;

	epnum_init(&dp->eps);
	err = load(dp, cfg, e);
	if (err < 0)
		return err;
	dp->route_bump = event_new(agent_base(dp->agent), -1, 0, bump_route_gen, dp);
	dp->denied_sweep = event_new(agent_base(dp->agent), -1, 0, on_sweep, dp);
	err = dp->route_bump && dp->denied_sweep ? service_flows_start(dp) : -ENOMEM;
	if (err < 0)
		return err;
	err = register_descriptors(dp, cfg, e);
	if (!err)
		err = start_gc(dp, cfg, e);
	if (!err)
		err = drops_new(agent_base(dp->agent), loaded_map_fd(dp->loaded, "loom_events"),
				loaded_map_fd(dp->loaded, "loom_evlimit"), &dp->drops, e);
	return err;
}

static void datapath_fini(struct agent *a)
{
	struct datapath *dp = datapath_get(a);

	if (!dp)
		return;
	ctgc_free(dp->gc);
	drops_free(dp->drops);
	if (dp->route_bump)
		event_free(dp->route_bump);
	if (dp->denied_sweep)
		event_free(dp->denied_sweep);
	service_flows_stop(dp);
	loaded_free(dp->loaded);
	free(dp);
	module_set_state(a, &datapath_module, NULL);
}

static int datapath_init(struct agent *a, struct err *e)
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int err;

	if (!dp)
		return -ENOMEM;
	dp->agent = a;
	module_set_state(a, &datapath_module, dp);
	err = start(dp, e);
	if (!err)
		err = datapath_routes(a);
	if (err < 0)
		datapath_fini(a);
	return err;
}

int datapath_put_xdp(struct agent *a, struct txn *t, const char *ifname, unsigned int ifindex,
		     const char *kind)
{
	struct datapath *dp = datapath_get(a);

	if (!wants_xdp(agent_cfg(a)))
		return 0;
	if (!dp->xdp.must && *kind) {
		err_set(&dp->xdp.problem, -EOPNOTSUPP,
			"'%s' is a software device (%s), which XDP slows down", ifname, kind);
		return 0;
	}
	return xdp_put(t, ifname, ifindex);
}

static int datapath_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct datapath *dp = datapath_get(a);
	int err = datapath_put_sockets(dp, txn);

	/* Numbers are reserved in this turn of the loop: by podwire, after this. */
	sweep_later(dp);
	return err < 0 ? err_errno(e, err, "services.socketLB") : 0;
}

const struct module datapath_module = {
	.name = "datapath",
	.init = datapath_init,
	.fini = datapath_fini,
	.resync = datapath_resync,
	.metrics = datapath_metrics,
	.status = datapath_status,
};
