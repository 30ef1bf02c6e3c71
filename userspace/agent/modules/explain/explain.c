// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "explain"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/db/db.h"
#include "agent/modules/explain/private.h"
#include "agent/modules/modules.h"
#include "agent/modules/nodesync/nodesync.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

static struct explain_module *get(struct agent *a)
{
	return module_state(a, &explain_module);
}

int explain_here(struct explain_module *m, const struct explain_question *q,
		 struct json_object **ret, struct err *e)
{
	struct explain_names names = explain_agent_names(m);
	uint64_t start = clock_ns(), took;
	int err = explain_half(q, agent_cfg(m->agent)->paths.bpf_dir, &names, EXPLAIN_MAX_SLOTS,
			       ret, e);

	took = clock_ns() - start;
	m->runs++;
	m->seconds += took / 1e9;
	log_debug("a packet explained in %llu us", (unsigned long long)took / 1000);
	return err;
}

/* ---- REST ---- */

void explain_refuse(struct httpd_reply *reply, int status, const char *error)
{
	reply->status = status;
	reply->json = json_object_new_object();
	json_add_str(reply->json, "error", error);
}

static void answer_here(struct explain_module *m, const struct explain_question *q,
			struct httpd_reply *reply)
{
	struct err e = {};
	int err = explain_here(m, q, &reply->json, &e);

	if (err < 0)
		explain_refuse(reply, err == -EINVAL ? 400 : 500,
			       e.msg[0] ? e.msg : strerror(-err));
}

static void pass_on(struct explain_module *m, const char *node, const struct explain_question *q,
		    const struct httpd_request *req, struct httpd_reply *reply)
{
	char text[400];
	int err;

	if (!nodesync_knows(m->agent, node)) {
		snprintf(text, sizeof(text), "there is no node '%.253s'", node);
		explain_refuse(reply, 404, text);
		return;
	}
	if (!db_connected(m->agent)) {
		snprintf(text, sizeof(text), "node '%s' was not asked: etcd does not answer", node);
		explain_refuse(reply, 503, text);
		return;
	}
	err = ask_node(m, node, q, req);
	if (err == -EBUSY)
		explain_refuse(reply, 429, "too many questions are under way: ask again");
	else if (err < 0)
		explain_refuse(reply, 500, strerror(-err));
}

static int read_request(const struct httpd_request *req, struct json_object **ret,
			const char **ret_node, struct explain_question *ret_question, struct err *e)
{
	_json_ *o = NULL;

	if (json_parse(req->body, req->body_len, &o, e) < 0 ||
	    json_get_str(o, "node", ret_node, e) < 0 ||
	    explain_question_parse(json_field(o, "question"), ret_question, e) < 0)
		return -EINVAL;
	*ret = TAKE_PTR(o);
	return 0;
}

/* The maps are for root only; the loopback port is everybody's on this machine. */
static bool is_root(const struct httpd_request *req, struct httpd_reply *reply)
{
	if (httpd_by_socket(req))
		return true;
	explain_refuse(reply, 403, "through the agent's socket only");
	return false;
}

static void on_post(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct explain_module *m = arg;
	struct explain_question q;
	const char *node = NULL;
	_json_ *o = NULL;
	struct err e = {};

	if (!is_root(req, reply))
		return;
	if (read_request(req, &o, &node, &q, &e) < 0)
		explain_refuse(reply, 400, e.msg);
	else if (strcmp(node, agent_cfg(m->agent)->node_name) == 0)
		answer_here(m, &q, reply);
	else
		pass_on(m, node, &q, req, reply);
}

static void on_where(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	if (is_root(req, reply))
		explain_where(req, reply, arg);
}

/* ---- module ---- */

static void free_module(struct explain_module *m)
{
	if (!m)
		return;
	asking_fini(m);
	answering_fini(m);
	free(m);
}
DEFINE_FREEP(struct explain_module, free_module)

static int explain_init(struct agent *a, struct err *e)
{
	_cleanup_(free_modulep) struct explain_module *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->agent = a;
	err = answering_init(m);
	err = err ?: httpd_route(agent_httpd(a), "POST", "/v1/explain", on_post, m);
	err = err ?: httpd_route(agent_httpd(a), "GET", "/v1/explain/where", on_where, m);
	if (err < 0)
		return err;
	module_set_state(a, &explain_module, TAKE_PTR(m));
	return 0;
}

static void explain_fini(struct agent *a)
{
	struct explain_module *m = get(a);

	module_set_state(a, &explain_module, NULL);
	free_module(m);
}

static void explain_metrics(struct agent *a, struct metrics *out)
{
	static const char *const words[ASKED_OUTCOMES] = { "answered", "refused", "late",
							   "malformed" };
	const struct explain_module *m = get(a);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		metrics_sample(out, "netloom_explain_questions_total", METRIC_COUNTER,
			       "Questions of other nodes about packets, by what became of them.",
			       m->answering.counts[i], "result", words[i], NULL);
	metrics_sample(out, "netloom_explain_runs_total", METRIC_COUNTER,
		       "Packets that the agent has explained.", m->runs, NULL);
	metrics_sample(out, "netloom_explain_seconds_total", METRIC_COUNTER,
		       "Time spent on explaining packets.", m->seconds, NULL);
}

const struct module explain_module = {
	.name = "explain",
	.needs = NEEDS("db", "nodesync", "pods", "services", "policy"),
	.init = explain_init,
	.fini = explain_fini,
	.metrics = explain_metrics,
};
