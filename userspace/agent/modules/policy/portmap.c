// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/portmap.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"

static const struct {
	const char *name;
	uint8_t proto;
} protos[] = { { "TCP", IPPROTO_TCP }, { "UDP", IPPROTO_UDP }, { "SCTP", IPPROTO_SCTP } };

uint8_t proto_parse(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (strcmp(protos[i].name, name) == 0)
			return protos[i].proto;
	return 0;
}

const char *proto_name(uint8_t proto)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return "any";
}

/* ---- reading ---- */

struct ports {
	struct portmap *map;
	size_t room;
};

static int add_port(struct ports *p, struct strs *strs, const char *name, uint8_t proto, int port)
{
	struct str *s = str_get(strs, name);
	struct portmap *m = p->map;

	if (!s)
		return -ENOMEM;
	if (m->n == p->room) {
		m = realloc(m, sizeof(*m) + (p->room * 2 + 4) * sizeof(m->v[0]));
		if (!m) {
			str_put(s);
			return -ENOMEM;
		}
		p->map = m;
		p->room = p->room * 2 + 4;
	}
	m->v[m->n] = (struct named_port){ .name = s, .place = m->n, .port = port, .proto = proto };
	m->n++;
	return 0;
}

static int read_port(struct ports *p, struct strs *strs, struct json_object *obj, struct err *e)
{
	const char *name = NULL, *proto = "TCP";
	int64_t port = 0;
	int err = json_opt_str(obj, "name", &name, e);

	if (!err)
		err = json_opt_str(obj, "protocol", &proto, e);
	if (!err)
		err = json_get_int(obj, "containerPort", 1, 65535, &port, e);
	if (err < 0)
		return err;
	if (!proto_parse(proto))
		return err_set(e, -EINVAL, "protocol: '%.32s' is none of TCP, UDP, SCTP", proto);
	if (!name || !*name)
		return 0;
	err = add_port(p, strs, name, proto_parse(proto), port);
	return err < 0 ? err_set(e, err, "out of memory") : 0;
}

static bool stays(struct json_object *container)
{
	const char *restart = "";

	json_opt_str(container, "restartPolicy", &restart, NULL);
	return strcmp(restart, "Always") == 0;
}

static int read_containers(struct ports *p, struct strs *strs, struct json_object *spec,
			   const char *field, bool init, struct err *e)
{
	struct json_object *list = NULL, *ports;

	if (json_opt_array(spec, field, &list, e) < 0)
		return e ? e->code : -EINVAL;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *c = json_object_array_get_idx(list, i);

		if (init && !stays(c))
			continue;
		ports = NULL;
		if (json_opt_array(c, "ports", &ports, e) < 0)
			return err_prefix(e, "%s[%zu]", field, i);
		for (size_t k = 0; ports && k < json_object_array_length(ports); k++)
			if (read_port(p, strs, json_object_array_get_idx(ports, k), e) < 0)
				return err_prefix(e, "%s[%zu].ports[%zu]", field, i, k);
	}
	return 0;
}

/* ---- keeping ---- */

static void discard(struct portmap *m)
{
	for (uint32_t i = 0; m && i < m->n; i++)
		str_put(m->v[i].name);
	if (m)
		free(m->key);
	free(m);
}

static int by_name(const void *va, const void *vb)
{
	const struct named_port *a = va, *b = vb;

	if (a->name != b->name)
		return strcmp(a->name->text, b->name->text);
	return a->proto != b->proto ? (int)a->proto - b->proto : a->place > b->place ? 1 : -1;
}

/* Of those that are the same but for the number the first counts. */
static void keep_firsts(struct portmap *m)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		struct named_port *p = &m->v[i], *last = kept ? &m->v[kept - 1] : NULL;

		if (last && last->name == p->name && last->proto == p->proto)
			str_put(p->name);
		else
			m->v[kept++] = *p;
	}
	m->n = kept;
}

static char *key_of(const struct portmap *m)
{
	char *key = NULL;
	size_t len;
	FILE *f = open_memstream(&key, &len);

	if (!f)
		return NULL;
	for (uint32_t i = 0; i < m->n; i++)
		fprintf(f, "%zu:%s/%u=%u,", strlen(m->v[i].name->text), m->v[i].name->text,
			m->v[i].proto, m->v[i].port);
	if (fclose(f) == 0)
		return key;
	free(key);
	return NULL;
}

/* Takes `m`. NULL: out of memory. */
static struct portmap *intern(struct portmaps *maps, struct portmap *m)
{
	struct portmap *same = NULL;

	if (m->n)
		qsort(m->v, m->n, sizeof(m->v[0]), by_name);
	keep_firsts(m);
	m->key = key_of(m);
	if (m->key)
		HASH_FIND_STR(maps->all, m->key, same);
	if (!m->key || same) {
		discard(m);
		return same ? portmap_ref(same) : NULL;
	}
	m->of = maps;
	m->refs = 1;
	HASH_ADD_KEYPTR(hh, maps->all, m->key, strlen(m->key), m);
	return m;
}

int portmap_read(struct portmaps *maps, struct json_object *spec, struct portmap **ret,
		 struct err *e)
{
	struct ports p = { .map = calloc(1, sizeof(*p.map)) };
	struct portmap *m;
	struct err own = {};

	e = e ?: &own;
	if (!p.map)
		return err_set(e, -ENOMEM, "out of memory");
	if (read_containers(&p, maps->strs, spec, "containers", false, e) < 0 ||
	    read_containers(&p, maps->strs, spec, "initContainers", true, e) < 0) {
		discard(p.map);
		return err_prefix(e, "spec");
	}
	m = intern(maps, p.map);
	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = m;
	return 0;
}

struct portmap *portmap_chosen(const struct portmap *m)
{
	struct portmap *ret = calloc(1, sizeof(*ret) + m->n * sizeof(m->v[0]));

	if (!ret)
		return NULL;
	for (uint32_t i = 0; i < m->n; i++) {
		if (!m->v[i].name->chosen)
			continue;
		ret->v[ret->n] = m->v[i];
		str_ref(ret->v[ret->n++].name);
	}
	return intern(m->of, ret);
}

struct portmap *portmap_ref(struct portmap *m)
{
	m->refs++;
	return m;
}

void portmap_put(struct portmap *m)
{
	if (!m || --m->refs)
		return;
	HASH_DEL(m->of->all, m);
	discard(m);
}
