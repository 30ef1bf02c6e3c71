// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/ctl/fake_agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve_one(int fd, const struct fake_answer *answers)
{
	char request[4096] = "", path[512] = "", head[256];
	struct fake_answer a = { "", 404, "{\"error\":\"no such path\"}" };
	size_t len = 0;
	ssize_t n;

	while (!strstr(request, "\r\n\r\n") && len < sizeof(request) - 1 &&
	       (n = read(fd, request + len, sizeof(request) - 1 - len)) > 0) {
		len += n;
		request[len] = '\0';
	}
	sscanf(request, "%*s %511s ", path);
	for (; answers->path; answers++)
		if (strcmp(answers->path, path) == 0)
			a = *answers;
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", a.status,
		     strlen(a.body));
	if (write(fd, head, n) == n && write(fd, a.body, strlen(a.body)) < 0)
		perror("write");
}

static void serve(int listener, const struct fake_answer *answers)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(1);
		serve_one(fd, answers);
		close(fd);
	}
}

int fake_agent_start(struct fake_agent *f, const struct fake_answer *answers)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	snprintf(f->dir, sizeof(f->dir), "/tmp/nlt-ctl-XXXXXX");
	if (!mkdtemp(f->dir))
		return -errno;
	snprintf(f->socket, sizeof(f->socket), "%s/agent.sock", f->dir);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", f->socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 8) < 0)
		return -errno;
	f->pid = fork();
	if (f->pid == 0)
		serve(fd, answers);
	close(fd);
	return f->pid < 0 ? -errno : 0;
}

void fake_agent_stop(struct fake_agent *f)
{
	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		waitpid(f->pid, NULL, 0);
	}
	unlink(f->socket);
	rmdir(f->dir);
}
