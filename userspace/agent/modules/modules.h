/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one list of the agent's modules, and how they fit; in brackets what each needs.
 *
 *	db        etcd follow and local mirror; events db-resync, db-change; publishing
 *	uplink    the node's uplink: link, addresses, MTU, next hops; event uplink-change
 *	datapath  BPF objects: load, pin, attach, map items, conntrack GC, metrics, drop events
 *	hostlink  loom_host, loom_vxlan, routes and sysctls of the host [datapath uplink]
 *	nodesync  node id, this node's pod CIDRs, other nodes in the maps [db uplink datapath]
 *	ipam      addresses of pods [db nodesync]
 *	podwire   a pod's interface: link, endpoint, attachment [datapath hostlink uplink]
 *	pods      CNI requests, attachments on disk, adoption and GC [uplink ipam podwire]
 *	services  Services and hostPorts in the maps [db uplink datapath nodesync pods]
 *	policy    NetworkPolicies and ClusterNetworkPolicies in the maps [db datapath nodesync pods]
 *	explain   questions about packets, between nodes [db nodesync pods services policy]
 *
 * Handlers run in this order for an AddPod (ipam gives addresses, podwire makes items, pods fills
 * in the reply), and backwards for DelPod.
 */
#include "agent/core/module.h"

extern const struct module db_module, uplink_module, datapath_module, hostlink_module,
	nodesync_module, ipam_module, podwire_module, pods_module, services_module, policy_module,
	explain_module;

extern const struct module *const agent_modules[]; /* NULL-terminated */
