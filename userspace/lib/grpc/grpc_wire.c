// SPDX-License-Identifier: Apache-2.0
#include "lib/grpc/grpc_wire.h"

#include <errno.h>
#include <string.h>

#include "lib/base/grow.h"

void grpc_frame_header(uint8_t ret[static GRPC_FRAME_HEADER], uint32_t len)
{
	ret[0] = 0;
	ret[1] = len >> 24;
	ret[2] = len >> 16;
	ret[3] = len >> 8;
	ret[4] = len;
}

void grpc_reader_clear(struct grpc_reader *r)
{
	free(r->msg);
	*r = (struct grpc_reader){};
}

static int reader_header(struct grpc_reader *r, size_t max)
{
	uint32_t len = (uint32_t)r->header[1] << 24 | (uint32_t)r->header[2] << 16 |
		       (uint32_t)r->header[3] << 8 | r->header[4];

	if (r->header[0] != 0)
		return -EOPNOTSUPP;
	if (len > max)
		return -EMSGSIZE;
	r->want = len;
	return 0;
}

int grpc_reader_feed(struct grpc_reader *r, const uint8_t *data, size_t len, size_t max)
{
	int err;

	while (len > 0 && r->header_len < GRPC_FRAME_HEADER) {
		r->header[r->header_len++] = *data++;
		len--;
		if (r->header_len < GRPC_FRAME_HEADER)
			continue;
		err = reader_header(r, max);
		if (err < 0)
			return err;
	}
	if (len == 0)
		return 0;
	if (len > r->want - r->len)
		return -EPROTO;
	err = grow_room(&r->msg, &r->cap, r->len + len, 1);
	if (err < 0)
		return err;
	memcpy(r->msg + r->len, data, len);
	r->len += len;
	return 0;
}

bool grpc_reader_complete(const struct grpc_reader *r)
{
	return r->header_len == GRPC_FRAME_HEADER && r->len == r->want;
}

char *grpc_percent_encode(const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(s) * 3 + 1), *p = out;

	if (!out)
		return NULL;
	for (; *s; s++) {
		uint8_t c = *s;

		if (c >= 0x20 && c <= 0x7e && c != '%') {
			*p++ = c;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	*p = 0;
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void grpc_percent_decode(const char *s, size_t len, char *ret, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < len && out + 1 < size; i++) {
		int hi = -1, lo = -1;

		if (s[i] == '%' && len - i > 2) {
			hi = hex_digit(s[i + 1]);
			lo = hex_digit(s[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			ret[out++] = hi << 4 | lo;
			i += 2;
		} else {
			ret[out++] = s[i];
		}
	}
	ret[out] = 0;
}

int grpc_timeout_parse(const char *s, size_t len, uint64_t *ret_ms)
{
	uint64_t n = 0;

	if (len < 2 || len > 9)
		return -EINVAL;
	for (size_t i = 0; i < len - 1; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		n = n * 10 + (s[i] - '0');
	}
	switch (s[len - 1]) {
	case 'H':
		n *= 3600000;
		break;
	case 'M':
		n *= 60000;
		break;
	case 'S':
		n *= 1000;
		break;
	case 'm':
		break;
	case 'u':
		n = (n + 999) / 1000;
		break;
	case 'n':
		n = (n + 999999) / 1000000;
		break;
	default:
		return -EINVAL;
	}
	*ret_ms = n;
	return 0;
}
