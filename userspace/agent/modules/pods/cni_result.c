// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/pods/cni_config.h"
#include "api/paths.h"
#include "lib/json/json.h"

static struct json_object *copy_or_new(struct json_object *parent, const char *name,
				       struct json_object *(*make)(void))
{
	struct json_object *from = json_field(parent, name), *copy = NULL;

	if (from && json_object_deep_copy(from, &copy, NULL) == 0)
		return copy;
	return make();
}

static struct json_object *new_array(void)
{
	return json_object_new_array();
}

static struct json_object *interface_new(const char *name, const uint8_t mac[6],
					 const char *sandbox, unsigned int mtu)
{
	struct json_object *o = json_object_new_object();
	char text[MAC_STRLEN];

	json_add_str(o, "name", name);
	json_add_str(o, "mac", mac_format(mac, text));
	if (mtu)
		json_add_int(o, "mtu", mtu);
	if (sandbox)
		json_add_str(o, "sandbox", sandbox);
	return o;
}

/* Host routes on a link of its own: the prefix is always the whole address. */
static void address_text(const union loom_addr *a, char *ret, size_t size)
{
	char text[ADDR_STRLEN];

	snprintf(ret, size, "%s/%d", addr_format(a, text), addr_is_v4(a) ? 32 : 128);
}

static void add_family(const struct cni_config *c, const union loom_addr *a, size_t interface,
		       struct json_object *ips, struct json_object *routes)
{
	const char *gateway = addr_is_v4(a) ? NETLOOM_GATEWAY4 : NETLOOM_GATEWAY6;
	struct json_object *ip, *route;
	char text[PREFIX_STRLEN];

	if (addr_is_zero(a))
		return;
	ip = json_object_new_object();
	if (c->version < CNI_1_0_0)
		json_add_str(ip, "version", addr_is_v4(a) ? "4" : "6");
	json_add_int(ip, "interface", interface);
	address_text(a, text, sizeof(text));
	json_add_str(ip, "address", text);
	json_add_str(ip, "gateway", gateway);
	json_append(ips, ip);

	route = json_object_new_object();
	json_add_str(route, "dst", addr_is_v4(a) ? "0.0.0.0/0" : "::/0");
	json_add_str(route, "gw", gateway);
	json_append(routes, route);
}

struct json_object *cni_result_new(const struct cni_config *c, const struct attachment *att)
{
	static const char *const versions[] = CNI_VERSIONS;
	_json_ *o = json_object_new_object();
	struct json_object *interfaces = copy_or_new(c->prev_result, "interfaces", new_array);
	struct json_object *ips = copy_or_new(c->prev_result, "ips", new_array);
	struct json_object *routes = copy_or_new(c->prev_result, "routes", new_array);
	struct json_object *dns = c->prev_result && json_field(c->prev_result, "dns")
					  ? json_field(c->prev_result, "dns")
					  : c->dns;
	unsigned int mtu = c->version >= CNI_1_1_0 ? att->mtu : 0;
	size_t index;

	json_append(interfaces, interface_new(att->host_ifname, att->hmac, NULL, mtu));
	json_append(interfaces, interface_new(att->ifname, att->mac, att->netns, mtu));
	index = json_object_array_length(interfaces) - 1;
	add_family(c, &att->ips.ip4, index, ips, routes);
	add_family(c, &att->ips.ip6, index, ips, routes);

	if (json_add_str(o, "cniVersion", versions[c->version]) < 0 ||
	    json_add(o, "interfaces", interfaces) < 0 || json_add(o, "ips", ips) < 0 ||
	    json_add(o, "routes", routes) < 0 ||
	    json_add(o, "dns", dns ? json_object_get(dns) : json_object_new_object()) < 0)
		return NULL;
	return TAKE_PTR(o);
}

/* Index of the pod's interface, or -1. */
static int find_interface(struct json_object *interfaces, const struct attachment *att)
{
	for (size_t i = 0; interfaces && i < json_object_array_length(interfaces); i++) {
		struct json_object *o = json_object_array_get_idx(interfaces, i);
		const char *name = "", *sandbox = "";

		json_opt_str(o, "name", &name, NULL);
		json_opt_str(o, "sandbox", &sandbox, NULL);
		if (*sandbox && !strcmp(name, att->ifname))
			return i;
	}
	return -1;
}

static int compare_address(struct json_object *ips, int index, const union loom_addr *a,
			   struct cni_error *f)
{
	char text[ADDR_STRLEN];

	if (addr_is_zero(a))
		return 0;
	for (size_t i = 0; ips && i < json_object_array_length(ips); i++) {
		struct json_object *ip = json_object_array_get_idx(ips, i);
		int64_t interface = index;
		const char *address = "";
		struct prefix p;

		json_opt_str(ip, "address", &address, NULL);
		json_opt_int(ip, "interface", 0, INT32_MAX, &interface, NULL);
		if (prefix_parse_host(address, &p, NULL) == 0 && addr_equal(&p.addr, a) &&
		    interface == index)
			return 0;
	}
	return cni_fail(f, CNI_CHECK_FAILED, NULL, "prevResult: ips: %s of the pod is missing",
			addr_format(a, text));
}

int cni_result_compare(const struct cni_config *c, const struct attachment *att,
		       struct cni_error *f)
{
	struct json_object *interfaces = json_field(c->prev_result, "interfaces");
	struct json_object *ips = json_field(c->prev_result, "ips");
	int index = find_interface(interfaces, att);
	const char *text = "";
	uint8_t mac[6];

	if (index < 0)
		return cni_fail(f, CNI_CHECK_FAILED, NULL,
				"prevResult: interfaces: %s of the pod is missing", att->ifname);
	json_opt_str(json_object_array_get_idx(interfaces, index), "mac", &text, NULL);
	if (*text && (mac_parse(text, mac, NULL) < 0 || memcmp(mac, att->mac, 6)))
		return cni_fail(f, CNI_CHECK_FAILED, NULL,
				"prevResult: interfaces[%d]: mac: '%.32s' is not the pod's", index,
				text);
	if (compare_address(ips, index, &att->ips.ip4, f) < 0)
		return -EINVAL;
	return compare_address(ips, index, &att->ips.ip6, f);
}
