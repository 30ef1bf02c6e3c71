/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* What sctp_ports.bpf.c and its test agree on. */

#define SERVICE_PORT 81
#define SERVER_PORT  8080

/* Entries of sctp_seen: packets that were translated, as they were before. */
enum sctp_seen {
	SEEN_SUM,      /* with a checksum */
	SEEN_NO_SUM,   /* with 0 in its place */
	SEEN_SEGMENTS, /* that are still to be cut up */
	SEEN_MAX,
};
