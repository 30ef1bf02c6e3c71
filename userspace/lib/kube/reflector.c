// SPDX-License-Identifier: Apache-2.0
#include "lib/kube/reflector.h"

#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/json/json.h"
#include "lib/kube/text.h"

#define PAGE		  500u
#define LIST_TIMEOUT_MS	  60000
#define WATCH_MIN_S	  300
#define WATCH_MAX_S	  600
#define WATCH_SLACK_S	  30
#define WATCH_EMPTY_MS	  1000 /* a stream that ends sooner and empty is a failure */
#define MISSING_FIRST_MS  2000 /* one 404 may be a mistake */
#define MISSING_MS	  15000
#define MAX_LINE	  (64u << 20)
#define FAILURES_TO_LIST  5
#define CALM_AFTER_MS	  120000
#define MAX_RETRY_AFTER_S 300u

enum step { LIST, WATCH };

struct kube_reflector {
	struct kube *kube;
	const struct kube_reflector_ops *ops;
	void *arg;
	const char *const *paths;
	unsigned int path;
	struct event *timer;
	struct http_call *call;
	enum step step; /* that the timer starts, or that is under way */
	/* list */
	char *more;	   /* continue token */
	unsigned int page; /* 0 = all in one answer */
	/* watch */
	char *revision;
	struct kube_lines lines;
	struct err ended; /* why we ended the stream */
	uint64_t started_ms;
	bool heard;
	unsigned int failures;
	uint64_t failed_ms;
	struct kube_reflector_stats stats;
};

static void start(struct kube_reflector *r, enum step step, unsigned int after_ms)
{
	struct timeval tv = { .tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000 };

	r->step = step;
	event_add(r->timer, &tv);
}

static int replace(char **to, const char *from)
{
	char *copy = strdup(from);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* ---- failure ---- */

static unsigned int wait_after_failure(struct kube_reflector *r, unsigned int retry_after_s)
{
	uint64_t now = clock_ms();
	unsigned int ms;

	if (now - r->failed_ms > CALM_AFTER_MS)
		r->failures = 0;
	r->failed_ms = now;
	ms = kube_backoff_ms(r->failures++);
	return MAX(ms, MIN(retry_after_s, MAX_RETRY_AFTER_S) * 1000);
}

static void list_anew(struct kube_reflector *r, unsigned int after_ms)
{
	free(TAKE_PTR(r->more));
	free(TAKE_PTR(r->revision));
	start(r, LIST, after_ms);
}

static void try_other_path(struct kube_reflector *r, const struct err *e)
{
	unsigned int ms = r->stats.missing ? MISSING_MS : MISSING_FIRST_MS;

	if (r->paths[r->path + 1]) {
		r->path++;
		list_anew(r, 0);
		return;
	}
	r->path = 0;
	r->stats.missing = true;
	r->ops->on_trouble(e, true, r->arg);
	list_anew(r, ms);
}

static void failed(struct kube_reflector *r, const struct err *e, unsigned int retry_after_s)
{
	unsigned int ms;

	r->stats.failures++;
	if (e->code == -ENOENT) {
		try_other_path(r, e);
		return;
	}
	ms = wait_after_failure(r, retry_after_s);
	if (e->code == -ESTALE) {
		/* Pages that were too old once will be so again: ask for all at once. */
		if (r->step == LIST)
			r->page = 0;
		r->stats.restarts++;
		list_anew(r, r->failures > 1 ? ms : 0);
		return;
	}
	r->ops->on_trouble(e, false, r->arg);
	if (r->step == LIST || r->failures >= FAILURES_TO_LIST)
		list_anew(r, ms);
	else
		start(r, WATCH, ms);
}

/* ---- list ---- */

static void on_item(struct json_object *item, void *arg)
{
	struct kube_reflector *r = arg;

	r->ops->on_item(item, r->arg);
}

static void on_bad_item(size_t index, const struct err *e, void *arg)
{
	struct kube_reflector *r = arg;
	struct err mine = *e;

	err_prefix(&mine, "item %zu of the list", index);
	r->ops->on_bad(&mine, r->arg);
}

static const struct kube_list_ops list_ops = { .on_item = on_item, .on_bad = on_bad_item };

static int take_page(struct kube_reflector *r, const struct http_response *res, struct err *e)
{
	const char *revision, *more = "";
	_json_ *rest = NULL;
	int err;

	err = kube_list_split(res->body, res->body_len, &list_ops, r, &rest, e);
	if (!err)
		err = json_get_str(rest, "metadata.resourceVersion", &revision, e);
	if (!err)
		err = json_opt_str(rest, "metadata.continue", &more, e);
	if (err < 0) {
		err_prefix(e, "the list");
		if (e)
			e->code = -EPROTO;
		return -EPROTO;
	}
	if (replace(&r->revision, revision) < 0 || replace(&r->more, more) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

static void on_page(struct http_call *call, const struct http_response *res, void *arg)
{
	struct kube_reflector *r = arg;
	struct err e = {};
	int err;

	r->call = NULL;
	err = kube_result(r->kube, res, &e);
	/* Large objects: fewer of them at a time. */
	if (err == -EMSGSIZE && r->page != 1) {
		r->page = r->page ? r->page / 2 : PAGE;
		list_anew(r, 0);
		return;
	}
	if (!err)
		err = take_page(r, res, &e);
	if (err < 0) {
		failed(r, &e, res->retry_after_s);
		return;
	}
	if (*r->more) {
		start(r, LIST, 0);
		return;
	}
	free(TAKE_PTR(r->more));
	r->page = PAGE;
	r->stats.missing = false;
	r->ops->on_listed(r->revision, r->arg);
	start(r, WATCH, 0);
}

static int list_path(struct kube_reflector *r, char **ret)
{
	_cleanup_(freep) char *more = NULL;
	int n;

	if (r->more) {
		more = evhttp_encode_uri(r->more);
		if (!more)
			return -ENOMEM;
	}
	if (r->page)
		n = asprintf(ret, "%s?limit=%u%s%s", r->paths[r->path], r->page,
			     more ? "&continue=" : "", more ? more : "");
	else
		n = asprintf(ret, "%s", r->paths[r->path]);
	if (n < 0)
		*ret = NULL;
	return n < 0 ? -ENOMEM : 0;
}

static int start_list(struct kube_reflector *r, struct err *e)
{
	static const struct http_ops ops = { .on_done = on_page };
	_cleanup_(freep) char *path = NULL;
	struct kube_request req = { .timeout_ms = LIST_TIMEOUT_MS };

	if (list_path(r, &path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (!r->more) {
		r->stats.lists++;
		r->ops->on_list(r->arg);
	}
	req.path = path;
	return kube_call_new(r->kube, &req, &ops, r, &r->call, e);
}

/* ---- watch ---- */

static void passed_over(struct kube_reflector *r, const struct err *why)
{
	struct err e = *why;

	err_prefix(&e, "an event of the watch");
	r->ops->on_bad(&e, r->arg);
}

static int take_event(struct kube_reflector *r, struct json_object *event, struct err *e)
{
	const char *type, *revision = "";
	struct json_object *obj;
	int err;

	err = json_get_str(event, "type", &type, e);
	if (!err)
		err = json_get_object(event, "object", &obj, e);
	if (err < 0)
		return err;
	if (strcmp(type, "ERROR") == 0) {
		kube_status_err(obj, &r->ended);
		return 0;
	}
	if (json_opt_str(obj, "metadata.resourceVersion", &revision, NULL) == 0 && *revision &&
	    replace(&r->revision, revision) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (strcmp(type, "BOOKMARK") == 0)
		return 0;
	r->stats.changes++;
	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		r->ops->on_change(obj, false, r->arg);
	else if (strcmp(type, "DELETED") == 0)
		r->ops->on_change(obj, true, r->arg);
	else
		return err_set(e, -EINVAL, "type: '%.32s' is unknown", type);
	return 0;
}

/* A line that is no JSON object may be one hostile object among good ones, and is passed over. Text
 * of another kind (a proxy's error page) ends the stream. */
static int on_line(const char *line, size_t len, void *arg)
{
	struct kube_reflector *r = arg;
	_json_ *event = NULL;
	struct err e = {};

	if (!line)
		err_set(&e, -E2BIG, "longer than %u bytes", MAX_LINE);
	else if (*line != '{')
		return err_set(&r->ended, -EPROTO,
			       "the watch answers with something else than events");
	else if (json_parse(line, len, &event, &e) == 0)
		take_event(r, event, &e);
	r->heard = true;
	if (e.code)
		passed_over(r, &e);
	return r->ended.code;
}

static int on_watch_data(struct http_call *call, const void *data, size_t len, void *arg)
{
	struct kube_reflector *r = arg;

	return kube_lines_feed(&r->lines, data, len, on_line, r);
}

/* Balancers cut connections on which nothing was said for long, some after half a minute: a stream
 * that broke is taken up like one that ended. */
static bool broke_late(const struct kube_reflector *r, const struct http_response *res)
{
	return res->err && res->status == 200 && clock_ms() - r->started_ms >= WATCH_EMPTY_MS;
}

static void on_watch_end(struct http_call *call, const struct http_response *res, void *arg)
{
	struct kube_reflector *r = arg;
	struct err e = r->ended;

	r->call = NULL;
	r->stats.watching = false;
	kube_lines_clear(&r->lines);
	if (!e.code && !broke_late(r, res))
		kube_result(r->kube, res, &e);
	if (!e.code && !r->heard && clock_ms() - r->started_ms < WATCH_EMPTY_MS)
		err_set(&e, -EPROTO, "the watch ended at once");
	/* A long stream that broke is no reason to wait. */
	if (r->heard && clock_ms() - r->started_ms > CALM_AFTER_MS)
		r->failures = 0;
	if (e.code)
		failed(r, &e, res->retry_after_s);
	else
		start(r, WATCH, 0);
}

static int start_watch(struct kube_reflector *r, struct err *e)
{
	static const struct http_ops ops = { .on_data = on_watch_data, .on_done = on_watch_end };
	_cleanup_(freep) char *revision = evhttp_encode_uri(r->revision);
	_cleanup_(freep) char *path = NULL;
	unsigned int seconds = kube_random(WATCH_MIN_S, WATCH_MAX_S);
	struct kube_request req = { .timeout_ms = (seconds + WATCH_SLACK_S) * 1000 };

	if (!revision ||
	    asprintf(&path,
		     "%s?watch=true&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s",
		     r->paths[r->path], seconds, revision) < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	r->stats.watches++;
	r->stats.watching = true;
	r->started_ms = clock_ms();
	r->heard = false;
	r->ended = (struct err){};
	req.path = path;
	return kube_call_new(r->kube, &req, &ops, r, &r->call, e);
}

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct kube_reflector *r = arg;
	struct err e = {};
	int err = r->step == LIST ? start_list(r, &e) : start_watch(r, &e);

	if (err < 0) {
		r->stats.watching = false;
		if (e.code == -ENOENT) /* a token file, not a resource */
			e.code = -EACCES;
		failed(r, &e, 0);
	}
}

int kube_reflector_new(struct event_base *base, struct kube *k, const char *const *paths,
		       const struct kube_reflector_ops *ops, void *arg, struct kube_reflector **ret)
{
	struct kube_reflector *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->kube = k;
	r->paths = paths;
	r->ops = ops;
	r->arg = arg;
	r->page = PAGE;
	r->lines.max = MAX_LINE;
	r->timer = evtimer_new(base, on_timer, r);
	if (!r->timer) {
		free(r);
		return -ENOMEM;
	}
	start(r, LIST, 0);
	*ret = r;
	return 0;
}

void kube_reflector_free(struct kube_reflector *r)
{
	if (!r)
		return;
	http_call_cancel(r->call);
	event_free(r->timer);
	kube_lines_clear(&r->lines);
	free(r->more);
	free(r->revision);
	free(r);
}

const struct kube_reflector_stats *kube_reflector_stats(const struct kube_reflector *r)
{
	return &r->stats;
}
