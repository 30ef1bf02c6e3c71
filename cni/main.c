// SPDX-License-Identifier: Apache-2.0
/*
 * The CNI plugin that kubelet and containerd run. It checks what it was given, asks the agent over
 * gRPC and prints the answer: one short-lived, static process that holds no state, except for a DEL
 * that the agent could not take, which goes to the spool.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/cni_spool.h"
#include "cni/params.h"
#include "cni/spool.h"
#include "headers/api/cni.pb-c.h"
#include "lib/base/clock.h"
#include "lib/base/utf8.h"
#include "lib/grpc/grpc.h"
#include "lib/json/json.h"
#include "version.h"

#define SERVICE "/netloom.cni.v1.Cni/"

struct verb {
	const char *name, *method;
	unsigned int need; /* enum param */
	enum cni_version since;
	enum cni_code away; /* when the agent does not answer */
};

static const struct verb verbs[] = {
	{ "ADD", SERVICE "Add", PARAM_CONTAINERID | PARAM_NETNS | PARAM_IFNAME | PARAM_PATH,
	  CNI_0_3_1, CNI_TRY_AGAIN },
	{ "DEL", SERVICE "Del", PARAM_CONTAINERID | PARAM_IFNAME, CNI_0_3_1, CNI_TRY_AGAIN },
	{ "CHECK", SERVICE "Check", PARAM_CONTAINERID | PARAM_NETNS | PARAM_IFNAME | PARAM_PATH,
	  CNI_0_4_0, CNI_TRY_AGAIN },
	{ "GC", SERVICE "Gc", PARAM_PATH, CNI_1_1_0, CNI_TRY_AGAIN },
	{ "STATUS", SERVICE "Status", 0, CNI_1_1_0, CNI_UNAVAILABLE },
};
static const struct verb *const verb_del = &verbs[1], *const verb_status = &verbs[4];
static const char *const versions[] = CNI_VERSIONS;

/* The runtime may be gone: then there is nobody to tell. */
static void print(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		len -= n;
	}
}

static void print_json(struct json_object *obj)
{
	const char *text = json_text(obj);

	print(text, strlen(text));
	print("\n", 1);
}

static int print_failure(enum cni_version version, const struct failure *f)
{
	_json_ *obj = json_object_new_object();
	char msg[4 * sizeof(f->msg)], details[4 * sizeof(f->details)];

	/* They quote the environment, which may hold any bytes; JSON may not. */
	json_add_str(obj, "cniVersion", versions[version]);
	json_add_int(obj, "code", f->code);
	json_add_str(obj, "msg", utf8_escape(f->msg, msg, sizeof(msg)));
	if (f->details[0])
		json_add_str(obj, "details", utf8_escape(f->details, details, sizeof(details)));
	print_json(obj);
	return 1;
}

/* Heap, NUL-terminated. */
static int read_stdin(char **ret, size_t *ret_len, struct failure *f)
{
	_cleanup_(freep) char *buf = NULL;
	size_t len = 0, cap = 0;
	ssize_t n;

	do {
		if (len + 1 >= cap) {
			char *p = realloc(buf, cap = cap ? cap * 2 : 16384);

			if (!p)
				return fail(f, CNI_IO, NULL, "out of memory");
			buf = p;
		}
		n = read(STDIN_FILENO, buf + len, cap - len - 1);
		if (n < 0 && errno != EINTR)
			return fail(f, CNI_IO, strerror(errno), "cannot read standard input");
		len += n > 0 ? n : 0;
		if (len > CNI_MAX_CONFIG)
			return fail(f, CNI_DECODE, NULL,
				    "network configuration is larger than %u bytes",
				    CNI_MAX_CONFIG);
	} while (n != 0);
	buf[len] = 0;
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

/*
 * Needs nothing and checks nothing, so that a runtime can always ask. The specification wants the
 * version of the question in the answer; whatever cannot be read as such is not repeated.
 */
static int do_version(void)
{
	_json_ *obj = json_object_new_object(), *list = json_object_new_array(), *conf = NULL;
	const char *asked = versions[CNI_N_VERSIONS - 1], *v = asked;
	_cleanup_(freep) char *text = NULL;
	struct failure f;
	size_t len;

	if (!isatty(STDIN_FILENO) && read_stdin(&text, &len, &f) == 0 &&
	    json_parse(text, len, &conf, NULL) == 0)
		json_opt_str(conf, "cniVersion", &v, NULL);
	for (int i = 0; i < CNI_N_VERSIONS; i++) {
		json_append_str(list, versions[i]);
		if (!strcmp(v, versions[i]))
			asked = versions[i];
	}
	json_add_str(obj, "cniVersion", asked);
	json_add(obj, "supportedVersions", TAKE_PTR(list));
	print_json(obj);
	return 0;
}

/* A pod's interface made in the node's own namespace would take the node's network down. */
static int check_netns(const struct params *p, struct failure *f)
{
	struct stat own, given;

	if (p->netns_override || !*p->netns)
		return 0;
	if (stat(p->netns, &given) < 0)
		return fail(f, CNI_BAD_NETNS, strerror(errno), "CNI_NETNS: cannot open '%.200s'",
			    p->netns);
	if (stat("/proc/self/ns/net", &own) == 0 && own.st_dev == given.st_dev &&
	    own.st_ino == given.st_ino)
		return fail(f, CNI_BAD_NETNS, NULL,
			    "CNI_NETNS: '%.200s' is the plugin's own network namespace", p->netns);
	return 0;
}

/* Heap; NULL on out-of-memory. */
static uint8_t *pack(const struct params *p, const char *conf, size_t conf_len, size_t *ret_len)
{
	Netloom__Cni__V1__CniRequest req = NETLOOM__CNI__V1__CNI_REQUEST__INIT;
	uint8_t *buf;

	req.container_id = (char *)p->container_id;
	req.netns = (char *)p->netns;
	req.ifname = (char *)p->ifname;
	req.args = (char *)p->args;
	req.path = (char *)p->path;
	req.traceparent = (char *)p->traceparent;
	req.config = (ProtobufCBinaryData){ .len = conf_len, .data = (uint8_t *)conf };
	buf = malloc(netloom__cni__v1__cni_request__get_packed_size(&req) + 1);
	if (buf)
		*ret_len = netloom__cni__v1__cni_request__pack(&req, buf);
	return buf;
}

/* The pod goes whether the agent is there or not; it hears of it when it is back. */
static int keep_del(const struct network_config *c, const struct params *p, struct failure *f)
{
	struct params kept = { .container_id = p->container_id,
			       .netns = p->netns,
			       .ifname = p->ifname,
			       .args = "",
			       .path = "",
			       .traceparent = "" };
	_cleanup_(freep) uint8_t *msg = NULL;
	struct err e = {};
	size_t len = 0;

	msg = pack(&kept, NULL, 0, &len);
	if (!msg)
		return fail(f, CNI_TRY_AGAIN, NULL, "out of memory");
	if (spool_write(c->spool_dir, p->container_id, p->ifname, msg, len, &e) < 0)
		return fail(f, CNI_TRY_AGAIN, e.msg,
			    "the agent is away and the DEL cannot be kept for it");
	return 0;
}

static int print_reply(const struct network_config *c, const struct grpc_reply *reply,
		       struct failure *f)
{
	Netloom__Cni__V1__CniReply *msg =
		netloom__cni__v1__cni_reply__unpack(NULL, reply->len, reply->msg);
	int ret = 0;

	if (!msg)
		return fail(f, CNI_TRY_AGAIN, NULL, "the agent's answer cannot be read");
	if (msg->code) {
		fail(f, msg->code, msg->details, "%s", msg->msg);
		ret = -EINVAL;
	} else if (msg->result.len > 0) {
		print((const char *)msg->result.data, msg->result.len);
		print("\n", 1);
	}
	netloom__cni__v1__cni_reply__free_unpacked(msg, NULL);
	return ret;
}

/*
 * An agent that is started again is back within seconds. A runtime that heard of that would call
 * the node's network not ready, and Kubernetes would take all pods of the node out of their
 * Services: the pods, who have lost no packet. So STATUS waits a little for an agent that is away.
 */
static int ask_patiently(const struct verb *v, const struct network_config *c, const uint8_t *msg,
			 size_t len, struct grpc_reply *reply, struct err *e)
{
	uint64_t until = clock_ms() + (v == verb_status ? c->status_wait_ms : 0);

	for (;;) {
		int err = grpc_unary(c->socket, v->method, msg, len, c->timeout_ms, reply, e);
		bool away = err < 0 ? err != -ETIMEDOUT : reply->status == GRPC_UNAVAILABLE;

		if (!away || clock_ms() >= until)
			return err;
		grpc_reply_clear(reply);
		*e = (struct err){};
		poll(NULL, 0, 100);
	}
}

static int ask(const struct verb *v, const struct network_config *c, const struct params *p,
	       const char *conf, size_t conf_len, struct failure *f)
{
	_cleanup_(grpc_reply_clear) struct grpc_reply reply = {};
	_cleanup_(freep) uint8_t *msg = NULL;
	struct err e = {};
	size_t len = 0;
	int err;

	msg = pack(p, conf, conf_len, &len);
	if (!msg)
		return fail(f, CNI_TRY_AGAIN, NULL, "out of memory");
	err = ask_patiently(v, c, msg, len, &reply, &e);
	if (err == 0 && reply.status == GRPC_OK)
		return print_reply(c, &reply, f);
	if (v == verb_del)
		return keep_del(c, p, f);
	if (err < 0)
		return fail(f, v->away, e.msg, "the netloom agent does not answer");
	return fail(f, v->away, reply.message,
		    "the netloom agent refused the call (gRPC status %d)", reply.status);
}

static int run(const struct verb *v, enum cni_version *ret_version, struct failure *f)
{
	_cleanup_(network_config_clear) struct network_config c = {};
	_cleanup_(freep) char *conf = NULL;
	struct params p;
	size_t len;

	if (params_read(v->need, &p, f) < 0 || read_stdin(&conf, &len, f) < 0)
		return -EINVAL;
	if (network_config_parse(conf, len, &c, f) < 0)
		return -EINVAL;
	*ret_version = c.version;
	if (c.version < v->since)
		return fail(f, CNI_BAD_VERSION, NULL, "cniVersion %s does not have %s",
			    versions[c.version], v->name);
	if ((v->need & PARAM_NETNS) && check_netns(&p, f) < 0)
		return -EINVAL;
	return ask(v, &c, &p, conf, len, f);
}

int main(int argc, char **argv)
{
	const char *command = getenv("CNI_COMMAND");
	enum cni_version version = CNI_1_1_0;
	struct failure f = {};

	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("netloom-cni " NETLOOM_VERSION);
		return 0;
	}
	if (!command || !*command) {
		fprintf(stderr,
			"netloom-cni %s: a CNI plugin, to be run by a container runtime; "
			"CNI versions 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
			NETLOOM_VERSION);
		fail(&f, CNI_BAD_ENV, NULL, "required environment variables missing: CNI_COMMAND");
		return print_failure(version, &f);
	}
	if (!strcmp(command, "VERSION"))
		return do_version();
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(command, verbs[i].name))
			return run(&verbs[i], &version, &f) < 0 ? print_failure(version, &f) : 0;
	}
	fail(&f, CNI_BAD_ENV, NULL, "CNI_COMMAND: '%.32s' is unknown", command);
	return print_failure(version, &f);
}
