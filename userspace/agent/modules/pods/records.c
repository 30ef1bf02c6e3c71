// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "pods"
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/db/db.h"
#include "agent/modules/pods/pods_int.h"
#include "agent/modules/pods/port_mappings.h"
#include "api/cni_spool.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/cni/cni_names.h"
#include "lib/json/json.h"
#include "lib/netlink/netns_path.h"

#define TABLE "attachments"

static const char *const state_names[] = { "adding", "up", "deleting" };

const char *attachment_state_name(enum attachment_state state)
{
	return state_names[state];
}

const char *attachment_key(const struct attachment *att, char *buf, size_t len)
{
	snprintf(buf, len, "%s/%s", att->container_id, att->ifname);
	return buf;
}

/* Namespaces do not outlive a boot, but their inode numbers come again. */
static const char *boot_id(void)
{
	static char id[64];
	FILE *f;

	if (*id)
		return id;
	f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!f || !fgets(id, sizeof(id), f))
		snprintf(id, sizeof(id), "unknown");
	if (f)
		fclose(f);
	id[strcspn(id, "\n")] = 0;
	return id;
}

void record_put(struct record *rec)
{
	struct request *r;

	if (!rec || --rec->refs > 0)
		return;
	while ((r = rec->waiting)) {
		rec->waiting = r->next;
		request_free(r);
	}
	free(rec->att.container_id);
	free(rec->att.ifname);
	free(rec->att.netns);
	free(rec->att.pod_namespace);
	free(rec->att.pod_name);
	free(rec->att.pod_uid);
	free(rec->att.ports);
	free(rec->network);
	free(rec->key);
	free(rec);
}
DEFINE_FREEP(struct record, record_put)

void record_remove(struct record *rec)
{
	if (!rec->listed)
		return;
	HASH_DEL(rec->pods->records, rec);
	rec->listed = false;
	record_put(rec);
}

static struct record *record_alloc(struct pods *p)
{
	struct record *rec = calloc(1, sizeof(*rec));

	if (rec) {
		rec->pods = p;
		rec->refs = 1;
	}
	return rec;
}

static char *copy(const char *s)
{
	return strdup(s ? s : "");
}

static int record_insert(struct pods *p, struct record *rec)
{
	char key[ATTACHMENT_KEY_MAX];
	struct attachment *att = &rec->att;
	struct record *other;

	if (!att->container_id || !att->ifname || !att->netns || !att->pod_namespace ||
	    !att->pod_name || !att->pod_uid || !rec->network)
		return -ENOMEM;
	rec->key = strdup(attachment_key(att, key, sizeof(key)));
	if (!rec->key)
		return -ENOMEM;
	HASH_FIND_STR(p->records, rec->key, other);
	if (other)
		return -EEXIST;
	HASH_ADD_KEYPTR(hh, p->records, rec->key, strlen(rec->key), rec);
	rec->listed = true;
	return 0;
}

int record_new(struct request *r, struct record **ret)
{
	_cleanup_(record_putp) struct record *rec = record_alloc(r->pods);
	int err;

	if (!rec)
		return -ENOMEM;
	rec->since_ms = clock_real_ms();
	rec->network = copy(r->config.network);
	rec->att = (struct attachment){
		.container_id = copy(r->container_id),
		.ifname = copy(r->ifname),
		.netns = copy(r->netns),
		.netns_dev = r->netns_dev,
		.netns_ino = r->netns_ino,
		.pod_namespace = copy(r->args.pod_namespace),
		.pod_name = copy(r->args.pod_name),
		.pod_uid = copy(r->args.pod_uid),
		.state = ATTACHMENT_ADDING,
		.ports = TAKE_PTR(r->config.ports),
		.n_ports = r->config.n_ports,
	};
	err = record_insert(r->pods, rec);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(rec);
	return 0;
}

struct record *record_find(struct pods *p, const char *container_id, const char *ifname)
{
	char key[ATTACHMENT_KEY_MAX];
	struct record *rec;

	snprintf(key, sizeof(key), "%s/%s", container_id, ifname);
	HASH_FIND_STR(p->records, key, rec);
	return rec;
}

/* ---- the local store ---- */

static void add_addr(struct json_object *o, const char *name, const union loom_addr *a)
{
	char text[ADDR_STRLEN];

	if (!addr_is_zero(a))
		json_add_str(o, name, addr_format(a, text));
}

static struct json_object *record_json(const struct record *rec)
{
	const struct attachment *att = &rec->att;
	struct json_object *o = json_object_new_object();
	char mac[MAC_STRLEN];

	json_add_str(o, "containerID", att->container_id);
	json_add_str(o, "ifname", att->ifname);
	json_add_str(o, "netns", att->netns);
	json_add_int(o, "netnsDev", att->netns_dev);
	json_add_int(o, "netnsIno", att->netns_ino);
	json_add_str(o, "boot", boot_id());
	json_add_str(o, "network", rec->network);
	json_add_str(o, "podNamespace", att->pod_namespace);
	json_add_str(o, "podName", att->pod_name);
	json_add_str(o, "podUID", att->pod_uid);
	json_add_str(o, "state", state_names[att->state]);
	json_add_int(o, "since", rec->since_ms);
	json_add_bool(o, "delivered", rec->delivered);
	add_addr(o, "ip4", &att->ips.ip4);
	add_addr(o, "ip6", &att->ips.ip6);
	json_add_str(o, "mac", mac_format(att->mac, mac));
	json_add_str(o, "hostMAC", mac_format(att->hmac, mac));
	json_add_str(o, "hostIfname", att->host_ifname);
	json_add_int(o, "hostIfindex", att->host_ifindex);
	json_add_int(o, "ep", att->ep);
	json_add_int(o, "mtu", att->mtu);
	if (att->n_ports)
		json_add(o, "portMappings", port_mappings_json(att->ports, att->n_ports));
	return o;
}

int record_save(struct record *rec, enum attachment_state state)
{
	_json_ *o = NULL;
	int err;

	if (rec->att.state != state)
		rec->since_ms = clock_real_ms();
	rec->att.state = state;
	o = record_json(rec);
	err = db_local_put(rec->pods->agent, TABLE, rec->key, json_text(o));
	if (!err)
		copy_save(rec->pods, rec->key, json_text(o));
	return err;
}

void record_forget(struct record *rec)
{
	int err;

	copy_forget(rec->pods, rec->key);
	err = db_local_del(rec->pods->agent, TABLE, rec->key);
	if (err < 0 && err != -ENOENT)
		log_error("attachment '%s' stays in the local store: %s", rec->key, strerror(-err));
}

static int read_str(struct json_object *o, const char *name, char **ret, struct err *e)
{
	const char *s = NULL;
	int err = json_get_str(o, name, &s, e);

	if (err < 0)
		return err;
	*ret = strdup(s);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_uint(struct json_object *o, const char *name, int64_t max, uint64_t *ret,
		     struct err *e)
{
	int64_t n;
	int err = json_get_int(o, name, 0, max, &n, e);

	if (!err)
		*ret = n;
	return err;
}

static int read_addr(struct json_object *o, const char *name, union loom_addr *ret, struct err *e)
{
	const char *s = NULL;
	int err = json_opt_str(o, name, &s, e);

	return err < 0 || !s ? err : addr_parse(s, ret, e);
}

static int read_mac(struct json_object *o, const char *name, uint8_t ret[6], struct err *e)
{
	const char *s = NULL;
	int err = json_get_str(o, name, &s, e);

	return err < 0 ? err : mac_parse(s, ret, e);
}

static int read_state(struct json_object *o, enum attachment_state *ret, struct err *e)
{
	const char *s = NULL;
	int err = json_get_str(o, "state", &s, e);

	if (err < 0)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (!strcmp(s, state_names[i])) {
			*ret = i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "state: '%s' is unknown", s);
}

static int read_numbers(struct json_object *o, struct record *rec, struct err *e)
{
	uint64_t ifindex = 0, ep = 0, mtu = 0;
	int err;

	if ((err = read_uint(o, "netnsDev", INT64_MAX, &rec->att.netns_dev, e)) < 0 ||
	    (err = read_uint(o, "netnsIno", INT64_MAX, &rec->att.netns_ino, e)) < 0 ||
	    (err = read_uint(o, "since", INT64_MAX, &rec->since_ms, e)) < 0 ||
	    (err = read_uint(o, "hostIfindex", INT32_MAX, &ifindex, e)) < 0 ||
	    (err = read_uint(o, "ep", UINT32_MAX, &ep, e)) < 0 ||
	    (err = read_uint(o, "mtu", UINT16_MAX, &mtu, e)) < 0)
		return err;
	rec->att.host_ifindex = ifindex;
	rec->att.ep = ep;
	rec->att.mtu = mtu;
	return 0;
}

static int read_ports(struct json_object *o, struct attachment *att, struct err *e)
{
	struct json_object *list = json_field(o, "portMappings");

	if (!list || port_mappings_parse(list, &att->ports, &att->n_ports, e) == 0)
		return 0;
	return err_set(e, e->code, "portMappings%s", strdupa(e->msg));
}

static int read_record(struct json_object *o, struct record *rec, struct err *e)
{
	struct attachment *att = &rec->att;
	const char *host_ifname = "", *boot = "";
	int err;

	if ((err = read_str(o, "containerID", &att->container_id, e)) < 0 ||
	    (err = read_str(o, "ifname", &att->ifname, e)) < 0 ||
	    (err = read_str(o, "netns", &att->netns, e)) < 0 ||
	    (err = read_str(o, "network", &rec->network, e)) < 0 ||
	    (err = read_str(o, "podNamespace", &att->pod_namespace, e)) < 0 ||
	    (err = read_str(o, "podName", &att->pod_name, e)) < 0 ||
	    (err = read_str(o, "podUID", &att->pod_uid, e)) < 0 ||
	    (err = read_state(o, &att->state, e)) < 0 || (err = read_numbers(o, rec, e)) < 0 ||
	    (err = json_get_bool(o, "delivered", &rec->delivered, e)) < 0 ||
	    (err = read_addr(o, "ip4", &att->ips.ip4, e)) < 0 ||
	    (err = read_addr(o, "ip6", &att->ips.ip6, e)) < 0 ||
	    (err = read_mac(o, "mac", att->mac, e)) < 0 ||
	    (err = read_mac(o, "hostMAC", att->hmac, e)) < 0 ||
	    (err = json_get_str(o, "hostIfname", &host_ifname, e)) < 0 ||
	    (err = json_get_str(o, "boot", &boot, e)) < 0 || (err = read_ports(o, att, e)) < 0)
		return err;
	if (!cni_identifier_valid(att->container_id) || !cni_ifname_valid(att->ifname) ||
	    strlen(att->container_id) > CNI_MAX_CONTAINER_ID ||
	    strlen(host_ifname) >= sizeof(att->host_ifname))
		return err_set(e, -EINVAL, "names are invalid");
	snprintf(att->host_ifname, sizeof(att->host_ifname), "%s", host_ifname);
	rec->leftover = att->state != ATTACHMENT_UP || strcmp(boot, boot_id()) != 0;
	return 0;
}

bool record_namespace_gone(const struct record *rec)
{
	const struct agent_config *cfg = agent_cfg(rec->pods->agent);
	const struct attachment *att = &rec->att;

	/* The kernel removes a veth pair with the namespace of either end, so a host link that is
	 * still there belongs to a living pod, whatever became of the path. */
	return if_nametoindex(att->host_ifname) == 0 &&
	       netns_path_gone(cfg->cni.netns_prefix, att->netns, att->netns_dev, att->netns_ino);
}

static int parse(struct pods *p, const char *key, const char *value, struct record **ret,
		 struct err *e)
{
	_cleanup_(record_putp) struct record *rec = record_alloc(p);
	char own[ATTACHMENT_KEY_MAX];
	_json_ *o = NULL;
	int err;

	if (!rec)
		return err_set(e, -ENOMEM, "out of memory");
	err = json_parse(value, strlen(value), &o, e);
	if (!err)
		err = read_record(o, rec, e);
	if (err < 0)
		return err;
	if (strcmp(attachment_key(&rec->att, own, sizeof(own)), key) != 0)
		return err_set(e, -EINVAL, "it is that of '%.200s'", own);
	*ret = TAKE_PTR(rec);
	return 0;
}

struct loading {
	struct pods *pods;
	size_t n; /* in the local store */
};

static int take(struct pods *p, const char *key, struct record *loaded)
{
	_cleanup_(record_putp) struct record *rec = loaded;

	if (!rec->leftover && record_namespace_gone(rec))
		rec->leftover = true;
	if (rec->leftover) {
		/* The first resync removes what it had on the node, like all that nobody wants. */
		log_info("attachment '%s' of pod '%s/%s' did not survive as it was (%s)", key,
			 rec->att.pod_namespace, rec->att.pod_name, state_names[rec->att.state]);
		rec->att.state = ATTACHMENT_DELETING;
		rec->att.host_ifname[0] = 0;
		rec->att.ep = 0;
	}
	if (record_insert(p, rec) < 0)
		return -ENOMEM;
	TAKE_PTR(rec);
	return 0;
}

static int load_one(const char *key, const char *value, void *arg)
{
	struct loading *l = arg;
	_cleanup_(freep) char *copy = NULL;
	struct record *rec = NULL;
	struct err e = {}, no_copy = {};

	l->n++;
	if (parse(l->pods, key, value, &rec, &e) < 0) {
		copy = copy_find(l->pods, key);
		if (!copy || parse(l->pods, key, copy, &rec, &no_copy) < 0) {
			log_error("local store: attachment '%s' is unreadable and left alone: %s",
				  key, e.msg);
			return 0;
		}
		log_error("local store: attachment '%s' is unreadable, and is as its copy says: %s",
			  key, e.msg);
	}
	return take(l->pods, key, rec);
}

static int load_copy(const char *key, const char *text, void *arg)
{
	struct pods *p = arg;
	struct record *rec = NULL;
	struct err e = {};
	int err;

	if (parse(p, key, text, &rec, &e) < 0) {
		log_error("copy of attachment '%s' is unreadable: %s", key, e.msg);
		return 0;
	}
	log_error("local store: attachment '%s' is not there, and is as its copy says", key);
	if (take(p, key, rec) < 0)
		return -ENOMEM;
	/* The other copies are no worse for it, and this one is still there. */
	err = db_local_put(p->agent, TABLE, key, text);
	if (err < 0)
		log_error("local store: attachment '%s': %s", key, strerror(-err));
	return 0;
}

int records_load(struct pods *p, struct err *e)
{
	struct loading l = { .pods = p };
	int err = db_local_foreach(p->agent, TABLE, load_one, &l);

	if (!err && !l.n && copies_foreach(p, load_copy, p) == -ENOMEM)
		err = -ENOMEM;
	return err < 0 ? err_errno(e, err, "local store: attachments") : 0;
}

int pods_foreach(struct agent *a, int (*fn)(const struct attachment *att, void *arg), void *arg)
{
	struct record *rec, *next;
	int err;

	HASH_ITER (hh, pods_get(a)->records, rec, next) {
		if (rec->att.state != ATTACHMENT_UP)
			continue;
		err = fn(&rec->att, arg);
		if (err)
			return err;
	}
	return 0;
}

const struct attachment *pods_find(struct agent *a, const char *key)
{
	struct record *rec;

	HASH_FIND_STR(pods_get(a)->records, key, rec);
	return rec ? &rec->att : NULL;
}

struct find_ip {
	const union loom_addr *addr;
	const struct attachment *found;
};

static int match_ip(const struct attachment *att, void *arg)
{
	struct find_ip *f = arg;

	if (!addr_equal(&att->ips.ip4, f->addr) && !addr_equal(&att->ips.ip6, f->addr))
		return 0;
	f->found = att;
	return 1;
}

const struct attachment *pods_find_ip(struct agent *a, const union loom_addr *addr)
{
	struct find_ip f = { .addr = addr };

	if (!addr_is_zero(addr))
		pods_foreach(a, match_ip, &f);
	return f.found;
}
