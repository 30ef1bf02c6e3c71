/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The JSON side of CNI in the agent: reading network configurations, previous results and CNI_ARGS,
 * all of them hostile, and building results. Knows nothing of the agent, so that it can be tested
 * and fuzzed alone.
 */
#include <json-c/json.h>

#include "agent/modules/pods/pods.h"
#include "api/cni_codes.h"

enum cni_verb { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_GC, CNI_STATUS, CNI_N_VERBS };
const char *cni_verb_name(enum cni_verb verb);

/* What goes back to the runtime instead of a result. */
struct cni_error {
	enum cni_code code;
	char msg[256], details[508];
};
/* Fills *f, returns -EINVAL. `details` may be NULL. */
int cni_fail(struct cni_error *f, enum cni_code code, const char *details, const char *fmt, ...)
	_printf_(4, 5);

struct cni_config {
	struct json_object *json; /* owned; what follows is borrowed from it */
	enum cni_version version;
	const char *network;		 /* "" when absent */
	struct json_object *dns;	 /* NULL, or an object */
	struct json_object *prev_result; /* NULL, or an object of checked shape */
	struct port_mapping *ports;	 /* ADD: runtimeConfig.portMappings; owned */
	size_t n_ports;
};
void cni_config_clear(struct cni_config *c);
int cni_config_parse(const uint8_t *text, size_t len, enum cni_verb verb, struct cni_config *ret,
		     struct cni_error *f);

/* GC: is the attachment in `cni.dev/valid-attachments` (or `cni.dev/attachments`)? */
bool cni_config_is_valid(const struct cni_config *c, const char *container_id, const char *ifname);

/* From CNI_ARGS; heap, "" when absent. */
struct cni_args {
	char *pod_namespace, *pod_name, *pod_uid;
};
void cni_args_clear(struct cni_args *a);
int cni_args_parse(const char *text, struct cni_args *ret, struct cni_error *f);

/* The result of ADD in c->version, appended to c->prev_result if there is one. NULL: no memory. */
struct json_object *cni_result_new(const struct cni_config *c, const struct attachment *att);
/* Does c->prev_result say what the attachment is? Interfaces and routes of other plugins are
 * theirs. */
int cni_result_compare(const struct cni_config *c, const struct attachment *att,
		       struct cni_error *f);
