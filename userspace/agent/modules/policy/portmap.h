/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a pod's named ports are: (name, protocol) -> port. Kept once for all pods that have the
 * same; so equal maps are equal pointers. Of several ports of one name and protocol the first
 * counts, as in Kubernetes (podutil.FindPort).
 */
#include <json-c/json.h>

#include "agent/modules/policy/strs.h"
#include "lib/base/err.h"

struct named_port {
	struct str *name;
	uint32_t place; /* among the pod's, while they are read */
	uint16_t port;	/* host order */
	uint8_t proto;
};

struct portmaps;

struct portmap {
	UT_hash_handle hh;
	struct portmaps *of;
	char *key;
	uint32_t refs, n;
	struct named_port v[]; /* sorted */
};

struct portmaps {
	struct portmap *all;
	struct strs *strs;
};

/* Of a Pod's spec, its containers first, then init containers that stay (restartPolicy Always).
 * -EINVAL names the field. */
int portmap_read(struct portmaps *maps, struct json_object *spec, struct portmap **ret,
		 struct err *e);
/* Those whose name is chosen (strs.h), counted; NULL: out of memory. */
struct portmap *portmap_chosen(const struct portmap *m);
struct portmap *portmap_ref(struct portmap *m);
void portmap_put(struct portmap *m); /* accepts NULL */

/* IPPROTO_TCP, _UDP, _SCTP; 0 for what is none of them. */
uint8_t proto_parse(const char *name);
const char *proto_name(uint8_t proto);
