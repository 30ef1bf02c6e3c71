// SPDX-License-Identifier: Apache-2.0
#include "ksr/fence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"

struct fence {
	struct store *store;
	struct store_op *op;
	char *identity;
	uint64_t instance;
	struct fence_value value, next;
	fence_fn fn;
	void *arg;
};

int fence_new(struct store *s, const char *identity, struct fence **ret)
{
	struct fence *f = calloc(1, sizeof(*f));

	if (!f || !(f->identity = strdup(identity))) {
		free(f);
		return -ENOMEM;
	}
	f->store = s;
	if (getrandom(&f->instance, sizeof(f->instance), GRND_NONBLOCK) != sizeof(f->instance))
		f->instance = clock_ns() ^ ((uint64_t)getpid() << 32);
	*ret = f;
	return 0;
}

void fence_free(struct fence *f)
{
	if (!f)
		return;
	store_op_cancel(f->op);
	free(f->identity);
	free(f);
}

void fence_cancel(struct fence *f)
{
	store_op_cancel(TAKE_PTR(f->op));
}

const struct fence_value *fence_get(const struct fence *f)
{
	return &f->value;
}

void fence_parse(const char *text, char holder[static 256], int64_t *ret_epoch)
{
	const char *name = "";
	_json_ *obj = NULL;

	*holder = 0;
	*ret_epoch = 0;
	if (!text || json_parse(text, strlen(text), &obj, NULL) < 0)
		return;
	json_opt_str(obj, "holder", &name, NULL);
	snprintf(holder, 256, "%s", name);
	json_opt_int(obj, "epoch", 0, INT64_MAX - 1, ret_epoch, NULL);
}

static void done(struct fence *f, int code, const char *error)
{
	struct err e = {};

	if (code)
		err_set(&e, code, "taking " KEY_KSR_LEADER ": %s", error);
	f->fn(&f->value, &e, f->arg);
}

static void on_written(const struct store_txn_result *res, void *arg)
{
	struct fence *f = arg;

	f->op = NULL;
	if (res->err) {
		done(f, res->err, res->error);
		return;
	}
	if (!res->succeeded) {
		/* Another was faster, or our own write that timed out; look again. */
		fence_take(f, f->fn, f->arg);
		return;
	}
	f->value = f->next;
	f->value.revision = res->revision;
	done(f, 0, NULL);
}

static int build(struct fence *f, int64_t epoch)
{
	_json_ *obj = json_object_new_object();
	char instance[20];
	const char *text;
	int err = obj ? 0 : -ENOMEM;

	snprintf(instance, sizeof(instance), "%016llx", (unsigned long long)f->instance);
	err = err ?: json_add_str(obj, "holder", f->identity);
	err = err ?: json_add_int(obj, "epoch", epoch);
	err = err ?: json_add_str(obj, "instance", instance);
	text = err ? NULL : json_text(obj);
	if (!text || strlen(text) >= sizeof(f->next.text))
		return text ? -E2BIG : -ENOMEM;
	snprintf(f->next.text, sizeof(f->next.text), "%s", text);
	f->next.epoch = epoch;
	return 0;
}

static void on_read(const struct store_range_result *res, void *arg)
{
	struct fence *f = arg;
	struct store_write put = { .kind = STORE_PUT, .key = KEY_KSR_LEADER };
	struct store_cmp cmp = { .kind = STORE_CMP_ABSENT, .key = KEY_KSR_LEADER };
	int64_t epoch = 0;
	char holder[256];
	int err;

	f->op = NULL;
	if (res->err) {
		done(f, res->err, res->error);
		return;
	}
	if (res->n) {
		cmp.kind = STORE_CMP_MOD_REVISION;
		cmp.number = res->kvs[0].mod_revision;
		fence_parse(res->kvs[0].value, holder, &epoch);
	}
	err = build(f, MAX(epoch, f->value.epoch) + 1);
	put.value = f->next.text;
	if (!err)
		err = store_txn(f->store, &cmp, 1, &put, 1, on_written, f, &f->op);
	if (err < 0)
		done(f, err, strerror(-err));
}

void fence_take(struct fence *f, fence_fn fn, void *arg)
{
	int err;

	store_op_cancel(TAKE_PTR(f->op));
	f->fn = fn;
	f->arg = arg;
	err = store_range(f->store, KEY_KSR_LEADER, false, on_read, f, &f->op);
	if (err < 0)
		done(f, err, strerror(-err));
}
