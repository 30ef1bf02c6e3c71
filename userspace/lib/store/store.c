// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#include "lib/store/store_int.h"

#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_MAX_MEMORY (512u << 20)
#define MIN_ANSWER	   (1u << 20)
#define BACKOFF_MIN_MS	   50u
#define BACKOFF_MAX_MS	   2000u

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;

	if (s->told == s->connected)
		return;
	s->told = s->connected;
	if (s->on_change)
		s->on_change(s->connected, s->on_change_arg);
}

static void set_connected(struct store *s, bool connected)
{
	if (s->connected == connected)
		return;
	s->connected = connected;
	event_active(s->tell, EV_TIMEOUT, 0);
}

void store_endpoint_ok(struct store *s)
{
	s->failures = 0;
	set_connected(s, true);
}

void store_endpoint_failed(struct store *s, unsigned int endpoint)
{
	if (endpoint == s->current)
		s->current = (s->current + 1) % s->n_endpoints;
	if (s->failures < s->n_endpoints)
		s->failures++;
	if (s->failures == s->n_endpoints)
		set_connected(s, false);
}

bool store_connected(const struct store *s)
{
	return s->connected;
}

void store_on_connected(struct store *s, void (*on_change)(bool connected, void *arg), void *arg)
{
	s->on_change = on_change;
	s->on_change_arg = arg;
}

size_t store_answer_max(const struct store *s)
{
	size_t left = s->budget.used < s->budget.max ? s->budget.max - s->budget.used : 0;

	return MAX(left, MIN_ANSWER);
}

unsigned int store_backoff_ms(unsigned int n)
{
	unsigned int ms = n < 6 ? BACKOFF_MIN_MS << n : BACKOFF_MAX_MS;
	unsigned int noise = 0;

	ms = MIN(ms, BACKOFF_MAX_MS);
	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) != sizeof(noise))
		return ms;
	return ms - ms / 4 + noise % (ms / 2);
}

void store_timer_add(struct event *ev, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(ev, &tv);
}

/* "http://host:2379" or "https://…", without a path; a slash at the end is dropped. */
static int endpoint_check(const char *url, char **ret, struct err *e)
{
	const char *host;
	size_t len = strlen(url);
	char *copy;

	if (!strncmp(url, "http://", 7))
		host = url + 7;
	else if (!strncmp(url, "https://", 8))
		host = url + 8;
	else
		return err_set(e, -EINVAL, "endpoint '%s': want http:// or https://", url);
	if (len && url[len - 1] == '/')
		len--;
	if (host >= url + len || memchr(host, '/', url + len - host) || strpbrk(host, " ?#@\r\n"))
		return err_set(e, -EINVAL, "endpoint '%s': want only a host and a port", url);
	copy = strndup(url, len);
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = copy;
	return 0;
}

static int copy_endpoints(struct store *s, const char *const *urls, struct err *e)
{
	unsigned int n = 0;
	int err;

	while (urls && urls[n])
		n++;
	if (!n)
		return err_set(e, -EINVAL, "no etcd endpoint given");
	s->endpoints = calloc(n + 1, sizeof(*s->endpoints));
	if (!s->endpoints)
		return err_set(e, -ENOMEM, "out of memory");
	for (; s->n_endpoints < n; s->n_endpoints++) {
		err = endpoint_check(urls[s->n_endpoints], &s->endpoints[s->n_endpoints], e);
		if (err < 0)
			return err;
	}
	return 0;
}

static int copy_text(char **to, const char *from, struct err *e)
{
	if (from && from[0]) {
		*to = strdup(from);
		if (!*to)
			return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/* A file that is not there is said now, not at each connect. */
static int copy_file(char **to, const char *name, const char *from, struct err *e)
{
	if (from && from[0] && access(from, R_OK) < 0)
		return err_errno(e, -errno, "%s '%s'", name, from);
	return copy_text(to, from, e);
}

static int copy_config(struct store *s, const struct store_config *cfg, struct err *e)
{
	int err = copy_endpoints(s, cfg->endpoints, e);

	if (err == 0)
		err = copy_file(&s->ca_file, "CA file", cfg->ca_file, e);
	if (err == 0)
		err = copy_file(&s->cert_file, "certificate", cfg->cert_file, e);
	if (err == 0)
		err = copy_file(&s->key_file, "key", cfg->key_file, e);
	if (err == 0)
		err = copy_text(&s->username, cfg->username, e);
	if (err == 0)
		err = copy_text(&s->password, cfg->password, e);
	if (err == 0 && !s->cert_file != !s->key_file)
		err = err_set(e, -EINVAL, "a client certificate and its key go together");
	s->timeout_ms = cfg->timeout_ms ? cfg->timeout_ms : DEFAULT_TIMEOUT_MS;
	s->budget.max = cfg->max_memory ? cfg->max_memory : DEFAULT_MAX_MEMORY;
	return err;
}

DEFINE_FREEP(struct store, store_free)

int store_new(struct event_base *base, const struct store_config *cfg, struct store **ret,
	      struct err *e)
{
	_cleanup_(store_freep) struct store *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->base = base;
	err = copy_config(s, cfg, e);
	if (err < 0)
		return err;
	s->tell = evtimer_new(base, on_tell, s);
	if (!s->tell || http_client_new(base, &s->http) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = TAKE_PTR(s);
	return 0;
}

void store_free(struct store *s)
{
	struct store_follow *f;
	struct store_lease *l;

	if (!s)
		return;
	while (s->ops)
		store_op_cancel(s->ops);
	while ((f = s->follows))
		follow_orphan(f);
	while ((l = s->leases))
		lease_orphan(l);
	auth_fini(s);
	http_client_free(s->http);
	if (s->tell)
		event_free(s->tell);
	for (unsigned int i = 0; s->endpoints && s->endpoints[i]; i++)
		free(s->endpoints[i]);
	free(s->endpoints);
	free(s->ca_file);
	free(s->cert_file);
	free(s->key_file);
	free(s->username);
	free(s->password);
	free(s);
}

void op_init(struct store_op *op, struct store *s, void (*free_fn)(struct store_op *op))
{
	op->store = s;
	op->free = free_fn;
	DL_APPEND(s->ops, op);
}

void op_done(struct store_op *op)
{
	DL_DELETE(op->store->ops, op);
	op->done = true;
}

void store_op_cancel(struct store_op *op)
{
	if (!op || op->done)
		return;
	op_done(op);
	request_stop(&op->req);
	op->free(op);
}
