/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One function a map that writes an entry's fields; tables.c lists them. See tables.h. records.c
 * has them, record_svc.c those of shared/loom_svc.h, record_pol.c those of shared/loom_pol.h.
 */
#include "lib/bpf/tables.h"

/* Fields that more than one record has; absent when there is nothing to say (0, ::). `n` is never
 * NULL here. All return 0 or negative errno. */
extern const struct table_names table_names_none;
int record_add_addr(struct json_object *ret, const char *field, const union loom_addr *addr,
		    uint32_t scope, const struct table_names *n);
/* "<field>Port". */
int record_add_port(struct json_object *ret, const char *field, __be16 port);
int record_add_ep(struct json_object *ret, uint32_t ep, const struct table_names *n); /* "ep" */
int record_add_node(struct json_object *ret, const char *field, uint32_t id,
		    const struct table_names *n);
/* Seconds since `tick`, when n knows the time. */
int record_add_age(struct json_object *ret, const char *field, uint32_t tick,
		   const struct table_names *n);

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
RECORD(svc);
RECORD(lut);
RECORD(backend);
RECORD(vip);
RECORD(ports);
RECORD(srcrange);
RECORD(aff);
RECORD(sockrev);
RECORD(epol);
RECORD(ident);
RECORD(class);
RECORD(pol);
RECORD(polrule);
RECORD(denied);
