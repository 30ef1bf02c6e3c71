/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files, sockets and ports that more than one process knows. Each is a default; configuration can
 * move it. */

#define NETLOOM_AGENT_CONFIG "/etc/netloom/agent.yaml"
#define NETLOOM_KSR_CONFIG   "/etc/netloom/ksr.yaml"
#define NETLOOM_RUN_DIR	     "/run/netloom"
#define NETLOOM_AGENT_SOCKET "/run/netloom/agent.sock" /* REST, mode 0600: what the CLI uses */
#define NETLOOM_CNI_SOCKET   "/run/netloom/cni.sock"   /* gRPC, mode 0600 */
#define NETLOOM_CNI_SPOOL    "/run/netloom/cni-spool"  /* DELs taken while the agent was away */
#define NETLOOM_STATE_DIR    "/var/lib/netloom"
#define NETLOOM_BPF_DIR	     "/sys/fs/bpf/netloom" /* maps/ progs/ links/ below */
#define NETLOOM_CGROUP_DIR   "/sys/fs/cgroup"
#define NETLOOM_CNI_CONF_DIR "/etc/cni/net.d"
#define NETLOOM_CNI_CONFLIST "05-netloom.conflist"
#define NETLOOM_AGENT_PORT   9990 /* REST, metrics, probes; on loopback */
#define NETLOOM_KSR_PORT     9991

/* Links that the agent makes. A pod's host side is "nl" + 12 hexadecimal digits. */
#define NETLOOM_HOST_LINK	"loom_host"
#define NETLOOM_HOST_PEER	"loom_hpeer"
#define NETLOOM_OVERLAY_LINK	"loom_vxlan"
#define NETLOOM_POD_LINK_PREFIX "nl"

/* Next hop inside pods, the same for all. Link-local, never seen outside of the pod's link. */
#define NETLOOM_GATEWAY4 "169.254.1.1"
#define NETLOOM_GATEWAY6 "fe80::1"
