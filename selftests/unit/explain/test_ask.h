/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tests of the command's words, which need no node. */
void words_are_read_as_written(void **state);
