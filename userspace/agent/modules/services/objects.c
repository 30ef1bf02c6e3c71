// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "services"
#include "agent/modules/services/objects.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/db/db.h"
#include "lib/base/log.h"

/* ---- services ---- */

struct service *service_get(struct services *s, const char *key, const char *title)
{
	struct service *svc;

	HASH_FIND_STR(s->all, key, svc);
	if (svc)
		return svc;
	svc = calloc(1, sizeof(*svc));
	if (!svc)
		return NULL;
	svc->key = strdup(key);
	svc->title = title ? strdup(title) : svc->key;
	if (!svc->key || !svc->title) {
		if (svc->title != svc->key)
			free(svc->title);
		free(svc->key);
		free(svc);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, s->all, svc->key, strlen(svc->key), svc);
	return svc;
}

void service_mark(struct services *s, struct service *svc)
{
	if (!svc || svc->dirty)
		return;
	svc->dirty = true;
	svc->next_dirty = s->dirty;
	s->dirty = svc;
}

void services_mark_all(struct services *s)
{
	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		service_mark(s, svc);
}

void service_gone(struct services *s, struct service *svc)
{
	while (svc->slices && !svc->slices->key)
		slice_drop(s, svc->slices);
	svc->gone = true;
	service_mark(s, svc);
}

static void service_free(struct services *s, struct service *svc)
{
	service_forget(s, svc);
	HASH_DEL(s->all, svc);
	service_object_free(svc->obj);
	problems_clear(&svc->problems);
	if (svc->title != svc->key)
		free(svc->title);
	free(svc->key);
	free(svc);
}

void service_forget_empty(struct services *s, struct service *svc)
{
	if (svc->obj || svc->slices || svc->programs || svc->dirty)
		return;
	service_free(s, svc);
}

int object_set_service(struct services *s, const char *key, struct json_object *obj)
{
	struct service *svc = service_get(s, key, NULL);
	struct service_object *read;

	if (!svc)
		return -ENOMEM;
	svc->seen = true;
	if (!obj) {
		service_gone(s, svc);
		return 0;
	}
	read = service_object_new(obj);
	if (!read)
		return -ENOMEM;
	service_object_free(svc->obj);
	svc->obj = read;
	svc->gone = false;
	service_mark(s, svc);
	return 0;
}

/* ---- slices ---- */

void slice_drop(struct services *s, struct slice *sl)
{
	struct slice **at;

	for (at = sl->service ? &sl->service->slices : NULL; at && *at; at = &(*at)->next)
		if (*at == sl) {
			*at = sl->next;
			break;
		}
	service_mark(s, sl->service);
	if (sl->key)
		HASH_DEL(s->slices, sl);
	slice_object_free(sl->obj);
	free(sl->key);
	free(sl);
}

/* The service that a slice of that key names; made when it is not known yet. */
static struct service *owner(struct services *s, const char *key, const char *service)
{
	const char *slash = strchr(key, '/');
	char name[600];

	if (!slash || !*service)
		return NULL;
	snprintf(name, sizeof(name), "%.*s/%s", (int)(slash - key), key, service);
	return service_get(s, name, NULL);
}

static struct slice *slice_new(struct services *s, const char *key, struct json_object *obj)
{
	struct slice *sl = calloc(1, sizeof(*sl));

	if (!sl)
		return NULL;
	sl->key = strdup(key);
	sl->obj = slice_object_new(obj);
	if (!sl->key || !sl->obj) {
		slice_object_free(sl->obj);
		free(sl->key);
		free(sl);
		return NULL;
	}
	return sl;
}

int object_set_slice(struct services *s, const char *key, struct json_object *obj)
{
	struct slice *sl = NULL, *old;

	/* The old one goes last: without memory it stays. */
	if (obj) {
		sl = slice_new(s, key, obj);
		if (!sl)
			return -ENOMEM;
	}
	HASH_FIND_STR(s->slices, key, old);
	if (old)
		slice_drop(s, old);
	if (!sl)
		return 0;
	sl->seen = true;
	sl->service = owner(s, key, sl->obj->service);
	if (sl->service) {
		sl->next = sl->service->slices;
		sl->service->slices = sl;
		service_mark(s, sl->service);
	}
	HASH_ADD_KEYPTR(hh, s->slices, sl->key, strlen(sl->key), sl);
	return 0;
}

/* ---- all of them ---- */

static int load_service(const char *key, struct json_object *value, void *arg)
{
	return object_set_service(arg, key + strlen(KEY_SERVICE), value);
}

static int load_slice(const char *key, struct json_object *value, void *arg)
{
	return object_set_slice(arg, key + strlen(KEY_SLICE), value);
}

int objects_resync(struct services *s)
{
	struct slice *sl, *next;
	int err;

	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		svc->seen = false;
	for (sl = s->slices; sl; sl = sl->hh.next)
		sl->seen = false;
	err = db_foreach(s->agent, KEY_SERVICE, load_service, s);
	if (!err)
		err = db_foreach(s->agent, KEY_SLICE, load_slice, s);
	if (err)
		return err;
	HASH_ITER (hh, s->slices, sl, next)
		if (!sl->seen)
			slice_drop(s, sl);
	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		if (!svc->seen && !(svc->obj && svc->obj->host_ports))
			service_gone(s, svc);
	return 0;
}

void objects_release(struct services *s)
{
	struct service *svc, *next_svc;
	struct slice *sl, *next_sl;

	HASH_ITER (hh, s->slices, sl, next_sl)
		slice_drop(s, sl);
	HASH_ITER (hh, s->all, svc, next_svc) {
		while (svc->slices)
			slice_drop(s, svc->slices);
		service_free(s, svc);
	}
}

/* ---- what is wrong ---- */

struct telling {
	uint64_t hash;
	size_t n;
	char first[700];
};

static void tell_all(struct telling *t, const char *of, const struct problems *p)
{
	t->hash = problems_hash(p, t->hash);
	if (!t->n && p->n)
		snprintf(t->first, sizeof(t->first), "%s%s%s", of, *of ? ": " : "", p->v[0]);
	t->n += p->n + p->more;
}

static void tell_front(struct telling *t, const struct frontend *f)
{
	char why[700], addr[ADDR_STRLEN], text[800];
	struct problems one = {};

	if (!front_problem(f, why, sizeof(why)))
		return;
	snprintf(text, sizeof(text), "%s port %u: %s", addr_format(&f->key->key.addr, addr),
		 ntohs(f->key->key.port), why);
	problems_add(&one, "%s", text);
	tell_all(t, "", &one);
	problems_clear(&one);
}

void service_tell(struct service *svc)
{
	struct telling t = {};

	if (svc->obj)
		tell_all(&t, "", &svc->obj->problems);
	tell_all(&t, "", &svc->problems);
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		tell_all(&t, sl->key ?: "", &sl->obj->problems);
	for (const struct program *p = svc->programs; p; p = p->next)
		for (int family = 0; family < 2; family++)
			for (const struct frontend *f = p->sides[family].fronts; f;
			     f = f->next_of_side)
				tell_front(&t, f);
	if (t.hash && t.hash != svc->told)
		log_limited(LOG_LVL_WARN, 20, "service '%s': %s%s", svc->title, t.first,
			    t.n > 1 ? " (and more)" : "");
	svc->told = t.hash;
}
