// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent.h"

enum mark { UNSEEN, OPEN, DONE };

struct sorting {
	const struct module *const *list;
	size_t n, n_sorted;
	enum mark *marks;
	const struct module **ret;
	size_t *path; /* modules being looked at */
	size_t depth;
};

static size_t find(const struct sorting *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->list[i]->name, name) == 0)
			break;
	return i;
}

static int circle(const struct sorting *s, size_t back_to, struct err *e)
{
	char text[256] = "";
	size_t used = 0, from = 0;

	while (s->path[from] != back_to)
		from++;
	for (size_t i = from; i < s->depth && used < sizeof(text); i++)
		used += snprintf(text + used, sizeof(text) - used, "'%s' needs ",
				 s->list[s->path[i]]->name);
	return err_set(e, -EINVAL, "modules need each other: %s'%s'", text, s->list[back_to]->name);
}

static int visit(struct sorting *s, size_t i, struct err *e)
{
	const struct module *m = s->list[i];
	int err;

	if (s->marks[i] == DONE)
		return 0;
	if (s->marks[i] == OPEN)
		return circle(s, i, e);
	s->marks[i] = OPEN;
	s->path[s->depth++] = i;
	for (const char *const *need = m->needs; need && *need; need++) {
		size_t other = find(s, *need);

		if (other == s->n)
			return err_set(e, -EINVAL, "module '%s' needs '%s', which there is not",
				       m->name, *need);
		err = visit(s, other, e);
		if (err < 0)
			return err;
	}
	s->depth--;
	s->marks[i] = DONE;
	s->ret[s->n_sorted++] = m;
	return 0;
}

int modules_sort(const struct module *const *list, const struct module **ret, struct err *e)
{
	struct sorting s = { .list = list, .ret = ret };
	int err = 0;

	while (list[s.n])
		s.n++;
	s.marks = calloc(s.n + 1, sizeof(*s.marks));
	s.path = calloc(s.n + 1, sizeof(*s.path));
	if (!s.marks || !s.path)
		err = err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < s.n; i++) {
		if (find(&s, list[i]->name) != i)
			err = err_set(e, -EINVAL, "module '%s' is there twice", list[i]->name);
		else
			err = visit(&s, i, e);
	}
	if (!err)
		ret[s.n] = NULL;
	free(s.marks);
	free(s.path);
	return err;
}
