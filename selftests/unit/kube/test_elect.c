// SPDX-License-Identifier: Apache-2.0
/* Elections on a made-up server that keeps one Lease, with resourceVersions and conflicts. */
#include "selftests/unit/kube/fixture.h"

#include "lib/json/json.h"
#include "lib/kube/elect.h"

#define RETRY_MS 100

/*
 * Quick for what has to run out. Leaders who stay need the other ones: to a candidate that stands
 * still for a second, all that is quick has run out.
 */
static const struct times {
	unsigned int duration_ms, deadline_ms;
} quick = { 1500, 900 }, steady = { 3000, 2500 }, slow = { 60000, 30000 };

static struct {
	struct fake_http *http;
	struct json_object *lease;
	int revision, writes;
	uint64_t written_ms;
	bool mute;   /* no answer to what is written */
	bool broken; /* 500 for all */
	bool silent; /* no answer at all */
} api;

static void answer_lease(struct fake_conn *c, int status)
{
	fake_answer(c, status, "", json_text(api.lease));
}

static void keep_lease(struct fake_conn *c, struct json_object *lease, int status)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", ++api.revision);
	json_add_str(json_field(lease, "metadata"), "resourceVersion", text);
	json_object_put(api.lease);
	api.lease = lease;
	api.writes++;
	api.written_ms = clock_ms();
	if (!api.mute)
		answer_lease(c, status);
}

static bool is_current(struct json_object *lease)
{
	const char *theirs = "", *ours = "";

	json_opt_str(lease, "metadata.resourceVersion", &theirs, NULL);
	json_opt_str(api.lease, "metadata.resourceVersion", &ours, NULL);
	return strcmp(theirs, ours) == 0;
}

static void on_request(struct fake_conn *c, const char *head, const char *body, void *arg)
{
	struct json_object *lease = NULL;

	if (api.silent)
		return;
	if (api.broken) {
		fake_answer(c, 500, "", "{}");
		return;
	}
	if (strncmp(head, "GET /apis/coordination.k8s.io/v1/namespaces/ns/leases/ksr ", 58) == 0) {
		if (api.lease)
			answer_lease(c, 200);
		else
			fake_answer(c, 404, "", "{}");
		return;
	}
	if (json_parse(body, strlen(body), &lease, NULL) < 0) {
		fake_answer(c, 400, "", "{}");
		return;
	}
	if ((*head == 'P' && head[1] == 'O') ? api.lease != NULL : !is_current(lease)) {
		json_object_put(lease);
		fake_answer(c, 409, "", "{\"code\":409,\"reason\":\"Conflict\"}");
		return;
	}
	keep_lease(c, lease, api.lease ? 200 : 201);
}

/* ---- candidates ---- */

struct candidate {
	struct kube *kube;
	struct kube_elect *el;
	bool leads, released;
	int led, lost;
};
static struct candidate all[2];

static void on_lead(void *arg)
{
	struct candidate *c = arg;

	assert_false(c->leads);
	for (size_t i = 0; i < 2; i++)
		assert_false(all[i].leads);
	c->leads = true;
	c->led++;
}

static void on_lost(const char *why, void *arg)
{
	struct candidate *c = arg;

	assert_true(c->leads);
	c->leads = false;
	c->lost++;
}

static const struct kube_elect_ops ops = { .on_lead = on_lead, .on_lost = on_lost };

static void run_candidate(struct candidate *c, const char *identity, const struct times *times)
{
	const struct kube_elect_config cfg = {
		.name_space = "ns",
		.name = "ksr",
		.identity = identity,
		.duration_ms = times->duration_ms,
		.renew_deadline_ms = times->deadline_ms,
		.retry_ms = RETRY_MS,
	};

	*c = (struct candidate){ .kube = client_of(fake_http_url(api.http), NULL) };
	assert_int_equal(kube_elect_new(base, c->kube, &cfg, &ops, c, &c->el), 0);
}

static void crash(struct candidate *c)
{
	kube_elect_free(c->el);
	kube_free(c->kube);
	*c = (struct candidate){};
}

static bool leads(void *arg)
{
	return ((struct candidate *)arg)->leads;
}

static bool does_not_lead(void *arg)
{
	return !leads(arg);
}

static bool agree(void *arg)
{
	const char *holder = kube_elect_holder(all[0].el);

	return *holder && strcmp(holder, kube_elect_holder(all[1].el)) == 0 &&
	       all[strcmp(holder, "two") == 0].leads;
}

static bool knows_one(void *arg)
{
	return strcmp(kube_elect_holder(((struct candidate *)arg)->el), "one") == 0;
}

static bool is_released(void *arg)
{
	return ((struct candidate *)arg)->released;
}

static void on_released(void *arg)
{
	struct candidate *c = arg;

	c->released = true;
	c->leads = false;
}

static int before(void **state)
{
	base = event_base_new();
	memset(&api, 0, sizeof(api));
	memset(all, 0, sizeof(all));
	api.http = fake_http_new(base, NULL, on_request, NULL);
	return api.http ? 0 : -1;
}

static int after(void **state)
{
	crash(&all[0]);
	crash(&all[1]);
	fake_http_free(api.http);
	json_object_put(api.lease);
	event_base_free(base);
	return 0;
}

/* ---- tests ---- */

static int changes(void)
{
	return all[0].led + all[0].lost + all[1].led + all[1].lost;
}

/* Who stands still for as long as a Lease loses it, but not each time. */
static void one_of_two_leads_and_stays(void **state)
{
	int before = 0;

	run_candidate(&all[0], "one", &steady);
	wait_until(leads, &all[0], "one to lead");
	run_candidate(&all[1], "two", &steady);
	for (int i = 0; i < 5 && changes() != before; i++) {
		before = changes();
		turn_for(3 * steady.duration_ms / 2);
	}
	assert_int_equal(changes(), before);
	assert_true(all[0].leads || all[1].leads);
	wait_until(agree, NULL, "both to name the one that leads");
}

static void two_that_start_together_agree(void **state)
{
	run_candidate(&all[0], "one", &slow);
	run_candidate(&all[1], "two", &slow);
	wait_until(agree, NULL, "both to name the one that leads");
	assert_int_equal(all[0].led + all[1].led, 1);
}

static void a_released_lease_is_taken_at_once(void **state)
{
	uint64_t released_ms;

	run_candidate(&all[0], "one", &slow);
	wait_until(leads, &all[0], "one to lead");
	run_candidate(&all[1], "two", &slow);
	wait_until(knows_one, &all[1], "two to see one lead");
	kube_elect_release(all[0].el, on_released, &all[0]);
	wait_until(is_released, &all[0], "the release");
	released_ms = clock_ms();
	wait_until(leads, &all[1], "two to lead");
	assert_true(clock_ms() - released_ms < slow.duration_ms);
}

static bool is_written(void *arg)
{
	return api.writes > *(int *)arg;
}

/* A renewal that was done, and whose answer has not come, is no obstacle. */
static void a_lease_is_released_in_the_middle_of_a_renewal(void **state)
{
	const char *holder = "nobody knows";
	int writes;

	run_candidate(&all[0], "one", &slow);
	wait_until(leads, &all[0], "one to lead");
	writes = api.writes;
	api.mute = true;
	wait_until(is_written, &writes, "a renewal");
	api.mute = false;
	kube_elect_release(all[0].el, on_released, &all[0]);
	wait_until(is_released, &all[0], "the release");
	assert_int_equal(json_get_str(api.lease, "spec.holderIdentity", &holder, NULL), 0);
	assert_string_equal(holder, "");
}

static void the_lease_of_a_dead_leader_is_taken_when_it_has_expired(void **state)
{
	uint64_t written_ms;

	run_candidate(&all[0], "one", &steady);
	wait_until(leads, &all[0], "one to lead");
	run_candidate(&all[1], "two", &steady);
	wait_until(knows_one, &all[1], "two to see one lead");
	crash(&all[0]);
	written_ms = api.written_ms;
	wait_until(leads, &all[1], "two to lead");
	assert_true(api.written_ms - written_ms >= steady.duration_ms);
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = all[0].leads;
}

static void a_leader_that_cannot_renew_steps_down_in_time(void **state)
{
	struct timeval tv = { .tv_sec = 1 };
	bool still = false;

	run_candidate(&all[0], "one", &quick);
	wait_until(leads, &all[0], "one to lead");
	api.broken = true;
	/* Before the Lease, in whole seconds, runs out: of two timers the earlier one runs first,
	 * however late both are. */
	event_base_once(base, -1, EV_TIMEOUT, on_expiry, &still, &tv);
	wait_until(does_not_lead, &all[0], "one to step down");
	turn_for(1000);
	assert_false(still);
	api.broken = false;
	wait_until(leads, &all[0], "one to lead again");
}

static void a_server_that_hangs_costs_leadership_too(void **state)
{
	run_candidate(&all[0], "one", &quick);
	wait_until(leads, &all[0], "one to lead");
	api.silent = true;
	wait_until(does_not_lead, &all[0], "one to step down");
	assert_int_equal(all[0].lost, 1);
}

static void what_others_put_into_the_lease_stays(void **state)
{
	static const char text[] = "{\"metadata\":{\"name\":\"ksr\",\"namespace\":\"ns\","
				   "\"resourceVersion\":\"7\",\"labels\":{\"a\":\"b\"}},"
				   "\"spec\":{\"holderIdentity\":\"\",\"strategy\":\"X\"}}";
	const char *s = "";

	assert_int_equal(json_parse(text, strlen(text), &api.lease, NULL), 0);
	run_candidate(&all[0], "one", &slow);
	wait_until(leads, &all[0], "one to lead");
	assert_int_equal(json_get_str(api.lease, "metadata.labels.a", &s, NULL), 0);
	assert_string_equal(s, "b");
	assert_int_equal(json_get_str(api.lease, "spec.strategy", &s, NULL), 0);
	assert_int_equal(json_get_str(api.lease, "spec.holderIdentity", &s, NULL), 0);
	assert_string_equal(s, "one");
}

static void who_yields_waits_a_whole_duration(void **state)
{
	uint64_t yielded_ms;

	run_candidate(&all[0], "one", &quick);
	wait_until(leads, &all[0], "one to lead");
	yielded_ms = clock_ms();
	kube_elect_yield(all[0].el);
	all[0].leads = false;
	wait_until(leads, &all[0], "one to lead again");
	assert_true(clock_ms() - yielded_ms >= quick.duration_ms);
	assert_int_equal(all[0].lost, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_of_two_leads_and_stays, before, after),
		cmocka_unit_test_setup_teardown(two_that_start_together_agree, before, after),
		cmocka_unit_test_setup_teardown(a_released_lease_is_taken_at_once, before, after),
		cmocka_unit_test_setup_teardown(a_lease_is_released_in_the_middle_of_a_renewal,
						before, after),
		cmocka_unit_test_setup_teardown(
			the_lease_of_a_dead_leader_is_taken_when_it_has_expired, before, after),
		cmocka_unit_test_setup_teardown(a_leader_that_cannot_renew_steps_down_in_time,
						before, after),
		cmocka_unit_test_setup_teardown(a_server_that_hangs_costs_leadership_too, before,
						after),
		cmocka_unit_test_setup_teardown(what_others_put_into_the_lease_stays, before,
						after),
		cmocka_unit_test_setup_teardown(who_yields_waits_a_whole_duration, before, after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
