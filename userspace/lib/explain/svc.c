// SPDX-License-Identifier: Apache-2.0
/*
 * Services: which backend was taken and which others could have been; and, before there is a
 * packet, what the sender's socket makes of the address (bpf/lib/sock_svc.h, whose programs only
 * the kernel can run).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/bpf/names.h"
#include "lib/explain/private.h"
#include "lib/json/json.h"

#define MAX_NAMED      8	  /* candidates that the text names; -o json has all */
#define MAX_SLOTS      (1u << 22) /* of one service; more is nonsense in the map */
#define MAX_NUMBER     (1u << 24) /* of a backend; the same */
#define MAX_CANDIDATES 256

static const struct loom_backend *backend_of(struct run *r, uint32_t number, uint32_t want)
{
	const struct loom_backend *b = number ? run_peek(r, "loom_backend", &number) : NULL;

	if (!b || (b->flags & (want | LOOM_BACKEND_GONE)) != want || !b->port ||
	    addr_is_v4(&b->addr) != addr_is_v4(&r->q.dst))
		return NULL;
	return b;
}

/* A bit for each backend's number, and which were there first. */
struct numbers {
	uint64_t *seen;
	uint32_t max;
	uint32_t v[MAX_CANDIDATES];
	size_t n;
};

static void numbers_add(struct numbers *l, uint32_t number)
{
	uint64_t bit = 1ull << (number % 64);

	if (number > l->max || (l->seen[number / 64] & bit) || l->n == ARRAY_SIZE(l->v))
		return;
	l->seen[number / 64] |= bit;
	l->v[l->n++] = number;
}

/* Numbers in these slots, each once. Negative errno. */
static int read_slots(struct run *r, uint32_t first, uint32_t slots, struct numbers *ret)
{
	uint32_t max = r->max_slots ? MIN(r->max_slots, MAX_SLOTS) : MAX_SLOTS;
	_cleanup_(freep) uint32_t *v = NULL;
	int err;

	slots = MIN(slots, max);
	v = calloc(slots ?: 1, sizeof(*v));
	err = v ? live_slots(r->live, first, slots, v) : -ENOMEM;
	for (uint32_t i = 0; !err && i < slots; i++)
		ret->max = MAX(ret->max, MIN(v[i], MAX_NUMBER));
	ret->seen = calloc(ret->max / 64 + 1, sizeof(*ret->seen));
	if (!err && !ret->seen)
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < slots; i++)
		numbers_add(ret, v[i]);
	return err;
}

/* Backends that a new flow to the service could get, by address and name. */
static struct json_object *candidates(struct run *r, uint32_t first, uint32_t slots)
{
	struct json_object *list = json_object_new_array();
	struct numbers found = {};
	char text[WHO_STRLEN];
	int err = read_slots(r, first, slots, &found);

	for (size_t i = 0; list && !err && i < found.n; i++) {
		const struct loom_backend *b = backend_of(r, found.v[i], LOOM_BACKEND_PRESENT);

		if (!b)
			continue;
		who_text(r->names, &b->addr, ntohs(b->port), text);
		json_append_str(list, text);
	}
	free(found.seen);
	return list;
}

/* "the only one", or which others there are, and what chose. */
static void others_text(struct json_object *list, const char *taken, const char *how, char *buf,
			size_t len)
{
	size_t n = list ? json_object_array_length(list) : 0, used, named = 0;

	if (n < 2) {
		snprintf(buf, len, "%s", "its only backend");
		return;
	}
	used = snprintf(buf, len, "one of %zu, %s; the others:", n, how);
	for (size_t i = 0; i < n && used < len; i++) {
		const char *one = json_object_get_string(json_object_array_get_idx(list, i));

		if (strcmp(one, taken) == 0)
			continue;
		if (named++ == MAX_NAMED) {
			snprintf(buf + used, len - used, " and %zu more", n - 1 - MAX_NAMED);
			return;
		}
		used += snprintf(buf + used, len - used, "%s %s", named > 1 ? "," : "", one);
	}
}

/* "service default/web, port http" or, when nobody knows its name, its number. */
static const char *service_text(struct run *r, uint32_t number, char *buf, size_t len)
{
	const struct explain_names *n = r->names;
	const char *name = n->service ? n->service(n->arg, number) : NULL;

	if (name)
		snprintf(buf, len, "service %s", name);
	else
		snprintf(buf, len, "service number %u", number);
	return buf;
}

static void taken_step(struct run *r, const char *step, const struct loom_svc *svc,
		       const union loom_addr *addr, uint16_t port, bool outside, const char *how)
{
	char taken[WHO_STRLEN], service[640], others[8 * WHO_STRLEN];
	struct json_object *list, *o;

	list = candidates(r, outside ? svc->out : svc->in, outside ? svc->out_size : svc->in_size);
	who_text(r->names, addr, port, taken);
	others_text(list, taken, how, others, sizeof(others));
	o = step_add(r->steps, step, "%s: backend %s, %s",
		     service_text(r, svc->service, service, sizeof(service)), taken, others);
	json_add_str(o, "service", service);
	json_add_str(o, "backend", taken);
	json_add(o, "candidates", list);
}

/* ---- in the packet's way ---- */

static const struct loom_svc *frontend(const struct run *r)
{
	for (size_t i = 0; i < r->overlay->n_seen; i++)
		if (r->overlay->seen[i].map == &loom_svc && r->overlay->seen[i].value)
			return r->overlay->seen[i].value;
	return NULL;
}

static const char *how_chosen(const struct run *r, const struct loom_svc *svc)
{
	if (svc->flags & LOOM_SVC_AFFINITY)
		return "kept for this client (session affinity)";
	if (r->ctx.pkt.svc_outside || (svc->flags & LOOM_SVC_MAGLEV_IN))
		return "by the hash of addresses and ports";
	return "at random";
}

void steps_service(struct run *r, const struct loom_ct *ct)
{
	const struct loom_svc *svc = frontend(r);
	char service[640], backend[WHO_STRLEN];

	if (ct && (ct->flags & LOOM_CT_SVC) && svc && svc->service == ct->service) {
		taken_step(r, "service", svc, &ct->xaddr, ntohs(ct->xport), r->ctx.pkt.svc_outside,
			   how_chosen(r, svc));
	} else if (ct && (ct->flags & LOOM_CT_SVC)) {
		service_text(r, ct->service, service, sizeof(service));
		who_text(r->names, &ct->xaddr, ntohs(ct->xport), backend);
		step_add(r->steps, "service", "%s: the flow's backend is %s", service, backend);
	} else if (svc && r->reason) {
		service_text(r, svc->service, service, sizeof(service));
		step_add(r->steps, "service", "%s: %s", service, loom_drop_text(r->reason));
	} else if (svc) {
		service_text(r, svc->service, service, sizeof(service));
		step_add(r->steps, "service", "%s: %s", service,
			 r->ctx.pkt.svc_outside && !(svc->flags & LOOM_SVC_EXTERNAL)
				 ? "not for clients outside of the cluster"
				 : "left to the node that was asked");
	}
}

/* ---- by the socket ---- */

/* Frontends on every node's addresses that this address can mean (sock_node_kinds()). */
static uint32_t node_kinds(struct run *r, const union loom_addr *addr)
{
	struct loom_ipkey k = { .addr = *addr };
	const struct loom_remote *remote;
	const struct loom_ep *ep = run_peek(r, "loom_ep", &k);

	if (ep)
		return ep->flags & LOOM_EP_HOST ? LOOM_SVC_NODEPORT | LOOM_SVC_HOSTPORT : 0;
	remote = run_peek(r, "loom_ip", &k);
	return remote && (remote->flags & LOOM_REMOTE_NODE) ? LOOM_SVC_NODEPORT : 0;
}

static const struct loom_svc *socket_service(struct run *r)
{
	struct loom_svckey k = { .addr = r->q.dst, .port = htons(r->q.port), .proto = r->q.proto };
	const struct loom_svc *svc = run_peek(r, "loom_svc", &k);

	if (svc)
		return svc;
	memset(&k.addr, 0, sizeof(k.addr));
	if (addr_is_v4(&r->q.dst))
		k.addr.w[2] = LOOM_V4_MARK;
	svc = run_peek(r, "loom_svc", &k);
	return svc && (svc->flags & node_kinds(r, &r->q.dst)) ? svc : NULL;
}

static bool socket_translates(const struct run *r)
{
	if (r->q.flow || (r->q.proto != IPPROTO_TCP && r->q.proto != IPPROTO_UDP))
		return false;
	if (r->sender == SENDER_HOST)
		return loom_cfg.svc_sockets != LOOM_SOCKETS_NONE;
	/* Pods' UDP sockets that connect are left to the packet path. */
	return r->sender == SENDER_POD && r->q.proto == IPPROTO_TCP &&
	       loom_cfg.svc_sockets == LOOM_SOCKETS_ALL;
}

/* As sock_allowed(): 1 for a socket that may use the frontend, 0 when that is left to its packets.
 */
static int socket_allowed(struct run *r, const struct loom_svc *svc)
{
	struct loom_srckey k = { .prefixlen = 160, .service = svc->service, .addr = r->q.src };

	if (!(svc->flags & LOOM_SVC_SRCRANGE))
		return 1;
	if (r->sender != SENDER_HOST)
		return 0;
	return run_peek(r, "loom_srcrange", &k) ? 1 : -EPERM;
}

/* A slot at random, or the next one whose backend takes new connections. */
static const struct loom_backend *socket_choose(struct run *r, const struct loom_svc *svc)
{
	const uint32_t want = LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY;
	const struct loom_backend *b = NULL;
	uint32_t at = svc->in_size ? (uint32_t)(clock_ns() >> 6) % svc->in_size : 0;

	for (uint32_t i = 0; i < svc->in_size && i < MAX_SLOTS && !b; i++) {
		uint32_t slot = svc->in + (at + i) % svc->in_size;
		const uint32_t *number = run_peek(r, "loom_lut", &slot);

		b = number ? backend_of(r, *number, want) : NULL;
	}
	return b;
}

int run_socket(struct run *r)
{
	const struct loom_svc *svc = socket_translates(r) ? socket_service(r) : NULL;
	const struct loom_backend *b = NULL;
	char service[640];
	int allowed = svc ? socket_allowed(r, svc) : 0;

	if (!allowed)
		return 0;
	if (allowed < 0)
		r->reason = LOOM_DROP_SVC_SOURCE;
	else
		b = socket_choose(r, svc);
	if (!b) {
		if (!r->reason)
			r->reason = !svc->in_size && (svc->flags & LOOM_SVC_SILENT_IN)
					    ? LOOM_DROP_SVC_NO_LOCAL
					    : LOOM_DROP_SVC_NO_BACKEND;
		service_text(r, svc->service, service, sizeof(service));
		step_add(r->steps, "socket", "%s: connect() or sendto() fails at once: %s", service,
			 loom_drop_text(r->reason));
		return 1;
	}
	taken_step(r, "socket", svc, &b->addr, ntohs(b->port), false,
		   svc->flags & LOOM_SVC_AFFINITY ? "kept for this client (session affinity)"
						  : "at random");
	r->q.dst = b->addr;
	r->q.port = ntohs(b->port);
	return 0;
}
