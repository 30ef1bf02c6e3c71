// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "bpf/native/nmap.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Key and value follow in one allocation; the value at an 8-byte boundary. */
struct entry {
	UT_hash_handle hh;
	uint64_t bytes[];
};

static size_t value_offset(const struct nmap *m)
{
	return (m->key_size + 7) / 8;
}

static void *entry_value(const struct nmap *m, struct entry *e)
{
	return e->bytes + value_offset(m);
}

static struct entry *hash_find(struct nmap *m, const void *key)
{
	struct entry *head = m->priv, *e;

	HASH_FIND(hh, head, key, m->key_size, e);
	return e;
}

static void hash_remove(struct nmap *m, struct entry *e)
{
	struct entry *head = m->priv;

	HASH_DEL(head, e);
	m->priv = head;
	m->count--;
	free(e);
}

static void *hash_lookup(struct nmap *m, const void *key)
{
	struct entry *e = hash_find(m, key);

	return e ? entry_value(m, e) : NULL;
}

static int hash_insert(struct nmap *m, const void *key, const void *value)
{
	struct entry *e = calloc(1, sizeof(*e) + value_offset(m) * 8 + m->value_size);
	struct entry *head = m->priv;

	if (!e)
		return -ENOMEM;
	memcpy(e->bytes, key, m->key_size);
	memcpy(entry_value(m, e), value, m->value_size);
	HASH_ADD_KEYPTR(hh, head, e->bytes, m->key_size, e);
	m->priv = head;
	m->count++;
	return 0;
}

static int hash_put(struct nmap *m, const void *key, const void *value, __u64 flags, bool lru)
{
	struct entry *e = hash_find(m, key);

	if (e && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!e && flags == BPF_EXIST)
		return -ENOENT;
	if (e) {
		memcpy(entry_value(m, e), value, m->value_size);
		return 0;
	}
	if (m->count >= m->max_entries) {
		if (!lru)
			return -E2BIG;
		hash_remove(m, m->priv); /* uthash keeps insertion order: the head is the oldest */
	}
	return hash_insert(m, key, value);
}

static int hash_update(struct nmap *m, const void *key, const void *value, __u64 flags)
{
	return hash_put(m, key, value, flags, false);
}

static int lru_update(struct nmap *m, const void *key, const void *value, __u64 flags)
{
	return hash_put(m, key, value, flags, true);
}

static int hash_delete(struct nmap *m, const void *key)
{
	struct entry *e = hash_find(m, key);

	if (!e)
		return -ENOENT;
	hash_remove(m, e);
	return 0;
}

static void hash_clear(struct nmap *m)
{
	while (m->priv)
		hash_remove(m, m->priv);
}

static void *array_lookup(struct nmap *m, const void *key)
{
	__u32 index;

	memcpy(&index, key, sizeof(index));
	if (index >= m->max_entries)
		return NULL;
	if (!m->priv)
		m->priv = calloc(m->max_entries, m->value_size);
	return m->priv ? (char *)m->priv + (size_t)index * m->value_size : NULL;
}

static int array_update(struct nmap *m, const void *key, const void *value, __u64 flags)
{
	void *slot = array_lookup(m, key);

	if (flags == BPF_NOEXIST)
		return -EEXIST;
	if (!slot)
		return -E2BIG;
	memcpy(slot, value, m->value_size);
	return 0;
}

static int array_delete(struct nmap *m, const void *key)
{
	return -EINVAL;
}

static void array_clear(struct nmap *m)
{
	free(m->priv);
	m->priv = NULL;
}

static bool lpm_matches(const void *prefix, const void *key)
{
	const unsigned char *a = (const unsigned char *)prefix + 4;
	const unsigned char *b = (const unsigned char *)key + 4;
	__u32 bits;

	memcpy(&bits, prefix, sizeof(bits));
	if (memcmp(a, b, bits / 8))
		return false;
	return !(bits % 8) || !((a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8));
}

static __u32 lpm_bits(const struct entry *e)
{
	__u32 bits;

	memcpy(&bits, e->bytes, sizeof(bits));
	return bits;
}

static void *lpm_lookup(struct nmap *m, const void *key)
{
	struct entry *best = NULL, *e;

	for (e = m->priv; e; e = e->hh.next) {
		if (!lpm_matches(e->bytes, key))
			continue;
		if (!best || lpm_bits(e) > lpm_bits(best))
			best = e;
	}
	return best ? entry_value(m, best) : NULL;
}

const struct nmap_ops nmap_array = { array_lookup, array_update, array_delete, array_clear };
const struct nmap_ops nmap_hash = { hash_lookup, hash_update, hash_delete, hash_clear };
const struct nmap_ops nmap_lru = { hash_lookup, lru_update, hash_delete, hash_clear };
const struct nmap_ops nmap_lpm = { lpm_lookup, hash_update, hash_delete, hash_clear };

void *nmap_lookup(struct nmap *m, const void *key)
{
	return m->ops->lookup(m, key);
}

int nmap_update(struct nmap *m, const void *key, const void *value, __u64 flags)
{
	return m->ops->update(m, key, value, flags);
}

int nmap_delete(struct nmap *m, const void *key)
{
	return m->ops->delete (m, key);
}

void nmap_clear(struct nmap *m)
{
	m->ops->clear(m);
}

void nmap_each(struct nmap *m, void (*fn)(const void *key, void *value, void *arg), void *arg)
{
	struct entry *e, *next;

	for (e = m->priv; e; e = next) {
		next = e->hh.next;
		fn(e->bytes, entry_value(m, e), arg);
	}
}
