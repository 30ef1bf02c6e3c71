// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Services for sockets: connect() and sendto() to a frontend go to a backend, and the application
 * sees the frontend all the same. Nothing is left to be done for each packet. Programs of cgroup
 * hooks; bpf_set_retval() is Linux 5.18.
 */
#include "bpf/lib/sock_svc.h"

#define IN_HOST_NETNS(dst) ((dst)->netns == loom_cfg.host_netns)

sock_fn void read_src(struct bpf_sock_addr *ctx, int v6, union loom_addr *ret)
{
	struct bpf_sock *sk = ctx->sk;

	if (v6) {
		ret->w[0] = sk->src_ip6[0];
		ret->w[1] = sk->src_ip6[1];
		ret->w[2] = sk->src_ip6[2];
		ret->w[3] = sk->src_ip6[3];
		return;
	}
	ret->d[0] = 0;
	ret->w[2] = LOOM_V4_MARK;
	ret->w[3] = sk->src_ip4;
}

/* 0: leave this socket alone. */
sock_fn int read_dst(struct bpf_sock_addr *ctx, int v6, struct sock_dst *ret)
{
	ret->proto = ctx->protocol;
	if (ret->proto != IPPROTO_TCP && ret->proto != IPPROTO_UDP)
		return 0;
	ret->netns = bpf_get_netns_cookie(ctx);
	if (loom_cfg.svc_sockets != LOOM_SOCKETS_ALL && !IN_HOST_NETNS(ret))
		return 0;
	ret->cookie = bpf_get_socket_cookie(ctx);
	ret->port = ctx->user_port;
	if (v6) {
		ret->addr.w[0] = ctx->user_ip6[0];
		ret->addr.w[1] = ctx->user_ip6[1];
		ret->addr.w[2] = ctx->user_ip6[2];
		ret->addr.w[3] = ctx->user_ip6[3];
		return 1;
	}
	ret->addr.d[0] = 0;
	ret->addr.w[2] = LOOM_V4_MARK;
	ret->addr.w[3] = ctx->user_ip4;
	return 1;
}

sock_fn void write_dst(struct bpf_sock_addr *ctx, int v6, const struct sock_dst *dst)
{
	ctx->user_port = dst->port;
	if (v6) {
		ctx->user_ip6[0] = dst->addr.w[0];
		ctx->user_ip6[1] = dst->addr.w[1];
		ctx->user_ip6[2] = dst->addr.w[2];
		ctx->user_ip6[3] = dst->addr.w[3];
	} else {
		ctx->user_ip4 = dst->addr.w[3];
	}
}

/*
 * A connected UDP socket would keep its backend beyond the backend's end, since nobody ends pods'
 * sockets. Packets of pods can be translated one by one, and then move on.
 */
sock_fn int is_bound_for_good(const struct sock_dst *dst)
{
	return dst->proto == IPPROTO_UDP && !IN_HOST_NETNS(dst);
}

sock_fn int forward(struct bpf_sock_addr *ctx, int v6, int again)
{
	struct sock_dst dst = {};
	int err;

	if (!read_dst(ctx, v6, &dst) || (!again && is_bound_for_good(&dst)))
		return 1;
	read_src(ctx, v6, &dst.src);
	err = sock_translate(&dst, again);
	if (err < 0) {
		bpf_set_retval(err);
		return 0;
	}
	if (err)
		write_dst(ctx, v6, &dst);
	return 1;
}

sock_fn int back(struct bpf_sock_addr *ctx, int v6)
{
	struct sock_dst dst = {};

	if (read_dst(ctx, v6, &dst) && sock_reverse(&dst))
		write_dst(ctx, v6, &dst);
	return 1;
}

SEC("cgroup/connect4")
int loom_connect4(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 0, 0);
}

SEC("cgroup/connect6")
int loom_connect6(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 1, 0);
}

SEC("cgroup/sendmsg4")
int loom_sendmsg4(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 0, 1);
}

SEC("cgroup/sendmsg6")
int loom_sendmsg6(struct bpf_sock_addr *ctx)
{
	return forward(ctx, 1, 1);
}

SEC("cgroup/recvmsg4")
int loom_recvmsg4(struct bpf_sock_addr *ctx)
{
	return back(ctx, 0);
}

SEC("cgroup/recvmsg6")
int loom_recvmsg6(struct bpf_sock_addr *ctx)
{
	return back(ctx, 1);
}

SEC("cgroup/getpeername4")
int loom_getpeer4(struct bpf_sock_addr *ctx)
{
	return back(ctx, 0);
}

SEC("cgroup/getpeername6")
int loom_getpeer6(struct bpf_sock_addr *ctx)
{
	return back(ctx, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
