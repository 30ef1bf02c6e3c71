/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The spool: DELs that the CNI binary has taken while the agent was away (NETLOOM_CNI_SPOOL or
 * cni.spoolDir). One file per attachment, "<32 hexadecimal digits>.del", holding a packed
 * netloom.cni.v1.CniRequest without its config. A file appears whole, by rename(2); a later DEL of
 * the same attachment replaces it. The agent deletes the attachment and then removes the file; any
 * other name in the folder is no business of its.
 */
#define CNI_SPOOL_SUFFIX    ".del"
#define CNI_SPOOL_MAX_FILES 4096
#define CNI_SPOOL_MAX_BYTES 16384

/* Bounds of the CNI parameters, the same for the binary and the agent. */
#define CNI_MAX_CONTAINER_ID 256
#define CNI_MAX_PATH	     4095
#define CNI_MAX_CONFIG	     (8u << 20)
