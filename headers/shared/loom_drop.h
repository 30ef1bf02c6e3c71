/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Every way in which a packet can end, in one list. The names are the metric label (in lower case),
 * the event's reason and the text of `netloom dump metrics`. Numbers are ABI: append only. Helpers
 * of the data plane return 0 or a negative reason.
 */
#define LOOM_DROP_REASONS(X)                                                        \
	X(FORWARDED, "forwarded")                                                   \
	X(SHORT, "packet too short for its headers")                                \
	X(MALFORMED, "header field is impossible")                                  \
	X(ETHERTYPE, "not IPv4, IPv6 or ARP")                                       \
	X(SPOOF_IP, "source address is not the pod's")                              \
	X(SPOOF_MAC, "source MAC is not the pod's")                                 \
	X(NO_ENDPOINT, "interface belongs to no endpoint")                          \
	X(NO_ROUTE, "no route to the destination")                                  \
	X(NO_NODE, "destination node is unknown or has no address")                 \
	X(NO_NEIGHBOR, "next hop does not resolve")                                 \
	X(TTL, "hop limit reached zero")                                            \
	X(MTU, "larger than the path takes and may not be fragmented")              \
	X(FRAG_NO_FIRST, "fragment without its first fragment")                     \
	X(FRAG_BAD, "fragment overlaps the header or is too small")                 \
	X(EXT_HEADERS, "too many or broken IPv6 extension headers")                 \
	X(CT_FULL, "conntrack is full and the flow needs it")                       \
	X(CT_INVALID, "packet fits no connection and starts none")                  \
	X(NAT_PORTS, "no free port for masquerade")                                 \
	X(NAT_NO_ADDR, "the node has no address of that family to masquerade with") \
	X(NAT_PROTO, "protocol can't be translated")                                \
	X(ICMP_UNRELATED, "ICMP error for no known connection")                     \
	X(MULTICAST, "multicast or broadcast is not forwarded")                     \
	X(LINK_LOCAL, "link-local traffic is not forwarded")                        \
	X(TUNNEL_PEER, "tunnel packet from an unknown node")                        \
	X(TUNNEL_VNI, "tunnel packet of an unknown network")                        \
	X(TUNNEL_KEY, "tunnel metadata can't be read or set")                       \
	X(LOOP, "packet came back to where it was sent from")                       \
	X(HELPER, "a kernel helper refused the packet")                             \
	X(POLICY, "denied by policy")                                               \
	X(SVC_NO_BACKEND, "service has no backend")                                 \
	X(SVC_NO_LOCAL, "service has no backend on this node")                      \
	X(SVC_SOURCE, "not in the service's loadBalancerSourceRanges")              \
	X(SVC_GONE, "backend of the connection is gone")                            \
	X(SVC_PORTS, "no free port to reach the service's backend from")            \
	X(POLICY_PENDING, "the endpoint's policy is not known yet")                 \
	X(POLICY_LOGGED, "passed, though policy denies it: log only")               \
	X(SVC_NO_VIP, "the address that the connection was made to is gone")

enum loom_drop_reason {
#define X(name, text) LOOM_DROP_##name,
	LOOM_DROP_REASONS(X)
#undef X
		LOOM_DROP_MAX
};

/* Where a packet was when it was counted: second index of loom_metrics. */
#define LOOM_HOOKS(X)                   \
	X(FROM_POD, "from_pod")         \
	X(TO_POD, "to_pod")             \
	X(FROM_HOST, "from_host")       \
	X(FROM_NET, "from_net")         \
	X(TO_NET, "to_net")             \
	X(FROM_OVERLAY, "from_overlay") \
	X(XDP_UPLINK, "xdp_uplink")     \
	X(SOCK, "sock")

enum loom_hook {
#define X(name, text) LOOM_HOOK_##name,
	LOOM_HOOKS(X)
#undef X
		LOOM_HOOK_MAX
};
