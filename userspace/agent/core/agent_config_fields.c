// SPDX-License-Identifier: Apache-2.0
#include <linux/limits.h>

#include "agent/core/agent_config_fields.h"
#include "api/paths.h"
#include "lib/base/log.h"
#include "shared/loom_limits.h"

#define STRINGIFY(x) #x
#define TEXT_OF(x)   STRINGIFY(x)
#define WORDS(...)                     \
	.words = (const char *const[]) \
	{                              \
		__VA_ARGS__, NULL      \
	}
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define SECONDS(n)    ((n)*1000ll)
#define HOURS(n)      SECONDS((n)*3600ll)
#define DAY	      HOURS(24)
/* A path that must be given. */
#define PATH RANGE(1, PATH_MAX - 1)

/* The order is that of the printed file. Keys of one group stand together. */
const struct config_field agent_config_fields[] = {
	FIELD("nodeName", CONFIG_STRING, node_name, "\"\"",
	      "Name of this node, the same as in Kubernetes. Empty: the host's name in lower "
	      "case."),
	FIELD("logLevel", CONFIG_ENUM, log_level, "info", "How much is logged, to stderr.",
	      WORDS("error", "warn", "info", "debug")),

	ETCD_CONFIG_FIELDS(struct agent_config, etcd),

	FIELD("cluster.podCIDRs", CONFIG_PREFIXES, cluster.cidrs, "[10.1.0.0/16]",
	      "What pods' addresses are taken from, in the whole cluster: one prefix, or one of "
	      "each "
	      "family for dual stack. The same on every node.",
	      RANGE(1, 2)),
	FIELD("cluster.serviceCIDRs", CONFIG_PREFIXES, cluster.service_cidrs, "[10.96.0.0/12]",
	      "What services' addresses are taken from; at most one prefix a family.", RANGE(0, 2)),
	FIELD("cluster.blockSize4", CONFIG_INT, cluster.block4, "24",
	      "Prefix length of a node's part of the IPv4 pod CIDR.", RANGE(8, 30)),
	FIELD("cluster.blockSize6", CONFIG_INT, cluster.block6, "64",
	      "Prefix length of a node's part of the IPv6 pod CIDR.", RANGE(16, 126)),
	FIELD("cluster.podCIDRSource", CONFIG_ENUM, cluster.source, "node-id",
	      "Where a node's part comes from: node-id is the id-th block of podCIDRs, kubernetes "
	      "is the "
	      "podCIDRs of the Node object.",
	      WORDS("node-id", "kubernetes")),

	FIELD("transport", CONFIG_ENUM, transport, "vxlan",
	      "How packets reach pods of other nodes: vxlan needs only IP between nodes, native "
	      "needs nodes on "
	      "one link, or a network that routes pod CIDRs.",
	      WORDS("vxlan", "native")),
	FIELD("overlay.vni", CONFIG_INT, overlay.vni, "10", "VXLAN network identifier.",
	      RANGE(1, (1 << 24) - 1)),
	FIELD("overlay.port", CONFIG_INT, overlay.port, "4789", "UDP port of VXLAN.",
	      RANGE(1, 65535)),
	FIELD("overlay.direct", CONFIG_BOOL, overlay.direct, "true",
	      "Let the programs write the tunnels' headers, which is faster. Say false where the "
	      "node's firewall or IPsec must see the tunnels' packets on their way out.",
	      RANGE(0, 0)),

	FIELD("uplink.interface", CONFIG_STRING, uplink.interface, "\"\"",
	      "Interface that leads to the other nodes. Empty: the one that has address4 or "
	      "address6, else the one of the default route, else the one that has the Node "
	      "object's address.",
	      RANGE(0, 15)),
	FIELD("uplink.address4", CONFIG_ADDRESS, uplink.address4, "\"\"",
	      "IPv4 address of this node. Empty: the Node object's, else one of the uplink."),
	FIELD("uplink.address6", CONFIG_ADDRESS, uplink.address6, "\"\"",
	      "IPv6 address of this node. Empty: the Node object's, else one of the uplink."),
	FIELD("uplink.xdp", CONFIG_ENUM, uplink.xdp, "auto",
	      "XDP on the uplink, for services' packets that leave by it again. auto: where the "
	      "driver can (native mode), but not on software devices, which it would only slow "
	      "down. on: an alarm where it can't be.",
	      WORDS("auto", "on", "off")),
	FIELD("uplink.mtu", CONFIG_INT, uplink.mtu, "0",
	      "MTU between nodes; 0 is the uplink's. Pods get it less the overlay's header.",
	      RANGE(0, 65535)),

	FIELD("masquerade.enabled", CONFIG_BOOL, masquerade.enabled, "true",
	      "Pods reach what is outside of the cluster under the node's address."),
	FIELD("masquerade.except", CONFIG_PREFIXES, masquerade.except, "[]",
	      "Destinations outside of the cluster that see the pod's own address."),
	FIELD("masquerade.portMin", CONFIG_INT, masquerade.port_min, "10240",
	      "First port that masquerading may use. The range should not overlap with the host's "
	      "net.ipv4.ip_local_port_range.",
	      RANGE(1024, 65535)),
	FIELD("masquerade.portMax", CONFIG_INT, masquerade.port_max, "29999",
	      "Last port that masquerading may use.", RANGE(1024, 65535)),

	FIELD("services.enabled", CONFIG_BOOL, services.enabled, "true",
	      "Load-balance Services and hostPorts. Say false where kube-proxy or another does "
	      "it."),
	FIELD("services.socketLB", CONFIG_ENUM, services.sockets, "host",
	      "Whose sockets are connected straight to a backend, at no cost for each packet: "
	      "none, those of the host's network namespace, or those of pods too.",
	      WORDS("off", "host", "all")),
	FIELD("services.externalMode", CONFIG_ENUM, services.mode, "snat",
	      "How a backend on another node answers clients outside of the cluster: by way of the "
	      "node that they asked, which takes their place, or (dsr) directly, which needs a "
	      "network that takes the answers.",
	      WORDS("snat", "dsr")),
	FIELD("services.localEndpointWeight", CONFIG_INT, services.local_weight, "1",
	      "How many times more often than others clients in the cluster get a backend of their "
	      "own node.",
	      RANGE(1, 100)),
	FIELD("services.maglevSlots", CONFIG_INT, services.maglev_slots, "100",
	      "Table slots a backend for clients outside of the cluster: more make a finer "
	      "balance. "
	      "The same on every node.",
	      RANGE(1, 1000)),
	FIELD("services.nodePortAddresses", CONFIG_PREFIXES, services.node_ports, "[]",
	      "The addresses of the node that serve NodePorts. Empty: all. hostPorts are not "
	      "asked.",
	      RANGE(0, 64)),
	FIELD("services.maxFrontends", CONFIG_INT, services.max_frontends,
	      TEXT_OF(LOOM_DEFAULT_FRONTENDS), "Addresses and ports that lead to services.",
	      RANGE(1024, 1 << 22)),
	FIELD("services.maxBackends", CONFIG_INT, services.max_backends,
	      TEXT_OF(LOOM_DEFAULT_BACKENDS), "Endpoints, of all services. 32 bytes each.",
	      RANGE(1024, 1 << 22)),
	FIELD("services.maxSlots", CONFIG_INT, services.max_slots, TEXT_OF(LOOM_DEFAULT_SLOTS),
	      "Table slots of all services: one a backend, and maglevSlots a backend of services "
	      "with an external address. 4 bytes each.",
	      RANGE(4096, 1 << 26)),
	FIELD("services.maxAffinity", CONFIG_INT, services.max_affinity,
	      TEXT_OF(LOOM_DEFAULT_AFFINITY), "Clients whose backend is remembered.",
	      RANGE(1024, 1 << 22)),
	FIELD("services.maxSourceRanges", CONFIG_INT, services.max_ranges,
	      TEXT_OF(LOOM_DEFAULT_RANGES),
	      "Source ranges of all Services, once for each port; one Service has an eighth of "
	      "them at most.",
	      RANGE(1024, 1 << 22)),

	FIELD("policy.enabled", CONFIG_BOOL, policy.enabled, "true",
	      "Enforce NetworkPolicies and ClusterNetworkPolicies."),
	FIELD("policy.allowFromHost", CONFIG_BOOL, policy.allow_from_host, "true",
	      "The node's own host may always reach its pods, as kubelet's probes need it."),

	FIELD("conntrack.maxEntries", CONFIG_INT, conntrack.max_entries, "262144",
	      "Flows that have seen a reply. Memory is taken at once, about 150 bytes each.",
	      RANGE(1024, 1 << 24)),
	FIELD("conntrack.maxNewEntries", CONFIG_INT, conntrack.max_new, "65536",
	      "Flows without a reply yet; the oldest make room.", RANGE(1024, 1 << 24)),
	FIELD("conntrack.tcp", CONFIG_DURATION, conntrack.tcp_ms, "6h",
	      "Idle time after which an established TCP flow is forgotten.", RANGE(1000, 30 * DAY)),
	FIELD("conntrack.tcpNew", CONFIG_DURATION, conntrack.tcp_new_ms, "60s",
	      "The same before the handshake is done.", RANGE(1000, DAY)),
	FIELD("conntrack.tcpClosing", CONFIG_DURATION, conntrack.tcp_closing_ms, "10s",
	      "The same after FIN or RST.", RANGE(1000, DAY)),
	FIELD("conntrack.udp", CONFIG_DURATION, conntrack.udp_ms, "180s",
	      "The same of UDP that has been answered.", RANGE(1000, DAY)),
	FIELD("conntrack.udpNew", CONFIG_DURATION, conntrack.udp_new_ms, "30s",
	      "The same of UDP without an answer.", RANGE(1000, DAY)),
	FIELD("conntrack.icmp", CONFIG_DURATION, conntrack.icmp_ms, "30s", "The same of ICMP echo.",
	      RANGE(1000, DAY)),
	FIELD("conntrack.other", CONFIG_DURATION, conntrack.other_ms, "600s",
	      "The same of all other protocols.", RANGE(1000, DAY)),
	FIELD("conntrack.gcInterval", CONFIG_DURATION, conntrack.gc_interval_ms, "10s",
	      "How often idle flows are looked for.", RANGE(1000, HOURS(1))),

	FIELD("events.rate", CONFIG_INT, events.rate, "100",
	      "Drop events reported a second and CPU; drops are counted without limit.",
	      RANGE(0, 1000000)),
	FIELD("events.burst", CONFIG_INT, events.burst, "1000",
	      "Drop events reported at once after a quiet time.", RANGE(1, 1000000)),

	FIELD("ipam.quarantine", CONFIG_DURATION, ipam.quarantine_ms, "60s",
	      "How long a released address rests before another pod gets it.", RANGE(0, DAY)),

	FIELD("cni.writeConfig", CONFIG_BOOL, cni.conflist, "true",
	      "Write the CNI configuration file as soon as the node is ready."),
	FIELD("cni.confDir", CONFIG_STRING, cni.conf_dir, NETLOOM_CNI_CONF_DIR,
	      "Folder where the container runtime looks for it.", PATH),
	FIELD("cni.socket", CONFIG_STRING, cni.socket, NETLOOM_CNI_SOCKET,
	      "Unix socket on which netloom-cni is served, mode 0600.", RANGE(1, 107)),
	FIELD("cni.spoolDir", CONFIG_STRING, cni.spool_dir, NETLOOM_CNI_SPOOL,
	      "Folder of the deletions that netloom-cni took while the agent was away.", PATH),
	FIELD("cni.hostRoot", CONFIG_STRING, cni.netns_prefix, "\"\"",
	      "Put in front of network namespace paths; /host when the agent runs in a container "
	      "that has the "
	      "host's root there.",
	      RANGE(0, PATH_MAX - 1)),

	FIELD("api.address", CONFIG_STRING, api.address, "127.0.0.1",
	      "Address of the HTTP API: probes, metrics, and what the CLI shows. It has no access "
	      "control, so keep it on loopback. Empty: unix socket only.",
	      RANGE(0, 45)),
	FIELD("api.port", CONFIG_INT, api.port, TEXT_OF(NETLOOM_AGENT_PORT),
	      "Port of the HTTP API; 0 takes any free one.", RANGE(0, 65535)),
	FIELD("api.socket", CONFIG_STRING, api.socket, NETLOOM_RUN_DIR "/agent.sock",
	      "Unix socket of the same API, mode 0600. Empty: none.", RANGE(0, 107)),

	FIELD("paths.state", CONFIG_STRING, paths.state_dir, NETLOOM_STATE_DIR,
	      "Folder of what must survive a reboot: the local mirror, attachments. One agent a "
	      "folder.",
	      PATH),
	FIELD("paths.bpf", CONFIG_STRING, paths.bpf_dir, NETLOOM_BPF_DIR,
	      "Folder on bpffs where programs, maps and links are pinned.", PATH),
	FIELD("paths.cgroup", CONFIG_STRING, paths.cgroup_dir, NETLOOM_CGROUP_DIR,
	      "Control group (version 2) of which services.socketLB translates the sockets: all of "
	      "the machine's, as a rule.",
	      PATH),

	FIELD("controller.retryMin", CONFIG_DURATION, controller.retry_min_ms, "1s",
	      "Wait before a failed operation on the node is tried again; doubles each time.",
	      RANGE(10, HOURS(1))),
	FIELD("controller.retryMax", CONFIG_DURATION, controller.retry_max_ms, "30s",
	      "Longest such wait.", RANGE(10, HOURS(1))),
	FIELD("controller.healingDelay", CONFIG_DURATION, controller.healing_delay_ms, "5s",
	      "Wait between a failure and the resync that mends what it left.",
	      RANGE(10, HOURS(1))),
	FIELD("controller.mirrorDeadline", CONFIG_DURATION, controller.mirror_deadline_ms, "5s",
	      "At start, etcd may be silent for so long before the local mirror is used in its "
	      "place.",
	      RANGE(0, HOURS(1))),
	FIELD("controller.historyEntries", CONFIG_INT, controller.history_entries, "1000",
	      "Events that the history holds.", RANGE(1, 100000)),
};

const size_t agent_config_n_fields = ARRAY_SIZE(agent_config_fields);

_Static_assert(LOG_LVL_DEBUG == 3, "logLevel's words follow enum log_level");
