// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/image.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define LOG_NAME "datapath"
#include "lib/base/log.h"

/* libbpf's callback has no argument, so what it warned about last is kept here. */
static char last_warning[256];
static char verifier_says[256];

/* The last lines before the log's summary are where the verifier says why. */
static void keep_verifier_tail(const char *log)
{
	const char *end = strstr(log, "processed ");
	size_t len = end ? (size_t)(end - log) : strlen(log);
	size_t take = MIN(len, sizeof(verifier_says) - 1);

	memcpy(verifier_says, log + len - take, take);
	verifier_says[take] = '\0';
	for (char *c = verifier_says; *c; c++)
		if (*c == '\n')
			*c = ' ';
}

static int on_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	int len = vasprintf(&text, fmt, args);

	if (len <= 0)
		return 0;
	if (text[len - 1] == '\n')
		text[len - 1] = '\0';
	if (level == LIBBPF_WARN && strstr(text, "BEGIN PROG LOAD LOG"))
		keep_verifier_tail(text);
	else if (level == LIBBPF_WARN)
		snprintf(last_warning, sizeof(last_warning), "%s", text);
	if (level != LIBBPF_DEBUG)
		log_debug("%s", text);
	return 0;
}

void image_quiet_libbpf(void)
{
	libbpf_set_print(on_message);
}

/* Where the variable lies in .rodata: 0 and its place, or -ENOENT. */
static int find_variable(struct bpf_object *obj, const char *name, uint32_t *ret_offset,
			 uint32_t *ret_size)
{
	const struct btf *btf = bpf_object__btf(obj);
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -ENOENT;
	const struct btf_type *sec = id > 0 ? btf__type_by_id(btf, id) : NULL;
	const struct btf_var_secinfo *var = sec ? btf_var_secinfos(sec) : NULL;

	for (int i = 0; sec && i < btf_vlen(sec); i++, var++) {
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, t->name_off), name) != 0)
			continue;
		*ret_offset = var->offset;
		*ret_size = var->size;
		return 0;
	}
	return -ENOENT;
}

static struct bpf_map *rodata_map(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *dot = strchr(bpf_map__name(map), '.');

		if (dot && strcmp(dot, ".rodata") == 0)
			return map;
	}
	return NULL;
}

static int set_config(struct bpf_object *obj, const struct loom_config *cfg, struct err *e)
{
	struct bpf_map *map = rodata_map(obj);
	_cleanup_(freep) char *data = NULL;
	const void *initial = NULL;
	uint32_t offset, size;
	size_t len = 0;

	if (map)
		initial = bpf_map__initial_value(map, &len);
	if (!initial || find_variable(obj, "loom_cfg", &offset, &size) < 0)
		return err_set(e, -EINVAL, "the BPF object has no variable loom_cfg");
	if (size != sizeof(*cfg) || offset + size > len)
		return err_set(e, -EINVAL,
			       "the BPF object's loom_cfg has %u bytes, the agent's %zu: they are "
			       "of different versions",
			       size, sizeof(*cfg));
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	memcpy(data, initial, len);
	memcpy(data + offset, cfg, sizeof(*cfg));
	((struct loom_config *)(void *)(data + offset))->size = sizeof(*cfg);
	return bpf_map__set_initial_value(map, data, len);
}

static int set_sizes(struct bpf_object *obj, const struct image_config *c, struct err *e)
{
	for (size_t i = 0; i < c->n_sizes; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, c->sizes[i].map);
		int err = map ? bpf_map__set_max_entries(map, c->sizes[i].max_entries) : -ENOENT;

		if (err < 0)
			return err_errno(e, err, "the size of %s", c->sizes[i].map);
	}
	return 0;
}

int image_open(const struct image_config *c, size_t i, struct bpf_object **ret, struct err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "loom");
	_cleanup_(bpf_object__closep) struct bpf_object *obj = NULL;
	int err;

	obj = bpf_object__open_mem(c->objects[i].elf, c->objects[i].elf_len, &opts);
	if (!obj) {
		err = -errno;
		return err_errno(e, err, "the BPF object %s can't be read (%s)", c->objects[i].name,
				 last_warning);
	}
	err = set_config(obj, &c->cfg, e);
	if (err < 0)
		return err;
	err = i == 0 ? set_sizes(obj, c, e) : 0;
	if (err < 0)
		return err;
	*ret = TAKE_PTR(obj);
	return 0;
}

int image_load(struct bpf_object *obj, struct err *e)
{
	int err;

	last_warning[0] = verifier_says[0] = '\0';
	err = bpf_object__load(obj);
	if (err < 0)
		return err_errno(e, err, "the BPF object does not load (%s)%s%s", last_warning,
				 verifier_says[0] ? "; the verifier: " : "", verifier_says);
	return 0;
}

static void mix(unsigned __int128 *h, const void *data, size_t len)
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++)
		*h = (*h ^ b[i]) * prime;
}

void image_fingerprint(const struct image_config *c, struct fingerprint *ret)
{
	unsigned __int128 h = (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
	struct utsname u = {};

	for (size_t i = 0; i < c->n_objects; i++)
		mix(&h, c->objects[i].elf, c->objects[i].elf_len);
	mix(&h, &c->cfg, sizeof(c->cfg));
	for (size_t i = 0; i < c->n_sizes; i++) {
		mix(&h, c->sizes[i].map, strlen(c->sizes[i].map));
		mix(&h, &c->sizes[i].max_entries, sizeof(c->sizes[i].max_entries));
	}
	uname(&u);
	mix(&h, u.release, strlen(u.release));
	mix(&h, u.version, strlen(u.version));
	memcpy(ret->b, &h, sizeof(ret->b));
}
