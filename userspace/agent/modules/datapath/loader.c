// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/loader.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/build.h"
#include "agent/modules/datapath/cgroup.h"
#include "agent/modules/datapath/mapdef.h"
#include "agent/modules/datapath/xdp.h"
#include "lib/bpf/pins.h"
#include "lib/bpf/tables.h"

#define LOG_NAME "datapath"
#include "lib/base/log.h"
#include "shared/loom_maps.h"

/* A map of which the pin still shows the old one. */
struct moving {
	char name[32];
	int old_fd, new_fd;
	enum map_fate fate; /* MAP_COPY or MAP_REPLACE */
};

struct load {
	const char *dir;
	const struct image_config *image;
	struct bpf_object *objs[IMAGE_OBJECTS];
	struct loaded *l;
	struct moving moving[LOADED_MAX];
	size_t n_moving;
};

/* ---- adopting ---- */

static int adopt_object(struct load *ld, const struct bpf_object *obj, struct err *e)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_program(prog, obj)
	{
		const char *name = bpf_program__name(prog);

		err = loaded_keep_prog(ld->l, name, pin_open(ld->dir, PIN_PROG, name, e));
		if (err < 0)
			return err;
	}
	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);

		if (bpf_map__is_internal(map) || loaded_map(ld->l, name))
			continue;
		err = loaded_keep_map(ld->l, name, pin_open(ld->dir, PIN_MAP, name, e));
		if (err < 0)
			return err;
	}
	return 0;
}

static int adopt(struct load *ld, uint16_t refused, struct err *e)
{
	for (size_t i = 0; i < ld->image->n_objects; i++) {
		int err = refused & 1 << i ? 0 : adopt_object(ld, ld->objs[i], e);

		if (err < 0)
			return err;
	}
	ld->l->how = LOAD_ADOPTED;
	return 0;
}

/* ---- maps ---- */

static int finish_map(const char *dir, const char *name, struct err *e)
{
	_cleanup_(closep) int from = pin_open(dir, PIN_MAP, name, NULL);
	_cleanup_(closep) int to = -1;
	struct map_copy copy = {};
	struct map_shape a, b;
	char beside[64];

	snprintf(beside, sizeof(beside), "%s" PIN_NEW, name);
	to = pin_open(dir, PIN_MAP, beside, e);
	if (to < 0)
		return to;
	if (from >= 0 && map_shape(from, &a) == 0 && map_shape(to, &b) == 0 &&
	    a.key_size == b.key_size && a.value_size == b.value_size && !map_is_percpu(&a) &&
	    a.type != BPF_MAP_TYPE_RINGBUF)
		map_copy(from, to, true, &copy);
	log_warn("map '%s': finishing a replacement that was cut short", name);
	return pin_promote(dir, PIN_MAP, name, e);
}

struct leftover {
	const char *dir;
	bool swapping;
	struct err *e;
};

static int settle_leftover(const char *pin, void *arg)
{
	struct leftover *l = arg;
	size_t len = strlen(pin), tail = strlen(PIN_NEW);
	char name[64];

	if (len <= tail || len >= sizeof(name) || strcmp(pin + len - tail, PIN_NEW) != 0)
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(len - tail), pin);
	return l->swapping ? finish_map(l->dir, name, l->e) : pin_remove(l->dir, PIN_MAP, pin);
}

/* Maps that lie beside their place: in use already if a swap was under way, else of no worth. */
static int settle(const char *dir, bool swapping, struct err *e)
{
	struct leftover l = { dir, swapping, e };

	return pin_foreach(dir, PIN_MAP, settle_leftover, &l);
}

/* The object shall use a map that there is already. */
static int use_map(struct bpf_map *map, int fd, struct err *e)
{
	int err = bpf_map__reuse_fd(map, fd);

	return err < 0 ? err_errno(e, err, "can't use the map '%s'", bpf_map__name(map)) : 0;
}

static int plan_map(struct load *ld, struct bpf_object *obj, struct bpf_map *map, struct err *e)
{
	const char *name = bpf_map__name(map), *why = NULL;
	_cleanup_(closep) int fd = pin_open(ld->dir, PIN_MAP, name, NULL);
	struct moving *mv = &ld->moving[ld->n_moving];
	const struct loaded_map *shared = loaded_map(ld->l, name);
	enum map_fate fate;

	if (shared)
		return use_map(map, shared->fd, e);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(e, fd, "the pinned map '%s'", name);
	fate = mapdef_fate(map, obj, fd, &why);
	if (fate == MAP_REUSE)
		return use_map(map, fd, e);
	if (ld->n_moving == LOADED_MAX)
		return -E2BIG;
	if (fate == MAP_COPY)
		log_info("map '%s': %s; its entries move to a new one", name, why);
	else if (table_of_map(name))
		log_warn("map '%s': %s; it starts empty", name, why ?: "it can't be read");
	snprintf(mv->name, sizeof(mv->name), "%s", name);
	mv->old_fd = TAKE_FD(fd);
	mv->new_fd = -1;
	mv->fate = fate;
	ld->n_moving++;
	return 0;
}

static int plan_maps(struct load *ld, struct bpf_object *obj, struct err *e)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		int err = bpf_map__is_internal(map) ? 0 : plan_map(ld, obj, map, e);

		if (err < 0)
			return err;
	}
	return 0;
}

static void plan_none_since(struct load *ld, size_t n)
{
	while (ld->n_moving > n)
		close(ld->moving[--ld->n_moving].old_fd);
}

static int copy_moving(struct load *ld, bool delta, struct err *e)
{
	for (size_t i = 0; i < ld->n_moving; i++) {
		struct moving *mv = &ld->moving[i];
		struct map_copy n = {};
		int err;

		mv->new_fd = loaded_map_fd(ld->l, mv->name);
		if (mv->fate != MAP_COPY)
			continue;
		err = map_copy(mv->old_fd, mv->new_fd, delta, &n);
		if (err < 0)
			return err_errno(e, err, "copying map '%s'", mv->name);
		if (n.left)
			log_warn("map '%s': %u entries fit no longer and are lost", mv->name,
				 n.left);
		log_info("map '%s': %u entries %s", mv->name, n.copied,
			 delta ? "came in meanwhile" : "copied");
	}
	return 0;
}

static bool is_moving(const struct load *ld, const char *name)
{
	for (size_t i = 0; i < ld->n_moving; i++)
		if (strcmp(ld->moving[i].name, name) == 0)
			return true;
	return false;
}

/* Generations are never 0, so that entries of zeros never look current. */
static int start_generations(struct loaded *l, struct err *e)
{
	int fd = loaded_map_fd(l, "loom_state");
	struct loom_state s = {};
	uint32_t zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &s) < 0)
		return err_set(e, -ENOENT, "the BPF object has no map loom_state");
	if (s.policy_gen && s.route_gen)
		return 0;
	s.policy_gen = s.policy_gen ?: 1;
	s.route_gen = s.route_gen ?: 1;
	if (bpf_map_update_elem(fd, &zero, &s, BPF_ANY) < 0)
		return err_errno(e, -errno, "writing loom_state");
	return 0;
}

/* ---- loading ---- */

static int duplicate(int fd)
{
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int keep_all(struct load *ld, const struct bpf_object *obj, struct err *e)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_program(prog, obj)
	{
		const char *name = bpf_program__name(prog);

		err = loaded_keep_prog(ld->l, name, duplicate(bpf_program__fd(prog)));
		if (err < 0)
			return err_errno(e, err, "program %s", name);
	}
	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);

		if (bpf_map__is_internal(map) || loaded_map(ld->l, name))
			continue;
		err = loaded_keep_map(ld->l, name, duplicate(bpf_map__fd(map)));
		if (err < 0)
			return err_errno(e, err, "map %s", name);
	}
	return 0;
}

/* All but the first object may be refused: the node does without what is in it. */
static int load_object(struct load *ld, size_t i, uint16_t *refused, struct err *e)
{
	size_t n_moving = ld->n_moving;
	int err = plan_maps(ld, ld->objs[i], e) ?: image_load(ld->objs[i], e);

	if (err == 0)
		return keep_all(ld, ld->objs[i], e);
	if (i == 0)
		return err;
	log_warn("%s is left out: %s", ld->image->objects[i].name, e->msg);
	plan_none_since(ld, n_moving);
	*refused |= 1 << i;
	return 0;
}

static int load_objects(struct load *ld, uint16_t *ret_refused, struct err *e)
{
	uint16_t refused = 0;

	for (size_t i = 0; i < ld->image->n_objects; i++) {
		int err = load_object(ld, i, &refused, e);

		if (err < 0)
			return err;
	}
	*ret_refused = refused;
	return 0;
}

static int pin_all(struct load *ld, struct err *e)
{
	char beside[64];
	int err = 0;

	for (size_t i = 0; i < ld->l->n_maps && !err; i++) {
		const struct loaded_map *m = &ld->l->maps[i];

		snprintf(beside, sizeof(beside), "%s" PIN_NEW, m->name);
		if (is_moving(ld, m->name))
			err = pin_put(m->fd, ld->dir, PIN_MAP, beside, e);
		else if (!pin_exists(ld->dir, PIN_MAP, m->name))
			err = pin_put(m->fd, ld->dir, PIN_MAP, m->name, e);
	}
	for (size_t i = 0; i < ld->l->n_progs && !err; i++)
		err = pin_put(ld->l->progs[i].fd, ld->dir, PIN_PROG, ld->l->progs[i].name, e);
	return err;
}

static int swap_programs(struct load *ld, struct err *e)
{
	const struct loaded_prog *xdp = loaded_prog(ld->l, XDP_PROG);
	struct attacher a = { ld->dir, ld->l->mode };
	int n = xdp ? xdp_swap(ld->dir, xdp->fd, e) : 0;

	if (n < 0)
		return n;
	for (const struct attach_hook *h = attach_hooks; h->prog; h++) {
		const struct loaded_prog *p = loaded_prog(ld->l, h->prog);
		int err = p ? attach_swap(&a, h, p->fd, e) : 0;

		if (err < 0)
			return err;
		n += err;
	}
	for (const struct cgroup_hook *h = cgroup_hooks; h->prog; h++) {
		const struct loaded_prog *p = loaded_prog(ld->l, h->prog);
		int err = p ? cgroup_swap(ld->dir, h, p->fd, e) : 0;

		if (err < 0)
			return err;
		n += err;
	}
	if (n)
		log_info("programs replaced in place: %d", n);
	return 0;
}

struct stale {
	const struct load *ld;
	enum pin_kind kind;
};

static int remove_stale(const char *name, void *arg)
{
	const struct stale *s = arg;
	bool known = s->kind == PIN_PROG ? loaded_prog(s->ld->l, name) != NULL
					 : loaded_map(s->ld->l, name) || !strcmp(name, BUILD_MAP);

	if (known)
		return 0;
	log_info("pin '%s' is of no use to this version; removed", name);
	pin_remove(s->ld->dir, s->kind, name);
	return 0;
}

static int promote_maps(struct load *ld, struct err *e)
{
	for (size_t i = 0; i < ld->n_moving; i++) {
		int err = pin_promote(ld->dir, PIN_MAP, ld->moving[i].name, e);

		if (err < 0)
			return err;
	}
	pin_foreach(ld->dir, PIN_PROG, remove_stale, &(struct stale){ ld, PIN_PROG });
	pin_foreach(ld->dir, PIN_MAP, remove_stale, &(struct stale){ ld, PIN_MAP });
	return 0;
}

static enum attach_mode choose_mode(const struct loaded *l, bool force_clsact)
{
	const struct loaded_prog *p = loaded_prog(l, "loom_from_pod");

	if (force_clsact || !p)
		return ATTACH_CLSACT;
	return attach_mode_probe(p->fd);
}

static int load_new(struct load *ld, struct build_record *b, bool force_clsact, struct err *e)
{
	int err;

	err = load_objects(ld, &b->refused, e);
	if (err < 0)
		return err;
	ld->l->mode = choose_mode(ld->l, force_clsact);
	err = copy_moving(ld, false, e) ?: start_generations(ld->l, e) ?: pin_all(ld, e);
	if (err < 0)
		return err;
	b->phase = BUILD_SWAPPING;
	err = build_write(ld->dir, b, e) ?: swap_programs(ld, e) ?: copy_moving(ld, true, e) ?:
	      promote_maps(ld, e);
	if (err < 0)
		return err;
	b->phase = BUILD_STABLE;
	return build_write(ld->dir, b, e);
}

static int run(struct load *ld, bool force_clsact, struct err *e)
{
	struct build_record now = {}, was;
	int err;

	image_fingerprint(ld->image, &now.print);
	err = build_read(ld->dir, &was, e) ?: settle(ld->dir, was.phase == BUILD_SWAPPING, e);
	if (err < 0)
		return err;
	if (was.phase == BUILD_STABLE && memcmp(&was.print, &now.print, sizeof(now.print)) == 0) {
		err = adopt(ld, was.refused, NULL);
		if (!err) {
			ld->l->mode = choose_mode(ld->l, force_clsact);
			return 0;
		}
		log_warn("a pinned program or map is missing; loading all of them anew");
		loaded_forget(ld->l);
	}
	ld->l->how = was.phase == BUILD_NONE ? LOAD_FRESH : LOAD_REPLACED;
	return load_new(ld, &now, force_clsact, e);
}

static int open_objects(struct load *ld, struct err *e)
{
	for (size_t i = 0; i < ld->image->n_objects; i++) {
		int err = image_open(ld->image, i, &ld->objs[i], e);

		if (err < 0)
			return err;
	}
	return 0;
}

static void load_release(struct load *ld)
{
	plan_none_since(ld, 0);
	for (size_t i = 0; i < ld->image->n_objects; i++)
		bpf_object__close(ld->objs[i]);
}

int loader_run(const char *dir, const struct image_config *image, bool force_clsact,
	       struct loaded **ret, struct err *e)
{
	_cleanup_(loaded_freep) struct loaded *l = calloc(1, sizeof(*l));
	_cleanup_(load_release) struct load ld = { .dir = dir, .image = image, .l = l };
	int err;

	if (!l)
		return -ENOMEM;
	err = pins_prepare(dir, e) ?: open_objects(&ld, e) ?: run(&ld, force_clsact, e);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(l);
	return 0;
}
