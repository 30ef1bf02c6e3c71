/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent's configuration (/etc/netloom/agent.yaml). One table, agent_config.c, holds every key
 * with its default and its documentation; docs/configuration.md is generated from it. Read once at
 * start; a change needs a restart, which loses no packet.
 */
#include "lib/config/config.h"
#include "lib/store/etcd_config.h"

enum transport { TRANSPORT_VXLAN, TRANSPORT_NATIVE };
enum pod_cidr_source { POD_CIDR_NODE_ID, POD_CIDR_KUBERNETES };
enum services_mode { SERVICES_SNAT, SERVICES_DSR };
enum xdp_mode { XDP_AUTO, XDP_ON, XDP_OFF };

struct agent_config {
	char *node_name; /* nodeName; "" = hostname */
	int log_level;	 /* logLevel: error | warn | info | debug */

	struct etcd_config etcd;

	struct {
		struct config_prefixes cidrs;	      /* cluster.podCIDRs: one per family */
		struct config_prefixes service_cidrs; /* cluster.serviceCIDRs */
		int64_t block4,
			block6; /* cluster.blockSize4: 24, cluster.blockSize6: 64… (family terms) */
		int source; /* cluster.podCIDRSource: node-id | kubernetes (Node.spec.podCIDRs) */
	} cluster;

	int transport; /* transport: vxlan | native */
	struct {
		int64_t vni, port; /* overlay.vni: 10, overlay.port: 4789 */
		bool direct;	   /* overlay.direct: true */
	} overlay;

	struct {
		char *interface; /* uplink.interface; "" = the one that holds the default route,
				    else the node address */
		union loom_addr address4,
			address6; /* uplink.address4/6; unset = first global one of the interface */
		int xdp;	  /* uplink.xdp: auto | on | off */
		int64_t mtu;	  /* uplink.mtu; 0 = the interface's */
	} uplink;

	struct {
		bool enabled;		       /* masquerade.enabled: true */
		struct config_prefixes except; /* masquerade.except: destinations reached with the
						  pod's own address */
		int64_t port_min,
			port_max; /* masquerade.portMin: 10240, masquerade.portMax: 29999 */
	} masquerade;

	struct {
		bool enabled; /* services.enabled: true */
		int sockets;  /* services.socketLB: off | host | all; enum loom_svc_sockets */
		int mode;     /* services.externalMode: snat | dsr; enum services_mode */
		int64_t local_weight;		   /* services.localEndpointWeight: 1 */
		int64_t maglev_slots;		   /* services.maglevSlots: 100, a backend */
		struct config_prefixes node_ports; /* services.nodePortAddresses; empty = all */
		int64_t max_frontends, max_backends, max_slots, max_affinity, max_ranges;
	} services;

	struct {
		bool enabled;	      /* policy.enabled: true */
		bool allow_from_host; /* policy.allowFromHost: true */
	} policy;

	struct {
		int64_t max_entries,
			max_new; /* conntrack.maxEntries: 262144, conntrack.maxNewEntries: 65536 */
		int64_t tcp_ms, tcp_new_ms, tcp_closing_ms; /* conntrack.tcp: 6h … conntrack.tcpNew:
							       60s, tcpClosing: 10s */
		int64_t udp_ms, udp_new_ms, icmp_ms,
			other_ms;	/* udp: 180s, udpNew: 30s, icmp: 30s, other: 600s */
		int64_t gc_interval_ms; /* conntrack.gcInterval: 10s */
	} conntrack;

	struct {
		int64_t rate, burst; /* events.rate: 100 (a second and CPU), events.burst: 1000 */
	} events;

	struct {
		int64_t quarantine_ms; /* ipam.quarantine: 60s */
	} ipam;

	struct {
		bool conflist;	    /* cni.writeConfig: true */
		char *conf_dir;	    /* cni.confDir */
		char *socket;	    /* cni.socket */
		char *spool_dir;    /* cni.spoolDir */
		char *netns_prefix; /* cni.hostRoot: put in front of netns paths when the agent runs
				       in a container; "" */
	} cni;

	struct {
		char *address; /* api.address: 127.0.0.1 */
		int64_t port;  /* api.port: 9990 */
		char *socket;  /* api.socket: /run/netloom/agent.sock, mode 0600; what the CLI uses
				*/
	} api;

	struct {
		char *state_dir, *bpf_dir; /* paths.state, paths.bpf */
		char *cgroup_dir;	   /* paths.cgroup */
	} paths;

	struct {
		int64_t retry_min_ms,
			retry_max_ms;	    /* controller.retryMin: 1s, controller.retryMax: 30s */
		int64_t healing_delay_ms;   /* controller.healingDelay: 5s */
		int64_t mirror_deadline_ms; /* controller.mirrorDeadline: 5s: etcd silent for so
					       long at start -> the mirror */
		int64_t history_entries;    /* controller.historyEntries: 1000 */
	} controller;
};

extern const struct config_field agent_config_fields[];
extern const size_t agent_config_n_fields;

/* Reads the file, fills in the node's name, checks. *cfg is zeroed by the caller, and is as
 * agent_config_free() leaves it after a failure. */
int agent_config_load(const char *path, struct agent_config *cfg, struct err *e);
void agent_config_free(struct agent_config *cfg);

/* Checks what no single field can: families, overlaps, port ranges. Names the keys. */
int agent_config_check(const struct agent_config *cfg, struct err *e);
