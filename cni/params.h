/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a runtime hands to a CNI plugin: environment variables and a JSON network configuration on
 * stdin, checked as the CNI specification demands before anybody else sees them. Every function
 * returns 0 or fills a struct failure with a CNI error code. Borrowed strings live as long as the
 * environment or the configuration.
 */
#include <json-c/json.h>

#include "api/cni_codes.h"
#include "lib/base/err.h"

struct failure {
	enum cni_code code;
	char msg[256], details[512];
};
/* Fills *f and returns -EINVAL, so that callers can pass it on. `details` may be NULL. */
int fail(struct failure *f, enum cni_code code, const char *details, const char *fmt, ...)
	_printf_(4, 5);

enum param { /* which environment variables a verb cannot do without */
	     PARAM_CONTAINERID = 1 << 0,
	     PARAM_NETNS = 1 << 1,
	     PARAM_IFNAME = 1 << 2,
	     PARAM_PATH = 1 << 3,
};

struct params {
	const char *container_id, *netns, *ifname, *args, *path, *traceparent; /* "" when absent */
	bool netns_override; /* CNI_NETNS_OVERRIDE: the plugin's own namespace is meant */
};
int params_read(unsigned int need, struct params *ret, struct failure *f);

struct network_config {
	struct json_object *json; /* owned; NULL until parsed */
	enum cni_version version;
	const char *socket, *spool_dir;
	unsigned int timeout_ms, status_wait_ms;
};
void network_config_clear(struct network_config *c);
/*
 * On failure `ret` may still hold a version, for the error object. Unknown keys are left alone, as
 * the specification allows and runtimes expect.
 */
int network_config_parse(const char *text, size_t len, struct network_config *ret,
			 struct failure *f);
