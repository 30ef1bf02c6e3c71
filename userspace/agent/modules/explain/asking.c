// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "explain"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#include "agent/core/agent_config.h"
#include "agent/modules/db/db.h"
#include "agent/modules/explain/private.h"
#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"

/*
 * A question under way. Its lease carries its key and the answer's, so both go when the lease is
 * given back, or runs out with the agent.
 */
struct asking {
	struct asking *prev, *next;
	struct explain_module *m;
	struct httpd_later *later;
	struct store_lease *lease;
	struct store_follow *follow; /* of the answer's key */
	struct store_op *put;
	struct event *deadline;
	bool asked;
	struct explain_question question;
	char node[256];
	char ask_key[320], answer_key[320];
};

static void asking_free(struct asking *a)
{
	if (!a)
		return;
	if (a->put)
		store_op_cancel(a->put);
	store_follow_free(a->follow);
	store_lease_free(a->lease);
	if (a->deadline)
		event_free(a->deadline);
	free(a);
}
DEFINE_FREEP(struct asking, asking_free)

static void forget(struct asking *a)
{
	DL_DELETE(a->m->asking, a);
	a->m->n_asking--;
	asking_free(a);
}

static void refuse(struct asking *a, int status, const char *error)
{
	struct httpd_reply reply = {};

	explain_refuse(&reply, status, error);
	httpd_answer(a->later, &reply);
	forget(a);
}

static void refuse_errno(struct asking *a, int err, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "node '%s' was not asked: etcd: %s", a->node,
		 what && *what ? what : strerror(-err));
	refuse(a, 503, text);
}

/* ---- the answer ---- */

static void take_answer(struct asking *a, const struct store_kv *kv)
{
	struct httpd_reply reply = {};
	char text[600];
	struct err e = {};
	int err = explain_answer_parse(kv->value, kv->value_len, a->node, &reply.json, &e);

	if (err < 0) {
		snprintf(text, sizeof(text), "node '%s': %s", a->node, e.msg);
		refuse(a, err == -EINVAL ? 400 : 502, text);
		return;
	}
	httpd_answer(a->later, &reply);
	forget(a);
}

static void look(struct asking *a, const struct store_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (kvs[i].value && strcmp(kvs[i].key, a->answer_key) == 0) {
			take_answer(a, &kvs[i]);
			return;
		}
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	look(arg, all->kvs, all->n);
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	look(arg, events, n);
}

static const struct store_follow_ops follow_ops = { .on_sync = on_sync, .on_change = on_change };

/* An agent of before questions were answered never answers. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct asking *a = arg;
	char text[400];

	snprintf(text, sizeof(text), "node '%s' did not answer within %u s", a->node,
		 EXPLAIN_WAIT_MS / 1000);
	refuse(a, 504, text);
}

/* ---- the question ---- */

static void on_put(const struct store_txn_result *res, void *arg)
{
	struct asking *a = arg;

	a->put = NULL;
	if (res->err)
		refuse_errno(a, res->err, res->error);
}

static void on_granted(int64_t id, void *arg)
{
	struct asking *a = arg;
	struct explain_letter l = { .until_ms = clock_real_ms() + EXPLAIN_LEASE_S * 1000,
				    .question = a->question };
	_json_ *o = NULL;
	int err;

	if (a->asked)
		return;
	a->asked = true;
	snprintf(l.asker, sizeof(l.asker), "%s", agent_cfg(a->m->agent)->node_name);
	o = explain_letter_json(&l);
	err = o ? store_put(db_store(a->m->agent), a->ask_key, json_text(o), id, on_put, a, &a->put)
		: -ENOMEM;
	if (err < 0)
		refuse_errno(a, err, NULL);
}

static void on_lost(void *arg)
{
}

static const struct store_lease_ops lease_ops = { .on_granted = on_granted, .on_lost = on_lost };

static int make_keys(struct asking *a)
{
	uint64_t id;

	if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
		return -EAGAIN;
	snprintf(a->ask_key, sizeof(a->ask_key), KEY_ASK "%s/%016" PRIx64, a->node, id);
	snprintf(a->answer_key, sizeof(a->answer_key), KEY_ANSWER "%s/%016" PRIx64,
		 agent_cfg(a->m->agent)->node_name, id);
	return 0;
}

static int begin(struct asking *a)
{
	const struct timeval wait = { .tv_sec = EXPLAIN_WAIT_MS / 1000 };
	struct store *store = db_store(a->m->agent);
	int err = make_keys(a);

	a->deadline = evtimer_new(agent_base(a->m->agent), on_deadline, a);
	if (!err && (!a->deadline || evtimer_add(a->deadline, &wait) < 0))
		err = -ENOMEM;
	if (!err)
		err = store_follow_new(store, a->answer_key, &follow_ops, a, &a->follow);
	if (!err)
		err = store_lease_new(store, EXPLAIN_LEASE_S, &lease_ops, a, &a->lease);
	return err;
}

int ask_node(struct explain_module *m, const char *node, const struct explain_question *q,
	     const struct httpd_request *req)
{
	_cleanup_(asking_freep) struct asking *a = NULL;
	int err;

	if (m->n_asking >= EXPLAIN_MAX_ASKING)
		return -EBUSY;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->m = m;
	a->question = *q;
	snprintf(a->node, sizeof(a->node), "%s", node);
	err = begin(a);
	if (err < 0)
		return err;
	a->later = httpd_later(req);
	if (!a->later)
		return -ENOMEM;
	DL_APPEND(m->asking, a);
	m->n_asking++;
	TAKE_PTR(a);
	return 0;
}

/* The server ends with the agent, and with it who waits. */
void asking_fini(struct explain_module *m)
{
	while (m->asking)
		forget(m->asking);
}
