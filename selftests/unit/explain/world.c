// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/explain/world.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bpf/native/native.h"
#include "lib/base/addr.h"
#include "lib/bpf/pins.h"
#include "lib/bpf/walk.h"
#include "lib/explain/explain.h"
#include "lib/json/json.h"

static char bpffs[] = "/tmp/nlt-explain-XXXXXX";
static char dir[64];

static int pin_maps(struct err *e)
{
	for (size_t i = 0; native_maps[i]; i++) {
		const char *name = native_maps[i]->name;
		int err = pin_put(target_bpf_map_fd(name), dir, PIN_MAP, name, e);

		if (err < 0)
			return err;
	}
	return 0;
}

static bool uses_map(const struct bpf_prog_info *info, const uint32_t *ids, uint32_t map)
{
	for (uint32_t i = 0; i < info->nr_map_ids; i++)
		if (ids[i] == map)
			return true;
	return false;
}

/* The program of this test's own maps: others may have been loaded on this machine. */
static int pin_program(struct err *e)
{
	struct map_shape shape;
	uint32_t id = 0;

	map_shape(target_bpf_map_fd("loom_state"), &shape);
	while (bpf_prog_get_next_id(id, &id) == 0) {
		uint32_t ids[64], len;
		struct bpf_prog_info info = { .nr_map_ids = 64, .map_ids = (uintptr_t)ids };
		_cleanup_(closep) int fd = bpf_prog_get_fd_by_id(id);

		len = sizeof(info);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
			continue;
		if (!strcmp(info.name, "loom_from_pod") && uses_map(&info, ids, shape.id))
			return pin_put(fd, dir, PIN_PROG, "loom_from_pod", e);
	}
	return -ENOENT;
}

int node_start(void)
{
	struct err e = {};
	int err;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(bpffs) || mount("bpf", bpffs, "bpf", 0, NULL) < 0)
		return -errno;
	snprintf(dir, sizeof(dir), "%s/netloom", bpffs);
	err = target_bpf.start();
	if (!err)
		err = pins_prepare(dir, &e);
	if (!err)
		err = pin_maps(&e);
	if (!err)
		err = pin_program(&e);
	return err;
}

void node_stop(void)
{
	target_bpf.stop();
	umount2(bpffs, MNT_DETACH);
	rmdir(bpffs);
}

int node_send(const struct flow *f, struct target_verdict *ret)
{
	static uint16_t sport = 20000;
	struct packet in = { .src = world_addr(f->from, f->family),
			     .dst = world_addr(f->to, f->family),
			     .proto = f->port ? f->proto : IPPROTO_ICMP,
			     .icmp_type = 8,
			     .tcp_flags = 2,
			     .ttl = 64,
			     .sport = sport++,
			     .dport = f->port };
	struct target_packet bytes;

	memcpy(in.smac, f->from == B ? mac_b : mac_a, 6);
	memcpy(in.dmac, f->from == B ? hmac_b : hmac_a, 6);
	world_set_link(&target_bpf, f->hook, f->from);
	packet_build(&in, &bytes);
	if (f->hook == LOOM_HOOK_FROM_OVERLAY) {
		bytes.vni = LOOM_DEFAULT_VNI;
		bytes.outer_src = world_addr(NODE2, 4);
	}
	*ret = (struct target_verdict){};
	if (target_bpf.run(f->hook, &bytes, ret) < 0)
		return -EIO;
	world_set_link(&target_bpf, LOOM_HOOK_FROM_POD, A); /* as it was for explain */
	return ret->reason;
}

static struct said run(const char *socket, bool local, bool json, unsigned int flow,
		       const char *from, const char *to)
{
	char *words[] = { (char *)from, (char *)to };
	struct ctl c = { .socket = socket,
			 .local = local,
			 .bpf_dir = dir,
			 .json = json,
			 .flow = flow,
			 .args = words,
			 .n_args = 2 };
	struct said s = {};
	size_t out_len, complaint_len;

	c.out = open_memstream(&s.out, &out_len);
	c.complain = open_memstream(&s.complaint, &complaint_len);
	s.code = cmd_explain(&c);
	fclose(c.out);
	fclose(c.complain);
	if (json)
		json_parse(s.out, out_len, &s.result, NULL);
	return s;
}

struct said node_explain(const char *socket, bool json, unsigned int flow, const char *from,
			 const char *to)
{
	return run(socket, true, json, flow, from, to);
}

struct said node_explain_way(const char *socket, bool json, const char *from, const char *to)
{
	return run(socket, false, json, 0, from, to);
}

struct said node_explain_flow(const struct flow *f)
{
	union loom_addr from = world_addr(f->from, f->family), to = world_addr(f->to, f->family);
	char src[ADDR_STRLEN], dst[ADDR_STRLEN], place[ADDR_STRLEN + 16];

	addr_format(&from, src);
	addr_format(&to, dst);
	if (f->port)
		snprintf(place, sizeof(place), "[%s]:%u/%s", dst, f->port,
			 f->proto == IPPROTO_UDP ? "udp" : "tcp");
	else
		snprintf(place, sizeof(place), "%s", dst);
	return node_explain("/nonexistent/agent.sock", true, 0, src, place);
}

struct json_object *node_explain_half(const struct flow *f, bool arrives)
{
	const struct explain_names nobody = {};
	struct explain_question q = { .src = world_addr(f->from, f->family),
				      .dst = world_addr(f->to, f->family),
				      .port = f->port,
				      .proto = f->proto,
				      .arrives = arrives };
	struct json_object *half = NULL;

	return explain_half(&q, dir, &nobody, 0, &half, NULL) < 0 ? NULL : half;
}

void said_release(struct said *s)
{
	json_object_put(s->result);
	free(s->out);
	free(s->complaint);
}

struct json_object *said_step_json(const struct said *s, const char *step, bool last)
{
	struct json_object *half = json_object_array_get_idx(json_field(s->result, "halves"), 0);
	struct json_object *steps = json_field(half, "steps"), *found = NULL;

	for (size_t i = 0; steps && i < json_object_array_length(steps); i++) {
		struct json_object *o = json_object_array_get_idx(steps, i);

		if (strcmp(json_object_get_string(json_field(o, "step")), step) == 0 &&
		    (last || !found))
			found = o;
	}
	return found;
}

const char *said_step(const struct said *s, const char *step)
{
	return json_object_get_string(json_field(said_step_json(s, step, false), "text")) ?: "";
}
