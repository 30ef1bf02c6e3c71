// SPDX-License-Identifier: Apache-2.0
/*
 * What a runtime writes: network configurations with previous results and attachment lists, read by
 * the agent and by the binary, and CNI_ARGS. The first byte picks the verb.
 */
#include <string.h>

#include "agent/modules/pods/cni_config.h"
#include "agent/modules/pods/port_mappings.h"
#include "cni/params.h"
#include "lib/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct attachment some_attachment(void)
{
	struct attachment att = {
		.container_id = "c1",
		.ifname = "eth0",
		.netns = "/run/netns/x",
		.mac = { 2, 0xfe, 0, 0, 0, 1 },
		.host_ifname = "nl0123456789ab",
		.mtu = 1450,
	};

	addr_from_v4(0x0a010102, &att.ips.ip4);
	addr_parse("fd00::2", &att.ips.ip6, NULL);
	return att;
}

/* What was accepted is kept, and has to be read again after a restart as it was. */
static void keep_ports(const struct cni_config *c)
{
	struct json_object *kept = port_mappings_json(c->ports, c->n_ports);
	struct port_mapping *again = NULL;
	size_t n = 0;

	if (port_mappings_parse(kept, &again, &n, NULL) < 0 || n != c->n_ports)
		abort();
	for (size_t i = 0; i < n; i++) {
		const struct port_mapping *a = &c->ports[i], *b = &again[i];

		if (!a->host_port || !a->container_port || a->host_port != b->host_port ||
		    a->container_port != b->container_port || a->proto != b->proto ||
		    !addr_equal(&a->host_ip, &b->host_ip))
			abort();
	}
	if (n && !port_mappings_clash(again, n, c->ports, n))
		abort();
	free(again);
	json_object_put(kept);
}

static void agent_side(const uint8_t *data, size_t size, enum cni_verb verb)
{
	struct attachment att = some_attachment();
	struct cni_config c = {};
	struct cni_error f;

	if (cni_config_parse(data, size, verb, &c, &f) < 0)
		return;
	if (verb == CNI_ADD)
		json_object_put(cni_result_new(&c, &att));
	if (c.prev_result)
		cni_result_compare(&c, &att, &f);
	keep_ports(&c);
	cni_config_is_valid(&c, "c1", "eth0");
	cni_config_clear(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct network_config c = {};
	struct cni_args args = {};
	struct cni_error error;
	struct failure f;
	char *text, shown[300];

	if (size == 0)
		return 0;
	agent_side(data + 1, size - 1, data[0] % CNI_N_VERBS);
	network_config_parse((const char *)data + 1, size - 1, &c, &f);
	network_config_clear(&c);

	text = strndup((const char *)data + 1, size - 1);
	if (cni_args_parse(text, &args, &error) == 0)
		cni_args_clear(&args);
	/* Whatever is quoted in an answer. */
	if (!utf8_valid(utf8_escape(text, shown, sizeof(shown))) ||
	    (utf8_valid(text) && strncmp(text, shown, strlen(shown)) != 0))
		abort();
	free(text);
	return 0;
}
