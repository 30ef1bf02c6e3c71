/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A private etcd for a test: the real server, on a loopback port of its own, with its data below a
 * temporary folder. It is killed when the test program ends in any way.
 *
 *	struct etcd e;
 *	assert_int_equal(etcd_start(&e, NULL), 0);
 *	… e.url …
 *	etcd_stop(&e);
 *
 * Single-threaded, blocking: each function returns when the server is ready, or gone.
 */
#include <stdint.h>
#include <sys/types.h>

struct etcd_tls {
	const char *ca, *cert, *key; /* PEM files; clients need a certificate of `ca` */
};

struct etcd {
	char dir[64]; /* data in <dir>/data, log in <dir>/log, a copy in <dir>/saved */
	char url[64]; /* http(s)://127.0.0.1:<port> */
	pid_t pid;    /* 0 when it does not run */
	uint16_t port, peer_port;
	unsigned int cluster; /* another number, another cluster id */
	const struct etcd_tls *tls;
};

/* 0, or negative errno with a line on stderr. */
int etcd_start(struct etcd *e, const struct etcd_tls *tls);
/* SIGKILL and wait. The data stay. */
void etcd_kill(struct etcd *e);
/* Starts again on the same port and data. */
int etcd_restart(struct etcd *e);
/* Kills and removes the data; etcd_restart() begins a new history. */
void etcd_wipe(struct etcd *e);
/* As etcd_wipe(), and what begins then has another cluster id. */
void etcd_replace(struct etcd *e);
/* Keeps a copy of the data, or takes them back to it: both kill. 0, or -EIO. */
int etcd_save(struct etcd *e);
int etcd_roll_back(struct etcd *e);
/* SIGSTOP, SIGCONT */
void etcd_pause(struct etcd *e);
void etcd_resume(struct etcd *e);
/* Kills and removes everything. */
void etcd_stop(struct etcd *e);
/* A loopback port that refuses connections, and that nobody else gets, until the socket that is
 * returned is closed; -1: none. */
int refusing_port(uint16_t *ret);
/* Runs a command and waits; exit status, or -1. `argv` ends with NULL; output is dropped. */
int run_command(const char *const *argv);
