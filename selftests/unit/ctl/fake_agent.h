/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An agent that knows a few answers by heart: a child process on a unix socket in a fresh folder.
 */
#include <sys/types.h>

struct fake_answer {
	const char *path; /* with query */
	int status;
	const char *body;
};

struct fake_agent {
	char dir[32];
	char socket[64];
	pid_t pid;
};

/* Serves `answers` (ending with a NULL path; 404 for others) until it is stopped. 0 or -errno. */
int fake_agent_start(struct fake_agent *f, const struct fake_answer *answers);
void fake_agent_stop(struct fake_agent *f);
