/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent as main() and tests see it: modules, one event loop, one queue of events (event.h), one
 * scheduler (scheduler.h), one HTTP server. It knows no module by name: it gets a list of them.
 *
 *	agent_new(&cfg, agent_modules, &a, &e);
 *	code = agent_run(a);       until agent_stop() or a signal
 *	agent_free(a);             leaves the node as it is
 */
#include "agent/core/agent_config.h"
#include "agent/core/module.h"

/*
 * Sorts and starts the modules, and listens. `cfg` is borrowed until agent_free(). Fails, having
 * stopped what it started: -EBUSY another agent has paths.state; -EINVAL a module needs one that is
 * missing, or itself; or what a module said.
 */
int agent_new(const struct agent_config *cfg, const struct module *const *modules,
	      struct agent **ret, struct err *e);
/* Turns the loop until agent_stop(); returns its exit code. */
int agent_run(struct agent *a);
void agent_free(struct agent *a); /* accepts NULL */
DEFINE_FREEP(struct agent, agent_free)

/* Modules in the order of their needs, else in the order given. `ret` has room for all of `list`
 * and its NULL. The error names the module and what it needs, or the circle. */
int modules_sort(const struct module *const *list, const struct module **ret, struct err *e);

bool agent_is_ready(const struct agent *a);
