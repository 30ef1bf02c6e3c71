/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tests of test_items.c, listed by test_datapath.c's main. */
void items_are_written_read_back_and_removed(void **state);
void numbers_of_services_addresses_are_not_the_nodes(void **state);
void another_masquerade_address_ends_the_flows_of_the_old_one(void **state);
void a_full_map_says_which_entry_found_no_room(void **state);
void an_index_outside_of_an_array_is_refused_by_name(void **state);
void the_state_keeps_its_generations(void **state);
void keys_of_items_are_readable(void **state);
void a_pods_attachment_waits_for_its_link_and_entry(void **state);
void endpoint_numbers_are_given_lowest_first(void **state);
