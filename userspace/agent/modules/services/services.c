// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "services"
#include "agent/modules/services/services.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/db/db.h"
#include "agent/modules/modules.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/pods/pods.h"
#include "agent/modules/services/health.h"
#include "agent/modules/services/private.h"
#include "agent/modules/uplink/uplink.h"
#include "api/etcd_keys.h"
#include "lib/base/log.h"
#include "lib/json/json.h"
#include "shared/loom_config.h"

#define KEY_SERVICE KEY_K8S "service/"
#define KEY_SLICE   KEY_K8S "endpointslice/"
/* A packet that has read a frontend has long read its slot by then. */
#define FREE_MS 50

struct services *services_get(struct agent *a)
{
	return module_state(a, &services_module);
}

/* ---- the objects ---- */

static struct service *service_find(struct services *s, const char *name)
{
	struct service *svc;

	HASH_FIND_STR(s->all, name, svc);
	if (svc)
		return svc;
	svc = calloc(1, sizeof(*svc));
	if (!svc)
		return NULL;
	svc->name = strdup(name);
	if (!svc->name) {
		free(svc);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, s->all, svc->name, strlen(svc->name), svc);
	return svc;
}

static void mark(struct services *s, struct service *svc)
{
	if (!svc || svc->dirty)
		return;
	svc->dirty = true;
	svc->next_dirty = s->dirty;
	s->dirty = svc;
}

static void drop_slice(struct services *s, struct slice *sl)
{
	struct slice **at;

	for (at = sl->service ? &sl->service->slices : NULL; at && *at; at = &(*at)->next)
		if (*at == sl) {
			*at = sl->next;
			break;
		}
	mark(s, sl->service);
	HASH_DEL(s->slices, sl);
	slice_object_free(sl->obj);
	free(sl->key);
	free(sl);
}

static int set_service(struct services *s, const char *name, struct json_object *obj)
{
	struct service_object *read = obj ? service_object_new(obj) : NULL;
	struct service *svc = service_find(s, name);

	if (!svc || (obj && !read)) {
		service_object_free(read);
		return -ENOMEM;
	}
	service_object_free(svc->obj);
	svc->obj = read;
	for (size_t i = 0; read && i < read->problems.n; i++)
		log_limited(LOG_LVL_WARN, 10, "service '%s': %s", name, read->problems.v[i]);
	mark(s, svc);
	return 0;
}

static struct service *service_of(struct services *s, const char *key, const char *service)
{
	const char *slash = strchr(key, '/');
	char name[600];

	if (!slash || !*service)
		return NULL;
	snprintf(name, sizeof(name), "%.*s/%s", (int)(slash - key), key, service);
	return service_find(s, name);
}

static int set_slice(struct services *s, const char *key, struct json_object *obj)
{
	struct slice_object *read;
	struct slice *sl;

	HASH_FIND_STR(s->slices, key, sl);
	if (sl)
		drop_slice(s, sl);
	if (!obj)
		return 0;
	read = slice_object_new(obj);
	sl = calloc(1, sizeof(*sl));
	if (!read || !sl || !(sl->key = strdup(key))) {
		slice_object_free(read);
		free(sl);
		return -ENOMEM;
	}
	sl->obj = read;
	sl->service = service_of(s, key, read->service);
	for (size_t i = 0; i < read->problems.n; i++)
		log_limited(LOG_LVL_WARN, 10, "endpoint slice '%s': %s", key, read->problems.v[i]);
	if (sl->service) {
		sl->next = sl->service->slices;
		sl->service->slices = sl;
		mark(s, sl->service);
	}
	HASH_ADD_KEYPTR(hh, s->slices, sl->key, strlen(sl->key), sl);
	return 0;
}

/* ---- hostPorts ---- */

static struct service_object *host_ports_of(const struct attachment *att)
{
	struct service_object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->ports = calloc(att->n_ports, sizeof(*o->ports));
	if (!o->ports) {
		free(o);
		return NULL;
	}
	o->type = "HostPort";
	o->created = "";
	o->host_ports = true;
	o->local_out = true;
	o->families[0] = !addr_is_zero(&att->ips.ip4);
	o->families[1] = !addr_is_zero(&att->ips.ip6);
	for (size_t i = 0; i < att->n_ports; i++)
		o->ports[o->n_ports++] =
			(struct service_port){ .name = "",
					       .port = att->ports[i].container_port,
					       .node_port = att->ports[i].host_port,
					       .proto = att->ports[i].proto,
					       .host_ip = att->ports[i].host_ip };
	return o;
}

/* The pod as the one endpoint of its hostPorts, one slice a family. */
static struct slice_object *pod_slice(const struct services *s, const struct attachment *att,
				      int family)
{
	struct slice_object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->family = family;
	o->service = "";
	o->endpoints = calloc(1, sizeof(*o->endpoints));
	o->ports = calloc(att->n_ports, sizeof(*o->ports));
	if (!o->endpoints || !o->ports) {
		slice_object_free(o);
		return NULL;
	}
	o->endpoints[0] = (struct endpoint){ .addr = family ? att->ips.ip6 : att->ips.ip4,
					     .node = agent_cfg(s->agent)->node_name,
					     .zone = "",
					     .pod_namespace = "",
					     .pod = "",
					     .ready = true,
					     .serving = true };
	o->n_endpoints = 1;
	for (size_t i = 0; i < att->n_ports; i++)
		o->ports[o->n_ports++] = (struct endpoint_port){ "", att->ports[i].container_port,
								 att->ports[i].proto };
	return o;
}

static void host_ports_name(const struct attachment *att, char *buf, size_t len)
{
	char key[300];

	snprintf(buf, len, "hostport:%s/%s:%s", att->pod_namespace, att->pod_name,
		 attachment_key(att, key, sizeof(key)));
}

static void drop_service_slices(struct services *s, struct service *svc)
{
	while (svc->slices)
		drop_slice(s, svc->slices);
}

static int set_host_ports(struct services *s, const struct attachment *att, bool there)
{
	char name[900], key[1000];
	struct service *svc;

	if (!att->n_ports)
		return 0;
	host_ports_name(att, name, sizeof(name));
	svc = service_find(s, name);
	if (!svc)
		return -ENOMEM;
	drop_service_slices(s, svc);
	service_object_free(svc->obj);
	svc->obj = there ? host_ports_of(att) : NULL;
	mark(s, svc);
	for (int family = 0; there && family < 2; family++) {
		struct slice *sl = calloc(1, sizeof(*sl));

		snprintf(key, sizeof(key), "%s/%d", name, family);
		if (!sl || !(sl->key = strdup(key)) || !(sl->obj = pod_slice(s, att, family))) {
			if (sl)
				free(sl->key);
			free(sl);
			return -ENOMEM;
		}
		sl->service = svc;
		sl->next = svc->slices;
		svc->slices = sl;
		HASH_ADD_KEYPTR(hh, s->slices, sl->key, strlen(sl->key), sl);
	}
	return 0;
}

static int each_host_ports(const struct attachment *att, void *arg)
{
	return set_host_ports(arg, att, true);
}

/* ---- where this is ---- */

struct own_question {
	const union loom_addr *addr;
	bool found;
};

static int same_address(const union loom_addr *addr, void *arg)
{
	struct own_question *q = arg;

	q->found = addr_equal(addr, q->addr);
	return q->found;
}

static bool is_own(const union loom_addr *addr, void *arg)
{
	struct own_question q = { .addr = addr };
	struct services *s = arg;

	uplink_host_addresses(s->agent, same_address, &q);
	return q.found;
}

static uint32_t node_id(const char *node, void *arg)
{
	struct services *s = arg;
	char key[300];
	int64_t id = 0;

	if (strcmp(node, agent_cfg(s->agent)->node_name) == 0)
		return nodesync_self(s->agent)->id;
	snprintf(key, sizeof(key), KEY_NODE "%s", node);
	json_opt_int(db_get(s->agent, key), "id", 0, UINT32_MAX, &id, NULL);
	return id;
}

/* True when the node's zone is another one than before. */
static bool read_zone(struct services *s)
{
	struct json_object *labels, *zone;
	char key[300], before[sizeof(s->zone)];

	memcpy(before, s->zone, sizeof(before));
	snprintf(key, sizeof(key), KEY_K8S_NODE "%s", agent_cfg(s->agent)->node_name);
	labels = json_path(db_get(s->agent, key), "metadata.labels");
	zone = labels ? json_field(labels, "topology.kubernetes.io/zone") : NULL;
	snprintf(s->zone, sizeof(s->zone), "%s",
		 json_object_is_type(zone, json_type_string) ? json_object_get_string(zone) : "");
	return strcmp(before, s->zone) != 0;
}

/* ---- writing ---- */

/* What no object speaks of is removed when all objects are known, and not before. */
static void sweep(struct services *s)
{
	if (s->swept || !db_get(s->agent, KEY_KSR_SYNCED "service") ||
	    !db_get(s->agent, KEY_KSR_SYNCED "endpointslice"))
		return;
	s->swept = true;
	svcmaps_sweep(s->maps, services_left_behind, s);
}

static void forget_empty(struct services *s, struct service *svc)
{
	if (svc->obj || svc->slices || svc->programs)
		return;
	HASH_DEL(s->all, svc);
	problems_clear(&svc->problems);
	free(svc->name);
	free(svc);
}

/* Those who wait for a frontend that changed hands are told anew. */
static void program_dirty(struct services *s)
{
	const struct here here = { agent_cfg(s->agent)->node_name, s->zone, is_own, node_id, s };
	static const struct timeval later = { .tv_usec = FREE_MS * 1000 };

	while (s->dirty) {
		struct service *svc = s->dirty;

		s->dirty = svc->next_dirty;
		svc->dirty = false;
		service_program(s, svc, &here);
		service_health(s, svc);
		for (size_t i = 0; i < svc->problems.n; i++)
			log_limited(LOG_LVL_WARN, 10, "service '%s': %s", svc->name,
				    svc->problems.v[i]);
		forget_empty(s, svc);
	}
	sweep(s);
	services_end_flows(s);
	if (s->n_freed)
		evtimer_add(s->free_timer, &later);
	if (s->failed) {
		log_warn("services: a map could not be written: %s", strerror(-s->failed));
		s->failed = 0;
		agent_heal(s->agent, "a map of services could not be written");
	}
}

/* ---- events ---- */

static int open_maps(struct services *s, struct err *e)
{
	struct agent *a = s->agent;
	const struct svcmaps_fds fd = {
		.svc = datapath_map_fd(a, "loom_svc"),
		.lut = datapath_map_fd(a, "loom_lut"),
		.backend = datapath_map_fd(a, "loom_backend"),
		.vip = datapath_map_fd(a, "loom_vip"),
		.ports = datapath_map_fd(a, "loom_ports"),
		.srcrange = datapath_map_fd(a, "loom_srcrange"),
		.max_backends = datapath_map_size(a, "loom_backend"),
		.max_slots = datapath_map_size(a, "loom_lut"),
		.max_vips = datapath_map_size(a, "loom_vip"),
	};
	int err = svcmaps_new(&fd, &s->maps);

	return err < 0 ? err_errno(e, err, "the maps of services can't be read") : 0;
}

static int load_service(const char *key, struct json_object *value, void *arg)
{
	return set_service(arg, key + strlen(KEY_SERVICE), value);
}

static int load_slice(const char *key, struct json_object *value, void *arg)
{
	return set_slice(arg, key + strlen(KEY_SLICE), value);
}

/* Objects that went while nobody told. */
static void drop_unknown(struct services *s)
{
	struct service *svc, *next_svc;
	struct slice *sl, *next_sl;
	char key[700];

	HASH_ITER (hh, s->slices, sl, next_sl) {
		snprintf(key, sizeof(key), KEY_SLICE "%s", sl->key);
		if (strncmp(sl->key, "hostport:", 9) != 0 && !db_get(s->agent, key))
			drop_slice(s, sl);
	}
	HASH_ITER (hh, s->all, svc, next_svc) {
		snprintf(key, sizeof(key), KEY_SERVICE "%s", svc->name);
		if (strncmp(svc->name, "hostport:", 9) != 0 && svc->obj && !db_get(s->agent, key))
			set_service(s, svc->name, NULL);
	}
}

static int services_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct services *s = services_get(a);
	int err = s->maps ? 0 : open_maps(s, e);

	if (err < 0)
		return err;
	read_zone(s);
	drop_unknown(s);
	err = db_foreach(a, KEY_SERVICE, load_service, s);
	if (!err)
		err = db_foreach(a, KEY_SLICE, load_slice, s);
	if (!err)
		err = pods_foreach(a, each_host_ports, s);
	program_dirty(s);
	return err < 0 ? err_errno(e, err, "services") : 0;
}

static bool services_handles(struct agent *a, const struct agent_event *ev)
{
	return db_change_below(ev, KEY_SERVICE) || db_change_below(ev, KEY_SLICE) ||
	       db_change_below(ev, KEY_KSR_SYNCED) || db_change_below(ev, KEY_K8S_NODE) ||
	       ev->type == &add_pod_type || ev->type == &del_pod_type;
}

static void mark_all(struct services *s)
{
	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		mark(s, svc);
}

static int services_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	const struct db_change *c;
	struct services *s = services_get(a);
	int err = 0;

	if (!s->maps)
		return 0;
	if (ev->type == &add_pod_type)
		err = set_host_ports(s, container_of(ev, struct add_pod, ev)->att, true);
	else if (ev->type == &del_pod_type)
		err = set_host_ports(s, container_of(ev, struct del_pod, ev)->att, false);
	else if ((c = db_change_below(ev, KEY_SERVICE)))
		err = set_service(s, c->key + strlen(KEY_SERVICE), c->new_value);
	else if ((c = db_change_below(ev, KEY_SLICE)))
		err = set_slice(s, c->key + strlen(KEY_SLICE), c->new_value);
	else if (db_change_below(ev, KEY_K8S_NODE) && read_zone(s))
		mark_all(s);
	program_dirty(s);
	return err < 0 ? err_errno(e, err, "services") : 0;
}

/* The pod's ADD failed as a whole: its hostPorts with it. */
static void services_revert(struct agent *a, struct agent_event *ev)
{
	struct services *s = services_get(a);

	if (!s->maps || ev->type != &add_pod_type)
		return;
	set_host_ports(s, container_of(ev, struct add_pod, ev)->att, false);
	program_dirty(s);
}

/* ---- start and stop ---- */

static int services_init(struct agent *a, struct err *e)
{
	struct services *s;
	int err;

	if (!agent_cfg(a)->services.enabled)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->agent = a;
	module_set_state(a, &services_module, s);
	s->free_timer = evtimer_new(agent_base(a), services_free_slots, s);
	if (!s->free_timer)
		return err_set(e, -ENOMEM, "out of memory");
	err = health_new(agent_base(a), &s->health);
	if (!err)
		err = db_follow(a, KEY_SERVICE);
	if (!err)
		err = db_follow(a, KEY_SLICE);
	if (!err)
		err = services_routes(s);
	return err < 0 ? err_errno(e, err, "services") : 0;
}

static void free_service(struct services *s, struct service *svc)
{
	while (svc->slices)
		drop_slice(s, svc->slices);
	while (svc->programs) {
		struct program *p = svc->programs;

		svc->programs = p->next;
		free(p->backends);
		free(p->fronts);
		free(p->ranges);
		free(p->port_name);
		free(p);
	}
	HASH_DEL(s->all, svc);
	service_object_free(svc->obj);
	problems_clear(&svc->problems);
	free(svc->name);
	free(svc);
}

static void services_fini(struct agent *a)
{
	struct services *s = services_get(a);
	struct service *svc, *next_svc;
	struct front_key *k, *next_k;
	struct slice *sl, *next_sl;

	if (!s)
		return;
	HASH_ITER (hh, s->all, svc, next_svc)
		free_service(s, svc);
	HASH_ITER (hh, s->slices, sl, next_sl)
		drop_slice(s, sl);
	HASH_ITER (hh, s->keys, k, next_k) {
		HASH_DEL(s->keys, k);
		free(k);
	}
	if (s->free_timer)
		event_free(s->free_timer);
	health_free(s->health);
	svcmaps_free(s->maps);
	free(s->dying);
	free(s->ending);
	free(s->freed);
	module_set_state(a, &services_module, NULL);
	free(s);
}

const struct module services_module = {
	.name = "services",
	.needs = NEEDS("db", "datapath", "uplink", "nodesync", "pods"),
	.init = services_init,
	.fini = services_fini,
	.handles = services_handles,
	.update = services_update,
	.resync = services_resync,
	.revert = services_revert,
	.metrics = services_metrics,
	.status = services_status,
};
