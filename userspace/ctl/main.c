// SPDX-License-Identifier: Apache-2.0
#include <argp.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include "api/paths.h"
#include "ctl/ctl.h"
#include "lib/config/config.h"
#include "version.h"

enum option_key {
	OPT_SOCKET = 0x100,
	OPT_BPF_DIR,
	OPT_WAIT,
	OPT_LAST,
	OPT_FILTER,
	OPT_IP,
	OPT_POD,
	OPT_PORT,
	OPT_FLOW,
	OPT_LOCAL,
};

static const struct argp_option common_options[] = {
	{ "output", 'o', "FORMAT", 0, "text (the default) or json", 1 },
	{ "socket", OPT_SOCKET, "PATH", 0, "the agent's socket (" NETLOOM_AGENT_SOCKET ")", 2 },
	{ "bpf-dir", OPT_BPF_DIR, "DIR", 0, "where maps are pinned (" NETLOOM_BPF_DIR ")", 2 },
	{},
};
static const struct argp_option status_options[] = {
	{ "wait", OPT_WAIT, "SECONDS", OPTION_ARG_OPTIONAL,
	  "wait until the node is ready, 60 seconds at most unless said otherwise", 0 },
	{},
};
static const struct argp_option dump_options[] = {
	{ "ip", OPT_IP, "ADDRESS", 0, "only entries with this address, or a range around it", 0 },
	{ "pod", OPT_POD, "NAMESPACE/NAME", 0, "only entries of this pod", 0 },
	{ "port", OPT_PORT, "NUMBER", 0, "only entries with this port", 0 },
	{ "filter", OPT_FILTER, "TEXT", 0, "only entries that hold this text (of -o json)", 0 },
	{},
};
static const struct argp_option events_options[] = {
	{ "follow", 'f', NULL, 0, "go on with new ones as they come", 0 },
	{ "last", OPT_LAST, "N", 0, "so many of those that were (20)", 0 },
	{ "filter", OPT_FILTER, "TEXT", 0, "only events that hold this text (of -o json)", 0 },
	{},
};
static const struct argp_option history_options[] = {
	{ "last", OPT_LAST, "N", 0, "only the last N", 0 },
	{},
};

static const struct argp_option explain_options[] = {
	{ "FROM", 0, NULL, OPTION_DOC,
	  "a pod (NAMESPACE/NAME), an address, a node's name, or host for this node", 1 },
	{ "TO", 0, NULL, OPTION_DOC, "as FROM, with [:PORT[/PROTO]]; without a port it is a ping",
	  1 },
	{ "service TO", 0, NULL, OPTION_DOC,
	  "a service (NAMESPACE/NAME[:PORT]), by the port's number or name", 1 },
	{ "flow", OPT_FLOW, "PORT", 0,
	  "a packet of the flow that there is from this source port, not of a new one", 0 },
	{ "local", OPT_LOCAL, NULL, 0, "what this node does with it; do not ask other nodes", 0 },
	{},
};

#define MAX_ARGS 3

static const struct command {
	const char *name, *args, *about; /* args: "" when it takes none */
	const struct argp_option *options;
	int (*run)(const struct ctl *c);
} commands[] = {
	{ "status", "", "is this node well, and if not, why", status_options, cmd_status },
	{ "nodes", "", "the cluster's nodes as this one sees them", NULL, cmd_nodes },
	{ "pods", "", "pods on this node", NULL, cmd_pods },
	{ "ipam", "", "addresses of this node's pods, used and free", NULL, cmd_ipam },
	{ "services", "[NAMESPACE/NAME]", "services as this node serves them, or one in full", NULL,
	  cmd_services },
	{ "policies", "[NAMESPACE/POD]", "policies of this node's pods, or one pod's rules", NULL,
	  cmd_policies },
	{ "denied", "[NAMESPACE[/POD]]", "what policy denied, whose, and how many packets", NULL,
	  cmd_denied },
	{ "dump", "[TABLE]", "the data plane's live tables, or a list of them", dump_options,
	  cmd_dump },
	{ "events", "", "packets that were dropped, and why", events_options, cmd_events },
	{ "history", "", "what the agent did, and what came of it", history_options, cmd_history },
	{ "explain", "FROM [service] TO", "what becomes of a packet, on each node, and why",
	  explain_options, cmd_explain },
	{ "version", "", "of this program and of the agent", NULL, cmd_version },
	{},
};

/* "; did you mean 'status'?", or "". */
static const char *meant(const char *name, char *buf, size_t len)
{
	const char *names[ARRAY_SIZE(commands)], *nearest;
	size_t n = 0;

	for (const struct command *cmd = commands; cmd->name; cmd++)
		names[n++] = cmd->name;
	nearest = config_nearest(name, names, n);
	buf[0] = '\0';
	if (nearest)
		snprintf(buf, len, "; did you mean '%s'?", nearest);
	return buf;
}

static const struct command *command_find(const char *name)
{
	for (const struct command *cmd = commands; cmd->name; cmd++)
		if (strcmp(cmd->name, name) == 0)
			return cmd;
	return NULL;
}

/* ---- options ---- */

static unsigned long number(struct argp_state *state, const char *what, const char *text,
			    unsigned long max)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v == 0 || v > max)
		argp_error(state, "%s: want a number from 1 to %lu, found '%s'", what, max, text);
	return v;
}

static void set_output(struct argp_state *state, struct ctl *c, const char *arg)
{
	if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
		argp_error(state, "-o: want text or json, found '%s'", arg);
	c->json = strcmp(arg, "json") == 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct ctl *c = state->input;

	switch (key) {
	case 'o':
		set_output(state, c, arg);
		return 0;
	case 'f':
		c->follow = true;
		return 0;
	case OPT_SOCKET:
		c->socket = arg;
		return 0;
	case OPT_BPF_DIR:
		c->bpf_dir = arg;
		return 0;
	case OPT_WAIT:
		c->wait = true;
		c->wait_s = arg ? number(state, "--wait", arg, 86400) : 0;
		return 0;
	case OPT_LAST:
		c->last = number(state, "--last", arg, 1000000);
		return 0;
	case OPT_FILTER:
		c->filter = arg;
		return 0;
	case OPT_IP:
		c->ip = arg;
		return 0;
	case OPT_POD:
		c->pod = arg;
		return 0;
	case OPT_PORT:
		c->port = number(state, "--port", arg, 65535);
		return 0;
	case OPT_FLOW:
		c->flow = number(state, "--flow", arg, 65535);
		return 0;
	case OPT_LOCAL:
		c->local = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

struct command_input {
	const struct command *cmd;
	struct ctl *c;
	char *args[MAX_ARGS];
};

/* One for each word of what the help says, at most. */
static unsigned int max_args(const struct command *cmd)
{
	unsigned int n = *cmd->args != '\0';

	for (const char *s = cmd->args; *s; s++)
		n += *s == ' ';
	return n;
}

static error_t parse_command(int key, char *arg, struct argp_state *state)
{
	struct command_input *in = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = in->c;
		state->child_inputs[1] = in->c;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= MIN(MAX_ARGS, max_args(in->cmd)))
			argp_error(state, "'%s' is one argument too many", arg);
		in->args[state->arg_num] = arg;
		in->c->n_args = state->arg_num + 1;
		in->c->arg = in->args[0];
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int run_command(const struct command *cmd, int argc, char **argv, struct ctl *c)
{
	const struct argp common = { common_options, parse_option, NULL, NULL, NULL, NULL, NULL };
	const struct argp own = { cmd->options, parse_option, NULL, NULL, NULL, NULL, NULL };
	const struct argp_child children[] = { { &own, 0, NULL, 0 },
					       { &common, 0, "Common options:", 10 },
					       {} };
	const struct argp argp = {
		NULL, parse_command, cmd->args, cmd->about, children, NULL, NULL
	};
	struct command_input in = { .cmd = cmd, .c = c };
	static char name[64];
	int code;

	snprintf(name, sizeof(name), "netloom %s", cmd->name);
	argv[0] = name;
	c->args = in.args;
	if (argp_parse(&argp, argc, argv, 0, NULL, &in))
		return CTL_USAGE;
	curl_global_init(CURL_GLOBAL_NOTHING);
	code = cmd->run(c);
	return fflush(stdout) || ferror(stdout) ? CTL_FAILED : code;
}

/* ---- before the command ---- */

struct top {
	struct ctl *c;
	int command_at; /* index in argv; 0 = none */
};

static error_t parse_top(int key, char *arg, struct argp_state *state)
{
	struct top *top = state->input;
	char hint[64];

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = top->c;
		return 0;
	case ARGP_KEY_ARG:
		if (!command_find(arg))
			argp_error(state, "there is no command '%s'%s", arg,
				   meant(arg, hint, sizeof(hint)));
		top->command_at = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_state_help(state, stderr, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
		exit(CTL_USAGE);
	}
	return ARGP_ERR_UNKNOWN;
}

/* The list of commands is made from the table, so that it can't forget one. */
static char *list_commands(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f;

	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)text;
	f = open_memstream(&out, &len);
	if (!f)
		return (char *)text;
	fputs("Looks at netloom on this node.\n\nCommands:\n", f);
	for (const struct command *cmd = commands; cmd->name; cmd++)
		fprintf(f, "  %-8s %-17s %s\n", cmd->name, cmd->args, cmd->about);
	fputs("\n'netloom COMMAND --help' says more. Exit codes: 0 well, 1 not healthy or failed, "
	      "2 wrong usage, 3 the agent can't be reached.\n",
	      f);
	fclose(f);
	return out;
}

int main(int argc, char **argv)
{
	struct ctl c = { .out = stdout,
			 .complain = stderr,
			 .socket = NETLOOM_AGENT_SOCKET,
			 .bpf_dir = NETLOOM_BPF_DIR };
	const struct argp common = { common_options, parse_option, NULL, NULL, NULL, NULL, NULL };
	const struct argp_child children[] = { { &common, 0, "Common options:", 10 }, {} };
	const struct argp argp = { NULL,	  parse_top, "COMMAND [OPTION...]", " ", children,
				   list_commands, NULL };
	struct top top = { .c = &c };

	argp_err_exit_status = CTL_USAGE;
	argp_program_version = "netloom " NETLOOM_VERSION;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &top);
	if (!top.command_at)
		return CTL_USAGE;
	return run_command(command_find(argv[top.command_at]), argc - top.command_at,
			   argv + top.command_at, &c);
}
