// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* SCTP's checksum after a change of ports, for packets of every size, against a CRC bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bpf/lib/sctp.h"

static __u32 moved_by_a_byte(__u32 v)
{
	int bit;

	for (bit = 0; bit < 8; bit++)
		v = v >> 1 ^ (v & 1 ? SCTP_POLY : 0);
	return v;
}

/* One bit of the ports is enough: all else is sums of them. */
static void is_right_for_every_length(void **state)
{
	__u32 bit, len, v;

	for (bit = 0; bit < 32; bit++) {
		for (len = 0, v = 1u << bit; len <= 0xffff; len++, v = moved_by_a_byte(v)) {
			if (sctp_crc_change(plat_htonl(__builtin_bswap32(1u << bit)), len) !=
			    plat_htonl(__builtin_bswap32(v)))
				fail_msg("bit %u, %u bytes", bit, len);
		}
	}
}

/* RFC 3720, B.4: 32 bytes of zeros, and of ones. */
static void is_the_crc_of_the_standard(void **state)
{
	__u32 zeros = 0x8a9136aa, ones = 0x62a8ab43, v = 0;
	int i;

	for (i = 0; i < 32; i += 4)
		v ^= sctp_crc_change(0xffffffff, 32 - i);
	assert_int_equal(v, plat_htonl(__builtin_bswap32(zeros ^ ones)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_right_for_every_length),
		cmocka_unit_test(is_the_crc_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
