// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "ksr"
#include <signal.h>

#include "api/paths.h"
#include "ksr/ksr.h"
#include "lib/base/log.h"
#include "lib/program/program.h"
#include "version.h"

static const char doc[] =
	"Reflects namespaces, nodes, pods, services, endpoint slices and network policies "
	"from a Kubernetes API server, or from a folder of manifests, into etcd.\v"
	"SIGTERM and SIGINT stop it and hand its leadership over. "
	"Exit status: 0 stopped, 1 could not start or failed, 2 configuration, 64 usage.";

static int load(const char *path, void *config, struct err *e)
{
	return ksr_config_load(path, config, e);
}

static void release(void *config)
{
	ksr_config_free(config);
}

struct running {
	struct event_base *base;
	struct ksr *ksr;
	struct event *term, *interrupt;
	bool asked;
};

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct running *r = arg;

	log_info("stops on signal %d", (int)number);
	r->asked = true;
	ksr_stop(r->ksr);
}

static int loop(struct running *r, const struct ksr_config *cfg)
{
	struct err e = {};

	if (ksr_new(r->base, cfg, &r->ksr, &e) < 0) {
		log_error("can't start: %s", e.msg);
		return 1;
	}
	event_add(r->term, NULL);
	event_add(r->interrupt, NULL);
	event_base_dispatch(r->base);
	ksr_free(r->ksr);
	return r->asked ? 0 : 1;
}

static int run(const void *cfg)
{
	struct running r = { .base = event_base_new() };
	int code = 1;

	log_info("netloom-ksr %s starts", NETLOOM_VERSION);
	signal(SIGPIPE, SIG_IGN);
	if (r.base) {
		r.term = evsignal_new(r.base, SIGTERM, on_signal, &r);
		r.interrupt = evsignal_new(r.base, SIGINT, on_signal, &r);
	}
	if (r.term && r.interrupt)
		code = loop(&r, cfg);
	if (r.term)
		event_free(r.term);
	if (r.interrupt)
		event_free(r.interrupt);
	if (r.base)
		event_base_free(r.base);
	log_info("stopped");
	return code;
}

int main(int argc, char **argv)
{
	struct ksr_config cfg = {};
	const struct program program = {
		.name = "netloom-ksr",
		.version = NETLOOM_VERSION,
		.doc = doc,
		.config_path = NETLOOM_KSR_CONFIG,
		.fields = ksr_config_fields,
		.n_fields = ksr_config_n_fields,
		.config = &cfg,
		.log_level = &cfg.log_level,
		.load = load,
		.release = release,
		.run = run,
	};

	return program_main(&program, argc, argv);
}
