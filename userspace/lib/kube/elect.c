// SPDX-License-Identifier: Apache-2.0
#include "lib/kube/elect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/json/json.h"

#define DURATION_MS   15000
#define RENEW_MS      10000
#define RETRY_MS      2000
#define RELEASE_MS    3000
#define TIME_LEN      40
#define MAX_LEASE_LEN (1u << 20)

struct kube_elect {
	struct kube *kube;
	const struct kube_elect_ops *ops;
	void *arg;
	char *name_space, *name, *identity, *holder;
	unsigned int duration_ms, renew_deadline_ms, retry_ms;
	struct event *timer, *deadline;
	struct http_call *call;
	struct json_object *lease; /* as last read or written */
	char *seen;		   /* its resourceVersion when it last changed */
	uint64_t seen_ms, not_before_ms, sent_ms, heard_ms, release_end_ms;
	bool leads, in_touch;
	void (*released)(void *arg);
	void *released_arg;
};

static void read_lease(struct kube_elect *el);

static void again(struct kube_elect *el)
{
	/* client-go: retry period, plus up to 20 % more, so that replicas don't march in step. */
	unsigned int ms = kube_random(el->retry_ms, el->retry_ms + el->retry_ms / 5);
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(el->timer, &tv);
}

static void arm_deadline(struct kube_elect *el, uint64_t since_ms)
{
	uint64_t end = since_ms + el->renew_deadline_ms, now = clock_ms();
	unsigned int ms = end > now ? end - now : 0;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(el->deadline, &tv);
}

static void lost(struct kube_elect *el, const char *why)
{
	if (!el->leads)
		return;
	el->leads = false;
	event_del(el->deadline);
	el->ops->on_lost(why, el->arg);
}

static void trouble(struct kube_elect *el, const struct err *e)
{
	el->in_touch = false;
	if (el->ops->on_trouble)
		el->ops->on_trouble(e, el->arg);
	again(el);
}

static void take_holder(struct kube_elect *el)
{
	const char *holder = "";
	char *copy;

	json_opt_str(el->lease, "spec.holderIdentity", &holder, NULL);
	copy = strdup(holder);
	if (copy) {
		free(el->holder);
		el->holder = copy;
	}
}

static void take_lease(struct kube_elect *el, struct json_object *lease)
{
	const char *revision = "";

	json_object_put(el->lease);
	el->lease = lease;
	take_holder(el);
	json_opt_str(lease, "metadata.resourceVersion", &revision, NULL);
	if (!el->seen || strcmp(el->seen, revision) != 0) {
		free(el->seen);
		el->seen = strdup(revision);
		el->seen_ms = clock_ms();
	}
}

/* ---- writing ---- */

static void now_text(char text[static TIME_LEN])
{
	uint64_t ms = clock_real_ms();
	time_t s = ms / 1000;
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(text, TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, TIME_LEN - n, ".%03u000Z", (unsigned int)(ms % 1000));
}

/* Only our fields change: what others put into the Lease stays. */
static int fill_spec(struct kube_elect *el, struct json_object *spec, const char *identity)
{
	const char *was = "";
	int64_t transitions = 0;
	char now[TIME_LEN];
	int err = 0;

	now_text(now);
	json_opt_str(spec, "holderIdentity", &was, NULL);
	json_opt_int(spec, "leaseTransitions", 0, INT32_MAX - 1, &transitions, NULL);
	if (*identity && strcmp(was, identity) != 0) {
		transitions += *was || json_field(spec, "acquireTime") ? 1 : 0;
		err = json_add_str(spec, "acquireTime", now);
	}
	err = err ?: json_add_str(spec, "holderIdentity", identity);
	err = err ?: json_add_str(spec, "renewTime", now);
	err = err
		      ?: json_add_int(spec, "leaseDurationSeconds",
				      *identity ? MAX(el->duration_ms / 1000, 1) : 1);
	return err ?: json_add_int(spec, "leaseTransitions", transitions);
}

static int new_lease(struct kube_elect *el, struct json_object **ret)
{
	_json_ *lease = json_object_new_object();
	struct json_object *meta = json_object_new_object();
	int err;

	if (!lease || !meta) {
		json_object_put(meta);
		return -ENOMEM;
	}
	err = json_add(lease, "metadata", meta);
	err = err ?: json_add_str(lease, "apiVersion", "coordination.k8s.io/v1");
	err = err ?: json_add_str(lease, "kind", "Lease");
	err = err ?: json_add_str(meta, "namespace", el->name_space);
	err = err ?: json_add_str(meta, "name", el->name);
	if (!err)
		*ret = TAKE_PTR(lease);
	return err;
}

static int build(struct kube_elect *el, const char *identity, struct json_object **ret)
{
	struct json_object *spec = NULL;
	_json_ *lease = NULL;
	int err;

	if (!el->lease)
		err = new_lease(el, &lease);
	else
		err = json_object_deep_copy(el->lease, &lease, NULL) < 0 ? -ENOMEM : 0;
	if (err < 0)
		return err;
	if (json_opt_object(lease, "spec", &spec, NULL) < 0 || !spec) {
		spec = json_object_new_object();
		err = spec ? json_add(lease, "spec", spec) : -ENOMEM;
	}
	err = err ?: fill_spec(el, spec, identity);
	if (!err)
		*ret = TAKE_PTR(lease);
	return err;
}

static int lease_path(const struct kube_elect *el, bool with_name, char **ret)
{
	if (asprintf(ret, "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s", el->name_space,
		     with_name ? "/" : "", with_name ? el->name : "") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int write_lease(struct kube_elect *el, const char *identity, const struct http_ops *ops,
		       unsigned int timeout_ms, struct err *e)
{
	struct kube_request req = {
		.method = el->lease ? "PUT" : "POST",
		.timeout_ms = timeout_ms,
		.max_body = MAX_LEASE_LEN,
	};
	_cleanup_(freep) char *path = NULL;
	_json_ *lease = NULL;

	if (lease_path(el, el->lease, &path) < 0 || build(el, identity, &lease) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	req.path = path;
	req.body = json_text(lease);
	return req.body ? kube_call_new(el->kube, &req, ops, el, &el->call, e)
			: err_set(e, -ENOMEM, "out of memory");
}

static int parse_lease(struct kube_elect *el, const struct http_response *res,
		       struct json_object **ret, struct err *e)
{
	_json_ *lease = NULL;
	int err = kube_result(el->kube, res, e);

	if (!err || err == -ENOENT || err == -EEXIST)
		el->heard_ms = clock_ms();
	if (!err)
		err = json_parse(res->body, res->body_len, &lease, e);
	if (!err && !json_object_is_type(lease, json_type_object))
		err = err_set(e, -EPROTO, "the Lease: want an object, found %s",
			      json_type_word(lease));
	if (!err)
		*ret = TAKE_PTR(lease);
	return err;
}

static void on_written(struct http_call *call, const struct http_response *res, void *arg)
{
	struct kube_elect *el = arg;
	struct json_object *lease;
	struct err e = {};
	int err;

	el->call = NULL;
	err = parse_lease(el, res, &lease, &e);
	/* Somebody else wrote: look before deciding. */
	if (err == -EEXIST) {
		again(el);
		return;
	}
	if (err < 0) {
		trouble(el, &e);
		return;
	}
	take_lease(el, lease);
	again(el);
	arm_deadline(el, el->sent_ms);
	if (el->leads)
		return;
	el->leads = true;
	el->ops->on_lead(el->arg);
}

static void acquire_or_renew(struct kube_elect *el)
{
	static const struct http_ops ops = { .on_done = on_written };
	struct err e = {};

	el->sent_ms = clock_ms();
	if (write_lease(el, el->identity, &ops, el->renew_deadline_ms / 2, &e) < 0)
		trouble(el, &e);
}

/* ---- reading ---- */

static uint64_t others_duration_ms(const struct kube_elect *el)
{
	int64_t s = 0;

	json_opt_int(el->lease, "spec.leaseDurationSeconds", 1, 3600, &s, NULL);
	return s ? (uint64_t)s * 1000 : el->duration_ms;
}

static void decide(struct kube_elect *el)
{
	bool mine = strcmp(el->holder, el->identity) == 0;
	uint64_t now = clock_ms();

	if (!mine)
		lost(el, "another replica holds the Lease");
	if (now < el->not_before_ms) {
		again(el);
		return;
	}
	if (!mine && *el->holder && now < el->seen_ms + others_duration_ms(el)) {
		again(el);
		return;
	}
	acquire_or_renew(el);
}

static void on_read(struct http_call *call, const struct http_response *res, void *arg)
{
	struct kube_elect *el = arg;
	struct json_object *lease;
	struct err e = {};
	int err;

	el->call = NULL;
	err = parse_lease(el, res, &lease, &e);
	el->in_touch = !err || err == -ENOENT;
	if (err == -ENOENT) {
		json_object_put(TAKE_PTR(el->lease));
		*el->holder = 0;
		if (clock_ms() < el->not_before_ms)
			again(el);
		else
			acquire_or_renew(el);
		return;
	}
	if (err < 0) {
		trouble(el, &e);
		return;
	}
	take_lease(el, lease);
	decide(el);
}

static int call_for_lease(struct kube_elect *el, const struct http_ops *ops,
			  unsigned int timeout_ms, struct err *e)
{
	struct kube_request req = { .timeout_ms = timeout_ms, .max_body = MAX_LEASE_LEN };
	_cleanup_(freep) char *path = NULL;

	if (lease_path(el, true, &path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	req.path = path;
	return kube_call_new(el->kube, &req, ops, el, &el->call, e);
}

static void read_lease(struct kube_elect *el)
{
	static const struct http_ops ops = { .on_done = on_read };
	struct err e = {};

	if (call_for_lease(el, &ops, el->renew_deadline_ms / 2, &e) < 0)
		trouble(el, &e);
}

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct kube_elect *el = arg;

	if (!el->call)
		read_lease(el);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	lost(arg, "the Lease could not be renewed in time");
}

void kube_elect_free(struct kube_elect *el)
{
	if (!el)
		return;
	http_call_cancel(el->call);
	if (el->timer)
		event_free(el->timer);
	if (el->deadline)
		event_free(el->deadline);
	json_object_put(el->lease);
	free(el->name_space);
	free(el->name);
	free(el->identity);
	free(el->holder);
	free(el->seen);
	free(el);
}

int kube_elect_new(struct event_base *base, struct kube *k, const struct kube_elect_config *cfg,
		   const struct kube_elect_ops *ops, void *arg, struct kube_elect **ret)
{
	struct kube_elect *el = calloc(1, sizeof(*el));

	if (!el)
		return -ENOMEM;
	el->kube = k;
	el->heard_ms = clock_ms();
	el->ops = ops;
	el->arg = arg;
	el->duration_ms = cfg->duration_ms ? cfg->duration_ms : DURATION_MS;
	el->renew_deadline_ms = cfg->renew_deadline_ms ? cfg->renew_deadline_ms : RENEW_MS;
	el->retry_ms = cfg->retry_ms ? cfg->retry_ms : RETRY_MS;
	el->name_space = strdup(cfg->name_space);
	el->name = strdup(cfg->name);
	el->identity = strdup(cfg->identity);
	el->holder = strdup("");
	el->timer = evtimer_new(base, on_timer, el);
	el->deadline = evtimer_new(base, on_deadline, el);
	if (!el->name_space || !el->name || !el->identity || !el->holder || !el->timer ||
	    !el->deadline) {
		kube_elect_free(el);
		return -ENOMEM;
	}
	event_active(el->timer, EV_TIMEOUT, 0);
	*ret = el;
	return 0;
}

/* ---- release ---- */

static void on_released(struct http_call *call, const struct http_response *res, void *arg);

/* What is left of the time that a release may take; 0: none. */
static unsigned int release_ms(const struct kube_elect *el)
{
	uint64_t now = clock_ms();

	return now < el->release_end_ms ? el->release_end_ms - now : 0;
}

static int write_release(struct kube_elect *el)
{
	static const struct http_ops ops = { .on_done = on_released };
	unsigned int ms = release_ms(el);

	return ms ? write_lease(el, "", &ops, ms, NULL) : -ETIMEDOUT;
}

static void on_release_read(struct http_call *call, const struct http_response *res, void *arg)
{
	struct kube_elect *el = arg;
	struct json_object *lease;

	el->call = NULL;
	if (parse_lease(el, res, &lease, NULL) == 0) {
		take_lease(el, lease);
		if (strcmp(el->holder, el->identity) == 0 && write_release(el) == 0)
			return;
	}
	el->released(el->released_arg);
}

/* A renewal was under way when we let go of it, and has changed the Lease behind our back. */
static void on_released(struct http_call *call, const struct http_response *res, void *arg)
{
	static const struct http_ops ops = { .on_done = on_release_read };
	struct kube_elect *el = arg;
	unsigned int ms = release_ms(el);

	el->call = NULL;
	if (kube_result(el->kube, res, NULL) == -EEXIST && ms &&
	    call_for_lease(el, &ops, ms, NULL) == 0)
		return;
	el->released(el->released_arg);
}

void kube_elect_release(struct kube_elect *el, void (*done)(void *arg), void *arg)
{
	bool led = el->leads;

	http_call_cancel(TAKE_PTR(el->call));
	event_del(el->timer);
	event_del(el->deadline);
	el->leads = false;
	el->released = done;
	el->released_arg = arg;
	el->release_end_ms = clock_ms() + RELEASE_MS;
	if (!led || !el->lease || write_release(el) < 0)
		done(arg);
}

void kube_elect_yield(struct kube_elect *el)
{
	el->leads = false;
	event_del(el->deadline);
	el->not_before_ms = clock_ms() + el->duration_ms;
}

uint64_t kube_elect_heard_ms(const struct kube_elect *el)
{
	return el->heard_ms;
}

bool kube_elect_in_touch(const struct kube_elect *el)
{
	return el->in_touch;
}

bool kube_elect_leads(const struct kube_elect *el)
{
	return el->leads;
}

const char *kube_elect_holder(const struct kube_elect *el)
{
	return el->holder;
}
