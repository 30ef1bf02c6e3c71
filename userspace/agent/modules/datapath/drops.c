// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/drops.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/addr.h"
#include "lib/base/clock.h"
#include "lib/bpf/names.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "shared/loom_maps.h"

#define TOLD_MAX 4096 /* bytes about one verdict */

struct drops {
	struct ring_buffer *rb;
	struct event *readable;
	int evlimit_fd;
	uint64_t next_seq;
	struct loom_event kept[DROPS_KEPT]; /* seq % DROPS_KEPT */
	char *told[DROPS_KEPT];		    /* about verdicts: an object as text, or NULL */
	struct json_object *(*verdict)(const struct loom_event *ev, void *arg);
	void *arg;
	uint64_t told_at; /* the second in which the last `n_told` were asked about */
	unsigned int n_told;
};

static bool may_ask(struct drops *d)
{
	uint64_t now = clock_ms() / 1000;

	if (now != d->told_at)
		d->n_told = 0;
	d->told_at = now;
	return d->n_told++ < DROPS_TOLD_PER_S;
}

void drops_on_verdict(struct drops *d,
		      struct json_object *(*fn)(const struct loom_event *ev, void *arg), void *arg)
{
	d->verdict = fn;
	d->arg = arg;
}

void drops_take(struct drops *d, const struct loom_event *ev)
{
	size_t at = d->next_seq++ % DROPS_KEPT;
	_json_ *told = ev->judged && d->verdict && may_ask(d) ? d->verdict(ev, d->arg) : NULL;
	const char *text = told ? json_text(told) : NULL;

	d->kept[at] = *ev;
	free(d->told[at]);
	d->told[at] = text && strlen(text) <= TOLD_MAX ? strdup(text) : NULL;
}

static int on_event(void *ctx, void *data, size_t len)
{
	if (len >= sizeof(struct loom_event))
		drops_take(ctx, data);
	return 0;
}

int drops_consume(struct drops *d)
{
	return ring_buffer__consume(d->rb);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	drops_consume(arg);
}

int drops_new(struct event_base *base, int events_fd, int evlimit_fd, struct drops **ret,
	      struct err *e)
{
	struct drops *d = calloc(1, sizeof(*d));
	int err = -ENOMEM;

	if (!d)
		return -ENOMEM;
	d->next_seq = 1;
	d->evlimit_fd = evlimit_fd;
	d->rb = ring_buffer__new(events_fd, on_event, d, NULL);
	if (!d->rb) {
		err = err_errno(e, -errno, "reading loom_events");
		goto out;
	}
	if (base) {
		d->readable = event_new(base, ring_buffer__epoll_fd(d->rb), EV_READ | EV_PERSIST,
					on_readable, d);
		if (!d->readable || event_add(d->readable, NULL) < 0)
			goto out;
	}
	*ret = d;
	return 0;
out:
	drops_free(d);
	return err;
}

void drops_free(struct drops *d)
{
	if (!d)
		return;
	if (d->readable)
		event_free(d->readable);
	if (d->rb)
		ring_buffer__free(d->rb);
	for (size_t i = 0; i < DROPS_KEPT; i++)
		free(d->told[i]);
	free(d);
}

uint64_t drops_next_seq(const struct drops *d)
{
	return d->next_seq;
}

uint64_t drops_lost(const struct drops *d)
{
	struct loom_evlimit sum = {};
	_cleanup_(freep) void *values = NULL;
	struct map_shape shape;
	uint32_t zero = 0;

	if (d->evlimit_fd < 0 || map_shape(d->evlimit_fd, &shape) < 0 ||
	    shape.value_size != sizeof(sum))
		return 0;
	values = malloc(map_user_value_size(&shape));
	if (!values || bpf_map_lookup_elem(d->evlimit_fd, &zero, values) < 0)
		return 0;
	map_percpu_sum(values, sizeof(sum), &sum);
	return sum.lost;
}

static int add_named(struct json_object *ret, const char *field, const char *name)
{
	return name ? json_add_str(ret, field, name) : 0;
}

static int add_end(struct json_object *ret, const char *field, const char *port_field,
		   const char *name_field, const struct loom_event *ev, const union loom_addr *addr,
		   __be16 port, const struct table_names *n)
{
	char text[ADDR_STRLEN];

	return json_add_str(ret, field, addr_format(addr, text)) ?:
	       (port ? json_add_int(ret, port_field, ntohs(port)) : 0) ?:
	       add_named(ret, name_field, n->addr ? n->addr(n->arg, ev->scope, addr) : NULL);
}

static int add_packet(struct json_object *ret, const struct loom_event *ev,
		      const struct table_names *n)
{
	char proto[NAME_STRLEN];

	if (!ev->family)
		return json_add_int(ret, "ethertype", ev->ethertype);
	return json_add_str(ret, "proto", loom_proto_name(ev->proto, proto)) ?:
	       add_end(ret, "from", "fromPort", "fromName", ev, &ev->saddr, ev->sport, n) ?:
	       add_end(ret, "to", "toPort", "toName", ev, &ev->daddr, ev->dport, n) ?:
	       (ev->tcp_flags ? json_add(ret, "tcpFlags",
					 loom_flags_json(ev->tcp_flags, loom_tcp_flag_names)) :
				0);
}

static int add_fields(struct json_object *ret, const char *told)
{
	_json_ *fields = NULL;
	int err = told ? json_parse(told, strlen(told), &fields, NULL) : 0;

	if (err < 0 || !fields)
		return err;
	json_object_object_foreach(fields, name, value)
	{
		err = err ?: json_add(ret, name, json_object_get(value));
	}
	return err;
}

/* Which policy was asked about what. The packet may be of the other direction, or to a service. */
static int add_verdict(struct json_object *ret, const struct loom_event *ev, const char *told,
		       const struct table_names *n)
{
	char text[ADDR_STRLEN], proto[NAME_STRLEN];

	if (!ev->judged)
		return 0;
	return json_add_str(ret, "direction", ev->ingress ? "ingress" : "egress") ?:
	       json_add_str(ret, "peer", addr_format(&ev->peer, text)) ?:
	       json_add_int(ret, "port", ntohs(ev->port)) ?:
	       json_add_str(ret, "flowProto", loom_proto_name(ev->flow_proto, proto)) ?:
	       add_named(ret, "pod", n->ep ? n->ep(n->arg, ev->judged) : NULL) ?:
	       add_named(ret, "peerName", n->addr ? n->addr(n->arg, ev->scope, &ev->peer) : NULL) ?:
	       add_fields(ret, told);
}

static struct json_object *event_json(const struct loom_event *ev, const char *told, uint64_t seq,
				      const struct table_names *n)
{
	_json_ *ret = json_object_new_object();
	char when[CLOCK_STRLEN];

	if (!ret)
		return NULL;
	clock_text(ev->time_ns, when);
	if (json_add_int(ret, "seq", seq) ?: json_add_str(ret, "time", when) ?:
	    json_add_str(ret, "reason", loom_drop_name(ev->reason)) ?:
	    json_add_str(ret, "text", loom_drop_text(ev->reason)) ?:
	    json_add_str(ret, "hook", loom_hook_name(ev->hook)) ?:
	    json_add_int(ret, "ifindex", ev->ifindex) ?:
	    add_named(ret, "ifindexName", n->link ? n->link(n->arg, ev->ifindex) : NULL) ?:
	    json_add_int(ret, "scope", ev->scope) ?: json_add_int(ret, "length", ev->len) ?:
	    add_packet(ret, ev, n) ?: add_verdict(ret, ev, told, n) ?: (ev->ep ? json_add_int(ret, "ep", ev->ep) : 0) ?:
	    (ev->ep && n->ep ? add_named(ret, "epName", n->ep(n->arg, ev->ep)) : 0) ?:
	    (ev->aux ? json_add_int(ret, "detail", (int32_t)ev->aux) : 0))
		return NULL;
	return TAKE_PTR(ret);
}

struct json_object *drops_json(const struct drops *d, uint64_t since, size_t last,
			       const struct table_names *names)
{
	static const struct table_names nobody = {};
	uint64_t oldest = d->next_seq > DROPS_KEPT ? d->next_seq - DROPS_KEPT : 1;
	uint64_t from = MAX(since, oldest);
	_json_ *ret = json_object_new_object();
	struct json_object *list = json_object_new_array();

	if (!ret || json_add(ret, "events", list) < 0)
		return NULL;
	if (d->next_seq > from && d->next_seq - from > last)
		from = d->next_seq - last;
	for (uint64_t seq = from; seq < d->next_seq; seq++)
		if (json_append(list,
				event_json(&d->kept[seq % DROPS_KEPT], d->told[seq % DROPS_KEPT],
					   seq, names ?: &nobody)) < 0)
			return NULL;
	if (json_add_int(ret, "next", d->next_seq) ?: json_add_int(ret, "lost", drops_lost(d)) ?:
	    json_add_int(ret, "skipped", since && since < oldest ? oldest - since : 0))
		return NULL;
	return TAKE_PTR(ret);
}
