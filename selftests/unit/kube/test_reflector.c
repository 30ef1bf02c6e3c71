// SPDX-License-Identifier: Apache-2.0
/*
 * The reflector against a server that follows a script: each request must hold a text, and is
 * answered with the next step's answer. What the reflector tells is written down as a line:
 * "[" list, "name" item, "]rev" listed, "+name" changed, "-name" deleted, "!" bad, "?" trouble, "0"
 * no such resource.
 */
#include "selftests/unit/kube/fixture.h"

#include <errno.h>

#include "lib/json/json.h"
#include "lib/kube/reflector.h"

#define LIST(rv, more, items)                                             \
	"{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"" rv \
	"\",\"continue\":\"" more "\"},\"items\":[" items "]}"
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"1\"}}"
#define EVENT(type, name, rv)                                               \
	"{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name \
	"\",\"resourceVersion\":\"" rv "\"}}}\n"
#define BOOKMARK(rv)                                                           \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Thing\",\"metadata\":{" \
	"\"resourceVersion\":\"" rv "\"}}}\n"
#define STATUS(code, reason, message)                                        \
	"{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"" message \
	"\",\"reason\":\"" reason "\",\"code\":" #code "}"
#define ERROR_EVENT(code, reason, message) \
	"{\"type\":\"ERROR\",\"object\":" STATUS(code, reason, message) "}\n"

enum end { END_NONE, END_CLEAN, END_CUT };

struct step {
	const char *want;    /* stands in the request's head */
	const char *headers; /* NULL: none */
	int status;	     /* 0: a stream */
	const char *body;    /* or the stream's text */
	enum end end;	     /* of a stream */
	size_t chunk;	     /* cut the stream's text into such pieces; 0: one piece */
	unsigned int ms;     /* for so long the stream was there */
};

#define ANSWER(w, s, b)                           \
	{                                         \
		.want = w, .status = s, .body = b \
	}
#define STREAM(w, b)                 \
	{                            \
		.want = w, .body = b \
	}
#define STREAM_IS_CUT_AFTER(w, ms_)                              \
	{                                                        \
		.want = w, .body = "", .end = END_CUT, .ms = ms_ \
	}
#define STREAM_ENDS(w, b, e)                   \
	{                                      \
		.want = w, .body = b, .end = e \
	}

struct script {
	const struct step *steps;
	size_t n, at;
	char heads[16][512];
	uint64_t times[16];
	const char *wrong;
};

struct record {
	char text[4096];
	const char *want;
};

/* The reflector's clock, not the loop's: stands still where a second would make a difference, and
 * jumps where it takes long. */
static bool time_stands;
static unsigned int skipped_s;

static void stream(struct fake_conn *c, const struct step *s)
{
	size_t len = strlen(s->body), chunk = s->chunk ? s->chunk : len;

	fake_stream_begin(c);
	for (size_t at = 0; at < len; at += chunk)
		fake_stream_chunk(c, s->body + at, MIN(chunk, len - at));
	skipped_s += s->ms / 1000;
	if (s->end == END_CLEAN)
		fake_stream_end(c);
	else if (s->end == END_CUT)
		fake_close(c);
}

static void on_request(struct fake_conn *c, const char *head, const char *body, void *arg)
{
	struct script *sc = arg;
	const struct step *s = &sc->steps[sc->at];

	if (sc->at < ARRAY_SIZE(sc->heads)) {
		snprintf(sc->heads[sc->at], sizeof(sc->heads[0]), "%s", head);
		sc->times[sc->at] = clock_ms();
	}
	if (sc->at >= sc->n) {
		/* Past the script: a watch that stays silent. */
		if (strstr(head, "watch=true"))
			fake_stream_begin(c);
		else
			sc->wrong = "one list too many";
		return;
	}
	sc->at++;
	if (!strstr(head, s->want))
		sc->wrong = s->want;
	if (s->status)
		fake_answer(c, s->status, s->headers ?: "", s->body);
	else
		stream(c, s);
}

/* ---- what is told ---- */

static void put(struct record *r, const char *fmt, ...) _printf_(2, 3);
static void put(struct record *r, const char *fmt, ...)
{
	size_t n = strlen(r->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->text + n, sizeof(r->text) - n, fmt, ap);
	va_end(ap);
}

static const char *name_of(struct json_object *obj)
{
	const char *name = "(none)";

	json_opt_str(obj, "metadata.name", &name, NULL);
	return name;
}

static void on_list(void *arg)
{
	put(arg, "[ ");
}

static void on_item(struct json_object *obj, void *arg)
{
	put(arg, "%s ", name_of(obj));
}

static void on_listed(const char *revision, void *arg)
{
	put(arg, "]%s ", revision);
}

static void on_change(struct json_object *obj, bool deleted, void *arg)
{
	put(arg, "%c%s ", deleted ? '-' : '+', name_of(obj));
}

static void on_bad(const struct err *e, void *arg)
{
	put(arg, "! ");
}

static void on_trouble(const struct err *e, bool missing, void *arg)
{
	put(arg, missing ? "0 " : "? ");
}

static const struct kube_reflector_ops recorder = {
	.on_list = on_list,
	.on_item = on_item,
	.on_listed = on_listed,
	.on_change = on_change,
	.on_bad = on_bad,
	.on_trouble = on_trouble,
};

/* ---- a run ---- */

struct run {
	struct script script;
	struct record record;
};

static bool ended(void *arg)
{
	struct run *r = arg;

	return r->script.wrong ||
	       (r->script.at == r->script.n && strlen(r->record.text) >= strlen(r->record.want));
}

static void play_with(struct run *r, const char *token_file)
{
	static const char *const paths[] = { "/api/v2/things", "/api/v1/things", NULL };
	struct fake_http *server = fake_http_new(base, NULL, on_request, &r->script);
	struct kube *k = client_of(fake_http_url(server), token_file);
	struct kube_reflector *ref;

	assert_int_equal(kube_reflector_new(base, k, paths, &recorder, &r->record, &ref), 0);
	wait_until(ended, r, r->record.want);
	if (r->script.wrong)
		fail_msg("want '%s' in request %zu, after '%s': %s", r->script.wrong, r->script.at,
			 r->record.text, r->script.heads[r->script.at - 1]);
	assert_string_equal(r->record.text, r->record.want);
	kube_reflector_free(ref);
	kube_free(k);
	fake_http_free(server);
}

static void play(const struct step *steps, size_t n, const char *want)
{
	struct run r = { .script = { .steps = steps, .n = n }, .record = { .want = want } };

	play_with(&r, NULL);
}
#define PLAY(want, ...)                                              \
	do {                                                         \
		static const struct step _steps[] = { __VA_ARGS__ }; \
		play(_steps, ARRAY_SIZE(_steps), want);              \
	} while (0)

static const char first_list[] = LIST("10", "", ITEM("a"));

/* ---- tests ---- */

static void pages_are_gathered_and_the_watch_begins_at_their_version(void **state)
{
	PLAY("[ a b c ]10 +d ",
	     ANSWER("GET /api/v2/things?limit=500 ", 200,
		    LIST("10", "c 1/&", ITEM("a") "," ITEM("b"))),
	     ANSWER("limit=500&continue=c%201%2F%26 ", 200, LIST("10", "", ITEM("c"))),
	     STREAM("watch=true&allowWatchBookmarks=true&timeoutSeconds=",
		    EVENT("ADDED", "d", "11")));
}

static void an_ended_watch_goes_on_at_the_last_version(void **state)
{
	PLAY("[ a ]10 +b -a +c ", ANSWER("things?limit", 200, first_list),
	     STREAM_ENDS("resourceVersion=10 ", EVENT("ADDED", "b", "12"), END_CLEAN),
	     STREAM_ENDS("resourceVersion=12 ", EVENT("DELETED", "a", "13"), END_CLEAN),
	     STREAM("resourceVersion=13 ", EVENT("MODIFIED", "c", "14")));
}

static void bookmarks_move_the_version_and_nothing_else(void **state)
{
	PLAY("[ a ]10 +b ", ANSWER("things?limit", 200, first_list),
	     STREAM_ENDS("resourceVersion=10 ", BOOKMARK("900"), END_CLEAN),
	     STREAM("resourceVersion=900 ", EVENT("ADDED", "b", "901")));
}

static void a_cut_watch_goes_on_after_a_pause(void **state)
{
	PLAY("[ a ]10 +b ? +c ", ANSWER("things?limit", 200, first_list),
	     STREAM_ENDS("resourceVersion=10 ", EVENT("ADDED", "b", "12"), END_CUT),
	     STREAM("resourceVersion=12 ", EVENT("ADDED", "c", "13")));
}

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	static struct timespec then;
	int err = 0;

	if (!time_stands || !then.tv_sec)
		err = __real_clock_gettime(id, &then);
	*ret = then;
	ret->tv_sec += skipped_s;
	return err;
}

/* Balancers do that to connections on which nothing was said for long. */
static void a_silent_watch_that_is_cut_is_taken_up_at_once(void **state)
{
	PLAY("[ a ]10 +c ", ANSWER("things?limit", 200, first_list),
	     STREAM_IS_CUT_AFTER("resourceVersion=10 ", 35000),
	     STREAM_IS_CUT_AFTER("resourceVersion=10 ", 35000),
	     STREAM_IS_CUT_AFTER("resourceVersion=10 ", 35000),
	     STREAM_IS_CUT_AFTER("resourceVersion=10 ", 35000),
	     STREAM_IS_CUT_AFTER("resourceVersion=10 ", 35000),
	     STREAM_IS_CUT_AFTER("resourceVersion=10 ", 35000),
	     STREAM("resourceVersion=10 ", EVENT("ADDED", "c", "13")));
}

static void a_watch_that_ends_at_once_is_a_failure(void **state)
{
	time_stands = true;
	PLAY("[ a ]10 ? +c ", ANSWER("things?limit", 200, first_list),
	     STREAM_ENDS("resourceVersion=10 ", "", END_CLEAN),
	     STREAM("resourceVersion=10 ", EVENT("ADDED", "c", "13")));
}

static int let_time_run(void **state)
{
	time_stands = false;
	skipped_s = 0;
	return 0;
}

static void gone_as_a_status_lists_anew(void **state)
{
	PLAY("[ a ]10 [ b ]50 ", ANSWER("things?limit", 200, first_list),
	     ANSWER("resourceVersion=10 ", 410, STATUS(410, "Expired", "too old")),
	     ANSWER("things?limit=500 ", 200, LIST("50", "", ITEM("b"))),
	     STREAM("resourceVersion=50 ", ""));
}

static void gone_inside_of_the_stream_lists_anew(void **state)
{
	PLAY("[ a ]10 +x [ b ]50 ", ANSWER("things?limit", 200, first_list),
	     STREAM("resourceVersion=10 ",
		    EVENT("ADDED", "x", "11") ERROR_EVENT(410, "Gone", "too old resource version")),
	     ANSWER("things?limit=500 ", 200, LIST("50", "", ITEM("b"))));
}

static void an_expired_page_lists_all_at_once(void **state)
{
	PLAY("[ a [ a b ]20 ", ANSWER("things?limit=500 ", 200, LIST("10", "more", ITEM("a"))),
	     ANSWER("continue=more ", 410, STATUS(410, "Expired", "the continue token is old")),
	     ANSWER("/api/v2/things ", 200, LIST("20", "", ITEM("a") "," ITEM("b"))),
	     STREAM("resourceVersion=20 ", ""));
}

static void a_version_from_the_future_lists_anew(void **state)
{
	PLAY("[ a ]10 [ b ]5 ", ANSWER("things?limit", 200, first_list),
	     ANSWER("resourceVersion=10 ", 504,
		    STATUS(504, "Timeout", "Too large resource version: 10, current: 5")),
	     ANSWER("things?limit=500 ", 200, LIST("5", "", ITEM("b"))));
}

static void other_errors_in_the_stream_watch_again(void **state)
{
	PLAY("[ a ]10 ? +b ", ANSWER("things?limit", 200, first_list),
	     STREAM("resourceVersion=10 ", ERROR_EVENT(500, "InternalError", "oops")),
	     STREAM("resourceVersion=10 ", EVENT("ADDED", "b", "11")));
}

/* Timers count from when the loop's turn began, which is before the request of that turn is noted.
 */
#define TWO_SECONDS 1900

static void too_many_requests_waits_as_long_as_told(void **state)
{
	static const struct step steps[] = {
		{ .want = "things?limit",
		  .headers = "Retry-After: 2\r\n",
		  .status = 429,
		  .body = STATUS(429, "TooManyRequests", "x") },
		ANSWER("things?limit", 200, first_list),
		{ .want = "resourceVersion=10 ",
		  .headers = "Retry-After: 2\r\n",
		  .status = 429,
		  .body = "slow down" },
		STREAM("resourceVersion=10 ", EVENT("ADDED", "b", "11")),
	};
	struct run r = { .script = { .steps = steps, .n = 4 },
			 .record = { .want = "[ ? [ a ]10 ? +b " } };

	play_with(&r, NULL);
	assert_true(r.script.times[1] - r.script.times[0] >= TWO_SECONDS);
	assert_true(r.script.times[3] - r.script.times[2] >= TWO_SECONDS);
}

static void a_resource_is_found_under_its_other_path(void **state)
{
	PLAY("[ [ a ]10 ", ANSWER("/api/v2/things", 404, "404 page not found\n"),
	     ANSWER("/api/v1/things?limit=500 ", 200, first_list),
	     STREAM("/api/v1/things?watch=true", ""));
}

static void a_resource_that_is_nowhere_is_told_and_asked_for_again_soon(void **state)
{
	static const struct step steps[] = {
		ANSWER("/api/v2/things", 404, "404 page not found\n"),
		ANSWER("/api/v1/things", 404, STATUS(404, "NotFound", "no")),
		ANSWER("/api/v2/things", 404, "404 page not found\n"),
		ANSWER("/api/v1/things", 404, STATUS(404, "NotFound", "no")),
	};
	struct run r = { .script = { .steps = steps, .n = 4 },
			 .record = { .want = "[ [ 0 [ [ 0 " } };

	play_with(&r, NULL);
	assert_true(r.script.times[2] - r.script.times[1] >= TWO_SECONDS);
}

static void a_list_that_is_no_list_is_a_failure(void **state)
{
	PLAY("[ ? [ ? [ a ]10 ", ANSWER("things?limit", 200, "<html>welcome</html>"),
	     ANSWER("things?limit", 200, "{\"items\":[],\"metadata\":{}}"),
	     ANSWER("things?limit", 200, first_list), STREAM("resourceVersion=10 ", ""));
}

static void hostile_items_cost_no_others(void **state)
{
	static char deep[1000], body[4096];
	static struct step steps[2] = { ANSWER("things?limit", 200, body),
					STREAM("resourceVersion=10 ", "") };
	struct run r = { .script = { .steps = steps, .n = 2 },
			 .record = { .want = "[ a ! ! b ]10 " } };

	memset(deep, '[', 400);
	memset(deep + 400, ']', 400);
	snprintf(body, sizeof(body),
		 "{\"items\":[" ITEM("a") ",{\"x\":%s},{\"y\":\"\xff\"}," ITEM(
			 "b") "],\"metadata\":{\"resourceVersion\":\"10\"}}",
		 deep);
	play_with(&r, NULL);
}

static void hostile_events_cost_no_others(void **state)
{
	PLAY("[ a ]10 ! ! ! +b ", ANSWER("things?limit", 200, first_list),
	     STREAM("resourceVersion=10 ",
		    "{\"type\":\"ADDED\",\"object\":{{{}\n"
		    "{\"type\":\"ADDED\",\"object\":7}\n"
		    "{\"type\":\"SURPRISE\",\"object\":{\"metadata\":{}}}\n" EVENT("ADDED", "b",
										   "11")));
}

static void an_error_page_in_place_of_events_ends_the_watch(void **state)
{
	PLAY("[ a ]10 ? +b ", ANSWER("things?limit", 200, first_list),
	     STREAM("resourceVersion=10 ", "<html>\n<body>\n"),
	     STREAM("resourceVersion=10 ", EVENT("ADDED", "b", "11")));
}

static void events_may_come_in_any_pieces(void **state)
{
	PLAY("[ a ]10 +b -a +c ", ANSWER("things?limit", 200, first_list),
	     { .want = "resourceVersion=10 ",
	       .body = EVENT("ADDED", "b", "11") EVENT("DELETED", "a", "12")
		       EVENT("ADDED", "c", "13"),
	       .chunk = 7 });
}

static void large_events_pass(void **state)
{
	static struct step steps[2] = { ANSWER("things?limit", 200, first_list),
					STREAM("resourceVersion=10 ", NULL) };
	struct run r = { .script = { .steps = steps, .n = 2 },
			 .record = { .want = "[ a ]10 +big " } };
	size_t pad = 3u << 20;
	char *filler = malloc(pad + 1), *body;

	memset(filler, 'x', pad);
	filler[pad] = 0;
	assert_true(asprintf(&body,
			     "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"big\"},"
			     "\"data\":\"%s\"}}\n",
			     filler) > 0);
	steps[1].body = body;
	play_with(&r, NULL);
	free(filler);
	free(body);
}

static void write_token(const char *path, const char *token)
{
	FILE *f = fopen(path, "w");

	fprintf(f, "%s\n", token);
	fclose(f);
}

static void a_refused_token_is_read_again(void **state)
{
	static const struct step steps[] = {
		ANSWER("Authorization: Bearer old", 401, STATUS(401, "Unauthorized", "x")),
		ANSWER("Authorization: Bearer new", 200, first_list),
		STREAM("Authorization: Bearer new", ""),
	};
	struct run r = { .script = { .steps = steps, .n = 3 },
			 .record = { .want = "[ ? [ a ]10 " } };
	char dir[] = "/tmp/nlt-kube-XXXXXX", path[64];
	static const char *const paths[] = { "/api/v1/things", NULL };
	struct fake_http *server = fake_http_new(base, NULL, on_request, &r.script);
	struct kube_reflector *ref;
	struct kube *k;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/token", dir);
	write_token(path, "old");
	k = client_of(fake_http_url(server), path);
	assert_int_equal(kube_reflector_new(base, k, paths, &recorder, &r.record, &ref), 0);
	while (!r.script.at)
		event_base_loop(base, EVLOOP_ONCE);
	write_token(path, "new");
	wait_until(ended, &r, "the new token");
	assert_null(r.script.wrong);
	kube_reflector_free(ref);
	kube_free(k);
	fake_http_free(server);
	unlink(path);
	rmdir(dir);
}

static int setup(void **state)
{
	base = event_base_new();
	return base ? 0 : -1;
}

static int teardown(void **state)
{
	event_base_free(base);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_gathered_and_the_watch_begins_at_their_version),
		cmocka_unit_test(an_ended_watch_goes_on_at_the_last_version),
		cmocka_unit_test(bookmarks_move_the_version_and_nothing_else),
		cmocka_unit_test(a_cut_watch_goes_on_after_a_pause),
		cmocka_unit_test_teardown(a_watch_that_ends_at_once_is_a_failure, let_time_run),
		cmocka_unit_test_teardown(a_silent_watch_that_is_cut_is_taken_up_at_once,
					  let_time_run),
		cmocka_unit_test(gone_as_a_status_lists_anew),
		cmocka_unit_test(gone_inside_of_the_stream_lists_anew),
		cmocka_unit_test(an_expired_page_lists_all_at_once),
		cmocka_unit_test(a_version_from_the_future_lists_anew),
		cmocka_unit_test(other_errors_in_the_stream_watch_again),
		cmocka_unit_test(too_many_requests_waits_as_long_as_told),
		cmocka_unit_test(a_resource_is_found_under_its_other_path),
		cmocka_unit_test(a_resource_that_is_nowhere_is_told_and_asked_for_again_soon),
		cmocka_unit_test(a_list_that_is_no_list_is_a_failure),
		cmocka_unit_test(hostile_items_cost_no_others),
		cmocka_unit_test(hostile_events_cost_no_others),
		cmocka_unit_test(an_error_page_in_place_of_events_ends_the_watch),
		cmocka_unit_test(events_may_come_in_any_pieces),
		cmocka_unit_test(large_events_pass),
		cmocka_unit_test(a_refused_token_is_read_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
