// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/ipam/range.h"

#include <endian.h>
#include <errno.h>

#include "agent/modules/ipam/pool.h"

int range_init(struct range *r, const struct prefix *prefix, struct err *e)
{
	bool v4 = addr_is_v4(&prefix->addr);
	unsigned int host_bits = 128 - prefix->len;
	char text[PREFIX_STRLEN];

	*r = (struct range){ .prefix = *prefix, .first = 2, .cursor = 2 };
	addr_mask(&r->prefix.addr, prefix->len);
	r->slots = host_bits >= 16 ? POOL_SLOTS : 1u << host_bits;
	/* IPv4's last address is the broadcast one; a range cut to POOL_SLOTS does not reach it. */
	if (v4 && host_bits <= 16)
		r->slots--;
	if (r->slots <= r->first) {
		*r = (struct range){};
		return err_set(e, -EINVAL, "pod CIDR '%s' has no address to give",
			       prefix_format(prefix, text));
	}
	r->bits = calloc((r->slots + 63) / 64, sizeof(*r->bits));
	if (!r->bits)
		return err_errno(e, -ENOMEM, "pod CIDR");
	return 0;
}

void range_fini(struct range *r)
{
	free(r->bits);
	*r = (struct range){};
}

uint32_t range_capacity(const struct range *r)
{
	return r->slots ? r->slots - r->first : 0;
}

int range_index(const struct range *r, const union loom_addr *addr, uint32_t *ret)
{
	uint64_t offset;

	if (!r->slots || !prefix_contains(&r->prefix, addr))
		return -ERANGE;
	if (r->prefix.len < 64 && addr->d[0] != r->prefix.addr.d[0])
		return -ERANGE;
	offset = be64toh(addr->d[1]) - be64toh(r->prefix.addr.d[1]);
	if (offset < r->first || offset >= r->slots)
		return -ERANGE;
	*ret = offset;
	return 0;
}

static bool is_set(const struct range *r, uint32_t i)
{
	return r->bits[i / 64] >> (i % 64) & 1;
}

static void take_index(struct range *r, uint32_t i)
{
	r->bits[i / 64] |= 1ull << (i % 64);
	r->used++;
	r->cursor = i + 1 < r->slots ? i + 1 : r->first;
}

int range_next(struct range *r, union loom_addr *ret)
{
	uint32_t capacity = range_capacity(r), i = r->cursor;

	if (r->used >= capacity)
		return -ENOSPC;
	for (uint32_t n = 0; n < capacity; n++) {
		if (!is_set(r, i)) {
			take_index(r, i);
			addr_add(&r->prefix.addr, i, ret);
			return 0;
		}
		i = i + 1 < r->slots ? i + 1 : r->first;
	}
	return -ENOSPC;
}

bool range_take(struct range *r, const union loom_addr *addr)
{
	uint32_t i;

	if (range_index(r, addr, &i) < 0 || is_set(r, i))
		return false;
	take_index(r, i);
	return true;
}

void range_give_back(struct range *r, const union loom_addr *addr)
{
	uint32_t i;

	if (range_index(r, addr, &i) < 0 || !is_set(r, i))
		return;
	r->bits[i / 64] &= ~(1ull << (i % 64));
	r->used--;
}

bool range_holds(const struct range *r, const union loom_addr *addr)
{
	uint32_t i;

	return range_index(r, addr, &i) == 0 && is_set(r, i);
}
