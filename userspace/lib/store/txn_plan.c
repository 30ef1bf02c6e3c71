// SPDX-License-Identifier: Apache-2.0
#include "lib/store/txn_plan.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>

#define OP_BYTES   48	/* more than protobuf adds to one operation */
#define BASE_BYTES 1024 /* and to a transaction */

struct planner {
	const struct store_cmp *cmps;
	size_t n_cmps, base_bytes;
	struct txn_plan *plan;
	/* the part being filled */
	size_t start, bytes;
};

struct seen {
	const char *key;
	UT_hash_handle hh;
};

static size_t write_bytes(const struct store_write *w)
{
	return strlen(w->key) * (w->kind == STORE_DELETE_PREFIX ? 2 : 1) +
	       (w->value ? strlen(w->value) : 0) + OP_BYTES;
}

static bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_compared(const struct planner *p, const struct store_write *w)
{
	for (size_t i = 0; i < p->n_cmps; i++) {
		if (!strcmp(p->cmps[i].key, w->key))
			return true;
	}
	return false;
}

static const char *covers_compared(const struct planner *p, const struct store_write *w)
{
	if (w->kind != STORE_DELETE_PREFIX)
		return NULL;
	for (size_t i = 0; i < p->n_cmps; i++) {
		if (has_prefix(p->cmps[i].key, w->key))
			return p->cmps[i].key;
	}
	return NULL;
}

/* Keeps the last write to each key, in the order given. Fills from the end, then moves down. */
static int keep_last(const struct store_write *writes, size_t n, struct txn_plan *plan)
{
	struct seen *all = calloc(n ? n : 1, sizeof(*all)), *table = NULL, *s;
	size_t at = n;

	if (!all)
		return -ENOMEM;
	for (size_t i = n; i-- > 0;) {
		if (writes[i].kind != STORE_DELETE_PREFIX) {
			HASH_FIND_STR(table, writes[i].key, s);
			if (s)
				continue;
			s = &all[i];
			s->key = writes[i].key;
			HASH_ADD_KEYPTR(hh, table, s->key, strlen(s->key), s);
		}
		plan->writes[--at] = &writes[i];
	}
	HASH_CLEAR(hh, table);
	free(all);
	plan->n = n - at;
	memmove(plan->writes, plan->writes + at, plan->n * sizeof(*plan->writes));
	return 0;
}

/* etcd refuses a put and a deletion of the same key in one transaction. */
static bool collides(const struct planner *p, size_t i)
{
	const struct store_write *w = p->plan->writes[i], *v;

	for (size_t j = p->start; j < i; j++) {
		v = p->plan->writes[j];
		if (v->kind == STORE_DELETE_PREFIX && w->kind == STORE_PUT &&
		    has_prefix(w->key, v->key))
			return true;
		if (w->kind == STORE_DELETE_PREFIX && v->kind == STORE_PUT &&
		    has_prefix(v->key, w->key))
			return true;
	}
	return false;
}

static void end_part(struct planner *p, size_t at)
{
	p->plan->ends[p->plan->n_parts++] = at;
	p->start = at;
	p->bytes = p->base_bytes;
}

/* Cuts where the next one does not fit; writes from `group` on are kept in one part. */
static int cut(struct planner *p, size_t group, struct err *e)
{
	struct txn_plan *plan = p->plan;
	size_t group_bytes = 0;

	for (size_t i = group; i < plan->n; i++)
		group_bytes += write_bytes(plan->writes[i]);
	plan->n_parts = p->start = 0;
	p->bytes = p->base_bytes;
	for (size_t i = 0; i < plan->n; i++) {
		const struct store_write *w = plan->writes[i];
		size_t n = i == group ? plan->n - group : 1;
		size_t bytes = i == group ? group_bytes : write_bytes(w);

		if (i > p->start && i <= group &&
		    (i - p->start + n > TXN_MAX_OPS || p->bytes + bytes > TXN_MAX_BYTES ||
		     collides(p, i)))
			end_part(p, i);
		if (n > TXN_MAX_OPS || p->base_bytes + bytes > TXN_MAX_BYTES)
			return err_set(e, -E2BIG, "key '%.200s': %zu bytes in one transaction",
				       w->key, bytes);
		p->bytes += write_bytes(w);
	}
	end_part(p, plan->n);
	return 0;
}

/* Moves the writes to compared keys to the end, and returns where they start. */
static size_t compared_last(const struct planner *p, const struct store_write **tmp)
{
	struct txn_plan *plan = p->plan;
	size_t front = 0, back = 0;

	for (size_t i = 0; i < plan->n; i++) {
		if (is_compared(p, plan->writes[i]))
			tmp[back++] = plan->writes[i];
		else
			plan->writes[front++] = plan->writes[i];
	}
	if (back)
		memcpy(plan->writes + front, tmp, back * sizeof(*tmp));
	return front;
}

static int plan_parts(struct planner *p, struct err *e)
{
	_cleanup_(freep) const struct store_write **tmp = NULL;
	struct txn_plan *plan = p->plan;
	int err = cut(p, plan->n, e);

	if (err < 0 || plan->n_parts == 1)
		return err;
	for (size_t i = 0; i < plan->n; i++) {
		const char *key = covers_compared(p, plan->writes[i]);

		if (key)
			return err_set(e, -EINVAL,
				       "deleting '%.100s' in several transactions would delete "
				       "the compared key '%.200s'",
				       plan->writes[i]->key, key);
	}
	tmp = calloc(plan->n, sizeof(*tmp));
	if (!tmp)
		return err_set(e, -ENOMEM, "out of memory");
	return cut(p, compared_last(p, tmp), e);
}

int txn_plan_new(const struct store_cmp *cmps, size_t n_cmps, const struct store_write *writes,
		 size_t n_writes, struct txn_plan *ret, struct err *e)
{
	_cleanup_(txn_plan_clear) struct txn_plan plan = {};
	struct planner p = { .cmps = cmps, .n_cmps = n_cmps, .plan = &plan };
	int err;

	p.base_bytes = BASE_BYTES;
	for (size_t i = 0; i < n_cmps; i++) {
		p.base_bytes += 2 * (strlen(cmps[i].key) + OP_BYTES);
		if (cmps[i].kind == STORE_CMP_VALUE)
			p.base_bytes += strlen(cmps[i].value);
	}
	if (n_cmps > TXN_MAX_OPS || p.base_bytes > TXN_MAX_BYTES)
		return err_set(e, -E2BIG, "%zu comparisons of %zu bytes are too much", n_cmps,
			       p.base_bytes);
	plan.writes = calloc(n_writes + 1, sizeof(*plan.writes));
	plan.ends = calloc(n_writes + 1, sizeof(*plan.ends));
	if (!plan.writes || !plan.ends || keep_last(writes, n_writes, &plan) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	err = plan_parts(&p, e);
	if (err < 0)
		return err;
	*ret = plan;
	plan = (struct txn_plan){};
	return 0;
}

void txn_plan_clear(struct txn_plan *p)
{
	free(p->writes);
	free(p->ends);
	*p = (struct txn_plan){};
}
