// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "db"
#include "agent/modules/db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/private.h"
#include "agent/modules/modules.h"
#include "api/etcd_keys.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* What the agent's modules ask for. ksr's marks tell a swept resource from a lost one. */
static const char *const followed[] = { KEY_NODE, KEY_K8S_NODE, KEY_KSR_SYNCED };

struct db_prefix {
	struct db *db;
	const char *prefix;
	struct store_follow *follow;
	bool synced;
};

struct db *db_of(struct agent *a)
{
	return module_state(a, &db_module);
}

/* ---- events ---- */

static struct json_object *change_describe(const struct event *ev)
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

static void change_free(struct event *ev)
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
	struct event ev;
	enum db_origin origin;
	size_t keys;
};

static const char *origin_word(enum db_origin origin)
{
	static const char *const words[] = { "nothing", "mirror", "etcd" };

	return words[origin];
}

static struct json_object *resync_describe(const struct event *ev)
{
	const struct db_resync *r = container_of(ev, struct db_resync, ev);
	struct json_object *o = json_object_new_object();

	if (o) {
		json_add_str(o, "from", origin_word(r->origin));
		json_add_int(o, "keys", r->keys);
	}
	return o;
}

static void resync_free(struct event *ev)
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

const struct db_change *db_change_below(const struct event *ev, const char *prefix)
{
	const struct db_change *c;

	if (ev->type != &db_change_type)
		return NULL;
	c = container_of(ev, struct db_change, ev);
	return strncmp(c->key, prefix, strlen(prefix)) == 0 ? c : NULL;
}

static void push_resync(struct db *db)
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

/* Takes the trees. Before the first db-resync nobody needs to be told. */
static void push_change(struct db *db, const char *key, struct db_diff *diff)
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

/* ---- what etcd says ---- */

static void take_value(struct db *db, const struct store_kv *kv)
{
	struct db_diff diff = {};
	struct err e = {};
	int err;

	db_publisher_seen(db->publisher, kv->key, kv->value, kv->value_len);
	if (kv->value)
		err = db_table_put(db->table, kv->key, kv->value, kv->value_len, &diff, &e);
	else
		err = db_table_del(db->table, kv->key, &diff);
	if (err < 0) {
		log_limited(LOG_LVL_ERROR, 20, "etcd: %s; the old value stays", e.msg);
		return;
	}
	if (!err)
		return;
	db_local_store(db, kv->key, kv->value ? db_table_text(db->table, kv->key) : NULL);
	push_change(db, kv->key, &diff);
}

static void drop_key(const char *key, void *arg)
{
	/* `key` is the entry's own memory. */
	_cleanup_(freep) char *copy = strdup(key);
	struct db_diff diff = {};
	struct db *db = arg;

	if (!copy || !db_table_del(db->table, copy, &diff))
		return;
	db_local_store(db, copy, NULL);
	push_change(db, copy, &diff);
}

static void keep_lost(const char *key, void *arg)
{
	struct db *db = arg;

	db_table_set_lost(db->table, key);
}

/* ksr has reflected a resource whole: what it did not write again is gone for good. */
static void sweep_reflected(struct db *db, const char *synced_key)
{
	char prefix[256];

	snprintf(prefix, sizeof(prefix), KEY_K8S "%s/", synced_key + strlen(KEY_KSR_SYNCED));
	db_table_foreach_lost(db->table, prefix, drop_key, db);
}

static bool data_was_lost(const struct db *db, const struct store_range_result *all)
{
	if (!db->revision)
		return false;
	return (db->cluster_id && all->cluster_id && db->cluster_id != all->cluster_id) ||
	       all->revision < db->revision;
}

static void note_loss(struct db *db)
{
	struct timeval grace = { .tv_sec = DB_LOST_GRACE_S };

	db->losses++;
	log_error("etcd has lost its data (or is another one): what this node knows stays until "
		  "it is written again");
	event_add(db->lost, &grace);
	db_publisher_push(db->publisher, true);
}

static bool all_synced(const struct db *db)
{
	for (size_t i = 0; i < db->n_prefixes; i++) {
		if (!db->prefixes[i].synced)
			return false;
	}
	return true;
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	struct db_prefix *p = arg;
	struct db *db = p->db;
	bool lost = data_was_lost(db, all), first;

	if (lost)
		note_loss(db);
	db_table_mark(db->table, p->prefix);
	for (size_t i = 0; i < all->n; i++)
		take_value(db, &all->kvs[i]);
	/* While the grace runs, every prefix that is listed anew comes from the same loss. */
	if (lost || event_pending(db->lost, EV_TIMEOUT, NULL))
		db_table_foreach_marked(db->table, p->prefix, keep_lost, db);
	else
		db_table_foreach_marked(db->table, p->prefix, drop_key, db);
	for (size_t i = 0; strcmp(p->prefix, KEY_KSR_SYNCED) == 0 && i < all->n; i++)
		sweep_reflected(db, all->kvs[i].key);

	db->cluster_id = all->cluster_id;
	db->revision = all->revision;
	db_local_store_meta(db);
	p->synced = true;
	if (!all_synced(db))
		return;
	first = db->origin != DB_ETCD;
	db->origin = DB_ETCD;
	db->last_error[0] = 0;
	event_del(db->deadline);
	if (first) {
		log_info("in step with etcd at revision %lld: %zu keys", (long long)db->revision,
			 db_table_size(db->table));
		push_resync(db);
	}
	db_publisher_push(db->publisher, !first);
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct db_prefix *p = arg;

	for (size_t i = 0; i < n; i++) {
		take_value(p->db, &events[i]);
		if (events[i].value && strcmp(p->prefix, KEY_KSR_SYNCED) == 0)
			sweep_reflected(p->db, events[i].key);
	}
	if (revision > p->db->revision) {
		p->db->revision = revision;
		db_local_store_meta(p->db);
	}
}

static void on_break(int err, const char *error, void *arg)
{
	struct db_prefix *p = arg;

	p->db->breaks++;
	snprintf(p->db->last_error, sizeof(p->db->last_error), "%s", error);
	log_limited(LOG_LVL_WARN, 3, "following '%s' is interrupted: %s", p->prefix, error);
}

static const struct store_follow_ops follow_ops = {
	.on_sync = on_sync,
	.on_change = on_change,
	.on_break = on_break,
};

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

	for (size_t i = 0; i < db->n_prefixes; i++) {
		struct db_prefix *p = &db->prefixes[i];
		int err = store_follow_new(db->store, p->prefix, &follow_ops, p, &p->follow);

		if (err < 0) {
			log_error("'%s' can't be followed: %s", p->prefix, strerror(-err));
			agent_stop(db->agent, 1);
			return;
		}
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
	push_resync(db);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;

	db->dirty = false;
	if (mirror_sync(db->mirror) < 0)
		log_limited(LOG_LVL_ERROR, 1, "the local mirror can't be written to disk");
}

static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;

	if (db_table_lost(db->table))
		log_warn("%zu keys were lost with etcd's data and not written again: dropped",
			 db_table_lost(db->table));
	db_table_foreach_lost(db->table, "", drop_key, db);
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
	for (size_t i = 0; i < db->n_prefixes; i++)
		store_follow_free(db->prefixes[i].follow);
	db_publisher_free(db->publisher);
	store_free(db->store);
	timer_free(db->deadline);
	timer_free(db->begin);
	timer_free(db->flush);
	timer_free(db->lost);
	db_table_free(db->table);
	mirror_close(db->mirror);
	free(db->prefixes);
	free(db);
}
DEFINE_FREEP(struct db, db_free)

static int read_password(const char *path, char *buf, size_t size, struct err *e)
{
	_cleanup_(closep) int fd = -1;
	ssize_t n;

	if (!path[0])
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return err_errno(e, -errno, "etcd.passwordFile '%s'", path);
	buf[n] = 0;
	buf[strcspn(buf, "\r\n")] = 0;
	return 0;
}

static const char *or_null(const char *s)
{
	return s && s[0] ? s : NULL;
}

static int open_store(struct db *db, struct err *e)
{
	const struct agent_config *cfg = agent_cfg(db->agent);
	char password[256] = "";
	struct store_config sc = {
		.endpoints = (const char *const *)cfg->etcd.endpoints.v,
		.ca_file = or_null(cfg->etcd.ca_file),
		.cert_file = or_null(cfg->etcd.cert_file),
		.key_file = or_null(cfg->etcd.key_file),
		.username = or_null(cfg->etcd.username),
	};
	int err;

	err = read_password(cfg->etcd.password_file, password, sizeof(password), e);
	if (err < 0)
		return err;
	sc.password = or_null(password);
	err = store_new(agent_base(db->agent), &sc, &db->store, e);
	if (err < 0)
		return err;
	store_on_connected(db->store, on_connected, db);
	return 0;
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
	db->prefixes = calloc(ARRAY_SIZE(followed), sizeof(*db->prefixes));
	if (!db->prefixes || make_timers(db) < 0 || db_table_new(agent_base(a), &db->table) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(followed); i++)
		db->prefixes[i] = (struct db_prefix){ .db = db, .prefix = followed[i] };
	db->n_prefixes = ARRAY_SIZE(followed);

	err = db_local_open(db, e);
	if (err < 0)
		return err;
	err = db_local_load(db);
	if (err < 0)
		return err_errno(e, err, "the local mirror can't be read");
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

static struct json_object *db_status(struct agent *a)
{
	const struct db *db = db_of(a);
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_add_str(o, "state", origin_word(db->origin));
	json_add_bool(o, "connected", store_connected(db->store));
	json_add_int(o, "revision", db->revision);
	json_add_int(o, "keys", db_table_size(db->table));
	json_add_int(o, "lostKeys", db_table_lost(db->table));
	json_add_int(o, "unpublished", db_publisher_pending(db->publisher));
	if (db->last_error[0] && !store_connected(db->store))
		json_add_str(o, "error", db->last_error);
	return o;
}

static void db_metrics(struct agent *a, struct metrics *m)
{
	const struct db *db = db_of(a);

	metrics_sample(m, "netloom_etcd_connected", METRIC_GAUGE, "Whether etcd answers.",
		       store_connected(db->store), NULL);
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
