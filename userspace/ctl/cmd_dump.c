// SPDX-License-Identifier: Apache-2.0
/* netloom dump: the pinned maps, with names in place of numbers. Needs no agent. */
#include <errno.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/addr.h"
#include "lib/base/clock.h"
#include "lib/bpf/pins.h"
#include "lib/json/json.h"
#include "shared/loom_limits.h"

struct dump {
	const struct ctl *c;
	struct json_object *rows;
	union loom_addr ip;
};

static bool ends_with(const char *s, const char *tail)
{
	size_t a = strlen(s), b = strlen(tail);

	return a >= b && strcmp(s + a - b, tail) == 0;
}

/* A field that is an address, or a prefix around it. */
static bool field_has_ip(struct json_object *v, const union loom_addr *ip)
{
	const char *s = json_object_get_string(v);
	union loom_addr addr;
	struct prefix p;

	if (!json_object_is_type(v, json_type_string))
		return false;
	if (addr_parse(s, &addr, NULL) == 0)
		return addr_equal(&addr, ip);
	return prefix_parse(s, &p, NULL) == 0 && prefix_contains(&p, ip);
}

static bool record_has_ip(struct json_object *record, const union loom_addr *ip)
{
	json_object_object_foreach(record, name, v)
	{
		(void)name;
		if (field_has_ip(v, ip))
			return true;
	}
	return false;
}

static bool record_has_port(struct json_object *record, unsigned int port)
{
	json_object_object_foreach(record, name, v)
	{
		if (ends_with(name, "Port") && json_object_get_int64(v) == port)
			return true;
	}
	return false;
}

static bool record_has_name(struct json_object *record, const char *who)
{
	json_object_object_foreach(record, name, v)
	{
		if (ends_with(name, "Name") && json_object_is_type(v, json_type_string) &&
		    strcmp(json_object_get_string(v), who) == 0)
			return true;
	}
	return false;
}

static bool wanted(const struct dump *d, struct json_object *record)
{
	const struct ctl *c = d->c;

	return (!c->ip || record_has_ip(record, &d->ip)) &&
	       (!c->port || record_has_port(record, c->port)) &&
	       (!c->pod || record_has_name(record, c->pod)) &&
	       (!c->filter ||
		strstr(json_object_to_json_string_ext(
			       record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		       c->filter));
}

static int on_record(struct json_object *record, void *arg)
{
	const struct dump *d = arg;

	if (wanted(d, record))
		return json_append(d->rows, record);
	json_object_put(record);
	return 0;
}

static void list_tables(FILE *out)
{
	fputs("tables:\n", out);
	for (const struct table *t = tables; t->name; t++)
		fprintf(out, "  %-9s %s (%s)\n", t->name, t->about, t->map);
}

static struct json_object *table_list(struct json_object *list)
{
	for (const struct table *t = tables; t->name; t++) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "name", t->name);
		json_add_str(o, "map", t->map);
		json_add_str(o, "about", t->about);
		json_append(list, o);
	}
	return list;
}

static int read_table(const struct ctl *c, const struct table *t, struct dump *d, struct err *e)
{
	_cleanup_(names_freep) struct names *names = NULL;
	_cleanup_(closep) int fd = -1;
	struct table_names resolver;
	int err = names_new(c, &names);

	if (err < 0)
		return err;
	if (c->pod && !names_known(names))
		return err_set(e, -ENOTCONN,
			       "--pod: names are known to the agent, and none answers at '%s'; "
			       "--ip works without",
			       c->socket);
	if (c->pod && !names_has(names, c->pod))
		return err_set(e, -ESRCH,
			       "--pod: no pod '%s' on this node; --ip finds those of other nodes",
			       c->pod);
	fd = pin_open_map_readonly(c->bpf_dir, t->map, e);
	if (fd < 0)
		return fd;
	resolver = names_resolver(names);
	resolver.now_tick = clock_ns() >> LOOM_TICK_SHIFT;
	return table_read(fd, t, &resolver, on_record, d, e);
}

static int complain(const struct ctl *c, int err, const struct err *e)
{
	fprintf(c->complain, "netloom: %s\n", e->msg[0] ? e->msg : strerror(-err));
	if (err == -ENOENT)
		fputs("  the data plane of this node was not loaded yet, or its pins are elsewhere "
		      "(paths.bpf in the agent's configuration): say --bpf-dir DIR\n",
		      c->complain);
	else if (err == -EPERM || err == -EACCES)
		fputs("  maps are for root only: try with sudo\n", c->complain);
	return CTL_FAILED;
}

int cmd_dump(const struct ctl *c)
{
	_json_ *rows = json_object_new_array();
	struct dump d = { .c = c, .rows = rows };
	const struct table *t;
	struct err e = {};
	int err;

	if (!c->arg) {
		if (c->json)
			print_json(c->out, table_list(rows));
		else
			list_tables(c->out);
		return CTL_OK;
	}
	t = table_find(c->arg);
	if (!t) {
		fprintf(c->complain, "netloom: there is no table '%s'\n", c->arg);
		list_tables(c->complain);
		return CTL_USAGE;
	}
	if (c->ip && addr_parse(c->ip, &d.ip, &e) < 0) {
		fprintf(c->complain, "netloom: --ip %s\n", e.msg);
		return CTL_USAGE;
	}
	if (c->pod && !strchr(c->pod, '/')) {
		fprintf(c->complain, "netloom: --pod: want NAMESPACE/NAME, found '%s'\n", c->pod);
		return CTL_USAGE;
	}
	err = read_table(c, t, &d, &e);
	if (err < 0)
		return complain(c, err, &e);
	if (c->json)
		print_json(c->out, rows);
	else
		print_table(c->out, t->columns, rows);
	return CTL_OK;
}
