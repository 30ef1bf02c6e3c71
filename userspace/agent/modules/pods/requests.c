// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "pods"
#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/ipam/ipam.h"
#include "agent/modules/pods/pods_int.h"
#include "agent/modules/podwire/podwire.h"
#include "api/cni_spool.h"
#include "headers/api/cni.pb-c.h"
#include "lib/base/clock.h"
#include "lib/base/folders.h"
#include "lib/base/log.h"
#include "lib/cni/cni_names.h"
#include "lib/json/json.h"
#include "lib/netlink/netns_path.h"

int request_new(struct pods *p, enum cni_verb verb, struct request **ret)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->pods = p;
	r->verb = verb;
	r->start_ns = clock_ns();
	r->netns_fd = -1;
	*ret = r;
	return 0;
}

void request_free(struct request *r)
{
	if (!r)
		return;
	if (r->call)
		grpc_call_finish(r->call, GRPC_UNAVAILABLE, "the agent is stopping", NULL, 0);
	if (r->gc && --r->gc->left == 0) {
		request_free(r->gc->request);
		free(r->gc);
	}
	closep(&r->netns_fd);
	cni_args_clear(&r->args);
	cni_config_clear(&r->config);
	free(r->container_id);
	free(r->ifname);
	free(r->netns);
	free(r->spool_file);
	free(r);
}

void request_set_trace(struct request *r, const char *traceparent)
{
	static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";

	_Static_assert(sizeof(shape) == sizeof(r->trace), "a whole traceparent fits");
	if (strlen(traceparent) != strlen(shape))
		return;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'x' ? !strchr("0123456789abcdef", traceparent[i])
				    : traceparent[i] != '-')
			return;
	memcpy(r->trace, traceparent, sizeof(r->trace));
}

static void answer(struct request *r, const Netloom__Cni__V1__CniReply *reply)
{
	size_t size = netloom__cni__v1__cni_reply__get_packed_size(reply);
	_cleanup_(freep) uint8_t *buf = malloc(size + 1);

	if (!buf)
		return;
	netloom__cni__v1__cni_reply__pack(reply, buf);
	grpc_call_finish(r->call, GRPC_OK, NULL, buf, size);
	r->call = NULL;
}

void request_succeed(struct request *r, struct json_object *result)
{
	Netloom__Cni__V1__CniReply reply = NETLOOM__CNI__V1__CNI_REPLY__INIT;

	if (result) {
		reply.result.data = (uint8_t *)json_text(result);
		reply.result.len = strlen((char *)reply.result.data);
	}
	if (r->call) {
		answer(r, &reply);
		view_count(r->pods, r, 0);
	}
	json_object_put(result);
	request_free(r);
}

void request_fail(struct request *r, const struct cni_error *f)
{
	Netloom__Cni__V1__CniReply reply = NETLOOM__CNI__V1__CNI_REPLY__INIT;

	reply.code = f->code;
	reply.msg = (char *)f->msg;
	reply.details = (char *)f->details;
	if (r->call) {
		log_limited(LOG_LVL_INFO, 20, "%s of container '%.64s': code %d: %s%s%s",
			    cni_verb_name(r->verb), r->container_id ? r->container_id : "", f->code,
			    f->msg, *r->trace ? ", traceparent " : "", r->trace);
		answer(r, &reply);
		view_count(r->pods, r, f->code);
	}
	request_free(r);
}

/* The one who asks may ask again. Frees. */
static void request_turn_away(struct request *r, const char *why)
{
	grpc_call_finish(TAKE_PTR(r->call), GRPC_UNAVAILABLE, why, NULL, 0);
	view_count(r->pods, r, CNI_UNAVAILABLE);
	request_free(r);
}

/* ---- reading ---- */

static int take_names(struct request *r, const Netloom__Cni__V1__CniRequest *msg,
		      struct cni_error *f)
{
	if (!cni_identifier_valid(msg->container_id) ||
	    strlen(msg->container_id) > CNI_MAX_CONTAINER_ID)
		return cni_fail(f, CNI_BAD_ENV, NULL, "CNI_CONTAINERID: '%.64s' is no container id",
				msg->container_id);
	if (!cni_ifname_valid(msg->ifname))
		return cni_fail(f, CNI_BAD_ENV, NULL, "CNI_IFNAME: '%.64s' is no interface name",
				msg->ifname);
	if (strlen(msg->netns) > CNI_MAX_PATH)
		return cni_fail(f, CNI_BAD_ENV, NULL, "CNI_NETNS: too long");
	free(r->container_id);
	r->container_id = strdup(msg->container_id);
	r->ifname = strdup(msg->ifname);
	r->netns = strdup(msg->netns);
	if (!r->container_id || !r->ifname || !r->netns)
		return cni_fail(f, CNI_TRY_AGAIN, NULL, "out of memory");
	return 0;
}

static int open_netns(struct request *r, struct cni_error *f)
{
	const struct agent_config *cfg = agent_cfg(r->pods->agent);
	struct netns_peer peer = { grpc_call_peer_pid(r->call), grpc_call_peer_pidfd(r->call) };
	struct netns_path ns;
	struct err e = {};

	if (netns_path_open(cfg->cni.netns_prefix, r->netns, peer, &ns, &e) < 0)
		return cni_fail(f, CNI_BAD_NETNS, NULL, "CNI_NETNS: %s", e.msg);
	r->netns_fd = ns.fd;
	r->netns_dev = ns.dev;
	r->netns_ino = ns.ino;
	return 0;
}

static int check_started(const struct pods *p, struct cni_error *f)
{
	return p->synced ? 0 : cni_fail(f, CNI_TRY_AGAIN, NULL, "the agent is starting");
}

/* ---- verbs: 0 when somebody else answers later ---- */

static int do_add(struct request *r, const Netloom__Cni__V1__CniRequest *msg, struct cni_error *f)
{
	if (take_names(r, msg, f) < 0 || cni_args_parse(msg->args, &r->args, f) < 0 ||
	    check_started(r->pods, f) < 0 || open_netns(r, f) < 0)
		return -EINVAL;
	work_add(r);
	return 0;
}

static int do_del(struct request *r, const Netloom__Cni__V1__CniRequest *msg, struct cni_error *f)
{
	if (take_names(r, msg, f) < 0)
		return -EINVAL;
	work_del(r);
	return 0;
}

static int check_wiring(struct request *r, const struct attachment *att, struct cni_error *f)
{
	struct err e = {};
	int err;

	if (att->netns_dev != r->netns_dev || att->netns_ino != r->netns_ino)
		return cni_fail(f, CNI_CHECK_FAILED, NULL,
				"CNI_NETNS: '%.200s' is not the namespace that was attached",
				r->netns);
	if (cni_result_compare(&r->config, att, f) < 0)
		return -EINVAL;
	err = podwire_check(r->pods->agent, att, r->netns_fd, &e);
	if (err < 0)
		return cni_fail(f, err == -EBADF ? CNI_BAD_NETNS : CNI_CHECK_FAILED, NULL, "%s",
				e.msg[0] ? e.msg : strerror(-err));
	return 0;
}

static int do_check(struct request *r, const Netloom__Cni__V1__CniRequest *msg, struct cni_error *f)
{
	struct record *rec;

	if (take_names(r, msg, f) < 0 || check_started(r->pods, f) < 0)
		return -EINVAL;
	rec = record_find(r->pods, r->container_id, r->ifname);
	if (!rec || (rec->work == WORK_NONE && rec->att.state != ATTACHMENT_UP))
		return cni_fail(f, CNI_UNKNOWN_CONTAINER, NULL,
				"interface %s of container %.64s is not attached", r->ifname,
				r->container_id);
	if (rec->work != WORK_NONE)
		return cni_fail(f, CNI_TRY_AGAIN, NULL, "the attachment is being changed");
	if (open_netns(r, f) < 0 || check_wiring(r, &rec->att, f) < 0)
		return -EINVAL;
	request_succeed(r, NULL);
	return 0;
}

static int do_gc(struct request *r, const Netloom__Cni__V1__CniRequest *msg, struct cni_error *f)
{
	if (check_started(r->pods, f) < 0)
		return -EINVAL;
	work_gc(r);
	return 0;
}

static int do_status(struct request *r, const Netloom__Cni__V1__CniRequest *msg,
		     struct cni_error *f)
{
	struct err e = {};

	if (!r->pods->synced) {
		request_turn_away(r, "the agent is starting");
		return 0;
	}
	/* A full pool too: pods that are there have all their connectivity, so it is not 51. */
	if (ipam_room(r->pods->agent, &e) < 0)
		return cni_fail(f, CNI_UNAVAILABLE, NULL, "%s", e.msg);
	if (!r->pods->ready)
		return cni_fail(f, CNI_UNAVAILABLE, "'netloom status' says what it waits for",
				"the agent is not ready");
	request_succeed(r, NULL);
	return 0;
}

static int (*const do_verb[CNI_N_VERBS])(struct request *r, const Netloom__Cni__V1__CniRequest *msg,
					 struct cni_error *f) = {
	[CNI_ADD] = do_add, [CNI_DEL] = do_del,	      [CNI_CHECK] = do_check,
	[CNI_GC] = do_gc,   [CNI_STATUS] = do_status,
};

static void serve(struct pods *p, enum cni_verb verb, struct grpc_call *call, const uint8_t *buf,
		  size_t len)
{
	Netloom__Cni__V1__CniRequest *msg = netloom__cni__v1__cni_request__unpack(NULL, len, buf);
	struct cni_error f = {};
	struct request *r;

	if (!msg || request_new(p, verb, &r) < 0) {
		grpc_call_finish(call, msg ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT,
				 msg ? "out of memory" : "no CniRequest", NULL, 0);
		goto out;
	}
	r->call = call;
	r->container_id = strdup(msg->container_id); /* for the log; not checked yet */
	request_set_trace(r, msg->traceparent);
	if (cni_config_parse(msg->config.data, msg->config.len, verb, &r->config, &f) < 0 ||
	    do_verb[verb](r, msg, &f) < 0)
		request_fail(r, &f);
out:
	if (msg)
		netloom__cni__v1__cni_request__free_unpacked(msg, NULL);
}

#define METHOD(fn, verb)                                                                  \
	static void fn(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg) \
	{                                                                                 \
		serve(arg, verb, call, msg, len);                                         \
	}
METHOD(on_add, CNI_ADD)
METHOD(on_del, CNI_DEL)
METHOD(on_check, CNI_CHECK)
METHOD(on_gc, CNI_GC)
METHOD(on_status, CNI_STATUS)

int requests_listen(struct pods *p, struct err *e)
{
	static const struct {
		const char *path;
		grpc_method_fn fn;
	} methods[] = {
		{ "/netloom.cni.v1.Cni/Add", on_add },	     { "/netloom.cni.v1.Cni/Del", on_del },
		{ "/netloom.cni.v1.Cni/Check", on_check },   { "/netloom.cni.v1.Cni/Gc", on_gc },
		{ "/netloom.cni.v1.Cni/Status", on_status },
	};
	const struct grpc_server_config cfg = {
		.socket_path = agent_cfg(p->agent)->cni.socket,
		.mode = 0600,
		.max_message = CNI_MAX_CONFIG + 65536,
	};
	int err;

	make_parents(cfg.socket_path);
	err = grpc_server_new(agent_base(p->agent), &cfg, &p->server, e);
	for (size_t i = 0; !err && i < ARRAY_SIZE(methods); i++)
		err = grpc_server_method(p->server, methods[i].path, methods[i].fn, p);
	return err;
}
