// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "pods"
#include "agent/modules/pods/pods.h"

#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/ipam/ipam.h"
#include "agent/modules/modules.h"
#include "agent/modules/pods/pods_int.h"
#include "lib/base/log.h"

struct pods *pods_get(struct agent *a)
{
	return module_state(a, &pods_module);
}

static bool pods_handles(struct agent *a, const struct agent_event *ev)
{
	return ev->type == &add_pod_type || ev->type == &del_pod_type;
}

/* Last of all for an ADD, when the attachment is complete, and first for a DEL: in both cases
 * before anything is done to the node. */
static int pods_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	bool add = ev->type == &add_pod_type;
	struct attachment *att = add ? container_of(ev, struct add_pod, ev)->att
				     : container_of(ev, struct del_pod, ev)->att;
	struct record *rec = container_of(att, struct record, att);
	int err = record_save(rec, add ? ATTACHMENT_ADDING : ATTACHMENT_DELETING);

	return err < 0 ? err_errno(e, err, "local store: attachment '%s'", rec->key) : 0;
}

/* What an interrupted ADD or DEL held rests like any other released address. */
static void mend(struct record *rec)
{
	struct err e = {};

	if ((!addr_is_zero(&rec->att.ips.ip4) || !addr_is_zero(&rec->att.ips.ip6)) &&
	    ipam_reserve(rec->pods->agent, rec->key, &rec->att.ips, &e) < 0)
		log_warn("attachment '%s': %s", rec->key, e.msg);
	work_delete_record(rec);
}

/*
 * Runtimes of the go-cni kind have no GC, so attachments whose namespace is proven gone are deleted
 * here. The others are wired by podwire in this very resync.
 */
static int pods_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct pods *p = pods_get(a);
	struct record *rec, *next;
	bool first = !p->synced;

	HASH_ITER (hh, p->records, rec, next) {
		if (rec->work != WORK_NONE)
			continue;
		if (rec->leftover) {
			mend(rec);
		} else if (!first && record_namespace_gone(rec)) {
			log_info("pod '%s/%s' (%s): its network namespace is gone",
				 rec->att.pod_namespace, rec->att.pod_name, rec->key);
			work_delete_record(rec);
		} else if (first) {
			publish_record(rec);
		}
	}
	if (!first)
		return 0;
	p->synced = true;
	work_release_held(p);
	spool_replay(p);
	agent_ready_changed(a);
	return 0;
}

static int pods_ready(struct agent *a, struct err *e)
{
	return pods_get(a)->synced ? 0 : err_set(e, -EAGAIN, "waits for the first resync of pods");
}

static void on_ready(struct agent *a, bool ready)
{
	struct pods *p = pods_get(a);

	if (!p)
		return;
	p->ready = ready;
	conflist_keep(p->conflist);
}

static void pods_fini(struct agent *a)
{
	struct pods *p = pods_get(a);
	struct record *rec, *next;
	struct request *r;

	if (!p)
		return;
	spool_close(p);
	conflist_free(p->conflist);
	while ((r = p->held)) {
		p->held = r->next;
		request_free(r);
	}
	HASH_ITER (hh, p->records, rec, next)
		record_remove(rec);
	grpc_server_free(p->server);
	module_set_state(a, &pods_module, NULL);
	free(p);
}

static int pods_init(struct agent *a, struct err *e)
{
	struct pods *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->agent = a;
	p->inotify_fd = -1;
	module_set_state(a, &pods_module, p);
	err = records_load(p, e);
	if (!err && view_init(p) < 0)
		err = err_set(e, -ENOMEM, "out of memory");
	if (!err)
		err = spool_open(p, e);
	if (!err && (err = conflist_new(p, &p->conflist)) < 0)
		err_errno(e, err, "cni.confDir");
	if (!err)
		err = requests_listen(p, e);
	if (!err)
		agent_on_ready(a, on_ready);
	return err;
}

const struct module pods_module = {
	.name = "pods",
	.needs = NEEDS("db", "uplink", "nodesync", "ipam", "podwire"),
	.init = pods_init,
	.fini = pods_fini,
	.handles = pods_handles,
	.update = pods_update,
	.resync = pods_resync,
	.ready = pods_ready,
	.metrics = pods_metrics,
	.status = pods_status,
};
