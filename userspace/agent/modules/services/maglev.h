/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Maglev's consistent hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
 * Balancer", NSDI 2016, section 3.4): a table in which each backend has nearly the same share, and
 * which changes little when a backend comes or goes. The outcome depends on the backends' names
 * alone, so every node makes the same table.
 */
#include <stddef.h>
#include <stdint.h>

/* Slots for n backends: a prime of at least n * per_backend; 1 for one backend, 0 for none. Grows
 * in steps of two, so that a table's size is the same for most changes of n. */
uint32_t maglev_size(size_t n, uint32_t per_backend);
/* names: of n different backends, in an order that all nodes agree on. ret: size (a prime, at least
 * n) indexes below n. 0 or -ENOMEM. */
int maglev_fill(const uint64_t *names, size_t n, uint32_t size, uint32_t *ret);
