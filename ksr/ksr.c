// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "ksr"
#include <errno.h>
#include <string.h>

#include "ksr/ksr_int.h"
#include "lib/base/log.h"

#define STOP_MS 3000

/* ---- what goes wrong ---- */

static void on_bad(enum kind kind, const struct err *e, void *arg)
{
	struct ksr *k = arg;

	k->bad[kind]++;
	log_limited(LOG_LVL_ERROR, 50, "%s; passed over", e->msg);
}

static void on_source_trouble(enum kind kind, const struct err *e, void *arg)
{
	log_limited(LOG_LVL_WARN, 20, "%s; will be tried again", e->msg);
}

static void on_served(enum kind kind, bool served, void *arg)
{
	if (served)
		log_info("'%s': the API server serves it now", kinds[kind].name);
	else
		log_info("'%s': the API server does not serve it (no CRD), so there are none",
			 kinds[kind].name);
}

static void on_trouble(const char *error, void *arg)
{
	log_limited(LOG_LVL_WARN, 10, "%s; will be tried again", error);
}

static void on_refused(const char *key, const char *error, void *arg)
{
	log_limited(LOG_LVL_ERROR, 20, "etcd refuses '%s': %s; left out until it changes", key,
		    error);
}

/* ---- working ---- */

static void on_changed(void *arg)
{
	struct ksr *k = arg;

	writer_kick(k->writer);
}

static void on_synced(enum kind kind, void *arg)
{
	struct ksr *k = arg;

	if (k->whole[kind] == lead_epoch(k->lead))
		return;
	k->whole[kind] = lead_epoch(k->lead);
	log_info("'%s' is reflected whole: %zu objects", kinds[kind].name,
		 table_count(k->table, kind));
}

static void on_fenced(const char *text, void *arg)
{
	struct ksr *k = arg;

	lead_fenced(k->lead, text);
}

static const struct writer_ops writer_ops = {
	.on_fenced = on_fenced,
	.on_refused = on_refused,
	.on_trouble = on_trouble,
	.on_synced = on_synced,
};

static void on_endpoints_removed(size_t n, const char *key, const char *node, void *arg)
{
	log_info("removed %zu endpoints of nodes that are gone, such as '%s' of node '%s'", n, key,
		 node);
}

static void on_bad_endpoint(const char *key, const struct err *e, void *arg)
{
	log_limited(LOG_LVL_WARN, 10, "etcd: '%s': %s; left alone", key, e->msg);
}

static const struct endpoints_ops endpoints_ops = {
	.on_removed = on_endpoints_removed,
	.on_bad = on_bad_endpoint,
	.on_trouble = on_trouble,
};

static int start_source(struct ksr *k, struct err *e)
{
	if (k->cfg->source == SOURCE_DIRECTORY)
		return source_dir_new(k->base, k->cfg->directory.path, &k->intake, &k->source_dir,
				      e);
	if (source_kube_new(k->base, k->kube, &k->intake, &k->source_kube) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

static void on_stop(const char *why, void *arg)
{
	struct ksr *k = arg;

	log_warn("leads no more: %s", why);
	k->leading = false;
	writer_stop(k->writer);
	endpoints_stop(k->endpoints);
	alive_free(TAKE_PTR(k->alive));
	source_kube_free(TAKE_PTR(k->source_kube));
	source_dir_free(TAKE_PTR(k->source_dir));
	table_clear(k->table);
}

static void on_lead(const struct fence_value *fence, void *arg)
{
	struct ksr *k = arg;
	struct err e = {};
	int err = 0;

	log_info("'%s' leads, epoch %lld", k->cfg->election.identity, (long long)fence->epoch);
	k->transitions++;
	if (!k->leading)
		err = start_source(k, &e);
	k->leading = true;
	if (!err && !k->alive && alive_new(k->base, k->store, &k->alive) < 0)
		err = err_set(&e, -ENOMEM, "out of memory");
	if (!err)
		alive_say(k->alive, fence);
	if (!err &&
	    (writer_fence(k->writer, fence) < 0 || endpoints_fence(k->endpoints, fence) < 0))
		err = err_set(&e, -ENOMEM, "out of memory");
	if (err < 0) {
		log_error("can't start: %s", e.msg);
		event_base_loopbreak(k->base);
	}
}

static const struct lead_ops lead_ops = {
	.on_lead = on_lead,
	.on_stop = on_stop,
	.on_trouble = on_trouble,
};

static void on_connected(bool connected, void *arg)
{
	if (connected)
		log_info("etcd answers");
	else
		log_warn("etcd does not answer");
}

/* ---- starting ---- */

static int start_store(struct ksr *k, struct err *e)
{
	int err = etcd_config_open(&k->cfg->etcd, k->base, &k->store, e);

	if (!err)
		store_on_connected(k->store, on_connected, k);
	return err;
}

static int start_kube(struct ksr *k, char **ret_namespace, struct err *e)
{
	struct kube_config kc = {};
	int err;

	if (k->cfg->source != SOURCE_KUBERNETES)
		return 0;
	err = kube_config_find(k->cfg->kubernetes.kubeconfig, k->cfg->kubernetes.api_server, &kc,
			       e);
	if (err < 0)
		return err_prefix(e, "kubernetes");
	log_info("API server %s by %s", kc.server, kc.origin);
	if (kc.insecure)
		log_warn("the API server's certificate is not verified, as %s says", kc.origin);
	*ret_namespace = TAKE_PTR(kc.name_space);
	return kube_new(k->base, &kc, &k->kube, e);
}

static int start_parts(struct ksr *k, struct err *e)
{
	_cleanup_(freep) char *ns = NULL;
	struct lead_config lead = {
		.enabled = k->cfg->election.enabled,
		.name = k->cfg->election.name,
		.identity = k->cfg->election.identity,
	};
	int err = start_store(k, e);

	if (!err)
		err = start_kube(k, &ns, e);
	if (!err)
		err = api_start(k, e);
	if (err < 0)
		return err;
	lead.kube = k->kube;
	lead.name_space = *k->cfg->election.name_space ? k->cfg->election.name_space
			  : ns			       ? ns
						       : "kube-system";
	err = table_new(&k->table);
	if (!err)
		err = writer_new(k->base, k->store, k->table, &writer_ops, k, &k->writer);
	if (!err)
		err = endpoints_new(k->base, k->store, k->table, k->cfg->endpoints.grace_ms,
				    &endpoints_ops, k, &k->endpoints);
	if (!err)
		err = lead_new(k->base, k->store, &lead, &lead_ops, k, &k->lead);
	k->intake.table = k->table;
	return err < 0 ? err_set(e, err, "out of memory") : 0;
}

int ksr_new(struct event_base *base, const struct ksr_config *cfg, struct ksr **ret, struct err *e)
{
	struct ksr *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return err_set(e, -ENOMEM, "out of memory");
	k->base = base;
	k->cfg = cfg;
	k->intake = (struct intake){
		.changed = on_changed,
		.bad = on_bad,
		.trouble = on_source_trouble,
		.served = on_served,
		.arg = k,
	};
	err = start_parts(k, e);
	if (err < 0) {
		ksr_free(k);
		return err;
	}
	*ret = k;
	return 0;
}

/* ---- ending ---- */

void ksr_free(struct ksr *k)
{
	if (!k)
		return;
	source_kube_free(k->source_kube);
	source_dir_free(k->source_dir);
	alive_free(k->alive);
	lead_free(k->lead);
	writer_free(k->writer);
	endpoints_free(k->endpoints);
	table_free(k->table);
	httpd_free(k->httpd);
	kube_free(k->kube);
	store_free(k->store);
	free(k);
}

static void on_released(void *arg)
{
	struct ksr *k = arg;

	event_base_loopbreak(k->base);
}

void ksr_stop(struct ksr *k)
{
	struct timeval tv = { .tv_sec = STOP_MS / 1000 };

	if (k->stopping)
		return;
	k->stopping = true;
	writer_stop(k->writer);
	endpoints_stop(k->endpoints);
	event_base_loopexit(k->base, &tv);
	lead_release(k->lead, on_released, k);
}
