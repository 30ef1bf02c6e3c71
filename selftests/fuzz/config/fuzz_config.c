// SPDX-License-Identifier: Apache-2.0
/* The agent's configuration file: whatever is in it, it is taken or refused with a message. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_config cfg = {};
	struct err e = {};

	if (config_parse(agent_config_fields, agent_config_n_fields, (const char *)data, size, &cfg,
			 &e) < 0) {
		assert(e.code < 0 && e.msg[0]);
		assert(!cfg.node_name && !cfg.etcd.endpoints.v && !cfg.cluster.cidrs.v);
		return 0;
	}
	agent_config_check(&cfg, &e);
	agent_config_free(&cfg);
	return 0;
}
