// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include "agent/core/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "agent/core/agent_int.h"
#include "lib/base/clock.h"
#include "lib/base/folders.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"

/* ---- what modules can ask for ---- */

struct event_base *agent_base(struct agent *a)
{
	return a->base;
}

const struct agent_config *agent_cfg(const struct agent *a)
{
	return a->cfg;
}

struct scheduler *agent_scheduler(struct agent *a)
{
	return a->scheduler;
}

struct httpd *agent_httpd(struct agent *a)
{
	return a->httpd;
}

static struct module_slot *slot_of(const struct agent *a, const struct module *m)
{
	for (size_t i = 0; i < a->n_modules; i++)
		if (a->modules[i].m == m)
			return &a->modules[i];
	return NULL;
}

void module_set_state(struct agent *a, const struct module *m, void *state)
{
	struct module_slot *slot = slot_of(a, m);

	if (slot)
		slot->state = state;
}

void *module_state(const struct agent *a, const struct module *m)
{
	const struct module_slot *slot = slot_of(a, m);

	return slot ? slot->state : NULL;
}

void agent_stop(struct agent *a, int exit_code)
{
	if (!a->stopping)
		a->exit_code = exit_code;
	a->stopping = true;
	event_base_loopexit(a->base, NULL);
}

/* ---- one agent a state folder ---- */

static int take_lock(struct agent *a, struct err *e)
{
	const char *dir = a->cfg->paths.state_dir;
	char path[4096], pid[32] = "";
	int err = make_folders(dir, 0755);

	if (err < 0)
		return err_errno(e, err, "paths.state: can't make '%s'", dir);
	snprintf(path, sizeof(path), "%s/agent.lock", dir);
	a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (a->lock_fd < 0)
		return err_errno(e, -errno, "can't open '%s'", path);
	if (flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_errno(e, -errno, "can't lock '%s'", path);
		if (read(a->lock_fd, pid, sizeof(pid) - 1) < 0)
			pid[0] = 0;
		return err_set(e, -EBUSY,
			       "another netloom-agent (process %.*s) runs with paths.state '%s'",
			       (int)strspn(pid, "0123456789"), pid, dir);
	}
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(a->lock_fd, 0) < 0 || pwrite(a->lock_fd, pid, strlen(pid), 0) < 0)
		return err_errno(e, -errno, "can't write '%s'", path);
	return 0;
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	if (sig == SIGHUP) {
		log_info("SIGHUP is ignored: a change of the configuration needs a restart, which "
			 "loses no packet");
		return;
	}
	log_info("%s: stopping; the node stays as it is", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	agent_stop(arg, 0);
}

static int catch_signals(struct agent *a)
{
	static const int which[] = { SIGTERM, SIGINT, SIGHUP };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		a->signals[i] = evsignal_new(a->base, which[i], on_signal, a);
		if (!a->signals[i] || event_add(a->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- start ---- */

static int make_core(struct agent *a)
{
	const struct agent_config *cfg = a->cfg;
	struct event_config *how = event_config_new();
	int err;

	if (!how)
		return -ENOMEM;
	event_config_set_flag(how, EVENT_BASE_FLAG_NOLOCK);
	a->base = event_base_new_with_config(how);
	event_config_free(how);
	if (!a->base)
		return -ENOMEM;
	if ((err = scheduler_new(a->base, &a->scheduler)) < 0 ||
	    (err = httpd_new(a->base, &a->httpd)) < 0 ||
	    (err = history_new(cfg->controller.history_entries, &a->history)) < 0 ||
	    (err = loop_init(a)) < 0 || (err = healing_init(a)) < 0 || (err = ready_init(a)) < 0)
		return err;
	scheduler_set_retry(a->scheduler, cfg->controller.retry_min_ms,
			    cfg->controller.retry_max_ms);
	return catch_signals(a);
}

static int sort_modules(struct agent *a, const struct module *const *list, struct err *e)
{
	const struct module **sorted;
	size_t n = 0;
	int err;

	while (list[n])
		n++;
	sorted = calloc(n + 1, sizeof(*sorted));
	a->modules = calloc(n + 1, sizeof(*a->modules));
	err = sorted && a->modules ? modules_sort(list, sorted, e)
				   : err_set(e, -ENOMEM, "out of memory");
	if (!err) {
		a->n_modules = n;
		for (size_t i = 0; i < n; i++)
			a->modules[i].m = sorted[i];
	}
	free(sorted);
	return err;
}

static int start_modules(struct agent *a, struct err *e)
{
	for (; a->n_started < a->n_modules && !a->stopping; a->n_started++) {
		const struct module *m = a->modules[a->n_started].m;
		int err = m->init(a, e);

		if (err < 0) {
			if (!e->code)
				err_errno(e, err, "can't start");
			err_prefix(e, "%s", m->name);
			a->n_started++; /* it may have begun */
			return err;
		}
		log_debug("module '%s' started", m->name);
	}
	return 0;
}

static int listen_all(struct agent *a, struct err *e)
{
	const struct agent_config *cfg = a->cfg;
	int err = 0;

	if (*cfg->api.address)
		err = httpd_listen(a->httpd, cfg->api.address, cfg->api.port, e);
	if (!err && *cfg->api.socket)
		err = httpd_listen_unix(a->httpd, cfg->api.socket, 0600, e);
	return err < 0 ? (err_prefix(e, "api"), err) : 0;
}

int agent_new(const struct agent_config *cfg, const struct module *const *modules,
	      struct agent **ret, struct err *e)
{
	_cleanup_(agent_freep) struct agent *a = calloc(1, sizeof(*a));
	struct err why = {};
	int err;

	if (!a)
		return err_set(e, -ENOMEM, "out of memory");
	a->cfg = cfg;
	a->lock_fd = -1;
	a->start_ms = clock_ms();
	a->start_real_ms = clock_real_ms();
	if ((err = sort_modules(a, modules, &why)) < 0 || (err = take_lock(a, &why)) < 0 ||
	    (err = make_core(a)) < 0 || (err = rest_init(a, &why)) < 0 ||
	    (err = start_modules(a, &why)) < 0 || (err = listen_all(a, &why)) < 0) {
		if (!why.code)
			err_errno(&why, err, "start");
		return err_set(e, err, "%s", why.msg);
	}
	agent_ready_changed(a);
	*ret = TAKE_PTR(a);
	return 0;
}

int agent_run(struct agent *a)
{
	if (!a->stopping && event_base_loop(a->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
		log_error("the event loop failed: %s", strerror(errno));
		return 1;
	}
	return a->exit_code;
}

/* ---- stop ---- */

static void free_core(struct agent *a)
{
	healing_fini(a);
	ready_fini(a);
	scheduler_free(a->scheduler);
	httpd_free(a->httpd);
	history_free(a->history);
	for (size_t i = 0; i < ARRAY_SIZE(a->signals); i++)
		if (a->signals[i])
			event_free(a->signals[i]);
	if (a->base)
		event_base_free(a->base);
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	/* Events hold what belongs to modules. */
	loop_fini(a);
	while (a->n_started > 0) {
		const struct module *m = a->modules[--a->n_started].m;

		if (m->fini)
			m->fini(a);
	}
	/* What modules pushed while stopping. */
	loop_fini(a);
	free_core(a);
	free(a->modules);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	free(a);
}
