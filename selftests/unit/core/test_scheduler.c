// SPDX-License-Identifier: Apache-2.0
/*
 * The scheduler on a made-up world. Items are written as "a/1=5<b/2": key, value, dependency. Each
 * operation that the scheduler does is noted: "+a/1=5" created, "~a/1=6" updated, "-a/1" deleted,
 * the same behind "!" when it was told to fail.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/sched_observe.h"
#include "agent/core/scheduler.h"

#define MAX_THINGS 16
#define RECREATE   100 /* values from here on can't be updated into */

struct thing {
	char key[16];
	int n;
	char dep[16];
};

static struct world {
	struct thing things[MAX_THINGS];
	size_t n;
	char log[1024];
	char fail[32]; /* "+a/1": this operation fails … */
	int fail_times;
	bool dump_fails;
} world;

static struct thing *find_thing(const char *key)
{
	for (size_t i = 0; i < world.n; i++)
		if (strcmp(world.things[i].key, key) == 0)
			return &world.things[i];
	return NULL;
}

static void put_thing(const struct thing *t)
{
	struct thing *at = find_thing(t->key);

	if (!at)
		at = &world.things[world.n++];
	assert_true(world.n <= MAX_THINGS);
	*at = *t;
}

static void drop_thing(const char *key)
{
	struct thing *at = find_thing(key);

	if (at)
		*at = world.things[--world.n];
}

static int note(const char *op, const char *kind, const char *name, const struct thing *t)
{
	size_t used = strlen(world.log);
	char what[64];
	bool fails;

	snprintf(what, sizeof(what), "%s%s/%s", op, kind, name);
	fails = world.fail_times > 0 && strcmp(what, world.fail) == 0;
	used += snprintf(world.log + used, sizeof(world.log) - used, "%s%s%s", used ? " " : "",
			 fails ? "!" : "", what);
	if (*op != '-')
		snprintf(world.log + used, sizeof(world.log) - used, "=%d", t->n);
	world.fail_times -= fails;
	return fails ? -EIO : 0;
}

static int thing_create(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct thing *t = value;
	int err = note("+", ctx, name, t);

	if (err < 0)
		return err_set(e, err, "told to fail");
	assert_null(find_thing(t->key));
	put_thing(t);
	return 0;
}

static int thing_update(void *ctx, const char *name, const void *old_value, const void *new_value,
			struct err *e)
{
	const struct thing *t = new_value;
	int err;

	if (t->n >= RECREATE)
		return -EOPNOTSUPP;
	err = note("~", ctx, name, t);
	if (err < 0)
		return err_set(e, err, "told to fail");
	assert_non_null(find_thing(t->key));
	put_thing(t);
	return 0;
}

static int thing_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	char key[32];
	int err = note("-", ctx, name, value);

	if (err < 0)
		return err_set(e, err, "told to fail");
	snprintf(key, sizeof(key), "%s/%s", (const char *)ctx, name);
	drop_thing(key);
	return 0;
}

static int thing_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	size_t len = strlen(ctx);

	if (world.dump_fails)
		return err_set(e, -EIO, "told to fail");
	for (size_t i = 0; i < world.n; i++) {
		struct thing *copy;

		if (strncmp(world.things[i].key, ctx, len) != 0)
			continue;
		copy = malloc(sizeof(*copy));
		*copy = world.things[i];
		assert_int_equal(dump_add(ret, copy->key + len + 1, copy), 0);
	}
	return 0;
}

static void thing_depends(void *ctx, const char *name, const void *value, struct dep_list *ret)
{
	const struct thing *t = value;

	if (t->dep[0])
		dep_add(ret, "%s", t->dep);
}

static bool thing_equal(const void *a, const void *b)
{
	const struct thing *x = a, *y = b;

	return x->n == y->n;
}

#define KIND(name_, order_, dump_)                                               \
	{                                                                        \
		.name = (name_), .order = (order_), .create = thing_create,      \
		.update = thing_update, .delete = thing_delete, .dump = (dump_), \
		.depends = thing_depends, .equal = thing_equal, .free = free     \
	}
static const struct descriptor kinds[] = {
	KIND("c", 30, thing_dump), KIND("a", 10, thing_dump), KIND("b", 20, thing_dump),
	KIND("n", 40, NULL), /* can't be dumped */
};

/* ---- scripts ---- */

enum what { END, COMMIT, REVERTING, RESYNC, PARTIAL, VERIFY, RETRY, FAIL, OUTSIDE, DUMP_FAILS };

struct step {
	enum what what;
	const char *arg;   /* items, or for FAIL the operation and how often */
	const char *log;   /* what the scheduler did */
	int err;	   /* of the commit */
	const char *items; /* if not NULL: all items with their states, after the step */
};

#define DO(what_, arg_, log_, err_, items_)                                           \
	{                                                                             \
		.what = what_, .arg = arg_, .log = log_, .err = err_, .items = items_ \
	}
#define SET(what_, arg_)                   \
	{                                  \
		.what = what_, .arg = arg_ \
	}

static struct thing parse_thing(const char *text)
{
	struct thing t = {};
	size_t key = strcspn(text, "=");

	memcpy(t.key, text, key);
	if (text[key]) {
		t.n = strtol(text + key + 1, NULL, 10);
		text = strchr(text, '<');
		if (text)
			snprintf(t.dep, sizeof(t.dep), "%s", text + 1);
	}
	return t;
}

static void each_word(const char *text, void (*fn)(const char *word, void *arg), void *arg)
{
	char copy[256], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", text ? text : "");
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		fn(w, arg);
}

static void add_to_txn(const char *word, void *arg)
{
	struct thing *t;

	if (*word == '-') {
		assert_int_equal(txn_delete(arg, "%s", word + 1), 0);
		return;
	}
	t = malloc(sizeof(*t));
	*t = parse_thing(word);
	assert_int_equal(txn_put(arg, t, "%s", t->key), 0);
}

static void change_world(const char *word, void *arg)
{
	struct thing t = parse_thing(word);

	if (*word == '-')
		drop_thing(word + 1);
	else
		put_thing(&t);
}

static int show_item(const struct item_view *item, void *arg)
{
	char *text = arg;
	size_t used = strlen(text);

	snprintf(text + used, 512 - used, "%s%s %s", used ? ", " : "", item->key,
		 item_state_name(item->state));
	if (item->state == ITEM_PENDING)
		assert_non_null(item->waits_for);
	if (item->state == ITEM_FAILED)
		assert_non_null(item->error);
	return 0;
}

static int run_txn(struct scheduler *s, const struct step *step, struct err *e)
{
	struct txn_stats stats;
	struct txn *t;
	int err;

	assert_int_equal(txn_new(s, &t), 0);
	each_word(step->arg, add_to_txn, t);
	if (step->what == PARTIAL)
		txn_mark_partial(t);
	if (step->what == RESYNC || step->what == PARTIAL)
		err = scheduler_resync(s, t, &stats, e);
	else
		err = scheduler_commit(
			s, t, step->what == REVERTING ? TXN_REVERT_ON_FAILURE : TXN_BEST_EFFORT,
			&stats, e);
	txn_free(t);
	return err;
}

static void on_retried(const struct txn_stats *stats, void *arg)
{
	*(bool *)arg = true;
}

static void retry(struct event_base *base, struct scheduler *s)
{
	static const struct sched_observer o = { .on_retry_end = on_retried };
	bool done = false;

	scheduler_observe(s, &o, &done);
	while (!done)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	scheduler_observe(s, NULL, NULL);
}

static void run_step(struct event_base *base, struct scheduler *s, const char *name,
		     const struct step *step, size_t i)
{
	struct txn_stats totals;
	char items[512] = "";
	struct err e = {};
	int err = 0;

	world.log[0] = 0;
	switch (step->what) {
	case VERIFY:
		err = scheduler_verify(s, NULL, &e);
		break;
	case RETRY:
		retry(base, s);
		break;
	case FAIL:
		assert_int_equal(sscanf(step->arg, "%31s %d", world.fail, &world.fail_times), 2);
		return;
	case DUMP_FAILS:
		world.dump_fails = *step->arg == '1';
		return;
	case OUTSIDE:
		each_word(step->arg, change_world, NULL);
		return;
	default:
		err = run_txn(s, step, &e);
	}
	if (err != step->err || strcmp(world.log, step->log) != 0)
		fail_msg("%s, step %zu: returned %d (%s), did '%s', not %d, '%s'", name, i, err,
			 e.msg, world.log, step->err, step->log);
	/* A timer without anything to retry would turn the loop for ever. */
	scheduler_totals(s, &totals);
	if (!totals.failed && event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED))
		fail_msg("%s, step %zu: a retry is due, and nothing has failed", name, i);
	scheduler_foreach(s, "", show_item, items);
	if (step->items && strcmp(items, step->items) != 0)
		fail_msg("%s, step %zu: items are '%s', not '%s'", name, i, items, step->items);
}

static const struct {
	const char *name;
	struct step steps[10];
} cases[] = {
	{ "items are created in the order of their descriptors",
	  { DO(COMMIT, "c/1=1 a/1=1 b/1=1", "+a/1=1 +b/1=1 +c/1=1", 0,
	       "a/1 applied, b/1 applied, c/1 applied"),
	    DO(COMMIT, "-a/1 -c/1 -b/1", "-c/1 -b/1 -a/1", 0, "") } },
	{ "a dependency goes before the order",
	  { DO(COMMIT, "a/1=1<c/1 c/1=1", "+c/1=1 +a/1=1", 0, NULL),
	    DO(COMMIT, "-c/1 -a/1", "-a/1 -c/1", 0, "") } },
	{ "an item waits for its dependency, also in a later transaction",
	  { DO(COMMIT, "b/1=1<a/1", "", 0, "b/1 pending"),
	    DO(COMMIT, "a/1=1", "+a/1=1 +b/1=1", 0, "a/1 applied, b/1 applied"),
	    DO(COMMIT, "-a/1", "-b/1 -a/1", 0, "b/1 pending"),
	    DO(COMMIT, "a/1=2", "+a/1=2 +b/1=1", 0, "a/1 applied, b/1 applied") } },
	{ "a chain of dependencies leaves from its end",
	  { DO(COMMIT, "a/1=1<b/1 b/1=1<c/1 c/1=1", "+c/1=1 +b/1=1 +a/1=1", 0, NULL),
	    DO(COMMIT, "-c/1", "-a/1 -b/1 -c/1", 0, "a/1 pending, b/1 pending") } },
	{ "a waiting item can be given up",
	  { DO(COMMIT, "b/1=1<a/1", "", 0, "b/1 pending"), DO(COMMIT, "-b/1", "", 0, "") } },
	{ "items that wait for each other wait",
	  { DO(COMMIT, "a/1=1<b/1 b/1=1<a/1", "", 0, "a/1 pending, b/1 pending"),
	    DO(COMMIT, "b/1=1", "+b/1=1 +a/1=1", 0, "a/1 applied, b/1 applied") } },
	{ "a change updates in place, no change does nothing",
	  { DO(COMMIT, "a/1=1", "+a/1=1", 0, NULL), DO(COMMIT, "a/1=2", "~a/1=2", 0, NULL),
	    DO(COMMIT, "a/1=2", "", 0, NULL), DO(COMMIT, "a/1=3 a/1=4", "~a/1=4", 0, NULL) } },
	{ "what can't be updated is made anew, with what depends on it",
	  { DO(COMMIT, "a/1=1 b/1=1<a/1 c/1=1<b/1", "+a/1=1 +b/1=1 +c/1=1", 0, NULL),
	    DO(COMMIT, "a/1=100", "-c/1 -b/1 -a/1 +a/1=100 +b/1=1 +c/1=1", 0,
	       "a/1 applied, b/1 applied, c/1 applied") } },
	{ "a new dependency that is absent takes the item away",
	  { DO(COMMIT, "b/1=1", "+b/1=1", 0, NULL),
	    DO(COMMIT, "b/1=1<a/1", "-b/1", 0, "b/1 pending"),
	    DO(COMMIT, "b/1=1", "+b/1=1", 0, "b/1 applied") } },
	{ "a failed create is retried, then what waits for it comes",
	  { SET(FAIL, "+a/1 2"),
	    DO(COMMIT, "a/1=1 b/1=1<a/1 c/1=1", "!+a/1=1 +c/1=1", -EIO,
	       "a/1 failed, b/1 pending, c/1 applied"),
	    DO(RETRY, NULL, "!+a/1=1", 0, "a/1 failed, b/1 pending, c/1 applied"),
	    DO(RETRY, NULL, "+a/1=1 +b/1=1", 0, "a/1 applied, b/1 applied, c/1 applied") } },
	{ "a failed update and a failed delete are retried",
	  { DO(COMMIT, "a/1=1 b/1=1", "+a/1=1 +b/1=1", 0, NULL), SET(FAIL, "~a/1 1"),
	    DO(COMMIT, "a/1=2", "!~a/1=2", -EIO, "a/1 failed, b/1 applied"),
	    DO(RETRY, NULL, "~a/1=2", 0, "a/1 applied, b/1 applied"), SET(FAIL, "-b/1 1"),
	    DO(COMMIT, "-b/1", "!-b/1", -EIO, "a/1 applied, b/1 deleting"),
	    DO(RETRY, NULL, "-b/1", 0, "a/1 applied") } },
	{ "what depends on something and can't go keeps it",
	  { DO(COMMIT, "a/1=1 b/1=1<a/1", "+a/1=1 +b/1=1", 0, NULL), SET(FAIL, "-b/1 2"),
	    DO(COMMIT, "-a/1 -b/1", "!-b/1 !-b/1", -EIO, "a/1 deleting, b/1 deleting"),
	    DO(RETRY, NULL, "-b/1 -a/1", 0, "") } },
	{ "a failed item that is desired anew is tried at once",
	  { SET(FAIL, "+a/1 1"), DO(COMMIT, "a/1=1", "!+a/1=1", -EIO, "a/1 failed"),
	    DO(COMMIT, "a/1=2", "+a/1=2", 0, "a/1 applied") } },
	{ "a failed item that nobody wants any more is forgotten",
	  { SET(FAIL, "+a/1 1"), DO(COMMIT, "a/1=1", "!+a/1=1", -EIO, NULL),
	    DO(COMMIT, "-a/1", "", 0, "") } },
	{ "a failed transaction is taken back in reverse order",
	  { SET(FAIL, "+c/1 1"),
	    DO(REVERTING, "a/1=1 b/1=1 c/1=1", "+a/1=1 +b/1=1 !+c/1=1 -b/1 -a/1", -EIO, ""),
	    DO(REVERTING, "a/1=1 b/1=1 c/1=1", "+a/1=1 +b/1=1 +c/1=1", 0, NULL) } },
	{ "taking back restores what was updated and deleted",
	  { DO(COMMIT, "a/1=1 b/1=1 c/2=1<b/1", "+a/1=1 +b/1=1 +c/2=1", 0, NULL),
	    SET(FAIL, "+c/1 1"),
	    DO(REVERTING, "a/1=2 -b/1 c/1=1", "-c/2 -b/1 ~a/1=2 !+c/1=1 ~a/1=1 +b/1=1 +c/2=1", -EIO,
	       "a/1 applied, b/1 applied, c/2 applied") } },
	{ "taking back makes anew what can't be updated back",
	  { DO(COMMIT, "a/1=100", "+a/1=100", 0, NULL), SET(FAIL, "+c/1 1"),
	    DO(REVERTING, "a/1=1 c/1=1", "~a/1=1 !+c/1=1 -a/1 +a/1=100", -EIO, "a/1 applied") } },
	{ "what can't be taken back is retried",
	  { DO(COMMIT, "a/1=1", "+a/1=1", 0, NULL), SET(FAIL, "+a/1 1"),
	    /* The create of c/1 fails because of its dependency, so only the undo meets the fault.
	     */
	    DO(REVERTING, "-a/1 c/1=1<b/9", "-a/1 !+a/1=1", -EAGAIN, "a/1 failed"),
	    DO(RETRY, NULL, "+a/1=1", 0, "a/1 applied") } },
	{ "all or nothing does not wait",
	  { DO(REVERTING, "a/1=1 b/1=1<c/9", "+a/1=1 -a/1", -EAGAIN, "") } },
	{ "a resync adopts what is right and touches what differs",
	  { SET(OUTSIDE, "a/1=1 b/1=2 c/2=1"),
	    DO(RESYNC, "a/1=1 b/1=3 c/1=1", "-c/2 ~b/1=3 +c/1=1", 0,
	       "a/1 applied, b/1 applied, c/1 applied"),
	    DO(RESYNC, "a/1=1 b/1=3 c/1=1", "", 0, NULL),
	    DO(RESYNC, "a/1=1", "-c/1 -b/1", 0, "a/1 applied") } },
	{ "a resync puts back what somebody took away",
	  { DO(COMMIT, "a/1=1 b/1=1<a/1", "+a/1=1 +b/1=1", 0, NULL), SET(OUTSIDE, "-a/1 -b/1"),
	    DO(RESYNC, "a/1=1 b/1=1<a/1", "+a/1=1 +b/1=1", 0, NULL) } },
	{ "an adopted item stays while its dependency is made",
	  { SET(OUTSIDE, "b/1=1"),
	    DO(RESYNC, "b/1=1<n/1 n/1=1", "+n/1=1", 0, "b/1 applied, n/1 applied") } },
	{ "an adopted item goes when its dependency does not come",
	  { SET(OUTSIDE, "b/1=1"), DO(RESYNC, "b/1=1<n/1", "-b/1", 0, "b/1 pending") } },
	{ "a partial resync deletes nothing",
	  { DO(COMMIT, "a/1=1 b/1=1", "+a/1=1 +b/1=1", 0, NULL), SET(OUTSIDE, "c/7=7"),
	    DO(PARTIAL, "a/1=2", "~a/1=2", 0, "a/1 applied, b/1 applied, c/7 deleting"),
	    DO(RESYNC, "a/1=2 b/1=1", "-c/7", 0, "a/1 applied, b/1 applied") } },
	{ "a dump that fails deletes nothing and is an error",
	  { DO(COMMIT, "a/1=1 b/1=1", "+a/1=1 +b/1=1", 0, NULL), SET(DUMP_FAILS, "1"),
	    DO(RESYNC, "a/1=2", "~a/1=2", -EIO, "a/1 applied, b/1 applied"), SET(DUMP_FAILS, "0"),
	    DO(RESYNC, "a/1=2", "-b/1", 0, "a/1 applied") } },
	{ "verifying mends what is desired without asking anybody",
	  { DO(COMMIT, "a/1=1 b/1=1<a/1", "+a/1=1 +b/1=1", 0, NULL),
	    SET(OUTSIDE, "-b/1 a/1=5 c/1=1"),
	    DO(VERIFY, NULL, "-c/1 ~a/1=1 +b/1=1", 0, "a/1 applied, b/1 applied"),
	    DO(VERIFY, NULL, "", 0, NULL) } },
	{ "what could not be deleted and has gone by itself is not tried again",
	  { DO(COMMIT, "a/1=1", "+a/1=1", 0, NULL), SET(FAIL, "-a/1 1"),
	    DO(COMMIT, "-a/1 b/1=1<a/1", "!-a/1 +b/1=1", -EIO, "a/1 deleting, b/1 applied"),
	    SET(OUTSIDE, "-a/1"), DO(VERIFY, NULL, "-b/1", 0, "b/1 pending") } },
};

static void runs_scripts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct event_base *base = event_base_new();
		struct scheduler *s;

		world = (struct world){};
		assert_int_equal(scheduler_new(base, &s), 0);
		scheduler_set_retry(s, 1, 4);
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			assert_int_equal(scheduler_register(s, &kinds[k], (void *)kinds[k].name),
					 0);
		for (size_t j = 0; cases[i].steps[j].what != END; j++)
			run_step(base, s, cases[i].name, &cases[i].steps[j], j);
		scheduler_free(s);
		event_base_free(base);
	}
}

static void refuses_what_it_does_not_know(void **state)
{
	struct event_base *base = event_base_new();
	struct descriptor bad = kinds[0];
	struct scheduler *s;
	struct txn *t;

	assert_int_equal(scheduler_new(base, &s), 0);
	assert_int_equal(scheduler_register(s, &kinds[0], NULL), 0);
	assert_int_equal(scheduler_register(s, &kinds[0], NULL), -EEXIST);
	bad.name = "x/y";
	assert_int_equal(scheduler_register(s, &bad, NULL), -EINVAL);
	assert_int_equal(txn_new(s, &t), 0);
	assert_int_equal(txn_put(t, NULL, "unknown/1"), -ENOENT);
	assert_int_equal(txn_delete(t, "unknown/1"), -ENOENT);
	assert_int_equal(txn_delete(t, "no-slash"), -ENOENT);
	assert_int_equal(txn_size(t), 0);
	txn_free(t);
	scheduler_free(s);
	event_base_free(base);
}

static void freeing_leaves_the_world_as_it_is(void **state)
{
	const struct step step = SET(COMMIT, "a/1=1 b/1=1<a/1 c/1=1<b/9");
	struct event_base *base = event_base_new();
	struct scheduler *s;

	world = (struct world){};
	assert_int_equal(scheduler_new(base, &s), 0);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		scheduler_register(s, &kinds[k], (void *)kinds[k].name);
	assert_int_equal(run_txn(s, &step, NULL), 0);
	assert_int_equal(((const struct thing *)scheduler_applied(s, "a/%d", 1))->n, 1);
	assert_null(scheduler_applied(s, "c/1"));
	scheduler_free(s);
	assert_int_equal(world.n, 2);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_scripts),
		cmocka_unit_test(refuses_what_it_does_not_know),
		cmocka_unit_test(freeing_leaves_the_world_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
