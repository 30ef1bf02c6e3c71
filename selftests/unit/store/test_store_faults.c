// SPDX-License-Identifier: Apache-2.0
/* Answers that a real etcd gives too seldom: a server on the test's own loop gives them. */
#include "selftests/unit/store/fixture.h"

#include <errno.h>

#include "selftests/lib/fakehttp.h"

#define HEADER	   "\"header\":{\"cluster_id\":\"18446744073709551615\",\"revision\":\"7\"}"
#define EMPTY_LIST "{" HEADER "}"
#define ONE_KEY                                                                 \
	"{" HEADER ",\"kvs\":[{\"key\":\"L3QvYQ==\",\"create_revision\":\"5\"," \
	"\"mod_revision\":\"5\",\"version\":\"1\",\"value\":\"MQ==\"}],\"count\":\"1\"}"
#define CREATED "{\"result\":{" HEADER ",\"created\":true}}\n"

#define QUICK_MS 300

struct script {
	const char *range; /* the answer to ranges; NULL: none at all */
	int range_status;  /* 0: 200 */
	const char *txn;
	int txn_status;
	const char *lines[8]; /* of the first watch; later watches get the last set only */
	bool hold;	      /* keep the first watch open after its lines */
	const char *later[8]; /* lines of later watches, which stay open */
	int ranges, txns, watches;
	int probes;	/* of `ranges`, those that only ask whether somebody is there */
	bool all_alike; /* later watches get `lines` too */
	bool frozen;	/* probes get no answer */
	char watch_body[512], watch_head[1024];
	bool cut_txn; /* read it, then close */
};

static struct fake_http *server;
static struct script script;
static struct fake_conn *watching; /* the last watch */

static void serve_watch(struct fake_conn *c, const char *head, const char *body)
{
	const char *const *lines =
		script.watches++ && !script.all_alike ? script.later : script.lines;

	watching = c;
	snprintf(script.watch_body, sizeof(script.watch_body), "%s", body);
	snprintf(script.watch_head, sizeof(script.watch_head), "%s", head);
	if (!lines[0])
		return;
	fake_stream_begin(c);
	for (size_t i = 0; i < 8 && lines[i]; i++)
		fake_stream_text(c, lines[i]);
	if (lines == script.lines && !script.hold)
		fake_stream_end(c);
}

static void serve(struct fake_conn *c, const char *head, const char *body, void *arg)
{
	if (strstr(head, "/v3/kv/range")) {
		bool probe = strstr(body, "count_only") && !strstr(body, "revision");

		script.ranges++;
		script.probes += probe;
		if (script.range && !(probe && script.frozen))
			fake_answer(c, script.range_status ? script.range_status : 200, "",
				    script.range);
	} else if (strstr(head, "/v3/watch")) {
		serve_watch(c, head, body);
	} else if (script.cut_txn) {
		script.txns++;
		fake_close(c);
	} else {
		script.txns++;
		if (script.txn)
			fake_answer(c, script.txn_status ? script.txn_status : 200, "", script.txn);
	}
}

static int before_with(void **state, unsigned int timeout_ms)
{
	base = event_base_new();
	script = (struct script){ .range = EMPTY_LIST };
	server = fake_http_new(base, NULL, serve, NULL);
	if (!server)
		return -1;
	const char *urls[] = { fake_http_url(server), NULL };

	*state =
		connect_with(&(struct store_config){ .endpoints = urls, .timeout_ms = timeout_ms });
	return 0;
}

static int before(void **state)
{
	return before_with(state, 0);
}

/* Where an answer is to stay away; one that is only late would count as that too. */
static int before_quick(void **state)
{
	return before_with(state, QUICK_MS);
}

/* Time for some answers and no more. */
static int before_short(void **state)
{
	return before_with(state, 5 * QUICK_MS);
}

static int after(void **state)
{
	store_free(*state);
	fake_http_free(server);
	event_base_free(base);
	return 0;
}

/* ---- answers ---- */

static void refusals_have_their_errno_and_etcds_words(void **state)
{
	static const struct {
		int status;
		const char *body;
		int err;
		const char *says;
	} cases[] = {
		{ 400, "{\"error\":\"etcdserver: request is too large\",\"code\":3}", -E2BIG,
		  "too large" },
		/* 3.6 has no "error". */
		{ 400, "{\"code\":3,\"message\":\"etcdserver: request is too large\"}", -E2BIG,
		  "too large" },
		{ 400,
		  "{\"code\":3,\"message\":\"etcdserver: duplicate key given in txn request\"}",
		  -EINVAL, "duplicate" },
		{ 429, "{\"code\":8,\"message\":\"etcdserver: mvcc: database space exceeded\"}",
		  -ENOSPC, "space" },
		{ 403, "{\"code\":7,\"message\":\"etcdserver: permission denied\"}", -EACCES,
		  "permission" },
		{ 404, "{\"code\":5,\"message\":\"etcdserver: requested lease not found\"}",
		  -ENOENT, "lease" },
		{ 503, "{\"error\":\"transport is closing\",\"code\":14}", -EAGAIN, "closing" },
		{ 500, "<html>oops</html>", -EPROTO, "500" },
		{ 404, "404 page not found\n", -EPROTO, "404" },
		{ 200, "not JSON", -EPROTO, "not JSON" },
		{ 200, "[]", -EPROTO, "array" },
		{ 200, "{}", -EPROTO, "revision" },
		{ 200, "{\"header\":{\"revision\":\"x\"}}", -EPROTO, "revision" },
		{ 200, "{\"header\":{\"revision\":[]}}", -EPROTO, "revision" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct store_cmp cmp = { STORE_CMP_EXISTS, "/t/a", NULL, 0 };
		struct answer a;

		script.txn = cases[i].body;
		script.txn_status = cases[i].status;
		a = txn(*state, &cmp, 1, NULL, 0);
		assert_int_equal(a.err, cases[i].err);
		if (!strstr(a.error, cases[i].says))
			fail_msg("'%s' does not say '%s'", a.error, cases[i].says);
	}
}

static void malformed_keys_are_refused_by_field(void **state)
{
	static const struct {
		const char *kvs, *says;
	} cases[] = {
		{ "[7]", "kvs[0]: kv" },
		{ "{}", "kvs" },
		{ "[{\"mod_revision\":\"5\"}]", "key" },
		{ "[{\"key\":\"L3Q=\"}]", "mod_revision" },
		{ "[{\"key\":7,\"mod_revision\":\"5\"}]", "key" },
		{ "[{\"key\":\"L3Q\",\"mod_revision\":\"5\"}]", "key: not base64" },
		{ "[{\"key\":\"L=Q=\",\"mod_revision\":\"5\"}]", "key: not base64" },
		{ "[{\"key\":\"****\",\"mod_revision\":\"5\"}]", "key: not base64" },
		{ "[{\"key\":\"L3Q=\",\"mod_revision\":\"99999999999999999999\"}]",
		  "mod_revision" },
		{ "[{\"key\":\"L3Q=\",\"mod_revision\":\"5\",\"value\":{}}]", "value" },
		{ "[{\"key\":\"L3Q=\",\"mod_revision\":\"5\",\"lease\":\"0x1\"}]", "lease" },
	};
	char body[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a;

		snprintf(body, sizeof(body), "{" HEADER ",\"kvs\":%s}", cases[i].kvs);
		script.range = body;
		a = get(*state, "/t/", true);
		assert_int_equal(a.err, -EPROTO);
		if (!strstr(a.error, cases[i].says))
			fail_msg("'%s' does not say '%s'", a.error, cases[i].says);
	}
}

static void reads_are_repeated_and_guarded_writes_are_not(void **state)
{
	const struct store_cmp guard = { STORE_CMP_ABSENT, "/t/a", NULL, 0 };

	script.range = "{\"error\":\"etcdserver: leader changed\",\"code\":14}";
	script.range_status = 503;
	script.cut_txn = true;
	assert_int_equal(txn(*state, &guard, 1, NULL, 0).err, -EAGAIN);
	assert_int_equal(script.txns, 1);
	/* Where the machine stands still the time is over before a second try, but not each time.
	 */
	for (int i = 0; i < 5 && script.ranges <= 1; i++) {
		script.ranges = 0;
		assert_int_equal(get(*state, "/t/", true).err, -EAGAIN);
	}
	assert_true(script.ranges > 1);
	script.txns = 0;
	for (int i = 0; i < 5 && script.txns <= 1; i++) {
		script.txns = 0;
		assert_int_equal(put(*state, "/t/a", "1").err, -EAGAIN);
	}
	assert_true(script.txns > 1);
}

static void an_endpoint_that_never_answers_ends_in_time(void **state)
{
	struct answer a;

	script.range = NULL;
	a = get(*state, "/t/", true);
	assert_int_equal(a.err, -EAGAIN);
	assert_false(store_connected(*state));
}

static void more_without_keys_does_not_ask_for_ever(void **state)
{
	script.range = "{" HEADER ",\"more\":true}";
	assert_int_equal(get(*state, "/t/", true).err, 0);
	assert_int_equal(script.ranges, 1);
}

/* ---- watches ---- */

#define EVENT(key, rev) \
	"{\"kv\":{\"key\":\"" key "\",\"mod_revision\":\"" rev "\",\"value\":\"MQ==\"}}"
#define EVENTS_REV(rev) \
	"\"header\":{\"cluster_id\":\"18446744073709551615\",\"revision\":\"" rev "\"}"

static void a_watch_asks_for_what_it_needs(void **state)
{
	struct followed r;

	script.range = ONE_KEY;
	script.lines[0] = CREATED;
	script.hold = true;
	follow(*state, "/t/", &r);
	wait_for(&script.watches, 1);
	assert_non_null(strstr(script.watch_body, "\"start_revision\":\"8\""));
	assert_non_null(strstr(script.watch_body, "\"progress_notify\":true"));
	assert_non_null(strstr(script.watch_body, "\"fragment\":true"));
	assert_non_null(strstr(script.watch_body, "\"key\":\"L3Qv\",\"range_end\":\"L3Qw\""));
	assert_non_null(strstr(script.watch_head, "Grpc-Metadata-hasleader: true"));
	store_follow_free(r.f);
}

static void server_loss_in_band_is_resumed(void **state)
{
	struct followed r;

	script.range = ONE_KEY;
	script.lines[0] = CREATED;
	script.lines[1] =
		"{\"result\":{" EVENTS_REV("8") ",\"events\":[" EVENT("L3QvYg==", "8") "]}}\n";
	script.lines[2] = "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"transport "
			  "is closing\",\"http_status\":\"Service Unavailable\"}}\n";
	script.later[0] = CREATED;
	script.later[1] =
		"{\"result\":{" EVENTS_REV("9") ",\"events\":[" EVENT("L3QvYw==", "9") "]}}\n";
	follow(*state, "/t/", &r);
	wait_for(&r.breaks, 1);
	assert_int_equal(r.break_err, -EAGAIN);
	/* The second watch is not checked by this server's one answer: it knows only /t/a. */
	wait_for(&script.watches, 2);
	assert_true(r.in_order);
	store_follow_free(r.f);
}

static void a_cancelled_watch_lists_again(void **state)
{
	static const char *const cancels[] = {
		"{\"result\":{" HEADER ",\"canceled\":true,\"compact_revision\":\"20\"}}\n",
		"{\"error\":{\"code\":11,\"message\":\"etcdserver: mvcc: required revision has "
		"been "
		"compacted\"}}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cancels); i++) {
		struct followed r;

		script = (struct script){ .range = ONE_KEY };
		script.lines[0] = CREATED;
		script.lines[1] = cancels[i];
		script.later[0] = CREATED;
		follow(*state, "/t/", &r);
		wait_for(&r.syncs, 2);
		assert_int_equal(r.break_err, -ESTALE);
		store_follow_free(r.f);
	}
}

static void nonsense_in_a_watch_lists_again(void **state)
{
	static const char *const bad[] = {
		"nonsense\n",
		"{\"neither\":1}\n",
		"{\"result\":{" HEADER ",\"events\":[{\"type\":\"MOVE\"}]}}\n",
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"L3QvYg==\"}}]}}\n",
		"{\"result\":{" HEADER ",\"events\":7}}\n",
		"{\"result\":{\"events\":[]}}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct followed r;

		script = (struct script){ .range = ONE_KEY };
		script.lines[0] = CREATED;
		script.lines[1] = bad[i];
		script.later[0] = CREATED;
		follow(*state, "/t/", &r);
		wait_for(&r.syncs, 2);
		assert_int_equal(r.events, 0);
		store_follow_free(r.f);
	}
}

static void fragments_of_one_revision_come_in_one_call(void **state)
{
	struct followed r;

	script.range = ONE_KEY;
	script.hold = true;
	script.lines[0] = CREATED;
	script.lines[1] = "{\"result\":{" EVENTS_REV("9") ",\"fragment\":true,\"events\":[" EVENT(
		"L3QvYg==", "8") "," EVENT("L3QvYg==", "9") "]}}\n";
	script.lines[2] = "{\"result\":{" EVENTS_REV("9") ",\"fragment\":true,\"events\":[" EVENT(
		"L3QvYw==", "9") "]}}\n";
	script.lines[3] =
		"{\"result\":{" EVENTS_REV("9") ",\"events\":[" EVENT("L3QvZA==", "9") "]}}\n";
	follow(*state, "/t/", &r);
	wait_for(&r.changes, 2);
	assert_int_equal(r.events, 4);
	assert_true(r.in_order);
	store_follow_free(r.f);
}

static void progress_moves_the_place_to_resume(void **state)
{
	struct followed r;

	script.range = ONE_KEY;
	script.hold = true;
	script.lines[0] = CREATED;
	script.lines[1] =
		"{\"result\":{" EVENTS_REV("8") ",\"events\":[" EVENT("L3QvYg==", "8") "]}}\n";
	script.later[0] = CREATED;
	follow(*state, "/t/", &r);
	wait_for(&r.changes, 1);
	fake_stream_text(watching, "{\"result\":{" EVENTS_REV("50") "}}\n");
	fake_stream_end(watching);
	wait_for(&script.watches, 2);
	assert_non_null(strstr(script.watch_body, "\"start_revision\":\"51\""));
	store_follow_free(r.f);
}

static void another_cluster_lists_again(void **state)
{
	struct followed r;

	script.range = ONE_KEY;
	script.hold = true;
	script.lines[0] = "{\"result\":{\"header\":{\"cluster_id\":\"5\",\"revision\":\"900\"},"
			  "\"created\":true}}\n";
	script.later[0] = CREATED;
	follow(*state, "/t/", &r);
	wait_for(&r.syncs, 2);
	assert_int_equal(r.break_err, -ESTALE);
	store_follow_free(r.f);
}

static void a_watch_that_never_begins_is_given_up(void **state)
{
	struct followed r;

	script.range = ONE_KEY; /* and no lines: silence */
	script.later[0] = CREATED;
	follow(*state, "/t/", &r);
	wait_for(&r.breaks, 1);
	wait_for(&script.watches, 2);
	assert_int_equal(r.syncs, 1);
	store_follow_free(r.f);
}

static void one_follow_asks_for_all_whether_the_endpoint_is_there(void **state)
{
	struct followed r[4];
	int before, last, breaks[ARRAY_SIZE(r)];
	uint64_t begin;

	script.range = ONE_KEY;
	script.hold = script.all_alike = true;
	script.lines[0] = CREATED;
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		follow(*state, "/t/", &r[i]);
	wait_for(&script.watches, ARRAY_SIZE(r));
	/* In one phase from the first answer on, each after a silence. */
	wait_for(&script.probes, 1);
	begin = clock_ms();
	before = script.probes;
	wait_for(&script.probes, before + 3);
	assert_in_range(script.probes - before, 3, 1 + (clock_ms() - begin) / (2 * QUICK_MS));

	/* The first one goes: another asks in its place. */
	store_follow_free(r[0].f);
	last = script.probes;
	wait_for(&script.probes, last + 2);

	/* What one of them finds out makes all move on. */
	script.frozen = true;
	before = script.probes;
	for (size_t i = 1; i < ARRAY_SIZE(r); i++)
		breaks[i] = r[i].breaks;
	for (size_t i = 1; i < ARRAY_SIZE(r); i++)
		wait_for(&r[i].breaks, breaks[i] + 1);
	assert_in_range(script.probes - before, 1, 2);
	for (size_t i = 1; i < ARRAY_SIZE(r); i++) {
		assert_int_equal(r[i].break_err, -EAGAIN);
		store_follow_free(r[i].f);
	}
}

#define T(name)	    cmocka_unit_test_setup_teardown(name, before, after)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, before_quick, after)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, before_short, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(refusals_have_their_errno_and_etcds_words),
		T(malformed_keys_are_refused_by_field),
		SHORT(reads_are_repeated_and_guarded_writes_are_not),
		QUICK(an_endpoint_that_never_answers_ends_in_time),
		T(more_without_keys_does_not_ask_for_ever),
		T(a_watch_asks_for_what_it_needs),
		T(server_loss_in_band_is_resumed),
		T(a_cancelled_watch_lists_again),
		T(nonsense_in_a_watch_lists_again),
		T(fragments_of_one_revision_come_in_one_call),
		T(progress_moves_the_place_to_resume),
		T(another_cluster_lists_again),
		QUICK(a_watch_that_never_begins_is_given_up),
		QUICK(one_follow_asks_for_all_whether_the_endpoint_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
