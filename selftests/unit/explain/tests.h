/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tests that need no node: of the command's words (test_ask.c) and of the overlay by itself. */
void words_are_read_as_written(void **state);
void what_is_read_is_fetched_once_and_recorded(void **state);
void what_is_written_stays_in_the_overlay(void **state);
void a_map_that_can_t_be_read_is_an_error_and_not_empty(void **state);
void native_maps_come_back_as_they_were(void **state);

/* test_way.c: halves put together, the other nodes being made up. */
void halves_make_a_way_and_one_verdict(void **state);
void a_packet_that_goes_round_in_circles_is_told(void **state);
