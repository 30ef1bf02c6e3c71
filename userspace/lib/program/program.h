/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command line that our daemons share: --config, --print-config, --check-config, --version,
 * --help. What is left to them is their configuration and what they do with it.
 *
 * Exit status: what run() returned, 0 or 1; 2 when the configuration is wrong (the sentence goes to
 * stderr), 64 for a wrong command line (argp's).
 */
#include "lib/config/config.h"

struct program {
	const char *name, *version;
	const char *doc;	 /* argp's: what it does, \v, what is told after the options */
	const char *config_path; /* without --config */
	const struct config_field *fields;
	size_t n_fields;
	void *config;	/* zeroed; filled by load() */
	int *log_level; /* in it: enum log_level */
	/* 0, or a negative errno and a sentence, with nothing left to release. */
	int (*load)(const char *path, void *config, struct err *e);
	void (*release)(void *config);
	int (*run)(const void *config);
};

int program_main(const struct program *p, int argc, char **argv);
