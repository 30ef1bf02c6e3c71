/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tests of the folder's other files, listed by test_datapath.c's main. */
void items_are_written_read_back_and_removed(void **state);
void numbers_of_services_addresses_are_not_the_nodes(void **state);
void another_masquerade_address_ends_the_flows_of_the_old_one(void **state);
void a_full_map_says_which_entry_found_no_room(void **state);
void an_index_outside_of_an_array_is_refused_by_name(void **state);
void the_state_keeps_its_generations(void **state);
void keys_of_items_are_readable(void **state);
void a_pods_attachment_waits_for_its_link_and_entry(void **state);
void endpoint_numbers_are_given_lowest_first(void **state);
void denials_of_endpoints_that_are_gone_go(void **state);
void verdicts_of_policy_are_told_with_what_was_known_then(void **state);
void a_map_of_other_fields_starts_empty(void **state);
void reserved_fields_take_the_place_of_any(void **state);
void a_map_with_fields_that_are_reserved_now_keeps_its_entries(void **state);
void objects_share_the_maps_of_the_first(void **state);
void an_object_that_is_not_wanted_any_more_leaves_no_pin(void **state);
void an_object_that_the_kernel_refuses_is_left_out(void **state);
void a_shared_map_of_another_size_is_one_map_again(void **state);
void socket_programs_are_attached_once_and_replaced_in_place(void **state);
void what_is_no_control_group_is_refused_by_name(void **state);
void the_xdp_program_is_attached_once_and_replaced_in_place(void **state);
void an_uplink_that_goes_and_another_one_get_the_xdp_program_anew(void **state);
void an_xdp_program_of_somebody_else_is_named_and_left_alone(void **state);
void a_driver_without_xdp_and_a_kernel_that_refused_the_program_are_told(void **state);
