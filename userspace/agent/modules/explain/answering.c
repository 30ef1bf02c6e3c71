// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "explain"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/db/db.h"
#include "agent/modules/explain/private.h"
#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

static bool bucket_take(struct bucket *b)
{
	uint64_t now = clock_ms();

	b->tokens = MIN(b->tokens + (now - b->at_ms) * EXPLAIN_RATE / 1000.0, EXPLAIN_RATE);
	b->at_ms = now;
	if (b->tokens < 1)
		return false;
	b->tokens--;
	return true;
}

static void count(struct explain_module *m, enum outcome outcome)
{
	m->answering.counts[outcome]++;
}

/* ---- answers ---- */

/* Under the question's own lease: when the asker stops waiting, or is gone, so is the answer. */
static void post(struct explain_module *m, const struct waiting *w, struct json_object *answer)
{
	char key[320];

	if (!answer)
		return;
	snprintf(key, sizeof(key), KEY_ANSWER "%s/%s", w->letter.asker, w->id);
	store_put(db_store(m->agent), key, json_text(answer), w->lease, NULL, NULL, NULL);
}

static struct json_object *error_json(const char *text, bool bad)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "error", text);
	if (bad)
		json_add_bool(o, "bad", true);
	return o;
}

static void answer(struct explain_module *m, const struct waiting *w)
{
	_json_ *o = NULL;
	struct err e = {};
	int err = explain_here(m, &w->letter.question, &o, &e);

	if (err < 0)
		o = error_json(e.msg[0] ? e.msg : strerror(-err), err == -EINVAL);
	else if (strlen(json_text(o)) > EXPLAIN_MAX_ANSWER) {
		json_object_put(o);
		o = error_json("its answer is too long", false);
	}
	count(m, ASKED_ANSWERED);
	post(m, w, o);
}

/* Of questions that are too many, some are told so; the rest is not worth a write. */
static void refuse(struct explain_module *m, const struct waiting *w)
{
	_json_ *o = NULL;

	count(m, ASKED_REFUSED);
	if (!bucket_take(&m->answering.refusals))
		return;
	o = error_json("it is asked too much at the moment: ask again", false);
	post(m, w, o);
}

/* Who asked waits no longer; or its clock is not ours. */
static bool is_late(struct explain_module *m, const struct waiting *w)
{
	int64_t late_ms = (int64_t)clock_real_ms() - w->letter.until_ms;

	if (late_ms <= 0)
		return false;
	count(m, ASKED_LATE);
	log_limited(LOG_LVL_WARN, 1,
		    "a question of node '%s' is not answered: its time was over %lld ms ago; do "
		    "the nodes' clocks agree?",
		    w->letter.asker, (long long)late_ms);
	return true;
}

/* ---- one a turn of the loop ---- */

static void next_turn(struct answering *s)
{
	static const struct timeval now = {};

	if (s->n)
		evtimer_add(s->turn, &now);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct explain_module *m = arg;
	struct answering *s = &m->answering;
	struct waiting w = s->queue[s->first];

	s->first = (s->first + 1) % ARRAY_SIZE(s->queue);
	s->n--;
	next_turn(s);
	if (!is_late(m, &w))
		answer(m, &w);
}

static void enqueue(struct explain_module *m, const struct waiting *w)
{
	struct answering *s = &m->answering;

	if (s->n == ARRAY_SIZE(s->queue) || !bucket_take(&s->answers)) {
		refuse(m, w);
		return;
	}
	s->queue[(s->first + s->n++) % ARRAY_SIZE(s->queue)] = *w;
	next_turn(s);
}

/* ---- questions ---- */

/* The id from the key: 16 hexadecimal digits. */
static int read_id(const struct explain_module *m, const struct store_kv *kv, char ret[static 17],
		   struct err *e)
{
	size_t before = strlen(KEY_ASK) + strlen(agent_cfg(m->agent)->node_name) + 1;

	if (kv->key_len != before + 16 || strspn(kv->key + before, "0123456789abcdef") != 16)
		return err_set(e, -EINVAL, "the key has no id of 16 digits");
	memcpy(ret, kv->key + before, 17);
	return 0;
}

static int read_question(const struct explain_module *m, const struct store_kv *kv,
			 struct waiting *ret, struct err *e)
{
	int err = read_id(m, kv, ret->id, e);

	if (err < 0)
		return err;
	if (!kv->lease)
		return err_set(e, -EINVAL, "it has no lease, and would stay for ever");
	ret->lease = kv->lease;
	return explain_letter_parse(kv->value, kv->value_len, &ret->letter, e);
}

static void take_question(struct explain_module *m, const struct store_kv *kv)
{
	struct waiting w = {};
	struct err e = {};

	if (!kv->value)
		return;
	if (read_question(m, kv, &w, &e) < 0) {
		count(m, ASKED_MALFORMED);
		log_limited(LOG_LVL_WARN, 1, "the question '%.300s' is ignored: %s", kv->key,
			    e.msg);
	} else if (!is_late(m, &w)) {
		enqueue(m, &w);
	}
}

/* After a break, those that came meanwhile. */
static void on_sync(const struct store_range_result *all, void *arg)
{
	struct explain_module *m = arg;
	int64_t known = all->revision < m->answering.revision ? 0 : m->answering.revision;

	for (size_t i = 0; i < all->n; i++)
		if (all->kvs[i].mod_revision > known)
			take_question(m, &all->kvs[i]);
	m->answering.revision = all->revision;
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct explain_module *m = arg;

	for (size_t i = 0; i < n; i++)
		take_question(m, &events[i]);
	m->answering.revision = revision;
}

static const struct store_follow_ops follow_ops = { .on_sync = on_sync, .on_change = on_change };

int answering_init(struct explain_module *m)
{
	struct answering *s = &m->answering;
	char prefix[300];

	s->turn = evtimer_new(agent_base(m->agent), on_turn, m);
	if (!s->turn)
		return -ENOMEM;
	snprintf(prefix, sizeof(prefix), KEY_ASK "%s/", agent_cfg(m->agent)->node_name);
	return store_follow_new(db_store(m->agent), prefix, &follow_ops, m, &s->follow);
}

void answering_fini(struct explain_module *m)
{
	store_follow_free(m->answering.follow);
	if (m->answering.turn)
		event_free(m->answering.turn);
}
