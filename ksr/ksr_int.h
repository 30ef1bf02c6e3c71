/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by ksr.c and api.c only. */
#include "ksr/alive.h"
#include "ksr/endpoints.h"
#include "ksr/ksr.h"
#include "ksr/lead.h"
#include "ksr/source_dir.h"
#include "ksr/source_kube.h"
#include "ksr/writer.h"
#include "lib/httpd/httpd.h"

struct ksr {
	const struct ksr_config *cfg;
	struct event_base *base;
	struct store *store;
	struct kube *kube; /* source kubernetes only */
	struct table *table;
	struct intake intake;
	struct lead *lead;
	struct alive *alive; /* while leading */
	struct writer *writer;
	struct endpoints *endpoints;
	bool leading, stopping;
	struct source_kube *source_kube; /* while leading, one of the two */
	struct source_dir *source_dir;
	struct httpd *httpd;
	int64_t whole[KIND_COUNT];		   /* epoch in which that was logged */
	uint64_t bad[KIND_COUNT + 1], transitions; /* bad: the last is for what has no kind */
};

/* api.c */
int api_start(struct ksr *k, struct err *e);
