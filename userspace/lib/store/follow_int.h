/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of a follow: follow.c decides what to do next (list, check, watch, wait), stream.c carries
 * one watch and judges whether it is alive.
 *
 * A watch in silence may be idle or dead. etcd sends progress only every 10 minutes, so after
 * 2 × timeout_ms without a byte the same endpoint is asked something small: a member that hangs,
 * or has lost its cluster, does not answer, and the follow moves on. A stream that stays silent
 * for longer than progress could is given up even if its endpoint answers.
 *
 * One follow asks for all of its store that watch at the same endpoint: an answer puts their own
 * questions off, none at all makes them move on as well.
 */
#include "lib/store/store_int.h"
#include "lib/store/watch_msg.h"

/*
 * The newest key that was seen, which tells when a watch begins whether this is still the same
 * history: a cluster that lost its data counts its revisions from 1 again, may keep its id, and may
 * well have overtaken.
 */
struct anchor {
	char *key; /* not NUL-terminated; NULL: none */
	size_t key_len;
	int64_t mod_revision;
	uint64_t value_hash;
};

enum follow_state { FOLLOW_WAITING, FOLLOW_LISTING, FOLLOW_WATCHING };

struct store_follow {
	struct store *store; /* NULL: the store was freed */
	struct store_follow *prev, *next;
	char *prefix;
	const struct store_follow_ops *ops;
	void *arg;
	enum follow_state state;
	struct store_header at; /* all changes up to this revision have been told; 0: list first */
	struct anchor anchor;
	struct store_op *list;
	struct event *timer; /* WAITING: go on; WATCHING: silence */
	struct store_request ask;
	unsigned int busy;   /* a callback of the user runs, or may */
	unsigned int breaks; /* in a row */
	bool dead, told_broken, asking;
	bool probing; /* asking whether the endpoint is there */
	bool doubted; /* another follow found that it is not */

	struct store_attempt watch;
	char *watch_body;
	bool created, checked; /* nothing is told before the history was checked */
	bool fragment;	       /* the last message was one */
	struct line_buf lines;
	struct kv_list pending; /* events not told yet: their revision may not be complete */
	uint64_t heard_ms;
};

/* follow.c */
bool follow_alive(const struct store_follow *f);
void follow_enter(struct store_follow *f);
/* May free f. */
void follow_leave(struct store_follow *f);
/* The stream, or an attempt to get one, has failed. -ESTALE: list again. */
void follow_broken(struct store_follow *f, const struct err *err);
/* Tells what is pending; `whole`: the last revision in it is complete. False: stop, f is dead. */
bool follow_deliver(struct store_follow *f, bool whole);

/* check.c */

/* Of a value, for anchors. */
uint64_t store_value_hash(const struct store_kv *kv);
/* Asks the watch's endpoint for the anchor as it was at f->at; ends in stream_checked(). */
int check_start(struct store_follow *f);
/* Asks the watch's endpoint whether it is there; ends in stream_alive(). */
int probe_start(struct store_follow *f);

/* stream.c */
/* err NULL: this is the history that we know. */
void stream_checked(struct store_follow *f, const struct err *err);
void stream_alive(struct store_follow *f, const struct err *err);
/* What another follow learnt of the endpoint that both watch at. */
bool stream_shares_endpoint(const struct store_follow *f, const struct store_follow *other);
void stream_reassure(struct store_follow *f);
void stream_doubt(struct store_follow *f);
int stream_start(struct store_follow *f);
void stream_stop(struct store_follow *f);
void stream_silence(struct store_follow *f);
