// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "pods"
#include <stdio.h>
#include <string.h>

#include "agent/modules/db/db.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/pods/pods_int.h"
#include "api/etcd_keys.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

/* False for attachments that no pod is known of. */
static bool endpoint_key(const struct attachment *att, char *ret, size_t size)
{
	snprintf(ret, size, KEY_ENDPOINT "%s/%s", att->pod_namespace, att->pod_name);
	return *att->pod_namespace && *att->pod_name;
}

static void add_ip(struct json_object *ips, const union loom_addr *a)
{
	char text[ADDR_STRLEN];

	if (!addr_is_zero(a))
		json_append_str(ips, addr_format(a, text));
}

/* Of all interfaces that the container has, or those of the one before would be nobody's. */
static void add_ips(struct json_object *ips, const struct record *rec)
{
	const struct record *other, *next;

	HASH_ITER (hh, rec->pods->records, other, next) {
		const struct attachment *att = &other->att;

		if (att->state != ATTACHMENT_UP ||
		    strcmp(att->container_id, rec->att.container_id) != 0)
			continue;
		add_ip(ips, &att->ips.ip4);
		add_ip(ips, &att->ips.ip6);
	}
}

void publish_record(struct record *rec)
{
	const struct attachment *att = &rec->att;
	_json_ *o = json_object_new_object();
	struct json_object *ips = json_object_new_array();
	char key[640], mac[MAC_STRLEN];
	int err;

	if (!endpoint_key(att, key, sizeof(key))) {
		json_object_put(ips);
		return;
	}
	add_ips(ips, rec);
	json_add_str(o, "node", nodesync_self(rec->pods->agent)->name);
	json_add(o, "ips", ips);
	json_add_str(o, "mac", mac_format(att->mac, mac));
	json_add_str(o, "containerID", att->container_id);
	json_add_str(o, "uid", att->pod_uid);
	json_add_int(o, "since", rec->since_ms);
	err = db_publish(rec->pods->agent, key, json_text(o));
	if (err < 0)
		log_warn("'%s' is not published: %s", key, strerror(-err));
}

/* A pod of the same name may live already, in another container: then the key is that one's. */
void unpublish_record(struct record *rec)
{
	const struct attachment *att = &rec->att;
	struct record *other, *next;
	char key[640];

	if (!endpoint_key(att, key, sizeof(key)))
		return;
	HASH_ITER (hh, rec->pods->records, other, next) {
		if (other != rec && other->att.state == ATTACHMENT_UP &&
		    !strcmp(other->att.pod_name, att->pod_name) &&
		    !strcmp(other->att.pod_namespace, att->pod_namespace)) {
			publish_record(other);
			return;
		}
	}
	db_unpublish(rec->pods->agent, key);
}
