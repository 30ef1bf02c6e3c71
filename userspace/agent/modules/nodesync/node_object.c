// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/nodesync/node_object.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"
#include "shared/loom_limits.h"

static const struct prefix *containing(const struct config_prefixes *list,
				       const union loom_addr *addr)
{
	for (size_t i = 0; i < list->n; i++)
		if (prefix_contains(&list->v[i], addr))
			return &list->v[i];
	return NULL;
}

static bool is_unicast(const union loom_addr *a)
{
	if (addr_is_zero(a))
		return false;
	if (addr_is_v4(a))
		return a->b[12] != 127 && a->b[12] != 0 && a->b[12] < 224;
	return a->b[0] != 0xff && !(a->d[0] == 0 && a->w[2] == 0 && a->b[15] == 1);
}

static int parse_node_addr(const char *text, const struct config_prefixes *cluster,
			   union loom_addr *ret, struct err *e)
{
	union loom_addr a;
	int err = addr_parse(text, &a, e);

	if (err < 0)
		return err;
	if (!is_unicast(&a))
		return err_set(e, -EINVAL, "'%s': not a unicast address", text);
	if (containing(cluster, &a))
		return err_set(e, -EINVAL, "'%s': lies in cluster.podCIDRs", text);
	*ret = a;
	return 0;
}

static int element(struct json_object *array, size_t i, const char **ret, struct err *e)
{
	struct json_object *item = json_object_array_get_idx(array, i);

	if (!json_object_is_type(item, json_type_string))
		return err_set(e, -EINVAL, "want a string, found %s", json_type_word(item));
	*ret = json_object_get_string(item);
	return 0;
}

static int parse_addrs(struct json_object *obj, const struct config_prefixes *cluster,
		       struct node_info *ret, struct err *e)
{
	struct json_object *array;
	const char *text;
	int err = json_get_array(obj, "addresses", &array, e);

	if (err < 0)
		return err;
	if (json_object_array_length(array) > NODE_MAX_ADDRS)
		return err_set(e, -EINVAL, "addresses: more than %d", NODE_MAX_ADDRS);
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		err = element(array, i, &text, e);
		if (!err)
			err = parse_node_addr(text, cluster, &ret->addrs[i], e);
		if (err < 0)
			return err_prefix(e, "addresses[%zu]", i), err;
		ret->n_addrs++;
	}
	return 0;
}

static int parse_cidrs(struct json_object *array, const char *field,
		       const struct config_prefixes *cluster, struct prefix ret[NODE_MAX_CIDRS],
		       size_t *ret_n, struct err *e)
{
	struct prefix p[NODE_MAX_CIDRS];
	size_t n = json_object_array_length(array);
	const char *text;

	if (n > NODE_MAX_CIDRS)
		return err_set(e, -EINVAL, "%s: more than %d", field, NODE_MAX_CIDRS);
	for (size_t i = 0; i < n; i++) {
		const struct prefix *in;
		int err = element(array, i, &text, e);

		if (!err)
			err = prefix_parse(text, &p[i], e);
		if (err < 0)
			return err_prefix(e, "%s[%zu]", field, i), err;
		in = containing(cluster, &p[i].addr);
		if (!in || in->len > p[i].len)
			return err_set(e, -EINVAL,
				       "%s[%zu]: '%s' is not inside of cluster.podCIDRs", field, i,
				       text);
		if (i && addr_is_v4(&p[0].addr) == addr_is_v4(&p[i].addr))
			return err_set(e, -EINVAL, "%s[%zu]: '%s' is the second of its family",
				       field, i, text);
	}
	memcpy(ret, p, n * sizeof(*p));
	*ret_n = n;
	return 0;
}

static int parse_transport(struct json_object *obj, struct node_info *ret, struct err *e)
{
	const char *word;
	int err = json_get_str(obj, "transport", &word, e);

	if (err < 0)
		return err;
	ret->tunnel = strcmp(word, "vxlan") == 0;
	if (!ret->tunnel && strcmp(word, "native") != 0)
		return err_set(e, -EINVAL, "transport: '%.32s' is neither vxlan nor native", word);
	return 0;
}

static int parse_identity(struct json_object *obj, const char *name, struct node_info *ret,
			  struct err *e)
{
	const char *text;
	int64_t id;
	int err = json_get_int(obj, "id", 1, LOOM_MAX_NODES - 1, &id, e);

	if (!err)
		err = json_get_str(obj, "name", &text, e);
	if (err < 0)
		return err;
	if (strcmp(text, name) != 0)
		return err_set(e, -EINVAL, "name: '%.64s' differs from the key's", text);
	ret->id = id;
	return 0;
}

int node_info_parse(struct json_object *obj, const char *name,
		    const struct config_prefixes *cluster, struct node_info *ret, struct err *e)
{
	const char *underlay, *version = "", *started = "";
	struct node_info info = {};
	struct json_object *cidrs;
	int err;

	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	err = parse_identity(obj, name, &info, e);
	if (!err)
		err = parse_addrs(obj, cluster, &info, e);
	if (!err)
		err = json_get_array(obj, "podCIDRs", &cidrs, e);
	if (!err)
		err = parse_cidrs(cidrs, "podCIDRs", cluster, info.cidrs, &info.n_cidrs, e);
	if (!err)
		err = parse_transport(obj, &info, e);
	if (!err)
		err = json_get_str(obj, "underlay", &underlay, e);
	if (err < 0)
		return err;
	err = parse_node_addr(underlay, cluster, &info.underlay, e);
	if (err < 0)
		return err_prefix(e, "underlay"), err;
	err = json_opt_str(obj, "version", &version, e);
	if (!err)
		err = json_opt_str(obj, "started", &started, e);
	if (err < 0)
		return err;
	snprintf(info.version, sizeof(info.version), "%s", version);
	snprintf(info.started, sizeof(info.started), "%s", started);
	*ret = info;
	return 0;
}

struct json_object *node_info_json(const struct node_info *info, const char *name)
{
	struct json_object *o = json_object_new_object(), *addrs = json_object_new_array(),
			   *cidrs = json_object_new_array();
	char text[PREFIX_STRLEN];

	if (!o || !addrs || !cidrs) {
		json_object_put(o);
		json_object_put(addrs);
		json_object_put(cidrs);
		return NULL;
	}
	for (size_t i = 0; i < info->n_addrs; i++)
		json_append_str(addrs, addr_format(&info->addrs[i], text));
	for (size_t i = 0; i < info->n_cidrs; i++)
		json_append_str(cidrs, prefix_format(&info->cidrs[i], text));
	json_add_int(o, "id", info->id);
	json_add_str(o, "name", name);
	json_add(o, "addresses", addrs);
	json_add(o, "podCIDRs", cidrs);
	json_add_str(o, "underlay", addr_format(&info->underlay, text));
	json_add_str(o, "transport", info->tunnel ? "vxlan" : "native");
	json_add_str(o, "version", info->version);
	json_add_str(o, "started", info->started);
	return o;
}

/* ---- pod CIDRs ---- */

static unsigned int block_bits(const struct prefix *p, unsigned int block)
{
	unsigned int len = prefix_family_len(p);

	return block > len ? MIN(block - len, 31u) : 0;
}

int node_cidrs_by_id(const struct config_prefixes *cluster, unsigned int block4,
		     unsigned int block6, uint32_t id, struct prefix ret[NODE_MAX_CIDRS],
		     size_t *ret_n, struct err *e)
{
	struct prefix p[NODE_MAX_CIDRS];
	char text[PREFIX_STRLEN];

	if (cluster->n > NODE_MAX_CIDRS)
		return err_set(e, -EINVAL, "cluster.podCIDRs: more than %d", NODE_MAX_CIDRS);
	for (size_t i = 0; i < cluster->n; i++) {
		const struct prefix *c = &cluster->v[i];
		unsigned int block = addr_is_v4(&c->addr) ? block4 : block6;
		uint32_t n = 1u << block_bits(c, block);
		int err;

		if (id > n)
			return err_set(e, -ERANGE, "node id %u: '%s' has only %u blocks of /%u", id,
				       prefix_format(c, text), n, block);
		err = prefix_block(c, block, id == n ? 0 : id, &p[i], e);
		if (err < 0)
			return err;
	}
	memcpy(ret, p, cluster->n * sizeof(*p));
	*ret_n = cluster->n;
	return 0;
}

uint32_t node_max_id(const struct config_prefixes *cluster, unsigned int block4,
		     unsigned int block6)
{
	uint32_t max = LOOM_MAX_NODES - 1;

	for (size_t i = 0; i < cluster->n; i++) {
		const struct prefix *c = &cluster->v[i];

		max = MIN(max, 1u << block_bits(c, addr_is_v4(&c->addr) ? block4 : block6));
	}
	return max;
}

int node_cidrs_from_k8s(struct json_object *node, const struct config_prefixes *cluster,
			struct prefix ret[NODE_MAX_CIDRS], size_t *ret_n, struct err *e)
{
	_json_ *one = NULL;
	struct json_object *array = NULL;
	const char *single = NULL;
	int err = json_opt_array(node, "spec.podCIDRs", &array, e);

	if (!err && !array)
		err = json_opt_str(node, "spec.podCIDR", &single, e);
	if (err < 0)
		return err;
	if (!array && single) {
		one = json_object_new_array();
		if (!one || json_append_str(one, single) < 0)
			return err_errno(e, -ENOMEM, "spec.podCIDR");
		array = one;
	}
	if (!array || !json_object_array_length(array))
		return err_set(e, -ENOENT, "spec.podCIDRs: not assigned yet");
	return parse_cidrs(array, "spec.podCIDRs", cluster, ret, ret_n, e);
}
