// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/name.h"
#include "lib/explain/private.h"
#include "lib/json/json.h"

static const struct {
	const char *name;
	uint8_t proto;
} protos[] = { { "TCP", IPPROTO_TCP },
	       { "UDP", IPPROTO_UDP },
	       { "SCTP", IPPROTO_SCTP },
	       { "ICMP", IPPROTO_ICMP } };

const char *explain_proto_name(uint8_t proto)
{
	static char number[8];

	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	if (proto == IPPROTO_ICMPV6)
		return "ICMP";
	snprintf(number, sizeof(number), "%u", proto);
	return number;
}

int explain_proto_parse(const char *text, uint8_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		if (strcasecmp(text, protos[i].name) != 0)
			continue;
		*ret = protos[i].proto;
		return 0;
	}
	return -EINVAL;
}

const char *explain_place(const union loom_addr *addr, uint16_t port, uint8_t proto,
			  char buf[static EXPLAIN_PLACE_LEN])
{
	char text[ADDR_STRLEN];
	bool v6 = !addr_is_v4(addr);

	addr_format(addr, text);
	if (!port)
		snprintf(buf, EXPLAIN_PLACE_LEN, "%s", text);
	else
		snprintf(buf, EXPLAIN_PLACE_LEN, "%s%s%s:%u/%s", v6 ? "[" : "", text, v6 ? "]" : "",
			 port, explain_proto_name(proto));
	return buf;
}

/* ---- questions ---- */

static int read_addr(struct json_object *o, const char *field, union loom_addr *ret, struct err *e)
{
	const char *text;
	int err = json_get_str(o, field, &text, e);

	if (err < 0)
		return -EINVAL;
	err = addr_parse(text, ret, e);
	return err < 0 ? err_prefix(e, "%s", field) : 0;
}

static int read_proto(struct json_object *o, struct explain_question *q, struct err *e)
{
	const char *text = q->port ? "TCP" : "ICMP";

	if (json_opt_str(o, "protocol", &text, e) < 0)
		return -EINVAL;
	if (explain_proto_parse(text, &q->proto) < 0)
		return err_set(e, -EINVAL, "protocol: '%.32s': want TCP, UDP, SCTP or ICMP", text);
	if ((q->proto == IPPROTO_ICMP) != !q->port)
		return err_set(e, -EINVAL, "port: %u with protocol %s", q->port, text);
	return 0;
}

int explain_question_parse(struct json_object *o, struct explain_question *ret, struct err *e)
{
	struct explain_question q = {};
	int64_t port = 0, flow = 0;

	if (read_addr(o, "from", &q.src, e) < 0 || read_addr(o, "to", &q.dst, e) < 0)
		return -EINVAL;
	if (addr_is_v4(&q.src) != addr_is_v4(&q.dst))
		return err_set(e, -EINVAL, "from and to: want addresses of one family");
	if (json_opt_int(o, "port", 0, UINT16_MAX, &port, e) < 0 ||
	    json_opt_int(o, "flow", 0, UINT16_MAX, &flow, e) < 0 ||
	    json_opt_bool(o, "host", &q.host, e) < 0 ||
	    json_opt_bool(o, "arrives", &q.arrives, e) < 0)
		return -EINVAL;
	q.port = port;
	q.flow = flow;
	if (read_proto(o, &q, e) < 0)
		return -EINVAL;
	*ret = q;
	return 0;
}

struct json_object *explain_question_json(const struct explain_question *q)
{
	struct json_object *o = json_object_new_object();
	char text[ADDR_STRLEN];

	if (!o)
		return NULL;
	json_add_str(o, "from", addr_format(&q->src, text));
	json_add_str(o, "to", addr_format(&q->dst, text));
	json_add_str(o, "protocol", explain_proto_name(q->proto));
	if (q->port)
		json_add_int(o, "port", q->port);
	if (q->flow)
		json_add_int(o, "flow", q->flow);
	if (q->host)
		json_add_bool(o, "host", true);
	if (q->arrives)
		json_add_bool(o, "arrives", true);
	return o;
}

/* ---- on the way ---- */

int explain_letter_parse(const char *text, size_t len, struct explain_letter *ret, struct err *e)
{
	struct explain_letter l = {};
	const char *asker;
	_json_ *o = NULL;

	if (len > EXPLAIN_MAX_LETTER)
		return err_set(e, -E2BIG, "%zu bytes; a question has at most %u", len,
			       EXPLAIN_MAX_LETTER);
	if (json_parse(text, len, &o, e) < 0 || json_get_str(o, "asker", &asker, e) < 0 ||
	    json_get_int(o, "until", 0, INT64_MAX, &l.until_ms, e) < 0)
		return -EINVAL;
	if (!name_is_subdomain(asker) || strlen(asker) >= sizeof(l.asker))
		return err_set(e, -EINVAL, "asker: '%.64s' is no name of a node", asker);
	memcpy(l.asker, asker, strlen(asker) + 1);
	if (explain_question_parse(json_field(o, "question"), &l.question, e) < 0)
		return err_prefix(e, "question");
	*ret = l;
	return 0;
}

struct json_object *explain_letter_json(const struct explain_letter *l)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "asker", l->asker);
	json_add_int(o, "until", l->until_ms);
	json_add(o, "question", explain_question_json(&l->question));
	return o;
}

/* ---- to others ---- */

const char *question_command(const struct explain_question *q, char buf[static COMMAND_STRLEN])
{
	char from[EXPLAIN_PLACE_LEN], to[EXPLAIN_PLACE_LEN], flow[24] = "";

	if (q->flow)
		snprintf(flow, sizeof(flow), "--flow %u ", q->flow);
	snprintf(buf, COMMAND_STRLEN, "netloom explain %s%s %s", flow,
		 q->host ? "host" : explain_place(&q->src, 0, 0, from),
		 explain_place(&q->dst, q->port, q->proto, to));
	return buf;
}

struct json_object *other_json(uint32_t id, const char *node, const struct explain_question *q)
{
	struct json_object *o = json_object_new_object();
	char command[COMMAND_STRLEN];

	json_add_int(o, "id", id);
	json_add_str(o, "node", node);
	json_add(o, "question", explain_question_json(q));
	json_add_str(o, "command", question_command(q, command));
	return o;
}
