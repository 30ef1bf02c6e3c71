// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include "agent/core/agent.h"
#include "agent/modules/modules.h"
#include "api/paths.h"
#include "lib/base/log.h"
#include "lib/program/program.h"
#include "version.h"

static const char doc[] =
	"The node agent of netloom: wires pods, and fills the data plane from etcd.\v"
	"SIGTERM and SIGINT stop it and leave the node as it is: traffic goes on. "
	"Exit status: 0 stopped, 1 could not start or failed, 2 configuration, 64 usage.";

static int load(const char *path, void *config, struct err *e)
{
	return agent_config_load(path, config, e);
}

static void release(void *config)
{
	agent_config_free(config);
}

static int run(const void *config)
{
	const struct agent_config *cfg = config;
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
	struct agent_config cfg = {};
	const struct program program = {
		.name = "netloom-agent",
		.version = NETLOOM_VERSION,
		.doc = doc,
		.config_path = NETLOOM_AGENT_CONFIG,
		.fields = agent_config_fields,
		.n_fields = agent_config_n_fields,
		.config = &cfg,
		.log_level = &cfg.log_level,
		.load = load,
		.release = release,
		.run = run,
	};

	return program_main(&program, argc, argv);
}
