// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ksr/ksr_int.h"
#include "lib/base/clock.h"

#define PREFIX "netloom_ksr_"

/* ---- probes ---- */

/* NULL when ready. A replica that stands by is, once it knows who leads. */
static const char *why_unready(const struct ksr *k, char buf[static 128])
{
	const struct writer_stats *w = writer_stats(k->writer);

	if (k->stopping)
		return "stopping";
	if (!store_connected(k->store))
		return "etcd does not answer";
	if (!lead_leads(k->lead) && !lead_in_touch(k->lead))
		return "the API server does not answer, so nobody can be elected";
	if (!lead_leads(k->lead))
		return *lead_holder(k->lead) ? NULL : "nobody is known to lead";
	for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
		if (w->synced_ms[kind] ||
		    (k->source_kube && source_kube_stats(k->source_kube, kind)->missing))
			continue;
		snprintf(buf, 128, "'%s' is not reflected whole yet", kinds[kind].name);
		return buf;
	}
	return NULL;
}

static void on_livez(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	reply->text = strdup("ok\n");
}

static void on_readyz(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct ksr *k = arg;
	char buf[128];
	const char *why = why_unready(k, buf);

	if (why) {
		reply->status = 503;
		if (asprintf(&reply->text, "%s\n", why) < 0)
			reply->text = NULL;
		return;
	}
	reply->text = strdup(lead_leads(k->lead) ? "ok, leads\n" : "ok, stands by\n");
}

/* ---- metrics ---- */

static void table_metrics(const struct ksr *k, struct metrics *m, enum kind kind)
{
	const struct writer_stats *w = writer_stats(k->writer);
	const char *name = kinds[kind].name;

	metrics_sample(m, PREFIX "objects", METRIC_GAUGE, "Objects that the source has.",
		       table_count(k->table, kind), "resource", name, NULL);
	metrics_sample(m, PREFIX "pending_writes", METRIC_GAUGE, "Keys that etcd has yet to get.",
		       table_pending(k->table, kind), "resource", name, NULL);
	metrics_sample(m, PREFIX "bad_objects_total", METRIC_COUNTER,
		       "Objects that were passed over because they can't be read.", k->bad[kind],
		       "resource", name, NULL);
	if (w->synced_ms[kind])
		metrics_sample(m, PREFIX "sync_age_seconds", METRIC_GAUGE,
			       "Time since the resource was last listed and reflected whole.",
			       (clock_ms() - w->synced_ms[kind]) / 1000.0, "resource", name, NULL);
}

static void kube_metrics(const struct ksr *k, struct metrics *m, enum kind kind)
{
	const struct kube_reflector_stats *s = source_kube_stats(k->source_kube, kind);
	const char *name = kinds[kind].name;

	metrics_sample(m, PREFIX "lists_total", METRIC_COUNTER, "Lists begun.", s->lists,
		       "resource", name, NULL);
	metrics_sample(m, PREFIX "watches_total", METRIC_COUNTER, "Watches begun.", s->watches,
		       "resource", name, NULL);
	metrics_sample(m, PREFIX "restarts_total", METRIC_COUNTER,
		       "Lists begun anew because the server forgot the version (410 Gone).",
		       s->restarts, "resource", name, NULL);
	metrics_sample(m, PREFIX "source_failures_total", METRIC_COUNTER,
		       "Lists and watches that failed.", s->failures, "resource", name, NULL);
	metrics_sample(m, PREFIX "events_total", METRIC_COUNTER, "Changes seen in watches.",
		       s->changes, "resource", name, NULL);
	metrics_sample(m, PREFIX "watching", METRIC_GAUGE, "1 while a watch is open.", s->watching,
		       "resource", name, NULL);
	metrics_sample(m, PREFIX "missing", METRIC_GAUGE,
		       "1 if the API server does not serve the resource.", s->missing, "resource",
		       name, NULL);
}

static void dir_metrics(const struct ksr *k, struct metrics *m)
{
	const struct source_dir_stats *s = source_dir_stats(k->source_dir);

	metrics_sample(m, PREFIX "manifest_scans_total", METRIC_COUNTER,
		       "Looks at the folder of manifests.", s->scans, NULL);
	metrics_sample(m, PREFIX "manifest_files", METRIC_GAUGE, "Manifest files.", s->files, NULL);
	metrics_sample(m, PREFIX "manifest_files_broken", METRIC_GAUGE,
		       "Manifest files that can't be parsed.", s->broken, NULL);
	metrics_sample(m, PREFIX "manifest_folder_present", METRIC_GAUGE,
		       "1 while the folder is there.", s->present, NULL);
}

static void common_metrics(const struct ksr *k, struct metrics *m)
{
	const struct writer_stats *w = writer_stats(k->writer);

	metrics_sample(m, PREFIX "leader", METRIC_GAUGE, "1 while this replica leads.",
		       lead_leads(k->lead), NULL);
	metrics_sample(m, PREFIX "epoch", METRIC_GAUGE, "Epoch of whoever leads.",
		       lead_epoch(k->lead), NULL);
	metrics_sample(m, PREFIX "leads_total", METRIC_COUNTER,
		       "Times that this replica took the lead.", k->transitions, NULL);
	if (lead_heard_ms(k->lead))
		metrics_sample(m, PREFIX "election_contact_age_seconds", METRIC_GAUGE,
			       "Time since the API server last answered a question on the Lease.",
			       (clock_ms() - lead_heard_ms(k->lead)) / 1000.0, NULL);
	metrics_sample(m, PREFIX "etcd_connected", METRIC_GAUGE, "1 while etcd answers.",
		       store_connected(k->store), NULL);
	metrics_sample(m, PREFIX "etcd_writes_total", METRIC_COUNTER, "Keys written.", w->puts,
		       "op", "put", NULL);
	metrics_sample(m, PREFIX "etcd_writes_total", METRIC_COUNTER, "Keys written.", w->deletes,
		       "op", "delete", NULL);
	metrics_sample(m, PREFIX "etcd_errors_total", METRIC_COUNTER, "Transactions that failed.",
		       w->errors, NULL);
	metrics_sample(m, PREFIX "endpoints", METRIC_GAUGE,
		       "Pods that agents have published in etcd.", endpoints_count(k->endpoints),
		       NULL);
	metrics_sample(m, PREFIX "endpoints_removed_total", METRIC_COUNTER,
		       "Of these, removed because their node is gone.",
		       endpoints_removed(k->endpoints), NULL);
	metrics_sample(m, PREFIX "etcd_reads_total", METRIC_COUNTER,
		       "Times that all reflected keys were read from etcd.", w->etcd_syncs, NULL);
}

static void on_metrics(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct ksr *k = arg;
	struct metrics *m;

	if (metrics_new(&m) < 0) {
		reply->status = 500;
		return;
	}
	common_metrics(k, m);
	if (k->source_dir)
		dir_metrics(k, m);
	for (enum kind kind = 0; kind < KIND_COUNT; kind++)
		table_metrics(k, m, kind);
	for (enum kind kind = 0; kind < KIND_COUNT && k->source_kube; kind++)
		kube_metrics(k, m, kind);
	reply->text = metrics_text(m);
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_free(m);
}

int api_start(struct ksr *k, struct err *e)
{
	char address[ADDR_STRLEN];

	if (httpd_new(k->base, &k->httpd) < 0 ||
	    httpd_route(k->httpd, "GET", "/livez", on_livez, k) < 0 ||
	    httpd_route(k->httpd, "GET", "/readyz", on_readyz, k) < 0 ||
	    httpd_route(k->httpd, "GET", "/metrics", on_metrics, k) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return httpd_listen(k->httpd, addr_format(&k->cfg->api.address, address), k->cfg->api.port,
			    e);
}
