// SPDX-License-Identifier: Apache-2.0
#include "lib/base/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool addr_is_v4(const union loom_addr *a)
{
	return memcmp(a->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool addr_is_zero(const union loom_addr *a)
{
	return a->w[3] == 0 && a->w[0] == 0 && a->w[1] == 0 && (a->w[2] == 0 || addr_is_v4(a));
}

bool addr_equal(const union loom_addr *a, const union loom_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool addr_is_loopback(const union loom_addr *a)
{
	static const union loom_addr one6 = { .b[15] = 1 };

	return addr_is_v4(a) ? a->b[12] == 127 : addr_equal(a, &one6);
}

int addr_cmp(const union loom_addr *a, const union loom_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

void addr_from_v4(uint32_t host_order, union loom_addr *ret)
{
	memcpy(ret->b, v4_prefix, sizeof(v4_prefix));
	ret->w[3] = htobe32(host_order);
}

uint32_t addr_to_v4(const union loom_addr *a)
{
	return be32toh(a->w[3]);
}

void addr_add(const union loom_addr *a, uint64_t n, union loom_addr *ret)
{
	uint64_t low = be64toh(a->d[1]), sum = low + n;
	uint64_t high = be64toh(a->d[0]) + (sum < low);

	ret->d[0] = htobe64(high);
	ret->d[1] = htobe64(sum);
}

int addr_parse(const char *s, union loom_addr *ret, struct err *e)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, s, &v4) == 1) {
		addr_from_v4(be32toh(v4.s_addr), ret);
		return 0;
	}
	if (inet_pton(AF_INET6, s, &v6) != 1)
		return err_set(e, -EINVAL, "'%.64s': not an IP address", s);
	memcpy(ret->b, &v6, sizeof(ret->b));
	if (addr_is_v4(ret))
		return err_set(e, -EINVAL, "'%.64s': an IPv4-mapped address is not accepted", s);
	return 0;
}

const char *addr_format(const union loom_addr *a, char buf[static ADDR_STRLEN])
{
	if (addr_is_v4(a))
		inet_ntop(AF_INET, &a->b[12], buf, ADDR_STRLEN);
	else
		inet_ntop(AF_INET6, a->b, buf, ADDR_STRLEN);
	return buf;
}

void addr_mask(union loom_addr *a, unsigned int len)
{
	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep = len > i * 8 ? MIN(len - i * 8, 8u) : 0;

		a->b[i] &= (uint8_t)(0xff00u >> keep);
	}
}

/* A length as digits only, without sign or leading zero. */
static int parse_len(const char *s, unsigned int max, unsigned int *ret)
{
	size_t n = strlen(s);

	if (n == 0 || n > 3 || (n > 1 && s[0] == '0'))
		return -EINVAL;
	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]))
			return -EINVAL;
		*ret = *ret * 10 + (s[i] - '0');
	}
	return *ret > max ? -ERANGE : 0;
}

int prefix_parse_host(const char *s, struct prefix *ret, struct err *e)
{
	char text[ADDR_STRLEN];
	const char *slash = strchr(s, '/');
	struct prefix p;
	unsigned int len, max;
	int err;

	if (!slash)
		return err_set(e, -EINVAL, "'%.64s': prefix length missing", s);
	if ((size_t)(slash - s) >= sizeof(text))
		return err_set(e, -EINVAL, "'%.64s': not an IP prefix", s);
	memcpy(text, s, slash - s);
	text[slash - s] = 0;
	err = addr_parse(text, &p.addr, e);
	if (err < 0)
		return err;
	max = addr_is_v4(&p.addr) ? 32 : 128;
	err = parse_len(slash + 1, max, &len);
	if (err == -ERANGE)
		return err_set(e, -EINVAL, "'%.64s': prefix length above %u", s, max);
	if (err < 0)
		return err_set(e, -EINVAL, "'%.64s': prefix length is not a number", s);
	p.len = len + 128 - max;
	*ret = p;
	return 0;
}

int prefix_parse(const char *s, struct prefix *ret, struct err *e)
{
	union loom_addr masked;
	struct prefix p;
	int err;

	err = prefix_parse_host(s, &p, e);
	if (err < 0)
		return err;
	masked = p.addr;
	addr_mask(&masked, p.len);
	if (!addr_equal(&masked, &p.addr))
		return err_set(e, -EINVAL, "'%.64s': bits behind the prefix are set", s);
	*ret = p;
	return 0;
}

unsigned int prefix_family_len(const struct prefix *p)
{
	return addr_is_v4(&p->addr) ? p->len - 96u : p->len;
}

const char *prefix_format(const struct prefix *p, char buf[static PREFIX_STRLEN])
{
	addr_format(&p->addr, buf);
	snprintf(buf + strlen(buf), PREFIX_STRLEN - strlen(buf), "/%u", prefix_family_len(p));
	return buf;
}

bool prefix_contains(const struct prefix *p, const union loom_addr *a)
{
	union loom_addr masked = *a, base = p->addr;

	if (addr_is_v4(&p->addr) != addr_is_v4(a))
		return false;
	addr_mask(&masked, p->len);
	addr_mask(&base, p->len);
	return addr_equal(&masked, &base);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->len <= b->len ? prefix_contains(a, &b->addr) : prefix_contains(b, &a->addr);
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

int prefix_block(const struct prefix *p, unsigned int block_len, uint64_t index, struct prefix *ret,
		 struct err *e)
{
	unsigned int max = addr_is_v4(&p->addr) ? 32 : 128, len = prefix_family_len(p);
	unsigned int bits, shift;
	char text[PREFIX_STRLEN];
	union loom_addr a = p->addr;

	prefix_format(p, text);
	if (block_len < len || block_len > max)
		return err_set(e, -EINVAL, "'%s' can't be cut into blocks of /%u", text, block_len);
	bits = block_len - len;
	if (bits < 64 && index >> bits)
		return err_set(e, -ERANGE, "'%s' has no block of /%u with index %llu", text,
			       block_len, (unsigned long long)index);

	addr_mask(&a, p->len);
	shift = max - block_len;
	if (shift >= 64) {
		uint64_t high = be64toh(a.d[0]) + (index << (shift - 64));

		a.d[0] = htobe64(high);
	} else {
		uint64_t high = shift ? index >> (64 - shift) : 0;

		addr_add(&a, index << shift, &a);
		a.d[0] = htobe64(be64toh(a.d[0]) + high);
	}
	ret->addr = a;
	ret->len = block_len + 128 - max;
	return 0;
}

const char *mac_format(const uint8_t mac[6], char buf[static MAC_STRLEN])
{
	snprintf(buf, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	return buf;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *s, uint8_t ret[6], struct err *e)
{
	uint8_t mac[6];

	if (strlen(s) != MAC_STRLEN - 1)
		return err_set(e, -EINVAL, "'%.32s': not a MAC address", s);
	for (int i = 0; i < 6; i++) {
		int high = hex_digit(s[i * 3]), low = hex_digit(s[i * 3 + 1]);

		if (high < 0 || low < 0 || (i < 5 && s[i * 3 + 2] != ':'))
			return err_set(e, -EINVAL, "'%.32s': not a MAC address", s);
		mac[i] = high << 4 | low;
	}
	memcpy(ret, mac, sizeof(mac));
	return 0;
}
