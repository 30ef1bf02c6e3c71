// SPDX-License-Identifier: Apache-2.0
/* Rules as people say them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/private.h"
#include "lib/base/utf8.h"

static void put_values(FILE *f, const struct requirement *r)
{
	fputc('(', f);
	for (uint32_t i = 0; i < r->n_values && !ferror(f); i++)
		fprintf(f, "%s%s", i ? ", " : "", r->values[i]->text);
	fputc(')', f);
}

static void put_requirement(FILE *f, const struct requirement *r)
{
	switch (r->op) {
	case SELECTOR_IN:
		if (r->n_values == 1) {
			fprintf(f, "%s=%s", r->key->text, r->values[0]->text);
			return;
		}
		fprintf(f, "%s in ", r->key->text);
		put_values(f, r);
		return;
	case SELECTOR_NOT_IN:
		fprintf(f, "%s not in ", r->key->text);
		put_values(f, r);
		return;
	case SELECTOR_EXISTS:
		fprintf(f, "%s", r->key->text);
		return;
	case SELECTOR_ABSENT:
		fprintf(f, "no %s", r->key->text);
		return;
	}
}

/* "pods", "pods with a=b and no c" */
static void put_selected(FILE *f, const char *what, const struct selector *s)
{
	fputs(what, f);
	for (uint32_t i = 0; s && i < s->n && !ferror(f); i++) {
		fputs(i ? " and " : " with ", f);
		put_requirement(f, &s->v[i]);
	}
}

static void put_peer(FILE *f, const struct peer *p)
{
	put_selected(f, p->kind == PEER_NODES ? "nodes" : "pods", p->sel);
	if (p->kind == PEER_NODES)
		return;
	if (p->ns)
		fprintf(f, " of namespace %s", p->ns->text);
	else if (p->ns_sel && p->ns_sel->n)
		put_selected(f, " of namespaces", p->ns_sel);
	else
		fputs(" of any namespace", f);
}

static void put_block(FILE *f, const struct block *b)
{
	char text[PREFIX_STRLEN];

	fputs(prefix_format(&b->cidr, text), f);
	for (size_t i = 0; i < b->n_except && !ferror(f); i++)
		fprintf(f, "%s%s", i ? ", " : " except ", prefix_format(&b->except[i], text));
}

static void put_peers(FILE *f, const struct rule *rule)
{
	size_t n = 0;

	if (rule->any_peer) {
		fputs("anywhere", f);
		return;
	}
	for (size_t i = 0; i < rule->n_peers && !ferror(f); i++) {
		fputs(n++ ? "; " : "", f);
		put_peer(f, rule->peers[i]);
	}
	for (size_t i = 0; i < rule->n_blocks && !ferror(f); i++) {
		fputs(n++ ? "; " : "", f);
		put_block(f, &rule->blocks[i]);
	}
	if (!n)
		fputs("nowhere", f);
}

static void put_port(FILE *f, const struct port_match *m)
{
	if (m->name)
		fprintf(f, "%s port '%s'", proto_name(m->proto), m->name->text);
	else if (m->lo == 0)
		fputs(proto_name(m->proto), f);
	else if (m->lo == m->hi)
		fprintf(f, "%s %u", proto_name(m->proto), m->lo);
	else
		fprintf(f, "%s %u-%u", proto_name(m->proto), m->lo, m->hi);
}

static void put_rule(FILE *f, const struct ruleset_rule *r, enum direction dir)
{
	static const char *const verbs[] = { "allow", "deny", "pass on" };

	fprintf(f, "%s, rule %u", r->policy->name, r->index);
	if (r->rule->name)
		fprintf(f, " '%s'", r->rule->name);
	fprintf(f, ": %s ", verbs[r->rule->action]);
	if (r->rule->any_port)
		fputs("everything", f);
	for (size_t i = 0; !r->rule->any_port && i < r->rule->n_ports && !ferror(f); i++) {
		fputs(i ? ", " : "", f);
		put_port(f, &r->rule->ports[i]);
	}
	fputs(dir == DIR_IN ? " from " : " to ", f);
	put_peers(f, r->rule);
}

char *rule_words(const struct ruleset_rule *r, enum direction dir)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_rule(f, r, dir);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* Writing fails where the buffer ends, and the lists with it. */
const char *rule_words_short(const struct ruleset_rule *r, enum direction dir, char *buf,
			     size_t len)
{
	static const char more[] = "…";
	size_t room = len - sizeof(more), at = 0, n;
	bool cut;
	FILE *f = fmemopen(buf, room, "w");

	memset(buf, 0, len);
	if (!f)
		return buf;
	setvbuf(f, NULL, _IONBF, 0);
	put_rule(f, r, dir);
	cut = ferror(f);
	fclose(f);
	while ((n = utf8_next(buf + at)))
		at += n;
	memcpy(buf + at, cut ? more : "", cut ? sizeof(more) : 1);
	return buf;
}
