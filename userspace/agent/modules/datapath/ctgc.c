// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/ctgc.h"

#include <bpf/bpf.h>
#include <errno.h>

#include "lib/base/clock.h"

#define LOG_NAME "datapath"
#include "lib/base/log.h"

#define MIN_DELAY_MS  1000u
#define BUSY_PERCENT  80
#define ALARM_PERCENT 95
#define CALM_PERCENT  90

struct ctgc {
	struct ctgc_config c;
	struct ctgc_stats stats;
	struct event *timer;
};

static unsigned int percent(uint32_t part, uint32_t whole)
{
	return whole ? (uint64_t)part * 100 / whole : 0;
}

uint32_t ctgc_delay_ms(uint32_t interval_ms, uint32_t capacity, uint32_t entries, uint32_t removed)
{
	uint32_t least = MIN(interval_ms, MIN_DELAY_MS);
	unsigned int used = percent(entries, capacity);

	if (used >= ALARM_PERCENT)
		return least;
	if (used >= BUSY_PERCENT || removed > capacity / 2)
		return MAX(interval_ms / 4, least);
	if (used < 1)
		return interval_ms * 4;
	return interval_ms;
}

static int run_program(const struct ctgc *g, struct loom_gc_args *args, struct err *e)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(*args));

	if (bpf_prog_test_run_opts(g->c.prog_fd, &opts) < 0)
		return err_errno(e, -errno, "running loom_ct_gc");
	if (args->error < 0)
		return err_errno(e, args->error, "loom_ct_gc");
	return 0;
}

static void read_full_total(struct ctgc *g)
{
	struct loom_state s;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(g->c.state_fd, &zero, &s) == 0)
		g->stats.full_total = s.ct_full_total;
}

/* Raised and taken back once each, whatever the number of runs in between. */
static void judge(struct ctgc *g, uint64_t full_before)
{
	unsigned int used = percent(g->stats.entries, g->c.capacity);
	bool overflowed = g->stats.full_total > full_before;

	if (!g->stats.alarm && (used >= ALARM_PERCENT || overflowed)) {
		g->stats.alarm = true;
		log_error("conntrack is %u %% full (%u of %u)%s: raise conntrack.maxEntries or "
			  "shorten its timeouts",
			  used, g->stats.entries, g->c.capacity,
			  overflowed ? ", and flows did not fit" : "");
	} else if (g->stats.alarm && used < CALM_PERCENT && !overflowed) {
		g->stats.alarm = false;
		log_info("conntrack has room again (%u of %u)", g->stats.entries, g->c.capacity);
	}
}

static void account(struct ctgc *g, const struct loom_gc_args *args, uint64_t took_ns)
{
	struct ctgc_stats *s = &g->stats;

	s->runs++;
	s->run_ns += took_ns;
	s->removed += args->deleted;
	s->new_removed += args->new_deleted;
	s->entries = args->scanned - MIN(args->deleted, args->scanned);
	s->new_entries = args->new_scanned - MIN(args->new_deleted, args->new_scanned);
	s->by_proto[0] = args->kept_tcp;
	s->by_proto[1] = args->kept_udp;
	s->by_proto[2] = args->kept_icmp;
	s->by_proto[3] = args->kept_other;
	s->next_ms = ctgc_delay_ms(g->c.interval_ms, g->c.capacity, s->entries, args->deleted);
}

int ctgc_run(struct ctgc *g, struct err *e)
{
	struct loom_gc_args args = { .mode = LOOM_GC_IDLE };
	uint64_t start = clock_ns(), full_before = g->stats.full_total;
	int err = run_program(g, &args, e);

	if (err < 0) {
		g->stats.failed_runs++;
		return err;
	}
	account(g, &args, clock_ns() - start);
	read_full_total(g);
	judge(g, full_before);
	return 0;
}

int ctgc_forget(struct ctgc *g, uint32_t scope, const union loom_addr *addr, struct err *e)
{
	struct loom_gc_args args = { .mode = LOOM_GC_ADDR, .scope = scope, .addr = *addr };
	int err = run_program(g, &args, e);

	return err < 0 ? err : (int)(args.deleted + args.new_deleted);
}

int ctgc_end_services(struct ctgc *g, struct err *e)
{
	struct loom_gc_args args = { .mode = LOOM_GC_SERVICES };
	int err = run_program(g, &args, e);

	return err < 0 ? err : (int)(args.deleted + args.new_deleted + args.marked);
}

static void arm(struct ctgc *g)
{
	uint32_t ms = g->stats.next_ms;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(g->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ctgc *g = arg;
	struct err e = {};

	if (ctgc_run(g, &e) < 0)
		log_limited(LOG_LVL_ERROR, 1, "conntrack is not collected: %s", e.msg);
	arm(g);
}

int ctgc_new(const struct ctgc_config *c, struct ctgc **ret)
{
	struct ctgc *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->c = *c;
	g->stats.next_ms = c->interval_ms;
	read_full_total(g);
	if (c->base) {
		g->timer = evtimer_new(c->base, on_timer, g);
		if (!g->timer) {
			free(g);
			return -ENOMEM;
		}
		arm(g);
	}
	*ret = g;
	return 0;
}

void ctgc_free(struct ctgc *g)
{
	if (!g)
		return;
	if (g->timer)
		event_free(g->timer);
	free(g);
}

const struct ctgc_stats *ctgc_stats(const struct ctgc *g)
{
	return &g->stats;
}
