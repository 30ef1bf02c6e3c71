/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * etcd's messages as its JSON gateway writes them (protobuf's JSON mapping): bytes are base64,
 * 64-bit integers are strings, and fields that are zero or empty are left out. Reading accepts
 * integers in both forms. No I/O; everything read is judged as hostile. Private to lib/store.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "lib/store/store.h"

/* ---- keys and values that are kept ---- */

/* Bytes kept by one store, and the most that it may keep. */
struct store_budget {
	size_t used, max;
};

struct kv_list {
	struct store_kv *v;
	size_t n, cap, bytes;
	struct store_budget *budget;
};
/* -E2BIG when the budget is used up. Copies. */
int kv_list_add(struct kv_list *l, const struct store_kv *kv);
/* Drops the first n. */
void kv_list_shift(struct kv_list *l, size_t n);
void kv_list_clear(struct kv_list *l);
/* Gives back what it took of the budget, and leaves the budget. */
void kv_list_unbudget(struct kv_list *l);

/* Decodes a KeyValue message and adds it; -EPROTO names the field. `deleted`: value stays NULL. */
int kv_list_add_json(struct kv_list *l, struct json_object *kv, bool deleted, struct err *e);

/* ---- reading ---- */

struct store_header {
	uint64_t cluster_id;
	int64_t revision;
};
/* The "header" field of an answer; -EPROTO when it has no revision. */
int header_decode(struct json_object *answer, struct store_header *ret, struct err *e);

/* int64 as a string or a number; absent = 0. -EPROTO. */
int int64_decode(struct json_object *obj, const char *name, int64_t *ret, struct err *e);
/* Bytes of a base64 text, NUL-terminated, heap. -EPROTO. */
int base64_decode(const char *text, size_t len, char **ret, size_t *ret_len);

/*
 * What a failed call says: {"error","message","code"} up to etcd 3.5, {"code","message"} from 3.6,
 * or the object below "error" in a stream. Fills *e with the errno that store.h lists and etcd's
 * sentence; returns the gRPC code, 2 (UNKNOWN) when there is none.
 */
int error_decode(struct json_object *obj, struct err *e);
/* The errno for a gRPC status and its message. */
int grpc_code_errno(int code, const char *message);

/* ---- writing ---- */

/* "name":"<base64>" */
void put_bytes(FILE *f, const char *name, const void *data, size_t len);
/* The same for a text. */
void put_text(FILE *f, const char *name, const char *text);
/* "key":…,"range_end":… for all keys that start with `prefix`; "" means every key. */
void put_prefix(FILE *f, const char *prefix);
/* Its second half. */
void put_prefix_end(FILE *f, const char *prefix);
/* Closes f; -ENOMEM when any write failed, and then frees *body. */
int put_close(FILE *f, char **body);
