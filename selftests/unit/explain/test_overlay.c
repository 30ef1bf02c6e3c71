// SPDX-License-Identifier: Apache-2.0
/* The overlay by itself, over a made-up map behind it. */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "bpf/native/overlay.h"
#include "selftests/unit/explain/tests.h"

static unsigned int fetched;

/* Out there is what has the address ::1, with MTU 7; asking for ::99 fails. */
static int fetch(void *arg, const struct nmap *map, const void *key, void *ret_value)
{
	const struct loom_ipkey *k = key;

	assert_ptr_equal(arg, &fetched);
	fetched++;
	if (k->addr.b[15] == 0x99)
		return -EIO;
	if (k->addr.b[15] != 1)
		return -ENOENT;
	memset(ret_value, 0, map->value_size);
	((struct loom_ep *)ret_value)->mtu = 7;
	return 0;
}

static struct loom_ipkey key_of(uint8_t last)
{
	struct loom_ipkey k = {};

	k.addr.b[15] = last;
	return k;
}

static struct overlay begin(void)
{
	fetched = 0;
	return (struct overlay){ .fetch = fetch, .arg = &fetched };
}

void what_is_read_is_fetched_once_and_recorded(void **state)
{
	struct overlay o = begin();
	struct loom_ipkey one = key_of(1), two = key_of(2);
	struct loom_ep *ep;

	overlay_begin(&o);
	ep = nmap_lookup(&loom_ep, &one);
	assert_int_equal(ep->mtu, 7);
	assert_ptr_equal(nmap_lookup(&loom_ep, &one), ep);
	assert_null(nmap_lookup(&loom_ep, &two));
	assert_null(nmap_lookup(&loom_ep, &two));
	assert_int_equal(fetched, 2);
	assert_int_equal(o.n_seen, 4);
	assert_ptr_equal(o.seen[1].map, &loom_ep);
	assert_ptr_equal(o.seen[1].value, ep);
	assert_memory_equal(o.seen[2].key, &two, sizeof(two));
	assert_null(o.seen[2].value);
	o.quiet = true;
	nmap_lookup(&loom_ep, &one);
	assert_int_equal(o.n_seen, 4);
	assert_int_equal(o.error, 0);
	overlay_end(&o);
}

void what_is_written_stays_in_the_overlay(void **state)
{
	struct overlay o = begin();
	struct loom_ipkey one = key_of(1), two = key_of(2);
	struct loom_ep mine = { .mtu = 9 }, *ep;

	overlay_begin(&o);
	assert_int_equal(nmap_update(&loom_ep, &one, &mine, BPF_NOEXIST), -EEXIST);
	assert_int_equal(nmap_update(&loom_ep, &two, &mine, BPF_EXIST), -ENOENT);
	assert_int_equal(nmap_update(&loom_ep, &two, &mine, BPF_NOEXIST), 0);
	ep = nmap_lookup(&loom_ep, &two);
	assert_int_equal(ep->mtu, 9);
	assert_int_equal(nmap_delete(&loom_ep, &one), 0);
	assert_int_equal(nmap_delete(&loom_ep, &one), -ENOENT);
	assert_null(nmap_lookup(&loom_ep, &one));
	assert_int_equal(nmap_update(&loom_ep, &one, &mine, BPF_ANY), 0);
	overlay_end(&o);

	o = begin();
	overlay_begin(&o);
	ep = nmap_lookup(&loom_ep, &one);
	assert_int_equal(ep->mtu, 7);
	assert_null(nmap_lookup(&loom_ep, &two));
	overlay_end(&o);
}

void a_map_that_can_t_be_read_is_an_error_and_not_empty(void **state)
{
	struct overlay o = begin();
	struct loom_ipkey bad = key_of(0x99), two = key_of(2);

	overlay_begin(&o);
	assert_null(nmap_lookup(&loom_ep, &two));
	assert_int_equal(o.error, 0);
	assert_null(nmap_lookup(&loom_ep, &bad));
	assert_int_equal(o.error, -EIO);
	overlay_end(&o);
}

void native_maps_come_back_as_they_were(void **state)
{
	struct overlay o = begin();
	struct loom_ipkey two = key_of(2);
	struct loom_ep mine = { .mtu = 9 }, *ep;

	assert_int_equal(nmap_update(&loom_ep, &two, &mine, BPF_ANY), 0);
	overlay_begin(&o);
	assert_null(nmap_lookup(&loom_ep, &two));
	overlay_end(&o);
	ep = nmap_lookup(&loom_ep, &two);
	assert_int_equal(ep->mtu, 9);
	native_reset();
}
