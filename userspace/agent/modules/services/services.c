// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "services"
#include "agent/modules/services/services.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/db/db.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/services/health.h"
#include "agent/modules/services/left.h"
#include "agent/modules/services/objects.h"
#include "agent/modules/services/private.h"
#include "agent/modules/uplink/uplink.h"
#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/base/grow.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

#define SHORT_RETRY_S 1
/* A service that took this long to program waits this many times as long until the next time, so
 * that one with a million endpoints does not keep all others waiting while it grows. */
#define LARGE_MS     10
#define LARGE_FACTOR 10
#define LARGE_MAX_MS 10000u
#define ZONE_LABEL   "topology.kubernetes.io/zone"

struct services *services_get(struct agent *a)
{
	return module_state(a, &services_module);
}

void services_fail(struct services *s, int err)
{
	if (err < 0 && !s->failed)
		s->failed = err;
}

/* ---- where this is ---- */

struct own_list {
	union loom_addr *v;
	size_t n, room;
};

static int add_own(const union loom_addr *addr, void *arg)
{
	struct own_list *l = arg;

	if (grow_room(&l->v, &l->room, l->n + 1, sizeof(*l->v)) < 0)
		return -ENOMEM;
	l->v[l->n++] = *addr;
	return 0;
}

/* Without memory the addresses stay those of before. */
static bool read_own_addresses(struct services *s)
{
	struct own_list l = {};
	bool changed = false;

	if (uplink_host_addresses(s->agent, add_own, &l) == 0)
		changed = nodes_set_own(&s->nodes, l.v, l.n);
	free(l.v);
	return changed;
}

static bool read_zone(struct services *s)
{
	struct json_object *zone;
	char key[300];

	snprintf(key, sizeof(key), KEY_K8S_NODE "%s", agent_cfg(s->agent)->node_name);
	zone = json_field(json_path(db_get(s->agent, key), "metadata.labels"), ZONE_LABEL);
	return nodes_set_zone(&s->nodes, json_object_is_type(zone, json_type_string)
						 ? json_object_get_string(zone)
						 : "");
}

static int load_node(const char *key, struct json_object *value, void *arg)
{
	struct services *s = arg;

	nodes_put(&s->nodes, key + strlen(KEY_NODE), value);
	return 0;
}

static void read_nodes(struct services *s)
{
	nodes_begin(&s->nodes);
	db_foreach(s->agent, KEY_NODE, load_node, s);
	nodes_end(&s->nodes);
	s->nodes.self_id = nodesync_self(s->agent)->id;
	read_own_addresses(s);
	read_zone(s);
}

/* Services with endpoints of the node, or of nobody knows which. */
static void mark_node(struct services *s, const char *node)
{
	for (struct slice *sl = s->slices; sl; sl = sl->hh.next)
		for (size_t i = 0; sl->service && i < sl->obj->n_endpoints; i++) {
			const char *of = sl->obj->endpoints[i].node;

			if (!*of || strcmp(of, node) == 0) {
				service_mark(s, sl->service);
				break;
			}
		}
}

/* ---- a round: what is marked becomes what the maps say ---- */

static bool is_synced(struct services *s)
{
	return db_get(s->agent, KEY_KSR_SYNCED "service") &&
	       db_get(s->agent, KEY_KSR_SYNCED "endpointslice");
}

/* Until all objects are known, and who we are, packets go as an earlier run has said. */
static bool is_holding(struct services *s)
{
	return left_any(s->maps) && (!is_synced(s) || !s->nodes.self_id);
}

static void on_left(uint32_t number, void *arg)
{
	flows_end_backend(arg, number);
}

static void sweep(struct services *s)
{
	if (s->swept || !is_synced(s))
		return;
	fronts_settle(s);
	services_fail(s, svcmaps_sweep(s->maps, on_left, s));
	s->swept = true;
	services_room(s);
}

static bool has_to_wait(const struct services *s, const struct service *svc)
{
	return s->swept && !s->verify && clock_ms() < svc->next_ms;
}

static void wait_for_large(struct services *s, const struct service *svc)
{
	uint64_t ms = svc->next_ms - MIN(clock_ms(), svc->next_ms);
	struct timeval rest = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (!evtimer_pending(s->large_timer, NULL))
		evtimer_add(s->large_timer, &rest);
}

static void on_large(evutil_socket_t fd, short what, void *arg)
{
	services_run(arg);
}

/* Of this thread's own work: what others on the CPU take makes no service a large one. */
static uint64_t work_ms(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static void program_one(struct services *s, struct service *svc)
{
	uint64_t start_ms = work_ms(), took_ms;

	service_program(s, svc);
	took_ms = work_ms() - start_ms;
	svc->next_ms =
		took_ms < LARGE_MS ? 0 : clock_ms() + MIN(took_ms * LARGE_FACTOR, LARGE_MAX_MS);
	service_tell(svc);
	service_forget_empty(s, svc);
}

static void program_marked(struct services *s)
{
	bool holding = is_holding(s);
	struct service *list = TAKE_PTR(s->dirty);

	while (list) {
		struct service *svc = list;

		list = svc->next_dirty;
		svc->dirty = false;
		if (holding && !(svc->obj && svc->obj->host_ports)) {
			service_mark(s, svc);
			continue;
		}
		if (has_to_wait(s, svc)) {
			service_mark(s, svc);
			wait_for_large(s, svc);
			continue;
		}
		program_one(s, svc);
	}
	if (!holding)
		sweep(s);
}

void services_run(struct services *s)
{
	uint64_t start = clock_ns();

	if (!s->maps)
		return;
	program_marked(s);
	if (s->verify) {
		fronts_check(s);
		services_fail(s, svcmaps_ports_check(s->maps));
	}
	flows_run(s);
	s->rounds++;
	s->seconds += (clock_ns() - start) / 1e9;
	s->broken = s->failed || (s->broken && !s->verify);
	health_set_proxy(s->health, s->swept && !s->broken);
	if (!s->failed)
		return;
	log_warn("a map could not be written: %s", strerror(-s->failed));
	s->failed = 0;
	agent_heal(s->agent, "a map of services could not be written");
}

void services_room(struct services *s)
{
	static const struct timeval later = { .tv_sec = SHORT_RETRY_S };

	if (s->n_short && !evtimer_pending(s->short_timer, NULL))
		evtimer_add(s->short_timer, &later);
}

static void on_room(evutil_socket_t fd, short what, void *arg)
{
	struct services *s = arg;

	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		if (svc->short_of_room)
			service_mark(s, svc);
	services_run(s);
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
		.max_ranges = datapath_map_size(a, "loom_srcrange"),
	};
	int err = svcmaps_new(&fd, &s->maps);

	return err < 0 ? err_errno(e, err, "the maps of services can't be read") : 0;
}

static int services_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct services *s = services_get(a);
	bool first = s && !s->maps;
	int err;

	if (!s)
		return 0;
	err = first ? open_maps(s, e) : 0;
	if (err < 0)
		return err;
	read_nodes(s);
	/* Otherwise the changes have told all that there is. */
	if (first || ev->type->method == EVENT_FULL_RESYNC)
		err = objects_resync(s);
	if (!err)
		err = host_ports_resync(s);
	services_mark_all(s);
	s->verify = !first;
	services_run(s);
	s->verify = false;
	/* Reading all has left as much again in the heap, in pieces between what stays. */
	malloc_trim(0);
	return err < 0 ? err_errno(e, err, "services") : 0;
}

static bool services_handles(struct agent *a, const struct agent_event *ev)
{
	static const char *const below[] = { KEY_SERVICE, KEY_SLICE, KEY_KSR_SYNCED, KEY_NODE,
					     KEY_K8S_NODE };

	if (!services_get(a))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(below); i++)
		if (db_change_below(ev, below[i]))
			return true;
	return ev->type == &add_pod_type || ev->type == &del_pod_type ||
	       ev->type == &uplink_change_type;
}

static int take_change(struct services *s, const struct db_change *c)
{
	if (strncmp(c->key, KEY_SERVICE, strlen(KEY_SERVICE)) == 0)
		return object_set_service(s, c->key + strlen(KEY_SERVICE), c->new_value);
	if (strncmp(c->key, KEY_SLICE, strlen(KEY_SLICE)) == 0)
		return object_set_slice(s, c->key + strlen(KEY_SLICE), c->new_value);
	if (strncmp(c->key, KEY_NODE, strlen(KEY_NODE)) == 0) {
		const char *node = c->key + strlen(KEY_NODE);

		if (nodes_put(&s->nodes, node, c->new_value))
			mark_node(s, node);
	} else if (strncmp(c->key, KEY_K8S_NODE, strlen(KEY_K8S_NODE)) == 0 && read_zone(s)) {
		services_mark_all(s);
	}
	return 0;
}

static int services_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct services *s = services_get(a);
	const struct db_change *c = db_change_below(ev, KEY_ROOT);
	int err = 0;

	if (!s->maps)
		return 0;
	if (ev->type == &add_pod_type)
		err = host_ports_set(s, container_of(ev, struct add_pod, ev)->att, true);
	else if (ev->type == &del_pod_type)
		err = host_ports_set(s, container_of(ev, struct del_pod, ev)->att, false);
	else if (ev->type == &uplink_change_type && read_own_addresses(s))
		services_mark_all(s);
	else if (c)
		err = take_change(s, c);
	services_run(s);
	return err < 0 ? err_errno(e, err, "services") : 0;
}

/* The pod's ADD failed as a whole: its hostPorts with it. */
static void services_revert(struct agent *a, struct agent_event *ev)
{
	struct services *s = services_get(a);

	if (!s || !s->maps || ev->type != &add_pod_type)
		return;
	host_ports_set(s, container_of(ev, struct add_pod, ev)->att, false);
	services_run(s);
}

/* ---- start and stop ---- */

static int start(struct services *s)
{
	int err = flows_init(s);

	if (!err)
		err = health_new(agent_base(s->agent), &s->health);
	s->short_timer = evtimer_new(agent_base(s->agent), on_room, s);
	s->large_timer = evtimer_new(agent_base(s->agent), on_large, s);
	if (!err && (!s->short_timer || !s->large_timer))
		err = -ENOMEM;
	if (!err)
		err = db_follow(s->agent, KEY_SERVICE);
	if (!err)
		err = db_follow(s->agent, KEY_SLICE);
	return err ? err : services_routes(s);
}

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
	nodes_init(&s->nodes, agent_cfg(a)->node_name);
	module_set_state(a, &services_module, s);
	err = start(s);
	return err < 0 ? err_errno(e, err, "services") : 0;
}

static void services_fini(struct agent *a)
{
	struct services *s = services_get(a);

	if (!s)
		return;
	objects_release(s);
	health_free(s->health);
	flows_fini(s);
	if (s->short_timer)
		event_free(s->short_timer);
	if (s->large_timer)
		event_free(s->large_timer);
	svcmaps_free(s->maps);
	nodes_fini(&s->nodes);
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
