// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets ---- */

static struct setmap *sets_of(struct ruleset *r, uint32_t kind)
{
	return kind == LOOM_PEER_CLASS ? &r->class_sets : &r->ident_sets;
}

static void write_list(struct rulesets *s, struct list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		uint32_t index = list->first + i;

		polmaps_put(s->maps, POLMAP_RULE, &index, &list->v[i]);
	}
	list->fresh = false;
}

void set_write(struct rulesets *s, const struct ruleset *r, uint32_t kind, uint32_t peer,
	       struct list *list)
{
	const struct loom_polkey key = { .policy = r->number, .peer = peer, .kind = kind };
	const struct loom_polset set = {
		.first = list->first,
		.count = list->count,
		.flags = kind == LOOM_PEER_ANY ? r->flags : 0,
	};

	if (!r->written)
		return;
	if (list->fresh)
		write_list(s, list);
	polmaps_put(s->maps, POLMAP_POL, &key, &set);
}

static bool has_room(const struct rulesets *s)
{
	uint32_t max = s->maps->max_sets;

	return s->n_sets - s->n_idle_sets < rulesets_room(s, max) && s->n_sets < 2 * max;
}

int set_put(struct rulesets *s, struct ruleset *r, uint32_t kind, uint32_t peer, struct list *list)
{
	int err = has_room(s) ? 0 : -ENOSPC;

	if (!err && kind != LOOM_PEER_ANY)
		err = setmap_add(sets_of(r, kind), peer, list);
	if (err < 0) {
		list_put(&s->lists, list);
		return err;
	}
	if (kind == LOOM_PEER_ANY)
		r->any = list;
	s->n_sets++;
	s->n_idle_sets += !r->refs;
	set_write(s, r, kind, peer, list);
	return 0;
}

static void unwrite(struct rulesets *s, const struct ruleset *r, uint32_t kind, uint32_t peer)
{
	const struct loom_polkey key = { .policy = r->number, .peer = peer, .kind = kind };

	if (!s->closing && r->written)
		polmaps_del(s->maps, POLMAP_POL, &key);
	s->n_sets--;
	s->n_idle_sets -= !r->refs;
}

void set_drop(struct rulesets *s, struct ruleset *r, uint32_t kind, uint32_t peer)
{
	struct list *list = setmap_take(sets_of(r, kind), peer);

	if (!list)
		return;
	unwrite(s, r, kind, peer);
	list_put(&s->lists, list);
}

static int get_list(struct rulesets *s, const struct rules *rules, struct list **ret)
{
	const struct slots *slots = &s->lists.slots;

	if (slots->used + rules->n > rulesets_room(s, slots->n))
		return -ENOSPC;
	return list_get(&s->lists, rules, ret);
}

int rules_to_list(struct rulesets *s, struct rules *rules, struct list **ret)
{
	int err = rules_settle(rules);

	if (!err && rules->n)
		err = get_list(s, rules, ret);
	else if (!err)
		*ret = NULL;
	rules->n = 0;
	return err;
}

/* ---- rules ---- */

static int emit(struct rules *out, const struct ruleset_rule *r, uint8_t proto, uint16_t lo,
		uint16_t hi)
{
	const struct loom_polrule rule = {
		.lo = lo,
		.hi = hi,
		.order = r->order,
		.proto = proto,
		.verdict = r->tier << 4 | r->rule->action,
	};

	return rules_add_new(out, &rule);
}

static int emit_named(struct rules *out, const struct ruleset_rule *r, const struct port_match *m,
		      const struct portmap *ports)
{
	int err = 0;

	for (uint32_t i = 0; !err && ports && i < ports->n; i++) {
		const struct named_port *p = &ports->v[i];

		if (p->name == m->name && (!m->proto || m->proto == p->proto))
			err = emit(out, r, p->proto, p->port, p->port);
	}
	return err;
}

int emit_rule(struct rules *out, const struct ruleset_rule *r, const struct portmap *ports,
	      unsigned int what)
{
	int err = 0;

	if (r->rule->any_port)
		return what & EMIT_NUMBERS ? emit(out, r, 0, 0, 0) : 0;
	for (size_t i = 0; !err && i < r->rule->n_ports; i++) {
		const struct port_match *m = &r->rule->ports[i];

		if (m->name && (what & EMIT_NAMES))
			err = emit_named(out, r, m, ports);
		else if (!m->name && (what & EMIT_NUMBERS))
			err = emit(out, r, m->proto, m->lo, m->hi);
	}
	return err;
}

/* For every peer: of egress without ports that have names, for they are the peer's. */
static int settle_any(const struct ruleset *r, struct rules *ret)
{
	int err = 0;

	for (size_t i = 0; !err && i < r->n_rules; i++)
		if (r->rules[i].rule->any_peer)
			err = emit_rule(ret, &r->rules[i], r->ports, EMIT_NUMBERS | EMIT_NAMES);
	return err ?: rules_settle(ret);
}

static int put_any(struct rulesets *s, struct ruleset *r, const struct rules *rules)
{
	struct list *list = NULL;

	return get_list(s, rules, &list) ?: set_put(s, r, LOOM_PEER_ANY, 0, list);
}

/* ---- making ---- */

static uint16_t flags_of(const struct ruleset *r)
{
	uint16_t flags = 0;

	for (size_t i = 0; i < r->n_policies; i++)
		if (r->policies[i]->tier == LOOM_TIER_NP)
			flags |= LOOM_POLSET_ISOLATES;
	for (size_t i = 0; i < r->n_rules; i++) {
		const struct rule *rule = r->rules[i].rule;
		bool named = rule->any_peer && rule->has_names && r->dir == DIR_OUT;

		if (named || (!rule->any_peer && rule->n_peers))
			flags |= LOOM_POLSET_SELECTS |
				 (rule->action != LOOM_POL_ACCEPT ? LOOM_POLSET_STRICT : 0);
		if (!rule->any_peer && rule->n_blocks)
			flags |= LOOM_POLSET_CLASSES;
	}
	return flags;
}

/* Orders count within a tier, over all policies of it. */
static int list_rules(struct ruleset *r, struct err *e)
{
	uint32_t orders[LOOM_TIERS] = {};
	size_t n = 0;

	for (size_t i = 0; i < r->n_policies; i++)
		n += r->policies[i]->n_rules[r->dir];
	r->rules = calloc(n + 1, sizeof(*r->rules));
	if (!r->rules)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_policies; i++) {
		const struct policy *p = r->policies[i];

		for (size_t k = 0; k < p->n_rules[r->dir]; k++) {
			uint32_t order = orders[p->tier]++;

			if (order > UINT16_MAX)
				return err_set(e, -E2BIG, "more than 65536 rules of one tier");
			r->rules[r->n_rules++] = (struct ruleset_rule){
				.rule = &p->rules[r->dir][k],
				.policy = p,
				.tier = p->tier,
				.order = order,
				.index = k,
			};
		}
	}
	return 0;
}

static int use_peers(struct rulesets *s, struct ruleset *r)
{
	for (size_t i = 0; i < r->n_rules; i++)
		for (size_t k = 0; k < r->rules[i].rule->n_peers; k++) {
			int err = peer_use(r->rules[i].rule->peers[k], s->ids);

			if (err < 0)
				return err;
			r->n_used++;
		}
	return 0;
}

static void unuse_peers(struct ruleset *r)
{
	for (size_t i = 0; i < r->n_rules; i++)
		for (size_t k = 0; r->n_used && k < r->rules[i].rule->n_peers; k++) {
			peer_unuse(r->rules[i].rule->peers[k]);
			r->n_used--;
		}
}

static int add_class(struct rulesets *s, struct ruleset *r, const struct prefix *p)
{
	struct class **at, *class;

	if (s->classes.n >= rulesets_room(s, s->maps->max_classes) && !class_find(&s->classes, p))
		return -ENOSPC;
	class = class_get(&s->classes, p);
	if (!class)
		return -ENOMEM;
	at = grow(&r->classes, &r->n_classes, sizeof(struct class *));
	if (!at) {
		class_put(&s->classes, class);
		return -ENOMEM;
	}
	*at = class;
	return 0;
}

static int add_classes(struct rulesets *s, struct ruleset *r, const struct block *b)
{
	const struct prefix *barrier = class_barrier(&b->cidr);
	int err = add_class(s, r, &b->cidr);

	if (!err && barrier)
		err = add_class(s, r, barrier);
	for (size_t i = 0; !err && i < b->n_except; i++) {
		barrier = class_barrier(&b->except[i]);
		err = add_class(s, r, &b->except[i]);
		if (!err && barrier)
			err = add_class(s, r, barrier);
	}
	return err;
}

static int add_hosts(struct rulesets *s, struct ruleset *r, const struct rule *rule)
{
	int err = 0;

	for (size_t i = 0; !err && i < r->n_hosts; i++)
		if (host_is_named(rule, &r->hosts[i]))
			err = add_class(s, r, &r->hosts[i].prefix);
	return err;
}

static int list_classes(struct rulesets *s, struct ruleset *r, struct err *e)
{
	int err = 0;

	for (size_t i = 0; !err && i < r->n_rules; i++) {
		for (size_t k = 0; !err && k < r->rules[i].rule->n_blocks; k++)
			err = add_classes(s, r, &r->rules[i].rule->blocks[k]);
		err = err ?: add_hosts(s, r, r->rules[i].rule);
	}
	if (err == -ENOSPC)
		return err_set(e, err, "no room for its CIDRs: there can be %u on a node",
			       rulesets_room(s, s->maps->max_classes));
	classes_sort(&s->classes);
	return err;
}

static int no_room(const struct rulesets *s, struct err *e)
{
	return err_set(e, -ENOSPC, "no room for its rules and peers: %u of %u sets are taken",
		       s->n_sets - s->n_idle_sets, rulesets_room(s, s->maps->max_sets));
}

static int compile_sets(struct rulesets *s, struct ruleset *r, const struct rules *any,
			struct err *e)
{
	int err = rulesets_add_classes(s);

	err = err ?: ruleset_compile_identities(s, r);
	err = err ?: ruleset_compile_classes(s, r, e);
	err = err ?: put_any(s, r, any);
	return err == -ENOSPC ? no_room(s, e) : err;
}

static int compile(struct rulesets *s, struct ruleset *r, struct err *e)
{
	struct rules any = {};
	int err;

	s->crowded = NULL;
	err = list_rules(r, e);
	if (err < 0)
		return err;
	r->flags = flags_of(r) | r->flags;
	/* First: that they are too many is known soonest here. */
	err = settle_any(r, &any);
	err = err ?: use_peers(s, r);
	err = err ?: list_classes(s, r, e);
	err = err ?: compile_sets(s, r, &any, e);
	rules_fini(&any);
	if (err == -E2BIG && !e->code)
		err_set(e, err, "a peer's rules are more than %u ports", LOOM_POLSET_MAX);
	return err;
}

/* ---- life ---- */

static void *key_of(const struct ruleset_wish *w, size_t *ret_len)
{
	const struct {
		uint64_t dir, log_only, hosts_gen;
		struct portmap *ports;
	} head = { w->dir, w->log_only, w->hosts_gen, w->ports };
	size_t len = w->n * sizeof(w->policies[0]);
	char *key = malloc(sizeof(head) + len + 1);

	if (!key)
		return NULL;
	memcpy(key, &head, sizeof(head));
	if (len)
		memcpy(key + sizeof(head), w->policies, len);
	*ret_len = sizeof(head) + len;
	return key;
}

static bool is_given(const struct rulesets *s, uint32_t number)
{
	for (const struct ruleset *r = s->all; r; r = r->hh.next)
		if (r->number == number)
			return true;
	return false;
}

/* After 2^32 of them they begin anew. */
static uint32_t new_number(struct rulesets *s)
{
	do {
		s->last++;
	} while (!s->last || is_given(s, s->last));
	return s->last;
}

static struct ruleset *create(struct rulesets *s, const struct ruleset_wish *w)
{
	struct ruleset *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->of = s;
	r->dir = w->dir;
	r->refs = 1;
	r->number = new_number(s);
	r->names_hosts = w->hosts_gen;
	s->n_naming += r->names_hosts;
	r->hosts = w->hosts;
	r->n_hosts = w->n_hosts;
	r->flags = w->log_only ? LOOM_POLSET_LOG_ONLY : 0;
	r->ports = w->ports ? portmap_ref(w->ports) : NULL;
	r->policies = calloc(w->n + 1, sizeof(*r->policies));
	for (size_t i = 0; r->policies && i < w->n; i++)
		r->policies[r->n_policies++] = policy_ref(w->policies[i]);
	return r;
}

static void drop_sets(struct rulesets *s, struct ruleset *r, uint32_t kind)
{
	struct setmap *m = sets_of(r, kind);

	for (uint32_t i = 0; i < m->room; i++) {
		if (!m->v[i].peer)
			continue;
		unwrite(s, r, kind, m->v[i].peer);
		list_put(&s->lists, m->v[i].list);
	}
	setmap_fini(m);
}

static void discard(struct rulesets *s, struct ruleset *r)
{
	s->n_naming -= r->names_hosts;
	s->n_left -= r->left;
	if (r->any) {
		unwrite(s, r, LOOM_PEER_ANY, 0);
		list_put(&s->lists, r->any);
	}
	ruleset_uncount_identities(s, r);
	drop_sets(s, r, LOOM_PEER_IDENTITY);
	drop_sets(s, r, LOOM_PEER_CLASS);
	for (size_t i = 0; i < r->n_classes; i++)
		class_put(&s->classes, r->classes[i]);
	unuse_peers(r);
	for (size_t i = 0; i < r->n_policies; i++)
		policy_put(r->policies[i]);
	portmap_put(r->ports);
	free(r->classes);
	free(r->policies);
	free(r->rules);
	free(r->key);
	free(r);
}

static bool has_tenants_rules(const struct ruleset *r)
{
	for (size_t i = 0; i < r->n_policies; i++)
		if (r->policies[i]->tier == LOOM_TIER_NP && r->policies[i]->n_rules[r->dir])
			return true;
	return false;
}

/* An idle one counts as room: who wants it again takes that. */
static bool may_come_back(struct rulesets *s, const struct ruleset *r)
{
	uint32_t room;

	if (r->refs)
		return true;
	s->modest = has_tenants_rules(r);
	room = rulesets_room(s, s->maps->max_sets);
	s->modest = false;
	return s->n_sets - s->n_idle_sets + ruleset_sets(r) <= room;
}

int ruleset_get(struct rulesets *s, const struct ruleset_wish *wish, struct ruleset **ret,
		struct err *e)
{
	struct ruleset *r = NULL;
	size_t len = 0;
	void *key = key_of(wish, &len);
	int err;

	if (!key)
		return err_set(e, -ENOMEM, "out of memory");
	HASH_FIND(hh, s->all, key, len, r);
	if (r) {
		free(key);
		if (!may_come_back(s, r))
			return no_room(s, e);
		ruleset_retake(s, r);
		*ret = r;
		return 0;
	}
	r = create(s, wish);
	if (!r || !r->policies) {
		if (r)
			discard(s, r);
		free(key);
		return err_set(e, -ENOMEM, "out of memory");
	}
	r->key = key;
	r->key_len = len;
	s->modest = has_tenants_rules(r);
	err = compile(s, r, e);
	s->modest = false;
	r->hosts = NULL;
	r->n_hosts = 0;
	if (err < 0) {
		discard(s, r);
		rulesets_drop_unseen(s);
		return err;
	}
	HASH_ADD_KEYPTR(hh, s->all, r->key, r->key_len, r);
	*ret = r;
	return 0;
}

void ruleset_forget(struct rulesets *s, struct ruleset *r)
{
	HASH_DEL(s->all, r);
	if (!r->refs && !r->held)
		s->n_idle--;
	discard(s, r);
}
