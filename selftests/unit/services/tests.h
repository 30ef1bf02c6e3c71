/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tests that test_module.c runs besides its own. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

extern const struct CMUnitTest front_tests[];
extern const size_t n_front_tests;
extern const struct CMUnitTest keep_tests[];
extern const size_t n_keep_tests;
extern const struct CMUnitTest names_tests[];
extern const size_t n_names_tests;
extern const struct CMUnitTest ranges_tests[];
extern const size_t n_ranges_tests;
extern const struct CMUnitTest room_tests[];
extern const size_t n_room_tests;
