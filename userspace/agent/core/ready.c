// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include <errno.h>

#include "agent/core/agent_int.h"
#include "lib/base/log.h"

size_t ready_waiting(struct agent *a, void (*fn)(const char *module, const char *why, void *arg),
		     void *arg)
{
	size_t n = 0;

	if (!a->open) {
		fn("agent", "waits for the first state, from etcd or the local mirror", arg);
		n++;
	}
	for (size_t i = 0; i < a->n_modules; i++) {
		const struct module *m = a->modules[i].m;
		struct err e = {};

		if (!m->ready || m->ready(a, &e) >= 0)
			continue;
		fn(m->name, e.msg[0] ? e.msg : "is not ready", arg);
		n++;
	}
	return n;
}

struct first {
	const char *module;
	char why[sizeof(((struct err *)0)->msg)];
	bool set;
};

static void keep_first(const char *module, const char *why, void *arg)
{
	struct first *f = arg;

	if (f->set)
		return;
	f->set = true;
	f->module = module;
	snprintf(f->why, sizeof(f->why), "%s", why);
}

static void on_check(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct first first = {};
	bool ready = ready_waiting(a, keep_first, &first) == 0;

	if (ready == a->ready)
		return;
	a->ready = ready;
	if (ready)
		log_info("ready");
	else
		log_warn("not ready any more: %s: %s", first.module, first.why);
	for (struct ready_hook *h = a->ready_hooks; h; h = h->next)
		h->fn(a, ready);
}

void agent_ready_changed(struct agent *a)
{
	if (a->ready_check)
		event_active(a->ready_check, EV_TIMEOUT, 0);
}

void agent_on_ready(struct agent *a, void (*fn)(struct agent *a, bool ready))
{
	struct ready_hook *h = calloc(1, sizeof(*h)), **at = &a->ready_hooks;

	if (!h) {
		/* Only at start, where an agent that can't announce itself is of no use. */
		log_error("out of memory");
		agent_stop(a, 1);
		return;
	}
	h->fn = fn;
	while (*at)
		at = &(*at)->next;
	*at = h;
}

bool agent_is_ready(const struct agent *a)
{
	return a->ready;
}

int ready_init(struct agent *a)
{
	a->ready_check = event_new(a->base, -1, 0, on_check, a);
	return a->ready_check ? 0 : -ENOMEM;
}

void ready_fini(struct agent *a)
{
	struct ready_hook *h;

	if (a->ready_check)
		event_free(a->ready_check);
	a->ready_check = NULL;
	while ((h = a->ready_hooks)) {
		a->ready_hooks = h->next;
		free(h);
	}
}
