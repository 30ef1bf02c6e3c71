/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The BPF side of the node: programs and maps loaded or adopted from pins, attached to links, and
 * map entries as scheduler items. Other modules put items with the functions below; each returns
 * what txn_put() returns. Descriptors: bpf-state, bpf-ifcfg, bpf-ep, bpf-ip, bpf-cidr, bpf-node,
 * bpf-vip, bpf-attach.
 *
 * Entries exist before programs are attached to the link that needs them; a pod's bpf-attach
 * depends on its link (see podwire.h) and on its bpf-ifcfg.
 */
#include "agent/core/scheduler.h"
#include "lib/base/addr.h"
#include "shared/loom_maps.h"

struct agent;
struct json_object;

/* Whole state but policy_gen, route_gen and ct_full_total, which are kept. One item. */
int datapath_put_state(struct txn *t, const struct loom_state *state);
int datapath_put_ifcfg(struct txn *t, unsigned int ifindex, const struct loom_ifcfg *cfg);
int datapath_del_ifcfg(struct txn *t, unsigned int ifindex);
int datapath_put_ep(struct txn *t, uint32_t scope, const union loom_addr *addr,
		    const struct loom_ep *ep);
int datapath_del_ep(struct txn *t, uint32_t scope, const union loom_addr *addr);
int datapath_put_ip(struct txn *t, uint32_t scope, const union loom_addr *addr,
		    const struct loom_remote *remote);
int datapath_del_ip(struct txn *t, uint32_t scope, const union loom_addr *addr);
int datapath_put_cidr(struct txn *t, uint32_t scope, const struct prefix *p,
		      const struct loom_remote *remote);
int datapath_del_cidr(struct txn *t, uint32_t scope, const struct prefix *p);
int datapath_put_node(struct txn *t, uint32_t node_id, const struct loom_node *node);
int datapath_del_node(struct txn *t, uint32_t node_id);

#define DATAPATH_FILTER_PRIORITY 0x4c4du /* of filters that hang on a clsact qdisc */
enum datapath_role { DATAPATH_POD, DATAPATH_HOST, DATAPATH_UPLINK, DATAPATH_OVERLAY };
/* Programs of the role on the link (tcx, or clsact before 6.6). `needs_key`: the item of the link
 * itself, or NULL. */
int datapath_put_attach(struct txn *t, enum datapath_role role, const char *ifname,
			unsigned int ifindex, const char *needs_key);
int datapath_del_attach(struct txn *t, enum datapath_role role, const char *ifname);

/* XDP on the uplink, as uplink.xdp wants it; nothing when it does not. `kind` is the link's
 * (IFLA_INFO_KIND): empty for hardware. */
int datapath_put_xdp(struct agent *a, struct txn *t, const char *ifname, unsigned int ifindex,
		     const char *kind);

/* After something changed that no item here tells, such as the kernel's routes (items that redirect
 * flows do this on their own): flows look up their next hop again. Merged; applied at the end of
 * the transaction. */
void datapath_bump_route_gen(struct agent *a);
/* After verdicts may have changed: live flows are judged again, each by its next packet. At once. 0
 * or negative errno. */
int datapath_bump_policy_gen(struct agent *a);
/* Frees what conntrack holds about an address (pod gone). Returns the number of entries removed, or
 * negative errno. */
int datapath_forget_addr(struct agent *a, uint32_t scope, const union loom_addr *addr);
/* Endpoint numbers: free ones are handed out lowest first; counters of a number start at zero,
 * nothing was denied to it, and it is closed by policy, where there is any (shared/loom_pol.h). 0 =
 * all are taken. */
uint32_t datapath_ep_alloc(struct agent *a);
void datapath_ep_reserve(struct agent *a, uint32_t ep); /* adopted after a restart */
void datapath_ep_release(struct agent *a, uint32_t ep);

/* Descriptor and size of a map by its name ("loom_svc"): for modules that write many entries at
 * once, past the scheduler. Borrowed; -1 and 0 when there is no such map. */
int datapath_map_fd(struct agent *a, const char *name);
uint32_t datapath_map_size(struct agent *a, const char *name);
/*
 * Asks for a run of LOOM_GC_SERVICES, soon and merged with other requests. `done` (may be NULL) is
 * called from the loop after a run that began after this call, with 0 or the run's negative errno;
 * also called, with -ECANCELED, when the agent stops first.
 */
void datapath_end_service_flows(struct agent *a, void (*done)(struct agent *a, int err, void *arg),
				void *arg);
/*
 * Ends the sockets of the host (and of pods, with socketLB: all) that were connected to a service
 * and got this backend: loom_sockrev tells which. SOCK_DESTROY of sock_diag (Linux 4.5): TCP
 * clients see ECONNABORTED, UDP ones an error once. The number of sockets, or negative errno.
 */
int datapath_end_sockets(struct agent *a, uint32_t backend);
/* One of the node's own addresses in loom_vip; see nodesync. Numbers below
 * LOOM_VIP_SERVICE_FIRST. */
int datapath_put_vip(struct txn *t, uint32_t number, const union loom_addr *addr);
/*
 * Who can tell what a verdict of policy was about: asked as the event comes in, for fields that
 * GET /v1/drops is to show with it (new, or NULL). `fn` NULL: nobody any more.
 */
void datapath_on_verdict(struct agent *a,
			 struct json_object *(*fn)(const struct loom_event *ev, void *arg),
			 void *arg);
