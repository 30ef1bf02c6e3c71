/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The BPF object that this agent was built with. */
#include <stddef.h>

const void *embedded_object(size_t *ret_len);
