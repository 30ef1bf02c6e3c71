// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/addr.h"

static const struct {
	const char *name, *cidr;
	int err;
	const char *says;
} parse_cases[] = {
	{ "plain", "10.1.0.0/16", 0, NULL },
	{ "IPv6", "fd00:10:1::/48", 0, NULL },
	{ "everything", "0.0.0.0/0", 0, NULL },
	{ "prefix missing", "10.1.0.0", -EINVAL, "length missing" },
	{ "too long", "10.1.0.0/33", -EINVAL, "above 32" },
	{ "IPv6 too long", "fd00::/129", -EINVAL, "above 128" },
	{ "host bits", "10.1.0.1/16", -EINVAL, "bits behind" },
	{ "leading zero in length", "10.1.0.0/08", -EINVAL, "not a number" },
	{ "sign in length", "10.1.0.0/+8", -EINVAL, "not a number" },
	{ "empty length", "10.1.0.0/", -EINVAL, "not a number" },
	{ "mapped", "::ffff:10.1.0.0/112", -EINVAL, "mapped" },
	{ "name", "localhost/8", -EINVAL, "not an IP" },
	{ "very long", "11111111111111111111111111111111111111111111111111111111111/8", -EINVAL,
	  "not an IP" },
};

static void prefixes_parse_strictly(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(parse_cases); i++) {
		char text[PREFIX_STRLEN];
		struct prefix p;
		struct err e = {};

		assert_int_equal(prefix_parse(parse_cases[i].cidr, &p, &e), parse_cases[i].err);
		if (parse_cases[i].err)
			assert_non_null(strstr(e.msg, parse_cases[i].says));
		else
			assert_string_equal(prefix_format(&p, text), parse_cases[i].cidr);
	}
}

static const struct {
	const char *name, *cidr, *means; /* NULL: nothing */
} legacy_cases[] = {
	{ "plain", "10.1.0.0/16", "10.1.0.0/16" },
	{ "host bits", "10.1.2.3/16", "10.1.0.0/16" },
	{ "leading zeros are decimal", "010.0.0.0/8", "10.0.0.0/8" },
	{ "many of them", "00000010.001.000000.0/00008", "10.0.0.0/8" },
	{ "too large", "256.0.0.0/8", NULL },
	{ "too large for any number", "99999999999999999999.0.0.0/8", NULL },
	{ "three numbers", "10.0.0/8", NULL },
	{ "five numbers", "10.0.0.0.0/8", NULL },
	{ "empty number", "10..0.0/8", NULL },
	{ "hexadecimal", "0xa.0.0.0/8", NULL },
	{ "blank", " 10.0.0.0/8", NULL },
	{ "length missing", "10.0.0.0", NULL },
	{ "length empty", "10.0.0.0/", NULL },
	{ "length too long", "10.0.0.0/33", NULL },
	{ "sign in length", "10.0.0.0/+8", NULL },
	{ "more behind the length", "10.0.0.0/8 ", NULL },
	{ "two lengths", "10.0.0.0/8/8", NULL },
	{ "everything", "0.0.0.0/0", "0.0.0.0/0" },
	{ "IPv6", "fd00:10:1::/48", "fd00:10:1::/48" },
	{ "all of IPv6", "::/0", "::/0" },
	{ "IPv6 host bits", "fd00::1/64", "fd00::/64" },
	{ "IPv6 leading zeros", "fd00:00000010::0/000064", "fd00:10::/64" },
	{ "IPv6 in full", "FD00:1:2:3:4:5:6:7/128", "fd00:1:2:3:4:5:6:7/128" },
	{ "IPv6 at the end", "fd00:1:2:3:4:5:6::/112", "fd00:1:2:3:4:5:6:0/112" },
	{ "IPv6 at the start", "::1:2:3/128", "::1:2:3/128" },
	{ "IPv6 with IPv4 at its end", "64:ff9b::10.0.0.1/120", "64:ff9b::a00:0/120" },
	{ "IPv4 in the middle", "64:10.0.0.1::/96", NULL },
	{ "gap of nothing", "1:2:3:4::5:6:7:8/128", NULL },
	{ "two gaps", "1::2::3/64", NULL },
	{ "three colons", ":::/0", NULL },
	{ "one colon at the end", "1:2:/64", NULL },
	{ "one colon at the start", ":1::/64", NULL },
	{ "nine groups", "1:2:3:4:5:6:7:8:9/64", NULL },
	{ "seven groups", "1:2:3:4:5:6:7/64", NULL },
	{ "group too large", "10000::/64", NULL },
	{ "zone", "fe80::%eth0/64", NULL },
	{ "IPv6 too long", "fd00::/129", NULL },
	{ "mapped", "::ffff:10.0.0.0/104", "10.0.0.0/8" },
	{ "mapped, in hexadecimal", "::ffff:a00:0/104", "10.0.0.0/8" },
	{ "all of the mapped", "::ffff:0.0.0.0/96", "0.0.0.0/0" },
	{ "mapped and more", "::ffff:10.0.0.0/64", "::/64" },
	{ "nothing", "", NULL },
	{ "a length alone", "/8", NULL },
	{ "name", "localhost/8", NULL },
};

static void prefixes_are_read_as_the_api_server_reads_them(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(legacy_cases); i++) {
		struct prefix p = { .len = 7 };
		char text[PREFIX_STRLEN];
		struct err e = {};
		int err = prefix_parse_legacy(legacy_cases[i].cidr, &p, &e);

		if ((err == 0) != (legacy_cases[i].means != NULL))
			fail_msg("%s: %d %s", legacy_cases[i].name, err, e.msg);
		if (!err && strcmp(prefix_format(&p, text), legacy_cases[i].means) != 0)
			fail_msg("%s: %s", legacy_cases[i].name, text);
		if (err)
			assert_int_equal(p.len, 7);
	}
}

static const struct {
	const char *base;
	unsigned int block_len;
	uint64_t index;
	int err;
	const char *block;
} block_cases[] = {
	{ "10.1.0.0/16", 24, 0, 0, "10.1.0.0/24" },
	{ "10.1.0.0/16", 24, 255, 0, "10.1.255.0/24" },
	{ "10.1.0.0/16", 24, 256, -ERANGE, NULL },
	{ "10.1.0.0/16", 8, 0, -EINVAL, NULL },
	{ "10.1.0.0/16", 16, 0, 0, "10.1.0.0/16" },
	{ "0.0.0.0/0", 32, 0xffffffff, 0, "255.255.255.255/32" },
	{ "fd00:10:1::/48", 64, 0x1234, 0, "fd00:10:1:1234::/64" },
	{ "fd00:10:1::/48", 64, 0x10000, -ERANGE, NULL },
	{ "fd00::/56", 120, 0x100, 0, "fd00::1:0/120" },
	{ "fd00::/32", 96, 1ull << 40, 0, "fd00:0:0:100::/96" },
};

static void blocks_are_cut_by_index(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(block_cases); i++) {
		struct prefix base, block;
		char text[PREFIX_STRLEN];

		assert_int_equal(prefix_parse(block_cases[i].base, &base, NULL), 0);
		assert_int_equal(prefix_block(&base, block_cases[i].block_len, block_cases[i].index,
					      &block, NULL),
				 block_cases[i].err);
		if (!block_cases[i].err)
			assert_string_equal(prefix_format(&block, text), block_cases[i].block);
	}
}

static void containment_never_crosses_families(void **state)
{
	struct prefix all6, all4, ten;
	union loom_addr a;

	assert_int_equal(prefix_parse("::/0", &all6, NULL), 0);
	assert_int_equal(prefix_parse("0.0.0.0/0", &all4, NULL), 0);
	assert_int_equal(prefix_parse("10.0.0.0/8", &ten, NULL), 0);
	assert_int_equal(addr_parse("10.2.3.4", &a, NULL), 0);
	assert_false(prefix_contains(&all6, &a));
	assert_true(prefix_contains(&all4, &a));
	assert_true(prefix_contains(&ten, &a));
	assert_true(prefix_overlaps(&all4, &ten));
	assert_true(prefix_overlaps(&ten, &all4));
	assert_false(prefix_overlaps(&all6, &ten));
}

static const struct {
	const char *addr;
	bool is;
} loopback_cases[] = {
	{ "127.0.0.1", true },
	{ "127.255.255.254", true },
	{ "126.255.255.255", false },
	{ "128.0.0.1", false },
	{ "0.0.0.127", false },
	{ "::1", true },
	{ "::", false },
	{ "::2", false },
	{ "7f00::1", false },
};

static void loopback_is_a_block_of_v4_and_one_address_of_v6(void **state)
{
	union loom_addr a;

	for (size_t i = 0; i < ARRAY_SIZE(loopback_cases); i++) {
		assert_int_equal(addr_parse(loopback_cases[i].addr, &a, NULL), 0);
		if (addr_is_loopback(&a) != loopback_cases[i].is)
			fail_msg("%s", loopback_cases[i].addr);
	}
}

static void macs_are_six_pairs(void **state)
{
	static const char *const bad[] = { "", "02:00:00:00:00", "02:00:00:00:00:0g",
					   "02-00-00-00-00-01", "02:00:00:00:00:001" };
	char text[MAC_STRLEN];
	uint8_t mac[6];

	assert_int_equal(mac_parse("02:fE:00:10:ab:01", mac, NULL), 0);
	assert_string_equal(mac_format(mac, text), "02:fe:00:10:ab:01");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mac_parse(bad[i], mac, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_parse_strictly),
		cmocka_unit_test(prefixes_are_read_as_the_api_server_reads_them),
		cmocka_unit_test(blocks_are_cut_by_index),
		cmocka_unit_test(containment_never_crosses_families),
		cmocka_unit_test(loopback_is_a_block_of_v4_and_one_address_of_v6),
		cmocka_unit_test(macs_are_six_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
