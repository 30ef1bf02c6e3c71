// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent.h"
#include "agent/modules/modules.h"
#include "api/paths.h"
#include "lib/base/log.h"
#include "version.h"

enum action { RUN, PRINT_CONFIG, CHECK_CONFIG };

struct options {
	const char *config;
	enum action action;
};

enum { OPT_PRINT = 256, OPT_CHECK, OPT_VERSION };

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration (default " NETLOOM_AGENT_CONFIG ")", 0 },
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
		printf("netloom-agent %s\n", NETLOOM_VERSION);
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
	.doc = "The node agent of netloom: wires pods, and fills the data plane from etcd.\v"
	       "SIGTERM and SIGINT stop it and leave the node as it is: traffic goes on. "
	       "Exit status: 0 stopped, 1 could not start or failed, 2 configuration, 64 usage.",
};

static int print_config(void)
{
	_cleanup_(freep) char *text = config_template(agent_config_fields, agent_config_n_fields);

	return text && fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int run(const struct agent_config *cfg)
{
	struct err e = {};
	struct agent *a;
	int code;

	log_info("netloom-agent %s starts as node '%s'", NETLOOM_VERSION, cfg->node_name);
	if (agent_new(cfg, agent_modules, &a, &e) < 0) {
		log_error("can't start: %s", e.msg);
		return 1;
	}
	code = agent_run(a);
	agent_free(a);
	log_info("stopped");
	return code;
}

int main(int argc, char **argv)
{
	struct options o = { .config = NETLOOM_AGENT_CONFIG };
	struct agent_config cfg = {};
	struct err e = {};
	int code = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.action == PRINT_CONFIG)
		return print_config();
	if (agent_config_load(o.config, &cfg, &e) < 0) {
		fprintf(stderr, "netloom-agent: %s\n", e.msg);
		return 2;
	}
	log_set_level(cfg.log_level);
	if (o.action == CHECK_CONFIG)
		printf("%s: fine\n", o.config);
	else
		code = run(&cfg);
	agent_config_free(&cfg);
	return code;
}
