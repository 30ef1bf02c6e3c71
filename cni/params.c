// SPDX-License-Identifier: Apache-2.0
#include "cni/params.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/cni_spool.h"
#include "api/paths.h"
#include "lib/base/utf8.h"
#include "lib/cni/cni_names.h"
#include "lib/json/json.h"

#define DEFAULT_TIMEOUT_MS     30000
#define DEFAULT_STATUS_WAIT_MS 10000

int fail(struct failure *f, enum cni_code code, const char *details, const char *fmt, ...)
{
	va_list ap;

	f->code = code;
	va_start(ap, fmt);
	vsnprintf(f->msg, sizeof(f->msg), fmt, ap);
	va_end(ap);
	snprintf(f->details, sizeof(f->details), "%s", details ? details : "");
	return -EINVAL;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static void name_missing(char *buf, size_t size, const char *name)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, "%s%s", n ? ", " : "", name);
}

int params_read(unsigned int need, struct params *ret, struct failure *f)
{
	const char *override = env("CNI_NETNS_OVERRIDE");
	struct params p = {
		.container_id = env("CNI_CONTAINERID"),
		.netns = env("CNI_NETNS"),
		.ifname = env("CNI_IFNAME"),
		.args = env("CNI_ARGS"),
		.path = env("CNI_PATH"),
		.traceparent = env("TRACEPARENT"),
		.netns_override = !strcasecmp(override, "true") || !strcmp(override, "1"),
	};
	const struct {
		enum param bit;
		const char *name, *value;
	} all[] = {
		{ PARAM_CONTAINERID, "CNI_CONTAINERID", p.container_id },
		{ PARAM_NETNS, "CNI_NETNS", p.netns },
		{ PARAM_IFNAME, "CNI_IFNAME", p.ifname },
		{ PARAM_PATH, "CNI_PATH", p.path },
	};
	char missing[128] = "";

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if ((need & all[i].bit) && !*all[i].value)
			name_missing(missing, sizeof(missing), all[i].name);
	}
	if (*missing)
		return fail(f, CNI_BAD_ENV, NULL, "required environment variables missing: %s",
			    missing);
	if ((need & PARAM_CONTAINERID) && !cni_identifier_valid(p.container_id))
		return fail(f, CNI_BAD_ENV, "it has to match [a-zA-Z0-9][a-zA-Z0-9_.-]*",
			    "CNI_CONTAINERID: '%.64s' is no container id", p.container_id);
	if (strlen(p.container_id) > CNI_MAX_CONTAINER_ID)
		return fail(f, CNI_BAD_ENV, NULL, "CNI_CONTAINERID: longer than %d characters",
			    CNI_MAX_CONTAINER_ID);
	if ((need & PARAM_IFNAME) && !cni_ifname_valid(p.ifname))
		return fail(f, CNI_BAD_ENV,
			    "1 to 15 characters, no '/', ':' or blanks, and not '.' or '..'",
			    "CNI_IFNAME: '%.64s' is no interface name", p.ifname);
	if (strlen(p.netns) > CNI_MAX_PATH)
		return fail(f, CNI_BAD_ENV, NULL, "CNI_NETNS: longer than %d characters",
			    CNI_MAX_PATH);
	if ((need & PARAM_NETNS) && !utf8_valid(p.netns))
		return fail(f, CNI_BAD_ENV, "a result could not name it",
			    "CNI_NETNS: '%.200s' is not UTF-8", p.netns);
	*ret = p;
	return 0;
}

void network_config_clear(struct network_config *c)
{
	json_object_put(c->json);
	c->json = NULL;
}

static int parse_version(struct network_config *c, struct failure *f)
{
	static const char *const versions[] = CNI_VERSIONS;
	const char *v = "0.2.0"; /* what the specification says an absent one means */
	struct err e = {};

	if (json_opt_str(c->json, "cniVersion", &v, &e) < 0)
		return fail(f, CNI_DECODE, e.msg, "network configuration is malformed");
	for (int i = 0; i < CNI_N_VERSIONS; i++) {
		if (!strcmp(v, versions[i])) {
			c->version = i;
			return 0;
		}
	}
	return fail(f, CNI_BAD_VERSION, "this plugin supports 0.3.1, 0.4.0, 1.0.0 and 1.1.0",
		    "cniVersion '%.32s' is not supported", v);
}

static int parse_keys(struct network_config *c, struct failure *f)
{
	int64_t timeout_ms = DEFAULT_TIMEOUT_MS, status_wait_ms = DEFAULT_STATUS_WAIT_MS;
	const char *name = NULL;
	struct err e = {};

	/* Some callers inject the name only later; an absent one is no harm here. */
	if (json_opt_str(c->json, "name", &name, &e) < 0 ||
	    json_opt_str(c->json, "socket", &c->socket, &e) < 0 ||
	    json_opt_str(c->json, "spoolDir", &c->spool_dir, &e) < 0 ||
	    json_opt_int(c->json, "timeoutMs", 1, 600000, &timeout_ms, &e) < 0 ||
	    json_opt_int(c->json, "statusWaitMs", 0, 60000, &status_wait_ms, &e) < 0)
		return fail(f, CNI_BAD_CONFIG, e.msg, "network configuration is invalid");
	if (name && !cni_identifier_valid(name))
		return fail(f, CNI_BAD_CONFIG, "it has to match [a-zA-Z0-9][a-zA-Z0-9_.-]*",
			    "name: '%.64s' is no network name", name);
	if (c->socket[0] != '/' || c->spool_dir[0] != '/')
		return fail(f, CNI_BAD_CONFIG, NULL, "%s: '%.128s' is no absolute path",
			    c->socket[0] != '/' ? "socket" : "spoolDir",
			    c->socket[0] != '/' ? c->socket : c->spool_dir);
	c->timeout_ms = timeout_ms;
	c->status_wait_ms = status_wait_ms;
	return 0;
}

int network_config_parse(const char *text, size_t len, struct network_config *ret,
			 struct failure *f)
{
	struct err e = {};
	int err;

	*ret = (struct network_config){ .version = CNI_1_1_0,
					.socket = NETLOOM_CNI_SOCKET,
					.spool_dir = NETLOOM_CNI_SPOOL,
					.timeout_ms = DEFAULT_TIMEOUT_MS,
					.status_wait_ms = DEFAULT_STATUS_WAIT_MS };
	if (json_parse(text, len, &ret->json, &e) < 0)
		return fail(f, CNI_DECODE, e.msg, "network configuration is no JSON");
	if (!json_object_is_type(ret->json, json_type_object))
		return fail(f, CNI_DECODE, NULL, "network configuration: want an object, found %s",
			    json_type_word(ret->json));
	err = parse_version(ret, f);
	return err < 0 ? err : parse_keys(ret, f);
}
