// SPDX-License-Identifier: Apache-2.0
/* CIDRs as Kubernetes' API server has always taken them. */
#include <errno.h>
#include <string.h>

#include "lib/base/addr.h"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* However many digits there are. -1: none, or above `max`. */
static int number(const char **s, int base, int max)
{
	const char *at = *s;
	int n = 0;

	for (; digit(*at) < base; at++) {
		n = n * base + digit(*at);
		if (n > max)
			return -1;
	}
	if (at == *s)
		return -1;
	*s = at;
	return n;
}

static bool read_v4(const char *s, uint8_t ret[4])
{
	for (int i = 0; i < 4; i++) {
		int n;

		if (i && *s++ != '.')
			return false;
		n = number(&s, 10, 255);
		if (n < 0)
			return false;
		ret[i] = n;
	}
	return !*s;
}

/* Groups up to the end or to "::", whose place goes to *ret_gap. False: malformed. */
static bool read_groups(const char *s, uint8_t b[16], int *ret_n, int *ret_gap)
{
	int i = 0, gap = -1;

	if (s[0] == ':' && s[1] == ':') {
		gap = 0;
		s += 2;
	}
	while (*s && i < 16) {
		const char *at = s;
		int n = number(&s, 16, 0xffff);

		if (n >= 0 && *s == '.') {
			if ((gap < 0 && i != 12) || i > 12 || !read_v4(at, b + i))
				return false;
			i += 4;
			s = "";
			break;
		}
		if (n < 0)
			return false;
		b[i++] = n >> 8;
		b[i++] = n & 0xff;
		if (!*s)
			break;
		if (*s++ != ':' || !*s)
			return false;
		if (*s != ':')
			continue;
		if (gap >= 0)
			return false;
		gap = i;
		s++;
	}
	*ret_n = i;
	*ret_gap = gap;
	return !*s;
}

static bool read_v6(const char *s, uint8_t ret[16])
{
	uint8_t b[16] = {};
	int n, gap;

	if (!read_groups(s, b, &n, &gap) || (gap < 0) != (n == 16))
		return false;
	if (gap >= 0) {
		memmove(b + gap + 16 - n, b + gap, n - gap);
		memset(b + gap, 0, 16 - n);
	}
	memcpy(ret, b, sizeof(b));
	return true;
}

int prefix_parse_legacy(const char *s, struct prefix *ret, struct err *e)
{
	const char *slash = strchr(s, '/'), *len_text = slash ? slash + 1 : "";
	struct prefix p = {};
	char text[256];
	uint8_t v4[4];
	bool is_v4;
	int len;

	if (!slash)
		return err_set(e, -EINVAL, "'%.64s': prefix length missing", s);
	if ((size_t)(slash - s) >= sizeof(text))
		return err_set(e, -EINVAL, "'%.64s': not an IP prefix", s);
	memcpy(text, s, slash - s);
	text[slash - s] = 0;
	is_v4 = read_v4(text, v4);
	if (is_v4)
		addr_from_v4((uint32_t)v4[0] << 24 | v4[1] << 16 | v4[2] << 8 | v4[3], &p.addr);
	else if (!read_v6(text, p.addr.b))
		return err_set(e, -EINVAL, "'%.64s': not an IP prefix", s);
	len = number(&len_text, 10, is_v4 ? 32 : 128);
	if (len < 0 || *len_text)
		return err_set(e, -EINVAL, "'%.64s': prefix length is no number up to %d", s,
			       is_v4 ? 32 : 128);
	p.len = is_v4 ? len + 96 : len;
	addr_mask(&p.addr, p.len);
	*ret = p;
	return 0;
}
