// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/polmaps.h"

static int note(struct polmaps *m, int err)
{
	m->writes++;
	if (err < 0 && !m->failed)
		m->failed = err;
	return err;
}

int polmaps_put(struct polmaps *m, enum polmap map, const void *key, const void *value)
{
	return note(m, m->ops->update(m->arg, map, key, value));
}

int polmaps_del(struct polmaps *m, enum polmap map, const void *key)
{
	return note(m, m->ops->remove(m->arg, map, key));
}

int polmaps_bump(struct polmaps *m)
{
	return note(m, m->ops->bump(m->arg));
}
