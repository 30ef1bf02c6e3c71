// SPDX-License-Identifier: Apache-2.0
/* Host ports that an ADD asks for, against what this node has and what other pods hold. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/pods/pods_int.h"
#include "agent/modules/pods/port_mappings.h"
#include "agent/modules/uplink/uplink.h"
#include "shared/loom_config.h"

/* Whose host port the request wants, or NULL. A pod that is made again takes over its own. */
static const struct record *holder_of(const struct request *r, const struct port_mapping **ret)
{
	struct record *rec, *next;

	HASH_ITER (hh, r->pods->records, rec, next) {
		const struct attachment *att = &rec->att;

		if (att->state == ATTACHMENT_DELETING ||
		    (*att->pod_uid && !strcmp(att->pod_uid, r->args.pod_uid)))
			continue;
		*ret = port_mappings_clash(r->config.ports, r->config.n_ports, att->ports,
					   att->n_ports);
		if (*ret)
			return rec;
	}
	return NULL;
}

static int check_holder(const struct request *r, struct cni_error *f)
{
	const struct port_mapping *m = NULL;
	const struct record *holder = holder_of(r, &m);
	const struct attachment *att = holder ? &holder->att : NULL;

	if (!holder)
		return 0;
	if (!*att->pod_name)
		return cni_fail(f, CNI_TRY_AGAIN, NULL,
				"hostPort %u/%s is taken by container %.64s", m->host_port,
				port_mapping_proto(m), att->container_id);
	return cni_fail(f, CNI_TRY_AGAIN, NULL, "hostPort %u/%s is taken by pod '%s/%s'",
			m->host_port, port_mapping_proto(m), att->pod_namespace, att->pod_name);
}

/* Only sockets are translated on loopback addresses, and only those of hosts. */
static bool serves_loopback(const struct agent_config *cfg, const struct port_mapping *m)
{
	return cfg->services.sockets != LOOM_SOCKETS_NONE && m->proto != IPPROTO_SCTP;
}

static int is_it(const union loom_addr *addr, void *arg)
{
	return addr_equal(addr, arg);
}

/*
 * A frontend takes what is on its way to its address, wherever that is. So an address that is not
 * this node's would be another pod's, service's or machine's traffic, for whoever may make a pod.
 */
static int check_host_ip(struct agent *a, const struct port_mapping *m, struct cni_error *f)
{
	union loom_addr addr = m->host_ip;
	char text[ADDR_STRLEN];

	if (addr_is_zero(&addr))
		return 0;
	addr_format(&addr, text);
	if (addr_is_loopback(&addr))
		return serves_loopback(agent_cfg(a), m)
			       ? 0
			       : cni_fail(f, CNI_UNSUPPORTED_FIELD, NULL,
					  "hostPort %u/%s: hostIP %s is not supported",
					  m->host_port, port_mapping_proto(m), text);
	if (uplink_host_addresses(a, is_it, &addr))
		return 0;
	return cni_fail(f, CNI_TRY_AGAIN, NULL,
			"hostPort %u/%s: hostIP %s is no address of this node", m->host_port,
			port_mapping_proto(m), text);
}

int host_ports_check(const struct request *r, struct cni_error *f)
{
	struct agent *a = r->pods->agent;

	if (!r->config.n_ports)
		return 0;
	if (!agent_cfg(a)->services.enabled)
		return cni_fail(f, CNI_UNSUPPORTED_FIELD, "services.enabled: false",
				"field runtimeConfig.portMappings is not supported");
	for (size_t i = 0; i < r->config.n_ports; i++)
		if (check_host_ip(a, &r->config.ports[i], f) < 0)
			return -EINVAL;
	return check_holder(r, f);
}
