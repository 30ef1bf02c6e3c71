// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/podwire/fake_agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/datapath.h"
#include "agent/modules/db/db.h"
#include "agent/modules/modules.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"
#include "lib/store/store.h"

static const struct module *const order[] = { &uplink_module, &hostlink_module, &nodesync_module,
					      &ipam_module, &podwire_module };

struct agent *fake_agent(struct fake_agent *f)
{
	return (struct agent *)f;
}

static struct fake_agent *fake(const struct agent *a)
{
	return (struct fake_agent *)a;
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

struct scheduler *agent_scheduler(struct agent *a)
{
	return fake(a)->scheduler;
}

struct httpd *agent_httpd(struct agent *a)
{
	return NULL;
}

void module_set_state(struct agent *a, const struct module *m, void *state)
{
	size_t i;

	for (i = 0; fake(a)->states[i].m && fake(a)->states[i].m != m; i++)
		;
	fake(a)->states[i].m = m;
	fake(a)->states[i].state = state;
}

void *module_state(const struct agent *a, const struct module *m)
{
	for (size_t i = 0; fake(a)->states[i].m; i++)
		if (fake(a)->states[i].m == m)
			return fake(a)->states[i].state;
	return NULL;
}

void agent_heal(struct agent *a, const char *reason)
{
}

void agent_ready_changed(struct agent *a)
{
}

/* Tests ask for resyncs themselves. */
uint64_t event_push_resync(struct agent *a, enum event_method method, const char *reason)
{
	return 0;
}

void event_push(struct agent *a, struct agent_event *ev)
{
	if (ev->type->free)
		ev->type->free(ev);
}

static struct route {
	const char *path;
	httpd_fn fn;
	void *arg;
} routes[8];

int httpd_route(struct httpd *h, const char *method, const char *path, httpd_fn fn, void *arg)
{
	size_t i = 0;

	while (routes[i].path && strcmp(routes[i].path, path) != 0)
		i++;
	routes[i] = (struct route){ path, fn, arg };
	return 0;
}

struct json_object *fake_get(const char *path)
{
	struct httpd_request req = { .method = "GET", .path = path };
	struct httpd_reply reply = {};

	for (size_t i = 0; routes[i].path; i++)
		if (strcmp(routes[i].path, path) == 0)
			routes[i].fn(&req, &reply, routes[i].arg);
	return reply.json;
}

int metrics_sample(struct metrics *m, const char *name, enum metric_type type, const char *help,
		   double value, ...)
{
	return 0;
}

/* ---- db and etcd ---- */

const struct event_type db_change_type = { .name = "db-change" },
			db_resync_type = { .name = "db-resync" };

const struct db_change *db_change_below(const struct agent_event *ev, const char *prefix)
{
	const struct db_change *c = container_of(ev, struct db_change, ev);

	return ev->type == &db_change_type && strncmp(c->key, prefix, strlen(prefix)) == 0 ? c
											   : NULL;
}

struct json_object *db_get(struct agent *a, const char *key)
{
	return NULL;
}

int db_foreach(struct agent *a, const char *prefix,
	       int (*fn)(const char *key, struct json_object *value, void *arg), void *arg)
{
	json_object_object_foreach(fake(a)->nodes, key, value)
	{
		fn(key, value, arg);
	}
	return 0;
}

int db_publish(struct agent *a, const char *key, const char *value)
{
	snprintf(fake(a)->published, sizeof(fake(a)->published), "%s", value);
	return 0;
}

struct store *db_store(struct agent *a)
{
	return NULL;
}

int store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		struct store_op **ret)
{
	return -EAGAIN;
}

int store_txn(struct store *s, const struct store_cmp *cmps, size_t n_cmps,
	      const struct store_write *writes, size_t n_writes, store_txn_fn fn, void *arg,
	      struct store_op **ret)
{
	return -EAGAIN;
}

void store_op_cancel(struct store_op *op)
{
}

static size_t local_slot(struct agent *a, const char *table, const char *key)
{
	size_t free_one = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fake(a)->local); i++) {
		if (strcmp(fake(a)->local[i].table, table) == 0 &&
		    strcmp(fake(a)->local[i].key, key) == 0)
			return i;
		if (!fake(a)->local[i].table[0])
			free_one = i;
	}
	return free_one;
}

int db_local_put(struct agent *a, const char *table, const char *key, const char *value)
{
	size_t i = local_slot(a, table, key);

	snprintf(fake(a)->local[i].table, sizeof(fake(a)->local[i].table), "%s", table);
	snprintf(fake(a)->local[i].key, sizeof(fake(a)->local[i].key), "%s", key);
	snprintf(fake(a)->local[i].value, sizeof(fake(a)->local[i].value), "%s", value);
	return 0;
}

int db_local_del(struct agent *a, const char *table, const char *key)
{
	fake(a)->local[local_slot(a, table, key)].table[0] = 0;
	return 0;
}

int db_local_foreach(struct agent *a, const char *table,
		     int (*fn)(const char *key, const char *value, void *arg), void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake(a)->local); i++)
		if (strcmp(fake(a)->local[i].table, table) == 0)
			fn(fake(a)->local[i].key, fake(a)->local[i].value, arg);
	return 0;
}

/* ---- pods ---- */

const struct event_type add_pod_type = { .name = "add-pod", .mode = TXN_REVERT_ON_FAILURE },
			del_pod_type = { .name = "del-pod", .reverse = true };

int pods_foreach(struct agent *a, int (*fn)(const struct attachment *att, void *arg), void *arg)
{
	for (size_t i = 0; i < fake(a)->n_pods; i++)
		fn(fake(a)->pods[i], arg);
	return 0;
}

const struct attachment *pods_find(struct agent *a, const char *key)
{
	char buf[512];

	for (size_t i = 0; i < fake(a)->n_pods; i++)
		if (strcmp(attachment_key(fake(a)->pods[i], buf, sizeof(buf)), key) == 0)
			return fake(a)->pods[i];
	return NULL;
}

const char *attachment_key(const struct attachment *att, char *buf, size_t len)
{
	snprintf(buf, len, "%s/%s", att->container_id, att->ifname);
	return buf;
}

/* ---- data plane ---- */

static int count_create(void *ctx, const char *name, const void *value, struct err *e)
{
	fake(ctx)->bpf_items++;
	fake(ctx)->bpf_changes++;
	return 0;
}

static int count_update(void *ctx, const char *name, const void *old_value, const void *new_value,
			struct err *e)
{
	fake(ctx)->bpf_changes++;
	return 0;
}

static int count_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	fake(ctx)->bpf_items--;
	fake(ctx)->bpf_changes++;
	return 0;
}

static bool same_text(const void *a, const void *b)
{
	return strcmp(a, b) == 0;
}

static const struct descriptor bpf = { .name = "bpf",
				       .order = 50,
				       .create = count_create,
				       .update = count_update,
				       .delete = count_delete,
				       .equal = same_text,
				       .free = free };

/* The value as hexadecimal text. */
static char *hex(const void *value, size_t len)
{
	char *text = calloc(1, 2 * len + 1);

	for (size_t i = 0; text && i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)value)[i]);
	return text;
}

int datapath_put_state(struct txn *t, const struct loom_state *s)
{
	return txn_put(t, hex(s, sizeof(*s)), "bpf/state");
}

int datapath_put_ifcfg(struct txn *t, unsigned int ifindex, const struct loom_ifcfg *c)
{
	return txn_put(t, hex(c, sizeof(*c)), "bpf/ifcfg/%u", ifindex);
}

int datapath_del_ifcfg(struct txn *t, unsigned int ifindex)
{
	return txn_delete(t, "bpf/ifcfg/%u", ifindex);
}

int datapath_put_ep(struct txn *t, uint32_t scope, const union loom_addr *a,
		    const struct loom_ep *ep)
{
	char text[ADDR_STRLEN];

	return txn_put(t, hex(ep, sizeof(*ep)), "bpf/ep/%s", addr_format(a, text));
}

int datapath_del_ep(struct txn *t, uint32_t scope, const union loom_addr *a)
{
	char text[ADDR_STRLEN];

	return txn_delete(t, "bpf/ep/%s", addr_format(a, text));
}

int datapath_put_ip(struct txn *t, uint32_t scope, const union loom_addr *a,
		    const struct loom_remote *r)
{
	char text[ADDR_STRLEN];

	return txn_put(t, hex(r, sizeof(*r)), "bpf/ip/%s", addr_format(a, text));
}

int datapath_del_ip(struct txn *t, uint32_t scope, const union loom_addr *a)
{
	char text[ADDR_STRLEN];

	return txn_delete(t, "bpf/ip/%s", addr_format(a, text));
}

int datapath_put_cidr(struct txn *t, uint32_t scope, const struct prefix *p,
		      const struct loom_remote *r)
{
	char text[PREFIX_STRLEN];

	return txn_put(t, hex(r, sizeof(*r)), "bpf/cidr/%s", prefix_format(p, text));
}

int datapath_del_cidr(struct txn *t, uint32_t scope, const struct prefix *p)
{
	char text[PREFIX_STRLEN];

	return txn_delete(t, "bpf/cidr/%s", prefix_format(p, text));
}

int datapath_put_vip(struct txn *t, uint32_t number, const union loom_addr *a)
{
	return 0;
}

/* There are no maps here. */
int datapath_map_fd(struct agent *a, const char *name)
{
	return -1;
}

int datapath_put_node(struct txn *t, uint32_t id, const struct loom_node *n)
{
	return txn_put(t, hex(n, sizeof(*n)), "bpf/node/%u", id);
}

int datapath_del_node(struct txn *t, uint32_t id)
{
	return txn_delete(t, "bpf/node/%u", id);
}

int datapath_put_attach(struct txn *t, enum datapath_role role, const char *ifname,
			unsigned int ifindex, const char *needs_key)
{
	return txn_put(t, hex(&role, sizeof(role)), "bpf/attach/%s", ifname);
}

int datapath_put_xdp(struct agent *a, struct txn *t, const char *ifname, unsigned int ifindex,
		     const char *kind)
{
	return 0;
}

int datapath_del_attach(struct txn *t, enum datapath_role role, const char *ifname)
{
	return txn_delete(t, "bpf/attach/%s", ifname);
}

void datapath_bump_route_gen(struct agent *a)
{
}

int datapath_forget_addr(struct agent *a, uint32_t scope, const union loom_addr *addr)
{
	return fake(a)->forgotten++;
}

uint32_t datapath_ep_alloc(struct agent *a)
{
	return ++fake(a)->ep_held;
}

void datapath_ep_reserve(struct agent *a, uint32_t ep)
{
}

void datapath_ep_release(struct agent *a, uint32_t ep)
{
	fake(a)->ep_held--;
}

/* ---- running ---- */

int fake_start(struct fake_agent *f, struct err *e)
{
	int err = scheduler_new(f->base, &f->scheduler);

	f->bpf_items = 0;
	if (!err)
		err = scheduler_register(f->scheduler, &bpf, f);
	for (size_t i = 0; !err && i < ARRAY_SIZE(order); i++)
		err = order[i]->init(fake_agent(f), e);
	return err;
}

void fake_stop(struct fake_agent *f)
{
	for (size_t i = ARRAY_SIZE(order); i-- > 0;)
		order[i]->fini(fake_agent(f));
	scheduler_free(f->scheduler);
	f->scheduler = NULL;
	memset(f->states, 0, sizeof(f->states));
}

int fake_resync(struct fake_agent *f, struct txn_stats *ret, struct err *e)
{
	struct agent_event ev = { .type = &db_resync_type };
	struct txn *t;
	int err = txn_new(f->scheduler, &t);

	for (size_t i = 0; !err && i < ARRAY_SIZE(order); i++)
		if (order[i]->resync)
			err = order[i]->resync(fake_agent(f), &ev, t, e);
	if (!err)
		err = scheduler_resync(f->scheduler, t, ret, e);
	txn_free(t);
	return err;
}

static int handle(struct fake_agent *f, struct agent_event *ev, struct err *e)
{
	const size_t n = ARRAY_SIZE(order);
	struct txn_stats stats;
	struct txn *t;
	int err = txn_new(f->scheduler, &t);
	size_t done = 0;

	for (; !err && done < n; done++) {
		const struct module *m = order[ev->type->reverse ? n - 1 - done : done];

		if (m->handles && m->handles(fake_agent(f), ev))
			err = m->update(fake_agent(f), ev, t, e);
		if (err < 0)
			break;
	}
	if (!err)
		err = scheduler_commit(f->scheduler, t, ev->type->mode, &stats, e);
	for (size_t i = 0; err < 0 && i < done; i++)
		if (order[i]->revert)
			order[i]->revert(fake_agent(f), ev);
	txn_free(t);
	return err;
}

int fake_add(struct fake_agent *f, struct attachment *att, int netns_fd, struct err *e)
{
	struct add_pod add = { .ev.type = &add_pod_type, .att = att, .netns_fd = netns_fd };
	int err = handle(f, &add.ev, e);

	if (!err)
		f->pods[f->n_pods++] = att;
	return err;
}

int fake_del(struct fake_agent *f, struct attachment *att, struct err *e)
{
	struct del_pod del = { .ev.type = &del_pod_type, .att = att };

	for (size_t i = 0; i < f->n_pods; i++)
		if (f->pods[i] == att)
			f->pods[i] = f->pods[--f->n_pods];
	return handle(f, &del.ev, e);
}

int fake_node(struct fake_agent *f, const char *name, const char *json, struct err *e)
{
	char key[128];
	_json_ *value = NULL;
	struct db_change c = { .ev.type = &db_change_type, .key = key };

	snprintf(key, sizeof(key), "/netloom/node/%s", name);
	if (json && json_parse(json, strlen(json), &value, e) < 0)
		return -EINVAL;
	c.new_value = value;
	if (value)
		json_object_object_add(f->nodes, key, json_object_get(value));
	else
		json_object_object_del(f->nodes, key);
	return handle(f, &c.ev, e);
}
