// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/pods/port_mappings.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json/json.h"

static const struct {
	const char *name;
	uint8_t proto;
} protocols[] = {
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "sctp", IPPROTO_SCTP },
};

const char *port_mapping_proto(const struct port_mapping *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].proto == m->proto)
			return protocols[i].name;
	return "?";
}

static int parse_proto(const char *s, uint8_t *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (strcasecmp(s, protocols[i].name))
			continue;
		*ret = protocols[i].proto;
		return 0;
	}
	return err_set(e, -EINVAL, "protocol: '%.32s' is none of tcp, udp, sctp", s);
}

/* Which "all addresses" was said; 0: one address. */
enum family { FAMILY_V4 = 1 << 0, FAMILY_V6 = 1 << 1, FAMILY_BOTH = FAMILY_V4 | FAMILY_V6 };

static int parse_host_ip(const char *s, union loom_addr *ret, unsigned int *ret_all, struct err *e)
{
	union loom_addr a;

	*ret_all = FAMILY_BOTH;
	if (!*s)
		return 0;
	if (addr_parse(s, &a, e) < 0)
		return err_prefix(e, "hostIP");
	if (addr_is_zero(&a)) {
		*ret_all = addr_is_v4(&a) ? FAMILY_V4 : FAMILY_V6;
		return 0;
	}
	*ret_all = 0;
	*ret = a;
	return 0;
}

static int parse_one(struct json_object *o, struct port_mapping *ret, unsigned int *ret_all,
		     struct err *e)
{
	const char *proto = "tcp", *host_ip = "";
	int64_t host_port = 0, container_port;
	struct port_mapping m = {};

	if (!json_object_is_type(o, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(o));
	if (json_opt_int(o, "hostPort", 0, 65535, &host_port, e) < 0)
		return -EINVAL;
	if (!host_port) {
		*ret = m;
		return 0;
	}
	if (json_get_int(o, "containerPort", 1, 65535, &container_port, e) < 0 ||
	    json_opt_str(o, "protocol", &proto, e) < 0 ||
	    json_opt_str(o, "hostIP", &host_ip, e) < 0 || parse_proto(proto, &m.proto, e) < 0 ||
	    parse_host_ip(host_ip, &m.host_ip, ret_all, e) < 0)
		return -EINVAL;
	m.host_port = host_port;
	m.container_port = container_port;
	*ret = m;
	return 0;
}

static bool clash(const struct port_mapping *a, const struct port_mapping *b)
{
	return a->proto == b->proto && a->host_port == b->host_port &&
	       (addr_is_zero(&a->host_ip) || addr_is_zero(&b->host_ip) ||
		addr_equal(&a->host_ip, &b->host_ip));
}

const struct port_mapping *port_mappings_clash(const struct port_mapping *a, size_t n_a,
					       const struct port_mapping *b, size_t n_b)
{
	for (size_t i = 0; i < n_a; i++)
		for (size_t j = 0; j < n_b; j++)
			if (clash(&a[i], &b[j]))
				return &a[i];
	return NULL;
}

/* The API lets a pod have a port on all addresses, and the same on one of them for another. */
static size_t find_same(const struct port_mapping *m, const struct port_mapping *before, size_t n)
{
	size_t i = 0;

	while (i < n && !(clash(m, &before[i]) && addr_equal(&m->host_ip, &before[i].host_ip)))
		i++;
	return i;
}

/*
 * "0.0.0.0" and "::" to one port of the container are the two halves of what one of them says
 * already; anything else that wants a port a second time is a mistake.
 */
static int parse_all(struct json_object *list, size_t len, struct port_mapping *ret, size_t *ret_n,
		     struct err *e)
{
	unsigned int seen[PORT_MAPPINGS_MAX] = {};
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		struct port_mapping *m = &ret[n];
		unsigned int all = 0;
		size_t same;

		if (parse_one(json_object_array_get_idx(list, i), m, &all, e) < 0)
			return err_prefix(e, "[%zu]", i);
		if (!m->host_port)
			continue;
		same = find_same(m, ret, n);
		if (same < n &&
		    (!all || (seen[same] & all) || ret[same].container_port != m->container_port))
			return err_set(e, -EINVAL, "[%zu]: hostPort %u/%s is asked for twice", i,
				       m->host_port, port_mapping_proto(m));
		seen[same] |= all;
		n += same == n;
	}
	*ret_n = n;
	return 0;
}

int port_mappings_parse(struct json_object *list, struct port_mapping **ret, size_t *ret_n,
			struct err *e)
{
	_cleanup_(freep) struct port_mapping *m = NULL;
	size_t len, n = 0;

	if (!json_object_is_type(list, json_type_array))
		return err_set(e, -EINVAL, ": want an array, found %s", json_type_word(list));
	len = json_object_array_length(list);
	if (len > PORT_MAPPINGS_MAX)
		return err_set(e, -EINVAL, ": %zu entries; at most %d", len, PORT_MAPPINGS_MAX);
	m = calloc(len ?: 1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, ": out of memory");
	if (parse_all(list, len, m, &n, e) < 0)
		return -EINVAL;
	*ret = n ? TAKE_PTR(m) : NULL;
	*ret_n = n;
	return 0;
}

static struct json_object *one_json(const struct port_mapping *m)
{
	struct json_object *o = json_object_new_object();
	char text[ADDR_STRLEN];

	json_add_int(o, "hostPort", m->host_port);
	json_add_int(o, "containerPort", m->container_port);
	json_add_str(o, "protocol", port_mapping_proto(m));
	if (!addr_is_zero(&m->host_ip))
		json_add_str(o, "hostIP", addr_format(&m->host_ip, text));
	return o;
}

struct json_object *port_mappings_json(const struct port_mapping *m, size_t n)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < n; i++)
		json_append(list, one_json(&m[i]));
	return list;
}
