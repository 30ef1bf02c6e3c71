/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * IP addresses and prefixes in the one 128-bit form that the data plane uses: IPv4 as v4-mapped
 * IPv6 (RFC 4291, 2.5.5.2). Text is strict: no leading zeros, no zone ids, no surrounding blanks,
 * and the family that a text names is kept, so "::ffff:1.2.3.4" is refused.
 */
#include "lib/base/err.h"
#include "shared/loom_addr.h"

#define ADDR_STRLEN   46
#define PREFIX_STRLEN 50

struct prefix {
	union loom_addr addr; /* host bits zero unless parsed with prefix_parse_host() */
	uint8_t len;	      /* in 128-bit terms: an IPv4 /24 has 120 */
};

bool addr_is_v4(const union loom_addr *a);
bool addr_is_zero(const union loom_addr *a);	 /* "::", or 0.0.0.0 mapped */
bool addr_is_loopback(const union loom_addr *a); /* 127.0.0.0/8, or ::1 (RFC 4291, 2.5.3) */
bool addr_equal(const union loom_addr *a, const union loom_addr *b);
int addr_cmp(const union loom_addr *a, const union loom_addr *b); /* by numeric value */
void addr_from_v4(uint32_t host_order, union loom_addr *ret);
uint32_t addr_to_v4(const union loom_addr *a); /* host order; only if addr_is_v4() */
/* a + n, carrying through all 128 bits, n in host order. */
void addr_add(const union loom_addr *a, uint64_t n, union loom_addr *ret);

/* -EINVAL with a message that quotes `s`. */
int addr_parse(const char *s, union loom_addr *ret, struct err *e);
const char *addr_format(const union loom_addr *a, char buf[static ADDR_STRLEN]);

/* "10.1.0.0/16", "fd00::/48". Host bits set are an error (-EINVAL); a missing length too. */
int prefix_parse(const char *s, struct prefix *ret, struct err *e);
/* The same, but keeps host bits: "10.1.0.7/16". */
int prefix_parse_host(const char *s, struct prefix *ret, struct err *e);
/*
 * As the API server has always read CIDRs (ParseCIDRSloppy of k8s.io/utils/net, which is Go 1.16's
 * net.ParseCIDR()): numbers may have leading zeros and are decimal all the same, "010.0.0.0/08" is
 * 10.0.0.0/8; a mapped one is of IPv4, "::ffff:10.0.0.0/104" too, if it is all within
 * ::ffff:0:0/96. Bits behind the length are cleared. -EINVAL with a message that quotes `s`.
 */
int prefix_parse_legacy(const char *s, struct prefix *ret, struct err *e);
const char *prefix_format(const struct prefix *p, char buf[static PREFIX_STRLEN]);
/* Length as the family writes it: 24, not 120. */
unsigned int prefix_family_len(const struct prefix *p);
bool prefix_contains(const struct prefix *p, const union loom_addr *a);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
/* Clears the bits behind `len` (128-bit terms). */
void addr_mask(union loom_addr *a, unsigned int len);
/*
 * The `index`-th (from 0) block of `block_len` (family terms: 24 or 64) inside `p`. -ERANGE when
 * `p` has no such block, -EINVAL when block_len is shorter than p or too long for the family.
 */
int prefix_block(const struct prefix *p, unsigned int block_len, uint64_t index, struct prefix *ret,
		 struct err *e);

#define MAC_STRLEN 18
const char *mac_format(const uint8_t mac[6], char buf[static MAC_STRLEN]);
/* "02:00:…", exactly six two-digit groups. */
int mac_parse(const char *s, uint8_t ret[6], struct err *e);
