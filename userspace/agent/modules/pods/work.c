// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "pods"
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "agent/core/agent_config.h"
#include "agent/modules/pods/pods_int.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

static void try_again(struct request *r, const char *why)
{
	struct cni_error f;

	cni_fail(&f, CNI_TRY_AGAIN, NULL, "%s", why);
	request_fail(r, &f);
}

/* A deletion has come true for whoever waited for it. */
static void deleted(struct request *r)
{
	struct gc_run *gc = TAKE_PTR(r->gc);

	if (r->spool_file)
		spool_remove(r->pods, r->spool_file);
	request_succeed(r, NULL);
	if (!gc || --gc->left > 0)
		return;
	request_succeed(gc->request, NULL);
	free(gc);
}

/* ---- events ---- */

/* `trace` "" for what the agent does by itself. */
static struct json_object *describe(const struct attachment *att, const char *trace)
{
	struct json_object *o = json_object_new_object();
	char text[ADDR_STRLEN];

	json_add_str(o, "container", att->container_id);
	json_add_str(o, "interface", att->ifname);
	json_add_str(o, "namespace", att->pod_namespace);
	json_add_str(o, "pod", att->pod_name);
	if (!addr_is_zero(&att->ips.ip4))
		json_add_str(o, "ip4", addr_format(&att->ips.ip4, text));
	if (!addr_is_zero(&att->ips.ip6))
		json_add_str(o, "ip6", addr_format(&att->ips.ip6, text));
	if (*trace)
		json_add_str(o, "traceparent", trace);
	return o;
}

static struct record *record_of(struct attachment *att)
{
	return container_of(att, struct record, att);
}

static struct json_object *describe_add(const struct agent_event *ev)
{
	const struct add_pod *add = container_of(ev, struct add_pod, ev);
	const struct request *r = add->request;

	return describe(add->att, r ? r->trace : "");
}

/* By whom it was asked for first. */
static struct json_object *describe_del(const struct agent_event *ev)
{
	struct attachment *att = container_of(ev, struct del_pod, ev)->att;
	const struct request *r = record_of(att)->waiting;

	return describe(att, r ? r->trace : "");
}

static void free_add(struct agent_event *ev)
{
	struct add_pod *add = container_of(ev, struct add_pod, ev);

	request_free(add->request);
	record_put(record_of(add->att));
	free(add);
}

static void free_del(struct agent_event *ev)
{
	struct del_pod *del = container_of(ev, struct del_pod, ev);

	record_put(record_of(del->att));
	free(del);
}

/* ---- ADD ---- */

static void start_add(struct request *r)
{
	struct cni_error f;
	struct add_pod *ev;
	struct record *rec;

	if (host_ports_check(r, &f) < 0) {
		request_fail(r, &f);
		return;
	}
	ev = calloc(1, sizeof(*ev));
	if (!ev || record_new(r, &rec) < 0) {
		free(ev);
		try_again(r, "out of memory");
		return;
	}
	rec->work = WORK_ADD;
	rec->refs++;
	*ev = (struct add_pod){
		.ev.type = &add_pod_type, .att = &rec->att, .netns_fd = r->netns_fd, .request = r
	};
	event_push(r->pods->agent, &ev->ev);
}

static enum cni_code code_of(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EAGAIN:
	case -EBUSY:
	case -ENOMEM:
		return CNI_TRY_AGAIN;
	case -EBADF:
		return CNI_BAD_NETNS;
	default:
		return CNI_FAILED;
	}
}

static void add_failed(struct record *rec, struct request *r, int err, const struct err *e)
{
	struct request *w;
	struct cni_error f;

	log_limited(LOG_LVL_WARN, 10, "pod '%s/%s' (%s) is not wired: %s", rec->att.pod_namespace,
		    rec->att.pod_name, rec->key, e && e->msg[0] ? e->msg : strerror(-err));
	cni_fail(&f, code_of(err), NULL, "%s", e && e->msg[0] ? e->msg : strerror(-err));
	record_forget(rec);
	while ((w = rec->waiting)) {
		LL_DELETE(rec->waiting, w);
		deleted(w);
	}
	record_remove(rec);
	request_fail(r, &f);
}

/* The last durable step comes before the answer: what a runtime was told survives a crash. */
static void add_done(struct agent_event *ev, int err, const struct err *e)
{
	struct add_pod *add = container_of(ev, struct add_pod, ev);
	struct record *rec = record_of(add->att);
	struct request *r = add->request;
	struct json_object *result;
	struct cni_error f;

	add->request = NULL;
	rec->work = WORK_NONE;
	if (err < 0) {
		add_failed(rec, r, err, e);
		return;
	}
	rec->delivered = grpc_call_alive(r->call);
	err = record_save(rec, ATTACHMENT_UP);
	result = err < 0 ? NULL : cni_result_new(&r->config, &rec->att);
	if (!result) {
		cni_fail(&f, CNI_TRY_AGAIN, err < 0 ? strerror(-err) : NULL,
			 "the attachment cannot be kept");
		request_fail(r, &f);
		work_delete_record(rec);
		return;
	}
	request_succeed(r, result);
	publish_record(rec);
	if (rec->waiting)
		work_delete_record(rec);
}

const struct event_type add_pod_type = {
	.name = "add-pod",
	.method = EVENT_UPDATE,
	.mode = TXN_REVERT_ON_FAILURE,
	.describe = describe_add,
	.done = add_done,
	.free = free_add,
};

/* The same interface of the same container again. */
static void add_again(struct request *r, struct record *rec)
{
	struct request *w;
	struct cni_error f;

	if (rec->work == WORK_ADD) {
		try_again(r, "an ADD of this container and interface is under way");
		return;
	}
	LL_FOREACH (rec->waiting, w) {
		if (w->verb == CNI_ADD) {
			try_again(r, "an ADD of this container and interface is waiting");
			return;
		}
	}
	if (rec->work == WORK_NONE && rec->delivered && rec->att.netns_dev == r->netns_dev &&
	    rec->att.netns_ino == r->netns_ino) {
		cni_fail(&f, CNI_ALREADY_ATTACHED, "DEL it first",
			 "interface %s of container %.64s is attached already", r->ifname,
			 r->container_id);
		request_fail(r, &f);
		return;
	}
	/* Nobody has heard of that one, or its namespace is another: it makes room. */
	LL_APPEND(rec->waiting, r);
	if (rec->work == WORK_NONE)
		work_delete_record(rec);
}

void work_add(struct request *r)
{
	struct record *rec = record_find(r->pods, r->container_id, r->ifname);

	if (rec)
		add_again(r, rec);
	else
		start_add(r);
}

/* ---- DEL ---- */

void work_delete_record(struct record *rec)
{
	struct del_pod *ev = calloc(1, sizeof(*ev));

	if (!ev) {
		agent_heal(rec->pods->agent, "out of memory while deleting a pod");
		return;
	}
	rec->work = WORK_DEL;
	rec->refs++;
	*ev = (struct del_pod){ .ev.type = &del_pod_type, .att = &rec->att };
	event_push(rec->pods->agent, &ev->ev);
}

static void del_done(struct agent_event *ev, int err, const struct err *e)
{
	struct record *rec = record_of(container_of(ev, struct del_pod, ev)->att);
	struct request *waiting = TAKE_PTR(rec->waiting), *r, *next;

	if (err < 0)
		log_warn("pod '%s/%s' (%s): %s", rec->att.pod_namespace, rec->att.pod_name,
			 rec->key, e && e->msg[0] ? e->msg : strerror(-err));
	unpublish_record(rec);
	record_forget(rec);
	record_remove(rec);
	LL_FOREACH_SAFE (waiting, r, next) {
		r->next = NULL;
		if (r->verb == CNI_ADD)
			work_add(r);
		else if (r->gc)
			deleted(r);
		else
			work_del(r); /* of what an ADD before it in the line makes anew */
	}
}

const struct event_type del_pod_type = {
	.name = "del-pod",
	.method = EVENT_UPDATE,
	.mode = TXN_BEST_EFFORT,
	.reverse = true,
	.describe = describe_del,
	.done = del_done,
	.free = free_del,
};

void work_del(struct request *r)
{
	struct record *rec;

	/* Before the first resync the node is not known yet; the runtime waits, briefly. */
	if (!r->pods->synced) {
		LL_APPEND(r->pods->held, r);
		return;
	}
	rec = record_find(r->pods, r->container_id, r->ifname);
	if (!rec) {
		deleted(r);
		return;
	}
	LL_APPEND(rec->waiting, r);
	if (rec->work == WORK_NONE)
		work_delete_record(rec);
}

void work_release_held(struct pods *p)
{
	struct request *r;

	while ((r = p->held)) {
		LL_DELETE(p->held, r);
		r->next = NULL;
		work_del(r);
	}
}

/* ---- GC ---- */

static int collect(struct record *rec, struct gc_run *gc)
{
	struct request *r;

	if (request_new(rec->pods, CNI_DEL, &r) < 0)
		return -ENOMEM;
	r->gc = gc;
	gc->left++;
	log_info("pod '%s/%s' (%s) is not among the runtime's valid attachments",
		 rec->att.pod_namespace, rec->att.pod_name, rec->key);
	LL_APPEND(rec->waiting, r);
	if (rec->work == WORK_NONE)
		work_delete_record(rec);
	return 0;
}

/* Only attachments of the network that the list speaks of, and none that is being added. */
void work_gc(struct request *r)
{
	struct gc_run *gc = calloc(1, sizeof(*gc));
	struct record *rec, *next;

	if (!gc) {
		try_again(r, "out of memory");
		return;
	}
	gc->request = r;
	HASH_ITER (hh, r->pods->records, rec, next) {
		if (rec->work != WORK_ADD && !strcmp(rec->network, r->config.network) &&
		    !cni_config_is_valid(&r->config, rec->att.container_id, rec->att.ifname))
			collect(rec, gc);
	}
	if (gc->left > 0)
		return;
	free(gc);
	request_succeed(r, NULL);
}
