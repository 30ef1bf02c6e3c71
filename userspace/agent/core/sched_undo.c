// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "agent/core/sched_int.h"

static int undo_update(struct scheduler *s, const struct done_op *op, struct err *e)
{
	int err = sched_update(s, op->item, op->before, true, e);

	if (err != -EOPNOTSUPP)
		return err;
	err = sched_delete(s, op->item, true, e);
	return err < 0 ? err : sched_create(s, op->item, op->before, true, e);
}

static int undo_one(struct scheduler *s, const struct done_op *op, struct err *e)
{
	struct item *it = op->item;

	switch (op->kind) {
	case DONE_CREATE:
		return it->applied ? sched_delete(s, it, true, e) : 0;
	case DONE_UPDATE:
		return it->applied ? undo_update(s, op, e)
				   : sched_create(s, it, op->before, true, e);
	case DONE_DELETE:
		return it->applied ? 0 : sched_create(s, it, op->before, true, e);
	}
	return 0;
}

void pass_undo(struct pass *p)
{
	for (size_t i = p->n_done; i-- > 0;) {
		struct done_op *op = &p->journal[i];
		struct err e = {};

		if (undo_one(p->s, op, &e) < 0) {
			item_failed(p->s, op->item, e.msg);
			p->stats.failed++;
			continue;
		}
		p->stats.reverted++;
		item_maybe_loose(p->s, op->item);
	}
}
