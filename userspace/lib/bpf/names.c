// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/names.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "lib/json/json.h"
#include "shared/loom_maps.h"

#define SCTP 132

/* The list has the names in capitals, for the enum; labels are in lower case. Made on first use. */
const char *loom_drop_name(unsigned int reason)
{
	static const char *const upper[] = {
#define X(name, text) #name,
		LOOM_DROP_REASONS(X)
#undef X
	};
	static char lower[LOOM_DROP_MAX][NAME_STRLEN];

	if (reason >= LOOM_DROP_MAX)
		return "unknown";
	if (!lower[reason][0]) {
		char *to = lower[reason];

		for (const char *c = upper[reason]; *c; c++)
			*to++ = *c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c;
	}
	return lower[reason];
}

const char *loom_drop_text(unsigned int reason)
{
	static const char *const texts[] = {
#define X(name, text) text,
		LOOM_DROP_REASONS(X)
#undef X
	};

	return reason < LOOM_DROP_MAX ? texts[reason] : "reason unknown to this version";
}

const char *loom_hook_name(unsigned int hook)
{
	static const char *const names[] = {
#define X(name, text) text,
		LOOM_HOOKS(X)
#undef X
	};

	return hook < LOOM_HOOK_MAX ? names[hook] : "unknown";
}

const char *loom_role_name(unsigned int role)
{
	static const char *const names[] = {
		[LOOM_IF_NONE] = "none",     [LOOM_IF_POD] = "pod",	    [LOOM_IF_HOST] = "host",
		[LOOM_IF_UPLINK] = "uplink", [LOOM_IF_OVERLAY] = "overlay",
	};

	return role < ARRAY_SIZE(names) ? names[role] : "unknown";
}

const char *loom_tier_name(unsigned int tier)
{
	static const char *const names[] = {
		[LOOM_TIER_ADMIN] = "admin",
		[LOOM_TIER_NP] = "networkpolicy",
		[LOOM_TIER_BASELINE] = "baseline",
	};

	return tier < ARRAY_SIZE(names) ? names[tier] : "unknown";
}

const char *loom_tier_title(unsigned int tier)
{
	static const char *const names[] = {
		[LOOM_TIER_ADMIN] = "Admin",
		[LOOM_TIER_NP] = "NetworkPolicy",
		[LOOM_TIER_BASELINE] = "Baseline",
	};

	return tier < ARRAY_SIZE(names) ? names[tier] : "unknown";
}

const char *loom_action_name(unsigned int action)
{
	static const char *const names[] = {
		[LOOM_POL_ACCEPT] = "accept",
		[LOOM_POL_DENY] = "deny",
		[LOOM_POL_PASS] = "pass",
	};

	return action < ARRAY_SIZE(names) ? names[action] : "unknown";
}

const char *loom_port_set_name(unsigned int set)
{
	static const char *const names[] = {
		[LOOM_PORTS_FRONT] = "front",
		[LOOM_PORTS_HOST_BACKEND] = "host-backend",
	};

	return set < ARRAY_SIZE(names) ? names[set] : "unknown";
}

const char *loom_proto_name(unsigned int proto, char buf[static NAME_STRLEN])
{
	switch (proto) {
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	case SCTP:
		return "sctp";
	}
	snprintf(buf, NAME_STRLEN, "%u", proto);
	return buf;
}

const struct flag_name loom_state_flag_names[] = {
	{ LOOM_STATE_MASQUERADE, "masquerade" },
	{ LOOM_STATE_TUNNEL, "tunnel" },
	{ LOOM_STATE_SERVICES, "services" },
	{},
};

const struct flag_name loom_if_flag_names[] = {
	{ LOOM_IF_NO_SPOOF_CHECK, "no-spoof-check" },
	{ LOOM_IF_RAW_IP, "raw-ip" },
	{},
};

const struct flag_name loom_ep_flag_names[] = {
	{ LOOM_EP_HOST, "host" },
	{},
};

const struct flag_name loom_remote_flag_names[] = {
	{ LOOM_REMOTE_NODE, "node" },
	{ LOOM_REMOTE_UNREACHABLE, "unreachable" },
	{ LOOM_REMOTE_NO_MASQ, "no-masquerade" },
	{},
};

const struct flag_name loom_node_flag_names[] = {
	{ LOOM_NODE_PRESENT, "present" },
	{ LOOM_NODE_TUNNEL, "tunnel" },
	{},
};

const struct flag_name loom_ct_flag_names[] = {
	{ LOOM_CT_FROM_B, "from-b" },
	{ LOOM_CT_REPLIED, "replied" },
	{ LOOM_CT_SNAT, "snat" },
	{ LOOM_CT_SNAT_BACK, "snat-back" },
	{ LOOM_CT_CLOSING, "closing" },
	{ LOOM_CT_FROM_HOST, "from-host" },
	{ LOOM_CT_SVC, "service" },
	{ LOOM_CT_SVC_BACK, "service-back" },
	{ LOOM_CT_SVC_SNAT, "service-snat" },
	{ LOOM_CT_HAIRPIN, "hairpin" },
	{ LOOM_CT_DEAD, "dead" },
	{ LOOM_CT_DSR, "dsr" },
	{},
};

const struct flag_name loom_svc_flag_names[] = {
	{ LOOM_SVC_CLUSTER_IP, "cluster-ip" },
	{ LOOM_SVC_NODEPORT, "node-port" },
	{ LOOM_SVC_HOSTPORT, "host-port" },
	{ LOOM_SVC_LOADBALANCER, "load-balancer" },
	{ LOOM_SVC_EXTERNAL_IP, "external-ip" },
	{ LOOM_SVC_EXTERNAL, "external" },
	{ LOOM_SVC_LOCAL_OUT, "local-out" },
	{ LOOM_SVC_LOCAL_IN, "local-in" },
	{ LOOM_SVC_SILENT_OUT, "silent-out" },
	{ LOOM_SVC_SILENT_IN, "silent-in" },
	{ LOOM_SVC_AFFINITY, "affinity" },
	{ LOOM_SVC_SRCRANGE, "source-ranges" },
	{ LOOM_SVC_MAGLEV_IN, "maglev-in" },
	{ LOOM_SVC_DSR, "dsr" },
	{},
};

const struct flag_name loom_backend_flag_names[] = {
	{ LOOM_BACKEND_PRESENT, "present" },
	{ LOOM_BACKEND_READY, "ready" },
	{ LOOM_BACKEND_TERMINATING, "terminating" },
	{ LOOM_BACKEND_LOCAL, "local" },
	{ LOOM_BACKEND_HOST, "host-network" },
	{ LOOM_BACKEND_GONE, "gone" },
	{},
};

const struct flag_name loom_epol_flag_names[] = {
	{ LOOM_EPOL_KNOWN, "known" },
	{ LOOM_EPOL_ENFORCED, "enforced" },
	{ LOOM_EPOL_NOT_HOST, "not-host" },
	{},
};

const struct flag_name loom_polset_flag_names[] = {
	{ LOOM_POLSET_ISOLATES, "isolates" }, { LOOM_POLSET_SELECTS, "selects" },
	{ LOOM_POLSET_CLASSES, "classes" },   { LOOM_POLSET_LOG_ONLY, "log-only" },
	{ LOOM_POLSET_STRICT, "strict" },     {},
};

const struct flag_name loom_tcp_flag_names[] = {
	{ TH_FIN, "fin" },
	{ TH_SYN, "syn" },
	{ TH_RST, "rst" },
	{ TH_PUSH, "psh" },
	{ TH_ACK, "ack" },
	{ TH_URG, "urg" },
	{},
};

struct json_object *loom_flags_json(uint32_t flags, const struct flag_name *names)
{
	_json_ *list = json_object_new_array();
	char rest[NAME_STRLEN];

	if (!list)
		return NULL;
	for (; names->mask; names++) {
		if (!(flags & names->mask))
			continue;
		if (json_append_str(list, names->name) < 0)
			return NULL;
		flags &= ~names->mask;
	}
	snprintf(rest, sizeof(rest), "0x%x", flags);
	if (flags && json_append_str(list, rest) < 0)
		return NULL;
	return TAKE_PTR(list);
}
