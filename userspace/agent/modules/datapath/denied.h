/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * loom_denied: what policy denied, by endpoint number. Numbers are given again, so what was counted
 * for one goes when nobody has it any more.
 */
#include "agent/modules/datapath/epnum.h"

/* Removes the entries of numbers that are not taken: one walk of the map. How many, or negative
 * errno. */
int denied_sweep(int map_fd, const struct epnum *taken);
