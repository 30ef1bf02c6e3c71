// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/sockets.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/base/addr.h"
#include "lib/bpf/walk.h"
#include "shared/loom_maps.h"

DEFINE_FREEP(struct mnl_socket, mnl_socket_close)

/* Sockets that got the backend, and those of them that live here. */
struct ending {
	uint32_t number;
	struct loom_backend backend;
	struct loom_sockkey *keys;
	size_t n_keys, room;
	struct inet_diag_sockid *ids;
	uint8_t *families;
	size_t n_ids;
};

static void ending_release(struct ending *en)
{
	free(en->keys);
	free(en->ids);
	free(en->families);
}

static int collect_key(const void *key, const void *value, void *arg)
{
	const struct loom_sockrev *rev = value;
	struct ending *en = arg;
	struct loom_sockkey *more;

	if (rev->backend != en->number || rev->gen != en->backend.gen)
		return 0;
	if (en->n_keys == en->room) {
		more = reallocarray(en->keys, en->room + 64, sizeof(*more));
		if (!more)
			return -ENOMEM;
		en->keys = more;
		en->room += 64;
	}
	memcpy(&en->keys[en->n_keys++], key, sizeof(*more));
	return 0;
}

static int compare_cookies(const void *a, const void *b)
{
	const struct loom_sockkey *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* A socket that is not connected to the backend only sent to it, and will choose anew. */
static bool is_wanted(const struct ending *en, const struct inet_diag_msg *msg)
{
	struct loom_sockkey k = { .cookie = msg->id.idiag_cookie[0] |
					    (uint64_t)msg->id.idiag_cookie[1] << 32 };
	union loom_addr dst = {};

	if (msg->idiag_family == AF_INET) {
		dst.w[2] = LOOM_V4_MARK;
		dst.w[3] = msg->id.idiag_dst[0];
	} else {
		memcpy(&dst, msg->id.idiag_dst, sizeof(dst));
	}
	return msg->id.idiag_dport == en->backend.port && addr_equal(&dst, &en->backend.addr) &&
	       bsearch(&k, en->keys, en->n_keys, sizeof(k), compare_cookies);
}

/* A socket has one entry for this backend, so there are never more than keys. */
static int on_socket(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct ending *en = arg;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*msg) || !is_wanted(en, msg) ||
	    en->n_ids == en->n_keys)
		return MNL_CB_OK;
	en->families[en->n_ids] = msg->idiag_family;
	en->ids[en->n_ids++] = msg->id;
	return MNL_CB_OK;
}

/* Sends a request and reads what comes for it. 0 or negative errno. */
static int ask(struct mnl_socket *nl, struct inet_diag_req_v2 *req, int type, int flags,
	       struct ending *en)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned int port = mnl_socket_get_portid(nl);
	static unsigned int seq;
	ssize_t n;
	int run;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++seq;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(*req)), req, sizeof(*req));
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		run = n < 0 ? -1 : mnl_cb_run(buf, n, seq, port, on_socket, en);
	} while (run > MNL_CB_STOP);
	return run < 0 ? -errno : 0;
}

static int find_sockets(struct mnl_socket *nl, struct ending *en, uint8_t family)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = family,
		.sdiag_protocol = en->backend.proto,
		.idiag_states = ~0u,
		.id.idiag_dport = en->backend.port,
	};

	return ask(nl, &req, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, en);
}

/* Those that have closed meanwhile are no failure. */
static int destroy_all(struct mnl_socket *nl, struct ending *en)
{
	int n = 0;

	for (size_t i = 0; i < en->n_ids; i++) {
		struct inet_diag_req_v2 req = {
			.sdiag_family = en->families[i],
			.sdiag_protocol = en->backend.proto,
			.idiag_states = ~0u,
			.id = en->ids[i],
		};
		int err = ask(nl, &req, SOCK_DESTROY, NLM_F_ACK, en);

		if (err < 0 && err != -ENOENT && err != -ESTALE)
			return err;
		n += !err;
	}
	return n;
}

static int end_all(struct ending *en)
{
	_cleanup_(mnl_socket_closep) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int err;

	en->ids = calloc(en->n_keys, sizeof(*en->ids));
	en->families = calloc(en->n_keys, 1);
	if (!en->ids || !en->families)
		return -ENOMEM;
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	qsort(en->keys, en->n_keys, sizeof(*en->keys), compare_cookies);
	err = find_sockets(nl, en, AF_INET6);
	if (!err && addr_is_v4(&en->backend.addr))
		err = find_sockets(nl, en, AF_INET);
	return err < 0 ? err : destroy_all(nl, en);
}

int sockets_end(int sockrev_fd, int backend_fd, uint32_t backend, struct err *e)
{
	_cleanup_(ending_release) struct ending en = { .number = backend };
	int n;

	if (sockrev_fd < 0)
		return 0;
	if (bpf_map_lookup_elem(backend_fd, &backend, &en.backend) < 0)
		return err_errno(e, -errno, "backend %u", backend);
	n = map_walk(sockrev_fd, collect_key, &en);
	if (n < 0)
		return err_errno(e, n, "reading loom_sockrev");
	if (!en.n_keys)
		return 0;
	n = end_all(&en);
	if (n < 0)
		return err_errno(e, n, "sock_diag");
	for (size_t i = 0; i < en.n_keys; i++)
		bpf_map_delete_elem(sockrev_fd, &en.keys[i]);
	return n;
}
