/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Words for the numbers of the data plane's maps: the agent's REST view, its metrics and the CLI
 * print the same ones. All functions accept any number; an unknown one gets a word that shows it.
 * Returned strings are static unless a buffer is passed.
 */
#include <json-c/json.h>

#include "lib/base/util.h"

#define NAME_STRLEN 24

/* Lower-case reason, the metrics' label: "no_route"; "unknown" above the last one. */
const char *loom_drop_name(unsigned int reason);
/* A sentence for people: "no route to the destination". */
const char *loom_drop_text(unsigned int reason);
const char *loom_hook_name(unsigned int hook);
const char *loom_role_name(unsigned int role);
const char *loom_tier_name(unsigned int tier);	   /* enum loom_pol_tier */
const char *loom_tier_title(unsigned int tier);	   /* as the API writes them: "Baseline" */
const char *loom_action_name(unsigned int action); /* enum loom_pol_action */
/* enum loom_port_set: "front". */
const char *loom_port_set_name(unsigned int set);
/* IP protocol number (IANA) as a word: "tcp", "icmp6"; else the number in `buf`. */
const char *loom_proto_name(unsigned int proto, char buf[static NAME_STRLEN]);

struct flag_name {
	uint32_t mask;
	const char *name;
};
extern const struct flag_name loom_state_flag_names[], loom_if_flag_names[], loom_ep_flag_names[],
	loom_remote_flag_names[], loom_node_flag_names[], loom_ct_flag_names[],
	loom_tcp_flag_names[], loom_svc_flag_names[], loom_backend_flag_names[],
	loom_epol_flag_names[], loom_polset_flag_names[]; /* each ends with mask 0 */
/* A new array of words; bits without a name appear as one "0x…" word. NULL on out-of-memory. */
struct json_object *loom_flags_json(uint32_t flags, const struct flag_name *names);
