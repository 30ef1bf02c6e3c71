// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/services/fake_agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/datapath.h"
#include "agent/modules/db/db.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/uplink/uplink.h"
#include "api/etcd_keys.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

static struct fake *fake(const struct agent *a)
{
	return (struct fake *)a;
}

struct agent *fake_agent(struct fake *f)
{
	return (struct agent *)f;
}

struct services *fake_services(struct fake *f)
{
	return f->state;
}

/* ---- core ---- */

struct event_base *agent_base(struct agent *a)
{
	return fake(a)->base;
}

const struct agent_config *agent_cfg(const struct agent *a)
{
	return &fake(a)->cfg;
}

struct httpd *agent_httpd(struct agent *a)
{
	return NULL;
}

void module_set_state(struct agent *a, const struct module *m, void *state)
{
	fake(a)->state = state;
}

void *module_state(const struct agent *a, const struct module *m)
{
	return fake(a)->state;
}

void agent_heal(struct agent *a, const char *reason)
{
	fake(a)->heals++;
}

static httpd_fn route_fn;
static void *route_arg;

int httpd_route(struct httpd *h, const char *method, const char *path, httpd_fn fn, void *arg)
{
	route_fn = fn;
	route_arg = arg;
	return 0;
}

/* ---- db ---- */

const struct event_type db_change_type = { .name = "db-change" }, add_pod_type = { .name = "add" },
			del_pod_type = { .name = "del" }, uplink_change_type = { .name = "uplink" };

const struct db_change *db_change_below(const struct agent_event *ev, const char *prefix)
{
	const struct db_change *c = container_of(ev, struct db_change, ev);

	return ev->type == &db_change_type && strncmp(c->key, prefix, strlen(prefix)) == 0 ? c
											   : NULL;
}

int db_follow(struct agent *a, const char *prefix)
{
	return 0;
}

struct json_object *db_get(struct agent *a, const char *key)
{
	return json_field(fake(a)->db, key);
}

int db_foreach(struct agent *a, const char *prefix,
	       int (*fn)(const char *key, struct json_object *value, void *arg), void *arg)
{
	int stop = 0;

	json_object_object_foreach(fake(a)->db, key, value)
	{
		if (!stop && strncmp(key, prefix, strlen(prefix)) == 0)
			stop = fn(key, value, arg);
	}
	return stop;
}

/* ---- the other modules ---- */

int uplink_host_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg)
{
	int stop = 0;

	for (size_t i = 0; !stop && i < fake(a)->n_own; i++)
		stop = fn(&fake(a)->own[i], arg);
	return stop;
}

const struct node_identity *nodesync_self(struct agent *a)
{
	return &fake(a)->self;
}

int pods_foreach(struct agent *a, int (*fn)(const struct attachment *att, void *arg), void *arg)
{
	int stop = 0;

	for (size_t i = 0; !stop && i < fake(a)->n_pods; i++)
		stop = fn(&fake(a)->pods[i], arg);
	return stop;
}

const char *attachment_key(const struct attachment *att, char *buf, size_t len)
{
	snprintf(buf, len, "%s/%s", att->container_id, att->ifname);
	return buf;
}

int datapath_map_fd(struct agent *a, const char *name)
{
	const struct fake_maps *m = &fake(a)->maps;

	return strcmp(name, "loom_svc") == 0	    ? m->svc
	       : strcmp(name, "loom_lut") == 0	    ? m->lut
	       : strcmp(name, "loom_backend") == 0  ? m->backend
	       : strcmp(name, "loom_vip") == 0	    ? m->vip
	       : strcmp(name, "loom_ports") == 0    ? m->ports
	       : strcmp(name, "loom_srcrange") == 0 ? m->srcrange
						    : m->sockrev;
}

uint32_t datapath_map_size(struct agent *a, const char *name)
{
	const struct fake_maps *m = &fake(a)->maps;

	return strcmp(name, "loom_lut") == 0	    ? m->max_slots
	       : strcmp(name, "loom_backend") == 0  ? m->max_backends
	       : strcmp(name, "loom_srcrange") == 0 ? m->max_ranges
						    : m->max_vips;
}

void datapath_end_service_flows(struct agent *a, void (*done)(struct agent *a, int err, void *arg),
				void *arg)
{
	fake(a)->flow_runs++;
	fake(a)->flows_done = done;
	fake(a)->flows_arg = arg;
}

int datapath_end_sockets(struct agent *a, uint32_t backend)
{
	fake(a)->sockets_ended++;
	return 0;
}

/* ---- a life ---- */

static void own(struct fake *f, const char *text)
{
	addr_parse(text, &f->own[f->n_own++], NULL);
}

void fake_init(struct fake *f)
{
	struct fake_maps maps = f->maps;

	*f = (struct fake){ .maps = maps, .self = { .id = 1, .name = "node1" } };
	f->base = event_base_new();
	f->db = json_object_new_object();
	f->cfg.node_name = strdup("node1");
	f->cfg.services.enabled = true;
	f->cfg.services.local_weight = 1;
	f->cfg.services.maglev_slots = 10;
	own(f, "172.30.0.11");
	own(f, "fd00:30::b");
}

void fake_start(struct fake *f)
{
	struct err e = {};

	if (services_module.init(fake_agent(f), &e) < 0)
		abort();
}

void fake_stop(struct fake *f)
{
	void (*done)(struct agent * a, int err, void *arg) = f->flows_done;

	f->flows_done = NULL;
	if (done)
		done(fake_agent(f), -ECANCELED, f->flows_arg);
	services_module.fini(fake_agent(f));
}

void fake_fini(struct fake *f)
{
	json_object_put(f->db);
	event_base_free(f->base);
	free(f->cfg.node_name);
	free(f->cfg.services.node_ports.v);
}

static const char *whole(const char *key, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s", *key == '/' ? "" : KEY_K8S, key);
	return buf;
}

void fake_set(struct fake *f, const char *key, struct json_object *value)
{
	char buf[800];

	if (value)
		json_object_object_add(f->db, whole(key, buf, sizeof(buf)), value);
	else
		json_object_object_del(f->db, whole(key, buf, sizeof(buf)));
}

static int deliver(struct fake *f, struct agent_event *ev)
{
	struct err e = {};

	if (!services_module.handles(fake_agent(f), ev))
		return 0;
	return services_module.update(fake_agent(f), ev, NULL, &e);
}

void fake_change(struct fake *f, const char *key, struct json_object *value)
{
	char buf[800];
	struct db_change c = { .ev.type = &db_change_type, .new_value = value };

	c.key = whole(key, buf, sizeof(buf));
	fake_set(f, key, json_object_get(value));
	deliver(f, &c.ev);
	json_object_put(value);
}

void fake_synced(struct fake *f)
{
	fake_set(f, KEY_KSR_SYNCED "service", json_object_new_object());
	fake_change(f, KEY_KSR_SYNCED "endpointslice", json_object_new_object());
}

int fake_resync(struct fake *f, enum event_method method)
{
	const struct event_type type = { .name = "resync", .method = method };
	struct agent_event ev = { .type = &type };
	struct err e = {};

	return services_module.resync(fake_agent(f), &ev, NULL, &e);
}

void fake_pod(struct fake *f, struct attachment *att, bool add)
{
	struct add_pod a = { .ev.type = &add_pod_type, .att = att };
	struct del_pod d = { .ev.type = &del_pod_type, .att = att };

	deliver(f, add ? &a.ev : &d.ev);
}

void fake_uplink(struct fake *f)
{
	struct agent_event ev = { .type = &uplink_change_type };

	deliver(f, &ev);
}

void fake_fire(struct event *timer)
{
	if (!evtimer_pending(timer, NULL))
		return;
	evtimer_del(timer);
	event_active(timer, EV_TIMEOUT, 0);
}

void fake_settle(struct fake *f)
{
	struct services *s = fake_services(f);

	for (;;) {
		void (*done)(struct agent * a, int err, void *arg) = f->flows_done;
		bool failing = f->flows_fail;

		f->flows_done = NULL;
		f->flows_fail = false;
		if (done)
			done(fake_agent(f), failing ? -EIO : 0, f->flows_arg);
		s->flows.next_ms = 0;
		fake_fire(s->flows.pause);
		fake_fire(s->flows.retry);
		fake_fire(s->short_timer);
		event_base_loop(f->base, done ? EVLOOP_NONBLOCK : 0);
		if (!done && !f->flows_done)
			return;
	}
}

char *fake_get(struct fake *f, const char *path)
{
	static const char prefix[] = "/v1/services/";
	struct httpd_request req = { .method = "GET", .path = path };
	struct httpd_reply reply = {};

	if (strncmp(path, prefix, strlen(prefix)) == 0)
		req.rest = path + strlen(prefix);
	route_fn(&req, &reply, route_arg);
	json_object_put(reply.json);
	return reply.text;
}
