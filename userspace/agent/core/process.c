// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/core/agent_int.h"
#include "lib/httpd/httpd.h"

/* The names that Prometheus' client libraries use, so that common dashboards work. */

struct usage {
	double cpu_s, start_s, virtual_bytes, resident_bytes;
};

static double boot_time_s(void)
{
	_cleanup_(freep) char *line = NULL;
	unsigned long long t = 0;
	size_t size = 0;
	FILE *f = fopen("/proc/stat", "re");

	while (f && getline(&line, &size, f) > 0)
		if (sscanf(line, "btime %llu", &t) == 1)
			break;
	if (f)
		fclose(f);
	return t;
}

/* proc(5): fields 14, 15, 22, 23, 24, counted after the command's name, which may hold anything. */
static int read_stat(struct usage *ret)
{
	unsigned long long utime, stime, start, vsize;
	long rss, hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
	char buf[1024], *at;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n;

	if (!f)
		return -1;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = 0;
	at = strrchr(buf, ')');
	if (!at || sscanf(at + 1,
			  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
			  "%*d %*d %llu %llu %ld",
			  &utime, &stime, &start, &vsize, &rss) != 5)
		return -1;
	*ret = (struct usage){
		.cpu_s = (double)(utime + stime) / hz,
		.start_s = boot_time_s() + (double)start / hz,
		.virtual_bytes = vsize,
		.resident_bytes = (double)rss * page,
	};
	return 0;
}

static unsigned int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the folder itself */
}

void process_metrics(struct metrics *m)
{
	struct rlimit fds;
	struct usage u;

	if (read_stat(&u) == 0) {
		metrics_sample(m, "process_cpu_seconds_total", METRIC_COUNTER,
			       "User and system CPU time.", u.cpu_s, NULL);
		metrics_sample(m, "process_start_time_seconds", METRIC_GAUGE,
			       "Start, in seconds since 1970.", u.start_s, NULL);
		metrics_sample(m, "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory.",
			       u.resident_bytes, NULL);
		metrics_sample(m, "process_virtual_memory_bytes", METRIC_GAUGE, "Virtual memory.",
			       u.virtual_bytes, NULL);
	}
	metrics_sample(m, "process_open_fds", METRIC_GAUGE, "Open file descriptors.", count_fds(),
		       NULL);
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0)
		metrics_sample(m, "process_max_fds", METRIC_GAUGE,
			       "File descriptors that may be open.", fds.rlim_cur, NULL);
}
