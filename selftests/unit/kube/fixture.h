/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of lib/kube share: a loop, a client of a made-up API server, and waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "lib/base/clock.h"
#include "lib/kube/client.h"
#include "selftests/lib/fakehttp.h"

extern struct event_base *base;

/* Turns the loop until `done` says so; after 30 s the test fails with `what`. */
void wait_until(bool (*done)(void *arg), void *arg, const char *what);
/* Turns the loop for so long, to see that nothing happens. */
void turn_for(unsigned int ms);

/* A client of the server at `url`; token_file may be NULL. */
struct kube *client_of(const char *url, const char *token_file);
