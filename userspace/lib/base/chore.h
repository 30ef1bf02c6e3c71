/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Something that has to wait for the disk or the kernel, done by a thread of its own each time that
 * it is told to, so that the loop need not wait. Told again while it is at it, it does it once
 * more; told several times meanwhile, still once.
 *
 * One thread owns the chore and tells it; `fn` runs on the chore's, with all signals blocked, and
 * shares with the owner only what bears that.
 */
#include <stdbool.h>

#include "lib/base/util.h"

struct chore;

/* 0 or a negative errno. */
int chore_new(void (*fn)(void *arg), void *arg, struct chore **ret);
/* Does first what it has been told. Accepts NULL. */
void chore_free(struct chore *c);
DEFINE_FREEP(struct chore, chore_free)
void chore_kick(struct chore *c);
/* Waits until all is done that it has been told. True if there was anything to do. */
bool chore_wait(struct chore *c);
