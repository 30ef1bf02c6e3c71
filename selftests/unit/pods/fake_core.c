// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/pods/fake_core.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <utlist.h>

#include "agent/core/module.h"
#include "agent/modules/db/db.h"
#include "agent/modules/ipam/ipam.h"
#include "agent/modules/modules.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/podwire/podwire.h"
#include "agent/modules/uplink/uplink.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"
#include "shared/loom_config.h"

static struct queued *queue;
static httpd_fn route;
static void *route_arg;

static void trace(struct agent *a, const char *what)
{
	size_t n = strlen(a->trace);

	snprintf(a->trace + n, sizeof(a->trace) - n, "%s ", what);
}

/* ---- agent/core ---- */

struct event_base *agent_base(struct agent *a)
{
	return a->base;
}

const struct agent_config *agent_cfg(const struct agent *a)
{
	return &a->cfg;
}

struct httpd *agent_httpd(struct agent *a)
{
	return NULL;
}

void module_set_state(struct agent *a, const struct module *m, void *state)
{
	a->state = state;
}

void *module_state(const struct agent *a, const struct module *m)
{
	return a->state;
}

void agent_heal(struct agent *a, const char *reason)
{
	trace(a, "heal");
}

void agent_ready_changed(struct agent *a)
{
}

void agent_on_ready(struct agent *a, void (*fn)(struct agent *a, bool ready))
{
	a->on_ready = fn;
}

void event_push(struct agent *a, struct agent_event *ev)
{
	struct queued *q = calloc(1, sizeof(*q));

	q->ev = (void *)ev;
	LL_APPEND(queue, q);
	if (!a->frozen)
		event_active(a->turn, EV_TIMEOUT, 0);
}

static int handle_add(struct agent *a, struct add_pod *add, struct err *e)
{
	struct attachment *att = add->att;
	char key[512];
	int err;

	a->adds++;
	if (a->alloc_err)
		return err_set(e, a->alloc_err, "pool 10.1.1.0/24 is full: 253 of 253");
	addr_from_v4(0x0a010100 + ++a->next_ip, &att->ips.ip4);
	addr_parse("fd00:10::7", &att->ips.ip6, NULL);
	mac_parse("02:fe:00:00:00:01", att->mac, NULL);
	mac_parse("02:fd:00:00:00:01", att->hmac, NULL);
	snprintf(att->host_ifname, sizeof(att->host_ifname), "nlfake%u", a->next_ip);
	att->host_ifindex = 100 + a->next_ip;
	att->ep = a->next_ip;
	att->mtu = 1450;
	err = pods_module.update(a, &add->ev, NULL, e);
	if (err)
		return err;
	attachment_key(att, key, sizeof(key));
	if (fake_get(a->local, key) && strstr(fake_get(a->local, key), "\"adding\""))
		a->saved_before_wiring++;
	return a->wire_err ? err_set(e, a->wire_err, "link 'nlfake': no") : 0;
}

static void describe(struct agent *a, const struct agent_event *ev)
{
	_json_ *o = ev->type->describe(ev);

	snprintf(a->described, sizeof(a->described), "%s %s", ev->type->name, json_text(o));
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct queued *q = queue;
	struct agent *a = arg;
	struct agent_event *ev;
	struct err e = {};
	int err = 0;

	if (!q || a->frozen)
		return;
	LL_DELETE(queue, q);
	ev = (void *)q->ev;
	free(q);
	describe(a, ev);
	if (ev->type == &add_pod_type) {
		err = handle_add(a, container_of(ev, struct add_pod, ev), &e);
		if (a->die_in_add) {
			event_push(a, ev);
			event_base_loopbreak(a->base);
			a->frozen = true;
			return;
		}
	} else {
		struct attachment *att = container_of(ev, struct del_pod, ev)->att;

		a->dels++;
		pods_module.update(a, ev, NULL, &e);
		attachment_key(att, a->last_released, sizeof(a->last_released));
	}
	ev->type->done(ev, err, &e);
	ev->type->free(ev);
	if (queue)
		event_active(a->turn, EV_TIMEOUT, 0);
}

/* ---- other modules ---- */

static void put(struct fake_pair **list, const char *key, const char *value)
{
	struct fake_pair *p;

	LL_FOREACH (*list, p) {
		if (!strcmp(p->key, key)) {
			free(p->value);
			p->value = strdup(value);
			return;
		}
	}
	p = calloc(1, sizeof(*p));
	p->key = strdup(key);
	p->value = strdup(value);
	LL_APPEND(*list, p);
}

static void drop(struct fake_pair **list, const char *key)
{
	struct fake_pair *p, *next;

	LL_FOREACH_SAFE (*list, p, next) {
		if (key && strcmp(p->key, key))
			continue;
		LL_DELETE(*list, p);
		free(p->key);
		free(p->value);
		free(p);
	}
}

const char *fake_get(struct fake_pair *list, const char *key)
{
	struct fake_pair *p;

	LL_FOREACH (list, p) {
		if (!strcmp(p->key, key))
			return p->value;
	}
	return NULL;
}

int db_local_put(struct agent *a, const char *table, const char *key, const char *value)
{
	if (a->put_err)
		return a->put_err;
	put(&a->local, key, value);
	return 0;
}

int db_local_del(struct agent *a, const char *table, const char *key)
{
	drop(&a->local, key);
	return 0;
}

int db_local_foreach(struct agent *a, const char *table,
		     int (*fn)(const char *key, const char *value, void *arg), void *arg)
{
	struct fake_pair *p;
	int err = 0;

	LL_FOREACH (a->local, p) {
		err = fn(p->key, p->value, arg);
		if (err)
			break;
	}
	return err;
}

int db_publish(struct agent *a, const char *key, const char *value)
{
	put(&a->published, key, value);
	return 0;
}

void db_unpublish(struct agent *a, const char *key)
{
	drop(&a->published, key);
}

const struct node_identity *nodesync_self(struct agent *a)
{
	static const struct node_identity self = { .id = 1, .name = "node-a" };

	return &self;
}

int ipam_room(struct agent *a, struct err *e)
{
	return a->alloc_err ? err_set(e, a->alloc_err, "pool 10.1.1.0/24 is full") : 0;
}

int ipam_reserve(struct agent *a, const char *owner, const struct pod_ips *ips, struct err *e)
{
	snprintf(a->last_reserved, sizeof(a->last_reserved), "%s", owner);
	return 0;
}

int podwire_check(struct agent *a, const struct attachment *att, int netns_fd, struct err *e)
{
	return a->check_err ? err_set(e, a->check_err, "eth0: mtu 1500, want 1450") : 0;
}

int uplink_host_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg)
{
	union loom_addr addr;

	addr_parse(FAKE_NODE_ADDRESS, &addr, NULL);
	return fn(&addr, arg);
}

int httpd_route(struct httpd *h, const char *method, const char *path, httpd_fn fn, void *arg)
{
	route = fn;
	route_arg = arg;
	return 0;
}

struct json_object *fake_agent_get(struct agent *a)
{
	struct httpd_request req = { .method = "GET", .path = "/v1/pods" };
	struct httpd_reply reply = {};

	route(&req, &reply, route_arg);
	return reply.json;
}

int metrics_sample(struct metrics *m, const char *name, enum metric_type type, const char *help,
		   double value, ...)
{
	const char *label, *text[4] = {};
	va_list ap;
	int n = 0;

	va_start(ap, value);
	while (n < 4 && (label = va_arg(ap, const char *)))
		text[n++] = label;
	va_end(ap);
	if (value)
		fprintf((FILE *)m, "%s{%s=%s,%s=%s} %g\n", name, text[0], text[1],
			text[2] ? text[2] : "", text[3] ? text[3] : "", value);
	return 0;
}

/* ---- the agent's life ---- */

static char *in_dir(const struct agent *a, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", a->dir, name) < 0 ? NULL : path;
}

struct agent *fake_agent_new(void)
{
	struct agent *a = calloc(1, sizeof(*a));

	snprintf(a->dir, sizeof(a->dir), "/tmp/nlt-pods-XXXXXX");
	if (!mkdtemp(a->dir))
		abort();
	a->base = event_base_new();
	a->turn = evtimer_new(a->base, on_turn, a);
	a->cfg.services.enabled = true;
	a->cfg.services.sockets = LOOM_SOCKETS_HOST;
	a->cfg.cni.conflist = true;
	a->cfg.cni.conf_dir = in_dir(a, "net.d");
	a->cfg.cni.socket = in_dir(a, "run/cni.sock");
	a->cfg.cni.spool_dir = in_dir(a, "run/spool");
	a->cfg.cni.netns_prefix = strdup("");
	return a;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void drop_queue(void)
{
	struct queued *q;

	while ((q = queue)) {
		struct agent_event *ev = (void *)q->ev;

		LL_DELETE(queue, q);
		ev->type->free(ev);
		free(q);
	}
}

void fake_remove_copies(const struct agent *a)
{
	char folder[512];

	snprintf(folder, sizeof(folder), "%.*s/attachments",
		 (int)(strrchr(a->cfg.cni.socket, '/') - a->cfg.cni.socket), a->cfg.cni.socket);
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void fake_agent_free(struct agent *a)
{
	fake_agent_stop(a);
	nftw(a->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	drop(&a->local, NULL);
	drop(&a->published, NULL);
	event_free(a->turn);
	event_base_free(a->base);
	free(a->cfg.cni.conf_dir);
	free(a->cfg.cni.socket);
	free(a->cfg.cni.spool_dir);
	free(a->cfg.cni.netns_prefix);
	free(a);
}

void fake_agent_resync(struct agent *a)
{
	struct err e = {};

	a->resyncs++;
	pods_module.resync(a, NULL, NULL, &e);
	while (queue && !a->frozen)
		event_base_loop(a->base, EVLOOP_NONBLOCK);
}

void fake_agent_start(struct agent *a, bool ready)
{
	struct err e = {};

	if (pods_module.init(a, &e) < 0) {
		fprintf(stderr, "init: %s\n", e.msg);
		abort();
	}
	if (!ready)
		return;
	fake_agent_resync(a);
	a->on_ready(a, true);
}

void fake_agent_stop(struct agent *a)
{
	pods_module.fini(a);
	drop_queue();
	a->frozen = a->die_in_add = false;
}

/* What the module would tidy up on the way out is put back, so that nothing but memory is lost. */
void fake_agent_crash(struct agent *a)
{
	struct fake_pair *before = a->local;

	a->local = NULL;
	fake_agent_stop(a);
	drop(&a->local, NULL);
	a->local = before;
}

void fake_agent_thaw(struct agent *a)
{
	a->frozen = false;
	event_active(a->turn, EV_TIMEOUT, 0);
}

void fake_agent_await(struct agent *a, size_t n_events)
{
	struct queued *q;
	size_t n;

	do {
		event_base_loop(a->base, EVLOOP_ONCE);
		LL_COUNT(queue, q, n);
	} while (n < n_events && !(a->frozen && a->die_in_add));
}

/* ---- sandboxes ---- */

struct sandbox sandbox_new(void)
{
	struct sandbox s;
	int stop[2], ready[2];
	char byte;

	if (pipe2(stop, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		abort();
	s.pid = fork();
	if (s.pid == 0) {
		close(stop[1]);
		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		close(ready[1]);
		while (read(stop[0], &byte, 1) > 0)
			;
		_exit(0);
	}
	close(ready[1]);
	close(stop[0]);
	while (read(ready[0], &byte, 1) > 0)
		;
	close(ready[0]);
	s.fd = stop[1];
	snprintf(s.netns, sizeof(s.netns), "/proc/%d/ns/net", s.pid);
	return s;
}

void sandbox_end(struct sandbox *s)
{
	/* A later sandbox holds a copy of the pipe, so its end is not enough. */
	kill(s->pid, SIGKILL);
	close(s->fd);
	waitpid(s->pid, NULL, 0);
}

/* ---- the CNI binary ---- */

/* Next to the test program, where the makefile puts both. */
const char *binary_path(void)
{
	static char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	if (n < 0)
		abort();
	path[n] = 0;
	snprintf(strrchr(path, '/'), 32, "/netloom-cni");
	return path;
}

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

struct running cni_start(const struct cni_call *c)
{
	size_t len = c->config_len ? c->config_len : strlen(c->config ? c->config : "");
	int in = memfd_create("config", MFD_CLOEXEC), out[2];
	const char *binary = binary_path();
	struct running r;

	if (in < 0 || pipe2(out, O_CLOEXEC) < 0 || (len && write(in, c->config, len) < 0))
		abort();
	lseek(in, 0, SEEK_SET);
	r.pid = fork();
	if (r.pid == 0) {
		dup2(in, 0);
		dup2(out[1], 1);
		set("CNI_COMMAND", c->command);
		set("CNI_CONTAINERID", c->container);
		set("CNI_IFNAME", c->ifname);
		set("CNI_NETNS", c->netns);
		set("CNI_ARGS", c->args);
		set("CNI_PATH", c->path);
		set("TRACEPARENT", c->traceparent);
		execl(binary, "netloom-cni", NULL);
		_exit(127);
	}
	close(in);
	close(out[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	r.fd = out[0];
	return r;
}

struct reading {
	char *buf;
	size_t len;
	bool done;
	struct event_base *base;
};

static void on_output(evutil_socket_t fd, short what, void *arg)
{
	struct reading *r = arg;
	ssize_t n = read(fd, r->buf + r->len, 65535 - r->len);

	if (n > 0)
		r->len += n;
	else if (n == 0 || errno != EAGAIN)
		r->done = true;
	if (r->done || r->len == 65535)
		event_base_loopbreak(r->base);
}

struct cni_answer cni_wait(struct agent *a, struct running *run)
{
	struct reading reading = { .buf = calloc(1, 65536), .base = a->base };
	struct event *ev = event_new(a->base, run->fd, EV_READ | EV_PERSIST, on_output, &reading);
	struct cni_answer r = {};
	int status;

	event_add(ev, NULL);
	while (!reading.done)
		event_base_dispatch(a->base);
	event_free(ev);
	close(run->fd);
	waitpid(run->pid, &status, 0);
	r.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	r.out = reading.buf;
	json_parse(r.out, reading.len, &r.json, NULL);
	return r;
}

struct cni_answer cni_run(struct agent *a, const struct cni_call *c)
{
	struct running r = cni_start(c);

	return cni_wait(a, &r);
}

void cni_answer_clear(struct cni_answer *r)
{
	free(r->out);
	json_object_put(r->json);
	*r = (struct cni_answer){};
}

const char *config_for(const struct agent *a, const char *version, const char *more)
{
	static char buf[16384];

	snprintf(buf, sizeof(buf),
		 "{\"cniVersion\":\"%s\",\"name\":\"netloom\",\"type\":\"netloom-cni\","
		 "\"socket\":\"%s\",\"spoolDir\":\"%s\",\"timeoutMs\":10000,\"statusWaitMs\":0%s}",
		 version, a->cfg.cni.socket, a->cfg.cni.spool_dir, more);
	return buf;
}

int answer_code(const struct cni_answer *r)
{
	int64_t code = 0;

	json_opt_int(r->json, "code", 1, 1000, &code, NULL);
	return code;
}
