// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/modules.h"

const struct module *const agent_modules[] = {
	&db_module,	  &uplink_module, &datapath_module, &hostlink_module,
	&nodesync_module, &ipam_module,	  &podwire_module,  &pods_module,
	&services_module, &policy_module, &explain_module,  NULL,
};
