/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One function a map that writes an entry's fields; tables.c lists them. See tables.h. */
#include "lib/bpf/tables.h"

#define RECORD(name)                                                                       \
	int record_##name(const void *key, const void *value, const struct table_names *n, \
			  struct json_object *ret)
RECORD(state);
RECORD(ifcfg);
RECORD(ep);
RECORD(ip);
RECORD(cidr);
RECORD(node);
RECORD(ct);
RECORD(frag);
RECORD(metrics);
RECORD(epstats);
