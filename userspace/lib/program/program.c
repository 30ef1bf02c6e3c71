// SPDX-License-Identifier: Apache-2.0
#include "lib/program/program.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"

enum action { RUN, PRINT_CONFIG, CHECK_CONFIG };
enum { OPT_PRINT = 256, OPT_CHECK, OPT_VERSION };

struct asked {
	const struct program *program;
	const char *config;
	enum action action;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct asked *o = state->input;

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
		printf("%s %s\n", o->program->name, o->program->version);
		exit(0);
	case ARGP_KEY_ARG:
		argp_error(state, "'%s': no arguments are taken", arg);
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

static void parse(struct asked *o, int argc, char **argv)
{
	char config[256];
	const struct argp_option options[] = {
		{ "config", 'c', "FILE", 0, config, 0 },
		{ "print-config", OPT_PRINT, NULL, 0,
		  "print the default configuration with its documentation", 0 },
		{ "check-config", OPT_CHECK, NULL, 0, "check the configuration and exit", 0 },
		{ "version", OPT_VERSION, NULL, 0, "print the version", -1 },
		{},
	};
	const struct argp argp = { .options = options,
				   .parser = parse_option,
				   .doc = o->program->doc };

	snprintf(config, sizeof(config), "configuration (default %s)", o->program->config_path);
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

static int print_config(const struct program *p)
{
	_cleanup_(freep) char *text = config_template(p->fields, p->n_fields);

	return text && fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}

int program_main(const struct program *p, int argc, char **argv)
{
	struct asked o = { .program = p, .config = p->config_path };
	struct err e = {};
	int code = 0;

	parse(&o, argc, argv);
	if (o.action == PRINT_CONFIG)
		return print_config(p);
	if (p->load(o.config, p->config, &e) < 0) {
		fprintf(stderr, "%s: %s\n", p->name, e.msg);
		return 2;
	}
	log_set_level(*p->log_level);
	if (o.action == CHECK_CONFIG)
		printf("%s: fine\n", o.config);
	else
		code = p->run(p->config);
	p->release(p->config);
	return code;
}
