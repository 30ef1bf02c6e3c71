/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * CNI error codes: those of the CNI specification 1.1.0, "Error", two that its reference code knows
 * besides (8, 999), and ours from 100. docs/cni.md explains them to users.
 */
enum cni_code {
	CNI_OK = 0,
	CNI_BAD_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2,
	CNI_UNKNOWN_CONTAINER = 3,
	CNI_BAD_ENV = 4,
	CNI_IO = 5,
	CNI_DECODE = 6,
	CNI_BAD_CONFIG = 7,
	CNI_BAD_NETNS = 8,
	CNI_TRY_AGAIN = 11,
	CNI_UNAVAILABLE = 50,	       /* STATUS: cannot ADD */
	CNI_LIMITED_CONNECTIVITY = 51, /* STATUS: cannot ADD, and pods may suffer */
	CNI_FAILED = 100,	       /* the data path could not be made or removed */
	CNI_ALREADY_ATTACHED = 101,
	CNI_CHECK_FAILED = 102,
};

/* Oldest first; indices are compared as versions are. */
#define CNI_VERSIONS                               \
	{                                          \
		"0.3.1", "0.4.0", "1.0.0", "1.1.0" \
	}
enum cni_version { CNI_0_3_1, CNI_0_4_0, CNI_1_0_0, CNI_1_1_0, CNI_N_VERSIONS };
