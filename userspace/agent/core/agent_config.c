// SPDX-License-Identifier: Apache-2.0
#include "agent/core/agent_config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "agent/core/agent_config_fields.h"
#include "lib/base/log.h"
#include "lib/base/name.h"

/* ---- reading ---- */

void agent_config_free(struct agent_config *cfg)
{
	config_free(agent_config_fields, agent_config_n_fields, cfg);
}

/* As kubelet names a node whose name nobody gave: the host's, in lower case. */
static int fill_node_name(struct agent_config *cfg, struct err *e)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (*cfg->node_name)
		return 0;
	if (gethostname(name, sizeof(name) - 1) < 0 || !*name)
		return err_set(e, -EINVAL, "nodeName: is empty, and so is the host's name");
	for (char *c = name; *c; c++)
		*c = tolower((unsigned char)*c);
	free(cfg->node_name);
	cfg->node_name = strdup(name);
	return cfg->node_name ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int agent_config_load(const char *path, struct agent_config *cfg, struct err *e)
{
	int err = config_load(agent_config_fields, agent_config_n_fields, path, cfg, e);

	if (err < 0)
		return err;
	err = fill_node_name(cfg, e);
	if (!err)
		err = agent_config_check(cfg, e);
	if (err < 0) {
		err_prefix(e, "%s", path);
		agent_config_free(cfg);
	}
	return err;
}

/* ---- checks over several fields ---- */

static int check_node_name(const char *name, struct err *e)
{
	if (!name_is_subdomain(name))
		return err_set(e, -EINVAL,
			       "nodeName: '%.64s' is not a DNS name in lower case, which a node "
			       "must have",
			       name);
	return 0;
}

static int check_families(const char *key, const struct config_prefixes *p, struct err *e)
{
	bool seen[2] = {};

	for (size_t i = 0; i < p->n; i++) {
		bool v4 = addr_is_v4(&p->v[i].addr);

		if (seen[v4])
			return err_set(e, -EINVAL, "%s: two prefixes of IPv%d; at most one each",
				       key, v4 ? 4 : 6);
		seen[v4] = true;
	}
	return 0;
}

static int check_overlap(const struct agent_config *cfg, struct err *e)
{
	const struct config_prefixes *pods = &cfg->cluster.cidrs,
				     *services = &cfg->cluster.service_cidrs;
	char a[PREFIX_STRLEN], b[PREFIX_STRLEN];

	for (size_t i = 0; i < pods->n; i++)
		for (size_t j = 0; j < services->n; j++)
			if (prefix_overlaps(&pods->v[i], &services->v[j]))
				return err_set(e, -EINVAL,
					       "cluster.podCIDRs: %s overlaps with %s of "
					       "cluster.serviceCIDRs",
					       prefix_format(&pods->v[i], a),
					       prefix_format(&services->v[j], b));
	return 0;
}

/* A node's block must be a real part of the cluster's prefix, and not so many that ids run out of
 * bits. */
static int check_blocks(const struct agent_config *cfg, struct err *e)
{
	for (size_t i = 0; i < cfg->cluster.cidrs.n; i++) {
		const struct prefix *p = &cfg->cluster.cidrs.v[i];
		bool v4 = addr_is_v4(&p->addr);
		int64_t block = v4 ? cfg->cluster.block4 : cfg->cluster.block6;
		char text[PREFIX_STRLEN];

		if (cfg->cluster.source != POD_CIDR_NODE_ID)
			continue;
		if (block <= prefix_family_len(p))
			return err_set(e, -EINVAL,
				       "cluster.blockSize%d: /%lld leaves no room for nodes in %s "
				       "of cluster.podCIDRs",
				       v4 ? 4 : 6, (long long)block, prefix_format(p, text));
	}
	return 0;
}

static int check_address(const char *key, const union loom_addr *a, bool v4, struct err *e)
{
	char text[ADDR_STRLEN];

	if (addr_is_zero(a) || addr_is_v4(a) == v4)
		return 0;
	return err_set(e, -EINVAL, "%s: %s is not an IPv%d address", key, addr_format(a, text),
		       v4 ? 4 : 6);
}

static int check_ranges(const struct agent_config *cfg, struct err *e)
{
	if (cfg->masquerade.port_min > cfg->masquerade.port_max)
		return err_set(
			e, -EINVAL, "masquerade.portMin: %lld is above masquerade.portMax, %lld",
			(long long)cfg->masquerade.port_min, (long long)cfg->masquerade.port_max);
	if (cfg->controller.retry_min_ms > cfg->controller.retry_max_ms)
		return err_set(e, -EINVAL,
			       "controller.retryMin: is longer than controller.retryMax");
	return 0;
}

int agent_config_check(const struct agent_config *cfg, struct err *e)
{
	int err;

	if ((err = check_node_name(cfg->node_name, e)) < 0 ||
	    (err = check_families("cluster.podCIDRs", &cfg->cluster.cidrs, e)) < 0 ||
	    (err = check_families("cluster.serviceCIDRs", &cfg->cluster.service_cidrs, e)) < 0 ||
	    (err = check_overlap(cfg, e)) < 0 || (err = check_blocks(cfg, e)) < 0 ||
	    (err = check_address("uplink.address4", &cfg->uplink.address4, true, e)) < 0 ||
	    (err = check_address("uplink.address6", &cfg->uplink.address6, false, e)) < 0 ||
	    (err = etcd_config_check(&cfg->etcd, e)) < 0)
		return err;
	return check_ranges(cfg, e);
}
