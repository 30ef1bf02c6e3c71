// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "ksr"
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/paths.h"
#include "ksr/ksr.h"
#include "lib/base/log.h"
#include "version.h"

enum action { RUN, PRINT_CONFIG, CHECK_CONFIG };

struct options {
	const char *config;
	enum action action;
};

enum { OPT_PRINT = 256, OPT_CHECK, OPT_VERSION };

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration (default " NETLOOM_KSR_CONFIG ")", 0 },
	{ "print-config", OPT_PRINT, NULL, 0,
	  "print the default configuration with its documentation", 0 },
	{ "check-config", OPT_CHECK, NULL, 0, "check the configuration and exit", 0 },
	{ "version", OPT_VERSION, NULL, 0, "print the version", -1 },
	{},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->config = arg;
		return 0;
	case OPT_PRINT:
		o->action = PRINT_CONFIG;
		return 0;
	case OPT_CHECK:
		o->action = CHECK_CONFIG;
		return 0;
	case OPT_VERSION:
		printf("netloom-ksr %s\n", NETLOOM_VERSION);
		exit(0);
	case ARGP_KEY_ARG:
		argp_error(state, "'%s': no arguments are taken", arg);
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Reflects namespaces, nodes, pods, services, endpoint slices and network policies "
	       "from a Kubernetes API server, or from a folder of manifests, into etcd.\v"
	       "SIGTERM and SIGINT stop it and hand its leadership over. "
	       "Exit status: 0 stopped, 1 could not start or failed, 2 configuration, 64 usage.",
};

static int print_config(void)
{
	_cleanup_(freep) char *text = config_template(ksr_config_fields, ksr_config_n_fields);

	return text && fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
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

static int run(const struct ksr_config *cfg)
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
	struct options o = { .config = NETLOOM_KSR_CONFIG };
	struct ksr_config cfg = {};
	struct err e = {};
	int code = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.action == PRINT_CONFIG)
		return print_config();
	if (ksr_config_load(o.config, &cfg, &e) < 0) {
		fprintf(stderr, "netloom-ksr: %s\n", e.msg);
		return 2;
	}
	log_set_level(cfg.log_level);
	if (o.action == CHECK_CONFIG)
		printf("%s: fine\n", o.config);
	else
		code = run(&cfg);
	ksr_config_free(&cfg);
	return code;
}
