/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * netloom, the command line. A command asks the agent over its unix socket (or, for dump, reads the
 * pinned maps by itself), and prints a table for people or, with -o json, what it got. main.c has
 * the one table of commands, which also makes the help.
 *
 * Exit codes: 0 well, 1 not healthy or failed, 2 usage, 3 the agent can't be reached.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/bpf/tables.h"

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

struct ctl {
	FILE *out, *complain;
	const char *socket, *bpf_dir;
	bool json;
	bool follow, wait;
	unsigned int wait_s;
	unsigned long last; /* 0: not given */
	const char *filter, *ip, *pod;
	unsigned int port;
	const char *arg;   /* the command's own argument, the first of … */
	char *const *args; /* … n_args */
	unsigned int n_args;
	unsigned int flow; /* source port; 0: not given */
	bool local;	   /* this node only */
};

/* Each returns an exit code, and has said what went wrong. */
int cmd_status(const struct ctl *c);
int cmd_nodes(const struct ctl *c);
int cmd_pods(const struct ctl *c);
int cmd_ipam(const struct ctl *c);
int cmd_services(const struct ctl *c);
int cmd_policies(const struct ctl *c);
int cmd_denied(const struct ctl *c);
int cmd_dump(const struct ctl *c);
int cmd_events(const struct ctl *c);
int cmd_history(const struct ctl *c);
/* Exit codes of its own: 0 allowed, 1 denied or dropped, 3 can't tell. */
int cmd_explain(const struct ctl *c);
int cmd_version(const struct ctl *c);

/* GET of a path ("/v1/status") from the agent. -ECONNREFUSED, -ENOENT, -EACCES…: nobody answers;
 * -EPROTO: the answer is an error or no JSON. */
int client_get(const struct ctl *c, const char *path, struct json_object **ret, struct err *e);
/* POST of `body`, likewise. An answer that is an error gives its text alone, and -EINVAL for status
 * 400. */
int client_post(const struct ctl *c, const char *path, struct json_object *body,
		struct json_object **ret, struct err *e);
/* Says it, with what to do about it, and returns the exit code. */
int client_complain(const struct ctl *c, int err, const struct err *e);
/* Rows of an array under aligned headings. */
void print_table(FILE *out, const struct column *columns, struct json_object *rows);
void print_json(FILE *out, struct json_object *o);
/* What others have written, and a terminal is not to obey: control characters come out as '?'. */
void print_text(FILE *out, const char *text);
void print_text_line(FILE *out, const char *heading, const char *text);
/* RFC 3339 text as it is, and milliseconds since 1970 in that form; "-" for anything else. */
const char *print_time(struct json_object *when, char *buf, size_t len);

/* Names for numbers, asked from the agent; all unknown when it can't be reached. */
struct names;
int names_new(const struct ctl *c, struct names **ret);
void names_free(struct names *n); /* accepts NULL */
DEFINE_FREEP(struct names, names_free)
bool names_known(const struct names *n); /* the agent answered */
/* Whether anything is called so: a pod of this node ("namespace/name"), a node. */
bool names_has(const struct names *n, const char *text);
struct table_names names_resolver(struct names *n);
