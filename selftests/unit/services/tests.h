/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* test_keep.c's tests, run by test_module.c. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

extern const struct CMUnitTest keep_tests[];
extern const size_t n_keep_tests;
