// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "db"
#include "agent/modules/db/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/private.h"
#include "agent/modules/modules.h"
#include "api/etcd_keys.h"
#include "lib/base/chore.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

struct db *db_of(struct agent *a)
{
	return module_state(a, &db_module);
}

/* ---- events ---- */

static struct json_object *change_describe(const struct agent_event *ev)
{
	const struct db_change *c = container_of(ev, struct db_change, ev);
	struct json_object *o = json_object_new_object();

	if (o) {
		json_add_str(o, "key", c->key);
		json_add_str(o, "change",
			     !c->old_value  ? "added"
			     : c->new_value ? "changed"
					    : "deleted");
	}
	return o;
}

static void change_free(struct agent_event *ev)
{
	struct db_change *c = container_of(ev, struct db_change, ev);

	json_object_put(c->old_value);
	json_object_put(c->new_value);
	free((char *)c->key);
	free(c);
}

const struct event_type db_change_type = {
	.name = "db-change",
	.method = EVENT_UPDATE,
	.mode = TXN_BEST_EFFORT,
	.describe = change_describe,
	.free = change_free,
};

struct db_resync {
	struct agent_event ev;
	enum db_origin origin;
	size_t keys;
};

static const char *origin_word(enum db_origin origin)
{
	static const char *const words[] = { "nothing", "mirror", "etcd" };

	return words[origin];
}

static struct json_object *resync_describe(const struct agent_event *ev)
{
	const struct db_resync *r = container_of(ev, struct db_resync, ev);
	struct json_object *o = json_object_new_object();

	if (o) {
		json_add_str(o, "from", origin_word(r->origin));
		json_add_int(o, "keys", r->keys);
	}
	return o;
}

static void resync_free(struct agent_event *ev)
{
	free(container_of(ev, struct db_resync, ev));
}

const struct event_type db_resync_type = {
	.name = "db-resync",
	.method = EVENT_FULL_RESYNC,
	.opens = true,
	.describe = resync_describe,
	.free = resync_free,
};

const struct db_change *db_change_below(const struct agent_event *ev, const char *prefix)
{
	const struct db_change *c;

	if (ev->type != &db_change_type)
		return NULL;
	c = container_of(ev, struct db_change, ev);
	return strncmp(c->key, prefix, strlen(prefix)) == 0 ? c : NULL;
}

void db_push_resync(struct db *db)
{
	struct db_resync *r = calloc(1, sizeof(*r));

	if (!r) {
		agent_heal(db->agent, "out of memory for a db-resync");
		return;
	}
	r->ev.type = &db_resync_type;
	r->origin = db->origin;
	r->keys = db_table_size(db->table);
	db->delivered = true;
	db->resyncs++;
	event_push(db->agent, &r->ev);
	agent_ready_changed(db->agent);
}

void db_push_change(struct db *db, const char *key, struct db_diff *diff)
{
	struct db_change *c = db->delivered ? calloc(1, sizeof(*c)) : NULL;

	if (c)
		c->key = strdup(key);
	if (!c || !c->key) {
		if (db->delivered)
			agent_heal(db->agent, "out of memory for a db-change");
		free(c);
		json_object_put(diff->old_value);
		json_object_put(diff->new_value);
		return;
	}
	c->ev.type = &db_change_type;
	c->old_value = diff->old_value;
	c->new_value = diff->new_value;
	db->changes++;
	event_push(db->agent, &c->ev);
}

/* ---- etcd ---- */

static void on_connected(bool connected, void *arg)
{
	struct db *db = arg;

	if (connected)
		db_publisher_push(db->publisher, false);
	agent_ready_changed(db->agent);
}

/* ---- timers ---- */

/* The modules are all there: now events may come. */
static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	int64_t ms = agent_cfg(db->agent)->controller.mirror_deadline_ms;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (db_follow_start(db) < 0) {
		agent_stop(db->agent, 1);
		return;
	}
	event_add(db->deadline, &tv);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;

	if (db->delivered)
		return;
	if (!db_table_size(db->table)) {
		log_warn("etcd does not answer, and the mirror is empty: waiting for etcd");
		return;
	}
	log_warn("etcd does not answer: starting from the mirror, %zu keys as of revision %lld",
		 db_table_size(db->table), (long long)db->revision);
	db->origin = DB_MIRROR;
	db_push_resync(db);
}

/* Beside the loop, which a slow disk would hold up. */
static void flush(void *arg)
{
	const struct db *db = arg;

	if (mirror_sync(db->mirror) < 0)
		log_limited(LOG_LVL_ERROR, 1, "the local mirror can't be written to disk");
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;

	db->dirty = false;
	chore_kick(db->to_disk);
}

static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
	db_follow_give_up(arg);
}

/* ---- module ---- */

static void timer_free(struct event *timer)
{
	if (timer)
		event_free(timer);
}

static void db_free(struct db *db)
{
	if (!db)
		return;
	db_follow_stop(db);
	db_publisher_free(db->publisher);
	store_free(db->store);
	timer_free(db->deadline);
	timer_free(db->begin);
	timer_free(db->flush);
	timer_free(db->lost);
	db_table_free(db->table);
	chore_free(db->to_disk);
	mirror_close(db->mirror);
	free(db);
}
DEFINE_FREEP(struct db, db_free)

static int open_store(struct db *db, struct err *e)
{
	int err =
		etcd_config_open(&agent_cfg(db->agent)->etcd, agent_base(db->agent), &db->store, e);

	if (!err)
		store_on_connected(db->store, on_connected, db);
	return err;
}

static int make_timers(struct db *db)
{
	struct event_base *base = agent_base(db->agent);

	db->begin = event_new(base, -1, 0, on_begin, db);
	db->deadline = event_new(base, -1, 0, on_deadline, db);
	db->flush = event_new(base, -1, 0, on_flush, db);
	db->lost = event_new(base, -1, 0, on_grace_over, db);
	return db->begin && db->deadline && db->flush && db->lost ? 0 : -ENOMEM;
}

static int db_init(struct agent *a, struct err *e)
{
	_cleanup_(db_freep) struct db *db = calloc(1, sizeof(*db));
	struct timeval now = {};
	int err;

	if (!db)
		return err_set(e, -ENOMEM, "out of memory");
	db->agent = a;
	if (make_timers(db) < 0 || db_table_new(agent_base(a), &db->table) < 0 ||
	    db_follow_init(db) < 0)
		return err_set(e, -ENOMEM, "out of memory");

	err = db_local_open(db, e);
	if (err < 0)
		return err;
	err = db_local_load(db);
	if (err < 0)
		return err_errno(e, err, "the local mirror can't be read");
	err = chore_new(flush, db, &db->to_disk);
	if (err < 0)
		return err_errno(e, err, "the thread that writes the mirror to disk");
	err = open_store(db, e);
	if (err < 0)
		return err;
	err = db_publisher_new(db, &db->publisher);
	if (err < 0)
		return err_set(e, err, "out of memory");
	event_add(db->begin, &now);
	module_set_state(a, &db_module, TAKE_PTR(db));
	return 0;
}

static void db_fini(struct agent *a)
{
	struct db *db = db_of(a);

	module_set_state(a, &db_module, NULL);
	if (db)
		db_free(db);
}

static int db_ready(struct agent *a, struct err *e)
{
	const struct db *db = db_of(a);

	if (db->delivered)
		return 0;
	return err_set(e, -EAGAIN, "waits for etcd%s%s", db->last_error[0] ? ": " : "",
		       db->last_error);
}

/* Where there never was one, nobody waits for it. */
static bool ksr_leads(const struct db *db)
{
	return db_table_text(db->table, KEY_KSR_ALIVE) || !db_table_text(db->table, KEY_KSR_LEADER);
}

static struct json_object *db_status(struct agent *a)
{
	const struct db *db = db_of(a);
	struct json_object *o = json_object_new_object();
	char text[sizeof(db->last_error) + 32];

	if (!o)
		return NULL;
	snprintf(text, sizeof(text), "etcd is away: %s", db->last_error);
	json_add_str(o, "state", origin_word(db->origin));
	json_add_bool(o, "connected", store_connected(db->store));
	json_add_int(o, "revision", db->revision);
	json_add_int(o, "keys", db_table_size(db->table));
	json_add_int(o, "losses", db->losses);
	json_add_int(o, "lostKeys", db_table_lost(db->table));
	json_add_int(o, "unpublished", db_publisher_pending(db->publisher));
	if (db->last_error[0] && !store_connected(db->store))
		json_add_str(o, "error", text);
	if (!ksr_leads(db) && db->origin == DB_ETCD && store_connected(db->store))
		json_add_str(o, "problem",
			     "no ksr leads: what changes in Kubernetes comes to no node");
	return o;
}

static void db_metrics(struct agent *a, struct metrics *m)
{
	const struct db *db = db_of(a);

	metrics_sample(m, "netloom_etcd_connected", METRIC_GAUGE, "Whether etcd answers.",
		       store_connected(db->store), NULL);
	metrics_sample(m, "netloom_etcd_ksr_leads", METRIC_GAUGE,
		       "Whether some ksr reflects Kubernetes, as etcd knows.", ksr_leads(db), NULL);
	metrics_sample(m, "netloom_etcd_revision", METRIC_GAUGE, "Last revision seen.",
		       db->revision, NULL);
	metrics_sample(m, "netloom_etcd_keys", METRIC_GAUGE, "Keys held.", db_table_size(db->table),
		       NULL);
	metrics_sample(m, "netloom_etcd_lost_keys", METRIC_GAUGE,
		       "Keys kept although etcd has lost them.", db_table_lost(db->table), NULL);
	metrics_sample(m, "netloom_etcd_unpublished", METRIC_GAUGE,
		       "Keys that are still to be written to etcd.",
		       db_publisher_pending(db->publisher), NULL);
	metrics_sample(m, "netloom_etcd_changes_total", METRIC_COUNTER, "Changed keys handled.",
		       db->changes, NULL);
	metrics_sample(m, "netloom_etcd_breaks_total", METRIC_COUNTER, "Interrupted streams.",
		       db->breaks, NULL);
	metrics_sample(m, "netloom_etcd_losses_total", METRIC_COUNTER,
		       "Times that etcd came back without its data.", db->losses, NULL);
}

const struct module db_module = {
	.name = "db",
	.init = db_init,
	.fini = db_fini,
	.ready = db_ready,
	.status = db_status,
	.metrics = db_metrics,
};

/* ---- for other modules ---- */

enum db_origin db_origin(struct agent *a)
{
	return db_of(a)->origin;
}

bool db_connected(struct agent *a)
{
	return store_connected(db_of(a)->store);
}

struct json_object *db_get(struct agent *a, const char *key)
{
	return db_table_get(db_of(a)->table, key);
}

int db_foreach(struct agent *a, const char *prefix,
	       int (*fn)(const char *key, struct json_object *value, void *arg), void *arg)
{
	return db_table_foreach(db_of(a)->table, prefix, fn, arg);
}

int db_follow(struct agent *a, const char *prefix)
{
	return db_follow_add(db_of(a), prefix);
}

int db_publish(struct agent *a, const char *key, const char *value)
{
	return db_publisher_put(db_of(a)->publisher, key, value);
}

void db_unpublish(struct agent *a, const char *key)
{
	db_publisher_del(db_of(a)->publisher, key);
}

struct store *db_store(struct agent *a)
{
	return db_of(a)->store;
}
