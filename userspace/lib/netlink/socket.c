// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	OUT_LEN = 32 * 1024,
	IN_LEN = 64 * 1024,
	MAX_QUEUED = OUT_LEN / NL_MSG_MAX,
	MAX_DUMPS = 16,
};

struct nl_sock {
	int fd;
	bool batching;
	uint32_t seq;	      /* of the last request */
	unsigned int n;	      /* requests in out[] */
	size_t used;	      /* bytes of finished requests */
	struct nlmsghdr *cur; /* being built behind them */
	char what[MAX_QUEUED][96];
	char out[OUT_LEN] __attribute__((aligned(8)));
	char in[IN_LEN] __attribute__((aligned(8)));
};

static void reset(struct nl_sock *nl)
{
	nl->n = 0;
	nl->used = 0;
	nl->cur = NULL;
	nl->batching = false;
}

static int open_here(struct nl_sock *nl)
{
	struct timeval patience = { .tv_sec = 5 };
	int one = 1;

	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nl->fd < 0)
		return -errno;
	/* Each is an improvement of messages or filters only; all kernels from 4.20 have them. */
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	/* The kernel answers before sendmsg returns; this only bounds a bug. */
	setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return 0;
}

int nl_open(int netns_fd, struct nl_sock **ret, struct err *e)
{
	/* Not calloc: touching the buffers' pages would cost more than all the rest. */
	_cleanup_(nl_closep) struct nl_sock *nl = malloc(sizeof(*nl));
	int err, home = -1;

	if (!nl)
		return err_errno(e, -ENOMEM, "netlink socket");
	nl->fd = -1;
	nl->seq = 0;
	reset(nl);
	if (netns_fd >= 0) {
		err = netns_enter(netns_fd, &home, e);
		if (err < 0)
			return err;
	}
	err = open_here(nl);
	if (netns_fd >= 0)
		netns_leave(&home);
	if (err < 0)
		return err_errno(e, err, "netlink socket");
	*ret = TAKE_PTR(nl);
	return 0;
}

void nl_close(struct nl_sock *nl)
{
	if (!nl)
		return;
	closep(&nl->fd);
	free(nl);
}

/* ---- building ---- */

struct nlmsghdr *nl_msg(struct nl_sock *nl, uint16_t type, uint16_t flags, const char *what, ...)
{
	va_list ap;

	if (nl->n == MAX_QUEUED || nl->used + NL_MSG_MAX > sizeof(nl->out))
		return NULL;
	va_start(ap, what);
	vsnprintf(nl->what[nl->n], sizeof(nl->what[0]), what, ap);
	va_end(ap);
	nl->cur = mnl_nlmsg_put_header(nl->out + nl->used);
	nl->cur->nlmsg_type = type;
	nl->cur->nlmsg_flags = NLM_F_REQUEST | flags;
	nl->cur->nlmsg_seq = ++nl->seq;
	return nl->cur;
}

static void finish(struct nl_sock *nl)
{
	nl->used += NLMSG_ALIGN(nl->cur->nlmsg_len);
	nl->n++;
}

void nl_batch_begin(struct nl_sock *nl)
{
	reset(nl);
	nl->batching = true;
}

/* ---- sending and reading answers ---- */

static int send_all(struct nl_sock *nl)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	do {
		n = sendto(nl->fd, nl->out, nl->used, 0, (struct sockaddr *)&kernel,
			   sizeof(kernel));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static ssize_t receive(struct nl_sock *nl)
{
	ssize_t n;

	do {
		n = recv(nl->fd, nl->in, sizeof(nl->in), MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)n > sizeof(nl->in) ? -EMSGSIZE : n;
}

/* The kernel's own sentence, when it has one (NLMSGERR_ATTR_MSG). */
static const char *ext_ack(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *body = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*body), len = mnl_nlmsg_get_payload_len(nlh);
	const struct nlattr *attr;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += body->msg.nlmsg_len - sizeof(struct nlmsghdr);
	if (skip >= len)
		return NULL;
	attr = (const struct nlattr *)((const char *)body + NLMSG_ALIGN(skip));
	for (; mnl_attr_ok(attr, (const char *)body + len - (const char *)attr);
	     attr = mnl_attr_next(attr)) {
		const char *text = mnl_attr_get_payload(attr);
		size_t n = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG && n && !text[n - 1])
			return text;
	}
	return NULL;
}

static int explain(struct nl_sock *nl, const struct nlmsghdr *nlh, int code, struct err *e)
{
	uint32_t first = nl->seq - nl->n + 1;
	const char *what =
		nlh->nlmsg_seq - first < nl->n ? nl->what[nlh->nlmsg_seq - first] : "netlink";
	const char *more = ext_ack(nlh);

	if (more)
		return err_set(e, code, "%s: %s (%s)", what, strerror(-code), more);
	return err_errno(e, code, "%s", what);
}

/* An NLMSG_ERROR's code; -EBADMSG when it is cut short. */
static int ack_code(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *body = mnl_nlmsg_get_payload(nlh);

	return mnl_nlmsg_get_payload_len(nlh) < sizeof(*body) ? -EBADMSG : body->error;
}

/* Only the last request asks for an acknowledgement; failures of the others come before it. */
static int talk(struct nl_sock *nl, struct err *e)
{
	int first = 0, err = send_all(nl);

	if (err < 0)
		return err_errno(e, err, "%s", nl->what[0]);
	for (;;) {
		ssize_t n = receive(nl);
		int len = n;

		if (n < 0)
			return err_errno(e, n, "%s", nl->what[nl->n - 1]);
		for (const struct nlmsghdr *nlh = (void *)nl->in; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			int code = nlh->nlmsg_type == NLMSG_ERROR ? ack_code(nlh) : 0;

			/* An answer that an earlier call gave up waiting for. */
			if (nl->seq - nlh->nlmsg_seq >= nl->n)
				continue;
			if (code < 0 && !first)
				first = explain(nl, nlh, code, e);
			if (nlh->nlmsg_type == NLMSG_ERROR && nlh->nlmsg_seq == nl->seq)
				return first;
		}
	}
}

int nl_msg_done(struct nl_sock *nl, struct err *e)
{
	int err;

	finish(nl);
	if (nl->batching)
		return 0;
	nl->cur->nlmsg_flags |= NLM_F_ACK;
	err = talk(nl, e);
	reset(nl);
	return err;
}

int nl_batch_end(struct nl_sock *nl, struct err *e)
{
	int err;

	if (!nl->n) {
		reset(nl);
		return 0;
	}
	nl->cur->nlmsg_flags |= NLM_F_ACK;
	err = talk(nl, e);
	reset(nl);
	return err;
}

int nl_msg_get(struct nl_sock *nl, int (*fn)(const struct nlmsghdr *nlh, void *arg), void *arg,
	       struct err *e)
{
	int err;

	finish(nl);
	err = send_all(nl);
	while (!err) {
		ssize_t n = receive(nl);
		int len = n;
		const struct nlmsghdr *nlh = (void *)nl->in;

		if (n < 0) {
			err = n;
			break;
		}
		if (!mnl_nlmsg_ok(nlh, len) || nlh->nlmsg_seq != nl->seq)
			continue;
		err = nlh->nlmsg_type == NLMSG_ERROR ? explain(nl, nlh, ack_code(nlh), e)
						     : fn(nlh, arg);
		reset(nl);
		return err;
	}
	err_errno(e, err, "%s", nl->what[0]);
	reset(nl);
	return err;
}

/* ---- dumps ---- */

struct gathered {
	char *buf;
	size_t len, size;
};

static void gathered_release(struct gathered *g)
{
	free(g->buf);
}

static int gather(struct gathered *g, const struct nlmsghdr *nlh)
{
	size_t need = NLMSG_ALIGN(nlh->nlmsg_len);

	if (g->len + need > g->size) {
		size_t size = MAX(g->size * 2, g->len + need + 16384);
		char *buf = realloc(g->buf, size);

		if (!buf)
			return -ENOMEM;
		g->buf = buf;
		g->size = size;
	}
	memcpy(g->buf + g->len, nlh, nlh->nlmsg_len);
	g->len += need;
	return 0;
}

/* 1: done; 0: more to come; -EINTR: what is dumped changed meanwhile. */
static int gather_part(struct nl_sock *nl, struct gathered *g, bool *interrupted, struct err *e)
{
	ssize_t n = receive(nl);
	int len = n, err;

	if (n < 0)
		return err_errno(e, n, "%s", nl->what[0]);
	for (const struct nlmsghdr *nlh = (void *)nl->in; mnl_nlmsg_ok(nlh, len);
	     nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_seq != nl->seq)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			*interrupted = true;
		if (nlh->nlmsg_type == NLMSG_ERROR)
			return explain(nl, nlh, ack_code(nlh), e);
		if (nlh->nlmsg_type == NLMSG_DONE) {
			const int *code = mnl_nlmsg_get_payload(nlh);

			if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(*code) && *code < 0)
				return err_errno(e, *code, "%s", nl->what[0]);
			return 1;
		}
		err = gather(g, nlh);
		if (err < 0)
			return err_errno(e, err, "%s", nl->what[0]);
	}
	return 0;
}

static int gather_all(struct nl_sock *nl, struct gathered *g, struct err *e)
{
	for (int tries = 0; tries < MAX_DUMPS; tries++) {
		bool interrupted = false;
		int err = send_all(nl);

		if (err < 0)
			return err_errno(e, err, "%s", nl->what[0]);
		g->len = 0;
		do {
			err = gather_part(nl, g, &interrupted, e);
		} while (!err);
		if (err < 0)
			return err;
		if (!interrupted)
			return 0;
		nl->cur->nlmsg_seq = ++nl->seq;
	}
	return err_set(e, -EAGAIN, "%s: it changes faster than it can be read", nl->what[0]);
}

int nl_msg_dump(struct nl_sock *nl, int (*fn)(const struct nlmsghdr *nlh, void *arg), void *arg,
		struct err *e)
{
	_cleanup_(gathered_release) struct gathered g = {};
	int err;

	nl->cur->nlmsg_flags |= NLM_F_DUMP;
	finish(nl);
	err = gather_all(nl, &g, e);
	reset(nl);
	if (err < 0)
		return err;
	for (size_t at = 0; at < g.len;) {
		const struct nlmsghdr *nlh = (void *)(g.buf + at);

		err = fn(nlh, arg);
		if (err)
			return err;
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return 0;
}
